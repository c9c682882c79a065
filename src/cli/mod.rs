//! The command line: arguments in, text and exit code out. It has no rooms of its own; every verb
//! is a function of [`crate::app`].
//!
//! stdout is data, stderr is talk. A closed stdout ends the program quietly.

mod args;
mod display;
mod keeping;
mod live;
#[cfg(feature = "mcp")]
mod mcp;
mod proxy;
mod replay;
mod sweep;

use std::ffi::OsString;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::Path;

use anyhow::Result;
use clap::Parser;
use clap::error::ErrorKind as UsageKind;

use crate::app::{self, AudioOptions, Outcome, PlotVerb};
use crate::lag::ReportArgs;
use crate::peer::incident;
use crate::report::text::RecordCount;
use crate::report::{Analysis, DamageReport, text, what_if};
use args::{
    AnalyzeArgs, Args, AudioArgs, CatArgs, ColorChoice, CutArgs, ImportArgs, InfoArgs, JoinArgs,
    PlotArgs, RecoverArgs, RedactArgs, SimulateArgs, Verb, VerifyArgs, WhatIfArgs,
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
    let mut out = BufWriter::new(Stdout(io::stdout()));
    let outcome = dispatch(args.verb, talk, &mut out)
        .and_then(|outcome| unless_closed(out.flush().map_err(Into::into), outcome));
    outcome.unwrap_or_else(|error| {
        talk.complain(&format!("{error:#}"));
        Outcome::Failed
    })
}

fn dispatch(verb: Verb, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    match verb {
        Verb::Import(args) => import(&args, talk),
        Verb::Join(args) => join(&args, talk, out),
        Verb::Analyze(args) => analyze(&args, talk, out),
        Verb::Audio(args) => audio(&args, talk),
        Verb::Info(args) => info(&args, talk, out),
        Verb::Verify(args) => verify(&args, talk, out),
        Verb::Recover(args) => recover(&args, talk, out),
        Verb::Cut(args) => cut(&args, talk, out),
        Verb::Redact(args) => redact(&args, talk, out),
        Verb::Cat(args) => cat(&args, talk, out),
        Verb::Record(args) => live::record(&args, talk, out),
        Verb::Demo(args) => live::demo(&args, talk, out),
        Verb::Proxy(args) => proxy::proxy(&args, talk, out),
        Verb::Backend(args) => live::backend(&args, talk, out),
        Verb::Simulate(args) => simulate(&args, out),
        Verb::WhatIf(args) => what_if(&args, talk, out),
        Verb::Plot(args) => plot(&args, talk),
        #[cfg(feature = "mcp")]
        Verb::Mcp(args) => mcp::run(&args, talk, out),
        Verb::Sweep(args) => sweep::sweep(&args, talk, out),
        Verb::Replay(args) => replay::replay(&args, talk, out),
        Verb::Diff(args) => replay::diff(&args, talk, out),
    }
}

fn import(args: &ImportArgs, talk: Talk) -> Result<Outcome> {
    let messages = if args.from.is_dir() {
        app::import(&args.from, &args.out, args.force)?.end.messages
    } else {
        app::import_har(&args.from, args.session, &args.out, args.force)?
    };
    let out = args.out.display();
    talk.say(&format!("wrote {out}: {messages} messages"));
    talk.say(&format!("next: lagtape analyze {out}"));
    Ok(Outcome::Healthy)
}

fn join(args: &JoinArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let summary = app::join(&args.parts, &args.out, args.force)?;
    let shown = args.out.display();
    talk.say(&format!(
        "wrote {shown}: {} of {} parts",
        RecordCount(summary.records),
        summary.parts
    ));
    for missing in &summary.missing {
        talk.complain(&format!(
            "{} records are missing before {}; a gap record says so",
            missing.records,
            missing.before.display()
        ));
    }
    if !summary.complete {
        talk.say("the last part has no end: it was cut off, or is still being made");
    }
    talk.say(&format!("next: lagtape analyze {shown}"));
    let printed = if args.json { json_line(out, &summary) } else { Ok(()) };
    unless_closed(printed, Outcome::Healthy)
}

