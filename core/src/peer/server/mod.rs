//! The simulated server: the whole protocol as a state machine for one client.
//!
//! [`Server::poll`] returns each message once its time has come. A driver that cannot send does not
//! poll; slices then wait and grow old, as they do behind a full socket. Nothing that a client sends
//! can make the server panic or grow without bounds.

mod bleed;
mod commands;
mod conditioning;
mod config;
mod contract;
mod events;
mod facts;
mod faults;
mod handshake;
mod intake;
mod knobs;
mod library;
mod loras;
mod music;
mod outbox;
mod pcm;
mod profile;
mod revision;
mod session;
mod source;
mod tape;
mod telemetry;
mod uploads;

use serde_json::{Map, Value};

use crate::family::Family;
use crate::peer::Outgoing;
use crate::peer::generator::GeneratorOptions;
use crate::peer::policy::Policy;
use crate::peer::rng::{Rng, Stream};
use crate::time::Nanos;
use crate::wire::json::parse_object;
use crate::wire::message::kind_of;

use handshake::Handshake;
use intake::{Injected, Report, Taken};
use outbox::{Entry, Outbox};
use session::{Session, send_stems};

pub use faults::{
    Behind, BelowRealTime, Bursts, Deaf, EarlyEnding, InjectedRefusal, Paging, ServerFaults,
    SessionEnding, Slow,
};
pub use knobs::knob_manifest;
pub use library::{LibraryFull, TrackLibrary, UserTrack};
pub use loras::lora_document;
pub use music::Music;
pub use pcm::{MAX_CHANNELS, Pcm, PcmError, to_halves};
pub use profile::{ServedModel, ServerProfile, server_profile};
pub use source::{
    BUILT_IN, ServerSource, TooLong, fixture_aliases, fixture_audio, fixture_names, is_fixture,
};

/// What a server is like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerOptions {
    pub seed: u64,
    /// What is played when the client brings nothing.
    pub source: ServerSource,
    pub policy: Policy,
    /// How fast the model is.
    pub generator: GeneratorOptions,
    pub faults: ServerFaults,
    /// How many sessions there were before: each gets an id of its own.
    pub session: u64,
    pub library: TrackLibrary,
    /// The family of a client that asks for none.
    pub family: Family,
    /// Waits for PCM although a client asks for a session of text alone, as in June 2026.
    pub needs_pcm: bool,
}

/// What comes from the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Incoming<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// The answer to a ping.
    Pong,
    /// The connection is gone.
    Closed,
}

/// Slices that were made and not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// Because too many bytes were on their way.
    pub in_flight: u64,
    /// Because they waited too long.
    pub old: u64,
}

/// One connection's server.
pub struct Server {
    options: ServerOptions,
    session_id: String,
    phase: Phase,
    outbox: Outbox,
    uploaded: Option<UserTrack>,
}

enum Phase {
    Greeting(Box<Handshake>),
    Live(Box<Session>),
    /// The last messages go out.
    Ending,
    Closed,
}

impl Server {
    /// A server to which a client has just connected.
    #[must_use]
    pub fn new(options: ServerOptions, _now: Nanos) -> Self {
        let mut names = Rng::new(options.seed, Stream::Names);
        let session_id = (0..=options.session)
            .map(|_| session_id(&mut names))
            .last()
            .expect("there is a first session");
        let phase = Phase::Greeting(Box::default());
        Self { options, session_id, phase, outbox: Outbox::default(), uploaded: None }
    }

    /// What the session is called.
    #[must_use]
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// A message came.
    pub fn receive(&mut self, now: Nanos, message: Incoming<'_>) {
        self.advance(now);
        match &mut self.phase {
            _ if message == Incoming::Closed => self.phase = Phase::Closed,
            Phase::Live(session) if message == Incoming::Pong => session.pong(now),
            _ if message == Incoming::Pong => {}
            Phase::Greeting(handshake) => {
                let names = (&self.options, self.session_id.as_str());
                let going = handshake.receive(now, message, names, &mut self.outbox);
                self.uploaded = handshake.uploaded.take();
                if going.is_break() {
                    self.phase = Phase::Ending;
                }
            }
            Phase::Live(session) => session.receive(now, taken(message)),
            Phase::Ending | Phase::Closed => {}
        }
    }

    /// The next message to send now; to be asked until there is none.
    pub fn poll(&mut self, now: Nanos) -> Option<Outgoing> {
        self.advance(now);
        if matches!(self.phase, Phase::Closed) {
            return None;
        }
        if let Phase::Live(session) = &mut self.phase
            && self.outbox.is_empty()
        {
            session.start(now);
        }
        while let Some(entry) = self.outbox.pop(now) {
            match (entry, &mut self.phase) {
                (Entry::Message(message), _) => {
                    if matches!(message, Outgoing::Close { .. }) {
                        self.phase = Phase::Closed;
                    }
                    return Some(message);
                }
                (Entry::Slice(slice), Phase::Live(session)) => {
                    if let Some(message) = session.encode(now, &slice, self.outbox.slices()) {
                        self.outbox.text_first(now, slice.update);
                        return Some(Outgoing::Binary(message));
                    }
                }
                (Entry::Slice(_), _) => {}
            }
        }
        None
    }

