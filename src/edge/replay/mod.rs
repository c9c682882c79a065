//! A recording as a server on a real port.
//!
//! Serves the recorded session to the first client that begins one, and ends with it; further
//! clients are turned away. Clients get answers to the HTTP requests that they make before a
//! session. What is sent when is decided in [`crate::peer::replay`]; at the end there may be a
//! capture of what was said, and there is a measure of how far client and clock strayed. One clock
//! stamps everything, and the capture is read no further ahead than is needed.

mod batch_reader;
mod control;
mod http;
mod notice;
mod opening;
mod session;
mod session_recorder;
mod swap_targets;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::clock::MonotonicClock;
use super::output;
use super::recorder::RecorderOptions;
use super::socket::MAX_CONNECTIONS;
use super::socket::capacity::Demand;
use super::socket::close::turn_away;
use super::socket::listener::{Accepted, StopSignal, serve_connections};
use super::socket::upgrade::{Upgraded, until_websocket};
use crate::parse::Misuse;
use crate::peer::keepalive::KeepaliveOptions;
use crate::peer::replay::{Divergence, ReplayOptions, Timing};
use crate::report::DamageReport;
use crate::time::Offset;
use control::ReplayOrder;
use opening::RecordedOpening;

pub use notice::{ReplayChange, ReplayNotice};

/// Close code of RFC 6455 for clients that come while a session is on.
const TRY_AGAIN_LATER: u16 = 1013;
/// Orders that may wait for the session.
const MAX_ORDERS: usize = 16;

/// What to replay, and how.
pub struct ServeOptions {
    pub capture: PathBuf,
    pub timing: Timing,
    /// Replies wait for the messages that they answered.
    pub causal: bool,
    /// Swaps that the recorded client asked for are sent also to one that does not.
    pub unasked: bool,
    /// Everything before is sent at once.
    pub start_at: Option<Offset>,
    pub until: Option<Offset>,
    /// Begin again at the end.
    pub looped: bool,
    /// The capture to write of the replayed session, if any.
    pub out: Option<PathBuf>,
    pub force: bool,
    /// When a silent client is given up.
    pub keepalive: KeepaliveOptions,
    /// Called with what becomes of the replay.
    pub watch: Box<dyn Fn(&ReplayNotice) + Send + Sync>,
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
            unasked: false,
            start_at: None,
            until: None,
            looped: false,
            out: None,
            force: false,
            // A listener may stop his player for as long as he likes.
            keepalive: KeepaliveOptions { stalls_for: None, ..KeepaliveOptions::default() },
            watch: Box::new(|_| ()),
        }
    }
}

/// A session that was replayed.
#[derive(Debug)]
pub struct Played {
    /// How far client and clock strayed; `None` when no client began a session.
    pub divergence: Option<Divergence>,
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
    opening: RecordedOpening,
    clock: MonotonicClock,
}

/// A client that has the only place for a session, for as long as this lives.
struct Arrival {
    upgraded: Upgraded,
    _place: OwnedSemaphorePermit,
}

impl Replay {
    /// Reads the beginning of the capture.
    pub fn prepare(options: ServeOptions) -> Result<Replay> {
        let shown = options.capture.display();
        let opening = RecordedOpening::read(&options.capture, options.start_at)
            .with_context(|| format!("cannot replay {shown}"))?;
        ensure!(
            !(opening.is_plain && options.looped),
            "there is no DEMON session in {shown}, and only one of those can begin again; leave out --loop"
        );
        let start = options.start_at.map_or(opening.began, |at| at.from(opening.origin));
        let (began_s, start) = (opening.began_s(), start.max(opening.began));
        if options.until.is_some_and(|until| until.from(opening.origin) <= start) {
            match opening.is_middle() {
                true => bail!(Misuse(format!(
                    "the replay would end before it begins; the capture begins {began_s:.3} s after \
                     the initial buffer of its session, so give a later --until"
                ))),
                false => bail!(Misuse::new(
                    "the replay would end before it begins; give a later --until"
                )),
            }
        }
        if let Some(recorder) = options.recorder() {
            output::refuse_input(&options.capture, &recorder.path)?;
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
        let (stopping, stop) = StopSignal::new();
        let (sockets, arrivals) = mpsc::channel(1);
        let (orders, given) = mpsc::channel(MAX_ORDERS);
        let place = Arc::new(Semaphore::new(1));
        let shutdown = async {
            shutdown.await;
            stopping.send_replace(true);
        };
        let demand = Demand { connections: MAX_CONNECTIONS, descriptors: 1 };
        let notify = |news| replay.notify(ReplayChange::Shortage(news));
        let accepting = serve_connections(listener, demand, shutdown, notify, |accepted, stop| {
            let (replay, place) = (Arc::clone(&replay), Arc::clone(&place));
            connect(accepted, replay, place, sockets.clone(), orders.clone(), stop)
        });
        let playing = replay.play(arrivals, given, stop);
        tokio::pin!(accepting, playing);
        tokio::select! {
            played = &mut playing => return Ok(played),
            stopped = &mut accepting => stopped?,
        }
        Ok(playing.await)
    }

    async fn play(
        &self,
        mut arrivals: mpsc::Receiver<Arrival>,
        mut orders: mpsc::Receiver<ReplayOrder>,
        mut stop: StopSignal,
    ) -> Played {
        loop {
            tokio::select! {
                () = stop.stopped() => return Played::nobody(),
                // Dropping an order answers it: there is no session to obey.
                Some(_) = orders.recv() => {}
                Some(Arrival { upgraded, _place }) = arrivals.recv() => {
                    let played = session::run(self, upgraded, &mut orders, stop.clone()).await;
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
            unasked: self.options.unasked,
            origin,
            began: self.opening.began,
            unknown: self.opening.unknown.clone(),
            start_at: self.options.start_at.map(|at| at.from(origin)),
            until: self.options.until.map(|at| at.from(origin)),
            looped: self.options.looped,
            ready: self.opening.ready.clone(),
            is_plain: self.opening.is_plain,
        }
    }

    fn notify(&self, change: ReplayChange) {
        (self.options.watch)(&ReplayNotice { at: self.clock.now(), change });
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

/// One connection: HTTP, and perhaps the session.
async fn connect(
    accepted: Accepted,
    replay: Arc<Replay>,
    place: Arc<Semaphore>,
    sockets: mpsc::Sender<Arrival>,
    orders: mpsc::Sender<ReplayOrder>,
    mut stop: StopSignal,
) {
    let respond = |request| http::answer(request, Arc::clone(&replay), orders.clone());
    let Some(upgraded) = until_websocket(accepted, &mut stop, respond).await else { return };
    match place.try_acquire_owned() {
        // Fails when the replay is over, and then nobody waits for an answer.
        Ok(place) => drop(sockets.send(Arrival { upgraded, _place: place }).await),
        Err(_) => {
            let reason = "a replay serves one session, and it is on";
            turn_away(upgraded, TRY_AGAIN_LATER, reason).await;
        }
    }
}
