//! Content: swaps, sources and windows; and the healthy pauses that look like incidents.

use crate::diagnosis::class::Class;
use crate::diagnosis::finding::{DiagnosisNote, HealthyPattern};
use crate::diagnosis::suspect::{Suspect, rounded};
use crate::diagnosis::view::{
    BufferRow, DriftRow, SETTLED_S, SliceRow, Stretch, View, folded, quantile,
};

/// A new buffer that holds up slices for this long is more than a swap takes, in seconds: a server
/// encodes the new source for up to 0.4 s.
const HELD_UP_S: f64 = 0.6;
/// The first slice of a buffer that comes later than this is late, in seconds: the first of a session
/// takes up to 1 s.
const FIRST_SLICE_S: f64 = 1.5;
/// Slices of the old source may be on their way for this long after a swap, in seconds.
const ON_THEIR_WAY_S: f64 = 0.35;
/// So many of them are no accident.
const STRAYS: usize = 4;
/// How closely a slice goes on where the one before was, in seconds: the position rests while the swap is
/// prepared, for up to 0.4 s.
const GOES_ON_S: f64 = 0.5;
/// Roundings of watched samples that tell of the server's coding, at least, and the share of these that one
/// makes up for by chance that does not know its client: 3 of 90,000 of a real one. One that does makes up
/// for 9 of 10; lagtape's own, which takes most of its client's rounding over, for 1 of 32.
const ROUNDINGS: u64 = 100;
const MADE_UP_FOR: f64 = 0.003;
/// Samples of raw slices that are compared, at least, and how many times what rounding leaves is drift.
const COMPARED: u64 = 100;
const BEYOND_ROUNDING: f64 = 3.0;
/// A window is oversize from this length on, in seconds; servers use 0.36 s.
const OVERSIZE_S: f64 = 1.0;

pub fn suspects(view: &View) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    for (number, buffer) in view.buffers.iter().enumerate() {
        let held = if number > 0 { held_up(view, buffer) } else { None };
        let bleeds = number > 0 && held.is_none();
        let old = bleeds.then(|| old_audio(view, buffer).or_else(|| old_track(view, buffer)));
        suspects.extend(old.flatten());
        suspects.extend(held.or_else(|| never_covered(view, buffer)));
    }
    suspects.extend(oversize(view));
    suspects.extend(drift(view));
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

/// Slices that bring what the old source held, wherever they go.
fn old_audio(view: &View, buffer: &BufferRow) -> Option<Suspect> {
    let (count, last_s, last) = buffer.old_audio?;
    let lasts_s = last_s - buffer.t_s;
    if lasts_s < ON_THEIR_WAY_S || count < STRAYS as f64 {
        return None;
    }
    let stretch = Stretch { from_s: buffer.t_s, to_s: last_s };
    let sentence = format!(
        "After the swap at {:.2} s, {count} slices still brought what the old source held there, for \
         {lasts_s:.2} s: old content was written into the new buffer.",
        buffer.t_s
    );
    let first = view.slices_in(stretch).first().map(|slice| slice.seq);
    Some(
        Suspect::new(Class::OldTrackBleed, stretch, 0.95, sentence)
            .link("The generator goes on with the old source", &[("slices", count)], first)
            .link("Its audio lands in the new buffer", &[("lasts_s", lasts_s)], [last])
            .apart(Class::SeekLeadRunaway, "they hold what the old source held")
            .apart(Class::SwapHeadOfLine, "slices came at their usual rate"),
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
    if lasts_s < ON_THEIR_WAY_S || count < STRAYS {
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

/// The client's audio departs from what the server codes against: what rounding leaves is never made up
/// for, or raw slices show it.
fn drift(view: &View) -> Option<Suspect> {
    let DriftRow { seen, stretch, records } = view.drift?;
    let told = seen.corrected + seen.uncorrected;
    let is_coded_blindly = told >= ROUNDINGS && seen.corrected as f64 <= MADE_UP_FOR * told as f64;
    let (error, rounding) = seen.error_rms().unwrap_or_default();
    let is_off = seen.compared >= COMPARED && error > BEYOND_ROUNDING * rounding;
    if !is_coded_blindly && !is_off {
        return None;
    }
    let blind = format!(
        "of {told} samples that were sent twice the second delta made up for the rounding of the first in \
         {}, and left an error of {:.1e} each time",
        seen.corrected,
        seen.uncorrected_rms().unwrap_or(0.0)
    );
    let off = format!(
        "raw slices lie {error:.1e} (root mean square) from what deltas had made of the same audio, \
         rounding alone leaves {rounding:.1e}"
    );
    let shown = match (is_coded_blindly, is_off) {
        (true, true) => format!("{blind}; {off}"),
        (true, false) => blind,
        _ => off,
    };
    let sentence =
        format!("The client's audio is not what the server codes its deltas against: {shown}.");
    let coded = [("made_up_for", seen.corrected as f64), ("left", seen.uncorrected as f64)];
    let errors = [("error_rms", error), ("error_max", seen.error_max), ("rounding_rms", rounding)];
    let left = [("error_per_delta_rms", seen.uncorrected_rms().unwrap_or(0.0))];
    let confidence = if is_coded_blindly { 0.95 } else { 0.75 };
    let suspect = Suspect::new(Class::MirrorDrift, stretch, confidence, sentence)
        .link("Deltas are coded against what was wanted, not what arrived", &coded, records)
        .link(
            "The error of each rounding stays and adds up",
            if is_off { &errors } else { &left },
            [],
        )
        .apart(Class::OldTrackBleed, "slices lie where they should, and the audio is nearly right");
    Some(if is_coded_blindly {
        suspect
    } else {
        suspect.against("the audio itself may have changed by as little", 0.0)
    })
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
