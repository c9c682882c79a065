//! `record`: a live session into a capture.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::mpsc::Sender;

use anyhow::{Result, anyhow};
use serde_json::{Map, Value, json};

use super::analyze::{AnalyzeOptions, analyze};
use crate::edge;
use crate::edge::record::{Recorded, RecordingWatch};
use crate::edge::recorder::ManualTrigger;
use crate::edge::recorder::{
    FileLayout, RecorderNotice, RecorderOptions, RecorderStatus, SyncPolicy, default_path,
};
use crate::engine::Options;
use crate::family::Family;
use crate::lag::ReportArgs;
use crate::parse::shell;
use crate::peer::client::{ClientOptions, Dialect};
use crate::peer::client_model::ClientModel;
use crate::peer::script::ScriptedOp;
use crate::peer::server::Pcm;
use crate::peer::tune;
use crate::report::{Analysis, CaptureDescription};
use crate::review::next_commands;
use crate::time::{DEFAULT_SAMPLE_RATE, Span};

/// Length of the built-in tune that is uploaded when nothing else is named, in seconds.
const TUNE_S: usize = 24;

/// Slices and ticks of each source buffer that a live report remembers, so that a recording of days
/// does not fill the memory: more than nine hours of ticks at the usual rate.
pub const LIVE_TRACKER_BOUND: usize = 1_000_000;

/// The audio that the session begins with.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum SessionSource {
    /// A built-in tune, uploaded.
    #[default]
    Tune,
    /// A fixture that the server loads.
    Fixture(String),
    /// An audio file, decoded and uploaded.
    File(PathBuf),
    /// None: a session of text alone. To a server that does not know such sessions the tune is
    /// uploaded.
    Text,
}

impl SessionSource {
    /// What is played where nobody names anything: the tune, and nothing of a family that ignores
    /// what a client brings.
    #[must_use]
    pub fn usual(family: Option<Family>) -> SessionSource {
        match family {
            Some(family) if family.ignores_pcm() => SessionSource::Text,
            _ => SessionSource::Tune,
        }
    }
}

/// What to record, and how the client behaves.
#[derive(Debug, Clone)]
pub struct RecordVerb {
    pub url: String,
    /// Further headers of the handshake.
    pub headers: Vec<(String, String)>,
    /// The folder of a capture that `out` does not name.
    pub captures: PathBuf,
    /// The capture, or what the names of its files begin with; `None`: `<UTC>.lagtape` in the folder of
    /// captures, and `incident.lagtape` for a ring.
    pub out: Option<PathBuf>,
    pub force: bool,
    pub keeping: FileLayout,
    /// When they are safe from a power failure.
    pub sync: SyncPolicy,
    /// Stop as soon as the capture would not be all of the session.
    pub strict: bool,
    /// Has the ring of an incident recorder written.
    pub trigger: ManualTrigger,
    /// Hears at once what becomes of the recording.
    pub notices: Option<Sender<RecorderNotice>>,
    pub source: SessionSource,
    pub prompt: Option<String>,
    /// The family of models that is to play; `None`: the server's.
    pub family: Option<Family>,
    /// Further fields of the configuration, which win over all others.
    pub set: Map<String, Value>,
    /// How the position moves, and when it is reported.
    pub client: ClientModel,
    /// Reports a second.
    pub params_hz: f64,
    pub dialect: Dialect,
    pub rate: f64,
    pub script: Vec<ScriptedOp>,
    /// How long to go on after the initial buffer.
    pub run_for: Option<Span>,
    /// How long the server may take until the initial buffer.
    pub ready_timeout: Span,
}

impl RecordVerb {
    /// What of the script the session is not going to show.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let run_for = self.run_for.into_iter();
        run_for.flat_map(|it| self.script.iter().filter_map(move |op| op.left_out(it))).collect()
    }

    /// A plain recording of that server.
    #[must_use]
    pub fn new(url: String) -> Self {
        let client = ClientOptions::default();
        RecordVerb {
            url,
            headers: Vec::new(),
            captures: PathBuf::from("captures"),
            out: None,
            force: false,
            keeping: FileLayout::default(),
            sync: SyncPolicy::default(),
            strict: false,
            trigger: ManualTrigger::default(),
            notices: None,
            source: SessionSource::default(),
            prompt: None,
            family: None,
            set: Map::new(),
            client: ClientModel::default(),
            params_hz: client.params_hz,
            dialect: client.dialect,
            rate: client.rate,
            script: client.script,
            run_for: client.run_for,
            ready_timeout: client.ready_timeout,
        }
    }
}

/// A recording and its report.
#[derive(Debug)]
pub struct RecordedSession {
    /// The report of the live engine: the same bytes that `analyze` prints for the capture, unless the
    /// disk failed and `status` counts lost records. When its disk stopped a strict recording, the
    /// report of the part that was written.
    pub analysis: Analysis,
    /// What the recorder made of it.
    pub status: RecorderStatus,
    /// The capture, its parts, or the incidents that were not deleted.
    pub files: Vec<PathBuf>,
    pub reason: String,
    /// Why the session could not start or broke, in a sentence.
    pub failure: Option<String>,
    /// What was to be written.
    pub keeping: FileLayout,
}

