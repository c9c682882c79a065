//! Captures as tables: each capture read once, its rows handed out in the order of the captures, memory
//! that of a few captures however many there are.

mod columnar;
mod folder;
mod what_ifs;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::analyze::{AnalyzeOptions, analyzed};
use super::outcome::Outcome;
use crate::capture::Record;
use crate::engine::Engine;
use crate::report::Analysis;
use crate::report::moments::{MomentCollector, Moments};
use crate::report::page::PageCollector;
use crate::report::table::{
    GroupKeys, GroupedCaptures, Histograms, SessionTables, TableName, TabledCapture,
};
use crate::sweep::in_order::InOrder;
use crate::sweep::rows::Predicate;

pub use folder::{TableFiles, TableTarget};
pub use what_ifs::what_if_rows;

/// What is made of many captures.
#[derive(Debug, Clone)]
pub struct TablesVerb {
    pub options: AnalyzeOptions,
    /// Threads; 0 is one for each core.
    pub threads: usize,
    /// The tables to write and where to, if anywhere.
    pub files: Option<TableTarget>,
    /// What captures are grouped by.
    pub by: GroupKeys,
    /// What decides the exit code instead of the verdict.
    pub fail_if: Option<Predicate>,
}

/// What came of them.
#[derive(Debug)]
pub struct TablesSummary {
    pub outcome: Outcome,
    pub groups: GroupedCaptures,
    /// The files that were written, with their rows.
    pub written: Vec<(PathBuf, u64)>,
    /// Captures that an earlier run had done.
    pub resumed: usize,
}

/// Hears how many captures of how many are done, and may end the work.
pub type TablesProgress<'a> = &'a mut dyn FnMut(usize, usize) -> ControlFlow<()>;

/// What follows the engine for the rows of some tables.
#[derive(Default)]
struct Collected {
    rows: Option<PageCollector>,
    moments: Option<MomentCollector>,
}

/// A capture's rows in these tables. What cannot be read has a row too, which says why.
#[must_use]
pub fn tabled(path: &Path, options: &AnalyzeOptions, tables: &[TableName]) -> TabledCapture {
    let capture = path.display().to_string();
    let file_bytes = fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|file| file.len());
    let has = |of: &[TableName]| tables.iter().any(|table| of.contains(table));
    let wants_rows = has(&TableName::OF_SESSION);
    let wants_moments = has(&[TableName::Events]);
    let begin = || Collected {
        rows: wants_rows.then(PageCollector::default),
        moments: wants_moments.then(MomentCollector::default),
    };
    let step = |collected: &mut Collected, engine: &mut Engine, record: &Record<'_>| {
        engine.handle(record);
        if let Some(rows) = &mut collected.rows {
            rows.see(engine, record);
        }
        if let Some(moments) = &mut collected.moments {
            moments.see(engine, record);
        }
    };
    // Checkpoints do not have every record.
    let quick = options.quick && !wants_rows && !wants_moments;
    let options = AnalyzeOptions { quick, ..options.clone() };
    let read = match analyzed(path, &options, begin, step) {
        Ok(read) => read,
        Err(error) => {
            return TabledCapture::unreadable(capture, file_bytes, format!("{error:#}"));
        }
    };
    let Collected { rows, moments } = read.collected;
    TabledCapture {
        capture,
        file_bytes,
        from_checkpoints: read.quick,
        what_ifs: Vec::new(),
        histograms: Histograms::of(&read.engine),
        session: rows.map(|rows| SessionTables::of(&read.engine, read.at, rows)),
        moments: moments.map_or(Moments::default(), |moments| {
            Moments::of(&read.engine, moments, &read.analysis)
        }),
        analysis: Ok(read.analysis),
    }
}

/// The rows of many captures, one capture after another in the order of the paths.
pub fn tabled_all(
    paths: Vec<PathBuf>,
    options: &AnalyzeOptions,
    tables: &[TableName],
    threads: usize,
) -> std::io::Result<InOrder<TabledCapture>> {
    let (options, tables) = (options.clone(), tables.to_vec());
    InOrder::new(paths, threads, move |path| tabled(path, &options, &tables))
}

/// Analyses captures into tables and groups. `complain` hears of each that is damaged or unreadable.
pub fn tables(
    paths: &[PathBuf],
    verb: &TablesVerb,
    complain: &mut dyn FnMut(&str),
    progress: TablesProgress<'_>,
) -> Result<TablesSummary> {
    if let Some(folder) = paths.iter().find(|path| path.is_dir()) {
        bail!("there is no capture in {}", folder.display());
    }
    let mut sums = Sums::new(verb.by.clone());
    let mut files = None;
    if let Some(target) = &verb.files {
        let (opened, before) = TableFiles::open(target, paths, verb)?;
        sums = before.unwrap_or(sums);
        files = Some(opened);
    }
    let resumed = sums.groups.captures();
    let wanted = verb.files.as_ref().map_or(&[][..], |target| &target.tables);
    let left = paths[resumed..].to_vec();
    for (done, of) in (resumed + 1..).zip(tabled_all(left, &verb.options, wanted, verb.threads)?) {
        match &of.analysis {
            Err(why) => complain(why),
            Ok(Analysis { capture, damage: Some(damage), .. }) => {
                complain(&format!("{capture}: {}", damage.reason));
            }
            Ok(_) => {}
        }
        sums.add(&of, outcome(&of, verb.fail_if.as_ref()));
        if let Some(files) = &mut files {
            files.add(&of, &sums)?;
        }
        if progress(done, paths.len()).is_break() {
            bail!(super::Stopped);
        }
    }
    let written = files.map_or(Ok(Vec::new()), |files| files.finish(&sums))?;
    Ok(TablesSummary { outcome: sums.worst, groups: sums.groups, written, resumed })
}

/// All captures so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sums {
    worst: Outcome,
    groups: GroupedCaptures,
}

impl Sums {
    fn new(by: GroupKeys) -> Sums {
        Sums { worst: Outcome::Healthy, groups: GroupedCaptures::new(by) }
    }

    fn add(&mut self, of: &TabledCapture, outcome: Outcome) {
        self.worst = self.worst.min(outcome);
        self.groups.add(of);
    }
}

/// What a capture comes to, by its verdict or by a condition alone.
fn outcome(of: &TabledCapture, fail_if: Option<&Predicate>) -> Outcome {
    let Ok(analysis) = &of.analysis else { return Outcome::Failed };
    let Some(condition) = fail_if else { return Outcome::of_analysis(analysis) };
    let judged = analysis.judged().filter(|judged| condition.value(*judged).is_some());
    let of_condition = match judged.map(|judged| condition.holds(judged)) {
        None => Outcome::Failed,
        Some(true) => Outcome::Lag,
        Some(false) => Outcome::Healthy,
    };
    match analysis.damage {
        Some(_) => of_condition.min(Outcome::Damaged),
        None => of_condition,
    }
}
