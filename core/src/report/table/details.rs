//! The tables of what was found in captures: spells of lag, causes, what happened, damage.

use super::{Cell, Column, ReadCell, TabledCapture, number, truth, whole, word};
use crate::diagnosis::Finding;
use crate::heard::HeardEpisode;
use crate::report::DamageReport;
use crate::report::moments::Moment;

/// A column of spells of lag, and so on for the other tables.
macro_rules! episode {
    ($read:expr) => {
        ReadCell::Capture(|of, row| {
            let read: fn(&HeardEpisode) -> Cell = $read;
            let analysis = of.analysis.as_ref().ok();
            analysis.and_then(|of| of.verdict.episodes.get(row)).map_or(Cell::Unknown, read)
        })
    };
}
macro_rules! finding {
    ($read:expr) => {
        ReadCell::Capture(|of, row| {
            let read: fn(&Finding) -> Cell = $read;
            let analysis = of.analysis.as_ref().ok();
            analysis.and_then(|of| of.diagnosis.findings.get(row)).map_or(Cell::Unknown, read)
        })
    };
}
macro_rules! moment {
    ($read:expr) => {
        ReadCell::Capture(|of, row| {
            let read: fn(&Moment) -> Cell = $read;
            of.moments.moments.get(row).map_or(Cell::Unknown, read)
        })
    };
}
macro_rules! damage {
    ($read:expr) => {
        ReadCell::Capture(|of, _| {
            let read: fn(&DamageReport) -> Cell = $read;
            damage(of).map_or(Cell::Unknown, read)
        })
    };
}

const FROM_S: &str = "when it began, in seconds from the initial buffer";
const TO_S: &str = "when it ended";

pub(super) static EPISODES: [Column; 11] = [
    whole(
        "number",
        "",
        "number of the spell, as `--episode` takes it",
        ReadCell::Capture(|_, row| Cell::whole(row as u64 + 1)),
    ),
    number("from_s", "s", FROM_S, episode!(|of| Cell::figure(Some(of.from_s)))),
    number("to_s", "s", TO_S, episode!(|of| Cell::figure(Some(of.to_s)))),
    number("bad_s", "s", "bad audio in it", episode!(|of| Cell::figure(Some(of.bad_s)))),
    word(
        "kind",
        "`stale`, `raw`, `old_track`, `past_frontier`, `hole` or `behind`",
        episode!(kind),
    ),
    whole(
        "ticks",
        "",
        "reports of the client while bad audio was heard",
        episode!(|of| { of.what.old_audio().map_or(Cell::Unknown, |old| Cell::whole(old.ticks)) }),
    ),
    number(
        "worst_staleness_s",
        "s",
        "the oldest audio heard",
        episode!(|of| { Cell::figure(of.what.old_audio().map(|old| old.worst_staleness_s)) }),
    ),
    number(
        "silence_s",
        "s",
        "the longest time without a slice",
        episode!(|of| { Cell::figure(of.what.old_audio().map(|old| old.silence_s)) }),
    ),
    whole(
        "slices_behind",
        "",
        "slices that landed behind the listener",
        episode!(|of| { behind(of).map_or(Cell::Unknown, |(slices, ..)| Cell::whole(slices)) }),
    ),
    number(
        "worst_lead_s",
        "s",
        "the lowest of their leads",
        episode!(|of| { Cell::figure(behind(of).map(|(_, worst_lead_s)| worst_lead_s)) }),
    ),
    word(
        "cause",
        "class of the worst audible finding that was at work then",
        ReadCell::Capture(cause),
    ),
];

