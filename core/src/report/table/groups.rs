//! Captures added up: the worst ones, and for each group how many were bad and what leads and ages came to.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::captures::{Standing, standing};
use super::histogram::{HistogramOf, edges};
use super::{Cell, Column, ColumnKind, TableName, TabledCapture};
use crate::parse::nearest;

/// Captures that are named.
const WORST: usize = 5;
/// Groups that are kept apart; the rest is one.
const MAX_GROUPS: usize = 10_000;
/// Before the name of a piece of metadata.
const METADATA: &str = "metadata.";

/// What captures are grouped by: columns of the table of captures, or `metadata.NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupKeys(Vec<String>);

/// Nothing can be grouped by that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("captures have no \"{name}\" to group by; {known}, or metadata.NAME")]
pub struct GroupKeyError {
    name: String,
    known: String,
}

impl FromStr for GroupKeys {
    type Err = GroupKeyError;

    fn from_str(text: &str) -> Result<GroupKeys, GroupKeyError> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let is_known = |name: &str| name.starts_with(METADATA) || column(name).is_some();
        let check = |name: &str| match is_known(name) {
            true => Ok(name.to_owned()),
            false => Err(GroupKeyError {
                name: name.to_owned(),
                known: nearest(name, groupable().map(|column| column.name)),
            }),
        };
        names.map(check).collect::<Result<_, _>>().map(GroupKeys)
    }
}

/// Columns with values that captures have in common.
fn groupable() -> impl Iterator<Item = &'static Column> {
    let columns = TableName::Captures.columns().iter();
    columns.filter(|column| {
        matches!(column.kind, ColumnKind::Word | ColumnKind::Truth | ColumnKind::Whole)
    })
}

fn column(name: &str) -> Option<&'static Column> {
    groupable().find(|column| column.name == name)
}

/// Captures so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupedCaptures {
    keys: GroupKeys,
    all: CaptureGroup,
    /// By the values of the keys, in their order.
    groups: Vec<(Vec<String>, CaptureGroup)>,
    worst: Vec<WorstCapture>,
}

/// What some captures come to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CaptureGroup {
    pub captures: usize,
    /// With lag, ended as they should not, without a verdict, healthy.
    pub standings: [usize; 4],
    pub damaged: usize,
    pub unreadable: usize,
    /// Seconds of bad audio.
    pub bad_s: f64,
    /// The commonest cause of those with lag is the one with the largest number here.
    pub causes: BTreeMap<String, usize>,
    leads: Vec<i64>,
    staleness: Vec<i64>,
}

/// One of the worst.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorstCapture {
    pub capture: String,
    pub standing: String,
    rank: u8,
    pub bad_s: f64,
    pub onset_s: Option<f64>,
    pub cause: Option<String>,
}

impl GroupedCaptures {
    /// None yet.
    #[must_use]
    pub fn new(keys: GroupKeys) -> GroupedCaptures {
        GroupedCaptures {
            keys,
            all: CaptureGroup::default(),
            groups: Vec::new(),
            worst: Vec::new(),
        }
    }

    /// Captures that were added.
    #[must_use]
    pub fn captures(&self) -> usize {
        self.all.captures
    }

    /// Adds a capture.
    pub fn add(&mut self, of: &TabledCapture) {
        self.all.add(of);
        if !self.keys.0.is_empty() {
            self.group(self.keys.of(of)).add(of);
        }
        let worst = WorstCapture::of(of);
        let order = |of: &WorstCapture| (of.rank, Reverse((of.bad_s * 1e9) as u64));
        let place = self.worst.partition_point(|other| order(other) <= order(&worst));
        if worst.rank < Standing::Healthy as u8 && place < WORST {
            self.worst.insert(place, worst);
            self.worst.truncate(WORST);
        }
    }

    /// The group of a key; of one that there is no room for, the one of all others.
    fn group(&mut self, key: Vec<String>) -> &mut CaptureGroup {
        let is_full = self.groups.len() >= MAX_GROUPS;
        let find = |key: &Vec<String>| self.groups.binary_search_by(|(other, _)| other.cmp(key));
        let (key, place) = match find(&key) {
            Err(_) if is_full => {
                let others = vec!["(others)".to_owned(); key.len()];
                let place = find(&others);
                (others, place)
            }
            place => (key, place),
        };
        let place = place.unwrap_or_else(|place| {
            self.groups.insert(place, (key, CaptureGroup::default()));
            place
        });
        &mut self.groups[place].1
    }