impl RecordedSession {
    /// Commands worth trying now.
    #[must_use]
    pub fn next_commands(&self) -> Vec<String> {
        let capture = &self.analysis.capture;
        match &self.files[..] {
            [file] if file.as_os_str() == capture.as_str() => next_commands(&self.analysis),
            [_, _, ..] if matches!(self.keeping, FileLayout::Parts(_)) => {
                let joined = shell::file(&capture.replace("-*", ""));
                vec![format!("lagtape join {} -o {joined}", pattern(capture))]
            }
            [.., last] => {
                vec![format!("lagtape analyze {}", shell::file(&last.to_string_lossy()))]
            }
            [] => Vec::new(),
        }
    }
}

/// The names of all parts as a shell takes them; the star that stands for their numbers has no quotes.
fn pattern(parts: &str) -> String {
    match parts.rsplit_once("-*") {
        Some((before, "")) => format!("{}-*", shell::file(before)),
        Some((before, after)) => format!("{}-*{}", shell::file(before), shell::word(after)),
        None => shell::file(parts),
    }
}

/// Records a session until it is over or `stop` resolves.
pub async fn record(
    verb: RecordVerb,
    stop: impl Future<Output = ()>,
    watch: impl RecordingWatch,
) -> Result<RecordedSession> {
    let (mut config, upload) = session_of(&verb.source, verb.prompt.as_deref(), &Map::new())?;
    if let Some(family) = verb.family {
        config.insert("backend".to_owned(), json!(family.name()));
    }
    config.extend(verb.set);
    let waits_for_audio = waits_for_audio(&config);
    let traits = verb.client.traits();
    let path = verb.out.map_or_else(|| default_path(&verb.captures, &verb.keeping), Ok)?;
    let keeping = verb.keeping;
    let recorder = RecorderOptions {
        force: verb.force,
        layout: keeping.clone(),
        sync: verb.sync,
        ..RecorderOptions::new(path)
    };
    let options = edge::record::RecordOptions {
        url: verb.url,
        headers: verb.headers,
        recorder,
        strict: verb.strict,
        trigger: verb.trigger,
        notices: verb.notices,
        client: ClientOptions {
            config,
            upload,
            params_hz: verb.params_hz,
            dialect: verb.dialect,
            rate: verb.rate,
            script: verb.script,
            run_for: verb.run_for,
            ready_timeout: verb.ready_timeout,
            position_step: traits.position_step,
            wraps_to_s: traits.wraps_to_s,
            reports_while_paused: traits.reports_while_paused,
            waits_for_audio,
            engine: Options { tracker_bound: Some(LIVE_TRACKER_BOUND), ..Options::default() },
            ..ClientOptions::default()
        },
        metadata: BTreeMap::new(),
    };
    let recorded = edge::record::record(options, stop, watch).await?;
    finished(recorded, verb.strict, keeping)
}

/// The report of a recording that came to its end.
pub(super) fn finished(
    recorded: Recorded,
    strict: bool,
    keeping: FileLayout,
) -> Result<RecordedSession> {
    let analysis = match recorded.files.last() {
        Some(file) if strict && !recorded.is_written => {
            let written = analyze(file, &AnalyzeOptions::default());
            written.map_err(|_| anyhow!(recorded.reason.clone()))?
        }
        _ => live_analysis(&recorded),
    };
    let Recorded { files, status, reason, failure, .. } = recorded;
    Ok(RecordedSession { analysis, status, files, reason, failure, keeping })
}

/// The report of the live engine, as `analyze` makes it of the capture.
#[must_use]
pub fn live_analysis(recorded: &Recorded) -> Analysis {
    let about = CaptureDescription {
        tracker_bound: Some(LIVE_TRACKER_BOUND),
        complete: recorded.is_written,
        ..CaptureDescription::live(recorded.path.display().to_string(), recorded.ended)
    };
    Analysis::of(recorded.client.engine(), about, &ReportArgs::default())
}

/// A binary message of PCM.
pub(super) type PcmMessage = Vec<u8>;

/// The configuration, in which `further` fields win, and, unless the server has the audio, the PCM
/// message that follows it, or may have to.
pub(super) fn session_of(
    source: &SessionSource,
    prompt: Option<&str>,
    further: &Map<String, Value>,
) -> Result<(Map<String, Value>, Option<PcmMessage>)> {
    let mut config = Map::new();
    config.insert("client_id".to_owned(), json!("lagtape"));
    if let Some(prompt) = prompt {
        config.insert("prompt".to_owned(), json!(prompt));
    }
    let upload = match source {
        SessionSource::Fixture(name) => {
            config.insert("fixture_name".to_owned(), json!(name));
            config.insert("use_server_fixture".to_owned(), json!(true));
            None
        }
        SessionSource::Text => {
            config.insert("text_only".to_owned(), json!(true));
            // Without it no server takes text alone, nor says whether it would.
            config.insert("telemetry_version".to_owned(), json!(1));
            Some(tune().to_message())
        }
        SessionSource::Tune => Some(tune().to_message()),
        SessionSource::File(path) => {
            Some(edge::audio_file::load(path, DEFAULT_SAMPLE_RATE)?.to_message())
        }
    };
    config.extend(further.clone());
    Ok((config, upload))
}

/// Whether the listener of the family that a configuration names begins with the first slice: its pages
/// do where the first audio takes long.
pub(super) fn waits_for_audio(config: &Map<String, Value>) -> bool {
    let family = config.get("backend").and_then(Value::as_str).and_then(Family::named);
    family.is_some_and(|family| family.traits().first_audio_s > 0.0)
}

/// The built-in tune.
fn tune() -> Pcm {
    let frames = TUNE_S * DEFAULT_SAMPLE_RATE as usize;
    Pcm::new(2, tune::source(0, frames, 2, DEFAULT_SAMPLE_RATE))
}
