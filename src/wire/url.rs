//! Addresses without their secrets.
//!
//! Enters: the address of a server as a person or a queue gave it. Leaves: what may be written to
//! a disk or a terminal. Hosted servers put credentials into the query string, and anybody may put
//! them before the `@`; both are left out.

/// `url` without user, password, query and fragment.
#[must_use]
pub fn without_secrets(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.rsplit_once('@').map_or(url, |(_, host)| host).to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: &str) {
        assert_eq!(without_secrets(url), expected);
    }

    #[test]
    fn secrets_are_left_out() {
        check("ws://127.0.0.1:1318", "ws://127.0.0.1:1318");
        check("wss://pod.example/a/b?apiKey=SECRET&x=1#frag", "wss://pod.example/a/b");
        check("wss://user:SECRET@pod.example:99/a@b", "wss://pod.example:99/a@b");
        check("wss://pod.example?sig=a/b@c", "wss://pod.example");
        check("user:SECRET@host", "host");
        check("", "");
    }
}
