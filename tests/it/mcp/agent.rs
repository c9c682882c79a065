//! An agent that reads nothing but what the tools answer finds the cause of incidents, cheaply.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Client;
use crate::program::lagtape;

/// The sessions: an incident, by whose class it is known.
const INCIDENTS: [(&str, &str); 12] = [
    ("client-backlog", "client-backlog"),
    ("client-send-hitch", "client-send-hitch"),
    ("gpu-contention", "gpu-contention"),
    ("pipeline-death", "pipeline-death"),
    ("refit-storm", "refit-storm"),
    ("seek-lead-runaway", "seek-lead-runaway"),
    ("slow-generation", "slow-generation"),
    ("stale-playhead", "stale-playhead"),
    ("stall", "generation-stall"),
    ("swap-head-of-line", "swap-head-of-line"),
    ("thin-link", "bandwidth-deficit"),
    ("vram-paging", "vram-paging"),
];
/// The most calls, and the most tokens of questions and answers in the middle of all sessions. Such JSON has
/// 4.2 bytes to a token of cl100k; 4 are counted.
const MAX_CALLS: usize = 4;
const MAX_TOKENS: usize = 2_000;
const BYTES_PER_TOKEN: usize = 4;

fn sessions() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, (incident, _)) in INCIDENTS.iter().enumerate() {
        // The name says nothing of what is in it.
        let out = folder.path().join(format!("session-{number}.lagtape"));
        let words = ["simulate", "--incident", incident, "--seed", "7", "--for", "30s", "-o"];
        lagtape(&[&words[..], &[out.to_str().unwrap()]].concat());
        assert!(out.is_file(), "{incident}");
    }
    folder
}

/// What an agent does: it opens the capture, and makes the first call that an answer suggests until one has
/// findings with their classes.
struct Agent {
    client: Client,
    calls: usize,
    bytes: usize,
}

impl Agent {
    fn call(&mut self, tool: &str, args: &Value) -> Value {
        let answer = self.client.call(tool, args);
        self.calls += 1;
        self.bytes += tool.len() + args.to_string().len() + answer.to_string().len();
        answer
    }

    /// The cause of a capture in a word, the tokens, and the calls.
    fn solve(&mut self, capture: &str) -> (String, usize, usize) {
        (self.calls, self.bytes) = (0, 0);
        let mut answer = self.call("capture_open", &json!({"capture": capture}));
        loop {
            let class = answer["findings"][0]["class"].as_str().map(str::to_owned);
            if let Some(class) = class.filter(|_| self.calls > 0) {
                return (class, self.bytes / BYTES_PER_TOKEN, self.calls);
            }
            let next = answer["next_steps"][0].as_str().unwrap_or_default().to_owned();
            let Some((tool, args)) = next.split_once(' ').filter(|_| self.calls < MAX_CALLS) else {
                return (format!("none: {next}"), self.bytes / BYTES_PER_TOKEN, self.calls);
            };
            answer = self.call(tool, &serde_json::from_str(args).unwrap());
        }
    }
}

#[test]
fn twelve_incidents_are_solved_in_few_calls_and_tokens() {
    let folder = sessions();
    let client = Client::start(folder.path(), &[]);
    let mut agent = Agent { client, calls: 0, bytes: 0 };
    let mut tokens = Vec::new();
    let mut wrong = Vec::new();
    for (number, (incident, class)) in INCIDENTS.iter().enumerate() {
        let (found, used, calls) = agent.solve(&format!("session-{number}"));
        println!("{incident}: {found}, {calls} calls, {used} tokens");
        assert!(calls <= MAX_CALLS, "{incident}: {calls} calls");
        tokens.push(used);
        if found != *class {
            wrong.push(format!("{incident} was found to be {found}"));
        }
    }
    tokens.sort_unstable();
    let median = tokens[tokens.len() / 2];
    assert!(median <= MAX_TOKENS, "{median} tokens: {tokens:?}");
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_next_step_is_answered_and_the_cause_comes_first() {
    let folder = sessions();
    let mut client = Client::start(folder.path(), &[]);
    for (number, (incident, _)) in INCIDENTS.iter().enumerate() {
        let opened = client.call("capture_open", &json!({"capture": format!("session-{number}")}));
        let steps = opened["next_steps"].as_array().unwrap().clone();
        assert!(
            steps[0].as_str().unwrap().starts_with("capture_diagnose "),
            "{incident}: {steps:?}"
        );
        for step in &steps {
            let (tool, args) = step.as_str().unwrap().split_once(' ').unwrap();
            let result = client.result(tool, &serde_json::from_str(args).unwrap());
            assert_eq!(result["isError"], false, "{incident}: {step}: {result}");
        }
    }
}
