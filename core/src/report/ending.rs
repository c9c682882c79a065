//! How the session ended, as data and in words.

use serde::Serialize;

use super::clock::ReportClock;
use super::format::{Bytes, Figure, OneLine, Tenths, plural};
use crate::capture::{Opcode, Party, UnderWay};
use crate::engine::{EndKind, EndWatch, Engine, Hearing, LateReports, SessionEnd};
use crate::lag::stats::round;
use crate::time::Nanos;

/// How a session ended, and what is missing of the client's reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EndingReport {
    pub kind: EndKind,
    /// Who ended it; `null` where that is unknown, or nobody did.
    pub by: Option<Party>,
    /// The close code; 1006 of a lost connection.
    pub code: Option<u16>,
    /// What was said about it; may be empty.
    pub reason: String,
    /// When: of a side that fell silent, its last message.
    pub t_s: f64,
    /// A session should not end like this.
    pub abnormal: bool,
    /// All of that for people.
    pub sentence: String,
    /// Messages that had begun when the connection was lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub under_way: Vec<UnderWay>,
    /// Times without reports of the client, longer than its cadence allows.
    pub gaps: Vec<ReportGapSpan>,
    /// How many there were; of a session with very many, only the first stand in `gaps`.
    pub gaps_total: u64,
    /// Reports that were held up between the client and the recorder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<Box<LateReportsSpan>>,
}

/// Reports that came late by the client's own clock: what they say was true when it made them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LateReportsSpan {
    pub reports: u64,
    /// Runs of them.
    pub bursts: u64,
    /// When the first came.
    pub from_s: f64,
    pub worst_s: f64,
}

/// A time without reports of the client.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportGapSpan {
    /// The report before it.
    pub from_s: f64,
    /// The report after it.
    pub to_s: f64,
}

impl EndingReport {
    /// Looks at an engine after its last record.
    #[must_use]
    pub fn of(engine: &Engine, at: Nanos) -> EndingReport {
        let clock = ReportClock::of(engine, at);
        let watch = &engine.facts().ending;
        let late = engine.hearing().map(Hearing::late_reports);
        let late = late.and_then(|late| {
            let from_s = clock.s(late.first?);
            let LateReports { reports, bursts, worst_ns, .. } = late;
            let worst_s = worst_ns as f64 / 1e9;
            Some(Box::new(LateReportsSpan { reports, bursts, from_s, worst_s }))
        });
        let told = Self::told(engine.ending(at), watch, &|t| clock.s(t));
        EndingReport { late, ..told }
    }

    /// Words an end that was found, with its times as `seconds` says them.
    #[must_use]
    pub fn told(
        ending: SessionEnd,
        watch: &EndWatch,
        seconds: &dyn Fn(Nanos) -> f64,
    ) -> EndingReport {
        EndingReport {
            t_s: seconds(ending.t),
            abnormal: ending.kind.is_abnormal(),
            sentence: sentence(&ending),
            kind: ending.kind,
            by: ending.by,
            code: ending.code,
            reason: ending.reason,
            under_way: ending.under_way,
            gaps: watch
                .gaps()
                .iter()
                .map(|gap| ReportGapSpan { from_s: seconds(gap.from), to_s: seconds(gap.to) })
                .collect(),
            gaps_total: watch.gaps_total(),
            late: None,
        }
    }

    /// The first line above everything else, where the session ended as it should not.
    #[must_use]
    pub fn headline(&self) -> Option<String> {
        let by = match self.by {
            Some(Party::Client) => " by the client",
            Some(Party::Server) => " by the server",
            Some(Party::Recorder) | None => "",
        };
        let at = Tenths(self.t_s);
        let sentence = OneLine(&self.sentence).to_string();
        self.abnormal.then(|| format!("ENDED{by} at {at} s: {}", sentence.trim_end()))
    }

    /// Further lines: the message under way, and the gaps.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let under_way = self.under_way.iter().map(under_way_line);
        under_way.chain(self.gaps_line()).chain(self.late.as_deref().map(late_line)).collect()
    }

    /// A line below everything else, where the session ended as it may and there is more to say than
    /// that it was over.
    #[must_use]
    pub fn footing(&self) -> Option<String> {
        let is_told = match self.kind {
            EndKind::ServerClosed | EndKind::ClientSilent => true,
            EndKind::ClientClosed => self.code != Some(1000),
            _ => false,
        };
        let sentence = OneLine(&self.sentence).to_string();
        is_told.then(|| format!("ended at {} s: {}", Tenths(self.t_s), sentence.trim_end()))
    }

    fn gaps_line(&self) -> Option<String> {
        let length_s = |gap: &ReportGapSpan| gap.to_s - gap.from_s;
        let longest = self.gaps.iter().max_by(|a, b| length_s(a).total_cmp(&length_s(b)))?;
        let total = self.gaps_total;
        Some(format!(
            "reports: {total} gap{} in what the client reports while it played, the longest {} s at {} s",
            plural(total as usize),
            Figure(round(length_s(longest), 6)),
            Tenths(longest.from_s)
        ))
    }
}

