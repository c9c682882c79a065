//! What the peers of a simulated session are like, before and after incidents have changed it.

use serde_json::{Map, Value};

use crate::peer::client::ClientCommand;
use crate::peer::generator::GeneratorOptions;
use crate::peer::link::LinkOptions;
use crate::peer::main_thread::MainThread;
use crate::peer::policy::Policy;
use crate::peer::script::ScriptedOp;
use crate::peer::server::ServerFaults;
use crate::time::Span;

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

/// What is particular about the client of a simulated session.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSetup {
    /// Reports a second; `None`: those of its kind.
    pub params_hz: Option<f64>,
    /// The position that it reports moves in steps of so many frames; `None`: those of its kind.
    pub position_step: Option<u32>,
    /// Further fields of its configuration.
    pub config: Map<String, Value>,
    pub rate: f64,
    pub script: Vec<ScriptedOp>,
    pub commands: Vec<(Span, ClientCommand)>,
    /// Whether somebody turns a knob now and then, so that the server does not idle.
    pub turns_knobs: bool,
    /// When it is busy; `None`: as its kind is.
    pub main_thread: Option<MainThread>,
    /// The capture shows what a proxy between the peers sees, whatever the client's kind.
    pub is_seen_by_proxy: bool,
}

impl Default for ClientSetup {
    fn default() -> Self {
        ClientSetup {
            params_hz: None,
            position_step: None,
            config: Map::new(),
            rate: 1.0,
            script: Vec::new(),
            commands: Vec::new(),
            turns_knobs: true,
            main_thread: None,
            is_seen_by_proxy: false,
        }
    }
}
