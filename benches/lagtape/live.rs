//! How near sessions over sockets come to the same ones on the virtual clock, and a replay in real time
//! to what it replays.
//!
//! Neither is a matter of speed, but both need a machine that has time when a message is due, so no
//! test depends on them. The virtual clock itself is held to account by tests.

use std::future::pending;
use std::path::Path;

use anyhow::{Context, Result};
use lagtape::app::{
    self, BackendVerb, BusPort, DiffVerb, RecordVerb, RecordedSession, Replayed, SessionSource,
    SimulateVerb,
};
use lagtape::edge::replay::ServeOptions;
use lagtape::lag::LagReport;
use lagtape::peer::client::Dialect;
use lagtape::peer::client_model::ClientModel;
use lagtape::peer::incident::Trouble;
use lagtape::peer::server::BUILT_IN;
use lagtape::report::Analysis;
use lagtape::time::Span;
use tokio::sync::oneshot;

use crate::harness::Bench;

/// Troubles whose stale ticks hang on the phase between windows and buckets are left out: two runs of
/// the same backend differ there as much as socket and simulation do.
const INCIDENTS: [&str; 3] = ["healthy", "stall", "behind"];
const LENGTH: Span = Span(11_000_000_000);
const LOOP_S: f64 = 8.0;
const SEED: u64 = 5;

/// Measures both.
pub fn run(bench: &mut Bench) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let incidents = if bench.effort.quick { &INCIDENTS[..1] } else { &INCIDENTS[..] };
    for incident in incidents {
        bench.doing(&format!("recording 11 s of {incident} over a socket"));
        let folder = bench.folder.path();
        let socket = runtime.block_on(record_backend(incident, &folder.join("socket.lagtape")))?;
        let simulated = simulate(incident, &folder.join("simulated.lagtape"))?;
        let (socket, simulated) = (figures(&socket)?, figures(&simulated)?);
        bench
            .note(&format!("{incident}: {socket} over a socket, {simulated} on the virtual clock"));
    }
    bench.doing("replaying a recording in real time");
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/healthy.lagtape");
    let again = bench.folder.path().join("again.lagtape");
    let (replayed, session) = runtime.block_on(record_replay(&capture, &again))?;
    let late_ms = replayed.divergence.context("nobody came")?.time.late_mean_ms;
    let is_same = app::diff(&capture, &again, &DiffVerb::default())?.judgement.same;
    let original = figures(&app::analyze(&capture, &app::AnalyzeOptions::default())?)?;
    bench.note(&format!(
        "healthy.lagtape: {original}; replayed, with messages {late_ms:.2} ms late on average: {}, {}",
        figures(&session.analysis)?,
        if is_same { "the same to diff" } else { "not the same to diff" }
    ));
    Ok(())
}

/// What is compared of a report.
fn figures(analysis: &Analysis) -> Result<String> {
    let LagReport { slices, ticks, .. } = analysis.lag.as_ref().context("no lag report")?;
    let lead_s = slices.lead_s.context("no slices")?.p50;
    let (stale, behind) = (ticks.stale_ticks, slices.behind_playhead);
    Ok(format!("lead p50 {lead_s:.4} s, {stale} ticks stale, {behind} slices behind"))
}

/// Records a session of a backend in that trouble. The client reports no leads, so that the server
/// does not answer the machine's own delays with more lead.
async fn record_backend(incident: &str, out: &Path) -> Result<Analysis> {
    let trouble: Trouble = incident.parse().expect("an incident of this name");
    let listen = "127.0.0.1:0".parse()?;
    let backend = BackendVerb {
        needs_pcm: false,
        family: lagtape::family::Family::Acestep,
        listen,
        bus: BusPort::Off,
        trouble,
        seed: SEED,
        loop_s: LOOP_S,
        channels: 1,
        audio: None,
    };
    let (address, listening) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        // A dropped sender stops it too.
        let _ = stopped.await;
    };
    // Whoever listened no longer has ended with an error of its own.
    let tell = |at| _ = address.send(at);
    let serving = app::backend(backend, stopped, tell, |_| ());
    let recording = async {
        let verb = RecordVerb {
            out: Some(out.to_owned()),
            force: true,
            source: SessionSource::Fixture(BUILT_IN.to_owned()),
            dialect: Dialect::Legacy,
            run_for: Some(LENGTH),
            ..RecordVerb::new(format!("ws://{}", listening.await?.address))
        };
        let session = app::record(verb, pending(), ()).await;
        drop(stop);
        anyhow::Ok(session?.analysis)
    };
    let (served, analysis) = tokio::join!(serving, recording);
    served?;
    analysis
}

/// The same session on a virtual clock.
fn simulate(incident: &str, out: &Path) -> Result<Analysis> {
    app::simulate(&SimulateVerb {
        family: lagtape::family::Family::Acestep,
        trouble: incident.parse().expect("an incident of this name"),
        seed: SEED,
        run_for: LENGTH,
        loop_s: LOOP_S,
        channels: 1,
        client: ClientModel::Lagtape,
        params_hz: None,
        dialect: Some(Dialect::Legacy),
        rate: None,
        script: Vec::new(),
        out: out.to_owned(),
        force: true,
    })
}

/// Replays a capture to a recording client, at the rate at which it was recorded.
async fn record_replay(capture: &Path, out: &Path) -> Result<(Replayed, RecordedSession)> {
    let (address, listening) = oneshot::channel();
    let listen = "127.0.0.1:0".parse()?;
    let tell = |at: app::Listening| _ = address.send(at.address);
    let options = ServeOptions::new(capture.to_owned());
    let serving = app::replay(options, listen, pending(), tell, |_| ());
    let recording = async {
        let verb = RecordVerb {
            out: Some(out.to_owned()),
            source: SessionSource::Fixture("x.wav".to_owned()),
            dialect: Dialect::Legacy,
            ..RecordVerb::new(format!("ws://{}", listening.await?))
        };
        app::record(verb, pending(), ()).await
    };
    let (replayed, session) = tokio::join!(serving, recording);
    Ok((replayed?, session?))
}
