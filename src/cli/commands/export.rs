//! `export`: a capture as the file of another tool.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, ExportVerb, Outcome};
use crate::cli::part_args::PartArgs;
use crate::cli::stderr::Stderr;
use crate::cli::values::PlayheadArg;
use crate::report::export::ExportForm;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape export stall.lagtape --perfetto -o stall.perfetto-trace
  lagtape export stall.lagtape --mcap -o stall.mcap
  lagtape export stall.lagtape --har -o stall.har
  lagtape export stall.lagtape --csv -o - | head

Each form says on stderr what it leaves out. What peers said goes along,
prompts too; lagtape redact takes texts out of a capture.")]
#[command(override_usage = "lagtape export [OPTIONS] <--FORM> --out <FILE> <FILE>")]
pub struct ExportArgs {
    /// The capture, packed or not; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The file to write; - is stdout
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// The playhead to measure against: simulated by default for headless clients, else reported
    #[arg(long, value_name = "WHICH", value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub form: FormArgs,
    #[command(flatten)]
    pub part: PartArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which form")]
#[group(required = true, multiple = false)]
pub struct FormArgs {
    /// A trace for ui.perfetto.dev: tracks, counters, and flows from reports to slices
    #[arg(long)]
    pub perfetto: bool,
    /// Channels of numbers and texts, for Foxglove and Rerun
    #[arg(long)]
    pub mcap: bool,
    /// What a browser saves; lagtape import makes the same capture of it again
    #[arg(long)]
    pub har: bool,
    /// A table with a line for each message
    #[arg(long)]
    pub csv: bool,
    /// A JSON object for each message, with its text
    #[arg(long)]
    pub jsonl: bool,
}

impl FormArgs {
    /// The one that is asked for.
    fn form(&self) -> ExportForm {
        let forms = [
            (self.perfetto, ExportForm::Perfetto),
            (self.mcap, ExportForm::Mcap),
            (self.har, ExportForm::Har),
            (self.csv, ExportForm::Csv),
        ];
        forms.into_iter().find(|(asked, _)| *asked).map_or(ExportForm::Jsonl, |(_, form)| form)
    }
}

pub fn run(args: &ExportArgs, stderr: Stderr, _: &mut dyn Write) -> Result<Outcome> {
    let form = args.form.form();
    let verb = ExportVerb {
        form,
        part: args.part.part(),
        playhead: args.playhead.map(Into::into),
        force: args.force,
    };
    let summary = app::export(&args.file, &args.out, &verb)?;
    stderr.wrote(
        &args.out,
        &format!("{} records; left out: {}", summary.rows, form.left_out()),
        None,
    );
    Ok(stderr.damaged(&args.file, summary.damage.as_ref()))
}
