//! One WebSocket connection: a [`Server`] and the socket that it speaks through.
//!
//! Enters: messages as they come, knobs from the control endpoint, the passing of time. Leaves: what
//! the server wants sent, when it wants it. The server is asked only while there is room to send:
//! behind a full socket slices grow old and are shed, as in the real one. The two links stand between
//! server and socket; pings do not use them.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

use super::keepalive::Keepalive;
use super::notice::{Happening, Notice};
use super::parting::{self, End, Socket};
use super::sender::send_all;
use super::stage::Knobs;
use super::{Backend, CLOSE_TIMEOUT, stopped};
use crate::edge::connect::MAX_MESSAGE_LEN;
use crate::peer::Outgoing;
use crate::peer::link::{Link, LinkOptions, websocket_len};
use crate::peer::rng::Stream;
use crate::peer::server::{Incoming, Server};
use crate::time::Nanos;
use crate::wire::json::parse_object;
use crate::wire::message::kind_of;

/// Messages between the server and the socket: a slice and its `params_update`.
const MAX_UNSENT: usize = 2;
/// Bytes that wait in a link that has no smaller buffer.
const MAX_LINK_BYTES: u64 = 256 << 20;

/// Serves one client until either side ends it.
pub(super) async fn run(
    stream: TcpStream,
    read: Vec<u8>,
    client: SocketAddr,
    backend: &Backend,
    stop: watch::Receiver<bool>,
) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_LEN))
        .max_frame_size(Some(MAX_MESSAGE_LEN))
        .write_buffer_size(0);
    let socket =
        WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
    let (sink, mut incoming) = socket.split();
    let (unsent, queue) = mpsc::channel(MAX_UNSENT);
    let mut sender = tokio::spawn(send_all(sink, queue));

    let number = 1 + backend.connections.fetch_add(1, Ordering::Relaxed);
    let mut connection = Connection::new(backend, number);
    connection.tell(Happening::Connected { client });
    let end = connection.drive(&mut incoming, &unsent, stop).await;
    connection.knobs = None;

    let parting = parting::part(&end, incoming, unsent, &mut sender);
    if tokio::time::timeout(CLOSE_TIMEOUT, parting).await.is_err() {
        sender.abort();
    }
    let (code, reason) = end.into_code();
    connection.tell(Happening::Closed { code, reason });
}

struct Connection<'a> {
    backend: &'a Backend,
    number: u64,
    server: Server,
    up: Link<Message>,
    down: Link<Outgoing>,
    keepalive: Keepalive,
    /// From the config on.
    knobs: Option<mpsc::Receiver<Knobs>>,
    is_greeted: bool,
    is_ready: bool,
}

impl<'a> Connection<'a> {
    fn new(backend: &'a Backend, number: u64) -> Self {
        let now = backend.clock.now();
        let options = &backend.options;
        let seed = options.server.seed;
        Self {
            backend,
            number,
            server: Server::new(options.server.clone(), now),
            up: Link::new(bounded(&options.links.up), seed, Stream::Uplink, now),
            down: Link::new(bounded(&options.links.down), seed, Stream::Downlink, now),
            keepalive: Keepalive::new(options.keepalive, now),
            knobs: None,
            is_greeted: false,
            is_ready: false,
        }
    }

    async fn drive(
        &mut self,
        incoming: &mut SplitStream<Socket>,
        unsent: &mpsc::Sender<Message>,
        mut stop: watch::Receiver<bool>,
    ) -> End {
        let clock = self.backend.clock;
        loop {
            let now = clock.now();
            self.take_in(now);
            if let Some(end) = self.fill(unsent) {
                return end;
            }
            if self.keepalive.is_lost(now) {
                return End::ours(1011, "keepalive ping timeout");
            }
            let can_read = self.up.accepts(now);
            let can_send = unsent.capacity() > 0;
            let wake_at = self.wake_at(now, can_read, can_send);
            tokio::select! {
                () = stopped(&mut stop) => return End::ours(1001, "the server is shutting down"),
                message = incoming.next(), if can_read => {
                    if let Some(end) = self.receive(clock.now(), message) {
                        return end;
                    }
                }
                turned = turned(&mut self.knobs) => match turned {
                    Some(knobs) => self.turn(clock.now(), knobs),
                    None => return self.leave_stage(clock.now()),
                },
                room = unsent.reserve(), if !can_send => {
                    if room.is_err() {
                        return End::Cut;
                    }
                }
                () = clock.reached(wake_at) => {}
            }
        }
    }

