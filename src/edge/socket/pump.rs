//! Drives one WebSocket connection on behalf of a [`ServedPeer`].
//!
//! One task reads and decides; a second one sends, so that a client that does not read is still
//! heard. At most [`MAX_UNSENT`] messages wait between them: the peer is asked for the next message
//! only while there is room, so a full socket holds the peer up and not a growing queue.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

use super::CLOSE_TIMEOUT;
use super::close::{self, Socket, SocketEnd};

use super::listener::{STOP_GRACE, StopSignal};
use super::message::to_socket;
use super::sender::send_all;
use super::upgrade::Upgraded;
use super::watched::{WatchedStream, WriteProgress};
use crate::edge::clock::MonotonicClock;
use crate::edge::connect::MAX_MESSAGE_LEN;
use crate::peer::keepalive::{Keepalive, KeepaliveOptions};
use crate::peer::stall::StallWatch;
use crate::peer::{LOST, Outgoing, RESET};
use crate::time::Nanos;

/// Messages between the peer and the socket: a slice and its `params_update`.
const MAX_UNSENT: usize = 2;

/// Speaks to the client: decides what is sent and what an incoming message does.
///
/// The pump repeats, on every wake-up: [`prepare`](Self::prepare), then [`next`](Self::next) and
/// [`sent`](Self::sent) while there is room to send, then [`settle`](Self::settle), and waits for a
/// message, an event, or the moment of [`wake_at`](Self::wake_at).
pub(in crate::edge) trait ServedPeer {
    /// What reaches the peer from elsewhere than its socket.
    type Event;

    /// Why the connection closes when the server stops.
    const STOP_REASON: &'static str;

    /// Called on every wake-up, before messages are sent and whether or not they can be.
    fn prepare(&mut self, _now: Nanos) {}

    /// The next message to send, if one is due. A close ends the connection.
    fn next(&mut self, now: Nanos) -> Option<Outgoing>;

    /// A message goes out, the pump's own pings included.
    fn sent(&mut self, _now: Nanos, _message: &Message) {}

    /// Called when nothing more can or is to be sent, before the pump waits.
    fn settle(&mut self, _now: Nanos) -> Option<SocketEnd> {
        None
    }

    /// When the pump has to wake up although nothing comes.
    fn wake_at(&self, now: Nanos, can_send: bool) -> Option<Nanos>;

    /// Whether the peer takes another message; what it does not take stays in the socket.
    fn can_receive(&self, _now: Nanos) -> bool {
        true
    }

    /// Takes a message of any kind, control messages included.
    fn receive(&mut self, now: Nanos, message: Message) -> Option<SocketEnd>;

    /// Waits for the next event. May be dropped at any time without losing one.
    fn event(&mut self) -> impl Future<Output = Self::Event> + Send;

    /// Takes an event.
    fn handle(&mut self, now: Nanos, event: Self::Event) -> Option<SocketEnd>;

    /// The connection ends now; the client is about to be told.
    fn ending(&mut self, now: Nanos, end: &SocketEnd);
}

/// How a connection ended.
pub(in crate::edge) struct ClosedConnection {
    /// When it was decided that it ends.
    pub at: Nanos,
    /// Close code of whichever side closed; 1005 for a close without a code, 1006 without a close.
    pub code: u16,
    pub reason: String,
}

/// Serves one client until either side closes.
pub(in crate::edge) async fn serve<P: ServedPeer>(
    upgraded: Upgraded,
    clock: MonotonicClock,
    keepalive: KeepaliveOptions,
    stop: StopSignal,
    peer: &mut P,
) -> ClosedConnection {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_LEN))
        .max_frame_size(Some(MAX_MESSAGE_LEN))
        .write_buffer_size(0);
    let Upgraded { stream, read, .. } = upgraded;
    let (stream, progress) = WatchedStream::new(stream);
    let socket =
        WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
    let (sink, mut incoming) = socket.split();
    let (unsent, queue) = mpsc::channel(MAX_UNSENT);
    let mut sender = tokio::spawn(send_all(sink, queue));

    let stalls = StallWatch::new(keepalive.stalls_for, clock.now());
    let keepalive = Keepalive::new(keepalive, clock.now());
    let mut pump = Pump { peer, clock, keepalive, stalls, progress, unsent };
    let end = pump.run(&mut incoming, stop.clone()).await;
    let at = clock.now();
    pump.peer.ending(at, &end);

    if let SocketEnd::GivenUp { .. } = end {
        sender.abort();
    }
    let closing = close::finish(&end, incoming, pump.unsent, &mut sender);
    let patience = if stop.is_stopping() { STOP_GRACE } else { CLOSE_TIMEOUT };
    if tokio::time::timeout(patience, closing).await.is_err() {
        sender.abort();
    }
    let (code, reason) = end.into_code();
    ClosedConnection { at, code, reason }
}

