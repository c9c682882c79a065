//! What servers of different months do where their messages look the same.
//!
//! Enters: a `ready`. Leaves: which contract its server keeps. Versions of the protocol do not tell:
//! both are 1 (PR@0cfdd61).

use serde::Serialize;
use serde_json::{Map, Value};

/// The contract that a server keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contract {
    /// Of June 2026: a report without a position takes the listener to 0.
    #[default]
    June,
    /// Of October 2026: the position before is kept.
    October,
}

impl Contract {
    /// By a server's `ready`: `capabilities.refines_audio` and `tools` are of October.
    #[must_use]
    pub fn of(ready: &str) -> Contract {
        Contract::of_fields(&super::fields(ready))
    }

    /// The same of a `ready` that has been read.
    #[must_use]
    pub fn of_fields(fields: &Map<String, Value>) -> Contract {
        let refines = fields.get("capabilities").and_then(|all| all.get("refines_audio"));
        let is_new = refines.is_some() || fields.contains_key("tools");
        if is_new { Contract::October } else { Contract::June }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_tell_by_what_they_can_do() {
        let of = Contract::of;
        assert_eq!(of(r#"{"type":"ready","capabilities":{"swap":true}}"#), Contract::June);
        assert_eq!(of(r#"{"capabilities":{"refines_audio":false}}"#), Contract::October);
        assert_eq!(of(r#"{"tools":[]}"#), Contract::October);
        assert_eq!((of(""), of("[]")), (Contract::June, Contract::June));
    }
}
