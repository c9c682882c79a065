//! `sweep` at the command line: the progress bar and the forms of its result.

use std::io::Write;
use std::ops::ControlFlow;

use anyhow::Result;

use crate::app::{self, Outcome};
use crate::cli::progress::progress_bar;
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, unless_closed};
use crate::cli::wording::FLAGS;
use crate::report::sweep::{Sweep, csv, find, table};

pub use crate::cli::scenario_args::SweepArgs;

pub fn run(args: &SweepArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let (verb, condition) = args.verb()?;
    let files = app::with_folders(&args.files)?;
    let bar = progress_bar("{pos} of {len} scenarios, {eta} left");
    let progress = &|done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        ControlFlow::Continue(())
    };
    let Some(condition) = condition else {
        let sweep = app::sweep(&files, &verb, progress);
        bar.finish_and_clear();
        let sweep = sweep?;
        let printed = match (args.json, args.csv) {
            (true, _) => json_line(out, &sweep),
            (_, true) => write!(out, "{}", csv(&sweep)).map_err(Into::into),
            _ => write!(out, "{}", table::text(&sweep, FLAGS)).map_err(Into::into),
        };
        return unless_closed(printed, outcome(&sweep, stderr));
    };
    let found = app::find(&files, &verb, &condition, progress);
    bar.finish_and_clear();
    let found = found?;
    let printed = match (args.json, args.csv) {
        (true, _) => json_line(out, &found),
        (_, true) => write!(out, "{}", csv(&found.sweep)).map_err(Into::into),
        _ => write!(out, "{}", find::text(&found)).map_err(Into::into),
    };
    unless_closed(printed, outcome(&found.sweep, stderr))
}

/// What failed is said on stderr too, for those who read only figures.
fn outcome(sweep: &Sweep, stderr: Stderr) -> Outcome {
    let failures = sweep.captures.iter().filter_map(|capture| capture.failure.as_deref());
    failures.fold(Outcome::Healthy, |_, failure| {
        stderr.complain(failure);
        Outcome::Failed
    })
}
