//! Records as other writers of msgpack spell them.

use lagtape::capture::{Body, Record};

/// How another encoder may write the integers and byte strings of a body.
#[derive(Clone, Copy, Debug)]
pub enum Spelling {
    Shortest,
    Signed,
    Longest,
}

impl Spelling {
    fn uint(self, value: u64) -> Vec<u8> {
        let wide = |tag: u8, bytes: &[u8]| [&[tag], bytes].concat();
        match (self, value) {
            (Spelling::Shortest, 0..=0x7f) => vec![value as u8],
            (Spelling::Shortest, 0..=0xff) => wide(0xcc, &[value as u8]),
            (Spelling::Shortest, 0..=0xffff) => wide(0xcd, &(value as u16).to_be_bytes()),
            (Spelling::Shortest, 0..=0xffff_ffff) => wide(0xce, &(value as u32).to_be_bytes()),
            (Spelling::Signed, 0..=0x7f) => wide(0xd0, &[value as u8]),
            (Spelling::Signed, 0..=0x7fff) => wide(0xd1, &(value as u16).to_be_bytes()),
            (Spelling::Signed, 0..=0x7fff_ffff) => wide(0xd2, &(value as u32).to_be_bytes()),
            (Spelling::Signed, 0..=0x7fff_ffff_ffff_ffff) => wide(0xd3, &value.to_be_bytes()),
            _ => wide(0xcf, &value.to_be_bytes()),
        }
    }

    pub fn bin(self, bytes: &[u8]) -> Vec<u8> {
        let head = match (self, bytes.len()) {
            (Spelling::Longest, len) | (_, len @ 0x1_0000..) => {
                [&[0xc6][..], &(len as u32).to_be_bytes()].concat()
            }
            (_, len @ 0..=0xff) => vec![0xc4, len as u8],
            (_, len) => [&[0xc5][..], &(len as u16).to_be_bytes()].concat(),
        };
        [&head[..], bytes].concat()
    }

    fn array(self, len: u8) -> Vec<u8> {
        match self {
            Spelling::Shortest => vec![0x90 + len],
            Spelling::Signed => vec![0xdc, 0, len],
            Spelling::Longest => vec![0xdd, 0, 0, 0, len],
        }
    }
}

/// A body as another program may write it, with two extra values of its own at the end.
pub fn foreign_body(record: &Record<'_>, spelling: Spelling) -> Vec<u8> {
    let optional = |value: Option<Vec<u8>>| value.unwrap_or(vec![0xc0]);
    let map = |encoded: Result<Vec<u8>, rmp_serde::encode::Error>| (0, 0, encoded.unwrap());
    let mut extras = vec![vec![0xc0]; 3];
    let (direction, opcode, payload) = match &record.body {
        Body::Message(message) => {
            let flags = u64::from(message.automatic)
                + 2 * u64::from(message.failed)
                + 4 * u64::from(message.compressed);
            extras[0] = spelling.uint(flags);
            extras[1] = optional(message.whole_len.map(|len| spelling.uint(len)));
            extras[2] = optional(message.sha256.map(|sha256| spelling.bin(&sha256)));
            (message.direction.into(), message.opcode.into(), message.payload.to_vec())
        }
        Body::Header(header) => map(rmp_serde::to_vec_named(header)),
        Body::Clock(clock) => map(rmp_serde::to_vec_named(clock)),
        Body::Gap(gap) => map(rmp_serde::to_vec_named(gap)),
        Body::Marker(marker) => map(rmp_serde::to_vec_named(marker)),
        Body::End(end) => map(rmp_serde::to_vec_named(end)),
        Body::Break(broken) => map(rmp_serde::to_vec_named(broken)),
        Body::Context(_) | Body::Checkpoint(_) => {
            unreachable!("not among the samples: place 7 of theirs has a meaning")
        }
        Body::Other(_) => (3, 4, b"of another version".to_vec()),
    };
    let integer = |value: u8| spelling.uint(value.into());
    let mut body = spelling.array(12);
    body.extend(integer(record.kind().into()));
    body.extend(spelling.uint(record.seq));
    body.extend(spelling.uint(record.t.0));
    body.extend(spelling.uint(record.conn.into()));
    body.extend(integer(direction));
    body.extend(integer(opcode));
    body.extend(spelling.bin(&payload));
    body.extend(extras.concat());
    body.extend_from_slice(b"\x81\xa1k\x92\x01\x02");
    body.extend_from_slice(b"\xa4last");
    body
}
