use super::*;

const RATE: u32 = 48_000;

fn variation(seed: u64, number: u32, frames: usize, channels: u16) -> Vec<f32> {
    let mut out = vec![0.0; frames * usize::from(channels)];
    Variations::new(seed, frames, channels, RATE).render(number, 0, &mut out);
    out
}

fn bits(samples: &[f32]) -> Vec<u32> {
    samples.iter().map(|sample| sample.to_bits()).collect()
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
}

#[test]
fn seed_decides_everything() {
    let frames = 48_000;
    assert_eq!(bits(&source(1, frames, 2, RATE)), bits(&source(1, frames, 2, RATE)));
    assert_ne!(bits(&source(1, frames, 2, RATE)), bits(&source(2, frames, 2, RATE)));
    assert_eq!(bits(&variation(1, 3, frames, 2)), bits(&variation(1, 3, frames, 2)));
    assert_ne!(bits(&variation(1, 3, frames, 2)), bits(&variation(1, 4, frames, 2)));
    assert_ne!(bits(&variation(1, 3, frames, 2)), bits(&source(1, frames, 2, RATE)));
}

/// Recordings of the simulated server hash its audio: these bits are the same on every platform
/// and in every release.
#[test]
fn streams_are_pinned() {
    #[track_caller]
    fn check(samples: &[f32], expected: u32) {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        assert_eq!(crc32c::crc32c(&bytes), expected);
    }
    check(&source(7, 300_000, 2, RATE), 0x8E52_AEE3);
    for (number, expected) in (0..).zip([0x4EE8_AC76, 0x8EC0_1605, 0xAC82_563E, 0xF835_8C62]) {
        check(&variation(7, number, 300_000, 2), expected);
    }
}

#[test]
fn windows_are_cuts_of_the_whole() {
    #[track_caller]
    fn check(frames: usize, channels: u16, cut: usize) {
        let whole = variation(9, 2, frames, channels);
        let mut variations = Variations::new(9, frames, channels, RATE);
        let mut out = vec![f32::NAN; whole.len()];
        let window = cut * usize::from(channels);
        // Backwards, so that nothing can depend on what was rendered before.
        for (i, out) in out.chunks_mut(window).enumerate().collect::<Vec<_>>().into_iter().rev() {
            variations.render(2, i * cut, out);
        }
        assert!(bits(&out) == bits(&whole), "{frames} frames of {channels} cut at {cut}");
    }
    check(300_000, 2, 1_920);
    check(300_000, 2, 65_537);
    check(100_000, 1, 777);
    check(50_000, 3, 8_191);
    check(2_000, 2, 1);
    check(100, 2, 3);
}

#[test]
fn windows_run_past_the_loop_point() {
    let frames = 20_000;
    let whole = variation(4, 1, frames, 2);
    let mut out = vec![0.0; 5 * frames];
    Variations::new(4, frames, 2, RATE).render(1, 3 * frames + 15_000, &mut out);
    let expected = [&whole[30_000..], &whole[..], &whole[..], &whole[..10_000]].concat();
    assert!(bits(&out) == bits(&expected[..out.len()]));
}

#[test]
fn levels_are_those_of_music() {
    for seed in 0..2 {
        let frames = 384_000;
        for samples in [source(seed, frames, 2, RATE), variation(seed, seed as u32, frames, 2)] {
            assert!(samples.iter().all(|sample| sample.abs() <= CEILING));
            let loudness = rms(&samples);
            assert!((0.1..0.3).contains(&loudness), "{loudness}");
            let offset = samples.iter().sum::<f32>() / samples.len() as f32;
            assert!(offset.abs() < 0.003, "{offset}");
        }
    }
}

#[test]
fn loop_point_is_silent_so_everything_joins_there() {
    for seed in 0..6 {
        let frames = 190_000 + 7 * seed as usize;
        for samples in [source(seed, frames, 2, RATE), variation(seed, 0, frames, 2)] {
            assert!(samples[..2].iter().all(|sample| sample.abs() < 1e-3));
            assert!(samples[samples.len() - 2..].iter().all(|sample| sample.abs() < 1e-2));
        }
    }
}

#[test]
fn any_shape_is_filled() {
    for frames in [0, 1, 2, 100, 4_800] {
        for channels in [1, 2, 3, 6] {
            for rate in [0, 8_000, 44_100, u32::MAX] {
                let samples = source(3, frames, channels, rate);
                assert_eq!(samples.len(), frames * usize::from(channels));
                assert!(samples.iter().all(|sample| sample.abs() <= CEILING));
                let mut out = samples;
                Variations::new(3, frames, channels, rate).render(u32::MAX, 0, &mut out);
                assert!(out.iter().all(|sample| sample.abs() <= CEILING));
            }
        }
    }
}

#[test]
fn further_channels_are_the_middle() {
    let (stereo, three) = (source(3, 9_600, 2, RATE), source(3, 9_600, 3, RATE));
    let mono = source(3, 9_600, 1, RATE);
    for ((pair, triple), middle) in stereo.chunks(2).zip(three.chunks(3)).zip(&mono) {
        assert_eq!([pair, &[*middle]].concat(), triple);
    }
    assert!(stereo.chunks(2).any(|pair| pair[0] != pair[1]));
}
