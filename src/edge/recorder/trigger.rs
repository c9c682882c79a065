//! Makes a running incident recorder write a file, from any thread.

use std::sync::Arc;

use tokio::sync::Notify;

/// Makes an incident by hand; clones share it.
#[derive(Clone, Debug, Default)]
pub struct ManualTrigger(Arc<Notify>);

impl ManualTrigger {
    /// Asks for an incident.
    pub fn fire(&self) {
        self.0.notify_one();
    }

    /// Resolves when an incident has been asked for.
    pub(in crate::edge) async fn fired(&self) {
        self.0.notified().await;
    }
}
