//! A session from its first message on, and one that goes on from its context.

use super::*;
use crate::capture::Direction::{ClientToServer as UP, ServerToClient as DOWN};
use crate::capture::Opcode;
use crate::wire::halves::narrow;

const CONFIG: &str = r#"{"prompt":"x"}"#;
const READY: &str = r#"{"type":"ready","channels":1,"sample_rate":48000}"#;
const MS: u64 = 1_000_000;

/// What looks at an engine and the record that it has just handled.
type Watch<'a> = Box<dyn FnMut(&Engine, &Record<'_>) + 'a>;

/// Gives records to an engine, each 10 ms after the one before.
pub(crate) struct Session<'a> {
    pub engine: Engine,
    records: u64,
    /// Looks at the engine after each record.
    watch: Watch<'a>,
}

impl<'a> Session<'a> {
    fn new(options: Options) -> Self {
        Self::watched(options, |_, _| ())
    }

    /// One that somebody watches.
    pub fn watched(options: Options, watch: impl FnMut(&Engine, &Record<'_>) + 'a) -> Self {
        Session { engine: Engine::new(options), records: 0, watch: Box::new(watch) }
    }

    /// One with a buffer of these samples.
    fn streaming(options: Options, buffer: &[f32]) -> Self {
        let mut session = Session::new(options);
        session.begin(buffer);
        session
    }

    /// The handshake, and a buffer of these samples.
    pub fn begin(&mut self, buffer: &[f32]) {
        self.text(UP, CONFIG);
        self.text(DOWN, READY);
        self.buffer(buffer);
    }

    /// When the next record comes.
    pub fn now(&self) -> Nanos {
        Nanos(self.records * 10 * MS)
    }

    pub fn end(self) -> Engine {
        self.engine
    }

    pub fn body(&mut self, body: Body<'_>) {
        let record = Record { seq: self.records, t: self.now(), conn: 0, body };
        self.engine.handle(&record);
        (self.watch)(&self.engine, &record);
        self.records += 1;
    }

    pub fn text(&mut self, direction: Direction, text: &str) {
        self.body(Body::Message(Message::new(direction, Opcode::Text, text.as_bytes())));
    }

    fn binary(&mut self, payload: &[u8]) {
        self.body(Body::Message(Message::new(DOWN, Opcode::Binary, payload)));
    }

    pub fn buffer(&mut self, samples: &[f32]) {
        self.binary(&halves(samples));
    }

    pub fn slice(&mut self, start: u32, samples: &[f32]) {
        let frames = samples.len() as u32;
        let header = SliceHeader { start, frames, channels: 1, ..SliceHeader::default() };
        self.binary(&[&header.to_bytes()[..], &halves(samples)].concat());
    }

    /// A report of the client with further fields.
    pub fn tick(&mut self, position_s: f64, more: &str) {
        let text = format!(r#"{{"type":"params","playback_pos":{position_s}{more}}}"#);
        self.text(UP, &text);
    }
}

fn halves(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|&sample| narrow(sample)).collect()
}

/// The engine of a capture that begins with the context of a session.
fn resumed(session: &Session<'_>, options: Options) -> Engine {
    let mut engine = Engine::new(options);
    engine.handle(&session.engine.context());
    engine
}

#[test]
fn a_context_holds_all_that_follows_from_a_session() {
    let mut session = Session::streaming(Options::default(), &[0.5; 960]);
    session.text(DOWN, r#"{"type":"params_echo","raw":{"steps":4}}"#);
    session.text(DOWN, r#"{"type":"params_update","params":{"steps":8}}"#);
    session.slice(100, &[0.25; 50]);
    session.tick(0.004, "");
    session.text(DOWN, r#"{"type":"swap_ready","channels":1}"#);
    let engine = resumed(&session, Options::default());
    assert_eq!(engine.state(), session.engine.state());
    let facts = engine.facts();
    let SessionState { config, ready_text, .. } = engine.state();
    assert_eq!((config.as_str(), ready_text.as_str()), (CONFIG, READY));
    assert_eq!(facts.last_params_update(), session.engine.facts().last_params_update());
    assert_eq!(facts.last_params_update()["steps"], 8);
    assert_eq!((facts.slice_bytes, facts.resumed), (123, Some(Nanos(70 * MS))));
    assert_eq!(engine.mirror(), session.engine.mirror());
    assert_eq!(engine.interpreter().pending().len(), 1);
}

#[test]
fn a_context_holds_why_a_session_was_refused() {
    let mut session = Session::new(Options::default());
    session.text(UP, CONFIG);
    session.text(DOWN, r#"{"type":"error","code":"busy","message":"full"}"#);
    let engine = resumed(&session, Options::default());
    let why = Some((Some("busy".to_owned()), Some("full".to_owned())));
    assert_eq!(session.engine.facts().refusal, why);
    assert_eq!(engine.facts().refusal, why);
    assert_eq!(engine.state().config, CONFIG);
}

#[test]
fn a_swap_brings_audio_of_its_own() {
    let mut session = Session::streaming(Options::default(), &[0.5; 960]);
    session.text(DOWN, r#"{"type":"swap_ready","channels":1}"#);
    session.buffer(&[0.25; 480]);
    assert_eq!(session.engine.mirror().unwrap().samples(), [0.25; 480]);
    let epochs: Vec<_> = session.engine.epochs().iter().map(|epoch| epoch.frames).collect();
    assert_eq!(epochs, [960, 480]);
}

#[test]
fn the_leads_that_a_client_reports_are_kept_up_to_a_bound() {
    let leads = |tracker_bound| {
        let options = Options { tracker_bound, ..Options::default() };
        let mut session = Session::streaming(options, &[0.5; 960]);
        session.tick(0.0, r#","slice_lead_s":0.5"#);
        session.tick(0.01, "");
        session.tick(0.015, r#","slice_lead_s":-0.25"#);
        session.engine.epochs()[0].client_leads.iter().copied().collect::<Vec<_>>()
    };
    let all = [(Nanos(30 * MS), 0.5), (Nanos(50 * MS), -0.25)];
    assert_eq!(leads(None), all);
    assert_eq!(leads(Some(2)), all);
    assert_eq!(leads(Some(1)), all[1..]);
}

/// A session with a hole in its capture, behind which a context stands; `meanwhile` is in the hole.
fn with_a_hole(meanwhile: impl FnOnce(&mut Session<'_>)) -> Engine {
    let options = Options { heard: Some(None), ..Options::default() };
    let mut whole = Session::streaming(options.clone(), &[0.5; 960]);
    let mut seen = Session::streaming(options, &[0.5; 960]);
    for session in [&mut whole, &mut seen] {
        session.tick(0.0, "");
        session.tick(0.005, "");
    }
    meanwhile(&mut whole);
    seen.engine.handle(&whole.engine.context());
    seen.engine
}

#[test]
fn behind_a_hole_a_session_goes_on_with_its_epoch_or_another() {
    let engine = with_a_hole(|whole| whole.tick(0.01, ""));
    let epochs = engine.epochs();
    assert_eq!(epochs.len(), 1);
    assert_eq!(epochs[0].tracker.ticks().len(), 2, "those before the hole");
    assert_eq!(engine.heard().unwrap().frames(), 240, "what was heard before it");

    let engine = with_a_hole(|whole| {
        whole.text(DOWN, r#"{"type":"swap_ready","channels":1}"#);
        whole.buffer(&[0.25; 480]);
    });
    let epochs: Vec<_> =
        engine.epochs().iter().map(|epoch| (epoch.frames, epoch.began, epoch.ended)).collect();
    let swapped = Nanos(60 * MS);
    assert_eq!(epochs, [(960, Nanos(20 * MS), Some(swapped)), (480, swapped, None)]);
}

#[test]
fn messages_are_counted_by_their_sorts() {
    let mut session = Session::streaming(Options::default(), &[0.5; 960]);
    session.slice(0, &[0.25; 10]);
    session.tick(0.0, "");
    session.body(Body::Message(Message::new(DOWN, Opcode::Ping, b"")));
    let counts = |way: &Traffic| (way.messages, way.text, way.binary, way.control);
    let [up, down] = &session.engine.facts().traffic;
    assert_eq!((counts(up), counts(down)), ((2, 2, 0, 0), (4, 1, 2, 1)));
}

#[test]
fn nobody_is_known_to_listen_who_never_says_where() {
    let doubts = |tick: bool| {
        let mut session = Session::new(Options::default());
        session.body(Body::Header(Header::new("test", Nanos(0))));
        session.begin(&[0.5; 960]);
        if tick {
            session.tick(0.0, "");
        }
        session.engine.doubts().listener.unwrap_or_default()
    };
    assert!(doubts(false).contains("never reported where it listens"));
    assert!(!doubts(true).contains("never reported where it listens"));
}
