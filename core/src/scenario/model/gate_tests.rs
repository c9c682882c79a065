//! What a gate would have let pass, against the session simulated again with the change.

use std::sync::OnceLock;

use serde_json::json;

use crate::capture::{ClientKind, Header};
use crate::family::Family;
use crate::peer::client::ClientOptions;
use crate::peer::incident::Trouble;
use crate::peer::server::{ServerOptions, ServerSource};
use crate::peer::simulation::{SimulationOptions, simulate};
use crate::scenario::advice::Wording;
use crate::scenario::answer::{AskOptions, Recording, RecordingBuilder, ScenarioAnswer};
use crate::scenario::open_loop::Scratch;
use crate::scenario::{Scenario, Tier};
use crate::time::{Nanos, Span};

const SESSION: Span = Span(40_000_000_000);
const MEMBERS: usize = 4;

/// A session of a page that reports ten times a second and begins with the first slice, where its
/// family takes long.
#[derive(Clone, Copy)]
struct Session {
    family: Family,
    incident: &'static str,
    ops: &'static [&'static str],
    rate: f64,
    /// What the link to the client carries, and from when on.
    thin: Option<(f64, Nanos)>,
}

impl Session {
    fn of(family: Family) -> Session {
        Session { family, incident: "healthy", ops: &[], rate: 1.0, thin: None }
    }

    fn run(&self) -> Recording {
        let setup = self.incident.parse::<Trouble>().unwrap().setup();
        let config = json!({
            "backend": self.family.name(), "use_server_fixture": true, "fixture_name": "built-in",
        });
        let client = ClientOptions {
            config: config.as_object().cloned().unwrap(),
            params_hz: 10.0,
            rate: self.rate,
            script: self.ops.iter().map(|op| op.parse().unwrap()).collect(),
            run_for: Some(SESSION),
            waits_for_audio: self.family.traits().first_audio_s > 0.0,
            ..ClientOptions::default()
        };
        let server = ServerOptions {
            seed: 11,
            source: ServerSource::BuiltIn { seconds: 30.0, channels: 1 },
            policy: setup.policy,
            generator: setup.generator,
            faults: setup.faults,
            ..ServerOptions::default()
        };
        let (up, mut down) = (setup.up, setup.down);
        if let Some((bytes_per_s, from)) = self.thin {
            (down.bytes_per_s, down.slow_from_s) = (Some(bytes_per_s), from.seconds());
        }
        let options = SimulationOptions::new(client, server, up, down);
        let mut header = Header::new("test", Nanos(0));
        header.client = ClientKind::Headless;
        let mut recording = RecordingBuilder::default();
        simulate(options, header, &mut |record| recording.handle(record));
        recording.finish().unwrap()
    }
}

/// The healthy session of a family, which is asked many things.
fn healthy(family: Family) -> &'static Recording {
    static RECORDINGS: [OnceLock<Recording>; 2] = [const { OnceLock::new() }; 2];
    let place = TAPES.iter().position(|tape| *tape == family).unwrap();
    RECORDINGS[place].get_or_init(|| Session::of(family).run())
}

fn ask(recording: &Recording, scenario: &Scenario) -> Result<ScenarioAnswer, String> {
    let options = AskOptions { members: MEMBERS, ..AskOptions::default() };
    let prepared = recording.prepare(options);
    prepared.answer(scenario, &mut Scratch::default()).map_err(|why| why.worded(Wording::default()))
}

fn bad_s(answer: &ScenarioAnswer) -> f64 {
    answer.heard.as_ref().unwrap().report.bad_s
}

/// What is asked of the healthy session is what the changed one hears: the verdict, and the seconds.
#[track_caller]
fn check(family: Family, scenario: &serde_json::Value, changed: Session) {
    let answer = ask(healthy(family), &Scenario::from_value(scenario).unwrap()).unwrap();
    assert_eq!(answer.tier, Tier::Model, "{}", answer.reason);
    let really = ask(&changed.run(), &Scenario::default()).unwrap();
    let (found, expected) = (answer.verdict.as_ref().unwrap(), really.verdict.as_ref().unwrap());
    let said = format!("{scenario}: {} s, and really {} s", bad_s(&answer), bad_s(&really));
    assert_eq!(found.reasons, expected.reasons, "{said}");
    let tolerance_s = (0.15 * bad_s(&really)).max(0.5);
    assert!((bad_s(&answer) - bad_s(&really)).abs() <= tolerance_s, "{said}");
    let [found, expected] = [&answer, &really].map(|answer| answer.lag.slices.count as f64);
    assert!(
        (found - expected).abs() <= (0.1 * expected).max(4.0),
        "{scenario}: {found} {expected}"
    );
}

const TAPES: [Family; 2] = [Family::Mrt2, Family::Minimax];

#[test]
fn a_gate_repeats_its_own_recording() {
    for family in TAPES {
        let (trace, fit) = healthy(family).model().unwrap();
        assert!(trace.appends());
        let error = fit.factual_error;
        assert!(error.missing_share <= 0.02 && error.exact_share >= 0.98, "{family:?}: {error:?}");
        let gate = fit.server.gate.as_ref().unwrap();
        assert!(!gate.ended && gate.chunks.len() > 8, "{family:?}: {}", gate.chunks.len());
    }
}

#[test]
fn another_rate() {
    for family in TAPES {
        let changed = Session { rate: 1.04, ..Session::of(family) };
        check(family, &json!({"playback": {"rate": 1.04}}), changed);
    }
    // More than mrt2 makes.
    let changed = Session { rate: 2.0, ..Session::of(Family::Mrt2) };
    check(Family::Mrt2, &json!({"playback": {"rate": 2.0}}), changed);
}

#[test]
fn a_pause_and_a_seek() {
    for family in TAPES {
        let ops = &["20s:pause", "28s:resume"];
        check(family, &json!({"playback": {"ops": ops}}), Session { ops, ..Session::of(family) });
        let ops = &["20s:seek=24s"];
        check(family, &json!({"playback": {"ops": ops}}), Session { ops, ..Session::of(family) });
    }
}

#[test]
fn a_thin_link_and_a_slow_generator() {
    for family in TAPES {
        let (trace, _) = healthy(family).model().unwrap();
        let bytes: f64 = trace.slices.iter().map(|slice| f64::from(slice.bytes)).sum();
        let thin = 0.6 * bytes / trace.end.seconds_since(trace.slices[0].at);
        let from = trace.origin.checked_add(Span(15_000_000_000)).unwrap();
        let scenario = json!({"timed": [{"at": 15, "link": {"down": {"bandwidth": thin}}}]});
        check(family, &scenario, Session { thin: Some((thin, from)), ..Session::of(family) });
    }
    let incident = "slow-generation:at=0,factor=1.83";
    let changed = Session { incident, ..Session::of(Family::Mrt2) };
    check(Family::Mrt2, &json!({"tick_factor": 1.83}), changed);
}

#[test]
fn what_no_gate_reads_is_refused_by_its_name() {
    for (scenario, knob) in [
        (json!({"server": {"lead_floor_s": 0.6}}), "lead-floor"),
        (json!({"client": {"acks": false}}), "acks"),
        (json!({"timed": [{"at": 3, "server": {"flow_window": 65536}}]}), "flow-window"),
    ] {
        let refused =
            ask(healthy(Family::Mrt2), &Scenario::from_value(&scenario).unwrap()).unwrap_err();
        assert!(
            refused.contains(knob) && refused.ends_with(&format!("leave {knob} out")),
            "{refused}"
        );
    }
}
