//! A trace for ui.perfetto.dev: tracks of instants for slices, reports and messages, of stretches for bad
//! audio and its causes, and counters. Times are nanoseconds on the capture's clock.

use std::io::{self, Write};

use prost::Message;

use super::flows::answers;
use super::perfetto_proto::{
    CounterDescriptor, DebugAnnotation, EventType, Trace, TracePacket, TrackDescriptor, TrackEvent,
};
use super::{ExportRow, ExportSpan, Exported};
use crate::report::seen::{Measured, Side};
use crate::time::Nanos;

/// All packets are of one sequence, whose first one says that nothing before it counts.
const SEQUENCE: u32 = 1;
const STATE_CLEARED: u32 = 1;

/// Numbers of the tracks. Causes may overlap, so each has a track of its own, from [`CAUSES`] on.
const SESSION: u64 = 1;
const BAD_AUDIO: u64 = 2;
const SLICES: u64 = 3;
const REPORTS: u64 = 4;
const OF_CLIENT: u64 = 5;
const OF_SERVER: u64 = 6;
const OF_RECORDER: u64 = 7;
const LEAD: u64 = 8;
const STALENESS: u64 = 9;
const IN_FLIGHT: u64 = 10;
const TICK: u64 = 11;
const DECODE: u64 = 12;
const CAUSES: u64 = 100;
/// Tracks of causes at most.
const MAX_CAUSES: usize = 100;

const TRACKS: [(u64, &str); 6] = [
    (BAD_AUDIO, "bad audio"),
    (SLICES, "slices"),
    (REPORTS, "reports of the client"),
    (OF_CLIENT, "other messages of the client"),
    (OF_SERVER, "other messages of the server"),
    (OF_RECORDER, "listener and recorder"),
];

const COUNTERS: [(u64, &str, &str); 5] = [
    (LEAD, "lead", "s"),
    (STALENESS, "age of what was heard", "s"),
    (IN_FLIGHT, "bytes in flight", "bytes"),
    (TICK, "generation time", "ms"),
    (DECODE, "decoding time", "ms"),
];

pub(super) fn write(exported: &Exported, out: &mut impl Write) -> io::Result<()> {
    let mut packets = Packets { out, has_begun: false };
    packets.tracks(exported)?;
    for (number, cause) in exported.findings.iter().take(MAX_CAUSES).enumerate() {
        packets.span(CAUSES + number as u64, cause)?;
    }
    exported.spells.iter().try_for_each(|spell| packets.span(BAD_AUDIO, spell))?;
    let mut flows = Flows::of(&exported.rows);
    let sample_rate = f64::from(exported.sample_rate.max(1));
    for (number, row) in exported.rows.iter().enumerate() {
        packets.event(row.t, instant(row, sample_rate, flows.next(number)))?;
        counters(&row.seen.measured)
            .into_iter()
            .try_for_each(|(track, value)| packets.count(row.t, track, value))?;
    }
    Ok(())
}

/// The flows of rows that are visited in their order: each has the row of its report for a number.
struct Flows {
    /// Report and slice.
    of_reports: Vec<(usize, usize)>,
    /// The same, by the slices.
    of_slices: Vec<(usize, usize)>,
    report: usize,
    slice: usize,
}

impl Flows {
    fn of(rows: &[ExportRow]) -> Flows {
        let of_reports = answers(rows);
        let mut of_slices = of_reports.clone();
        of_slices.sort_by_key(|(_, slice)| *slice);
        Flows { of_reports, of_slices, report: 0, slice: 0 }
    }

    /// Flows that begin at this row, and those that end there.
    fn next(&mut self, row: usize) -> (Vec<u64>, Vec<u64>) {
        let id = |(report, _): &(usize, usize)| *report as u64 + 1;
        let begin = self.of_reports[self.report..].iter().take_while(|(report, _)| *report <= row);
        let begin: Vec<_> = begin.map(id).collect();
        let end = self.of_slices[self.slice..].iter().take_while(|(_, slice)| *slice <= row);
        let end: Vec<_> = end.map(id).collect();
        self.report += begin.len();
        self.slice += end.len();
        (begin, end)
    }
}

/// Writes packets.
struct Packets<'o, W> {
    out: &'o mut W,
    has_begun: bool,
}

