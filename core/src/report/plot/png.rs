//! Small PNG files: charts have few colours, so a palette and strong compression suffice.

use std::collections::BTreeMap;

use super::PlotError;

/// Bits of each colour that are kept; shades closer together cannot be told apart in a chart.
const KEPT_BITS: u8 = 0b1111_1000;
/// Colours of a palette.
const PALETTE: usize = 256;

/// Encodes 8-bit RGB.
pub fn encode(rgb: &[u8], width: u32, height: u32) -> Result<Vec<u8>, PlotError> {
    let mut palette = BTreeMap::new();
    let mut indices = Vec::with_capacity(rgb.len() / 3);
    for pixel in rgb.chunks_exact(3) {
        let color = [pixel[0], pixel[1], pixel[2]].map(rounded);
        let next = palette.len();
        indices.push(*palette.entry(color).or_insert(next));
    }
    let mut out = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut out, width, height);
    encoder.set_depth(::png::BitDepth::Eight);
    encoder.set_compression(::png::Compression::High);
    let failed = |error: ::png::EncodingError| PlotError(error.to_string());
    let data: Vec<u8> = if palette.len() <= PALETTE {
        let mut colors: Vec<_> = palette.into_iter().collect();
        colors.sort_by_key(|(_, index)| *index);
        encoder.set_color(::png::ColorType::Indexed);
        encoder.set_palette(colors.into_iter().flat_map(|(color, _)| color).collect::<Vec<_>>());
        indices.into_iter().map(|index| index as u8).collect()
    } else {
        encoder.set_color(::png::ColorType::Rgb);
        rgb.to_vec()
    };
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&data).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out)
}

/// White stays white.
fn rounded(value: u8) -> u8 {
    let kept = value & KEPT_BITS;
    kept | (kept >> 5)
}
