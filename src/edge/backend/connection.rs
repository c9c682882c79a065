//! One WebSocket connection of the backend: a [`Server`] behind two links.
//!
//! The links stand between the server and the socket, and behind a full socket slices grow old and
//! are shed, as in the real one. The backend's own pings bypass the links; a client's go through
//! them, both ways, so that its round trips are those of its messages. The WebSocket library's own
//! pong arrives before that one.

use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::Backend;
use super::notice::{BackendChange, BackendNotice};
use super::sessions::{InjectedCommand, SessionOrder};
use crate::edge::clock::unix_seconds;
use crate::edge::socket::close::SocketEnd;
use crate::edge::socket::listener::StopSignal;
use crate::edge::socket::pump::{self, ClosedConnection, ServedPeer};
use crate::edge::socket::upgrade::Upgraded;
use crate::peer::link::{Link, LinkOptions, websocket_len};
use crate::peer::rng::Stream;
use crate::peer::server::{Incoming, ServedModel, Server, ServerOptions};
use crate::peer::{LOST, Outgoing};
use crate::time::Nanos;
use crate::wire::json::parse_object;
use crate::wire::message::kind_of;

/// Bytes that wait in a link that has no smaller buffer.
const MAX_LINK_BYTES: u64 = 256 << 20;

/// Serves one client until either side closes.
pub(super) async fn run(upgraded: Upgraded, backend: &Backend, stop: StopSignal) {
    let mut connection = Connection::new(backend);
    connection.notify(BackendChange::Connected { client: upgraded.client });
    let keepalive = backend.options.keepalive;
    let ended = pump::serve(upgraded, backend.clock, keepalive, stop, &mut connection).await;
    let ClosedConnection { code, reason, .. } = ended;
    connection.notify(BackendChange::Closed { code, reason });
}

struct Connection<'a> {
    backend: &'a Backend,
    number: u64,
    server: Server,
    up: Link<Message>,
    down: Link<Outgoing>,
    progress: Progress,
    /// Whether it was said that the client's fixture is unknown.
    has_warned: bool,
}

/// How far a client has come.
enum Progress {
    /// It has sent nothing yet.
    Connected,
    /// It has sent its first message, which was not a config: it only uploads a track.
    Uploading,
    /// It has its model until another session takes over, and gets the orders of others.
    Session { orders: mpsc::Receiver<SessionOrder>, ready_at: Option<f64> },
    /// The connection is ending.
    Ending,
}

impl<'a> Connection<'a> {
    fn new(backend: &'a Backend) -> Self {
        let now = backend.clock.now();
        let options = &backend.options;
        let seed = options.server.seed;
        let session = backend.connections.fetch_add(1, Ordering::Relaxed);
        Self {
            backend,
            number: 1 + session,
            server: Server::new(ServerOptions { session, ..options.server.clone() }, now),
            up: Link::new(bounded(&options.links.up), seed, Stream::Uplink, now),
            down: Link::new(bounded(&options.links.down), seed, Stream::Downlink, now),
            progress: Progress::Connected,
            has_warned: false,
        }
    }

    /// The first text: a config takes a place among the sessions, an `upload_track` does not.
    fn begin(&mut self, text: &str) {
        if !matches!(self.progress, Progress::Connected) {
            return;
        }
        let config = parse_object(text).map(|config| config.fields).ok();
        let config = config.filter(|config| kind_of(config) != Some("upload_track"));
        self.progress = match config {
            Some(config) => {
                let model = ServedModel::of(&config, self.backend.options.server.family);
                let orders = self.backend.sessions.take_over(self.server.session_id(), model);
                Progress::Session { orders, ready_at: None }
            }
            None => Progress::Uploading,
        };
    }

    fn notice_ready(&mut self) {
        if let Progress::Session { ready_at: ready_at @ None, .. } = &mut self.progress
            && self.server.is_live()
        {
            *ready_at = Some(unix_seconds());
            self.notify(BackendChange::Ready);
        }
    }

    /// Says what the server made of the client's first messages.
    fn notice_sources(&mut self) {
        if let Some(track) = self.server.take_uploaded() {
            self.notify(BackendChange::Uploaded { name: track.name.clone() });
            self.backend.sessions.tell_uploaded(track);
        }
        if !self.has_warned
            && let Some(name) = self.server.unknown_fixture()
        {
            let name = name.to_owned();
            self.has_warned = true;
            self.notify(BackendChange::UnknownFixture { name });
        }
    }

