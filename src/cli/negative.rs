//! Values below zero reach the check of their flag, whose sentence says what it takes instead. clap would
//! read them as flags, and advise what makes them names of files.

use std::any::TypeId;

use clap::{Arg, Command};

use super::values::{ReportWindow, Seconds};
use crate::flight::{RingLimits, SplitAt};
use crate::parse::{ByteRate, ByteSize};
use crate::peer::script::ScriptedOp;
use crate::time::Span;

/// The command line, whose times, sizes and numbers may begin with a minus sign.
pub fn accepted(command: Command) -> Command {
    command.mut_subcommands(|verb| verb.mut_args(with_minus))
}

fn with_minus(arg: Arg) -> Arg {
    let found = arg.get_value_parser().type_id();
    let is_any = |types: &[TypeId]| types.iter().any(|of| found == *of);
    let units = [
        TypeId::of::<Span>(),
        TypeId::of::<Seconds>(),
        TypeId::of::<ReportWindow>(),
        TypeId::of::<SplitAt>(),
        TypeId::of::<RingLimits>(),
        TypeId::of::<ScriptedOp>(),
        TypeId::of::<ByteRate>(),
        TypeId::of::<ByteSize>(),
    ];
    let numbers = [
        TypeId::of::<f64>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
    ];
    match (is_any(&units), is_any(&numbers)) {
        // clap takes -3s for no number.
        (true, _) => arg.allow_hyphen_values(true),
        (_, true) => arg.allow_negative_numbers(true),
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;
    use crate::cli::CommandLine;

    #[track_caller]
    fn check(words: &str, sentence: &str) {
        let line = ["lagtape"].into_iter().chain(words.split(' '));
        let error = accepted(CommandLine::command()).try_get_matches_from(line).unwrap_err();
        let said = error.to_string();
        assert_eq!(error.kind(), ErrorKind::ValueValidation, "{said}");
        assert!(said.contains(sentence) && !said.contains("-- -"), "{said}");
    }

    #[test]
    fn the_check_of_a_flag_answers_for_values_below_zero() {
        check("analyze x.lagtape --stale-threshold -1", "\"-1\" is not a length of time");
        check("analyze x.lagtape --window -1s", "\"-1s\" is not a length of time");
        check("report x.lagtape --stale-threshold -0.5", "\"-0.5\" is not a length of time");
        check("record ws://x --for -3", "\"-3\" is not a length of time");
        check("record ws://x --for -3s", "\"-3s\" is not a length of time");
        check("record ws://x --split -3s", "\"-3s\" is no length of a part");
        check("record ws://x --ring -3s", "\"-3s\" is no length of a ring");
        check("proxy --upstream ws://x --latency -3ms", "\"-3ms\" is not a length of time");
        check("simulate -o x --params-hz -2", "more than 0 and at most");
        check("what-if x.lagtape --members -3", "--members <N>");
        check("cat x.lagtape --limit -2", "--limit <N>");
        check("diff a.lagtape b.lagtape --share -1", "write a part of one");
    }
}