pub(super) static FINDINGS: [Column; 13] = [
    whole("rank", "", "1 is the worst", ReadCell::Capture(|_, row| Cell::whole(row as u64 + 1))),
    word(
        "class",
        "class of incident, docs/DIAGNOSIS.md",
        finding!(|of| { Cell::Word(of.class.to_string()) }),
    ),
    word("subsystem", "the part at fault", finding!(|of| Cell::named(&of.subsystem))),
    number("from_s", "s", FROM_S, finding!(|of| Cell::figure(Some(of.from_s)))),
    number("to_s", "s", TO_S, finding!(|of| Cell::figure(Some(of.to_s)))),
    number(
        "bad_s",
        "s",
        "bad audio heard because of it",
        finding!(|of| { Cell::figure(Some(of.bad_s)) }),
    ),
    number("stale_s", "s", "of that, old audio", finding!(|of| Cell::figure(Some(of.stale_s)))),
    number("raw_s", "s", "audio of the source", finding!(|of| Cell::figure(Some(of.raw_s)))),
    number(
        "missing_s",
        "s",
        "silence, and the track before",
        finding!(|of| { Cell::figure(Some(of.missing_s)) }),
    ),
    truth("audible", "a listener heard it", finding!(|of| Cell::Truth(of.audible))),
    number(
        "confidence",
        "",
        "0 to 1: how much of what the class should show was seen",
        finding!(|of| { Cell::figure(Some(of.confidence)) }),
    ),
    word(
        "sentence",
        "what happened, with its figures",
        finding!(|of| { Cell::Word(of.sentence.clone()) }),
    ),
    word(
        "mitigation",
        "what is known to mend it",
        finding!(|of| { Cell::Word(of.mitigation.to_owned()) }),
    ),
];

pub(super) static EVENTS: [Column; 5] = [
    number(
        "t_s",
        "s",
        "when, in seconds from the initial buffer",
        moment!(|of| { Cell::figure(Some(of.t_s)) }),
    ),
    whole(
        "seq",
        "",
        "number of the record, as in `cat`; unknown of what was concluded",
        moment!(|of| { of.seq.map_or(Cell::Unknown, Cell::whole) }),
    ),
    word(
        "kind",
        "`op`, `knobs`, `command`, `event`, `buffer`, `close`, `loss`, `lag` or `finding`",
        moment!(|of| { Cell::Word(of.kind.name().to_owned()) }),
    ),
    word(
        "name",
        "the op, the `type` of the message, the class of the finding",
        moment!(|of| { Cell::Word(of.name.clone()) }),
    ),
    word(
        "detail",
        "what belongs to it, as a JSON object",
        moment!(|of| { Cell::text(serde_json::to_string(&of.detail).ok()) }),
    ),
];

pub(super) static DAMAGE: [Column; 7] = [
    word(
        "reason",
        "what is wrong, in a sentence",
        ReadCell::Capture(|of, _| match &of.analysis {
            Ok(_) => Cell::text(damage(of).map(|damage| damage.reason.clone())),
            Err(why) => Cell::Word(why.clone()),
        }),
    ),
    truth(
        "used",
        "the rest of it was used",
        ReadCell::Capture(|of, _| Cell::Truth(of.analysis.is_ok())),
    ),
    whole("record", "", "sound records before the damage", damage!(|of| Cell::whole(of.record))),
    whole("offset", "bytes", "where in the file that is", damage!(|of| Cell::whole(of.offset))),
    whole("places", "", "places that are damaged", damage!(|of| Cell::whole(of.places))),
    whole(
        "bytes",
        "bytes",
        "bytes that are no sound records",
        damage!(|of| { Cell::whole(of.bytes) }),
    ),
    whole(
        "records_lost",
        "",
        "records that are missing, as far as their numbers tell",
        damage!(|of| { Cell::whole(of.records_lost) }),
    ),
];

fn damage(of: &TabledCapture) -> Option<&DamageReport> {
    of.analysis.as_ref().ok()?.damage.as_ref()
}

/// What most of a spell was, as in JSON.
fn kind(of: &HeardEpisode) -> Cell {
    let kind = serde_json::to_value(of.what).ok();
    Cell::text(kind.as_ref().and_then(|what| what.get("kind")?.as_str()))
}

/// Slices that landed behind, and the lowest of their leads.
fn behind(of: &HeardEpisode) -> Option<(u64, f64)> {
    match of.what {
        crate::heard::LagKind::Behind { slices, worst_lead_s, .. } => Some((slices, worst_lead_s)),
        _ => None,
    }
}

/// The worst finding whose time the spell shares.
fn cause(of: &TabledCapture, row: usize) -> Cell {
    let Ok(analysis) = &of.analysis else { return Cell::Unknown };
    let Some(episode) = analysis.verdict.episodes.get(row) else { return Cell::Unknown };
    let mut findings = analysis.diagnosis.findings.iter();
    let cause = findings.find(|finding| {
        finding.audible && finding.from_s <= episode.to_s && finding.to_s >= episode.from_s
    });
    Cell::text(cause.map(|finding| finding.class.to_string()))
}
