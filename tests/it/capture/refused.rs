//! What no capture can hold, and what is passed over.

use std::io::{self, Read};

use lagtape::capture::{
    Body, Direction, FORMAT_VERSION, Header, MAX_BODY_LEN, Marker, Message, Opcode, ReadError,
    Record, Records, SyncMarker,
};
use lagtape::time::Nanos;

use super::spelling::Spelling;
use super::{MARKER, capture, check_reads, count_agreeing, framed, preamble, sample_records};

/// A body of plain form.
fn plain_body(kind: u8, direction: u8, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let head = [0x97, kind, 1, 2, 0, direction, opcode];
    [&head[..], &Spelling::Shortest.bin(payload)].concat()
}

/// Reads a capture of a header and one more record, and expects a refusal that says this.
#[track_caller]
fn check_refused(second: &[u8], expected: &str) {
    let (mut bytes, ends) = capture(&sample_records()[..1]);
    bytes.extend_from_slice(second);
    let (count, result) = count_agreeing(&bytes, &sample_records());
    let Err(ReadError::Damaged { record, offset, reason }) = result else {
        panic!("{expected:?} came out as {result:?}")
    };
    assert_eq!((count, record, offset), (1, 1, ends[0] as u64));
    assert!(reason.to_string().contains(expected), "{reason}, and not {expected}");
}

#[test]
fn what_no_record_can_be_is_refused() {
    let body = |body: &[u8]| framed(MARKER, body);
    let plain = |kind, direction, payload: &[u8]| body(&plain_body(kind, direction, 1, payload));
    let message = |extras: &[u8]| {
        let mut bytes = [&plain_body(2, 1, 1, b"text")[..], extras].concat();
        bytes[0] += 3;
        body(&bytes)
    };
    check_refused(b"\0", "does not begin as a record does");
    check_refused(b"\x93\xc4\x08?", "sync marker of another");
    check_refused(&framed(SyncMarker(*b"another!"), b""), "sync marker of another");
    let mut long = body(b"");
    long[17..21].copy_from_slice(&(MAX_BODY_LEN as u32 + 1).to_be_bytes());
    check_refused(&long, "claims a body of 134217729 bytes");
    long[17..21].fill(0xff);
    check_refused(&long, "claims a body of 4294967295 bytes");
    let mut wrong = body(b"\x97");
    wrong[12] ^= 1;
    check_refused(&wrong, "checksum does not agree");

    check_refused(&body(b""), "ends within a value");
    check_refused(&body(b"\x80"), "no array");
    check_refused(&body(b"\x96\x02\x01\x02\x00\x01\x01"), "fewer than 7");
    check_refused(&body(b"\x97\x02\x01\x02\x00\x01\x01\xa4text"), "no byte string");
    check_refused(&body(b"\x97\x02\xff\x02\x00\x01\x01\xc4\x00"), "negative");
    check_refused(&body(b"\x97\x02\x01\xc0\x00\x01\x01\xc4\x00"), "no integer");
    check_refused(&body(b"\x97\xcd\x01\x00\x01\x02\x00\x01\x01\xc4\x00"), "too large");
    check_refused(
        &body(b"\x97\x02\x01\x02\x00\x01\x01\xc6\xff\xff\xff\xff"),
        "ends within a value",
    );
    check_refused(&body(b"\xdd\xff\xff\xff\xff\x02\x01\x02\x00\x01\x01\xc4\x00"), "ends within");
    check_refused(&body(&[&plain_body(2, 1, 1, b""), &b"\xc0"[..]].concat()), "bytes follow");
    check_refused(&plain(2, 0, b""), "neither way");
    check_refused(&plain(2, 3, b""), "neither way");
    check_refused(&message(b"\x00\x03\xc0"), "longer than its whole length");
    check_refused(&message(b"\x00\xc0\xc4\x01x"), "has not 32 bytes");
    check_refused(&message(b"\xa1x\xc0\xc0"), "no integer");

    check_refused(&plain(3, 0, b""), "its clock cannot be decoded");
    check_refused(&plain(4, 0, b"\x80"), "its gap cannot be decoded");
    check_refused(&plain(5, 0, b"\x81\xa2op\xa4seek"), "a seek without to_s");
    check_refused(&plain(5, 0, b"\x81\xa2op\xdb\xff\xff\xff\xff"), "its marker cannot be decoded");
    check_refused(&plain(6, 0, b"\xdf\xff\xff\xff\xff"), "its end cannot be decoded");
    check_refused(&plain(1, 0, b"\x80"), "its header cannot be decoded");
}

