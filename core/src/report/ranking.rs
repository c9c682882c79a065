//! Many captures in the order of how bad they were for the listener: a table for people, or
//! comma-separated values.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::data::Analysis;
use super::sweep::csv_fields;
use super::table::{Standing, TableName, standing};
use super::text::{Figure, OneLine};
use crate::sweep::measure::{Judged, Measure};

/// Columns of the table of captures that its list has, after the first two.
const CSV: [&str; 9] = [
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
                standing(analysis),
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
        let all = || TableName::Captures.columns().iter();
        let columns = CSV.map(|name| all().find(|column| column.name == name));
        let names = ["capture", "verdict"].into_iter().chain(CSV);
        let mut out = csv_fields(names.map(str::to_owned));
        for analysis in &self.ranked {
            let capture = OneLine(&analysis.capture).to_string();
            let figures = columns.iter().flatten().map(|column| column.report_cell(analysis));
            let fields = [capture, standing(analysis).to_string()].into_iter();
            out.push_str(&csv_fields(fields.chain(figures.map(|cell| cell.to_string()))));
        }
        out
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
