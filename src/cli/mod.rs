//! The command line: arguments in, text and exit code out. Every verb is one file of `commands`,
//! which holds its arguments and prints its result; the work is a function of [`crate::app`].
//!
//! Results go to stdout, sentences for people to stderr. A closed stdout ends the program quietly.

mod browser;
mod charset;
mod commands;
mod completion;
mod help;
mod keeping;
mod looks;
mod negative;
mod part_args;
mod progress;
mod recorded;
mod recording_display;
mod scenario;
mod scenario_args;
mod server_args;
mod settings;
mod signals;
mod stderr;
mod stdout;
mod tables;
mod terminal;
mod values;
mod wording;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};

use anyhow::Result;
use clap::error::ErrorKind as UsageKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::CompleteEnv;

#[cfg(feature = "mcp")]
use self::commands::mcp;
use self::commands::{
    analyze, audio, backend, cat, completions, config, cut, demo, diagnose, diff, export, import,
    info, join, man, plot, proxy, query, record, recover, redact, replay, report, simulate, sweep,
    verify, watch, what_if,
};
use self::looks::{Looks, USUAL_COLUMNS};
use self::stderr::{ColorChoice, Stderr, stderr_columns};
use self::stdout::{Stdout, stdout_columns, unless_closed};
use self::terminal::Escaping;
use crate::app::{self, Outcome};
use crate::report::text::{Lines, OneLine};

/// Record a realtime audio stream once, replay and question it for ever.
#[derive(Debug, Parser)]
#[command(name = "lagtape", version, max_term_width = 80, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
    /// Colour messages on stderr
    #[arg(long, global = true, value_enum, default_value_t, env = "LAGTAPE_COLOR")]
    color: ColorChoice,
}

const EXIT_CODES: &str = "\
Exit codes: 0 healthy, 1 lagtape failed or can give no verdict, 2 wrong usage,
3 a capture is damaged (used as far as it is intact), 4 the verdict is lag,
what was compared differs, or a text to be removed is left, 5 a session ended
as it should not; of several, the first in the order 2, 1, 3, 4, 5. Times count
from the arrival of the initial buffer; a bare number is seconds; 500ms, 30s
and 10min are understood.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Record a live session as a headless client
    Record(Box<record::RecordArgs>),
    /// Record and watch any client's sessions from in between
    Proxy(Box<proxy::ProxyArgs>),
    /// Turn a browser's HAR file or a session log into a capture
    Import(import::ImportArgs),
    /// Make one capture of the parts of a recording
    Join(join::JoinArgs),
    /// Replay captures and say whether, when and how badly they lagged
    Analyze(analyze::AnalyzeArgs),
    /// Name the part that was at fault, and what shows it
    Diagnose(diagnose::DiagnoseArgs),
    /// Write what the listener heard as a WAV or FLAC file
    Audio(audio::AudioArgs),
    /// Say what a capture is
    Info(info::InfoArgs),
    /// Check every record of captures, and list all damage
    Verify(verify::VerifyArgs),
    /// Write a sound capture of what a damaged one still holds
    Recover(recover::RecoverArgs),
    /// Write a part of a capture that can be asked like the whole
    Cut(cut::CutArgs),
    /// Write a capture without its audio, or without certain texts
    Redact(redact::RedactArgs),
    /// Print the messages of a capture, a line each
    Cat(cat::CatArgs),
    /// Ask for rows of a capture, or what they come to
    Query(query::QueryArgs),
    /// Draw a capture: lead, staleness, loop and cadence over time
    Plot(plot::PlotArgs),
    /// Explain captures on one page to look at, send and keep
    Report(report::PageArgs),
    /// Show sessions on a page while they go on
    Watch(Box<watch::WatchArgs>),
    /// Write a capture for other tools: Perfetto, MCAP, HAR, CSV, JSON
    Export(export::ExportArgs),
    /// Simulate a session on a virtual clock, without sockets
    Simulate(simulate::SimulateArgs),
    /// Ask what would have been heard with something changed
    WhatIf(Box<what_if::WhatIfArgs>),
    /// Ask that of many values, or search for what would have helped
    Sweep(Box<sweep::SweepArgs>),
    /// Play a recording again, as its server or as its client
    Replay(Box<replay::ReplayArgs>),
    /// Compare two captures: which is worse, by how much, and where
    Diff(diff::DiffArgs),
    /// Serve simulated sessions on a real port, for any client
    Backend(backend::BackendArgs),
    /// Record a troubled server, replay it, prove that both agree
    Demo(demo::DemoArgs),
    /// Serve agents: an MCP server on stdio or HTTP
    #[cfg(feature = "mcp")]
    Mcp(mcp::McpArgs),
    /// Say what is set and where that comes from, or set it
    Config(config::ConfigArgs),
    /// Print what a shell needs to complete lagtape's command lines
    Completions(completions::CompletionsArgs),
    /// Write manual pages, one for each verb
    Man(man::ManArgs),
}

/// Answers a shell that asks what could stand at the cursor, and ends; otherwise returns.
pub fn complete() {
    let command = || completion::with_candidates(CommandLine::command());
    CompleteEnv::with_factory(command).var(completion::VARIABLE).complete();
}

