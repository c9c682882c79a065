//! Where the bodies of HTTP messages end.
//!
//! Nothing is changed: chunk extensions and trailers pass as they are.

use httparse::Header;

use super::headers::{NotHttp, Wants, all, has_word, value};

/// Longest line between chunks; a longer one is no HTTP.
const MAX_LINE: usize = 64 << 10;

/// How the end of a body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFraming {
    Length(u64),
    Chunked,
    UntilClose,
}

impl BodyFraming {
    pub fn of_request(headers: &[Header<'_>]) -> Result<BodyFraming, NotHttp> {
        let length = length(headers)?;
        match (value(headers, "transfer-encoding"), length) {
            (Some(_), Some(_)) => Err(NotHttp("its body has both a length and chunks")),
            (Some(_), None) if has_word(headers, "transfer-encoding", "chunked") => {
                Ok(BodyFraming::Chunked)
            }
            (Some(_), None) => Err(NotHttp("nobody can tell where its body ends")),
            (None, length) => Ok(BodyFraming::Length(length.unwrap_or(0))),
        }
    }

    pub fn of_response(headers: &[Header<'_>], status: u16, wants: Wants) -> BodyFraming {
        if matches!(status, 100..=199 | 204 | 304) || wants == Wants::Head {
            return BodyFraming::Length(0);
        }
        if value(headers, "transfer-encoding").is_some() {
            return match has_word(headers, "transfer-encoding", "chunked") {
                true => BodyFraming::Chunked,
                false => BodyFraming::UntilClose,
            };
        }
        // A length that is no number is left to the client.
        length(headers).ok().flatten().map_or(BodyFraming::UntilClose, BodyFraming::Length)
    }
}

fn length(headers: &[Header<'_>]) -> Result<Option<u64>, NotHttp> {
    let mut found = None;
    for value in all(headers, "content-length") {
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
            BodyFraming::Chunked => HttpBody::Chunks(Chunks::default()),
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
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: ChunkState,
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    /// In the line that says how long the next chunk is.
    #[default]
    Size,
    /// This much of a chunk is left, its line end included.
    Data(u64),
    /// In the lines after the last chunk.
    Trailer,
    Over,
}

impl Chunks {
    fn take(&mut self, bytes: &[u8]) -> Result<usize, NotHttp> {
        let mut rest = bytes;
        while !rest.is_empty() && self.state != ChunkState::Over {
            if let ChunkState::Data(left) = &mut self.state {
                let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                rest = &rest[taken..];
                if *left == 0 {
                    self.state = ChunkState::Size;
                }
                continue;
            }
            let end = rest.iter().position(|&byte| byte == b'\n');
            let (line, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            self.line.extend_from_slice(line);
            rest = after;
            if self.line.len() > MAX_LINE {
                return Err(NotHttp("a line between chunks has no end"));
            }
            if end.is_some() {
                self.state = self.after_line()?;
                self.line.clear();
            }
        }
        Ok(bytes.len() - rest.len())
    }

    fn after_line(&self) -> Result<ChunkState, NotHttp> {
        let line = self.line.trim_ascii();
        if self.state == ChunkState::Trailer {
            return Ok(if line.is_empty() { ChunkState::Over } else { ChunkState::Trailer });
        }
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let size = str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        match size.filter(|_| digits.iter().all(u8::is_ascii_hexdigit)) {
            Some(0) => Ok(ChunkState::Trailer),
            Some(size) => Ok(ChunkState::Data(size.saturating_add(2))),
            None => Err(NotHttp("the length of a chunk is no number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let chunked = b"3;x=\"y\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\nGET /";
        check(BodyFraming::Chunked, chunked, chunked.len() - 5, true);
        check(BodyFraming::Chunked, b"0\r\n\r\n", 5, true);
        check(BodyFraming::Chunked, b"5\nabc", 5, false);
    }

    #[test]
    fn chunks_that_are_none_are_refused() {
        for bytes in
            [&b"x\r\n"[..], b"\r\n", b"-1\r\n", b"11111111111111111\r\n", &[b'1'; MAX_LINE + 1]]
        {
            assert!(HttpBody::new(BodyFraming::Chunked).take(bytes).is_err(), "{bytes:?}");
        }
    }
}
