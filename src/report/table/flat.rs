//! Flatbuffers, as far as Arrow's files need them: tables, vectors, strings and structs, written from the
//! last byte to the first (<https://flatbuffers.dev/internals>).

/// Distance of something's first byte from the end of the buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(usize);

/// A buffer under way, in reverse.
#[derive(Debug, Default)]
pub(super) struct FlatBuilder {
    reversed: Vec<u8>,
}

/// What a field of a table holds.
pub(super) enum FlatField {
    Bool(bool),
    U8(u8),
    I16(i16),
    I32(i32),
    I64(i64),
    At(Place),
}

impl FlatBuilder {
    fn put(&mut self, bytes: &[u8]) {
        self.reversed.extend(bytes.iter().rev());
    }

    /// Fills up so that what begins after `more` bytes lies at a multiple of `size`.
    fn align(&mut self, size: usize, more: usize) {
        while !(self.reversed.len() + more).is_multiple_of(size) {
            self.reversed.push(0);
        }
    }

    fn here(&self) -> Place {
        Place(self.reversed.len())
    }

    /// An offset to something that was written before.
    fn offset(&mut self, to: Place) {
        let distance = self.reversed.len() + 4 - to.0;
        self.put(&(distance as u32).to_le_bytes());
    }

    pub fn string(&mut self, text: &str) -> Place {
        self.align(4, text.len() + 1);
        self.put(&[0]);
        self.put(text.as_bytes());
        self.put(&(text.len() as u32).to_le_bytes());
        self.here()
    }

    /// A vector of tables or strings.
    pub fn list(&mut self, items: &[Place]) -> Place {
        self.align(4, 0);
        for item in items.iter().rev() {
            self.offset(*item);
        }
        self.put(&(items.len() as u32).to_le_bytes());
        self.here()
    }

    /// A vector of structs whose fields are 8 bytes each.
    pub fn structs<const N: usize>(&mut self, items: &[[i64; N]]) -> Place {
        self.align(8, 0);
        for item in items.iter().rev() {
            for field in item.iter().rev() {
                self.put(&field.to_le_bytes());
            }
        }
        self.put(&(items.len() as u32).to_le_bytes());
        self.here()
    }

    /// A table with its fields by their slots.
    pub fn table(&mut self, fields: &[(usize, FlatField)]) -> Place {
        let end = self.reversed.len();
        let slots = fields.iter().map(|(slot, _)| slot + 1).max().unwrap_or(0);
        let mut places = vec![0; slots];
        for (slot, field) in fields {
            match field {
                FlatField::Bool(value) => self.put(&[u8::from(*value)]),
                FlatField::U8(value) => self.put(&[*value]),
                FlatField::I16(value) => self.scalar(&value.to_le_bytes()),
                FlatField::I32(value) => self.scalar(&value.to_le_bytes()),
                FlatField::I64(value) => self.scalar(&value.to_le_bytes()),
                FlatField::At(place) => {
                    self.align(4, 0);
                    self.offset(*place);
                }
            }
            places[*slot] = self.reversed.len();
        }
        self.scalar(&[0; 4]);
        let table = self.reversed.len();
        for place in places.iter().rev() {
            let from_table = if *place == 0 { 0 } else { table - place };
            self.put(&(from_table as u16).to_le_bytes());
        }
        self.put(&((table - end) as u16).to_le_bytes());
        self.put(&((4 + 2 * slots) as u16).to_le_bytes());
        // The table begins with the distance back to what says where its fields are.
        let back = ((self.reversed.len() - table) as i32).to_le_bytes();
        for (at, byte) in (table - 4..table).rev().zip(back) {
            self.reversed[at] = byte;
        }
        Place(table)
    }

    fn scalar(&mut self, bytes: &[u8]) {
        self.align(bytes.len(), 0);
        self.put(bytes);
    }

    /// The buffer, whose root this is; a multiple of 8 bytes.
    pub fn finish(mut self, root: Place) -> Vec<u8> {
        self.align(8, 4);
        self.offset(root);
        self.reversed.reverse();
        self.reversed
    }
}
