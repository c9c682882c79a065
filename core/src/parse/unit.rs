//! One typed value in a given unit, as the parameters of incidents and scenarios need it.

use super::bytes::{ByteRate, ByteSize, ByteUnitError};
use crate::time::{Span, SpanError};

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A length of time, in seconds.
    Time,
    /// A plain number.
    Number,
    /// Bytes per second.
    Rate,
    /// A number of bytes.
    Size,
    /// On or off: 1 or 0.
    Switch,
}

/// The text is not a value of the unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    #[error(transparent)]
    Time(#[from] SpanError),
    #[error(transparent)]
    Bytes(#[from] ByteUnitError),
    #[error("write a number")]
    NotANumber,
    #[error("\"{0}\" is neither on nor off")]
    NotASwitch(String),
}

impl Unit {
    /// Writes a value so that [`Unit::parse`] reads the same value again.
    #[must_use]
    pub fn write(self, value: f64) -> String {
        match self {
            Unit::Time | Unit::Number => value.to_string(),
            Unit::Rate => ByteRate(value).to_string(),
            Unit::Size => ByteSize(value as u64).to_string(),
            Unit::Switch => if value == 0.0 { "off" } else { "on" }.to_owned(),
        }
    }

    /// Reads a value as people write it.
    ///
    /// # Errors
    ///
    /// The text is no value of this unit.
    pub fn parse(self, text: &str) -> Result<f64, ValueError> {
        Ok(match self {
            Unit::Time => text.parse::<Span>()?.seconds(),
            Unit::Rate => text.parse::<ByteRate>()?.0,
            Unit::Size => text.parse::<ByteSize>()?.0 as f64,
            Unit::Switch => match text {
                "on" | "true" => 1.0,
                "off" | "false" => 0.0,
                _ => return Err(ValueError::NotASwitch(text.to_owned())),
            },
            Unit::Number => {
                let number = text.parse().ok().filter(|value: &f64| value.is_finite());
                number.ok_or(ValueError::NotANumber)?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(unit: Unit, text: &str, expected: Result<f64, &str>) {
        let parsed = unit.parse(text);
        assert_eq!(
            parsed.clone().map_err(|error| error.to_string()),
            expected.map_err(str::to_owned)
        );
        if let Ok(value) = parsed {
            assert_eq!(unit.parse(&unit.write(value)), Ok(value), "{unit:?} {text}");
        }
    }

    #[test]
    fn values_go_there_and_back() {
        check(Unit::Time, "500ms", Ok(0.5));
        check(Unit::Number, "-2.5", Ok(-2.5));
        check(Unit::Number, "inf", Err("write a number"));
        check(Unit::Rate, "200KB/s", Ok(200e3));
        check(Unit::Size, "256KB", Ok(256e3));
        check(Unit::Switch, "true", Ok(1.0));
        check(Unit::Switch, "off", Ok(0.0));
        check(Unit::Switch, "maybe", Err("\"maybe\" is neither on nor off"));
    }
}
