//! Results for programs and people, on stdout.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;

use anyhow::{Result, bail};

use super::charset::drawn;
use super::looks::columns;
use crate::app::Outcome;
use crate::edge::output::is_dash;
use crate::parse::Misuse;
use crate::report::{Analysis, text, write_json};
use crate::review::next_commands;

/// Prints analyses as text, or as JSON with one object a line.
pub fn print_analyses(analyses: &[Analysis], json: bool, out: &mut dyn Write) -> Result<()> {
    for (i, analysis) in analyses.iter().enumerate() {
        if json {
            json_line(out, analysis)?;
            continue;
        }
        if i > 0 {
            writeln!(out)?;
        }
        let report = text::analysis(analysis, &next_commands(analysis));
        write!(out, "{}", drawn(&report))?;
    }
    Ok(())
}

/// Prints a value as one line of JSON.
pub fn json_line(out: &mut dyn Write, value: &impl serde::Serialize) -> Result<()> {
    write_json(out, value)?;
    Ok(writeln!(out)?)
}

/// Refuses to write a file to stdout where results go, too.
pub fn keep_apart(file: &Path, results: bool) -> Result<()> {
    if results && is_dash(file) {
        bail!(Misuse::new("- is stdout, where the results go, too; name a file"));
    }
    Ok(())
}

/// Columns of stdout, if it is a terminal.
pub fn stdout_columns() -> Option<usize> {
    let stdout = io::stdout();
    stdout.is_terminal().then(|| columns(terminal_size::terminal_size_of(stdout)))
}

/// stdout, with errors that name it.
pub struct Stdout(pub io::Stdout);

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

/// The outcome of a verb that has printed. A reader that closed stdout has read enough and changes
/// nothing; any other failure to print is an error.
pub fn unless_closed(printed: Result<()>, outcome: Outcome) -> Result<Outcome> {
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
