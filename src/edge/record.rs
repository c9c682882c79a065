//! The recording client: a headless [`Client`] on a real WebSocket.
//!
//! One task stamps the messages of both directions on one clock, records them, shows the records to
//! the client, and only then sends. A second task does the sending, so that a server that does not
//! read cannot keep the client from reading.

use std::future::Future;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{self, Message as WsMessage};

use super::clock::{self, MonotonicClock};
use super::connect::{Handshake, sentence_of};
use super::fixtures::FixtureQuestion;
use super::inbound::Inbound;
use super::recorder::{
    Finished, ManualTrigger, Recorder, RecorderNotice, RecorderOptions, RecorderStatus,
    refuse_closed_folder,
};
use super::socket::message::{opcode_and_payload, to_socket};
use crate::capture::{
    Body, ConnectionBreak, Direction, Header, Marker, Message, Opcode, Party, UnderWay,
};
use crate::flight::TriggerReason;
use crate::peer::Outgoing;
use crate::peer::client::{Client, ClientCommand, ClientOptions, ClientStep, Dialect};
use crate::time::{Nanos, Span};
use crate::wire::url::without_secrets;

/// How long the server may take to answer a close.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Messages that may wait to be sent; beyond that a message counts as failed.
const MAX_UNSENT: usize = 1024;
/// Time between two readings of both clocks in a capture.
const CLOCK_PERIOD_NS: u64 = 60_000_000_000;
/// Longest time between two reports of the recorder's status.
const LOOK_PERIOD: Span = Span(250_000_000);

/// What to record, and where.
#[derive(Debug)]
pub struct RecordOptions {
    /// `ws://` or `wss://`; its secrets are used and never recorded.
    pub url: String,
    /// Further headers of the handshake; never recorded.
    pub headers: Vec<(String, String)>,
    pub recorder: RecorderOptions,
    /// Stop as soon as the capture would lack a part of the session.
    pub strict: bool,
    /// Makes an incident recorder write out its ring.
    pub trigger: ManualTrigger,
    /// Gets notices of the recording.
    pub notices: Option<Sender<RecorderNotice>>,
    pub client: ClientOptions,
    /// Key=value metadata of the capture.
    pub metadata: std::collections::BTreeMap<String, String>,
}

/// A recording that has ended.
#[derive(Debug)]
pub struct Recorded {
    /// The capture, or a pattern of what its files are called.
    pub path: PathBuf,
    /// The capture, its parts, or the incidents that were not deleted.
    pub files: Vec<PathBuf>,
    /// The client, whose engine has seen every record of the capture.
    pub client: Client,
    /// The time of the end record.
    pub ended: Nanos,
    /// Why it ended, in a sentence.
    pub reason: String,
    /// Why the session failed; `None` when it ended on time, was stopped, or was closed by the server.
    pub failure: Option<String>,
    pub status: RecorderStatus,
    pub is_written: bool,
}

/// What a running session is asked to do, between two of its records.
pub enum RecordOrder {
    /// The listener does something now; the capture gets a marker.
    Operate(Marker),
    /// The client does something to the server.
    Command(ClientCommand),
    /// Looks at the client, which changes nothing.
    Look(Look),
}

/// Called with the client and the time.
pub type Look = Box<dyn FnOnce(&Client, Nanos) + Send>;

/// Follows a recording, for displays.
pub trait RecordingWatch {
    /// The server is called now, and taken over from whoever is listening on it.
    fn connecting(&mut self) {}

    /// The client and the time, after every record.
    fn see(&mut self, client: &Client, now: Nanos);
}

impl<F: FnMut(&Client, Nanos)> RecordingWatch for F {
    fn see(&mut self, client: &Client, now: Nanos) {
        self(client, now);
    }
}

/// Nobody looks.
impl RecordingWatch for () {
    fn see(&mut self, _: &Client, _: Nanos) {}
}

