//! The evidence as columns in seconds from the initial buffer, with what is usual for the session.
//!
//! A signature reads columns and figures from here and never a message. Everything is derived in one
//! pass over what the engine observed.

use crate::capture::Marker;
use crate::engine::{BufferSeen, EndKind, Engine, Observed, OldAudioSeen, RegionAsked, ReportSeen};
use crate::heard::IDLE_AFTER_NS;
use crate::mirror::drift::MirrorDrift;
use crate::playhead::{JUMP_S, PAUSED_AFTER_S, wrapped};
use crate::time::Nanos;

/// A generation that took less than this was none: in reuse the server sends what it has.
const REUSED_MS: f64 = 1.0;
/// A silence after slices that the server had already is a rest from this length on, in seconds.
const SILENT_S: f64 = 0.5;
/// A resting server sends its first slice within this time of the change that wakes it, in seconds.
const WAKES_S: f64 = 1.0;
/// What came this long after the first buffer is not the start any more: the first generation is
/// slow, and the server's lead comes down from its ceiling.
pub const STARTED_S: f64 = 2.5;
/// Shares of the seconds in which slices came fastest: a fault may last for most of a session, and a queue
/// that empties makes a few seconds faster than the server is.
const BETTER_SECONDS: f64 = 0.25;
const BEST_SECONDS: f64 = 0.05;
/// The transient of a swap or a wake-up: the stall reserve of 1.35 s and a round trip.
pub const SETTLED_S: f64 = 2.0;

/// A slice: moments and lengths in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SliceRow {
    pub t_s: f64,
    pub seq: u64,
    /// Where its region begins, and how long it is.
    pub start_s: f64,
    pub window_s: f64,
    pub bytes: f64,
    pub lead_s: f64,
    /// The generation and the decoding before it, together and apart.
    pub tick_s: f64,
    pub decode_s: f64,
    pub generations: f64,
    /// Since the slice before of the same buffer, or since what is known begins; `None` for the first of
    /// a buffer.
    pub interval_s: Option<f64>,
    /// Audio that the server had already.
    pub is_reused: bool,
}

impl SliceRow {
    /// How long the server worked for a slice.
    pub fn work_s(&self) -> f64 {
        self.tick_s + self.decode_s
    }
}

/// A report of the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReportRow {
    pub t_s: f64,
    pub seq: u64,
    pub position_s: Option<f64>,
    pub acknowledged: Option<f64>,
    pub lead_s: Option<f64>,
    pub turned: bool,
    /// Bytes that had come by then.
    pub received: f64,
}

/// A source buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BufferRow {
    pub t_s: f64,
    pub seq: u64,
    pub loop_s: f64,
    pub bytes: f64,
    /// Slices that brought audio of the buffer before: how many, and when and in which record the last did.
    pub old_audio: Option<(f64, f64, u64)>,
}

/// What the audio of slices tells of the mirror.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftRow {
    pub seen: MirrorDrift,
    /// From the first to the last slice that an error was left by, and the numbers of their records.
    pub stretch: Stretch,
    pub records: [u64; 2],
}

/// A region that the client asked for by its position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AskedRow {
    pub t_s: f64,
    pub seq: u64,
    pub start_s: f64,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    pub from_s: f64,
    pub to_s: f64,
}

impl Stretch {
    pub fn len_s(&self) -> f64 {
        self.to_s - self.from_s
    }

    /// How long it and another overlap.
    pub fn overlap_s(&self, other: &Stretch) -> f64 {
        (self.to_s.min(other.to_s) - self.from_s.max(other.from_s)).max(0.0)
    }

    pub fn contains(&self, t_s: f64) -> bool {
        (self.from_s..=self.to_s).contains(&t_s)
    }
}

/// What is usual for the session; 0 where nothing tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usual {
    /// Between two slices.
    pub interval_s: f64,
    /// The server's work for one slice.
    pub work_s: f64,
    pub decode_s: f64,
    /// How long a slice is.
    pub window_s: f64,
    pub generations_per_s: f64,
    pub lead_s: f64,
    /// Between two reports.
    pub report_s: f64,
}

