//! Both halves over real sockets: `record` against `backend`, for every incident at once.

use std::path::{Path, PathBuf};

use lagtape::app::{self, AnalyzeOptions, BackendVerb, RecordVerb, SessionSource, SimulateVerb};
use lagtape::lag::LagReport;
use lagtape::peer::client::Dialect;
use lagtape::peer::incident::{self, Trouble};
use lagtape::peer::server::BUILT_IN;
use lagtape::report::Analysis;
use lagtape::time::Span;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::checkpoint::check_indexed;

/// Long enough for troubles that begin after 6 s to show.
const LENGTH: Span = Span(11_000_000_000);
const LOOP_S: f64 = 8.0;
const SEED: u64 = 5;

/// Records a session of a backend in that trouble and returns the live report.
async fn record_socket(incident: &'static str, dialect: Dialect, out: PathBuf) -> Analysis {
    let trouble: Trouble = incident.parse().unwrap();
    let client = trouble.setup().client;
    let backend = BackendVerb {
        listen: "127.0.0.1:0".parse().unwrap(),
        trouble,
        seed: SEED,
        loop_s: LOOP_S,
        channels: 1,
        audio: None,
    };
    let (address, listening) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = app::backend(
        backend,
        async {
            // A dropped sender stops it too.
            let _ = stopped.await;
        },
        |at| address.send(at).unwrap(),
        |_| (),
    );
    let recording = async {
        let verb = RecordVerb {
            out: Some(out),
            source: SessionSource::Fixture(BUILT_IN.to_owned()),
            set: client.config,
            params_hz: client.params_hz,
            dialect,
            rate: client.rate,
            script: client.script,
            run_for: Some(LENGTH),
            ..RecordVerb::new(format!("ws://{}", listening.await.unwrap()))
        };
        let session = app::record(verb, std::future::pending(), |_, _| ()).await.unwrap();
        drop(stop);
        session.analysis
    };
    let (served, analysis) = tokio::join!(serving, recording);
    served.unwrap();
    analysis
}

/// The same session on a virtual clock.
fn simulate(incident: &str, dialect: Dialect, out: PathBuf) -> Analysis {
    let verb = SimulateVerb {
        trouble: incident.parse().unwrap(),
        seed: SEED,
        run_for: LENGTH,
        loop_s: LOOP_S,
        channels: 1,
        params_hz: None,
        dialect,
        rate: None,
        script: Vec::new(),
        out,
        force: false,
    };
    app::simulate(&verb).unwrap()
}

/// Records the incidents at the same time, each over a socket of its own.
async fn record_all(incidents: &[&'static str], dialect: Dialect, folder: &Path) -> Vec<Analysis> {
    let sessions: Vec<_> = incidents
        .iter()
        .map(|incident| tokio::spawn(record_socket(incident, dialect, folder.join(incident))))
        .collect();
    let mut analyses = Vec::new();
    for session in sessions {
        analyses.push(session.await.unwrap());
    }
    analyses
}

#[tokio::test(flavor = "multi_thread")]
async fn live_is_offline_for_every_incident() {
    let folder = TempDir::new().unwrap();
    let names: Vec<_> = incident::ALL.iter().map(|incident| incident.name).collect();
    for (live, name) in record_all(&names, Dialect::Modern, folder.path()).await.iter().zip(names) {
        let offline = app::analyze(&folder.path().join(name), &AnalyzeOptions::default()).unwrap();
        assert_eq!(
            serde_json::to_string(&live).unwrap(),
            serde_json::to_string(&offline).unwrap(),
            "{name}: live and offline reports differ"
        );
        assert!(live.complete && live.slices > 0, "{name}");
        let proof = check_indexed(&folder.path().join(name));
        assert!(proof.audio_proven > 0, "{name}: {proof:?}");
    }
}

/// Sockets share the machine with whatever else runs on it: of three attempts one has to agree, and
/// an attempt in which even the healthy session came late says nothing. The client reports no leads,
/// so that the server does not answer the machine's own delays with more lead. Troubles whose stale ticks
/// hang on the phase between windows and buckets are left out: two runs of the same backend differ
/// there as much as socket and simulation do.
#[tokio::test(flavor = "multi_thread")]
async fn sockets_and_virtual_clock_agree() {
    let names = ["healthy", "stall", "behind"];
    let mut apart = Vec::new();
    for _ in 0..3 {
        let folder = TempDir::new().unwrap();
        let sockets = record_all(&names, Dialect::Legacy, folder.path()).await;
        let simulated: Vec<_> = names
            .iter()
            .map(|name| {
                let out = folder.path().join(format!("{name}.simulated"));
                simulate(name, Dialect::Legacy, out)
            })
            .collect();
        if !kept_time(&sockets[0], &simulated[0]) {
            continue;
        }
        let pairs = sockets.iter().zip(&simulated).zip(names);
        let found: Vec<_> = pairs
            .filter_map(|((socket, simulated), name)| {
                disagreement(socket, simulated).map(|what| format!("{name}: {what}"))
            })
            .collect();
        if found.is_empty() {
            return;
        }
        apart.push(found);
    }
    assert!(apart.is_empty(), "{apart:?}");
    eprintln!("SKIPPED: the machine was too busy to keep a socket's time, three times over");
}

/// Whether a healthy session over a socket ticked and was served as steadily as a simulated one.
fn kept_time(socket: &Analysis, simulated: &Analysis) -> bool {
    let p95 = |analysis: &Analysis| {
        let interval = analysis.lag.as_ref().and_then(|lag| lag.slices.interval_s);
        interval.map_or(f64::INFINITY, |interval| interval.p95)
    };
    let ticked = socket.ticks as f64 >= simulated.ticks as f64 * 0.98;
    ticked && p95(socket) < p95(simulated) * 1.1
}

/// Where the reports of a socket and of the virtual clock are further apart than 30 ms of lead, or
/// a tenth of the counts.
fn disagreement(socket: &Analysis, simulated: &Analysis) -> Option<String> {
    let (socket, simulated) = (socket.lag.as_ref()?, simulated.lag.as_ref()?);
    let p50 = |lag: &LagReport| lag.slices.lead_s.map_or(f64::NAN, |lead| lead.p50);
    let (lead_s, expected_s) = (p50(socket), p50(simulated));
    let lead_agrees = (lead_s - expected_s).abs() < 0.03;
    if !lead_agrees {
        return Some(format!("lead p50 {lead_s} s, simulated {expected_s} s"));
    }
    let counts = [
        ("stale ticks", socket.ticks.stale_ticks, simulated.ticks.stale_ticks),
        ("slices behind", socket.slices.behind_playhead, simulated.slices.behind_playhead),
    ];
    counts.into_iter().find_map(|(what, found, expected)| {
        let most = (expected as f64 * 0.1).max(4.0);
        let is_apart = found.abs_diff(expected) as f64 > most;
        is_apart.then(|| format!("{found} {what}, simulated {expected}"))
    })
}
