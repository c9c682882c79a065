//! What became of a replay, as a person reads it.

use std::fmt::{self, Write as _};

use super::format::{Figure, OneLine, plural};
use crate::peer::replay::{ActionCounts, Difference, Divergence, Drift};

/// Prints a divergence.
#[must_use]
pub fn text(divergence: &Divergence) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(divergence, &mut out);
    out
}

fn write(divergence: &Divergence, out: &mut String) -> fmt::Result {
    writeln!(out, "{}", answer(divergence))?;
    if let Some(difference) = &divergence.first_difference {
        write_difference(difference, out)?;
    }
    let ticks = divergence.ticks;
    writeln!(out, "\n  messages   {}", counts(&divergence.actions))?;
    writeln!(out, "  knobs      {}", counts(&divergence.knobs))?;
    writeln!(out, "  reports    {} recorded, {} now", ticks.recorded, ticks.live)?;
    if let Some(drift) = &divergence.position {
        writeln!(out, "  position   {}", position(drift))?;
    }
    clock(divergence, out)?;
    if !divergence.unanswered.is_empty() {
        let kinds: Vec<_> = divergence.unanswered.iter().map(|k| OneLine(k).to_string()).collect();
        writeln!(out, "not sent, since the client did not: {}", kinds.join(", "))?;
    }
    if divergence.left_out > 0 {
        let left_out = divergence.left_out;
        let plural = plural(left_out as usize);
        writeln!(out, "{left_out} message{plural} could not be sent: not whole in the recording")?;
    }
    Ok(())
}

fn answer(divergence: &Divergence) -> String {
    let how = if divergence.strayed {
        "the client's playhead was ELSEWHERE than the recorded one"
    } else if divergence.same {
        "the client did what the recorded one did"
    } else {
        "the client did OTHERWISE than the recorded one"
    };
    let far = match (divergence.rounds, divergence.whole) {
        (0, true) => "to the end".to_owned(),
        (0, false) => "cut short".to_owned(),
        (rounds, _) => format!("begun again {rounds}×; compared up to the first time"),
    };
    let from = match divergence.from_s {
        0.0 => String::new(),
        from_s => format!(" from {} s", Figure(from_s)),
    };
    format!("{how} · {} s played{from}, {far}", Figure(divergence.played_s))
}

fn write_difference(difference: &Difference, out: &mut String) -> fmt::Result {
    let told = |side: &Option<String>| match side {
        Some(text) => OneLine(text).to_string(),
        None => "nothing".to_owned(),
    };
    writeln!(out, "\n  first at {} s, in {}:", Figure(difference.at_s), OneLine(&difference.what))?;
    writeln!(out, "    recorded  {}", told(&difference.recorded))?;
    writeln!(out, "    now       {}", told(&difference.live))
}

fn counts(counts: &ActionCounts) -> String {
    let ActionCounts { recorded, live, equal, most_apart_s } = *counts;
    if recorded == 0 && live == 0 {
        return "none".to_owned();
    }
    let apart = match most_apart_s {
        _ if equal == 0 => String::new(),
        s if s < 0.0 => format!(", at most {} ms earlier", Figure(-s * 1e3)),
        s => format!(", at most {} ms later", Figure(s * 1e3)),
    };
    format!("{recorded} recorded, {live} now, the first {equal} equal{apart}")
}

fn position(drift: &Drift) -> String {
    let ms = |s: f64| Figure(s * 1e3).to_string();
    format!(
        "{} ms from the recorded one at first, {} at last, {} at most",
        ms(drift.first_s),
        ms(drift.last_s),
        ms(drift.most_s)
    )
}

fn clock(divergence: &Divergence, out: &mut String) -> fmt::Result {
    let time = &divergence.time;
    let asked = time.asked_rate.map_or("as fast as it reads".to_owned(), |rate| rate.to_string());
    let achieved = time.achieved_rate.map_or("unknown".to_owned(), |rate| rate.to_string());
    writeln!(
        out,
        "  clock      rate {asked} asked, {achieved} achieved\n             {} message{}, late by {} ms on average and {} ms at most",
        time.sent,
        plural(time.sent as usize),
        Figure(time.late_mean_ms),
        Figure(time.late_max_ms)
    )?;
    let spells = [
        (time.slowed_s, "slowed by", "since nobody kept up"),
        (time.waited_s, "held for", "until the client had done its part"),
        (time.paused_s, "paused for", "as told"),
    ];
    for (s, what, why) in spells.into_iter().filter(|(s, ..)| *s > 0.0) {
        writeln!(out, "             {what} {} s {why}", Figure(s))?;
    }
    Ok(())
}
