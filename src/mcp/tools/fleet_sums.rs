//! What `capture_list` says of all captures together: the worst, and what groups come to.

use std::path::PathBuf;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::app::{self, AnalyzeOptions, CaptureFolders, TablesVerb};
use crate::mcp::answer::{Truncated, clipped, page};
use crate::mcp::call::Job;
use crate::mcp::views;
use crate::report::table::{
    CaptureGroup, GroupKeys, GroupedCaptures, Standing, WorstCapture, counts_in_words,
};

/// Damaged or unreadable captures of which is said what is wrong.
const MOST_COMPLAINTS: usize = 5;

/// Captures together.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FleetSums {
    all: Value,
    /// The five worst: id, verdict, bad_s, onset_s, cause
    worst: Vec<Value>,
    /// The same of each group as of all, with its keys
    groups: Vec<Value>,
    /// What is wrong with some that are damaged or cannot be read
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damage: Vec<String>,
    #[serde(skip)]
    pub summary: String,
}

impl FleetSums {
    /// Reads captures by their checkpoints and sums them up, with so many groups from number `start` on.
    pub fn of(
        mut paths: Vec<PathBuf>,
        by: GroupKeys,
        (start, most): (usize, usize),
        folders: &CaptureFolders,
        job: &Job,
    ) -> Result<(FleetSums, Option<Truncated>)> {
        paths.sort();
        let verb = TablesVerb {
            options: AnalyzeOptions { quick: true, ..AnalyzeOptions::default() },
            threads: 0,
            files: None,
            by,
            fail_if: None,
        };
        let mut damage = Vec::new();
        let mut complain = |sentence: &str| {
            if damage.len() < MOST_COMPLAINTS {
                damage.push(clipped(sentence));
            }
        };
        let mut progress = |done, total| job.reached(done as u64, total as u64);
        let summed = app::tables(&paths, &verb, &mut complain, &mut progress)?.groups;
        let groups: Vec<_> = summed.groups().collect();
        let keyed =
            |(values, group): &(&[String], &CaptureGroup)| keyed(summed.keys(), values, group);
        let (groups, cut) = page("groups", groups.iter().map(keyed), start, most);
        let worst = summed.worst_captures().iter();
        let sums = FleetSums {
            all: Value::Object(figures(summed.all())),
            worst: worst.map(|worst| self::worst(worst, folders)).collect(),
            groups,
            damage,
            summary: summary(&summed),
        };
        Ok((sums, cut))
    }

    /// The id of the worst capture, if one is bad.
    pub fn worst_id(&self) -> Option<&str> {
        self.worst.first()?["id"].as_str()
    }
}

fn summary(summed: &GroupedCaptures) -> String {
    let captures = views::counted(summed.captures() as u64, "capture");
    format!("{captures}: {}", counts_in_words(summed.all()))
}

fn keyed(keys: &[String], values: &[String], group: &CaptureGroup) -> Value {
    let key = keys.iter().zip(values).map(|(key, value)| (key.clone(), clipped(value).into()));
    key.chain(figures(group)).collect::<Map<_, _>>().into()
}

/// What captures come to. Quantiles are those of all slices and reports, to a bucket of the histogram.
fn figures(group: &CaptureGroup) -> Map<String, Value> {
    let figures = json!({
        "captures": group.captures,
        "lag": group.standing(Standing::Lag),
        "ended_abnormally": group.standing(Standing::Ended),
        "no_verdict": group.standing(Standing::Unknown),
        "unreadable": group.unreadable,
        "damaged": group.damaged,
        "bad_s": (group.bad_s * 1e3).round() / 1e3,
        "lead_p5_s": group.lead_s(0.05),
        "staleness_p95_s": group.staleness_s(0.95),
        "commonest_cause": group.commonest_cause(),
    });
    let Value::Object(mut figures) = figures else { return Map::new() };
    figures.retain(|_, value| !value.is_null() && *value != 0);
    figures
}

fn worst(worst: &WorstCapture, folders: &CaptureFolders) -> Value {
    let id = folders.id(worst.capture.as_ref());
    let id = id.unwrap_or_else(|_| worst.capture.clone());
    json!({
        "id": id,
        "verdict": worst.standing,
        "bad_s": worst.bad_s,
        "onset_s": worst.onset_s,
        "cause": worst.cause,
    })
}
