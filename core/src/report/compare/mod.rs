//! Two captures side by side, aligned at their beginnings, or two lag reports of one capture.
//!
//! A [`Comparison`] of two [`ComparedSide`]s lists every figure of both, whether they are the same
//! within a [`Tolerance`], which side is worse for the listener, and where. Two lag reports, such as a
//! recording and a what-if, give the [`Judgement`] alone. Times are seconds from each side's own
//! beginning, rounded to the microsecond: its initial buffer, or the start of a capture that begins in
//! the middle of its session. Both sides have to cover the same length of time; nothing is cut here.
//! Audio is compared only by the digests that the caller provides.

mod events;
mod figures;
mod spans;
#[cfg(test)]
mod tests;
mod text;

use serde::Serialize;
use serde_json::Value;

use super::{Analysis, CaptureDescription, DamageReport, EndingReport, SCHEMA, Verdict};
use crate::engine::Engine;
use crate::lag::ReportArgs;
use crate::lag::stats::round;
use crate::playhead::PlayheadSource;

pub use events::EventDifference;
pub use figures::{Bearing, FigureComparison, FigureUnit};
pub use spans::{SpanDifference, SpanKind};
pub use text::{sentence, text};

use figures::Figured;
use spans::Profile;

/// How far two figures may lie apart and still be the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tolerance {
    /// Seconds that times may lie apart. The default is the distance at which the verdict begins to
    /// call a slice late.
    pub time_s: f64,
    /// Share of the larger of two figures by which they may lie apart, of whatever unit.
    pub share: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance { time_s: -crate::heard::BEHIND_LEAD_S, share: 0.05 }
    }
}

/// One of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The first.
    A,
    /// The second.
    B,
}

impl Which {
    /// As people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Which::A => "a",
            Which::B => "b",
        }
    }

    /// The one whose figure is larger.
    fn larger(a: f64, b: f64) -> Which {
        if a > b { Which::A } else { Which::B }
    }

    fn other(self) -> Which {
        match self {
            Which::A => Which::B,
            Which::B => Which::A,
        }
    }
}

/// What a comparison needs of one capture.
#[derive(Debug)]
pub struct ComparedSide {
    analysis: Analysis,
    /// Where it begins, in seconds from its initial buffer.
    from_s: f64,
    figured: Figured,
    profile: Profile,
    digests: Vec<u64>,
}

impl ComparedSide {
    /// Looks at an engine after its last record. `digests` stand for the binary messages of the
    /// server, in their order.
    #[must_use]
    pub fn of(
        engine: &Engine,
        about: CaptureDescription,
        args: &ReportArgs,
        digests: Vec<u64>,
    ) -> ComparedSide {
        let profile = Profile::of(engine, about.at);
        let analysis = Analysis::of(engine, about, args);
        let figured = Figured::of(engine, &analysis);
        let began = engine.origin().zip(engine.begins());
        let from_s = began.map_or(0.0, |(origin, began)| began.seconds_since(origin));
        ComparedSide { analysis, from_s, figured, profile, digests }
    }

    /// Where it begins, in seconds from its session's initial buffer: 0 of a whole one.
    #[must_use]
    pub fn from_s(&self) -> f64 {
        self.from_s
    }

    /// The same with the ending of the whole capture, which may lie beyond what is compared.
    #[must_use]
    pub fn ended_as(mut self, whole: &ComparedSide) -> ComparedSide {
        self.analysis.ending = whole.analysis.ending.clone();
        self
    }

    /// Its length from there.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        self.analysis.report_at_s - self.from_s
    }

    /// The analysis of this side alone.
    #[must_use]
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }
}

/// What two lists of figures say.
#[derive(Debug, Clone, Serialize)]
pub struct Judgement {
    /// They are the same within the tolerance; of captures also verdict, spans, setting and events.
    pub same: bool,
    /// The one that is worse for the listener, if one is, …
    pub worse: Option<Which>,
    /// … and the name of the figure, or kind of span, that says so.
    pub because: Option<&'static str>,
    /// Every figure of both, those that a listener minds most first.
    pub figures: Vec<FigureComparison>,
}

impl Judgement {
    /// `is_else_same`: nothing that is no figure makes a difference.
    fn of(
        figures: Vec<FigureComparison>,
        spans: &[SpanDifference],
        is_else_same: bool,
    ) -> Judgement {
        let is_same = |figure: &FigureComparison| figure.same || figure.bearing == Bearing::Informs;
        let worst = worst(&figures, spans);
        Judgement {
            same: is_else_same && spans.is_empty() && figures.iter().all(is_same),
            worse: worst.map(|(which, _)| which),
            because: worst.map(|(_, because)| because),
            figures,
        }
    }
}

/// Two captures side by side.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    pub schema: u32,
    /// The first.
    pub a: SideReport,
    /// The second.
    pub b: SideReport,
    /// The length that both cover and that is compared, from their beginnings.
    pub compared_s: f64,
    /// What was allowed.
    pub tolerance: Tolerance,
    /// Whether they are the same, which is worse, and every figure.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// Where they differ.
    pub spans: Vec<SpanDifference>,
    /// What the sessions were, where that differs.
    pub setting: Vec<SettingDifference>,
    /// Events, closes and ops that one has more of.
    pub events: Vec<EventDifference>,
    /// The binary messages of the server.
    pub content: ContentComparison,
}

