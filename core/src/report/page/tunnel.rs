//! The wind tunnel in a page: what a knob at a time would have done, computed beforehand.

use serde::Serialize;

use crate::lag::stats::round;
use crate::lag::{LagReport, TimelineRow};
use crate::scenario::Tier;
use crate::scenario::knobs::Knob;
use crate::sweep::rows::SweepRow;
use crate::verdict::Verdict;

/// The knobs of a page, and the recording itself.
#[derive(Debug, Clone, Serialize)]
pub struct Tunnel {
    /// How well the model repeats the recording, in words; `None` where it does not.
    pub model: Option<String>,
    /// Why there is nothing to turn, if so.
    pub why_not: Option<String>,
    /// Seconds of a step of the curves.
    pub step_s: f64,
    /// Runs of the model for each setting.
    pub runs: usize,
    /// The scenario that was given.
    pub given: Option<Setting>,
    pub knobs: Vec<TunnelKnob>,
}

/// A knob with what each of its values would have done.
#[derive(Debug, Clone, Serialize)]
pub struct TunnelKnob {
    name: &'static str,
    help: &'static str,
    /// The value in the recording, or the one that changes nothing.
    recorded: f64,
    /// That value as people write it, where the recording tells it.
    recorded_label: Option<String>,
    settings: Vec<Setting>,
}

/// A value of a knob, and what it would have done.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    value: f64,
    /// The value as people write it.
    label: String,
    tier: Tier,
    refusal: Option<String>,
    /// The outcomes, the likeliest first.
    outcomes: Vec<TunnelOutcome>,
}

/// What could have been.
#[derive(Debug, Clone, Serialize)]
struct TunnelOutcome {
    share: f64,
    lag: Option<bool>,
    bad_s: Option<f64>,
    lead_p5_s: Option<f64>,
    lead_p50_s: Option<f64>,
    staleness_p95_s: Option<f64>,
    staleness_max_s: Option<f64>,
    stale_ticks: usize,
    /// The end of each step, its lowest lead and its oldest audio; `null` where nothing came.
    curve: Vec<(f64, Option<f64>, Option<f64>)>,
}

impl Tunnel {
    /// One in which nothing can be turned, and why.
    #[must_use]
    pub fn none(why_not: &str) -> Tunnel {
        let why_not = Some(why_not.to_owned());
        Tunnel { model: None, why_not, step_s: 0.0, runs: 0, given: None, knobs: Vec::new() }
    }
}

impl TunnelKnob {
    /// A knob with the rows of a sweep over it alone; `at_s` is when their reports are made.
    #[must_use]
    pub fn of(knob: &'static Knob, recorded: f64, rows: &[SweepRow], at_s: f64) -> TunnelKnob {
        let value = |row: &SweepRow| row.values.first().copied().unwrap_or(knob.neutral);
        let setting = |row| Setting::of(value(row), knob.unit.write(value(row)), row, at_s);
        let settings = rows.iter().map(setting).collect();
        let is_told = recorded.to_bits() != knob.neutral.to_bits();
        let recorded_label = is_told.then(|| knob.unit.write(round(recorded, 3)));
        TunnelKnob { name: knob.name, help: knob.help, recorded, recorded_label, settings }
    }
}

impl Setting {
    /// What a whole scenario of this name would have done.
    #[must_use]
    pub fn given(name: &str, row: &SweepRow, at_s: f64) -> Setting {
        Setting::of(0.0, name.to_owned(), row, at_s)
    }

    fn of(value: f64, label: String, row: &SweepRow, at_s: f64) -> Setting {
        let only = row.lag.as_ref().filter(|_| row.outcomes.is_empty());
        let only = only.map(|lag| TunnelOutcome::of(1.0, lag, row.verdict.as_ref(), at_s));
        let several = row
            .outcomes
            .iter()
            .map(|share| TunnelOutcome::of(share.share, &share.lag, share.verdict.as_ref(), at_s));
        Setting {
            value,
            label,
            tier: row.tier,
            refusal: row.refusal.clone(),
            outcomes: only.into_iter().chain(several).collect(),
        }
    }
}

impl TunnelOutcome {
    fn of(share: f64, lag: &LagReport, verdict: Option<&Verdict>, at_s: f64) -> TunnelOutcome {
        let (lead, staleness) = (lag.slices.lead_s, lag.ticks.staleness_s);
        let step = |row: &TimelineRow| {
            let to_s = round(at_s - row.t_ago_s, 2);
            (to_s, row.min_lead_s, row.max_staleness_s)
        };
        TunnelOutcome {
            share,
            lag: verdict.and_then(|verdict| verdict.lag),
            bad_s: verdict.filter(|verdict| verdict.known).map(|verdict| verdict.bad_s),
            lead_p5_s: lead.map(|lead| lead.p5),
            lead_p50_s: lead.map(|lead| lead.p50),
            staleness_p95_s: staleness.map(|staleness| staleness.p95),
            staleness_max_s: staleness.map(|staleness| staleness.max),
            stale_ticks: lag.ticks.stale_ticks,
            curve: lag.timeline.iter().flatten().map(step).collect(),
        }
    }
}
