//! Both halves over real sockets: `record` against `backend`, for every incident at once.

use std::path::{Path, PathBuf};

use lagtape::app::{self, AnalyzeOptions, BackendVerb, RecordVerb, SessionSource};
use lagtape::family::Family;
use lagtape::peer::client::{DEFAULT_PARAMS_HZ, Dialect};
use lagtape::peer::incident::{self, Trouble};
use lagtape::peer::server::BUILT_IN;
use lagtape::report::Analysis;
use lagtape::time::Span;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::checkpoint::check_indexed;
use crate::promises::measured;

/// Long enough for troubles that begin after 6 s to show.
const LENGTH: Span = Span(11_000_000_000);
const LOOP_S: f64 = 8.0;
const SEED: u64 = 5;

/// Records a session of a backend in that trouble and returns the live report.
async fn record_socket(incident: &'static str, out: PathBuf) -> Analysis {
    let trouble: Trouble = incident.parse().unwrap();
    let client = trouble.setup().client;
    let backend = BackendVerb {
        family: Family::Acestep,
        needs_pcm: false,
        bus: app::BusPort::Off,
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
        |ports| address.send(ports.address).unwrap(),
        |_| (),
    );
    let recording = async {
        let verb = RecordVerb {
            out: Some(out),
            source: SessionSource::Fixture(BUILT_IN.to_owned()),
            set: client.config,
            params_hz: client.params_hz.unwrap_or(DEFAULT_PARAMS_HZ),
            dialect: Dialect::Modern,
            rate: client.rate,
            script: client.script,
            run_for: Some(LENGTH),
            ..RecordVerb::new(format!("ws://{}", listening.await.unwrap()))
        };
        let session = app::record(verb, std::future::pending(), ()).await.unwrap();
        drop(stop);
        session.analysis
    };
    let (served, analysis) = tokio::join!(serving, recording);
    served.unwrap();
    analysis
}

/// Records the incidents at the same time, each over a socket of its own.
async fn record_all(incidents: &[&'static str], folder: &Path) -> Vec<Analysis> {
    let sessions: Vec<_> = incidents
        .iter()
        .map(|incident| tokio::spawn(record_socket(incident, folder.join(incident))))
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
    let of_acestep = incident::ALL.iter().filter(|i| i.families.contains(&Family::Acestep));
    let names: Vec<_> = of_acestep.map(|incident| incident.name).collect();
    for (live, name) in record_all(&names, folder.path()).await.iter().zip(names) {
        let offline = app::analyze(&folder.path().join(name), &AnalyzeOptions::default()).unwrap();
        assert_eq!(
            serde_json::to_string(&live).unwrap(),
            serde_json::to_string(&offline).unwrap(),
            "{name}: live and offline reports differ"
        );
        assert!(live.complete && live.slices > 0, "{name}");
        measured(1, "incidents with the same JSON live and offline");
        let proof = check_indexed(&folder.path().join(name));
        assert!(proof.audio_proven > 0, "{name}: {proof:?}");
    }
}
