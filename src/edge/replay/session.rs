//! The one session of a replay: a [`ReplayServer`], the capture that it reads and the one that it
//! writes.
//!
//! A client that does not read holds the clock, since the server is asked for messages only while
//! there is room to send.

use std::collections::VecDeque;

use anyhow::Result;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::batch_reader::{Batch, BatchReader};
use super::control::ReplayOrder;
use super::session_recorder::SessionRecorder;
use super::{Played, Replay, ReplayChange};
use crate::capture::Direction;
use crate::edge::socket::close::SocketEnd;
use crate::edge::socket::listener::StopSignal;
use crate::edge::socket::pump::{self, ClosedConnection, ServedPeer};
use crate::edge::socket::upgrade::Upgraded;
use crate::peer::replay::{ReplayServer, Wanted};
use crate::peer::server::Incoming;
use crate::peer::{LOST, NO_CODE, Outgoing};
use crate::report::DamageReport;
use crate::time::Nanos;
use crate::wire::json::parse_object;
use crate::wire::message::kind_of;

/// Further slowing, in seconds, after which the user is told again.
const SLOWED_STEP_S: f64 = 1.0;
/// What an `upload_track` gets.
const NO_UPLOADS: &str = "a replay takes no uploads";

/// Serves one client until either side closes. `None` when it never began a session.
pub(super) async fn run(
    replay: &Replay,
    upgraded: Upgraded,
    orders: &mut mpsc::Receiver<ReplayOrder>,
    stop: StopSignal,
) -> Option<Played> {
    replay.notify(ReplayChange::Connected { client: upgraded.client });
    let mut session = ReplaySession::new(replay, orders);
    let keepalive = replay.options.keepalive;
    let closed = pump::serve(upgraded, replay.clock, keepalive, stop, &mut session).await;
    let (code, reason) = (closed.code, closed.reason.clone());
    replay.notify(ReplayChange::Closed { code, reason });
    session.finish(closed)
}

/// A reader of the capture, and what came of reading on.
type Read = (Box<BatchReader>, Result<Batch>);

/// Who has the reader of the capture.
enum Reading {
    /// Nobody: the capture is not open, or could not be opened again.
    Closed,
    Idle(Box<BatchReader>),
    /// A thread that may wait for the disk.
    Busy(JoinHandle<Read>),
}

struct ReplaySession<'a> {
    replay: &'a Replay,
    orders: &'a mut mpsc::Receiver<ReplayOrder>,
    server: ReplayServer,
    reading: Reading,
    recorder: SessionRecorder,
    /// What an upload gets in place of a session.
    refusal: VecDeque<Outgoing>,
    damage: Option<DamageReport>,
    failure: Option<String>,
    notified_slowed_s: f64,
    notified_held: Option<String>,
}

impl<'a> ReplaySession<'a> {
    fn new(replay: &'a Replay, orders: &'a mut mpsc::Receiver<ReplayOrder>) -> Self {
        let mut session = ReplaySession {
            replay,
            orders,
            server: ReplayServer::new(replay.replay_options()),
            reading: Reading::Closed,
            recorder: SessionRecorder::default(),
            refusal: VecDeque::new(),
            damage: None,
            failure: None,
            notified_slowed_s: 0.0,
            notified_held: None,
        };
        session.read_ahead();
        session
    }

    /// Reads on in the capture where the server wants more of it.
    fn read_ahead(&mut self) {
        let reading = std::mem::replace(&mut self.reading, Reading::Closed);
        self.reading = match (self.server.wants(), reading) {
            (Wanted::Rewind, _) => {
                // Whatever is still being read is dropped.
                self.server.rewound();
                let rounds = self.server.status(self.replay.clock.now()).rounds;
                self.replay.notify(ReplayChange::BegunAgain { rounds });
                self.open()
            }
            (Wanted::Parts, Reading::Closed) => self.open(),
            (Wanted::Parts, Reading::Idle(reader)) => start(reader),
            (_, reading) => reading,
        };
    }

