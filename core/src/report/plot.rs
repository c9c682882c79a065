//! A picture of a session: lead, staleness, loop and cadence over time, as PNG or SVG.
//!
//! Times are seconds from the initial buffer. Values that fall into one pixel column are drawn as their
//! extent, so neither drawing time nor file size depends on the length of the capture, and no late
//! slice disappears between two pixels. Fonts of the machine are not needed.

mod draw;
mod letters;
mod png;

use crate::capture::Marker;
use crate::engine::Engine;
use crate::time::Nanos;

use super::data::Analysis;
use super::format::{Figure, OneLine};

/// Pixels beside a panel, about.
const MARGINS: u32 = 120;
/// Widths that a picture can have, in pixels.
pub const WIDTHS: std::ops::RangeInclusive<u32> = 400..=8000;

/// How a picture looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlotStyle {
    /// Pixels, within [`WIDTHS`].
    pub width: u32,
    /// Light on dark.
    pub dark: bool,
}

impl Default for PlotStyle {
    fn default() -> Self {
        PlotStyle { width: 900, dark: false }
    }
}
/// Slices landing behind by more than this are drawn as behind, in seconds.
const BEHIND_LEAD_S: f64 = crate::heard::BEHIND_LEAD_S;

/// An image could not be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot draw the chart: {0}")]
pub struct PlotError(String);

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    style: PlotStyle,
    title: String,
    verdict: String,
    lag: bool,
    begins_s: f64,
    ends_s: f64,
    loop_s: f64,
    stale_threshold_s: f64,
    /// Spells of lag, from and to.
    episodes: Vec<(f64, f64)>,
    /// The causes, the worst first.
    causes: Vec<PlotCause>,
    /// Spans that are silent for a reason, and which: a pause, a server that rests.
    rests: Vec<(f64, f64, &'static str)>,
    /// What happened at a moment.
    marks: Vec<(f64, String)>,
    /// Lead of slices in time, ahead or nearly so, and those behind.
    ahead: Extents,
    behind: Extents,
    staleness: Extents,
    /// Where slices were written, as extents of the loop.
    written: Vec<(f64, f64, f64)>,
    playhead: Extents,
    /// Slices and ticks a second.
    slice_rate: Vec<(f64, f64)>,
    tick_rate: Vec<(f64, f64)>,
}

/// A cause and when it was at work.
#[derive(Debug, Clone, PartialEq)]
struct PlotCause {
    from_s: f64,
    to_s: f64,
    name: String,
    /// A listener heard it.
    audible: bool,
}

/// Lowest and highest value of each column that has one, with the column's time.
#[derive(Debug, Clone, Default, PartialEq)]
struct Extents(Vec<(f64, f64, f64)>);

impl Extents {
    /// A column in which a position wrapped around the end of the loop has both ends of it, and
    /// nothing between.
    fn without_wraps(self, loop_s: f64) -> Extents {
        let columns = self.0.into_iter().flat_map(|(t_s, low, high)| {
            let wrapped = high - low > loop_s / 2.0;
            let whole = (!wrapped).then_some((t_s, low, high));
            let ends = wrapped.then_some([(t_s, low, low), (t_s, high, high)]);
            whole.into_iter().chain(ends.into_iter().flatten())
        });
        Extents(columns.collect())
    }
}

