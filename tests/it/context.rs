//! Contexts: a capture that begins in the middle says what the whole one says from there on.

use lagtape::capture::{Body, Record, Records, SessionState, StreamState, SyncMarker, Writer};
use lagtape::engine::{Engine, Options};
use lagtape::lag::{SliceRecord, TickRecord};
use lagtape::playhead::PlayheadSource;
use lagtape::time::Nanos;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::simulated::simulated_bytes;

/// A capture that is read again and again.
struct Tape {
    bytes: Vec<u8>,
}

impl Tape {
    fn each(&self, mut see: impl FnMut(usize, &Record<'_>)) {
        let mut records = Records::new(&self.bytes[..]);
        let mut number = 0;
        while let Some(record) = records.next_record().unwrap() {
            see(number, &record);
            number += 1;
        }
    }

    fn header(&self) -> Record<'static> {
        let mut header = None;
        self.each(|_, record| {
            if let Body::Header(found) = &record.body {
                header = Some(Record { body: Body::Header(found.clone()), ..*record });
            }
        });
        header.unwrap()
    }

    fn len(&self) -> usize {
        let mut len = 0;
        self.each(|_, _| len += 1);
        len
    }
}

/// A session of every trouble that changes the state: seeks, pauses, rates, a late server.
fn tape(incident: &str, seed: u64) -> Tape {
    Tape { bytes: simulated_bytes(incident, seed, 9) }
}

/// What is looked at after every record.
#[derive(Debug, PartialEq)]
struct Look {
    /// Depends on the playhead, and a context knows the default one.
    state: Option<SessionState>,
    playhead: Option<u64>,
    slice: Option<SliceRecord>,
    tick: Option<TickRecord>,
    slices: u64,
    ticks: u64,
}

fn look(engine: &Engine, t: Nanos) -> Look {
    let tracker = engine.epochs().last().map(|epoch| &epoch.tracker);
    Look {
        state: Some(engine.state()),
        playhead: engine.playhead_frame(t),
        slice: tracker.and_then(|tracker| tracker.slices().next_back().copied()),
        tick: tracker.and_then(|tracker| tracker.ticks().next_back().copied()),
        slices: engine.facts().slices,
        ticks: engine.facts().ticks,
    }
}

/// Cuts after record `at` and compares the rest with the whole, record by record.
#[track_caller]
fn check(tape: &Tape, at: usize, options: &Options) {
    let mut whole = Engine::new(options.clone());
    // A recorder knows nothing of how its capture will be asked.
    let mut recorder = Engine::new(Options { audio_crc: true, ..Options::default() });
    let mut part = None;
    let mut compared = 0;
    tape.each(|number, record| {
        whole.handle(record);
        recorder.handle(record);
        match &mut part {
            None if number == at => {
                let mut engine = Engine::new(options.clone());
                beginning(&tape.header(), &recorder.context())
                    .each(|_, record| engine.handle(record));
                part = Some((engine, whole.facts().slices, whole.facts().ticks));
            }
            None => {}
            Some((part, slices, ticks)) => {
                part.handle(record);
                let mut expected = look(&whole, record.t);
                expected.slices -= *slices;
                expected.ticks -= *ticks;
                // A part remembers only what it has seen itself.
                if expected.slices == 0 {
                    expected.slice = None;
                }
                if expected.ticks == 0 {
                    expected.tick = None;
                }
                let mut actual = look(part, record.t);
                if options.playhead.is_some() {
                    (expected.state, actual.state) = (None, None);
                }
                assert_eq!(actual, expected, "record {number} after a cut at {at}");
                assert!(part.mirror() == whole.mirror(), "record {number} after a cut at {at}");
                compared += 1;
            }
        }
    });
    assert_eq!(compared, tape.len() - 1 - at);
    let (part, ..) = part.unwrap();
    let oddities = part.facts().oddities.iter().map(|oddity| oddity.kind).collect::<Vec<_>>();
    assert_eq!(oddities, [], "a cut is not odd");
}

/// The beginning of a part.
fn beginning(header: &Record<'_>, context: &Record<'_>) -> Tape {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(SyncMarker(*b"contexts"));
    writer.begin(&mut bytes);
    writer.write(header, &mut bytes);
    writer.write(context, &mut bytes);
    Tape { bytes }
}

#[test]
fn a_part_goes_on_as_the_whole_did() {
    let simulated = Options { audio_crc: true, ..Options::default() };
    let reported =
        Options { playhead: Some(PlayheadSource::Reported), audio_crc: true, ..Options::default() };
    let headers = Options { headers_only: true, ..Options::default() };
    for (incident, seed) in [("seek-lead-runaway", 1), ("stall", 2), ("healthy", 3)] {
        let tape = tape(incident, seed);
        let len = tape.len();
        for at in [0, 1, 2, 3, 4, 5, len / 3, len / 2, len - 3] {
            check(&tape, at, &simulated);
        }
        check(&tape, len / 2, &reported);
        check(&tape, len / 4, &headers);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        rng_seed: RngSeed::Fixed(41),
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn wherever_it_is_cut(at in any::<proptest::sample::Index>(), seed in 0_u64..4) {
        let tape = tape("behind", seed);
        check(&tape, at.index(tape.len() - 1), &Options { audio_crc: true, ..Options::default() });
    }
}

#[test]
fn parts_in_their_order_are_the_whole() {
    let tape = tape("stall", 5);
    let (mut whole, mut parts) = (Engine::new(Options::default()), Engine::new(Options::default()));
    let cut = tape.len() / 2;
    tape.each(|number, record| {
        whole.handle(record);
        parts.handle(record);
        if number == cut {
            beginning(&tape.header(), &whole.context()).each(|_, record| parts.handle(record));
        }
    });
    assert_eq!(look(&whole, Nanos(0)), look(&parts, Nanos(0)));
    assert_eq!(format!("{:?}", whole.facts()), format!("{:?}", parts.facts()));
}

#[test]
fn a_hostile_context_is_an_event() {
    let tape = tape("healthy", 1);
    let mut engine = Engine::new(Options::default());
    tape.each(|_, record| engine.handle(record));
    let Body::Context(good) = engine.context().body else { unreachable!() };
    let check = |change: &dyn Fn(&mut StreamState), reason: &str| {
        let mut context = good.clone();
        change(context.state.stream.as_mut().unwrap());
        let mut engine = Engine::new(Options::default());
        let body = Body::Context(context);
        engine.handle(&Record { seq: 9, t: Nanos(0), conn: 0, body });
        let error = engine.facts().events.back().map(|event| event.fields["error"].to_string());
        assert_eq!(
            error.as_deref(),
            Some(format!("\"the context cannot be used: {reason}\"").as_str())
        );
    };
    check(&|stream| stream.frames = u64::MAX, "its buckets do not fit its loop");
    check(&|stream| stream.refreshed_s.clear(), "its buckets do not fit its loop");
    check(&|stream| stream.channels = 2, "its buffer declares another length");
    check(&|stream| stream.channels = u16::MAX, "its buffer is too short for its length");
    check(&|stream| stream.channels = 0, "its buffer declares another length");
}
