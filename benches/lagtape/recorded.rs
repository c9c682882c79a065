//! Sessions to measure with, simulated once in each run.
//!
//! A long capture is a minute of one again and again with later times.

use std::fs::File;
use std::io::{BufWriter, IntoInnerError, Write};
use std::path::Path;

use anyhow::{Context, Result};
use lagtape::app::{LIVE_TRACKER_BOUND, SimulateVerb};
use lagtape::capture::{
    Body, ClientKind, Direction, Header, Message, Opcode, Record, Records, SyncMarker, Writer,
};
use lagtape::checkpoint::{CheckpointLog, Checkpointer};
use lagtape::engine::{Engine, Options};
use lagtape::family::Family;
use lagtape::peer::client::Dialect;
use lagtape::peer::client_model::ClientModel;
use lagtape::peer::simulation::{SimulationOptions, simulate};
use lagtape::scenario::answer::{Recording, RecordingBuilder};
use lagtape::scenario::columns::{Columns, ColumnsBuilder};
use lagtape::scenario::model::{Trace, Tracer};
use lagtape::time::{Nanos, Span};

/// Knobs that a client repeats in each report: with them it is as long as upstream's, 570 bytes.
const KNOBS: usize = 20;

const MINUTE_NS: u64 = 60_000_000_000;

/// The sync marker of all captures here.
pub fn marker() -> SyncMarker {
    SyncMarker::derive(b"bench")
}

/// A healthy session of a refined loop.
pub fn healthy(minutes: u64, loop_s: f64, params_hz: f64) -> Result<SimulationOptions> {
    of_family(Family::Acestep, minutes, loop_s, params_hz)
}

/// A healthy session as the verb `simulate` makes it, but that the server never idles.
pub fn of_family(
    family: Family,
    minutes: u64,
    loop_s: f64,
    params_hz: f64,
) -> Result<SimulationOptions> {
    with_trouble("healthy", family, minutes, loop_s, params_hz)
}

/// The same with trouble of that name.
pub fn with_trouble(
    trouble: &str,
    family: Family,
    minutes: u64,
    loop_s: f64,
    params_hz: f64,
) -> Result<SimulationOptions> {
    let verb = SimulateVerb {
        family,
        trouble: trouble.parse().expect("an incident of this name"),
        seed: 1,
        run_for: Span(minutes * 60_000_000_000),
        loop_s,
        channels: 2,
        client: ClientModel::Lagtape,
        params_hz: Some(params_hz),
        dialect: Some(Dialect::Modern),
        rate: None,
        script: Vec::new(),
        out: "bench.lagtape".into(),
        force: false,
    };
    let mut options = verb.options()?;
    options.server.policy.idle.after_s = None;
    let knobs = (0..KNOBS).map(|i| (format!("knob_number_{i}"), (0.25 + i as f64 / 64.0).into()));
    options.client.knobs = knobs.collect();
    Ok(options)
}

/// A session as a sweep needs it.
pub struct ForSweeps {
    pub columns: Columns,
    pub trace: Trace,
}

/// Simulates a session, of which nothing but headers and ticks is kept.
pub fn for_sweeps(options: SimulationOptions) -> Result<ForSweeps> {
    let mut engine = Engine::new(Options { headers_only: true, ..Options::default() });
    let (mut columns, mut tracer) = (ColumnsBuilder::new(), Tracer::new());
    let mut see = |record: &Record<'_>| {
        engine.handle(record);
        columns.see(&engine, record);
        tracer.handle(record);
    };
    let ended = simulate(options, header(), &mut see).ended;
    let columns = columns.finish(&engine, ended).context("the session has no buffer")?;
    Ok(ForSweeps { columns, trace: tracer.finish()? })
}

/// Simulates a session, to be asked what would have been.
pub fn for_questions(options: SimulationOptions) -> Result<Recording> {
    let mut recording = RecordingBuilder::default();
    simulate(options, header(), &mut |record| recording.handle(record));
    Ok(recording.finish()?)
}

fn header() -> Header {
    let mut header = Header::new("bench", Nanos(0));
    header.client = ClientKind::Headless;
    header
}

/// Simulates a session into a capture.
pub fn capture(options: SimulationOptions) -> Vec<u8> {
    let mut writer = Writer::new(marker());
    let mut bytes = Vec::new();
    writer.begin(&mut bytes);
    simulate(options, header(), &mut |record| writer.write(record, &mut bytes));
    bytes
}

/// Writes records as a live recording does, with checkpoints between them.
pub struct Woven {
    writer: Writer,
    checkpointer: Checkpointer,
}

impl Woven {
    /// Before the header.
    pub fn new() -> Self {
        Woven { writer: Writer::new(marker()), checkpointer: Checkpointer::new(marker()) }
    }