/// Connects, records until the session is over or `stop` resolves, and closes the capture.
///
/// # Errors
///
/// Where nothing can be recorded, or no server answers before `stop` resolves.
pub async fn record(
    options: RecordOptions,
    stop: impl Future<Output = ()>,
    watch: impl RecordingWatch,
) -> Result<Recorded> {
    let (_, no_orders) = mpsc::channel(1);
    record_and_obey(options, no_orders, stop, watch).await
}

/// Records a session that takes orders while it runs.
pub async fn record_and_obey(
    options: RecordOptions,
    mut orders: mpsc::Receiver<RecordOrder>,
    stop: impl Future<Output = ()>,
    mut watch: impl RecordingWatch,
) -> Result<Recorded> {
    // Checked first: a session that cannot be recorded should not take the server from another one.
    options.recorder.check()?;
    refuse_closed_folder(&options.recorder.path)?;
    let handshake = Handshake::new(&options.url, &options.headers)?;
    watch.connecting();
    let clock = MonotonicClock::start();
    let started_utc = clock::utc_now();
    tokio::pin!(stop);
    let (socket, inbound) = tokio::select! {
        connected = handshake.connect() => connected?,
        () = &mut stop => bail!("stopped before the server answered"),
    };
    let question = FixtureQuestion::of(&options.client.config, &options.url, &options.headers);
    let mut session = RecordingSession::begin(options, clock, started_utc, inbound)?;
    let (sink, mut incoming) = socket.split();
    let (unsent, queue) = mpsc::channel(MAX_UNSENT);
    let sender = tokio::spawn(send_all(sink, queue));
    let end = {
        let unknown_fixture = async {
            match question {
                Some(question) => question.unknown().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(unknown_fixture);
        let ends = (stop, unknown_fixture);
        session.run(&mut incoming, &unsent, &mut orders, ends, &mut watch).await
    };
    session.close_session(&mut incoming, &unsent).await;
    drop(unsent);
    sender.abort();
    Ok(session.finish(end))
}

/// Why a session's loop ended.
enum RecordingEnd {
    Finished(String, Option<String>),
    Stopped,
    Lost(String),
    DiskFailed(String),
}

struct RecordingSession {
    clock: MonotonicClock,
    client: Client,
    recorder: Recorder,
    strict: bool,
    trigger: ManualTrigger,
    notices: Option<Sender<RecorderNotice>>,
    next_clock_ns: u64,
    /// What has come of the server's messages.
    inbound: Inbound,
    is_lost: bool,
}

impl RecordingSession {
    fn begin(
        options: RecordOptions,
        clock: MonotonicClock,
        started_utc: String,
        inbound: Inbound,
    ) -> Result<RecordingSession> {
        let mut header = Header::new(concat!("lagtape ", env!("CARGO_PKG_VERSION")), Nanos(0));
        header.start_utc = Some(started_utc.clone());
        header.url = Some(without_secrets(&options.url));
        header.client = options.client.kind;
        header.config = Some(serde_json::Value::Object(options.client.config.clone()).to_string());
        header.metadata = options.metadata;
        if options.client.params_hz > 0.0 {
            header.metadata.insert("params_hz".to_owned(), options.client.params_hz.to_string());
        }
        let dialect = match options.client.dialect {
            Dialect::Modern => "modern",
            Dialect::Acknowledging => "acknowledging",
            Dialect::Legacy => "legacy",
        };
        header.metadata.insert("dialect".to_owned(), dialect.to_owned());
        let mut client_options = options.client;
        // The client inflates every slice, and the checkpoints need not do it again.
        client_options.engine.audio_crc = true;
        let mut client = Client::new(client_options, Nanos(0));
        let mut recorder =
            Recorder::create(options.recorder, clock::random_marker(), header, &mut client)?;
        recorder.clock(Nanos(0), started_utc, &mut client);
        Ok(RecordingSession {
            clock,
            client,
            recorder,
            strict: options.strict,
            trigger: options.trigger,
            notices: options.notices,
            next_clock_ns: CLOCK_PERIOD_NS,
            inbound,
            is_lost: false,
        })
    }

    async fn run(
        &mut self,
        incoming: &mut (impl Stream<Item = Result<WsMessage, tungstenite::Error>> + Unpin),
        unsent: &mpsc::Sender<WsMessage>,
        orders: &mut mpsc::Receiver<RecordOrder>,
        (mut stop, mut unknown_fixture): (
            impl Future<Output = ()> + Unpin,
            impl Future<Output = String> + Unpin,
        ),
        watch: &mut impl RecordingWatch,
    ) -> RecordingEnd {
        loop {
            let now = self.clock.now();
            if let Some(end) = self.act(now, unsent) {
                return end;
            }
            self.notify();
            watch.see(&self.client, now);
            if self.strict
                && let Some(failure) = self.recorder.failure()
            {
                return RecordingEnd::DiskFailed(failure);
            }
            let look_at = now.checked_add(LOOK_PERIOD);
            let wake_at = self.client.wake_at().into_iter().chain(look_at).min();
            tokio::select! {
                () = &mut stop => return RecordingEnd::Stopped,
                message = incoming.next() => {
                    let now = self.clock.now();
                    match message {
                        Some(Ok(message)) => self.receive(now, &message),
                        Some(Err(error)) => return self.end_after(&error),
                        None => return self.broke(now, "the server went away without a close (1006)".to_owned()),
                    }
                }
                Some(order) = orders.recv() => self.obey(order),
                sentence = &mut unknown_fixture, if self.client.engine().origin().is_none() => {
                    return RecordingEnd::Finished(sentence.clone(), Some(sentence));
                }
                () = self.trigger.fired() => self.recorder.request_incident(TriggerReason::Asked),
                () = self.clock.reached(wake_at) => {}
            }
        }
    }

    fn obey(&mut self, order: RecordOrder) {
        match order {
            RecordOrder::Operate(op) => self.client.operate(op),
            RecordOrder::Command(command) => self.client.command(self.clock.now(), command),
            RecordOrder::Look(look) => look(&self.client, self.clock.now()),
        }
    }

    /// Passes on notices of the recording.
    fn notify(&self) {
        let Some(notices) = &self.notices else { return };
        let status = RecorderNotice::Status(self.recorder.status());
        for mut notice in self.recorder.news().into_iter().chain([status]) {
            if let RecorderNotice::DiskFails { stops, .. } = &mut notice {
                *stops = self.strict;
            }
            // The receiver may have gone.
            let _ = notices.send(notice);
        }
    }

    /// Does what the client wants done now.
    fn act(&mut self, now: Nanos, unsent: &mpsc::Sender<WsMessage>) -> Option<RecordingEnd> {
        if now.0 >= self.next_clock_ns {
            self.next_clock_ns = now.0 + CLOCK_PERIOD_NS;
            self.recorder.clock(now, clock::utc_now(), &mut self.client);
        }
        while let Some(step) = self.client.poll(now) {
            match step {
                ClientStep::Send(message) => self.send(now, message, unsent),
                ClientStep::Mark(marker) => {
                    self.recorder.offer(now, 0, Body::Marker(marker), &mut self.client);
                }
                ClientStep::Finish(finish) => {
                    let failure = finish.is_failure().then(|| finish.sentence());
                    return Some(RecordingEnd::Finished(finish.sentence(), failure));
                }
            }
        }
        None
    }

    fn send(&mut self, now: Nanos, message: Outgoing, unsent: &mpsc::Sender<WsMessage>) {
        let message = to_socket(message);
        let permit = unsent.try_reserve();
        let (opcode, payload) = opcode_and_payload(&message);
        let mut record = Message::new(Direction::ClientToServer, opcode, &payload);
        record.failed = permit.is_err();
        self.put(now, record);
        drop(payload);
        if let Ok(permit) = permit {
            permit.send(message);
        }
    }

    /// Records a message, and the answer to it that the WebSocket library sends by itself.
    fn receive(&mut self, now: Nanos, message: &WsMessage) {
        let closed_before = !self.client.engine().facts().closes.is_empty();
        let (opcode, payload) = opcode_and_payload(message);
        self.put(now, Message::new(Direction::ServerToClient, opcode, &payload));
        let answer = match opcode {
            Opcode::Ping => Opcode::Pong,
            Opcode::Close if !closed_before => Opcode::Close,
            _ => return,
        };
        let mut answer = Message::new(Direction::ClientToServer, answer, &payload);
        answer.automatic = true;
        self.put(now, answer);
    }

    fn put(&mut self, now: Nanos, message: Message<'_>) {
        self.recorder.message(now, message, &mut self.client);
    }

    /// The end after an error: the server's close may explain it, or the connection broke.
    fn end_after(&mut self, error: &tungstenite::Error) -> RecordingEnd {
        match self.client.poll(self.clock.now()) {
            Some(ClientStep::Finish(finish)) => {
                let failure = finish.is_failure().then(|| finish.sentence());
                RecordingEnd::Finished(finish.sentence(), failure)
            }
            _ => self.broke(self.clock.now(), sentence_of(error)),
        }
    }

    /// The connection ended without a close.
    fn broke(&mut self, now: Nanos, reason: String) -> RecordingEnd {
        self.put_break(now, None, reason.clone());
        self.recorder.request_incident(TriggerReason::Lost);
        RecordingEnd::Lost(reason)
    }

    /// Records how the connection ended, and the server's message that was under way.
    fn put_break(&mut self, now: Nanos, by: Option<Party>, reason: String) {
        self.is_lost = true;
        let under_way = self.inbound.under_way();
        let under_way = under_way.map(|it| UnderWay::of(Party::Server, it));
        let broken = ConnectionBreak { by, reason, under_way: Vec::from_iter(under_way) };
        self.recorder.offer(now, 0, Body::Break(broken), &mut self.client);
    }

    /// Closes from this side, and records what still comes until the server has answered.
    async fn close_session(
        &mut self,
        incoming: &mut (impl Stream<Item = Result<WsMessage, tungstenite::Error>> + Unpin),
        unsent: &mpsc::Sender<WsMessage>,
    ) {
        if !self.client.engine().facts().closes.is_empty() {
            return;
        }
        let now = self.clock.now();
        self.send(now, Outgoing::Close { code: 1000, reason: String::new() }, unsent);
        let answered = async {
            while let Some(Ok(message)) = incoming.next().await {
                let now = self.clock.now();
                self.receive(now, &message);
            }
        };
        // A server that does not answer in time is left.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, answered).await;
        if !self.is_lost && self.inbound.under_way().is_some() {
            let reason = "the recording was ended within a message".to_owned();
            self.put_break(self.clock.now(), Some(Party::Recorder), reason);
        }
    }

    fn finish(self, end: RecordingEnd) -> Recorded {
        let (reason, failure) = match end {
            RecordingEnd::Finished(reason, failure) => (reason, failure),
            RecordingEnd::Stopped => ("stopped".to_owned(), None),
            RecordingEnd::Lost(reason) | RecordingEnd::DiskFailed(reason) => {
                (reason.clone(), Some(reason))
            }
        };
        let RecordingSession { clock, mut client, recorder, notices, .. } = self;
        let ended = clock.now();
        let path = recorder.path().to_owned();
        let Finished { status, files, failure: unwritten, news } =
            recorder.finish(ended, reason.clone(), &mut client);
        if let Some(notices) = notices {
            for notice in news {
                let _ = notices.send(notice);
            }
        }
        let is_written = unwritten.is_none();
        let failure = unwritten.or(failure);
        Recorded { path, files, client, ended, reason, failure, status, is_written }
    }
}

async fn send_all<S>(mut sink: S, mut queue: mpsc::Receiver<WsMessage>)
where
    S: Sink<WsMessage, Error = tungstenite::Error> + Unpin,
{
    while let Some(message) = queue.recv().await {
        // The reading half notices a broken connection too, and ends the session.
        if sink.send(message).await.is_err() {
            return;
        }
    }
}
