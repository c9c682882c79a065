//! The rows of a page, and what is left of them when there are too many.

use serde::Serialize;

use super::columns::PackedColumns;
use crate::lag::SliceRecord;
use crate::report::seen::TickMeasure;
use crate::time::Nanos;

/// Messages of a page; of a longer session it shows the worst of every few.
const MAX_MESSAGES: usize = 300_000;
/// Parts of the session of which the traffic is added up, at most.
const MAX_PARTS: usize = 20_000;
/// Shortest such part in seconds.
const PART_S: f64 = 0.1;

/// A message, or another record with a place on the time line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) struct MessageRow {
    pub t: Nanos,
    pub seq: u64,
    pub kind: u16,
    /// 0 of the client, 1 of the server, 2 of the recorder.
    pub side: u8,
    pub bytes: u64,
}

/// A slice, and the row of its message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) struct SliceRow {
    pub row: usize,
    pub slice: SliceRecord,
}

/// A report of the client, and the row of its message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) struct TickRow {
    pub row: usize,
    pub tick: TickMeasure,
}

/// All rows of a session.
#[derive(Debug, Clone, Default)]
pub(in crate::report) struct Rows {
    pub messages: Vec<MessageRow>,
    pub slices: Vec<SliceRow>,
    pub ticks: Vec<TickRow>,
    /// Bytes of both sides that no message above counts any more, and when they came.
    earlier: Vec<(Nanos, [u64; 2])>,
    /// So many of the messages are counted in `earlier`.
    counted: usize,
}

/// How many rows of each table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct RowCounts {
    pub message: usize,
    pub slice: usize,
    pub tick: usize,
}

/// Bytes of both sides in equal parts of the time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Load {
    pub from_s: f64,
    pub part_s: f64,
    /// Of the client, then of the server.
    bytes: [Vec<i64>; 2],
}

