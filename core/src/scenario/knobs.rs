//! The table of knobs: everything that a scenario can turn, one entry each.
//!
//! Flags and their help, arguments of tools, axes of sweeps, keys of documents, ranges and the
//! sentences about them are read off [`KNOBS`], whose order is that of the help and of axes. A
//! constant of the server needs nothing but its entry: the entry says which field of the policy it
//! is. What else a knob turns is a field of [`Playback`], [`LinkOptions`] or `RunChange`.

use super::definition::{Conditions, Playback, Scenario};
use super::error::ScenarioError;
use crate::parse::{Unit, nearest};
use crate::peer::client::MAX_PARAMS_HZ;
use crate::peer::link::LinkOptions;
use crate::peer::policy::Policy;

/// One thing that a scenario can change.
#[derive(Debug)]
pub struct Knob {
    /// Its name: a flag, an argument, a key of sweeps.
    pub name: &'static str,
    /// What stands for its value in the help.
    pub value_name: &'static str,
    /// What it is, in a line.
    pub help: &'static str,
    /// How its values are written. A switch is 1 or 0.
    pub unit: Unit,
    /// The values that it can have.
    pub range: ValueRange,
    /// The value that changes nothing, or nearly nothing: upstream's default where there is one.
    pub neutral: f64,
    /// Where a search looks unless it is told, as a range of a sweep or a list.
    pub tries: &'static str,
    /// The finest step that makes a difference worth telling.
    pub finest: f64,
    /// Who can answer for it.
    pub answered_by: AnsweredBy,
    /// What a recording had, as far as it tells.
    pub recorded: fn(&RecordedFacts<'_>) -> Option<f64>,
    turns: Turns,
}

/// Values that make sense.
#[derive(Debug)]
pub struct ValueRange {
    least: f64,
    most: f64,
    whole: bool,
    advice: &'static str,
}

/// Who can answer for a knob, and from when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsweredBy {
    /// Every tier: it changes nothing but what is left to chance.
    Every,
    /// The open loop as well as the model, from the beginning on.
    OpenLoop,
    /// The model, from the beginning or a later moment on.
    Model,
    /// The model, from the beginning on only; from a moment on the recording is another one.
    ModelFromBeginning,
    /// The model, where it is switched on only.
    ModelIfOn,
}

/// What a recording and the model that was fitted to it say of knobs.
#[derive(Clone, Copy, Debug)]
pub struct RecordedFacts<'a> {
    pub policy: &'a Policy,
    /// Reports a second.
    pub reports_per_s: Option<f64>,
    /// Whether reports acknowledge the bytes received.
    pub acknowledges: bool,
    /// What the link to the client carried where slices waited for it, in bytes a second.
    pub down_bytes_per_s: Option<f64>,
}

/// What a run of the model changes beside policy and links; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RunChange {
    pub params_hz: Option<f64>,
    pub acknowledges: Option<bool>,
    pub apply_delay_s: Option<f64>,
    pub handles_every_s: Option<f64>,
    pub tick_factor: Option<f64>,
}

