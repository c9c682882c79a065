//! The server's estimate of the listener's position, in frames within `[0, frames)`.
//!
//! Only a changed position re-anchors the estimate, and it does so at the generator's look and not on
//! arrival: the age of a report at the look is lost, and during a pause the estimate keeps running at
//! full speed. Both were measured on the real server.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::peer::policy::ClockPolicy;
use crate::playhead::wrapped;
use crate::time::Nanos;

/// The server's estimate of the listener's position.
#[derive(Clone, Debug)]
pub struct PlayheadClock {
    use_client_time: bool,
    frames: u32,
    sample_rate: f64,
    newest: Option<Report>,
    anchor: Anchor,
    delays: DelayFloor,
}

/// Where the estimate runs on from.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    /// The position that was reported; `None` before any was, which is the beginning.
    frame: Option<u64>,
    at: Nanos,
    staleness_s: f64,
}

impl Anchor {
    /// The beginning of a loop, which began then.
    fn beginning(at: Nanos) -> Anchor {
        Anchor { frame: None, at, staleness_s: 0.0 }
    }

    /// A look at `now`, at which this report is the newest since the look before.
    #[inline]
    fn follow(&mut self, newest: Option<Report>, now: Nanos) {
        if let Some(Report { frame, staleness_s }) = newest
            && self.frame != Some(frame)
        {
            *self = Anchor { frame: Some(frame), at: now, staleness_s };
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Report {
    frame: u64,
    staleness_s: f64,
}

impl PlayheadClock {
    /// A clock for a loop of that many frames, which began at `now`.
    #[must_use]
    pub fn new(policy: &ClockPolicy, frames: u32, sample_rate: u32, now: Nanos) -> Self {
        Self {
            use_client_time: policy.use_client_time,
            frames: frames.max(1),
            sample_rate: f64::from(sample_rate),
            newest: None,
            anchor: Anchor::beginning(now),
            delays: DelayFloor::new(policy.delay_memory_s, policy.delay_bucket_s),
        }
    }

    /// From now on `client_time` counts or does not.
    pub fn change(&mut self, policy: &ClockPolicy) {
        self.use_client_time = policy.use_client_time;
    }

    /// A swap: another loop, from its beginning.
    pub fn restart(&mut self, frames: u32, now: Nanos) {
        self.frames = frames.max(1);
        self.newest = None;
        self.anchor = Anchor::beginning(now);
    }

    /// A report that the intake took at `now`. What is not a finite number is ignored.
    #[inline]
    pub fn report(&mut self, now: Nanos, position_s: f64, client_time: Option<f64>) {
        let client_time = client_time.filter(|time| self.use_client_time && time.is_finite());
        let staleness_s =
            client_time.map_or(0.0, |time| self.delays.excess(now.seconds(), now.seconds() - time));
        let frame = position_s * self.sample_rate;
        let frames = f64::from(self.frames);
        // Within the loop the conversion cuts.
        let inside = (0.0..frames).contains(&frame);
        let frame = if inside { frame } else { frame.trunc().rem_euclid(frames) };
        if frame.is_finite() {
            self.newest = Some(Report { frame: frame as u64, staleness_s });
        }
    }

    /// The generator looks: the newest report re-anchors if its position changed. Returns the
    /// estimate.
    #[inline]
    pub fn look(&mut self, now: Nanos) -> f64 {
        self.anchor.follow(self.newest.take(), now);
        self.estimate(now)
    }

    /// What a look at `now` would return.
    #[must_use]
    #[inline]
    pub fn peek(&self, now: Nanos) -> f64 {
        let mut anchor = self.anchor;
        anchor.follow(self.newest, now);
        self.estimate_from(anchor, now)
    }

    /// The estimate at `now` without a look.
    #[must_use]
    #[inline]
    pub fn estimate(&self, now: Nanos) -> f64 {
        self.estimate_from(self.anchor, now)
    }

    #[inline]
    fn estimate_from(&self, anchor: Anchor, now: Nanos) -> f64 {
        let elapsed_s = now.seconds_since(anchor.at) + anchor.staleness_s;
        let frame = anchor.frame.unwrap_or(0) as f64 + elapsed_s * self.sample_rate;
        wrapped(frame, f64::from(self.frames))
    }
}

/// The smallest delay of the recent past, kept in buckets so that memory is bounded.
#[derive(Clone, Debug)]
struct DelayFloor {
    bucket_s: f64,
    buckets_kept: u64,
    /// Shared by copies of the clock until one of them learns something.
    minima: Arc<VecDeque<(u64, f64)>>,
    /// The smallest of all of them.
    floor_s: f64,
}

impl DelayFloor {
    fn new(memory_s: f64, bucket_s: f64) -> Self {
        let bucket_s = if bucket_s > 0.0 { bucket_s } else { 10.0 };
        let buckets_kept = ((memory_s / bucket_s).ceil() as u64).clamp(1, 1_000);
        Self { bucket_s, buckets_kept, minima: Arc::default(), floor_s: f64::INFINITY }
    }

    /// By how much `delay_s` exceeds the smallest one remembered, itself included.
    fn excess(&mut self, now_s: f64, delay_s: f64) -> f64 {
        let bucket = (now_s / self.bucket_s) as u64;
        match self.minima.back() {
            Some(&(newest, minimum)) if newest == bucket => {
                if delay_s < minimum
                    && let Some(newest) = Arc::make_mut(&mut self.minima).back_mut()
                {
                    newest.1 = delay_s;
                }
                self.floor_s = self.floor_s.min(delay_s);
            }
            _ => self.begin(bucket, delay_s),
        }
        delay_s - self.floor_s
    }

    /// Begins a bucket and forgets the oldest; moments only rise, so they stand first.
    fn begin(&mut self, bucket: u64, delay_s: f64) {
        let first_kept = bucket.saturating_sub(self.buckets_kept - 1);
        let minima = Arc::make_mut(&mut self.minima);
        while minima.pop_front_if(|(kept, _)| *kept < first_kept).is_some() {}
        minima.push_back((bucket, delay_s));
        let minima = minima.iter().map(|&(_, minimum)| minimum);
        self.floor_s = minima.fold(f64::INFINITY, f64::min);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    enum Step {
        Report(u64, f64, Option<f64>),
        Look(u64, f64),
    }
    use Step::{Look, Report};

    /// A loop of 10 s; moments in milliseconds, estimates in seconds.
    #[track_caller]
    fn check(steps: &[Step]) {
        let mut clock = PlayheadClock::new(&ClockPolicy::default(), 480_000, 48_000, Nanos(0));
        for step in steps {
            match *step {
                Report(at_ms, position_s, client_time) => {
                    clock.report(Nanos(at_ms * MS), position_s, client_time);
                }
                Look(at_ms, expected_s) => {
                    let estimate_s = clock.look(Nanos(at_ms * MS)) / 48_000.0;
                    assert!((estimate_s - expected_s).abs() < 1e-6, "{at_ms} ms: {estimate_s}");
                }
            }
        }
    }

    #[test]
    fn before_any_report_it_runs_from_the_start() {
        check(&[Look(0, 0.0), Look(500, 0.5), Look(10_250, 0.25)]);
    }

    #[test]
    fn the_age_of_a_report_at_the_look_is_lost() {
        check(&[Report(100, 2.0, None), Look(140, 2.0), Look(150, 2.01)]);
    }

    #[test]
    fn the_newest_report_wins() {
        check(&[Report(100, 2.0, None), Report(110, 3.0, None), Look(110, 3.0)]);
    }

    #[test]
    fn an_unchanged_position_runs_on() {
        check(&[Report(0, 2.0, None), Look(0, 2.0), Report(900, 2.0, None), Look(1_000, 3.0)]);
    }

    #[test]
    fn a_late_report_is_corrected_by_its_client_time() {
        check(&[
            Report(100, 1.0, Some(50.000)),
            Look(100, 1.0),
            Report(400, 1.1, Some(50.100)),
            Look(400, 1.3),
        ]);
    }

    #[test]
    fn the_smallest_delay_is_forgotten_after_two_minutes() {
        check(&[
            Report(100, 1.0, Some(0.0)),
            Report(130_000, 2.0, Some(129.0)),
            Look(130_000, 2.0),
        ]);
    }

    #[test]
    fn what_is_no_number_is_ignored() {
        check(&[
            Report(0, f64::NAN, None),
            Report(0, f64::INFINITY, Some(f64::NAN)),
            Look(500, 0.5),
            Report(600, -1.0, None),
            Look(600, 9.0),
            Report(700, 1e300, Some(1e300)),
            Report(700, 25.0, Some(f64::NEG_INFINITY)),
            Look(700, 5.0),
        ]);
    }
}
