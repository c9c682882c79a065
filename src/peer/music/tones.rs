//! Pitched one-shots. MIDI pitches enter; samples that peak near 1 (a pad, whose notes add up: 2) leave.

use super::bank::Side;
use super::dsp::{Partial, Studio, read};
use super::harmony::{Chord, hertz};
use super::random::{Part, Random};

/// A round electric bass.
pub(super) fn bass(studio: &Studio, pitch: u8) -> Vec<f32> {
    let partials = [
        Partial { ratio: 1.0, level: 0.9, decay: 1.1 },
        Partial { ratio: 2.0, level: 0.38, decay: 0.5 },
        Partial { ratio: 3.0, level: 0.16, decay: 0.25 },
        Partial { ratio: 4.0, level: 0.07, decay: 0.12 },
        Partial { ratio: 6.0, level: 0.03, decay: 0.05 },
    ];
    let mut out = studio.blank(2.0);
    studio.add_partials(&mut out, hertz(pitch), &partials);
    studio.finish(out, 0.006)
}

/// An electric piano: a reed that beats with itself and a tine that rings above it.
pub(super) fn keys(studio: &Studio, pitch: u8) -> Vec<f32> {
    // Higher notes are shorter, as on the instrument.
    let ring = libm::exp2((60.0 - f64::from(pitch)) / 24.0);
    let partials = [
        Partial { ratio: 1.0, level: 0.6, decay: 1.1 * ring },
        Partial { ratio: 1.0014, level: 0.25, decay: 1.3 * ring },
        Partial { ratio: 2.0, level: 0.32, decay: 0.7 * ring },
        Partial { ratio: 3.0, level: 0.16, decay: 0.4 * ring },
        Partial { ratio: 4.0, level: 0.09, decay: 0.3 * ring },
        Partial { ratio: 7.03, level: 0.1, decay: 0.14 * ring },
        Partial { ratio: 11.1, level: 0.03, decay: 0.05 * ring },
    ];
    let mut out = studio.blank(2.6);
    studio.add_partials(&mut out, hertz(pitch), &partials);
    studio.finish(out, 0.003)
}

/// Metal bars with a slow tremolo.
pub(super) fn vibraphone(studio: &Studio, pitch: u8) -> Vec<f32> {
    let partials = [
        Partial { ratio: 1.0, level: 0.85, decay: 1.0 },
        Partial { ratio: 3.98, level: 0.18, decay: 0.3 },
        Partial { ratio: 9.9, level: 0.06, decay: 0.05 },
    ];
    let mut out = studio.blank(2.4);
    studio.add_partials(&mut out, hertz(pitch), &partials);
    let stride = studio.stride(5.2);
    let mut position = 0_u32;
    for sample in &mut out {
        *sample *= 0.8 + 0.2 * studio.sine(position);
        position = position.wrapping_add(stride);
    }
    studio.finish(out, 0.002)
}

/// Small steel tongues, inharmonic and short.
pub(super) fn music_box(studio: &Studio, pitch: u8) -> Vec<f32> {
    let partials = [
        Partial { ratio: 1.0, level: 0.7, decay: 0.45 },
        Partial { ratio: 2.005, level: 0.2, decay: 0.3 },
        Partial { ratio: 5.4, level: 0.12, decay: 0.08 },
        Partial { ratio: 8.93, level: 0.05, decay: 0.03 },
    ];
    let mut out = studio.blank(1.4);
    studio.add_partials(&mut out, hertz(pitch), &partials);
    studio.finish(out, 0.002)
}

/// A tube with a breath in it and a vibrato that comes late.
pub(super) fn flute(studio: &Studio, pitch: u8) -> Vec<f32> {
    let hertz = hertz(pitch);
    let cycle = studio.cycle(hertz, &[0.72, 0.26, 0.12, 0.05, 0.02]);
    let mut random = Random::of(Part::Noise, 0, [4, u64::from(pitch)]);
    let mut breath = studio.low_pass(hertz * 2.0);
    let (stride, lfo_stride) = (studio.stride(hertz) as f32, studio.stride(4.8));
    let (mut position, mut lfo) = (0_u32, 0_u32);
    let settle = studio.decay(0.35) as f32;
    let (mut steady, mut depth) = (1.0_f32, 0.0_f32);
    let mut out = studio.blank(2.2);
    for sample in &mut out {
        let air = breath.pass(random.signed()) * (0.05 + 0.1 * steady);
        let sway = studio.sine(lfo);
        *sample = read(&cycle, position) * (1.0 + 0.12 * depth * sway) + air;
        position = position.wrapping_add((stride * (1.0 + 0.004 * depth * sway)) as u32);
        lfo = lfo.wrapping_add(lfo_stride);
        steady *= settle;
        depth = 1.0 - steady;
    }
    studio.finish(out, 0.05)
}

