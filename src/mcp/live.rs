//! The tools for sessions that run.

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{Answer, clipped, cursor, page};
use super::args::{limit, report_args};
use super::call::Call;
use super::observe::{self, Until};
use super::server::Server;
use super::sessions::Held;
use super::state::{State, shown_events};
use super::tool::{About, Effect, Entry, Toolset, answering};
use super::views::{self, Verdict, any_list};
use super::{audio, control, schema, start};
use crate::report::text::Figure;

/// The tools.
pub fn tools() -> Vec<Entry> {
    vec![
        answering(start::HEADLESS_START, start::headless_start),
        answering(HEADLESS_STOP, headless_stop),
        answering(HEADLESS_STATUS, headless_status),
        answering(HEADLESS_LAG_REPORT, headless_lag_report),
        answering(HEADLESS_OBSERVE, headless_observe),
        answering(control::HEADLESS_SEEK, control::headless_seek),
        answering(control::HEADLESS_SET_PLAYBACK, control::headless_set_playback),
        answering(audio::HEADLESS_DUMP_AUDIO, audio::headless_dump_audio),
        answering(control::HEADLESS_SEND, control::headless_send),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
struct HandleArgs {
    /// The session's handle
    handle: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Stopped {
    handle: String,
    /// The id of the sealed capture
    capture: String,
    path: std::path::PathBuf,
    /// Why the session ended
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    /// The lag report over all of it
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::lag")]
    lag: Option<Value>,
}

/// The tool [`headless_stop`].
const HEADLESS_STOP: About = About {
    name: "headless_stop",
    title: "Stop a live session",
    description: "Ends a session, seals its capture, and says what it shows. Again is harmless.",
    set: Toolset::Live,
    effect: Effect::Ends,
};

async fn headless_stop(server: Server, args: HandleArgs, _: Call) -> Result<Answer<Stopped>> {
    let held = server.sessions.find(&args.handle)?;
    held.session.stop();
    let end = held.session.ended().await?;
    let analysis = end.analysis.as_ref();
    let summary = match analysis {
        Some(analysis) => format!("sealed {}: {}", held.capture, views::summary(analysis)),
        None => "there was no session, and so there is no capture".to_owned(),
    };
    let open = analysis.map(|_| format!("capture_open {{\"capture\": \"{}\"}}", held.capture));
    let body = Stopped {
        handle: held.handle.clone(),
        capture: held.capture.clone(),
        path: held.path.clone(),
        reason: clipped(&end.reason),
        failure: end.failure.as_deref().map(clipped),
        verdict: analysis.map(|analysis| Verdict::of(&analysis.verdict)),
        lag: analysis.and_then(|a| a.lag.as_ref()).map(serde_json::to_value).transpose()?,
    };
    Ok(Answer::new(summary, body).next(open))
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct StatusArgs {
    /// The session's handle; all sessions unless given
    handle: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Status {
    sessions: Vec<SessionLine>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct SessionLine {
    handle: String,
    capture: String,
    server: String,
    /// When it ends by itself, in seconds from the initial buffer
    run_for_s: f64,
    state: State,
}

/// The tool [`headless_status`].
const HEADLESS_STATUS: About = About {
    name: "headless_status",
    title: "State of live sessions",
    description: "How a session stands now; without handle all sessions of this server.",
    set: Toolset::Live,
    effect: Effect::Reads,
};

async fn headless_status(server: Server, args: StatusArgs, _: Call) -> Result<Answer<Status>> {
    let held = match &args.handle {
        Some(handle) => vec![server.sessions.find(handle)?],
        None => server.sessions.all(),
    };
    let running = held.iter().filter(|held| held.is_running()).count();
    let newest = held.iter().rev().map(|held| SessionLine {
        handle: held.handle.clone(),
        capture: held.capture.clone(),
        server: clipped(&held.server),
        run_for_s: held.run_for_s,
        state: State::of(&held.session.state()),
    });
    let (sessions, cut) = page("sessions", newest, 0, 16);
    let summary = match sessions.as_slice() {
        [] => "no session was started".to_owned(),
        [only] => format!("{} is {}", only.handle, only.state.phase),
        _ => format!(
            "{} running, the newest stands first",
            views::counted(running as u64, "session")
        ),
    };
    let next = match sessions.first() {
        None => "headless_start starts one".to_owned(),
        Some(line) => format!("headless_observe {{\"handle\": \"{}\"}}", line.handle),
    };
    Ok(Answer::new(summary, Status { sessions }).next([next]).cut(cut))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct LagArgs {
    /// The session's handle
    handle: String,
    /// Only the last so many seconds; all unless given
    window_s: Option<f64>,
    /// Audio older than this is stale, 3 s unless given
    stale_threshold_s: Option<f64>,
    /// Add rows over time, a second each
    #[serde(default)]
    include_timeline: bool,
    /// Rows at most, 60 unless given, up to 200
    limit: Option<u64>,
    /// next_cursor of the answer before
    cursor: Option<String>,
}

/// A report of a live session.
#[derive(Debug, Serialize, JsonSchema)]
struct LiveReport {
    handle: String,
    capture: String,
    /// When the report was made, in seconds from the initial buffer
    report_at_s: f64,
    #[schemars(schema_with = "schema::lag")]
    lag: Value,
    /// Over all of the session
    verdict: Verdict,
}

/// The tool [`headless_lag_report`].
const HEADLESS_LAG_REPORT: About = About {
    name: "headless_lag_report",
    title: "Lag report of a live session",
    description: "The reference client's lag report of a session up to this moment, or of its last window_s.",
    set: Toolset::Live,
    effect: Effect::Reads,
};

async fn headless_lag_report(server: Server, args: LagArgs, _: Call) -> Result<Answer<LiveReport>> {
    let held = server.sessions.find(&args.handle)?;
    let step = args.include_timeline.then_some(1.0);
    let report = report_args(args.window_s, args.stale_threshold_s, step)?;
    let (start, most) = (cursor(args.cursor.as_deref())?, limit(args.limit, 60, 200));
    let analysis = held.session.analysis(report).await?;
    let Some(report) = &analysis.lag else {
        bail!(
            "{} is {}: the server has not sent its initial buffer; ask headless_status again",
            held.handle,
            State::of(&held.session.state()).phase
        );
    };
    let (lag, cut) = views::lag(report, start, most)?;
    let body = LiveReport {
        handle: held.handle.clone(),
        capture: held.capture.clone(),
        report_at_s: analysis.report_at_s,
        lag,
        verdict: Verdict::of(&analysis.verdict),
    };
    Ok(Answer::new(views::figures(report), body).next([next_of(&held)]).cut(cut))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ObserveArgs {
    /// The session's handle
    handle: String,
    /// How long at most, 20 unless given, up to 110
    for_s: Option<f64>,
    /// What ends the observation early
    until: Option<Until>,
    /// Audio older than this is stale, 3 s unless given
    stale_threshold_s: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Observed {
    handle: String,
    capture: String,
    /// What was awaited happened; absent when nothing was
    #[serde(skip_serializing_if = "Option::is_none")]
    happened: Option<bool>,
    /// When the observation began, in seconds from the initial buffer
    from_s: f64,
    /// When it ended
    to_s: f64,
    /// The report of exactly that time
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::lag")]
    lag: Option<Value>,
    /// Over all of the session
    verdict: Verdict,
    /// The newest events of that time
    #[schemars(schema_with = "any_list")]
    events: Vec<Value>,
    /// Events of that time
    events_total: u64,
    state: State,
}

/// The tool [`headless_observe`].
const HEADLESS_OBSERVE: About = About {
    name: "headless_observe",
    title: "Observe a live session",
    description: "Watches a session for for_s seconds, or until something happens, and reports exactly that \
     time. Some clients cut calls off after 60 s: observe twice rather than long.",
    set: Toolset::Live,
    effect: Effect::Reads,
};

async fn headless_observe(
    server: Server,
    args: ObserveArgs,
    call: Call,
) -> Result<Answer<Observed>> {
    let held = server.sessions.find(&args.handle)?;
    let seen =
        observe::observe(&held.session, args.for_s, args.until, args.stale_threshold_s, &call)
            .await?;
    let analysis = &seen.analysis;
    let happened = seen.happened.map(|happened| match happened {
        true => "it happened: ",
        false => "it did not happen: ",
    });
    let figures = analysis.lag.as_ref().map_or_else(|| "no stream yet".to_owned(), views::figures);
    let span = format!("{} – {} s", Figure(seen.from_s), Figure(analysis.report_at_s));
    let summary = format!("{}{span}: {figures}", happened.unwrap_or_default());
    let body = Observed {
        handle: held.handle.clone(),
        capture: held.capture.clone(),
        happened: seen.happened,
        from_s: seen.from_s,
        to_s: analysis.report_at_s,
        lag: analysis.lag.as_ref().map(serde_json::to_value).transpose()?,
        verdict: Verdict::of(&analysis.verdict),
        events: shown_events(&seen.events),
        events_total: seen.events_total as u64,
        state: State::of(&held.session.state()),
    };
    Ok(Answer::new(summary, body).next([next_of(&held)]))
}

/// What to do with a session, running or not.
fn next_of(held: &Held) -> String {
    match held.is_running() {
        true => format!("headless_stop {{\"handle\": \"{}\"}} seals the capture", held.handle),
        false => format!("capture_open {{\"capture\": \"{}\"}}", held.capture),
    }
}