/// The evidence of one session.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub slices: Vec<SliceRow>,
    pub reports: Vec<ReportRow>,
    pub commands: Vec<(f64, u64)>,
    pub buffers: Vec<BufferRow>,
    /// Regions that the client asked for, as far as records tell.
    pub asked: Vec<AskedRow>,
    /// The listener's own ops.
    pub ops: Vec<(f64, Marker)>,
    /// When the playhead went somewhere else, and by how much.
    pub jumps: Vec<(f64, f64)>,
    /// Stretches in which the player stood still.
    pub pauses: Vec<Stretch>,
    /// Stretches in which the server had nothing to do.
    pub idle: Vec<Stretch>,
    pub usual: Usual,
    /// When what is known begins and ends.
    pub from_s: f64,
    pub to_s: f64,
    /// The session only appends.
    pub is_tape: bool,
    /// The longest that a ping of the client took, in seconds; `None` without any.
    pub longest_ping_s: Option<f64>,
    /// `None` where no audio was read.
    pub drift: Option<DriftRow>,
}

impl View {
    /// What an engine observed up to `at`, in the last `window_s` seconds; `None` where no stream came.
    pub fn of(engine: &Engine, at: Nanos, window_s: f64) -> Option<View> {
        let (observed, origin) = (engine.observed()?, engine.origin()?);
        let begins_s = engine.begins()?.seconds_since(origin);
        let forgotten_s = observed.forgotten_to.map_or(0.0, |t| t.seconds_since(origin));
        let rate = f64::from(engine.sample_rate()).max(1.0);
        let to_s = ended(engine, at).seconds_since(origin).max(0.0);
        let from_s = begins_s.max(forgotten_s).max(to_s - window_s).max(0.0);
        let is_tape = engine.family().tape().is_some();
        let pings = engine.facts().pings.round_trips();
        let view = View {
            slices: slices(observed, origin, rate, from_s, !is_tape),
            reports: reports(observed, origin, from_s),
            commands: observed
                .commands
                .iter()
                .map(|&(t, seq)| (t.seconds_since(origin), seq))
                .collect(),
            buffers: buffers(observed, origin, rate),
            asked: asked(observed, origin, from_s),
            ops: observed.ops.iter().map(|(t, op)| (t.seconds_since(origin), op.clone())).collect(),
            from_s,
            to_s,
            is_tape,
            drift: engine.mirror_drift().map(|seen| drift(seen, origin)),
            longest_ping_s: (!pings.is_empty()).then(|| Nanos(pings.longest_ns).seconds()),
            ..View::default()
        };
        Some(view.measured())
    }

    /// With what follows from the columns: how the player moved, when the server rested, what is usual.
    #[must_use]
    pub fn measured(mut self) -> View {
        self.follow_player();
        self.idle = self.idle_stretches();
        self.usual = self.usual();
        self
    }

    /// The buffer at a moment.
    pub fn buffer_at(&self, t_s: f64) -> Option<&BufferRow> {
        self.buffers.iter().rev().find(|buffer| buffer.t_s <= t_s)
    }

    pub fn loop_s(&self, t_s: f64) -> f64 {
        self.buffer_at(t_s).map_or(0.0, |buffer| buffer.loop_s)
    }

    /// Slices that came in a stretch.
    pub fn slices_in(&self, stretch: Stretch) -> &[SliceRow] {
        within(&self.slices, stretch, |slice| slice.t_s)
    }

    /// Reports that came in a stretch.
    pub fn reports_in(&self, stretch: Stretch) -> &[ReportRow] {
        within(&self.reports, stretch, |report| report.t_s)
    }

    /// Whether the server rests, or the start, a swap or a wake-up is under way at a moment.
    pub fn is_settling(&self, t_s: f64) -> bool {
        t_s < self.from_s + STARTED_S
            || self.buffers.iter().any(|buffer| (0.0..SETTLED_S).contains(&(t_s - buffer.t_s)))
            || self.idle.iter().any(|it| (it.from_s..it.to_s + SETTLED_S).contains(&t_s))
    }

    /// Whether the player stood still for most of a stretch.
    pub fn is_paused(&self, stretch: Stretch) -> bool {
        let paused_s: f64 = self.pauses.iter().map(|pause| pause.overlap_s(&stretch)).sum();
        paused_s > 0.5 * stretch.len_s()
    }

    pub fn is_idle(&self, stretch: Stretch) -> bool {
        self.idle.iter().any(|idle| idle.overlap_s(&stretch) > 0.5 * stretch.len_s())
    }

