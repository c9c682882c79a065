//! Live sessions over MCP: handles, observation, cancellation, and what remains when somebody goes.

use std::path::Path;

use lagtape::app::{self, AnalyzeOptions};
use serde_json::{Value, json};

use super::{Client, folder, until};

/// Starts a session; its handle, and the path of its capture. The stream has begun, and may have ended.
fn start(client: &mut Client, args: &Value) -> (String, String) {
    let started = client.call("headless_start", args);
    let text = |key: &str| started[key].as_str().unwrap().to_owned();
    let (handle, path) = (text("handle"), text("path"));
    let streaming = json!({"handle": handle, "until": "streaming", "for_s": 110});
    let seen = client.call("headless_observe", &streaming);
    assert!(["streaming", "ended"].contains(&seen["state"]["phase"].as_str().unwrap()), "{seen}");
    (handle, path)
}

fn analysis(path: &str) -> lagtape::report::Analysis {
    app::analyze(Path::new(path), &AnalyzeOptions::default()).unwrap()
}

#[test]
fn the_end_of_the_input_seals_every_running_capture() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let (_, first) = start(&mut client, &json!({"run_for_s": 3600}));
    let (handle, second) = start(&mut client, &json!({"run_for_s": 3600}));
    // A call that waits does not keep the server either.
    client.send(
        "tools/call",
        &json!({"name": "headless_observe", "arguments": {"handle": handle, "for_s": 110}}),
    );
    let (status, said) = client.end();
    assert!(status.success(), "{said}");
    for path in [first, second] {
        assert!(analysis(&path).complete, "{path}");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_seals_running_captures_too() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let (_, path) = start(&mut client, &json!({}));
    let pid = client.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(client.child.wait().unwrap().success());
    assert!(analysis(&path).complete);
}

#[test]
fn what_a_killed_server_recorded_can_be_asked() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let (handle, path) = start(&mut client, &json!({}));
    until(&mut client, "capture_open", &json!({"capture": path}), |opened| {
        opened["session"]["slices"].as_u64().unwrap() > 0
    });
    client.kill();
    let mut next = Client::start(folder.path(), &[]);
    let opened = next.call("capture_open", &json!({"capture": path}));
    assert_eq!(opened["integrity"]["state"], "incomplete");
    assert!(opened["session"]["slices"].as_u64().unwrap() > 0, "{opened}");
    let gone = next.failure("headless_status", &json!({"handle": handle}));
    assert!(gone.contains("captures stay"), "{gone}");
}