    /// Does what others ask. They may have given up waiting for the answer.
    fn obey(&mut self, now: Nanos, order: SessionOrder) {
        let is_live = self.server.is_live();
        match order {
            SessionOrder::TurnKnobs(raw, answer) => {
                self.server.echo_params(now, raw);
                let _ = answer.send(is_live);
            }
            SessionOrder::Inject(InjectedCommand { session_id, command, binary }, answer) => {
                let is_this = is_live && session_id == self.server.session_id();
                if is_this {
                    self.server.inject(now, command, binary);
                }
                let _ = answer.send(is_this);
            }
            SessionOrder::Snapshot(answer) => {
                let mut snapshot = self.server.snapshot();
                if let (Some(snapshot), Progress::Session { ready_at, .. }) =
                    (&mut snapshot, &self.progress)
                {
                    snapshot.insert("started_at".to_owned(), (*ready_at).into());
                }
                let _ = answer.send(snapshot);
            }
            SessionOrder::Uploaded(track) => self.server.send_stems(now, &track),
        }
    }

    /// Another session has the server now. The close bypasses the link and waits for no room in it.
    fn preempt(&mut self, now: Nanos) -> SocketEnd {
        self.notify(BackendChange::Preempted);
        self.server.preempt(now);
        match self.server.poll(now) {
            Some(Outgoing::Close { code, reason }) => SocketEnd::Ours { code, reason },
            _ => SocketEnd::Cut,
        }
    }

    fn notify(&self, change: BackendChange) {
        let at = self.backend.clock.now();
        (self.backend.options.watch)(&BackendNotice { at, connection: self.number, change });
    }
}

impl ServedPeer for Connection<'_> {
    /// `None`: another session has taken over.
    type Event = Option<SessionOrder>;

    const STOP_REASON: &'static str = "the server is shutting down";

    /// Hands the server what has come through the link by now.
    fn prepare(&mut self, now: Nanos) {
        while let Some((_, message)) = self.up.poll(now) {
            match &message {
                Message::Text(text) => {
                    self.begin(text);
                    self.server.receive(now, Incoming::Text(text));
                }
                Message::Binary(bytes) => self.server.receive(now, Incoming::Binary(bytes)),
                Message::Pong(_) => self.server.receive(now, Incoming::Pong),
                Message::Ping(payload) if self.down.accepts(now) => {
                    let pong = Outgoing::Pong(payload.to_vec());
                    self.down.send(now, pong, websocket_len(payload.len(), false));
                }
                _ => {}
            }
            self.notice_sources();
        }
    }

    /// The next message that comes out of the link.
    fn next(&mut self, mut now: Nanos) -> Option<Outgoing> {
        loop {
            if let Some((_, message)) = self.down.poll(now) {
                return Some(message);
            }
            if !self.down.accepts(now) {
                return None;
            }
            let message = self.server.poll(now)?;
            if let Outgoing::Close { code: LOST, .. } = message {
                // What is under way is lost with the connection.
                return Some(message);
            }
            let bytes = outgoing_len(&message);
            // Making a message takes time too, and only now does the link get it.
            now = self.backend.clock.now();
            self.down.send(now, message, bytes);
            self.notice_ready();
        }
    }

    fn wake_at(&self, now: Nanos, can_send: bool) -> Option<Nanos> {
        let server = if self.down.accepts(now) {
            self.server.wake_at()
        } else {
            Some(self.down.accepts_at(now))
        };
        let sending = [server, self.down.wake_at()].into_iter().flatten().filter(|_| can_send);
        let reading = (!self.can_receive(now)).then(|| self.up.accepts_at(now));
        sending.chain(self.up.wake_at()).chain(reading).min()
    }

    fn can_receive(&self, now: Nanos) -> bool {
        self.up.accepts(now)
    }

    /// Puts a message into the link, unless it concerns only the connection.
    fn receive(&mut self, now: Nanos, message: Message) -> Option<SocketEnd> {
        if !matches!(message, Message::Close(_) | Message::Frame(_)) {
            let bytes = websocket_len(message.len(), true);
            self.up.send(now, message, bytes);
        }
        None
    }

    async fn event(&mut self) -> Option<SessionOrder> {
        match &mut self.progress {
            Progress::Session { orders, .. } => orders.recv().await,
            _ => std::future::pending().await,
        }
    }

    fn handle(&mut self, now: Nanos, order: Option<SessionOrder>) -> Option<SocketEnd> {
        match order {
            Some(order) => {
                self.obey(now, order);
                None
            }
            None => Some(self.preempt(now)),
        }
    }

    fn ending(&mut self, _: Nanos, _: &SocketEnd) {
        self.progress = Progress::Ending;
    }
}

fn bounded(options: &LinkOptions) -> LinkOptions {
    let mut options = options.clone();
    options.buffer_bytes.get_or_insert(MAX_LINK_BYTES);
    options
}

fn outgoing_len(message: &Outgoing) -> u64 {
    websocket_len(
        match message {
            Outgoing::Text(text) => text.len(),
            Outgoing::Binary(bytes) | Outgoing::Ping(bytes) | Outgoing::Pong(bytes) => bytes.len(),
            Outgoing::Close { reason, .. } => 2 + reason.len(),
        },
        false,
    )
}
