//! Flow files of mitmproxy, as `mitmdump -w` writes them: one typed netstring for each flow, with the
//! messages of its WebSocket and their times in seconds since 1970.
//!
//! A typed netstring is `length:data` and a letter that says what the data is: `,` bytes, `;` text, `#` a
//! whole number, `^` another number, `!` true or false, `~` nothing, `]` a list and `}` pairs.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::log::{Creator, Entry, Frame, SocketEnd};
use crate::capture::{Direction, Opcode};

/// Lists in lists that are followed; flows have a handful.
const MAX_DEPTH: usize = 16;
/// Digits of a length.
const MAX_DIGITS: usize = 12;

/// The data of a typed netstring.
#[derive(Debug, PartialEq)]
enum Value<'a> {
    Bytes(&'a [u8]),
    Number(f64),
    Truth(bool),
    Nothing,
    List(Vec<Value<'a>>),
    Pairs(Vec<(Value<'a>, Value<'a>)>),
}

/// Whether a file begins like a flow file, whose flows are pairs.
pub(super) fn is_flow_file(bytes: &[u8]) -> bool {
    let digits = bytes.iter().take(MAX_DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
    // The first pair begins with another length.
    let after = bytes.get(digits + 1);
    digits > 0 && bytes.get(digits) == Some(&b':') && after.is_some_and(u8::is_ascii_digit)
}

/// Who wrote a flow file, and its flows. What follows a flow that was cut off is left out.
pub(super) fn read(mut bytes: &[u8]) -> (Option<Creator>, Vec<Entry<'static>>) {
    let mut entries = Vec::new();
    while let Some((flow, rest)) = value(bytes, 0) {
        entries.push(entry(&flow));
        bytes = rest;
    }
    let creator = Creator { name: "mitmproxy".to_owned(), version: String::new() };
    (Some(creator), entries)
}

/// The value at the beginning, and what follows it.
fn value(bytes: &[u8], depth: usize) -> Option<(Value<'_>, &[u8])> {
    let digits = bytes.iter().take(MAX_DIGITS + 1).position(|byte| *byte == b':')?;
    let len: usize = std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()?;
    let data = bytes.get(digits + 1..)?;
    let (data, rest) = data.split_at_checked(len)?;
    let (kind, rest) = rest.split_first()?;
    let text = || std::str::from_utf8(data).ok();
    let value = match kind {
        b',' | b';' => Value::Bytes(data),
        b'#' | b'^' => Value::Number(text()?.parse().ok()?),
        b'!' => Value::Truth(data == b"true"),
        b'~' => Value::Nothing,
        b']' => Value::List(values(data, depth)?),
        b'}' => {
            let mut values = values(data, depth)?.into_iter();
            let pairs = std::iter::from_fn(|| Some((values.next()?, values.next()?)));
            Value::Pairs(pairs.collect())
        }
        _ => return None,
    };
    Some((value, rest))
}

fn values(mut bytes: &[u8], depth: usize) -> Option<Vec<Value<'_>>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let (next, rest) = value(bytes, depth + 1).filter(|_| depth < MAX_DEPTH)?;
        values.push(next);
        bytes = rest;
    }
    Some(values)
}

impl<'a> Value<'a> {
    fn get(&self, name: &str) -> Option<&Value<'a>> {
        let Value::Pairs(pairs) = self else { return None };
        let is_it = |key: &Value<'_>| matches!(key, Value::Bytes(key) if *key == name.as_bytes());
        pairs.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value)
    }

    fn number(&self) -> Option<f64> {
        if let Value::Number(number) = self { Some(*number) } else { None }
    }

    fn text(&self) -> Option<String> {
        let Value::Bytes(bytes) = self else { return None };
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}

