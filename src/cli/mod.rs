//! The command line: arguments in, text and exit code out. It has no rooms of its own; every verb
//! is a function of [`crate::app`].
//!
//! stdout is data, stderr is talk. A closed stdout ends the program quietly.

mod args;
mod live;

use std::ffi::OsString;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::Path;

use anyhow::Result;
use clap::Parser;
use clap::error::ErrorKind as UsageKind;

use crate::app::{self, AudioOptions, Outcome};
use crate::peer::incident;
use crate::report::{Analysis, Damage, text};
use args::{
    AnalyzeArgs, Args, AudioArgs, CatArgs, ColorChoice, ImportArgs, InfoArgs, SimulateArgs, Verb,
};

/// Runs one command line, its first word being the program's name.
pub fn run(words: impl IntoIterator<Item = OsString>) -> Outcome {
    let args = match Args::try_parse_from(words) {
        Ok(args) => args,
        Err(error) => {
            // Help and version go to stdout and are no error; nobody is left to hear of a failure
            // to print.
            let _ = error.print();
            return match error.kind() {
                UsageKind::DisplayHelp | UsageKind::DisplayVersion => Outcome::Healthy,
                _ => Outcome::Usage,
            };
        }
    };
    let talk = Talk { color: args.color };
    let mut out = BufWriter::new(io::stdout().lock());
    let outcome = dispatch(args.verb, talk, &mut out).and_then(|outcome| {
        out.flush()?;
        Ok(outcome)
    });
    outcome.unwrap_or_else(|error| {
        if is_closed_pipe(&error) {
            return Outcome::Healthy;
        }
        talk.complain(&format!("{error:#}"));
        Outcome::Failed
    })
}

fn dispatch(verb: Verb, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    match verb {
        Verb::Import(args) => import(&args),
        Verb::Analyze(args) => analyze(&args, talk, out),
        Verb::Audio(args) => audio(&args, talk),
        Verb::Info(args) => info(&args, talk, out),
        Verb::Cat(args) => cat(&args, talk, out),
        Verb::Record(args) => live::record(&args, talk, out),
        Verb::Demo(args) => live::demo(&args, talk, out),
        Verb::Backend(args) => live::backend(&args, out),
        Verb::Simulate(args) => simulate(&args, out),
    }
}

fn import(args: &ImportArgs) -> Result<Outcome> {
    let summary = app::import(&args.dir, &args.out, args.force)?;
    let out = summary.out.display();
    eprintln!("wrote {out}: {} messages", summary.end.messages);
    eprintln!("next: lagtape analyze {out}");
    Ok(Outcome::Healthy)
}

fn analyze(args: &AnalyzeArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let analyses = app::analyze_all(&args.files, &args.options(), args.threads)?;
    let mut worst = Outcome::Healthy;
    for (i, analysis) in analyses.into_iter().enumerate() {
        let analysis = match analysis {
            Ok(analysis) => analysis,
            Err(error) => {
                talk.complain(&format!("{error:#}"));
                worst = worst.min(Outcome::Failed);
                continue;
            }
        };
        worst = worst.min(analysis.outcome());
        if args.json {
            json_line(out, &analysis)?;
        } else {
            if i > 0 {
                writeln!(out)?;
            }
            print_analysis(&analysis, out)?;
        }
    }
    Ok(worst)
}

fn print_analysis(analysis: &Analysis, out: &mut dyn Write) -> Result<()> {
    let text = text::analysis(analysis, &app::next_commands(analysis));
    Ok(write!(out, "{text}")?)
}

fn audio(args: &AudioArgs, talk: Talk) -> Result<Outcome> {
    let options = AudioOptions {
        buffer: args.buffer,
        last: args.last,
        at: args.at,
        playhead: args.playhead.map(Into::into),
        force: args.force,
    };
    let summary = app::audio(&args.file, &args.out, &options)?;
    let seconds = summary.frames as f64 / f64::from(summary.sample_rate);
    eprintln!("wrote {}: {} s of audio", args.out.display(), text::Figure(seconds));
    Ok(talk.damaged(&args.file, summary.damage.as_ref()))
}

fn info(args: &InfoArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let mut worst = Outcome::Healthy;
    for file in &args.files {
        match app::info(file) {
            Ok(info) => {
                worst = worst.min(info.outcome());
                if args.json {
                    json_line(out, &info)?;
                } else {
                    write!(out, "{}", app::info_text(&info))?;
                }
            }
            Err(error) => {
                talk.complain(&format!("{error:#}"));
                worst = worst.min(Outcome::Failed);
            }
        }
    }
    Ok(worst)
}

fn cat(args: &CatArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let damage = app::cat(&args.file, &args.filter(), out)?;
    Ok(talk.damaged(&args.file, damage.as_ref()))
}

fn simulate(args: &SimulateArgs, out: &mut dyn Write) -> Result<Outcome> {
    if args.list {
        return list_incidents(out);
    }
    let analysis = app::simulate(&args.verb())?;
    if args.json {
        json_line(out, &analysis)?;
    } else {
        print_analysis(&analysis, out)?;
    }
    Ok(analysis.outcome())
}

fn list_incidents(out: &mut dyn Write) -> Result<Outcome> {
    for incident in incident::ALL {
        writeln!(out, "{:<18} {}", incident.name, incident.summary)?;
        writeln!(out, "{:<18} shows: {}", "", incident.shows)?;
        for parameter in incident.parameters {
            let (name, default) = (parameter.name, parameter.default);
            writeln!(out, "{:<20} {name}={default}  {}", "", parameter.meaning)?;
        }
    }
    Ok(Outcome::Healthy)
}

fn json_line(out: &mut dyn Write, value: &impl serde::Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    Ok(writeln!(out)?)
}

/// What is said on stderr.
#[derive(Clone, Copy)]
struct Talk {
    color: ColorChoice,
}

impl Talk {
    fn complain(self, sentence: &str) {
        let (on, off) = if self.colored() { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        eprintln!("{on}lagtape:{off} {sentence}");
    }

    /// Tells of damage that ended a replay early.
    fn damaged(self, file: &Path, damage: Option<&Damage>) -> Outcome {
        match damage {
            Some(damage) => {
                self.complain(&format!("{}: {}", file.display(), damage.reason));
                Outcome::Damaged
            }
            None => Outcome::Healthy,
        }
    }

    /// `auto` is a terminal that neither NO_COLOR nor TERM=dumb forbids to colour.
    fn colored(self) -> bool {
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let stderr = io::stderr();
                stderr.is_terminal()
                    && anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never
            }
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json =
            cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(ErrorKind::BrokenPipe)
    })
}
