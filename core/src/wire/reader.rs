//! Reads the texts of one session, most of which repeat the one before.
//!
//! A client repeats its knobs in every report, and a server changes a few numbers from one
//! `params_update` to the next. What is repeated was found to be JSON before, so that only the rest is
//! read. Whatever is not plainly a repetition is left to [`client_text`] and [`server_text`], and the
//! result is theirs for any text.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::json::JsonError;
use super::message::{ClientText, Params, ServerText, client_text, server_text};

/// How a report is spelt that begins with its knobs.
#[derive(Debug)]
struct Spelling {
    opening: &'static str,
    /// What stands before position, clock, bytes and lead, where they follow the knobs in this order.
    numbers: [&'static str; 4],
}

static SPELLINGS: [Spelling; 2] = [
    // JavaScript's and Rust's.
    Spelling {
        opening: r#"{"type":"params","raw":"#,
        numbers: [
            r#","playback_pos":"#,
            r#","client_time":"#,
            r#","slice_bytes_rx":"#,
            r#","slice_lead_s":"#,
        ],
    },
    // Python's.
    Spelling {
        opening: r#"{"type": "params", "raw": "#,
        numbers: [
            r#", "playback_pos": "#,
            r#", "client_time": "#,
            r#", "slice_bytes_rx": "#,
            r#", "slice_lead_s": "#,
        ],
    },
];

/// Longest text of which something is remembered; real ones have less than a kilobyte.
const MAX_REMEMBERED_LEN: usize = 1 << 16;
/// Bytes that are compared at once.
const BLOCK: usize = 32;

/// Reads the texts of one session in their order.
#[derive(Debug, Clone, Default)]
pub struct TextReader {
    /// The last report that began like others, to the end of its knobs.
    report: Option<ReportHead>,
    /// The last `params_update` that was read as a whole; empty before the first.
    update: String,
}

/// The beginning of a report, which the next one is likely to share.
#[derive(Debug, Clone)]
struct ReportHead {
    text: String,
    spelling: &'static Spelling,
}

impl TextReader {
    /// What [`client_text`] makes of the next text of the client.
    ///
    /// # Errors
    /// Those of [`client_text`].
    pub fn client_text<'a>(&mut self, text: &'a str) -> Result<ClientText<'a>, JsonError> {
        if let Some(params) = self.report.as_ref().and_then(|head| head.read(text)) {
            return Ok(ClientText::Params(params));
        }
        let read = client_text(text)?;
        if let ClientText::Params(Params { raw: Some(Cow::Borrowed(knobs)), .. }) = read
            && let Some(head) = ReportHead::of(text, knobs)
        {
            self.report = Some(head);
        }
        Ok(read)
    }

    /// What [`server_text`] makes of the next text of the server.
    ///
    /// # Errors
    /// Those of [`server_text`].
    pub fn server_text(&mut self, text: &str) -> Result<ServerText, JsonError> {
        if differ_in_numbers(self.update.as_bytes(), text.as_bytes()) {
            return Ok(ServerText::ParamsUpdate);
        }
        let read = server_text(text)?;
        if read == ServerText::ParamsUpdate && text.len() <= MAX_REMEMBERED_LEN {
            text.clone_into(&mut self.update);
        }
        Ok(read)
    }
}

impl ReportHead {
    /// The beginning of a report that was read and has these knobs; `None` where it is spelt unusually.
    fn of(text: &str, knobs: &str) -> Option<ReportHead> {
        let spelling = SPELLINGS.iter().find(|it| text.starts_with(it.opening))?;
        let len = spelling.opening.len() + knobs.len();
        let is_usual = text[spelling.opening.len()..].starts_with(knobs);
        (is_usual && text.len() <= MAX_REMEMBERED_LEN)
            .then(|| ReportHead { text: text[..len].to_owned(), spelling })
    }