    fn open(&mut self) -> Reading {
        let (path, session) = (&self.replay.options.capture, self.replay.opening.session);
        match BatchReader::open(path, session) {
            Ok(reader) => start(Box::new(reader)),
            Err(error) => {
                self.failure = Some(format!("{error:#}"));
                self.server.end_of_tape();
                Reading::Closed
            }
        }
    }

    fn take(&mut self, (reader, batch): Read) -> Result<()> {
        let batch = batch?;
        batch.parts.into_iter().for_each(|part| self.server.offer(part));
        if batch.is_last {
            self.server.end_of_tape();
            self.damage = batch.damage;
        }
        self.reading = Reading::Idle(reader);
        Ok(())
    }

    fn fail(&mut self, error: &anyhow::Error) -> SocketEnd {
        self.failure = Some(format!("{error:#}"));
        SocketEnd::ours(1011, "the capture cannot be read any more")
    }

    /// The first text begins the session and its capture; an `upload_track` is refused instead.
    fn begin(&mut self, now: Nanos, text: &str) -> Result<()> {
        let fields = parse_object(text).ok().map(|object| object.fields);
        if fields.as_ref().and_then(kind_of) == Some("upload_track") {
            let failed = format!(r#"{{"type":"upload_failed","error":"{NO_UPLOADS}"}}"#);
            let close = Outgoing::Close { code: 1000, reason: NO_UPLOADS.to_owned() };
            self.refusal = VecDeque::from([Outgoing::Text(failed), close]);
            return Ok(());
        }
        self.replay.notify(ReplayChange::Begun);
        self.recorder = SessionRecorder::begin(&self.replay.options, now, Some(text))?;
        Ok(())
    }

    /// A session of another protocol begins with whatever is said first.
    fn begin_plain(&mut self, now: Nanos) {
        self.replay.notify(ReplayChange::Begun);
        match SessionRecorder::begin(&self.replay.options, now, None) {
            Ok(recorder) => self.recorder = recorder,
            Err(error) => self.failure = Some(format!("{error:#}")),
        }
    }

    fn obey(&mut self, now: Nanos, order: ReplayOrder) {
        if !self.server.has_begun() {
            return;
        }
        order.controls.into_iter().for_each(|control| self.server.control(now, control));
        // The request may have been given up.
        let _ = order.answer.send(self.server.status(now));
    }

    /// Tells the user when the clock is slowed, and what it waits for.
    fn notify_of_the_clock(&mut self) {
        let slowed_s = self.server.slowed_s();
        if slowed_s >= self.notified_slowed_s + SLOWED_STEP_S
            || (self.notified_slowed_s == 0.0 && slowed_s > 0.0)
        {
            self.notified_slowed_s = slowed_s;
            self.replay.notify(ReplayChange::Slowed { by_s: slowed_s });
        }
        let held = self.server.held_for().filter(|_| self.server.has_begun());
        let held = held.filter(|_| self.server.wake_at().is_none()).map(str::to_owned);
        if held != self.notified_held {
            if let Some(kind) = &held {
                self.replay.notify(ReplayChange::HeldFor { kind: kind.clone() });
            }
            self.notified_held = held;
        }
    }

    fn finish(self, closed: ClosedConnection) -> Option<Played> {
        if !self.server.has_begun() && self.failure.is_none() {
            return None;
        }
        let reason = match (closed.code, closed.reason) {
            (LOST, _) if self.server.is_whole() => {
                "the connection ended without a close, as the recorded one did".to_owned()
            }
            (LOST, _) => "the client went away without a close".to_owned(),
            (code, reason) if reason.is_empty() => format!("closed with {code}"),
            (_, reason) => reason,
        };
        let divergence = Some(self.server.divergence(closed.at));
        let (out, unwritten) = self.recorder.finish(closed.at, reason.clone());
        let failure = self.failure.or(unwritten);
        Some(Played { divergence, reason, out, damage: self.damage, failure })
    }
}

/// What reaches a session from elsewhere than its socket.
enum SessionEvent {
    Read(Read),
    Order(ReplayOrder),
}

impl ServedPeer for ReplaySession<'_> {
    type Event = SessionEvent;

