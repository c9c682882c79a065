//! Rows, measured in turns.
//!
//! Enters: tables of rows, each a piece of work with the units that one call does. Leaves: seconds
//! per unit, sample by sample. All rows of a table take one sample each round. A ratio is the
//! median of the ratios of rounds, so that a machine that slows down slows both of its sides.

use std::hint::black_box;

use anyhow::{Context, Result};
use lagtape::lag::stats::percentile;
use serde::Serialize;
use tempfile::TempDir;

use crate::clock;
use crate::machine::Machine;
use crate::print;

/// What else may run on the machine while threads are compared, in cores.
const IDLE: f64 = 0.05;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Whether it is the short one.
    pub quick: bool,
    /// Samples of each row.
    rounds: usize,
    /// Shortest sample: quick work is repeated until it takes so long.
    sample_s: f64,
    /// A row that has taken so long leaves the further rounds to the others, from `fewest` on.
    row_s: f64,
    /// Fewest samples of a row.
    fewest: usize,
}

impl Effort {
    /// For figures that are to be believed.
    pub const FULL: Effort =
        Effort { quick: false, rounds: 25, sample_s: 0.02, row_s: 6.0, fewest: 5 };
    /// For a first look.
    pub const QUICK: Effort =
        Effort { quick: true, rounds: 7, sample_s: 0.005, row_s: 0.5, fewest: 1 };
}

/// What to measure side by side.
pub struct Table<'a> {
    /// Of what the rows are.
    pub title: String,
    /// What the figures are per.
    pub unit: &'static str,
    /// The rows, in their order.
    pub rows: Vec<Row<'a>>,
    /// Which to compare.
    pub ratios: Vec<Ratio>,
}

/// One line of a table.
pub struct Row<'a> {
    name: String,
    clock: Clock,
    units: f64,
    aim_s: Option<f64>,
    work: Work<'a>,
}

/// How a row was timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// CPU time of the thread.
    ThreadCpu,
    /// CPU time of all threads of this process.
    ProcessCpu,
    /// CPU time of the only thread of a child process.
    ChildCpu,
    /// The wall clock.
    Wall,
}

enum Work<'a> {
    /// Does it so often and says how many seconds that took.
    Measured(Box<dyn FnMut(u64) -> Result<f64> + 'a>),
    /// What other rows take together.
    Sum(&'static [&'static str]),
    /// Cannot be measured here, and why.
    Missing(String),
}

/// Two rows to compare.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    /// How much longer this one takes …
    pub of: &'static str,
    /// … than this one.
    pub over: &'static str,
    /// What is aimed for.
    pub aim: Aim,
}

/// What a ratio should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aim {
    /// So much or less.
    AtMost(f64),
    /// So much or more.
    AtLeast(f64),
    /// It is there to be seen.
    Shown,
}

impl<'a> Row<'a> {
    /// Work timed by the CPU time of this thread; one call does `units`.
    pub fn cpu<R>(name: &str, units: usize, work: impl FnMut() -> R + 'a) -> Self {
        Self::timed(name, Clock::ThreadCpu, units, work, clock::thread_cpu_s)
    }

    /// Work that starts threads of its own, timed by the CPU time of all of them.
    pub fn all_cpu<R>(name: &str, units: usize, work: impl FnMut() -> R + 'a) -> Self {
        Self::timed(name, Clock::ProcessCpu, units, work, clock::process_cpu_s)
    }

    /// Work on several threads, timed by the wall clock.
    pub fn wall<R>(name: &str, units: usize, work: impl FnMut() -> R + 'a) -> Self {
        Self::timed(name, Clock::Wall, units, work, clock::wall_s)
    }

    fn timed<R>(
        name: &str,
        clock: Clock,
        units: usize,
        mut work: impl FnMut() -> R + 'a,
        now_s: fn() -> f64,
    ) -> Self {
        let timed = move |times| {
            let begun_s = now_s();
            for _ in 0..times {
                black_box(work());
            }
            Ok(now_s() - begun_s)
        };
        Self::of(name, clock, units, Work::Measured(Box::new(timed)))
    }

    /// Work of a child process that reports its own time.
    pub fn child(name: &str, units: usize, work: impl FnMut(u64) -> Result<f64> + 'a) -> Self {
        Self::of(name, Clock::ChildCpu, units, Work::Measured(Box::new(work)))
    }

    /// What other rows of the table take together.
    pub fn sum(name: &str, parts: &'static [&'static str]) -> Self {
        Self::of(name, Clock::ThreadCpu, 1, Work::Sum(parts))
    }

    /// A row that cannot be measured here.
    pub fn missing(name: &str, reason: impl Into<String>) -> Self {
        Self::of(name, Clock::ThreadCpu, 1, Work::Missing(reason.into()))
    }

    /// Aims at this many seconds per unit.
    pub fn aim_s(self, aim_s: f64) -> Self {
        Row { aim_s: Some(aim_s), ..self }
    }

    fn of(name: &str, clock: Clock, units: usize, work: Work<'a>) -> Self {
        Row { name: name.to_owned(), clock, units: units as f64, aim_s: None, work }
    }
}

