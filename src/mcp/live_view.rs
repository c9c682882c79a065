//! The state of a live session and the events of its server, as answers show them.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer::{clipped, clipped_value, page};
use super::views;
use crate::app::{LivePhase, LiveState};
use crate::engine::ServerEvent;
use crate::lag::stats::round;
use crate::report::EndingReport;

/// Events that an answer shows.
const EVENTS: usize = 20;

/// The state of a live session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LiveView {
    /// connecting, waiting (for the initial buffer), streaming, ended
    pub phase: String,
    /// Since the initial buffer
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_s: Option<f64>,
    pub slices: u64,
    pub ticks: u64,
    /// Lead of the newest slice; negative is behind the listener
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lead_s: Option<f64>,
    /// Age of the audio heard
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staleness_s: Option<f64>,
    /// Position of the listener in the loop
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playhead_s: Option<f64>,
    /// The listener hears lag now
    pub lagging: bool,
    /// Why it ended
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// What went wrong
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// How the session ended, once it has
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<EndingReport>,
}

impl LiveView {
    pub fn of(state: &LiveState) -> LiveView {
        LiveView {
            phase: match state.phase {
                LivePhase::Connecting => "connecting",
                LivePhase::Waiting => "waiting",
                LivePhase::Streaming => "streaming",
                LivePhase::Ended => "ended",
            }
            .to_owned(),
            stream_s: state.stream_s,
            slices: state.slices,
            ticks: state.ticks,
            lead_s: state.lead_s,
            staleness_s: state.staleness_s,
            playhead_s: state.playhead_s,
            lagging: state.lag.is_some(),
            ended: state.end.as_ref().map(|end| clipped(&end.reason)),
            failure: state.end.as_ref().and_then(|end| end.failure.as_deref().map(clipped)),
            ending: state.end.as_ref().and_then(|end| end.analysis.as_ref()).map(views::ending),
        }
    }
}

/// Events, short, as many as fit, with their times on the clock of a state of the session.
pub fn shown_events(events: &[ServerEvent], state: &LiveState) -> Vec<Value> {
    let shown = events.iter().map(|event| {
        let mut fields = Map::new();
        // From the initial buffer on, as all times are; before it there is no such time.
        let t_s = state.stream_s.map(|now_s| now_s - state.at.seconds_since(event.t));
        fields.extend(t_s.map(|t_s| ("t_s".to_owned(), json!(round(t_s, 6)))));
        fields.extend(event.fields.clone().into_iter().filter(|(name, _)| name != "t_s"));
        clipped_value(&Value::Object(fields))
    });
    page("events", shown.collect::<Vec<_>>().into_iter(), 0, EVENTS).0
}
