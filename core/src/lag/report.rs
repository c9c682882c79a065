//! The lag report: figures over the slices and ticks within a window of time.
//!
//! Keys, their order and the rounding are those of the reference. Times are seconds. A list that
//! contains a NaN has NaN figures (JSON `null`). Arguments are not checked here: see
//! [`ReportArgs::check`].

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::figures::Figures;
use super::quantiles::Quantiles;
use super::stats::round;
use super::{MAX_TIMELINE_ROWS, ReportArgs, SliceRecord, TickRecord};

/// The reference's lag report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LagReport {
    /// The window asked for.
    pub window_s: Option<f64>,
    /// Length of the loop, to 3 decimals.
    pub buffer_duration_s: f64,
    /// What arrived.
    pub slices: SliceSummary,
    /// What was heard.
    pub ticks: TickSummary,
    /// The same over time, oldest row first; `None` when not asked for, empty without records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Vec<TimelineRow>>,
}

/// Figures over the slices of the window.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SliceSummary {
    /// Slices in the window.
    pub count: usize,
    /// Those with a negative lead.
    pub behind_playhead: usize,
    #[serde(serialize_with = "figures_or_empty_map")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "figures_schema"))]
    pub lead_s: Option<Figures>,
    /// Time since the slice before, where above 0: the first of an epoch has no slice before.
    #[serde(serialize_with = "figures_or_empty_map")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "figures_schema"))]
    pub interval_s: Option<Figures>,
    /// Generation times that the server declared.
    #[serde(serialize_with = "figures_or_empty_map")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "figures_schema"))]
    pub tick_ms: Option<Figures>,
    /// Decoding times that the server declared.
    #[serde(serialize_with = "figures_or_empty_map")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "figures_schema"))]
    pub dec_ms: Option<Figures>,
    /// The generation count of the newest slice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_gens_last: Option<u32>,
}

/// Figures over the ticks of the window.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TickSummary {
    /// Ticks in the window.
    pub count: usize,
    /// The threshold asked for.
    pub stale_threshold_s: f64,
    /// Ticks above it.
    pub stale_ticks: usize,
    /// Age of the audio under the playhead.
    #[serde(serialize_with = "figures_or_empty_map")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "figures_schema"))]
    pub staleness_s: Option<Figures>,
    /// The stalest tick above the threshold, the first of equals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst_stale: Option<WorstStale>,
}

/// Where and when the audio was stalest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorstStale {
    /// Seconds before the time of asking, to 2 decimals.
    pub ago_s: f64,
    /// The listening position, to 3 decimals.
    pub playhead_s: f64,
    /// Age of the audio there, to 3 decimals.
    pub staleness_s: f64,
}

/// One step of the timeline. Slice fields stand only where a slice fell in, tick fields only where
/// a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TimelineRow {
    /// How long before the time of asking the row ends, to 2 decimals; negative for a last row
    /// that is not over yet.
    pub t_ago_s: f64,
    /// Slices in the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slices: Option<usize>,
    /// The smallest lead, to 3 decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_lead_s: Option<f64>,
    /// The largest staleness, to 3 decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staleness_s: Option<f64>,
    /// Where the playhead was at the last tick, to 2 decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playhead_s: Option<f64>,
}

impl LagReport {
    /// Reports on records in the order in which they were made.
    ///
    /// The iterators are walked several times, so they should be cheap to clone and to walk.
    #[must_use]
    pub fn of<'a>(
        buffer_duration_s: f64,
        slices: impl Iterator<Item = &'a SliceRecord> + Clone,
        ticks: impl Iterator<Item = &'a TickRecord> + Clone,
        now_s: f64,
        args: &ReportArgs,
    ) -> Self {
        match args.window_s {
            // Without a filter lists are copied many values at a time.
            None => Self::of_all(buffer_duration_s, slices, ticks, now_s, args),
            Some(window_s) => {
                let since_s = now_s - window_s;
                let slices = slices.filter(move |slice| slice.t_s >= since_s);
                let ticks = ticks.filter(move |tick| tick.t_s >= since_s);
                Self::of_all(buffer_duration_s, slices, ticks, now_s, args)
            }
        }
    }

    fn of_all<'a>(
        buffer_duration_s: f64,
        slices: impl Iterator<Item = &'a SliceRecord> + Clone,
        ticks: impl Iterator<Item = &'a TickRecord> + Clone,
        now_s: f64,
        args: &ReportArgs,
    ) -> Self {
        let mut list = List::default();
        list.values.reserve(slices.size_hint().0.max(ticks.size_hint().0));
        Self {
            window_s: args.window_s,
            buffer_duration_s: round(buffer_duration_s, 3),
            slices: SliceSummary::of(slices.clone(), &mut list),
            ticks: TickSummary::of(ticks.clone(), now_s, args.stale_threshold_s, &mut list),
            timeline: args.timeline_step_s.map(|step_s| timeline(slices, ticks, now_s, step_s)),
        }
    }
}