struct Pump<'a, P> {
    peer: &'a mut P,
    clock: MonotonicClock,
    keepalive: Keepalive,
    stalls: StallWatch,
    progress: Arc<WriteProgress>,
    unsent: mpsc::Sender<Message>,
}

impl<P: ServedPeer> Pump<'_, P> {
    async fn run(&mut self, incoming: &mut SplitStream<Socket>, mut stop: StopSignal) -> SocketEnd {
        let clock = self.clock;
        loop {
            if let Some(end) = self.send() {
                return end;
            }
            let now = clock.now();
            if self.keepalive.is_lost(now) {
                return SocketEnd::ours(1011, "keepalive ping timeout");
            }
            if self.stalls.is_stalled(now, self.progress.taken(), self.progress.is_waiting()) {
                let reason = "the client takes nothing any more".to_owned();
                return SocketEnd::GivenUp { reason };
            }
            let can_receive = self.peer.can_receive(now);
            let can_send = self.unsent.capacity() > 0;
            let wake_at = self.wake_at(now, can_send);
            let end = tokio::select! {
                () = stop.stopped() => Some(SocketEnd::ours(1001, P::STOP_REASON)),
                message = incoming.next(), if can_receive => self.receive(message),
                event = self.peer.event() => self.peer.handle(clock.now(), event),
                is_open = room(&self.unsent), if !can_send => (!is_open).then_some(SocketEnd::Cut),
                () = clock.reached(wake_at) => None,
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Sends while there is room and something to send.
    fn send(&mut self) -> Option<SocketEnd> {
        self.peer.prepare(self.clock.now());
        while let Ok(permit) = self.unsent.try_reserve() {
            let now = self.clock.now();
            let message = if self.keepalive.take_ping(now) {
                Message::Ping(Bytes::new())
            } else {
                match self.peer.next(now) {
                    Some(Outgoing::Close { code: LOST, reason }) => {
                        return Some(SocketEnd::Dropped { is_reset: reason == RESET });
                    }
                    Some(Outgoing::Close { code, reason }) => {
                        return Some(SocketEnd::Ours { code, reason });
                    }
                    Some(message) => to_socket(message),
                    None => break,
                }
            };
            self.peer.sent(now, &message);
            permit.send(message);
        }
        self.peer.settle(self.clock.now())
    }

    fn receive(
        &mut self,
        message: Option<Result<Message, tungstenite::Error>>,
    ) -> Option<SocketEnd> {
        let now = self.clock.now();
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Some(SocketEnd::of_error(&error)),
            None => return Some(SocketEnd::Cut),
        };
        let closed = match &message {
            Message::Close(close) => Some(SocketEnd::theirs(close.as_ref())),
            Message::Pong(_) => {
                self.keepalive.on_pong(now);
                None
            }
            _ => None,
        };
        self.peer.receive(now, message).or(closed)
    }

    fn wake_at(&self, now: Nanos, can_send: bool) -> Option<Nanos> {
        let keepalive = self.keepalive.wake_at(can_send);
        let peer = self.peer.wake_at(now, can_send);
        [peer, Some(keepalive), self.stalls.wake_at()].into_iter().flatten().min()
    }
}

/// Waits for room to send; `false` when the sender has ended.
async fn room(unsent: &mpsc::Sender<Message>) -> bool {
    unsent.reserve().await.is_ok()
}
