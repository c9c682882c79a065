//! Flags that choose a part of a session, for every verb that looks at times.

use crate::app::SessionPart;
use crate::time::Offset;

/// Which part of the session.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which part")]
pub struct PartArgs {
    /// From this moment on
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<Offset>,
    /// Up to this moment
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<Offset>,
    /// Around this episode of lag, counted from 1 as analyze lists them: it and a second before and
    /// after it
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "to"])]
    pub episode: Option<usize>,
}

impl PartArgs {
    pub fn part(&self) -> SessionPart {
        SessionPart { from: self.from, to: self.to, episode: self.episode }
    }
}
