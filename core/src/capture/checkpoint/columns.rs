//! Rows as compressed columns.
//!
//! Numbers are stored column by column and byte by byte, highest byte first, which zstd compresses
//! far better than rows. No memory is allocated for rows that the bytes do not hold.

use std::borrow::Cow;

use zstd::zstd_safe::DCtx;

use super::row::{BufferShape, CheckpointRow, RowKind};
use crate::capture::marker::Marker;
use crate::capture::snapshot::TickReport;
use crate::time::Nanos;
use crate::wire::kernel::{self, WideLoop};
use crate::wire::slice::HEADER_LEN;

/// Longest columns, unpacked.
const MAX_COLUMNS_LEN: u64 = 8 << 20;
/// Columns of a second are so short that the tables of an entropy coder take longer to build than all the
/// rest. Negative levels do without most of them: twice as fast to inflate as level 3, for 7 % more bytes.
const COLUMNS_LEVEL: i32 = -3;

/// The columns of a checkpoint cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowsError {
    #[error("they are too long")]
    TooLong,
    #[error("they cannot be inflated")]
    NotZstd,
    #[error("they end too early, or a row has no meaning")]
    CutShort,
}

/// Rows as columns, packed.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedRows<'a>(pub(in crate::capture) Cow<'a, [u8]>);

impl PackedRows<'_> {
    /// A copy that owns its bytes.
    #[must_use]
    pub fn into_owned(self) -> PackedRows<'static> {
        PackedRows(Cow::Owned(self.0.into_owned()))
    }

    /// Columns that lie packed somewhere; [`PackedRows::unpack`] says whether they are any.
    #[must_use]
    pub fn of_bytes(bytes: Vec<u8>) -> PackedRows<'static> {
        PackedRows(Cow::Owned(bytes))
    }

    /// The columns as stored: one zstd frame.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Packs rows; markers are returned separately, each with the index of its row.
    #[must_use]
    pub fn pack(rows: &[CheckpointRow]) -> (PackedRows<'static>, Vec<(u32, Marker)>) {
        let mut out = Vec::new();
        let mut ops = Vec::new();
        out.extend_from_slice(&(rows.len() as u32).to_be_bytes());
        out.extend(rows.iter().map(|row| row.what.id()));
        put_planes(&mut out, 4, rows.iter().map(|row| row.stored_len.into()));
        let mut before = 0;
        let steps =
            rows.iter().map(|row| row.t.0.wrapping_sub(std::mem::replace(&mut before, row.t.0)));
        put_planes(&mut out, 8, steps);
        let (mut slices, mut ticks, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
        for (number, row) in (0..).zip(rows) {
            match &row.what {
                RowKind::Slice { header, len } => slices.push((header, *len)),
                RowKind::Tick { report, turned } => ticks.push((report, *turned)),
                RowKind::Begin(shape) | RowKind::Swap(shape) => shapes.push(*shape),
                RowKind::Op(marker) => ops.push((number, marker.clone())),
                RowKind::Other | RowKind::Refused | RowKind::Command => {}
            }
        }
        put_planes(&mut out, 4, slices.iter().map(|(_, len)| u64::from(*len)));
        for place in 0..HEADER_LEN {
            out.extend(slices.iter().map(|(header, _)| header[place]));
        }
        put_ticks(&mut out, &ticks);
        put_planes(&mut out, 8, shapes.iter().map(|shape| shape.frames));
        put_planes(&mut out, 2, shapes.iter().map(|shape| shape.channels.into()));
        put_planes(&mut out, 4, shapes.iter().map(|shape| shape.sample_rate.into()));
        // Readers of earlier versions stop before this column.
        if shapes.iter().any(|shape| shape.family != 0) {
            out.extend(shapes.iter().map(|shape| shape.family));
        }
        let packed = zstd::bulk::compress(&out, COLUMNS_LEVEL).unwrap_or_default();
        (PackedRows(Cow::Owned(packed)), ops)
    }

    /// Unpacks the rows; `ops` are the checkpoint's own.
    ///
    /// # Errors
    /// See [`RowsError`].
    pub fn unpack(&self, ops: &[(u32, Marker)]) -> Result<Vec<CheckpointRow>, RowsError> {
        Unpacker::default().rows(self, ops).map(<[CheckpointRow]>::to_vec)
    }
}

