//! What a client is to do.

use serde_json::{Map, Value};

use super::ClientCommand;
use crate::capture::ClientKind;
use crate::engine::Options;
use crate::peer::script::ScriptedOp;
use crate::time::Span;

/// Reports a second of the reference client.
pub const DEFAULT_PARAMS_HZ: f64 = 30.0;
/// Fastest cadence of reports that is accepted.
pub const MAX_PARAMS_HZ: f64 = 1000.0;
/// How long a cold server may take until `ready`, unless the caller says otherwise.
pub const DEFAULT_READY_TIMEOUT: Span = Span(600_000_000_000);
/// Time between two pings, unless the caller says otherwise.
pub const DEFAULT_PING_EVERY: Span = Span(1_000_000_000);

/// What a client reports beside its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `client_time`, `slice_bytes_rx` and `slice_lead_s` too, as clients since June 2026 do.
    #[default]
    Modern,
    /// `client_time` and `slice_bytes_rx`, without leads, as apps on the SDK do.
    Acknowledging,
    /// Knobs and position only.
    Legacy,
}

/// What a client is to do.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    pub config: Map<String, Value>,
    /// The PCM message that follows it, unless the server loads a fixture. Where the config asks for a
    /// session of text alone, it is sent only to a server that does not know such sessions.
    pub upload: Option<Vec<u8>>,
    /// Reports a second; 0: none but those that are commanded.
    pub params_hz: f64,
    pub dialect: Dialect,
    /// Whose client it is; anything but a headless one is measured by what it reports.
    pub kind: ClientKind,
    /// Knobs of the first report; `params_echo` changes them.
    pub knobs: Map<String, Value>,
    /// Rate of the playhead from the initial buffer on.
    pub rate: f64,
    /// What the listener does; any order.
    pub script: Vec<ScriptedOp>,
    /// What else the client does, with its time from the initial buffer; any order.
    pub commands: Vec<(Span, ClientCommand)>,
    /// How long to go on after the initial buffer; `None`: until stopped.
    pub run_for: Option<Span>,
    /// How long to wait for the initial buffer.
    pub ready_timeout: Span,
    /// From one WebSocket ping to the next, the first with the first report; `None`: none. What
    /// comes back tells a what-if how long messages travel, which slices and reports do not.
    pub ping_every: Option<Span>,
    /// The listener begins with the first slice, as the page of minimax does.
    pub waits_for_audio: bool,
    /// The position that is reported moves in steps of so many frames.
    pub position_step: u32,
    /// Where the playhead goes on after the end of the loop, in seconds; 0: at its beginning.
    pub wraps_to_s: f64,
    /// Whether the position is reported while the player is paused.
    pub reports_while_paused: bool,
    /// How the engine looks at the session.
    pub engine: Options,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            config: Map::new(),
            upload: None,
            params_hz: DEFAULT_PARAMS_HZ,
            dialect: Dialect::Modern,
            kind: ClientKind::Headless,
            knobs: Map::new(),
            rate: 1.0,
            script: Vec::new(),
            commands: Vec::new(),
            run_for: None,
            ready_timeout: DEFAULT_READY_TIMEOUT,
            ping_every: Some(DEFAULT_PING_EVERY),
            waits_for_audio: false,
            position_step: 1,
            wraps_to_s: 0.0,
            reports_while_paused: true,
            engine: Options::default(),
        }
    }
}
