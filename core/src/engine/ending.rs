//! How a session ended, and which of the client's reports are missing.
//!
//! [`EndWatch`] takes what the engine sees; [`EndWatch::ending`] weighs it. What weighs more comes
//! first: the server's refusal, the death of its pipeline, a close frame that is no goodbye, a lost
//! connection, a side that fell silent, a goodbye, and last the recorder that stopped.

use serde::Serialize;
use serde_json::Value;

use super::gaps::{ReportGap, ReportWatch};
use super::whose::ClientHabit;
use crate::capture::{
    Body, ConnectionBreak, Direction, End, Message, Opcode, Party, Record, UnderWay,
};
use crate::event::{self, Event};
use crate::time::Nanos;
use crate::wire::message::{ServerText, kind_of, server_text};

/// A side is silent after this long without a message, in seconds. Every server at work says
/// something 10 times a second, every client reports 10 times or more; the longest that a healthy
/// one is kept from it is about 3 s (a blocked client, a pipeline that is built anew).
pub const SILENT_AFTER_S: f64 = 5.0;

/// A page is taken for gone after this long without a message, in seconds: while it is paused it only
/// answers the server's pings, which come every 20 s, and the answer takes a round trip.
pub const PAGE_SILENT_AFTER_S: f64 = 21.0;

/// An `error` event that came no longer than this before a close is the reason for it, in seconds.
const ERROR_BEFORE_CLOSE_S: f64 = 2.0;

/// The code of an `error` event that says that the server generates no more.
const PIPELINE_ERROR: &str = "pipeline_error";

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EndKind {
    /// It goes on, or nothing is known of its end: the capture breaks off, or the report is of a
    /// moment before.
    Open,
    /// Whoever recorded stopped, and the session was alive.
    RecorderStopped,
    /// The client said goodbye: 1000, 1001, or a close without a code.
    ClientClosed,
    /// The server said goodbye.
    ServerClosed,
    /// The server refused the session, by an `error` or by closing with 1008.
    Refused,
    /// The server could not begin the session: 1011 before its initial buffer.
    InitError,
    /// The server's pipeline died: `error` with `pipeline_error`.
    PipelineError,
    /// Another session took the server over: 4001.
    Preempted,
    /// Pings were not answered in time: 1011 that says so.
    Keepalive,
    /// Closed with any other code.
    CloseError,
    /// The connection was lost without a close: 1006.
    Cut,
    /// The client fell silent while the server went on: it is gone, and its socket is not.
    HalfOpen,
    /// The server fell silent, neither idle nor closed, while the client went on.
    ServerSilent,
    /// The client reports no more but its socket lives, or it stood still: a paused player, or a
    /// page that is asleep.
    ClientSilent,
}

impl EndKind {
    /// Whether a session should not end like this.
    #[must_use]
    pub fn is_abnormal(self) -> bool {
        !matches!(
            self,
            EndKind::Open
                | EndKind::RecorderStopped
                | EndKind::ClientClosed
                | EndKind::ServerClosed
                | EndKind::ClientSilent
        )
    }

    /// Whether it follows from what did not come. Checkpoints do not know every message, so that only
    /// all records can tell.
    #[must_use]
    pub fn is_silence(self) -> bool {
        matches!(self, EndKind::HalfOpen | EndKind::ServerSilent | EndKind::ClientSilent)
    }
}

/// How a session ended, and what is missing of the client's reports.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionEnd {
    pub kind: EndKind,
    /// Who ended it; `None` where that is unknown, or nobody did.
    pub by: Option<Party>,
    /// The close code; 1006 of a lost connection.
    pub code: Option<u16>,
    /// What was said about it, by the other side or by the recorder; may be empty.
    pub reason: String,
    /// When: of a side that fell silent, its last message.
    pub t: Nanos,
    /// How long the side was silent, in seconds; 0 of all other kinds.
    pub silent_s: f64,
    /// Messages that did not come to their end.
    pub under_way: Vec<UnderWay>,
}