/// Reports that came late, for people.
fn late_line(late: &LateReportsSpan) -> String {
    let LateReportsSpan { reports, bursts, from_s, worst_s } = *late;
    format!(
        "reports: {reports} of the client came late in {bursts} burst{}, from {} s on, by {} s at \
         most",
        plural(bursts as usize),
        Tenths(from_s),
        Figure(round(worst_s, 3))
    )
}

fn under_way_line(message: &UnderWay) -> String {
    let from = match message.from {
        Party::Client => "client",
        Party::Server => "server",
        Party::Recorder => "recorder",
    };
    let sort = match Opcode::from(message.opcode) {
        Opcode::Text => "text message",
        Opcode::Binary => "binary message",
        Opcode::Close => "close frame",
        Opcode::Ping => "ping",
        Opcode::Pong => "pong",
        Opcode::Other(_) => "message",
    };
    format!(
        "under way: a {sort} of the {from}, of which {} of {} had come",
        Bytes(message.received),
        Bytes(message.announced)
    )
}

fn sentence(ending: &SessionEnd) -> String {
    let reason = &ending.reason;
    let with = |what: String| if reason.is_empty() { what } else { format!("{what}, {reason}") };
    let code = ending.code.map_or("no code".to_owned(), |code| code.to_string());
    let silent_s = Figure(round(ending.silent_s, 3));
    match ending.kind {
        EndKind::Open => "how the session ended is not known".to_owned(),
        EndKind::RecorderStopped => with("the recording was ended".to_owned()),
        EndKind::ClientClosed => with(format!("the client closed with {code}")),
        EndKind::ServerClosed => with(format!("the server closed with {code}")),
        EndKind::Refused => with("the server refused the session".to_owned()),
        EndKind::InitError => with("the server could not begin the session".to_owned()),
        EndKind::PipelineError => format!("the server's pipeline died, {reason}"),
        EndKind::Preempted => with("another session took the server over, 4001".to_owned()),
        EndKind::Keepalive => with("pings were not answered in time, 1011".to_owned()),
        EndKind::CloseError => with(format!("closed with {code}")),
        EndKind::Cut => with("the connection was lost without a close, 1006".to_owned()),
        EndKind::HalfOpen => format!(
            "half-open: the client said nothing for {silent_s} s, and its connection stayed"
        ),
        EndKind::ServerSilent => format!(
            "the server said nothing for {silent_s} s, neither idle nor closed, and its \
             connection stayed"
        ),
        EndKind::ClientSilent => format!(
            "the client reported nothing for {silent_s} s: a paused player, or a page asleep"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_under_way_is_a_line() {
        let message =
            UnderWay { from: Party::Server, opcode: 2, announced: 20_000, received: 5_000 };
        assert_eq!(
            under_way_line(&message),
            "under way: a binary message of the server, of which 5.00 KB of 20.0 KB had come"
        );
    }

    /// A report of an end of this kind at 9 s.
    fn report(kind: EndKind, code: Option<u16>) -> EndingReport {
        let ending = SessionEnd {
            kind,
            by: Some(Party::Server),
            code,
            reason: String::new(),
            t: Nanos(9_000_000_000),
            silent_s: 6.0,
            under_way: Vec::new(),
        };
        EndingReport::told(ending, &EndWatch::default(), &|t| t.seconds())
    }

    #[test]
    fn an_end_is_told_once_and_where_it_belongs() {
        let check = |kind, code, above: bool, below: bool| {
            let report = report(kind, code);
            let found = (report.headline().is_some(), report.footing().is_some());
            assert_eq!(found, (above, below), "{kind:?} {code:?}");
        };
        check(EndKind::Open, None, false, false);
        check(EndKind::RecorderStopped, None, false, false);
        check(EndKind::ClientClosed, Some(1000), false, false);
        check(EndKind::ClientClosed, Some(1001), false, true);
        check(EndKind::ClientClosed, None, false, true);
        check(EndKind::ServerClosed, Some(1000), false, true);
        check(EndKind::ClientSilent, None, false, true);
        for kind in [EndKind::Preempted, EndKind::HalfOpen, EndKind::Cut, EndKind::PipelineError] {
            check(kind, None, true, false);
        }
        let closed = report(EndKind::ServerClosed, Some(1000));
        assert_eq!(closed.footing().unwrap(), "ended at 9.0 s: the server closed with 1000");
        let preempted = report(EndKind::Preempted, Some(4001));
        assert_eq!(
            preempted.headline().unwrap(),
            "ENDED by the server at 9.0 s: another session took the server over, 4001"
        );
    }

    #[test]
    fn the_longest_gap_is_told() {
        let gap = |from_s, to_s| ReportGapSpan { from_s, to_s };
        let mut report = report(EndKind::Open, None);
        assert!(report.lines().is_empty());
        report.gaps = vec![gap(1.0, 1.5), gap(4.0, 6.0), gap(8.0, 9.0)];
        report.gaps_total = 7;
        let told = "reports: 7 gaps in what the client reports while it played, the longest 2.00 s at 4.0 s";
        assert_eq!(report.lines(), [told]);
    }
}
