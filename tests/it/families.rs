//! Families of the server: imported sessions that append, and what of them is lag.

mod odd;
mod page;
mod simulated;

use std::fmt::Write as _;
use std::fs;

use lagtape::capture::{Body, Records};
use lagtape::engine::{Engine, Options};
use lagtape::time::Nanos;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::check;

const RATE: f64 = 48_000.0;
/// Frames that a slice repeats of the one before.
const REPEAT: u64 = 1_200;
const WINDOW_S: u64 = 60;
const STEP_MS: u64 = 20;

/// A session of a page that plays from the first slice on, as a log.
struct Log {
    lines: String,
    /// Of each `params_update`.
    update: Value,
    now_ms: u64,
    /// Unwrapped, in frames.
    frontier: u64,
    playhead_s: f64,
    plays: bool,
}

impl Log {
    fn new(backend: &str, ready: &Value) -> Log {
        Log::begun(
            &json!({"backend": backend, "text_only": true, "telemetry_version": 1}),
            &json!({"frontier_lead_s": 3.0}),
            ready,
        )
    }

    /// One that says nowhere which family it is of, but for what its server tells.
    fn unnamed(update: &Value) -> Log {
        Log::begun(&json!({}), update, &ready(None))
    }

    fn begun(config: &Value, update: &Value, ready: &Value) -> Log {
        let mut log = Log {
            lines: String::new(),
            update: update.clone(),
            now_ms: 0,
            frontier: 0,
            playhead_s: 0.0,
            plays: false,
        };
        log.text("c2s", config);
        log.text("s2c", &json!({"type": "init_ack", "supports_text_only": true}));
        log.text("s2c", ready);
        log.binary(WINDOW_S * 48_000 * 4, "");
        log
    }

    fn appending(backend: &str) -> Log {
        Log::new(backend, &ready(Some(false)))
    }

    fn line(&mut self, line: &Value) {
        let mut line = line.clone();
        line["t_ns"] = json!(1_000_000_000 + self.now_ms * 1_000_000);
        writeln!(self.lines, "{line}").unwrap();
    }

    fn text(&mut self, direction: &str, text: &Value) {
        self.line(&json!({"dir": direction, "text": text.to_string()}));
    }

    fn binary(&mut self, len: u64, head: &str) {
        let line =
            json!({"dir": "s2c", "length": len, "payload_omitted": true, "header_hex": head});
        self.line(&line);
    }

    /// A slice of so much new audio, at the frontier; it may be lost on the way.
    fn append(&mut self, audio_s: f64, lost: bool) {
        let window = WINDOW_S * 48_000;
        let mut left = (audio_s * RATE) as u64;
        while left > 0 {
            let at = self.frontier % window;
            let new = left.min(window - at);
            let repeat = REPEAT.min(at);
            if !lost {
                self.slice(at - repeat, new + repeat);
            }
            self.frontier += new;
            left -= new;
        }
        self.plays = true;
    }

    fn slice(&mut self, start: u64, frames: u64) {
        let head = [
            &[1_u8][..],
            &(start as u32).to_le_bytes(),
            &(frames as u32).to_le_bytes(),
            &2_u16.to_le_bytes(),
            &1.0_f32.to_le_bytes(),
            &0.5_f32.to_le_bytes(),
            &1_u32.to_le_bytes(),
        ]
        .concat();
        let head: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
        self.binary(23 + frames, &head);
        let update = json!({"type": "params_update", "params": self.update});
        self.text("s2c", &update);
    }

    fn lead_s(&self) -> f64 {
        self.frontier as f64 / RATE - self.playhead_s
    }

    /// The clock goes on to here; the page reports each 100 ms.
    fn until(mut self, to_ms: u64, mut server: impl FnMut(&mut Log)) -> Log {
        while self.now_ms < to_ms {
            self.now_ms += STEP_MS;
            if self.plays {
                self.playhead_s += STEP_MS as f64 / 1e3;
            }
            server(&mut self);
            if self.now_ms.is_multiple_of(100) {
                let position_s = self.playhead_s % WINDOW_S as f64;
                self.text(
                    "c2s",
                    &json!({"type": "params", "raw": {"x": self.now_ms / 10_000}, "playback_pos": position_s}),
                );
            }
        }
        self
    }