    /// Knobs turned and commands sent in a stretch.
    pub fn turns_in(&self, stretch: Stretch) -> usize {
        self.reports_in(stretch).iter().filter(|report| report.turned).count()
    }

    pub fn commands_in(&self, stretch: Stretch) -> impl Iterator<Item = (f64, u64)> {
        self.commands.iter().copied().filter(move |&(t_s, _)| stretch.contains(t_s))
    }

    /// Finds jumps and pauses in the reported positions, and in the listener's ops.
    fn follow_player(&mut self) {
        let mut held: Option<f64> = None;
        for (one, two) in self.reports.iter().zip(self.reports.iter().skip(1)) {
            let (Some(from), Some(to)) = (one.position_s, two.position_s) else { continue };
            let loop_s = self.loop_s(two.t_s);
            let is_new = self.loop_s(one.t_s) != loop_s
                || self.buffer_at(one.t_s).map(|buffer| buffer.seq)
                    != self.buffer_at(two.t_s).map(|buffer| buffer.seq);
            let elapsed_s = two.t_s - one.t_s;
            let moved_s = folded(to - from, loop_s);
            if moved_s.abs() < 1e-9 {
                held.get_or_insert(one.t_s);
                continue;
            }
            if let Some(from_s) = held.take().filter(|from_s| two.t_s - from_s >= PAUSED_AFTER_S) {
                self.pauses.push(Stretch { from_s, to_s: two.t_s });
                continue;
            }
            let off_s = folded(moved_s - elapsed_s, loop_s);
            let allowed_s = JUMP_S + 0.05 * elapsed_s;
            if !is_new && off_s.abs() > allowed_s {
                if elapsed_s > PAUSED_AFTER_S && moved_s.abs() < JUMP_S {
                    self.pauses.push(Stretch { from_s: one.t_s, to_s: two.t_s });
                } else {
                    self.jumps.push((two.t_s, off_s));
                }
            }
        }
        let until_end = held.map(|from_s| Stretch { from_s, to_s: self.to_s });
        self.pauses.extend(until_end.filter(|pause| pause.len_s() >= PAUSED_AFTER_S));
    }

    /// The server rests 20 s after the last change and after one more loop, until the next change. Before
    /// that it sends what it has, which tells of a rest whose beginning is not known. One that only
    /// appends always has more to do.
    fn idle_stretches(&self) -> Vec<Stretch> {
        if self.is_tape {
            return Vec::new();
        }
        let rest_s = Nanos(IDLE_AFTER_NS).seconds();
        let mut changes: Vec<f64> = self.commands.iter().map(|&(t_s, _)| t_s).collect();
        changes.extend(self.reports.iter().filter(|it| it.turned).map(|it| it.t_s));
        changes.extend(self.buffers.iter().map(|buffer| buffer.t_s));
        changes.push(self.from_s);
        changes.sort_by(f64::total_cmp);
        changes.push(self.to_s);
        let wakes = |t_s: f64| changes.iter().any(|&at_s| (0.0..WAKES_S).contains(&(t_s - at_s)));
        let first = self.slices.first().filter(|it| it.interval_s.is_some() && wakes(it.t_s));
        let before_known = first.map(|it| Stretch { from_s: self.from_s, to_s: it.t_s });
        let pairs = changes.iter().zip(&changes[1..]);
        let ends = self.slices.iter().skip(1).map(|slice| slice.t_s).chain([self.to_s]);
        let after_reuse = self.slices.iter().zip(ends).filter_map(|(slice, to_s)| {
            let silence = Stretch { from_s: slice.t_s, to_s };
            (slice.is_reused && silence.len_s() > SILENT_S).then_some(silence)
        });
        pairs
            .filter_map(|(&from_s, &to_s)| {
                let from_s = from_s + rest_s + (self.loop_s(from_s) - 1.0).max(0.0);
                (to_s > from_s).then_some(Stretch { from_s, to_s })
            })
            .chain(after_reuse)
            .chain(before_known.filter(|silence| silence.len_s() > SILENT_S))
            .collect()
    }

