//! The MCP server as any client meets it: the binary, spoken to in plain JSON-RPC over its stdio.

mod agent;
mod app;
mod arguments;
mod consent;
mod ending;
mod http;
mod lifetime;
mod rows;
mod tools;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use lagtape::edge::clock::MonotonicClock;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::command;

/// Longest wait for anything that is to come; nothing is ever waited for by the clock alone.
const PATIENCE: Duration = Duration::from_secs(120);

/// Capture folders with the bundled captures in them.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["healthy.lagtape", "stall.lagtape"] {
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name);
        std::fs::copy(bundled, folder.path().join(name)).unwrap();
    }
    folder
}

/// A server with a client that speaks 2025-11-25.
pub struct Client {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    waiting: Vec<Value>,
    next_id: u64,
}

impl Client {
    /// Starts a server on a folder and shakes hands.
    pub fn start(folder: &Path, words: &[&str]) -> Client {
        Client::able(folder, words, &json!({}))
    }

    /// The same of a client that declares these capabilities.
    pub fn able(folder: &Path, words: &[&str], capabilities: &Value) -> Client {
        let own = ["mcp", "--captures", folder.to_str().unwrap()];
        let mut child = command(&[&own[..], words].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        let mut client = Client { child, input, lines, waiting: Vec::new(), next_id: 0 };
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": capabilities,
            "clientInfo": {"name": "test", "version": "0"},
        });
        let answer = client.request("initialize", &hello);
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
        client.write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        client
    }

    /// Writes a line as it is.
    pub fn write(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is open");
        writeln!(input, "{line}").unwrap();
    }

    /// Sends a request and returns its number.
    pub fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        self.write(
            &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string(),
        );
        id
    }

    /// The next message of the server that is `wanted`; others wait for their turn.
    pub fn message(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at);
        }
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("the server answers");
            let message: Value = serde_json::from_str(&line).expect("stdout is the protocol's");
            if wanted(&message) {
                return message;
            }
            self.waiting.push(message);
        }
    }

    /// The answer to a request.
    pub fn answer(&mut self, id: u64) -> Value {
        self.message(|message| message["id"] == id && message.get("method").is_none())
    }

    /// A request and its answer.
    pub fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = self.send(method, params);
        self.answer(id)
    }

    /// A call and its whole result.
    #[track_caller]
    pub fn result(&mut self, tool: &str, args: &Value) -> Value {
        let answer = self.request("tools/call", &json!({"name": tool, "arguments": args}));
        assert!(answer.get("error").is_none(), "{tool} {args}: {answer}");
        answer["result"].clone()
    }

    /// A call that succeeds, and its structured content, which is the text as well.
    #[track_caller]
    pub fn call(&mut self, tool: &str, args: &Value) -> Value {
        let result = self.result(tool, args);
        assert_eq!(result["isError"], false, "{tool} {args}: {result}");
        let text: Value =
            serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"], "text and structured content are the same");
        text
    }

    /// A call that fails, and its sentence.
    #[track_caller]
    pub fn failure(&mut self, tool: &str, args: &Value) -> String {
        let result = self.result(tool, args);
        assert_eq!(result["isError"], true, "{tool} {args}: {result}");
        assert!(result.get("structuredContent").is_none(), "all of a failure is in its text");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// Closes the input, and waits until the server has ended.
    pub fn end(mut self) -> (ExitStatus, String) {
        drop(self.input.take());
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        if let Some(mut err) = self.child.stderr.take() {
            std::io::Read::read_to_string(&mut err, &mut said).unwrap();
        }
        (status, said)
    }

    /// Ends the server at once.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Asks until the answer is as it should become, which takes as long as the machine is slow.
#[track_caller]
pub fn until(
    client: &mut Client,
    tool: &str,
    args: &Value,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    let clock = MonotonicClock::start();
    loop {
        let answer = client.call(tool, args);
        if is_so(&answer) {
            return answer;
        }
        assert!(clock.now().seconds() < PATIENCE.as_secs_f64(), "{tool} {args}: {answer}");
        std::thread::yield_now();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // One that has ended already is no harm.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
