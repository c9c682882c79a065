//! The table of captures: a row each, with what `analyze` says of it.

use std::fmt::{self, Display, Formatter};

use super::{Cell, Column, ColumnKind, ReadCell, number, truth, whole, word};
use crate::capture::ClientKind;
use crate::lag::Figures;
use crate::report::{Analysis, Verdict};

/// What a capture came to, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    Lag,
    Ended,
    Unknown,
    Healthy,
}

impl Standing {
    pub const ALL: [Standing; 4] =
        [Standing::Lag, Standing::Ended, Standing::Unknown, Standing::Healthy];

    /// After a number of captures.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Standing::Lag => "with LAG",
            Standing::Ended => "ENDED as they should not",
            Standing::Unknown => "without a verdict",
            Standing::Healthy => "healthy",
        }
    }
}

impl Display for Standing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Standing::Lag => "LAG",
            Standing::Ended => "ENDED",
            Standing::Unknown => "no verdict",
            Standing::Healthy => "healthy",
        })
    }
}

/// What an analysis comes to.
#[must_use]
pub fn standing(analysis: &Analysis) -> Standing {
    match analysis.verdict.lag {
        Some(true) => Standing::Lag,
        _ if analysis.ending.abnormal => Standing::Ended,
        None => Standing::Unknown,
        Some(false) => Standing::Healthy,
    }
}

/// A figure of the leads.
macro_rules! lead {
    ($figure:ident) => {
        ReadCell::Report(|of| Cell::figure(leads(of).map(|figures| figures.$figure)))
    };
}
/// A figure of the staleness.
macro_rules! staleness {
    ($figure:ident) => {
        ReadCell::Report(|of| Cell::figure(ages(of).map(|figures| figures.$figure)))
    };
}

/// What an unreadable capture has instead of a verdict.
const UNREADABLE: &str = "unreadable";