    fn usual(&self) -> Usual {
        let sound = || self.slices.iter().filter(|it| !it.is_reused && it.tick_s > 0.0);
        let work_s = quantile(sound().map(SliceRow::work_s), 0.5);
        let interval_s = self.usual_interval_s(work_s);
        let reports = self.reports.iter().zip(self.reports.iter().skip(1));
        let leads = self.slices.iter().filter(|it| !self.is_settling(it.t_s));
        Usual {
            interval_s,
            work_s: if interval_s > 0.0 { work_s.min(interval_s) } else { work_s },
            decode_s: quantile(sound().map(|it| it.decode_s), 0.25),
            window_s: quantile(self.slices.iter().map(|it| it.window_s), 0.5),
            generations_per_s: self.generations_per_s(),
            lead_s: self.usual_lead_s(leads),
            report_s: quantile(reports.map(|(one, two)| two.t_s - one.t_s), 0.5),
        }
    }

    /// The interval of the better quarter of the seconds: what the session does while all is well. Where
    /// less than a quarter was, the best seconds tell, unless slices came faster than they are made.
    fn usual_interval_s(&self, work_s: f64) -> f64 {
        let mut means = Vec::new();
        let mut second: (i64, f64, u32) = (i64::MIN, 0.0, 0);
        for slice in self.slices.iter().filter(|it| !it.is_reused) {
            let Some(interval_s) = slice.interval_s else { continue };
            let key = slice.t_s.floor() as i64;
            if key != second.0 {
                means.extend((second.2 >= 2).then(|| second.1 / f64::from(second.2)));
                second = (key, 0.0, 0);
            }
            second = (key, second.1 + interval_s, second.2 + 1);
        }
        means.extend((second.2 >= 2).then(|| second.1 / f64::from(second.2)));
        if means.is_empty() {
            return quantile(self.slices.iter().filter_map(|it| it.interval_s), 0.25);
        }
        let of = |share| quantile(means.iter().copied(), share);
        of(BETTER_SECONDS).min(of(BEST_SECONDS).max(work_s))
    }

    fn generations_per_s(&self) -> f64 {
        let mut rates = Vec::new();
        let mut from = 0;
        for to in 0..self.slices.len() {
            let (one, two) = (&self.slices[from], &self.slices[to]);
            let elapsed_s = two.t_s - one.t_s;
            if elapsed_s >= 1.0 || two.generations < one.generations {
                if elapsed_s < 2.0 && two.generations >= one.generations && !two.is_reused {
                    rates.push((two.generations - one.generations) / elapsed_s);
                }
                from = to;
            }
        }
        quantile(rates.into_iter(), 0.85)
    }

    /// The lead of the seconds in which most was well: the lower quarter of those that lie in the range of
    /// a server without the transport's share, or that range's floor.
    fn usual_lead_s<'a>(&self, settled: impl Iterator<Item = &'a SliceRow>) -> f64 {
        let sound: Vec<_> =
            settled.map(|it| it.lead_s).filter(|lead_s| (0.0..1.4).contains(lead_s)).collect();
        if sound.is_empty() { 0.2 } else { quantile(sound.into_iter(), 0.25) }
    }
}

/// The end of the session, or `at` while it goes on: what is silent after a close is no stall.
fn ended(engine: &Engine, at: Nanos) -> Nanos {
    let end = engine.ending(at);
    let is_over = end.kind != EndKind::Open && !end.kind.is_silence();
    if is_over { end.t.min(at) } else { at }
}

/// The slices from `from_s` on. One that appends to a tape is never one that the server had already.
fn slices(
    observed: &Observed,
    origin: Nanos,
    rate: f64,
    from_s: f64,
    refines: bool,
) -> Vec<SliceRow> {
    let mut rows: Vec<SliceRow> = Vec::with_capacity(observed.slices.len());
    let later = observed.buffers.iter().skip(1).map(|it| it.t.seconds_since(origin));
    let mut buffers = later.filter(|&buffer_s| buffer_s >= from_s).peekable();
    let mut known_again = observed.holes.iter().map(|(_, to)| to.seconds_since(origin)).peekable();
    let mut known_s = from_s;
    let from = observed.slices.partition_point(|it| it.t.seconds_since(origin) < from_s);
    for slice in observed.slices.range(from..) {
        let t_s = slice.t.seconds_since(origin);
        while let Some(again_s) = known_again.next_if(|&again_s| again_s <= t_s) {
            known_s = known_s.max(again_s);
        }
        let mut is_first = rows.is_empty() && from_s <= 0.0;
        while buffers.next_if(|&buffer_s| buffer_s <= t_s).is_some() {
            is_first = true;
        }
        let before_s = rows.last().map_or(from_s, |before| before.t_s).max(known_s);
        rows.push(SliceRow {
            t_s,
            seq: slice.seq,
            start_s: f64::from(slice.start) / rate,
            window_s: f64::from(slice.frames) / rate,
            bytes: slice.len.into(),
            lead_s: slice.lead_s.into(),
            tick_s: f64::from(slice.tick_ms) / 1e3,
            decode_s: f64::from(slice.dec_ms) / 1e3,
            generations: slice.generations.into(),
            interval_s: (!is_first).then(|| (t_s - before_s).max(0.0)),
            is_reused: refines && f64::from(slice.tick_ms) < REUSED_MS && slice.generations > 0,
        });
    }
    rows
}

