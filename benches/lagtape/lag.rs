//! What the report of a capture costs, when nobody asks for the audio.

use std::fs;

use anyhow::{Context, Result, ensure};
use lagtape::app::{AnalyzeOptions, analyze};
use lagtape::capture::{Body, BufferShape, Records, RowKind, TickReport};
use lagtape::diagnosis::Diagnosis;
use lagtape::engine::{Engine, Options};
use lagtape::heard::{BehindRule, HeardMeter, HeardReport, HeardRule};
use lagtape::lag::{Arrival, LagReport, LagTracker, ReportArgs};
use lagtape::playhead::PlayheadSim;
use lagtape::time::Nanos;
use lagtape::wire::slice::SliceHeader;
use serde_json::json;
use zstd::zstd_safe::DCtx;

use crate::harness::{Aim, Bench, Ratio, Row, Table};
use crate::python::{self, Peer};
use crate::recorded;

const MINUTES: u64 = 10;
const LOOP_S: f64 = 20.0;
const PARAMS_HZ: f64 = 30.0;
/// A report from what was loaded, for each slice and tick.
const LOADED_AIM_S: f64 = 4e-9;
/// An analysis from the checkpoints, for each slice and tick.
const QUICK_AIM_S: f64 = 70e-9;
/// All signatures over the ten minutes.
const DIAGNOSIS_AIM_S: f64 = 0.02;

/// Room for the columns of a second.
const LONGEST_COLUMNS: usize = 1 << 16;

/// The table of this group.
pub fn run(bench: &mut Bench) -> Result<()> {
    bench.doing(&format!("simulating a minute, for {MINUTES}"));
    let minute = recorded::capture(recorded::healthy(1, LOOP_S, PARAMS_HZ)?);
    let path = bench.folder.path().join("lag.lagtape");
    recorded::write_long(&minute, MINUTES, &path)?;
    let capture = fs::read(&path)?;
    let headers_only = Options { headers_only: true, ..Options::default() };
    let walked = recorded::replay(&capture, headers_only.clone())?;
    let ours = report(&walked)?;
    let from_checkpoints = AnalyzeOptions { quick: true, ..AnalyzeOptions::default() };
    let quick = analyze(&path, &from_checkpoints)?;
    let agree = quick.lag.as_ref() == Some(&ours);
    ensure!(agree, "the checkpoints tell {}, and the records {}", json!(quick.lag), json!(ours));

    bench.doing("asking Python for the same report");
    let peer = Peer::start("lag.py", &[path.as_os_str()]);
    if let Some(theirs) = peer.ready() {
        let theirs = &theirs["report"];
        ensure!(python::agree(&ours, theirs), "Python finds {theirs}, and we {}", json!(ours));
    }

    let events = ours.slices.count + ours.ticks.count;
    let end = walked.facts().span.map_or(Nanos(0), |(_, last)| last);
    let walk = |options: &Options| recorded::replay(&capture, options.clone()).map(|e| report(&e));
    let with_audio = Options::default();
    let columns = columns(&capture)?;
    let stream = Stream::of(&capture, headers_only.clone())?;
    let (mut context, mut room) = (DCtx::default(), vec![0_u8; LONGEST_COLUMNS]);
    let rows = vec![
        Row::cpu("once loaded", events, || report(&walked)).aim_s(LOADED_AIM_S),
        Row::cpu("inflating the checkpoints", events, || {
            let inflate = |packed: &Vec<u8>| context.decompress(&mut room[..], packed);
            columns.iter().map(inflate).map(|len| len.expect("sound columns")).sum::<usize>()
        }),
        Row::cpu("from the checkpoints", events, || analyze(&path, &from_checkpoints))
            .aim_s(QUICK_AIM_S),
        Row::cpu("naming the causes", events, || Diagnosis::of(&walked, end, "lag.lagtape"))
            .aim_s(DIAGNOSIS_AIM_S / events as f64),
        Row::cpu("verified scan", events, || scan(&capture)),
        Row::cpu("walking the capture", events, || walk(&headers_only)),
        Row::cpu("walking it with audio", events, || walk(&with_audio)),
        Row::cpu("tracking alone", events, || stream.track()),
        Row::cpu("measuring what was heard", events, || stream.measure()),
        peer.row("Python", events, "report"),
    ];
    let ratios = vec![
        Ratio::new("Python", "from the checkpoints", Aim::AtLeast(300.0)),
        Ratio::new("Python", "inflating the checkpoints", Aim::Shown),
        Ratio::new("walking the capture", "verified scan", Aim::Shown),
        Ratio::new("measuring what was heard", "tracking alone", Aim::Shown),
        Ratio::new("Python", "walking the capture", Aim::AtLeast(6.0)),
    ];
    let title = format!("{} slices and {} ticks", ours.slices.count, ours.ticks.count);
    bench.measure(Table { title, unit: "event", rows, ratios })
}

