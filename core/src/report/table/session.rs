//! The tables of a session: a row for each slice, report or message.

use super::{Cell, Column, ReadCell, TableName, number, whole, word};
use crate::engine::Engine;
use crate::lag::SliceRecord;
use crate::report::clock::ReportClock;
use crate::report::page::PageCollector;
use crate::report::seen::TickMeasure;
use crate::time::Nanos;

const T_S: &str = "when, in seconds from the initial buffer";
const SEQ: &str = "number of the record, as in `cat`";

pub(super) static SLICES: [Column; 10] = [
    number("t_s", "s", T_S, ReadCell::Session(|of, row| of.time(of.slice_row(row)))),
    whole("seq", "", SEQ, ReadCell::Session(|of, row| of.seq(of.slice_row(row)))),
    whole(
        "start",
        "frames",
        "first frame of the region",
        ReadCell::Session(|of, row| Cell::Whole(of.slice(row).start.into())),
    ),
    whole(
        "frames",
        "frames",
        "frames of the region",
        ReadCell::Session(|of, row| Cell::Whole(of.slice(row).frames.into())),
    ),
    number(
        "lead_s",
        "s",
        "how far ahead of the listener it landed, folded to half a lap; negative is behind",
        ReadCell::Session(|of, row| Cell::rounded(of.slice(row).lead_s, 4)),
    ),
    number(
        "interval_s",
        "s",
        "time since the slice before; 0 of the first",
        ReadCell::Session(|of, row| Cell::rounded(of.slice(row).interval_s, 6)),
    ),
    number(
        "tick_ms",
        "ms",
        "time of the generation, as the slice's header says",
        ReadCell::Session(|of, row| Cell::rounded(of.slice(row).tick_ms, 3)),
    ),
    number(
        "dec_ms",
        "ms",
        "time of its decoding, as the slice's header says",
        ReadCell::Session(|of, row| Cell::rounded(of.slice(row).dec_ms, 3)),
    ),
    whole(
        "generations",
        "",
        "generations so far, as the slice's header says",
        ReadCell::Session(|of, row| Cell::Whole(of.slice(row).generations.into())),
    ),
    whole(
        "bytes",
        "bytes",
        "length of the message",
        ReadCell::Session(|of, row| of.bytes(of.slice_row(row))),
    ),
];

pub(super) static TICKS: [Column; 6] = [
    number("t_s", "s", T_S, ReadCell::Session(|of, row| of.time(of.tick_row(row)))),
    whole("seq", "", SEQ, ReadCell::Session(|of, row| of.seq(of.tick_row(row)))),
    number(
        "playhead_s",
        "s",
        "the listener's position in the loop, of the playhead that is measured against",
        ReadCell::Session(|of, row| Cell::rounded(of.tick(row).playhead_s, 4)),
    ),
    number(
        "staleness_s",
        "s",
        "age of the audio there, by the reference's buckets of 0.25 s",
        ReadCell::Session(|of, row| Cell::rounded(of.tick(row).staleness_s, 4)),
    ),
    number(
        "interval_s",
        "s",
        "time since the report before; 0 of the first",
        ReadCell::Session(|of, row| Cell::rounded(of.tick(row).interval_s, 6)),
    ),
    whole(
        "in_flight",
        "bytes",
        "bytes of slices that were sent and not acknowledged; unknown of clients that do not acknowledge",
        ReadCell::Session(|of, row| {
            of.tick(row).in_flight.map_or(Cell::Unknown, |bytes| Cell::whole(bytes as u64))
        }),
    ),
];

pub(super) static MESSAGES: [Column; 6] = [
    number("t_s", "s", T_S, ReadCell::Session(|of, row| of.time(row))),
    whole("seq", "", SEQ, ReadCell::Session(|of, row| of.seq(row))),
    word(
        "from",
        "`client`, `server` or `recorder`",
        ReadCell::Session(|of, row| {
            let side = of.collected.rows.messages[row].side;
            Cell::Word(["client", "server", "recorder"][usize::from(side.min(2))].to_owned())
        }),
    ),
    word(
        "kind",
        "`slice`, `params`, `buffer`, `swap buffer`, `ping`, …, or the `type` of a JSON message",
        ReadCell::Session(|of, row| {
            let kind = usize::from(of.collected.rows.messages[row].kind);
            Cell::text(of.collected.kinds.get(kind).cloned())
        }),
    ),
    whole("bytes", "bytes", "length of the message", ReadCell::Session(|of, row| of.bytes(row))),
    word(
        "text",
        "how a text begins that is neither a report nor `params_update`; of the first 5,000",
        ReadCell::Session(|of, row| {
            let texts = &of.collected.texts;
            let place = texts.binary_search_by_key(&row, |(row, _)| *row);
            Cell::text(place.ok().map(|place| texts[place].1.clone()))
        }),
    ),
];

/// A session whose rows can be asked: what was picked up while an engine read it.
pub struct SessionTables {
    collected: PageCollector,
    clock: ReportClock,
}

impl SessionTables {
    /// What was collected on the way to the engine's last record, at `at` on the capture's clock.
    #[must_use]
    pub fn of(engine: &Engine, at: Nanos, collected: PageCollector) -> SessionTables {
        SessionTables { collected, clock: ReportClock::of(engine, at) }
    }

    /// Rows of one of its tables.
    pub(in crate::report) fn count(&self, table: TableName) -> usize {
        let rows = &self.collected.rows;
        match table {
            TableName::Slices => rows.slices.len(),
            TableName::Ticks => rows.ticks.len(),
            TableName::Messages => rows.messages.len(),
            _ => 0,
        }
    }

    pub(in crate::report) fn cell(&self, table: TableName, column: usize, row: usize) -> Cell {
        table.columns()[column].session_cell(self, row)
    }

    /// Texts of messages that were not kept, of a session with very many.
    #[must_use]
    pub fn texts_left_out(&self) -> u64 {
        self.collected.texts_left_out
    }

    fn slice(&self, row: usize) -> &SliceRecord {
        &self.collected.rows.slices[row].slice
    }

    /// The row of a slice's message.
    fn slice_row(&self, row: usize) -> usize {
        self.collected.rows.slices[row].row
    }

    fn tick(&self, row: usize) -> &TickMeasure {
        &self.collected.rows.ticks[row].tick
    }

    /// The row of a report's message.
    fn tick_row(&self, row: usize) -> usize {
        self.collected.rows.ticks[row].row
    }

    fn time(&self, message: usize) -> Cell {
        Cell::Number(self.clock.s(self.collected.rows.messages[message].t))
    }

    fn seq(&self, message: usize) -> Cell {
        Cell::whole(self.collected.rows.messages[message].seq)
    }

    fn bytes(&self, message: usize) -> Cell {
        Cell::whole(self.collected.rows.messages[message].bytes)
    }
}
