//! Which live servers may be called: those of this machine, and hosts that were allowed.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, bail, ensure};
use hyper::Uri;

use crate::wire::url::without_secrets;

/// Hosts that may be called beside this machine's.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Allows names or addresses, each with or without a port.
    pub fn new(allowed: &[String]) -> Hosts {
        Hosts(allowed.iter().map(|host| host.to_ascii_lowercase()).collect())
    }

    /// Refuses an address that is not a WebSocket's, or whose host is not allowed.
    pub fn check(&self, url: &str) -> Result<()> {
        let shown = without_secrets(url);
        let Ok(uri) = url.parse::<Uri>() else {
            bail!("\"{shown}\" is no address; write ws://host:port");
        };
        ensure!(
            matches!(uri.scheme_str(), Some("ws" | "wss")),
            "\"{shown}\" is no WebSocket address; it has to begin with ws:// or wss://"
        );
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let with_port = format!("{host}:{}", uri.port_u16().unwrap_or(0));
        ensure!(!host.is_empty(), "\"{shown}\" names no host");
        if is_loopback(&host) || self.0.contains(&host) || self.0.contains(&with_port) {
            return Ok(());
        }
        bail!(
            "{host} may not be called: only this machine and the hosts named with --allow-host; \
             the person who started lagtape mcp can add --allow-host {host}"
        )
    }
}

/// Whether a host is this machine by its name alone.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether only this machine reaches what listens there.
pub fn is_local(address: SocketAddr) -> bool {
    address.ip().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<&str>) {
        let hosts = Hosts::new(&["pod.example".to_owned(), "10.0.0.1:1318".to_owned()]);
        let error = hosts.check(url).err().map(|error| error.to_string());
        match (&error, expected) {
            (None, None) => {}
            (Some(error), Some(part)) => assert!(error.contains(part), "{url}: {error}"),
            _ => panic!("{url}: {error:?}"),
        }
        assert!(!error.is_some_and(|error| error.contains("SECRET")), "{url}");
    }

    #[test]
    fn only_allowed_hosts_are_called() {
        for url in [
            "ws://127.0.0.1:1318",
            "ws://127.8.8.8",
            "ws://localhost:1",
            "ws://LOCALHOST",
            "ws://[::1]:1318/path",
            "wss://pod.example/ws?apiKey=SECRET",
            "wss://POD.example",
            "ws://10.0.0.1:1318",
        ] {
            check(url, None);
        }
        for url in [
            "ws://10.0.0.1:1319",
            "ws://evil.example?apiKey=SECRET",
            "ws://127.0.0.1@evil.example",
            "ws://localhost:SECRET@evil.example/",
            "ws://localhost.evil.example",
            "ws://pod.example.evil.example",
            "ws://0.0.0.0:1318",
            "ws://[::ffff:8.8.8.8]",
            "ws://2130706433",
            "ws://169.254.169.254/latest",
        ] {
            check(url, Some("may not be called"));
        }
        for url in [
            "http://127.0.0.1",
            "file:///etc/passwd",
            "127.0.0.1:80",
            "",
            "ws://",
            "ws:// x?SECRET",
        ] {
            check(url, Some("ws://"));
        }
    }
}
