//! What stderr shows while a session is recorded: one line on a terminal, every notice of the
//! recorder at once, and for programs a status line at intervals.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use serde_json::json;

use super::charset::drawn;
use super::looks::USUAL_COLUMNS;
use super::stderr::Stderr;
use crate::diagnosis::{Diagnosis, Finding};
use crate::edge::record::RecordingWatch;
use crate::edge::recorder::{RecorderNotice, RecorderStatus};
use crate::lag::stats::round;
use crate::peer::client::Client;
use crate::report::json_text;
use crate::report::text::{Bytes, Figure};
use crate::time::{Nanos, Span};

/// Time between two drawings of the line.
const REDRAW: Span = Span(100_000_000);
/// Time between two diagnoses.
const DIAGNOSE: Span = Span(1_000_000_000);
/// Cells of the bar.
const BAR: usize = 12;
/// Columns left free at the end of the line: the terminal echoes `^C` there, and a line that it
/// made longer than the terminal is wide could not be cleared.
const MARGIN: usize = 3;

/// Shows one recording on stderr.
pub struct RecordingDisplay {
    stderr: Stderr,
    run_for: Option<Span>,
    notices: Option<Receiver<RecorderNotice>>,
    /// Files that began since they were asked for.
    begun: Vec<PathBuf>,
    status: RecorderStatus,
    status_every: Option<Span>,
    status_due: Nanos,
    draws: bool,
    draw_due: Nanos,
    finding: Option<Finding>,
    finding_due: Nanos,
}

impl RecordingDisplay {
    /// A display of a session that ends after `run_for`.
    pub fn new(stderr: Stderr, run_for: Option<Span>) -> Self {
        RecordingDisplay {
            stderr,
            run_for,
            notices: None,
            begun: Vec::new(),
            status: RecorderStatus::default(),
            status_every: None,
            status_due: Nanos(0),
            draws: std::io::stderr().is_terminal() && !stderr.is_kept(),
            draw_due: Nanos(0),
            finding: None,
            finding_due: Nanos(0),
        }
    }

    /// The same display, which also prints the notices of the recorder, and its status at intervals.
    pub fn with_notices(
        self,
        notices: Receiver<RecorderNotice>,
        status_every: Option<Span>,
    ) -> Self {
        RecordingDisplay { notices: Some(notices), status_every, ..self }
    }

    /// Updates the display.
    fn show(&mut self, client: &Client, now: Nanos) {
        self.print_notices();
        if (self.draws || self.status_every.is_some()) && now >= self.finding_due {
            self.finding_due = now.checked_add(DIAGNOSE).unwrap_or(Nanos(u64::MAX));
            self.finding = Diagnosis::present(client.engine(), now);
        }
        if let Some(period) = self.status_every.filter(|_| now >= self.status_due) {
            self.status_due = now.checked_add(period).unwrap_or(Nanos(u64::MAX));
            self.clear();
            self.stderr.say(&status_line(client, &self.status, self.finding.as_ref(), now));
        }
        if self.draws && now >= self.draw_due {
            self.draw_due = now.checked_add(REDRAW).unwrap_or(Nanos(u64::MAX));
            self.draw(&self.line(client, now));
        }
    }

    /// The files that have begun since the last call, but for the one that a recording begins with.
    pub fn begun(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.begun)
    }

    /// Prints the last notices and leaves an empty line.
    pub fn end(mut self) {
        self.print_notices();
        self.clear();
    }

    fn print_notices(&mut self) {
        let news: Vec<_> = self.notices.iter().flat_map(Receiver::try_iter).collect();
        for notice in news {
            if let RecorderNotice::Status(status) = notice {
                self.status = status;
                continue;
            }
            self.begun.extend(notice.begun().map(Path::to_owned));
            self.clear();
            match notice.is_trouble() {
                true => self.stderr.complain(&notice.to_string()),
                false => self.stderr.say(&notice.to_string()),
            }
        }
    }

    fn line(&self, client: &Client, now: Nanos) -> String {
        let failing = if self.status.failing.is_some() { "  DISK FAILS" } else { "" };
        let Some(origin) = client.engine().origin() else {
            return format!(
                "waiting for the server's ready … {:.0} s (a cold engine can take minutes){failing}",
                now.seconds()
            );
        };
        let played_s = now.seconds_since(origin);
        let played = match self.run_for {
            Some(run_for) => format!(
                "{} {} s of {} s",
                bar(played_s / run_for.seconds()),
                Figure(played_s),
                Figure(run_for.seconds())
            ),
            None => format!("{} s, Ctrl-C stops", Figure(played_s)),
        };
        let facts = client.engine().facts();
        let lead =
            last_lead_s(client).map_or("none yet".to_owned(), |s| format!("{} s", Figure(s)));
        let per_s = |count: u64| if played_s > 0.0 { (count as f64 / played_s) as u64 } else { 0 };
        let finding = self.finding.as_ref().map_or(String::new(), |it| format!("  {}", it.class));
        format!(
            "recording {played}  lead {lead}{finding}  {} slices/s  {}/s{failing}",
            per_s(facts.slices),
            Bytes(per_s(facts.slice_bytes))
        )
    }

    fn draw(&self, line: &str) {
        let width = terminal_size::terminal_size_of(std::io::stderr())
            .map_or(USUAL_COLUMNS, |(terminal_size::Width(columns), _)| usize::from(columns));
        let shown: String = line.chars().take(width.saturating_sub(MARGIN)).collect();
        self.put(&format!("\r{shown}\u{1b}[K"));
    }

    fn clear(&self) {
        if self.draws {
            self.put("\r\u{1b}[K");
        }
    }

    fn put(&self, text: &str) {
        let mut stderr = std::io::stderr();
        // An error is ignored: a closed stderr has no reader.
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

impl RecordingWatch for &mut RecordingDisplay {
    fn connecting(&mut self) {
        self.stderr.say("this takes the server over from whoever is listening on it");
    }

    fn see(&mut self, client: &Client, now: Nanos) {
        self.show(client, now);
    }
}

fn bar(share: f64) -> String {
    let done = ((share * BAR as f64) as usize).min(BAR);
    let bar = format!("{}{}", "█".repeat(done), "░".repeat(BAR - done));
    drawn(&bar).into_owned()
}

fn last_lead_s(client: &Client) -> Option<f64> {
    let epoch = client.engine().epochs().last()?;
    epoch.tracker.slices().next_back().map(|slice| slice.lead_s)
}

/// The state of a recording as one line of JSON.
fn status_line(
    client: &Client,
    status: &RecorderStatus,
    finding: Option<&Finding>,
    now: Nanos,
) -> String {
    let engine = client.engine();
    let epoch = engine.epochs().last();
    json_text(&json!({ "status": {
        "t_s": engine.origin().map(|origin| round(now.seconds_since(origin), 3)),
        "recording": status,
        "slices": engine.facts().slices,
        "ticks": engine.facts().ticks,
        "lead_s": last_lead_s(client),
        "finding": finding.map(|finding| finding.class),
        "finding_from_s": finding.map(|finding| finding.from_s),
        "staleness_s": epoch.and_then(|epoch| Some(epoch.tracker.ticks().next_back()?.staleness_s)),
    }}))
}
