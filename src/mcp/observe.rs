//! Waiting for something to happen in a live session.
//!
//! Enters: a session, what to wait for, how long at most. Leaves: what was seen in exactly that time.
//! A wait ends early when its call is cancelled or the client has gone. It never looks more often than
//! the session has news.

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

/// How long an observation lasts unless it is told, and at most, in seconds.
const FOR_S: (f64, f64) = (20.0, 110.0);
/// Time between two progress notifications.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Events that are looked at.
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
    fn is_so(self, state: &LiveState) -> bool {
        match self {
            Until::Streaming => state.phase == LivePhase::Streaming,
            Until::LagBegins => state.lag.is_some(),
            Until::LagEnds => state.phase == LivePhase::Streaming && state.lag.is_none(),
            Until::SliceBehind => state.lead_s.is_some_and(|lead_s| lead_s < 0.0),
            Until::Ended => state.phase == LivePhase::Ended,
        }
    }
}

/// What was seen.
#[derive(Debug)]
pub struct Seen {
    /// What was awaited happened.
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
) -> Result<Seen> {
    let for_s = within("for_s", for_s.unwrap_or(FOR_S.0), 0.0, FOR_S.1)?;
    let first = session.fresh_state().await;
    let wanted = |state: &LiveState| until.is_some_and(|until| until.is_so(state));
    let (last, ended_early) = wait(session, for_s, wanted, call).await;
    if ended_early == Early::Over {
        bail!("the observation was cancelled; the session goes on");
    }
    let (events, events_total) = session.events(first.at, EVENTS).await;
    let report = report_args(None, stale_threshold_s, None)?;
    let analysis = session.analysis_since(Some(first.at), report).await?;
    let from_s = first.stream_s.unwrap_or(0.0);
    let happened = until.map(|until| ended_early == Early::Wanted || until.is_so(&last));
    Ok(Seen { happened, from_s, analysis, events, events_total })
}

/// Waits until the stream runs, or the session has ended, or the time is over.
pub async fn streaming(session: &LiveSession, wait_s: f64, call: &Call) -> LiveState {
    wait(session, wait_s, |state| state.phase == LivePhase::Streaming, call).await.0
}

/// The events after `since`, as soon as there is one.
pub async fn answers(
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
enum Early {
    /// It did not end early.
    No,
    /// What was wanted is so.
    Wanted,
    /// The session is over.
    Ended,
    /// Nobody waits any more.
    Over,
}

async fn wait(
    session: &LiveSession,
    wait_s: f64,
    wanted: impl Fn(&LiveState) -> bool,
    call: &Call,
) -> (LiveState, Early) {
    let mut states = session.states();
    let timeout = tokio::time::sleep(Duration::from_secs_f64(wait_s));
    tokio::pin!(timeout);
    let mut progress = tokio::time::interval(PROGRESS_EVERY);
    let mut passed_s = 0.0;
    loop {
        let state = states.borrow_and_update().clone();
        if wanted(&state) {
            return (state, Early::Wanted);
        }
        if state.phase == LivePhase::Ended {
            return (state, Early::Ended);
        }
        tokio::select! {
            changed = states.changed() => {
                if changed.is_err() {
                    return (state, Early::Ended);
                }
            }
            () = &mut timeout => return (session.state(), Early::No),
            () = call.over() => return (state, Early::Over),
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