impl Ratio {
    /// Compares two rows by their names.
    pub fn new(of: &'static str, over: &'static str, aim: Aim) -> Self {
        Ratio { of, over, aim }
    }
}

/// A table with its figures.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// The group that it belongs to.
    pub group: &'static str,
    /// Of what the rows are.
    pub title: String,
    /// What the figures are per.
    pub unit: &'static str,
    /// The rows.
    pub rows: Vec<MeasuredRow>,
    /// The comparisons.
    pub ratios: Vec<MeasuredRatio>,
}

/// A row with its figures.
#[derive(Debug, Clone, Serialize)]
pub struct MeasuredRow {
    /// Its name.
    pub name: String,
    /// How it was timed.
    pub clock: Clock,
    /// Seconds per unit; without any, `missing` says why.
    #[serde(flatten)]
    pub figures: Option<RowFigures>,
    /// Seconds per unit that are aimed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aim_s: Option<f64>,
    /// Why it was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// Seconds per unit in each round that it took part in.
    #[serde(skip)]
    samples: Vec<Option<f64>>,
}

/// What a row takes, in seconds per unit.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RowFigures {
    /// Quarter of the samples below.
    pub p25_s: f64,
    /// Half.
    pub median_s: f64,
    /// Three quarters.
    pub p75_s: f64,
    /// How many samples.
    pub samples: usize,
}

/// A ratio with its figure.
#[derive(Debug, Clone, Serialize)]
pub struct MeasuredRatio {
    /// The slower row, as a rule.
    pub of: &'static str,
    /// The other.
    pub over: &'static str,
    /// How many times as long the first takes; none where a row is missing.
    pub value: Option<f64>,
    /// What is aimed for at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// What is aimed for at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
}

/// Everything of one run.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    quick: bool,
    machine: &'a Machine,
    tables: &'a [Measured],
    notes: &'a [String],
}

/// A run of the program.
pub struct Bench {
    /// How long to measure.
    pub effort: Effort,
    /// A folder that goes with the run.
    pub folder: TempDir,
    json: bool,
    group: &'static str,
    machine: Machine,
    tables: Vec<Measured>,
    notes: Vec<String>,
}

impl Bench {
    /// Begins a run.
    pub fn new(effort: Effort, json: bool) -> Result<Bench> {
        let folder = TempDir::with_prefix("lagtape-bench").context("no folder for captures")?;
        let (machine, group) = (Machine::this(), "");
        let (tables, notes) = (Vec::new(), Vec::new());
        let bench = Bench { effort, folder, json, group, machine, tables, notes };
        bench.say(&print::machine(&bench.machine));
        Ok(bench)
    }

    /// What follows belongs to this group.
    pub fn begin_group(&mut self, name: &'static str) {
        self.group = name;
    }

    /// Says what is going on, to whoever watches.
    pub fn doing(&self, what: &str) {
        eprintln!("{}: {what} …", self.group);
    }

    /// Keeps a sentence for the reader.
    pub fn note(&mut self, note: &str) {
        self.say(&format!("  {note}\n"));
        self.notes.push(format!("{}: {note}", self.group));
    }

    /// Measures a table and prints it.
    pub fn measure(&mut self, table: Table<'_>) -> Result<()> {
        self.doing(&format!("measuring {}", table.title));
        let measured = measured(table, self.group, self.effort)?;
        self.say(&print::table(&measured));
        self.tables.push(measured);
        Ok(())
    }

    /// Compares one thread with two, if the machine has two cores and nothing else to do.
    pub fn threads<R>(
        &mut self,
        what: &str,
        unit: &'static str,
        units: usize,
        aim: Aim,
        work: impl Fn(usize) -> R,
    ) -> Result<()> {
        let why_not = why_not_idle();
        let row = |name: &str, threads: usize| match &why_not {
            Some(reason) => Row::missing(name, reason),
            None => {
                let work = &work;
                Row::wall(name, units, move || work(threads))
            }
        };
        let rows = vec![row("1 thread", 1), row("2 threads", 2)];
        let ratios = vec![Ratio::new("1 thread", "2 threads", aim)];
        self.measure(Table { title: format!("{what}, threads"), unit, rows, ratios })
    }

    /// Ends the run.
    pub fn finish(self) -> Result<()> {
        if self.json {
            let document = Document {
                schema: 1,
                quick: self.effort.quick,
                machine: &self.machine,
                tables: &self.tables,
                notes: &self.notes,
            };
            println!("{}", serde_json::to_string_pretty(&document)?);
        }
        Ok(())
    }

    fn say(&self, text: &str) {
        if self.json {
            eprintln!("{text}");
        } else {
            println!("{text}");
        }
    }
}

