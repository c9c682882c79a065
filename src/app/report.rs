//! `report`: a session, or several, as one page.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;

use super::advice::worded;
use super::analyze::next_commands;
use super::audio::SessionFollower;
use super::collected::collected;
use super::recording::{self, NamedScenario};
use super::what_if::{self, WhatIfVerb};
use crate::edge::output::is_dash;
use crate::engine::{Engine, Options};
use crate::heard::SessionAudio;
use crate::lag::ReportArgs;
use crate::playhead::PlayheadSource;
use crate::report::page::tunnel::{Setting, Tunnel, TunnelKnob};
use crate::report::page::{PageCollector, PageExtras, PageSession, PageSound};
use crate::report::what_if::ModelUse;
use crate::report::{Analysis, wav};
use crate::scenario::Scenario;
use crate::scenario::advice::Wording;
use crate::scenario::answer::{AskOptions, Recording};
use crate::sweep::answer_all;
use crate::sweep::axis::{Axis, Point, points};

/// Steps of a curve of the wind tunnel, about, and the shortest one in seconds.
const CURVE_STEPS: f64 = 150.0;
const SHORTEST_STEP_S: f64 = 0.25;

/// Knobs of the wind tunnel with their settings: what the listener does, then what needs the model.
const RATE: (&str, &str) = ("rate", "0.96,0.98,0.99,0.995,1,1.005,1.01,1.02,1.04");
const MODELLED: [(&str, &str); 6] = [
    ("lead-floor", "0.1,0.25,0.4,0.6,0.8,1,1.5,2,3"),
    ("down", "100KB/s,200KB/s,400KB/s,600KB/s,1MB/s,2MB/s,8MB/s"),
    ("latency", "0,0.02,0.05,0.1,0.2,0.3,0.5"),
    ("tick-factor", "0.25,0.5,0.75,0.9,1,1.25,1.5,2"),
    ("handles-every", "0,0.1,0.25,0.5,1,2"),
    ("params-hz", "2,5,10,20,30,60"),
];

/// Runs of the model for each setting of the wind tunnel, where nobody says how many: so many seconds of
/// session together, and at most so many runs.
const RUN_S: f64 = 480.0;
const MOST_RUNS: usize = 8;

/// How often the model runs for each setting of the wind tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TunnelRuns {
    /// There is no wind tunnel.
    #[default]
    Never,
    /// Eight times, and less often with long sessions.
    Affordable,
    /// So often.
    Exactly(usize),
}

impl TunnelRuns {
    pub(super) fn of(self, length_s: f64) -> Option<usize> {
        match self {
            TunnelRuns::Never => None,
            TunnelRuns::Affordable => {
                let runs = RUN_S / length_s.max(1.0);
                Some((runs as usize).clamp(1, MOST_RUNS))
            }
            TunnelRuns::Exactly(runs) => (runs > 0).then_some(runs),
        }
    }
}

/// What a page shows.
#[derive(Debug, Clone, Default)]
pub struct ReportVerb {
    /// `None`: what suits the client that made the capture.
    pub playhead: Option<PlayheadSource>,
    /// Stale threshold of the report.
    pub report: ReportArgs,
    /// Put in what was heard, and the loop as it stood at the end.
    pub audio: bool,
    /// The wind tunnel.
    pub tunnel: TunnelRuns,
    /// A scenario to lay over what was recorded, with its name.
    pub what_if: Option<NamedScenario>,
    /// Threads; 0 is one for each core.
    pub threads: usize,
    /// How reasons say what to do.
    pub wording: Wording,
}

/// A session for a page; the analysis says what it shows.
pub fn page_session(path: &Path, verb: &ReportVerb) -> Result<(PageSession, Analysis)> {
    verb.report.check(0.0)?;
    let options = Options {
        playhead: verb.playhead,
        stale_threshold_s: verb.report.stale_threshold_s,
        headers_only: false,
        ..Options::default()
    };
    let begin = || (PageCollector::default(), verb.audio.then(|| SessionFollower::new(None)));
    let (replay, (collected, follower), playheads) =
        collected(path, &options, begin, |(collected, follower), engine, record| {
            follower.iter_mut().for_each(|follower| follower.before(engine, record));
            engine.handle(record);
            collected.see(engine, record);
        })?;
    let heard = follower.and_then(|follower| follower.end(&replay.engine, replay.at));
    let about = replay.described(path, playheads);
    let analysis = Analysis::of(&replay.engine, about, &verb.report);
    let has_stream = analysis.lag.is_some() && !is_dash(path);
    let runs = verb.tunnel.of(analysis.report_at_s).filter(|_| has_stream);
    let is_asked = has_stream && (runs.is_some() || verb.what_if.is_some());
    let mut sounds = sounds(&replay.engine, heard)?;
    sounds.extend(has_stream.then(|| sound_of_what_if(path, verb)).flatten());
    let extras = PageExtras {
        next: next_commands(&analysis),
        tunnel: is_asked.then(|| tunnel(path, verb, runs, &analysis)),
        sounds,
    };
    let session = PageSession::of(&replay.engine, collected, &analysis, &extras);
    Ok((session, analysis))
}