/// The values that figures are made of, and what makes them. One list after the other takes the same
/// memory: fresh memory costs more than a second walk over the records.
#[derive(Default)]
struct List {
    values: Vec<f64>,
    quantiles: Quantiles,
}

impl List {
    fn fill(&mut self, values: impl Iterator<Item = f64>) -> &mut Self {
        self.values.clear();
        self.values.extend(values);
        self
    }

    /// How many of the values are such.
    fn count(&self, is_such: impl Fn(f64) -> bool) -> usize {
        self.values.iter().filter(|&&value| is_such(value)).count()
    }

    fn figures(&mut self) -> Option<Figures> {
        self.quantiles.figures(&self.values)
    }
}

impl SliceSummary {
    fn of<'a>(slices: impl Iterator<Item = &'a SliceRecord> + Clone, list: &mut List) -> Self {
        list.fill(slices.clone().map(|slice| slice.lead_s));
        let (count, behind_playhead) = (list.values.len(), list.count(|lead_s| lead_s < 0.0));
        let lead_s = list.figures();
        list.fill(slices.clone().map(|slice| slice.interval_s));
        if list.count(|interval_s| interval_s > 0.0) < count {
            list.values.retain(|&interval_s| interval_s > 0.0);
        }
        Self {
            count,
            behind_playhead,
            lead_s,
            interval_s: list.figures(),
            tick_ms: list.fill(slices.clone().map(|slice| slice.tick_ms)).figures(),
            dec_ms: list.fill(slices.clone().map(|slice| slice.dec_ms)).figures(),
            num_gens_last: slices.last().map(|slice| slice.generations),
        }
    }
}

impl WorstStale {
    /// The stalest tick, seen from `now_s`.
    #[must_use]
    pub fn of(tick: &TickRecord, now_s: f64) -> Self {
        WorstStale {
            ago_s: round(now_s - tick.t_s, 2),
            playhead_s: round(tick.playhead_s, 3),
            staleness_s: round(tick.staleness_s, 3),
        }
    }
}

impl TickSummary {
    fn of<'a>(
        ticks: impl Iterator<Item = &'a TickRecord> + Clone,
        now_s: f64,
        stale_threshold_s: f64,
        list: &mut List,
    ) -> Self {
        list.fill(ticks.clone().map(|tick| tick.staleness_s));
        let is_stale = |staleness_s: f64| staleness_s > stale_threshold_s;
        let stale_ticks = list.count(is_stale);
        let worse = |worst: &'a TickRecord, tick: &'a TickRecord| {
            if tick.staleness_s > worst.staleness_s { tick } else { worst }
        };
        let worst = match stale_ticks {
            0 => None,
            _ => ticks.filter(|tick| is_stale(tick.staleness_s)).reduce(worse),
        };
        Self {
            count: list.values.len(),
            stale_threshold_s,
            stale_ticks,
            staleness_s: list.figures(),
            worst_stale: worst.map(|tick| WorstStale::of(tick, now_s)),
        }
    }
}

/// An empty list is an empty JSON object in the reference.
fn figures_or_empty_map<S: Serializer>(
    figures: &Option<Figures>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match figures {
        Some(figures) => figures.serialize(serializer),
        None => serializer.serialize_map(Some(0))?.end(),
    }
}

/// The schema of what [`figures_or_empty_map`] writes: an object that may be empty, and whose values
/// are `null` where the list had a value that is not a number.
#[cfg(feature = "schema")]
fn figures_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let figure = serde_json::json!({"oneOf": [{"type": "number"}, {"type": "null"}]});
    let names = ["min", "p5", "p50", "p95", "max", "mean"];
    let properties: serde_json::Map<_, _> =
        names.map(|name| (name.to_owned(), figure.clone())).into_iter().collect();
    schemars::json_schema!({"type": "object", "properties": properties})
}

/// Rows of `step_s` from the oldest record on; the last row also takes what comes after it.
fn timeline<'a>(
    slices: impl Iterator<Item = &'a SliceRecord> + Clone,
    ticks: impl Iterator<Item = &'a TickRecord> + Clone,
    now_s: f64,
    step_s: f64,
) -> Vec<TimelineRow> {
    let times_s = slices.clone().map(|slice| slice.t_s).chain(ticks.clone().map(|tick| tick.t_s));
    let Some(first_s) = times_s.reduce(f64::min) else { return Vec::new() };
    let count = (((now_s - first_s) / step_s).ceil() as usize).clamp(1, MAX_TIMELINE_ROWS);
    let mut rows = vec![TimelineRow::default(); count];
    let row_at = |t_s: f64| (((t_s - first_s) / step_s) as usize).min(count - 1);
    for slice in slices {
        rows[row_at(slice.t_s)].add_slice(slice);
    }
    for tick in ticks {
        rows[row_at(tick.t_s)].add_tick(tick);
    }
    for (row, number) in rows.iter_mut().zip(1_u32..) {
        row.finish(now_s - (first_s + f64::from(number) * step_s));
    }
    rows
}