impl Rows {
    /// Bytes over time; `seconds` reads the clock that the page shows.
    pub(super) fn load(&self, seconds: impl Fn(Nanos) -> f64) -> Load {
        let times = || {
            let earlier = self.earlier.iter().map(|(t, _)| *t);
            earlier.chain(self.messages.iter().map(|message| message.t)).map(&seconds)
        };
        let (from_s, to_s) = times()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), t| (low.min(t), high.max(t)));
        let length_s = (to_s - from_s).max(0.0);
        let part_s = (length_s / MAX_PARTS as f64).max(PART_S);
        let parts = (length_s / part_s) as usize + 1;
        let mut bytes = [vec![0_i64; parts], vec![0_i64; parts]];
        let mut add = |t: Nanos, side: usize, more: u64| {
            let part = ((seconds(t) - from_s) / part_s) as usize;
            let sum = &mut bytes[side][part.min(parts - 1)];
            *sum = sum.saturating_add_unsigned(more);
        };
        for (t, [up, down]) in &self.earlier {
            add(*t, 0, *up);
            add(*t, 1, *down);
        }
        let counting = self.messages.iter().skip(self.counted);
        for message in counting.filter(|message| message.side < 2) {
            add(message.t, message.side.into(), message.bytes);
        }
        Load { from_s: if from_s.is_finite() { from_s } else { 0.0 }, part_s, bytes }
    }

    /// Keeps of every few slices the one furthest behind, of every few reports the one with the oldest
    /// audio, and the rows that are `told` of, which become those that they are then. Says of how many
    /// one is left; nothing is left out of a session with few enough of them.
    pub fn thin<'a>(&mut self, told: impl Iterator<Item = &'a mut usize>) -> usize {
        self.thin_to(MAX_MESSAGES, told)
    }

    fn thin_to<'a>(&mut self, most: usize, told: impl Iterator<Item = &'a mut usize>) -> usize {
        let every = self.messages.len().div_ceil(most).max(1);
        if every == 1 {
            return 1;
        }
        self.slices = self.slices.chunks(every).filter_map(worst_slice).collect();
        self.ticks = self.ticks.chunks(every).filter_map(worst_tick).collect();
        let slices = self.slices.iter_mut().map(|slice| &mut slice.row);
        let ticks = self.ticks.iter_mut().map(|tick| &mut tick.row);
        let mut rows: Vec<&mut usize> = told.collect();
        rows.extend(slices.chain(ticks));
        let mut is_kept = vec![false; self.messages.len()];
        rows.iter().for_each(|row| is_kept[**row] = true);
        let mut kept = 0;
        let mut places = vec![0; is_kept.len()];
        for (place, is_kept) in places.iter_mut().zip(&is_kept) {
            *place = kept;
            kept += usize::from(*is_kept);
        }
        rows.into_iter().for_each(|row| *row = places[*row]);
        let mut is_kept = is_kept.into_iter();
        self.messages.retain(|_| is_kept.next().unwrap_or(false));
        every
    }

    /// Thins the rows of a session that goes on, as soon as there are too many; its traffic is added up
    /// beforehand. Says of how many slices one is left, 1 where nothing was to be done.
    pub fn thin_live<'a>(&mut self, told: impl Iterator<Item = &'a mut usize>) -> usize {
        if self.messages.len() <= MAX_MESSAGES {
            return 1;
        }
        let Load { from_s, part_s, bytes: [up, down] } = self.load(Nanos::seconds);
        let moment = |part: usize| Nanos(((from_s + part as f64 * part_s) * 1e9) as u64);
        let sums = up.iter().zip(&down).enumerate();
        let sums = sums.map(|(part, (up, down))| (moment(part), [*up, *down]));
        self.earlier = sums.map(|(t, sums)| (t, sums.map(|sum| sum.max(0) as u64))).collect();
        let every = self.thin(told);
        self.counted = self.messages.len();
        every
    }

    pub(super) fn counts(&self) -> RowCounts {
        let Rows { messages, slices, ticks, .. } = self;
        RowCounts { message: messages.len(), slice: slices.len(), tick: ticks.len() }
    }

    /// Packs all columns.
    pub(super) fn pack(&self, load: &Load, seconds: impl Fn(Nanos) -> f64) -> PackedColumns {
        self.pack_between(RowCounts::default(), self.counts(), load, seconds)
    }

    /// Packs the rows that come after the first ones, up to others; the traffic is packed whole.
    pub(super) fn pack_between(
        &self,
        from: RowCounts,
        to: RowCounts,
        load: &Load,
        seconds: impl Fn(Nanos) -> f64,
    ) -> PackedColumns {
        let messages = &self.messages[from.message..to.message];
        let slices = &self.slices[from.slice..to.slice];
        let ticks = &self.ticks[from.tick..to.tick];
        let mut packed = PackedColumns::default();
        packed.parts("message.t_s", 1e6, messages.iter().map(|message| seconds(message.t)));
        packed.whole("message.seq", messages.iter().map(|message| whole(message.seq)));
        packed.whole("message.kind", messages.iter().map(|message| message.kind.into()));
        packed.whole("message.side", messages.iter().map(|message| message.side.into()));
        packed.whole("message.bytes", messages.iter().map(|message| whole(message.bytes)));
        let of = || slices.iter().map(|row| &row.slice);
        packed.whole("slice.row", slices.iter().map(|slice| whole(slice.row as u64)));
        packed.whole("slice.start", of().map(|slice| slice.start.into()));
        packed.whole("slice.frames", of().map(|slice| slice.frames.into()));
        packed.parts("slice.lead_s", 1e4, of().map(|slice| slice.lead_s));
        packed.parts("slice.interval_s", 1e5, of().map(|slice| slice.interval_s));
        packed.parts("slice.tick_ms", 1e2, of().map(|slice| slice.tick_ms));
        packed.parts("slice.dec_ms", 1e2, of().map(|slice| slice.dec_ms));
        packed.whole("slice.generations", of().map(|slice| slice.generations.into()));
        packed.whole("tick.row", ticks.iter().map(|tick| whole(tick.row as u64)));
        let of = || ticks.iter().map(|row| &row.tick);
        packed.parts("tick.playhead_s", 1e4, of().map(|tick| tick.playhead_s));
        packed.parts("tick.staleness_s", 1e4, of().map(|tick| tick.staleness_s));
        packed.parts("tick.interval_s", 1e5, of().map(|tick| tick.interval_s));
        packed.parts("tick.in_flight", 1.0, of().map(|tick| tick.in_flight.unwrap_or(-1.0)));
        packed.whole("load.up", load.bytes[0].iter().copied());
        packed.whole("load.down", load.bytes[1].iter().copied());
        packed
    }
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The slice furthest behind, with the longest wait and the longest times of all.
fn worst_slice(slices: &[SliceRow]) -> Option<SliceRow> {
    let worst = slices.iter().min_by(|a, b| a.slice.lead_s.total_cmp(&b.slice.lead_s))?;
    let most =
        |of: fn(&SliceRecord) -> f64| slices.iter().map(|row| of(&row.slice)).fold(0.0, f64::max);
    let slice = SliceRecord {
        interval_s: most(|slice| slice.interval_s),
        tick_ms: most(|slice| slice.tick_ms),
        dec_ms: most(|slice| slice.dec_ms),
        ..worst.slice
    };
    Some(SliceRow { row: worst.row, slice })
}