/// A close frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Close {
    /// When it came or went.
    pub t: Nanos,
    pub direction: Direction,
    /// Status code of RFC 6455; none in an empty close frame.
    pub code: Option<u16>,
    pub reason: String,
}

/// Everything that the end of a session follows from.
#[derive(Debug, Clone, Default)]
pub struct EndWatch {
    /// Times of the last message of the client and of the server.
    last: [Option<Nanos>; 2],
    /// The server's first ping that the client has not answered.
    pinged: Option<Nanos>,
    refusal: Option<(Nanos, String)>,
    error: Option<SessionError>,
    /// When a slice or a buffer came last.
    audio: Option<Nanos>,
    /// The first close frame.
    close: Option<Close>,
    broken: Option<(Nanos, ConnectionBreak)>,
    end: Option<(Nanos, End)>,
    pub(super) reports: ReportWatch,
}

#[derive(Debug, Clone)]
struct SessionError {
    t: Nanos,
    is_fatal: bool,
    sentence: String,
}

/// What the stream says at the moment of the question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamAtEnd {
    pub streams: bool,
    pub is_paused: bool,
    /// What the client's silence means.
    pub habit: ClientHabit,
    /// The server has nothing to do, since nothing was changed for a while.
    pub is_idle: bool,
    /// A whole buffer was announced and has not come: the server may be sending it.
    pub awaits_buffer: bool,
}

impl EndWatch {
    /// Takes a record; messages come through [`EndWatch::message`] too.
    pub fn record(&mut self, record: &Record<'_>) {
        match &record.body {
            Body::Break(broken) => self.broken = Some((record.t, broken.clone())),
            Body::End(end) => self.end = Some((record.t, end.clone())),
            Body::Gap(_) => self.reports.doubt(),
            _ => {}
        }
    }

    /// Takes a message that was not lost while it was sent.
    pub fn message(&mut self, t: Nanos, message: &Message<'_>) {
        self.spoke(t, message.direction);
        match (message.opcode, message.direction) {
            (Opcode::Ping, Direction::ServerToClient) => {
                self.pinged.get_or_insert(t);
            }
            (Opcode::Pong, Direction::ClientToServer) => self.pinged = None,
            _ => {}
        }
    }

    /// Takes a record that is interpreted no further, of a session that streams or not yet.
    pub fn recall(&mut self, record: &Record<'_>, streams: bool) {
        if !matches!(record.body, Body::Gap(_)) {
            self.record(record);
        }
        let Body::Message(message) = &record.body else { return };
        if message.failed {
            return;
        }
        self.message(record.t, message);
        if message.opcode == Opcode::Close
            && let Event::Close { code, reason } = event::close(message.payload)
        {
            let direction = message.direction;
            self.closed(&Close { t: record.t, direction, code, reason });
        }
        if message.direction == Direction::ServerToClient
            && let Some(text) = message.text().filter(|text| text.contains("\"error\""))
            && let Ok(ServerText::Event(object)) = server_text(text)
            && kind_of(&object.fields) == Some("error")
        {
            let text = |key: &str| object.fields.get(key).and_then(Value::as_str);
            match streams {
                true => self.error(record.t, text("code"), text("message")),
                false => self.refused(record.t, text("code"), text("message")),
            }
        }
    }

    /// Notes that a side lives.
    pub fn spoke(&mut self, t: Nanos, direction: Direction) {
        let last = &mut self.last[usize::from(direction == Direction::ServerToClient)];
        *last = (*last).max(Some(t));
    }

    /// The server accepted a session; what came before belongs to another try.
    pub fn ready(&mut self) {
        *self = EndWatch { last: self.last, pinged: self.pinged, ..EndWatch::default() };
    }

    /// The server answered `error` instead.
    pub fn refused(&mut self, t: Nanos, code: Option<&str>, message: Option<&str>) {
        self.refusal = Some((t, joined(code, message)));
    }

