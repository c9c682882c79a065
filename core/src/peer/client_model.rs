//! The clients that there are: how often they report, what, and how their position moves.
//!
//! Cadences and fields are those that clients of the real server were seen with.

use std::str::FromStr;

use super::client::{DEFAULT_PARAMS_HZ, Dialect};
use super::main_thread::MainThread;
use crate::capture::ClientKind;
use crate::parse::nearest;

/// A client that can be simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientModel {
    /// lagtape's own: headless, with acknowledgements and leads.
    #[default]
    Lagtape,
    /// The headless client in Python of the real server's own tools.
    Headless,
    /// The real server's page.
    Web,
    /// Apps on the JavaScript SDK.
    Sdk,
    /// The component for TouchDesigner.
    TouchDesigner,
    /// The page in a tab in the background, whose timers run once a second.
    Throttled,
}

/// What is particular about a client.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientTraits {
    /// As people type it.
    pub name: &'static str,
    /// Whose recording it is: lagtape's own, or a proxy's that sees any client from outside.
    pub kind: ClientKind,
    pub params_hz: f64,
    pub dialect: Dialect,
    /// The position moves in steps of so many frames: those of its audio callback.
    pub position_step: u32,
    /// Where it goes on after the end of the loop, in seconds.
    pub wraps_to_s: f64,
    /// Reports while the player is paused; a page's audio context is suspended then.
    pub reports_while_paused: bool,
    /// Reports are left out while more bytes than this wait to be sent.
    pub max_unsent: Option<u64>,
    pub main_thread: MainThread,
}

/// There is no such client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no client \"{name}\"; {known}")]
pub struct UnknownClient {
    name: String,
    known: String,
}

/// All of them, in the order in which they are listed.
pub const CLIENT_MODELS: [ClientModel; 6] = [
    ClientModel::Lagtape,
    ClientModel::Headless,
    ClientModel::Web,
    ClientModel::Sdk,
    ClientModel::TouchDesigner,
    ClientModel::Throttled,
];

impl ClientModel {
    /// What is particular about it.
    #[must_use]
    pub fn traits(self) -> ClientTraits {
        let plain = ClientTraits {
            name: "lagtape",
            kind: ClientKind::Headless,
            params_hz: DEFAULT_PARAMS_HZ,
            dialect: Dialect::Modern,
            position_step: 1,
            wraps_to_s: 0.0,
            reports_while_paused: true,
            max_unsent: None,
            main_thread: MainThread::default(),
        };
        let foreign = ClientTraits { kind: ClientKind::Foreign, ..plain.clone() };
        // Nominally 125 reports a second; browsers were seen to manage two thirds of that.
        let web = ClientTraits {
            name: "web",
            params_hz: 84.0,
            position_step: 256,
            wraps_to_s: 0.05,
            reports_while_paused: false,
            max_unsent: Some(8_192),
            ..foreign.clone()
        };
        match self {
            ClientModel::Lagtape => plain,
            ClientModel::Headless => {
                ClientTraits { name: "headless", dialect: Dialect::Legacy, ..plain }
            }
            ClientModel::Web => web,
            ClientModel::Sdk => ClientTraits {
                name: "sdk",
                params_hz: 12.5,
                dialect: Dialect::Acknowledging,
                position_step: 128,
                ..foreign
            },
            ClientModel::TouchDesigner => ClientTraits {
                name: "touchdesigner",
                params_hz: 29.0,
                dialect: Dialect::Legacy,
                ..foreign
            },
            ClientModel::Throttled => ClientTraits {
                name: "throttled",
                main_thread: MainThread {
                    turns_every_s: 1.0,
                    reports_in_turns: true,
                    hitches: None,
                },
                ..web
            },
        }
    }
}

impl ClientTraits {
    /// Whether a live recording can behave in this way: its main thread is never held up.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.main_thread == MainThread::default()
    }
}

impl FromStr for ClientModel {
    type Err = UnknownClient;

    fn from_str(name: &str) -> Result<Self, UnknownClient> {
        let found = CLIENT_MODELS.into_iter().find(|model| model.traits().name == name);
        found.ok_or_else(|| UnknownClient {
            name: name.to_owned(),
            known: nearest(name, CLIENT_MODELS.into_iter().map(|model| model.traits().name)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_go_by_their_names() {
        for model in CLIENT_MODELS {
            assert_eq!(model.traits().name.parse(), Ok(model));
        }
        let error = "webb".parse::<ClientModel>().unwrap_err().to_string();
        assert_eq!(error, "there is no client \"webb\"; did you mean web?");
    }
}
