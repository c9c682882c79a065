//! A JSON object for each record: who said what when, with its whole text, and what was measured with it.

use std::io::{self, Write};

use serde::Serialize;

use super::{ExportRow, Exported};
use crate::report::SCHEMA;
use crate::report::json::write_json;
use crate::report::seen::Measured;

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    t_s: f64,
    t_ns: u64,
    record: u64,
    conn: u32,
    from: &'static str,
    kind: &'a str,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    slice: Option<SliceObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<ReportObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

#[derive(Serialize)]
struct SliceObject {
    start_s: f64,
    length_s: f64,
    lead_s: f64,
    interval_s: f64,
    tick_ms: f64,
    decode_ms: f64,
    generations: u32,
}

#[derive(Serialize)]
struct ReportObject {
    playhead_s: f64,
    staleness_s: f64,
    interval_s: f64,
    in_flight_bytes: Option<f64>,
}

pub(super) fn write(exported: &Exported, out: &mut impl Write) -> io::Result<()> {
    exported.rows.iter().try_for_each(|row| {
        write_json(out, &line(row, f64::from(exported.sample_rate.max(1))))?;
        writeln!(out)
    })
}

fn line(row: &ExportRow, sample_rate: f64) -> Line<'_> {
    let seen = &row.seen;
    let (slice, report) = match seen.measured {
        Measured::Slice(slice) => {
            let slice = SliceObject {
                start_s: f64::from(slice.start) / sample_rate,
                length_s: f64::from(slice.frames) / sample_rate,
                lead_s: slice.lead_s,
                interval_s: slice.interval_s,
                tick_ms: slice.tick_ms,
                decode_ms: slice.dec_ms,
                generations: slice.generations,
            };
            (Some(slice), None)
        }
        Measured::Tick(tick) => {
            let report = ReportObject {
                playhead_s: tick.playhead_s,
                staleness_s: tick.staleness_s,
                interval_s: tick.interval_s,
                in_flight_bytes: tick.in_flight,
            };
            (None, Some(report))
        }
        Measured::Nothing => (None, None),
    };
    Line {
        schema: SCHEMA,
        t_s: row.t_s,
        t_ns: row.t.0,
        record: row.seq,
        conn: row.conn,
        from: seen.side.name(),
        kind: &seen.kind,
        bytes: seen.bytes,
        slice,
        report,
        text: seen.text.as_deref(),
    }
}
