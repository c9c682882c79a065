//! One client of a replay: a [`ReplayServer`] and the socket that it speaks through.
//!
//! Enters: messages as they come, parts of the capture as they are read, orders, the passing of time.
//! Leaves: what was recorded, when it is due, and a capture of what was said. The server is asked only
//! while there is room to send, so that a client that does not read holds the clock.

use anyhow::Result;
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

use super::control::Order;
use super::reel::{Batch, Reel};
use super::witness::Witness;
use super::{Arrival, Happening, Played, Replay};
use crate::capture::Direction;
use crate::edge::backend::keepalive::Keepalive;
use crate::edge::backend::parting::{self, End, Socket};
use crate::edge::backend::sender::send_all;
use crate::edge::backend::{CLOSE_TIMEOUT, stopped};
use crate::edge::connect::MAX_MESSAGE_LEN;
use crate::edge::record::to_socket;
use crate::peer::Outgoing;
use crate::peer::replay::{ReplayServer, Wanted};
use crate::peer::server::Incoming;
use crate::report::DamageReport;
use crate::time::Nanos;
use crate::wire::json::parse_object;
use crate::wire::message::kind_of;

/// Messages between the replay and the socket: a slice and its `params_update`.
const MAX_UNSENT: usize = 2;
/// By how much more everything has to be slowed before that is told again, in seconds.
const SLOWED_STEP_S: f64 = 1.0;

/// Serves one client until either side ends it. `None` when it never began a session.
pub(super) async fn run(
    replay: &Replay,
    arrival: Arrival,
    orders: &mut mpsc::Receiver<Order>,
    stop: watch::Receiver<bool>,
) -> Option<Played> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_LEN))
        .max_frame_size(Some(MAX_MESSAGE_LEN))
        .write_buffer_size(0);
    let Arrival { stream, read, client, _stage } = arrival;
    let socket =
        WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
    let (sink, mut incoming) = socket.split();
    let (unsent, queue) = mpsc::channel(MAX_UNSENT);
    let mut sender = tokio::spawn(send_all(sink, queue));
    replay.tell(Happening::Connected { client });

    let mut session = Session::new(replay);
    let end = session.drive(&mut incoming, &unsent, orders, stop).await;
    let ended = replay.clock.now();
    session.witness.close(ended, &end);
    let parting = parting::part(&end, incoming, unsent, &mut sender);
    if tokio::time::timeout(CLOSE_TIMEOUT, parting).await.is_err() {
        sender.abort();
    }
    let (code, reason) = end.into_code();
    replay.tell(Happening::Closed { code, reason: reason.clone() });
    session.finish(ended, code, &reason)
}

/// A capture, and what came of reading on in it.
type Read = (Box<Reel>, Result<Batch>);

/// Who is reading the capture: nobody, or a thread that may wait for the disk.
enum Reading {
    Idle(Box<Reel>),
    Busy(JoinHandle<Read>),
    /// Not opened yet, or not any more.
    Nothing,
}

struct Session<'a> {
    replay: &'a Replay,
    server: ReplayServer,
    reading: Reading,
    keepalive: Keepalive,
    witness: Witness,
    damage: Option<DamageReport>,
    failure: Option<String>,
    told_slowed_s: f64,
    told_held: Option<String>,
}

