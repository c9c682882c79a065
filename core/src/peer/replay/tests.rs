//! Replays on a virtual clock.

use serde_json::{Map, Value, json};

use super::*;
use crate::capture::{Body, Direction, Message, Opcode, Record};
use crate::peer::Outgoing;
use crate::peer::server::Incoming;
use crate::time::Nanos;

const MS: u64 = 1_000_000;

/// A recording: milliseconds, way and payload; a payload in braces is text, any other binary.
type Line = (u64, &'static str);

/// A session with a slow start; its buffer comes at 100 ms.
const OPENING: [Line; 3] =
    [(0, r#">{"prompt":"x"}"#), (60, r#"<{"type":"ready","channels":1}"#), (100, "<buffer!")];

fn parts(script: &[Line]) -> Vec<TapePart> {
    let mut tape = Tape::new(0);
    let read = |(seq, &(ms, line)): (usize, &Line)| {
        let (way, payload) = line.split_at(1);
        let direction =
            if way == "<" { Direction::ServerToClient } else { Direction::ClientToServer };
        let opcode = match payload {
            "close" => Opcode::Close,
            _ if payload.starts_with('{') => Opcode::Text,
            _ => Opcode::Binary,
        };
        let payload = if payload == "close" { b"\x0f\xa1bye" } else { payload.as_bytes() };
        let body = Body::Message(Message::new(direction, opcode, payload));
        tape.read(&Record { seq: seq as u64, t: Nanos(ms * MS), conn: 0, body })
    };
    script.iter().enumerate().flat_map(read).collect()
}

fn options() -> ReplayOptions {
    ReplayOptions {
        timing: Timing::Recorded { rate: 1.0 },
        causal: false,
        unasked: true,
        origin: Nanos(100 * MS),
        began: Nanos(100 * MS),
        unknown: Vec::new(),
        start_at: None,
        until: None,
        looped: false,
        ready: Map::new(),
        is_plain: false,
    }
}

/// What is done to a replay.
#[derive(Clone, Copy)]
enum Act {
    Says(&'static str),
    Does(Control),
    /// Asks for nothing until that many milliseconds later.
    Blocks(u64),
}

struct Stage {
    tape: Vec<TapePart>,
    server: ReplayServer,
    sent: Vec<String>,
    now: u64,
}

impl Stage {
    fn new(script: &[Line], options: ReplayOptions) -> Stage {
        let tape = parts(&[&OPENING[..], script].concat());
        Stage { tape, server: ReplayServer::new(options), sent: Vec::new(), now: 0 }
    }

    /// Plays to `until` ms; the config comes at 1000 ms.
    fn play(mut self, acts: &[(u64, Act)], until: u64) -> Stage {
        let config = (1000, Act::Says(r#"{"prompt":"x"}"#));
        let mut acts = [&[config], acts].concat().into_iter().peekable();
        loop {
            self.bring();
            while let Some((_, act)) = acts.next_if(|(at, _)| *at <= self.now) {
                self.act(act);
            }
            self.send();
            while self.server.wants() == Wanted::Rewind {
                self.bring();
                self.send();
            }
            let wake = self.server.wake_at().map(|at| at.0.div_ceil(MS));
            let act = acts.peek().map(|(at, _)| *at);
            let next = [wake, act].into_iter().flatten().min();
            match next.map(|next| next.max(self.now + 1)) {
                Some(next) if next <= until => self.now = next,
                _ => break,
            }
        }
        self.now = until;
        self
    }

    fn bring(&mut self) {
        if self.server.wants() == Wanted::Rewind {
            self.server.rewound();
        }
        if self.server.wants() == Wanted::Parts {
            self.tape.iter().for_each(|part| self.server.offer(part.clone()));
            self.server.end_of_tape();
        }
    }

    fn act(&mut self, act: Act) {
        let now = Nanos(self.now * MS);
        match act {
            Act::Says(text) if text.starts_with('{') => {
                self.server.receive(now, Incoming::Text(text));
            }
            Act::Says(bytes) => self.server.receive(now, Incoming::Binary(bytes.as_bytes())),
            Act::Does(control) => self.server.control(now, control),
            Act::Blocks(ms) => self.now += ms,
        }
    }

    fn send(&mut self) {
        while let Some(message) = self.server.poll(Nanos(self.now * MS)) {
            let what = match message {
                Outgoing::Text(text) => {
                    let fields: Value = serde_json::from_str(&text).unwrap();
                    fields["type"].as_str().unwrap().to_owned()
                }
                Outgoing::Binary(bytes) => String::from_utf8(bytes).unwrap(),
                Outgoing::Close { code, .. } => format!("close {code}"),
                other => panic!("a recording says no {other:?}"),
            };
            self.sent.push(format!("{} {what}", self.now));
        }
    }

    fn divergence(&self) -> Divergence {
        self.server.divergence(Nanos(self.now * MS))
    }
}

#[track_caller]
fn check(
    script: &[Line],
    options: ReplayOptions,
    acts: &[(u64, Act)],
    expected: &[&str],
) -> Divergence {
    let stage = Stage::new(script, options).play(acts, 20_000);
    assert_eq!(stage.sent, expected);
    stage.divergence()
}

const SLICES: [Line; 3] = [(200, "<s1"), (300, "<s2"), (400, "<s3")];

#[test]
fn the_recorded_distances_are_kept() {
    let sent = ["1060 ready", "1100 buffer!", "1200 s1", "1300 s2", "1400 s3", "1400 close 1000"];
    let divergence = check(&SLICES, options(), &[], &sent);
    assert!(divergence.same && divergence.whole, "{divergence:?}");
    assert_eq!(divergence.time.achieved_rate, Some(1.0));
    assert_eq!(divergence.played_s, 0.3);

    let slow = ReplayOptions { timing: Timing::Recorded { rate: 0.5 }, ..options() };
    let sent = ["1120 ready", "1200 buffer!", "1400 s1", "1600 s2", "1800 s3", "1800 close 1000"];
    assert_eq!(check(&SLICES, slow, &[], &sent).time.achieved_rate, Some(0.5));

    let max = ReplayOptions { timing: Timing::Max, ..options() };
    let sent = ["1000 ready", "1000 buffer!", "1000 s1", "1000 s2", "1000 s3", "1000 close 1000"];
    check(&SLICES, max, &[], &sent);
}

#[test]
fn the_recorded_close_is_the_close() {
    let sent = ["1060 ready", "1100 buffer!", "1200 s1", "1250 close 4001"];
    check(&[(200, "<s1"), (250, "<close"), (300, "<s2")], options(), &[], &sent);
}

#[test]
fn a_part_of_it() {
    let from = ReplayOptions { start_at: Some(Nanos(250 * MS)), ..options() };
    let sent = ["1000 ready", "1000 buffer!", "1000 s1", "1050 s2", "1150 s3", "1150 close 1000"];
    check(&SLICES, from, &[], &sent);
    let to = ReplayOptions { until: Some(Nanos(250 * MS)), ..options() };
    check(&SLICES, to, &[], &["1060 ready", "1100 buffer!", "1200 s1", "1200 close 1000"]);
}

#[test]
fn what_lies_before_a_middle_is_not_waited_for() {
    let sent = ["1060 ready", "1100 buffer!", "1200 s1", "1300 s2", "1400 s3", "1400 close 1000"];
    for start_ms in [10, 50] {
        let start_at = Some(Nanos(start_ms * MS));
        let middle = ReplayOptions { origin: Nanos(0), start_at, ..options() };
        let divergence = check(&SLICES, middle, &[], &sent);
        assert_eq!((divergence.from_s, divergence.played_s), (0.1, 0.3));
    }
}

#[test]
fn a_loop_begins_again_with_a_swap() {
    let ready = json!({"type": "ready", "channels": 1, "session_id": "x"});
    let looped = ReplayOptions {
        looped: true,
        until: Some(Nanos(350 * MS)),
        ready: ready.as_object().unwrap().clone(),
        ..options()
    };
    let stage = Stage::new(&SLICES, looped).play(&[], 1650);
    let first = ["1060 ready", "1100 buffer!", "1200 s1", "1300 s2"];
    let second = ["1300 swap_ready", "1300 buffer!", "1400 s1", "1500 s2"];
    let third = ["1500 swap_ready", "1500 buffer!", "1600 s1"];
    assert_eq!(stage.sent, [&first[..], &second, &third].concat());
    assert_eq!(stage.divergence().rounds, 2);
}

#[test]
fn one_clock_owns_pause_rate_and_jumps() {
    let acts = [(1150, Act::Does(Control::Pause)), (1650, Act::Does(Control::Resume))];
    let sent = ["1060 ready", "1100 buffer!", "1700 s1", "1800 s2", "1900 s3", "1900 close 1000"];
    let divergence = check(&SLICES, options(), &acts, &sent);
    assert_eq!(divergence.time.paused_s, 0.5);
    assert_eq!(divergence.time.achieved_rate, Some(1.0));

    let prompt = r#"{"type":"prompt","tags":"a"}"#;
    let asked = [
        (150, r#">{"type":"prompt","tags":"a"}"#),
        (160, r#"<{"type":"prompt_applied"}"#),
        (400, "<s1"),
    ];
    let acts = [
        (1180, Act::Does(Control::Pause)),
        (1190, Act::Says(prompt)),
        (1500, Act::Does(Control::Resume)),
    ];
    let causal = ReplayOptions { causal: true, ..options() };
    let sent = ["1060 ready", "1100 buffer!", "1500 prompt_applied", "1720 s1", "1720 close 1000"];
    check(&asked, causal, &acts, &sent);

    let acts = [(1200, Act::Does(Control::Rate(2.0)))];
    let sent = ["1060 ready", "1100 buffer!", "1200 s1", "1250 s2", "1300 s3", "1300 close 1000"];
    check(&SLICES, options(), &acts, &sent);

    let acts = [(1150, Act::Does(Control::Jump(0.25)))];
    let sent = ["1060 ready", "1100 buffer!", "1150 s1", "1150 s2", "1200 s3", "1200 close 1000"];
    check(&SLICES, options(), &acts, &sent);

    let acts = [(1350, Act::Does(Control::Jump(0.15)))];
    let before = ["1060 ready", "1100 buffer!", "1200 s1", "1300 s2"];
    let after =
        ["1350 swap_ready", "1350 buffer!", "1350 s1", "1400 s2", "1500 s3", "1500 close 1000"];
    check(&SLICES, options(), &acts, &[&before[..], &after].concat());
}

#[test]
fn who_does_not_keep_up_slows_everything() {
    // A hiccup is caught up.
    let acts = [(1150, Act::Blocks(90))];
    let sent = ["1060 ready", "1100 buffer!", "1240 s1", "1300 s2", "1400 s3", "1400 close 1000"];
    assert_eq!(check(&SLICES, options(), &acts, &sent).time.slowed_s, 0.0);
    // More than the clock allows moves everything that follows.
    let acts = [(1150, Act::Blocks(350))];
    let sent = ["1060 ready", "1100 buffer!", "1500 s1", "1500 s2", "1600 s3", "1600 close 1000"];
    let time = check(&SLICES, options(), &acts, &sent).time;
    assert_eq!((time.slowed_s, time.late_max_ms), (0.2, 300.0));
    assert_eq!(time.achieved_rate, Some(0.6296));
}

#[test]
fn causal_replies_wait_for_their_causes() {
    let script = [
        (150, r#">{"type":"prompt","tags":"a"}"#),
        (170, r#"<{"type":"prompt_applied"}"#),
        (200, "<s1"),
        (210, r#">{"type":"swap_source","use_server_source":true}"#),
        (250, r#"<{"type":"swap_ready","channels":1}"#),
        (260, "<swapped!"),
        (300, "<s2"),
    ];
    let causal = || ReplayOptions { causal: true, ..options() };
    let prompt = Act::Says(r#"{"type":"prompt","tags":"a"}"#);
    let swap = Act::Says(r#"{"type":"swap_source","use_server_source":true}"#);
    let opening = ["1060 ready", "1100 buffer!"];

    // As recorded, nobody waits, whatever the client does.
    let sent = ["1170 prompt_applied", "1200 s1", "1250 swap_ready", "1260 swapped!", "1300 s2"];
    let all = [&opening[..], &sent, &["1300 close 1000"]].concat();
    let divergence = check(&script, options(), &[], &all);
    assert_eq!(divergence.first_difference.unwrap().what, "prompt");

    // The prompt's reply waits alone, the swap holds the tape; both keep their distance.
    let acts = [(1400, prompt), (1900, swap)];
    let sent = ["1200 s1", "1420 prompt_applied", "1940 swap_ready", "1950 swapped!", "1990 s2"];
    let all = [&opening[..], &sent, &["1990 close 1000"]].concat();
    let divergence = check(&script, causal(), &acts, &all);
    assert!(divergence.same, "{divergence:?}");
    assert_eq!((divergence.time.waited_s, divergence.time.slowed_s), (0.69, 0.0));
    assert_eq!(divergence.actions.most_apart_s, 0.69);

    // Early is not too early.
    let acts = [(1010, prompt), (1020, swap)];
    let sent = ["1170 prompt_applied", "1200 s1", "1250 swap_ready", "1260 swapped!", "1300 s2"];
    let all = [&opening[..], &sent, &["1300 close 1000"]].concat();
    check(&script, causal(), &acts, &all);

    // What never comes is told.
    let divergence = check(&script, causal(), &[], &["1060 ready", "1100 buffer!", "1200 s1"]);
    assert_eq!(divergence.unanswered, ["prompt", "swap_source"]);
    assert!(!divergence.whole);
}

#[test]
fn a_causal_start_waits_for_the_audio() {
    let script = [
        (0, r#">{"prompt":"x"}"#),
        (10, ">pcm"),
        (60, r#"<{"type":"ready","channels":1}"#),
        (100, "<buffer!"),
    ];
    let causal = ReplayOptions { causal: true, ..options() };
    let mut stage = Stage::new(&[], causal);
    stage.tape = parts(&script);
    let stage = stage.play(&[(1500, Act::Says("pcm"))], 20_000);
    assert_eq!(stage.sent, ["1550 ready", "1590 buffer!", "1590 close 1000"]);
    assert!(stage.divergence().same);
}

#[test]
fn positions_are_held_against_the_recorded_ones() {
    let buffer = "<0123456789012345678901234567890123456789";
    let opening =
        [OPENING[0], (60, r#"<{"type":"ready","channels":1,"sample_rate":20}"#), (100, buffer)];
    let script = [
        (200, r#">{"type":"params","raw":{},"playback_pos":0.1}"#),
        (300, r#">{"type":"params","raw":{"a":1},"playback_pos":0.2}"#),
        (900, "<s1"),
    ];
    let mut stage = Stage::new(&[], options());
    stage.tape = parts(&[&opening[..], &script].concat());
    let tick = |at, text| (at, Act::Says(text));
    let acts = [
        tick(1200, r#"{"type":"params","raw":{},"playback_pos":0.1}"#),
        tick(1250, r#"{"type":"params","raw":{},"playback_pos":0.15}"#),
        tick(1300, r#"{"type":"params","raw":{"a":2},"playback_pos":0.0}"#),
        tick(1400, r#"{"type":"params","raw":{"a":2},"playback_pos":0.4}"#),
    ];
    let divergence = stage.play(&acts, 20_000).divergence();
    assert_eq!((divergence.ticks.recorded, divergence.ticks.live), (2, 4));
    let position = divergence.position.unwrap();
    // A loop of one second at 20 frames a second: positions are known to 50 ms.
    assert!((position.first_s - 0.0).abs() < 0.051, "{position:?}");
    assert!((position.most_s + 0.15).abs() < 0.051, "{position:?}");
    assert!((position.last_s - 0.1).abs() < 0.051, "{position:?}");
    let difference = divergence.first_difference.unwrap();
    assert_eq!(
        (difference.what.as_str(), difference.live.as_deref()),
        ("knobs", Some(r#"{"a":2}"#))
    );
}

const REPORT: &str = r#"{"type":"params","playback_pos":0.05}"#;

#[test]
fn the_tape_waits_for_the_clients_first_report() {
    let script = [
        (120, "<early"),
        (150, r#">{"type":"params","playback_pos":0.05}"#),
        (200, "<slice"),
        (250, r#">{"type":"params","playback_pos":0.15}"#),
        (300, "<next"),
    ];
    let started = ["1060 ready", "1100 buffer!", "1120 early"];
    let silent = Stage::new(&script, options()).play(&[], 60_000);
    assert_eq!(silent.sent, started);
    assert_eq!(silent.server.held_for(), Some("first report"));
    let late = Stage::new(&script, options()).play(&[(5_000, Act::Says(REPORT))], 5_200);
    assert_eq!(late.sent, [&started[..], &["5050 slice", "5150 next", "5150 close 1000"]].concat());
    let time = late.divergence().time;
    assert_eq!((time.waited_s, time.slowed_s), (3.85, 0.0));
    // One that comes in time delays nothing, and a replay at once waits for none.
    let early = Stage::new(&script, options()).play(&[(1_130, Act::Says(REPORT))], 2_000);
    assert_eq!(early.sent[3..], ["1200 slice", "1300 next", "1300 close 1000"]);
    let max = ReplayOptions { timing: Timing::Max, ..options() };
    assert_eq!(Stage::new(&script, max).play(&[], 2_000).sent.len(), 6);
}

#[test]
fn a_swap_waits_for_a_client_that_has_to_ask_for_it() {
    let ask = r#"{"type":"swap_source","use_server_source":true}"#;
    let script = [
        (200, r#">{"type":"swap_source","use_server_source":true}"#),
        (260, r#"<{"type":"swap_ready"}"#),
        (280, "<other!!"),
        (400, "<slice"),
    ];
    let asks = ReplayOptions { unasked: false, ..options() };
    let held = Stage::new(&script, asks.clone()).play(&[], 60_000);
    assert_eq!((held.sent.len(), held.server.held_for()), (2, Some("swap_source")));
    let asked = Stage::new(&script, asks).play(&[(5_000, Act::Says(ask))], 6_000);
    assert_eq!(asked.sent[2..5], ["5060 swap_ready", "5080 other!!", "5200 slice"]);
    let unasked = Stage::new(&script, options()).play(&[], 6_000);
    assert_eq!(unasked.sent[2..5], ["1260 swap_ready", "1280 other!!", "1400 slice"]);
    // A swap that nobody asked for comes when it came.
    let by_itself = ReplayOptions { unasked: false, ..options() };
    let by_itself = Stage::new(&script[1..], by_itself).play(&[], 6_000);
    assert_eq!(by_itself.sent[2..5], ["1260 swap_ready", "1280 other!!", "1400 slice"]);
}

#[test]
fn a_playhead_strays_when_it_stays_apart() {
    let strays = |reports, apart| {
        Drift { first_s: 0.0, last_s: 0.0, most_s: 3.0, reports, apart }.has_strayed()
    };
    assert!(!strays(1, 1) && !strays(100, 0) && !strays(100, 5));
    assert!(strays(100, 6) && strays(2, 2));
}