impl<W: Write> Packets<'_, W> {
    fn tracks(&mut self, exported: &Exported) -> io::Result<()> {
        let track = |uuid, name: &str, parent: Option<u64>, unit: Option<&str>| TrackDescriptor {
            uuid: Some(uuid),
            name: Some(name.to_owned()),
            parent_uuid: parent,
            counter: unit.map(|unit| CounterDescriptor { unit_name: Some(unit.to_owned()) }),
        };
        let child = |(uuid, name): (u64, &str)| track(uuid, name, Some(SESSION), None);
        let causes = exported.findings.iter().take(MAX_CAUSES).enumerate();
        let causes = causes.map(|(number, _)| child((CAUSES + number as u64, "cause")));
        let counters =
            COUNTERS.map(|(uuid, name, unit)| track(uuid, name, Some(SESSION), Some(unit)));
        [track(SESSION, &format!("lagtape {}", exported.name), None, None)]
            .into_iter()
            .chain(causes)
            .chain(TRACKS.map(child))
            .chain(counters)
            .try_for_each(|track| {
                self.put(TracePacket { track_descriptor: Some(track), ..TracePacket::default() })
            })
    }

    fn span(&mut self, track: u64, span: &ExportSpan) -> io::Result<()> {
        let edge = |kind: EventType, name: Option<&str>| TrackEvent {
            r#type: Some(kind.into()),
            track_uuid: Some(track),
            name: name.map(str::to_owned),
            ..TrackEvent::default()
        };
        self.event(span.from, edge(EventType::SliceBegin, Some(&span.words)))?;
        self.event(span.to, edge(EventType::SliceEnd, None))
    }

    fn count(&mut self, t: Nanos, track: u64, value: f64) -> io::Result<()> {
        let event = TrackEvent {
            r#type: Some(EventType::Counter.into()),
            track_uuid: Some(track),
            double_counter_value: Some(value),
            ..TrackEvent::default()
        };
        self.event(t, event)
    }

    fn event(&mut self, t: Nanos, event: TrackEvent) -> io::Result<()> {
        let packet = TracePacket {
            timestamp: Some(t.0),
            track_event: Some(event),
            ..TracePacket::default()
        };
        self.put(packet)
    }

    fn put(&mut self, packet: TracePacket) -> io::Result<()> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let packet = TracePacket {
            trusted_packet_sequence_id: Some(SEQUENCE),
            sequence_flags: is_first.then_some(STATE_CLEARED),
            ..packet
        };
        // Traces put one after another are a trace.
        self.out.write_all(&Trace { packet: vec![packet] }.encode_to_vec())
    }
}

/// A record as an instant, with what is known of it.
fn instant(row: &ExportRow, sample_rate: f64, (begin, end): (Vec<u64>, Vec<u64>)) -> TrackEvent {
    let seen = &row.seen;
    let note = |name: &str| DebugAnnotation { name: Some(name.to_owned()), ..Default::default() };
    let whole = |name, value| DebugAnnotation { uint_value: Some(value), ..note(name) };
    let part = |name, value| DebugAnnotation { double_value: Some(value), ..note(name) };
    let mut notes = vec![whole("record", row.seq), whole("bytes", seen.bytes)];
    let track = match &seen.measured {
        Measured::Slice(slice) => {
            notes.extend([
                part("start_s", f64::from(slice.start) / sample_rate),
                part("length_s", f64::from(slice.frames) / sample_rate),
                part("lead_s", slice.lead_s),
                part("tick_ms", slice.tick_ms),
                part("decode_ms", slice.dec_ms),
                whole("generations", slice.generations.into()),
            ]);
            SLICES
        }
        Measured::Tick(tick) => {
            notes.push(part("playhead_s", tick.playhead_s));
            notes.push(part("staleness_s", tick.staleness_s));
            REPORTS
        }
        Measured::Nothing => match seen.side {
            Side::Client => OF_CLIENT,
            Side::Server => OF_SERVER,
            Side::Recorder => OF_RECORDER,
        },
    };
    let text = seen.text.clone();
    notes.extend(text.map(|text| DebugAnnotation { string_value: Some(text), ..note("text") }));
    TrackEvent {
        debug_annotations: notes,
        r#type: Some(EventType::Instant.into()),
        track_uuid: Some(track),
        name: Some(seen.kind.clone()),
        flow_ids: begin,
        terminating_flow_ids: end,
        ..TrackEvent::default()
    }
}

/// What counters say from this record on.
fn counters(measured: &Measured) -> Vec<(u64, f64)> {
    let all = match measured {
        Measured::Slice(slice) => {
            vec![(LEAD, slice.lead_s), (TICK, slice.tick_ms), (DECODE, slice.dec_ms)]
        }
        Measured::Tick(tick) => {
            let in_flight = tick.in_flight.map(|bytes| (IN_FLIGHT, bytes));
            [(STALENESS, tick.staleness_s)].into_iter().chain(in_flight).collect()
        }
        Measured::Nothing => Vec::new(),
    };
    all.into_iter().filter(|(_, value)| value.is_finite()).collect()
}