pub(super) static COLUMNS: [Column; 60] = [
    word(
        "verdict",
        "`LAG`, `ENDED` (as it should not), `no verdict`, `healthy`, or `unreadable`",
        ReadCell::Capture(|of, _| match &of.analysis {
            Ok(analysis) => Cell::Word(standing(analysis).to_string()),
            Err(_) => Cell::Word(UNREADABLE.to_owned()),
        }),
    ),
    word(
        "why",
        "why there is no verdict, or why it cannot be read",
        ReadCell::Capture(|of, _| match &of.analysis {
            Ok(analysis) => Cell::text(analysis.verdict.why.clone()),
            Err(why) => Cell::Word(why.clone()),
        }),
    ),
    number(
        "bad_s",
        "s",
        "bad audio that was heard, short holes too",
        ReadCell::Report(|of| Cell::figure(known(of).map(|verdict| verdict.bad_s))),
    ),
    number(
        "lag_s",
        "s",
        "what the spells of lag cover",
        ReadCell::Report(|of| Cell::figure(known(of).map(|verdict| verdict.lag_s))),
    ),
    number(
        "onset_s",
        "s",
        "when the first spell of lag began",
        ReadCell::Report(|of| Cell::figure(known(of).and_then(|verdict| verdict.onset_s))),
    ),
    whole(
        "episodes",
        "",
        "spells of lag",
        ReadCell::Report(|of| count(known(of).map(|verdict| verdict.episodes.len()))),
    ),
    word(
        "reasons",
        "what was heard, such as `stale_ticks`, with commas between",
        ReadCell::Report(|of| Cell::text(known(of).map(|verdict| verdict.reasons.join(",")))),
    ),
    word(
        "cause",
        "class of the first finding",
        ReadCell::Report(|of| {
            let first = of.diagnosis.findings.first();
            Cell::text(first.map(|finding| finding.class.to_string()))
        }),
    ),
    word(
        "subsystem",
        "the part at fault",
        ReadCell::Report(|of| {
            let first = of.diagnosis.findings.first();
            first.map_or(Cell::Unknown, |finding| Cell::named(&finding.subsystem))
        }),
    ),
    whole(
        "findings",
        "",
        "causes that were found",
        ReadCell::Report(|of| Cell::whole(of.diagnosis.findings.len() as u64)),
    ),
    word(
        "ending",
        "how the session ended, as in `analyze --json`",
        ReadCell::Report(|of| Cell::named(&of.ending.kind)),
    ),
    number("lead_min_s", "s", "lowest lead since the last swap", lead!(min)),
    number("lead_p5_s", "s", "5th percentile of the leads", lead!(p5)),
    number("lead_p50_s", "s", "median of the leads", lead!(p50)),
    number("lead_p95_s", "s", "95th percentile of the leads", lead!(p95)),
    number("lead_max_s", "s", "highest lead", lead!(max)),
    number("staleness_p50_s", "s", "median age of the audio at reports", staleness!(p50)),
    number("staleness_p95_s", "s", "95th percentile of it", staleness!(p95)),
    number("staleness_max_s", "s", "oldest audio at a report", staleness!(max)),
    whole(
        "stale_ticks",
        "",
        "reports with audio above the threshold",
        ReadCell::Report(|of| count(of.lag.as_ref().map(|lag| lag.ticks.stale_ticks))),
    ),
    whole(
        "slices_behind",
        "",
        "slices that landed behind the listener",
        ReadCell::Report(|of| count(of.lag.as_ref().map(|lag| lag.slices.behind_playhead))),
    ),
    whole(
        "slices",
        "",
        "slices of the whole session",
        ReadCell::Report(|of| Cell::whole(of.slices)),
    ),
    whole("ticks", "", "reports of the client", ReadCell::Report(|of| Cell::whole(of.ticks))),
    whole("swaps", "", "swaps of the track", ReadCell::Report(|of| Cell::whole(of.swaps))),
    number(
        "heard_s",
        "s",
        "time of listening",
        ReadCell::Report(|of| Cell::figure(of.heard.as_ref().map(|heard| heard.report.s))),
    ),
    number(
        "heard_age_p50_s",
        "s",
        "median age of what was heard",
        ReadCell::Report(|of| Cell::figure(of.heard.as_ref().map(|heard| heard.report.age.p50_s))),
    ),
    number(
        "heard_age_p95_s",
        "s",
        "95th percentile of it",
        ReadCell::Report(|of| Cell::figure(of.heard.as_ref().map(|heard| heard.report.age.p95_s))),
    ),
    number(
        "heard_age_p99_s",
        "s",
        "99th percentile of it",
        ReadCell::Report(|of| Cell::figure(of.heard.as_ref().map(|heard| heard.report.age.p99_s))),
    ),
    number(
        "length_s",
        "s",
        "from the initial buffer to the end",
        ReadCell::Report(|of| Cell::figure(Some(of.report_at_s))),
    ),
    number(
        "startup_s",
        "s",
        "from connecting to the initial buffer",
        ReadCell::Report(|of| Cell::figure(of.session.startup_s)),
    ),
    number(
        "loop_s",
        "s",
        "length of the last loop",
        ReadCell::Report(|of| Cell::figure(of.epochs.last().map(|epoch| epoch.loop_s))),
    ),
    word("client", "the client's name, or `headless` or `foreign`", ReadCell::Report(client)),
    word(
        "client_version",
        "its version, as the capture's metadata says",
        ReadCell::Report(|of| Cell::text(of.session.metadata.get("client_version").cloned())),
    ),
    word(
        "software",
        "what wrote the capture",
        ReadCell::Report(|of| Cell::Word(of.session.software.clone())),
    ),
    word("family", "family of the server", ReadCell::Report(|of| Cell::named(&of.family.of.name))),
    word("host", "host that was connected to", ReadCell::Report(host)),
    word(
        "start_utc",
        "when it connected, UTC",
        ReadCell::Report(|of| Cell::text(of.session.start_utc.clone())),
    ),
    word(
        "day",
        "the day of that",
        ReadCell::Report(|of| {
            let start = of.session.start_utc.as_deref();
            Cell::text(start.and_then(|start| start.get(..10)))
        }),
    ),
    whole(
        "sample_rate",
        "frames/s",
        "frames per second",
        ReadCell::Report(|of| {
            of.session.sample_rate.map_or(Cell::Unknown, |rate| Cell::Whole(rate.into()))
        }),
    ),
    whole(
        "channels",
        "",
        "channels of the last loop",
        ReadCell::Report(|of| {
            of.epochs.last().map_or(Cell::Unknown, |epoch| Cell::Whole(epoch.channels.into()))
        }),
    ),
    whole(
        "down_bytes",
        "bytes",
        "payload of the server's messages",
        ReadCell::Report(|of| Cell::whole(of.traffic.server_to_client.bytes)),
    ),
    whole(
        "up_bytes",
        "bytes",
        "payload of the client's messages",
        ReadCell::Report(|of| Cell::whole(of.traffic.client_to_server.bytes)),
    ),
    number(
        "down_bytes_per_s",
        "bytes/s",
        "of the stream, handshake included",
        ReadCell::Report(|of| Cell::figure(Some(of.rates.down_bytes_per_s))),
    ),
    number(
        "up_bytes_per_s",
        "bytes/s",
        "of the stream, handshake included",
        ReadCell::Report(|of| Cell::figure(Some(of.rates.up_bytes_per_s))),
    ),
    number(
        "slices_per_s",
        "1/s",
        "slices a second of the stream",
        ReadCell::Report(|of| Cell::figure(Some(of.rates.slices_per_s))),
    ),
    number(
        "ticks_per_s",
        "1/s",
        "reports a second of the stream",
        ReadCell::Report(|of| Cell::figure(Some(of.rates.ticks_per_s))),
    ),
    number(
        "link_max_bytes_per_s",
        "bytes/s",
        "slices in the busiest second",
        ReadCell::Report(|of| Cell::figure(of.diagnosis.estimates.link_bytes_per_s_max)),
    ),
    number(
        "slice_gap_s",
        "s",
        "longest time without a slice",
        ReadCell::Report(|of| Cell::figure(of.diagnosis.estimates.slice_gap_s)),
    ),
    number(
        "report_gap_s",
        "s",
        "longest time without a report",
        ReadCell::Report(|of| Cell::figure(of.diagnosis.estimates.report_gap_s)),
    ),
    number(
        "round_trip_mean_ms",
        "ms",
        "mean round trip of the client's pings",
        ReadCell::Report(|of| Cell::figure(of.round_trip.map(|trips| trips.mean_ms))),
    ),
    number(
        "round_trip_max_ms",
        "ms",
        "longest round trip",
        ReadCell::Report(|of| Cell::figure(of.round_trip.map(|trips| trips.longest_ms))),
    ),
    whole(
        "decode_errors",
        "",
        "messages that could not be used",
        ReadCell::Report(|of| Cell::whole(of.decode_errors)),
    ),
    whole(
        "warnings",
        "",
        "sorts of things that are odd",
        ReadCell::Report(|of| Cell::whole(of.warnings.len() as u64)),
    ),
    truth(
        "complete",
        "it ends with its end record",
        ReadCell::Report(|of| Cell::Truth(of.complete)),
    ),
    truth(
        "damaged",
        "part of it is lost; the rest was used",
        ReadCell::Report(|of| Cell::Truth(of.damage.is_some())),
    ),
    truth(
        "from_checkpoints",
        "taken from its checkpoints, without events, knobs and what is odd",
        ReadCell::Capture(|of, _| Cell::Truth(of.from_checkpoints)),
    ),
    whole(
        "file_bytes",
        "bytes",
        "length of the file",
        ReadCell::Capture(|of, _| of.file_bytes.map_or(Cell::Unknown, Cell::whole)),
    ),
    word(
        "metadata",
        "all metadata of the capture, as a JSON object",
        ReadCell::Report(|of| Cell::text(serde_json::to_string(&of.session.metadata).ok())),
    ),
    Column {
        name: "lead_histogram",
        kind: ColumnKind::Wholes,
        unit: "",
        about: "slices by their lead, of the whole session while somebody listened; docs/FLEET.md has the edges",
        read: ReadCell::Capture(|of, _| histogram(&of.histograms.leads)),
    },
    Column {
        name: "staleness_histogram",
        kind: ColumnKind::Wholes,
        unit: "",
        about: "reports by the age of the audio, of the whole session; docs/FLEET.md has the edges",
        read: ReadCell::Capture(|of, _| histogram(&of.histograms.staleness)),
    },
];

