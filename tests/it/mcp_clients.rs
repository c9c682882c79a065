//! Real clients against the MCP server: the Python SDKs of both protocol generations, the
//! Inspector's command line, the conformance suite, and one story from symptom to remedy.
//!
//! `LAGTAPE_PYTHON_MCP1` and `LAGTAPE_PYTHON_MCP2` name Pythons with `mcp` 1.x and 2.x,
//! `LAGTAPE_NODE` a Node of version 22 or later, and `LAGTAPE_NODE_MODULES` a folder with the npm packages
//! `@modelcontextprotocol/inspector` and `@modelcontextprotocol/conformance`. Where one is missing a
//! test says so and passes, unless `LAGTAPE_REQUIRE_PYTHON` or `LAGTAPE_REQUIRE_NODE` is set.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::mcp::folder;

const BINARY: &str = env!("CARGO_BIN_EXE_lagtape");

/// What a variable names, if it is there; a test without it is to be skipped.
fn named(variable: &str, required: &str) -> Option<OsString> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty());
    if value.is_none() {
        assert!(std::env::var_os(required).is_none(), "{variable} is missing");
        eprintln!("SKIPPED: {variable} is not set");
    }
    value
}

/// A server over HTTP.
struct Http {
    child: Child,
    url: String,
}