    fn idle(self, to_ms: u64) -> Log {
        self.until(to_ms, |_| ())
    }

    /// Commits of 4 s, each so long after the one before, while the gate is open.
    fn minimax(self, to_ms: u64, every_ms: u64) -> Log {
        let mut due_ms = self.now_ms;
        self.until(to_ms, move |log| {
            if log.now_ms >= due_ms && log.lead_s() <= 5.0 {
                [1.5, 1.5, 1.0].into_iter().for_each(|audio_s| log.append(audio_s, false));
                due_ms = log.now_ms + every_ms;
            }
        })
    }

    /// Frames of 40 ms, while the listener has less than the lead; `rate` of what he needs at most.
    fn mrt2(self, to_ms: u64, rate: f64) -> Log {
        let (mut made_s, mut from_ms) = (0.0, self.now_ms);
        self.until(to_ms, move |log| {
            made_s += (log.now_ms - from_ms) as f64 / 1e3 * rate;
            from_ms = log.now_ms;
            made_s = f64::min(made_s, 2.0);
            if log.lead_s() < 0.75 && made_s >= 0.04 {
                log.append(0.04, false);
                made_s -= 0.04;
            }
        })
    }

    /// The report of the session after `import`, which is the same from its checkpoints and over a
    /// context in the middle.
    #[track_caller]
    fn analysis(&self, exit_code: i32) -> (Value, String) {
        let folder = TempDir::new().unwrap();
        let session = folder.path().join("log");
        fs::create_dir(&session).unwrap();
        let about = json!({
            "name": "a test", "client": "web", "connect_ns": 1_000_000_000,
            "report_ns": 1_000_000_000 + self.now_ms * 1_000_000,
        });
        fs::write(session.join("session.json"), about.to_string()).unwrap();
        fs::write(session.join("frames.jsonl"), &self.lines).unwrap();
        let capture = folder.path().join("log.lagtape");
        let (session, capture) = (session.to_str().unwrap(), capture.to_str().unwrap());
        check(&["import", session, "-o", capture], 0);
        let (out, _) = check(&["analyze", capture, "--json"], exit_code);
        let whole: Value = serde_json::from_str(&out).unwrap();
        let (out, _) = check(&["analyze", capture, "--json", "--quick"], exit_code);
        let quick: Value = serde_json::from_str(&out).unwrap();
        for key in ["verdict", "heard", "lag"] {
            assert_eq!(whole[key], quick[key], "{key} from the checkpoints");
        }
        assert_eq!(whole["family"]["frontier"], quick["family"]["frontier"]);
        check_contexts(&fs::read(capture).unwrap());
        let (text, _) = check(&["analyze", capture], exit_code);
        (whole, text)
    }

    #[track_caller]
    fn check(&self, lag: bool, reasons: &[&str]) -> (Value, String) {
        let (report, text) = self.analysis(if lag { 4 } else { 0 });
        assert_eq!(report["verdict"]["lag"], json!(lag), "{text}");
        assert_eq!(report["verdict"]["reasons"], json!(reasons), "{text}");
        assert_eq!(report["ending"]["abnormal"], json!(false), "{text}");
        (report, text)
    }
}

fn ready(refines: Option<bool>) -> Value {
    let capabilities = refines.map_or(json!({}), |refines| json!({"refines_audio": refines}));
    json!({"type": "ready", "sample_rate": 48_000, "channels": 2, "capabilities": capabilities})
}

/// An engine that goes on from a context has the state of one that read everything.
#[track_caller]
pub fn check_contexts(bytes: &[u8]) {
    let mut whole = Engine::new(Options::default());
    let mut parts: Option<Engine> = None;
    let mut records = Records::new(bytes);
    let mut number = 0_u64;
    let mut header = None;
    while let Some(record) = records.next_record().unwrap() {
        if let Body::Header(found) = &record.body {
            header = Some(lagtape::Record { body: Body::Header(found.clone()), ..record });
        }
        whole.handle(&record);
        if let Some(part) = &mut parts {
            part.handle(&record);
        }
        number += 1;
        if number.is_multiple_of(331) {
            let mut engine = Engine::new(Options::default());
            engine.handle(header.as_ref().unwrap());
            engine.handle(&whole.context());
            parts = Some(engine);
        }
        if let Some(part) = &parts {
            assert_eq!(part.state(), whole.state(), "after record {number}");
        }
    }
    assert!(whole.origin() > Some(Nanos(0)));
}

