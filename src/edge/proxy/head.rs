//! Heads of HTTP messages: what they say about what follows, and the few values that the proxy changes.
//!
//! These are `Host`, an `Origin` that names the proxy, a redirect to the server itself, and the path
//! of a handshake for `/`. Everything else, order, case and spacing included, stays as it is.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Header, Status};

use super::body::BodyFraming;
use super::headers::{NotHttp, Wants, all, has_word, text, value};
use super::upstream::Upstream;
use crate::wire::websocket::Deflate;

/// Longest head in bytes.
pub const MAX_HEAD_LEN: usize = 256 << 10;
/// Most headers of a head.
const MAX_HEADERS: usize = 256;

/// Longest product of a User-Agent that is kept, and how many are.
const MAX_PRODUCT_LEN: usize = 40;
const MAX_PRODUCTS: usize = 8;

/// What a request says.
#[derive(Debug)]
pub(super) struct RequestHead {
    /// The head as the server gets it.
    pub head: Vec<u8>,
    /// Bytes of the head as the client sent it.
    pub len: usize,
    pub framing: BodyFraming,
    pub wants: Wants,
    /// The path and query for which the server is asked.
    pub target: String,
    /// What the client calls this proxy.
    pub host: Option<String>,
    /// Products and versions of the client's software.
    pub user_agent: Option<String>,
}

/// What a response says.
#[derive(Debug)]
pub(super) struct ResponseHead {
    /// The head as the client gets it.
    pub head: Vec<u8>,
    /// Bytes of the head as the server sent it.
    pub len: usize,
    pub status: u16,
    pub framing: BodyFraming,
    /// The connection ends after it.
    pub is_last: bool,
    /// What was agreed on, if this answer completes a WebSocket handshake.
    pub websocket: Option<Agreed>,
}

/// What a WebSocket handshake agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Agreed {
    pub extensions: String,
    pub deflate: Option<Deflate>,
}

/// Reads a request; `None` while it is not whole.
pub(super) fn request(bytes: &[u8], upstream: &Upstream) -> Result<Option<RequestHead>, NotHttp> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let Status::Complete(len) = parsed.parse(bytes).map_err(|_| explain(bytes))? else {
        return within_bounds(bytes);
    };
    let headers = &*parsed.headers;
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let wants = match method {
        "HEAD" => Wants::Head,
        "CONNECT" => Wants::Tunnel,
        _ if value(headers, "upgrade").is_some() => Wants::Upgrade,
        _ => Wants::Document,
    };
    let host = text(headers, "host");
    let own = host.as_ref().map(|host| format!("http://{host}"));
    let origin = upstream.origin();
    let mut changes = Vec::new();
    let given = upstream.target().filter(|_| wants == Wants::Upgrade && target == "/");
    changes.extend(given.map(|given| (target.as_bytes(), given)));
    changes.extend(value(headers, "host").map(|host| (host, upstream.authority())));
    let own_origin = value(headers, "origin")
        .filter(|origin| own.as_deref().is_some_and(|own| own.as_bytes() == *origin));
    changes.extend(own_origin.map(|own| (own, origin.as_str())));
    Ok(Some(RequestHead {
        head: changed(&bytes[..len], &changes),
        len,
        framing: BodyFraming::of_request(headers)?,
        wants,
        target: given.unwrap_or(target).to_owned(),
        user_agent: text(headers, "user-agent").and_then(|agent| products(&agent)),
        host,
    }))
}

/// Products with their versions out of a User-Agent: which client it is, and nothing else that the
/// header may say.
fn products(agent: &str) -> Option<String> {
    let mut depth = 0;
    let outside = agent.chars().filter(|c| {
        depth += i32::from(*c == '(');
        let is_outside = depth == 0;
        depth -= i32::from(*c == ')' && depth > 0);
        is_outside
    });
    let outside: String = outside.collect();
    let is_product = |word: &&str| {
        let is_token = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte))
        };
        word.len() <= MAX_PRODUCT_LEN
            && word.split_once('/').is_some_and(|(name, version)| {
                name.starts_with(|c: char| c.is_ascii_alphabetic())
                    && version.starts_with(|c: char| c.is_ascii_digit())
                    && is_token(name)
                    && is_token(version)
            })
    };
    let kept: Vec<_> = outside.split_whitespace().filter(is_product).take(MAX_PRODUCTS).collect();
    (!kept.is_empty()).then(|| kept.join(" "))
}

