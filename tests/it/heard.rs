//! What was heard, through the engine and with real messages, against an array of write times that
//! is looked at moment by moment.

use lagtape::capture::{
    Body, CheckpointRow, ClientKind, Direction, Header, Marker, Message, Opcode, Record,
};
use lagtape::engine::{Engine, Options};
use lagtape::heard::HeardReport;
use lagtape::playhead::PlayheadSim;
use lagtape::time::Nanos;
use lagtape::wire::slice::SliceHeader;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestRunner};

use crate::promises::measured;

/// A frame is a millisecond long.
const SAMPLE_RATE: u32 = 1_000;
const MS: u64 = 1_000_000;
/// Rates and times are such that a frame begins at a multiple of this.
const STEP_NS: u64 = MS / 4;
const STALE_NS: u64 = 700 * MS;
const BEGAN: Nanos = Nanos(1_000 * MS);
/// As long as slices may come that were placed for the buffer before a swap.
const SWAPPING_NS: u64 = 1_850 * MS;

#[derive(Clone, Debug)]
enum Event {
    Slice { start: u32, frames: u32, mono: bool },
    Tick,
    Op(Marker),
    Swap { frames: u64 },
}

/// A headless client of a stereo loop, and a copy of its engine that reads checkpoints.
struct Session {
    engine: Engine,
    recalled: Engine,
    seq: u64,
}

impl Session {
    fn new(frames: u64) -> Self {
        let engine = || {
            let stale_threshold_s = STALE_NS as f64 / 1e9;
            Engine::new(Options { stale_threshold_s, ..Options::default() })
        };
        let mut session = Session { engine: engine(), recalled: engine(), seq: 0 };
        let header = Header { client: ClientKind::Headless, ..Header::new("a test", Nanos(0)) };
        let header = Record { seq: 0, t: Nanos(0), conn: 0, body: Body::Header(header) };
        session.recalled.handle(&header);
        session.engine.handle(&header);
        session.text(Nanos(0), Direction::ClientToServer, "{}");
        let ready = r#"{"type":"ready","channels":2,"sample_rate":1000}"#;
        session.text(Nanos(0), Direction::ServerToClient, ready);
        session.binary(BEGAN, &vec![0; 4 * frames as usize]);
        session
    }

    fn record(&mut self, t: Nanos, body: Body<'_>) {
        self.seq += 1;
        self.engine.handle(&Record { seq: self.seq, t, conn: 0, body });
        let what = self.engine.did().clone();
        self.recalled.recall(&CheckpointRow { t, stored_len: 0, what });
    }

    fn text(&mut self, t: Nanos, direction: Direction, text: &str) {
        self.record(t, Body::Message(Message::new(direction, Opcode::Text, text.as_bytes())));
    }

    fn binary(&mut self, t: Nanos, payload: &[u8]) {
        let message = Message::new(Direction::ServerToClient, Opcode::Binary, payload);
        self.record(t, Body::Message(message));
    }

    fn take(&mut self, t: Nanos, event: &Event) {
        match *event {
            Event::Slice { start, frames, mono } => {
                let channels = if mono { 1 } else { 2 };
                let header = SliceHeader { start, frames, channels, ..SliceHeader::default() };
                let audio = vec![0; 2 * frames as usize * usize::from(channels)];
                self.binary(t, &[&header.to_bytes()[..], &audio].concat());
            }
            Event::Tick => {
                let tick = r#"{"type":"params","playback_pos":0}"#;
                self.text(t, Direction::ClientToServer, tick);
            }
            Event::Op(ref marker) => self.record(t, Body::Marker(marker.clone())),
            Event::Swap { frames } => {
                let ready = r#"{"type":"swap_ready","channels":2}"#;
                self.text(t, Direction::ServerToClient, ready);
                self.binary(t, &vec![0; 4 * frames as usize]);
            }
        }
    }

    fn heard(engine: &Engine) -> HeardReport {
        engine.heard_meter().unwrap().report(engine.origin().unwrap())
    }
}

/// Nanoseconds heard: all, stale, raw, of the old track.
type Sums = [u64; 4];

