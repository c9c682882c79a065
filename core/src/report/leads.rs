//! How far ahead of the listener slices were: when they came, and when the client applied them.
//!
//! A client in a page that reports `slice_lead_s` says the worst lead of each interval at the moment of
//! applying, with its own playhead. What lies between the two measures is the client's: decoding, a busy
//! page, a sleeping tab.

use serde::Serialize;

use crate::engine::Engine;
use crate::lag::quantiles::Quantiles;
use crate::lag::{Figures, ReportArgs};
use crate::time::Nanos;

/// Leads since the last swap, in seconds, within the report's window.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LeadsReport {
    /// When slices came, of those that came while there was a listener.
    pub arrival: Option<Figures>,
    /// What the client says of them when it applied them: the worst of each of its reports.
    pub client: Option<Figures>,
    /// Slices of the whole session that came before the client said where it plays.
    pub before_listener: u64,
}

impl LeadsReport {
    /// Looks at an engine at `at`.
    #[must_use]
    pub fn of(engine: &Engine, at: Nanos, args: &ReportArgs) -> LeadsReport {
        let Some(epoch) = engine.epochs().last() else { return LeadsReport::default() };
        let since_s = args.window_s.map_or(f64::NEG_INFINITY, |window_s| at.seconds() - window_s);
        let from_s = engine.listens_from().map_or(f64::INFINITY, Nanos::seconds);
        let slices = epoch.tracker.slices().filter(|slice| slice.t_s >= since_s.max(from_s));
        let reported = epoch.client_leads.iter().filter(|(t, _)| t.seconds() >= since_s);
        let all = engine.epochs().iter().flat_map(|epoch| epoch.tracker.slices());
        let mut quantiles = Quantiles::default();
        let mut figures = |leads_s: Vec<f64>| quantiles.figures(&leads_s);
        LeadsReport {
            arrival: figures(slices.map(|slice| slice.lead_s).collect()),
            client: figures(reported.map(|(_, lead_s)| *lead_s).collect()),
            before_listener: all.filter(|slice| slice.t_s < from_s).count() as u64,
        }
    }
}
