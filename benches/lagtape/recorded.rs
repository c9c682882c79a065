//! Sessions to measure with, simulated once in each run.

use anyhow::{Context, Result};
use lagtape::app::SimulateVerb;
use lagtape::capture::{
    Body, ClientKind, Direction, Header, Message, Opcode, Record, Records, SyncMarker, Writer,
};
use lagtape::engine::{Engine, Options};
use lagtape::peer::client::Dialect;
use lagtape::peer::simulation::{SimulationOptions, simulate};
use lagtape::scenario::columns::{Columns, ColumnsBuilder};
use lagtape::scenario::model::{Trace, Tracer};
use lagtape::time::{Nanos, Span};

/// Knobs that a client repeats in each report: with them it is as long as upstream's, 570 bytes.
const KNOBS: usize = 20;

/// A healthy session as the verb `simulate` makes it, but that the server never idles.
pub fn healthy(minutes: u64, loop_s: f64, params_hz: f64) -> Result<SimulationOptions> {
    let verb = SimulateVerb {
        trouble: "healthy".parse().expect("an incident of this name"),
        seed: 1,
        run_for: Span(minutes * 60_000_000_000),
        loop_s,
        channels: 2,
        params_hz: Some(params_hz),
        dialect: Dialect::Modern,
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

fn header() -> Header {
    let mut header = Header::new("bench", Nanos(0));
    header.client = ClientKind::Headless;
    header
}

/// Simulates a session into a capture.
pub fn capture(options: SimulationOptions) -> Vec<u8> {
    let mut writer = Writer::new(SyncMarker::derive(b"bench"));
    let mut bytes = Vec::new();
    writer.begin(&mut bytes);
    simulate(options, header(), &mut |record| writer.write(record, &mut bytes));
    bytes
}

/// The same capture without any text but what the handshake needs.
pub fn without_text(capture: &[u8]) -> Result<Vec<u8>> {
    let mut writer = Writer::new(SyncMarker::derive(b"bench"));
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
