//! Text in pixels: each letter stands where the font has it, to a fraction of a pixel, and nearer to its
//! neighbour where the two are kerned. plotters by itself puts letters at whole pixels and leaves out the
//! room at their left, so that words fall apart at the sizes of labels.

use ab_glyph::{Font, FontRef, GlyphId, PxScaleFont, ScaleFont, point};
use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind,
};

/// How far below the top of a text its baseline lies, as a share of its size: as in SVG by plotters, whose
/// letters are 1 / 1.24 of a size and stand 0.76 of that below.
const BELOW_TOP: f32 = 0.76 / 1.24;
/// How far below its middle, which is that of its figures: half the height of a capital of DejaVu Sans.
const BELOW_MIDDLE: f32 = 0.313;
/// How far above its bottom.
const ABOVE_BOTTOM: f32 = 1.0 / 1.24 - BELOW_TOP;

/// Pixels on which all text is set in one font.
pub struct Lettered<'a> {
    pixels: BitMapBackend<'a>,
    font: FontRef<'static>,
}

type Drawn<'a> = Result<(), DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl<'a> Lettered<'a> {
    pub fn new(pixels: BitMapBackend<'a>, font: FontRef<'static>) -> Self {
        Lettered { pixels, font }
    }
}

impl<'a> DrawingBackend for Lettered<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn draw_text<T: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &T,
        (x, y): BackendCoord,
    ) -> Drawn<'a> {
        let size = style.size() as f32;
        let font = self.font.clone().into_scaled(size);
        let (letters, width) = set(&font, text);
        let left = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => -width / 2.0,
            HPos::Right => -width,
        };
        let below = match style.anchor().v_pos {
            VPos::Top => BELOW_TOP,
            VPos::Center => BELOW_MIDDLE,
            VPos::Bottom => -ABOVE_BOTTOM,
        };
        // Level strokes are sharp where the baseline is between two rows.
        let baseline = (below * size).round();
        let turn = style.transform();
        let (across, down) = self.get_size();
        let BackendColor { alpha, rgb } = style.color();
        for (id, right) in letters {
            let glyph = id.with_scale_and_position(size, point(left + right, baseline));
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            let mut drawn = Ok(());
            outline.draw(|column, row, coverage| {
                let from_left = column as i32 + corner.x as i32;
                let (dx, dy) = turn.transform(from_left, row as i32 + corner.y as i32);
                let at = (x + dx, y + dy);
                let is_on = (0..across as i32).contains(&at.0) && (0..down as i32).contains(&at.1);
                if is_on && drawn.is_ok() {
                    let alpha = alpha * f64::from(coverage.min(1.0));
                    drawn = self.pixels.draw_pixel(at, BackendColor { alpha, rgb });
                }
            });
            drawn?;
        }
        Ok(())
    }

    fn get_size(&self) -> (u32, u32) {
        self.pixels.get_size()
    }

    fn ensure_prepared(&mut self) -> Drawn<'a> {
        self.pixels.ensure_prepared()
    }

    fn present(&mut self) -> Drawn<'a> {
        self.pixels.present()
    }

    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> Drawn<'a> {
        self.pixels.draw_pixel(at, color)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn<'a> {
        self.pixels.draw_line(from, to, style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn<'a> {
        self.pixels.draw_rect(upper_left, bottom_right, style, fill)
    }
}

/// The letters of a text with their distance from its beginning, and its width, in pixels.
fn set(font: &PxScaleFont<FontRef<'_>>, text: &str) -> (Vec<(GlyphId, f32)>, f32) {
    let (mut letters, mut width) = (Vec::<(GlyphId, f32)>::new(), 0.0);
    for letter in text.chars() {
        let id = font.glyph_id(letter);
        if let Some(&(before, _)) = letters.last() {
            width += font.kern(before, id);
        }
        letters.push((id, width));
        width += font.h_advance(id);
    }
    (letters, width)
}

#[cfg(test)]
mod tests {
    use plotters::prelude::*;

    use super::super::draw;
    use super::*;

    const WIDTH: usize = 120;
    const HEIGHT: usize = 40;

    /// How much ink each column of pixels has of a text that is drawn at (10, 10).
    fn inked(letters: &str, size: i32) -> Vec<u32> {
        let mut rgb = vec![255; WIDTH * HEIGHT * 3];
        let pixels = BitMapBackend::with_buffer(&mut rgb, (WIDTH as u32, HEIGHT as u32));
        let area = Lettered::new(pixels, draw::font().unwrap()).into_drawing_area();
        area.draw_text(letters, &draw::text(size, &BLACK), (10, 10)).unwrap();
        drop(area);
        let ink = |row: usize, column: usize| u32::from(255 - rgb[(row * WIDTH + column) * 3]);
        (0..WIDTH).map(|column| (0..HEIGHT).map(|row| ink(row, column)).sum()).collect()
    }

    /// The middles of the strokes, which blank columns part.
    fn strokes(inked: &[u32]) -> Vec<f32> {
        let columns = inked.iter().zip(0_u16..).map(|(&ink, x)| (ink as f32, f32::from(x) + 0.5));
        let columns: Vec<_> = columns.collect();
        let strokes = columns.split(|(ink, _)| *ink == 0.0).filter(|stroke| !stroke.is_empty());
        let middle = |stroke: &[(f32, f32)]| {
            let weight: f32 = stroke.iter().map(|(ink, _)| ink).sum();
            stroke.iter().map(|(ink, x)| ink * x).sum::<f32>() / weight
        };
        strokes.map(middle).collect()
    }

    #[test]
    fn letters_stand_where_the_font_has_them() {
        let strokes = strokes(&inked("llllllll", 20));
        assert_eq!(strokes.len(), 8, "{strokes:?}");
        let font = draw::font().unwrap().into_scaled(20.0);
        let advance = font.h_advance(font.glyph_id('l'));
        assert!((advance - advance.round()).abs() > 0.2, "whole pixels would do: {advance}");
        // This letter stands in the middle of its room; what is inked is rounded to whole steps of light.
        for (stroke, letter) in strokes.iter().zip(0_u8..) {
            let expected = 10.0 + (f32::from(letter) + 0.5) * advance;
            assert!((stroke - expected).abs() < 0.1, "letter {letter}: {stroke}, not {expected}");
        }
    }

    #[test]
    fn letters_are_kerned() {
        let font = draw::font().unwrap().into_scaled(100.0);
        let width = |letters: &str| set(&font, letters).1;
        let narrower = |pair: &str| {
            pair.chars().map(|letter| width(&letter.to_string())).sum::<f32>() - width(pair)
        };
        // The font itself says how much closer these stand.
        assert!((4.0..8.0).contains(&narrower("AV")), "{}", narrower("AV"));
        assert!((13.0..19.0).contains(&narrower("To")), "{}", narrower("To"));
        assert_eq!(narrower("nn"), 0.0);
    }
}