impl Plot {
    /// Collects what there is to see.
    #[must_use]
    pub fn of(engine: &Engine, at: Nanos, analysis: &Analysis, style: PlotStyle) -> Plot {
        let origin_s = engine.origin().unwrap_or(at).seconds();
        let begins_s = analysis.session.begins_s.unwrap_or(0.0);
        let ends_s = analysis.report_at_s.max(begins_s + 0.1);
        let column_s = (ends_s - begins_s) / f64::from(style.width.saturating_sub(MARGINS).max(1));
        let rate = f64::from(engine.sample_rate());
        let listens_from_s = engine.listens_from().map_or(f64::INFINITY, Nanos::seconds);
        let (mut ahead, mut behind, mut staleness, mut playhead) = (
            Columns::new(column_s),
            Columns::new(column_s),
            Columns::new(column_s),
            Columns::new(column_s),
        );
        let mut written = Columns::new(column_s);
        let (mut slices_s, mut ticks_s) = (Vec::new(), Vec::new());
        for epoch in engine.epochs() {
            for slice in epoch.tracker.slices() {
                let t_s = slice.t_s - origin_s;
                let column = if slice.lead_s < BEHIND_LEAD_S { &mut behind } else { &mut ahead };
                if slice.t_s >= listens_from_s {
                    column.add(t_s, slice.lead_s);
                }
                let start_s = f64::from(slice.start) / rate;
                written.add(t_s, start_s);
                written.add(t_s, start_s + f64::from(slice.frames) / rate);
                slices_s.push(t_s);
            }
            for tick in epoch.tracker.ticks() {
                let t_s = tick.t_s - origin_s;
                staleness.add(t_s, tick.staleness_s);
                playhead.add(t_s, tick.playhead_s);
                ticks_s.push(t_s);
            }
        }
        let stale_threshold_s = analysis
            .lag
            .as_ref()
            .map_or(crate::lag::DEFAULT_STALE_THRESHOLD_S, |lag| lag.ticks.stale_threshold_s);
        let loop_s = analysis.epochs.iter().map(|epoch| epoch.loop_s).fold(0.1, f64::max);
        Plot {
            style,
            title: title(&analysis.capture),
            verdict: verdict(analysis),
            lag: analysis.verdict.is_lag(),
            begins_s,
            ends_s,
            loop_s,
            stale_threshold_s,
            episodes: analysis.verdict.episodes.iter().map(|e| (e.from_s, e.to_s)).collect(),
            causes: causes(analysis),
            rests: rests(engine, analysis, origin_s),
            marks: marks(engine, analysis, origin_s),
            ahead: ahead.done(),
            behind: behind.done(),
            staleness: staleness.done(),
            written: written.done().without_wraps(loop_s).0,
            playhead: playhead.done().without_wraps(loop_s),
            slice_rate: rates(&slices_s, (begins_s, ends_s)),
            tick_rate: rates(&ticks_s, (begins_s, ends_s)),
        }
    }

    /// Draws it as PNG.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        png::encode(&draw::pixels(self)?, self.style.width, draw::HEIGHT)
    }

    /// Draws it as SVG.
    pub fn svg(&self) -> Result<String, PlotError> {
        draw::svg(self)
    }
}

/// A column for each pixel; the lowest and highest value of each.
struct Columns {
    column_s: f64,
    extents: std::collections::BTreeMap<i64, (f64, f64)>,
}

impl Columns {
    fn new(column_s: f64) -> Columns {
        Columns { column_s, extents: std::collections::BTreeMap::new() }
    }

    fn add(&mut self, t_s: f64, value: f64) {
        if !value.is_finite() || !t_s.is_finite() {
            return;
        }
        let extent = self.extents.entry((t_s / self.column_s) as i64).or_insert((value, value));
        *extent = (extent.0.min(value), extent.1.max(value));
    }

    fn done(self) -> Extents {
        let column_s = self.column_s;
        let middle = |column: i64| (column as f64 + 0.5) * column_s;
        Extents(self.extents.into_iter().map(|(c, (low, high))| (middle(c), low, high)).collect())
    }
}

/// How many a second fell into each of some equal parts of the time, as steps.
fn rates(times_s: &[f64], (begins_s, ends_s): (f64, f64)) -> Vec<(f64, f64)> {
    let length_s = ends_s - begins_s;
    let part_s = (length_s / 120.0).max(0.25);
    let parts = (length_s / part_s).floor().max(1.0) as usize;
    let mut counts = vec![0_u32; parts];
    for t_s in times_s {
        let part = ((t_s - begins_s) / part_s).max(0.0) as usize;
        if let Some(count) = counts.get_mut(part) {
            *count += 1;
        }
    }
    let step = |(part, count): (usize, u32)| {
        let (from_s, rate) = (begins_s + part as f64 * part_s, f64::from(count) / part_s);
        [(from_s, rate), (from_s + part_s, rate)]
    };
    counts.into_iter().enumerate().flat_map(step).collect()
}

/// The worst causes, as many as there is room for.
fn causes(analysis: &Analysis) -> Vec<PlotCause> {
    const MOST: usize = 3;
    let findings = analysis.diagnosis.findings.iter().take(MOST);
    let cause = findings.map(|finding| PlotCause {
        from_s: finding.from_s,
        to_s: finding.to_s,
        name: finding.class.to_string(),
        audible: finding.audible,
    });
    cause.collect()
}

