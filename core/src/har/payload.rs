//! The bytes of a message out of the text that a HAR file has for them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::HarError;
use super::log::Frame;
use crate::capture::{Message, Opcode};

/// Base64 with padding or without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The message of a frame, whose bytes may be put into `bytes`; `None` for an entry that is none.
pub(super) fn message<'b>(
    frame: &'b Frame<'_>,
    number: usize,
    bytes: &'b mut Vec<u8>,
) -> Result<Option<Message<'b>>, HarError> {
    let unusable =
        |why: &str| HarError::Unusable(format!("message {number} cannot be used: {why}"));
    let (Some(direction), Some(opcode)) = (frame.direction, frame.opcode) else { return Ok(None) };
    let data = frame.data.as_deref();
    if opcode == Opcode::Text {
        let data = data.ok_or_else(|| unusable("it is a text without data"))?;
        return Ok(Some(Message::new(direction, opcode, data.as_bytes())));
    }
    decode(data.unwrap_or_default(), bytes)
        .map_err(|error| unusable(&format!("it is not base64: {error}")))?;
    Ok(Some(Message::new(direction, opcode, bytes)))
}

/// Decodes base64 as different writers have it: wrapped into lines, URL-safe, without padding, in a
/// data URL. Of a text that was cut off, all whole bytes come.
fn decode(text: &str, bytes: &mut Vec<u8>) -> Result<(), base64::DecodeError> {
    bytes.clear();
    if BASE64.decode_vec(text, bytes).is_ok() {
        return Ok(());
    }
    bytes.clear();
    let plain = plain(text);
    let digits = plain.trim_end_matches('=').len();
    // A single digit at the end has no whole byte.
    let single = plain[..digits].chars().next_back().filter(|_| digits % 4 == 1);
    let is_digit = single.is_none_or(|c| c.is_ascii_alphanumeric() || c == '+' || c == '/');
    let whole = if single.is_some() && is_digit { digits - 1 } else { digits };
    BASE64.decode_vec(&plain[..whole], bytes)
}

fn plain(text: &str) -> Cow<'_, str> {
    let text = match text.split_once(";base64,") {
        Some((before, data)) if before.starts_with("data:") => data,
        _ => text,
    };
    let text = text.trim_end_matches(['…', '.', ' ']);
    if !text.contains(|c: char| c.is_ascii_whitespace() || c == '-' || c == '_') {
        return Cow::Borrowed(text);
    }
    let digits = text.chars().filter(|c| !c.is_ascii_whitespace());
    Cow::Owned(
        digits
            .map(|c| match c {
                '-' => '+',
                '_' => '/',
                other => other,
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&[u8]>) {
        let mut bytes = vec![9];
        let decoded = decode(text, &mut bytes).is_ok().then_some(&bytes[..]);
        assert_eq!(decoded, expected, "{text}");
    }

    #[test]
    fn base64_is_read_as_others_write_it() {
        let bytes: &[u8] = &[0xFB, 0xEF, 0xFF, 0xFE];
        for text in [
            "++///g==",
            "++///g",
            "--___g",
            "--___g==",
            "++//\r\n/g==\n",
            " ++// /g ",
            "data:application/octet-stream;base64,++///g==",
        ] {
            check(text, Some(bytes));
        }
        check("", Some(&[]));
        check("++///", Some(&bytes[..3]));
        check("++//…", Some(&bytes[..3]));
        check("++//...", Some(&bytes[..3]));
        check("?", None);
        check("two words!", None);
    }
}
