//! The wind tunnel of a page: the settings of knobs that a recording can answer, computed beforehand.

use std::fmt;
use std::io::Read;
use std::ops::ControlFlow;

use super::request::{MOST_RUNS, PageRequest, TunnelRuns};
use crate::capture::Salvage;
use crate::lag::{ReportArgs, ReportArgsError};
use crate::report::page::tunnel::{Setting, Tunnel, TunnelKnob};
use crate::report::what_if::ModelUse;
use crate::report::{Analysis, DamageReport};
use crate::scenario::Scenario;
use crate::scenario::answer::{AskOptions, Recording, RecordingBuilder};
use crate::sweep::axis::{Axis, AxisError, Point, points};
use crate::sweep::{ThreadsError, answer_all};

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

/// Length of a step of the curves of a session that lasts so long.
#[must_use]
pub fn curve_step_s(length_s: f64) -> f64 {
    (length_s / CURVE_STEPS).max(SHORTEST_STEP_S)
}

/// The wind tunnel of the capture of this name, or why it has none.
pub fn tunnel<R: Read, E: fmt::Display>(
    open: impl Fn() -> Result<Salvage<R>, E>,
    name: &str,
    request: &PageRequest,
    knobs: Option<usize>,
    analysis: &Analysis,
) -> Tunnel {
    let step_s = curve_step_s(analysis.report_at_s);
    let runs = knobs.or(TunnelRuns::Affordable.of(analysis.report_at_s)).unwrap_or(MOST_RUNS);
    let mut tunnel =
        Tunnel { model: None, why_not: None, step_s, runs, given: None, knobs: Vec::new() };
    let recording = recording(open, request).map_err(|why| format!("cannot replay {name}: {why}"));
    let turned = recording.and_then(|recording| {
        let fitted = recording.fitted();
        tunnel.model = fitted.as_ref().ok().map(|fitted| ModelUse::of(fitted).sentence());
        tunnel.why_not = fitted.as_ref().err().map(ToString::to_string);
        turn(&recording, request, &tunnel, knobs.is_some(), analysis.report_at_s)
            .map_err(|error| error.to_string())
    });
    match turned {
        Ok((knobs, given)) => (tunnel.knobs, tunnel.given) = (knobs, given),
        Err(why) => tunnel.why_not = Some(why),
    }
    tunnel
}

/// The recording of a whole capture, or why there is none.
fn recording<R: Read, E: fmt::Display>(
    open: impl Fn() -> Result<Salvage<R>, E>,
    request: &PageRequest,
) -> Result<Recording, String> {
    let mut records = open().map_err(|error| format!("{error:#}"))?;
    let mut recording = RecordingBuilder::default();
    while let Some(record) = records.next_record().map_err(|error| error.to_string())? {
        recording.handle(&record);
    }
    if let Some(damage) = DamageReport::of(records.losses()) {
        return Err(damage.reason);
    }
    recording.finish().map_err(|why| why.worded(request.wording))
}

/// How a setting of the wind tunnel is asked for.
#[must_use]
pub fn ask_options(request: &PageRequest, runs: usize, step_s: f64) -> AskOptions {
    AskOptions {
        members: runs.max(1),
        report: ReportArgs { timeline_step_s: Some(step_s), ..request.report },
        wording: request.wording,
        ..AskOptions::default()
    }
}

/// Why no setting can be computed.
#[derive(Debug, thiserror::Error)]
enum TunnelError {
    #[error(transparent)]
    Axis(#[from] AxisError),
    #[error(transparent)]
    Args(#[from] ReportArgsError),
    #[error(transparent)]
    Threads(#[from] ThreadsError),
}

/// All settings of all knobs that this recording can answer, and the scenario that was given.
fn turn(
    recording: &Recording,
    request: &PageRequest,
    tunnel: &Tunnel,
    has_knobs: bool,
    at_s: f64,
) -> Result<(Vec<TunnelKnob>, Option<Setting>), TunnelError> {
    let modelled = MODELLED.iter().filter(|_| tunnel.model.is_some());
    let knobs = [RATE].iter().chain(modelled).filter(|_| has_knobs);
    let axes = knobs.map(|(name, values)| Axis::parse(name, values));
    let axes = axes.collect::<Result<Vec<_>, _>>()?;
    let settings = axes.iter().map(|axis| points(&Scenario::default(), std::slice::from_ref(axis)));
    let mut settings = settings.collect::<Result<Vec<Vec<Point>>, _>>()?.concat();
    let given = request.what_if.iter().map(|given| given.scenario.clone());
    settings.extend(given.map(|scenario| Point { values: Vec::new(), scenario }));
    let options = ask_options(request, tunnel.runs, tunnel.step_s);
    options.report.check(at_s)?;
    let prepared = [(0, recording.prepare(options))];
    let go_on = |_, _| ControlFlow::Continue(());
    let rows = answer_all(&prepared, &settings, request.threads, &go_on)?.unwrap_or_default();
    let mut rows = rows.as_slice();
    let knob = |axis: &Axis| {
        let (of_knob, rest) = rows.split_at(axis.values.len().min(rows.len()));
        rows = rest;
        TunnelKnob::of(axis.knob, recording.recorded(axis.knob), of_knob, at_s)
    };
    let knobs = axes.iter().map(knob).collect();
    let given = request.what_if.as_ref().zip(rows.first());
    Ok((knobs, given.map(|(given, row)| Setting::given(&given.name, row, at_s))))
}
