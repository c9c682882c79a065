//! The analysis as text for people: the first line is the answer, figures follow, and the last lines
//! suggest what to run next. At most 80 columns where possible; no meaning depends on colour.

use std::fmt::{self, Write as _};

use super::data::Analysis;
pub use super::findings::{causes, diagnosis, headline};
use super::format::plural;
pub use super::format::{Bytes, Figure, Lines, Name, OneLine, RecordCount, Tenths, wrapped};
use super::warnings::Warning;
use crate::capture::{ClientKind, Marker};
use crate::heard::{LagKind, OldAudio, SILENCE_S};
use crate::lag::{Figures, LagReport, TimelineRow};
use crate::playhead::PlayheadSource;
use crate::verdict::Verdict;

/// Episodes printed before the rest is only counted.
const MAX_EPISODES: usize = 12;
/// Spans of a resting server printed before the rest is only counted.
const MAX_IDLE_SPANS: usize = 2;
/// Warnings and events printed before the rest is only counted.
const MAX_LINES: usize = 8;

/// Prints `analysis`; `next` are commands worth trying, most useful first.
#[must_use]
pub fn analysis(analysis: &Analysis, next: &[String]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = Page { analysis, next }.write(&mut out);
    out
}

/// The answer in one line, or in a few where the session ended as it should not.
#[must_use]
pub fn opening(analysis: &Analysis) -> String {
    Page { analysis, next: &[] }.opening()
}

struct Page<'a> {
    analysis: &'a Analysis,
    next: &'a [String],
}

