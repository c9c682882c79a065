//! One session with everything that is easy to count wrong, through every verb: binaries that are no
//! slices, on either way; errors that end nothing; a swap that changes the length; reports without a
//! position, of a virtual playhead, and of a page that waits for audio; keys that nobody knows.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use lagtape::app::{self, RecordVerb, SessionSource};
use lagtape::capture::{Body, Direction, Opcode, Records};
use lagtape::edge::recorder::FileLayout;
use lagtape::edge::replay::ServeOptions;
use lagtape::engine::{EndKind, Engine, Options, ServerEvent};
use lagtape::time::Nanos;
use lagtape::wire::slice::SliceHeader;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::families::check_contexts;
use crate::program::{check, lagtape};
use crate::proxy_between::{Between, into};
use crate::replay::{at_once, play};

const RATE: u64 = 48_000;
/// Length of the loop, and of the one after the swap.
const LOOPS_S: [u64; 2] = [2, 3];
const SLICE_FRAMES: u32 = 4_800;
/// A key that no version knows, in every message that may have one.
const UNKNOWN: &str = "of_next_year";

/// A session log with its payloads.
#[derive(Default)]
struct Log {
    lines: String,
    blob: Vec<u8>,
    now_ms: u64,
}

impl Log {
    fn line(&mut self, mut line: Value) {
        line["t_ns"] = json!(1_000_000_000 + self.now_ms * 1_000_000);
        writeln!(self.lines, "{line}").unwrap();
    }

    fn text(&mut self, dir: &str, mut text: Value) {
        text[UNKNOWN] = json!({"is": [null, 1]});
        self.line(json!({"dir": dir, "text": text.to_string()}));
    }

    fn binary(&mut self, dir: &str, bytes: &[u8]) {
        self.line(json!({"dir": dir, "offset": self.blob.len(), "length": bytes.len()}));
        self.blob.extend_from_slice(bytes);
    }

    /// PCM as clients bring it.
    fn pcm(&mut self) {
        let samples: u32 = 4_800;
        let mut bytes = [1_u32.to_le_bytes(), samples.to_le_bytes()].concat();
        bytes.resize(bytes.len() + samples as usize * 4, 0);
        self.binary("c2s", &bytes);
    }

    /// A whole buffer in one channel.
    fn buffer(&mut self, seconds: u64) {
        self.binary("s2c", &vec![0; (seconds * RATE * 2) as usize]);
    }

