//! Many captures in the order of how bad they were for the listener: a table for people, or
//! comma-separated values.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::data::Analysis;
use super::sweep::csv_line;
use super::text::{Figure, OneLine};
use crate::sweep::measure::{Judged, Measure};

/// Analyses, the worst first.
#[derive(Debug)]
pub struct Ranking<'a> {
    ranked: Vec<&'a Analysis>,
}

impl Analysis {
    /// What conditions and rankings measure; `None` where no stream came.
    #[must_use]
    pub fn judged(&self) -> Option<Judged<'_>> {
        Some(Judged { lag: self.lag.as_ref()?, verdict: Some(&self.verdict) })
    }
}

impl<'a> Ranking<'a> {
    /// Ranks by the verdict and how much was heard bad, or by a measure where one is given, captures
    /// without it last. Equals stay in their order.
    #[must_use]
    pub fn of(analyses: &'a [Analysis], by: Option<Measure>) -> Ranking<'a> {
        let mut ranked: Vec<_> = analyses.iter().collect();
        match by {
            Some(measure) => ranked.sort_by(|a, b| worse(badness(b, measure), badness(a, measure))),
            None => ranked.sort_by(|a, b| {
                standing(a).cmp(&standing(b)).then(b.verdict.bad_s.total_cmp(&a.verdict.bad_s))
            }),
        }
        Ranking { ranked }
    }

    /// The worst of all.
    #[must_use]
    pub fn worst(&self) -> Option<&'a Analysis> {
        self.ranked.first().copied()
    }

    /// A table of the `top` worst, with how many there are of each standing.
    #[must_use]
    pub fn text(&self, top: usize) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{} captures: {}\n", self.ranked.len(), self.counts());
        let _ = writeln!(out, "  verdict       bad s   from s  lead p5    stale  capture");
        for analysis in self.ranked.iter().take(top) {
            let figure =
                |value: Option<f64>| value.map_or("–".to_owned(), |s| Figure(s).to_string());
            let verdict = Some(&analysis.verdict).filter(|verdict| verdict.known);
            let lag = analysis.lag.as_ref();
            let _ = writeln!(
                out,
                "  {:<10} {:>8} {:>8} {:>8} {:>8}  {}",
                standing(analysis).name(),
                figure(verdict.map(|verdict| verdict.bad_s)),
                figure(verdict.and_then(|verdict| verdict.onset_s)),
                figure(lag.and_then(|lag| lag.slices.lead_s).map(|lead| lead.p5)),
                figure(lag.and_then(|lag| lag.ticks.staleness_s).map(|stale| stale.max)),
                OneLine(&analysis.capture)
            );
        }
        if let Some(more) = self.ranked.len().checked_sub(top).filter(|more| *more > 0) {
            let _ = writeln!(out, "  … and {more} more; --top {} shows all", self.ranked.len());
        }
        out
    }

    /// How many there are of each standing.
    fn counts(&self) -> String {
        let count = |of: Standing| self.ranked.iter().filter(|a| standing(a) == of).count();
        let counts = Standing::ALL.map(|of| (count(of), of.in_words()));
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        counts.map(|(count, words)| format!("{count} {words}")).collect::<Vec<_>>().join(", ")
    }

    /// All of them as comma-separated values with a header line; fields without a value are empty.
    #[must_use]
    pub fn csv(&self) -> String {
        let names = [
            "capture",
            "verdict",
            "bad_s",
            "lag_s",
            "onset_s",
            "episodes",
            "lead_p5_s",
            "staleness_max_s",
            "slices",
            "length_s",
            "damaged",
        ];
        let mut out = csv_line(names.into_iter().map(str::to_owned));
        for analysis in &self.ranked {
            let number =
                |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
            let verdict = Some(&analysis.verdict).filter(|verdict| verdict.known);
            let lag = analysis.lag.as_ref();
            let fields = [
                OneLine(&analysis.capture).to_string(),
                standing(analysis).name().to_owned(),
                number(verdict.map(|verdict| verdict.bad_s)),
                number(verdict.map(|verdict| verdict.lag_s)),
                number(verdict.and_then(|verdict| verdict.onset_s)),
                number(verdict.map(|verdict| verdict.episodes.len() as f64)),
                number(lag.and_then(|lag| lag.slices.lead_s).map(|lead| lead.p5)),
                number(lag.and_then(|lag| lag.ticks.staleness_s).map(|stale| stale.max)),
                analysis.slices.to_string(),
                analysis.report_at_s.to_string(),
                analysis.damage.is_some().to_string(),
            ];
            out.push_str(&csv_line(fields.into_iter()));
        }
        out
    }
}

/// What a capture came to, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Lag,
    Ended,
    Unknown,
    Healthy,
}

impl Standing {
    const ALL: [Standing; 4] =
        [Standing::Lag, Standing::Ended, Standing::Unknown, Standing::Healthy];

    fn name(self) -> &'static str {
        match self {
            Standing::Lag => "LAG",
            Standing::Ended => "ENDED",
            Standing::Unknown => "no verdict",
            Standing::Healthy => "healthy",
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Standing::Lag => "with LAG",
            Standing::Ended => "ENDED as they should not",
            Standing::Unknown => "without a verdict",
            Standing::Healthy => "healthy",
        }
    }
}

fn standing(analysis: &Analysis) -> Standing {
    match analysis.verdict.lag {
        Some(true) => Standing::Lag,
        _ if analysis.ending.abnormal => Standing::Ended,
        None => Standing::Unknown,
        Some(false) => Standing::Healthy,
    }
}

fn badness(analysis: &Analysis, measure: Measure) -> Option<f64> {
    analysis.judged().and_then(|judged| measure.badness(judged))
}

/// Orders by how bad something is; what is not known comes before all.
fn worse(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}
