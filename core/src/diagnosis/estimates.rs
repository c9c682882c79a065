//! Computes the figures that findings rest on.

use super::figures::Estimates;
use super::signature::AudioClock;
use super::suspect::rounded;
use super::view::{SliceRow, Stretch, View, quantile};

impl Estimates {
    /// What the evidence tells; `falls` are the stretches in which leads fell, with slope and depth.
    pub fn of(view: &View, fall: Option<(f64, f64)>, clock: Option<AudioClock>) -> Estimates {
        let bytes = bytes_per_second(view);
        let third = |number: f64| {
            let step_s = (view.to_s - view.from_s) / 3.0;
            let from_s = view.from_s + number * step_s;
            view.slices_in(Stretch { from_s, to_s: from_s + step_s })
        };
        let (first, last) = (third(0.0), third(2.0));
        let of = |slices: &[SliceRow], value: fn(&SliceRow) -> f64| {
            (!slices.is_empty()).then(|| rounded(quantile(slices.iter().map(value), 0.5)))
        };
        let positive = |value: f64| (value > 0.0).then(|| rounded(value));
        let in_flight = view.reports.iter().filter_map(|it| Some(it.received - it.acknowledged?));
        let gaps = view.reports.windows(2).map(|pair| pair[1].t_s - pair[0].t_s);
        Estimates {
            lead_slope: fall.map(|(slope, _)| rounded(slope)),
            position_age_s: fall.map(|(_, age_s)| rounded(age_s)),
            clock_skew_ppm: clock.map(|clock| rounded(clock.skew * 1e6)),
            clock_skew_interval_ppm: clock.map(|clock| rounded(2.0 * clock.error * 1e6)),
            link_bytes_per_s_max: bytes.iter().copied().reduce(f64::max),
            link_bytes_per_s_p50: positive(quantile(bytes.iter().copied(), 0.5)),
            in_flight_bytes_max: in_flight.reduce(f64::max),
            report_interval_s: positive(view.usual.report_s),
            slice_interval_s: positive(view.usual.interval_s),
            ack_interval_s: positive(ack_interval_s(view)),
            report_gap_s: gaps.reduce(f64::max).map(rounded),
            slice_gap_s: view
                .slices
                .iter()
                .filter_map(|it| it.interval_s)
                .reduce(f64::max)
                .map(rounded),
            tick_s_first: of(first, |it| it.tick_s),
            tick_s_last: of(last, |it| it.tick_s),
            decode_s_first: of(first, |it| it.decode_s),
            decode_s_last: of(last, |it| it.decode_s),
            generations_per_s: positive(view.usual.generations_per_s),
            never_refreshed_s: never_refreshed_s(view).map(rounded),
            idle_s: rounded(view.idle.iter().map(Stretch::len_s).sum()),
            paused_s: rounded(view.pauses.iter().map(Stretch::len_s).sum()),
        }
    }
}

/// Bytes of slices in each second that some came in.
fn bytes_per_second(view: &View) -> Vec<f64> {
    let mut sums: Vec<(i64, f64)> = Vec::new();
    for slice in &view.slices {
        let second = slice.t_s.floor() as i64;
        match sums.last_mut().filter(|last| last.0 == second) {
            Some(last) => last.1 += slice.bytes,
            None => sums.push((second, slice.bytes)),
        }
    }
    sums.into_iter().map(|(_, bytes)| bytes).collect()
}

fn ack_interval_s(view: &View) -> f64 {
    let mut last: Option<(f64, f64)> = None;
    let mut intervals = Vec::new();
    for report in &view.reports {
        let Some(bytes) = report.acknowledged else { continue };
        match last {
            Some((_, before)) if before == bytes => {}
            Some((t_s, _)) => {
                intervals.push(report.t_s - t_s);
                last = Some((report.t_s, bytes));
            }
            None => last = Some((report.t_s, bytes)),
        }
    }
    quantile(intervals.into_iter(), 0.5)
}

/// Seconds of the last buffer that no slice has covered; `None` of a tape, and where its beginning is
/// not known.
fn never_refreshed_s(view: &View) -> Option<f64> {
    let buffer = view.buffers.last().filter(|it| it.t_s >= view.from_s && !view.is_tape)?;
    let mut regions: Vec<(f64, f64)> = view
        .slices_in(Stretch { from_s: buffer.t_s, to_s: view.to_s })
        .iter()
        .map(|slice| (slice.start_s, slice.start_s + slice.window_s))
        .collect();
    regions.sort_by(|one, two| one.0.total_cmp(&two.0));
    let (mut covered_s, mut to_s) = (0.0, 0.0_f64);
    for (from_s, end_s) in regions {
        let end_s = end_s.min(buffer.loop_s);
        covered_s += (end_s - from_s.max(to_s)).max(0.0);
        to_s = to_s.max(end_s);
    }
    Some((buffer.loop_s - covered_s).max(0.0))
}