fn drift(seen: &MirrorDrift, origin: Nanos) -> DriftRow {
    let ends = [seen.first, seen.last].map(Option::unwrap_or_default);
    let [from_s, to_s] = ends.map(|(t, _)| t.seconds_since(origin));
    DriftRow { seen: *seen, stretch: Stretch { from_s, to_s }, records: ends.map(|(_, seq)| seq) }
}

fn reports(observed: &Observed, origin: Nanos, from_s: f64) -> Vec<ReportRow> {
    let row = |seen: &ReportSeen| ReportRow {
        t_s: seen.t.seconds_since(origin),
        seq: seen.seq,
        position_s: finite(seen.position_s),
        acknowledged: finite(seen.acknowledged),
        lead_s: finite(seen.lead_s),
        turned: seen.turned,
        received: seen.received as f64,
    };
    let from = observed.reports.partition_point(|it| it.t.seconds_since(origin) < from_s);
    observed.reports.range(from..).map(row).collect()
}

fn buffers(observed: &Observed, origin: Nanos, rate: f64) -> Vec<BufferRow> {
    let row = |seen: &BufferSeen| BufferRow {
        t_s: seen.t.seconds_since(origin),
        seq: seen.seq,
        loop_s: seen.frames as f64 / rate,
        bytes: seen.frames as f64 * f64::from(seen.channels) * 2.0,
        old_audio: seen.old_audio.map(|OldAudioSeen { slices, last: (t, seq) }| {
            (f64::from(slices), t.seconds_since(origin), seq)
        }),
    };
    observed.buffers.iter().map(row).collect()
}

/// What was asked for from `from_s` on.
fn asked(observed: &Observed, origin: Nanos, from_s: f64) -> Vec<AskedRow> {
    let row = |it: &RegionAsked| AskedRow {
        t_s: it.t.seconds_since(origin),
        seq: it.seq,
        start_s: it.at_s,
    };
    observed.asked.iter().map(row).filter(|it| it.t_s >= from_s && it.start_s.is_finite()).collect()
}

fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

/// The rows whose moments lie in a stretch.
fn within<T>(rows: &[T], stretch: Stretch, t_s: impl Fn(&T) -> f64) -> &[T] {
    let from = rows.partition_point(|row| t_s(row) < stretch.from_s);
    let to = rows.partition_point(|row| t_s(row) <= stretch.to_s);
    &rows[from..to.max(from)]
}

/// A distance folded to half a loop either way.
pub fn folded(s: f64, loop_s: f64) -> f64 {
    if loop_s <= 0.0 {
        return s;
    }
    wrapped(s + loop_s / 2.0, loop_s) - loop_s / 2.0
}

/// The value of which a share of all are smaller; 0 of none.
pub fn quantile(values: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return 0.0;
    }
    let place = ((values.len() - 1) as f64 * share).round() as usize;
    let (_, value, _) = values.select_nth_unstable_by(place, f64::total_cmp);
    *value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_folded_to_half_a_loop() {
        assert_eq!(folded(9.0, 10.0), -1.0);
        assert_eq!(folded(-9.0, 10.0), 1.0);
        assert_eq!(folded(3.0, 0.0), 3.0);
    }

    #[test]
    fn quantiles_are_values_that_were_there() {
        let values = || [5.0, 1.0, f64::NAN, 3.0].into_iter();
        assert_eq!([0.0, 0.5, 1.0].map(|share| quantile(values(), share)), [1.0, 3.0, 5.0]);
        assert_eq!(quantile(std::iter::empty(), 0.5), 0.0);
    }
}