fn analyze(args: &AnalyzeArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let analyses = app::analyze_all(&args.files, &args.options(), args.threads)?;
    let mut worst = Outcome::Healthy;
    let mut reports = Vec::new();
    for analysis in analyses {
        match analysis {
            Ok(analysis) => {
                worst = worst.min(analysis.outcome());
                reports.push(analysis);
            }
            Err(error) => {
                talk.complain(&format!("{error:#}"));
                worst = worst.min(Outcome::Failed);
            }
        }
    }
    unless_closed(print_analyses(&reports, args.json, out), worst)
}

fn print_analyses(analyses: &[Analysis], json: bool, out: &mut dyn Write) -> Result<()> {
    for (i, analysis) in analyses.iter().enumerate() {
        if json {
            json_line(out, analysis)?;
            continue;
        }
        if i > 0 {
            writeln!(out)?;
        }
        write!(out, "{}", text::analysis(analysis, &app::next_commands(analysis)))?;
    }
    Ok(())
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
    talk.say(&format!("wrote {}: {} s of audio", args.out.display(), text::Figure(seconds)));
    Ok(talk.damaged(&args.file, summary.damage.as_ref()))
}

fn info(args: &InfoArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let mut worst = Outcome::Healthy;
    let mut printed = Ok(());
    for file in &args.files {
        match app::info(file) {
            Ok(info) => {
                worst = worst.min(info.outcome());
                printed = printed.and_then(|()| match args.json {
                    true => json_line(out, &info),
                    false => Ok(write!(out, "{}", app::info_text(&info))?),
                });
            }
            Err(error) => {
                talk.complain(&format!("{error:#}"));
                worst = worst.min(Outcome::Failed);
            }
        }
    }
    unless_closed(printed, worst)
}

fn verify(args: &VerifyArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let mut worst = Outcome::Healthy;
    let mut printed = Ok(());
    for file in &args.files {
        match app::verify(file, args.replay) {
            Ok(found) => {
                worst = found.iter().map(app::Verified::outcome).fold(worst, Outcome::min);
                printed = printed.and_then(|()| match args.json {
                    true => found.iter().try_for_each(|one| json_line(out, one)),
                    false => Ok(write!(out, "{}", app::verified_text(&found))?),
                });
            }
            Err(error) => {
                talk.complain(&format!("{error:#}"));
                worst = worst.min(Outcome::Failed);
            }
        }
    }
    unless_closed(printed, worst)
}

fn recover(args: &RecoverArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let recovered = app::recover(&args.file, &args.out, args.force)?;
    let outcomes = recovered.iter().map(app::Recovered::outcome);
    let worst = outcomes.fold(Outcome::Healthy, Outcome::min);
    if args.json {
        let printed = recovered.iter().try_for_each(|one| json_line(out, one));
        return unless_closed(printed, worst);
    }
    talk.say(app::recovered_text(&recovered).trim_end());
    talk.say(&format!("next: lagtape analyze {}", args.out.display()));
    Ok(worst)
}

fn cut(args: &CutArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let summary = app::cut(&args.file, &args.out, &args.options())?;
    if args.json {
        return unless_closed(json_line(out, &summary), summary.outcome());
    }
    let (from, to) = (text::Figure(summary.from_s), text::Figure(summary.to_s));
    let name = args.out.display();
    talk.say(&format!("wrote {name}: {}, {from} s to {to} s", RecordCount(summary.records)));
    talk.lost(&args.file, &summary.lost);
    talk.say(&format!("next: lagtape analyze {name}"));
    Ok(summary.outcome())
}

fn redact(args: &RedactArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let summary = app::redact(&args.file, &args.out, &args.options())?;
    if args.json {
        return unless_closed(json_line(out, &summary), summary.outcome());
    }
    let app::Removed { audio_messages, audio_bytes, texts } = summary.removed;
    talk.say(&format!(
        "wrote {}: {} of audio in {audio_messages} messages and {texts} texts are removed",
        args.out.display(),
        text::Bytes(audio_bytes)
    ));
    talk.lost(&args.file, &summary.lost);
    Ok(summary.outcome())
}

