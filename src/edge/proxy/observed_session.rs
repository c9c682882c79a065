//! One session as the observer sees it: bytes of both directions become messages, the messages become
//! records of its capture, and its engine follows them.
//!
//! A message has the time of the piece that completed it.

use std::path::Path;

use tokio::sync::oneshot;

use super::SessionCaptures;
use super::notice::{
    AlarmChange, LagAlarm, ProxyNotice, STATUS_PERIOD, SessionOpening, SessionStatus, index,
};
use super::relay_end::RelayEnd;
use super::tap::TapLoss;
use crate::capture::{
    Body, Clock, ConnectionBreak, Direction, Gap, Header, Message, Opcode, Record, UnderWay,
};
use crate::edge::clock;
use crate::edge::recorder::{self, FileLayout, Recorder, RecorderOptions};
use crate::engine::whose::RECORDED_BY;
use crate::engine::{Engine, Options};
use crate::flight::TriggerReason;
use crate::report::EndingReport;
use crate::time::Nanos;
use crate::wire::json::parse_object;
use crate::wire::websocket::{Inflater, Messages, Whole};

/// Slices and ticks remembered for the figures of a status.
const REMEMBERED: usize = 4096;
/// Time between two readings of both clocks in a capture.
const CLOCK_PERIOD_NS: u64 = 60_000_000_000;
/// Sessions that begin in one second and still get different names.
const MAX_NAMES: usize = 1000;
/// Why messages are missing from a capture.
const LOST: &str = "more was forwarded than could be looked at";

type Notify<'a> = &'a (dyn Fn(ProxyNotice) + Send + Sync);

pub(super) struct ObservedSession {
    session: u64,
    messages: [Messages; 2],
    /// Kept until the first message, which the header may need.
    opening: Option<SessionOpening>,
    captures: Option<SessionCaptures>,
    /// Told of the initial buffer.
    buffered: Option<oneshot::Sender<()>>,
    record: Recording,
    alarm: LagAlarm,
    status_at_ns: u64,
    clock_at_ns: u64,
    /// The latest time of a piece that was handled.
    observed_to: Nanos,
}

/// The engine, and the capture if there is one.
struct Recording {
    engine: Engine,
    capture: Option<Recorder>,
    /// Number of the next record where there is no capture.
    seq: u64,
}

impl ObservedSession {
    pub fn new(
        opening: SessionOpening,
        buffered: oneshot::Sender<()>,
        captures: Option<SessionCaptures>,
    ) -> ObservedSession {
        let inflater = |takes_over: Option<bool>| takes_over.map(Inflater::new);
        let deflate = opening.deflate;
        let up = inflater(deflate.map(|deflate| deflate.client_takes_over));
        let down = inflater(deflate.map(|deflate| deflate.server_takes_over));
        let options =
            Options { headers_only: true, tracker_bound: Some(REMEMBERED), ..Options::default() };
        ObservedSession {
            session: opening.session,
            messages: [Messages::new(up), Messages::new(down)],
            status_at_ns: 0,
            clock_at_ns: opening.at.0 + CLOCK_PERIOD_NS,
            observed_to: opening.at,
            opening: Some(opening),
            captures,
            buffered: Some(buffered),
            record: Recording { engine: Engine::new(options), capture: None, seq: 0 },
            alarm: LagAlarm::default(),
        }
    }

    /// Takes bytes of one direction.
    pub fn bytes(&mut self, direction: Direction, at: Nanos, mut bytes: &[u8], notify: Notify<'_>) {
        self.observed_to = self.observed_to.max(at);
        let messages = &mut self.messages[index(direction)];
        while let Some(whole) = messages.next(&mut bytes) {
            let message = message_of(direction, &whole);
            if let Some(opening) = self.opening.take() {
                self.record.begin(opening, config_of(&message), self.captures.as_ref(), notify);
            }
            self.record.put(at, Body::Message(message));
            if let Some(buffered) = self.buffered.take_if(|_| self.record.engine.origin().is_some())
            {
                // Fails when the session is over already.
                let _ = buffered.send(());
            }
        }
    }

    /// Takes a loss: messages that were forwarded without being observed.
    pub fn lose(&mut self, direction: Direction, at: Nanos, loss: TapLoss, notify: Notify<'_>) {
        if let Some(opening) = self.opening.take() {
            self.record.begin(opening, None, self.captures.as_ref(), notify);
        }
        self.observed_to = self.observed_to.max(at);
        self.messages[index(direction)].lose();
        self.record.lose(at, loss);
        let TapLoss { messages, bytes } = loss;
        notify(ProxyNotice::Lost { session: self.session, messages, bytes });
    }