    /// When to poll again if nothing comes in. A moment that has passed means that a message waits.
    #[must_use]
    pub fn wake_at(&self) -> Option<Nanos> {
        let due = match &self.phase {
            Phase::Greeting(handshake) => handshake.wake_at(),
            Phase::Live(session) => session.wake_at(),
            Phase::Ending => None,
            Phase::Closed => return None,
        };
        [due, self.outbox.wake_at()].into_iter().flatten().min()
    }

    /// Another session takes the server: the connection is closed with 4001.
    pub fn preempt(&mut self, now: Nanos) {
        self.advance(now);
        if !matches!(self.phase, Phase::Closed) {
            self.outbox.take();
            self.outbox.close(now, 4001, "preempted by another session");
            self.phase = Phase::Ending;
        }
    }

    /// Gives the session a command from elsewhere, with the binary that it announces: what the side
    /// bus of the real server does. Nothing happens before the session is live.
    pub fn inject(&mut self, now: Nanos, command: Map<String, Value>, binary: Vec<u8>) {
        self.advance(now);
        if let Phase::Live(session) = &mut self.phase {
            session.receive(now, Taken::Injected(Box::new(Injected { command, binary })));
        }
    }

    /// What the side bus of the real server tells of a session that is live.
    #[must_use]
    pub fn snapshot(&self) -> Option<Map<String, Value>> {
        match &self.phase {
            Phase::Live(session) => Some(session.snapshot(&self.session_id)),
            _ => None,
        }
    }

    /// The fixture that the client asked for and that is not there. The server now waits for audio,
    /// as the real one does.
    #[must_use]
    pub fn unknown_fixture(&self) -> Option<&str> {
        match &self.phase {
            Phase::Greeting(handshake) => handshake.unknown_fixture.as_deref(),
            _ => None,
        }
    }

    /// The track that this connection has uploaded, once.
    pub fn take_uploaded(&mut self) -> Option<UserTrack> {
        self.uploaded.take()
    }

    /// Sends the stems of a track that was uploaded meanwhile, which the client did not ask for.
    pub fn send_stems(&mut self, now: Nanos, track: &UserTrack) {
        self.advance(now);
        if let Phase::Live(session) = &self.phase
            && session.has("stems")
        {
            send_stems(now, &track.name, "", &track.pcm, &mut self.outbox);
        }
    }

    /// Turns knobs from elsewhere, as the side bus of the real server does: the client hears of
    /// them in a `params_echo` and turns them by sending them back.
    pub fn echo_params(&mut self, now: Nanos, raw: Map<String, Value>) {
        self.advance(now);
        if let Phase::Live(session) = &mut self.phase {
            session.echo_params(now, raw, &mut self.outbox);
        }
    }

    /// Whether slices are being made: after `ready`, and until a close is due.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    /// Whether the connection is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Slices made and not sent so far.
    #[must_use]
    pub fn shed(&self) -> Shed {
        match &self.phase {
            Phase::Live(session) => session.shed,
            _ => Shed::default(),
        }
    }

    /// When the transport lead was at its greatest, and how long it was, in seconds: the truth about a lead
    /// that a stray report throws up.
    #[must_use]
    pub fn greatest_transport_lead(&self) -> (Nanos, f64) {
        match &self.phase {
            Phase::Live(session) => session.greatest_transport_lead(),
            _ => (Nanos(0), 0.0),
        }
    }

    fn advance(&mut self, now: Nanos) {
        if let Phase::Greeting(handshake) = &mut self.phase
            && let Some(start) = handshake.due(now)
        {
            let (at, outbox) = (start.at, &mut self.outbox);
            let session = Session::begin(&self.options, start, &self.session_id, at, outbox);
            self.phase = Phase::Live(Box::new(session));
        }
        if let Phase::Live(session) = &mut self.phase {
            session.run(now, &mut self.outbox);
        }
    }
}

/// The policy of a server that a client asked, in its config, to pace slices differently.
#[must_use]
pub fn policy_asked_for(config: &Map<String, Value>, policy: &Policy) -> Policy {
    config::Config::of(config, Family::Acestep).apply(policy)
}

/// What a live session takes in.
fn taken(message: Incoming<'_>) -> Taken {
    match message {
        Incoming::Text(text) => match parse_object(text) {
            Ok(object) if kind_of(&object.fields) == Some("params") => {
                Taken::Report(Box::new(Report::of(object.fields)))
            }
            Ok(object) => Taken::Command(object.fields),
            Err(_) => Taken::Junk,
        },
        Incoming::Binary(bytes) => Taken::Binary(bytes.to_vec()),
        Incoming::Pong | Incoming::Closed => Taken::Junk,
    }
}

/// Eight letters and digits, as the real server names its sessions.
fn session_id(rng: &mut Rng) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..8).map(|_| char::from(LETTERS[(rng.next_u64() % 62) as usize])).collect()
}

/// That many seconds later; never earlier, and never past the end of the clock.
pub(super) fn after(now: Nanos, span_s: f64) -> Nanos {
    Nanos(now.0.saturating_add((span_s.max(0.0) * 1e9).round() as u64))
}

#[cfg(test)]
mod family_tests;
#[cfg(test)]
mod tests;
