//! What a shell offers at Tab: it asks the program itself, so that captures and the names of knobs and
//! incidents are those of this very build.

use clap::{Arg, Command};
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter,
};

use crate::peer::incident;
use crate::scenario::knobs::KNOBS;

/// With this variable set to a shell's name the program completes a command line instead of running it.
pub const VARIABLE: &str = "LAGTAPE_COMPLETE";

/// Arguments that take a capture.
const CAPTURES: [&str; 5] = ["file", "files", "parts", "a", "b"];

/// The command line, with what can stand for each value.
pub fn with_candidates(command: Command) -> Command {
    let verbs: Vec<_> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    verbs.into_iter().fold(command, |command, verb| {
        command.mut_subcommand(verb, |verb| verb.mut_args(with_values))
    })
}

fn with_values(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        id if CAPTURES.contains(&id) => arg.add(ArgValueCompleter::new(captures())),
        "incident" => arg.add(ArgValueCandidates::new(incidents)),
        "vary" => arg.add(ArgValueCandidates::new(knobs)),
        _ => arg,
    }
}

/// Captures, and the folders in which there may be some.
fn captures() -> PathCompleter {
    let extension = "lagtape";
    PathCompleter::any()
        .filter(move |path| path.is_dir() || path.extension().is_some_and(|is| is == extension))
}

fn incidents() -> Vec<CompletionCandidate> {
    let candidate = |incident: &&incident::Incident| {
        CompletionCandidate::new(incident.name).help(Some(incident.summary.into()))
    };
    incident::ALL.iter().map(candidate).collect()
}

fn knobs() -> Vec<CompletionCandidate> {
    KNOBS
        .iter()
        .map(|knob| CompletionCandidate::new(knob.name).help(Some(knob.help.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::CommandLine;

    /// What is offered for the last of some words, in this crate's folder.
    fn offered(words: &[&str]) -> Vec<String> {
        let mut command = with_candidates(CommandLine::command());
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        let last = words.len() - 1;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let offered = clap_complete::engine::complete(&mut command, words, last, Some(folder));
        let offered = offered.unwrap();
        offered.iter().map(|one| one.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn captures_are_offered_wherever_one_is_taken() {
        for verb in ["analyze", "audio", "cat", "cut", "info", "plot", "replay", "sweep", "what-if"]
        {
            let offered = offered(&["lagtape", verb, "captures/s"]);
            assert_eq!(offered, ["captures/stall.lagtape"], "{verb}");
        }
        assert_eq!(
            offered(&["lagtape", "diff", "captures/stall.lagtape", "captures/h"]),
            ["captures/healthy.lagtape"]
        );
    }

    #[test]
    fn knobs_and_incidents_are_those_of_the_tables() {
        let incidents = offered(&["lagtape", "simulate", "--incident", "sta"]);
        assert!(incidents.contains(&"stall".to_owned()), "{incidents:?}");
        assert!(incidents.iter().all(|name| name.starts_with("sta")), "{incidents:?}");
        let knobs = offered(&["lagtape", "sweep", "x.lagtape", "--vary", "lead-"]);
        assert!(knobs.contains(&"lead-floor".to_owned()), "{knobs:?}");
    }

    #[test]
    fn verbs_and_flags_are_offered() {
        assert_eq!(offered(&["lagtape", "an"]), ["analyze"]);
        assert_eq!(offered(&["lagtape", "analyze", "--stale"]), ["--stale-threshold"]);
    }
}