    const STOP_REASON: &'static str = "the replay was stopped";

    fn next(&mut self, now: Nanos) -> Option<Outgoing> {
        let has_begun = self.server.has_begun();
        let message = self.refusal.pop_front().or_else(|| self.server.poll(now));
        if !has_begun && self.server.has_begun() {
            self.begin_plain(now);
        }
        match message? {
            Outgoing::Close { code, reason } => {
                // Other codes that are not for frames cannot be sent.
                let is_known =
                    [NO_CODE, LOST].contains(&code) || CloseCode::from(code).is_allowed();
                let code = if is_known { code } else { 1000 };
                Some(Outgoing::Close { code, reason })
            }
            message => Some(message),
        }
    }

    fn sent(&mut self, now: Nanos, message: &Message) {
        self.recorder.message(now, Direction::ServerToClient, message);
    }

    fn settle(&mut self, _: Nanos) -> Option<SocketEnd> {
        self.read_ahead();
        self.notify_of_the_clock();
        self.failure = Some(self.recorder.failure()?);
        Some(SocketEnd::ours(1011, "the replay cannot be recorded any more"))
    }

    fn wake_at(&self, _: Nanos, can_send: bool) -> Option<Nanos> {
        self.server.wake_at().filter(|_| can_send)
    }

    /// The tape begins with the first part of the capture, so that has to be read before the client
    /// is heard.
    fn can_receive(&self, _: Nanos) -> bool {
        self.server.can_begin()
    }

    fn receive(&mut self, now: Nanos, message: Message) -> Option<SocketEnd> {
        let is_plain = self.replay.opening.is_plain && !self.server.has_begun();
        if is_plain && matches!(message, Message::Text(_) | Message::Binary(_)) {
            self.begin_plain(now);
        } else if let Message::Text(text) = &message
            && !self.server.has_begun()
        {
            if let Err(error) = self.begin(now, text) {
                return Some(self.fail(&error));
            }
            if !self.refusal.is_empty() {
                return None;
            }
        }
        self.recorder.message(now, Direction::ClientToServer, &message);
        match &message {
            Message::Text(text) => self.server.receive(now, Incoming::Text(text)),
            Message::Binary(bytes) => self.server.receive(now, Incoming::Binary(bytes)),
            Message::Ping(bytes) => self.recorder.answer(now, &Message::Pong(bytes.clone())),
            Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
        None
    }

    async fn event(&mut self) -> SessionEvent {
        tokio::select! {
            read = finished(&mut self.reading) => SessionEvent::Read(read),
            Some(order) = self.orders.recv() => SessionEvent::Order(order),
        }
    }

    fn handle(&mut self, now: Nanos, event: SessionEvent) -> Option<SocketEnd> {
        match event {
            SessionEvent::Read(read) => self.take(read).err().map(|error| self.fail(&error)),
            SessionEvent::Order(order) => {
                self.obey(now, order);
                None
            }
        }
    }

    fn ending(&mut self, now: Nanos, end: &SocketEnd) {
        self.recorder.close(now, end);
    }
}

/// Reads the next parts on a thread that may wait for the disk.
fn start(mut reader: Box<BatchReader>) -> Reading {
    Reading::Busy(tokio::task::spawn_blocking(move || {
        let batch = reader.next();
        (reader, batch)
    }))
}

/// What was read, once the thread is done.
async fn finished(reading: &mut Reading) -> Read {
    let Reading::Busy(task) = reading else { return std::future::pending().await };
    match task.await {
        Ok(read) => read,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
