//! `what-if`: what would have been heard under a change.

use std::io::Write;

use anyhow::Result;

use crate::app::{self, Outcome};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, keep_apart, unless_closed};
use crate::report::what_if;

pub use crate::cli::scenario_args::WhatIfArgs;

pub fn run(args: &WhatIfArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let verb = args.verb()?;
    let files = args.audio.iter().chain(&args.capture);
    files.into_iter().try_for_each(|file| keep_apart(file, true))?;
    let answer = app::what_if(&args.file, &verb)?;
    for (file, what) in [(&answer.audio, "audio"), (&answer.derived, "capture")] {
        if let Some(file) = file {
            stderr.say(&format!("wrote {file}: the {what} with the change"));
        }
    }
    let printed = match args.json {
        true => json_line(out, &answer),
        false => write!(out, "{}", what_if::text(&answer)).map_err(Into::into),
    };
    unless_closed(printed, Outcome::Healthy)
}
