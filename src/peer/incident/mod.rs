//! Incidents: named troubles of the simulated peers (`stall:at=3,for=4`).
//!
//! An incident with its values gives a [`Setup`] of server, model, link and client. A new incident is
//! one small file here and a line in [`ALL`]. What the client does is timed in seconds from the initial
//! buffer; links and faults are timed from the beginning of the session, a fraction of a second earlier
//! on a warm server.

mod behind;
mod below_real_time;
mod burst_production;
mod client_backlog;
mod clock_skew;
mod cold_start;
mod dead_worker;
mod finished_piece;
mod frontier_overtaken;
mod gate_on_lead_alone;
mod healthy;
mod idle_pause;
mod oversize_window;
mod pipeline_death;
mod preempted;
mod rebuild_stall;
mod refit_storm;
mod seek_lead_runaway;
mod sidecar_lost;
mod slow_generation;
mod stale_playhead;
mod stall;
mod thin_link;
mod vram_paging;

use serde_json::{Map, Value};

use super::client::{ClientCommand, DEFAULT_PARAMS_HZ};
use super::generator::GeneratorOptions;
use super::link::LinkOptions;
use super::policy::Policy;
use super::script::ScriptedOp;
use super::server::ServerFaults;
use crate::family::Family;
use crate::parse::{Unit, ValueError, nearest};
use crate::time::Span;

/// All incidents, in the order in which they are listed.
pub const ALL: &[&Incident] = &[
    &healthy::INCIDENT,
    &stall::INCIDENT,
    &behind::INCIDENT,
    &slow_generation::INCIDENT,
    &thin_link::INCIDENT,
    &seek_lead_runaway::INCIDENT,
    &stale_playhead::INCIDENT,
    &client_backlog::INCIDENT,
    &clock_skew::INCIDENT,
    &rebuild_stall::INCIDENT,
    &refit_storm::INCIDENT,
    &burst_production::INCIDENT,
    &oversize_window::INCIDENT,
    &pipeline_death::INCIDENT,
    &preempted::INCIDENT,
    &idle_pause::INCIDENT,
    &frontier_overtaken::INCIDENT,
    &below_real_time::INCIDENT,
    &gate_on_lead_alone::INCIDENT,
    &vram_paging::INCIDENT,
    &dead_worker::INCIDENT,
    &sidecar_lost::INCIDENT,
    &cold_start::INCIDENT,
    &finished_piece::INCIDENT,
];

/// The families whose slices refine a loop.
const REFINING: [Family; 3] = [Family::Acestep, Family::Sa3, Family::Yue2];
/// The families that only append.
const TAPES: [Family; 2] = [Family::Mrt2, Family::Minimax];

/// A kind of trouble.
#[derive(Debug)]
pub struct Incident {
    pub name: &'static str,
    /// What happens, in a line.
    pub summary: &'static str,
    /// What a capture of it shows.
    pub shows: &'static str,
    /// Whose it is, in the order of lists: to others it means nothing.
    pub families: &'static [Family],
    pub parameters: &'static [Parameter],
    /// Whether a listener of the first family hears lag with the defaults, given 30 s.
    pub lags: bool,
    /// Puts the trouble into a setup that was healthy.
    apply: fn(&Values, &mut Setup),
}

/// Something that can be set.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    /// Its value unless it is set, in the unit's base.
    pub default: f64,
    pub unit: Unit,
    pub meaning: &'static str,
}

/// What the peers of a simulated session are like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Setup {
    /// How the server paces slices.
    pub policy: Policy,
    /// How fast the model is.
    pub generator: GeneratorOptions,
    /// What is wrong with the server.
    pub faults: ServerFaults,
    pub up: LinkOptions,
    pub down: LinkOptions,
    /// What the client is like.
    pub client: ClientSetup,
}

/// What the client of a simulated session is like.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSetup {
    /// Reports a second.
    pub params_hz: f64,
    /// Further fields of its configuration.
    pub config: Map<String, Value>,
    pub rate: f64,
    pub script: Vec<ScriptedOp>,
    pub commands: Vec<(Span, ClientCommand)>,
    /// Messages are handled only at multiples of this many seconds; 0: at once.
    pub handles_every_s: f64,
}

impl Default for ClientSetup {
    fn default() -> Self {
        ClientSetup {
            params_hz: DEFAULT_PARAMS_HZ,
            config: Map::new(),
            rate: 1.0,
            script: Vec::new(),
            commands: Vec::new(),
            handles_every_s: 0.0,
        }
    }
}

/// Why a text names no incident.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IncidentError {
    /// There is none of that name.
    #[error("there is no incident \"{name}\"; {known}")]
    Name { name: String, known: String },
    /// It has no such parameter.
    #[error("{incident} has no parameter \"{key}\"; {known}")]
    Parameter { incident: &'static str, key: String, known: String },
    /// The server of that family has no such trouble.
    #[error("{incident} means nothing to {family}; it is for {families}")]
    Family { incident: &'static str, family: &'static str, families: String },
    /// A value does not fit its unit.
    #[error("{key}={value}: {reason}")]
    Value { key: String, value: String, reason: ValueError },
}

