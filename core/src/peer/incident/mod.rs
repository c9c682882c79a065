//! Incidents: named troubles of the simulated peers (`stall:at=3,for=4`).
//!
//! An incident with its values gives a [`Setup`] of server, model, link and client. A new incident is
//! one small file here and a line in [`ALL`]. Times are seconds from the initial buffer;
//! on a link that takes long for it they are earlier by that.

mod anchored_shed;
mod behind;
mod below_real_time;
mod burst_production;
mod client_backlog;
mod client_send_hitch;
mod clock_skew;
mod cold_start;
mod dead_worker;
mod finished_piece;
mod frontier_overtaken;
mod gate_on_lead_alone;
mod gpu_contention;
mod half_open;
mod healthy;
mod idle_pause;
mod jitter;
mod keepalive_kill;
mod loop_end_crash;
mod mirror_drift;
mod old_track_bleed;
mod oversize_window;
mod paused_player;
mod pipeline_death;
mod preempted;
mod raw_source;
mod rebuild_stall;
mod refit_storm;
mod seek;
mod seek_lead_runaway;
mod settled_loop;
mod setup;
mod short_gaps;
mod sidecar_lost;
mod slow_generation;
mod stair_step_playhead;
mod stale_playhead;
mod stall;
mod swap;
mod swap_head_of_line;
mod thin_link;
mod transport_lead_oscillation;
mod trouble;
mod tunnel_reset;
mod vram_paging;

pub use setup::{ClientSetup, Setup};
pub use trouble::{IncidentError, Trouble};

use serde::Serialize;
use serde_json::json;

use super::Outgoing;
use super::client::ClientCommand;
use super::interval::Interval;
use crate::family::Family;
use crate::parse::Unit;
use crate::time::Span;

/// All incidents, in the order in which they are listed: what goes wrong, and then what only looks so.
pub const ALL: &[&Incident] = &[
    &healthy::INCIDENT,
    &stall::INCIDENT,
    &behind::INCIDENT,
    &slow_generation::INCIDENT,
    &gpu_contention::INCIDENT,
    &vram_paging::INCIDENT,
    &thin_link::INCIDENT,
    &swap_head_of_line::INCIDENT,
    &anchored_shed::INCIDENT,
    &transport_lead_oscillation::INCIDENT,
    &seek_lead_runaway::INCIDENT,
    &stale_playhead::INCIDENT,
    &client_backlog::INCIDENT,
    &client_send_hitch::INCIDENT,
    &stair_step_playhead::INCIDENT,
    &clock_skew::INCIDENT,
    &rebuild_stall::INCIDENT,
    &refit_storm::INCIDENT,
    &burst_production::INCIDENT,
    &oversize_window::INCIDENT,
    &raw_source::INCIDENT,
    &old_track_bleed::INCIDENT,
    &mirror_drift::INCIDENT,
    &loop_end_crash::INCIDENT,
    &pipeline_death::INCIDENT,
    &preempted::INCIDENT,
    &keepalive_kill::INCIDENT,
    &tunnel_reset::INCIDENT,
    &half_open::INCIDENT,
    &idle_pause::INCIDENT,
    &frontier_overtaken::INCIDENT,
    &below_real_time::INCIDENT,
    &gate_on_lead_alone::INCIDENT,
    &dead_worker::INCIDENT,
    &sidecar_lost::INCIDENT,
    &cold_start::INCIDENT,
    &finished_piece::INCIDENT,
    &settled_loop::INCIDENT,
    &paused_player::INCIDENT,
    &seek::INCIDENT,
    &swap::INCIDENT,
    &short_gaps::INCIDENT,
    &jitter::INCIDENT,
];

/// The class of what is healthy.
pub const HEALTHY: &str = "healthy";

/// The families whose slices refine a loop.
const REFINING: [Family; 3] = [Family::Acestep, Family::Sa3, Family::Yue2];
/// The families that only append.
const TAPES: [Family; 2] = [Family::Mrt2, Family::Minimax];