    /// Appends a record, after the checkpoint that is due before it.
    pub fn write(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.checkpointer.before(record, out);
        let begins_at = out.len();
        if record.seq == 0 {
            self.writer.begin(out);
        }
        self.writer.write(record, out);
        self.checkpointer.after(record, out.len() - begins_at);
    }
}

/// The same with checkpoints of an engine that follows the session, as a live client's does.
pub struct Witnessed {
    writer: Writer,
    log: Option<CheckpointLog>,
    engine: Engine,
}

impl Witnessed {
    /// Before the header; with checkpoints, or as if the file had none.
    pub fn new(with_checkpoints: bool) -> Self {
        let options = Options { audio_crc: with_checkpoints, ..live_options() };
        let log = with_checkpoints.then(|| CheckpointLog::new(marker()));
        Witnessed { writer: Writer::new(marker()), log, engine: Engine::new(options) }
    }

    /// Appends a record, after the checkpoint that is due before it, and shows it to the engine.
    pub fn write(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        if let Some(log) = &mut self.log {
            log.before(record, &self.engine, out);
        }
        let begins_at = out.len();
        if record.seq == 0 {
            self.writer.begin(out);
        }
        self.writer.write(record, out);
        self.engine.handle(record);
        if let Some(log) = &mut self.log {
            log.after(record, out.len() - begins_at, &self.engine);
        }
    }
}

/// What the engine of a live client keeps.
fn live_options() -> Options {
    Options { tracker_bound: Some(LIVE_TRACKER_BOUND), ..Options::default() }
}

/// Shows the records of so many minutes: what came after the initial buffer again and again.
pub fn repeat(minute: &[u8], minutes: u64, see: &mut dyn FnMut(&Record<'_>)) -> Result<()> {
    let mut origin = None;
    let mut seq = 0;
    for number in 0..minutes {
        let mut records = Records::new(minute);
        while let Some(record) = records.next_record()? {
            let is_repeated = origin.is_some_and(|origin| record.t > origin);
            if (number > 0 && !is_repeated) || matches!(record.body, Body::End(_)) {
                continue;
            }
            if let Body::Message(message) = &record.body
                && is_from_server(message)
            {
                origin.get_or_insert(record.t);
            }
            see(&Record { seq, t: Nanos(record.t.0 + number * MINUTE_NS), ..record });
            seq += 1;
        }
    }
    Ok(())
}

/// Writes a capture of so many minutes, as a live recording would have.
pub fn write_long(minute: &[u8], minutes: u64, path: &Path) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let (mut woven, mut bytes, mut written) = (Woven::new(), Vec::new(), Ok(()));
    let mut last = Nanos(0);
    repeat(minute, minutes, &mut |record| {
        woven.write(record, &mut bytes);
        last = record.t;
        if written.is_ok() {
            written = file.write_all(&bytes);
        }
        bytes.clear();
    })?;
    written?;
    let body = Body::End(woven.writer.end(None));
    let end = Record { seq: woven.writer.next_seq(), t: last, conn: 0, body };
    woven.write(&end, &mut bytes);
    file.write_all(&bytes)?;
    // Else the kernel writes it while it is measured how fast it is read.
    Ok(file.into_inner().map_err(IntoInnerError::into_error)?.sync_all()?)
}

/// The same capture without any text but what the handshake needs.
pub fn without_text(capture: &[u8]) -> Result<Vec<u8>> {
    let mut writer = Writer::new(marker());
    let mut bytes = Vec::new();
    writer.begin(&mut bytes);
    let mut begun = false;
    let mut records = Records::new(capture);
    while let Some(record) = records.next_record()? {
        if let Body::Message(message) = &record.body {
            begun |= is_from_server(message);
            if begun && message.opcode == Opcode::Text {
                continue;
            }
        }
        writer.write(&Record { seq: writer.next_seq(), ..record }, &mut bytes);
    }
    Ok(bytes)
}

/// The binary messages of the server: the initial buffer, then slices.
pub fn binaries(capture: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut binaries = Vec::new();
    let mut records = Records::new(capture);
    while let Some(record) = records.next_record()? {
        if let Body::Message(message) = &record.body
            && is_from_server(message)
        {
            binaries.push(message.payload.to_vec());
        }
    }
    Ok(binaries)
}

fn is_from_server(message: &Message<'_>) -> bool {
    (message.direction, message.opcode) == (Direction::ServerToClient, Opcode::Binary)
}

/// Replays a capture as `analyze` does, from memory.
pub fn replay(capture: &[u8], options: Options) -> Result<Engine> {
    let mut engine = Engine::new(options);
    let mut records = Records::new(capture);
    while let Some(record) = records.next_record()? {
        engine.handle(&record);
    }
    Ok(engine)
}