/// A warm lead of two saws, out of tune by a few cents.
pub(super) fn synth(studio: &Studio, pitch: u8) -> Vec<f32> {
    let hertz = hertz(pitch);
    let cycle = studio.cycle(hertz, &[0.5, 0.24, 0.14, 0.085, 0.05, 0.03, 0.018, 0.01]);
    let strides = [studio.stride(hertz * 0.9985), studio.stride(hertz * 1.0015)];
    let (mut positions, mut level) = ([0_u32, 1 << 30], 0.75_f32);
    let decay = studio.decay(1.6) as f32;
    let mut out = studio.blank(2.2);
    for sample in &mut out {
        *sample = level * (read(&cycle, positions[0]) + read(&cycle, positions[1]));
        for (position, stride) in positions.iter_mut().zip(strides) {
            *position = position.wrapping_add(stride);
        }
        level *= decay;
    }
    studio.finish(out, 0.02)
}

/// A plucked nylon string (Karplus and Strong 1983, tuned by an all-pass as in Jaffe and Smith 1983).
pub(super) fn guitar(studio: &Studio, pitch: u8) -> Vec<f32> {
    let hertz = hertz(pitch);
    let mut out = studio.blank(2.0);
    if !studio.carries(hertz) {
        return out;
    }
    // The averaging of two samples delays by half a frame, the all-pass by the rest.
    let period = studio.rate / hertz - 0.5;
    let delay = (period - 0.2) as usize;
    let rest = (period - delay as f64) as f32;
    let tune = (1.0 - rest) / (1.0 + rest);
    let loss = libm::exp(-1.0 / (0.9 * hertz)) as f32;

    let mut string = plucked(studio, delay, hertz, pitch);
    let (mut before, mut passed_in, mut passed_out) = (0.0, 0.0, 0.0);
    for (i, sample) in out.iter_mut().enumerate() {
        let here = string[i % delay];
        let averaged = loss * 0.5 * (here + before);
        passed_out = tune * (averaged - passed_out) + passed_in;
        passed_in = averaged;
        before = here;
        string[i % delay] = passed_out;
        *sample = here;
    }
    studio.finish(out, 0.002)
}

/// A soft finger's noise on a string, without the offset that would never decay.
fn plucked(studio: &Studio, delay: usize, hertz: f64, pitch: u8) -> Vec<f32> {
    let mut random = Random::of(Part::Noise, 0, [5, u64::from(pitch)]);
    let (mut first, mut second) = (studio.low_pass(hertz * 4.0), studio.low_pass(hertz * 6.0));
    let mut string: Vec<f32> =
        (0..delay).map(|_| second.pass(first.pass(random.signed()))).collect();
    let mean = string.iter().sum::<f32>() / delay as f32;
    string.iter_mut().for_each(|sample| *sample -= mean);
    let peak = string.iter().fold(f32::MIN_POSITIVE, |peak, sample| peak.max(sample.abs()));
    string.iter_mut().for_each(|sample| *sample *= 0.9 / peak);
    string
}

/// Seconds in which a pad comes, and in which it goes.
pub(super) const PAD_ATTACK: f32 = 0.45;
pub(super) const PAD_RELEASE: f32 = 0.4;

/// A bar of a chord on soft strings, dark first and then opening. The two sides differ in tuning.
pub(super) fn pad(studio: &Studio, chord: &Chord, side: Side, bar_seconds: f32) -> Vec<f32> {
    let mut out = studio.blank(bar_seconds + PAD_RELEASE);
    let open = 1.0 / out.len().max(1) as f32;
    let mut random = Random::of(Part::Phases, side as u64, [u64::from(chord.root), 0]);
    let cents = match side {
        Side::Left => [-5.0, 3.0],
        Side::Right => [5.0, -3.0],
    };
    for pitch in chord.voicing.into_iter().chain([chord.root + 12]) {
        let hertz = hertz(pitch);
        let dark = studio.cycle(hertz, &[0.2, 0.06, 0.025, 0.01]);
        let bright = studio.cycle(hertz, &[0.0, 0.05, 0.05, 0.04, 0.03, 0.022, 0.015, 0.01]);
        for cents in cents {
            let stride = studio.stride(hertz * libm::exp2(cents / 1_200.0));
            let mut position = random.bits();
            for (i, sample) in out.iter_mut().enumerate() {
                let opening = i as f32 * open;
                *sample += read(&dark, position) + opening * read(&bright, position);
                position = position.wrapping_add(stride);
            }
        }
    }
    studio.finish(out, PAD_ATTACK)
}
