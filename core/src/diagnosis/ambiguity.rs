//! What the evidence cannot tell apart, and what to record next time.

use super::class::Class;
use super::finding::{Ambiguity, Finding};
use super::view::View;
use crate::engine::Engine;
use crate::heard::HeardEpisode;

/// Classes between which evidence that is missing would decide.
pub fn of(
    engine: &Engine,
    view: &View,
    findings: &[Finding],
    unexplained: &[HeardEpisode],
) -> Vec<Ambiguity> {
    let is_suspected = |classes: &[Class]| findings.iter().any(|it| classes.contains(&it.class));
    let has_slices = !view.slices.is_empty();
    let has_acks = view.reports.iter().any(|report| report.acknowledged.is_some());
    let has_ticks = view.slices.iter().any(|slice| slice.tick_s > 0.0);
    let is_unnumbered = view.slices.last().is_some_and(|slice| slice.seq == 0);
    let link = [Class::BandwidthDeficit, Class::ClientBacklog, Class::StalePlayhead];
    // Whether that is so, what cannot be told then, what is missing, and what to record.
    let cases: [(bool, &[Class], &str, &str); 8] = [
        (
            !has_acks && is_suspected(&link),
            &link,
            "the client acknowledges no bytes (`slice_bytes_rx`)",
            "a client that sends `slice_bytes_rx`, or a proxy on each side of the link",
        ),
        (
            view.reports.is_empty() && has_slices,
            &[Class::ClientSendHitch, Class::ClientBacklog, Class::StalePlayhead],
            "no report of the client is in the capture",
            "both directions: a proxy between client and server, or `lagtape record`",
        ),
        (
            !has_ticks && has_slices,
            &[Class::SlowGeneration, Class::BandwidthDeficit, Class::GpuContention],
            "no slice tells how long its tick took",
            "a server that fills `tick_ms` and `dec_ms` in",
        ),
        (
            view.drift.is_none() && !view.is_tape && has_slices,
            &[Class::MirrorDrift],
            "no audio of slices was read, only their headers",
            "whole payloads, and read all of them (not with `--quick`)",
        ),
        (
            is_unnumbered && is_suspected(&[Class::BandwidthDeficit]),
            &[Class::BandwidthDeficit, Class::AnchoredShed],
            "checkpoints do not tell which regions the client asked for",
            "whole records, and read all of them (not with `--quick`)",
        ),
        (
            engine.doubts().sentence().is_some(),
            &[Class::BandwidthDeficit, Class::ClientBacklog, Class::GenerationStall],
            "the capture's times cannot carry a verdict",
            "with a proxy, which stamps every message by itself",
        ),
        (
            unexplained.iter().any(|episode| episode.alarm),
            &[Class::GenerationStall, Class::BandwidthDeficit, Class::StalePlayhead],
            "bad audio was heard and no signature was seen at that time",
            "the whole session, from its first message on",
        ),
        (
            view.from_s > 0.0,
            &[Class::VramPaging, Class::SlowGeneration],
            "what came before the capture's beginning is not known",
            "the whole session, from its first message on",
        ),
    ];
    let open = cases.into_iter().filter(|(is_so, ..)| *is_so);
    open.map(|(_, classes, missing, record_next)| Ambiguity {
        classes: classes.to_vec(),
        missing,
        record_next,
    })
    .collect()
}
