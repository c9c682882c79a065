//! The audio of the wire: IEEE half-precision floats, little-endian, channels interleaved.
//!
//! Enters: the two bytes of a half, or a sample. Leaves: the sample, or the two bytes.
//! Widening is exact for every bit pattern (a NaN stays a NaN, its payload may differ); narrowing
//! rounds to nearest, ties to even, and overflows to infinity. Never looks at more than one value.

/// Bytes of one value.
pub const HALF_LEN: usize = 2;

/// What a half's exponent lacks to be an `f32`'s: the difference of the two biases.
const REBIAS: u32 = 127 - 15;
/// 2^-112 and 2^-111: they undo an exponent that was raised twice (see [`widen`]).
const LOWER: f32 = f32::from_bits((127 - REBIAS) << 23);
const LOWER_DOUBLED: f32 = f32::from_bits((128 - REBIAS) << 23);
/// 2^-14, the smallest normal half.
const SMALLEST_NORMAL: f32 = f32::from_bits((127 - 14) << 23);

/// The sample that a half stands for.
///
/// Free of branches and of subnormal operands, so that a loop over it becomes vector code on any
/// processor and is as fast on silence as on music. The exponent is raised by twice the rebias,
/// which turns the largest one into that of infinities and NaNs, and multiplied back down. That
/// leaves a subnormal half `f × 2^-14` as `(1 + f) × 2^-15`, of which `2x - 2^-14` is the true
/// value; for every other half `2x - 2^-14` is at least `x`, so the lesser of the two is right.
#[inline]
#[must_use]
pub fn widen(half: [u8; HALF_LEN]) -> f32 {
    let bits = u16::from_le_bytes(half);
    let sign = u32::from(bits & 0x8000) << 16;
    let raised = f32::from_bits((u32::from(bits & 0x7fff) << 13) | ((2 * REBIAS) << 23));
    let normal = raised * LOWER;
    let subnormal = raised * LOWER_DOUBLED - SMALLEST_NORMAL;
    let magnitude = if normal < subnormal { normal } else { subnormal };
    f32::from_bits(magnitude.to_bits() | sign)
}

/// The half nearest to a sample.
#[inline]
#[must_use]
pub fn narrow(sample: f32) -> [u8; HALF_LEN] {
    half::f16::from_f32(sample).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_is_exact_for_every_pattern() {
        for bits in 0..=u16::MAX {
            let expected = half::f16::from_bits(bits).to_f32();
            let actual = widen(bits.to_le_bytes());
            let equal = actual.to_bits() == expected.to_bits();
            assert!(
                equal || (actual.is_nan() && expected.is_nan()),
                "{bits:#06x}: {actual} is not {expected}"
            );
        }
    }

    #[test]
    fn narrowing_undoes_widening() {
        for bits in 0..=u16::MAX {
            let sample = widen(bits.to_le_bytes());
            let back = narrow(sample);
            assert!(back == bits.to_le_bytes() || sample.is_nan(), "{bits:#06x}: {back:02x?}");
        }
    }

    #[track_caller]
    fn check_narrow(sample: f32, expected: u16) {
        assert_eq!(u16::from_le_bytes(narrow(sample)), expected, "{sample:e}");
    }

    #[test]
    fn narrowing_rounds_to_nearest_even() {
        check_narrow(1.0 + 0.5 / 1024.0, 0x3c00);
        check_narrow(1.0 + 1.5 / 1024.0, 0x3c02);
        check_narrow((1.0f32 + 0.5 / 1024.0).next_up(), 0x3c01);
        check_narrow(65_519.996, 0x7bff);
        check_narrow(65_520.0, 0x7c00);
        check_narrow(-1e30, 0xfc00);
        check_narrow(f32::from_bits((127 - 25) << 23), 0x0000);
        check_narrow(f32::from_bits((127 - 25) << 23).next_up(), 0x0001);
        check_narrow(-f32::from_bits(1), 0x8000);
        check_narrow(3.0 * f32::from_bits((127 - 25) << 23), 0x0002);
    }
}
