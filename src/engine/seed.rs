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