    /// A report that begins like this and goes on with nothing but numbers.
    fn read<'a>(&self, text: &'a str) -> Option<Params<'a>> {
        let mut rest = text.strip_prefix(&*self.text)?;
        let mut numbers = [None; 4];
        for (number, name) in numbers.iter_mut().zip(self.spelling.numbers) {
            let Some(value) = rest.strip_prefix(name) else { continue };
            let (literal, _) = split_number(value.as_bytes());
            *number = Some(serde_json::from_slice(literal).ok()?);
            rest = &value[literal.len()..];
        }
        let [playback_pos, client_time, slice_bytes_rx, slice_lead_s] = numbers;
        (rest == "}").then(|| Params {
            playback_pos,
            client_time,
            slice_bytes_rx,
            slice_lead_s,
            asked_for_s: Vec::new(),
            raw: Some(Cow::Borrowed(&text[self.spelling.opening.len()..self.text.len()])),
        })
    }
}

/// Whether a text is the known one but for numbers behind colons. JSON stays JSON by that, even where a
/// colon stands in a string, and no name or string that means something has one.
fn differ_in_numbers(mut known: &[u8], mut text: &[u8]) -> bool {
    if known.is_empty() {
        return false;
    }
    loop {
        let same = common_len(known, text);
        if same == known.len() && same == text.len() {
            return true;
        }
        let Some(colon) = known[..same].iter().rposition(|&byte| byte == b':') else {
            return false;
        };
        let (old, behind_old) = split_number(&known[colon + 1..]);
        let (new, behind_new) = split_number(&text[colon + 1..]);
        if !is_number(old) || !is_number(new) {
            return false;
        }
        (known, text) = (behind_old, behind_new);
    }
}

/// How many bytes two texts have in common at their beginning.
fn common_len(one: &[u8], other: &[u8]) -> usize {
    let blocks = one.chunks_exact(BLOCK).zip(other.chunks_exact(BLOCK));
    let from = blocks.take_while(|(one, other)| one == other).count() * BLOCK;
    let bytes = one[from..].iter().zip(&other[from..]);
    from + bytes.take_while(|(one, other)| one == other).count()
}

/// The bytes at the beginning of a text of which a number may consist, and the rest.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let is_other = |byte: &u8| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    text.split_at(text.iter().position(is_other).unwrap_or(text.len()))
}

