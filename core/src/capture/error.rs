//! Errors of reading a capture, each with the next step in its sentence.

use std::io;

use super::format::{FORMAT_VERSION, MAX_BODY_LEN, PREAMBLE};
use super::msgpack::Malformed;
use super::record::Kind;

/// Why reading stopped before the end of the input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The input does not begin like a capture.
    #[error("this is not a lagtape capture ({begins_with}); {advice}")]
    NotACapture {
        /// What it begins with, such as `it begins with "Dear all"`.
        begins_with: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// The capture has a format that this version cannot read.
    #[error(
        "this capture has format version {found}, and this lagtape reads version \
         {FORMAT_VERSION}; read it with the lagtape that wrote it, or a newer one"
    )]
    ForeignVersion {
        /// The version that the capture claims.
        found: u32,
    },
    /// A record is not what was written. The records before it are sound.
    #[error(
        "record {record} at byte {offset} is damaged: {reason}; use the records before it, or \
         copy the file again from where it was made"
    )]
    Damaged {
        /// How many records stand before it.
        record: u64,
        /// Where it begins, in bytes from the beginning of the capture.
        offset: u64,
        /// What is wrong with it.
        reason: DamageReason,
    },
    /// The source of the bytes failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is wrong with a damaged record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamageReason {
    /// The fixed bytes around the record are others.
    #[error("it does not begin as a record does")]
    Framing,
    /// The sync marker differs from that of the first record.
    #[error("it carries the sync marker of another capture")]
    OtherMarker,
    /// The length of the body is beyond [`MAX_BODY_LEN`].
    #[error("it claims a body of {len} bytes, and {MAX_BODY_LEN} are the most there can be")]
    TooLong {
        /// The length that it claims, in bytes.
        len: u32,
    },
    /// The checksum disagrees.
    #[error("its checksum does not agree with its bytes")]
    Checksum,
    /// The checksum agrees, but the body is not the array that the format promises.
    #[error("its body is malformed: {0}")]
    Body(Malformed),
    /// The checksum agrees, but the payload of a record other than a message cannot be decoded.
    #[error("its {kind} cannot be decoded: {detail}")]
    Payload {
        /// The type of the record.
        kind: Kind,
        detail: String,
    },
    /// The first value of the file is not that of a capture.
    #[error("the first 10 bytes of the capture are others")]
    Magic,
    /// The record claims a body in which other records lie, or the end of the file.
    #[error("it claims a body in which other records begin")]
    Overlong,
    /// Records are missing, although the bytes around them are sound.
    #[error("records before it are missing")]
    Missing,
    /// The first record is not a header.
    #[error("a capture begins with its header, and this is a {found}")]
    NoHeader {
        /// The type of the first record.
        found: Kind,
    },
}

/// Says what an input is that does not begin with the preamble of a capture.
pub(super) fn not_a_capture(input: &[u8]) -> ReadError {
    let (name, advice) = guess(input);
    let begins_with = match (name, input) {
        (Some(name), _) => name.to_owned(),
        (None, []) => "it is empty".to_owned(),
        (None, _) => format!("it begins with {}", quote(input)),
    };
    ReadError::NotACapture { begins_with, advice }
}

const IMPORT: &str = "to bring in another sort of recording, use `lagtape import`";
const UNPACK: &str = "unpack it first";
const COPY_AGAIN: &str = "copy it again from where it was made";

/// What often takes the place of a capture, by its first bytes.
const LOOKALIKES: [(&[u8], &str, &str); 8] = [
    (b"\x1f\x8b", "it is compressed with gzip", UNPACK),
    (b"\x28\xb5\x2f\xfd", "it is compressed with zstd", UNPACK),
    (b"PK\x03\x04", "it is a zip archive", UNPACK),
    (b"\xc4\x08\x89LTP1\n", "a transfer as text has changed its line ends", COPY_AGAIN),
    (b"\xc4\x08\x89LTP1\r\r", "a transfer as text has changed its line ends", COPY_AGAIN),
    (b"\xc4\x08\xef\xbf\xbd", "a transfer as text has changed its bytes", COPY_AGAIN),
    (b"{", "it looks like JSON", IMPORT),
    (b"[", "it looks like JSON", IMPORT),
];

fn guess(input: &[u8]) -> (Option<&'static str>, &'static str) {
    if !input.is_empty() && PREAMBLE.starts_with(input) {
        return (Some("it ends within its first 10 bytes"), COPY_AGAIN);
    }
    let input = input.trim_ascii_start();
    let in_braces = input.strip_prefix(b"{").unwrap_or_default();
    if in_braces.trim_ascii_start().starts_with(b"\"log\"") {
        return (Some("it looks like the HAR file of a browser"), IMPORT);
    }
    LOOKALIKES
        .iter()
        .find(|(beginning, ..)| input.starts_with(beginning))
        .map_or((None, IMPORT), |&(_, name, advice)| (Some(name), advice))
}

/// The first line of a text in quotes, or the first bytes of anything else in hexadecimal.
fn quote(input: &[u8]) -> String {
    const SHOWN: usize = 24;
    let start = &input[..input.len().min(SHOWN)];
    let text = String::from_utf8_lossy(start);
    // A character that the cut divides is no reason to call a text binary.
    let line = text.trim_start().lines().next().unwrap_or_default();
    let line = line.trim_end_matches(char::REPLACEMENT_CHARACTER);
    let printable = |c: char| !c.is_control() && c != char::REPLACEMENT_CHARACTER;
    if !line.is_empty() && line.chars().all(printable) {
        return format!("\"{line}\"");
    }
    let bytes: Vec<_> = start.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("the bytes {}", bytes.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &[u8], expected: &str) {
        let ReadError::NotACapture { begins_with, .. } = not_a_capture(input) else {
            panic!("{input:02x?} is not refused as something else")
        };
        assert_eq!(begins_with, expected, "{input:02x?}");
    }

    #[test]
    fn beginnings_of_what_is_not_a_capture() {
        check(b"Dear all", r#"it begins with "Dear all""#);
        check(b"Dear all,\nthis is", r#"it begins with "Dear all,""#);
        check(b"Dear\r\n", r#"it begins with "Dear""#);
        check(
            "Grüße aus der ganzen Wööööö".as_bytes(),
            r#"it begins with "Grüße aus der ganzen W""#,
        );
        check(
            b"\x7fELF\x02\x01\x01\x00\x00\x00",
            "it begins with the bytes 7f 45 4c 46 02 01 01 00",
        );
        check(b"\xc4\x08\x89LTP2\r\n", "it begins with the bytes c4 08 89 4c 54 50 32 0d");
        check(b"", "it is empty");
        check(b"\n\n", "it begins with the bytes 0a 0a");
        check(b"\xc4\x08\x89LT", "it ends within its first 10 bytes");
        check(b"\xc4\x08\x89LTP1\n\x1a\x93", "a transfer as text has changed its line ends");
        check(b"\x1f\x8b\x08\x00", "it is compressed with gzip");
        check(b"\x28\xb5\x2f\xfd\x04", "it is compressed with zstd");
        check(b"{\n  \"log\": {\"version\"", "it looks like the HAR file of a browser");
        check(b"{\"name\": \"log\"}", "it looks like JSON");
        check(b"\r\n  [1, 2]", "it looks like JSON");
    }

    #[test]
    fn the_sentence_says_what_to_do() {
        let sentence = not_a_capture(b"Dear all").to_string();
        assert_eq!(
            sentence,
            "this is not a lagtape capture (it begins with \"Dear all\"); to bring in another \
             sort of recording, use `lagtape import`"
        );
    }
}
