//! The same server over HTTP: who may call, and what is bounded.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::folder;
use crate::program::command;

const TOKEN: &str = "a-token-long-enough";

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path, token: Option<&str>) -> Server {
        Self::start_with(folder, token, &[])
    }

    fn start_with(folder: &Path, token: Option<&str>, words: &[&str]) -> Server {
        let own = ["mcp", "--http", "127.0.0.1:0", "--captures", folder.to_str().unwrap()];
        let mut command = command(&[&own[..], words].concat());
        command
            .env_remove("LAGTAPE_MCP_TOKEN")
            .envs(token.map(|token| ("LAGTAPE_MCP_TOKEN", token)));
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap().strip_suffix("/mcp").unwrap();
        Server { child, address: address.to_owned() }
    }

    /// A request's status and body.
    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(request.as_bytes()).unwrap();
        // A server that refuses early need not read the rest.
        let _ = stream.write_all(body.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, answer)
    }

    /// A call without a session, as clients of 2026-07-28 make it.
    fn call(&self, headers: &[(&str, &str)], tool: &str, args: &Value) -> (u16, Value) {
        let usual = [JSON[1], ("MCP-Protocol-Version", "2026-07-28")];
        self.call_with(&[&usual[..], headers].concat(), tool, args)
    }

    /// The same with just these headers, and those that every call has.
    fn call_with(&self, headers: &[(&str, &str)], tool: &str, args: &Value) -> (u16, Value) {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({"name": tool, "arguments": args, "_meta": meta});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let usual = [JSON[0], ("Mcp-Method", "tools/call"), ("Mcp-Name", tool)];
        let (status, answer) =
            self.send("POST", "/mcp", &[&usual[..], headers].concat(), &body.to_string());
        let data = answer.lines().filter_map(|line| line.strip_prefix("data: "));
        let message = data.chain(answer.lines()).find_map(|line| serde_json::from_str(line).ok());
        (status, message.unwrap_or(Value::Null))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already is no harm.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_call_over_http_answers_like_one_over_stdio() {
    let folder = folder();
    let server = Server::start(folder.path(), None);
    let (status, answer) = server.call(&[], "capture_open", &json!({"capture": "stall"}));
    assert_eq!(status, 200, "{answer}");
    let mut client = super::Client::start(folder.path(), &[]);
    let over_stdio = client.call("capture_open", &json!({"capture": "stall"}));
    assert_eq!(answer["result"]["structuredContent"], over_stdio);
    // Live sessions are shared by all clients of a server.
    let (_, started) = server.call(&[], "headless_start", &json!({"run_for_s": 60}));
    let handle = started["result"]["structuredContent"]["handle"].clone();
    let (_, stopped) = server.call(&[], "headless_stop", &json!({"handle": handle}));
    assert_eq!(stopped["result"]["isError"], false, "{stopped}");
}

#[test]
fn pages_of_other_origins_are_refused() {
    let folder = folder();
    let server = Server::start(folder.path(), None);
    let check = |headers: &[(&str, &str)], is_fine: bool| {
        let (status, _) = server.call(headers, "capture_list", &json!({}));
        assert_eq!(status == 200, is_fine, "{headers:?}: {status}");
        assert!(is_fine || status == 403, "{headers:?}: {status}");
    };
    let address = &server.address;
    let port = address.rsplit_once(':').unwrap().1;
    check(&[], true);
    for origin in ["http://localhost", "http://127.0.0.1", "http://[::1]"] {
        check(&[("Origin", &format!("{origin}:{port}"))], true);
    }
    for origin in [
        "http://localhost:1".to_owned(),
        "http://localhost".to_owned(),
        format!("http://127.0.0.1:{port}.evil.example"),
        format!("http://localhost:{port}@evil.example"),
        "https://evil.example".to_owned(),
        "http://localhost.evil.example".to_owned(),
        "null".to_owned(),
        "http://page.example".to_owned(),
    ] {
        check(&[("Origin", &origin)], false);
    }
    check(&[("Host", &format!("localhost:{port}"))], true);
    for host in ["localhost:9", "localhost", "evil.example", &format!("{address}.evil.example")] {
        check(&[("Host", host)], false);
    }
}

#[test]
fn pages_of_allowed_origins_may_call_and_read() {
    let folder = folder();
    let words = ["--http-host", "localhost:3000", "--http-host", "page.example"];
    let server = Server::start_with(folder.path(), Some(TOKEN), &words);
    let token = format!("Bearer {TOKEN}");
    for origin in ["http://localhost:3000", "https://page.example", "http://page.example:8080"] {
        let asks = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        let (status, answer) = server.send("OPTIONS", "/mcp", &asks, "");
        let answer = answer.to_lowercase();
        assert_eq!(status, 204, "{answer}");
        for line in [
            format!("access-control-allow-origin: {origin}\r\n"),
            "access-control-allow-methods: get, post, delete, options\r\n".to_owned(),
            "vary: origin\r\n".to_owned(),
        ] {
            assert!(answer.contains(&line), "{line}: {answer}");
        }
        for header in ["authorization", "content-type", "mcp-session-id", "mcp-protocol-version"] {
            assert!(answer.contains(header), "{header}: {answer}");
        }
        let headers = [("Origin", origin), ("Authorization", token.as_str()), JSON[0], JSON[1]];
        let (status, answer) = server.send("POST", "/mcp", &headers, &hello());
        assert_eq!(status, 200, "{answer}");
        let answer = answer.to_lowercase();
        assert!(answer.contains(&format!("access-control-allow-origin: {origin}\r\n")), "{answer}");
        assert!(answer.contains("access-control-expose-headers: mcp-session-id"), "{answer}");
    }
    let (status, answer) = server.send("OPTIONS", "/mcp", &[("Origin", "http://localhost:1")], "");
    assert_eq!(status, 403, "{answer}");
    assert!(!answer.to_lowercase().contains("access-control"), "{answer}");
}

const JSON: [(&str, &str); 2] =
    [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];

fn hello() -> String {
    let client = json!({"name": "test", "version": "0"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string()
}

/// What plain programs send: one answer comes, as JSON.
#[test]
fn whoever_does_not_ask_for_a_stream_gets_json() {
    let folder = folder();
    let server = Server::start(folder.path(), None);
    let content = JSON[0];
    for accept in [None, Some("*/*"), Some("application/json"), Some("application/json;q=0.9")] {
        let accept = accept.map(|accept| ("Accept", accept));
        let headers: Vec<_> = [content].into_iter().chain(accept).collect();
        for path in ["/mcp", "/mcp/"] {
            let (status, answer) = server.send("POST", path, &headers, &hello());
            assert_eq!(status, 200, "{accept:?}: {answer}");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
            let body = body.lines().find(|line| line.starts_with('{')).expect("a line of JSON");
            let message: Value = serde_json::from_str(body).unwrap();
            assert_eq!(message["result"]["serverInfo"]["name"], "lagtape", "{message}");
        }
        let mut usual = vec![("MCP-Protocol-Version", "2026-07-28")];
        usual.extend(accept);
        let (status, answer) = server.call_with(&usual, "capture_list", &json!([]));
        assert_eq!(status, 200, "{accept:?}: {answer}");
        assert_eq!(answer["result"]["structuredContent"]["total"], 2, "{accept:?}: {answer}");
    }
    let (status, _) = server.send("POST", "/mcp", &[content, ("Accept", "text/html")], &hello());
    assert_eq!(status, 406);
}

#[test]
fn a_token_is_asked_for_when_there_is_one() {
    let folder = folder();
    let server = Server::start(folder.path(), Some(TOKEN));
    let status = |headers: &[(&str, &str)]| server.call(headers, "capture_list", &json!({})).0;
    assert_eq!(status(&[]), 401);
    assert_eq!(status(&[("Authorization", "Bearer wrong")]), 401);
    assert_eq!(status(&[("Authorization", &format!("Basic {TOKEN}"))]), 401);
    assert_eq!(status(&[("Authorization", &format!("Bearer {TOKEN}"))]), 200);
    let open =
        command(&["mcp", "--http", "0.0.0.0:0"]).env_remove("LAGTAPE_MCP_TOKEN").output().unwrap();
    assert_eq!(open.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&open.stderr).contains("LAGTAPE_MCP_TOKEN"));
}

#[test]
fn sizes_and_paths_are_bounded() {
    let folder = folder();
    let server = Server::start(folder.path(), None);
    let json = JSON;
    let huge = "x".repeat(2 << 20);
    assert_eq!(server.send("POST", "/mcp", &json, &huge).0, 413);
    assert_eq!(server.send("GET", "/", &[], "").0, 404);
    assert_eq!(server.send("POST", "/etc/passwd", &json, "{}").0, 404);
    assert_eq!(server.send("PUT", "/mcp", &json, "{}").0, 405);
    assert_eq!(server.call(&[], "capture_list", &json!({})).0, 200);
}

#[cfg(unix)]
#[test]
fn a_signal_seals_captures_and_ends_the_server() {
    let folder = folder();
    let mut server = Server::start(folder.path(), None);
    let (_, started) = server.call(&[], "headless_start", &json!({}));
    let path = started["result"]["structuredContent"]["path"].as_str().unwrap().to_owned();
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(server.child.wait().unwrap().success());
    let options = lagtape::app::AnalyzeOptions::default();
    assert!(lagtape::app::analyze(Path::new(&path), &options).unwrap().complete);
}
