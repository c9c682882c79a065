//! `lagtape --help`: the verbs, by what people want to do.

use std::fmt::Write;

use clap::Command;

/// The verbs by purpose, in the order in which a newcomer needs them.
const GROUPS: [(&str, &[&str]); 7] = [
    ("Record", &["record", "proxy", "import", "join"]),
    ("Look", &["analyze", "diagnose", "report", "watch", "audio", "plot", "info", "cat", "query"]),
    ("Ask", &["what-if", "sweep", "diff"]),
    ("Share", &["cut", "redact", "export"]),
    ("Repair", &["verify", "recover"]),
    ("Serve and try out", &["demo", "simulate", "backend", "replay", "mcp"]),
    ("Set up", &["config", "completions", "man", "help"]),
];

/// What a newcomer tries first.
const EXAMPLES: &str = "\
Examples:
  lagtape demo
  lagtape record ws://127.0.0.1:1318 --fixture lofi.wav --for 60s
  lagtape proxy --upstream ws://127.0.0.1:1318
  lagtape analyze captures/*.lagtape
  lagtape what-if captures/stall.lagtape --lead-floor 0.6

";

const TEMPLATE: &str = "\
{about-with-newline}
{usage-heading} {usage}

{before-help}Options:
{options}{after-help}";

/// The command line, whose help lists the verbs in groups.
pub fn grouped(mut command: Command) -> Command {
    command.build();
    let before = format!("{EXAMPLES}{}", listed(&command));
    command.before_help(before).help_template(TEMPLATE)
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
    use std::path::Path;

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
        for line in listed(&command).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    /// The help of the program and of every verb, as a terminal of this width shows it.
    fn helps(columns: usize) -> Vec<(String, String)> {
        let command =
            || grouped(CommandLine::command()).term_width(columns).max_term_width(columns);
        let mut verbs = vec![("lagtape".to_owned(), command().render_long_help().to_string())];
        for verb in command().get_subcommands().filter(|verb| verb.get_name() != "help") {
            let shown = verb.clone().term_width(columns).max_term_width(columns);
            verbs.push((verb.get_name().to_owned(), { shown }.render_long_help().to_string()));
        }
        verbs
    }

    #[test]
    fn every_help_begins_with_examples() {
        for (verb, help) in helps(80) {
            let begins = help.starts_with("Example") || verb == "lagtape";
            assert!(begins && help.contains("  lagtape "), "{verb}: {help}");
        }
    }

    #[test]
    fn no_help_is_wider_than_eighty_columns_or_broken_inside_a_word() {
        for ((verb, help), (_, unbroken)) in helps(80).iter().zip(helps(10_000)) {
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{verb}: {line}");
            }
            assert!(help.split_whitespace().eq(unbroken.split_whitespace()), "{verb}: {help}");
            let examples = |help: &str| {
                let lines = help.lines().filter(|line| line.starts_with("  lagtape "));
                lines.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(examples(help), examples(&unbroken), "{verb}: an example is broken");
        }
    }

    /// The helps as they stand in tests/help. `LAGTAPE_BLESS=1 cargo test --lib helps_are` writes them
    /// anew.
    #[test]
    fn helps_are_those_that_were_looked_at() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
        for (verb, help) in helps(80) {
            // What the machine is set to is none of the help's business.
            let lines = help.lines().filter(|line| !line.trim().starts_with("[env: "));
            let help: String = lines.map(|line| format!("{}\n", line.trim_end())).collect();
            let file = folder.join(format!("{verb}.txt"));
            if std::env::var_os("LAGTAPE_BLESS").is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&file, &help).unwrap();
            }
            let seen = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(
                help, seen,
                "{verb}: look at its help, then write it anew with LAGTAPE_BLESS=1"
            );
        }
    }
}