#[test]
fn a_healthy_piece_in_bursts() {
    let log = Log::appending("minimax").idle(6_000).minimax(180_000, 3_100);
    let (report, text) = log.check(false, &[]);
    assert!(text.contains("healthy"), "{text}");
    let family = &report["family"];
    assert_eq!((&family["name"], &family["kind"]), (&json!("minimax"), &json!("append_only_tape")));
    assert_eq!(family["ended"], json!(false));
    assert_eq!(family["frontier"]["previous_lap_s"], json!(0.0));
    assert_eq!(family["frontier"]["holes"], json!(0));
    assert!(family["frontier"]["lowest_frontier_s"].as_f64().unwrap() > 0.5, "{family}");
    let silence_s = family["frontier"]["longest_silence_s"].as_f64().unwrap();
    assert!((3.0..=4.1).contains(&silence_s), "{silence_s}");
    assert!((5.9..6.2).contains(&family["frontier"]["first_audio_s"].as_f64().unwrap()));
}

#[test]
fn first_audio_of_a_cold_server() {
    Log::appending("minimax").idle(33_000).minimax(80_000, 3_100).check(false, &[]);
    Log::appending("minimax").idle(20_000).check(false, &[]);
}

#[test]
fn a_finished_piece_has_ended() {
    for (silent_ms, page) in [(8_000, "minimax"), (30_000, "minimax"), (200_000, "minimax")] {
        let log = Log::appending(page).idle(6_000).minimax(48_000, 3_100);
        let to_ms = log.now_ms + silent_ms;
        let (report, text) = log.idle(to_ms).check(false, &[]);
        assert_eq!(report["family"]["ended"], json!(true), "{text}");
        assert!(text.contains("ended: the piece was over at "), "{text}");
    }
}

#[test]
fn a_playhead_past_the_frontier_is_lag() {
    // A generator below real time, and one that stops: mrt2 has no end.
    let slow = Log::appending("mrt2").mrt2(60_000, 0.93);
    let (report, text) = slow.check(true, &["past_frontier"]);
    assert!(report["family"]["frontier"]["initial_zeros_s"].as_f64().unwrap() > 2.0, "{text}");
    let stopped = Log::appending("mrt2").mrt2(10_000, 1.5).idle(14_000);
    stopped.check(true, &["past_frontier"]);
    // Commits of 4 s each 4.3 s.
    let slow = Log::appending("minimax").idle(6_000).minimax(150_000, 4_300);
    let (report, text) = slow.check(true, &["past_frontier"]);
    assert!(report["family"]["frontier"]["previous_lap_s"].as_f64().unwrap() > 2.0, "{text}");
    assert_eq!(report["family"]["ended"], json!(false));
    // A worker that stalled and goes on.
    let stalled = Log::appending("minimax").idle(6_000).minimax(40_000, 3_100).idle(60_000);
    stalled.minimax(70_000, 3_100).check(true, &["past_frontier"]);
}

#[test]
fn a_hole_is_lag() {
    for backend in ["mrt2", "minimax"] {
        let mut log = Log::appending(backend).mrt2(20_000, 1.5);
        log.append(0.08, true);
        let (report, text) = log.mrt2(40_000, 1.5).check(true, &["hole"]);
        assert_eq!(report["family"]["frontier"]["holes"], json!(1), "{text}");
        let hole_s = report["family"]["frontier"]["hole_s"].as_f64().unwrap();
        assert!((0.05..0.06).contains(&hole_s), "{hole_s}");
    }
}

#[test]
fn healthy_frames_over_several_laps() {
    let (report, text) = Log::appending("mrt2").mrt2(200_000, 1.5).check(false, &[]);
    assert!(text.contains("family: mrt2, append-only tape"), "{text}");
    assert_eq!(report["family"]["frontier"]["behind_frontier"], json!(0));
}

