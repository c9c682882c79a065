//! Flags about the simulated server, shared by `simulate` and `backend`.

use std::io::Write;

use anyhow::Result;

use super::values::parse_loop;
use crate::app::Outcome;
use crate::family::{FAMILIES, Family, FamilyKind};
use crate::peer::incident::{self, HEALTHY, Trouble};
use crate::time::Span;

/// What the simulated server is like.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// The trouble, with values: stall, stall:at=3,for=5, thin-link:down=100KB/s, …;
    /// several at once by naming it several times
    #[arg(long, value_name = "NAME[:KEY=VALUE,…]", default_value = "healthy")]
    pub incident: Vec<Trouble>,
    /// Decides everything random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The family of models that is served, unless a client asks for another: acestep, sa3, yue2, mrt2
    /// or minimax
    #[arg(long, value_name = "NAME", default_value = "acestep")]
    pub family: Family,
    /// Length of the built-in loop; 24s by default, and 60s of a family that only appends
    #[arg(long = "loop", value_name = "TIME", value_parser = parse_loop)]
    pub loop_length: Option<Span>,
    /// Channels of the built-in loop
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=8))]
    pub channels: u16,
}

impl ServerArgs {
    /// The trouble: all incidents at once.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        Trouble::all(&self.incident)
    }

    /// Length of the built-in loop in seconds.
    #[must_use]
    pub fn loop_s(&self) -> f64 {
        let usual_s = match self.family.traits().kind {
            FamilyKind::RefiningLoop => 24.0,
            FamilyKind::AppendOnlyTape => 60.0,
        };
        self.loop_length.map_or(usual_s, Span::seconds)
    }
}

/// Prints every incident with the families that it is for and its parameters.
pub fn list_incidents(out: &mut dyn Write) -> Result<Outcome> {
    for incident in incident::ALL {
        writeln!(out, "{:<26} {}", incident.name, incident.summary)?;
        writeln!(out, "{:<26} shows: {}", "", incident.shows)?;
        if ![incident.name, HEALTHY].contains(&incident.class) {
            writeln!(out, "{:<26} class: {}", "", incident.class)?;
        }
        if incident.families != FAMILIES {
            let names: Vec<_> = incident.families.iter().map(|family| family.name()).collect();
            writeln!(out, "{:<26} for: {}", "", names.join(", "))?;
        }
        for parameter in incident.parameters {
            let (name, default) = (parameter.name, parameter.default_text());
            writeln!(out, "{:<28} {name}={default}  {}", "", parameter.meaning)?;
        }
    }
    Ok(Outcome::Healthy)
}
