//! `headless_seek` and `headless_set_playback`: what the listener of a live session does.

use std::sync::Arc;

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::LivePhase;
use crate::capture::Marker;
use crate::mcp::answer::ToolAnswer;
use crate::mcp::args::within;
use crate::mcp::call::Call;
use crate::mcp::live_view::LiveView;
use crate::mcp::options::Toolset;
use crate::mcp::sessions::Held;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::report::text::Figure;

/// Fastest playback in either direction.
const MAX_RATE: f64 = 16.0;
/// Largest clock error, in parts per million.
const MAX_SKEW_PPM: f64 = 1e6;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct SeekArgs {
    handle: String,
    /// Where to, in seconds from the beginning of the loop
    to_s: f64,
}

/// What was done, and how the session stands after it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Done {
    handle: String,
    state: LiveView,
}

impl Done {
    async fn answer(held: &Held, what: &str) -> ToolAnswer<Done> {
        // The session takes orders one after the other, so it has taken this one by now.
        let state = held.session.fresh_state().await;
        let waits =
            if state.phase == LivePhase::Streaming { "" } else { ", as soon as the stream runs" };
        let next = format!("headless_observe {{\"handle\": \"{}\", \"for_s\": 10}}", held.handle);
        let body = Done { handle: held.handle.clone(), state: LiveView::of(&state) };
        ToolAnswer::new(format!("{what}{waits}"), body).next([next])
    }
}

/// The tool [`headless_seek`].
pub(super) const HEADLESS_SEEK: AboutTool = AboutTool {
    name: "headless_seek",
    title: "Seek",
    description: "The listener jumps to a position of the loop, now. The capture remembers it.",
    set: Toolset::Live,
    effect: Effect::Acts,
};

pub(super) async fn headless_seek(
    shared: Arc<Shared>,
    args: SeekArgs,
    _: Call,
) -> Result<ToolAnswer<Done>> {
    let held = shared.sessions.find(&args.handle)?;
    let to_s = within("to_s", args.to_s, 0.0, 1e6)?;
    held.session.operate(Marker::Seek { to_s }).await?;
    Ok(Done::answer(&held, &format!("the listener seeks to {} s", Figure(to_s))).await)
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct SetPlaybackArgs {
    handle: String,
    /// Speed of the playhead; 1 is as recorded
    rate: Option<f64>,
    /// Parts per million by which the listener's clock is fast
    skew_ppm: Option<f64>,
    /// Stops the playhead, or lets it go on
    pause: Option<bool>,
}

/// The tool [`headless_set_playback`].
pub(super) const HEADLESS_SET_PLAYBACK: AboutTool = AboutTool {
    name: "headless_set_playback",
    title: "Set the playback",
    description: "The listener's rate, the error of its clock, or a pause, from now on.",
    set: Toolset::Live,
    effect: Effect::Sets,
};

pub(super) async fn headless_set_playback(
    shared: Arc<Shared>,
    args: SetPlaybackArgs,
    _: Call,
) -> Result<ToolAnswer<Done>> {
    let held = shared.sessions.find(&args.handle)?;
    let mut done = Vec::new();
    if args.rate.is_some() || args.skew_ppm.is_some() {
        let rate = within("rate", args.rate.unwrap_or(1.0), -MAX_RATE, MAX_RATE)?;
        let skew = within("skew_ppm", args.skew_ppm.unwrap_or(0.0), -MAX_SKEW_PPM, MAX_SKEW_PPM)?;
        let rate = rate * (1.0 + skew / 1e6);
        held.session.operate(Marker::Rate { rate }).await?;
        done.push(format!("the rate is {rate}"));
    }
    if let Some(pause) = args.pause {
        held.session.operate(if pause { Marker::Pause } else { Marker::Resume }).await?;
        done.push(if pause { "the listener pauses" } else { "the listener goes on" }.to_owned());
    }
    ensure!(!done.is_empty(), "say what to set: rate, skew_ppm or pause");
    Ok(Done::answer(&held, &done.join(", ")).await)
}
