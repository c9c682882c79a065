//! Heads of HTTP messages: what they say about what follows, and the few values that the proxy changes.
//!
//! These are `Host`, an `Origin` that names the proxy, a redirect to the server itself, and the path
//! of a handshake for `/`. Everything else, order, case and spacing included, stays as it is.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Header, ParserConfig, Status};

use super::body::BodyFraming;
use super::headers::{NotHttp, Wants, all, has_word, text, value};
use super::upstream::Upstream;
use crate::wire::websocket::Deflate;

/// Longest head in bytes.
pub const MAX_HEAD_LEN: usize = 256 << 10;
/// Most headers of a request.
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

/// Reads a request; `None` while it is not whole. What servers could read in different ways is refused.
pub(super) fn request(bytes: &[u8], upstream: &Upstream) -> Result<Option<RequestHead>, NotHttp> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let Status::Complete(len) = parsed.parse(bytes).map_err(|error| explain(bytes, error))? else {
        return within_bounds(bytes);
    };
    let headers = &*parsed.headers;
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    check_request(&bytes[..len], method, target, headers)?;
    let wants = match method {
        "HEAD" => Wants::Head,
        "GET" if has_word(headers, "upgrade", "websocket") => Wants::WebSocket,
        _ => Wants::Document,
    };
    let host = text(headers, "host");
    let own = host.as_ref().map(|host| format!("http://{host}"));
    let origin = upstream.origin();
    let mut changes = Vec::new();
    let given = upstream.target().filter(|_| wants == Wants::WebSocket && target == "/");
    changes.extend(given.map(|given| (target.as_bytes(), given)));
    changes.extend(value(headers, "host").map(|host| (host, upstream.authority())));
    let own_origin = value(headers, "origin")
        .filter(|origin| own.as_deref().is_some_and(|own| own.as_bytes() == *origin));
    changes.extend(own_origin.map(|own| (own, origin.as_str())));
    Ok(Some(RequestHead {
        head: changed(&bytes[..len], &changes),
        len,
        framing: BodyFraming::of_request(headers, parsed.version == Some(0))?,
        wants,
        target: given.unwrap_or(target).to_owned(),
        user_agent: text(headers, "user-agent").and_then(|agent| products(&agent)),
        host,
    }))
}