impl Page<'_> {
    fn write(&self, out: &mut String) -> fmt::Result {
        self.title(out)?;
        writeln!(out, "\n{}", self.opening())?;
        self.short_holes(out)?;
        self.episodes(out)?;
        if !self.analysis.diagnosis.findings.is_empty() {
            write!(out, "\n{}", causes(&self.analysis.diagnosis))?;
        }
        if let Some(arrivals) = &self.analysis.arrivals {
            writeln!(out, "\n{}", arrivals.lines().join("\n"))?;
        }
        if let Some(lag) = &self.analysis.lag {
            writeln!(out)?;
            self.figures(lag, out)?;
            self.timeline(lag, out)?;
        }
        writeln!(out)?;
        self.footing(out)?;
        self.warnings(out)?;
        for (i, command) in self.next.iter().enumerate() {
            writeln!(out, "{} {}", if i == 0 { "next:" } else { "     " }, OneLine(command))?;
        }
        Ok(())
    }

    fn title(&self, out: &mut String) -> fmt::Result {
        let analysis = self.analysis;
        let end = Figure(analysis.report_at_s);
        let covers = match analysis.session.begins_s {
            Some(begins_s) => format!("{} – {end} s", Figure(begins_s)),
            None => format!("{end} s"),
        };
        let mut facts = vec![OneLine(&analysis.capture).to_string(), covers];
        if let Some(epoch) = analysis.epochs.last() {
            let rate = f64::from(analysis.session.sample_rate.unwrap_or_default()) / 1e3;
            facts.push(format!(
                "{} s loop, {rate} kHz {}",
                Figure(epoch.loop_s),
                channels(epoch.channels)
            ));
        }
        facts.push(match analysis.session.client {
            Some(ClientKind::Headless) => "headless client".to_owned(),
            Some(ClientKind::Foreign) => "foreign client".to_owned(),
            None => "unknown client".to_owned(),
        });
        facts.push(match (&analysis.damage, analysis.complete) {
            (Some(damage), _) => format!("damaged at byte {}", damage.offset),
            (None, true) => "complete".to_owned(),
            (None, false) => "incomplete".to_owned(),
        });
        writeln!(out, "{}", facts.join(" · "))
    }

    /// How the session ended, where it should not have ended so, and the answer.
    fn opening(&self) -> String {
        let (ending, answer) = (&self.analysis.ending, self.answer());
        let opening = match ending.headline() {
            Some(ended) if self.analysis.verdict.lag != Some(false) => format!("{ended}\n{answer}"),
            Some(ended) => format!("{ended} · nothing stale or late was heard until then"),
            None => answer,
        };
        [opening].into_iter().chain(ending.lines()).collect::<Vec<_>>().join("\n")
    }

    fn answer(&self) -> String {
        let analysis = self.analysis;
        if let Some(refusal) = &analysis.session.refusal {
            return format!("no stream: the server refused the session ({})", OneLine(refusal));
        }
        if let Some(why) = &analysis.verdict.why {
            let is_dry = analysis.lag.is_none() && analysis.arrivals.is_none();
            let what = if is_dry && !analysis.audio_is_missing { "stream" } else { "verdict" };
            return format!("no {what}: {}", OneLine(why));
        }
        if !analysis.verdict.is_lag() {
            let healthy = || "healthy: nothing stale or late was heard".to_owned();
            return analysis.family.ended().unwrap_or_else(healthy);
        }
        format!("LAG  {}", lag(&analysis.verdict, analysis.covered_s()))
    }

    /// What was bad and is too short for an alarm.
    fn short_holes(&self, out: &mut String) -> fmt::Result {
        let Some(heard) = &self.analysis.heard else { return Ok(()) };
        let report = &heard.report;
        let short = || report.episodes.iter().filter(|episode| !episode.alarm);
        let (count, s) = (short().count(), short().map(|episode| episode.bad_s).sum::<f64>());
        if count == 0 {
            return Ok(());
        }
        let at_seam = match report.seam.count {
            0 => String::new(),
            seam if seam == count as u64 => " where the loop begins".to_owned(),
            seam => format!(" ({seam} where the loop begins)"),
        };
        writeln!(
            out,
            "{count} short hole{}{at_seam}, {} s together: too short for lag",
            plural(count),
            Figure(s)
        )
    }

    fn episodes(&self, out: &mut String) -> fmt::Result {
        let episodes = &self.analysis.verdict.episodes;
        if !episodes.is_empty() {
            writeln!(out)?;
        }
        for episode in episodes.iter().take(MAX_EPISODES) {
            let span = format!("{} – {} s", Tenths(episode.from_s), Tenths(episode.to_s));
            writeln!(out, "  {span:>15}   {}", what(&episode.what))?;
        }
        if let Some(more) = episodes.len().checked_sub(MAX_EPISODES).filter(|&more| more > 0) {
            writeln!(out, "  and {more} more; --json lists them all")?;
        }
        Ok(())
    }

    fn figures(&self, lag: &LagReport, out: &mut String) -> fmt::Result {
        let shape = &self.analysis.trend;
        let leads = &self.analysis.leads;
        if let Some(lead) = leads.arrival {
            let figures = lead_figures(&lead);
            writeln!(out, "  lead       {figures:<34} {}", bars(&shape.lead_s, 0.25))?;
        }
        let is_foreign = self.analysis.session.client == Some(ClientKind::Foreign);
        if let Some(lead) = leads.client.filter(|_| is_foreign) {
            writeln!(out, "  as applied {}", lead_figures(&lead))?;
        }
        if let Some(age) = lag.ticks.staleness_s {
            let figures = format!(
                "p50 {}   p95 {}   max {} s",
                Figure(age.p50),
                Figure(age.p95),
                Figure(age.max)
            );
            writeln!(out, "  staleness  {figures:<34} {}", bars(&shape.staleness_s, 1.0))?;
        }
        for line in self.analysis.family.figures() {
            writeln!(out, "  {line}")?;
        }
        let mut facts = vec![slices(lag)];
        if let Some(tick) = lag.slices.tick_ms {
            facts.push(format!("tick {} ms p95", Figure(tick.p95)));
        }
        facts.push(format!(
            "{} ticks at {}/s",
            lag.ticks.count,
            Figure(self.analysis.rates.ticks_per_s)
        ));
        writeln!(out, "  slices     {}", facts.join("   "))?;
        let traffic = &self.analysis.traffic;
        writeln!(
            out,
            "  traffic    {} down, {} up",
            Bytes(traffic.server_to_client.bytes),
            Bytes(traffic.client_to_server.bytes)
        )?;
        if let Some(round_trip) = &self.analysis.round_trip {
            writeln!(out, "  round trip {round_trip}")?;
        }
        self.idle(out)
    }

    /// When the server rested, which looks like a stall and is none.
    fn idle(&self, out: &mut String) -> fmt::Result {
        let spans = &self.analysis.idle;
        let shown = spans.iter().take(MAX_IDLE_SPANS);
        let shown = shown.map(|idle| format!("{} – {} s", Tenths(idle.from_s), Tenths(idle.to_s)));
        let shown = shown.collect::<Vec<_>>().join(", ");
        match spans.len() {
            0 => Ok(()),
            1..=MAX_IDLE_SPANS => {
                writeln!(out, "  idle       {shown}: the server rests, as nothing is changed")
            }
            count => writeln!(out, "  idle       {shown} and {} more", count - MAX_IDLE_SPANS),
        }
    }

    fn timeline(&self, lag: &LagReport, out: &mut String) -> fmt::Result {
        let Some(rows) = lag.timeline.as_ref().filter(|rows| !rows.is_empty()) else {
            return Ok(());
        };
        writeln!(out, "\n  until s   slices   lowest lead   oldest heard   playhead")?;
        for row in rows {
            self.timeline_row(row, out)?;
        }
        Ok(())
    }

    fn timeline_row(&self, row: &TimelineRow, out: &mut String) -> fmt::Result {
        let optional = |value: Option<f64>| {
            value.map_or(String::new(), |value| format!("{} s", Figure(value)))
        };
        let line = format!(
            "  {:>7} {:>8}   {:>11}   {:>12}   {:>8}",
            Tenths(self.analysis.report_at_s - row.t_ago_s).to_string(),
            row.slices.map_or(String::new(), |slices| slices.to_string()),
            optional(row.min_lead_s),
            optional(row.max_staleness_s),
            optional(row.playhead_s),
        );
        writeln!(out, "{}", line.trim_end())
    }

    /// How the figures came about.
    fn footing(&self, out: &mut String) -> fmt::Result {
        let analysis = self.analysis;
        let source = match analysis.playhead.source {
            PlayheadSource::Simulated => "simulated",
            PlayheadSource::Reported => "as the client reported it",
        };
        let ops: Vec<_> = analysis
            .playhead
            .ops
            .iter()
            .take(MAX_LINES)
            .map(|op| operation(op.t_s, &op.op))
            .collect();
        let ops = if ops.is_empty() { String::new() } else { format!(", with {}", ops.join(", ")) };
        let why = match analysis.playhead.source {
            PlayheadSource::Simulated => String::new(),
            PlayheadSource::Reported => format!(": {}", OneLine(&analysis.playhead.why)),
        };
        if analysis.arrivals.is_none() {
            writeln!(out, "playhead: {source}{ops}{why}")?;
        }
        if analysis.headers_only {
            writeln!(
                out,
                "slices: read by their headers only; corrupt payloads would go unnoticed"
            )?;
        }
        if let [.., before, last] = analysis.epochs.as_slice() {
            let swaps = analysis.epochs.len() - 1;
            writeln!(
                out,
                "{swaps} swap{}: figures are since the last one at {} s; before it lead p50 {} s",
                plural(swaps),
                Tenths(last.from_s),
                before
                    .lag
                    .slices
                    .lead_s
                    .map_or("unknown".to_owned(), |lead| Figure(lead.p50).to_string()),
            )?;
        }
        if let Some(line) = analysis.family.line() {
            writeln!(out, "{line}")?;
        }
        if let Some(line) = analysis.ending.footing() {
            writeln!(out, "{line}")?;
        }
        if analysis.decode_errors > 0 {
            writeln!(
                out,
                "{} message{} could not be used and changed nothing",
                analysis.decode_errors,
                plural(analysis.decode_errors as usize)
            )?;
        }
        Ok(())
    }

    fn warnings(&self, out: &mut String) -> fmt::Result {
        if let Some(damage) = &self.analysis.damage {
            writeln!(out, "damage: {}", OneLine(&damage.reason))?;
        }
        for Warning { count, message, .. } in self.analysis.warnings.iter().take(MAX_LINES) {
            if *count > 1 {
                writeln!(out, "note: {count} × {message}")?;
            } else {
                writeln!(out, "note: {message}")?;
            }
        }
        Ok(())
    }
}