/// An incident with its values.
#[derive(Debug, Clone)]
pub struct Trouble {
    pub incident: &'static Incident,
    values: Values,
}

/// The values of an incident's parameters, in their order.
#[derive(Debug, Clone, PartialEq)]
struct Values(Vec<(&'static str, f64)>);

impl Values {
    /// The value of a parameter that the incident declares.
    fn get(&self, name: &str) -> f64 {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.expect("an incident asks only for parameters that it declares").1
    }

    /// A time in whole nanoseconds.
    fn span(&self, name: &str) -> Span {
        Span((self.get(name) * 1e9).round() as u64)
    }
}

impl std::str::FromStr for Trouble {
    type Err = IncidentError;

    fn from_str(text: &str) -> Result<Self, IncidentError> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let incident = ALL.iter().find(|incident| incident.name == name).ok_or_else(|| {
            IncidentError::Name {
                name: name.to_owned(),
                known: nearest(name, ALL.iter().map(|i| i.name)),
            }
        })?;
        let parameters = incident.parameters;
        let mut values = Values(parameters.iter().map(|p| (p.name, p.default)).collect());
        for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            let index = parameters.iter().position(|p| p.name == key).ok_or_else(|| {
                IncidentError::Parameter {
                    incident: incident.name,
                    key: key.to_owned(),
                    known: nearest(key, parameters.iter().map(|p| p.name)),
                }
            })?;
            values.0[index].1 = parameters[index].unit.parse(value).map_err(|reason| {
                IncidentError::Value { key: key.to_owned(), value: value.to_owned(), reason }
            })?;
        }
        Ok(Trouble { incident, values })
    }
}

impl Trouble {
    /// What the peers are like in this trouble.
    #[must_use]
    pub fn setup(&self) -> Setup {
        let mut setup = Setup {
            up: LinkOptions::loopback(),
            down: LinkOptions::loopback(),
            ..Setup::default()
        };
        (self.incident.apply)(&self.values, &mut setup);
        setup
    }

    /// Refuses a family that the trouble means nothing to.
    pub fn check_family(&self, family: Family) -> Result<(), IncidentError> {
        let Incident { name, families, .. } = *self.incident;
        if families.contains(&family) {
            return Ok(());
        }
        let families = families.iter().map(|family| family.name()).collect::<Vec<_>>().join(", ");
        Err(IncidentError::Family { incident: name, family: family.name(), families })
    }

    /// Whether the trouble takes a client that behaves in its way, beside a server and a link.
    #[must_use]
    pub fn needs_client(&self) -> bool {
        self.setup().client != ClientSetup::default()
    }

    /// The value of a parameter, in the unit's base.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.incident.name)?;
        for (i, (parameter, (name, value))) in
            self.incident.parameters.iter().zip(&self.values.0).enumerate()
        {
            let value = parameter.unit.write(*value);
            write!(f, "{}{name}={value}", if i == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

impl Parameter {
    /// The default as it would be typed.
    #[must_use]
    pub fn default_text(&self) -> String {
        self.unit.write(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let said = match text.parse::<Trouble>() {
            Ok(trouble) => trouble.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn incidents_as_people_write_them() {
        check("healthy", "healthy");
        check("stall", "stall:at=6,for=4");
        check("stall:for=500ms,at=10s", "stall:at=10,for=0.5");
        check("thin-link:down=100KB/s", "thin-link:down=100KB/s,buffer=256KB");
        check("stal", "there is no incident \"stal\"; did you mean stall?");
        check("stall:fro=4", "stall has no parameter \"fro\"; did you mean for?");
        check("healthy:x=1", "healthy has no parameter \"x\"; it has none");
        check(
            "stall:at=soon",
            "at=soon: \"soon\" is not a length of time; write seconds (2.5) or a unit (500ms, 30s, 10min)",
        );
    }

    #[test]
    fn incidents_can_be_typed_as_they_are_shown() {
        for incident in ALL {
            let trouble: Trouble = incident.name.parse().unwrap();
            let shown = trouble.to_string();
            assert_eq!(shown.parse::<Trouble>().unwrap().values, trouble.values, "{shown}");
        }
    }

    #[test]
    fn a_drag_of_any_length_is_bounded() {
        let trouble: Trouble = "refit-storm:at=5000000h,for=5000000h".parse().unwrap();
        assert_eq!(trouble.setup().client.commands.len(), 72_000);
    }

    #[test]
    fn every_incident_can_be_put_up() {
        for incident in ALL {
            let trouble: Trouble = incident.name.parse().unwrap();
            let healthy = "healthy".parse::<Trouble>().unwrap().setup();
            let is_plain = trouble.setup() == healthy;
            assert_eq!(
                is_plain,
                ["healthy", "idle-pause"].contains(&incident.name),
                "{}",
                incident.name
            );
        }
    }
}
