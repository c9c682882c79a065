//! Hostile arguments: whatever comes in, an answer comes back, nothing leaks and nothing breaks.

use serde_json::{Value, json};

use super::{Client, folder};

use crate::promises::measured;

/// A call that has to fail with a sentence, all in one table.
fn hostile() -> Vec<(&'static str, Value, &'static str)> {
    let long = "x".repeat(100_000);
    vec![
        // Paths.
        ("capture_open", json!({"capture": "../../etc/passwd"}), "does not lie inside"),
        ("capture_open", json!({"capture": "/etc/passwd"}), "does not lie inside"),
        ("capture_open", json!({"capture": "/proc/self/environ"}), "does not lie inside"),
        ("capture_open", json!({"capture": "stall/../../x"}), "does not lie inside"),
        ("capture_open", json!({"capture": "link"}), "does not lie inside"),
        ("capture_open", json!({"capture": "."}), "no capture"),
        ("capture_open", json!({"capture": ""}), "missing"),
        ("capture_open", json!({"capture": "a\u{0}b"}), "zero bytes"),
        ("capture_open", json!({"capture": long}), "missing"),
        ("capture_open", json!({"capture": "file:///etc/passwd"}), "no capture"),
        ("capture_dump_audio", json!({"capture": "../x"}), "does not lie inside"),
        ("headless_start", json!({"audio": "/etc/passwd"}), "does not lie inside"),
        (
            "capture_compare",
            json!({"capture": "stall", "with": "/etc/passwd"}),
            "does not lie inside",
        ),
        ("capture_open", json!({"capture": "text"}), "not a lagtape capture"),
        // Addresses.
        ("headless_start", json!({"url": "ws://evil.example/?apiKey=SECRET"}), "may not be called"),
        ("headless_start", json!({"url": "ws://127.0.0.1@evil.example"}), "may not be called"),
        (
            "headless_start",
            json!({"url": "ws://user:SECRET@169.254.169.254/"}),
            "may not be called",
        ),
        ("headless_start", json!({"url": "http://127.0.0.1:1"}), "WebSocket"),
        ("headless_start", json!({"url": "file:///etc/passwd"}), "is no address"),
        ("headless_start", json!({"url": "ws://127.0.0.1:1?apiKey=SECRET"}), "cannot connect"),
        (
            "headless_start",
            json!({"url": "ws://127.0.0.1:1", "incident": "stall"}),
            "either url or incident",
        ),
        ("headless_start", json!({"family": "minmax"}), "acestep, sa3, yue2, mrt2, minimax"),
        ("headless_start", json!({"fixture": "x", "text_only": true}), "one of fixture"),
        // Numbers.
        ("capture_lag_report", json!({"capture": "stall", "window_s": -1}), "0 or more"),
        ("capture_lag_report", json!({"capture": "stall", "at_s": 1e300}), "at_s"),
        ("capture_lag_report", json!({"capture": "stall", "at_s": -5}), "at_s"),
        (
            "capture_lag_report",
            json!({"capture": "stall", "include_timeline": true, "timeline_step_s": 0}),
            "more than 0",
        ),
        (
            "capture_lag_report",
            json!({"capture": "stall", "include_timeline": true, "timeline_step_s": 1e-9}),
            "longer steps",
        ),
        ("capture_dump_audio", json!({"capture": "stall", "last_s": 1e300}), "last_s"),
        (
            "capture_what_if",
            json!({"capture": "stall", "set": {"rate": 1e308}, "members": 0}),
            "members",
        ),
        (
            "capture_what_if",
            json!({"capture": "stall", "set": {"rate": 2}, "members": u64::MAX}),
            "members",
        ),
        (
            "capture_sweep",
            json!({"capture": "stall", "vary": ["rate=0..1e9:1e-9"]}),
            "more than 1000000 values",
        ),
        ("capture_sweep", json!({"capture": "stall", "vary": ["rate=1..2:0"]}), "step"),
        ("capture_sweep", json!({"capture": "stall", "vary": []}), "what to vary"),
        (
            "capture_sweep",
            json!({"capture": "stall", "vary": ["rate=1,2"], "members": 1_000_000}),
            "members",
        ),
        ("headless_start", json!({"params_hz": 1e9}), "params_hz"),
        ("headless_start", json!({"run_for_s": -1}), "run_for_s"),
        ("headless_start", json!({"wait_s": 1e9}), "wait_s"),
        // Wrong types, unknown names, nonsense.
        ("capture_open", json!({"capture": 7}), "there is no capture \"7\""),
        ("capture_open", json!({"capture": ["stall"]}), "capture is a list"),
        ("capture_open", json!({}), "capture is missing; give a text"),
        ("capture_open", json!({"capture": "stall", "fromat": "detailed"}), "did you mean format?"),
        ("capture_open", json!({"capture": "stall", "format": "verbose"}), "\"concise\" or"),
        ("capture_list", json!({"limit": -1}), "limit is -1; give a whole number"),
        ("capture_list", json!({"limit": 1e30}), "give a whole number"),
        ("capture_list", json!({"limit": "many"}), "limit is \"many\"; give a whole number"),
        ("capture_what_if", json!({"capture": "stall", "set": "rate 2"}), "give an object"),
        ("capture_sweep", json!({"capture": "stall"}), "vary is missing; give a list"),
        ("capture_list", json!({"cursor": "; drop table"}), "no cursor"),
        ("capture_what_if", json!({"capture": "stall"}), "what would have been different"),
        (
            "capture_what_if",
            json!({"capture": "stall", "set": {"lead-flor": 1}}),
            "did you mean lead-floor?",
        ),
        ("capture_what_if", json!({"capture": "stall", "set": {"rate": {}}}), "write a number"),
        ("capture_what_if", json!({"capture": "stall", "ops": ["now:jump"]}), "op"),
        ("capture_sweep", json!({"capture": "stall", "vary": ["rate"], "find": "joy == 1"}), "joy"),
        ("headless_start", json!({"incident": "stal"}), "did you mean stall?"),
        ("headless_start", json!({"incident": "client-backlog"}), "lagtape simulate"),
        ("headless_stop", json!({"handle": "live-9"}), "headless_start starts one"),
        ("headless_observe", json!({"handle": "../live-1"}), "there is no session"),
        ("headless_seek", json!({"handle": "live-9", "to_s": 1}), "there is no session"),
        ("capture_opne", json!({}), "did you mean capture_open?"),
    ]
}