/// Whether such bytes are one.
fn is_number(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Pieces of which reports and updates consist, and what could be taken for one.
    const PIECES: &[&str] = &[
        r#"{"type":"params","raw":"#,
        r#"{"type": "params", "raw": "#,
        r#"{"type":"params_update","params":{"#,
        r#""type":"params_update""#,
        r#""type":"params""#,
        r#""type":"#,
        r#""raw":"#,
        r#"{"a":1}"#,
        r#"{"a":NaN}"#,
        r#"{}"#,
        r#","playback_pos":0.5"#,
        r#","client_time":12"#,
        r#","slice_bytes_rx":7"#,
        r#","slice_lead_s":null"#,
        r#", "playback_pos": 1e-3"#,
        r#", "client_time": -1"#,
        r#""playback_pos":"#,
        r#""client_time": "#,
        r#" "slice_bytes_rx":"#,
        r#""slice_lead_s":"#,
        "\u{a0}\"slice_lead_s\":",
        r#""playback\u005fpos":"#,
        r#""render_anchor_s":"#,
        r#""num_gens":"#,
        r#""a:"#,
        r#""a:1""#,
        r#"\":"#,
        r#""x""#,
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "null",
        "NaN",
        "true",
        "0",
        "-0",
        "01",
        "1.",
        "12.5",
        "1e999",
        "-1E-7",
        "18446744073709551616",
        "0.1234567890123456789",
        "é",
        "\u{0}",
    ];

    /// Holds the reader to what reads a text by itself, over several texts of a session.
    #[track_caller]
    fn check(texts: &[impl AsRef<str>]) {
        let mut reader = TextReader::default();
        for text in texts.iter().map(AsRef::as_ref) {
            let (ours, theirs) = (reader.client_text(text), client_text(text));
            assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{text}");
            assert_eq!(reader.server_text(text), server_text(text), "{text}");
        }
    }

    #[test]
    fn repeated_texts_are_read_as_if_they_were_the_first() {
        let report = |rest: &str| format!(r#"{{"type":"params","raw":{{"a":[1,{{}}]}}{rest}"#);
        check(&[
            report(
                r#","playback_pos":0.5,"client_time":1,"slice_bytes_rx":7,"slice_lead_s":null}"#,
            ),
            report(r#","playback_pos":0.25,"client_time":2}"#),
            report("}"),
            report(r#","playback_pos":null,"playback_pos":1}"#),
            report(r#","playback_pos":1,"raw":2}"#),
            report(r#","playback_pos":NaN}"#),
            report(r#","playback_pos":"1"}"#),
            report(r#","render_anchor_s":1}"#),
            report(r#","playback_pos":1}}"#),
            report(r#"2,"playback_pos":1}"#),
            report(r#","playback_pos":1,}"#),
        ]);
        let update = |rest: &str| format!(r#"{{"type":"params_update","params":{{"n":{rest}"#);
        check(&[
            update(r#"1,"ms":2.5,"_prompt":"at 12:30"}}"#),
            update(r#"10,"ms":2.25,"_prompt":"at 12:30"}}"#),
            update(r#"10,"ms":2.25,"_prompt":"at 12:31"}}"#),
            update(r#"10,"ms":2.25,"_prompt":"at 12:"}}"#),
            update(r#"01,"ms":2.5,"_prompt":"at 12:30"}}"#),
            update(r#"1,"ms":-,"_prompt":"at 12:30"}}"#),
            update(r#"1,"ms":2.5,"_prompt":"at 12:30"}"#),
            update(r#""1","ms":2.5,"_prompt":"at 12:30"}}"#),
        ]);
    }

    #[test]
    fn usual_texts_are_known_again() {
        let mut reader = TextReader::default();
        for Spelling { opening, numbers } in &SPELLINGS {
            let [position, clock, bytes, lead] = numbers;
            let report =
                format!(r#"{opening}{{"a":1}}{position}0.5{clock}1e1{bytes}7{lead}-0.1}}"#);
            assert_eq!(reader.report.as_ref().and_then(|head| head.read(&report)), None);
            let read = reader.client_text(&report).unwrap();
            let again = reader.report.as_ref().and_then(|head| head.read(&report)).unwrap();
            assert_eq!(read, ClientText::Params(again));
        }
        reader.server_text(r#"{"type":"params_update","params":{"n":1}}"#).unwrap();
        assert!(differ_in_numbers(
            reader.update.as_bytes(),
            br#"{"type":"params_update","params":{"n":-2.5e3}}"#
        ));
    }

    proptest! {
        #[test]
        fn any_texts(texts in vec(vec(proptest::sample::select(PIECES), 0..12), 1..8)) {
            check(&texts.iter().map(|pieces| pieces.concat()).collect::<Vec<_>>());
        }

        /// Texts that begin alike and end in any way.
        #[test]
        fn any_texts_that_begin_alike(
            opening in 0..3_usize,
            knobs in prop_oneof![Just(r#"{"a":1}"#), Just("1"), Just(r#""b,:}""#), Just("null")],
            ends in vec(vec(proptest::sample::select(PIECES), 0..9), 1..6),
        ) {
            let begin = |rest: String| match opening {
                2 => format!(r#"{}"n":{knobs}{rest}}}}}"#, PIECES[2]),
                report => format!("{}{knobs}{rest}}}", SPELLINGS[report].opening),
            };
            let first = begin(r#","playback_pos":1"#.to_owned());
            let rest = ends.iter().map(|pieces| begin(pieces.concat()));
            check(&[first].into_iter().chain(rest).collect::<Vec<_>>());
        }

        /// Reports and updates with one byte changed.
        #[test]
        fn any_texts_that_differ_in_a_byte(
            at: prop::sample::Index,
            byte in 0_u8..0x80,
            is_report: bool,
        ) {
            let known = match is_report {
                true => r#"{"type":"params","raw":{"a":"1:2"},"playback_pos":-1.5,"client_time":20}"#,
                false => r#"{"type":"params_update","params":{"n":-1.5,"a:1":0,"b":"\u0031:2"}}"#,
            };
            let mut changed = known.as_bytes().to_vec();
            changed[at.index(known.len())] = byte;
            check(&[known, std::str::from_utf8(&changed).unwrap()]);
        }
    }
}