/// What was heard, second by second, and the loop as it stood at the end.
fn sounds(engine: &Engine, heard: Option<SessionAudio>) -> Result<Vec<PageSound>> {
    let (Some(mirror), Some(heard)) = (engine.mirror(), heard) else { return Ok(Vec::new()) };
    let sound = |label, is_heard, samples: &[f32], channels| {
        let mut file = Cursor::new(Vec::new());
        wav::write(&mut file, samples, channels, engine.sample_rate(), &[])?;
        anyhow::Ok(PageSound::new(label, is_heard, file.into_inner()))
    };
    let channels = heard.channels();
    let heard = sound("as heard", true, &heard.into_samples(), channels)?;
    let buffer = sound("the loop at the end", false, mirror.samples(), mirror.channels())?;
    Ok(vec![heard, buffer])
}

/// What would have been heard; nothing where that is not known.
fn sound_of_what_if(path: &Path, verb: &ReportVerb) -> Option<PageSound> {
    let NamedScenario { name, scenario } = verb.what_if.as_ref().filter(|_| verb.audio)?;
    let asked = WhatIfVerb {
        scenario: scenario.clone(),
        members: MOST_RUNS,
        wording: verb.wording,
        ..WhatIfVerb::default()
    };
    let (_, sound) = what_if::sound(path, &asked).ok()?;
    Some(PageSound::new(&format!("with {name}"), true, sound.wav().ok()?))
}

/// Length of a step of the curves of a session that lasts so long.
pub(super) fn curve_step_s(length_s: f64) -> f64 {
    (length_s / CURVE_STEPS).max(SHORTEST_STEP_S)
}

/// The wind tunnel of a capture, or why it has none.
pub(super) fn tunnel(
    path: &Path,
    verb: &ReportVerb,
    knobs: Option<usize>,
    analysis: &Analysis,
) -> Tunnel {
    let step_s = curve_step_s(analysis.report_at_s);
    let runs = knobs.or(TunnelRuns::Affordable.of(analysis.report_at_s)).unwrap_or(MOST_RUNS);
    let mut tunnel =
        Tunnel { model: None, why_not: None, step_s, runs, given: None, knobs: Vec::new() };
    let turned = recording::read(path, true).and_then(|recording| {
        let fit = recording.model();
        tunnel.model = fit.as_ref().ok().map(|(trace, fit)| ModelUse::of(trace, fit).sentence());
        tunnel.why_not = fit.as_ref().err().map(ToString::to_string);
        turn(&recording, verb, &tunnel, knobs.is_some(), analysis.report_at_s)
    });
    match turned {
        Ok((knobs, given)) => (tunnel.knobs, tunnel.given) = (knobs, given),
        Err(error) => tunnel.why_not = Some(worded(&error, verb.wording)),
    }
    tunnel
}

/// How a setting of the wind tunnel is asked for.
pub(super) fn ask_options(verb: &ReportVerb, runs: usize, step_s: f64) -> AskOptions {
    AskOptions {
        members: runs.max(1),
        report: ReportArgs { timeline_step_s: Some(step_s), ..verb.report },
        wording: verb.wording,
        ..AskOptions::default()
    }
}

/// All settings of all knobs that this recording can answer, and the scenario that was given.
fn turn(
    recording: &Recording,
    verb: &ReportVerb,
    tunnel: &Tunnel,
    has_knobs: bool,
    at_s: f64,
) -> Result<(Vec<TunnelKnob>, Option<Setting>)> {
    let modelled = MODELLED.iter().filter(|_| tunnel.model.is_some());
    let knobs = [RATE].iter().chain(modelled).filter(|_| has_knobs);
    let axes = knobs.map(|(name, values)| Axis::parse(name, values));
    let axes = axes.collect::<Result<Vec<_>, _>>()?;
    let settings = axes.iter().map(|axis| points(&Scenario::default(), std::slice::from_ref(axis)));
    let mut settings = settings.collect::<Result<Vec<Vec<Point>>, _>>()?.concat();
    let given = verb.what_if.iter().map(|given| given.scenario.clone());
    settings.extend(given.map(|scenario| Point { values: Vec::new(), scenario }));
    let options = ask_options(verb, tunnel.runs, tunnel.step_s);
    options.report.check(at_s)?;
    let prepared = [(0, recording.prepare(options))];
    let go_on = |_, _| ControlFlow::Continue(());
    let rows = answer_all(&prepared, &settings, verb.threads, &go_on)?.unwrap_or_default();
    let mut rows = rows.as_slice();
    let knob = |axis: &Axis| {
        let (of_knob, rest) = rows.split_at(axis.values.len().min(rows.len()));
        rows = rest;
        TunnelKnob::of(axis.knob, recording.recorded(axis.knob), of_knob, at_s)
    };
    let knobs = axes.iter().map(knob).collect();
    let given = verb.what_if.as_ref().zip(rows.first());
    Ok((knobs, given.map(|(given, row)| Setting::given(&given.name, row, at_s))))
}
