//! Header lookups, and the types that reading a head and framing a body share.

use httparse::Header;

/// What kind of answer a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Document,
    /// Only the head of a document.
    Head,
    WebSocket,
}

/// Why a head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotHttp(pub &'static str);

/// The value of the first header with this name.
pub(super) fn value<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    all(headers, name).next()
}

/// The values of all headers with this name.
pub(super) fn all<'a>(headers: &[Header<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// Whether a comma-separated header holds this word.
pub(super) fn has_word(headers: &[Header<'_>], name: &str, word: &str) -> bool {
    all(headers, name)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// The first header with this name, as text.
pub(super) fn text(headers: &[Header<'_>], name: &str) -> Option<String> {
    value(headers, name).map(|value| String::from_utf8_lossy(value).into_owned())
}