/// Unpacks one checkpoint after another, reusing its memory.
#[derive(Default)]
pub struct Unpacker {
    inflater: DCtx<'static>,
    columns: Vec<u8>,
    numbers: Numbers,
    rows: Vec<CheckpointRow>,
}

/// Columns of numbers, in the order in which they stand.
#[derive(Default)]
struct Numbers {
    stored_lens: Vec<u64>,
    steps: Vec<u64>,
    slice_lens: Vec<u64>,
    reports: [Vec<u64>; 4],
}

impl Unpacker {
    /// The rows of the next checkpoint; `ops` are its own.
    ///
    /// # Errors
    /// See [`RowsError`].
    pub fn rows(
        &mut self,
        packed: &PackedRows<'_>,
        ops: &[(u32, Marker)],
    ) -> Result<&[CheckpointRow], RowsError> {
        let declared = zstd::zstd_safe::get_frame_content_size(&packed.0).ok().flatten();
        let len = declared.filter(|&len| len <= MAX_COLUMNS_LEN).ok_or(RowsError::TooLong)?;
        self.columns.clear();
        self.columns.reserve(len as usize);
        let inflated = self.inflater.decompress(&mut self.columns, &packed.0);
        inflated.map_err(|_| RowsError::NotZstd)?;
        self.rows.clear();
        let whole = rows(&self.columns, ops, &mut self.numbers, &mut self.rows);
        whole.ok_or(RowsError::CutShort)?;
        Ok(&self.rows)
    }
}

/// Appends the rows that columns hold; `None` where they do not hold what they announce.
fn rows(
    mut bytes: &[u8],
    ops: &[(u32, Marker)],
    numbers: &mut Numbers,
    rows: &mut Vec<CheckpointRow>,
) -> Option<()> {
    let bytes = &mut bytes;
    let count = u32::from_be_bytes(*bytes.split_off(..4)?.first_chunk()?) as usize;
    let kinds = bytes.split_off(..count)?;
    take_planes(bytes, 4, count, &mut numbers.stored_lens)?;
    take_planes(bytes, 8, count, &mut numbers.steps)?;
    let of = |id| kinds.iter().filter(|&&kind| kind == id).count();
    let mut slices = take_slices(bytes, of(1), &mut numbers.slice_lens)?;
    let mut ticks = take_ticks(bytes, of(3), &mut numbers.reports)?;
    let mut shapes = take_shapes(bytes, of(5) + of(6))?.into_iter();
    let mut ops = ops.iter();
    let mut t = 0_u64;
    rows.reserve(count);
    let lens_and_steps = numbers.stored_lens.iter().zip(&numbers.steps);
    for (number, (&kind, (&len, &step))) in (0_u32..).zip(kinds.iter().zip(lens_and_steps)) {
        t = t.wrapping_add(step);
        let what = match kind {
            1 => slices.next()?,
            2 => RowKind::Refused,
            3 => ticks.next()?,
            4 => RowKind::Command,
            5 => RowKind::Begin(shapes.next()?),
            6 => RowKind::Swap(shapes.next()?),
            7 => RowKind::Op(ops.next().filter(|(row, _)| *row == number)?.1.clone()),
            _ => RowKind::Other,
        };
        rows.push(CheckpointRow { t: Nanos(t), stored_len: len as u32, what });
    }
    Some(())
}

/// Writes numbers as planes: the highest byte of each, then the next of each, and so on.
fn put_planes(out: &mut Vec<u8>, width: u32, values: impl Iterator<Item = u64>) {
    let values: Vec<u64> = values.collect();
    for plane in (0..width).rev() {
        out.extend(values.iter().map(|value| (value >> (8 * plane)) as u8));
    }
}

