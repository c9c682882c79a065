//! Captures into tables, at the command line of `analyze`.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::app::{self, AnalyzeOptions, Outcome, TableTarget, TablesSummary, TablesVerb};
use crate::cli::progress::progress_bar;
use crate::cli::stderr::Stderr;
use crate::cli::stdout::unless_closed;
use crate::edge::output::is_dash;
use crate::parse::Misuse;
use crate::report::table::{GroupKeys, TableForm, TableName, grouped_text};
use crate::sweep::rows::Predicate;

/// Where tables go, and what captures are grouped by.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Tables of many captures (docs/FLEET.md)")]
pub struct TableArgs {
    /// Tables as lines of JSON into the folder OUT, a file each; or one table into OUT.jsonl
    #[arg(long, value_name = "OUT", conflicts_with_all = ["csv", "json", "each"])]
    pub jsonl: Option<PathBuf>,
    /// Tables as Arrow files (Feather), for pandas, Polars, DuckDB and Spark
    #[arg(long, value_name = "OUT", conflicts_with_all = ["csv", "jsonl", "json", "each"])]
    pub arrow: Option<PathBuf>,
    /// Tables as Parquet files, where lagtape was built with the feature parquet
    #[arg(long, value_name = "OUT", conflicts_with_all = ["csv", "jsonl", "arrow", "json", "each"])]
    pub parquet: Option<PathBuf>,
    /// Which tables: captures, episodes, findings, slices, ticks, messages, events, damage; all but
    /// messages by default
    #[arg(long, value_name = "TABLES", value_delimiter = ',')]
    pub tables: Vec<TableName>,
    /// Go on with a run that was ended before it was done
    #[arg(long)]
    pub resume: bool,
    /// Replace existing files
    #[arg(long, conflicts_with = "resume")]
    pub force: bool,
    /// The five worst, and what each group comes to: by columns of the table of captures, such as
    /// client,day, or by metadata.NAME
    #[arg(long, value_name = "COLUMNS", conflicts_with_all = ["json", "each"])]
    pub by: Option<GroupKeys>,
}

impl TableArgs {
    /// What is to be done, if tables or groups are asked for.
    pub fn verb(
        &self,
        csv: Option<&Path>,
        options: AnalyzeOptions,
        threads: usize,
        fail_if: Option<Predicate>,
    ) -> Result<Option<TablesVerb>> {
        let forms = [
            (csv, TableForm::Csv),
            (self.jsonl.as_deref(), TableForm::Jsonl),
            (self.arrow.as_deref(), TableForm::Arrow),
            (self.parquet.as_deref(), TableForm::Parquet),
        ];
        let target = forms.into_iter().find_map(|(out, form)| Some((out?, form)));
        if target.is_none() && !self.tables.is_empty() | self.resume | self.force {
            bail!(Misuse::new(
                "there is no file to write; give --csv, --jsonl, --arrow or --parquet with its OUT"
            ));
        }
        let files = target.map(|(out, form)| self.target(out, form)).transpose()?;
        if files.is_none() && self.by.is_none() {
            return Ok(None);
        }
        let by = self.by.clone().unwrap_or_default();
        Ok(Some(TablesVerb { options, threads, files, by, fail_if }))
    }

    fn target(&self, out: &Path, form: TableForm) -> Result<TableTarget> {
        if form == TableForm::Parquet && !cfg!(feature = "parquet") {
            bail!(Misuse::new(
                "this lagtape was built without the feature parquet; write --arrow, which the same \
                 programs read, or use the Python module (docs/FLEET.md)"
            ));
        }
        if is_dash(out) {
            bail!(Misuse::new(
                "tables are files, and - is none; name a folder, or of one table a file such as x.csv"
            ));
        }
        let is_file = out.extension().is_some_and(|ending| ending == form.ending());
        if out.is_file() && !is_file {
            bail!(Misuse(format!(
                "--{} takes where to write, and {} is a file; name a folder, or put the captures before \
                 the flag",
                form.ending(),
                out.display()
            )));
        }
        let all = || TableName::ALL.into_iter().filter(|table| *table != TableName::Messages);
        let tables = match (self.tables.as_slice(), is_file) {
            ([], true) => vec![TableName::Captures],
            ([], false) => all().collect(),
            (chosen, _) => {
                let mut chosen = chosen.to_vec();
                chosen.sort();
                chosen.dedup();
                chosen
            }
        };
        let (out, force, resume) = (out.to_owned(), self.force, self.resume);
        Ok(TableTarget { form, out, tables, force, resume })
    }
}

pub fn run(
    files: &[PathBuf],
    verb: &TablesVerb,
    stderr: Stderr,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let bar = progress_bar("{pos} of {len} captures, {per_sec}, {eta} left");
    let mut complain = |sentence: &str| bar.suspend(|| stderr.complain(sentence));
    let mut progress = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        ControlFlow::Continue(())
    };
    let done = app::tables(files, verb, &mut complain, &mut progress);
    bar.finish_and_clear();
    let TablesSummary { outcome, groups, written, resumed } = done?;
    if resumed > 0 {
        stderr.say(&format!("{resumed} of {} captures had been done before", files.len()));
    }
    for (file, rows) in &written {
        let plural = if *rows == 1 { "" } else { "s" };
        stderr.wrote(file, &format!("{rows} row{plural}"), None);
    }
    unless_closed(write!(out, "{}", grouped_text(&groups)).map_err(Into::into), outcome)
}
