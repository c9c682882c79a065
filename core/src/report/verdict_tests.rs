//! The verdict over whole sessions: healthy look-alikes, and the bounds beyond which they are lag.
//!
//! A session has 1,000 frames a second, so that a frame is a millisecond, and a headless client. Its
//! slices are 360 frames long, one each 50 ms; what is heard after the last of them is old from its end
//! on, and fresh again where the first that comes after begins.

use super::data::Analysis;
use super::description::CaptureDescription;
use crate::capture::{Body, ClientKind, Direction, Header, Marker, Message, Opcode, Record};
use crate::engine::{Engine, Options};
use crate::heard::{HeardEpisode, LagKind};
use crate::lag::ReportArgs;
use crate::time::Nanos;
use crate::verdict::Verdict;
use crate::wire::slice::SliceHeader;

/// The lead of a sound server.
const SOUND_MS: i64 = 200;

pub(super) struct Session {
    pub engine: Engine,
    seq: u64,
    pub now_ms: u64,
    loop_ms: u64,
    window_ms: u32,
}

impl Session {
    /// A session whose loop is this long, at the moment of its initial buffer.
    pub fn new(loop_ms: u64) -> Session {
        let options = Options { headers_only: true, ..Options::default() };
        let engine = Engine::new(options);
        let mut session = Session { engine, seq: 0, now_ms: 0, loop_ms, window_ms: 360 };
        let client = ClientKind::Headless;
        session.see(Body::Header(Header { client, ..Header::new("a test", Nanos(0)) }));
        session.text(Direction::ClientToServer, "{}");
        let ready = r#"{"type":"ready","sample_rate":1000,"channels":1}"#;
        session.text(Direction::ServerToClient, ready);
        session.buffer(loop_ms);
        session
    }

    pub fn see(&mut self, body: Body<'_>) {
        let t = Nanos(self.now_ms * 1_000_000);
        self.engine.handle(&Record { seq: self.seq, t, conn: 0, body });
        self.seq += 1;
    }

    pub fn text(&mut self, direction: Direction, text: &str) {
        self.see(Body::Message(Message::new(direction, Opcode::Text, text.as_bytes())));
    }

    fn binary(&mut self, bytes: &[u8]) {
        let direction = Direction::ServerToClient;
        self.see(Body::Message(Message::new(direction, Opcode::Binary, bytes)));
    }

    fn buffer(&mut self, loop_ms: u64) {
        self.loop_ms = loop_ms;
        self.binary(&vec![0; loop_ms as usize * 2]);
    }

    pub fn slice(&mut self, start: u64, frames: u64) {
        let header = SliceHeader {
            flags: 1,
            start: start as u32,
            frames: frames as u32,
            channels: 1,
            tick_ms: 40.0,
            dec_ms: 7.0,
            generations: 1,
        };
        self.binary(&header.to_bytes());
    }

