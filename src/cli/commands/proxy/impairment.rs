//! Flags about a bad link between client and server.

use std::str::FromStr;

use crate::edge::proxy::{DEFAULT_BUFFER, Impairment};
use crate::parse::{ByteRate, ByteSize};
use crate::peer::interval::Interval;
use crate::peer::link::LinkOptions;
use crate::time::Span;

/// What is wrong with the way between client and server.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A bad link, for WebSockets")]
pub struct ImpairmentArgs {
    /// What the way to the client carries: 200KB/s, 1.5MB/s
    #[arg(long, value_name = "RATE")]
    pub down: Option<ByteRate>,
    /// What the way to the server carries
    #[arg(long, value_name = "RATE")]
    pub up: Option<ByteRate>,
    /// How long bytes travel; each way, or with down= or up= one way
    #[arg(long, value_name = "[WAY=]TIME", allow_hyphen_values = true)]
    pub latency: Vec<OneWay<Span>>,
    /// Up to this much is added to the latency, at random
    #[arg(long, value_name = "[WAY=]TIME", allow_hyphen_values = true)]
    pub jitter: Vec<OneWay<Span>>,
    /// What may wait in front of a slow way, 256KB by default; unbounded is 256 MiB
    #[arg(long, value_name = "[WAY=]SIZE|unbounded", allow_hyphen_values = true)]
    pub buffer: Vec<OneWay<LinkBuffer>>,
    /// Nothing passes: from when, and for how long
    #[arg(long, value_name = "[WAY=]TIME:TIME", allow_hyphen_values = true)]
    pub stall: Vec<OneWay<Stall>>,
    /// Cut the connection after this long
    #[arg(long, value_name = "TIME")]
    pub drop_after: Option<Span>,
    /// All this only from the initial buffer on, and times count from there; else from the handshake
    #[arg(long)]
    pub after_ready: bool,
    /// Decides what is random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// A value for one way, or for both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneWay<T> {
    is_down: bool,
    is_up: bool,
    value: T,
}

impl<T: FromStr<Err: std::fmt::Display>> FromStr for OneWay<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (is_down, is_up, value) = match text.split_once('=') {
            Some(("down", value)) => (true, false, value),
            Some(("up", value)) => (false, true, value),
            Some((way, _)) => return Err(format!("\"{way}\" is no way; write down= or up=")),
            None => (true, true, text),
        };
        let value = value.parse().map_err(|error: T::Err| error.to_string())?;
        Ok(OneWay { is_down, is_up, value })
    }
}

/// Bytes that may wait; `None` is unbounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkBuffer(Option<u64>);

impl FromStr for LinkBuffer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unbounded" => Ok(LinkBuffer(None)),
            _ => match text.parse::<ByteSize>() {
                Ok(size) => Ok(LinkBuffer(Some(size.0))),
                Err(error) => Err(format!("{error}, or unbounded")),
            },
        }
    }
}

/// An interval in which nothing passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stall(Interval);

impl FromStr for Stall {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = || format!("\"{text}\" is no stall; write when and how long, as 6s:2s");
        let (at, length) = text.split_once(':').ok_or_else(example)?;
        let seconds = |text: &str| text.parse::<Span>().map(Span::seconds).map_err(|_| example());
        Ok(Stall(Interval { at_s: seconds(at)?, for_s: seconds(length)? }))
    }
}

impl ImpairmentArgs {
    pub fn impairment(&self) -> Impairment {
        Impairment {
            seed: self.seed,
            after_ready: self.after_ready,
            down: self.way(self.down, |one| one.0),
            up: self.way(self.up, |one| one.1),
            drop_after_s: self.drop_after.map(Span::seconds),
        }
    }

    /// The link of one way, if anything impairs it; `is` selects the values of that way.
    fn way(
        &self,
        rate: Option<ByteRate>,
        is: impl Fn((bool, bool)) -> bool,
    ) -> Option<LinkOptions> {
        fn last<T: Copy>(values: &[OneWay<T>], is: impl Fn((bool, bool)) -> bool) -> Option<T> {
            values.iter().rev().find(|one| is((one.is_down, one.is_up))).map(|one| one.value)
        }
        let stalls = self.stall.iter().filter(|one| is((one.is_down, one.is_up)));
        let mut outages: Vec<Interval> = stalls.map(|one| one.value.0).collect();
        outages.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        let (latency, jitter) = (last(&self.latency, &is), last(&self.jitter, &is));
        let is_impaired =
            rate.is_some() || latency.is_some() || jitter.is_some() || !outages.is_empty();
        is_impaired.then(|| LinkOptions {
            bytes_per_s: rate.map(|rate| rate.0),
            latency_s: latency.map_or(0.0, Span::seconds),
            jitter_s: jitter.map_or(0.0, Span::seconds),
            buffer_bytes: last(&self.buffer, &is).map_or(Some(DEFAULT_BUFFER), |buffer| buffer.0),
            outages,
            ..LinkOptions::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        args: ImpairmentArgs,
    }

    #[track_caller]
    fn check(typed: &str, expected: &Impairment) {
        let words = std::iter::once("proxy").chain(typed.split_whitespace());
        assert_eq!(Typed::try_parse_from(words).unwrap().args.impairment(), *expected, "{typed}");
    }

    #[test]
    fn bad_links_as_they_are_typed() {
        let plain = LinkOptions { buffer_bytes: Some(DEFAULT_BUFFER), ..LinkOptions::default() };
        let down = |link: LinkOptions| Impairment { down: Some(link), ..Impairment::default() };
        check("", &Impairment::default());
        check("--down 200KB/s", &down(LinkOptions { bytes_per_s: Some(200e3), ..plain.clone() }));
        check(
            "--down 1MB/s --buffer unbounded --after-ready --seed 3",
            &Impairment {
                seed: 3,
                after_ready: true,
                ..down(LinkOptions { bytes_per_s: Some(1e6), buffer_bytes: None, ..plain.clone() })
            },
        );
        let slow = |latency_s: f64| Some(LinkOptions { latency_s, ..plain.clone() });
        check(
            "--latency 40ms --latency up=80ms --drop-after 60s",
            &Impairment {
                down: slow(0.04),
                up: slow(0.08),
                drop_after_s: Some(60.0),
                ..Impairment::default()
            },
        );
        let outages = vec![Interval { at_s: 6.0, for_s: 2.0 }, Interval { at_s: 9.0, for_s: 0.5 }];
        check(
            "--stall down=9:500ms --stall down=6s:2s",
            &down(LinkOptions { outages, ..plain.clone() }),
        );
    }

    #[track_caller]
    fn check_refused(typed: &str, sentence: &str) {
        let error = Typed::try_parse_from(["proxy"].into_iter().chain(typed.split_whitespace()));
        let error = error.err().unwrap().to_string();
        assert!(error.contains(sentence), "{typed}: {error}");
    }

    #[test]
    fn what_is_no_bad_link() {
        check_refused("--latency over=3s", "write down= or up=");
        check_refused("--stall 6s", "6s:2s");
        check_refused("--buffer much", "or unbounded");
        check_refused("--down 3", "200KB/s");
    }
}
