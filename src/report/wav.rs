//! Audio as a WAV file: 32-bit float, interleaved, just as the samples are.

use std::io::{Seek, Write};

/// Writes interleaved samples as one WAV file.
pub fn write<W: Write + Seek>(
    out: W,
    samples: &[f32],
    channels: u16,
    sample_rate: u32,
) -> Result<(), hound::Error> {
    let spec = hound::WavSpec {
        channels,
        sample_rate,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::new(out, spec)?;
    for &sample in samples {
        writer.write_sample(sample)?;
    }
    writer.finalize()
}