/// Spans in which nothing is wrong although nothing moves.
fn rests(engine: &Engine, analysis: &Analysis, origin_s: f64) -> Vec<(f64, f64, &'static str)> {
    let idle = analysis.idle.iter().map(|idle| (idle.from_s, idle.to_s, "idle"));
    let mut rests: Vec<_> = idle.collect();
    let mut paused_s = None;
    for (t, op) in &engine.facts().markers {
        let t_s = t.seconds() - origin_s;
        match op {
            Marker::Pause => paused_s = paused_s.or(Some(t_s)),
            Marker::Resume => rests.extend(paused_s.take().map(|from_s| (from_s, t_s, "paused"))),
            _ => {}
        }
    }
    rests.extend(paused_s.map(|from_s| (from_s, analysis.report_at_s, "paused")));
    rests
}

/// What the listener did, swaps and closes, in their order.
fn marks(engine: &Engine, analysis: &Analysis, origin_s: f64) -> Vec<(f64, String)> {
    let ops = engine.facts().markers.iter().filter_map(|(t, op)| {
        let name = match op {
            Marker::Seek { to_s } => format!("seek to {} s", Figure(*to_s)),
            Marker::Rate { rate } => format!("rate {rate}"),
            Marker::Point { name } => OneLine(name).to_string(),
            Marker::Pause | Marker::Resume => return None,
        };
        Some((t.seconds() - origin_s, name))
    });
    let swaps = analysis.epochs.iter().skip(1).map(|epoch| (epoch.from_s, "swap".to_owned()));
    let closes = analysis.closes.iter().map(|close| {
        let code = close.code.map_or(String::new(), |code| format!(" {code}"));
        (close.t_s, format!("close{code}"))
    });
    let mut marks: Vec<_> = ops.chain(swaps).chain(closes).collect();
    marks.sort_by(|a, b| a.0.total_cmp(&b.0));
    marks
}

/// The capture's name, the end of a long one.
fn title(capture: &str) -> String {
    const LONGEST: usize = 60;
    let name = OneLine(capture).to_string();
    match name.chars().count().checked_sub(LONGEST) {
        None | Some(0) => name,
        Some(over) => format!("…{}", name.chars().skip(over + 1).collect::<String>()),
    }
}

fn verdict(analysis: &Analysis) -> String {
    let verdict = &analysis.verdict;
    if analysis.lag.is_none() && analysis.arrivals.is_none() {
        return "no audio came".to_owned();
    }
    if let Some(why) = &verdict.why {
        return format!("no verdict: {why}");
    }
    if !verdict.is_lag() {
        return "healthy: nothing stale or late was heard".to_owned();
    }
    let cause = analysis.diagnosis.findings.first().filter(|finding| finding.audible);
    let cause = cause.map_or(String::new(), |finding| format!(" · {}", finding.class));
    format!("LAG {}{cause}", super::text::lag(verdict, analysis.covered_s()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(values: &[(f64, f64)]) -> Columns {
        let mut columns = Columns::new(0.5);
        values.iter().for_each(|&(t_s, value)| columns.add(t_s, value));
        columns
    }

    #[test]
    fn a_column_keeps_its_extremes() {
        let extents = columns(&[(0.1, 2.0), (0.2, -1.0), (0.3, 1.0), (1.2, 5.0), (0.4, f64::NAN)]);
        assert_eq!(extents.done().0, [(0.25, -1.0, 2.0), (1.25, 5.0, 5.0)]);
    }

    #[test]
    fn a_wrap_is_no_line_across_the_loop() {
        let extents = columns(&[(0.1, 7.9), (0.2, 0.1), (0.7, 0.2), (0.9, 0.4)]).done();
        let expected = [(0.25, 0.1, 0.1), (0.25, 7.9, 7.9), (0.75, 0.2, 0.4)];
        assert_eq!(extents.without_wraps(8.0).0, expected);
    }

    #[test]
    fn rates_count_what_fell_into_each_part() {
        assert_eq!(
            rates(&[0.0, 0.1, 0.3, 9.0], (0.0, 0.5)),
            [(0.0, 8.0), (0.25, 8.0), (0.25, 4.0), (0.5, 4.0)]
        );
    }
}