    /// All captures as one group.
    #[must_use]
    pub fn all(&self) -> &CaptureGroup {
        &self.all
    }

    /// The names of what is grouped by.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.keys.0
    }

    /// The groups by the values of their keys.
    pub fn groups(&self) -> impl Iterator<Item = (&[String], &CaptureGroup)> {
        self.groups.iter().map(|(key, group)| (key.as_slice(), group))
    }

    /// The worst captures, those that are not healthy.
    #[must_use]
    pub fn worst_captures(&self) -> &[WorstCapture] {
        &self.worst
    }
}

impl GroupKeys {
    fn of(&self, of: &TabledCapture) -> Vec<String> {
        let metadata = |name: &str| {
            let analysis = of.analysis.as_ref().ok()?;
            analysis.session.metadata.get(name).cloned()
        };
        let value = |name: &String| match name.strip_prefix(METADATA) {
            Some(name) => metadata(name),
            None => column(name)
                .map(|column| column.cell(of, 0))
                .filter(|cell| *cell != Cell::Unknown)
                .map(|cell| cell.to_string()),
        };
        self.0.iter().map(|name| value(name).unwrap_or_else(|| "–".to_owned())).collect()
    }
}

impl CaptureGroup {
    fn add(&mut self, of: &TabledCapture) {
        self.captures += 1;
        let Ok(analysis) = &of.analysis else {
            self.unreadable += 1;
            return;
        };
        let standing = standing(analysis);
        self.standings[standing as usize] += 1;
        self.damaged += usize::from(analysis.damage.is_some());
        self.bad_s += analysis.verdict.bad_s;
        if let (Standing::Lag, Some(first)) = (standing, analysis.diagnosis.findings.first()) {
            *self.causes.entry(first.class.to_string()).or_default() += 1;
        }
        merge(&mut self.leads, &of.histograms.leads);
        merge(&mut self.staleness, &of.histograms.staleness);
    }

    /// How many have this standing.
    #[must_use]
    pub fn standing(&self, standing: Standing) -> usize {
        self.standings[standing as usize]
    }

    /// The commonest cause of lag; of equals the first by its name.
    #[must_use]
    pub fn commonest_cause(&self) -> Option<&str> {
        let causes = self.causes.iter();
        let most = causes.max_by_key(|(name, count)| (**count, Reverse(name.as_str())));
        most.map(|(name, _)| name.as_str())
    }

    /// A quantile of all leads in seconds, to a bucket of the histogram.
    #[must_use]
    pub fn lead_s(&self, quantile: f64) -> Option<f64> {
        of_histogram(HistogramOf::Leads, &self.leads, quantile)
    }

    /// A quantile of the staleness at all reports in seconds, to a bucket of the histogram.
    #[must_use]
    pub fn staleness_s(&self, quantile: f64) -> Option<f64> {
        of_histogram(HistogramOf::Staleness, &self.staleness, quantile)
    }
}

impl WorstCapture {
    fn of(of: &TabledCapture) -> WorstCapture {
        let capture = of.capture.clone();
        match &of.analysis {
            Ok(analysis) => WorstCapture {
                capture,
                standing: standing(analysis).to_string(),
                rank: standing(analysis) as u8,
                bad_s: analysis.verdict.bad_s,
                onset_s: analysis.verdict.onset_s,
                cause: analysis.diagnosis.findings.first().map(|first| first.class.to_string()),
            },
            Err(_) => WorstCapture {
                capture,
                standing: "unreadable".to_owned(),
                rank: Standing::Unknown as u8,
                bad_s: 0.0,
                onset_s: None,
                cause: None,
            },
        }
    }
}

fn merge(sums: &mut Vec<i64>, counts: &[i64]) {
    sums.resize(sums.len().max(counts.len()), 0);
    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
}

/// The worse end of the bucket in which a quantile lies: the lower one of a lead, the higher of an age.
fn of_histogram(of: HistogramOf, counts: &[i64], quantile: f64) -> Option<f64> {
    let total: i64 = counts.iter().sum();
    let rank = ((total as f64 * quantile).ceil() as i64).clamp(1, total.max(1));
    let mut seen = 0;
    let place = counts.iter().position(|count| {
        seen += count;
        seen >= rank && total > 0
    })?;
    let edges = edges(of);
    Some(match of {
        HistogramOf::Leads => edges[place.saturating_sub(1)],
        HistogramOf::Staleness => edges[place.min(edges.len() - 1)],
    })
}