/// When each frame was written, and whether for the present listener; nothing for the source.
struct BruteForce {
    playhead: PlayheadSim,
    writes: Vec<Option<(u64, bool)>>,
    now: u64,
    swapping_until: u64,
    sums: Sums,
}

impl BruteForce {
    fn listen(&mut self, to: u64) {
        let moments = (std::mem::replace(&mut self.now, to)..to).step_by(STEP_NS as usize);
        if self.playhead.paused() || self.playhead.rate() == 0.0 {
            return;
        }
        for from in moments {
            let moment = from + STEP_NS / 2;
            let frame = self.playhead.frame(moment as f64 / 1e9);
            self.sums[0] += STEP_NS;
            match self.writes[frame as usize] {
                None => self.sums[2] += STEP_NS,
                Some((_, false)) => self.sums[3] += STEP_NS,
                Some((at, true)) if moment > at + STALE_NS => self.sums[1] += STEP_NS,
                Some(_) => {}
            }
        }
    }

    fn take(&mut self, at: u64, event: &Event) {
        self.listen(at);
        let now_s = at as f64 / 1e9;
        match event {
            Event::Slice { start, frames, .. } => {
                let loop_frames = self.writes.len() as i64;
                // All frames begin at whole steps; what is missing is rounding.
                let playhead = (self.playhead.position(now_s) + 1e-6) as i64;
                let ahead = (i64::from(*start) - playhead).rem_euclid(loop_frames);
                let lead = if ahead >= (loop_frames + 1) / 2 { ahead - loop_frames } else { ahead };
                let placed = at >= self.swapping_until || (-50..=4_350).contains(&lead);
                let end = (*start as usize + *frames as usize).min(self.writes.len());
                let start = (*start as usize).min(end);
                self.writes[start..end].fill(Some((at, placed)));
            }
            Event::Tick => {}
            Event::Op(marker) => self.playhead.operate(marker, now_s),
            Event::Swap { frames } => {
                self.playhead.reset(*frames, now_s);
                self.writes = vec![None; *frames as usize];
                self.swapping_until = at + SWAPPING_NS;
            }
        }
    }
}

fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    // Some begin past the end of the loop, and many end there.
    let slice = (0_u32..1_000, 0_u32..150, any::<bool>())
        .prop_map(|(start, frames, mono)| Event::Slice { start, frames, mono });
    let rate = prop_oneof![Just(1.0), Just(2.0), Just(0.5), Just(0.0), Just(-1.0)];
    let op = prop_oneof![
        (0_u32..2_000).prop_map(|ms| Marker::Seek { to_s: f64::from(ms) / 1e3 }),
        rate.prop_map(|rate| Marker::Rate { rate }),
        Just(Marker::Pause),
        Just(Marker::Resume),
        Just(Marker::Point { name: "here".to_owned() }),
    ];
    let event = prop_oneof![
        30 => slice,
        30 => Just(Event::Tick),
        4 => op.prop_map(Event::Op),
        1 => (300_u64..900).prop_map(|frames| Event::Swap { frames }),
    ];
    proptest::collection::vec((0_u64..150, event), 1..200)
}

/// Everything that is tried follows from these.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=48;
const CASES: u32 = 25;

/// `LAGTAPE_SEEDS=25..400` tries others.
fn seeds() -> std::ops::RangeInclusive<u64> {
    let Ok(asked) = std::env::var("LAGTAPE_SEEDS") else { return SEEDS };
    let (from, to) = asked.split_once("..").expect("two seeds with .. between them");
    from.parse().unwrap()..=to.parse().unwrap()
}

