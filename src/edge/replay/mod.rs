//! A recording as a server on a real port.
//!
//! Enters: a capture, a bound listener, a future that resolves when it has to stop. Leaves: the
//! recorded session for the first client that begins one, answers to the HTTP requests that clients
//! make before it, a capture of what was said, and how far client and clock strayed. One clock stamps
//! everything. What is said when is decided in [`crate::peer::replay`]. Serves one session at a time
//! and ends with the first that was begun; of the capture no more is read ahead than is needed.

mod control;
mod http;
mod notice;
mod opening;
mod reel;
mod session;
mod witness;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use futures_util::SinkExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::accept::accept;
use super::backend::{self, KeepaliveOptions, MAX_CONNECTIONS, stopped};
use super::clock::MonotonicClock;
use super::files;
use super::recorder::RecorderOptions;
use crate::peer::replay::{Divergence, ReplayOptions, Timing};
use crate::report::DamageReport;
use crate::time::Offset;
use control::Order;
use opening::Opening;

pub use notice::{Happening, Notice};

/// Close code of RFC 6455 for whoever comes while a session is on.
const TRY_AGAIN_LATER: u16 = 1013;
/// Orders that may wait for the session to hear of them.
const MAX_ORDERS: usize = 16;

/// What to replay, and how.
pub struct ServeOptions {
    /// The capture.
    pub capture: PathBuf,
    /// When messages are sent.
    pub timing: Timing,
    /// Replies wait for the messages that they answered.
    pub causal: bool,
    /// Everything before is sent at once.
    pub start_at: Option<Offset>,
    /// Nothing after is sent.
    pub until: Option<Offset>,
    /// Begin again at the end.
    pub looped: bool,
    /// The capture to write of the replayed session, if any.
    pub out: Option<PathBuf>,
    /// Replace an existing file.
    pub force: bool,
    /// When a silent client is given up.
    pub keepalive: KeepaliveOptions,
    /// Hears what becomes of the replay.
    pub watch: Box<dyn Fn(&Notice) + Send + Sync>,
}

impl ServeOptions {
    fn recorder(&self) -> Option<RecorderOptions> {
        let out = self.out.as_ref()?;
        Some(RecorderOptions { force: self.force, ..RecorderOptions::new(out) })
    }

    /// The whole of a capture, as it was recorded.
    #[must_use]
    pub fn new(capture: PathBuf) -> ServeOptions {
        ServeOptions {
            capture,
            timing: Timing::Recorded { rate: 1.0 },
            causal: false,
            start_at: None,
            until: None,
            looped: false,
            out: None,
            force: false,
            keepalive: KeepaliveOptions::default(),
            watch: Box::new(|_| ()),
        }
    }
}

/// A session that was replayed.
#[derive(Debug)]
pub struct Played {
    /// How far client and clock strayed; `None` when no client began a session.
    pub divergence: Option<Divergence>,
    /// Why it ended.
    pub reason: String,
    /// The capture that was written.
    pub out: Option<PathBuf>,
    /// Where the replayed capture is damaged; what is lost was left out.
    pub damage: Option<DamageReport>,
    /// Why the replay could not go on, or its capture not be written.
    pub failure: Option<String>,
}

/// A capture that can be replayed.
pub struct Replay {
    options: ServeOptions,
    opening: Opening,
    clock: MonotonicClock,
}

/// A WebSocket whose handshake is done, and the only one.
struct Arrival {
    stream: TcpStream,
    read: Vec<u8>,
    client: SocketAddr,
    _stage: OwnedSemaphorePermit,
}

impl Replay {
    /// Reads the beginning of the capture.
    pub fn prepare(options: ServeOptions) -> Result<Replay> {
        let shown = options.capture.display();
        let opening = Opening::read(&options.capture, options.start_at)
            .with_context(|| format!("cannot replay {shown}"))?;
        let start = options.start_at.map_or(opening.began, |at| at.from(opening.origin));
        let (began_s, start) = (opening.began_s(), start.max(opening.began));
        if options.until.is_some_and(|until| until.from(opening.origin) <= start) {
            match opening.is_middle() {
                true => bail!(
                    "the replay would end before it begins; the capture begins {began_s:.3} s after the initial buffer of its session, so give a later --until"
                ),
                false => bail!("the replay would end before it begins; give a later --until"),
            }
        }
        if let Some(recorder) = options.recorder() {
            files::refuse_input(&options.capture, &recorder.path)?;
            recorder.check()?;
        }
        Ok(Replay { options, opening, clock: MonotonicClock::start() })
    }

    /// When the capture begins in the middle of its session: so many seconds from its initial buffer.
    #[must_use]
    pub fn begins_at_s(&self) -> Option<f64> {
        self.opening.is_middle().then(|| self.opening.began_s())
    }

