//! Where the bodies of HTTP messages end.
//!
//! Nothing is changed: chunk extensions and trailers pass as they are. Of requests only what every
//! server reads alike is accepted, since otherwise the server may see requests in a body that the proxy
//! does not see. Of responses everything is, that browsers accept.

use httparse::Header;

use super::headers::{NotHttp, Wants, all, has_word};

/// Longest line between chunks; a longer one is no HTTP.
const MAX_LINE: usize = 64 << 10;

/// How the end of a body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFraming {
    Length(u64),
    Chunked(Reading),
    UntilClose,
}

/// How closely a body has to follow the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Strict,
    Lenient,
}

impl BodyFraming {
    pub fn of_request(headers: &[Header<'_>], is_old: bool) -> Result<BodyFraming, NotHttp> {
        let length = length(headers, Reading::Strict)?;
        let mut encodings = all(headers, "transfer-encoding");
        let Some(encoding) = encodings.next() else {
            return Ok(BodyFraming::Length(length.unwrap_or(0)));
        };
        if length.is_some() {
            return Err(NotHttp("its body has both a length and chunks"));
        }
        if encodings.next().is_some() {
            return Err(NotHttp("it has two Transfer-Encodings"));
        }
        match is_old || !ends_chunked(encoding) {
            true => Err(NotHttp("nobody can tell where its body ends")),
            false => Ok(BodyFraming::Chunked(Reading::Strict)),
        }
    }

    /// `is_old` stands for HTTP/1.0, which knows no chunks.
    pub fn of_response(
        headers: &[Header<'_>],
        status: u16,
        wants: Wants,
        is_old: bool,
    ) -> Result<BodyFraming, NotHttp> {
        if matches!(status, 100..=199 | 204 | 304) || wants == Wants::Head {
            return Ok(BodyFraming::Length(0));
        }
        if !is_old && all(headers, "transfer-encoding").next().is_some() {
            return Ok(match has_word(headers, "transfer-encoding", "chunked") {
                true => BodyFraming::Chunked(Reading::Lenient),
                false => BodyFraming::UntilClose,
            });
        }
        let length = length(headers, Reading::Lenient)?;
        Ok(length.map_or(BodyFraming::UntilClose, BodyFraming::Length))
    }
}

/// Whether a body is sent in chunks, perhaps compressed before.
fn ends_chunked(encoding: &[u8]) -> bool {
    let is = |word: &[u8], names: &[&str]| {
        names.iter().any(|name| word.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    };
    let mut words = encoding.rsplit(|&byte| byte == b',');
    words.next().is_some_and(|last| is(last, &["chunked"]))
        && words.all(|word| is(word, &["gzip", "x-gzip", "deflate", "compress", "x-compress"]))
}

/// The length that the headers give. A response may repeat it, also in one header.
fn length(headers: &[Header<'_>], reading: Reading) -> Result<Option<u64>, NotHttp> {
    let mut found = None;
    let values = all(headers, "content-length")
        .flat_map(|value| value.split(move |&byte| reading == Reading::Lenient && byte == b','));
    for value in values {
        let value = if reading == Reading::Lenient { value.trim_ascii() } else { value };
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let length = str::from_utf8(value).ok().filter(|_| is_number).and_then(|v| v.parse().ok());
        match (length, found) {
            (None, _) => return Err(NotHttp("its length is no number")),
            (Some(length), Some(other)) if length != other => {
                return Err(NotHttp("it has two lengths"));
            }
            (Some(length), _) => found = Some(length),
        }
    }
    Ok(found)
}

/// A body that is being forwarded.
#[derive(Debug)]
pub(super) enum HttpBody {
    Left(u64),
    Chunks(Chunks),
    UntilClose,
}

impl HttpBody {
    pub fn new(framing: BodyFraming) -> HttpBody {
        match framing {
            BodyFraming::Length(length) => HttpBody::Left(length),
            BodyFraming::Chunked(reading) => HttpBody::Chunks(Chunks::new(reading)),
            BodyFraming::UntilClose => HttpBody::UntilClose,
        }
    }

    pub fn is_over(&self) -> bool {
        match self {
            HttpBody::Left(left) => *left == 0,
            HttpBody::Chunks(chunks) => chunks.state == ChunkState::Over,
            HttpBody::UntilClose => false,
        }
    }

    /// How many of `bytes` belong to the body.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, NotHttp> {
        match self {
            HttpBody::Left(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                Ok(taken)
            }
            HttpBody::Chunks(chunks) => chunks.take(bytes),
            HttpBody::UntilClose => Ok(bytes.len()),
        }
    }
}

/// A chunked body.
#[derive(Debug)]
pub(super) struct Chunks {
    reading: Reading,
    state: ChunkState,
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    /// In the line that says how long the next chunk is.
    Size,
    /// This much of a chunk is left.
    Data(u64),
    /// In the line end behind a chunk.
    DataEnd,
    /// In the lines after the last chunk.
    Trailer,
    Over,
}

impl Chunks {
    fn new(reading: Reading) -> Chunks {
        Chunks { reading, state: ChunkState::Size, line: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<usize, NotHttp> {
        let mut rest = bytes;
        while !rest.is_empty() && self.state != ChunkState::Over {
            if let ChunkState::Data(left) = &mut self.state {
                let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                rest = &rest[taken..];
                if *left == 0 {
                    self.state = ChunkState::DataEnd;
                }
                continue;
            }
            let end = rest.iter().position(|&byte| byte == b'\n');
            let (line, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            self.line.extend_from_slice(line);
            rest = after;
            let longest = if self.state == ChunkState::DataEnd { 2 } else { MAX_LINE };
            if self.line.len() > longest {
                return Err(match self.state {
                    ChunkState::DataEnd => NotHttp("a chunk is longer than it says"),
                    _ => NotHttp("a line between chunks has no end"),
                });
            }
            if end.is_some() {
                self.state = self.after_line()?;
                self.line.clear();
            }
        }
        Ok(bytes.len() - rest.len())
    }

    fn after_line(&self) -> Result<ChunkState, NotHttp> {
        let bare = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = match (bare.strip_suffix(b"\r"), self.reading) {
            (Some(line), _) => line,
            (None, Reading::Lenient) => bare,
            (None, Reading::Strict) => {
                return Err(NotHttp("a line between chunks ends without CR"));
            }
        };
        match self.state {
            ChunkState::DataEnd if line.is_empty() => Ok(ChunkState::Size),
            ChunkState::DataEnd => Err(NotHttp("a chunk is longer than it says")),
            ChunkState::Trailer if line.is_empty() => Ok(ChunkState::Over),
            ChunkState::Trailer => Ok(ChunkState::Trailer),
            _ => self.after_size(line),
        }
    }

    fn after_size(&self, line: &[u8]) -> Result<ChunkState, NotHttp> {
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let digits = match self.reading {
            Reading::Strict => digits.trim_ascii_end(),
            Reading::Lenient => digits.trim_ascii(),
        };
        // A sign would be read as well.
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
        let size = str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        match size.filter(|_| is_number) {
            Some(0) => Ok(ChunkState::Trailer),
            Some(size) => Ok(ChunkState::Data(size)),
            None => Err(NotHttp("the length of a chunk is no number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: BodyFraming = BodyFraming::Chunked(Reading::Strict);
    const LENIENT: BodyFraming = BodyFraming::Chunked(Reading::Lenient);

    /// Feeds `bytes` in pieces of every size and expects the body to be `len` of them.
    #[track_caller]
    fn check(framing: BodyFraming, bytes: &[u8], len: usize, is_over: bool) {
        for size in 1..=bytes.len() {
            let mut body = HttpBody::new(framing);
            let mut taken = 0;
            for piece in bytes.chunks(size) {
                taken += body.take(piece).unwrap();
                if body.is_over() {
                    break;
                }
            }
            assert_eq!((taken, body.is_over()), (len, is_over), "{framing:?} by {size}");
        }
    }

    #[test]
    fn bodies_end_where_they_end() {
        check(BodyFraming::Length(3), b"abcdef", 3, true);
        check(BodyFraming::Length(9), b"abcdef", 6, false);
        check(BodyFraming::UntilClose, b"abcdef", 6, false);
        let chunked = b"3;x=\"y\"\r\nabc\r\nA \t;z\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\nGET /";
        for framing in [STRICT, LENIENT] {
            check(framing, chunked, chunked.len() - 5, true);
            check(framing, b"0\r\n\r\n", 5, true);
            check(framing, b"000\r\n\r\n", 7, true);
        }
        check(LENIENT, b"5\nabc", 5, false);
        check(LENIENT, b" 3\nabc\n0\n\nHTTP", 10, true);
    }

    /// Refused in pieces of every size.
    #[track_caller]
    fn check_refused(framing: BodyFraming, bytes: &[u8]) {
        for size in 1..=bytes.len().min(64) {
            let mut body = HttpBody::new(framing);
            let is_refused = bytes.chunks(size).any(|piece| body.take(piece).is_err());
            assert!(is_refused, "{framing:?} {:?} by {size}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn chunks_that_are_none_are_refused() {
        for bytes in [
            &b"x\r\n"[..],
            b"zz\r\n",
            b"\r\n",
            b"-1\r\n",
            b"+5\r\nabcde\r\n",
            b"0x2\r\nab\r\n",
            b"2_0\r\n",
            b"1 1\r\n",
            b"11111111111111111\r\n",
            b"2\r\nabc\r\n",
            b"2\r\nab0\r\n\r\n",
            &[b'1'; MAX_LINE + 1],
        ] {
            check_refused(STRICT, bytes);
            check_refused(LENIENT, bytes);
        }
        for bytes in [&b"2\nab\r\n"[..], b"2\r\nab\n", b"0\r\n\n", b"0\r\nA: b\n\r\n", b" 2\r\n"] {
            check_refused(STRICT, bytes);
        }
    }

    fn headers<'a>(lines: &[(&'a str, &'a str)]) -> Vec<Header<'a>> {
        lines.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect()
    }

    #[track_caller]
    fn check_request(lines: &[(&str, &str)], expected: Result<BodyFraming, &str>) {
        let framing = BodyFraming::of_request(&headers(lines), false);
        match (&framing, expected) {
            (Ok(framing), Ok(expected)) => assert_eq!(*framing, expected, "{lines:?}"),
            (Err(NotHttp(why)), Err(part)) => assert!(why.contains(part), "{lines:?}: {why}"),
            _ => panic!("{lines:?}: {framing:?}"),
        }
    }

    #[test]
    fn a_request_has_one_end() {
        const TE: &str = "Transfer-Encoding";
        const CL: &str = "content-length";
        check_request(&[], Ok(BodyFraming::Length(0)));
        check_request(&[(CL, "7"), (CL, "7")], Ok(BodyFraming::Length(7)));
        check_request(&[(TE, "Chunked")], Ok(STRICT));
        check_request(&[(TE, "gzip, chunked")], Ok(STRICT));
        check_request(&[(TE, "chunked, identity")], Err("where its body ends"));
        check_request(&[(TE, "identity, chunked")], Err("where its body ends"));
        check_request(&[(TE, "chunked, chunked")], Err("where its body ends"));
        check_request(&[(TE, "xchunked")], Err("where its body ends"));
        check_request(&[(TE, "gzip")], Err("where its body ends"));
        check_request(&[(TE, "chunked"), (TE, "chunked")], Err("two Transfer-Encodings"));
        check_request(&[(TE, "chunked"), (CL, "7")], Err("both a length and chunks"));
        check_request(&[(CL, "7"), (CL, "8")], Err("two lengths"));
        for no_number in ["7, 7", "+7", "0x7", "", "-1", "99999999999999999999"] {
            check_request(&[(CL, no_number)], Err("no number"));
        }
        assert!(BodyFraming::of_request(&headers(&[(TE, "chunked")]), true).is_err());
    }

    #[test]
    fn a_response_may_repeat_itself() {
        let of = |lines: &[(&str, &str)], is_old| {
            BodyFraming::of_response(&headers(lines), 200, Wants::Document, is_old)
        };
        assert_eq!(of(&[("Content-Length", "7, 7")], false), Ok(BodyFraming::Length(7)));
        assert_eq!(
            of(&[("Content-Length", "7"), ("content-length", "7 ,7")], false),
            Ok(BodyFraming::Length(7))
        );
        assert!(of(&[("Content-Length", "7, 8")], false).is_err());
        let chunked = [("Transfer-Encoding", "chunked, identity"), ("Content-Length", "7")];
        assert_eq!(of(&chunked, false), Ok(LENIENT));
        assert_eq!(of(&chunked, true), Ok(BodyFraming::Length(7)));
    }
}