    /// What the socket gave: into the link, unless it concerns the connection itself.
    fn receive(
        &mut self,
        now: Nanos,
        message: Option<Result<Message, tungstenite::Error>>,
    ) -> Option<End> {
        match message {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                let bytes = websocket_len(message.len(), true);
                self.up.send(now, message, bytes);
            }
            Some(Ok(Message::Pong(_))) => self.keepalive.on_pong(now),
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(close))) => {
                let (code, reason) = close.map_or((1005, String::new()), |close| {
                    (close.code.into(), close.reason.to_string())
                });
                return Some(End::Theirs { code, reason });
            }
            Some(Err(error)) => return Some(End::of(&error)),
            None => return Some(End::Cut),
        }
        None
    }

    /// Hands the server what the link lets through by now.
    fn take_in(&mut self, now: Nanos) {
        while let Some((_, message)) = self.up.poll(now) {
            match &message {
                Message::Text(text) => {
                    self.greet(text);
                    self.server.receive(now, Incoming::Text(text));
                }
                Message::Binary(bytes) => self.server.receive(now, Incoming::Binary(bytes)),
                _ => {}
            }
        }
    }

    /// The first message: a config takes the stage, an `upload_track` does not.
    fn greet(&mut self, text: &str) {
        let is_first = !std::mem::replace(&mut self.is_greeted, true);
        if is_first
            && let Ok(config) = parse_object(text)
            && kind_of(&config.fields) != Some("upload_track")
        {
            self.knobs = Some(self.backend.stage.take());
        }
    }

    /// Sends while there is room and something to send.
    fn fill(&mut self, unsent: &mpsc::Sender<Message>) -> Option<End> {
        while let Ok(permit) = unsent.try_reserve() {
            if self.keepalive.take_ping(self.backend.clock.now()) {
                permit.send(Message::Ping(Bytes::new()));
                continue;
            }
            permit.send(match self.next()? {
                Outgoing::Text(text) => Message::text(text),
                Outgoing::Binary(bytes) => Message::binary(bytes),
                Outgoing::Close { code, reason } => return Some(End::Ours { code, reason }),
            });
        }
        None
    }

    /// The next message that comes out of the link.
    fn next(&mut self) -> Option<Outgoing> {
        loop {
            let now = self.backend.clock.now();
            if let Some((_, message)) = self.down.poll(now) {
                return Some(message);
            }
            if !self.down.accepts(now) {
                return None;
            }
            let message = self.server.poll(now)?;
            let bytes = outgoing_len(&message);
            // Making a message takes time too, and the link has it only now.
            self.down.send(self.backend.clock.now(), message, bytes);
            if !self.is_ready && self.server.is_live() {
                self.is_ready = true;
                self.tell(Happening::Ready);
            }
        }
    }

    fn turn(&mut self, now: Nanos, Knobs { raw, heard }: Knobs) {
        let is_live = self.server.is_live();
        if is_live {
            self.server.echo_params(now, raw);
        }
        // Whoever asked may have gone.
        let _ = heard.send(is_live);
    }

    /// Another session has the server. The close waits for no link and no room.
    fn leave_stage(&mut self, now: Nanos) -> End {
        self.tell(Happening::Preempted);
        self.server.preempt(now);
        match self.server.poll(now) {
            Some(Outgoing::Close { code, reason }) => End::Ours { code, reason },
            _ => End::Cut,
        }
    }

    fn wake_at(&self, now: Nanos, can_read: bool, can_send: bool) -> Option<Nanos> {
        let server = if self.down.accepts(now) {
            self.server.wake_at()
        } else {
            Some(self.down.accepts_at(now))
        };
        let sending = [server, self.down.wake_at()].into_iter().flatten().filter(|_| can_send);
        let reading = (!can_read).then(|| self.up.accepts_at(now));
        let others = [Some(self.keepalive.wake_at(can_send)), self.up.wake_at(), reading];
        sending.chain(others.into_iter().flatten()).min()
    }

    fn tell(&self, happening: Happening) {
        let at = self.backend.clock.now();
        (self.backend.options.watch)(&Notice { at, connection: self.number, happening });
    }
}

/// Knobs turned elsewhere, or `None` when another session has taken the stage.
async fn turned(knobs: &mut Option<mpsc::Receiver<Knobs>>) -> Option<Knobs> {
    match knobs {
        Some(knobs) => knobs.recv().await,
        None => std::future::pending().await,
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
            Outgoing::Binary(bytes) => bytes.len(),
            Outgoing::Close { reason, .. } => 2 + reason.len(),
        },
        false,
    )
}