    /// Sends the notices that are due.
    pub fn update(&mut self, now: Nanos, notify: Notify<'_>) {
        if self.opening.is_some() {
            return;
        }
        self.record.pass_on(self.session, notify);
        if now.0 >= self.clock_at_ns {
            self.clock_at_ns = now.0 + CLOCK_PERIOD_NS;
            // Messages that were forwarded before `now` may still wait to be handled: with a later time,
            // the record would make times run backwards.
            let reading = Clock { monotonic: now, utc: clock::utc_now() };
            self.record.put(self.observed_to, Body::Clock(reading));
        }
        if self.record.engine.origin().is_none() {
            return;
        }
        let session = self.session;
        if now.0 < self.status_at_ns {
            return;
        }
        self.status_at_ns = now.0 + STATUS_PERIOD.as_nanos() as u64;
        let engine = &self.record.engine;
        let changes = self.alarm.update(&engine.episodes(), &engine.open_episodes());
        changes.into_iter().for_each(|change| notify(notice_of(session, &change)));
        if let Some(status) = SessionStatus::of(session, &self.record.engine, now) {
            notify(ProxyNotice::Status(SessionStatus { is_lagging: self.alarm.is_on(), ..status }));
        }
    }

    /// Writes out what the ring holds, if the capture is one.
    pub fn request_incident(&self) {
        if let Some(capture) = &self.record.capture {
            capture.request_incident(TriggerReason::Asked);
        }
    }

    /// Ends the session and its capture.
    pub fn shut(mut self, at: Nanos, end: RelayEnd, notify: Notify<'_>) {
        if let Some(opening) = self.opening.take() {
            self.record.begin(opening, None, self.captures.as_ref(), notify);
        }
        if let Some(broken) = self.broken(end) {
            self.record.put(at, Body::Break(broken));
        }
        let reason = closed(&self.record.engine).unwrap_or_else(|| end.reason().to_owned());
        let Recording { engine, capture, .. } = &mut self.record;
        let session = self.session;
        let mut captures = Vec::new();
        if let Some(capture) = capture.take() {
            let finished = capture.finish(at, reason.clone(), engine);
            finished.news.iter().for_each(|news| pass_on(session, news, notify));
            if let Some(sentence) = finished.failure {
                notify(ProxyNotice::Trouble { session: Some(session), sentence });
            }
            captures = finished.files;
        }
        let changes = self.alarm.update(&engine.episodes(), &[]);
        changes.into_iter().for_each(|change| notify(notice_of(session, &change)));
        let heard = engine.heard_meter().zip(engine.origin());
        let facts = engine.facts();
        let messages = facts.traffic.iter().map(|traffic| traffic.messages).sum();
        notify(ProxyNotice::Closed {
            session,
            reason,
            streamed_s: engine.origin().map(|origin| at.seconds_since(origin)),
            messages,
            episodes: engine.episodes().len(),
            bad_s: heard.map_or(0.0, |(meter, origin)| meter.report(origin).bad_s),
            ending: EndingReport::of(engine, at),
            captures,
        });
    }
}

fn notice_of(session: u64, change: &AlarmChange) -> ProxyNotice {
    match *change {
        AlarmChange::Began { at_s, what } => ProxyNotice::LagBegan { session, at_s, what },
        AlarmChange::Ended { at_s, lasted_s, bad_s } => {
            ProxyNotice::LagEnded { session, at_s, lasted_s, bad_s }
        }
    }
}

impl ObservedSession {
    /// What no close frame says of the end: a lost connection, and the messages under way. A session
    /// that the proxy ends is only worth a record if a message is under way.
    fn broken(&self, end: RelayEnd) -> Option<ConnectionBreak> {
        let is_closed = !self.record.engine.facts().closes.is_empty();
        let directions = [Direction::ClientToServer, Direction::ServerToClient];
        let under_way: Vec<_> = directions
            .into_iter()
            .filter_map(|direction| {
                let progress = self.messages[index(direction)].under_way()?;
                Some(UnderWay::of(direction.into(), progress))
            })
            .collect();
        let is_told = is_closed || end == RelayEnd::Stopped;
        let reason = end.reason().to_owned();
        (!is_told || !under_way.is_empty()).then(|| ConnectionBreak {
            by: end.by(),
            reason,
            under_way,
        })
    }
}

