//! Sessions to measure with, simulated once in each run.

use anyhow::{Context, Result};
use lagtape::app::SimulateVerb;
use lagtape::capture::{ClientKind, Header, Record};
use lagtape::engine::{Engine, Options};
use lagtape::peer::client::Dialect;
use lagtape::peer::simulation::{SimulationOptions, simulate};
use lagtape::scenario::columns::{Columns, ColumnsBuilder};
use lagtape::scenario::model::{Trace, Tracer};
use lagtape::time::{Nanos, Span};

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
    let mut header = Header::new("bench", Nanos(0));
    header.client = ClientKind::Headless;
    let ended = simulate(options, header, &mut see).ended;
    let columns = columns.finish(&engine, ended).context("the session has no buffer")?;
    Ok(ForSweeps { columns, trace: tracer.finish()? })
}
