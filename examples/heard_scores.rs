//! How what was heard compares with labelled sessions:
//! `cargo run --example heard_scores -- FOLDER`.
//!
//! Each folder below FOLDER holds a session log whose `session.json` has a `label`.

use std::fs;
use std::path::Path;

use lagtape::capture::{Records, RowKind, Shape, import_session_log};
use lagtape::engine::{Engine, Options};
use lagtape::heard::{AppliedBy, ClientReport, HeardMeter, HeardReport, PlayheadLine, Steering};
use lagtape::playhead::{Movement, PlayheadSim, ReportedPlayhead};
use lagtape::time::Nanos;
use lagtape::wire::slice::SliceHeader;
use serde_json::Value;

const THRESHOLD_NS: u64 = 3_000_000_000;

fn main() {
    let folder = std::env::args().nth(1).expect("give the folder of the labelled sessions");
    let only = std::env::args().nth(2);
    let mut folders: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    println!(
        "{:32} {:>5} {:>15} {:>15} {:>9}  ",
        "session", "src", "bad truth/ours", "onset tr/ours", "verdict"
    );
    let mut misses = 0;
    for folder in folders.iter().filter(|folder| folder.join("session.json").exists()) {
        if only.as_ref().is_some_and(|only| !folder.to_string_lossy().contains(only.as_str())) {
            continue;
        }
        misses += score(folder, only.is_some());
    }
    println!("{misses} misses");
}

/// Prints a row, and how many figures are off.
fn score(folder: &Path, verbose: bool) -> u32 {
    let session = fs::read_to_string(folder.join("session.json")).unwrap();
    let lines = fs::read(folder.join("frames.jsonl.zst")).unwrap();
    let lines = zstd::decode_all(&lines[..]).unwrap();
    let mut capture = Vec::new();
    import_session_log(&session, &lines[..], None, &mut capture).unwrap();
    let session: Value = serde_json::from_str(&session).unwrap();
    let label = &session["label"];
    let truth = &label["truth"];
    let headless = session["client"] == "headless";
    let mut misses = 0;
    for foreign in if headless { vec![false, true] } else { vec![true] } {
        let (heard, applied, held_back) = measure(&capture, foreign);
        let number = |value: &Value| value.as_f64();
        let bad = number(&truth["bad_s"]).unwrap();
        let onset = number(&truth["audible_from_s"]);
        let bad_off = (heard.bad_s - bad).abs() > (bad * 0.1).max(0.3);
        let onset_off = match (onset, heard.onset_s) {
            (Some(onset), Some(ours)) => (onset - ours).abs() > 0.3,
            (None, None) => false,
            _ => true,
        };
        let verdict_off = label["audible"].as_bool() != Some(heard.onset_s.is_some());
        let marginal = label["marginal"] == true;
        let off = u32::from(bad_off) + u32::from(onset_off) + u32::from(verdict_off);
        if foreign != headless && !marginal {
            misses += off;
        }
        println!(
            "{:32} {:>5} {bad:>6.2} {:>6.2} {} {:>6.2} {:>6.2} {} {:>5} {} {} {applied:?} back {held_back} seam {}x{:.2} exc {:.2} oldest {:.2} p50 {:.3} p95 {:.3}",
            folder.file_name().unwrap().to_string_lossy(),
            if foreign { "rep" } else { "sim" },
            heard.bad_s,
            if bad_off { "✗" } else { " " },
            onset.unwrap_or(f64::NAN),
            heard.onset_s.unwrap_or(f64::NAN),
            if onset_off { "✗" } else { " " },
            label["audible"],
            if verdict_off { "✗" } else { " " },
            if marginal { "marginal" } else { "" },
            heard.seam.count,
            heard.seam.s,
            heard.excused_s,
            heard.oldest_s,
            heard.age.p50_s,
            heard.age.p95_s,
        );
        if verbose {
            println!("{heard:#?}\n{truth:#}");
        }
    }
    misses
}

fn measure(capture: &[u8], foreign: bool) -> (HeardReport, AppliedBy, u64) {
    let mut engine = Engine::new(Options { headers_only: true, ..Options::default() });
    let mut records = Records::new(capture);
    let mut listener = None;
    while let Some(record) = records.next_record().unwrap() {
        engine.handle(&record);
        if let RowKind::Begin(shape) = *engine.did() {
            listener = Some(Listener::new(record.t, shape, foreign));
        } else if let Some(listener) = &mut listener {
            listener.take(record.t, engine.did(), engine.facts().slice_bytes);
        }
    }
    let meter = listener.expect("the session has an initial buffer").meter;
    (meter.report(), meter.applied_by(), meter.held_back())
}

struct Listener {
    meter: HeardMeter,
    foreign: bool,
    rate: u32,
    frames: u64,
    simulated: PlayheadSim,
    reported: ReportedPlayhead,
}

impl Listener {
    fn new(at: Nanos, shape: Shape, foreign: bool) -> Self {
        let Shape { frames, sample_rate: rate, .. } = shape;
        Listener {
            meter: HeardMeter::new(at, frames, rate, THRESHOLD_NS, foreign),
            foreign,
            rate,
            frames,
            simulated: PlayheadSim::new(frames, rate, at.seconds()),
            reported: ReportedPlayhead::new(frames, rate, at.seconds()),
        }
    }

    fn take(&mut self, at: Nanos, what: &RowKind, received_to: u64) {
        match what {
            RowKind::Slice { header, .. } => {
                let header = SliceHeader::parse(header).unwrap();
                self.meter.on_slice(at, header.start.into(), header.frames.into(), received_to);
            }
            RowKind::Tick { report, turned } => {
                if *turned {
                    self.meter.on_change(at);
                }
                let said = ClientReport {
                    slice_bytes_rx: report.slice_bytes_rx,
                    slice_lead_s: report.slice_lead_s,
                };
                let position = report.playback_pos.filter(|_| self.foreign);
                let steering = position.map(|position_s| self.reported(at, position_s));
                self.meter.on_report(at, &said, steering);
            }
            RowKind::Command => self.meter.on_change(at),
            RowKind::Swap(shape) => {
                self.frames = shape.frames;
                self.simulated.reset(shape.frames, at.seconds());
                self.reported.reset(shape.frames, at.seconds());
                let speed = if self.foreign {
                    f64::from(self.rate)
                } else if self.simulated.paused() {
                    0.0
                } else {
                    self.simulated.rate() * f64::from(self.rate)
                };
                self.meter.on_swap(at, shape.frames, PlayheadLine { at, position: 0.0, speed });
            }
            RowKind::Op(marker) if !self.foreign => {
                let now_s = at.seconds();
                self.simulated.operate(marker, now_s);
                let paused = self.simulated.paused() || self.simulated.rate() == 0.0;
                let jumped = matches!(marker, lagtape::capture::Marker::Seek { .. });
                let speed = if paused { 0.0 } else { self.simulated.rate() * f64::from(self.rate) };
                let line = PlayheadLine { at, position: self.simulated.position(now_s), speed };
                self.meter.on_op(at, Steering { line, jumped, paused });
            }
            _ => {}
        }
    }

    fn reported(&mut self, at: Nanos, position_s: f64) -> Steering {
        let now_s = at.seconds();
        let movement = self.reported.report(position_s, now_s);
        let held = self.reported.state().held_since_s.is_some();
        let position = (position_s * f64::from(self.rate)).rem_euclid(self.frames as f64);
        let line = PlayheadLine { at, position, speed: if held { 0.0 } else { self.rate.into() } };
        Steering { line, jumped: movement == Movement::Jumped, paused: self.reported.paused(now_s) }
    }
}
