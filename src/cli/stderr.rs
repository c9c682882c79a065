//! Sentences for people, on stderr.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;

use super::looks::{columns, fitted};
use crate::app::{Lost, Outcome};
use crate::edge::output::is_dash;
use crate::parse::shell;
use crate::report::DamageReport;
use crate::report::text::{OneLine, RecordCount};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// Prints sentences for people to stderr.
#[derive(Clone, Copy)]
pub struct Stderr {
    pub color: ColorChoice,
}

/// Columns of stderr, if it is a terminal.
pub fn stderr_columns() -> Option<usize> {
    let stderr = io::stderr();
    stderr.is_terminal().then(|| columns(terminal_size::terminal_size_of(stderr)))
}

/// Lines that wait until the terminal is free again; the last ones of very many.
static KEPT: Mutex<Option<VecDeque<String>>> = Mutex::new(None);
/// Lines that wait at most.
const MAX_KEPT: usize = 1000;

impl Stderr {
    /// Prints a sentence on one line, which a terminal gets broken between words, whatever a peer or a
    /// file's name brought into it. Errors are ignored: a closed stderr has no reader.
    pub fn say(self, sentence: &str) {
        self.put(OneLine(sentence).to_string());
    }

    fn put(self, line: String) {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *kept {
            Some(kept) => {
                if kept.len() == MAX_KEPT {
                    kept.pop_front();
                }
                kept.push_back(line);
            }
            None => {
                let shown = match stderr_columns() {
                    Some(columns) => fitted(&line, columns),
                    None => line.as_str().into(),
                };
                let _ = writeln!(io::stderr(), "{shown}");
            }
        }
    }

    /// Keeps what is said, because something else is on the terminal.
    pub fn keep(self) {
        *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(VecDeque::new());
    }

    /// Whether what is said is kept.
    pub fn is_kept(self) -> bool {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Says what was kept.
    pub fn release(self) {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.into_iter().flatten().for_each(|line| self.put(line));
    }

    /// Prints several lines; what was brought into them is escaped already.
    pub fn say_lines(self, lines: &str) {
        lines.lines().for_each(|line| self.say(line));
    }

    /// Prints what was written to `out`, and the verb to try next with it if it is a file.
    pub fn wrote(self, out: &Path, what: &str, next: Option<&str>) {
        if is_dash(out) {
            return self.say(&format!("wrote to stdout: {what}"));
        }
        self.say(&format!("wrote {}: {what}", out.display()));
        if let Some(verb) = next {
            self.say(&format!("next: lagtape {verb} {}", shell::file(&out.to_string_lossy())));
        }
    }

    /// Prints a sentence that begins with the name of the program.
    pub fn complain(self, sentence: &str) {
        let (on, off) = if self.colored() { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        self.put(format!("{on}lagtape:{off} {}", OneLine(sentence)));
    }

    /// Prints what is damaged; the rest of the capture was used.
    pub fn damaged(self, file: &Path, damage: Option<&DamageReport>) -> Outcome {
        match damage {
            Some(damage) => {
                self.complain(&format!("{}: {}", file.display(), damage.reason));
                Outcome::Damaged
            }
            None => Outcome::Healthy,
        }
    }

    /// Prints how much of a damaged capture could not be copied.
    pub fn lost(self, file: &Path, lost: &Lost) {
        if lost.anything() {
            let (name, records) = (file.display(), RecordCount(lost.records_lost));
            self.complain(&format!(
                "{name} is damaged: {records} and {} bytes of it are lost; `lagtape verify` lists \
                 every place",
                lost.bytes_lost
            ));
        }
    }

    /// `auto` colours a terminal, unless NO_COLOR or TERM=dumb forbids it.
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