/// Runs one command line, whose first word is the name of the program.
pub fn run(words: impl IntoIterator<Item = OsString>) -> Outcome {
    let words: Vec<_> = words.into_iter().collect();
    let values = match settings::SettingsFile::all().and_then(|files| settings::resolved(&files)) {
        Ok(values) => values,
        Err(error) => {
            Stderr { color: ColorChoice::Auto }.complain(&format!("{error:#}"));
            return Outcome::of_error(&error);
        }
    };
    let set = |key| settings::first(&values, key);
    Looks::of(set("ascii"), set("width")).put_on();
    let args = match parse(&words, &values) {
        Ok(args) => args,
        Err(error) => {
            print_usage(&error, &words, &values);
            return match error.kind() {
                UsageKind::DisplayHelp | UsageKind::DisplayVersion => Outcome::Healthy,
                _ => Outcome::Usage,
            };
        }
    };
    let stderr = Stderr { color: args.color };
    let shown = Escaping::new(Stdout(io::stdout())).fitted(stdout_columns());
    let mut out = BufWriter::new(shown);
    let outcome = dispatch(args.verb, stderr, &mut out)
        .and_then(|outcome| unless_closed(out.flush().map_err(Into::into), outcome));
    outcome.unwrap_or_else(|error| {
        stderr.complain(&app::worded(&error, wording::FLAGS));
        Outcome::of_error(&error)
    })
}

fn parse(words: &[OsString], values: &[settings::Value]) -> Result<CommandLine, clap::Error> {
    let command = negative::accepted(CommandLine::command());
    let mut command = help::grouped(settings::applied(command, values));
    if let Some(columns) = stdout_columns() {
        command = command.term_width(columns.min(USUAL_COLUMNS));
    }
    let matches = command.try_get_matches_from(words)?;
    CommandLine::from_arg_matches(&matches)
}

/// Help and version go to stdout and are no error. A failure to print has no reader.
fn print_usage(error: &clap::Error, words: &[OsString], values: &[settings::Value]) {
    // A shell puts names of files into a command line, whatever is in them.
    let escaped = words.iter().map(|word| OneLine(&word.to_string_lossy()).to_string());
    let escaped: Vec<_> = escaped.map(OsString::from).collect();
    let _ = match parse(&escaped, values) {
        _ if escaped == words => print_wrapped(error),
        Err(error) => print_wrapped(&error),
        Ok(_) => write!(io::stderr(), "{}", Lines(&error.render().to_string())),
    };
}

/// clap breaks no line of an error, nor the usage in a help; a terminal would, inside a word.
fn print_wrapped(error: &clap::Error) -> io::Result<()> {
    let columns = match error.use_stderr() {
        true => Some(stderr_columns().unwrap_or(USUAL_COLUMNS)),
        false => stdout_columns(),
    };
    let Some(columns) = columns.map(|columns| columns.min(USUAL_COLUMNS)) else {
        return error.print();
    };
    let shown = error.render().ansi().to_string();
    let lines = shown.lines().map(|line| looks::fitted(line, columns) + "\n").collect::<String>();
    match error.use_stderr() {
        true => anstream::stderr().write_all(lines.as_bytes()),
        false => anstream::stdout().write_all(lines.as_bytes()),
    }
}

fn dispatch(verb: Verb, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    match verb {
        Verb::Record(args) => record::run(&args, stderr, out),
        Verb::Proxy(args) => proxy::run(&args, stderr, out),
        Verb::Import(args) => import::run(&args, stderr, out),
        Verb::Join(args) => join::run(&args, stderr, out),
        Verb::Analyze(args) => analyze::run(&args, stderr, out),
        Verb::Diagnose(args) => diagnose::run(&args, stderr, out),
        Verb::Audio(args) => audio::run(&args, stderr, out),
        Verb::Info(args) => info::run(&args, stderr, out),
        Verb::Verify(args) => verify::run(&args, stderr, out),
        Verb::Recover(args) => recover::run(&args, stderr, out),
        Verb::Cut(args) => cut::run(&args, stderr, out),
        Verb::Redact(args) => redact::run(&args, stderr, out),
        Verb::Cat(args) => cat::run(&args, stderr, out),
        Verb::Query(args) => query::run(&args, stderr, out),
        Verb::Plot(args) => plot::run(&args, stderr, out),
        Verb::Report(args) => report::run(&args, stderr, out),
        Verb::Watch(args) => watch::run(&args, stderr, out),
        Verb::Export(args) => export::run(&args, stderr, out),
        Verb::Simulate(args) => simulate::run(&args, stderr, out),
        Verb::WhatIf(args) => what_if::run(&args, stderr, out),
        Verb::Sweep(args) => sweep::run(&args, stderr, out),
        Verb::Replay(args) => replay::run(&args, stderr, out),
        Verb::Diff(args) => diff::run(&args, stderr, out),
        Verb::Backend(args) => backend::run(&args, stderr, out),
        Verb::Demo(args) => demo::run(&args, stderr, out),
        #[cfg(feature = "mcp")]
        Verb::Mcp(args) => mcp::run(&args, stderr, out),
        Verb::Config(args) => config::run(&args, stderr, out),
        Verb::Completions(args) => completions::run(&args, stderr, out),
        Verb::Man(args) => man::run(&args, stderr, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::CLASSES;

    #[test]
    fn what_a_finding_tells_to_run_next_is_a_command() {
        for about in CLASSES {
            let words = about.next.split(' ');
            assert!(CommandLine::try_parse_from(words).is_ok(), "{}: {}", about.id, about.next);
        }
    }
}
