//! A page that does what pages do, in Chromium: on the backend, behind the proxy, and with a replay of
//! what it did. It starts late, drops what comes before, keeps its place in a swap, and moves a slider on
//! echoes.

use std::path::{Path, PathBuf};

use lagtape::app::{self, AnalyzeOptions};
use lagtape::peer::server::ServerSource;
use lagtape::report::Analysis;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::backend::Running;
use crate::backend::side_bus::framed;
use crate::proxy_between::{Between, PATIENCE, into};
use crate::proxy_peers::{Shown, browser, page_server};
use crate::replay::replaying;

const TRACK: &str = "short_loop_8s.wav";

fn analysis(capture: &Path) -> Analysis {
    app::analyze(capture, &AnalyzeOptions::default()).unwrap()
}

/// What a page finds that is asked for this, with the server at `ws`; `None` without a browser.
fn shown(folder: &TempDir, ws: &str, asked: &str) -> Option<Value> {
    let server = ws.trim_start_matches("ws://").trim_end_matches('/').parse().unwrap();
    let (origin, found) = page_server(server);
    let url = format!("http://{origin}/player?ws={ws}&{asked}");
    let shown = Shown::new(browser()?, &folder.path().join("profile"), &url);
    let (_, found) = found.recv_timeout(PATIENCE).expect("the page finds something");
    drop(shown);
    assert_eq!(found["error"], Value::Null, "{found}");
    Some(found)
}

/// A session of the page with the simulated server, recorded by a proxy, and what others do `meanwhile`.
fn recorded(
    folder: &TempDir,
    asked: &str,
    meanwhile: impl FnOnce(&Running),
) -> Option<(Value, PathBuf)> {
    browser()?;
    let mut options = crate::backend::options();
    options.server.source = ServerSource::BuiltIn { seconds: 12.0, channels: 2 };
    let backend = Running::start(options);
    let between = Between::start(&backend.url(), into(folder.path()));
    let ws = format!("ws://{}/", between.address);
    let found = std::thread::scope(|scope| {
        let page = scope.spawn(|| shown(folder, &ws, asked));
        meanwhile(&backend);
        page.join().unwrap()
    })?;
    Some((found, between.closed()))
}

/// A page with a replay, and how that ended: exit code and what it printed.
fn replayed(
    folder: &TempDir,
    capture: &Path,
    words: &[&str],
    asked: &str,
) -> Option<(Value, Option<i32>, String)> {
    let (replay, first) = replaying(capture, words);
    let listening: Option<Value> = serde_json::from_str(&first).ok();
    let address = listening.as_ref().and_then(|line| line["listening"].as_str());
    let ws = address.unwrap_or(&first);
    let found = shown(folder, ws, asked)?;
    let ended = replay.wait();
    Some((found, ended.code, ended.out))
}

#[test]
fn a_page_that_starts_late_and_swaps_plays_live_and_in_a_replay() {
    let folder = TempDir::new().unwrap();
    let session = format!("starts=3500&swaps=5500&track={TRACK}&ends=9000");
    let Some((found, capture)) = recorded(&folder, &session, |_| ()) else { return };
    assert_eq!(found["swaps"], 1, "{found}");
    assert!(found["early"].as_u64().unwrap() > 20, "{found}");
    let live = analysis(&capture);
    // The last that the page dropped may have been under way when it started.
    assert!(live.leads.before_listener.abs_diff(found["early"].as_u64().unwrap()) <= 3);
    assert!(live.leads.client.is_some() && live.leads.arrival.is_some());
    let heard_s = live.heard.as_ref().unwrap().report.s;
    assert!(heard_s < live.report_at_s - 3.0, "{heard_s} s of {} s", live.report_at_s);
    // What a busy machine does to the swap is heard as it is; the start is no lag.
    assert!(begins_soundly(&live, 5.0), "{:#?}", live.verdict);

    // Another day its user clicks later.
    let out = folder.path().join("again.lagtape");
    let words = ["--json", "-o", out.to_str().unwrap()];
    let asked = format!("starts=5000&swaps=7000&track={TRACK}&protocol=demon");
    let (found, code, printed) = replayed(&folder, &capture, &words, &asked).unwrap();
    let swaps = (&found["swaps"], &found["unasked"], &found["elsewhere"]);
    assert_eq!(swaps, (&json!(1), &json!(0), &json!(0)));
    assert_eq!(found["protocol"], "demon");
    let replay: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let divergence = &replay["divergence"];
    assert_eq!(divergence["same"], true, "{printed}");
    assert!(divergence["position"]["first_s"].as_f64().unwrap().abs() < 0.25, "{printed}");
    assert_eq!(code, Some(if divergence["strayed"] == true { 4 } else { 0 }), "{printed}");
    let again = analysis(&out);
    assert!(begins_soundly(&again, 6.5), "{:#?}", again.verdict);
    assert_eq!(again.slices, live.slices);
}

/// Whether no lag is heard in so many seconds.
fn begins_soundly(analysis: &Analysis, until_s: f64) -> bool {
    analysis.verdict.known && analysis.verdict.onset_s.is_none_or(|onset_s| onset_s > until_s)
}

/// Somebody else turns the blend of the session, as soon as there is one.
fn blend_from_elsewhere(backend: &Running) {
    let session = loop {
        let (_, sessions) = backend.on_bus("GET", "/sessions", b"");
        if let Some(id) = sessions[0]["id"].as_str() {
            break id.to_owned();
        }
    };
    let blend = framed(&json!({"type": "set_prompt_blend", "value": 0.25}), b"");
    assert_eq!(backend.on_bus("POST", &format!("/sessions/{session}/cmd"), &blend).0, 200);
}

#[test]
fn a_page_moves_its_slider_on_echoes() {
    let folder = TempDir::new().unwrap();
    let asked = "starts=200&ends=2500";
    let Some((found, capture)) = recorded(&folder, asked, blend_from_elsewhere) else { return };
    // The slider moves to where the echo says, and tells; what it tells is not echoed again.
    assert!(found["blends"].as_u64().unwrap() > 0, "{found}");
    let live = analysis(&capture);
    assert_eq!(live.decode_errors, 0);
    let echoes = live.events.iter().filter(|event| event.event["type"] == "prompt_blend_echo");
    assert_eq!(echoes.count(), 1);
    // In a replay the echo comes to a page whose user does nothing either.
    let (found, _, printed) = replayed(&folder, &capture, &[], asked).unwrap();
    assert!(found["blends"].as_u64().unwrap() > 0, "{found} {printed}");
}