fn cat(args: &CatArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let filter = args.filter();
    if let Err(error) = filter.check() {
        talk.complain(&error.to_string());
        return Ok(Outcome::Usage);
    }
    match app::cat(&args.file, &filter, out) {
        Ok(damage) => Ok(talk.damaged(&args.file, damage.as_ref())),
        Err(error) => unless_closed(Err(error), Outcome::Healthy),
    }
}

fn plot(args: &PlotArgs, talk: Talk) -> Result<Outcome> {
    let report = ReportArgs { stale_threshold_s: args.stale_threshold.0, ..ReportArgs::default() };
    let verb = PlotVerb { playhead: args.playhead.map(Into::into), report };
    let analysis = app::plot(&args.file, &args.out, args.force, &verb)?;
    talk.say(&format!("wrote {}", args.out.display()));
    Ok(talk.damaged(&args.file, analysis.damage.as_ref()))
}

fn simulate(args: &SimulateArgs, out: &mut dyn Write) -> Result<Outcome> {
    let Some(verb) = args.verb() else { return list_incidents(out) };
    let analysis = app::simulate(&verb)?;
    let outcome = analysis.outcome();
    unless_closed(print_analyses(&[analysis], args.json, out), outcome)
}

fn what_if(args: &WhatIfArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let verb = match args.verb() {
        Ok(verb) => verb,
        Err(error) => {
            talk.complain(&format!("{error:#}"));
            return Ok(Outcome::Usage);
        }
    };
    let answer = app::what_if(&args.file, &verb)?;
    for (file, what) in [(&answer.audio, "audio"), (&answer.derived, "capture")] {
        if let Some(file) = file {
            talk.say(&format!("wrote {file}: the {what} with the change"));
        }
    }
    let printed = match args.json {
        true => json_line(out, &answer),
        false => write!(out, "{}", what_if::text(&answer)).map_err(Into::into),
    };
    unless_closed(printed, Outcome::Healthy)
}

fn list_incidents(out: &mut dyn Write) -> Result<Outcome> {
    for incident in incident::ALL {
        writeln!(out, "{:<18} {}", incident.name, incident.summary)?;
        writeln!(out, "{:<18} shows: {}", "", incident.shows)?;
        for parameter in incident.parameters {
            let (name, default) = (parameter.name, parameter.default_text());
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
    /// Says a sentence. When stderr is closed or full, nobody is left to hear of that.
    fn say(self, sentence: &str) {
        let _ = writeln!(io::stderr(), "{sentence}");
    }

    fn complain(self, sentence: &str) {
        let (on, off) = if self.colored() { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        self.say(&format!("{on}lagtape:{off} {sentence}"));
    }

    /// Tells of damage, past which everything was used.
    fn damaged(self, file: &Path, damage: Option<&DamageReport>) -> Outcome {
        match damage {
            Some(damage) => {
                self.complain(&format!("{}: {}", file.display(), damage.reason));
                Outcome::Damaged
            }
            None => Outcome::Healthy,
        }
    }

    /// Tells what could not be taken over from a damaged capture.
    fn lost(self, file: &Path, lost: &app::Lost) {
        if lost.anything() {
            let (name, records) = (file.display(), RecordCount(lost.records_lost));
            self.complain(&format!(
                "{name} is damaged: {records} and {} bytes of it are lost; `lagtape verify` lists \
                 every place",
                lost.bytes_lost
            ));
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

/// stdout, whose errors say that they are its.
struct Stdout(io::Stdout);

impl Stdout {
    fn named(error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("cannot write to stdout: {error}"))
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| Stdout::named(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(|error| Stdout::named(&error))
    }
}

/// Whoever closed stdout has read enough: the outcome stands as it would have without them.
fn unless_closed(printed: Result<()>, outcome: Outcome) -> Result<Outcome> {
    match printed {
        Err(error) if !is_closed_pipe(&error) => Err(error),
        Ok(()) | Err(_) => Ok(outcome),
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
