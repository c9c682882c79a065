//! `backend`: the simulated server on a real port.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::runtime::{armed, runtime};
use crate::edge;
use crate::edge::audio_file;
use crate::edge::backend::{self, BackendNotice, BackendOptions, Links};
use crate::family::Family;
use crate::peer::incident::Trouble;
use crate::peer::server::{ServerOptions, ServerSource};
use crate::time::DEFAULT_SAMPLE_RATE;

/// Length of the built-in backend's loop in seconds, and its channels.
const BUILT_IN_LOOP: (f64, u16) = (24.0, 2);

/// What to serve.
#[derive(Debug, Clone)]
pub struct BackendVerb {
    /// Where to listen; port 0 is any free one.
    pub listen: SocketAddr,
    /// Where the side bus listens, on this machine only.
    pub bus: BusPort,
    /// The trouble that every session gets.
    pub trouble: Trouble,
    pub seed: u64,
    /// The family of a client that asks for none.
    pub family: Family,
    /// Waits for PCM although a client asks for a session of text alone, as in June 2026.
    pub needs_pcm: bool,
    /// Length of the built-in loop in seconds.
    pub loop_s: f64,
    /// Channels of the built-in loop.
    pub channels: u16,
    /// An audio file in place of the built-in music.
    pub audio: Option<PathBuf>,
}

/// The port of the side bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BusPort {
    /// There is no side bus.
    Off,
    /// The port after the server's, or any free one if that is taken.
    #[default]
    Next,
    /// That port; 0 is any free one.
    Port(u16),
}

/// Where a backend listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendPorts {
    pub address: SocketAddr,
    pub bus: Option<SocketAddr>,
    /// The port where the side bus would be and that is taken.
    pub taken: Option<u16>,
}

/// Serves until `shutdown` resolves. Calls `listening` with the addresses and `notice` for every
/// connection.
pub async fn backend(
    verb: BackendVerb,
    shutdown: impl Future<Output = ()>,
    listening: impl FnOnce(BackendPorts),
    notice: impl Fn(&BackendNotice) + Send + Sync + 'static,
) -> Result<()> {
    let setup = verb.trouble.setup();
    let source = match &verb.audio {
        Some(path) => ServerSource::Pcm(audio_file::load(path, DEFAULT_SAMPLE_RATE)?),
        None => ServerSource::built_in(verb.loop_s, verb.channels)?,
    };
    let listener = edge::listen(verb.listen).await?;
    let address = listener.local_addr()?;
    let (side_bus, taken) = bus_listener(verb.bus, address.port()).await?;
    let bus = side_bus.as_ref().map(TcpListener::local_addr).transpose()?;
    let options = BackendOptions {
        side_bus,
        server: ServerOptions {
            seed: verb.seed,
            source,
            policy: setup.policy,
            generator: setup.generator,
            faults: setup.faults,
            family: verb.family,
            needs_pcm: verb.needs_pcm,
            ..ServerOptions::default()
        },
        links: Links { up: setup.up, down: setup.down },
        watch: Box::new(notice),
        ..BackendOptions::default()
    };
    let shutdown = armed(shutdown).await;
    listening(BackendPorts { address, bus, taken });
    backend::serve(listener, options, shutdown).await
}

/// Binds the side bus; also returns the port that was taken.
async fn bus_listener(bus: BusPort, main: u16) -> Result<(Option<TcpListener>, Option<u16>)> {
    let at = |port| edge::listen((Ipv4Addr::LOCALHOST, port).into());
    match bus {
        BusPort::Off => Ok((None, None)),
        BusPort::Port(port) => Ok((Some(at(port).await.context("the side bus")?), None)),
        BusPort::Next => {
            let next = main.wrapping_add(1);
            match at(next).await {
                Ok(listener) => Ok((Some(listener), None)),
                Err(_) => Ok((Some(at(0).await.context("the side bus")?), Some(next))),
            }
        }
    }
}

/// The built-in backend on a thread of its own; it ends when this is dropped.
pub(super) struct BuiltIn {
    pub url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl BuiltIn {
    /// Starts it; it listens when this returns.
    pub fn start(trouble: Trouble, seed: u64) -> Result<BuiltIn> {
        let (loop_s, channels) = BUILT_IN_LOOP;
        let verb = BackendVerb {
            listen: ([127, 0, 0, 1], 0).into(),
            bus: BusPort::Off,
            family: trouble.family(),
            trouble,
            seed,
            needs_pcm: false,
            loop_s,
            channels,
            audio: None,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (listening, address) = sync_channel(1);
        let thread =
            thread::Builder::new().name("lagtape-backend".to_owned()).spawn(move || {
                let failed = listening.clone();
                let served = runtime().and_then(|runtime| {
                    let stopped = async {
                        // Dropping the sender stops it as well.
                        let _ = stopped.await;
                    };
                    let report = move |ports: BackendPorts| {
                        let _ = listening.send(Ok(ports.address));
                    };
                    runtime.block_on(backend(verb, stopped, report, |_| ()))
                });
                if let Err(error) = served {
                    // Received only if it failed before it listened.
                    let _ = failed.try_send(Err(error));
                }
            })?;
        let address = address.recv().context("the built-in backend ended")??;
        Ok(BuiltIn { url: format!("ws://{address}"), stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for BuiltIn {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed; the session has ended all the same.
            let _ = thread.join();
        }
    }
}
