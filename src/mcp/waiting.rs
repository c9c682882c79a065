//! Waiting for something to happen in a live session.
//!
//! A wait ends when the event happens, when its time is over, when its call is cancelled or when the
//! client has gone. It never polls: the session publishes its states.

use std::time::Duration;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{report_args, within};
use super::call::Call;
use crate::app::{LivePhase, LiveSession, LiveState};
use crate::engine::ServerEvent;
use crate::report::Analysis;
use crate::time::Nanos;

/// Default and greatest length of an observation, in seconds.
const FOR_S: (f64, f64) = (20.0, 110.0);
/// Time between two progress notifications.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Most events of an observation.
const EVENTS: usize = 20;

/// What ends an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The stream runs.
    Streaming,
    /// The listener hears lag.
    LagBegins,
    /// The listener hears no lag any more.
    LagEnds,
    /// A slice landed behind the listener.
    SliceBehind,
    /// The session is over.
    Ended,
}

impl Until {
    fn holds(self, state: &LiveState) -> bool {
        match self {
            Until::Streaming => state.phase == LivePhase::Streaming,
            Until::LagBegins => state.lag.is_some(),
            Until::LagEnds => state.phase == LivePhase::Streaming && state.lag.is_none(),
            Until::SliceBehind => state.lead_s.is_some_and(|lead_s| lead_s < 0.0),
            Until::Ended => state.phase == LivePhase::Ended,
        }
    }
}

/// What was observed.
#[derive(Debug)]
pub struct Observation {
    pub happened: Option<bool>,
    /// When the observation began, in seconds from the initial buffer.
    pub from_s: f64,
    /// The analysis at its end; its lag report covers the observation.
    pub analysis: Analysis,
    /// The newest events of that time, …
    pub events: Vec<ServerEvent>,
    /// … and how many there were.
    pub events_total: usize,
}

/// Watches a session for a time, or until something is so.
pub async fn observe(
    session: &LiveSession,
    for_s: Option<f64>,
    until: Option<Until>,
    stale_threshold_s: Option<f64>,
    call: &Call,
) -> Result<Observation> {
    let for_s = within("for_s", for_s.unwrap_or(FOR_S.0), 0.0, FOR_S.1)?;
    let first = session.fresh_state().await;
    let wanted = |state: &LiveState| until.is_some_and(|until| until.holds(state));
    let (last, wait_end) = wait(session, for_s, wanted, call).await;
    if wait_end == WaitEnd::Over {
        bail!("the observation was cancelled; the session goes on");
    }
    let (events, events_total) = session.events(first.at, EVENTS).await;
    let report = report_args(None, stale_threshold_s, None)?;
    let analysis = session.analysis_since(Some(first.at), report).await?;
    let from_s = first.stream_s.unwrap_or(0.0);
    let happened = until.map(|until| wait_end == WaitEnd::Wanted || until.holds(&last));
    Ok(Observation { happened, from_s, analysis, events, events_total })
}

/// Waits until the stream runs, or the session has ended, or the time is over.
pub async fn streaming(session: &LiveSession, wait_s: f64, call: &Call) -> LiveState {
    wait(session, wait_s, |state| state.phase == LivePhase::Streaming, call).await.0
}

/// The events after `since`, as soon as there is one.
pub async fn events_after(
    session: &LiveSession,
    since: Nanos,
    wait_s: f64,
    most: usize,
    call: &Call,
) -> (Vec<ServerEvent>, usize) {
    let mut states = session.states();
    let waited = async {
        loop {
            let (events, total) = session.events(since, most).await;
            if total > 0
                || session.state().phase == LivePhase::Ended
                || states.changed().await.is_err()
            {
                return (events, total);
            }
        }
    };
    tokio::select! {
        seen = waited => seen,
        () = tokio::time::sleep(Duration::from_secs_f64(wait_s)) => session.events(since, most).await,
        () = call.over() => Default::default(),
    }
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitEnd {
    TimeOver,
    /// What was wanted happened.
    Wanted,
    /// The session is over.
    Ended,
    /// The call is over: nobody waits any more.
    Over,
}

async fn wait(
    session: &LiveSession,
    wait_s: f64,
    wanted: impl Fn(&LiveState) -> bool,
    call: &Call,
) -> (LiveState, WaitEnd) {
    let mut states = session.states();
    let timeout = tokio::time::sleep(Duration::from_secs_f64(wait_s));
    tokio::pin!(timeout);
    let mut progress = tokio::time::interval(PROGRESS_EVERY);
    let mut passed_s = 0.0;
    loop {
        let state = states.borrow_and_update().clone();
        if wanted(&state) {
            return (state, WaitEnd::Wanted);
        }
        if state.phase == LivePhase::Ended {
            return (state, WaitEnd::Ended);
        }
        tokio::select! {
            changed = states.changed() => {
                if changed.is_err() {
                    return (state, WaitEnd::Ended);
                }
            }
            () = &mut timeout => return (session.state(), WaitEnd::TimeOver),
            () = call.over() => return (state, WaitEnd::Over),
            _ = progress.tick() => {
                call.progress(passed_s, wait_s.max(passed_s), &line(&state)).await;
                passed_s += PROGRESS_EVERY.as_secs_f64();
            }
        }
    }
}

/// A session in a line.
fn line(state: &LiveState) -> String {
    use crate::report::text::Figure;
    let figure = |value: Option<f64>| value.map_or("–".to_owned(), |v| Figure(v).to_string());
    format!(
        "{} s of stream, lead {} s, staleness {} s{}",
        figure(state.stream_s),
        figure(state.lead_s),
        figure(state.staleness_s),
        if state.lag.is_some() { ", LAG" } else { "" }
    )
}
