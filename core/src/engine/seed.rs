//! What was heard and the verdict before it, made out of each other: contexts of earlier versions
//! know each bucket of 0.25 s by its last refresh and no frame by its last write, and readers of
//! those versions go on from the state of a detector that looked at ticks.

use crate::capture::{
    Excuses, HeardState, LagDetectorState, LastWrite, MeterState, PlayheadLine, SessionState,
    WrittenBy,
};
use crate::heard::HeardMeter;
use crate::lag::DEFAULT_BUCKET_S;
use crate::lag::stats::Buckets;
use crate::time::Nanos;

/// The state of a meter, as far as a context without one tells. Ages are right to a bucket then.
pub(super) fn heard(
    context: &SessionState,
    sample_rate: u32,
    reported: bool,
    line: PlayheadLine,
) -> HeardState {
    let stream = context.stream.clone().unwrap_or_default();
    let judge = &stream.judge;
    let last_slice = nanos(judge.last_slice_s);
    HeardState {
        reported,
        excuses: Excuses {
            loop_ns: (stream.frames as f64 / f64::from(sample_rate.max(1)) * 1e9) as u64,
            settled_at: nanos(judge.settled_at_s),
            changed_at: nanos(judge.last_knob_s),
            last_slice,
            unchanged_ns: nanos(judge.quiet_at_last_slice_s).0,
            starting: None,
            tape: None,
        },
        meter: MeterState {
            frames: stream.frames.max(1),
            writes: writes(&stream.refreshed_s, stream.frames, sample_rate, stream.began),
            line,
            walked_to: context.latest,
            listening: !judge.paused && (!reported || stream.ticked),
            excused_until: nanos(judge.settled_at_s),
            swapping_until: stream.began,
            jumped_at: None,
            slices: 0,
            last_slice,
            behind: None,
            threshold_ns: 0,
            spell: None,
            tape: None,
        },
        waiting: Vec::new(),
        reported_at: context.latest,
        received: context.slice_bytes,
        acknowledged: 0,
        paused: judge.paused,
        arrived: None,
    }
}

/// The state of the detector of earlier versions, but for spells that go on.
pub(super) fn judge(meter: &HeardMeter) -> LagDetectorState {
    let excuses = meter.excuses();
    LagDetectorState {
        paused: meter.is_paused(),
        settled_at_s: excuses.settled_at.seconds(),
        advance_s: 0.25,
        last_knob_s: excuses.changed_at.seconds(),
        last_slice_s: excuses.last_slice.seconds(),
        quiet_at_last_slice_s: Nanos(excuses.unchanged_ns).seconds(),
        stale: None,
        behind: None,
    }
}

/// The last write of each bucket; what was not refreshed since the buffer came was never patched.
fn writes(
    refreshed_s: &[f64],
    frames: u64,
    sample_rate: u32,
    began: Nanos,
) -> Vec<(u64, LastWrite)> {
    let frames = frames.max(1);
    let buckets = Buckets::new(frames, sample_rate, DEFAULT_BUCKET_S);
    let regions = (0..).zip(refreshed_s).map(|(bucket, &refreshed_s)| {
        let at = nanos(refreshed_s).max(began);
        let by = if at > began { WrittenBy::Slice(0) } else { WrittenBy::Buffer };
        (buckets.first_frame(bucket), LastWrite { at, by, due_ns: 0 })
    });
    let mut regions: Vec<_> = regions.filter(|(start, _)| *start < frames).collect();
    regions.dedup_by_key(|(start, _)| *start);
    regions
}

fn nanos(s: f64) -> Nanos {
    Nanos((s * 1e9).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::StreamState;

    const LINE: PlayheadLine = PlayheadLine { at: Nanos(0), position: 7.0, speed: 1_000.0 };

    fn context(paused: bool, ticked: bool) -> SessionState {
        let judge = LagDetectorState {
            paused,
            settled_at_s: 2.5,
            advance_s: 0.25,
            last_knob_s: 1.5,
            last_slice_s: 3.5,
            quiet_at_last_slice_s: 2.0,
            stale: None,
            behind: None,
        };
        let stream = StreamState {
            frames: 1_000,
            began: Nanos(1_000_000_000),
            refreshed_s: vec![1.0, 3.0, 0.5, 2.0],
            ticked,
            judge,
            ..StreamState::default()
        };
        SessionState {
            stream: Some(stream),
            latest: Nanos(4_000_000_000),
            slice_bytes: 77,
            ..SessionState::default()
        }
    }

    #[test]
    fn a_meter_goes_on_from_what_an_earlier_version_knew() {
        let state = heard(&context(false, true), 2_000, true, LINE);
        // A thousand frames of two thousand a second.
        assert_eq!(state.excuses.loop_ns, 500_000_000);
        let Excuses { settled_at, changed_at, last_slice, unchanged_ns, .. } = state.excuses;
        let s = |s: f64| Nanos((s * 1e9) as u64);
        assert_eq!((settled_at, changed_at, last_slice), (s(2.5), s(1.5), s(3.5)));
        assert_eq!(unchanged_ns, 2_000_000_000);
        assert_eq!((state.received, state.reported_at, state.paused), (77, s(4.0), false));
        assert_eq!((state.meter.line, state.meter.walked_to), (LINE, s(4.0)));
        assert_eq!((state.meter.frames, state.meter.excused_until), (1_000, s(2.5)));
        assert_eq!(state.meter.swapping_until, s(1.0));
    }

    #[test]
    fn somebody_listens_who_is_not_paused_and_has_reported_where_that_counts() {
        let listening = |paused, ticked, reported| {
            heard(&context(paused, ticked), 1_000, reported, LINE).meter.listening
        };
        assert!(listening(false, false, false) && listening(false, true, true));
        assert!(!listening(false, false, true));
        assert!(!listening(true, true, true) && !listening(true, true, false));
    }

    #[test]
    fn buckets_were_written_when_they_were_refreshed_last() {
        let writes = heard(&context(false, true), 1_000, true, LINE).meter.writes;
        let found: Vec<_> = writes
            .iter()
            .map(|(start, write)| (*start, write.at.seconds(), write.by == WrittenBy::Buffer))
            .collect();
        // What is older than the buffer came with it.
        assert_eq!(found, [(0, 1.0, true), (250, 3.0, false), (500, 1.0, true), (750, 2.0, false)]);
    }

    #[test]
    fn a_reader_of_an_earlier_version_goes_on_from_a_meter() {
        let state = heard(&context(true, true), 1_000, true, LINE);
        let rule = crate::heard::HeardRule::new(3.0, crate::heard::BehindRule::default());
        let meter = HeardMeter::resume(&state, 1_000, rule, true, LINE).unwrap();
        assert_eq!(judge(&meter), context(true, true).stream.unwrap().judge);
    }
}