/// Reads numbers that were written as planes, into memory that is used again.
fn take_planes(bytes: &mut &[u8], width: usize, count: usize, values: &mut Vec<u64>) -> Option<()> {
    let planes = bytes.split_off(..width.checked_mul(count)?)?;
    values.clear();
    values.resize(count, 0);
    kernel::wide(JoinPlanes { planes, values });
    Some(())
}

/// Makes numbers of their planes.
struct JoinPlanes<'a> {
    planes: &'a [u8],
    values: &'a mut [u64],
}

impl WideLoop for JoinPlanes<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let planes = self.planes.chunks_exact(self.values.len().max(1));
        // The highest bytes are mostly nothing.
        let is_nothing = |plane: &&[u8]| plane.iter().fold(0, |any, byte| any | byte) == 0;
        for plane in planes.skip_while(is_nothing) {
            for (value, &byte) in self.values.iter_mut().zip(plane) {
                *value = *value << 8 | u64::from(byte);
            }
        }
    }
}

fn take_slices<'b, 'n>(
    bytes: &mut &'b [u8],
    count: usize,
    lens: &'n mut Vec<u64>,
) -> Option<impl Iterator<Item = RowKind> + use<'b, 'n>> {
    take_planes(bytes, 4, count, lens)?;
    let planes = bytes.split_off(..HEADER_LEN.checked_mul(count)?)?;
    let header = move |slice: usize| std::array::from_fn(|place| planes[place * count + slice]);
    let slices = lens.iter().enumerate();
    Some(slices.map(move |(i, &len)| RowKind::Slice { header: header(i), len: len as u32 }))
}

/// The numbers of a tick, in the order of their columns.
fn numbers(report: &TickReport) -> [Option<f64>; 4] {
    let TickReport { playback_pos, client_time, slice_bytes_rx, slice_lead_s } = *report;
    [playback_pos, client_time, slice_bytes_rx, slice_lead_s]
}

/// Bit of a tick's flags: knobs were turned. The bits below tell which numbers are there.
const TURNED: u8 = 1 << 4;

fn put_ticks(out: &mut Vec<u8>, ticks: &[(&TickReport, bool)]) {
    out.extend(ticks.iter().map(|(report, turned)| {
        let there = numbers(report).map(|number| number.is_some());
        let bits = (0..).zip(there).map(|(bit, there)| u8::from(there) << bit).sum::<u8>();
        bits | if *turned { TURNED } else { 0 }
    }));
    for column in 0..4 {
        let mut before = 0;
        let changes: Vec<u64> = ticks
            .iter()
            .map(|(report, _)| {
                let bits = numbers(report)[column].map_or(0, f64::to_bits);
                bits ^ std::mem::replace(&mut before, bits)
            })
            .collect();
        put_planes(out, 8, changes.into_iter());
    }
}

fn take_ticks<'b, 'n>(
    bytes: &mut &'b [u8],
    count: usize,
    columns: &'n mut [Vec<u64>; 4],
) -> Option<impl Iterator<Item = RowKind> + use<'b, 'n>> {
    let flags = bytes.split_off(..count)?;
    for column in &mut *columns {
        take_planes(bytes, 8, count, column)?;
    }
    let mut bits = [0; 4];
    let tick = move |(i, &flags): (usize, &u8)| {
        let mut number = |column: usize| {
            bits[column] ^= columns[column][i];
            (flags >> column & 1 == 1).then_some(f64::from_bits(bits[column]))
        };
        let report = TickReport {
            playback_pos: number(0),
            client_time: number(1),
            slice_bytes_rx: number(2),
            slice_lead_s: number(3),
        };
        RowKind::Tick { report, turned: flags & TURNED != 0 }
    };
    Some(flags.iter().enumerate().map(tick))
}

