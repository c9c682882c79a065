//! Which suspect each bad second is due to, and the order of the findings.
//!
//! What was heard is known from the meter, not from the suspects: an episode goes to the suspect that
//! was at work when it began, or shortly before, and no second is counted twice.

use super::class::Class;
use super::finding::Finding;
use super::question;
use super::suspect::{Suspect, rounded};
use super::view::{Stretch, View};
use crate::heard::{HeardEpisode, LagKind};

/// What was at work is heard for so long afterwards, in seconds: the lead that a stall has raised
/// leaves a second hole, and a lead that a jump has thrown up is heard when it is reached.
const AFTER_S: f64 = 3.5;
/// Clocks of the onset may lie apart by so much, in seconds: a slice interval of a slow server.
const BEFORE_S: f64 = 0.6;

/// Findings of suspects, and the episodes that none of them explains.
pub fn findings(
    view: &View,
    suspects: Vec<Suspect>,
    episodes: &[HeardEpisode],
    next: &str,
) -> (Vec<Finding>, Vec<HeardEpisode>) {
    let mut findings: Vec<Finding> =
        suspects.into_iter().map(|suspect| finding(suspect, next)).collect();
    let mut unexplained = Vec::new();
    for episode in episodes {
        match culprit(view, &findings, episode) {
            Some(at) => charge(&mut findings[at], episode),
            None => unexplained.push(*episode),
        }
    }
    findings.sort_by(|one, two| {
        let key = |it: &Finding| (it.audible, it.bad_s, is_end(it.class), it.confidence);
        let ((a, b, c, d), (e, f, g, h)) = (key(two), key(one));
        a.cmp(&e).then(b.total_cmp(&f)).then(c.cmp(&g)).then(d.total_cmp(&h))
    });
    (findings, unexplained)
}

/// An end outweighs what was merely seen.
fn is_end(class: Class) -> bool {
    matches!(
        class,
        Class::Preempted
            | Class::KeepaliveKill
            | Class::TunnelReset
            | Class::HalfOpen
            | Class::PipelineDeath
            | Class::LoopEndCrash
            | Class::SessionRefused
            | Class::AbnormalClose
    )
}

fn finding(suspect: Suspect, capture: &str) -> Finding {
    let about = suspect.class.about();
    Finding {
        class: suspect.class,
        subsystem: about.subsystem,
        sentence: suspect.sentence,
        from_s: rounded(suspect.stretch.from_s),
        to_s: rounded(suspect.stretch.to_s),
        bad_s: 0.0,
        stale_s: 0.0,
        raw_s: 0.0,
        missing_s: 0.0,
        audible: false,
        confidence: rounded(suspect.confidence),
        chain: suspect.chain,
        against: suspect.against,
        told_apart: suspect.told_apart,
        proof: None,
        unproven: None,
        mitigation: about.mitigation,
        next: question::unasked(suspect.class, capture),
    }
}

/// The finding that an episode is due to: the one that was at work for most of it, of those the surest.
fn culprit(view: &View, findings: &[Finding], episode: &HeardEpisode) -> Option<usize> {
    let heard = Stretch { from_s: episode.from_s, to_s: episode.to_s.max(episode.from_s + 0.05) };
    let weigh = |finding: &Finding| {
        let work = Stretch { from_s: finding.from_s - BEFORE_S, to_s: finding.to_s + AFTER_S };
        let share = work.overlap_s(&heard) / heard.len_s();
        let is_near = share > 0.0 && !is_bystander(finding.class);
        // What a suspect left unwritten is heard again a lap later.
        let lap_s = view.loop_s(episode.from_s);
        let lap = Stretch { from_s: work.from_s + lap_s, to_s: work.to_s + lap_s };
        let again = lap_s > 0.0 && lap.overlap_s(&heard) > 0.0 && !is_bystander(finding.class);
        match (is_near, again) {
            (true, _) => {
                share * finding.confidence
                    + if heard.from_s >= finding.from_s - BEFORE_S { 0.3 } else { 0.0 }
                    + priority(finding.class)
            }
            (false, true) => 0.1 * finding.confidence,
            (false, false) => 0.0,
        }
    };
    let weights = findings.iter().map(weigh).enumerate();
    let best = weights.max_by(|one, two| one.1.total_cmp(&two.1).then(two.0.cmp(&one.0)))?;
    (best.1 > 0.0).then_some(best.0)
}

/// Conditions that last for the whole session and make nothing late by themselves, unless nothing else
/// was at work.
fn is_bystander(class: Class) -> bool {
    matches!(
        class,
        Class::StairStepPlayhead
            | Class::MirrorDrift
            | Class::ClockSkew
            | Class::Preempted
            | Class::KeepaliveKill
            | Class::HalfOpen
    )
}

/// Of two mechanisms at one time, the one that brings the other about goes first.
fn priority(class: Class) -> f64 {
    match class {
        Class::TransportLeadOscillation | Class::SwapHeadOfLine | Class::TunnelReset => 0.5,
        Class::ClientBacklog
        | Class::RawSourceNeverCovered
        | Class::OldTrackBleed
        | Class::AnchoredShed => 0.3,
        Class::SeekLeadRunaway | Class::RebuildStall | Class::RefitStorm => 0.2,
        Class::OversizeWindow => -0.2,
        _ => 0.0,
    }
}

fn charge(finding: &mut Finding, episode: &HeardEpisode) {
    let bad_s = episode.bad_s;
    match episode.what {
        LagKind::Stale(_) => finding.stale_s = rounded(finding.stale_s + bad_s),
        LagKind::Raw(_) => finding.raw_s = rounded(finding.raw_s + bad_s),
        LagKind::OldTrack(_) | LagKind::PastFrontier(_) | LagKind::Hole(_) => {
            finding.missing_s = rounded(finding.missing_s + bad_s);
        }
        LagKind::Behind { .. } => {}
    }
    finding.bad_s = rounded(finding.stale_s + finding.raw_s + finding.missing_s);
    finding.audible |= episode.alarm;
}