#[test]
fn hostile_arguments_get_an_answer_and_nothing_else() {
    let folder = folder();
    std::fs::write(folder.path().join("text.lagtape"), "Dear all").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link.lagtape")).unwrap();
    let mut client = Client::start(folder.path(), &[]);
    for (tool, args, part) in hostile() {
        let said = client.failure(tool, &args);
        let shown: String = args.to_string().chars().take(200).collect();
        assert!(said.contains(part), "{tool} {shown}: {said}");
        assert!(!said.contains("SECRET") && !said.contains("root:"), "{tool} {shown}: {said}");
        assert!(said.len() < 2_500, "{tool} {shown}: {} bytes", said.len());
        measured(1, "hostile calls");
    }
    // The server is as well as before, and nothing of it broke.
    assert_eq!(client.call("capture_list", &json!({}))["total"], 3);
    let (status, said) = client.end();
    assert!(status.success(), "{said}");
    assert!(!said.contains("panicked") && !said.contains("SECRET"), "{said}");
}

/// Each way of writing a call gives the answer of the right one.
#[test]
fn arguments_are_taken_as_models_write_them() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let what_if = json!({"capture": "stall", "set": {"rate": 1.01}, "ops": ["2s:seek=1s"],
                         "open_loop": true, "window_s": 2});
    let sweep = json!({"capture": "stall", "vary": ["rate=0.99,1.01"], "open_loop": true});
    let list = json!({"limit": 1});
    for (tool, right, written) in [
        ("capture_what_if", &what_if, json!({"set": "{\"rate\": 1.01}"})),
        ("capture_what_if", &what_if, json!({"set": {"rate": "1.01"}})),
        ("capture_what_if", &what_if, json!({"ops": "2s:seek=1s"})),
        ("capture_what_if", &what_if, json!({"ops": "[\"2s:seek=1s\"]"})),
        ("capture_what_if", &what_if, json!({"open_loop": "true"})),
        ("capture_what_if", &what_if, json!({"window_s": "2"})),
        ("capture_what_if", &what_if, json!({"members": null})),
        ("capture_what_if", &what_if, json!({"format": "Concise"})),
        ("capture_sweep", &sweep, json!({"vary": "rate=0.99,1.01"})),
        ("capture_sweep", &sweep, json!({"limit": 40.0})),
        ("capture_list", &list, json!({"limit": "1"})),
        ("capture_list", &list, json!({"limit": 1.0})),
    ] {
        let expected = client.call(tool, right);
        let mut args = right.clone();
        args.as_object_mut().unwrap().extend(written.as_object().unwrap().clone());
        assert_eq!(client.call(tool, &args), expected, "{tool} {written}");
    }
    let page = client.call("capture_list", &list);
    let next = page["truncated"]["next_cursor"].as_str().expect("there is another").to_owned();
    let number: u64 = next.parse().expect("cursors are numbers");
    let by_text = client.call("capture_list", &json!({"limit": 1, "cursor": next}));
    let by_number = client.call("capture_list", &json!({"limit": 1, "cursor": number}));
    assert_eq!(by_number, by_text);
}

