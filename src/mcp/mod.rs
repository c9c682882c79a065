//! The MCP server: agents drive live sessions and question recorded ones.
//!
//! Enters: JSON-RPC of whichever protocol version the client speaks, on stdio or HTTP. Leaves: answers
//! that are complete by themselves and bounded ([`MAX_ANSWER_LEN`]), files inside the capture
//! folders, progress. Every tool is one file of `tools` and a few lines over a function of
//! [`crate::app`].
//!
//! A failure is an answer that says what to do next. Work that blocks or computes runs off the
//! asynchronous workers and stops when its call is cancelled; the end of the input seals every running
//! capture. Nothing but the protocol goes to stdout, and no secret to stdout or stderr.

mod accept;
mod answer;
mod args;
mod call;
mod change;
mod clients;
mod fit;
mod hosts;
mod http;
mod live_view;
mod options;
mod origins;
mod percent;
mod prompt;
mod resources;
mod schema;
mod server;
mod sessions;
mod shared;
mod stdio;
mod tool;
mod tools;
mod views;
mod waiting;
mod wording;

pub use answer::MAX_ANSWER_LEN;
pub use clients::{ClientFolders, McpClient, config as client_config, config_file, installed};
pub use http::{HttpOptions, serve as serve_http};
pub use options::{McpOptions, Toolset};
pub use server::McpServer;
pub use stdio::{serve as serve_stdio, serve_on};
