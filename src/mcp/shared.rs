//! What all clients of one server share. It is all that a tool needs.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::call::Jobs;
use super::hosts::Hosts;
use super::options::Toolset;
use super::sessions::Sessions;
use crate::app::CaptureFolders;

/// Captures, live sessions, and the work in progress.
pub struct Shared {
    pub captures: CaptureFolders,
    /// Which servers may be called.
    pub hosts: Hosts,
    pub sessions: Sessions,
    /// The work of all calls.
    pub jobs: Jobs,
    /// Cancelled when no more requests can come: calls that wait for something then end.
    pub leaving: CancellationToken,
    /// The groups of which tools are offered.
    pub toolsets: Vec<Toolset>,
}

impl Shared {
    pub fn new(
        captures: CaptureFolders,
        allow_hosts: &[String],
        toolsets: Vec<Toolset>,
    ) -> Arc<Shared> {
        Arc::new(Shared {
            captures,
            hosts: Hosts::new(allow_hosts),
            sessions: Sessions::default(),
            jobs: Jobs::new(),
            leaving: CancellationToken::new(),
            toolsets,
        })
    }

    /// Whether tools of a group are offered.
    pub fn has(&self, set: Toolset) -> bool {
        self.toolsets.contains(&set)
    }
}