/// Reads the response to a request of this kind; `None` while it is not whole.
pub(super) fn response(
    bytes: &[u8],
    wants: Wants,
    upstream: &Upstream,
    host: Option<&str>,
) -> Result<Option<ResponseHead>, NotHttp> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let not_http = |_| NotHttp("the server does not answer in HTTP");
    let Status::Complete(len) = parsed.parse(bytes).map_err(not_http)? else {
        return within_bounds(bytes);
    };
    let headers = &*parsed.headers;
    let status = parsed.code.unwrap_or_default();
    let location = value(headers, "location").zip(host).and_then(|(location, host)| {
        let rest = location.strip_prefix(upstream.origin().as_bytes())?;
        let is_whole = rest.first().is_none_or(|next| b"/?#".contains(next));
        let own = &location[..location.len() - rest.len()];
        is_whole.then(|| (own, format!("http://{host}")))
    });
    let changes: Vec<_> = location.iter().map(|(own, origin)| (*own, origin.as_str())).collect();
    let agreed = || {
        let all = all(headers, "sec-websocket-extensions").map(String::from_utf8_lossy);
        let extensions = all.collect::<Vec<_>>().join(", ");
        Agreed { deflate: Deflate::agreed(&extensions), extensions }
    };
    let is_websocket = status == 101
        && value(headers, "upgrade").is_some_and(|to| to.eq_ignore_ascii_case(b"websocket"));
    let framing = BodyFraming::of_response(headers, status, wants);
    Ok(Some(ResponseHead {
        head: changed(&bytes[..len], &changes),
        len,
        status,
        is_last: says_close(headers, parsed.version) || framing == BodyFraming::UntilClose,
        framing,
        websocket: is_websocket.then(agreed),
    }))
}

