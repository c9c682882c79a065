//! What the person who starts the server decides.

use std::path::PathBuf;

use clap::ValueEnum;

/// Groups of tools that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Toolset {
    /// Sessions that run: the headless_ tools
    Live,
    /// Sessions that were recorded: the capture_ tools
    Replay,
}

/// What a server offers, and where it may reach.
#[derive(Debug, Clone)]
pub struct McpOptions {
    /// Folders of captures; new files go into the first.
    pub captures: Vec<PathBuf>,
    /// Hosts of live servers beside those of this machine.
    pub allow_hosts: Vec<String>,
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
