//! A table: a line for each record, empty where there is nothing to say. Commas, quotes and line ends in a
//! text are quoted as RFC 4180 has it, and what a spreadsheet would take for a formula is marked as text.

use std::io::{self, Write};

use super::{ExportRow, Exported};
use crate::lag::stats::round;
use crate::report::seen::Measured;

const COLUMNS: [&str; 17] = [
    "t_s",
    "record",
    "conn",
    "from",
    "kind",
    "bytes",
    "slice_start_s",
    "slice_length_s",
    "lead_s",
    "slice_interval_s",
    "tick_ms",
    "decode_ms",
    "generations",
    "playhead_s",
    "staleness_s",
    "report_interval_s",
    "in_flight_bytes",
];

pub(super) fn write(exported: &Exported, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", COLUMNS.join(","))?;
    exported.rows.iter().try_for_each(|row| {
        let cells = cells(row, f64::from(exported.sample_rate.max(1)));
        writeln!(out, "{}", cells.join(","))
    })
}

fn cells(row: &ExportRow, sample_rate: f64) -> [String; COLUMNS.len()] {
    let mut cells = [const { String::new() }; COLUMNS.len()];
    let mut put =
        |at: usize, values: &[String]| cells[at..][..values.len()].clone_from_slice(values);
    let seen = &row.seen;
    let whose = [row.seq.to_string(), row.conn.to_string(), seen.side.name().to_owned()];
    put(0, &[number(row.t_s)]);
    put(1, &whose);
    put(4, &[text(&seen.kind), seen.bytes.to_string()]);
    match &seen.measured {
        Measured::Slice(slice) => put(
            6,
            &[
                number(f64::from(slice.start) / sample_rate),
                number(f64::from(slice.frames) / sample_rate),
                number(slice.lead_s),
                number(slice.interval_s),
                number(slice.tick_ms),
                number(slice.dec_ms),
                slice.generations.to_string(),
            ],
        ),
        Measured::Tick(tick) => put(
            13,
            &[
                number(tick.playhead_s),
                number(tick.staleness_s),
                number(tick.interval_s),
                tick.in_flight.map(number).unwrap_or_default(),
            ],
        ),
        Measured::Nothing => {}
    }
    cells
}

/// A number with at most six decimals; nothing where there is none.
fn number(value: f64) -> String {
    if value.is_finite() { round(value, 6).to_string() } else { String::new() }
}

/// A text as one cell.
fn text(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let marked = if is_formula { format!("'{text}") } else { text.to_owned() };
    match marked.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", marked.replace('"', "\"\"")),
        false => marked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_in_its_cell_and_is_no_formula() {
        for (said, cell) in [
            ("slice", "slice"),
            ("a,b", "\"a,b\""),
            ("a\"\nb", "\"a\"\"\nb\""),
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("-1", "'-1"),
        ] {
            assert_eq!(text(said), cell);
        }
    }

    #[test]
    fn numbers_are_short_and_never_words() {
        assert_eq!(number(0.1 + 0.2), "0.3");
        assert_eq!(number(-2.0), "-2");
        assert_eq!(number(f64::NAN) + &number(f64::INFINITY), "");
    }
}