#[test]
fn depth_is_refused_or_passed_over() {
    let deep = [vec![0x91; 1 << 20], vec![0xc0]].concat();
    let map = [&b"\x82\xa7unknown"[..], &deep, b"\xa2op\xa5pause"].concat();
    check_refused(&framed(MARKER, &plain_body(5, 0, 0, &map)), "depth limit");
    check_refused(&framed(MARKER, &plain_body(5, 0, 0, &deep)), "its marker cannot be decoded");

    let header = sample_records().swap_remove(0);
    let mut body = [plain_body(2, 1, 1, b""), vec![0xc0; 3], deep].concat();
    body[0] = 0x9b;
    let (mut bytes, _) = capture(std::slice::from_ref(&header));
    bytes.extend(framed(MARKER, &body));
    let message = Message::new(Direction::ClientToServer, Opcode::Text, b"");
    let second = Record { seq: 1, t: Nanos(2), conn: 0, body: Body::Message(message) };
    check_reads(&bytes[..], &[header, second]).unwrap();
}

/// Reads a capture whose only record has this payload map, and returns the result as text.
fn read_header(payload: &[u8]) -> String {
    let bytes = [preamble(), framed(MARKER, &plain_body(1, 0, 0, payload))].concat();
    match Records::new(&bytes[..]).next_record() {
        Ok(record) => format!("{:?}", record.map(|record| record.body)),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_later_header_is_read_as_far_as_it_can_be() {
    let minimal = Header { format: FORMAT_VERSION, ..Header::default() };
    let expected = format!("{:?}", Some(Body::Header(minimal)));
    assert_eq!(read_header(b"\x81\xa6format\x01"), expected);
    assert_eq!(read_header(b"\x82\xa6format\x01\xa4more\x91\xc0"), expected);
    assert_eq!(read_header(b"\x82\xa6format\x01\xa6client\xa3fax"), expected);
    assert_eq!(
        read_header(b"\x82\xa6format\x02\xa8software\x07"),
        "this capture has format version 2, and this lagtape reads version 1; read it with the \
         lagtape that wrote it, or a newer one"
    );
}

#[test]
fn an_unknown_op_is_a_point_of_that_name() {
    let header = sample_records().swap_remove(0);
    let (mut bytes, _) = capture(std::slice::from_ref(&header));
    let payload = b"\x82\xa2op\xa4loop\xa4to_s\x07";
    bytes.extend(framed(MARKER, &plain_body(5, 0, 0, payload)));
    let point = Body::Marker(Marker::Point { name: "loop".to_owned() });
    let second = Record { seq: 1, t: Nanos(2), conn: 0, body: point };
    check_reads(&bytes[..], &[header, second]).unwrap();
}

#[test]
fn a_capture_begins_with_its_header() {
    let bytes = [preamble(), framed(MARKER, &plain_body(2, 1, 1, b""))].concat();
    let error = Records::new(&bytes[..]).next_record().unwrap_err();
    assert_eq!(
        error.to_string(),
        "record 0 at byte 10 is damaged: a capture begins with its header, and this is a message; \
         use the records before it, or copy the file again from where it was made"
    );
}

#[test]
fn what_is_no_capture_is_refused_at_once() {
    for input in [&b""[..], b"{}", b"Dear all", b"\x1f\x8b\x08", b"a longer text than the preamble"]
    {
        let (_, result) = count_agreeing(input, &[]);
        assert!(matches!(result, Err(ReadError::NotACapture { .. })), "{input:02x?}: {result:?}");
    }
}

#[test]
fn a_failing_source_is_reported() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let (bytes, _) = capture(&sample_records());
    let mut records = Records::new(bytes[..200].chain(Failing));
    let error = loop {
        if let Err(error) = records.next_record() {
            break error;
        }
    };
    assert_eq!(error.to_string(), "the disk is gone");
}
