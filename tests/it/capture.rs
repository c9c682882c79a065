//! The capture format: what is written is read, however it is cut; what is damaged is refused.

mod refused;
mod spelling;

use std::io::{self, Read};

use lagtape::capture::{
    Body, ClientKind, Clock, Direction, End, Ending, Gap, Header, Kind, MAGIC, MAX_PAYLOAD_LEN,
    Marker, Message, Opcode, ReadError, ReadStep, Reader, Record, Records, SyncMarker, Writer,
};
use lagtape::time::Nanos;
use proptest::prelude::*;

use self::spelling::{Spelling, foreign_body};

const MARKER: SyncMarker = SyncMarker(*b"\x00\x93\xc4\x08mark");

/// A record of every type, and messages with every extra.
pub fn sample_records() -> Vec<Record<'static>> {
    use Direction::{ClientToServer, ServerToClient};
    let header = Header {
        start_utc: Some("2026-11-22T16:04:10.25Z".to_owned()),
        url: Some("ws://127.0.0.1:1318/".to_owned()),
        client: ClientKind::Headless,
        config: Some(r#"{"prompt": "lo-fi, mellow"}"#.to_owned()),
        metadata: [("arm".to_owned(), "factual".to_owned())].into(),
        ..Header::new("a test", Nanos(1_000))
    };
    let plain = Message::new(ServerToClient, Opcode::Binary, b"\x93\xc4\x08\x00\x93\xc4\x08mark");
    let bodies = [
        Body::Header(header),
        Body::Clock(Clock { monotonic: Nanos(1_001), utc: "2026-11-22T16:04:10.25Z".to_owned() }),
        Body::Message(Message::new(
            ClientToServer,
            Opcode::Text,
            "{\"prompt\": \"Grüße\"}".as_bytes(),
        )),
        Body::Message(plain),
        Body::Message(Message::new(ServerToClient, Opcode::Binary, b"")),
        Body::Message(Message { whole_len: Some(1 << 40), ..plain }),
        Body::Message(Message { whole_len: Some(11), sha256: Some([0xa5; 32]), ..plain }),
        Body::Message(Message { sha256: Some([0x5a; 32]), failed: true, ..plain }),
        Body::Message(Message { compressed: true, ..plain }),
        Body::Message(Message { automatic: true, opcode: Opcode::Pong, ..plain }),
        Body::Message(Message { opcode: Opcode::Other(200), ..plain }),
        Body::Marker(Marker::Seek { to_s: 16.5 }),
        Body::Marker(Marker::Rate { rate: 1.02 }),
        Body::Marker(Marker::Pause),
        Body::Marker(Marker::Resume),
        Body::Marker(Marker::Point { name: "it clicked".to_owned() }),
        Body::Other(9),
        Body::Other(200),
        Body::Gap(Gap { first_seq: 18, count: 0, bytes: 12_345, reason: "slow disk".to_owned() }),
    ];
    let mut records: Vec<_> = (0..).zip(bodies).map(|(seq, body)| record(seq, body)).collect();
    let counted = records.len() as u64;
    let end = End { reason: Some("stopped".to_owned()), records: counted, ..End::default() };
    records.push(record(counted, Body::End(end)));
    records
}