fn take_shapes(bytes: &mut &[u8], count: usize) -> Option<Vec<BufferShape>> {
    let mut numbers: [Vec<u64>; 3] = Default::default();
    for (width, numbers) in [8, 2, 4].into_iter().zip(&mut numbers) {
        take_planes(bytes, width, count, numbers)?;
    }
    let [frames, channels, sample_rates] = numbers;
    let families = bytes.split_off(..count).map_or_else(|| vec![0; count], <[u8]>::to_vec);
    let shapes = frames.into_iter().zip(channels).zip(sample_rates.into_iter().zip(families));
    Some(
        shapes
            .map(|((frames, channels), (sample_rate, family))| BufferShape {
                frames,
                channels: channels as u16,
                sample_rate: sample_rate as u32,
                family,
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<CheckpointRow> {
        let report = TickReport { playback_pos: Some(1.5), ..TickReport::default() };
        let silent = TickReport::default();
        let full = TickReport {
            playback_pos: Some(f64::NAN),
            client_time: Some(-0.0),
            slice_bytes_rx: Some(1e300),
            slice_lead_s: Some(0.25),
        };
        let shape = BufferShape { frames: 1 << 40, channels: 2, sample_rate: 48_000, family: 0 };
        let kinds = [
            RowKind::Other,
            RowKind::Begin(shape),
            RowKind::Slice { header: std::array::from_fn(|i| i as u8), len: u32::MAX },
            RowKind::Tick { report, turned: true },
            RowKind::Op(Marker::Seek { to_s: 3.0 }),
            RowKind::Tick { report: silent, turned: false },
            RowKind::Refused,
            RowKind::Slice { header: [0xff; HEADER_LEN], len: 7 },
            RowKind::Command,
            RowKind::Tick { report: full, turned: false },
            RowKind::Swap(BufferShape { frames: 5, ..shape }),
            RowKind::Op(Marker::Pause),
        ];
        let times = [900, 901, 901, 5, u64::MAX, 0].into_iter().cycle();
        let rows = (50..).zip(times).zip(kinds);
        rows.map(|((stored_len, t), what)| CheckpointRow { t: Nanos(t), stored_len, what })
            .collect()
    }

    #[test]
    fn rows_go_there_and_back() {
        let mut of_a_family = sample();
        for row in &mut of_a_family {
            if let RowKind::Begin(shape) | RowKind::Swap(shape) = &mut row.what {
                shape.family = 0x84;
            }
        }
        for rows in [sample(), Vec::new(), sample()[..3].to_vec(), of_a_family] {
            let (columns, ops) = PackedRows::pack(&rows);
            let unpacked = columns.unpack(&ops).unwrap();
            // NaN is not equal to itself; its debug form is.
            assert_eq!(format!("{unpacked:?}"), format!("{rows:?}"));
        }
    }

    #[test]
    fn columns_that_are_no_columns_are_refused() {
        let (columns, ops) = PackedRows::pack(&sample());
        assert!(columns.unpack(&ops[..1]).is_err());
        let moved: Vec<_> = ops.iter().map(|(row, op)| (row + 1, op.clone())).collect();
        assert!(columns.unpack(&moved).is_err(), "an op of another row");
        assert!(PackedRows(b"xyz"[..].into()).unpack(&ops).is_err());
        let bytes = zstd::bulk::decompress(&columns.0, 1 << 20).unwrap();
        for len in 0..bytes.len() {
            let found = rows(&bytes[..len], &ops, &mut Numbers::default(), &mut Vec::new());
            assert_eq!(found, None, "{len} bytes");
        }
        let absurd = zstd::bulk::compress(&[0xff; 100], 3).unwrap();
        assert!(PackedRows(absurd.into()).unpack(&[]).is_err());
        let bomb = zstd::bulk::compress(&vec![0; 9 << 20], 3).unwrap();
        assert_eq!(PackedRows(bomb.into()).unpack(&[]), Err(RowsError::TooLong));
    }
}