/// A kind of trouble.
#[derive(Debug)]
pub struct Incident {
    pub name: &'static str,
    /// What a diagnosis should call it; [`HEALTHY`] for what only looks like trouble.
    pub class: &'static str,
    /// Further classes that are then true as well.
    pub also: &'static [&'static str],
    /// What happens, in a line.
    pub summary: &'static str,
    /// What a capture of it shows.
    pub shows: &'static str,
    /// Whose it is, in the order of lists: to others it means nothing.
    pub families: &'static [Family],
    pub parameters: &'static [Parameter],
    /// Whether a listener of the first family hears lag with the defaults, given 30 s.
    pub lags: bool,
    /// When its mechanism is at work, in seconds from the initial buffer; `None`: nothing is injected.
    spell: fn(&Values) -> Option<Interval>,
    /// Puts the trouble into a setup that was healthy.
    apply: fn(&Values, &mut Setup),
}

/// What was injected into a simulated session, for labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Injection {
    pub class: &'static str,
    /// Further classes that are true as well.
    pub also: &'static [&'static str],
    /// When the mechanism is switched on, in seconds from the initial buffer, …
    pub onset_s: f64,
    /// … and off; `None`: not before the session ends, or by itself.
    pub end_s: Option<f64>,
}

impl Injection {
    fn new(incident: &Incident, spell: Interval) -> Self {
        let Incident { class, also, .. } = *incident;
        let end_s = Some(spell.end_s()).filter(|end_s| end_s.is_finite());
        Injection { class, also, onset_s: spell.at_s, end_s }
    }
}

/// The values of an incident's parameters, in their order.
#[derive(Debug, Clone, PartialEq)]
struct Values(Vec<(&'static str, f64)>);

impl Values {
    fn of(incident: &Incident) -> Self {
        Values(incident.parameters.iter().map(|p| (p.name, p.default)).collect())
    }

    /// The value of a parameter that the incident declares.
    fn get(&self, name: &str) -> f64 {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.expect("an incident asks only for parameters that it declares").1
    }

    /// A time in whole nanoseconds.
    fn span(&self, name: &str) -> Span {
        Span((self.get(name) * 1e9).round() as u64)
    }

    /// From `at` on for as long as `for` says.
    fn interval(&self) -> Interval {
        Interval { at_s: self.get("at"), for_s: self.get("for") }
    }

    /// From `at` on.
    fn onwards(&self) -> Interval {
        Interval { at_s: self.get("at"), for_s: f64::INFINITY }
    }
}

/// When that moment is for a link, which is made before the source is loaded; 0 stays: it is the link's
/// own beginning.
fn on_link(at_s: f64, setup: &Setup) -> f64 {
    if at_s > 0.0 { at_s + setup.generator.load_ms / 1e3 } else { 0.0 }
}

/// The spell of an incident that has no beginning and no end.
fn throughout(_: &Values) -> Option<Interval> {
    Some(Interval { at_s: 0.0, for_s: f64::INFINITY })
}

/// A loop of 57.6 s that every server has, and one of 8 s.
const LONG_FIXTURE: &str = "low_fi_Gm_loop_60s_gnm.wav";
const SHORT_FIXTURE: &str = "short_loop_8s.wav";

/// A swap to a source that the server has.
fn swap_to(fixture: &str) -> ClientCommand {
    let swap = json!({
        "type": "swap_source", "use_server_source": true, "fixture_name": fixture,
    });
    ClientCommand::Send(Outgoing::Text(swap.to_string()))
}

/// Something that can be set.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    /// Its value unless it is set, in the unit's base.
    pub default: f64,
    pub unit: Unit,
    pub meaning: &'static str,
}

impl Parameter {
    /// The default as it would be typed.
    #[must_use]
    pub fn default_text(&self) -> String {
        self.unit.write(self.default)
    }
}
