//! What came and when, of a capture without a DEMON session: as data and in words.

use serde::Serialize;

use super::clock::ReportClock;
use super::format::{Bytes, Figure, Tenths, plural};
use crate::engine::{Burst, Engine, SILENT_S, SideArrivals, Volume};
use crate::lag::stats::round;

/// What came and when, whatever it means.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArrivalsReport {
    pub client_to_server: ArrivalFigures,
    pub server_to_client: ArrivalFigures,
    /// The longest time in which neither side said anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_silence: Option<SilentSpan>,
}

/// What one side sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArrivalFigures {
    pub text: OpcodeVolume,
    pub binary: OpcodeVolume,
    /// Pings, pongs and closes
    pub control: OpcodeVolume,
    /// Messages and bytes a second, from the first message to the last
    pub messages_per_s: f64,
    pub bytes_per_s: f64,
    /// The second with the most messages
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busiest_second: Option<BurstVolume>,
    /// Runs of at least 4 messages with no more than 5 ms between them
    pub bursts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_burst: Option<BurstVolume>,
    /// Silences of 1 s or more, and their time together
    pub gaps: u64,
    pub gaps_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_silence: Option<SilentSpan>,
}

/// Messages of one kind, and their payload bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpcodeVolume {
    pub messages: u64,
    pub bytes: u64,
}

/// Messages that came close to one another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BurstVolume {
    pub from_s: f64,
    pub messages: u64,
    pub bytes: u64,
}

/// A time in which nothing was said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SilentSpan {
    pub from_s: f64,
    pub to_s: f64,
}

impl ArrivalsReport {
    /// Of an engine that saw another protocol.
    pub(super) fn of(engine: &Engine, clock: &ReportClock) -> Option<ArrivalsReport> {
        let facts = engine.facts();
        if !engine.speaks_otherwise() {
            return None;
        }
        let [up, down] = &facts.arrivals.sides;
        Some(ArrivalsReport {
            client_to_server: ArrivalFigures::of(up, clock),
            server_to_client: ArrivalFigures::of(down, clock),
            longest_silence: silence(&facts.arrivals.both, clock),
        })
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let sides = [
            ("client to server", &self.client_to_server),
            ("server to client", &self.server_to_client),
        ];
        let lines = sides.into_iter().flat_map(|(name, side)| side.lines(name));
        let silence = self.longest_silence.map(|silence| format!("silence: {}", silence.words()));
        lines.chain(silence).collect()
    }
}

impl ArrivalFigures {
    fn of(side: &SideArrivals, clock: &ReportClock) -> ArrivalFigures {
        let all = side.all();
        let span_s = match (side.first, side.last) {
            (Some(first), Some(last)) => last.seconds_since(first),
            _ => 0.0,
        };
        let per_s = |count: u64| if span_s > 0.0 { round(count as f64 / span_s, 3) } else { 0.0 };
        let burst = |Burst { from, volume }: Burst| BurstVolume {
            from_s: clock.s(from),
            messages: volume.messages,
            bytes: volume.bytes,
        };
        let [text, binary, control] = side.by_opcode.map(OpcodeVolume::from);
        ArrivalFigures {
            text,
            binary,
            control,
            messages_per_s: per_s(all.messages),
            bytes_per_s: per_s(all.bytes),
            busiest_second: side.busiest_second().map(burst),
            bursts: side.bursts(),
            largest_burst: side.largest_burst().map(burst),
            gaps: side.gaps.0,
            gaps_s: round(side.gaps.1, 6),
            longest_silence: silence(side, clock),
        }
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let sorts = [(self.text, "text"), (self.binary, "binary"), (self.control, "control")];
        let sorts = sorts.into_iter().filter(|(volume, _)| volume.messages > 0);
        let sorts: Vec<_> = sorts
            .map(|(OpcodeVolume { messages, bytes }, sort)| {
                format!("{messages} {sort} ({})", Bytes(bytes))
            })
            .collect();
        if sorts.is_empty() {
            return vec![format!("{name}: nothing")];
        }
        let mut lines = vec![format!(
            "{name}: {}; {} and {} a second",
            sorts.join(", "),
            Figure(self.messages_per_s),
            Bytes(self.bytes_per_s.round() as u64)
        )];
        if let Some(burst) = self.largest_burst {
            lines.push(format!(
                "  {} burst{}, the largest {} messages ({}) at {} s",
                self.bursts,
                plural(self.bursts as usize),
                burst.messages,
                Bytes(burst.bytes),
                Tenths(burst.from_s)
            ));
        }
        if let Some(silence) = self.longest_silence.filter(|_| self.gaps > 0) {
            lines.push(format!(
                "  {} gap{} of {SILENT_S} s or more, {}",
                self.gaps,
                plural(self.gaps as usize),
                silence.words()
            ));
        }
        lines
    }
}

impl SilentSpan {
    fn words(self) -> String {
        let length_s = Figure(round(self.to_s - self.from_s, 6));
        format!("the longest {length_s} s at {} s", Tenths(self.from_s))
    }
}

impl From<Volume> for OpcodeVolume {
    fn from(Volume { messages, bytes }: Volume) -> Self {
        OpcodeVolume { messages, bytes }
    }
}

fn silence(side: &SideArrivals, clock: &ReportClock) -> Option<SilentSpan> {
    let (from, to) = side.longest_silence?;
    Some(SilentSpan { from_s: clock.s(from), to_s: clock.s(to) })
}
