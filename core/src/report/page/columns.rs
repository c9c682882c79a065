//! Columns of whole numbers as the page reads them.
//!
//! A column is its values' differences, folded so that small ones of either sign are small numbers, and
//! written byte by byte: the lowest bytes of all of them, then the next ones. Such bytes deflate well, and
//! `decode.js` needs ten lines to read them.

use serde::Serialize;

/// Largest magnitude of a value: the numbers of JavaScript are whole up to here, and so is their double.
const MOST: i64 = 1 << 51;

/// Where a column lies among the bytes of all, and what its numbers are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ColumnPlace {
    name: &'static str,
    rows: usize,
    /// Bytes of a value.
    width: usize,
    /// What a value is divided by.
    per_unit: f64,
}

/// Columns, one after another.
#[derive(Debug, Default)]
pub(super) struct PackedColumns {
    pub places: Vec<ColumnPlace>,
    pub bytes: Vec<u8>,
}

impl PackedColumns {
    /// Adds a column of whole numbers.
    pub fn whole(&mut self, name: &'static str, values: impl Iterator<Item = i64>) {
        self.add(name, 1.0, values);
    }

    /// Adds a column of numbers, each rounded to a whole number of `per_unit`-ths. What is no number
    /// is 0.
    pub fn parts(&mut self, name: &'static str, per_unit: f64, values: impl Iterator<Item = f64>) {
        self.add(name, per_unit, values.map(|value| (value * per_unit).round() as i64));
    }

    fn add(&mut self, name: &'static str, per_unit: f64, values: impl Iterator<Item = i64>) {
        let mut before = 0;
        let folded: Vec<u64> = values
            .map(|value| {
                let value = value.clamp(-MOST, MOST);
                let step = value - std::mem::replace(&mut before, value);
                ((step << 1) ^ (step >> 63)) as u64
            })
            .collect();
        let all = folded.iter().fold(0, |all, value| all | value);
        let width = (64 - all.leading_zeros() as usize).div_ceil(8);
        for byte in 0..width {
            self.bytes.extend(folded.iter().map(|value| (value >> (8 * byte)) as u8));
        }
        self.places.push(ColumnPlace { name, rows: folded.len(), width, per_unit });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a column as the page does.
    fn read(place: &ColumnPlace, bytes: &[u8]) -> Vec<f64> {
        let mut before = 0.0;
        (0..place.rows)
            .map(|row| {
                let byte = |i: usize| f64::from(bytes[i * place.rows + row]);
                let folded: f64 = (0..place.width).map(|i| byte(i) * 256_f64.powi(i as i32)).sum();
                let odd = folded % 2.0 != 0.0;
                before += if odd { -(folded + 1.0) / 2.0 } else { folded / 2.0 };
                before / place.per_unit
            })
            .collect()
    }

    #[track_caller]
    fn check(values: &[f64], per_unit: f64, expected: &[f64], len: usize) {
        let mut columns = PackedColumns::default();
        columns.parts("lead_s", per_unit, values.iter().copied());
        assert_eq!(read(&columns.places[0], &columns.bytes), expected);
        assert_eq!(columns.bytes.len(), len);
    }

    #[test]
    fn columns_read_back() {
        check(&[], 1.0, &[], 0);
        check(&[0.0, 0.0], 1.0, &[0.0, 0.0], 0);
        check(&[0.5, -0.25, 0.1], 100.0, &[0.5, -0.25, 0.1], 3);
        check(&[1e6, -1e6, 3.0], 1.0, &[1e6, -1e6, 3.0], 9);
    }

    #[test]
    fn absurd_numbers_are_the_largest_that_there_are() {
        let most = MOST as f64;
        check(&[f64::INFINITY, -1e300, f64::NAN], 1.0, &[most, -most, 0.0], 21);
    }
}