/// What a knob turns, and the key of its value in a document.
#[derive(Debug)]
enum Turns {
    Playback(&'static str, fn(&Playback) -> Option<f64>, fn(&mut Playback, f64)),
    Up(&'static str, fn(&mut LinkOptions, f64)),
    Down(&'static str, fn(&mut LinkOptions, f64)),
    Run(&'static str, fn(&mut RunChange, f64)),
    Policy(&'static str, fn(&mut Policy, f64)),
    /// Both of two others, which have the keys.
    Both([&'static str; 2]),
    Seed,
}

const FINITE: ValueRange = range(f64::MIN, f64::MAX, "give a finite number");
const FRAMES: ValueRange = whole("give 1 frame or more", 1.0);
const SEEDS: ValueRange = whole("give a whole number", 0.0);
const HZ: ValueRange = range(f64::MIN_POSITIVE, MAX_PARAMS_HZ, "give more than 0 and at most 1000");
const FACTOR: ValueRange =
    range(f64::MIN_POSITIVE, 1e6, "give a number above 0 and at most 1000000");
const SECONDS: ValueRange = range(0.0, MAX_CHANGE_S, "give 0 s to 86400 s");
const BYTES: ValueRange = whole("give 0 bytes or more", 0.0);
const BYTES_PER_S: ValueRange = range(f64::MIN_POSITIVE, f64::MAX, "give more than 0 B/s");
const ON_OR_OFF: ValueRange = range(0.0, 1.0, "give on or off");

/// Longest time that a change may name: a day.
pub(super) const MAX_CHANGE_S: f64 = 86_400.0;

/// All knobs.
pub static KNOBS: [Knob; 26] = [
    knob("rate", "Rate of the playhead in place of the recorded ones; 1.002 is 0.2 % fast")
        .number("RATE", FINITE)
        .tried("0.9..1.1:0.005", 1e-4)
        .neutral(1.0)
        .turns(Turns::Playback("playback.rate", |p| p.rate, |p, v| p.rate = Some(v))),
    knob("skew-ppm", "Parts per million by which the listener's clock is fast")
        .number("PPM", FINITE)
        .tried("-5000..5000:250", 1.0)
        .turns(Turns::Playback("playback.skew_ppm", |p| p.skew_ppm, |p, v| p.skew_ppm = Some(v))),
    knob("start-offset", "Position where the capture begins, as a rule with the initial buffer")
        .time()
        .within(FINITE)
        .tried("0..10:0.25", 1e-3)
        .turns(Turns::Playback(
            "playback.start_offset_s",
            |p| p.start_offset_s,
            |p, v| p.start_offset_s = Some(v),
        )),
    knob("quantum", "Positions are whole multiples of this")
        .number("FRAMES", FRAMES)
        .tried("1..8192:256", 1.0)
        .neutral(1.0)
        .turns(Turns::Playback(
            "playback.quantum_frames",
            |p| p.quantum_frames.map(|frames| frames as f64),
            |p, v| p.quantum_frames = Some(v as u64),
        )),
    knob("params-hz", "Reports of the playhead a second")
        .number("HZ", HZ)
        .tried("1..120:1", 0.1)
        .neutral(30.0)
        .turns(Turns::Run("report.params_hz", |run, v| run.params_hz = Some(v)))
        .answered_by(AnsweredBy::ModelFromBeginning)
        .recorded(|facts| facts.reports_per_s),
    knob("down", "What the link to the client carries: 200KB/s, 1.5MB/s")
        .rate()
        .tried("100KB/s..4MB/s:100KB/s", 1e3)
        .turns(Turns::Down("link.down.bandwidth", |link, v| link.bytes_per_s = Some(v)))
        .recorded(|facts| facts.down_bytes_per_s),
    knob("up", "What the link to the server carries")
        .rate()
        .tried("1KB/s..40KB/s:1KB/s", 100.0)
        .turns(Turns::Up("link.up.bandwidth", |link, v| link.bytes_per_s = Some(v))),
    knob("latency", "Added to the recorded transit, each way")
        .time()
        .turns(Turns::Both(["link.up.latency_s", "link.down.latency_s"])),
    knob("down-latency", "The same on the way to the client only")
        .time()
        .turns(Turns::Down("link.down.latency_s", |link, v| link.latency_s = v)),
    knob("up-latency", "The same on the way to the server only")
        .time()
        .turns(Turns::Up("link.up.latency_s", |link, v| link.latency_s = v)),
    knob("jitter", "Up to this much is added to each message, each way")
        .time()
        .turns(Turns::Both(["link.up.jitter_s", "link.down.jitter_s"])),
    knob("down-jitter", "The same on the way to the client only")
        .time()
        .turns(Turns::Down("link.down.jitter_s", |link, v| link.jitter_s = v)),
    knob("up-jitter", "The same on the way to the server only")
        .time()
        .turns(Turns::Up("link.up.jitter_s", |link, v| link.jitter_s = v)),
    knob("buffer", "What may wait in front of the link to the client; unbounded by default")
        .size()
        .tried("32KB..1024KB:32KB", 1.0)
        .neutral(1e12)
        .turns(Turns::Down("link.down.buffer", |link, v| link.buffer_bytes = Some(v as u64))),
    knob("up-buffer", "What may wait in front of the link to the server; unbounded by default")
        .size()
        .tried("1KB..32KB:1KB", 1.0)
        .neutral(1e12)
        .turns(Turns::Up("link.up.buffer", |link, v| link.buffer_bytes = Some(v as u64))),
    knob("apply-delay", "From the arrival of a slice until it is patched in")
        .time()
        .tried("0..0.2:0.005", 1e-3)
        .turns(Turns::Run("client.apply_delay_s", |run, v| run.apply_delay_s = Some(v))),
    knob("handles-every", "The client handles messages only in turns, as a throttled tab does")
        .time()
        .tried("0..2:0.05", 1e-3)
        .turns(Turns::Run("client.handles_every_s", |run, v| run.handles_every_s = Some(v))),
    knob("acks", "Whether reports acknowledge the bytes received")
        .switch()
        .turns(Turns::Run("client.acks", |run, v| run.acknowledges = Some(v != 0.0)))
        .recorded(|facts| Some(on(facts.acknowledges))),
    knob("lead-floor", "Least lead of the server")
        .time()
        .tried("0.05..2:0.05", 5e-3)
        .neutral(0.25)
        .turns(Turns::Policy("server.lead_floor_s", |policy, v| policy.lead.floor_s = v))
        .recorded(|facts| Some(facts.policy.lead.floor_s)),
    knob("lead-ceiling", "Most lead of the server")
        .time()
        .tried("0.25..4:0.05", 5e-3)
        .neutral(1.35)
        .turns(Turns::Policy("server.lead_ceiling_s", |policy, v| policy.lead.ceiling_s = v))
        .recorded(|facts| Some(facts.policy.lead.ceiling_s)),
    knob("transport", "Whether reported leads raise the server's lead")
        .switch()
        .turns(Turns::Policy("server.transport", |policy, v| {
            let transport = policy.lead.transport.take().unwrap_or_default();
            policy.lead.transport = (v != 0.0).then_some(transport);
        }))
        .recorded(|facts| Some(on(facts.policy.lead.transport.is_some()))),
    knob("flow-window", "Bytes sent and not acknowledged beyond which slices are dropped")
        .size()
        .tried("32KB..1024KB:32KB", 1e3)
        .neutral(262_144.0)
        .turns(Turns::Policy("server.flow_window", |policy, v| {
            policy.flow.window_bytes = v as u64;
        }))
        .recorded(|facts| Some(facts.policy.flow.window_bytes as f64)),
    knob("staleness-compensation", "Whether client_time corrects for the age of a report")
        .switch()
        .turns(Turns::Policy("server.staleness_compensation", |policy, v| {
            policy.clock.use_client_time = v != 0.0;
        }))
        .recorded(|facts| Some(on(facts.policy.clock.use_client_time))),
    // How long a server takes for each report that it works off is nowhere said.
    knob("newest-wins", "The server acts on the newest report, and works off none before it")
        .switch()
        .turns(Turns::Policy("server.newest_wins", |policy, v| {
            policy.intake.backlog_per_s = policy.intake.backlog_per_s.filter(|_| v == 0.0);
        }))
        .answered_by(AnsweredBy::ModelIfOn)
        .recorded(|facts| Some(on(facts.policy.intake.backlog_per_s.is_none()))),
    knob("tick-factor", "Generation takes this many times as long")
        .number("FACTOR", FACTOR)
        .tried("0.1..2:0.05", 5e-3)
        .neutral(1.0)
        .turns(Turns::Run("tick_factor", |run, v| run.tick_factor = Some(v))),
    knob("seed", "Decides what is random in the model")
        .number("SEED", SEEDS)
        .tried("0..31:1", 1.0)
        .turns(Turns::Seed),
];

const fn on(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}

const fn range(least: f64, most: f64, advice: &'static str) -> ValueRange {
    ValueRange { least, most, whole: false, advice }
}

const fn whole(advice: &'static str, least: f64) -> ValueRange {
    ValueRange { least, most: u64::MAX as f64, whole: true, advice }
}

/// An entry, before it says what its values are and what it turns.
const fn knob(name: &'static str, help: &'static str) -> Knob {
    Knob {
        name,
        value_name: "",
        help,
        unit: Unit::Number,
        range: FINITE,
        neutral: 0.0,
        tries: "",
        finest: 1.0,
        answered_by: AnsweredBy::Every,
        recorded: |_| None,
        turns: Turns::Seed,
    }
}

impl Knob {
    const fn number(self, value_name: &'static str, range: ValueRange) -> Knob {
        Knob { value_name, range, ..self }
    }

    const fn time(self) -> Knob {
        Knob { value_name: "TIME", unit: Unit::Time, range: SECONDS, ..self }
            .tried("0..0.5:0.01", 1e-3)
    }

    const fn rate(self) -> Knob {
        Knob { value_name: "RATE", unit: Unit::Rate, range: BYTES_PER_S, neutral: 1e12, ..self }
    }

    const fn size(self) -> Knob {
        Knob { value_name: "SIZE", unit: Unit::Size, range: BYTES, ..self }
    }

    const fn switch(self) -> Knob {
        Knob { value_name: "on|off", unit: Unit::Switch, range: ON_OR_OFF, neutral: 1.0, ..self }
            .tried("on,off", 1.0)
    }

    const fn within(self, range: ValueRange) -> Knob {
        Knob { range, ..self }
    }

    const fn tried(self, tries: &'static str, finest: f64) -> Knob {
        Knob { tries, finest, ..self }
    }

    const fn neutral(self, neutral: f64) -> Knob {
        Knob { neutral, ..self }
    }

    const fn turns(self, turns: Turns) -> Knob {
        let answered_by = match turns {
            Turns::Playback(..) => AnsweredBy::OpenLoop,
            Turns::Seed => AnsweredBy::Every,
            _ => AnsweredBy::Model,
        };
        Knob { turns, answered_by, ..self }
    }

    const fn answered_by(self, answered_by: AnsweredBy) -> Knob {
        Knob { answered_by, ..self }
    }

    const fn recorded(self, recorded: fn(&RecordedFacts<'_>) -> Option<f64>) -> Knob {
        Knob { recorded, ..self }
    }

    /// The knob of that name.
    pub fn named(name: &str) -> Result<&'static Knob, ScenarioError> {
        KNOBS.iter().find(|knob| knob.name == name).ok_or_else(|| ScenarioError::UnknownKey {
            key: name.to_owned(),
            known: nearest(name, KNOBS.iter().map(|knob| knob.name)),
        })
    }

    /// The knob whose value has that key in documents.
    #[must_use]
    pub fn with_key(key: &str) -> Option<&'static Knob> {
        KNOBS.iter().find(|knob| knob.key() == Some(key))
    }

    /// The key of its value in documents; none where two others have it.
    #[must_use]
    pub fn key(&self) -> Option<&'static str> {
        match self.turns {
            Turns::Playback(key, ..)
            | Turns::Up(key, _)
            | Turns::Down(key, _)
            | Turns::Run(key, _)
            | Turns::Policy(key, _) => Some(key),
            Turns::Seed => Some("seed"),
            Turns::Both(_) => None,
        }
    }

    /// Puts a value into a scenario.
    pub fn set(&self, scenario: &mut Scenario, value: f64) {
        match self.turns {
            Turns::Playback(_, _, set) => set(&mut scenario.playback, value),
            Turns::Seed => scenario.seed = value as u64,
            Turns::Both(keys) => keys.iter().for_each(|key| scenario.conditions.set(key, value)),
            Turns::Up(key, _)
            | Turns::Down(key, _)
            | Turns::Run(key, _)
            | Turns::Policy(key, _) => {
                scenario.conditions.set(key, value);
            }
        }
    }

    /// Its value in a scenario that has one; none of a knob that turns two others.
    #[must_use]
    pub fn value(&self, scenario: &Scenario) -> Option<f64> {
        match self.turns {
            Turns::Playback(_, get, _) => get(&scenario.playback),
            Turns::Seed => Some(scenario.seed as f64),
            _ => scenario.conditions.value(self.key()?),
        }
    }

    /// Whether it can be turned at a time: it is neither of the listener nor a part of the question.
    #[must_use]
    pub fn is_condition(&self) -> bool {
        !matches!(self.answered_by, AnsweredBy::OpenLoop | AnsweredBy::Every)
    }

    /// A scenario of nothing else.
    #[must_use]
    pub fn alone(&self, value: f64) -> Scenario {
        let mut scenario = Scenario::default();
        self.set(&mut scenario, value);
        scenario
    }

    /// A value among those that a search tries which no rounding makes one of them.
    pub(super) fn within_tries(&self) -> f64 {
        let read = |text: &str| self.unit.parse(text).unwrap_or(self.neutral);
        let (first, rest) = self.tries.split_once("..").unwrap_or((self.tries, self.tries));
        let last = rest.split_once(':').map_or(rest, |(last, _)| last);
        let value = read(first) + 0.618 * (read(last) - read(first));
        if self.is_whole() { value.round() } else { value }
    }

    /// Whether its values are whole numbers, and written so.
    pub(super) fn is_whole(&self) -> bool {
        self.range.whole
    }

    /// What is wrong with a value, with the range.
    pub(super) fn out_of_range(&self, value: f64) -> Option<String> {
        let ValueRange { least, most, advice, .. } = self.range;
        let fits = (least..=most).contains(&value) && !(self.is_whole() && value.fract() != 0.0);
        (!fits).then(|| format!("{value} is out of range; {advice}"))
    }
}

/// Constants of the server's policy that are different.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyChange(Vec<(&'static str, f64)>);

impl PolicyChange {
    /// Those that differ under `conditions`.
    #[must_use]
    pub fn of(conditions: &Conditions) -> PolicyChange {
        Turned::of(conditions).policy
    }

    /// `policy` with what differs.
    #[must_use]
    pub fn applied(&self, policy: &Policy) -> Policy {
        let mut policy = policy.clone();
        for (key, value) in &self.0 {
            if let Some(Knob { turns: Turns::Policy(_, apply), .. }) = Knob::with_key(key) {
                apply(&mut policy, *value);
            }
        }
        policy
    }
}

/// What some conditions turn.
#[derive(Debug, Default)]
pub(super) struct Turned {
    /// The link to the server, where it changes.
    pub up: Option<LinkOptions>,
    /// The link to the client, where it changes.
    pub down: Option<LinkOptions>,
    pub run: RunChange,
    pub policy: PolicyChange,
}

impl Turned {
    pub fn of(conditions: &Conditions) -> Turned {
        Turned::over((None, None), conditions)
    }

    /// The same where the links up and down were other ones before.
    pub fn over(
        (up, down): (Option<LinkOptions>, Option<LinkOptions>),
        conditions: &Conditions,
    ) -> Turned {
        let mut turned = Turned { up, down, ..Turned::default() };
        for (key, value) in conditions.values() {
            match Knob::with_key(key).map(|knob| &knob.turns) {
                Some(Turns::Up(_, apply)) => apply(turned.up.get_or_insert_default(), value),
                Some(Turns::Down(_, apply)) => apply(turned.down.get_or_insert_default(), value),
                Some(Turns::Run(_, apply)) => apply(&mut turned.run, value),
                Some(Turns::Policy(key, _)) => turned.policy.0.push((key, value)),
                _ => {}
            }
        }
        let Conditions { up_outages, down_outages, .. } = conditions;
        for (link, outages) in [(&mut turned.up, up_outages), (&mut turned.down, down_outages)] {
            if !outages.is_empty() {
                link.get_or_insert_default().outages.clone_from(outages);
            }
        }
        turned
    }
}

impl Knob {
    /// The last value that a search tries, as it is typed and in the unit's base.
    ///
    /// # Panics
    ///
    /// Where the table of knobs is wrong, which a test of every knob excludes.
    #[must_use]
    pub fn last_tried(&self) -> (&'static str, f64) {
        let end = self.tries.rsplit(',').next().unwrap_or_default();
        let end = end.split_once("..").map_or(end, |(_, end)| end);
        let text = end.split_once(':').map_or(end, |(end, _)| end);
        (text, self.unit.parse(text).expect("what a search tries can be typed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_knob_changes_a_scenario_and_stands_in_its_document() {
        for knob in &KNOBS {
            let scenario = knob.alone(knob.last_tried().1);
            assert_ne!(scenario, Scenario::default(), "{}", knob.name);
            let document = scenario.brief();
            assert_eq!(Scenario::from_value(&document), Ok(scenario), "{}", knob.name);
            let Some(key) = knob.key() else { continue };
            let pointer = format!("/{}", key.replace('.', "/"));
            assert!(document.pointer(&pointer).is_some_and(|value| !value.is_null()), "{key}");
            assert_eq!(Knob::with_key(key).map(|knob| knob.name), Some(knob.name));
        }
    }

    #[test]
    fn the_neutral_value_is_no_change() {
        for knob in &KNOBS {
            let conditions = knob.alone(knob.neutral).conditions;
            let Turned { up, down, run, policy } = Turned::of(&conditions);
            assert_eq!(policy.applied(&Policy::default()), Policy::default(), "{}", knob.name);
            let unbounded = |link: Option<LinkOptions>| {
                let link = link.unwrap_or_default();
                let is_wide = link.bytes_per_s.is_none_or(|rate| rate >= 1e12)
                    && link.buffer_bytes.is_none_or(|bytes| bytes >= 1_000_000_000_000);
                is_wide && link.latency_s == 0.0 && link.jitter_s == 0.0
            };
            assert!(unbounded(up) && unbounded(down), "{}", knob.name);
            let RunChange { params_hz, acknowledges, apply_delay_s, handles_every_s, tick_factor } =
                run;
            assert!(params_hz.is_none_or(|hz| hz == 30.0) && acknowledges != Some(false));
            assert_eq!(apply_delay_s.unwrap_or(0.0) + handles_every_s.unwrap_or(0.0), 0.0);
            assert_eq!(tick_factor.unwrap_or(1.0), 1.0);
        }
        let factual = Playback::default();
        for (name, neutral) in [("rate", 1.0), ("skew-ppm", 0.0), ("quantum", 1.0)] {
            let knob = Knob::named(name).unwrap();
            assert_eq!(knob.neutral, neutral);
            assert_ne!(knob.alone(neutral).playback, factual);
        }
    }

    /// A value just outside of its range, where there is one.
    fn outside(knob: &Knob) -> Option<f64> {
        let ValueRange { least, most, .. } = knob.range;
        let below = (least > f64::MIN).then_some(least - 1.0);
        below.or_else(|| (most < f64::MAX).then_some(most + 1.0))
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        for knob in KNOBS.iter().filter(|knob| !matches!(knob.turns, Turns::Both(_) | Turns::Seed))
        {
            let Some(value) = outside(knob) else {
                let refused = knob.out_of_range(f64::INFINITY).unwrap();
                assert!(refused.contains("give a finite number"), "{}: {refused}", knob.name);
                continue;
            };
            let refused = knob.out_of_range(value).unwrap();
            assert_eq!(refused, format!("{value} is out of range; {}", knob.range.advice));
            assert_eq!(knob.out_of_range(knob.neutral), None, "{}", knob.name);
        }
        let mut document = serde_json::json!({"server": {"lead_floor_s": "2days"}});
        let refused = |document: &Value| Scenario::from_value(document).unwrap_err().to_string();
        assert!(refused(&document).starts_with("server.lead_floor_s: \"2days\" is not"));
        document["server"]["lead_floor_s"] = 86_401.into();
        let expected = "server.lead_floor_s: 86401 is out of range; give 0 s to 86400 s";
        assert_eq!(refused(&document), expected);
    }

    #[test]
    fn what_nothing_can_answer_is_refused_by_its_name() {
        let document = serde_json::json!({"server": {"emit_trim": true}});
        let refused = Scenario::from_value(&document).unwrap_err();
        assert!(refused.is_unanswerable());
        let sentence = refused.to_string();
        assert!(sentence.starts_with("server.emit_trim cannot be changed: "), "{sentence}");
        let document = serde_json::json!({"server": {"emit_trim": null}});
        assert_eq!(Scenario::from_value(&document), Ok(Scenario::default()));
    }
}
