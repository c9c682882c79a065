//! Arrow's file format, also called Feather, written without a library: a schema, batches of columns, and
//! a footer that says where these are.
//!
//! What is written is that of the format's own description
//! (<https://arrow.apache.org/docs/format/Columnar.html>; Message.fbs, Schema.fbs and File.fbs of its version
//! 5). Nothing is compressed. Bytes are handed out as they come, so that a file can be written from front
//! to end, and gone on with later: a [`ArrowBlock`] for each batch is all that has to be kept.

use serde::{Deserialize, Serialize};

use super::flat::{FlatBuilder, FlatField, Place};
use super::histogram::{HistogramOf, edges};
use super::{Batch, Column, ColumnKind, TableName, Values};

const MAGIC: &[u8; 6] = b"ARROW1";
/// `MetadataVersion::V5`.
const VERSION: i16 = 4;
/// Every part of a file begins at a multiple of this, as Arrow recommends.
const ALIGN: usize = 64;

/// Where a batch is in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrowBlock {
    /// Its first byte.
    pub offset: u64,
    /// Bytes of what describes it, …
    pub head: u64,
    /// … and of its columns.
    pub body: u64,
}

/// The bytes of a file with a table.
#[derive(Debug)]
pub struct ArrowFile<'a> {
    table: TableName,
    columns: &'a [&'static Column],
}

impl<'a> ArrowFile<'a> {
    /// A file with these columns of a table.
    #[must_use]
    pub fn new(table: TableName, columns: &'a [&'static Column]) -> ArrowFile<'a> {
        ArrowFile { table, columns }
    }

    /// How it begins.
    #[must_use]
    pub fn begin(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.resize(8, 0);
        let mut flat = FlatBuilder::default();
        let schema = self.schema(&mut flat);
        message(&mut out, flat, 1, schema, 0);
        out
    }

    /// A batch that is to stand at `offset`.
    #[must_use]
    pub fn batch(&self, offset: u64, batch: &Batch) -> (Vec<u8>, ArrowBlock) {
        let mut body = Body::default();
        batch.columns.iter().for_each(|values| body.column(values));
        let mut flat = FlatBuilder::default();
        let buffers = flat.structs(&body.buffers);
        let nodes = flat.structs(&body.nodes);
        let record_batch = flat.table(&[
            (0, FlatField::I64(batch.rows as i64)),
            (1, FlatField::At(nodes)),
            (2, FlatField::At(buffers)),
        ]);
        let mut out = Vec::new();
        message(&mut out, flat, 3, record_batch, body.bytes.len());
        let head = out.len() as u64;
        out.extend_from_slice(&body.bytes);
        (out, ArrowBlock { offset, head, body: body.bytes.len() as u64 })
    }

    /// How it ends.
    #[must_use]
    pub fn end(&self, blocks: &[ArrowBlock]) -> Vec<u8> {
        let mut flat = FlatBuilder::default();
        // The second field is one of 4 bytes and 4 that fill up.
        let block = |block: &ArrowBlock| [block.offset, block.head, block.body].map(|at| at as i64);
        let blocks = flat.structs(&blocks.iter().map(block).collect::<Vec<_>>());
        let none = flat.structs::<3>(&[]);
        let schema = self.schema(&mut flat);
        let footer = flat.table(&[
            (0, FlatField::I16(VERSION)),
            (1, FlatField::At(schema)),
            (2, FlatField::At(none)),
            (3, FlatField::At(blocks)),
        ]);
        let footer = flat.finish(footer);
        let mut out = [[0xFF; 4], [0; 4]].concat();
        out.extend_from_slice(&footer);
        out.extend_from_slice(&(footer.len() as u32).to_le_bytes());
        out.extend_from_slice(MAGIC);
        out
    }

    fn schema(&self, flat: &mut FlatBuilder) -> Place {
        let fields: Vec<_> = self.columns.iter().map(|column| field(flat, column)).collect();
        let fields = flat.list(&fields);
        let about = [("table", self.table.name()), ("about", self.table.about())];
        let about = key_values(flat, &about.map(|(key, value)| (key, value.to_owned())));
        flat.table(&[(1, FlatField::At(fields)), (2, FlatField::At(about))])
    }
}

/// Puts a message behind what there is: its length, what describes it, and room up to its body.
fn message(out: &mut Vec<u8>, mut flat: FlatBuilder, kind: u8, header: Place, body: usize) {
    let root = flat.table(&[
        (3, FlatField::I64(body as i64)),
        (2, FlatField::At(header)),
        (0, FlatField::I16(VERSION)),
        (1, FlatField::U8(kind)),
    ]);
    let described = flat.finish(root);
    let end = (out.len() + 8 + described.len()).next_multiple_of(ALIGN);
    out.extend_from_slice(&[0xFF; 4]);
    out.extend_from_slice(&((end - out.len() - 4) as u32).to_le_bytes());
    out.extend_from_slice(&described);
    out.resize(end, 0);
}

