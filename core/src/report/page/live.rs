//! A session on a page while it goes on: what one who looks on does not have yet.
//!
//! Rows only come. Where they change all the same, because the initial buffer sets the clock that people
//! read or because there are too many, a new edition begins, and everybody gets it from its first row. A
//! [`LivePage`] keeps no more rows than a page shows, and nothing for those who look on: how far each of
//! them is they keep themselves, as a [`Seen`].

use serde::Serialize;
use serde_json::value::RawValue;

use super::collect::PageCollector;
use super::columns::ColumnPlace;
use super::rows::{Load, RowCounts};
use super::session::{Head, PageExtras, clock_of, pack};
use crate::capture::Record;
use crate::engine::Engine;
use crate::report::{Analysis, json, text};
use crate::time::Nanos;

/// A session that goes on, as a page shows it.
#[derive(Default)]
pub struct LivePage {
    collected: PageCollector,
    /// Of so many slices, and as many reports, the worst one is kept.
    one_of: usize,
    edition: u64,
    version: u64,
    shown: Option<Shown>,
}

/// What there is to see since the last [`LivePage::renew`].
struct Shown {
    analysis: Analysis,
    head: Box<RawValue>,
    load: Load,
    clock: Box<dyn Fn(Nanos) -> f64 + Send>,
    origin: Option<Nanos>,
    counts: RowCounts,
    texts: usize,
    is_live: bool,
}

/// How much of a session somebody has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    edition: u64,
    version: u64,
    counts: RowCounts,
    texts: usize,
}

/// What is new.
#[derive(Serialize)]
struct Increment<'a> {
    session: u64,
    is_live: bool,
    /// The rows that are known; nothing else is valid any more.
    from: RowCounts,
    head: &'a RawValue,
    kinds: &'a [String],
    texts: &'a [(usize, String)],
    texts_left_out: u64,
    one_of: usize,
    columns: &'a [ColumnPlace],
}

/// Events of a [`LiveTail`].
const TAIL_EVENTS: usize = 20;

/// The last seconds of a session; everything of it the newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveTail {
    pub from_s: f64,
    pub to_s: f64,
    /// When slices came, and how far ahead of the listener.
    pub leads: Vec<(f64, f64)>,
    /// When reports came, and how old what was heard was.
    pub ages: Vec<(f64, f64)>,
    /// Time from the slice before to each.
    pub slice_intervals_s: Vec<f64>,
    pub report_intervals_s: Vec<f64>,
    /// What happened last, at whatever time.
    pub events: Vec<LiveEvent>,
}

/// Something that happened, with its text.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveEvent {
    pub t_s: f64,
    /// 0 of the client, 1 of the server, 2 of the recorder.
    pub side: u8,
    pub kind: String,
    pub text: String,
}

impl LivePage {
    /// Takes what the engine made of the record that it has just handled.
    pub fn see(&mut self, engine: &Engine, record: &Record<'_>) {
        self.collected.see(engine, record);
    }

    /// Forgets all rows: the session is read again from its beginning.
    pub fn restart(&mut self) {
        self.collected = PageCollector::default();
        self.shown = None;
        self.edition += 1;
    }

    /// Shows what was seen up to now, with the report of the engine that has handled it.
    pub fn renew(
        &mut self,
        engine: &Engine,
        analysis: Analysis,
        extras: &PageExtras,
        is_live: bool,
    ) {
        let PageCollector { rows, texts, .. } = &mut self.collected;
        let every = rows.thin_live(texts.iter_mut().map(|(row, _)| row));
        self.one_of = self.one_of.max(1) * every;
        let origin = engine.origin();
        if every > 1 || self.shown.as_ref().is_none_or(|shown| shown.origin != origin) {
            self.edition += 1;
        }
        self.version += 1;
        let clock = clock_of(engine, &analysis);
        let load = rows.load(&clock);
        let written = text::analysis(&analysis, &extras.next);
        let head = Head::of(engine, &analysis, extras, &written, (rows, &load));
        let head = RawValue::from_string(json::json_text(&head)).unwrap_or_default();
        let (counts, texts) = (rows.counts(), texts.len());
        let clock = Box::new(clock);
        self.shown = Some(Shown { analysis, head, load, clock, origin, counts, texts, is_live });
    }

    /// Nothing comes any more, although the session has no end.
    pub fn end(&mut self) {
        if let Some(shown) = &mut self.shown {
            shown.is_live = false;
            self.version += 1;
        }
    }

    /// The newest report.
    #[must_use]
    pub fn analysis(&self) -> Option<&Analysis> {
        Some(&self.shown.as_ref()?.analysis)
    }

