//! The same server over HTTP: who may call, and what is bounded.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::folder;

const TOKEN: &str = "a-token-long-enough";

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path, token: Option<&str>) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lagtape"));
        command.args(["mcp", "--http", "127.0.0.1:0", "--captures"]).arg(folder);
        command
            .env_remove("LAGTAPE_MCP_TOKEN")
            .envs(token.map(|token| ("LAGTAPE_MCP_TOKEN", token)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
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
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({"name": tool, "arguments": args, "_meta": meta});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let usual = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", tool),
        ];
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
    check(&[], true);
    check(&[("Origin", "http://localhost:3000")], true);
    check(&[("Origin", "http://127.0.0.1:1")], true);
    check(&[("Origin", "https://evil.example")], false);
    check(&[("Origin", "null")], false);
    check(&[("Origin", "http://localhost.evil.example")], false);
    check(&[("Host", "localhost:9")], true);
    check(&[("Host", "evil.example")], false);
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
    let open = Command::new(env!("CARGO_BIN_EXE_lagtape"))
        .args(["mcp", "--http", "0.0.0.0:0"])
        .env_remove("LAGTAPE_MCP_TOKEN")
        .output()
        .unwrap();
    assert_eq!(open.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&open.stderr).contains("LAGTAPE_MCP_TOKEN"));
}

#[test]
fn sizes_and_paths_are_bounded() {
    let folder = folder();
    let server = Server::start(folder.path(), None);
    let json =
        [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
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
