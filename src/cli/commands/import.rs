//! `import`: HAR files and session logs become captures.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, Outcome};
use crate::cli::stderr::Stderr;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape import choppy.har -o choppy.lagtape
  lagtape import choppy.har.gz -o choppy.lagtape
  lagtape import flows.mitm -o choppy.lagtape
  lagtape import sessions/stall -o stall.lagtape
  lagtape import golden/transcript.jsonl -o golden.lagtape

A HAR file is what a browser's developer tools save of the network, WebSockets with it, if they were \
open before the page connected. Playwright's .har.zip is read as well.")]
pub struct ImportArgs {
    /// A HAR file, a zip with one, or a flow file of mitmproxy, as it is or as .gz or .zst; or a folder with
    /// session.json, frames.jsonl[.zst] and, with payloads, frames.bin[.zst]; or a transcript.jsonl of the
    /// server's own tests, with its blobs beside it
    #[arg(value_name = "FILE|DIR")]
    pub from: PathBuf,
    /// Which session, or other WebSocket, of a HAR file that holds several, counted from 1
    #[arg(long, value_name = "N")]
    pub session: Option<usize>,
    /// The capture to write; - is stdout
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

pub fn run(args: &ImportArgs, stderr: Stderr, _: &mut dyn Write) -> Result<Outcome> {
    let imported = app::import_any(&args.from, args.session, &args.out, args.force)?;
    for assumed in &imported.assumed {
        stderr.say(assumed);
    }
    stderr.wrote(&args.out, &format!("{} messages", imported.messages), Some("analyze"));
    Ok(Outcome::Healthy)
}