    /// Whether the session goes on.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.shown.as_ref().is_none_or(|shown| shown.is_live)
    }

    /// The last seconds, for whoever sees no page; `None` before anything was shown.
    #[must_use]
    pub fn tail(&self, last_s: f64) -> Option<LiveTail> {
        let Shown { clock, counts, analysis, .. } = self.shown.as_ref()?;
        let PageCollector { rows, kinds, texts, .. } = &self.collected;
        let messages = &rows.messages[..counts.message];
        let time = |row: usize| messages.get(row).map_or(0.0, |message| clock(message.t));
        let to_s = messages.last().map_or(0.0, |last| clock(last.t)).max(analysis.report_at_s);
        let from_s = to_s - last_s;
        let slices = rows.slices[..counts.slice].iter().rev();
        let slices = slices.map(|row| (time(row.row), &row.slice));
        let ticks = rows.ticks[..counts.tick].iter().rev().map(|row| (time(row.row), &row.tick));
        let slices: Vec<_> = slices.take_while(|(t_s, _)| *t_s >= from_s).collect();
        let ticks: Vec<_> = ticks.take_while(|(t_s, _)| *t_s >= from_s).collect();
        let told = texts[..self.shown.as_ref()?.texts].iter().rev();
        let event = |(row, text): &(usize, String)| {
            let message = messages.get(*row)?;
            let kind = kinds.get(usize::from(message.kind))?.clone();
            Some(LiveEvent { t_s: clock(message.t), side: message.side, kind, text: text.clone() })
        };
        Some(LiveTail {
            from_s,
            to_s,
            leads: slices.iter().map(|(t_s, slice)| (*t_s, slice.lead_s)).collect(),
            ages: ticks.iter().map(|(t_s, tick)| (*t_s, tick.staleness_s)).collect(),
            slice_intervals_s: slices.iter().map(|(_, slice)| slice.interval_s).collect(),
            report_intervals_s: ticks.iter().map(|(_, tick)| tick.interval_s).collect(),
            events: told.take(TAIL_EVENTS).filter_map(event).collect(),
        })
    }

    /// What `seen` lacks, as the page reads it, in base64; `seen` has it then. `None`: it lacks nothing.
    /// `session` is the number by which the page knows the session.
    pub fn since(&self, session: u64, seen: &mut Seen) -> Option<String> {
        let shown = self.shown.as_ref().filter(|_| seen.version != self.version)?;
        if seen.edition != self.edition {
            *seen = Seen { edition: self.edition, ..Seen::default() };
        }
        let Shown { load, clock, counts, .. } = shown;
        let columns = self.collected.rows.pack_between(seen.counts, *counts, load, clock);
        let increment = Increment {
            session,
            is_live: shown.is_live,
            from: seen.counts,
            head: &shown.head,
            kinds: &self.collected.kinds,
            texts: &self.collected.texts[seen.texts..shown.texts],
            texts_left_out: self.collected.texts_left_out,
            one_of: self.one_of,
            columns: &columns.places,
        };
        let packed = pack(&json::json_text(&increment), &columns.bytes, &[]);
        let (version, counts, texts) = (self.version, *counts, shown.texts);
        *seen = Seen { version, counts, texts, ..*seen };
        Some(packed)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::head;
    use super::*;
    use crate::engine::Options;
    use crate::lag::ReportArgs;
    use crate::report::CaptureDescription;
    use crate::report::page::PageSession;

    /// Shows a capture after every `step` records to one who looks on; all that they get.
    fn watched(step: usize, mut look: impl FnMut(usize) -> bool) -> Vec<serde_json::Value> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures/stall.lagtape");
        let bytes = std::fs::read(path).unwrap();
        let mut records = crate::capture::Records::new(&bytes[..]);
        let (mut engine, mut page) = (Engine::new(Options::default()), LivePage::default());
        let (mut seen, mut got, mut count) = (Seen::default(), Vec::new(), 0);
        let mut renew = |engine: &Engine, page: &mut LivePage, at, number| {
            let about = CaptureDescription::live("x".to_owned(), at);
            let analysis = Analysis::of(engine, about, &ReportArgs::default());
            page.renew(engine, analysis, &PageExtras::default(), true);
            if look(number) {
                let part = PageSession::for_test(page.since(7, &mut seen).unwrap());
                assert_eq!(page.since(7, &mut seen), None);
                got.push(head(&part));
            }
        };
        let mut at = Nanos(0);
        while let Some(record) = records.next_record().unwrap() {
            engine.handle(&record);
            page.see(&engine, &record);
            (at, count) = (record.t, count + 1);
            if count % step == 0 {
                renew(&engine, &mut page, at, count / step);
            }
        }
        renew(&engine, &mut page, at, 0);
        got
    }

    fn rows(part: &serde_json::Value, column: &str) -> u64 {
        let columns = part["columns"].as_array().unwrap();
        columns.iter().find(|place| place["name"] == column).unwrap()["rows"].as_u64().unwrap()
    }

    /// What of a table somebody has after all these increments.
    fn total(parts: &[serde_json::Value], table: &str) -> u64 {
        parts.iter().fold(0, |known, part| {
            let from = part["from"][table].as_u64().unwrap();
            assert!(
                from == known || from == 0,
                "{table}: {known} are known, and it begins at {from}"
            );
            from + rows(part, &format!("{table}.row").replace("message.row", "message.seq"))
        })
    }

    #[test]
    fn increments_add_up_however_often_one_looks() {
        let whole = watched(usize::MAX, |_| true);
        assert_eq!(whole.len(), 1);
        assert_eq!(whole[0]["session"], 7);
        for (step, often) in [(10, 1), (10, 7), (97, 1), (97, 1000)] {
            let parts = watched(step, |number| number % often == 0);
            for table in ["message", "slice", "tick"] {
                let expected = total(&whole, table);
                assert!(expected > 30);
                assert_eq!(total(&parts, table), expected, "{table} by {step}, {often}");
            }
            let last = parts.last().unwrap();
            assert_eq!(last["head"], whole[0]["head"]);
            let texts = parts.iter().fold(0, |known, part| {
                let known = if part["from"]["message"] == 0 { 0 } else { known };
                known + part["texts"].as_array().unwrap().len()
            });
            assert_eq!(texts, whole[0]["texts"].as_array().unwrap().len());
        }
    }
}
