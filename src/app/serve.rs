//! `backend`: the simulated server on a real port.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use crate::edge::audio_file;
use crate::edge::backend::{self, BackendOptions, Links, Notice};
use crate::peer::incident::Trouble;
use crate::peer::server::{ServerOptions, Source};
use crate::time::DEFAULT_SAMPLE_RATE;

/// What to serve.
#[derive(Debug, Clone)]
pub struct BackendVerb {
    /// Where to listen; port 0 is any free one.
    pub listen: SocketAddr,
    /// The trouble that every session gets.
    pub trouble: Trouble,
    /// Decides everything random.
    pub seed: u64,
    /// Length of the built-in loop in seconds.
    pub loop_s: f64,
    /// Channels of the built-in loop.
    pub channels: u16,
    /// An audio file in place of the built-in music.
    pub audio: Option<PathBuf>,
}

/// Serves until `shutdown` resolves. `listening` hears the address, `notice` of every connection.
pub async fn backend(
    verb: BackendVerb,
    shutdown: impl Future<Output = ()>,
    listening: impl FnOnce(SocketAddr),
    notice: impl Fn(&Notice) + Send + Sync + 'static,
) -> Result<()> {
    let setup = verb.trouble.setup();
    let source = match &verb.audio {
        Some(path) => Source::Pcm(audio_file::load(path, DEFAULT_SAMPLE_RATE)?),
        None => Source::built_in(verb.loop_s, verb.channels)?,
    };
    let options = BackendOptions {
        server: ServerOptions {
            seed: verb.seed,
            source,
            policy: setup.policy,
            generator: setup.generator,
            faults: setup.faults,
        },
        links: Links { up: setup.up, down: setup.down },
        watch: Box::new(notice),
        ..BackendOptions::default()
    };
    let listener = TcpListener::bind(verb.listen)
        .await
        .with_context(|| format!("cannot listen on {}; another port?", verb.listen))?;
    listening(listener.local_addr()?);
    backend::serve(listener, options, shutdown).await
}
