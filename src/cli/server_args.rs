//! Flags about the simulated server, shared by `simulate` and `backend`.

use std::io::Write;

use anyhow::Result;

use super::values::parse_loop;
use crate::app::Outcome;
use crate::peer::incident::{self, Trouble};
use crate::time::Span;

/// What the simulated server is like.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// The trouble, with values: stall, stall:at=3,for=5, thin-link:down=100KB/s, …
    #[arg(long, value_name = "NAME[:KEY=VALUE,…]", default_value = "healthy")]
    pub incident: Trouble,
    /// Decides everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Length of the built-in loop
    #[arg(long = "loop", value_name = "TIME", default_value = "24s", value_parser = parse_loop)]
    pub loop_length: Span,
    /// Channels of the built-in loop
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=8))]
    pub channels: u16,
}

/// Prints every incident with its parameters.
pub fn list_incidents(out: &mut dyn Write) -> Result<Outcome> {
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
