//! One or several incidents with their values, as people type them: `stall:at=3,for=4+thin-link`.

use std::fmt;
use std::str::FromStr;

use super::{ALL, Incident, Injection, Setup, Values};
use crate::family::Family;
use crate::parse::{ValueError, nearest};
use crate::peer::link::LinkOptions;

/// Between two incidents of one trouble.
const AND: char = '+';

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

/// Incidents with their values, at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble(Vec<ValuedIncident>);

#[derive(Debug, Clone)]
struct ValuedIncident {
    incident: &'static Incident,
    values: Values,
}

impl PartialEq for ValuedIncident {
    fn eq(&self, other: &Self) -> bool {
        (self.incident.name, &self.values) == (other.incident.name, &other.values)
    }
}

impl Trouble {
    /// All of them at once; nothing is wrong if there are none.
    #[must_use]
    pub fn all(troubles: &[Trouble]) -> Trouble {
        let together: Vec<_> = troubles.iter().flat_map(|Trouble(those)| those.clone()).collect();
        if together.is_empty() { Trouble::healthy() } else { Trouble(together) }
    }

    /// Nothing is wrong.
    #[must_use]
    pub fn healthy() -> Trouble {
        let healthy = ALL[0];
        Trouble(vec![ValuedIncident { incident: healthy, values: Values::of(healthy) }])
    }

    /// What the incidents are, in their order.
    pub fn incidents(&self) -> impl Iterator<Item = &'static Incident> {
        self.0.iter().map(|valued| valued.incident)
    }

    /// Their names.
    #[must_use]
    pub fn name(&self) -> String {
        let names: Vec<_> = self.incidents().map(|incident| incident.name).collect();
        names.join(&AND.to_string())
    }

    /// The family that it is first of all for.
    #[must_use]
    pub fn family(&self) -> Family {
        let mut families = self.incidents().filter_map(|incident| incident.families.first());
        families.next().copied().unwrap_or_default()
    }

    /// Refuses a family that one of the incidents means nothing to.
    ///
    /// # Errors
    /// [`IncidentError::Family`], with those that it is for.
    pub fn check_family(&self, family: Family) -> Result<(), IncidentError> {
        match self.incidents().find(|incident| !incident.families.contains(&family)) {
            None => Ok(()),
            Some(Incident { name, families, .. }) => {
                let families: Vec<_> = families.iter().map(|family| family.name()).collect();
                let families = families.join(", ");
                Err(IncidentError::Family { incident: name, family: family.name(), families })
            }
        }
    }

    /// What the peers are like in this trouble. Where two incidents set the same, the later one does.
    #[must_use]
    pub fn setup(&self) -> Setup {
        let mut setup = Setup {
            up: LinkOptions::loopback(),
            down: LinkOptions::loopback(),
            ..Setup::default()
        };
        for ValuedIncident { incident, values } in &self.0 {
            (incident.apply)(values, &mut setup);
        }
        setup
    }

    /// What is injected, in the order of the incidents; healthy look-alikes inject nothing.
    #[must_use]
    pub fn injections(&self) -> Vec<Injection> {
        let injected = |ValuedIncident { incident, values }: &ValuedIncident| {
            (incident.spell)(values).map(|spell| Injection::new(incident, spell))
        };
        self.0.iter().filter_map(injected).collect()
    }

    /// Whether the trouble takes a client that behaves in its way, beside a server and a link.
    #[must_use]
    pub fn needs_client(&self) -> bool {
        self.setup().client != Trouble::healthy().setup().client
    }

    /// The value of a parameter, in the unit's base; of the first incident that has it.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        let values = self.0.iter().flat_map(|valued| &valued.values.0);
        values.into_iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

impl FromStr for Trouble {
    type Err = IncidentError;

    fn from_str(text: &str) -> Result<Self, IncidentError> {
        text.split(AND).map(str::parse).collect::<Result<_, _>>().map(Trouble)
    }
}

impl FromStr for ValuedIncident {
    type Err = IncidentError;

    fn from_str(text: &str) -> Result<Self, IncidentError> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let incident = named(name).ok_or_else(|| IncidentError::Name {
            name: name.to_owned(),
            known: nearest(name, ALL.iter().map(|i| i.name)),
        })?;
        let parameters = incident.parameters;
        let mut values = Values::of(incident);
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
        Ok(ValuedIncident { incident, values })
    }
}

/// The incident of that name, or else the first of that class.
fn named(name: &str) -> Option<&'static Incident> {
    let all = || ALL.iter().copied();
    let by_class = || all().find(|incident| incident.class == name);
    all().find(|incident| incident.name == name).or_else(by_class)
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, valued) in self.0.iter().enumerate() {
            if i > 0 {
                write!(f, "{AND}")?;
            }
            write!(f, "{valued}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ValuedIncident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        check("thin-link:down=100KB/s", "thin-link:down=100KB/s,buffer=256KB,at=0");
        check("stal", "there is no incident \"stal\"; did you mean stall?");
        check("stall:fro=4", "stall has no parameter \"fro\"; did you mean for?");
        check("generation-stall", "stall:at=6,for=4");
        check("stall:at=3+thin-link", "stall:at=3,for=4+thin-link:down=150KB/s,buffer=256KB,at=0");
        check("stall+thin-lin", "there is no incident \"thin-lin\"; did you mean thin-link?");
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
            assert_eq!(shown.parse::<Trouble>().unwrap(), trouble, "{shown}");
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
            assert_eq!(is_plain, incident.name == "healthy", "{}", incident.name);
        }
    }
}
