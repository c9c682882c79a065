//! Sums of one-shots. A note and its one-shot enter; stereo frames leave, then the channels asked
//! for. Each step works on a frame alone, so that no result depends on where a block begins.

use super::score::Note;

/// No sample is louder than this.
pub const CEILING: f32 = 0.88;

/// Frames mixed at once: small enough for a core's own cache.
pub(super) const BLOCK_FRAMES: usize = 8_192;

/// Left and right.
pub(super) type Frame = [f32; 2];

/// Adds what a note sounds like in the block that begins at the frame `at`.
pub(super) fn add(block: &mut [Frame], at: usize, note: &Note, one_shot: &[f32]) {
    let block_end = at + block.len();
    let end = note.end().min(note.at + one_shot.len()).min(block_end);
    let start = note.at.max(at);
    if end <= start {
        return;
    }
    let release = note.release_at().clamp(start, end);

    let held = &one_shot[start - note.at..release - note.at];
    for (frame, &sample) in block[start - at..].iter_mut().zip(held) {
        frame[0] += sample * note.left;
        frame[1] += sample * note.right;
    }
    let slope = 1.0 / note.release as f32;
    for now in release..end {
        let sample = one_shot[now - note.at] * ((note.end() - now) as f32 * slope);
        block[now - at][0] += sample * note.left;
        block[now - at][1] += sample * note.right;
    }
}

/// Limits a block and lays it out: one channel is the middle, two are left and right, and any
/// further one is the middle again.
pub(super) fn lay_out(block: &[Frame], channels: usize, out: &mut [f32]) {
    match channels {
        1 => {
            for (sample, [left, right]) in out.iter_mut().zip(block) {
                *sample = limit(0.5 * (left + right));
            }
        }
        2 => {
            for (frame, [left, right]) in out.chunks_exact_mut(2).zip(block) {
                frame[0] = limit(*left);
                frame[1] = limit(*right);
            }
        }
        _ => {
            for (frame, [left, right]) in out.chunks_exact_mut(channels).zip(block) {
                frame.fill(limit(0.5 * (left + right)));
                frame[0] = limit(*left);
                frame[1] = limit(*right);
            }
        }
    }
}

/// A soft limiter: the Padé approximant of tanh, which reaches 1 with slope 0 at 3.
fn limit(sample: f32) -> f32 {
    let x = (sample * (1.0 / CEILING)).clamp(-3.0, 3.0);
    let square = x * x;
    CEILING * (x * (27.0 + square) / (27.0 + 9.0 * square)).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limiter_is_monotone_and_bounded() {
        let steps: Vec<f32> = (-400..=400).map(|step| limit(step as f32 * 0.01)).collect();
        assert!(steps.is_sorted());
        assert!(steps.iter().all(|sample| sample.abs() <= CEILING));
        assert_eq!(limit(0.0), 0.0);
    }
}