impl Recording {
    /// Begins the capture, if one is wanted.
    fn begin(
        &mut self,
        opening: SessionOpening,
        config: Option<String>,
        captures: Option<&SessionCaptures>,
        notify: Notify<'_>,
    ) {
        let (session, at, utc) = (opening.session, opening.at, opening.utc.clone());
        let header = header_of(opening, config);
        let Some(captures) = captures else {
            self.put(at, Body::Header(header));
            return;
        };
        let engine = &mut self.engine;
        match create(captures, &header, engine) {
            Ok(mut capture) => {
                capture.clock(at, utc, engine);
                let first = capture.first().map(Path::to_owned);
                let path = capture.path().to_owned();
                notify(ProxyNotice::Recording { session, capture: path, first });
                self.capture = Some(capture);
            }
            Err(error) => {
                let sentence = format!("{error:#}; the session goes on without a capture");
                notify(ProxyNotice::Trouble { session: Some(session), sentence });
                self.put(at, Body::Header(header));
            }
        }
    }

    fn put(&mut self, at: Nanos, body: Body<'_>) {
        let Recording { engine, capture, seq, .. } = self;
        match capture {
            Some(capture) => {
                capture.offer(at, 0, body, engine);
            }
            None => {
                engine.handle(&Record { seq: *seq, t: at, conn: 0, body });
                *seq += 1;
            }
        }
    }

    fn lose(&mut self, at: Nanos, TapLoss { messages, bytes }: TapLoss) {
        let Recording { engine, capture, seq, .. } = self;
        match capture {
            Some(capture) => {
                capture.lose_messages(at, (messages, bytes), LOST, engine);
            }
            None => {
                let gap = Gap { first_seq: *seq, count: messages, bytes, reason: LOST.to_owned() };
                *seq += messages;
                self.put(at, Body::Gap(gap));
            }
        }
    }

    /// Passes on the recorder's notices.
    fn pass_on(&self, session: u64, notify: Notify<'_>) {
        let news = self.capture.iter().flat_map(Recorder::news);
        news.for_each(|news| pass_on(session, &news, notify));
    }
}

fn pass_on(session: u64, news: &recorder::RecorderNotice, notify: Notify<'_>) {
    let sentence = news.to_string();
    match news {
        // The session's own status says more.
        recorder::RecorderNotice::Status(_) => {}
        news if news.is_trouble() => {
            notify(ProxyNotice::Trouble { session: Some(session), sentence });
        }
        _ => {
            let begun = news.begun().map(Path::to_owned);
            notify(ProxyNotice::Recorder { session, sentence, begun });
        }
    }
}

/// Who closed the WebSocket and how, which says more than how its connection ended.
fn closed(engine: &Engine) -> Option<String> {
    let close = engine.facts().closes.first()?;
    let who = match close.direction {
        Direction::ClientToServer => "client",
        Direction::ServerToClient => "server",
    };
    let code = close.code.map_or(String::new(), |code| format!(" with {code}"));
    let reason = if close.reason.is_empty() { "" } else { ", " };
    Some(format!("the {who} closed it{code}{reason}{}", close.reason))
}

/// Creates the capture under a name that no file has yet.
fn create(
    captures: &SessionCaptures,
    header: &Header,
    engine: &mut Engine,
) -> anyhow::Result<Recorder> {
    let SessionCaptures { folder, layout, sync } = captures;
    let options = |name: String| RecorderOptions {
        layout: layout.clone(),
        sync: *sync,
        ..RecorderOptions::new(folder.join(name))
    };
    let mut options = match layout {
        // All sessions share one quota, and each incident gets a name of its own.
        FileLayout::Ring(_) => vec![options("incident.lagtape".to_owned())],
        FileLayout::Whole | FileLayout::Parts(_) => {
            let utc = clock::utc_file_name();
            let further = (2..=MAX_NAMES).map(|count| format!("{utc}-{count}.lagtape"));
            let names = std::iter::once(format!("{utc}.lagtape")).chain(further);
            names.map(options).collect()
        }
    };
    let free = options.iter().position(|options| options.check().is_ok()).unwrap_or_default();
    Recorder::create(options.swap_remove(free), clock::random_marker(), header.clone(), engine)
}

fn header_of(opening: SessionOpening, config: Option<String>) -> Header {
    let mut header = Header::new(concat!("lagtape ", env!("CARGO_PKG_VERSION")), opening.at);
    header.start_utc = Some(opening.utc);
    header.url = Some(opening.url);
    header.config = config;
    let impairment =
        opening.impairment.and_then(|impairment| serde_json::to_string(&impairment).ok());
    let known = [
        (RECORDED_BY, Some("proxy".to_owned())),
        ("user_agent", opening.user_agent),
        ("extensions", Some(opening.extensions).filter(|extensions| !extensions.is_empty())),
        ("impairment", impairment),
    ];
    header.metadata =
        known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    header
}