fn field(flat: &mut FlatBuilder, column: &Column) -> Place {
    let (kind, of) = match column.kind {
        ColumnKind::Wholes => (12, flat.table(&[])),
        kind => scalar(flat, kind),
    };
    let children = match column.kind {
        ColumnKind::Wholes => {
            let (kind, of) = scalar(flat, ColumnKind::Whole);
            vec![named(flat, "item", (kind, of), &[], &[])]
        }
        _ => Vec::new(),
    };
    named(flat, column.name, (kind, of), &children, &column.metadata())
}

/// The number of a type in Arrow's union of types, and the table that says more of it.
fn scalar(flat: &mut FlatBuilder, kind: ColumnKind) -> (u8, Place) {
    match kind {
        ColumnKind::Whole | ColumnKind::Wholes => {
            (2, flat.table(&[(0, FlatField::I32(64)), (1, FlatField::Bool(true))]))
        }
        ColumnKind::Number => (3, flat.table(&[(0, FlatField::I16(2))])),
        ColumnKind::Word => (5, flat.table(&[])),
        ColumnKind::Truth => (6, flat.table(&[])),
    }
}

fn named(
    flat: &mut FlatBuilder,
    name: &str,
    (kind, of): (u8, Place),
    children: &[Place],
    about: &[(&str, String)],
) -> Place {
    let name = flat.string(name);
    let children = flat.list(children);
    let about = key_values(flat, about);
    flat.table(&[
        (0, FlatField::At(name)),
        (3, FlatField::At(of)),
        (5, FlatField::At(children)),
        (6, FlatField::At(about)),
        (1, FlatField::Bool(true)),
        (2, FlatField::U8(kind)),
    ])
}

fn key_values(flat: &mut FlatBuilder, pairs: &[(&str, String)]) -> Place {
    let pair = |(key, value): &(&str, String)| {
        let (key, value) = (flat.string(key), flat.string(value));
        flat.table(&[(0, FlatField::At(key)), (1, FlatField::At(value))])
    };
    let pairs: Vec<_> = pairs.iter().map(pair).collect();
    flat.list(&pairs)
}

impl Column {
    /// What a file says of it: its unit, what it means, and the edges of a histogram.
    #[must_use]
    pub fn metadata(&self) -> Vec<(&'static str, String)> {
        let unit = (!self.unit.is_empty()).then(|| ("unit", self.unit.to_owned()));
        let edges_s = (self.kind == ColumnKind::Wholes).then(|| {
            let of = match self.name {
                "lead_histogram" => HistogramOf::Leads,
                _ => HistogramOf::Staleness,
            };
            let edges: Vec<_> = edges(of).iter().map(f64::to_string).collect();
            ("edges_s", format!("[{}]", edges.join(",")))
        });
        let about = ("about", self.about.to_owned());
        unit.into_iter().chain([about]).chain(edges_s).collect()
    }
}

/// The columns of a batch: for each how many rows and unknown values it has, and its buffers.
#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    nodes: Vec<[i64; 2]>,
    buffers: Vec<[i64; 2]>,
}

impl Body {
    fn column(&mut self, values: &Values) {
        match values {
            Values::Whole(values) => {
                self.known(values);
                self.buffer(values.iter().flat_map(|value| value.unwrap_or(0).to_le_bytes()));
            }
            Values::Number(values) => {
                self.known(values);
                self.buffer(values.iter().flat_map(|value| value.unwrap_or(0.0).to_le_bytes()));
            }
            Values::Truth(values) => {
                self.known(values);
                self.bits(values.iter().map(|value| *value == Some(true)));
            }
            Values::Word(values) => {
                self.known(values);
                self.ends(values.iter().map(|value| value.as_ref().map_or(0, String::len)));
                self.buffer(values.iter().flatten().flat_map(|text| text.bytes()));
            }
            Values::Wholes(values) => {
                self.known(values);
                self.ends(values.iter().map(|value| value.as_ref().map_or(0, Vec::len)));
                let items: Vec<_> = values.iter().flatten().flatten().map(|n| Some(*n)).collect();
                self.column(&Values::Whole(items));
            }
        }
    }

    /// A column's node, and which of its rows are known.
    fn known<T>(&mut self, values: &[Option<T>]) {
        let unknown = values.iter().filter(|value| value.is_none()).count();
        self.nodes.push([values.len() as i64, unknown as i64]);
        match unknown {
            0 => self.buffer([].into_iter()),
            _ => self.bits(values.iter().map(Option::is_some)),
        }
    }

    fn bits(&mut self, bits: impl Iterator<Item = bool>) {
        let mut bytes = Vec::new();
        for (at, bit) in bits.enumerate() {
            if at % 8 == 0 {
                bytes.push(0);
            }
            bytes[at / 8] |= u8::from(bit) << (at % 8);
        }
        self.buffer(bytes.into_iter());
    }

    /// Where items of these lengths begin, and where the last one ends.
    fn ends(&mut self, lengths: impl Iterator<Item = usize>) {
        let ends = lengths.scan(0, |end, length| {
            *end += length;
            Some(*end as i32)
        });
        self.buffer([0].into_iter().chain(ends).flat_map(i32::to_le_bytes));
    }

    fn buffer(&mut self, bytes: impl Iterator<Item = u8>) {
        let from = self.bytes.len();
        self.bytes.extend(bytes);
        self.buffers.push([from as i64, (self.bytes.len() - from) as i64]);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
    }
}
