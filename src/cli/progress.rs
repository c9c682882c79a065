//! A bar on a terminal that says how far the work is.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::charset::drawn;
use super::stderr::stderr_columns;

/// A bar, and beside it how far the work is, in this form; nothing where stderr is no terminal.
pub fn progress_bar(beside: &str) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr_with_hz(10),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(None, target);
    let width = stderr_columns().map_or(40, |columns| columns.saturating_sub(40).clamp(4, 40));
    let style = ProgressStyle::with_template(&format!("{{bar:{width}}} {beside}"));
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars(&drawn("█░")));
    bar
}