    /// Where the recorded listener was at the beginning of the replay, in seconds from the start of
    /// the loop, when that is not the beginning of the recording. A client starts at 0.
    #[must_use]
    pub fn start_position_s(&self) -> Option<f64> {
        self.opening.start_position_s
    }

    /// Serves until a session has come to its end, or `shutdown` resolves.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Played> {
        let replay = Arc::new(self);
        let (stopping, stop) = watch::channel(false);
        let (sockets, arrivals) = mpsc::channel(1);
        let (orders, given) = mpsc::channel(MAX_ORDERS);
        let accepting = accept_all(&listener, Arc::clone(&replay), sockets, orders, stop.clone());
        let playing = replay.play(arrivals, given, stop);
        tokio::pin!(accepting, playing, shutdown);
        let mut is_stopping = false;
        loop {
            tokio::select! {
                () = &mut shutdown, if !is_stopping => {
                    is_stopping = true;
                    stopping.send_replace(true);
                }
                played = &mut playing => return Ok(played),
                refused = &mut accepting => match refused {
                    Err(error) => return Err(error),
                    Ok(never) => match never {},
                },
            }
        }
    }

    async fn play(
        &self,
        mut arrivals: mpsc::Receiver<Arrival>,
        mut orders: mpsc::Receiver<Order>,
        mut stop: watch::Receiver<bool>,
    ) -> Played {
        loop {
            tokio::select! {
                () = stopped(&mut stop) => return Played::nobody(),
                // Dropping it answers it: nobody is there to obey.
                Some(_) = orders.recv() => {}
                Some(arrival) = arrivals.recv() => {
                    let played = session::run(self, arrival, &mut orders, stop.clone()).await;
                    if let Some(played) = played {
                        return played;
                    }
                }
            }
        }
    }

    fn replay_options(&self) -> ReplayOptions {
        let origin = self.opening.origin;
        ReplayOptions {
            timing: self.options.timing,
            causal: self.options.causal,
            origin,
            began: self.opening.began,
            unknown: self.opening.unknown.clone(),
            start_at: self.options.start_at.map(|at| at.from(origin)),
            until: self.options.until.map(|at| at.from(origin)),
            looped: self.options.looped,
            ready: self.opening.ready.clone(),
        }
    }

    fn tell(&self, happening: Happening) {
        (self.options.watch)(&Notice { at: self.clock.now(), happening });
    }
}

impl Played {
    fn nobody() -> Played {
        Played {
            divergence: None,
            reason: "stopped before a client began a session".to_owned(),
            out: None,
            damage: None,
            failure: None,
        }
    }
}

/// Accepts until that is not possible any more.
async fn accept_all(
    listener: &TcpListener,
    replay: Arc<Replay>,
    sockets: mpsc::Sender<Arrival>,
    orders: mpsc::Sender<Order>,
    stop: watch::Receiver<bool>,
) -> Result<Infallible> {
    let stage = Arc::new(Semaphore::new(1));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = accept(listener), if connections.len() < MAX_CONNECTIONS => {
                let (stream, client) = accepted.context("cannot accept connections any more")?;
                connections.spawn(connect(
                    stream,
                    client,
                    Arc::clone(&replay),
                    Arc::clone(&stage),
                    sockets.clone(),
                    orders.clone(),
                    stop.clone(),
                ));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection: HTTP, and perhaps the session.
async fn connect(
    stream: TcpStream,
    client: SocketAddr,
    replay: Arc<Replay>,
    stage: Arc<Semaphore>,
    sockets: mpsc::Sender<Arrival>,
    orders: mpsc::Sender<Order>,
    mut stop: watch::Receiver<bool>,
) {
    let respond = |request| http::answer(request, Arc::clone(&replay), orders.clone());
    let Some((stream, read)) = backend::http::converse(stream, &mut stop, respond).await else {
        return;
    };
    match stage.try_acquire_owned() {
        // Fails when the replay is over, and then nobody waits for an answer.
        Ok(stage) => drop(sockets.send(Arrival { stream, read, client, _stage: stage }).await),
        Err(_) => turn_away(stream, read).await,
    }
}

/// Tells a client that another one has the session.
async fn turn_away(stream: TcpStream, read: Vec<u8>) {
    let mut socket = WebSocketStream::from_partially_read(stream, read, Role::Server, None).await;
    let close = CloseFrame {
        code: TRY_AGAIN_LATER.into(),
        reason: "a replay serves one session, and it is on".into(),
    };
    // A client that is gone need not be told.
    let _ = tokio::time::timeout(backend::CLOSE_TIMEOUT, socket.send(Message::Close(Some(close))))
        .await;
}