    /// An `error` event within a session. Most are about one command and end nothing.
    pub fn error(&mut self, t: Nanos, code: Option<&str>, message: Option<&str>) {
        let is_fatal = code == Some(PIPELINE_ERROR);
        if is_fatal || !self.error.as_ref().is_some_and(|error| error.is_fatal) {
            self.error = Some(SessionError { t, is_fatal, sentence: joined(code, message) });
        }
    }

    /// A slice, or a buffer.
    pub fn audio(&mut self, t: Nanos) {
        self.spoke(t, Direction::ServerToClient);
        self.audio = self.audio.max(Some(t));
    }

    /// A close frame; only the first says why, the other side answers it with one of its own.
    pub fn closed(&mut self, close: &Close) {
        self.close.get_or_insert_with(|| close.clone());
    }

    /// The gaps in the client's reports.
    #[must_use]
    pub fn gaps(&self) -> &[ReportGap] {
        self.reports.gaps()
    }

    /// How many gaps there were, kept or not.
    #[must_use]
    pub fn gaps_total(&self) -> u64 {
        self.reports.total()
    }

    /// How the session ended, or stands at `at`.
    #[must_use]
    pub fn ending(&self, at: Nanos, stream: StreamAtEnd) -> SessionEnd {
        let under_way = self.broken.as_ref().map(|(_, broken)| broken.under_way.clone());
        let mut ending = self
            .failure(stream)
            .or_else(|| self.loss())
            .or_else(|| self.silence(at, stream))
            .or_else(|| self.goodbye())
            .unwrap_or_else(|| self.stop(at));
        ending.under_way = under_way.unwrap_or_default();
        ending
    }

    /// What the server or a close frame says went wrong.
    fn failure(&self, stream: StreamAtEnd) -> Option<SessionEnd> {
        let code = self.close.as_ref().and_then(|close| close.code);
        if let Some((t, reason)) = &self.refusal {
            let kind =
                if reason.starts_with("init") { EndKind::InitError } else { EndKind::Refused };
            return Some(end(kind, Some(Party::Server), code, reason, *t));
        }
        if let Some(error) = self.error.as_ref().filter(|error| error.is_fatal)
            && self.audio.is_none_or(|audio| audio <= error.t)
        {
            let reason = &error.sentence;
            return Some(end(EndKind::PipelineError, Some(Party::Server), code, reason, error.t));
        }
        let close = self.close.as_ref().filter(|close| !close.is_goodbye())?;
        let by = Some(Party::from(close.direction));
        let kind = match (close.code, close.direction) {
            (Some(4001), Direction::ServerToClient) => EndKind::Preempted,
            (Some(1008), Direction::ServerToClient) => EndKind::Refused,
            (Some(1011), _) if close.reason.contains("keepalive") => EndKind::Keepalive,
            (Some(1011), Direction::ServerToClient) if !stream.streams => EndKind::InitError,
            _ => EndKind::CloseError,
        };
        Some(end(kind, by, close.code, self.reason_of(close), close.t))
    }

    /// A connection that was lost without a close frame.
    fn loss(&self) -> Option<SessionEnd> {
        // A recording client says goodbye to a connection that is lost already; any other close has
        // been weighed before.
        let vain =
            |close: &Close, t: Nanos| close.direction == Direction::ClientToServer && t <= close.t;
        let is_explained = |t| self.close.as_ref().is_some_and(|close| !vain(close, t));
        let cut = |by, reason: &str, t| Some(end(EndKind::Cut, by, Some(1006), reason, t));
        if let Some((t, broken)) = &self.broken {
            return (broken.by != Some(Party::Recorder) && !is_explained(*t))
                .then(|| cut(broken.by, &broken.reason, *t))
                .flatten();
        }
        // Captures without a break record say it in the reason of their end.
        let (t, reason) =
            self.end.as_ref().and_then(|(t, end)| Some((*t, end.reason.as_ref()?)))?;
        let by = match reason {
            reason if reason.contains("server broke it off") => Some(Party::Server),
            reason if reason.contains("client broke it off") => Some(Party::Client),
            reason if reason.contains("(1006)") || reason.starts_with("cut, as") => None,
            _ => return None,
        };
        if self.close.as_ref().is_some_and(|close| !vain(close, Nanos(0))) {
            return None;
        }
        cut(by, reason, t)
    }