fn slices(lag: &LagReport) -> String {
    match lag.slices.interval_s {
        Some(interval) => format!("{}, every {} ms", lag.slices.count, Figure(interval.p50 * 1e3)),
        None => lag.slices.count.to_string(),
    }
}

/// How long what was heard was bad, from when, and in how many episodes. A spell may have begun
/// before what is covered did.
#[must_use]
pub fn lag(verdict: &Verdict, covered_s: f64) -> String {
    let episodes = verdict.episodes.len();
    let onset = verdict.onset_s.map_or(String::new(), |s| format!(", from {} s", Tenths(s)));
    let covered = Figure(covered_s);
    let heard = match (bad_audio(verdict), verdict.bad_s) {
        (Some(heard), bad_s) => format!("{} s of {covered} s heard {heard}", Figure(bad_s)),
        // Slices behind the listener are not heard before the next lap.
        (None, _) => {
            format!("{} s of {covered} s with slices behind the listener", Figure(verdict.lag_s))
        }
    };
    format!("{heard}{onset}, in {episodes} episode{}", plural(episodes))
}

/// A word for the bad audio of the episodes, if there was some.
fn bad_audio(verdict: &Verdict) -> Option<&'static str> {
    let words = verdict.episodes.iter().filter_map(|episode| match episode.what {
        LagKind::Stale(_) => Some("stale"),
        LagKind::Raw(_) => Some("raw"),
        LagKind::OldTrack(_) => Some("of the old track"),
        LagKind::PastFrontier(_) => Some("past the frontier"),
        LagKind::Hole(_) => Some("in holes"),
        LagKind::Behind { .. } => None,
    });
    words.reduce(|one, other| match (one, other) {
        (one, other) if one == other => one,
        ("past the frontier" | "in holes", _) => "past the frontier or in holes",
        _ => "stale or raw",
    })
}

