//! Content: swaps, sources and windows; and the healthy pauses that look like incidents.

use crate::diagnosis::class::Class;
use crate::diagnosis::finding::{DiagnosisNote, HealthyPattern};
use crate::diagnosis::suspect::{Suspect, rounded};
use crate::diagnosis::view::{BufferRow, SETTLED_S, SliceRow, Stretch, View, folded, quantile};

/// A new buffer that holds up slices for this long is more than a swap takes, in seconds: a server
/// encodes the new source for up to 0.4 s.
const HELD_UP_S: f64 = 0.6;
/// The first slice of a buffer that comes later than this is late, in seconds: the first of a session
/// takes up to 1 s.
const FIRST_SLICE_S: f64 = 1.5;
/// Slices of the old source may be on their way for this long after a swap, in seconds.
const ON_THEIR_WAY_S: f64 = 0.35;
/// How closely a slice goes on where the one before was, in seconds: the position rests while the swap is
/// prepared, for up to 0.4 s.
const GOES_ON_S: f64 = 0.5;
/// A window is oversize from this length on, in seconds; servers use 0.36 s.
const OVERSIZE_S: f64 = 1.0;

pub fn suspects(view: &View) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    for (number, buffer) in view.buffers.iter().enumerate() {
        let held = if number > 0 { held_up(view, buffer) } else { None };
        let bleeds = number > 0 && held.is_none();
        suspects.extend(bleeds.then(|| old_track(view, buffer)).flatten());
        suspects.extend(held.or_else(|| never_covered(view, buffer)));
    }
    suspects.extend(oversize(view));
    suspects
}

/// Nothing came while the buffer of a swap was on its way.
fn held_up(view: &View, buffer: &BufferRow) -> Option<Suspect> {
    let at = view.slices.partition_point(|slice| slice.t_s < buffer.t_s);
    let before = view.slices.get(at.checked_sub(1)?)?;
    let held_s = buffer.t_s - before.t_s;
    if held_s < HELD_UP_S || view.is_idle(Stretch { from_s: before.t_s, to_s: buffer.t_s }) {
        return None;
    }
    let rate = buffer.bytes / held_s;
    let settled = view.slices[at..]
        .iter()
        .position(|slice| (slice.lead_s - view.usual.lead_s).abs() < 1.5 && slice.t_s > buffer.t_s);
    let to_s = settled.map_or(view.to_s, |index| view.slices[at + index].t_s).max(buffer.t_s);
    let after = view.slices.get(at);
    let sentence = format!(
        "No slice came for {held_s:.1} s while the new buffer of {:.1} MB came at {:.0} KB/s: it holds \
         up every slice behind it.",
        buffer.bytes / 1e6,
        rate / 1e3
    );
    let figures = [("buffer_bytes", buffer.bytes), ("held_up_s", held_s), ("bytes_per_s", rate)];
    Some(
        Suspect::new(Class::SwapHeadOfLine, Stretch { from_s: before.t_s, to_s }, 0.95, sentence)
            .link("A buffer is sent in one message", &figures, [before.seq, buffer.seq])
            .link(
                "Slices wait behind it, and come for moments that are over",
                &[("lead_s", after.map_or(0.0, |slice| slice.lead_s))],
                after.map(|slice| slice.seq),
            )
            .apart(Class::GenerationStall, "the gap ends with the new buffer")
            .apart(Class::BandwidthDeficit, "slices were in time before the swap"),
    )
}

/// Slices that go on where the old source was, after the new one came.
fn old_track(view: &View, buffer: &BufferRow) -> Option<Suspect> {
    let at = view.slices.partition_point(|slice| slice.t_s < buffer.t_s);
    let old = view.slices.get(at.checked_sub(1)?)?;
    let loops = [view.loop_s(old.t_s), buffer.loop_s];
    let is_usual = |slice: &SliceRow| (slice.lead_s - view.usual.lead_s).abs() <= 0.4;
    // The old position goes on in the loop that it was in, or wraps in the new one.
    let goes_on = |slice: &&SliceRow, loop_s: f64| {
        let off_s = slice.start_s - old.start_s - (slice.t_s - old.t_s);
        folded(off_s, loop_s).abs() < GOES_ON_S && !is_usual(slice)
    };
    let stray = |loop_s: f64| view.slices[at..].iter().take_while(|it| goes_on(it, loop_s)).count();
    let [old_loop, new_loop] = loops.map(stray);
    // By chance a lead that the swap or a gap has thrown up wraps there as well. It sinks slowly.
    let ends_at_once = |count: usize| {
        let pair = view.slices.get(at + count - 1).zip(view.slices.get(at + count));
        pair.is_none_or(|(last, next)| is_usual(next) && (last.lead_s - next.lead_s).abs() > 0.4)
    };
    let is_wrapped = new_loop > old_loop && ends_at_once(new_loop);
    let count = if is_wrapped { new_loop } else { old_loop };
    let last = count.checked_sub(1).map(|stray| &view.slices[at + stray]);
    let last = last?;
    let lasts_s = last.t_s - buffer.t_s;
    if lasts_s < ON_THEIR_WAY_S || count < 4 {
        return None;
    }
    let stretch = Stretch { from_s: buffer.t_s, to_s: last.t_s };
    let sentence = format!(
        "After the swap at {:.2} s, {count} slices still went on where the old source was, for \
         {lasts_s:.2} s: old content was written into the new buffer.",
        buffer.t_s
    );
    let first = view.slices[at].seq;
    Some(
        Suspect::new(Class::OldTrackBleed, stretch, 0.9, sentence)
            .link("The generator goes on with the old source", &[("slices", count as f64)], [first])
            .link("They land in the new buffer", &[("lead_s", last.lead_s)], [last.seq])
            .apart(Class::SeekLeadRunaway, "they follow the old position, and stop at once")
            .apart(Class::SwapHeadOfLine, "slices came at their usual rate"),
    )
}

