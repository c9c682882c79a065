//! The texts that a text stands for: as it is written, with its escapes undone, and what that is with
//! its escapes undone, for a text within a text.
//!
//! JSON's `\u00e9` and `\/`, and `%C3%A9` of an address are undone wherever they stand, so that what
//! is cut off, damaged or no JSON at all is read as well. Every byte knows where it was written.

use std::ops::Range;

/// A text with its escapes undone, and where each of its bytes was written.
pub struct Layer {
    pub text: Vec<u8>,
    places: Vec<Range<u32>>,
}

impl Layer {
    /// Where a part of this text was written.
    pub fn written(&self, part: Range<usize>) -> Range<usize> {
        let start = self.places[part.start].start;
        let end = self.places[part.end - 1].end;
        start as usize..end as usize
    }

    /// The same text with one more level of escapes undone; `None` where it has none.
    fn undone(&self, escapes: Escapes) -> Option<Layer> {
        let mut layer = Layer { text: Vec::new(), places: Vec::new() };
        let mut at = 0;
        while at < self.text.len() {
            let (unit, len) = unit(&self.text[at..], escapes);
            let written = self.places[at].start..self.places[at + len - 1].end;
            layer.text.extend_from_slice(unit.as_bytes());
            layer.places.resize(layer.text.len(), written);
            at += len;
        }
        (layer.text.len() < self.text.len()).then_some(layer)
    }
}

/// Which escapes are undone.
#[derive(Clone, Copy, PartialEq)]
enum Escapes {
    Json,
    JsonAndUrl,
}

/// All texts that `text` stands for besides itself.
pub fn layers(text: &[u8]) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (escapes, mark) in [(Escapes::Json, b'\\'), (Escapes::JsonAndUrl, b'%')] {
        if !text.contains(&mark) {
            continue;
        }
        let places = (0..text.len() as u32).map(|at| at..at + 1).collect();
        let mut layer = Layer { text: text.to_vec(), places };
        // Each level is shorter than the one before.
        while let Some(undone) = layer.undone(escapes) {
            layers.push(std::mem::replace(&mut layer, undone));
        }
        layers.push(layer);
    }
    layers
}

/// What an escape, or a byte that is none, stands for.
enum Unit {
    Byte(u8),
    Char([u8; 4], usize),
}

impl Unit {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Unit::Byte(byte) => std::slice::from_ref(byte),
            Unit::Char(bytes, len) => &bytes[..*len],
        }
    }
}

fn unit(text: &[u8], escapes: Escapes) -> (Unit, usize) {
    let len = json_escape_len(text);
    if len > 1 {
        return (json_escape(&text[..len]), len);
    }
    let url = (escapes == Escapes::JsonAndUrl).then(|| url_escape(text)).flatten();
    url.map_or((Unit::Byte(text[0]), 1), |byte| (Unit::Byte(byte), 3))
}

/// Length of the JSON escape at the beginning of a text, both halves of a surrogate pair included; 1
/// where there is none.
pub fn json_escape_len(text: &[u8]) -> usize {
    match text {
        [b'\\', b'u', rest @ ..] => match (code(rest), rest.get(4..)) {
            (Some(0xd800..=0xdbff), Some([b'\\', b'u', low @ ..]))
                if matches!(code(low), Some(0xdc00..=0xdfff)) =>
            {
                12
            }
            (Some(_), _) => 6,
            (None, _) => 1,
        },
        [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
        _ => 1,
    }
}

fn json_escape(escape: &[u8]) -> Unit {
    let unpaired = u32::from(char::REPLACEMENT_CHARACTER);
    let code = match escape {
        [_, _, high @ .., b'\\', b'u', _, _, _, _] => {
            let pair = code(high).zip(code(&escape[8..]));
            pair.map_or(unpaired, |(high, low)| 0x10000 + ((high & 0x3ff) << 10 | low & 0x3ff))
        }
        [_, b'u', rest @ ..] => code(rest).unwrap_or(unpaired),
        [_, b'b'] => 0x08,
        [_, b'f'] => 0x0c,
        [_, b'n'] => 0x0a,
        [_, b'r'] => 0x0d,
        [_, b't'] => 0x09,
        _ => return Unit::Byte(escape[escape.len() - 1]),
    };
    let mut bytes = [0; 4];
    let len = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    let len = len.encode_utf8(&mut bytes).len();
    Unit::Char(bytes, len)
}

/// The four hexadecimal digits at the beginning of a text.
fn code(text: &[u8]) -> Option<u32> {
    hexadecimal(text.get(..4)?)
}

fn url_escape(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"%")?.get(..2)?;
    hexadecimal(digits).map(|byte| byte as u8)
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let texts = layers(text.as_bytes()).into_iter().map(|layer| layer.text);
        let texts: Vec<_> = texts.map(|text| String::from_utf8_lossy(&text).into_owned()).collect();
        for expected in expected {
            assert!(texts.iter().any(|text| text == expected), "{expected} is not in {texts:?}");
        }
    }

    #[test]
    fn escapes_are_undone_however_deep() {
        check(r"Caf\u00e9", &["Café"]);
        check(r"Caf\u00E9 \/ \u002d \ud83c\udfb5", &["Café / - 🎵"]);
        check(r#"{"a":"{\"b\":\"Caf\\u00e9\"}"}"#, &[r#"{"a":"{"b":"Café"}"}"#]);
        check("Caf%C3%A9", &["Café"]);
        check("%5Cu00e9", &["é"]);
        check(r"\ud83c alone, \u00, \x and \", &["\u{fffd} alone, \\u00, \\x and \\"]);
        assert!(layers(b"plain").is_empty());
    }

    #[test]
    fn every_byte_knows_where_it_was_written() {
        let text = r#"a\u00e9\\u0041!"#.as_bytes();
        let layers = layers(text);
        assert_eq!(layers[1].text, "aé\\u0041!".as_bytes());
        assert_eq!(layers[1].written(1..3), 1..7);
        assert_eq!(layers[2].text, "aéA!".as_bytes());
        assert_eq!(layers[2].written(3..4), 7..14);
    }
}