impl<'a> Session<'a> {
    fn new(replay: &'a Replay) -> Session<'a> {
        Session {
            replay,
            server: ReplayServer::new(replay.replay_options()),
            reading: Reading::Nothing,
            keepalive: Keepalive::new(replay.options.keepalive, replay.clock.now()),
            witness: Witness::default(),
            damage: None,
            failure: None,
            told_slowed_s: 0.0,
            told_held: None,
        }
    }

    async fn drive(
        &mut self,
        incoming: &mut SplitStream<Socket>,
        unsent: &mpsc::Sender<Message>,
        orders: &mut mpsc::Receiver<Order>,
        mut stop: watch::Receiver<bool>,
    ) -> End {
        let clock = self.replay.clock;
        self.bring();
        if let Err(error) = self.read_on().await {
            return self.fail(&error);
        }
        loop {
            self.bring();
            if let Some(end) = self.fill(unsent) {
                return end;
            }
            self.bring();
            self.tell_of_the_clock();
            if self.keepalive.is_lost(clock.now()) {
                return End::ours(1011, "keepalive ping timeout");
            }
            if let Some(failure) = self.witness.failure() {
                self.failure = Some(failure);
                return End::ours(1011, "the replay cannot be recorded any more");
            }
            let can_send = unsent.capacity() > 0;
            let wake_at = self.wake_at(can_send);
            tokio::select! {
                () = stopped(&mut stop) => return End::ours(1001, "the replay was stopped"),
                message = incoming.next() => {
                    if let Some(end) = self.receive(clock.now(), message, unsent) {
                        return end;
                    }
                }
                read = read(&mut self.reading) => {
                    if let Err(error) = self.take(read) {
                        return self.fail(&error);
                    }
                }
                Some(order) = orders.recv() => self.obey(order),
                room = unsent.reserve(), if !can_send => {
                    if room.is_err() {
                        return End::Cut;
                    }
                }
                () = clock.reached(wake_at) => {}
            }
        }
    }

    /// Has the capture read where parts are wanted.
    fn bring(&mut self) {
        let reading = std::mem::replace(&mut self.reading, Reading::Nothing);
        self.reading = match (self.server.wants(), reading) {
            (Wanted::Rewind, _) => {
                // Whoever still reads does so for nobody.
                self.server.rewound();
                self.replay.tell(Happening::BegunAgain {
                    rounds: self.server.status(self.replay.clock.now()).rounds,
                });
                self.open()
            }
            (Wanted::Parts, Reading::Nothing) => self.open(),
            (Wanted::Parts, Reading::Idle(reel)) => start(reel),
            (_, reading) => reading,
        };
    }

    fn open(&mut self) -> Reading {
        let (path, session) = (self.replay.options.capture.clone(), self.replay.opening.session);
        match Reel::open(&path, session) {
            Ok(reel) => start(Box::new(reel)),
            Err(error) => {
                self.failure = Some(format!("{error:#}"));
                self.server.end_of_tape();
                Reading::Nothing
            }
        }
    }

    /// Waits for the first parts: the tape begins with them.
    async fn read_on(&mut self) -> Result<()> {
        let batch = read(&mut self.reading).await;
        self.take(batch)
    }

    fn take(&mut self, read: Read) -> Result<()> {
        let (reel, batch) = read;
        let batch = batch?;
        batch.parts.into_iter().for_each(|part| self.server.offer(part));
        if batch.is_last {
            self.server.end_of_tape();
            self.damage = batch.damage;
        }
        self.reading = Reading::Idle(reel);
        Ok(())
    }

    fn fail(&mut self, error: &anyhow::Error) -> End {
        self.failure = Some(format!("{error:#}"));
        End::ours(1011, "the capture cannot be read any more")
    }

    /// Sends while there is room and something to send.
    fn fill(&mut self, unsent: &mpsc::Sender<Message>) -> Option<End> {
        while let Ok(permit) = unsent.try_reserve() {
            let now = self.replay.clock.now();
            let message = if self.keepalive.take_ping(now) {
                Message::Ping(Bytes::new())
            } else {
                match self.server.poll(now)? {
                    Outgoing::Close { code, reason } => {
                        // What only tells of a missing close cannot be sent as one.
                        let code = if CloseCode::from(code).is_allowed() { code } else { 1000 };
                        return Some(End::Ours { code, reason });
                    }
                    message => to_socket(message),
                }
            };
            self.witness.message(now, Direction::ServerToClient, &message);
            permit.send(message);
        }
        None
    }

    fn receive(
        &mut self,
        now: Nanos,
        message: Option<Result<Message, tungstenite::Error>>,
        unsent: &mpsc::Sender<Message>,
    ) -> Option<End> {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Some(End::of(&error)),
            None => return Some(End::Cut),
        };
        if let Message::Text(text) = &message {
            if let Some(end) = self.greet(now, text, unsent) {
                return Some(end);
            }
            self.witness.message(now, Direction::ClientToServer, &message);
            self.server.receive(now, Incoming::Text(text));
            return None;
        }
        self.witness.message(now, Direction::ClientToServer, &message);
        match &message {
            Message::Binary(bytes) => self.server.receive(now, Incoming::Binary(bytes)),
            Message::Pong(_) => self.keepalive.on_pong(now),
            Message::Ping(bytes) => {
                self.witness.answer(now, &Message::Pong(bytes.clone()));
            }
            Message::Close(close) => {
                let (code, reason) = close.as_ref().map_or((1005, String::new()), |close| {
                    (close.code.into(), close.reason.to_string())
                });
                return Some(End::Theirs { code, reason });
            }
            Message::Text(_) | Message::Frame(_) => {}
        }
        None
    }

