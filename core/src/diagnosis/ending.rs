//! An end that a session should not have is a finding of its own.

use super::class::Class;
use super::suspect::Suspect;
use super::view::{Stretch, View};
use crate::engine::{EndKind, Engine, SessionEnd};
use crate::time::Nanos;

/// Silence right before the end belongs to it from this length on, in seconds.
const SILENT_S: f64 = 0.4;

/// How the session ended, where that is a finding.
pub fn suspect(engine: &Engine, view: &View, at: Nanos) -> Option<Suspect> {
    let origin = engine.origin()?;
    let end = engine.ending(at);
    let class = class(view, &end)?;
    let t_s = end.t.seconds_since(origin).max(0.0);
    let last_s = view.slices.last().map_or(t_s, |slice| slice.t_s);
    let is_silent =
        t_s - last_s >= SILENT_S && !view.is_idle(Stretch { from_s: last_s, to_s: t_s });
    let from_s = if is_silent { last_s } else { t_s };
    let to_s = t_s.max(from_s + end.silent_s);
    let stretch = Stretch { from_s, to_s };
    let confidence = if end.kind.is_silence() { 0.8 } else { 0.98 };
    let mut suspect = Suspect::new(class, stretch, confidence, sentence(&end, t_s)).link(
        "The session ended",
        &[("at_s", t_s), ("code", f64::from(end.code.unwrap_or(0)))],
        [],
    );
    if is_silent && !matches!(class, Class::HalfOpen) {
        let silent = [("silent_s", t_s - last_s)];
        suspect =
            suspect.link("No slice came before that", &silent, view.slices.last().map(|it| it.seq));
    }
    Some(match class {
        Class::LoopEndCrash => suspect
            .link("The next slice would have begun within a window of the loop's end", &[], [])
            .apart(Class::PipelineDeath, "where the next slice would have been"),
        Class::KeepaliveKill => {
            suspect.apart(Class::TunnelReset, "the server closed, and said why")
        }
        Class::TunnelReset => suspect.apart(Class::KeepaliveKill, "nobody closed"),
        Class::PipelineDeath => {
            suspect.apart(Class::GenerationStall, "the server said that it died")
        }
        _ => suspect,
    })
}

fn class(view: &View, end: &SessionEnd) -> Option<Class> {
    Some(match end.kind {
        EndKind::PipelineError if is_at_loop_end(view) => Class::LoopEndCrash,
        EndKind::PipelineError => Class::PipelineDeath,
        EndKind::Preempted => Class::Preempted,
        EndKind::Keepalive => Class::KeepaliveKill,
        EndKind::Cut => Class::TunnelReset,
        EndKind::HalfOpen => Class::HalfOpen,
        EndKind::Refused | EndKind::InitError => Class::SessionRefused,
        EndKind::CloseError => Class::AbnormalClose,
        EndKind::ServerSilent => Class::GenerationStall,
        EndKind::Open
        | EndKind::RecorderStopped
        | EndKind::ClientClosed
        | EndKind::ServerClosed
        | EndKind::ClientSilent => return None,
    })
}

/// Whether the slice after the last one would have reached beyond the loop's end.
fn is_at_loop_end(view: &View) -> bool {
    let Some(last) = view.slices.last() else { return false };
    let loop_s = view.loop_s(last.t_s);
    let next_s = last.start_s + view.usual.interval_s;
    !view.is_tape && next_s <= loop_s && next_s + last.window_s + view.usual.interval_s >= loop_s
}

fn sentence(end: &SessionEnd, t_s: f64) -> String {
    let said = if end.reason.is_empty() { String::new() } else { format!(" ({})", end.reason) };
    match end.kind {
        EndKind::PipelineError => format!("The server's pipeline died at {t_s:.2} s{said}."),
        EndKind::Preempted => {
            format!("Another session took the server at {t_s:.2} s: closed with 4001{said}.")
        }
        EndKind::Keepalive => format!(
            "The server closed at {t_s:.2} s since its pings were not answered in time: 1011{said}."
        ),
        EndKind::Cut => {
            format!("The connection was lost without a close at {t_s:.2} s: 1006{said}.")
        }
        EndKind::HalfOpen => format!(
            "The client fell silent at {t_s:.2} s while its socket lived and the server went on, for \
             {:.1} s.",
            end.silent_s
        ),
        EndKind::ServerSilent => {
            format!("The server said nothing more from {t_s:.2} s on, for {:.1} s.", end.silent_s)
        }
        EndKind::Refused | EndKind::InitError => format!("The server refused the session{said}."),
        _ => {
            format!("The session was closed at {t_s:.2} s with {}{said}.", end.code.unwrap_or(1006))
        }
    }
}
