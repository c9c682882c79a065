//! Turning clients away while a server is full.
//!
//! That is said when it begins and once more, with a count, when it is over.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Sleep;

/// It is over when nobody was turned away for this long and there is room.
const QUIET: Duration = Duration::from_secs(1);
/// Clients that are being told at a time; further ones are only cut off.
const MAX_FAREWELLS: usize = 8;
/// How long a client may take to learn why it is turned away.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why clients are turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// As many connections are open as the server takes.
    Connections(usize),
    /// As many connections are open as the process has file descriptors for.
    Descriptors(usize),
    /// No file descriptor was left at all.
    NoDescriptor,
    /// One address has connected this often without a request.
    Heads { peer: IpAddr, connections: usize },
}

impl fmt::Display for Shortage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shortage::Connections(open) => {
                write!(out, "{open} connections are open, as many as are taken at a time")
            }
            Shortage::Descriptors(open) => write!(
                out,
                "{open} connections are open, and the file descriptors of this process are enough \
                 for no more; ulimit -n raises their number"
            ),
            Shortage::NoDescriptor => {
                write!(out, "no file descriptor is left; ulimit -n raises their number")
            }
            Shortage::Heads { peer, connections } => {
                write!(
                    out,
                    "{peer} has {connections} connections on which it has asked nothing yet"
                )
            }
        }
    }
}

/// A change in whether clients are turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShortageNotice {
    Began(Shortage),
    /// Nobody is turned away any more.
    Ended {
        clients: u64,
    },
}

impl fmt::Display for ShortageNotice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShortageNotice::Began(shortage) => {
                write!(out, "new connections are turned away: {shortage}")
            }
            ShortageNotice::Ended { clients: 0 } => {
                write!(out, "no connection had to be turned away; that is over")
            }
            ShortageNotice::Ended { clients: 1 } => {
                write!(out, "1 connection was turned away; that is over")
            }
            ShortageNotice::Ended { clients } => {
                write!(out, "{clients} connections were turned away; that is over")
            }
        }
    }
}

/// Who was turned away since it began.
pub(super) struct Shedding<N> {
    notify: N,
    has_begun: bool,
    clients: u64,
    is_quiet: bool,
    /// When to look whether it is over.
    timer: Option<Pin<Box<Sleep>>>,
    farewells: JoinSet<()>,
}

impl<N: Fn(ShortageNotice)> Shedding<N> {
    pub fn new(notify: N) -> Self {
        Shedding {
            notify,
            has_begun: false,
            clients: 0,
            is_quiet: false,
            timer: None,
            farewells: JoinSet::new(),
        }
    }

    /// There is no room, whether or not somebody could be turned away.
    pub fn begin(&mut self, shortage: &Shortage) {
        if !std::mem::replace(&mut self.has_begun, true) {
            (self.notify)(ShortageNotice::Began(shortage.clone()));
            self.timer = Some(Box::pin(tokio::time::sleep(QUIET)));
        }
        self.is_quiet = false;
    }

    /// A client was turned away.
    pub fn count(&mut self, shortage: &Shortage) {
        self.begin(shortage);
        self.clients += 1;
    }

    /// Turns a client away and tells it why.
    pub fn refuse(&mut self, stream: TcpStream, shortage: Shortage) {
        self.count(&shortage);
        while self.farewells.try_join_next().is_some() {}
        if self.farewells.len() < MAX_FAREWELLS {
            self.farewells.spawn(async move {
                // Who does not listen is cut off.
                let _ = tokio::time::timeout(FAREWELL, farewell(stream, &shortage)).await;
            });
        }
    }

    /// Resolves when it is time to [settle](Self::settle).
    pub async fn look(&mut self) {
        match &mut self.timer {
            Some(timer) => timer.await,
            None => std::future::pending().await,
        }
    }

    /// Ends it, if nobody was turned away since the last look and there is room now.
    pub fn settle(&mut self, has_room: bool) {
        if self.is_quiet && has_room {
            return self.end();
        }
        self.is_quiet = true;
        self.timer = Some(Box::pin(tokio::time::sleep(QUIET)));
    }

    /// Ends it, if it has begun.
    pub fn end(&mut self) {
        self.timer = None;
        let clients = std::mem::take(&mut self.clients);
        if std::mem::take(&mut self.has_begun) {
            (self.notify)(ShortageNotice::Ended { clients });
        }
    }
}

/// Says why. Closing with unread bytes resets a connection, and the client would lose the answer.
async fn farewell(mut stream: TcpStream, shortage: &Shortage) -> std::io::Result<()> {
    let sentence = format!("lagtape: {shortage}; try again later\n");
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{sentence}",
        sentence.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}
