//! The figures that conditions and rankings are about, by their names.

use std::str::FromStr;

use crate::lag::{Figures, LagReport};
use crate::parse::nearest;
use crate::verdict::Verdict;

/// What a measure is taken of.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    pub lag: &'a LagReport,
    /// What was heard; `None` where nobody listened.
    pub verdict: Option<&'a Verdict>,
}

/// A figure of a lag report or of a verdict, such as `lead_p5`.
#[derive(Debug, Clone, Copy)]
pub struct Measure(&'static Figure);

#[derive(Debug)]
struct Figure {
    name: &'static str,
    of: FigureOf,
    /// Less of it is worse for a listener.
    good_when_high: bool,
}

#[derive(Debug, Clone, Copy)]
enum FigureOf {
    Lag(fn(&LagReport) -> Option<f64>),
    Verdict(fn(&Verdict) -> f64),
}

const FIGURES: [Figure; 16] = [
    heard("bad_s", |verdict| verdict.bad_s),
    heard("lag_s", |verdict| verdict.lag_s),
    heard("episodes", |verdict| verdict.episodes.len() as f64),
    bad("stale_ticks", |lag| Some(lag.ticks.stale_ticks as f64)),
    bad("slices_behind", |lag| Some(lag.slices.behind_playhead as f64)),
    good("slices", |lag| Some(lag.slices.count as f64)),
    good("lead_min", |lag| lead(lag, |lead| lead.min)),
    good("lead_p5", |lag| lead(lag, |lead| lead.p5)),
    good("lead_p50", |lag| lead(lag, |lead| lead.p50)),
    good("lead_p95", |lag| lead(lag, |lead| lead.p95)),
    good("lead_max", |lag| lead(lag, |lead| lead.max)),
    good("lead_mean", |lag| lead(lag, |lead| lead.mean)),
    bad("staleness_p50", |lag| lag.ticks.staleness_s.map(|figures| figures.p50)),
    bad("staleness_p95", |lag| lag.ticks.staleness_s.map(|figures| figures.p95)),
    bad("staleness_max", |lag| lag.ticks.staleness_s.map(|figures| figures.max)),
    bad("staleness_mean", |lag| lag.ticks.staleness_s.map(|figures| figures.mean)),
];

const fn good(name: &'static str, of: fn(&LagReport) -> Option<f64>) -> Figure {
    Figure { name, of: FigureOf::Lag(of), good_when_high: true }
}

const fn bad(name: &'static str, of: fn(&LagReport) -> Option<f64>) -> Figure {
    Figure { name, of: FigureOf::Lag(of), good_when_high: false }
}

const fn heard(name: &'static str, of: fn(&Verdict) -> f64) -> Figure {
    Figure { name, of: FigureOf::Verdict(of), good_when_high: false }
}

fn lead(lag: &LagReport, figure: fn(Figures) -> f64) -> Option<f64> {
    lag.slices.lead_s.map(figure)
}

impl Measure {
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Whether it is a figure of verdicts, and not of the reference's reports.
    #[must_use]
    pub fn is_of_verdicts(self) -> bool {
        matches!(self.0.of, FigureOf::Verdict(_))
    }

    /// The figure, if there is one.
    #[must_use]
    pub fn value(self, judged: Judged<'_>) -> Option<f64> {
        match self.0.of {
            FigureOf::Lag(of) => of(judged.lag),
            FigureOf::Verdict(of) => judged.verdict.filter(|verdict| verdict.known).map(of),
        }
    }

    /// How bad the figure is: the more, the worse.
    #[must_use]
    pub fn badness(self, judged: Judged<'_>) -> Option<f64> {
        let value = self.value(judged)?;
        Some(if self.0.good_when_high { -value } else { value })
    }
}

/// Why a text is no [`Measure`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no figure \"{name}\", {known}")]
pub struct MeasureError {
    name: String,
    known: String,
}

impl FromStr for Measure {
    type Err = MeasureError;

    fn from_str(text: &str) -> Result<Self, MeasureError> {
        let name = text.trim();
        let figure = FIGURES.iter().find(|figure| figure.name == name);
        figure.map(Measure).ok_or_else(|| MeasureError {
            name: name.to_owned(),
            known: nearest(name, FIGURES.iter().map(|figure| figure.name)),
        })
    }
}