    /// A side that has said nothing for too long before the end.
    fn silence(&self, at: Nanos, stream: StreamAtEnd) -> Option<SessionEnd> {
        let [up, down] = self.last;
        let (up, down) = (up?, down?);
        let at = self.close.as_ref().map_or(at, |close| close.t.max(up.min(down)));
        let silent_s = |last: Nanos| at.seconds_since(last);
        let is_silent = |last: Nanos| silent_s(last) >= SILENT_AFTER_S;
        if !stream.streams {
            return None;
        }
        let of = |kind, by, t| {
            let ending = end(kind, Some(by), None, "", t);
            Some(SessionEnd { silent_s: silent_s(t), ..ending })
        };
        let server_is_silent = is_silent(down) && !stream.is_idle && !stream.awaits_buffer;
        // A client that does not report any more acknowledges nothing, and may be paused: the server sends
        // what it may and waits.
        let went_on = self.reports.last().unwrap_or(up);
        if server_is_silent && down <= went_on {
            return of(EndKind::ServerSilent, Party::Server, down);
        }
        if is_silent(up) && self.is_gone(at, up, stream) {
            return of(EndKind::HalfOpen, Party::Client, up);
        }
        let report = self.reports.last().filter(|last| is_silent(*last))?;
        of(EndKind::ClientSilent, Party::Client, report).filter(|_| self.close.is_none())
    }

    /// Whether a client that is silent since `up` has to be taken for gone.
    fn is_gone(&self, at: Nanos, up: Nanos, stream: StreamAtEnd) -> bool {
        let silent_s = at.seconds_since(up);
        let owes_pong = self.pinged.is_some_and(|ping| at.seconds_since(ping) >= SILENT_AFTER_S);
        match stream.habit {
            ClientHabit::Recording => false,
            _ if owes_pong => true,
            _ if stream.is_paused => false,
            ClientHabit::Page => silent_s >= PAGE_SILENT_AFTER_S,
            ClientHabit::Reporting => silent_s >= SILENT_AFTER_S,
        }
    }

    fn goodbye(&self) -> Option<SessionEnd> {
        let close = self.close.as_ref()?;
        let kind = match close.direction {
            Direction::ClientToServer => EndKind::ClientClosed,
            Direction::ServerToClient => EndKind::ServerClosed,
        };
        let by = Some(Party::from(close.direction));
        Some(end(kind, by, close.code, self.reason_of(close), close.t))
    }

    fn stop(&self, at: Nanos) -> SessionEnd {
        match &self.end {
            Some((t, said)) => {
                let reason = said.reason.as_deref().unwrap_or_default();
                end(EndKind::RecorderStopped, Some(Party::Recorder), None, reason, *t)
            }
            None => end(EndKind::Open, None, None, "", at),
        }
    }

    /// What the close frame says, or else the error just before it.
    fn reason_of<'a>(&'a self, close: &'a Close) -> &'a str {
        let before = self.error.as_ref().filter(|error| {
            let since_s = close.t.seconds_since(error.t);
            close.reason.is_empty() && (0.0..=ERROR_BEFORE_CLOSE_S).contains(&since_s)
        });
        before.map_or(&close.reason, |error| &error.sentence)
    }
}

impl Close {
    /// Whether the close says goodbye and no more.
    #[must_use]
    pub fn is_goodbye(&self) -> bool {
        matches!(self.code, None | Some(1000 | 1001 | 1005))
    }
}

fn end(kind: EndKind, by: Option<Party>, code: Option<u16>, reason: &str, t: Nanos) -> SessionEnd {
    SessionEnd {
        kind,
        by,
        code,
        reason: reason.to_owned(),
        t,
        silent_s: 0.0,
        under_way: Vec::new(),
    }
}

fn joined(code: Option<&str>, message: Option<&str>) -> String {
    let parts = [code, message].into_iter().flatten().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(": ")
}
