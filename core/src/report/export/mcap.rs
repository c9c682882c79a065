//! An MCAP file for Foxglove and Rerun: channels of protobuf messages, whose schemas it holds.
//!
//! Times are nanoseconds since 1970 where the capture knows when it began, else since its clock did.

use std::collections::BTreeMap;
use std::io::{self, Seek, Write};

use ::mcap::records::{MessageHeader, Metadata};
use ::mcap::{McapError, WriteOptions, Writer};
use prost::Message;
use prost_types::Timestamp;

use super::mcap_schema::{
    ANY, AnyMessage, LOG, LogLevel, LogMessage, REPORT, ReportMessage, SLICE, SliceMessage,
    descriptors,
};
use super::{ExportRow, ExportSpan, Exported};
use crate::report::seen::Measured;
use crate::time::Nanos;

pub(super) fn write(exported: &Exported, out: &mut (impl Write + Seek)) -> io::Result<()> {
    fill(exported, out).map_err(|error| match error {
        McapError::Io(error) => error,
        other => io::Error::other(other),
    })
}

fn fill(exported: &Exported, out: &mut (impl Write + Seek)) -> Result<(), McapError> {
    let options = WriteOptions::new().compression(None).library("lagtape");
    let mut tape = Tape::begin(options.create(out)?, exported)?;
    let mut spans: Vec<_> = exported
        .spells
        .iter()
        .map(|span| (span, "bad audio"))
        .chain(exported.findings.iter().map(|span| (span, "cause")))
        .collect();
    spans.sort_by_key(|(span, _)| span.from);
    let mut spans = spans.into_iter().peekable();
    for row in &exported.rows {
        while let Some((span, name)) = spans.next_if(|(span, _)| span.from <= row.t) {
            tape.span(span, name)?;
        }
        tape.row(row)?;
    }
    spans.try_for_each(|(span, name)| tape.span(span, name))?;
    tape.writer.finish()?;
    Ok(())
}

/// Numbers of the channels.
struct Channels {
    slices: u16,
    reports: u16,
    messages: u16,
    log: u16,
}

/// The file while it is written.
struct Tape<W: Write + Seek> {
    writer: Writer<W>,
    channels: Channels,
    /// What is added to the capture's clock, in nanoseconds.
    offset_ns: i64,
    sample_rate: f64,
    sequence: u32,
}

impl<W: Write + Seek> Tape<W> {
    fn begin(mut writer: Writer<W>, exported: &Exported) -> Result<Self, McapError> {
        let header = &exported.header;
        let known = [
            ("capture", Some(exported.name.clone())),
            ("software", Some(header.software.clone())),
            ("url", header.url.clone()),
            ("start_utc", header.start_utc.clone()),
        ];
        let known = known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        writer
            .write_metadata(&Metadata { name: "session".to_owned(), metadata: known.collect() })?;
        let mut channel = |topic: &str, schema: &str| {
            let schema = writer.add_schema(schema, "protobuf", &descriptors(schema))?;
            writer.add_channel(schema, topic, "protobuf", &BTreeMap::new())
        };
        let channels = Channels {
            slices: channel("/slices", SLICE)?,
            reports: channel("/reports", REPORT)?,
            messages: channel("/messages", ANY)?,
            log: channel("/log", LOG)?,
        };
        let began = header.start_utc.as_ref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let offset_ns = began.map_or(0, |began| {
            let since_1970 = i64::try_from(began.as_nanosecond()).unwrap_or(0);
            since_1970.saturating_sub_unsigned(header.start.0)
        });
        let sample_rate = f64::from(exported.sample_rate.max(1));
        Ok(Tape { writer, channels, offset_ns, sample_rate, sequence: 0 })
    }

    fn row(&mut self, row: &ExportRow) -> Result<(), McapError> {
        let (seen, t_s, record) = (&row.seen, row.t_s, row.seq);
        match &seen.measured {
            Measured::Slice(slice) => {
                let message = SliceMessage {
                    t_s,
                    record,
                    start_s: f64::from(slice.start) / self.sample_rate,
                    length_s: f64::from(slice.frames) / self.sample_rate,
                    lead_s: slice.lead_s,
                    interval_s: slice.interval_s,
                    tick_ms: slice.tick_ms,
                    decode_ms: slice.dec_ms,
                    generations: slice.generations,
                    bytes: seen.bytes,
                };
                self.put(self.channels.slices, row.t, &message)?;
            }
            Measured::Tick(tick) => {
                let message = ReportMessage {
                    t_s,
                    record,
                    playhead_s: tick.playhead_s,
                    staleness_s: tick.staleness_s,
                    interval_s: tick.interval_s,
                    in_flight_bytes: tick.in_flight,
                };
                self.put(self.channels.reports, row.t, &message)?;
            }
            Measured::Nothing => {}
        }
        let message = AnyMessage {
            t_s,
            record,
            conn: row.conn,
            from: seen.side.name().to_owned(),
            kind: seen.kind.clone(),
            bytes: seen.bytes,
        };
        self.put(self.channels.messages, row.t, &message)?;
        let Some(text) = &seen.text else { return Ok(()) };
        let said = format!("{}: {text}", seen.kind);
        self.log(row.t, LogLevel::Info, &said, seen.side.name())
    }

    fn span(&mut self, span: &ExportSpan, name: &str) -> Result<(), McapError> {
        let length_s = span.to.seconds_since(span.from);
        let said = format!("{} ({length_s:.2} s)", span.words);
        self.log(span.from, LogLevel::Warning, &said, name)
    }

    fn log(&mut self, t: Nanos, level: LogLevel, text: &str, name: &str) -> Result<(), McapError> {
        let t_ns = self.time(t);
        let timestamp = Timestamp {
            seconds: (t_ns / 1_000_000_000) as i64,
            nanos: (t_ns % 1_000_000_000) as i32,
        };
        let message = LogMessage {
            timestamp: Some(timestamp),
            level: level.into(),
            message: text.to_owned(),
            name: name.to_owned(),
        };
        self.put(self.channels.log, t, &message)
    }

    fn put(&mut self, channel_id: u16, t: Nanos, message: &impl Message) -> Result<(), McapError> {
        let (log_time, sequence) = (self.time(t), self.sequence);
        self.sequence = self.sequence.wrapping_add(1);
        let header = MessageHeader { channel_id, sequence, log_time, publish_time: log_time };
        self.writer.write_to_known_channel(&header, &message.encode_to_vec())
    }

    fn time(&self, t: Nanos) -> u64 {
        t.0.saturating_add_signed(self.offset_ns)
    }
}