/// Why threads cannot be compared now.
fn why_not_idle() -> Option<String> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Some("there is only one core".to_owned());
    }
    match clock::busy_others() {
        None => Some("this system does not tell whether it is idle".to_owned()),
        Some(busy) if busy > IDLE => Some(format!("machine busy, others use {busy:.2} cores")),
        Some(_) => None,
    }
}

/// A row in the middle of the measurement.
struct Running<'a> {
    row: Row<'a>,
    times: u64,
    spent_s: f64,
    samples: Vec<Option<f64>>,
}

fn measured(table: Table<'_>, group: &'static str, effort: Effort) -> Result<Measured> {
    let Table { title, unit, rows, ratios } = table;
    let mut rows = rows
        .into_iter()
        .map(|row| Running::new(row, effort))
        .collect::<Result<Vec<Running<'_>>>>()?;
    for round in 0..effort.rounds {
        rows.iter_mut().try_for_each(|row| row.sample(round, effort))?;
    }
    let mut rows: Vec<_> = rows.into_iter().map(Running::finish).collect();
    sum_up(&mut rows);
    let rows: Vec<_> = rows.into_iter().map(|(row, _)| row).collect();
    let ratios = ratios.iter().map(|ratio| ratio.measured(&rows)).collect();
    Ok(Measured { group, title, unit, rows, ratios })
}

impl<'a> Running<'a> {
    /// Calls a row once, to warm it up and to see how often a sample should repeat it.
    fn new(mut row: Row<'a>, effort: Effort) -> Result<Self> {
        let mut times = 1;
        if let Work::Measured(work) = &mut row.work {
            let once_s = work(1).with_context(|| row.name.clone())?.max(1e-9);
            times = (effort.sample_s / once_s).ceil().clamp(1.0, 1e6) as u64;
        }
        Ok(Running { row, times, spent_s: 0.0, samples: Vec::new() })
    }

    fn sample(&mut self, round: usize, effort: Effort) -> Result<()> {
        let Work::Measured(work) = &mut self.row.work else { return Ok(()) };
        if self.spent_s > effort.row_s && round >= effort.fewest {
            self.samples.push(None);
            return Ok(());
        }
        let seconds = work(self.times).with_context(|| self.row.name.clone())?;
        self.spent_s += seconds;
        self.samples.push(Some(seconds / self.times as f64 / self.row.units));
        Ok(())
    }

    fn finish(self) -> (MeasuredRow, &'static [&'static str]) {
        let Row { name, clock, aim_s, work, .. } = self.row;
        let (missing, parts) = match work {
            Work::Measured(_) => (None, &[][..]),
            Work::Sum(parts) => (None, parts),
            Work::Missing(reason) => (Some(reason), &[][..]),
        };
        let figures = RowFigures::of(&self.samples);
        (MeasuredRow { name, clock, figures, aim_s, missing, samples: self.samples }, parts)
    }
}

/// Fills the rows that are sums of others, round by round.
fn sum_up(rows: &mut [(MeasuredRow, &'static [&'static str])]) {
    for i in 0..rows.len() {
        let parts: Vec<_> = rows[i]
            .1
            .iter()
            .filter_map(|part| rows.iter().find(|(row, _)| row.name == *part))
            .map(|(row, _)| row.samples.clone())
            .collect();
        let Some(rounds) = parts.iter().map(Vec::len).min() else { continue };
        let sum = |round: usize| parts.iter().map(|samples| samples[round]).sum::<Option<f64>>();
        let row = &mut rows[i].0;
        row.samples = (0..rounds).map(sum).collect();
        row.figures = RowFigures::of(&row.samples);
    }
}

impl RowFigures {
    fn of(samples: &[Option<f64>]) -> Option<Self> {
        let mut samples: Vec<f64> = samples.iter().flatten().copied().collect();
        let count = samples.len();
        let mut at = |q| percentile(&mut samples, q);
        let (p25_s, median_s, p75_s) = (at(0.25), at(0.5), at(0.75));
        (count > 0).then_some(RowFigures { p25_s, median_s, p75_s, samples: count })
    }
}

impl Ratio {
    fn measured(&self, rows: &[MeasuredRow]) -> MeasuredRatio {
        let samples = |name: &str| {
            let row = rows.iter().find(|row| row.name == name);
            &row.unwrap_or_else(|| panic!("no row is called {name}")).samples
        };
        let rounds = samples(self.of).iter().zip(samples(self.over));
        let mut ratios: Vec<f64> =
            rounds.filter_map(|(of, over)| Some((*of)? / (*over)?)).collect();
        let value = (!ratios.is_empty()).then(|| percentile(&mut ratios, 0.5));
        let (at_most, at_least) = match self.aim {
            Aim::AtMost(most) => (Some(most), None),
            Aim::AtLeast(least) => (None, Some(least)),
            Aim::Shown => (None, None),
        };
        MeasuredRatio { of: self.of, over: self.over, value, at_most, at_least }
    }
}