    fn slice(&mut self, start: u64, loop_s: u64) {
        let header = SliceHeader {
            flags: 0,
            start: (start % (loop_s * RATE - u64::from(SLICE_FRAMES))) as u32,
            frames: SLICE_FRAMES,
            channels: 1,
            tick_ms: 40.0,
            dec_ms: 7.0,
            generations: 1,
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.resize(bytes.len() + SLICE_FRAMES as usize * 2, 0);
        self.binary("s2c", &bytes);
        self.text("s2c", json!({"type": "params_update", "params": {UNKNOWN: 1}}));
    }

    /// What happens beside slices and reports, each 100 ms.
    fn aside(&mut self) {
        match self.now_ms {
            600 => {
                self.text("c2s", json!({"type": "bounce", "request_id": "b"}));
                self.text(
                    "s2c",
                    json!({"type": "bounce_ready", "request_id": "b", "frames": 96_000}),
                );
                self.buffer(LOOPS_S[0]);
            }
            900 => {
                self.text("c2s", json!({"type": "midi_transcribe", "request_id": "m"}));
                self.pcm();
                self.text("s2c", json!({"type": "midi_notes", "request_id": "m", "notes": []}));
            }
            1_100 => {
                let stems = json!({"type": "stem_assets", "source_mode": "", "stems": ["a", "b"]});
                self.text("s2c", stems);
                self.buffer(1);
                self.buffer(1);
            }
            1_300 => self.text("s2c", json!({"type": "error", "code": "compose_failed"})),
            1_500 => {
                self.text("c2s", json!({"type": "swap_source", "duration_s": 3.0}));
                self.pcm();
                let swap = json!({"type": "swap_ready", "duration": 3.0, "channels": 1});
                self.text("s2c", swap);
                self.buffer(LOOPS_S[1]);
            }
            2_800 => self.text("s2c", json!({"type": "bounce_failed", "request_id": "c"})),
            _ => {}
        }
    }

    fn whole() -> Log {
        let mut log = Log::default();
        log.text("c2s", json!({"telemetry_version": 1, "backend": "sa3"}));
        log.pcm();
        log.text("s2c", json!({"type": "init_ack", "supports_text_only": true}));
        log.text(
            "s2c",
            json!({
                "type": "ready", "sample_rate": RATE, "channels": 1,
                "capabilities": {"refines_audio": true, "bounce": true, UNKNOWN: true},
            }),
        );
        log.buffer(LOOPS_S[0]);
        // A page reports 0 until it has audio, and a one-shot begins anew at 2.4 s.
        let mut position_ms = 0;
        for now_ms in (100..=3_200).step_by(100) {
            log.now_ms = now_ms;
            log.aside();
            position_ms = if [1_500, 2_400].contains(&now_ms) { 0 } else { position_ms };
            let mut params = json!({"type": "params", "raw": {UNKNOWN: 0.5}});
            if now_ms != 500 {
                params["playback_pos"] = json!(position_ms as f64 / 1e3);
            }
            log.text("c2s", params);
            if now_ms >= 300 {
                let loop_s = LOOPS_S[usize::from(now_ms >= 1_500)];
                log.slice((position_ms + 400) * RATE / 1_000, loop_s);
                position_ms += 100;
            }
        }
        log
    }

    fn import(&self, folder: &TempDir) -> PathBuf {
        let session = folder.path().join("log");
        fs::create_dir(&session).unwrap();
        let about = json!({"name": "bookkeeping", "client": "web", "connect_ns": 1_000_000_000});
        fs::write(session.join("session.json"), about.to_string()).unwrap();
        fs::write(session.join("frames.jsonl"), &self.lines).unwrap();
        fs::write(session.join("frames.bin"), &self.blob).unwrap();
        let capture = folder.path().join("log.lagtape");
        check(&["import", session.to_str().unwrap(), "-o", capture.to_str().unwrap()], 0);
        capture
    }
}

/// What the books say.
#[derive(Debug, PartialEq)]
struct Books {
    slices: u64,
    slice_bytes: u64,
    swaps: u64,
    decode_errors: u64,
    /// Frames of each loop.
    loops: Vec<u64>,
    /// Types of the server's events.
    events: Vec<String>,
    /// Messages of the server with the key that nobody knows.
    unknown: usize,
    is_fatal: bool,
    never_came: bool,
}

/// Those of the session.
fn expected() -> Books {
    let events =
        ["bounce_ready", "midi_notes", "stem_assets", "error", "swap_ready", "bounce_failed"];
    Books {
        slices: 30,
        slice_bytes: 30 * (23 + u64::from(SLICE_FRAMES) * 2),
        swaps: 1,
        decode_errors: 0,
        loops: LOOPS_S.map(|s| s * RATE).to_vec(),
        events: events.map(str::to_owned).to_vec(),
        // init_ack, ready, the events, and one with each slice.
        unknown: 2 + events.len() + 30,
        is_fatal: false,
        never_came: false,
    }
}

fn books(capture: &Path) -> Books {
    books_of_parts(&[capture])
}

/// Those of parts that follow on each other.
fn books_of_parts(captures: &[&Path]) -> Books {
    let mut engine = Engine::new(Options::default());
    let (mut unknown, mut last) = (0, Nanos(0));
    for capture in captures {
        let mut records = Records::new(File::open(capture).unwrap());
        while let Some(record) = records.next_record().unwrap() {
            if let Body::Message(message) = &record.body
                && (message.direction, message.opcode) == (Direction::ServerToClient, Opcode::Text)
            {
                unknown += usize::from(message.text().unwrap().contains(UNKNOWN));
            }
            engine.handle(&record);
            last = last.max(record.t);
        }
    }
    let facts = engine.facts();
    let kind = |event: &ServerEvent| event.fields["type"].as_str().unwrap_or_default().to_owned();
    Books {
        slices: facts.slices,
        slice_bytes: facts.slice_bytes,
        swaps: facts.swaps,
        decode_errors: facts.decode_errors,
        loops: engine.epochs().iter().map(|epoch| epoch.frames).collect(),
        events: facts.events.iter().map(kind).collect(),
        unknown,
        is_fatal: engine.ending(last).kind == EndKind::PipelineError,
        never_came: facts.awaited_bounce.is_some(),
    }
}

fn json_of(words: &[&str]) -> Value {
    let output = lagtape(words);
    assert!(matches!(output.status.code(), Some(0 | 4)), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn import_and_checkpoints_keep_the_books() {
    let folder = TempDir::new().unwrap();
    let capture = Log::whole().import(&folder);
    assert_eq!(books(&capture), expected());
    check_contexts(&fs::read(&capture).unwrap());
    let path = capture.to_str().unwrap();
    let whole = json_of(&["analyze", path, "--json"]);
    let quick = json_of(&["analyze", path, "--json", "--quick"]);
    for key in ["verdict", "heard", "lag", "epochs", "slices", "swaps"] {
        assert_eq!(whole[key], quick[key], "{key} from the checkpoints");
    }
    // The only report without a position, to a server that keeps the one before.
    let warnings = whole["warnings"].as_array().unwrap();
    let kept: Vec<_> = warnings.iter().filter(|it| it["kind"] == "position_kept").collect();
    assert_eq!(kept.len(), 1, "{warnings:?}");
    assert_eq!(kept[0]["count"], json!(1));
    assert_eq!(whole["family"]["name"], json!("sa3"));
}

#[test]
fn cut_and_redact_keep_the_books() {
    let folder = TempDir::new().unwrap();
    let capture = Log::whole().import(&folder);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let from = capture.to_str().unwrap();
    // Each moment lies between an announcement and what it announces, or beside one.
    for at in ["0.6s", "0.9s", "1.1s", "1.5s", "2.8s"] {
        let (first, second) = (path("first"), path("second"));
        check(&["cut", from, "--to", at, "-o", &first, "--force"], 0);
        check(&["cut", from, "--from", at, "-o", &second, "--force"], 0);
        let parts = [first, second];
        let parts: Vec<_> = parts.iter().map(Path::new).collect();
        assert_eq!(books_of_parts(&parts), expected(), "cut at {at}");
    }
    let redacted = path("redacted");
    check(&["redact", from, "--text", "compose_failed", "-o", &redacted], 0);
    assert_eq!(books(Path::new(&redacted)), expected());
    let silent = path("silent");
    check(&["redact", from, "--drop-audio", "-o", &silent], 0);
    assert_eq!(books(Path::new(&silent)), expected());
}

#[tokio::test]
async fn replay_proxy_and_record_keep_the_books() {
    let folder = TempDir::new().unwrap();
    let capture = Log::whole().import(&folder);
    let proxied = folder.path().join("proxied");
    fs::create_dir(&proxied).unwrap();
    let recorded = folder.path().join("recorded.lagtape");
    let options = ServeOptions { causal: false, unasked: true, ..at_once(capture) };
    let (_, between) = play(options, async |address| {
        let between = Between::start(&format!("ws://{address}"), into(&proxied));
        let verb = RecordVerb {
            out: Some(recorded.clone()),
            source: SessionSource::Tune,
            keeping: FileLayout::Parts("1s".parse().unwrap()),
            ..RecordVerb::new(format!("ws://{}", between.address))
        };
        let session = app::record(verb, std::future::pending(), ()).await.unwrap();
        assert_eq!(session.failure, None);
        (between, session.files)
    })
    .await;
    let (between, files) = between;
    let joined = folder.path().join("joined.lagtape");
    app::join(&files, &joined, false).unwrap();
    assert_eq!(books(&joined), expected(), "recorded in parts");
    assert_eq!(books(&between.closed()), expected(), "by the proxy");
}