fn record(seq: u64, body: Body<'_>) -> Record<'_> {
    Record { seq, t: Nanos(1_000 + 333 * seq), conn: (seq % 3) as u32, body }
}

/// The bytes of a capture with these records, and where each record ends in them.
pub fn capture(records: &[Record<'_>]) -> (Vec<u8>, Vec<usize>) {
    let mut writer = Writer::new(MARKER);
    let mut bytes = Vec::new();
    writer.begin(&mut bytes);
    let ends = records.iter().map(|record| {
        writer.write(record, &mut bytes);
        bytes.len()
    });
    let ends = ends.collect();
    (bytes, ends)
}

/// Reads all of a source and expects exactly these records before the end or the error.
#[track_caller]
fn check_reads(source: impl Read, expected: &[Record<'_>]) -> Result<Ending, ReadError> {
    let mut records = Records::new(source);
    let mut expected = expected.iter();
    while let Some(record) = records.next_record()? {
        assert_eq!(Some(&record), expected.next());
    }
    assert_eq!(expected.next(), None, "a record is missing");
    Ok(records.ending().expect("the end was reached"))
}

/// Reads as much as can be read and returns how many records agreed with the expected ones.
#[track_caller]
fn count_agreeing(bytes: &[u8], expected: &[Record<'_>]) -> (usize, Result<Ending, ReadError>) {
    let mut reader = Reader::new();
    let mut rest = bytes;
    for count in 0.. {
        match reader.step(rest) {
            Ok(ReadStep::Record { record, len }) => {
                assert_eq!(Some(&record), expected.get(count), "a record was altered");
                rest = &rest[len..];
            }
            Ok(ReadStep::NeedMore { at_least }) => {
                assert!(at_least > rest.len());
                return (count, reader.ending(rest));
            }
            Err(error) => return (count, Err(error)),
        }
    }
    unreachable!("the counting has no end")
}

/// A source that hands out pieces of these sizes in turn, and is interrupted between them.
pub struct Pieces<'a> {
    pub bytes: &'a [u8],
    pub sizes: &'a [usize],
    pub turn: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.turn.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let size = self.sizes[self.turn % self.sizes.len()].min(out.len());
        self.bytes.read(&mut out[..size])
    }
}

/// A value of each kind of body; messages get their payload later.
fn any_body() -> impl Strategy<Value = Body<'static>> {
    let text = ".{0,20}";
    let header = (text, any::<u64>(), proptest::option::of(text), any::<bool>()).prop_map(
        |(software, start, url, headless)| {
            let client = if headless { ClientKind::Headless } else { ClientKind::Foreign };
            let metadata = [(software.clone(), "value".to_owned())].into();
            Body::Header(Header { url, client, metadata, ..Header::new(software, Nanos(start)) })
        },
    );
    let message = (any::<(bool, [bool; 3], u8)>(), any::<Option<u64>>(), any::<Option<[u8; 32]>>())
        .prop_map(|((down, flags, opcode), whole_len, sha256)| {
            let [automatic, failed, compressed] = flags;
            let direction = Direction::from_id(1 + u8::from(down)).expect("1 and 2 are directions");
            let plain = Message::new(direction, opcode.into(), b"");
            Body::Message(Message { automatic, failed, compressed, whole_len, sha256, ..plain })
        });
    let clock = (any::<u64>(), text)
        .prop_map(|(monotonic, utc)| Body::Clock(Clock { monotonic: Nanos(monotonic), utc }));
    let gap = (any::<[u64; 3]>(), text).prop_map(|([first_seq, count, bytes], reason)| {
        Body::Gap(Gap { first_seq, count, bytes, reason })
    });
    let marker = prop_oneof![
        any::<f64>().prop_map(|to_s| Marker::Seek { to_s }),
        any::<f64>().prop_map(|rate| Marker::Rate { rate }),
        Just(Marker::Pause),
        Just(Marker::Resume),
        text.prop_map(|name| Marker::Point { name }),
    ]
    .prop_map(Body::Marker);
    let end = (proptest::option::of(text), any::<[u64; 4]>()).prop_map(
        |(reason, [records, messages, bytes, lost])| {
            Body::End(End { reason, records, messages, bytes, lost })
        },
    );
    let other = (9..=u8::MAX).prop_map(Body::Other);
    prop_oneof![1 => header, 6 => message, 1 => clock, 1 => gap, 1 => marker, 1 => end, 1 => other]
}

/// Records with their payloads beside them: [`with_payload`] brings the two together.
fn any_records() -> impl Strategy<Value = Vec<(Record<'static>, Vec<u8>)>> {
    let len = prop_oneof![8 => 0..300_usize, 1 => 65_000..70_000_usize];
    let payload = len.prop_flat_map(|len| proptest::collection::vec(any::<u8>(), len));
    let one = (any::<(u64, u64, u32)>(), any_body(), payload).prop_map(
        |((seq, t, conn), body, payload)| (Record { seq, t: Nanos(t), conn, body }, payload),
    );
    proptest::collection::vec(one, 0..12).prop_map(|mut records| {
        let header = Header::new("a property test", Nanos(5));
        records.insert(0, (record(0, Body::Header(header)), Vec::new()));
        records
    })
}

fn with_payload<'a>((record, payload): &'a (Record<'static>, Vec<u8>)) -> Record<'a> {
    let Body::Message(message) = &record.body else { return record.clone() };
    let whole_len = message.whole_len.map(|more| more.max(payload.len() as u64));
    Record { body: Body::Message(Message { payload, whole_len, ..*message }), ..record.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        owned in any_records(),
        sizes in proptest::collection::vec(1..5000_usize, 1..6),
        keep in any::<proptest::sample::Index>(),
    ) {
        let records: Vec<_> = owned.iter().map(with_payload).collect();
        let (bytes, ends) = capture(&records);
        let complete = matches!(records.last().map(Record::kind), Some(Kind::End));
        let ending = if complete { Ending::Complete } else { Ending::Incomplete { torn_bytes: 0 } };
        prop_assert_eq!(check_reads(&bytes[..], &records).unwrap(), ending);

        let pieces = Pieces { bytes: &bytes, sizes: &sizes, turn: 0 };
        prop_assert_eq!(check_reads(pieces, &records).unwrap(), ending);

        let cut = 10 + keep.index(bytes.len() - 10);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let pieces = Pieces { bytes: &bytes[..cut], sizes: &sizes, turn: 0 };
        check_reads(pieces, &records[..whole]).unwrap();
    }

    #[test]
    fn other_spellings_of_the_same_values_are_read(
        owned in any_records(),
        spelling in prop_oneof![
            Just(Spelling::Shortest), Just(Spelling::Signed), Just(Spelling::Longest)
        ],
    ) {
        let records: Vec<_> = owned.iter().map(with_payload).collect();
        let mut bytes = preamble();
        for record in &records {
            bytes.extend(framed(MARKER, &foreign_body(record, spelling)));
        }
        check_reads(&bytes[..], &records).unwrap();
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let hostile_file = [preamble(), bytes.clone()].concat();
        let hostile_body = [preamble(), framed(MARKER, &bytes)].concat();
        for input in [bytes, hostile_file, hostile_body] {
            let (count, _) = count_agreeing(&input, &[]);
            prop_assert_eq!(count, 0);
        }
    }
}

#[test]
fn a_cut_anywhere_leaves_the_whole_records() {
    let records = sample_records();
    let (bytes, ends) = capture(&records);
    for cut in 0..=bytes.len() {
        let (count, result) = count_agreeing(&bytes[..cut], &records);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(count, whole, "cut at {cut}");
        let last_whole = ends[..whole].last().copied().unwrap_or(10);
        match result {
            Err(ReadError::NotACapture { .. }) => assert!(cut < 10, "cut at {cut}"),
            Ok(Ending::Complete) => assert_eq!(cut, bytes.len()),
            Ok(Ending::Incomplete { torn_bytes }) => {
                assert_eq!(torn_bytes, (cut - last_whole) as u64, "cut at {cut}");
            }
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
}

#[test]
fn a_step_never_asks_for_more_than_the_record_has() {
    let records = sample_records();
    let (bytes, ends) = capture(&records);
    let mut reader = Reader::new();
    let mut start = 0;
    for (record, end) in records.iter().zip(ends) {
        for cut in start..end {
            match reader.step(&bytes[start..cut]).unwrap() {
                ReadStep::NeedMore { at_least } => {
                    assert!((cut - start + 1..=end - start).contains(&at_least), "cut at {cut}");
                }
                ReadStep::Record { record, .. } => panic!("cut at {cut}: {record:?}"),
            }
        }
        let step = reader.step(&bytes[start..]).unwrap();
        assert_eq!(step, ReadStep::Record { record: record.clone(), len: end - start });
        assert_eq!(reader.offset(), end as u64);
        start = end;
    }
    assert_eq!(reader.marker(), Some(MARKER));
    assert_eq!(reader.records(), records.len() as u64);
    assert_eq!(reader.ending(&[]).unwrap(), Ending::Complete);
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let records = sample_records();
    let (mut bytes, ends) = capture(&records);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let (count, result) = count_agreeing(&bytes, &records);
            let before = ends.iter().filter(|end| **end <= at).count();
            assert_eq!(count, before, "bit {bit} of byte {at}");
            match result {
                Ok(Ending::Complete) => panic!("bit {bit} of byte {at} went unnoticed"),
                Ok(Ending::Incomplete { torn_bytes }) => assert!(torn_bytes > 0),
                Err(ReadError::Damaged { record, offset, .. }) => {
                    let start = before.checked_sub(1).map_or(10, |last| ends[last]);
                    assert_eq!((record, offset), (before as u64, start as u64));
                }
                Err(ReadError::NotACapture { .. }) => assert!(at < 10),
                Err(error) => panic!("bit {bit} of byte {at}: {error}"),
            }
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn the_same_records_give_the_same_bytes() {
    assert_eq!(capture(&sample_records()), capture(&sample_records()));
    assert_eq!(SyncMarker::derive(b"input"), SyncMarker::derive(b"input"));
    assert_ne!(SyncMarker::derive(b"input"), SyncMarker::derive(b"another"));
}

#[test]
fn records_after_an_end_are_read() {
    let mut records = sample_records();
    let end = records.last().unwrap().clone();
    records.push(record(99, Body::Marker(Marker::Pause)));
    let (bytes, _) = capture(&records);
    let ending = check_reads(&bytes[..], &records).unwrap();
    assert_eq!(ending, Ending::Incomplete { torn_bytes: 0 });
    records.push(Record { seq: 100, ..end });
    let (mut bytes, _) = capture(&records);
    assert_eq!(check_reads(&bytes[..], &records).unwrap(), Ending::Complete);
    bytes.extend_from_slice(b"\0\0\0\0");
    let (count, result) = count_agreeing(&bytes, &records);
    assert_eq!(count, records.len());
    assert!(matches!(result, Err(ReadError::Damaged { .. })), "{result:?}");
}

#[test]
fn a_writer_counts_what_it_writes() {
    let mut writer = Writer::new(MARKER);
    for record in &sample_records() {
        writer.write(record, &mut Vec::new());
    }
    let gap = Gap { first_seq: 20, count: 30, ..Gap::default() };
    writer.write(&record(50, Body::Gap(gap)), &mut Vec::new());
    assert_eq!(writer.next_seq(), 51);
    let expected = End { reason: None, records: 21, messages: 9, bytes: 21 + 7 * 11, lost: 30 };
    assert_eq!(writer.end(None), expected);
}

#[test]
fn of_a_payload_too_long_the_beginning_is_kept() {
    let payload = vec![0; MAX_PAYLOAD_LEN + 1];
    let message = |opcode| Message::new(Direction::ServerToClient, opcode, &payload);
    let header = record(0, Body::Header(Header::new("a test", Nanos(0))));
    let long = record(1, Body::Message(Message { sha256: Some([1; 32]), ..message(Opcode::Text) }));
    let (bytes, _) = capture(&[header.clone(), long.clone()]);
    let kept = Message {
        payload: &payload[..MAX_PAYLOAD_LEN],
        whole_len: Some(payload.len() as u64),
        sha256: Some([1; 32]),
        ..message(Opcode::Text)
    };
    assert!(!kept.is_whole() && kept.text().is_none());
    let kept = Record { body: Body::Message(kept), ..long };
    check_reads(&bytes[..], &[header, kept]).unwrap();
}

fn preamble() -> Vec<u8> {
    [&[0xc4, 8], &MAGIC[..]].concat()
}

/// A record around any body, with the checksum that it should have.
fn framed(marker: SyncMarker, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    let covered = [&marker.0, &len[..], body].concat();
    let checksum = crc32c::crc32c(&covered).to_be_bytes();
    [b"\x93\xc4\x08", &marker.0[..], b"\xce", &checksum, b"\xc6", &len, body].concat()
}

#[test]
fn the_example_of_the_format_description_is_what_is_written() {
    let text = include_str!("../../docs/FORMAT.md");
    let (_, block) = text.split_once("```hex\n").expect("FORMAT.md has a hex block");
    let (block, _) = block.split_once("```").expect("the hex block ends");
    let digits = block.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace());
    let described: Vec<_> = digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();

    let config = Message::new(Direction::ClientToServer, Opcode::Text, b"{}");
    let end = End { records: 2, messages: 1, bytes: 2, ..End::default() };
    let records = [
        Record {
            seq: 0,
            t: Nanos(1000),
            conn: 0,
            body: Body::Header(Header::new("x", Nanos(1000))),
        },
        Record { seq: 1, t: Nanos(1333), conn: 0, body: Body::Message(config) },
        Record { seq: 2, t: Nanos(1666), conn: 0, body: Body::End(end) },
    ];
    let mut writer = Writer::new(SyncMarker(*b"lagtape!"));
    let mut written = Vec::new();
    writer.begin(&mut written);
    for record in &records {
        writer.write(record, &mut written);
    }
    assert_eq!(described, written, "the example should be {written:02x?}");
}
