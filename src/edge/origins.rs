//! Who may call over HTTP, and which pages may.
//!
//! A page that a browser shows can send requests to a server on this machine. It cannot choose its
//! `Origin`, and one that had a name of its own resolved to this machine cannot choose its `Host`.
//! Both are compared as they are written, so that nothing is read into what is no name.

use std::net::SocketAddr;

use hyper::header::{HOST, HeaderMap, ORIGIN};

/// The names of the server, as clients write them.
#[derive(Debug)]
pub struct Names {
    /// Each as it is written.
    exact: Vec<String>,
    /// Each with any port, or none.
    any_port: Vec<String>,
}

impl Names {
    /// The names of loopback and of the address, with its port, and others as they were given: one without
    /// a port may have any.
    pub fn new(address: SocketAddr, others: &[String]) -> Names {
        let port = address.port();
        let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        if !address.ip().is_unspecified() {
            let written = address.to_string();
            hosts.push(without_port(&written).unwrap_or(&written).to_owned());
        }
        let mut exact: Vec<_> = hosts.iter().map(|host| format!("{host}:{port}")).collect();
        // Browsers leave out the port of HTTP itself.
        if port == 80 {
            exact.extend(hosts);
        }
        let others = others.iter().map(|host| host.trim().to_ascii_lowercase());
        let (with_port, any_port): (Vec<_>, _) =
            others.partition(|host| without_port(host).is_some());
        exact.extend(with_port);
        Names { exact, any_port }
    }

    /// Whether a request names this server as its host.
    pub fn has_host(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        host.is_some_and(|host| self.has(host))
    }

    /// Whether a request comes from no page, or from one of these names.
    pub fn has_origin(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN) else { return true };
        let origin = origin.to_str().unwrap_or_default();
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        host.is_some_and(|host| self.has(host))
    }

    fn has(&self, written: &str) -> bool {
        let written = written.to_ascii_lowercase();
        let host = without_port(&written).unwrap_or(&written);
        self.exact.contains(&written) || self.any_port.iter().any(|name| name == host)
    }
}

/// A host before its port, if it has one.
fn without_port(host: &str) -> Option<&str> {
    let (bare, port) = host.rsplit_once(':')?;
    let is_port = port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = !bare.contains(':') || bare.ends_with(']');
    (is_port && is_whole).then_some(bare)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    #[track_caller]
    fn check(names: &Names, header: &HeaderName, written: &'static str, expected: bool) {
        let headers = HeaderMap::from_iter([(header.clone(), HeaderValue::from_static(written))]);
        let has =
            if *header == HOST { names.has_host(&headers) } else { names.has_origin(&headers) };
        assert_eq!(has, expected, "{header}: {written}");
    }

    #[test]
    fn names_are_compared_as_they_are_written() {
        let others = ["pod.example".to_owned(), "localhost:3000".to_owned()];
        let names = Names::new("127.0.0.1:1318".parse().unwrap(), &others);
        for host in ["localhost:1318", "LOCALHOST:1318", "127.0.0.1:1318", "[::1]:1318"] {
            check(&names, &HOST, host, true);
        }
        for host in ["pod.example", "pod.example:443", "localhost:3000"] {
            check(&names, &HOST, host, true);
        }
        for host in ["localhost", "localhost:1", "evil.example", "127.0.0.1:1318.evil.example", ""]
        {
            check(&names, &HOST, host, false);
        }
        for host in
            ["pod.example.evil.example", "pod.example:x", "pod.example:1:2", "::1", "::1:1318"]
        {
            check(&names, &HOST, host, false);
        }
        for origin in ["http://localhost:1318", "http://localhost:3000", "https://pod.example"] {
            check(&names, &ORIGIN, origin, true);
        }
        for origin in [
            "http://localhost:1",
            "http://127.0.0.1:1318.evil.example",
            "http://localhost:1318@evil.example",
            "null",
            "file://localhost:1318",
            "https://evil.example",
        ] {
            check(&names, &ORIGIN, origin, false);
        }
        assert!(names.has_origin(&HeaderMap::new()), "no page");
        assert!(!names.has_host(&HeaderMap::new()), "no host");
    }

    #[test]
    fn the_port_of_http_is_left_out() {
        let names = Names::new("127.0.0.1:80".parse().unwrap(), &[]);
        for host in ["localhost", "localhost:80", "127.0.0.1"] {
            check(&names, &HOST, host, true);
        }
        check(&names, &ORIGIN, "http://localhost", true);
        check(&names, &HOST, "localhost:81", false);
    }
}