#[test]
fn calls_without_arguments_and_with_odd_ones_are_answered_in_band() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let expected = client.result("capture_list", &json!({}));
    for odd in [json!([]), json!(""), json!("{}"), json!(null)] {
        assert_eq!(client.result("capture_list", &odd), expected, "{odd}");
    }
    let answer = client.request("tools/call", &json!({"name": "capture_list"}));
    assert_eq!(answer["result"], expected);
    let text = json!("{\"capture\": \"stall\"}");
    assert_eq!(
        client.result("capture_open", &text),
        client.result("capture_open", &json!({"capture": "stall"}))
    );
    for odd in [json!(["stall"]), json!("stall"), json!(7), json!(true)] {
        let result = client.result("capture_open", &odd);
        assert_eq!(result["isError"], true, "{odd}: {result}");
        let said = result["content"][0]["text"].as_str().unwrap();
        assert!(said.contains("arguments of capture_open") && said.contains("object"), "{said}");
    }
    assert_eq!(client.result("no_such_tool", &json!([]))["isError"], true);
    let answer = client.request("no/such", &json!({"name": "capture_list", "arguments": []}));
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
}

#[test]
fn lines_that_are_no_requests_do_not_end_the_session() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    for line in [
        "",
        "not json",
        "[]",
        "{}",
        "null",
        r#"{"jsonrpc": "2.0", "id": 900, "method": "no/such"}"#,
        r#"{"jsonrpc": "2.0", "id": 901, "method": "tools/call"}"#,
        r#"{"jsonrpc": "2.0", "id": 902, "method": "tools/call", "params": {"name": 7}}"#,
        &format!(r#"{{"jsonrpc": "2.0", "id": 903, "method": "{}"}}"#, "x".repeat(100_000)),
        &format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
    ] {
        client.write(line);
    }
    assert_eq!(client.call("capture_list", &json!({}))["total"], 2);
}

#[test]
fn ten_thousand_calls_at_once_are_all_answered() {
    const CALLS: usize = 10_000;
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let calls = [
        ("capture_list", json!({"limit": 1})),
        ("headless_status", json!({})),
        ("capture_open", json!({"capture": "none"})),
        ("capture_list", json!({"limit": "x"})),
    ];
    let ids: Vec<_> = (0..CALLS)
        .map(|i| {
            let (tool, args) = &calls[i % calls.len()];
            client.send("tools/call", &json!({"name": tool, "arguments": args}))
        })
        .collect();
    let mut answered = vec![false; CALLS];
    for _ in 0..CALLS {
        let answer = client.message(|message| message.get("id").is_some());
        let number = answer["id"].as_u64().unwrap() - ids[0];
        let number = usize::try_from(number).unwrap();
        let fails = number % calls.len() >= 2;
        assert_eq!(answer["result"]["isError"], fails, "{answer}");
        answered[number] = true;
    }
    assert!(answered.iter().all(|answered| *answered));
    measured(CALLS as u64, "calls at once");
    assert_eq!(client.call("capture_list", &json!({}))["total"], 2);
}
