//! `proxy`: between a client and its server.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::runtime::armed;
use crate::edge;
use crate::edge::proxy::{
    self, Impairment, ProxyNotice, ProxyOptions, ServerTrust, SessionCaptures, Upstream,
};
use crate::edge::recorder::ManualTrigger;
use crate::parse::Misuse;

/// Which server, where to listen, and what to record.
#[derive(Clone, Debug)]
pub struct ProxyVerb {
    /// The server: `ws://`, `wss://`, `http://` or `https://`. Its query string is used and never
    /// written down.
    pub upstream: String,
    /// Which certificates of the server are trusted.
    pub trust: ServerTrust,
    /// Where to listen; port 0 is any free one.
    pub listen: SocketAddr,
    /// Where the captures go, the folder made if need be; `None`: no captures.
    pub captures: Option<SessionCaptures>,
    /// Has the rings of all sessions written.
    pub trigger: ManualTrigger,
    /// What is wrong with the way between client and server.
    pub impairment: Impairment,
}

/// Serves until `shutdown` resolves. Calls `listening` with the address, and `watch` on
/// another thread with news of the sessions.
pub async fn proxy(
    verb: ProxyVerb,
    shutdown: impl Future<Output = ()>,
    listening: impl FnOnce(SocketAddr),
    watch: impl Fn(ProxyNotice) + Send + Sync + 'static,
) -> Result<()> {
    let upstream = Upstream::parse(&verb.upstream, &verb.trust)?;
    if let Some(SessionCaptures { folder, .. }) = &verb.captures {
        std::fs::create_dir_all(folder).with_context(|| {
            format!("cannot make the folder {}; name another one with -o", folder.display())
        })?;
    }
    let listener = edge::listen(verb.listen).await?;
    let address = listener.local_addr()?;
    ensure!(
        !upstream.is_at(address).await,
        Misuse(format!(
            "the proxy would be its own upstream: {address} is where it listens; another port \
             with --listen?"
        ))
    );
    let watch: Arc<dyn Fn(ProxyNotice) + Send + Sync> = Arc::new(watch);
    let shutdown = armed(shutdown).await;
    listening(address);
    // A mistyped server is reported before the first client connects.
    let probe = tokio::spawn(probe(upstream.clone(), Arc::clone(&watch)));
    let options = ProxyOptions {
        captures: verb.captures,
        trigger: verb.trigger,
        impairment: verb.impairment,
        watch,
        ..ProxyOptions::default()
    };
    let served = proxy::serve(listener, upstream, options, shutdown).await;
    probe.abort();
    served
}

async fn probe(upstream: Upstream, watch: Arc<dyn Fn(ProxyNotice) + Send + Sync>) {
    if let Err(error) = upstream.connect(false).await {
        let sentence = format!("{error}; the proxy listens all the same");
        watch(ProxyNotice::Trouble { session: None, sentence });
    }
}
