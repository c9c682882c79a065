//! The tools: one file each, or one for a few that belong together. A tool needs nothing of the server
//! but [`super::shared::Shared`].

mod capture_chart;
mod capture_compare;
mod capture_diagnose;
mod capture_lag_report;
mod capture_list;
mod capture_messages;
mod capture_open;
mod capture_query;
mod capture_report;
mod capture_sweep;
mod capture_timeline;
mod dump_audio;
mod fleet_sums;
mod headless_lag_report;
mod headless_observe;
mod headless_playback;
mod headless_send;
mod headless_start;
mod headless_status;
mod headless_stop;
mod what_if;

use super::resources;
use super::schema::say_once;
use super::tool::{ToolEntry, answering, picturing};

/// All tools.
pub fn all() -> Vec<ToolEntry> {
    let mut tools = described();
    say_once(tools.iter_mut().map(|entry| &mut entry.tool));
    tools
}

fn described() -> Vec<ToolEntry> {
    vec![
        // Live sessions.
        answering(headless_start::HEADLESS_START, headless_start::headless_start),
        answering(headless_stop::HEADLESS_STOP, headless_stop::headless_stop),
        answering(headless_status::HEADLESS_STATUS, headless_status::headless_status),
        answering(
            headless_lag_report::HEADLESS_LAG_REPORT,
            headless_lag_report::headless_lag_report,
        ),
        answering(headless_observe::HEADLESS_OBSERVE, headless_observe::headless_observe),
        answering(headless_playback::HEADLESS_SEEK, headless_playback::headless_seek),
        answering(
            headless_playback::HEADLESS_SET_PLAYBACK,
            headless_playback::headless_set_playback,
        ),
        answering(dump_audio::HEADLESS_DUMP_AUDIO, dump_audio::headless_dump_audio),
        answering(headless_send::HEADLESS_SEND, headless_send::headless_send),
        // Recorded sessions.
        answering(capture_list::CAPTURE_LIST, capture_list::capture_list),
        answering(capture_open::CAPTURE_OPEN, capture_open::capture_open),
        answering(capture_diagnose::CAPTURE_DIAGNOSE, capture_diagnose::capture_diagnose),
        answering(capture_lag_report::CAPTURE_LAG_REPORT, capture_lag_report::capture_lag_report),
        answering(what_if::CAPTURE_WHAT_IF, what_if::capture_what_if),
        answering(capture_sweep::CAPTURE_SWEEP, capture_sweep::capture_sweep),
        answering(capture_compare::CAPTURE_COMPARE, capture_compare::capture_compare),
        answering(capture_timeline::CAPTURE_TIMELINE, capture_timeline::capture_timeline),
        answering(capture_messages::CAPTURE_MESSAGES, capture_messages::capture_messages),
        answering(capture_query::CAPTURE_QUERY, capture_query::capture_query),
        answering(dump_audio::CAPTURE_DUMP_AUDIO, dump_audio::capture_dump_audio),
        picturing(capture_chart::CAPTURE_CHART, capture_chart::capture_chart),
        answering(capture_report::CAPTURE_REPORT, capture_report::capture_report)
            .shown_by(resources::APP),
    ]
}
