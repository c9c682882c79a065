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
    let mut found = Vec::new();
    let is_suspected = |classes: &[Class]| findings.iter().any(|it| classes.contains(&it.class));
    let mut add = |classes: &[Class], missing, record_next| {
        found.push(Ambiguity { classes: classes.to_vec(), missing, record_next });
    };
    let link = [Class::BandwidthDeficit, Class::ClientBacklog, Class::StalePlayhead];
    let has_acks = view.reports.iter().any(|report| report.acknowledged.is_some());
    if !has_acks && is_suspected(&link) {
        add(
            &link,
            "the client acknowledges no bytes (`slice_bytes_rx`)",
            "a client that sends `slice_bytes_rx`, or a proxy on each side of the link",
        );
    }
    if view.reports.is_empty() && !view.slices.is_empty() {
        let client = [Class::ClientSendHitch, Class::ClientBacklog, Class::StalePlayhead];
        add(
            &client,
            "no report of the client is in the capture",
            "both directions: a proxy between client and server, or `lagtape record`",
        );
    }
    let has_ticks = view.slices.iter().any(|slice| slice.tick_s > 0.0);
    if !has_ticks && !view.slices.is_empty() {
        add(
            &[Class::SlowGeneration, Class::BandwidthDeficit, Class::GpuContention],
            "no slice tells how long its tick took",
            "a server that fills `tick_ms` and `dec_ms` in",
        );
    }
    if view.drift.is_none() && !view.is_tape && !view.slices.is_empty() {
        add(
            &[Class::MirrorDrift],
            "no audio of slices was read, only their headers",
            "whole payloads, and read all of them (not with `--quick`)",
        );
    }
    let is_unnumbered = view.slices.last().is_some_and(|slice| slice.seq == 0);
    if is_unnumbered && is_suspected(&[Class::BandwidthDeficit]) {
        add(
            &[Class::BandwidthDeficit, Class::AnchoredShed],
            "checkpoints do not tell which regions the client asked for",
            "whole records, and read all of them (not with `--quick`)",
        );
    }
    if engine.doubts().sentence().is_some() {
        add(
            &[Class::BandwidthDeficit, Class::ClientBacklog, Class::GenerationStall],
            "the capture's times cannot carry a verdict",
            "with a proxy, which stamps every message by itself",
        );
    }
    if !unexplained.is_empty() && unexplained.iter().any(|episode| episode.alarm) {
        add(
            &[Class::GenerationStall, Class::BandwidthDeficit, Class::StalePlayhead],
            "bad audio was heard and no signature was seen at that time",
            "the whole session, from its first message on",
        );
    }
    if view.from_s > 0.0 {
        let missing = "what came before the capture's beginning is not known";
        add(
            &[Class::VramPaging, Class::SlowGeneration],
            missing,
            "the whole session, from its first message on",
        );
    }
    found
}