fn says_close(headers: &[Header<'_>], version: Option<u8>) -> bool {
    match version {
        Some(0) => !has_word(headers, "connection", "keep-alive"),
        _ => has_word(headers, "connection", "close"),
    }
}

/// `head` with parts of it replaced.
fn changed(head: &[u8], changes: &[(&[u8], &str)]) -> Vec<u8> {
    let place = |part: &[u8]| -> Range<usize> {
        let start = part.as_ptr() as usize - head.as_ptr() as usize;
        start..start + part.len()
    };
    let mut changes: Vec<_> = changes.iter().map(|(part, new)| (place(part), *new)).collect();
    changes.sort_by_key(|(place, _)| place.start);
    let mut out = Vec::with_capacity(head.len() + 256);
    let mut done = 0;
    for (place, new) in changes {
        out.extend_from_slice(&head[done..place.start]);
        out.extend_from_slice(new.as_bytes());
        done = place.end;
    }
    out.extend_from_slice(&head[done..]);
    out
}

fn within_bounds<T>(bytes: &[u8]) -> Result<Option<T>, NotHttp> {
    match bytes.len() < MAX_HEAD_LEN {
        true => Ok(None),
        false => Err(NotHttp("its head is longer than 256 KiB")),
    }
}

/// Why a client's first bytes are no request.
fn explain(bytes: &[u8]) -> NotHttp {
    /// First byte of a TLS handshake.
    const TLS: u8 = 22;
    match bytes.first() {
        Some(&TLS) => NotHttp("it speaks TLS; connect to the proxy with ws:// or http://"),
        _ => NotHttp("it does not speak HTTP"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::upstream::ServerTrust;
    use super::*;

    fn upstream(url: &str) -> Upstream {
        Upstream::parse(url, &ServerTrust::Anybody).unwrap()
    }

    #[track_caller]
    fn check_request(url: &str, sent: &str, expected: &str) -> RequestHead {
        let request = request(sent.as_bytes(), &upstream(url)).unwrap().unwrap();
        assert_eq!(str::from_utf8(&request.head).unwrap(), expected);
        request
    }

    #[test]
    fn only_host_and_the_own_origin_change() {
        let request = check_request(
            "ws://pod:1318",
            "GET /a?sig=x%2F HTTP/1.1\r\nhOST:  127.0.0.1:13180\r\nX: 1\r\nX:2\r\nOrigin: http://127.0.0.1:13180\r\n\r\nbody",
            "GET /a?sig=x%2F HTTP/1.1\r\nhOST:  pod:1318\r\nX: 1\r\nX:2\r\nOrigin: http://pod:1318\r\n\r\n",
        );
        assert_eq!((request.wants, request.target.as_str()), (Wants::Document, "/a?sig=x%2F"));
        assert_eq!(request.host.as_deref(), Some("127.0.0.1:13180"));
        check_request(
            "wss://pod.io",
            "GET / HTTP/1.1\r\nHost: localhost:1\r\nOrigin: https://other.example\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: pod.io\r\nOrigin: https://other.example\r\n\r\n",
        );
        check_request(
            "wss://pod.io",
            "POST / HTTP/1.1\r\nOrigin: http://localhost:1\r\nHost: localhost:1\r\n\r\n",
            "POST / HTTP/1.1\r\nOrigin: https://pod.io\r\nHost: pod.io\r\n\r\n",
        );
        check_request("ws://pod", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n");
    }

    #[test]
    fn a_handshake_without_a_path_gets_that_of_the_server() {
        let shaken = "HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n";
        let seen = "HTTP/1.1\r\nHost: pod\r\nUpgrade: websocket\r\n\r\n";
        let signed = "ws://pod/ws?sig=1";
        check_request(signed, &format!("GET / {shaken}"), &format!("GET /ws?sig=1 {seen}"));
        check_request(signed, &format!("GET /own {shaken}"), &format!("GET /own {seen}"));
        check_request(
            signed,
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: pod\r\n\r\n",
        );
    }

    #[track_caller]
    fn check_response(
        sent: &str,
        wants: Wants,
        expected: &str,
        framing: BodyFraming,
        is_last: bool,
    ) {
        let found = response(sent.as_bytes(), wants, &upstream("ws://pod:1"), Some("localhost:2"));
        let found = found.unwrap().unwrap();
        assert_eq!(str::from_utf8(&found.head).unwrap(), expected);
        assert_eq!((found.framing, found.is_last), (framing, is_last), "{sent}");
    }

    #[track_caller]
    fn check_untouched(sent: &str, wants: Wants, framing: BodyFraming, is_last: bool) {
        check_response(sent, wants, sent, framing, is_last);
    }

    #[test]
    fn responses_say_how_long_they_are() {
        let document = Wants::Document;
        let plain = "HTTP/1.1 200 OK\r\ncontent-LENGTH: 7\r\n\r\n";
        check_untouched(plain, document, BodyFraming::Length(7), false);
        check_untouched(plain, Wants::Head, BodyFraming::Length(0), false);
        check_untouched(
            "HTTP/1.1 304 No\r\nContent-Length: 7\r\n\r\n",
            document,
            BodyFraming::Length(0),
            false,
        );
        check_untouched(
            "HTTP/1.1 204 No\r\nConnection: x, Close\r\n\r\n",
            document,
            BodyFraming::Length(0),
            true,
        );
        check_untouched("HTTP/1.1 200 OK\r\n\r\n", document, BodyFraming::UntilClose, true);
        check_untouched(
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            document,
            BodyFraming::Length(0),
            true,
        );
        check_untouched("HTTP/1.1 100 Go on\r\n\r\n", document, BodyFraming::Length(0), false);
        check_response(
            "HTTP/1.1 307 There\r\nLocation: http://pod:1/x\r\nContent-Length: 0\r\n\r\n",
            document,
            "HTTP/1.1 307 There\r\nLocation: http://localhost:2/x\r\nContent-Length: 0\r\n\r\n",
            BodyFraming::Length(0),
            false,
        );
        let elsewhere =
            "HTTP/1.1 307 There\r\nLocation: http://pod:12/x\r\nContent-Length: 0\r\n\r\n";
        check_untouched(elsewhere, document, BodyFraming::Length(0), false);
    }

    #[test]
    fn what_is_no_http_says_so() {
        let upstream = upstream("ws://pod");
        let refused = |bytes: &[u8]| request(bytes, &upstream).unwrap_err().0;
        assert!(refused(&[22, 3, 1, 0, 200]).contains("ws://"));
        assert!(refused(b"\x00\x01").contains("HTTP"));
        assert!(refused(&[b'a'; MAX_HEAD_LEN]).contains("256 KiB"));
        assert!(request(b"GET / HTTP/1.1\r\nHo", &upstream).unwrap().is_none());
        assert!(
            refused(b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
                .contains("lengths")
        );
    }
}