/// What was wrong, in words.
#[must_use]
pub fn what(what: &LagKind) -> String {
    told(what, slices_of)
}

/// Silence from which an episode that goes on may be the beginning of a stop: twice the longest interval of a
/// sound server, and less than has passed when a stop is heard.
const SHORT_SILENCE_S: f64 = 0.25;

/// What is wrong, as far as it is known while it goes on.
#[must_use]
pub fn what_so_far(what: &LagKind) -> String {
    told(what, |old| match old.silence_s {
        SILENCE_S.. => slices_of(old),
        SHORT_SILENCE_S.. => format!("no slices for {} s so far", Figure(old.silence_s)),
        _ => format!("{} so far", slices_of(old)),
    })
}

fn told(what: &LagKind, slices_of: impl Fn(&OldAudio) -> String) -> String {
    match what {
        LagKind::Stale(old) => format!("{}; {}", slices_of(old), grew_old(old)),
        LagKind::Raw(old) => format!("{}; the source itself was heard", slices_of(old)),
        LagKind::PastFrontier(old) => {
            format!("{}; the playhead passed the frontier", slices_of(old))
        }
        LagKind::Hole(_) => "a slice never came, and its hole was heard".to_owned(),
        LagKind::OldTrack(_) => "slices of the track before the swap were heard".to_owned(),
        LagKind::Behind { slices, of, worst_lead_s } => format!(
            "{slices} of {of} slices landed behind the listener, worst {} s",
            Figure(-worst_lead_s)
        ),
    }
}

fn slices_of(old: &OldAudio) -> String {
    if old.silence_s >= SILENCE_S {
        format!("no slices for {} s", Figure(old.silence_s))
    } else {
        "slices landed elsewhere".to_owned()
    }
}

fn grew_old(old: &OldAudio) -> String {
    format!("the audio heard grew {} s old", Figure(old.worst_staleness_s))
}

fn operation(t_s: f64, op: &Marker) -> String {
    let what = match op {
        Marker::Seek { to_s } => format!("a seek to {} s", Figure(*to_s)),
        Marker::Rate { rate } => format!("rate {rate}"),
        Marker::Pause => "a pause".to_owned(),
        Marker::Resume => "a resume".to_owned(),
        Marker::Point { name, .. } => format!("the mark \"{}\"", OneLine(name)),
    };
    format!("{what} at {} s", Tenths(t_s))
}

fn lead_figures(lead: &Figures) -> String {
    format!("p5 {}   p50 {}   p95 {} s", Figure(lead.p5), Figure(lead.p50), Figure(lead.p95))
}

fn channels(channels: u16) -> String {
    match channels {
        1 => "mono".to_owned(),
        2 => "stereo".to_owned(),
        more => format!("{more} channels"),
    }
}

/// One character a column, from the lowest value or zero to the highest or `least`, so that a
/// quiet stream looks quiet; blank where nothing was.
fn bars(values: &[Option<f64>], least: f64) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let known = || values.iter().flatten().copied().filter(|value| value.is_finite());
    let low = known().fold(0.0, f64::min);
    let high = known().fold(least, f64::max);
    let step = (high - low) / (LEVELS.len() - 1) as f64;
    let level =
        |value: f64| LEVELS[(((value - low) / step).round() as usize).min(LEVELS.len() - 1)];
    values.iter().map(|value| value.map_or(' ', level)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(silence_s: f64, so_far: &str, after: &str) {
        let old = OldAudio { ticks: 3, worst_staleness_s: 4.0, silence_s };
        let raw = "; the source itself was heard";
        assert_eq!(what_so_far(&LagKind::Raw(old)), format!("{so_far}{raw}"));
        assert_eq!(what(&LagKind::Raw(old)), format!("{after}{raw}"));
    }

    #[test]
    fn a_stop_that_just_began_is_not_told_as_slices_elsewhere() {
        check(0.07, "slices landed elsewhere so far", "slices landed elsewhere");
        check(0.57, "no slices for 0.57 s so far", "slices landed elsewhere");
        check(1.5, "no slices for 1.50 s", "no slices for 1.50 s");
    }
}