/// The report with the oldest audio, with the longest wait and the most bytes in flight of all.
fn worst_tick(ticks: &[TickRow]) -> Option<TickRow> {
    let worst = ticks.iter().max_by(|a, b| a.tick.staleness_s.total_cmp(&b.tick.staleness_s))?;
    let in_flight = ticks.iter().filter_map(|row| row.tick.in_flight).reduce(f64::max);
    let interval_s = ticks.iter().map(|row| row.tick.interval_s).fold(0.0, f64::max);
    Some(TickRow { tick: TickMeasure { in_flight, interval_s, ..worst.tick }, ..*worst })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: SliceRecord = SliceRecord {
        t_s: 0.0,
        start: 0,
        frames: 1,
        lead_s: 0.2,
        interval_s: 0.05,
        tick_ms: 30.0,
        dec_ms: 2.0,
        generations: 1,
    };

    const TICK: TickMeasure =
        TickMeasure { playhead_s: 1.0, staleness_s: 0.5, interval_s: 0.02, in_flight: None };

    /// A message every 10 ms: slice and report in turn.
    fn rows(count: usize) -> Rows {
        let mut rows = Rows::default();
        for row in 0..count {
            let t = Nanos(row as u64 * 10_000_000);
            rows.messages.push(MessageRow { t, seq: row as u64, kind: 0, side: 1, bytes: 100 });
            match row % 2 {
                0 => rows.slices.push(SliceRow { row, slice: SLICE }),
                _ => rows.ticks.push(TickRow { row, tick: TICK }),
            }
        }
        rows
    }

    #[test]
    fn the_worst_of_a_long_session_is_kept() {
        let mut rows = rows(1000);
        rows.slices[123].slice.lead_s = -1.0;
        rows.slices[124].slice.interval_s = 9.0;
        rows.ticks[77].tick.staleness_s = 7.0;
        let mut told = [501];
        assert_eq!(rows.thin_to(100, told.iter_mut()), 10);
        assert_eq!((rows.slices.len(), rows.ticks.len(), rows.messages.len()), (50, 50, 101));
        let worst = rows.slices.iter().find(|row| row.slice.lead_s < 0.0).unwrap();
        assert_eq!(rows.messages[worst.row].seq, 246);
        assert_eq!(worst.slice.interval_s, 9.0);
        let oldest = rows.ticks.iter().find(|row| row.tick.staleness_s > 6.0).unwrap();
        assert_eq!(rows.messages[oldest.row].seq, 155);
        assert_eq!(rows.messages[told[0]].seq, 501);
    }

    #[test]
    fn a_short_session_is_kept_whole() {
        let mut rows = rows(100);
        assert_eq!((rows.thin_to(100, [].iter_mut()), rows.messages.len()), (1, 100));
    }

    #[test]
    fn traffic_stays_as_it_was_when_a_live_session_is_thinned() {
        let mut rows = rows(MAX_MESSAGES + 2);
        let before = rows.load(Nanos::seconds);
        assert_eq!(rows.thin_live([].iter_mut()), 2);
        assert!(rows.messages.len() <= MAX_MESSAGES / 2 + 2);
        let after = rows.load(Nanos::seconds);
        assert_eq!(before.bytes[1].len(), after.bytes[1].len());
        assert_eq!(before.bytes[1].iter().sum::<i64>(), after.bytes[1].iter().sum::<i64>());
        let t = rows.messages.last().unwrap().t;
        rows.messages.push(MessageRow { t, seq: 0, kind: 0, side: 1, bytes: 7 });
        let more = rows.load(Nanos::seconds);
        assert_eq!(after.bytes[1].iter().sum::<i64>() + 7, more.bytes[1].iter().sum::<i64>());
    }

    #[test]
    fn traffic_is_added_up_however_absurd_the_times() {
        let seconds = |t: Nanos| t.seconds();
        let mut rows = rows(100);
        let load = rows.load(seconds);
        assert_eq!((load.part_s, load.bytes[1].len()), (0.1, 10));
        assert_eq!(load.bytes[1].iter().sum::<i64>(), 10_000);
        rows.messages[50].t = Nanos(u64::MAX);
        let load = rows.load(seconds);
        assert!(load.bytes[1].len() <= MAX_PARTS + 1);
        assert_eq!(load.bytes[1].iter().sum::<i64>(), 10_000);
        assert_eq!(Rows::default().load(seconds).bytes, [vec![0], vec![0]]);
    }
}