/// The text of the client's first message, if this is one.
fn config_of(message: &Message<'_>) -> Option<String> {
    let text = message.text().filter(|_| message.direction == Direction::ClientToServer)?;
    parse_object(text).ok().map(|_| text.to_owned())
}

fn message_of<'a>(direction: Direction, whole: &Whole<'a>) -> Message<'a> {
    let mut message = Message::new(direction, Opcode::from(whole.opcode), whole.payload);
    message.compressed = whole.is_compressed;
    message.whole_len = (whole.len != whole.payload.len() as u64).then_some(whole.len);
    message
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use super::*;
    use crate::diagnosis::Class;
    use crate::edge::files::open_capture;

    /// An unmasked frame of a message.
    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode, 127];
        frame.extend((payload.len() as u64).to_be_bytes());
        frame.extend(payload);
        frame
    }

    fn opening(user_agent: Option<&str>, extensions: &str) -> SessionOpening {
        SessionOpening {
            session: 1,
            at: Nanos(0),
            utc: String::new(),
            client: ([127, 0, 0, 1], 1).into(),
            url: "ws://pod/".to_owned(),
            user_agent: user_agent.map(str::to_owned),
            extensions: extensions.to_owned(),
            deflate: None,
            impairment: None,
        }
    }

    /// Plays a recorded session and 5 s of silence after it to the observer, which updates every
    /// 10 ms.
    fn play(capture: &str) -> (Vec<ProxyNotice>, u64) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(capture);
        let mut records = open_capture(&path).unwrap();
        let (buffered, _waiting) = oneshot::channel();
        let opening = opening(None, "");
        let said = Mutex::new(Vec::new());
        let notify = |notice| said.lock().unwrap().push(notice);
        let mut session = ObservedSession::new(opening, buffered, None);
        let mut now = Nanos(0);
        while let Some(record) = records.next_record().unwrap() {
            while now < record.t {
                now.0 += 10_000_000;
                session.update(now, &notify);
            }
            if let Body::Message(message) = &record.body {
                let bytes = frame(message.opcode.into(), message.payload);
                bytes
                    .chunks(1448)
                    .for_each(|piece| session.bytes(message.direction, record.t, piece, &notify));
            }
        }
        for _ in 0..500 {
            now.0 += 10_000_000;
            session.update(now, &notify);
        }
        let slices = session.record.engine.facts().slices;
        session.shut(now, RelayEnd::Stopped, &notify);
        (said.into_inner().unwrap(), slices)
    }

    #[test]
    fn lag_is_said_once_when_it_begins_and_once_when_it_ends() {
        let (said, slices) = play("captures/stall.lagtape");
        assert!(slices > 30);
        let lag: Vec<_> = said
            .iter()
            .filter_map(|notice| match notice {
                ProxyNotice::LagBegan { at_s, .. } => Some(("began", (at_s * 10.0).round() / 10.0)),
                ProxyNotice::LagEnded { at_s, .. } => Some(("ended", (at_s * 10.0).round() / 10.0)),
                _ => None,
            })
            .collect();
        assert_eq!(lag, [("began", 2.5), ("ended", 6.4)]);
        let is_lagging = |notice: &&ProxyNotice| {
            matches!(notice, ProxyNotice::Status(SessionStatus { is_lagging: true, .. }))
        };
        assert!(said.iter().filter(is_lagging).count() > 10);
        assert!(matches!(said.last(), Some(ProxyNotice::Closed { episodes: 1, .. })));
    }

    #[test]
    fn the_part_at_fault_is_named_while_it_is() {
        let (said, _) = play("captures/stall.lagtape");
        let named: Vec<(f64, Option<Class>)> = said
            .iter()
            .filter_map(|notice| match notice {
                ProxyNotice::Status(SessionStatus { at_s, finding, .. }) => {
                    Some((*at_s, finding.as_ref().map(|finding| finding.class)))
                }
                _ => None,
            })
            .collect();
        let first = named.iter().find(|(_, class)| class.is_some()).unwrap();
        assert_eq!(first.1, Some(Class::GenerationStall), "{named:?}");
        // Slices stop at 1.9 s.
        assert!((1.9..3.9).contains(&first.0), "{named:?}");
    }

    #[test]
    fn a_healthy_session_is_silent() {
        let (said, slices) = play("captures/healthy.lagtape");
        let rates: Vec<f64> = said
            .iter()
            .filter_map(|notice| match notice {
                ProxyNotice::Status(status) => {
                    assert!(status.params_per_s < 100.0, "{status:?}");
                    Some(status.slices_per_s)
                }
                ProxyNotice::Closed { .. } => None,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(slices > 30 && rates.len() > 20);
        assert!(rates.iter().any(|rate| *rate > 10.0), "{rates:?}");
    }

    #[test]
    fn a_header_says_who_recorded_whom() {
        let known = |user_agent, extensions| {
            let header = header_of(opening(user_agent, extensions), Some("{}".to_owned()));
            assert_eq!(header.config.as_deref(), Some("{}"));
            let pairs = header.metadata.into_iter().map(|(key, value)| format!("{key}={value}"));
            pairs.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(known(None, ""), "recorded_by=proxy");
        assert_eq!(
            known(Some("Firefox/99"), "permessage-deflate"),
            "extensions=permessage-deflate recorded_by=proxy user_agent=Firefox/99"
        );
    }

    #[test]
    fn a_message_says_what_of_it_is_there_and_whether_that_is_compressed() {
        let of = |is_compressed, len| {
            let whole = Whole { opcode: 2, payload: b"abc", len, is_compressed };
            let message = message_of(Direction::ServerToClient, &whole);
            (message.opcode, message.compressed, message.whole_len)
        };
        assert_eq!(of(false, 3), (Opcode::Binary, false, None));
        assert_eq!(of(true, 9), (Opcode::Binary, true, Some(9)));
    }

    #[test]
    fn the_first_close_says_who_why_and_how() {
        let said = |direction, payload: &[u8]| {
            let mut engine = Engine::new(Options::default());
            let message = Message::new(direction, Opcode::Close, payload);
            let (seq, t, body) = (0, Nanos(0), Body::Message(message));
            engine.handle(&Record { seq, t, conn: 0, body });
            closed(&engine).unwrap()
        };
        let (up, down) = (Direction::ClientToServer, Direction::ServerToClient);
        assert_eq!(said(up, b""), "the client closed it");
        assert_eq!(said(down, &[3, 232]), "the server closed it with 1000");
        assert_eq!(said(down, b"\x03\xe9gone"), "the server closed it with 1001, gone");
        assert_eq!(closed(&Engine::new(Options::default())), None);
    }

    #[test]
    fn a_reading_of_the_clocks_is_no_later_than_messages_that_still_wait() {
        const S: u64 = 1_000_000_000;
        let folder = tempfile::tempdir().unwrap();
        let captures = SessionCaptures {
            folder: folder.path().to_owned(),
            layout: FileLayout::Whole,
            sync: recorder::SyncPolicy::None,
        };
        let (buffered, _waiting) = oneshot::channel();
        let mut session = ObservedSession::new(opening(None, ""), buffered, Some(captures));
        session.bytes(Direction::ClientToServer, Nanos(S), &frame(1, b"{}"), &|_| ());
        session.update(Nanos(61 * S), &|_| ());
        session.bytes(Direction::ClientToServer, Nanos(60 * S), &frame(1, b"{}"), &|_| ());
        session.shut(Nanos(62 * S), RelayEnd::Stopped, &|_| ());

        let file = folder.path().read_dir().unwrap().next().unwrap().unwrap().path();
        let mut records = open_capture(&file).unwrap();
        let (mut times, mut readings) = (Vec::new(), Vec::new());
        while let Some(record) = records.next_record().unwrap() {
            times.push(record.t);
            if let Body::Clock(clock) = record.body {
                readings.push(clock.monotonic);
            }
        }
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(readings, [Nanos(0), Nanos(61 * S)]);
    }

    #[test]
    fn what_could_not_be_looked_at_is_said_and_counted() {
        let said = Mutex::new(Vec::new());
        let notify = |notice| said.lock().unwrap().push(notice);
        let (buffered, _waiting) = oneshot::channel();
        let mut session = ObservedSession::new(opening(None, ""), buffered, None);
        let loss = TapLoss { messages: 3, bytes: 40 };
        session.lose(Direction::ServerToClient, Nanos(5), loss, &notify);
        session.bytes(Direction::ServerToClient, Nanos(6), &frame(1, b"{}"), &notify);
        session.lose(Direction::ClientToServer, Nanos(7), loss, &notify);
        let gaps: Vec<_> = session
            .record
            .engine
            .facts()
            .gaps
            .iter()
            .map(|(t, gap)| (t.0, gap.first_seq, gap.count, gap.bytes))
            .collect();
        assert_eq!(gaps, [(5, 1, 3, 40), (7, 6, 3, 40)]);
        let lost = ProxyNotice::Lost { session: 1, messages: 3, bytes: 40 };
        let said = said.lock().unwrap();
        assert_eq!(said.iter().filter(|notice| **notice == lost).count(), 2, "{said:?}");
    }
}
