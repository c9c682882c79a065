//! What is printed while a proxy runs: sentences, one live line for each session, or JSON.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::ProxyMessage;
use crate::app::Outcome;
use crate::cli::stderr::Stderr;
use crate::cli::stdout::json_line;
use crate::diagnosis::Class;
use crate::edge::proxy::{ProxyNotice, SessionStatus};
use crate::parse::shell;
use crate::report::text::{self, Bytes, Figure, Name, OneLine, Tenths};

/// Version of the form of `--json`.
const SCHEMA: u32 = 1;

pub struct ProxyDisplay {
    is_json: bool,
    stderr: Stderr,
    lines: MultiProgress,
    sessions: Vec<Shown>,
    pub outcome: Outcome,
}

/// A session that streams.
struct Shown {
    session: u64,
    line: ProgressBar,
    /// The cause that was told of last.
    cause: Option<Class>,
}

impl ProxyDisplay {
    /// Sentences and live lines, or JSON on stdout.
    pub fn new(is_json: bool, stderr: Stderr) -> Self {
        let target = match std::io::stderr().is_terminal() && !is_json && !stderr.is_kept() {
            true => ProgressDrawTarget::stderr_with_hz(10),
            false => ProgressDrawTarget::hidden(),
        };
        let lines = MultiProgress::with_draw_target(target);
        ProxyDisplay { is_json, stderr, lines, sessions: Vec::new(), outcome: Outcome::Healthy }
    }

    pub(super) fn show(&mut self, message: ProxyMessage, out: &mut dyn Write) -> Result<()> {
        let notice = match message {
            ProxyMessage::Listening(address) => return self.listening(address, out),
            ProxyMessage::Notice(notice) => notice,
        };
        match &notice {
            ProxyNotice::Trouble { session: Some(_), .. } => self.outcome = Outcome::Failed,
            ProxyNotice::Closed { episodes: 1.., .. } => {
                self.outcome = self.outcome.min(Outcome::Lag);
            }
            // A connection that never was a session has no end that counts.
            ProxyNotice::Closed { ending, streamed_s: Some(_), .. } if ending.abnormal => {
                self.outcome = self.outcome.min(Outcome::EndedAbnormally);
            }
            _ => {}
        }
        if self.is_json {
            print_json(&notice, out)?;
        }
        let cause = self.follow(&notice);
        if let Some(cause) = cause.filter(|_| !self.is_json) {
            self.lines.suspend(|| self.stderr.say(&cause));
        }
        if let Some(sentence) = sentence_of(&notice)
            .filter(|_| !self.is_json || matches!(notice, ProxyNotice::Trouble { .. }))
        {
            self.lines.suspend(|| match notice {
                ProxyNotice::Trouble { .. } => self.stderr.complain(&sentence),
                _ => self.stderr.say_lines(&sentence),
            });
        }
        Ok(())
    }

    /// Programs that start the proxy read the address from the first line.
    fn listening(&self, address: SocketAddr, out: &mut dyn Write) -> Result<()> {
        if self.is_json {
            #[derive(Serialize)]
            #[serde(tag = "type", rename = "listening")]
            struct Listening {
                address: SocketAddr,
            }
            return print_json(&Listening { address }, out);
        }
        writeln!(out, "ws://{address}")?;
        out.flush()?;
        self.stderr.say(&format!("next: connect a client to ws://{address} in place of the server, or open http://{address}"));
        Ok(())
    }

    /// Keeps a line for each session that streams. Returns what is known of its cause, where that is new.
    fn follow(&mut self, notice: &ProxyNotice) -> Option<String> {
        match notice {
            ProxyNotice::Status(status) => {
                let found = self.sessions.iter().position(|shown| shown.session == status.session);
                let place = found.unwrap_or_else(|| {
                    let style = ProgressStyle::with_template("{wide_msg}");
                    let line = ProgressBar::no_length()
                        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                    let line = self.lines.add(line);
                    self.sessions.push(Shown { session: status.session, line, cause: None });
                    self.sessions.len() - 1
                });
                let shown = self.sessions.get_mut(place)?;
                shown.line.set_message(status_line(status));
                shown.learn(status)
            }
            ProxyNotice::Closed { session, .. } => {
                for shown in self.sessions.extract_if(.., |shown| shown.session == *session) {
                    shown.line.finish_and_clear();
                    self.lines.remove(&shown.line);
                }
                None
            }
            _ => None,
        }
    }
}

impl Shown {
    /// What is new of the cause: it was found, was another, or is none any more.
    fn learn(&mut self, status: &SessionStatus) -> Option<String> {
        let cause = status.finding.as_ref().map(|finding| finding.class);
        let was = std::mem::replace(&mut self.cause, cause);
        let session = self.session;
        match (&status.finding, was) {
            (Some(finding), was) if was != Some(finding.class) => Some(format!(
                "session {session}: cause so far: {} since {} s",
                finding.class,
                Tenths(finding.from_s)
            )),
            (None, Some(was)) => {
                Some(format!("session {session}: {was} is not the cause any more"))
            }
            _ => None,
        }
    }
}

fn print_json(value: &impl Serialize, out: &mut dyn Write) -> Result<()> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        schema: u32,
        #[serde(flatten)]
        value: &'a T,
    }
    json_line(out, &Line { schema: SCHEMA, value })?;
    Ok(out.flush()?)
}