impl Http {
    fn start(folder: &Path) -> Http {
        let mut command = Command::new(BINARY);
        command.args(["mcp", "--http", "127.0.0.1:0", "--captures"]).arg(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Http { child, url: line.trim().to_owned() }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // One that has ended already is no harm.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn success(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}\n{err}");
    out
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(name)
}

/// A client of an SDK uses everything; what it saw is what the command line says.
fn check_sdk(variable: &str, over_http: bool) {
    let Some(python) = named(variable, "LAGTAPE_REQUIRE_PYTHON") else { return };
    let folder = folder();
    let server = over_http.then(|| Http::start(folder.path()));
    let mut command = Command::new(python);
    command.arg(script("mcp_clients.py")).arg(BINARY).arg(folder.path());
    command.args(server.iter().map(|server| &server.url)).env("no_proxy", "127.0.0.1");
    let seen: Value = serde_json::from_str(&success(&command.output().unwrap())).unwrap();
    let mut used: Vec<_> = seen["used"].as_array().unwrap().iter().map(Value::to_string).collect();
    used.sort();
    used.dedup();
    let tools: Vec<_> = seen["tools"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(used, tools, "every tool is used");
    let live = cli(Path::new(seen["path"].as_str().unwrap()), &["analyze", "--json"]);
    assert_eq!(seen["live"], live["lag"], "live equals offline");
    let stall = cli(&folder.path().join("stall.lagtape"), &["analyze", "--json"]);
    assert_eq!(seen["opened"]["lag"], stall["lag"]);
    assert_eq!(seen["report"], stall["lag"]);
}

/// The first line of JSON that the command line prints of a capture.
fn cli(capture: &Path, words: &[&str]) -> Value {
    let output = Command::new(BINARY).args(words).arg(capture).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next().unwrap_or_default();
    serde_json::from_str(line)
        .unwrap_or_else(|_| panic!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_python_sdk_1_over_stdio() {
    check_sdk("LAGTAPE_PYTHON_MCP1", false);
}

#[test]
fn the_python_sdk_1_over_http() {
    check_sdk("LAGTAPE_PYTHON_MCP1", true);
}

#[test]
fn the_python_sdk_2_over_stdio() {
    check_sdk("LAGTAPE_PYTHON_MCP2", false);
}

#[test]
fn the_python_sdk_2_over_http() {
    check_sdk("LAGTAPE_PYTHON_MCP2", true);
}

#[test]
fn one_story_from_symptom_to_remedy() {
    let Some(python) = named("LAGTAPE_PYTHON_MCP1", "LAGTAPE_REQUIRE_PYTHON") else { return };
    let folder = folder();
    let mut command = Command::new(python);
    command.arg(script("mcp_story.py")).arg(BINARY).arg(folder.path());
    command.arg("rebuild-stall:at=3,for=0.8").env("no_proxy", "127.0.0.1");
    let told: Value = serde_json::from_str(&success(&command.output().unwrap())).unwrap();

    let capture = PathBuf::from(told["stopped"]["path"].as_str().unwrap());
    let analysis = cli(&capture, &["analyze", "--json"]);
    assert_eq!(told["opened"]["lag"], analysis["lag"]);
    assert_eq!(told["stopped"]["lag"], analysis["lag"], "live equals offline");
    assert_eq!(told["opened"]["verdict"]["episodes"], analysis["verdict"]["episodes"]);
    assert_eq!(told["opened"]["verdict"]["lag"], true);
    let lines = told["messages"]["lines"].to_string();
    assert!(lines.contains("set_depth"), "the cause stands among the messages: {lines}");

    let find = ["sweep", "--json", "--vary", "lead-floor", "--find", "stale_ticks == 0"];
    let find = cli(&capture, &find);
    let found = &told["found"]["found"];
    assert_eq!(found.get("value").unwrap_or(&Value::Null), &find["value"]);
    assert_eq!(found["recorded_value"], find["recorded_value"]);
    let floor = told["change"]["lead-floor"].to_string();
    let what_if = cli(&capture, &["what-if", "--json", "--lead-floor", &floor]);
    assert_eq!(told["what_if"]["factual"], what_if["factual"]);
    assert_eq!(told["what_if"]["counterfactual"], what_if["counterfactual"]);
    assert_eq!(told["what_if"]["trust"]["tier"], what_if["tier"]);
    assert_eq!(told["compared"]["same"], true);
    let audio = |told: &Value| hound::WavReader::open(told["path"].as_str().unwrap()).unwrap();
    assert_eq!(audio(&told["heard"]).spec(), audio(&told["would"]).spec());
    assert!(audio(&told["heard"]).duration() > 48_000);
}

/// A program of the npm packages.
fn node(program: &str) -> Option<Command> {
    let modules = PathBuf::from(named("LAGTAPE_NODE_MODULES", "LAGTAPE_REQUIRE_NODE")?);
    let mut command = Command::new(named("LAGTAPE_NODE", "LAGTAPE_REQUIRE_NODE")?);
    command.arg(modules.join(".bin").join(program)).env("NO_COLOR", "1");
    Some(command)
}

fn inspector(folder: &Path, words: &[&str]) -> Option<Output> {
    let mut command = node("mcp-inspector")?;
    command.args(["--cli", BINARY, "mcp", "--captures"]).arg(folder).args(words);
    Some(command.output().unwrap())
}

#[test]
fn the_inspector_has_no_complaint() {
    let folder = folder();
    let Some(output) = inspector(folder.path(), &["--method", "tools/list", "--strict"]) else {
        return;
    };
    let listed: Value = serde_json::from_str(&success(&output)).unwrap();
    assert_eq!(listed["tools"].as_array().unwrap().len(), 22);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("Warning") && !said.contains("Error"), "{said}");
}

#[test]
fn two_thousand_calls_at_concurrency_eight_have_no_error() {
    let folder = folder();
    let words = [
        &["--method", "tools/call", "--tool-name", "capture_list", "--tool-args-json", "{}"][..],
        &["--load", "--load-requests", "2000", "--load-concurrency", "8"],
    ]
    .concat();
    let Some(output) = inspector(folder.path(), &words) else { return };
    let text = success(&output);
    let told: Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
    assert_eq!((told["ok"].as_u64(), told["errors"].as_u64()), (Some(2000), Some(0)), "{text}");
    assert_eq!(told["toolErrors"], 0, "{text}");
}

/// Scenarios of the conformance suite that need nothing of its own example server.
const SCENARIOS: [(&str, &[&str]); 2] = [
    (
        "2025-11-25",
        &[
            "server-initialize",
            "server-session-lifecycle",
            "ping",
            "completion-complete",
            "tools-list",
            "server-sse-multiple-streams",
            "resources-list",
            "prompts-list",
            "dns-rebinding-protection",
        ],
    ),
    (
        "2026-07-28",
        &[
            "completion-complete",
            "tools-list",
            "server-sse-multiple-streams",
            "resources-list",
            "sep-2164-resource-not-found",
            "prompts-list",
            "dns-rebinding-protection",
            "caching",
            "http-header-validation",
        ],
    ),
];

#[test]
fn every_scenario_of_the_conformance_suite_that_applies_passes() {
    let folder = folder();
    let server = Http::start(folder.path());
    for (version, scenarios) in SCENARIOS {
        for scenario in scenarios {
            let Some(mut command) = node("conformance") else { return };
            command.args(["server", "--url", &server.url, "--scenario", scenario]);
            let output = command.args(["--spec-version", version]).output().unwrap();
            let text = success(&output);
            assert!(text.contains(", 0 failed, 0 warnings"), "{version} {scenario}: {text}");
        }
    }
}