fn entry(flow: &Value<'_>) -> Entry<'static> {
    let request = flow.get("request");
    let part = |name: &str| request.and_then(|request| request.get(name)?.text());
    let secure = part("scheme").is_some_and(|scheme| scheme == "https" || scheme == "wss");
    let scheme = if secure { "wss" } else { "ws" };
    let port = request.and_then(|request| request.get("port")?.number());
    let url = part("host").map(|host| {
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        format!("{scheme}://{host}{port}{}", part("path").unwrap_or_default())
    });
    let began = request.and_then(|request| request.get("timestamp_start")?.number());
    let began = began.and_then(|s| jiff::Timestamp::from_microsecond((s * 1e6) as i64).ok());
    let socket = flow.get("websocket");
    let frames = match socket.and_then(|socket| socket.get("messages")) {
        Some(Value::List(messages)) => messages.iter().map(frame).collect(),
        _ => Vec::new(),
    };
    Entry {
        url,
        started: began.map(|began| began.to_string()),
        frames,
        attached: None,
        end: socket.and_then(end),
        ours: None,
    }
}

/// A message: its opcode, whether the client sent it, its bytes, when, and perhaps more.
fn frame(message: &Value<'_>) -> Frame<'static> {
    let Value::List(parts) = message else { return Frame::default() };
    let [Value::Number(opcode), Value::Truth(from_client), Value::Bytes(bytes), time, ..] =
        &parts[..]
    else {
        return Frame::default();
    };
    let opcode = Opcode::from(*opcode as u8);
    let data = match opcode {
        Opcode::Text => String::from_utf8_lossy(bytes).into_owned(),
        _ => STANDARD.encode(bytes),
    };
    let way = [Direction::ServerToClient, Direction::ClientToServer][usize::from(*from_client)];
    Frame {
        direction: Some(way),
        time: time.number(),
        opcode: Some(opcode),
        data: Some(Cow::Owned(data)),
        is_error: false,
        ours: None,
    }
}

fn end(socket: &Value<'_>) -> Option<SocketEnd> {
    let code = socket.get("close_code")?.number()?;
    let reason = socket.get("close_reason").and_then(Value::text).unwrap_or_default();
    let time = socket.get("timestamp_end").and_then(Value::number);
    Some(match code as u16 {
        1006 => SocketEnd::Lost { reason },
        code => SocketEnd::Closed { code: Some(code), reason, time },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_netstrings_are_read() {
        let read =
            |text: &'static str| value(text.as_bytes(), 0).map(|(value, rest)| (value, rest.len()));
        assert_eq!(read("3:abc,x"), Some((Value::Bytes(b"abc"), 1)));
        assert_eq!(read("3:1.5^"), Some((Value::Number(1.5), 0)));
        assert_eq!(read("4:true!"), Some((Value::Truth(true), 0)));
        assert_eq!(read("0:~"), Some((Value::Nothing, 0)));
        let list = Value::List(vec![Value::Number(1.0), Value::Truth(false)]);
        assert_eq!(read("12:1:1#5:false!]"), Some((list, 0)));
        let pairs = Value::Pairs(vec![(Value::Bytes(b"a"), Value::Number(7.0))]);
        assert_eq!(read("8:1:a;1:7#}"), Some((pairs, 0)));
        for cut in ["", "3", "3:", "3:ab,", "3:abc", "3:abc?", "x:abc,", "5:9:ab,]"] {
            assert_eq!(read(cut), None, "{cut}");
        }
        let deep = (0..100).fold("0:~".to_owned(), |inner, _| format!("{}:{inner}]", inner.len()));
        assert!(value(deep.as_bytes(), 0).is_none(), "no stack is spent on it");
    }

    #[test]
    fn flow_files_are_told_from_others() {
        assert!(is_flow_file(b"1234:9:websocket;"));
        for other in [&b"{\"log\""[..], b"12:34", b"abc", b"", b"1234:", b"1234:{"] {
            assert_eq!(is_flow_file(other), other == b"12:34", "{other:?}");
        }
    }
}