/// The verdict, where there is one.
fn known(of: &Analysis) -> Option<&Verdict> {
    Some(&of.verdict).filter(|verdict| verdict.known)
}

fn leads(analysis: &Analysis) -> Option<Figures> {
    analysis.lag.as_ref()?.slices.lead_s
}

fn ages(analysis: &Analysis) -> Option<Figures> {
    analysis.lag.as_ref()?.ticks.staleness_s
}

fn count(count: Option<usize>) -> Cell {
    count.map_or(Cell::Unknown, |count| Cell::whole(count as u64))
}

fn histogram(counts: &[i64]) -> Cell {
    if counts.is_empty() { Cell::Unknown } else { Cell::Wholes(counts.to_vec()) }
}

fn client(of: &Analysis) -> Cell {
    let kind = of.session.client.map(|client| match client {
        ClientKind::Headless => "headless",
        ClientKind::Foreign => "foreign",
    });
    Cell::text(of.session.metadata.get("client").map(String::as_str).or(kind))
}

/// Host and port of a URL.
fn host(of: &Analysis) -> Cell {
    let url = of.session.url.as_deref();
    let rest = url.and_then(|url| url.split_once("://")).map(|(_, rest)| rest);
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    Cell::text(host.and_then(|host| host.rsplit('@').next()))
}
