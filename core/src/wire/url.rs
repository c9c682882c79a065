//! Addresses without their secrets, for captures, terminals and agents.
//!
//! Hosted servers put credentials into the query string, and people put them before the `@`.

/// `url` without user, password, query and fragment. The same for a text that is no URL but may be
/// an address, such as `user:password@host`.
#[must_use]
pub fn without_secrets(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => {
            format!("{scheme}://{}", host_and_path(rest, '/'))
        }
        // A question mark at the very end of a text separates nothing.
        _ if url.find(['?', '#']).is_some_and(|at| at + 1 == url.len()) && !url.contains('@') => {
            url.to_owned()
        }
        // Where there is no scheme, nobody knows where a path begins.
        _ => host_and_path(url, '?').to_owned(),
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// What may be shown of an address whose path begins with `slash`. A password may hold a `/`, `?` or
/// `#` that should have been escaped; what stands before that is then no host.
fn host_and_path(address: &str, slash: char) -> &str {
    let shown = &address[..address.find(['?', '#']).unwrap_or(address.len())];
    let authority = &shown[..shown.find(slash).unwrap_or(shown.len())];
    let is_host = is_host(authority);
    match authority.rfind('@').or(shown.rfind('@').filter(|_| !is_host)) {
        Some(at) => &shown[at + 1..],
        // The rest of the password cannot be told from a query.
        None if !is_host && address.contains('@') => "",
        None => shown,
    }
}

/// Whether what follows the last colon can be a port.
fn is_host(authority: &str) -> bool {
    let after_address = authority.rfind(']').map_or(authority, |end| &authority[end..]);
    let port = after_address.rsplit_once(':').map_or("", |(_, port)| port);
    port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: &str) {
        assert_eq!(without_secrets(url), expected);
    }

    #[test]
    fn url_without_secrets_is_unchanged() {
        check("ws://127.0.0.1:1318", "ws://127.0.0.1:1318");
        check("ws://localhost:1318", "ws://localhost:1318");
        check("http://pod.example/a/b@c", "http://pod.example/a/b@c");
        check("wss://[::1]:99/ws", "wss://[::1]:99/ws");
        check("ws://[fe80::1]/user@x", "ws://[fe80::1]/user@x");
        check("pod:1318/ws", "pod:1318/ws");
        check("", "");
    }

    #[test]
    fn url_query_and_fragment_are_left_out() {
        check("wss://pod.example/a/b?apiKey=SECRET&x=1#frag", "wss://pod.example/a/b");
        check("wss://pod.example?sig=a/b@c", "wss://pod.example");
        check("wss://pod.io?sig=a/b@c", "wss://pod.io");
        check("https://pod.example#SECRET", "https://pod.example");
        check("ws://[::1]:99?key=SECRET", "ws://[::1]:99");
        check("ws://pod/?next=ws://a:SECRET@b", "ws://pod/");
        check("ws://pod/a%3Fb?c=%53ECRET", "ws://pod/a%3Fb");
        check("pod.example/ws?key=SECRET", "pod.example/ws");
        check("pod?next=ws://a:SECRET@b", "pod");
    }

    #[test]
    fn url_user_information_is_left_out() {
        check("wss://user:SECRET@pod.example:99/a@b", "wss://pod.example:99/a@b");
        check("wss://me:pw@pod.io:8/a@b/c?apiKey=x#y", "wss://pod.io:8/a@b/c");
        check("ws://SECRET@pod", "ws://pod");
        check("ws://:SECRET@pod:1", "ws://pod:1");
        check("http://user:SE%40CR%2FET@[::1]:99/x", "http://[::1]:99/x");
        check("ws://user:SE@CRET@pod", "ws://pod");
        check("user:SECRET@host", "host");
        check("user:SECRET@host/path?key=SECRET", "host/path");
        check("ws:/user:SECRET@host", "host");
    }

    #[test]
    fn url_user_information_that_should_have_been_escaped_is_left_out() {
        check("ws://user:SE/CRET@pod/x", "ws://pod/x");
        check("ws://user:SE?CRET@pod?key=SECRET", "ws://");
        check("ws://user:SE#CRET@pod", "ws://");
        check("ws://pod:port/x?mail=SECRET@SECRET", "ws://");
        check("user:SE/CRET@pod", "pod");
    }

    #[test]
    fn url_that_is_a_text_is_kept() {
        check("a fixture?", "a fixture?");
        check("a fixture", "a fixture");
        check("50%", "50%");
    }
}
