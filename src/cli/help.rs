//! `lagtape --help`: the verbs, by what people want to do.

use std::fmt::Write;

use clap::Command;

/// The verbs by purpose, in the order in which a newcomer needs them.
const GROUPS: [(&str, &[&str]); 7] = [
    ("Record", &["record", "proxy", "import", "join"]),
    ("Look", &["analyze", "diagnose", "report", "audio", "plot", "info", "cat"]),
    ("Ask", &["what-if", "sweep", "diff"]),
    ("Share", &["cut", "redact"]),
    ("Repair", &["verify", "recover"]),
    ("Serve and try out", &["demo", "simulate", "backend", "replay", "mcp"]),
    ("Set up", &["completions", "man", "help"]),
];

const TEMPLATE: &str = "\
{about-with-newline}
{usage-heading} {usage}

{before-help}Options:
{options}{after-help}";

/// The command line, whose help lists the verbs in groups.
pub fn grouped(mut command: Command) -> Command {
    command.build();
    let listed = listed(&command);
    command.before_help(listed).help_template(TEMPLATE)
}

fn listed(command: &Command) -> String {
    let verbs = || GROUPS.iter().flat_map(|(_, verbs)| *verbs);
    let width = verbs().map(|verb| verb.len()).max().unwrap_or_default();
    let mut out = String::new();
    for (purpose, verbs) in GROUPS {
        let _ = writeln!(out, "{purpose}:");
        for verb in verbs.iter().filter_map(|verb| command.find_subcommand(verb)) {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(out, "  {:<width$}  {about}", verb.get_name());
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::CommandLine;

    #[test]
    fn every_verb_stands_in_one_group() {
        let mut command = CommandLine::command();
        command.build();
        let mut verbs: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        let mut grouped: Vec<_> = GROUPS.iter().flat_map(|(_, verbs)| *verbs).copied().collect();
        verbs.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, verbs);
    }

    #[test]
    fn no_line_of_the_help_is_wider_than_eighty_columns() {
        let help = grouped(CommandLine::command()).render_help().to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let [listed, _] = help.split("\nOptions:").collect::<Vec<_>>()[..] else {
            panic!("{help}")
        };
        let lines = listed.lines().filter(|line| !line.is_empty()).count();
        let in_groups = GROUPS.iter().map(|(_, verbs)| 1 + verbs.len()).sum::<usize>();
        assert_eq!(lines, 2 + in_groups, "a verb takes more than a line: {help}");
    }
}