#[test]
fn heard_by_an_engine_is_what_an_array_of_write_times_says() {
    for seed in seeds() {
        let config = ProptestConfig {
            cases: CASES,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let tried = TestRunner::new(config)
            .run(&(300_u64..900, events()), |(frames, events)| check_heard(frames, &events));
        tried.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        measured(CASES.into(), "sessions, to the nanosecond");
    }
}

fn check_heard(frames: u64, events: &[(u64, Event)]) -> Result<(), TestCaseError> {
    let mut session = Session::new(frames);
    let mut brute_force = BruteForce {
        playhead: PlayheadSim::new(frames, SAMPLE_RATE, BEGAN.seconds()),
        writes: vec![None; frames as usize],
        now: BEGAN.0,
        swapping_until: 0,
        sums: Sums::default(),
    };
    let mut at = BEGAN.0;
    for (step_ms, event) in events.iter().chain([&(50, Event::Tick)]) {
        at += step_ms * MS;
        brute_force.take(at, event);
        session.take(Nanos(at), event);
    }
    let heard = Session::heard(&session.engine);
    let found = [heard.s, heard.stale_s, heard.raw_s, heard.old_track_s];
    // Positions are floats, and a frame may begin a few nanoseconds early or late.
    for (found, expected) in found.iter().zip(brute_force.sums) {
        let off_s = (found - expected as f64 / 1e9).abs();
        prop_assert!(off_s < 1e-4, "{found} is {} off: {heard:?}", off_s);
    }
    prop_assert_eq!(Session::heard(&session.recalled), heard);
    prop_assert_eq!(session.engine.episodes(), session.recalled.episodes());
    Ok(())
}

/// Goes on with slices that land 200 ms ahead of the listener, in both.
fn go_on(session: &mut Session, part: &mut Option<Session>, from_ms: u64, span_ms: u64) {
    for ms in (from_ms..from_ms + span_ms).step_by(50) {
        let start = ((ms + 200 - 1_000) % 4_000) as u32;
        let t = Nanos(ms * MS);
        for event in [Event::Tick, Event::Slice { start, frames: 360, mono: false }] {
            session.take(t, &event);
            if let Some(part) = part {
                part.take(t, &event);
            }
        }
    }
}

/// He was paused at the end of a millisecond, at frame 85, up to rounding. A slice for the buffer
/// before begins 51 frames behind that, where no lead can have put it.
#[test]
fn heard_of_the_old_track_is_what_lands_behind_a_listener_who_stands_at_a_frame() {
    let slice = |start, frames| Event::Slice { start, frames, mono: false };
    let events = [
        (70, slice(134, 22)),
        (103, Event::Tick),
        (93, Event::Swap { frames: 673 }),
        (63, slice(116, 103)),
        (22, Event::Op(Marker::Pause)),
        (144, slice(34, 131)),
        (27, Event::Op(Marker::Resume)),
    ];
    check_heard(300, &events).unwrap();
}

#[test]
fn heard_goes_on_from_a_context_of_an_earlier_version_and_says_that_it_is_coarse() {
    let mut whole = Session::new(4_000);
    go_on(&mut whole, &mut None, 1_000, 6_000);
    let mut context = whole.engine.context();
    let Body::Context(of_now) = &mut context.body else { unreachable!("it is a context") };
    of_now.state.stream.as_mut().unwrap().heard = None;
    let mut part = Session::new(4_000);
    part.engine = Engine::new(Options::default());
    part.seq = context.seq;
    let header = Header { client: ClientKind::Headless, ..Header::new("a part", Nanos(0)) };
    part.engine.handle(&Record { seq: 0, t: Nanos(0), conn: 0, body: Body::Header(header) });
    part.engine.handle(&context);
    assert!(part.engine.ages_are_coarse() && !whole.engine.ages_are_coarse());
    let mut part = Some(part);
    go_on(&mut whole, &mut part, 7_000, 6_000);
    let part = part.unwrap();
    let (heard, of_whole) = (Session::heard(&part.engine), Session::heard(&whole.engine));
    assert_eq!((heard.bad_s, heard.onset_s), (0.0, None));
    assert!((heard.s - 6.0).abs() < 1e-6 && (of_whole.s - 11.95).abs() < 1e-6);
    let writes = |engine: &Engine| {
        let heard = engine.state().stream.unwrap().heard.unwrap();
        heard.meter.writes.iter().map(|(start, write)| (*start, write.at)).collect::<Vec<_>>()
    };
    assert_eq!(writes(&part.engine), writes(&whole.engine), "a lap later nothing is coarse");
}
