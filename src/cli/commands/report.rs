//! `report`: captures as one page.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::app::{self, Outcome};
use crate::cli::browser;
use crate::cli::stderr::Stderr;
use crate::cli::values::{PlayheadArg, Seconds, parse_seconds};
use crate::cli::wording::FLAGS;
use crate::edge::output::{self, is_dash};
use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};
use crate::report::page;
use crate::report::text::Bytes;
use crate::review::{PageRequest, TunnelRuns};

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape report stall.lagtape -o stall.html --open
  lagtape report before.lagtape after.lagtape -o both.html
  lagtape report stall.lagtape -o stall.html --audio
  lagtape report stall.lagtape -o mended.html --what-if change.toml

The page is one file that needs no network: send it to whoever is to see it. What
peers said stands in it, prompts too; lagtape redact takes texts out of a capture.")]
pub struct PageArgs {
    /// Captures, a tab each; two stand side by side
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// The page to write
    #[arg(short, long, default_value = "report.html")]
    pub out: PathBuf,
    /// Show it in the browser
    #[arg(long)]
    pub open: bool,
    /// Put in what was heard and the loop, to listen to: 11 MB a minute of mono
    #[arg(long)]
    pub audio: bool,
    /// Runs of the model for each setting in the wind tunnel: 8 unless given, fewer with sessions
    /// longer than a minute; 0 leaves the wind tunnel out
    #[arg(long, value_name = "N")]
    pub runs: Option<usize>,
    /// Lay a scenario over what was recorded: a file of TOML as what-if reads it; with --audio what
    /// would have been heard goes in too
    #[arg(long, value_name = "SCENARIO")]
    pub what_if: Option<PathBuf>,
    /// Audio older than this is stale
    #[arg(long, default_value_t = Seconds(DEFAULT_STALE_THRESHOLD_S), value_parser = parse_seconds)]
    pub stale_threshold: Seconds,
    /// The playhead to measure against: simulated by default for headless clients, else reported
    #[arg(long, value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Settings computed at once; 0 is one for each core
    #[arg(long, default_value_t = 0, env = "LAGTAPE_THREADS")]
    pub threads: usize,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

pub fn run(args: &PageArgs, stderr: Stderr, _: &mut dyn Write) -> Result<Outcome> {
    for file in &args.files {
        output::refuse_input(file, &args.out)?;
    }
    let what_if = args.what_if.as_deref().map(app::read_scenario).transpose()?;
    let report = ReportArgs { stale_threshold_s: args.stale_threshold.0, ..ReportArgs::default() };
    let verb = PageRequest {
        playhead: args.playhead.map(Into::into),
        report,
        audio: args.audio,
        tunnel: args.runs.map_or(TunnelRuns::Affordable, TunnelRuns::Exactly),
        what_if,
        threads: args.threads,
        wording: FLAGS,
    };
    let (mut worst, mut sessions) = (Outcome::Healthy, Vec::new());
    for file in &args.files {
        match app::page_session(file, &verb) {
            Ok((session, analysis)) => {
                worst = worst.min(stderr.damaged(file, analysis.damage.as_ref()));
                for why in &session.missing {
                    stderr.complain(&format!("there is no sound of {why}"));
                }
                sessions.push(session);
            }
            Err(error) => {
                stderr.complain(&format!("{error:#}"));
                worst = worst.min(Outcome::Failed);
            }
        }
    }
    if sessions.is_empty() {
        return Ok(worst);
    }
    let html = page::html(&sessions);
    output::write(&args.out, html.as_bytes(), args.force)?;
    let out = if is_dash(&args.out) { "to stdout".into() } else { args.out.to_string_lossy() };
    stderr.say(&format!("wrote {out}, {}", Bytes(html.len() as u64)));
    if args.open
        && let Err(error) = browser::show(args.out.as_os_str())
    {
        bail!("the page is written, but {error:#}");
    }
    Ok(worst)
}