    /// The first message begins the session and its capture; one that only uploads a track does not.
    fn greet(&mut self, now: Nanos, text: &str, unsent: &mpsc::Sender<Message>) -> Option<End> {
        if self.server.has_begun() {
            return None;
        }
        let fields = parse_object(text).ok().map(|object| object.fields);
        if fields.as_ref().and_then(kind_of) == Some("upload_track") {
            let failed = r#"{"type":"upload_failed","error":"a replay takes no uploads"}"#;
            // There is room: nothing was sent yet.
            let _ = unsent.try_send(Message::text(failed));
            return Some(End::ours(1000, "a replay takes no uploads"));
        }
        self.replay.tell(Happening::Begun);
        match Witness::begin(&self.replay.options, now, text) {
            Ok(witness) => self.witness = witness,
            Err(error) => return Some(self.fail(&error)),
        }
        None
    }

    fn obey(&mut self, order: Order) {
        let now = self.replay.clock.now();
        if !self.server.has_begun() {
            return;
        }
        order.controls.into_iter().for_each(|control| self.server.control(now, control));
        // Whoever asked may have gone.
        let _ = order.answer.send(self.server.status(now));
    }

    fn tell_of_the_clock(&mut self) {
        let slowed_s = self.server.slowed_s();
        if slowed_s >= self.told_slowed_s + SLOWED_STEP_S
            || (self.told_slowed_s == 0.0 && slowed_s > 0.0)
        {
            self.told_slowed_s = slowed_s;
            self.replay.tell(Happening::Slowed { by_s: slowed_s });
        }
        let held = self.server.held_for().filter(|_| self.server.has_begun());
        let held = held.filter(|_| self.server.wake_at().is_none()).map(|cause| cause.kind.clone());
        if held != self.told_held {
            if let Some(kind) = &held {
                self.replay.tell(Happening::HeldFor { kind: kind.clone() });
            }
            self.told_held = held;
        }
    }

    fn wake_at(&self, can_send: bool) -> Option<Nanos> {
        let server = self.server.wake_at().filter(|_| can_send);
        [server, Some(self.keepalive.wake_at(can_send))].into_iter().flatten().min()
    }

    fn finish(self, ended: Nanos, code: u16, reason: &str) -> Option<Played> {
        if !self.server.has_begun() && self.failure.is_none() {
            return None;
        }
        let reason = match (code, reason) {
            (1006, _) => "the client went away without a close".to_owned(),
            (code, "") => format!("closed with {code}"),
            (_, reason) => reason.to_owned(),
        };
        let divergence = Some(self.server.divergence(ended));
        let (out, unwritten) = self.witness.finish(ended, reason.clone());
        let failure = self.failure.or(unwritten);
        Some(Played { divergence, reason, out, damage: self.damage, failure })
    }
}

/// Reads the next parts on a thread that may wait for the disk.
fn start(mut reel: Box<Reel>) -> Reading {
    Reading::Busy(tokio::task::spawn_blocking(move || {
        let batch = reel.next();
        (reel, batch)
    }))
}

/// What was read, once it was.
async fn read(reading: &mut Reading) -> Read {
    let Reading::Busy(task) = reading else { return std::future::pending().await };
    match task.await {
        Ok(read) => read,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