/// Slices and ticks of a simulated listener, read from a capture.
struct Stream {
    began: Nanos,
    shape: BufferShape,
    events: Vec<(Nanos, StreamEvent)>,
}

enum StreamEvent {
    Slice(SliceHeader, u32),
    Tick(TickReport),
}

impl Stream {
    fn of(capture: &[u8], options: Options) -> Result<Stream> {
        let (mut engine, mut records) = (Engine::new(options), Records::new(capture));
        let (mut began, mut events) = (None, Vec::new());
        while let Some(record) = records.next_record()? {
            engine.handle(&record);
            match engine.did() {
                RowKind::Begin(shape) => began = Some((record.t, *shape)),
                RowKind::Slice { header, len } => {
                    let slice = StreamEvent::Slice(SliceHeader::parse(header)?, *len);
                    events.push((record.t, slice));
                }
                RowKind::Tick { report, .. } => {
                    events.push((record.t, StreamEvent::Tick(*report)));
                }
                _ => {}
            }
        }
        let (began, shape) = began.context("the capture has no buffer")?;
        Ok(Stream { began, shape, events })
    }

    /// The reference's records.
    fn track(&self) -> LagTracker {
        let (BufferShape { frames, sample_rate, .. }, now_s) = (self.shape, self.began.seconds());
        let mut tracker = LagTracker::new(frames, sample_rate, now_s);
        let playhead = PlayheadSim::new(frames, sample_rate, now_s);
        for (t, event) in &self.events {
            let (now_s, playhead) = (t.seconds(), playhead.frame(t.seconds()));
            match event {
                StreamEvent::Tick(_) => drop(tracker.on_tick(now_s, playhead)),
                StreamEvent::Slice(header, _) => {
                    let arrival = Arrival {
                        start: header.start,
                        frames: header.frames,
                        playhead,
                        tick_ms: f64::from(header.tick_ms),
                        dec_ms: f64::from(header.dec_ms),
                        generations: header.generations,
                    };
                    tracker.on_slice(now_s, arrival);
                }
            }
        }
        tracker
    }

    /// What was heard of them.
    fn measure(&self) -> HeardReport {
        let BufferShape { frames, sample_rate, .. } = self.shape;
        let rule = HeardRule::new(3.0, BehindRule::default());
        let mut meter = HeardMeter::new(self.began, frames, sample_rate, rule, false);
        for (t, event) in &self.events {
            match event {
                StreamEvent::Tick(report) => meter.on_report(*t, report, None),
                StreamEvent::Slice(header, len) => {
                    meter.on_slice(*t, header.start.into(), header.frames.into(), (*len).into());
                }
            }
        }
        meter.report(self.began)
    }
}

/// The packed columns of all checkpoints.
fn columns(capture: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut columns = Vec::new();
    let mut records = Records::new(capture);
    while let Some(record) = records.next_record()? {
        if let Body::Checkpoint(checkpoint) = record.body {
            columns.push(checkpoint.rows.as_bytes().to_vec());
        }
    }
    Ok(columns)
}

fn report(engine: &Engine) -> Result<LagReport> {
    let (_, last) = engine.facts().span.context("the capture is empty")?;
    engine.report(last, &ReportArgs::default()).context("the capture has no buffer")
}

/// Reads and verifies every record and looks at none.
pub fn scan(capture: &[u8]) -> Result<u64> {
    let mut records = Records::new(capture);
    let mut count = 0;
    while records.next_record()?.is_some() {
        count += 1;
    }
    Ok(count)
}
