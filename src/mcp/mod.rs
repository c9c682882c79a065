//! The second door: an MCP server, through which agents drive live sessions and question recorded
//! ones.
//!
//! Enters: JSON-RPC of whichever protocol version the client speaks, on stdio or HTTP. Leaves: answers
//! that are complete by themselves and bounded ([`MAX_ANSWER_LEN`]), files inside the capture
//! folders, progress. Every tool is a few lines over a function of [`crate::app`].
//!
//! A failure is an answer that says what to do. What blocks or computes runs off the workers; what is
//! cancelled stops; the end of the input seals every running capture. stdout is the protocol's alone,
//! stderr is talk, and no secret leaves in either.

mod answer;
mod args;
mod ask;
mod audio;
mod call;
mod change;
mod clients;
mod control;
mod hosts;
mod http;
mod live;
mod messages;
mod observe;
mod prompt;
mod replay;
mod resources;
mod schema;
mod server;
mod sessions;
mod start;
mod state;
mod stdio;
mod sweep;
mod tool;
mod views;
mod wording;

use std::path::PathBuf;

pub use answer::MAX_ANSWER_LEN;
pub use clients::{McpClient, config as client_config};
pub use http::{HttpOptions, serve as serve_http};
pub use server::Server;
pub use stdio::{serve as serve_stdio, serve_on};
pub use tool::Toolset;

/// What a server offers, and where it may reach.
#[derive(Debug, Clone)]
pub struct McpOptions {
    /// Folders of captures; new files go into the first.
    pub captures: Vec<PathBuf>,
    /// Hosts of live servers beside those of this machine.
    pub allow_hosts: Vec<String>,
    /// Which tools.
    pub toolsets: Vec<Toolset>,
    /// Only tools that change nothing.
    pub read_only: bool,
}

impl Default for McpOptions {
    fn default() -> Self {
        McpOptions {
            captures: vec![PathBuf::from("captures")],
            allow_hosts: Vec::new(),
            toolsets: vec![Toolset::Live, Toolset::Replay],
            read_only: false,
        }
    }
}
