//! What a terminal gets: lines that fit.

use std::process::{Command, Stdio};

use super::{HEALTHY, STALL};
use crate::program::check;

/// What the program says to a terminal of so many columns.
fn on_terminal(columns: usize, variables: &[(&str, &str)], words: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_lagtape");
    let line = format!("stty rows 50 cols {columns}; exec {program} {}", words.join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    script.env_remove("LAGTAPE_COLOR").env("NO_COLOR", "1").env("LANG", "C.UTF-8");
    let output = script.envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
}

/// Whether all lines fit, but for words that are longer and commands that are copied.
fn fits(said: &str, columns: usize) -> bool {
    let is_command =
        |line: &str| line.trim_start().starts_with("lagtape ") || line.contains("next: ");
    said.lines().all(|line| {
        let is_word = !line.trim().contains(' ');
        line.chars().count() <= columns || is_word || is_command(line)
    })
}

#[test]
fn a_terminal_gets_lines_that_fit() {
    let complained = ["cut", HEALTHY, "--from", "1", "-o", "nowhere/x.lagtape"];
    let (_, whole) = check(&complained, 1);
    assert_eq!(whole.lines().count(), 1, "a log has it on one line: {whole}");
    for columns in [40, 72] {
        for words in
            [&complained[..], &["analyze", STALL], &["analyze", "--timelime"], &["help", "cut"]]
        {
            let said = on_terminal(columns, &[], words);
            assert!(fits(&said, columns), "{columns}: {said}");
        }
        let said = on_terminal(columns, &[], &complained);
        assert!(said.split_whitespace().eq(whole.split_whitespace()), "{said}");
        assert!(said.lines().count() > 1, "{said}");
    }
    // What is set counts more than what the terminal is.
    let said = on_terminal(72, &[("LAGTAPE_WIDTH", "30")], &complained);
    assert!(fits(&said, 30) && !fits(&on_terminal(72, &[], &complained), 30), "{said}");
}
