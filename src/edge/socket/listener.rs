//! Accepting connections, also while the machine is short of something, until told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Sleep;

use super::capacity::{AwaitedHead, AwaitedHeads, Capacity, Demand, MAX_HEADS_PER_PEER};
use super::shedding::{Shedding, Shortage, ShortageNotice};

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Failures in a row, other than for want of resources, after which the listener is given up.
const ACCEPT_TRIES: u32 = 50;
/// What a connection gets to finish what it is at when the server stops.
pub(in crate::edge) const STOP_GRACE: Duration = Duration::from_secs(1);
/// Connections that have not ended this long after the stop are dropped.
const STOP_TIMEOUT: Duration = Duration::from_millis(1500);

/// Binds a listener; port 0 takes any free one.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "the port is taken; give another port, or 0 for any free one".to_owned()
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address; give one of its own".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "this port needs more rights; give one from 1024 on".to_owned()
            }
            _ => error.to_string(),
        };
        anyhow!("cannot listen on {address}: {why}")
    })
}

/// Tells every connection of a server when the server stops.
#[derive(Clone, Debug)]
pub(in crate::edge) struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    /// A signal, and what sets it off; dropping the latter sets it off too.
    pub fn new() -> (watch::Sender<bool>, StopSignal) {
        let (stop, signal) = watch::channel(false);
        (stop, StopSignal(signal))
    }

    /// Resolves once the server is stopping.
    pub async fn stopped(&mut self) {
        // An error means that the server is gone, which is a stop too.
        let _ = self.0.wait_for(|&stopping| stopping).await;
    }

    /// Resolves when the server is stopping and what was under way has had its time.
    pub async fn out_of_grace(&mut self) {
        self.stopped().await;
        tokio::time::sleep(STOP_GRACE).await;
    }

    /// Whether the server is stopping.
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }
}

/// A client that a server has taken.
pub(in crate::edge) struct Accepted {
    pub stream: TcpStream,
    pub client: SocketAddr,
    /// To be dropped once the first request is whole.
    pub awaited: AwaitedHead,
}

/// Gives every connection a task of its own until `shutdown` resolves; then waits until the tasks,
/// which have been told to stop, have ended. Who comes while the server is full is turned away;
/// `notify` is told when that begins, and how many they were when it is over.
pub(in crate::edge) async fn serve_connections<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    demand: Demand,
    shutdown: impl Future<Output = ()>,
    notify: impl Fn(ShortageNotice),
    mut serve: impl FnMut(Accepted, StopSignal) -> F,
) -> Result<()> {
    let (stop, signal) = StopSignal::new();
    let capacity = Capacity::of(&listener, demand);
    let awaited = AwaitedHeads::new(MAX_HEADS_PER_PEER);
    let mut connections = JoinSet::new();
    let mut door = Door::new(listener);
    let mut shedding = Shedding::new(notify);
    tokio::pin!(shutdown);
    let served = loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break Ok(()),
            Some(_) = connections.join_next() => {}
            () = shedding.look() => {
                let has_seat = capacity.shortage(connections.len()).is_none();
                shedding.settle(has_seat && !awaited.is_exhausted() && door.has_room());
            }
            came = door.accept() => match came {
                Ok(Came::Client(stream, client)) => {
                    let seat = match capacity.shortage(connections.len()) {
                        None => awaited.enter(client.ip()),
                        Some(shortage) => Err(shortage),
                    };
                    match seat {
                        Ok(awaited) => {
                            let accepted = Accepted { stream, client, awaited };
                            connections.spawn(serve(accepted, signal.clone()));
                        }
                        Err(shortage) => shedding.refuse(stream, shortage),
                    }
                }
                Ok(Came::TurnedAway) => shedding.count(&Shortage::NoDescriptor),
                Ok(Came::LeftWaiting) => shedding.begin(&Shortage::NoDescriptor),
                Err(error) => break Err(error).context("cannot accept connections any more"),
            }
        }
        // Whoever was accepted is served before the next one is.
        tokio::task::yield_now().await;
    };
    drop(door);
    shedding.end();
    stop.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
        connections.shutdown().await;
    }
    served
}

/// What came of waiting for a client.
enum Came {
    Client(TcpStream, SocketAddr),
    /// Somebody, for whom there was no descriptor.
    TurnedAway,
    /// Somebody may wait, and there is no descriptor even to turn them away.
    LeftWaiting,
}

/// A listener that can turn clients away when no descriptor is left for them.
struct Door {
    listener: TcpListener,
    /// A descriptor to give up for one that is to be turned away. Otherwise clients would hang in the
    /// kernel's queue.
    spare: Option<TcpSocket>,
    pause: Option<Pin<Box<Sleep>>>,
    failures: u32,
}

impl Door {
    fn new(listener: TcpListener) -> Door {
        Door { listener, spare: spare(), pause: None, failures: 0 }
    }

    /// Whether a descriptor is left.
    fn has_room(&mut self) -> bool {
        self.spare = self.spare.take().or_else(spare);
        self.spare.is_some() && spare().is_some()
    }

    /// Waits for the next client; an error is final. May be dropped at any time without losing one.
    async fn accept(&mut self) -> io::Result<Came> {
        loop {
            if let Some(pause) = &mut self.pause {
                pause.await;
                self.pause = None;
            }
            match self.listener.accept().await {
                Ok((stream, client)) => {
                    self.failures = 0;
                    return Ok(Came::Client(stream, client));
                }
                Err(error) if is_shortage(&error) => {
                    if let Some(came) = self.turn_away() {
                        return Ok(came);
                    }
                }
                Err(error) => {
                    self.failures += 1;
                    if self.failures >= ACCEPT_TRIES {
                        return Err(error);
                    }
                    self.rest();
                }
            }
        }
    }

    /// Accepts one client with the spare descriptor and drops it; `None` if nobody waited.
    fn turn_away(&mut self) -> Option<Came> {
        self.spare = None;
        let accepted = self.listener.accept().now_or_never()?;
        let came = if accepted.is_ok() { Came::TurnedAway } else { Came::LeftWaiting };
        drop(accepted);
        self.spare = spare();
        if self.spare.is_none() {
            self.rest();
        }
        Some(came)
    }

    fn rest(&mut self) {
        self.pause = Some(Box::pin(tokio::time::sleep(ACCEPT_PAUSE)));
    }
}

fn spare() -> Option<TcpSocket> {
    TcpSocket::new_v4().ok()
}

/// Whether the machine, and not the connection or the listener, is the reason.
#[cfg(unix)]
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|error| shortages.contains(&error))
}

#[cfg(not(unix))]
fn is_shortage(error: &io::Error) -> bool {
    const WSAEMFILE: i32 = 10_024;
    const WSAENOBUFS: i32 = 10_055;
    matches!(error.raw_os_error(), Some(WSAEMFILE | WSAENOBUFS))
}