impl TimelineRow {
    fn add_slice(&mut self, slice: &SliceRecord) {
        self.slices = Some(self.slices.unwrap_or(0) + 1);
        let lead_s = self.min_lead_s.map_or(slice.lead_s, |min| min.min(slice.lead_s));
        self.min_lead_s = Some(lead_s);
    }

    fn add_tick(&mut self, tick: &TickRecord) {
        let staleness_s =
            self.max_staleness_s.map_or(tick.staleness_s, |max| max.max(tick.staleness_s));
        self.max_staleness_s = Some(staleness_s);
        self.playhead_s = Some(tick.playhead_s);
    }

    fn finish(&mut self, t_ago_s: f64) {
        self.t_ago_s = round(t_ago_s, 2);
        self.min_lead_s = self.min_lead_s.map(|lead_s| round(lead_s, 3));
        self.max_staleness_s = self.max_staleness_s.map(|staleness_s| round(staleness_s, 3));
        self.playhead_s = self.playhead_s.map(|playhead_s| round(playhead_s, 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn slice(t_s: f64, tick_ms: f64) -> SliceRecord {
        SliceRecord {
            t_s,
            start: 0,
            frames: 1,
            lead_s: 0.25,
            interval_s: 0.0,
            tick_ms,
            dec_ms: 2.0,
            generations: 7,
        }
    }

    #[track_caller]
    fn check_figures(tick_ms: &[f64], expected: &serde_json::Value) {
        let slices: Vec<_> = tick_ms.iter().map(|&tick_ms| slice(1.0, tick_ms)).collect();
        let report = LagReport::of(1.0, slices.iter(), [].iter(), 2.0, &ReportArgs::default());
        assert_eq!(serde_json::to_value(report).unwrap()["slices"]["tick_ms"], *expected);
    }

    #[test]
    fn odd_numbers_become_null_and_no_numbers_nothing() {
        let nulls = json!({"min": null, "p5": null, "p50": null,
                           "p95": null, "max": null, "mean": null});
        check_figures(&[], &json!({}));
        check_figures(&[1.0, f64::NAN, 3.0], &nulls);
        check_figures(&[f64::NAN], &nulls);
        check_figures(&[f64::INFINITY], &nulls);
        check_figures(
            &[f64::INFINITY, 1.0, 2.0],
            &json!({"min": 1.0, "p5": 1.1, "p50": null, "p95": null, "max": null, "mean": null}),
        );
    }

    #[test]
    fn keys_stand_in_the_reference_order() {
        let slices = [slice(1.0, 2.0)];
        let ticks = [TickRecord { t_s: 1.5, playhead_s: 0.5, staleness_s: 4.0 }];
        let args = ReportArgs { timeline_step_s: Some(1.0), ..ReportArgs::default() };
        let report = LagReport::of(1.0, slices.iter(), ticks.iter(), 2.0, &args);
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            concat!(
                r#"{"window_s":null,"buffer_duration_s":1.0,"slices":{"count":1,"#,
                r#""behind_playhead":0,"#,
                r#""lead_s":{"min":0.25,"p5":0.25,"p50":0.25,"p95":0.25,"max":0.25,"mean":0.25},"#,
                r#""interval_s":{},"#,
                r#""tick_ms":{"min":2.0,"p5":2.0,"p50":2.0,"p95":2.0,"max":2.0,"mean":2.0},"#,
                r#""dec_ms":{"min":2.0,"p5":2.0,"p50":2.0,"p95":2.0,"max":2.0,"mean":2.0},"#,
                r#""num_gens_last":7},"ticks":{"count":1,"stale_threshold_s":3.0,"stale_ticks":1,"#,
                r#""staleness_s":{"min":4.0,"p5":4.0,"p50":4.0,"p95":4.0,"max":4.0,"mean":4.0},"#,
                r#""worst_stale":{"ago_s":0.5,"playhead_s":0.5,"staleness_s":4.0}},"#,
                r#""timeline":[{"t_ago_s":0.0,"slices":1,"min_lead_s":0.25,"#,
                r#""max_staleness_s":4.0,"playhead_s":0.5}]}"#,
            )
        );
    }

    #[track_caller]
    fn check_rows(step_s: f64, expected: usize) {
        let ticks = [1.0, 1e6].map(|t_s| TickRecord { t_s, playhead_s: 0.0, staleness_s: 0.0 });
        let args = ReportArgs { timeline_step_s: Some(step_s), ..ReportArgs::default() };
        let report = LagReport::of(1.0, [].iter(), ticks.iter(), 1e6, &args);
        assert_eq!(report.timeline.map(|rows| rows.len()), Some(expected));
    }

    #[test]
    fn absurd_steps_stay_bounded() {
        check_rows(1e5, 10);
        check_rows(f64::INFINITY, 1);
        check_rows(f64::NAN, 1);
        check_rows(-1.0, 1);
        check_rows(0.0, MAX_TIMELINE_ROWS);
        check_rows(1e-300, MAX_TIMELINE_ROWS);
    }
}