/// Refuses what is for another kind of proxy, and what servers read in different ways.
fn check_request(
    head: &[u8],
    method: &str,
    target: &str,
    headers: &[Header<'_>],
) -> Result<(), NotHttp> {
    if method == "CONNECT" {
        return Err(NotHttp(
            "CONNECT asks for a tunnel to any server, and this proxy stands in front of one; \
             connect to the proxy as if it were that server",
        ));
    }
    if !target.starts_with('/') && target != "*" {
        return Err(NotHttp(
            "its target is a whole address, and this proxy stands in front of one server; \
             connect to the proxy as if it were that server",
        ));
    }
    if all(headers, "host").nth(1).is_some() {
        return Err(NotHttp("it has two Hosts"));
    }
    let mut lines = head.split(|&byte| byte == b'\n');
    // Behind the last line end is nothing.
    lines.next_back();
    match lines.all(|line| line.ends_with(b"\r")) {
        true => Ok(()),
        false => Err(NotHttp("a line of its head ends without CR")),
    }
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

/// Reads the response to a request of this kind as browsers do; `None` while it is not whole.
pub(super) fn response(
    bytes: &[u8],
    wants: Wants,
    upstream: &Upstream,
    host: Option<&str>,
) -> Result<Option<ResponseHead>, NotHttp> {
    // No head has more headers than lines.
    let lines = bytes.iter().take(MAX_HEAD_LEN).filter(|&&byte| byte == b'\n').count();
    let mut headers = vec![EMPTY_HEADER; lines + 1];
    let mut parsed = httparse::Response::new(&mut headers);
    let len = match leniently().parse_response(&mut parsed, bytes) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return within_bounds(bytes),
        Err(_) => return odd_switch(bytes, wants),
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
    let extensions = || {
        let all = all(headers, "sec-websocket-extensions").map(String::from_utf8_lossy);
        all.collect::<Vec<_>>().join(", ")
    };
    let is_other =
        value(headers, "upgrade").is_some() && !has_word(headers, "upgrade", "websocket");
    let is_websocket = wants == Wants::WebSocket && status == 101 && !is_other;
    let framing = BodyFraming::of_response(headers, status, wants, parsed.version == Some(0))?;
    Ok(Some(ResponseHead {
        head: changed(&bytes[..len], &changes),
        len,
        status,
        is_last: says_close(headers, parsed.version) || framing == BodyFraming::UntilClose,
        framing,
        websocket: is_websocket.then(|| Agreed::on(extensions())),
    }))
}

/// Browsers accept these, and servers of all kinds send them.
fn leniently() -> ParserConfig {
    let mut config = ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .allow_space_before_first_header_name(true)
        .ignore_invalid_headers_in_responses(true);
    config
}

/// A head that cannot be read, but says 101 to a handshake: what follows it is a WebSocket.
fn odd_switch(bytes: &[u8], wants: Wants) -> Result<Option<ResponseHead>, NotHttp> {
    const NOT_HTTP: NotHttp = NotHttp("the server does not answer in HTTP");
    let is_switch = {
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.next().is_some_and(|version| version.starts_with(b"HTTP/"))
            && words.next() == Some(b"101")
    };
    if wants != Wants::WebSocket || !is_switch {
        return Err(NOT_HTTP);
    }
    let Some(len) = end_of_head(bytes) else { return within_bounds(bytes) };
    let name = b"sec-websocket-extensions";
    let extensions = bytes[..len].split(|&byte| byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let is_named = line[..colon].trim_ascii().eq_ignore_ascii_case(name);
        is_named.then(|| String::from_utf8_lossy(line[colon + 1..].trim_ascii()).into_owned())
    });
    Ok(Some(ResponseHead {
        head: bytes[..len].to_vec(),
        len,
        status: 101,
        framing: BodyFraming::Length(0),
        is_last: true,
        websocket: Some(Agreed::on(extensions.collect::<Vec<_>>().join(", "))),
    }))
}

/// Panics where a head that is forwarded would be read otherwise than the one that came.
pub(super) fn read_twice(bytes: &[u8], upstream: &Upstream) {
    const HOST: Option<&str> = Some("localhost:13180");
    if let Ok(Some(read)) = request(bytes, upstream) {
        let again = request(&read.head, upstream).ok().flatten().expect("a request stays one");
        assert!(read.len <= bytes.len());
        assert_eq!((&again.head, &again.target), (&read.head, &read.target));
        assert_eq!((again.framing, again.wants), (read.framing, read.wants));
    }
    for wants in [Wants::Document, Wants::Head, Wants::WebSocket] {
        let Ok(Some(read)) = response(bytes, wants, upstream, HOST) else { continue };
        let again = response(&read.head, wants, upstream, HOST);
        let again = again.ok().flatten().expect("a response stays one");
        assert!(read.len <= bytes.len());
        assert_eq!((&again.head, again.status), (&read.head, read.status));
        assert_eq!((again.framing, again.is_last), (read.framing, read.is_last));
        assert_eq!(again.websocket, read.websocket);
    }
}

/// Where the empty line after a head ends.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    ends.into_iter().find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

impl Agreed {
    fn on(extensions: String) -> Agreed {
        Agreed { deflate: Deflate::agreed(&extensions), extensions }
    }
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

/// Why what a client sent is no request.
fn explain(bytes: &[u8], error: httparse::Error) -> NotHttp {
    /// First byte of a TLS handshake.
    const TLS: u8 = 22;
    match (bytes.first(), error) {
        (Some(&TLS), _) => NotHttp("it speaks TLS; connect to the proxy with ws:// or http://"),
        (_, httparse::Error::TooManyHeaders) => NotHttp("it has more than 256 headers"),
        (_, httparse::Error::HeaderName | httparse::Error::HeaderValue) => {
            NotHttp("a header of it is malformed")
        }
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
        // Other protocols have no path in the server's address.
        for other in
            ["GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", "GET / HTTP/1.1\r\nUpgrade: TLS/1.2\r\n\r\n"]
        {
            assert_eq!(check_request(signed, other, other).wants, Wants::Document);
        }
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

    /// What a head agrees on, if a WebSocket follows it.
    #[track_caller]
    fn check_switch(sent: &str, wants: Wants, expected: Option<&str>) {
        let head = response(sent.as_bytes(), wants, &upstream("ws://pod:1"), None);
        let head = head.unwrap().unwrap();
        let agreed = head.websocket.map(|agreed| agreed.extensions);
        assert_eq!(agreed.as_deref(), expected, "{sent}");
        assert_eq!(head.len, sent.len());
    }

    #[test]
    fn a_websocket_follows_a_switch_that_was_asked_for() {
        let deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        let switch = format!("HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n{deflate}");
        check_switch(&switch, Wants::WebSocket, Some("permessage-deflate"));
        check_switch(&switch, Wants::Document, None);
        check_switch("HTTP/1.1 101 Yes\r\n\r\n", Wants::WebSocket, Some(""));
        check_switch("HTTP/1.1 101 Yes\r\nUpgrade: h2c\r\n\r\n", Wants::WebSocket, None);
        let refusal = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        check_switch(refusal, Wants::WebSocket, None);
        // No version that there is.
        let odd = format!("HTTP/7 101 Yes\r\nX: y\r\n{deflate}");
        check_switch(&odd, Wants::WebSocket, Some("permessage-deflate"));
        let unasked = response(odd.as_bytes(), Wants::Document, &upstream("ws://pod:1"), None);
        assert!(unasked.is_err());
    }

    #[test]
    fn an_old_server_sends_no_chunks() {
        let chunked = "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let framing = |version: &str| {
            let sent = format!("{version} {chunked}");
            let head = response(sent.as_bytes(), Wants::Document, &upstream("ws://pod:1"), None);
            head.unwrap().unwrap().framing
        };
        assert!(matches!(framing("HTTP/1.1"), BodyFraming::Chunked(_)));
        assert_eq!(framing("HTTP/1.0"), BodyFraming::UntilClose);
    }

    #[test]
    fn a_request_is_for_a_path_of_this_server() {
        let upstream = upstream("ws://pod");
        for target in ["/", "/a", "*"] {
            let head = format!("OPTIONS {target} HTTP/1.1\r\n\r\n");
            assert_eq!(request(head.as_bytes(), &upstream).unwrap().unwrap().target, target);
        }
        for (head, why) in [
            ("GET http://pod/ HTTP/1.1\r\n\r\n", "whole address"),
            ("CONNECT pod:1 HTTP/1.1\r\n\r\n", "CONNECT"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "two Hosts"),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", "without CR"),
        ] {
            let refused = request(head.as_bytes(), &upstream).unwrap_err().0;
            assert!(refused.contains(why), "{head}: {refused}");
        }
    }

    #[test]
    fn of_a_user_agent_products_are_kept_that_stand_outside_of_comments() {
        let kept = |agent: &str| products(agent).unwrap_or_default();
        assert_eq!(
            kept("Mozilla/5.0 (X11; me/1 (deeply) you/2) Gecko/2 Firefox/99.0"),
            "Mozilla/5.0 Gecko/2 Firefox/99.0"
        );
        assert_eq!(kept("a/1 ) b/2 (c/3"), "a/1 b/2");
        for none in ["", "curl", "me@example.org", "1a/2", "a/b", "a/1/2", "a/1;x"] {
            assert_eq!(kept(none), "", "{none}");
        }
        let long = "a".repeat(MAX_PRODUCT_LEN - 2);
        assert_eq!(kept(&format!("{long}/1")), format!("{long}/1"));
        assert_eq!(kept(&format!("{long}b/1")), "");
        let many: Vec<_> = (0..=MAX_PRODUCTS).map(|n| format!("a/{n}")).collect();
        assert_eq!(kept(&many.join(" ")), many[..MAX_PRODUCTS].join(" "));
    }
}