#[test]
fn a_live_session_takes_every_order() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let (handle, path) =
        start(&mut client, &json!({"incident": "stall:at=1,for=600", "prompt": "dub", "depth": 2}));
    // The capture that is being written can be asked.
    let listed = client.call("capture_list", &json!({"contains": "live"}));
    assert_eq!(listed["captures"][0]["recording"], handle.as_str());
    let open = json!({"capture": listed["captures"][0]["id"]});
    assert_eq!(client.call("capture_open", &open)["integrity"]["state"], "incomplete");

    let observe = json!({"handle": handle, "until": "lag_begins", "for_s": 110});
    let seen = client.call("headless_observe", &observe);
    assert_eq!((&seen["happened"], &seen["state"]["lagging"]), (&json!(true), &json!(true)));
    let (from_s, to_s) = (seen["from_s"].as_f64().unwrap(), seen["to_s"].as_f64().unwrap());
    let window_s = seen["lag"]["window_s"].as_f64().unwrap();
    assert!(
        (to_s - from_s - window_s).abs() < 1e-3,
        "exactly that time: {from_s} {to_s} {window_s}"
    );

    client.call("headless_seek", &json!({"handle": handle, "to_s": 4}));
    client.call("headless_set_playback", &json!({"handle": handle, "skew_ppm": 200}));
    client.call("headless_set_playback", &json!({"handle": handle, "pause": true}));
    client.call("headless_set_playback", &json!({"handle": handle, "pause": false}));
    let args =
        json!({"handle": handle, "prompt": "jazz", "knobs": {"guidance_scale": 3}, "wait_s": 20});
    let sent = client.call("headless_send", &args);
    check_event(&sent, "prompt_applied");
    let args = json!({"handle": handle, "swap_fixture": "short_loop_8s.wav", "wait_s": 20});
    check_event(&client.call("headless_send", &args), "swap_ready");
    let odd = json!({"handle": handle, "command": {"type": "set_dept", "value": 3}});
    assert!(client.failure("headless_send", &odd).contains("did you mean set_depth?"));
    // The buffer follows its announcement.
    let timeline = json!({"handle": handle, "include_timeline": true});
    let live = until(&mut client, "headless_lag_report", &timeline, |live| {
        live["lag"]["buffer_duration_s"] == 8.0
    });
    assert!(live["lag"]["timeline"].is_array());
    let audio = client.call("headless_dump_audio", &json!({"handle": handle, "what": "buffer"}));
    assert_eq!((&audio["seconds"], &audio["channels"]), (&json!(8.0), &json!(2)));
    // The client reports the knobs from when they were turned on.
    let ticks = sent["state"]["ticks"].as_u64().unwrap();
    until(&mut client, "headless_status", &json!({"handle": handle}), |status| {
        status["sessions"][0]["state"]["ticks"].as_u64().unwrap() > ticks
    });

    let stopped = client.call("headless_stop", &json!({"handle": handle}));
    assert_eq!(
        client.call("headless_stop", &json!({"handle": handle})),
        stopped,
        "again is harmless"
    );
    let analysis = analysis(&path);
    assert!(analysis.complete);
    assert_eq!(stopped["lag"], serde_json::to_value(&analysis.lag).unwrap(), "live equals offline");
    let ops: Vec<_> = analysis
        .playhead
        .ops
        .iter()
        .map(|op| serde_json::to_value(op).unwrap()["op"].clone())
        .collect();
    assert_eq!(ops, ["seek", "rate", "pause", "resume"]);
    let config = analysis.session.config.unwrap();
    assert_eq!((&config["prompt"], &config["depth"]), (&json!("dub"), &json!(2)));
    let params = json!({
        "capture": stopped["capture"],
        "types": ["params"],
        "from_s": sent["state"]["stream_s"],
        "limit": 20,
        "format": "detailed",
    });
    let reports = client.call("capture_messages", &params)["messages"].clone();
    assert!(!reports.as_array().unwrap().is_empty(), "{reports}");
    for report in reports.as_array().unwrap() {
        let text = report["text"].as_str().unwrap();
        assert!(text.contains("\"guidance_scale\":3"), "knobs persist: {text}");
    }
    let over = client.failure("headless_send", &json!({"handle": handle, "prompt": "x"}));
    assert!(over.contains("has ended"), "{over}");
}

#[track_caller]
fn check_event(sent: &Value, kind: &str) {
    let events = sent["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["type"] == kind), "{kind}: {sent}");
}

#[test]
fn progress_is_told_and_a_cancelled_call_stops() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let (handle, _) = start(&mut client, &json!({}));
    let id = client.send(
        "tools/call",
        &json!({
            "name": "headless_observe",
            "arguments": {"handle": handle, "for_s": 110},
            "_meta": {"progressToken": "mine"},
        }),
    );
    let progress = client.message(|message| message["method"] == "notifications/progress");
    assert_eq!(progress["params"]["progressToken"], "mine");
    assert_eq!(progress["params"]["total"], 110.0);
    let cancel =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    client.write(&cancel.to_string());
    // The session goes on and is sealed as ever; the cancelled call is not answered.
    let status = client.call("headless_status", &json!({"handle": handle}));
    assert_eq!(status["sessions"][0]["state"]["phase"], "streaming");
    client.call("headless_stop", &json!({"handle": handle}));
    assert!(!client.waiting.iter().any(|message| message["id"] == id));
    assert!(client.end().0.success());
}

#[test]
fn a_session_ends_by_itself_when_its_time_is_up() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let (handle, path) = start(&mut client, &json!({"run_for_s": 1}));
    let seen =
        client.call("headless_observe", &json!({"handle": handle, "until": "ended", "for_s": 60}));
    assert_eq!((&seen["happened"], &seen["state"]["phase"]), (&json!(true), &json!("ended")));
    assert!(analysis(&path).complete);
    let report = client.call("headless_lag_report", &json!({"handle": handle}));
    assert_eq!(report["lag"], serde_json::to_value(analysis(&path).lag).unwrap());
}

#[test]
fn too_many_sessions_are_refused_with_advice() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    for _ in 0..8 {
        client.call("headless_start", &json!({"wait_s": 0}));
    }
    let refused = client.failure("headless_start", &json!({"wait_s": 0}));
    assert!(refused.contains("end one with headless_stop"), "{refused}");
    assert!(client.end().0.success());
}