    /// Goes on for so long with a report each 25 ms, and each 50 ms a slice of this lead, if any.
    pub fn run(mut self, span_ms: u64, lead_ms: Option<i64>) -> Session {
        for step in 0..span_ms / 25 {
            self.now_ms += 25;
            let playhead = self.engine.playhead_frame(Nanos(self.now_ms * 1_000_000)).unwrap();
            if let Some(lead_ms) = lead_ms.filter(|_| step % 2 == 0) {
                let start = (playhead as i64 + lead_ms).rem_euclid(self.loop_ms as i64) as u64;
                // What does not fit in front of the loop's end is a slice of its own.
                let fits = u64::from(self.window_ms).min(self.loop_ms - start);
                self.slice(start, fits);
                if fits < u64::from(self.window_ms) {
                    self.slice(0, u64::from(self.window_ms) - fits);
                }
            }
            let position_s = playhead as f64 / 1e3;
            let tick = format!(r#"{{"type":"params","playback_pos":{position_s}}}"#);
            self.text(Direction::ClientToServer, &tick);
        }
        self
    }

    pub fn sound(self, span_ms: u64) -> Session {
        self.run(span_ms, Some(SOUND_MS))
    }

    pub fn silent(self, span_ms: u64) -> Session {
        self.run(span_ms, None)
    }

    fn window(self, window_ms: u32) -> Session {
        Session { window_ms, ..self }
    }

    pub fn op(mut self, op: Marker) -> Session {
        self.see(Body::Marker(op));
        self
    }

    fn seek(self, to_s: f64) -> Session {
        self.op(Marker::Seek { to_s })
    }

    pub fn swap(mut self, loop_ms: u64) -> Session {
        self.text(Direction::ServerToClient, r#"{"type":"swap_ready","channels":1}"#);
        self.buffer(loop_ms);
        self
    }

    fn command(mut self) -> Session {
        self.text(Direction::ClientToServer, r#"{"type":"set_depth","value":3}"#);
        self
    }

    fn verdict(&self) -> Verdict {
        let about = CaptureDescription::live("a test".to_owned(), Nanos(self.now_ms * 1_000_000));
        Analysis::of(&self.engine, about, &ReportArgs::default()).verdict
    }

    /// The verdict's episodes as kind, beginning and end in ms.
    #[track_caller]
    fn check(self, expected: &[(&str, u64, u64)]) {
        let verdict = self.verdict();
        let found: Vec<_> = verdict.episodes.iter().map(brief).collect();
        // A playhead that lies a rounding error before a frame is in the one before.
        let is_near = |a: u64, b: u64| a.abs_diff(b) <= 1;
        let is_same = |(a, b): (&(&str, u64, u64), &(&str, u64, u64))| {
            a.0 == b.0 && is_near(a.1, b.1) && is_near(a.2, b.2)
        };
        let same = found.iter().zip(expected).filter(|pair| is_same(*pair)).count();
        assert!(same == found.len().max(expected.len()), "{found:?} and not {expected:?}");
        assert!(verdict.known);
        assert_eq!(verdict.lag, Some(!expected.is_empty()));
        assert_eq!(verdict.reasons.is_empty(), expected.is_empty());
    }
}

fn brief(episode: &HeardEpisode) -> (&'static str, u64, u64) {
    let kind = match episode.what {
        LagKind::Stale(_) => "stale",
        LagKind::Raw(_) => "raw",
        LagKind::OldTrack(_) => "old_track",
        LagKind::PastFrontier(_) => "past_frontier",
        LagKind::Hole(_) => "hole",
        LagKind::Behind { .. } => "behind",
    };
    let ms = |s: f64| (s * 1e3).round() as u64;
    (kind, ms(episode.from_s), ms(episode.to_s))
}

#[track_caller]
fn check_current(session: &Session, expected: Option<&str>) {
    let current = session.engine.current_episode();
    assert_eq!(current.as_ref().map(|episode| brief(episode).0), expected);
}

#[test]
fn what_is_wrong_now() {
    let mut session = Session::new(8_000).sound(10_000);
    check_current(&session, None);
    session = session.silent(600);
    check_current(&session, None);
    session = session.silent(100);
    check_current(&session, Some("stale"));
    session = session.sound(400);
    check_current(&session, None);
    session = session.run(1_000, Some(-300));
    check_current(&session, None);
    session = session.run(100, Some(-300));
    check_current(&session, Some("behind"));
    session = session.run(500, Some(50));
    check_current(&session, None);
}

#[test]
fn old_audio_is_lag_until_it_is_fresh_again() {
    Session::new(8_000)
        .sound(10_000)
        .silent(3_000)
        .sound(2_000)
        .check(&[("stale", 10_535, 13_225)]);
    // Once round a loop, which is older than 3 s where that is longer, …
    Session::new(2_850)
        .sound(10_000)
        .silent(2_000)
        .sound(2_000)
        .check(&[("stale", 10_535, 12_225)]);
    // … and where it is shorter, not.
    Session::new(2_700).sound(10_000).silent(2_000).sound(2_000).check(&[]);
}

#[test]
fn holes_are_lag_from_a_length_on() {
    // Slices 500 ms apart leave what their window does not cover.
    let hole = |window_ms| {
        let session = Session::new(8_000).window(window_ms).sound(10_000).silent(450);
        session.sound(2_000)
    };
    hole(350).check(&[("stale", 10_525, 10_675)]);
    let short = hole(351);
    let verdict = short.verdict();
    assert_eq!((verdict.lag, verdict.onset_s), (Some(false), None));
    assert!((verdict.bad_s - 0.149).abs() < 1e-9, "it is counted: {}", verdict.bad_s);
    short.check(&[]);
}

#[test]
fn spells_close_together_are_one() {
    let spells = |between_ms| {
        Session::new(8_000).sound(10_000).silent(1_000).sound(between_ms).silent(1_000).sound(1_000)
    };
    spells(150).check(&[("stale", 10_535, 12_375)]);
    spells(200).check(&[("stale", 10_535, 11_225), ("stale", 11_735, 12_425)]);
}

#[test]
fn slices_behind_are_lag_when_it_lasts() {
    let behind = |span_ms, lead_ms| {
        Session::new(8_000).sound(10_000).run(span_ms, Some(lead_ms)).run(1_000, Some(50))
    };
    behind(1_100, -300).check(&[("behind", 10_025, 11_075)]);
    behind(1_050, -300).check(&[("behind", 10_025, 11_025)]);
    behind(1_000, -300).check(&[]);
    behind(3_000, -50).check(&[]);
    behind(3_000, -51).check(&[("behind", 10_025, 12_975)]);
    // Slices that reach past the listener serve him.
    let long = |window_ms| {
        let session = Session::new(8_000).sound(10_000).window(window_ms);
        session.run(2_000, Some(-300)).run(1_000, Some(50))
    };
    long(609).check(&[("behind", 10_025, 11_975)]);
    long(610).check(&[]);
}

#[test]
fn a_paused_player_hears_nothing() {
    let paused = || Session::new(8_000).sound(10_000).op(Marker::Pause).run(5_000, Some(-2_000));
    paused().op(Marker::Resume).silent(1_500).sound(2_000).check(&[]);
    // What outlasts the transient of the resume counts from its end on.
    paused().op(Marker::Resume).silent(2_000).sound(1_000).check(&[("stale", 16_850, 17_225)]);
    let stopped = || Session::new(8_000).sound(10_000).op(Marker::Rate { rate: 0.0 });
    stopped().silent(5_000).op(Marker::Rate { rate: 1.0 }).silent(1_500).sound(1_000).check(&[]);
}

#[test]
fn slices_behind_before_and_after_a_pause_or_a_seek_are_two_spells() {
    let one_behind = |session: Session| session.run(50, Some(-100));
    let before = || one_behind(Session::new(8_000).sound(10_000));
    one_behind(before().op(Marker::Pause).silent(5_000).op(Marker::Resume).sound(2_000))
        .sound(1_000)
        .check(&[]);
    one_behind(before().seek(5.0).sound(2_000)).sound(1_000).check(&[]);
}

#[test]
fn transients_of_a_seek_are_healthy_and_what_outlasts_them_is_not() {
    let sought = || Session::new(8_000).sound(10_000).seek(5.0);
    sought().silent(1_500).sound(2_000).check(&[]);
    sought().run(1_500, Some(-3_000)).sound(2_000).check(&[]);
    sought().silent(2_000).sound(2_000).check(&[("stale", 11_850, 12_225)]);
}

#[test]
fn transients_of_a_swap_are_healthy_and_what_outlasts_them_is_not() {
    let swapped = || Session::new(8_000).sound(10_000).swap(12_000);
    swapped().silent(1_500).sound(2_000).check(&[]);
    swapped().silent(2_000).sound(2_000).check(&[("raw", 11_850, 12_225)]);
    // Slices for the buffer before, which land far away and are heard when the listener comes there.
    let bleeding = |lead_ms| {
        let session = swapped().run(1_500, Some(lead_ms)).sound(4_000);
        session.silent(2_000).sound(1_000)
    };
    bleeding(6_000).check(&[("old_track", 16_035, 17_725)]);
}

#[test]
fn a_start_may_take_its_time() {
    Session::new(8_000).silent(1_800).sound(3_000).check(&[]);
    // A first slice that is late: all counts but the first second.
    Session::new(8_000).silent(1_875).sound(3_000).check(&[("raw", 1_000, 2_100)]);
    // One in time, and none after it.
    let begun = || Session::new(8_000).sound(50);
    begun().silent(2_000).sound(2_000).check(&[]);
    begun().silent(3_000).sound(2_000).check(&[("raw", 2_500, 3_275)]);
    // No slice at all: it is late once it is.
    Session::new(8_000).silent(1_825).check(&[]);
    Session::new(8_000).silent(3_000).check(&[("raw", 1_000, 3_000)]);
}

#[test]
fn an_idle_server_is_healthy_and_one_that_stopped_at_another_time_is_not() {
    let stops = |after_ms| Session::new(4_000).sound(after_ms).silent(10_000);
    stops(24_000).check(&[]);
    stops(30_000).check(&[("stale", 30_535, 40_000)]);
    stops(12_000).check(&[("stale", 12_535, 22_000)]);
    stops(22_000).check(&[("stale", 22_535, 32_000)]);
    stops(22_050).check(&[]);
    stops(26_000).check(&[]);
    stops(26_050).check(&[("stale", 26_585, 36_050)]);
    // A change counts from when it came.
    Session::new(4_000).sound(6_000).command().sound(24_000).silent(10_000).check(&[]);
}

#[test]
fn an_idle_server_wakes_after_a_change() {
    let woken = || Session::new(4_000).sound(24_000).silent(10_000).command();
    // The first slices land far ahead, and old audio is heard until then.
    woken().silent(1_000).run(1_500, Some(1_350)).sound(2_000).check(&[]);
    woken().silent(4_000).check(&[("stale", 36_000, 38_000)]);
}

#[test]
fn the_reasons_and_sums_are_those_of_the_episodes() {
    let session = Session::new(8_000)
        .silent(1_900)
        .sound(8_100)
        .silent(1_000)
        .sound(2_000)
        .run(1_200, Some(-300))
        .run(1_000, Some(50));
    let verdict = session.verdict();
    assert_eq!(verdict.reasons, ["stale_ticks", "raw_audio", "slices_behind"]);
    assert_eq!(verdict.onset_s, Some(1.0));
    let heard_s: f64 = verdict.episodes.iter().map(|episode| episode.bad_s).sum();
    let short_s = 0.04;
    assert!((verdict.bad_s - heard_s - short_s).abs() < 1e-6, "{verdict:?}");
    let covered_s: f64 = verdict.episodes.iter().map(|it| it.to_s - it.from_s).sum();
    assert!((verdict.lag_s - covered_s).abs() < 1e-6, "{verdict:?}");
    let nothing = Session::new(8_000).sound(3_000).verdict();
    assert_eq!((nothing.bad_s, nothing.lag_s, nothing.onset_s), (0.0, 0.0, None));
}

#[test]
fn times_and_audio_that_tell_nothing_give_no_verdict() {
    let back = |ms: u64| {
        let mut session = Session::new(8_000).sound(3_000).silent(3_000);
        session.now_ms -= ms + 25;
        session.sound(50).verdict()
    };
    assert!(back(50).is_lag(), "two senders may be so far apart");
    let verdict = back(51);
    assert_eq!((verdict.lag, verdict.known, verdict.is_lag()), (None, false, false));
    assert!(verdict.why.is_some_and(|why| why.contains("run backwards")));
    assert!(verdict.episodes.is_empty() && verdict.reasons.is_empty());

    // One empty message of a hundred is damage; more are audio that was left out.
    let empty = |of: usize| {
        let mut session = Session::new(8_000).sound(50 * (of as u64 - 2));
        session.binary(&[]);
        session.verdict().known
    };
    assert!(empty(100) && !empty(99));
    let empty_buffer = Session::new(8_000).sound(10_000).swap(0).verdict();
    assert!(empty_buffer.why.is_some_and(|why| why.contains("buffer is empty")));
}