#[test]
fn a_log_that_names_no_family_is_known_by_its_slices() {
    let untold = || Log::unnamed(&json!({"num_gens": 1}));
    let (report, text) = untold().mrt2(30_000, 1.5).check(false, &[]);
    let family = &report["family"];
    assert_eq!((&family["name"], &family["kind"]), (&json!("unknown"), &json!("append_only_tape")));
    let why = "64 of the first 64 slices go on where the one before ended";
    assert_eq!(family["why"], json!(why), "{text}");
    // What is lag, and what is not, follows from that.
    let log = untold().idle(6_000).minimax(48_000, 3_100).idle(80_000);
    let (report, text) = log.check(false, &[]);
    assert_eq!(report["family"]["ended"], json!(true), "{text}");
    untold().mrt2(60_000, 0.93).check(true, &["past_frontier"]);
    let mut holed = untold().mrt2(20_000, 1.5);
    holed.append(0.08, true);
    holed.mrt2(40_000, 1.5).check(true, &["hole"]);
    // And the server may tell which family it is.
    let told = Log::unnamed(&json!({"ar_frames": 100})).idle(6_000).minimax(30_000, 3_100);
    let (report, text) = told.check(false, &[]);
    assert_eq!(report["family"]["name"], json!("minimax"), "{text}");
    assert!(text.contains("params_update has ar_frames"), "{text}");
    // A loop that is patched stays one.
    let loops = untold().until(20_000, |log| {
        log.slice(((log.playhead_s * RATE) as u64 + 14_400) % (50 * 48_000), 17_280);
        log.plays = true;
    });
    let (report, _) = loops.check(false, &[]);
    assert_eq!(report["family"]["kind"], json!("refining_loop"));
    assert_eq!(report["family"]["why"], json!("neither config nor ready names a family"));
}

#[test]
fn what_ifs_of_a_tape_are_answered_by_its_gate() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (capture, derived) = (path("x.lagtape"), path("derived.lagtape"));
    let words = ["--family", "mrt2", "--for", "30s", "--loop", "24s", "--params-hz", "10"];
    check(&[&["simulate", "-o", &capture][..], &words].concat(), 0);
    let ask = |words: &[&str]| -> Value {
        let (out, _) = check(&[&["what-if", &capture, "--json"], words].concat(), 0);
        serde_json::from_str(&out).unwrap()
    };
    let slower = ask(&["--tick-factor", "1.83", "--capture", &derived]);
    assert_eq!(slower["tier"], "model");
    assert!(slower["reason"].as_str().unwrap().contains("gate"), "{}", slower["reason"]);
    let error = &slower["model"]["factual_error"];
    assert!(error["missing_share"].as_f64().unwrap() < 0.05, "{error}");
    let verdict = &slower["counterfactual"]["verdict"];
    assert_eq!(verdict["reasons"], json!(["past_frontier"]));
    let (out, _) = check(&["analyze", &derived, "--json"], 4);
    let analysis: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(&analysis["verdict"], verdict);
    assert_eq!(ask(&["--rate", "1.02"])["counterfactual"]["verdict"]["lag"], json!(false));

    // In a sweep and a search, too.
    let vary = ["sweep", &capture, "--vary", "tick-factor=1,1.83", "--json"];
    let (out, _) = check(&vary, 0);
    let sweep: Value = serde_json::from_str(&out).unwrap();
    let rows = sweep["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["tier"] == "model"), "{rows:?}");
    let lags: Vec<_> = rows.iter().map(|row| &row["lags"]).collect();
    assert_eq!(lags, [&json!(false), &json!(true)]);
    let slow = ["sweep", &capture, "--tick-factor", "1.83", "--members", "2"];
    let find = ["--vary", "rate=0.7..0.9:0.1", "--find", "lag_s == 0"];
    let (out, _) = check(&[&slow[..], &find].concat(), 0);
    assert!(out.starts_with("rate "), "{out}");

    // What its gate does not read.
    for (flag, value) in [("--lead-floor", "0.6"), ("--acks", "off"), ("--transport", "off")] {
        let output = crate::program::lagtape(&["what-if", &capture, flag, value]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(&format!("leave {flag} out")), "{said}");
    }
}
