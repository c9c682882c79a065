//! `what-if`: what would have been heard under a change.

use std::io::Write;

use anyhow::{Result, anyhow};

use crate::app::{self, Outcome};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, keep_apart, unless_closed};
use crate::parse::shell;
use crate::report::text::Figure;
use crate::report::what_if::{self, Alternative, WhatIf, alternatives};
use crate::scenario::answer::NoAnswer;

pub use crate::cli::scenario_args::WhatIfArgs;

pub fn run(args: &WhatIfArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let (verb, scenarios) = args.verb()?;
    let files = args.audio.iter().chain(&args.capture);
    files.into_iter().try_for_each(|file| keep_apart(file, true))?;
    if scenarios.len() > 1 {
        let alternatives = app::what_ifs(&args.file, &verb, &scenarios)?;
        return several(args, &alternatives, stderr, out);
    }
    // What to do is said in keys where the question came from a file.
    let answer = app::what_if(&args.file, &verb).map_err(|error| match error.is::<NoAnswer>() {
        true => anyhow!(app::worded(&error, verb.wording)),
        false => error,
    })?;
    say_written(&answer, stderr);
    let printed = match args.json {
        true => json_line(out, &answer),
        false => write!(out, "{}", what_if::text(&answer)).map_err(Into::into),
    };
    unless_closed(printed, Outcome::Healthy)
}

/// Prints the answers to several scenarios; one without an answer fails, and the others stand.
fn several(
    args: &WhatIfArgs,
    alternatives: &[Alternative],
    stderr: Stderr,
    out: &mut dyn Write,
) -> Result<Outcome> {
    alternatives.iter().filter_map(Alternative::answered).for_each(|it| say_written(it, stderr));
    let printed = match args.json {
        true => json_line(out, &alternatives),
        false => write!(out, "{}", alternatives::text(alternatives, &next(args, alternatives)))
            .map_err(Into::into),
    };
    let mut outcome = Outcome::Healthy;
    for alternative in alternatives {
        if let Some(why) = alternative.refusal() {
            stderr.complain(&format!("{}: {why}", alternative.name));
            outcome = Outcome::Failed;
        }
    }
    unless_closed(printed, outcome)
}

fn say_written(answer: &WhatIf, stderr: Stderr) {
    if let Some(file) = &answer.audio {
        let from = answer.audio_from_s;
        let from = from.map_or(String::new(), |from_s| format!(", from {} s on", Figure(from_s)));
        stderr.say(&format!("wrote {file}: the audio with the change{from}"));
    }
    if let Some(file) = &answer.derived {
        stderr.say(&format!("wrote {file}: the capture with the change"));
    }
}

/// The command that compares the first two; without captures the one that writes them.
fn next(args: &WhatIfArgs, alternatives: &[Alternative]) -> String {
    let derived = alternatives.iter().filter_map(|it| it.answered()?.derived.as_deref());
    match derived.collect::<Vec<_>>()[..] {
        [a, b, ..] => format!("lagtape diff {} {}", shell::file(a), shell::file(b)),
        _ if args.capture.is_some() => String::new(),
        _ => {
            "the same with --capture FOLDER, and then lagtape diff of two captures in it".to_owned()
        }
    }
}
