//! Types and parsers of flag values that several verbs take.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};

use clap::builder::TypedValueParser;
use clap::error::ErrorKind as UsageKind;
use clap::{Arg, Command, ValueEnum};
use serde_json::Value;

use crate::capture::Direction;
use crate::peer::client::MAX_PARAMS_HZ;
use crate::peer::client_model::{ClientModel, UnknownClient};
use crate::playhead::PlayheadSource;
use crate::time::{Span, SpanError};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PlayheadArg {
    /// The reference's simulated playhead, with the capture's own seeks, pauses and rates
    Simulated,
    /// What the client reported, extrapolated at 1×
    Reported,
}

impl From<PlayheadArg> for PlayheadSource {
    fn from(arg: PlayheadArg) -> Self {
        match arg {
            PlayheadArg::Simulated => PlayheadSource::Simulated,
            PlayheadArg::Reported => PlayheadSource::Reported,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DirectionArg {
    /// Client to server
    C2s,
    /// Server to client
    S2c,
}

impl From<DirectionArg> for Direction {
    fn from(arg: DirectionArg) -> Self {
        match arg {
            DirectionArg::C2s => Direction::ClientToServer,
            DirectionArg::S2c => Direction::ServerToClient,
        }
    }
}

/// Seconds of the reference's arguments, which are `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds(pub f64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How far a report reaches back; `None` is all the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReportWindow(pub Option<f64>);

pub fn parse_live_client(text: &str) -> Result<ClientModel, String> {
    let client: ClientModel = text.parse().map_err(|error: UnknownClient| error.to_string())?;
    if client.traits().is_live() {
        return Ok(client);
    }
    Err(format!(
        "a live client is not held up; simulate it: lagtape simulate --client {text} -o x.lagtape"
    ))
}

pub fn parse_seconds(text: &str) -> Result<Seconds, String> {
    text.parse::<Span>().map(|span| Seconds(span.seconds())).map_err(|error| error.to_string())
}

pub fn parse_step(text: &str) -> Result<Seconds, String> {
    parse_seconds(text).and_then(|step| match step.0 > 0.0 {
        true => Ok(step),
        false => Err("give more than 0 s".to_owned()),
    })
}

pub fn parse_window(text: &str) -> Result<ReportWindow, String> {
    match text {
        "all" => Ok(ReportWindow(None)),
        _ => parse_seconds(text).map(|seconds| ReportWindow(Some(seconds.0))),
    }
}

pub fn parse_setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) =
        text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write KEY=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((key.to_owned(), value))
}

/// Reads `NAME: VALUE`. What it refuses may be a secret, so that no error repeats it.
#[derive(Clone, Copy, Debug)]
pub struct HeaderParser;

impl TypedValueParser for HeaderParser {
    type Value = (String, String);

    fn parse_ref(
        &self,
        command: &Command,
        _: Option<&Arg>,
        value: &OsStr,
    ) -> Result<(String, String), clap::Error> {
        value.to_str().and_then(header_of).ok_or_else(|| {
            let sentence = "a --header is written 'NAME: VALUE'; the one that is not is not \
                            repeated here, since it may be a secret\n";
            clap::Error::raw(UsageKind::ValueValidation, sentence).with_cmd(command)
        })
    }
}

pub fn header_of(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once(':')?;
    let (name, value) = (name.trim(), value.trim());
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_name = !name.is_empty() && name.bytes().all(is_token);
    let is_value = value.bytes().all(|byte| byte >= b' ' && byte != 0x7f);
    (is_name && is_value).then(|| (name.to_owned(), value.to_owned()))
}

pub fn parse_loop(text: &str) -> Result<Span, String> {
    match text.parse().map_err(|error: SpanError| error.to_string())? {
        Span(0) => Err("a loop lasts longer than that".to_owned()),
        length => Ok(length),
    }
}

pub fn parse_hz(text: &str) -> Result<f64, String> {
    let hz: f64 = text.parse().map_err(|_| "write a number of reports a second")?;
    match hz > 0.0 && hz <= MAX_PARAMS_HZ {
        true => Ok(hz),
        false => Err(format!("more than 0 and at most {MAX_PARAMS_HZ} reports a second")),
    }
}

pub fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a rate is a number such as 0.98")?;
    if rate.is_finite() { Ok(rate) } else { Err("a rate is a number such as 0.98".to_owned()) }
}

/// Reads an address with its port, or a port alone, which is one of this machine only.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let port = text.strip_prefix("localhost").unwrap_or(text);
    match port.strip_prefix(':').unwrap_or(port).parse::<u16>() {
        Ok(port) => Ok((Ipv4Addr::LOCALHOST, port).into()),
        Err(_) => text.parse().map_err(|_| {
            "write an address and a port, such as 127.0.0.1:1318, or a port alone to be reached \
             from this machine only"
                .to_owned()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let found = parse_listen(text).ok().map(|address| address.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn addresses_and_ports() {
        check("127.0.0.1:1318", Some("127.0.0.1:1318"));
        check("0.0.0.0:0", Some("0.0.0.0:0"));
        check("[::1]:80", Some("[::1]:80"));
        check("1318", Some("127.0.0.1:1318"));
        check(":1318", Some("127.0.0.1:1318"));
        check("localhost:1318", Some("127.0.0.1:1318"));
        check("localhost", None);
        check("127.0.0.1:", None);
        check("127.0.0.1", None);
        check("pod:1318", None);
        check("70000", None);
        check("", None);
    }
}
