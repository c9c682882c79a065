//! Unpitched one-shots: a drum kit and the surface noise of a record.

use super::dsp::{Partial, Studio};
use super::random::{Part, Random};

/// A sine that falls from 170 to 46 Hz, with a soft beater.
pub(super) fn kick(studio: &Studio) -> Vec<f32> {
    let mut out = studio.blank(0.42);
    let mut random = noise(1);
    let mut beater = studio.low_pass(1_800.0);
    let (mut bend, bend_decay) = (124.0, studio.decay(0.028));
    let (mut level, level_decay) = (1.0, studio.decay(0.13) as f32);
    let (mut click, click_decay) = (0.5, studio.decay(0.004) as f32);
    let mut position = 0_u32;
    for sample in &mut out {
        *sample = level * studio.sine(position) + beater.pass(click * random.signed());
        position = position.wrapping_add(studio.stride(46.0 + bend));
        bend *= bend_decay;
        level *= level_decay;
        click *= click_decay;
    }
    studio.finish(out, 0.001)
}

/// Two drum-head modes and the wires, in a small room.
pub(super) fn snare(studio: &Studio) -> Vec<f32> {
    let mut out = studio.blank(0.5);
    let heads = [
        Partial { ratio: 1.0, level: 0.55, decay: 0.06 },
        Partial { ratio: 1.78, level: 0.3, decay: 0.04 },
    ];
    studio.add_partials(&mut out, 186.0, &heads);
    let mut random = noise(2);
    let (mut low, mut high) = (studio.low_pass(700.0), studio.low_pass(7_000.0));
    let (mut level, decay) = (1.0, studio.decay(0.075) as f32);
    for sample in &mut out {
        let wires = high.pass(random.signed());
        *sample += level * (wires - low.pass(wires));
        level *= decay;
    }
    room(studio, &mut out);
    studio.finish(out, 0.001)
}

/// The upper part of noise, dying away in `decay` seconds.
pub(super) fn hat(studio: &Studio, decay: f64) -> Vec<f32> {
    let mut out = studio.blank(decay as f32 * 6.0);
    let mut random = noise(3);
    let (mut low, mut high) = (studio.low_pass(6_500.0), studio.low_pass(10_000.0));
    let (mut level, decay) = (1.0, studio.decay(decay) as f32);
    for sample in &mut out {
        let hiss = high.pass(random.signed());
        *sample = level * (hiss - low.pass(hiss));
        level *= decay;
    }
    studio.finish(out, 0.0015)
}

/// A bar of hiss and crackle.
pub(super) fn vinyl(studio: &Studio, which: u8, bar_seconds: f32) -> Vec<f32> {
    const CRACKLES_PER_SECOND: f32 = 9.0;
    let mut out = studio.blank(bar_seconds + VINYL_RELEASE);
    let mut random = noise(16 + u64::from(which));
    let odds = CRACKLES_PER_SECOND / studio.rate as f32;
    let (mut low, mut high) = (studio.low_pass(500.0), studio.low_pass(4_500.0));
    let mut hiss = studio.low_pass(3_000.0);
    for sample in &mut out {
        let crackle = if random.unit() < odds { random.signed() } else { 0.0 };
        let crackle = high.pass(crackle);
        *sample = 2.0 * (crackle - low.pass(crackle)) + 0.05 * hiss.pass(random.signed());
    }
    studio.finish(out, VINYL_RELEASE)
}

/// Seconds in which one stretch of surface noise gives way to the next.
pub(super) const VINYL_RELEASE: f32 = 0.1;

/// Adds a few early reflections that feed on each other.
fn room(studio: &Studio, out: &mut [f32]) {
    for (seconds, level) in [(0.0113, 0.3), (0.0197, 0.26), (0.0311, 0.22)] {
        let delay = studio.frames(seconds).max(1);
        let mut wall = studio.low_pass(2_600.0);
        for now in delay..out.len() {
            out[now] += level * wall.pass(out[now - delay]);
        }
    }
}

/// The noise of an instrument is the same in every song.
fn noise(which: u64) -> Random {
    Random::of(Part::Noise, 0, [which, 0])
}