/// One side of a [`Comparison`].
#[derive(Debug, Clone, Serialize)]
pub struct SideReport {
    /// The capture as it was named.
    pub capture: String,
    /// Where it begins, in seconds from the initial buffer of its session: 0 of a whole one.
    pub from_s: f64,
    /// Its length from there, compared or not.
    pub length_s: f64,
    /// The verdict over what was compared.
    pub verdict: Verdict,
    /// How it ended, compared so far or not.
    pub ending: EndingReport,
    /// The capture ends with its end record.
    pub complete: bool,
    /// Where the capture is damaged.
    pub damage: Option<DamageReport>,
}

/// Something about the session in which the sides differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingDifference {
    /// What: `loop_s`, `playhead`, `config.prompt`, …
    pub name: String,
    /// The first's; `null` where it has none.
    pub a: Value,
    /// The second's.
    pub b: Value,
    /// Whether it makes the captures different, or only explains why they are.
    pub counts: bool,
}

/// The binary messages of the server, message by message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ContentComparison {
    /// How many the first has.
    pub a: usize,
    /// How many the second has.
    pub b: usize,
    /// How many from the beginning on are the same bytes.
    pub equal: usize,
}

impl Comparison {
    /// Puts two sides side by side that cover the same time. `lengths_s` are the whole lengths of
    /// the captures.
    #[must_use]
    pub fn of(
        a: &ComparedSide,
        b: &ComparedSide,
        lengths_s: [f64; 2],
        tolerance: Tolerance,
    ) -> Comparison {
        let figures = figures::compare(&a.figured, &b.figured, tolerance);
        let spans = spans::compare(&a.profile, &b.profile, tolerance);
        let setting = setting(&a.analysis, &b.analysis);
        let events = events::compare((&a.analysis, a.from_s), (&b.analysis, b.from_s));
        let is_else_same = a.analysis.verdict.lag == b.analysis.verdict.lag
            && !setting.iter().any(|fact| fact.counts)
            && events.is_empty();
        let [length_a_s, length_b_s] = lengths_s;
        Comparison {
            schema: SCHEMA,
            compared_s: round(a.length_s().min(b.length_s()), 6),
            tolerance,
            judgement: Judgement::of(figures, &spans, is_else_same),
            spans,
            setting,
            events,
            content: content(&a.digests, &b.digests),
            a: side_report(a, length_a_s),
            b: side_report(b, length_b_s),
        }
    }
}

/// The first figure that tells the two apart for a listener, or else the longest span.
fn worst(figures: &[FigureComparison], spans: &[SpanDifference]) -> Option<(Which, &'static str)> {
    let figure = figures.iter().find_map(|figure| Some((figure.worse?, figure.name)));
    figure.or_else(|| {
        let judged = spans.iter().filter_map(|span| Some((span, span.worse?)));
        let (longest, worse) =
            judged.max_by(|(one, _), (other, _)| one.length_s().total_cmp(&other.length_s()))?;
        Some((worse, longest.kind.name()))
    })
}

fn side_report(side: &ComparedSide, length_s: f64) -> SideReport {
    let analysis = &side.analysis;
    SideReport {
        capture: analysis.capture.clone(),
        from_s: round(side.from_s, 6),
        length_s: round(length_s, 6),
        verdict: analysis.verdict.clone(),
        ending: analysis.ending.clone(),
        complete: analysis.complete,
        damage: analysis.damage.clone(),
    }
}

fn setting(a: &Analysis, b: &Analysis) -> Vec<SettingDifference> {
    let loops = |analysis: &Analysis| -> Value {
        analysis.epochs.iter().map(|epoch| epoch.loop_s).collect()
    };
    let channels = |analysis: &Analysis| -> Value {
        analysis.epochs.iter().map(|epoch| epoch.channels).collect()
    };
    let playhead = |analysis: &Analysis| match analysis.playhead.source {
        PlayheadSource::Simulated => Value::from("simulated"),
        PlayheadSource::Reported => Value::from("reported"),
    };
    let fact = |name: &str, value: &dyn Fn(&Analysis) -> Value, counts| {
        let (a, b) = (value(a), value(b));
        (a != b).then(|| SettingDifference { name: name.to_owned(), a, b, counts })
    };
    let facts = [
        fact("loop_s", &loops, true),
        fact("channels", &channels, true),
        fact("sample_rate", &|analysis| analysis.session.sample_rate.into(), true),
        fact("playhead", &playhead, false),
        fact("ending", &abnormal_end, true),
    ];
    facts.into_iter().flatten().chain(config(a, b)).collect()
}

/// How a session ended that should not have; who stops an ordinary one is no difference.
fn abnormal_end(analysis: &Analysis) -> Value {
    let kind = analysis.ending.abnormal.then_some(analysis.ending.kind);
    serde_json::to_value(kind).unwrap_or_default()
}

/// Keys of the configuration whose values differ. They explain, and make nothing different.
fn config(a: &Analysis, b: &Analysis) -> Vec<SettingDifference> {
    let empty = serde_json::Map::new();
    let object = |analysis: &Analysis| match &analysis.session.config {
        Some(Value::Object(fields)) => fields.clone(),
        _ => empty.clone(),
    };
    let (a, b) = (object(a), object(b));
    let only_b = b.keys().filter(|key| !a.contains_key(*key));
    let value = |fields: &serde_json::Map<String, Value>, key: &str| {
        fields.get(key).cloned().unwrap_or(Value::Null)
    };
    a.keys()
        .chain(only_b)
        .map(|key| (key, value(&a, key), value(&b, key)))
        .filter(|(_, a, b)| a != b)
        .map(|(key, a, b)| SettingDifference { name: format!("config.{key}"), a, b, counts: false })
        .collect()
}

fn content(a: &[u64], b: &[u64]) -> ContentComparison {
    let equal = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    ContentComparison { a: a.len(), b: b.len(), equal }
}