/// The first slice of a buffer came so late that the source was heard.
fn never_covered(view: &View, buffer: &BufferRow) -> Option<Suspect> {
    if view.from_s > buffer.t_s {
        return None;
    }
    let at = view.slices.partition_point(|slice| slice.t_s < buffer.t_s);
    let first = view.slices.get(at);
    let end_s = first.map_or(view.to_s, |slice| slice.t_s);
    let late_s = end_s - buffer.t_s;
    if late_s < FIRST_SLICE_S {
        return None;
    }
    let stretch = Stretch { from_s: buffer.t_s, to_s: end_s };
    let what = if buffer.t_s > 0.0 { "the swapped source" } else { "the source" };
    let sentence = match first {
        Some(_) => format!(
            "The first slice of {what} came {late_s:.1} s after its buffer: until then the listener heard \
             the source itself."
        ),
        None => format!(
            "No slice of {what} came in {late_s:.1} s: the listener heard the source itself."
        ),
    };
    Some(
        Suspect::new(Class::RawSourceNeverCovered, stretch, 0.9, sentence)
            .link("A buffer comes", &[("at_s", buffer.t_s)], [buffer.seq])
            .link("No slice covers it", &[("late_s", late_s)], first.map(|slice| slice.seq))
            .apart(Class::GenerationStall, "nothing had covered this buffer before"),
    )
}

fn oversize(view: &View) -> Option<Suspect> {
    let window_s = quantile(view.slices.iter().map(|slice| slice.window_s), 0.75);
    if window_s < OVERSIZE_S {
        return None;
    }
    let decode_s = quantile(view.slices.iter().map(|slice| slice.decode_s), 0.5);
    let sentence = format!(
        "Every slice was {window_s:.2} s long instead of 0.36 s: decoding took {:.0} ms of each, and so \
         much more has to be sent.",
        decode_s * 1e3
    );
    let stretch = Stretch { from_s: view.from_s, to_s: view.to_s };
    let figures = [("window_s", window_s), ("decode_s", decode_s)];
    let records = view.slices.first().map(|slice| slice.seq);
    Some(
        Suspect::new(Class::OversizeWindow, stretch, 0.95, sentence)
            .link("The client asked for a long window", &figures, records)
            .apart(Class::SlowGeneration, "ticks were usual; decoding a long window is not"),
    )
}

/// What is healthy and looks like an incident.
pub fn notes(view: &View) -> Vec<DiagnosisNote> {
    let note = |what, from_s: f64, to_s: f64, sentence: String| DiagnosisNote {
        what,
        from_s: rounded(from_s),
        to_s: rounded(to_s),
        sentence,
    };
    let mut notes = Vec::new();
    for idle in view.idle.iter().filter(|idle| idle.len_s() > 1.0) {
        let sentence = format!(
            "Nothing was changed for 20 s and one loop, so that the server rested for {:.1} s.",
            idle.len_s()
        );
        notes.push(note(HealthyPattern::IdlePause, idle.from_s, idle.to_s, sentence));
    }
    for pause in &view.pauses {
        let sentence = format!("The player stood still for {:.1} s.", pause.len_s());
        notes.push(note(HealthyPattern::PausedPlayer, pause.from_s, pause.to_s, sentence));
    }
    for &(t_s, by_s) in &view.jumps {
        let sentence = format!(
            "The playhead jumped by {by_s:.2} s; audio is old for about the lead after it."
        );
        notes.push(note(HealthyPattern::SeekTransient, t_s, t_s + SETTLED_S, sentence));
    }
    for buffer in view.buffers.iter().skip(1) {
        let sentence =
            "A new buffer came; audio is its own for about the lead after it.".to_owned();
        let to_s = buffer.t_s + SETTLED_S;
        notes.push(note(HealthyPattern::SwapTransient, buffer.t_s, to_s, sentence));
    }
    notes.extend(
        settled_loop(view)
            .map(|(at, sentence)| note(HealthyPattern::SettledLoop, at.from_s, at.to_s, sentence)),
    );
    notes
}

/// Slices that the server had already, since nothing was changed.
fn settled_loop(view: &View) -> Option<(Stretch, String)> {
    let reused = || view.slices.iter().filter(|slice| slice.is_reused);
    let (first, last) = reused().next().zip(reused().next_back())?;
    let stretch = Stretch { from_s: first.t_s, to_s: last.t_s };
    let sentence = "The loop had settled: slices came without a new generation.".to_owned();
    (stretch.len_s() > 1.0).then_some((stretch, sentence))
}