/// A session in one line, the most important first because a terminal cuts the rest.
fn status_line(status: &SessionStatus) -> String {
    let seconds = |value: Option<f64>| value.map_or("–".to_owned(), |s| Figure(s).to_string());
    let verdict = if status.is_lagging { "LAG" } else { "ok" };
    let in_flight = match status.in_flight_bytes {
        Some(bytes) => format!("{} in flight", Bytes(bytes)),
        None => "no acks".to_owned(),
    };
    let mut line = format!(
        "{}  {} s  {verdict}  lead {} p5 {} s  {} s old  {:.0} slices/s  {in_flight}  params {:.0}/s",
        status.session,
        Figure(status.at_s),
        seconds(status.lead_s),
        seconds(status.lead_p5_s),
        seconds(status.staleness_s),
        status.slices_per_s,
        status.params_per_s,
    );
    if let Some(finding) = &status.finding {
        line.push_str(&format!("  {} since {} s", finding.class, Tenths(finding.from_s)));
    }
    if status.lost > 0 {
        line.push_str(&format!("  {} not recorded", status.lost));
    }
    if let Some(event) = &status.last_event {
        line.push_str("  ");
        line.push_str(&OneLine(event).to_string());
    }
    line
}

/// A notice as a sentence, unless it only updates the live line.
fn sentence_of(notice: &ProxyNotice) -> Option<String> {
    Some(match notice {
        ProxyNotice::Status(_) => return None,
        ProxyNotice::Opened { session, client, url } => {
            format!("session {session}: {client} asks for {}", OneLine(url))
        }
        ProxyNotice::Recording { session, capture, .. } => {
            format!("session {session}: recording to {}", Name(capture))
        }
        ProxyNotice::LagBegan { session, at_s, what } => {
            format!("session {session}: LAG since {} s: {}", Tenths(*at_s), text::what_so_far(what))
        }
        ProxyNotice::LagEnded { session, at_s, lasted_s, bad_s } => format!(
            "session {session}: the lag is over since {} s; it lasted {} s, {} s of it heard bad",
            Tenths(*at_s),
            Figure(*lasted_s),
            Figure(*bad_s)
        ),
        ProxyNotice::Lost { session, messages, bytes } => format!(
            "session {session}: {messages} messages ({}) were forwarded and not recorded; \
             this machine is too busy",
            Bytes(*bytes)
        ),
        ProxyNotice::Trouble { session: Some(session), sentence }
        | ProxyNotice::Recorder { session, sentence, .. } => {
            format!("session {session}: {}", OneLine(sentence))
        }
        ProxyNotice::Trouble { session: None, sentence } => OneLine(sentence).to_string(),
        ProxyNotice::Closed {
            session,
            reason,
            streamed_s,
            messages,
            episodes,
            bad_s,
            ending,
            captures,
        } => {
            let what = match (streamed_s, episodes) {
                (Some(s), 0) if ending.abnormal => {
                    format!("nothing stale or late was heard in {} s", Figure(*s))
                }
                (None, _) => format!("{messages} messages, no stream"),
                (Some(s), 0) => format!("healthy for {} s", Figure(*s)),
                (Some(s), 1) => {
                    format!("1 spell of LAG in {} s, {} s heard bad", Figure(*s), Figure(*bad_s))
                }
                (Some(s), more) => format!(
                    "{more} spells of LAG in {} s, {} s heard bad",
                    Figure(*s),
                    Figure(*bad_s)
                ),
            };
            let next = captures.last().map_or(String::new(), |capture| {
                let capture = shell::file(&capture.to_string_lossy());
                format!("\nnext: lagtape analyze {}", OneLine(&capture))
            });
            let reason = OneLine(reason);
            let ended = match ending.headline() {
                Some(headline) => format!("{headline} ({reason})"),
                None => format!("over, {reason}"),
            };
            let lines: String = ending.lines().iter().map(|line| format!("\n{line}")).collect();
            format!("session {session}: {ended}: {what}{lines}{next}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::proxy::PresentFinding;

    fn status(class: Option<Class>) -> SessionStatus {
        let finding = class.map(|class| PresentFinding {
            class,
            subsystem: class.subsystem(),
            from_s: 1.5,
            audible: false,
            confidence: 0.0,
            sentence: String::new(),
        });
        SessionStatus {
            session: 7,
            at_s: 3.0,
            lead_s: None,
            lead_p5_s: None,
            staleness_s: None,
            slices_per_s: 0.0,
            in_flight_bytes: None,
            params_per_s: 30.0,
            last_event: None,
            is_lagging: true,
            finding,
            lost: 0,
        }
    }

    #[test]
    fn a_cause_is_told_once_and_corrected() {
        let (first, second) = (Class::StalePlayhead, Class::GenerationStall);
        let mut shown = Shown { session: 7, line: ProgressBar::hidden(), cause: None };
        let told = [None, Some(first), Some(first), Some(second), None, None]
            .map(|class| shown.learn(&status(class)));
        let so_far = |class| Some(format!("session 7: cause so far: {class} since 1.5 s"));
        let withdrawn = Some(format!("session 7: {second} is not the cause any more"));
        assert_eq!(told, [None, so_far(first), None, so_far(second), withdrawn, None]);
    }
}
