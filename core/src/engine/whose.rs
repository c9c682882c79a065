//! Whose client it was, by the evidence: whether its reports fit the simulated playhead, whichever of
//! the two counts, and what it means if it says nothing.
//!
//! A client that really has the simulated playhead reports what that shows, to within a tick. One that
//! jumps without an op, or walks at another speed, is seen from outside, whatever its capture says.

use super::Engine;
use crate::capture::{ClientKind, Header, TickReport};
use crate::playhead::PlayheadSource;
use crate::time::Nanos;

/// The metadata that says who recorded, if that was not the client, …
pub const RECORDED_BY: &str = "recorded_by";
/// … and its value where a browser recorded its own page.
pub const BROWSER: &str = "browser";
/// What is part of the names of clients that are pages.
const PAGES: [&str; 6] = ["web", "browser", "chrom", "firefox", "safari", "page"];
/// How the software of captures begins that were made from something else's log.
const IMPORTED: &str = "imported ";
/// How the software of captures begins that lagtape recorded itself.
const OWN: &str = "lagtape ";

/// What a client does while its player stands still, and so what its silence means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientHabit {
    /// It reports on, or nothing is known of it: one that is silent is gone.
    #[default]
    Reporting,
    /// A page in a browser: it says nothing while its audio is suspended, and lives.
    Page,
    /// It is the client that recorded: it was there to the end.
    Recording,
}

impl ClientHabit {
    /// That of the client of a capture, whose last report was this.
    #[must_use]
    pub fn of(header: Option<&Header>, last: &TickReport) -> ClientHabit {
        let metadata = |key: &str| header.and_then(|header| header.metadata.get(key));
        let by = metadata(RECORDED_BY).map(String::as_str);
        let is_own = header.is_some_and(|header| {
            header.client == ClientKind::Headless && header.software.starts_with(OWN)
        });
        let is_named = metadata("client").is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            PAGES.iter().any(|page| name.contains(page))
        });
        let is_browser = metadata("user_agent").is_some_and(|agent| agent.starts_with("Mozilla/"));
        // Only pages report their leads.
        let is_page = is_named || is_browser || last.slice_lead_s.is_some();
        match by {
            Some(BROWSER) => ClientHabit::Recording,
            None if is_own => ClientHabit::Recording,
            _ if is_page => ClientHabit::Page,
            _ => ClientHabit::Reporting,
        }
    }
}

impl Engine {
    /// The playhead that counts because the client's reports show it, whatever its capture says: of an
    /// import that is said to have the simulated one, unless somebody chose that. What lagtape records
    /// itself has the kind of its client from the client.
    #[must_use]
    pub fn playhead_by_evidence(&self) -> Option<PlayheadSource> {
        let is_imported = self.header().is_some_and(|header| header.software.starts_with(IMPORTED));
        let is_simulated = self.playhead_source() == PlayheadSource::Simulated;
        (is_imported
            && is_simulated
            && !self.playhead_was_chosen()
            && self.playhead_evidence().contradicts_simulation())
        .then_some(PlayheadSource::Reported)
    }
}

/// Reports that lie farther than this from the simulated playhead are apart from it.
pub const APART_S: f64 = 0.25;
/// They are another playhead's when they stay apart for this long.
pub const APART_SUSTAINED_S: f64 = 1.0;

/// How the reports lie against the simulated playhead, up to the last tick.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlayheadEvidence {
    pub reports: u64,
    /// How often they came apart from the simulated playhead, and stayed so.
    pub departures: u64,
    /// The first time that they did.
    pub first: Option<Nanos>,
    apart_since: Option<Nanos>,
    counted: bool,
}

impl PlayheadEvidence {
    /// Whether the client cannot have had the simulated playhead.
    #[must_use]
    pub fn contradicts_simulation(&self) -> bool {
        self.departures > 0
    }

    /// Takes a report that lies `apart_s` from the simulated playhead.
    pub(super) fn note(&mut self, t: Nanos, apart_s: f64) {
        self.reports += 1;
        if !apart_s.is_finite() || apart_s <= APART_S {
            self.apart_since = None;
            self.counted = false;
            return;
        }
        let since = *self.apart_since.get_or_insert(t);
        if !self.counted && t.seconds_since(since) >= APART_SUSTAINED_S {
            self.counted = true;
            self.departures += 1;
            self.first.get_or_insert(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Body, Direction, Message, Opcode, Record};
    use crate::engine::Options;

    /// An engine that saw a client report 0 s for 10 s while the simulated playhead went on.
    fn standing(software: &str, client: ClientKind, asked: Option<PlayheadSource>) -> Engine {
        let mut engine = Engine::new(Options { playhead: asked, ..Options::default() });
        let header = Header { client, ..Header::new(software, Nanos(0)) };
        let of = |direction, opcode, bytes| Body::Message(Message::new(direction, opcode, bytes));
        let (up, down) = (Direction::ClientToServer, Direction::ServerToClient);
        let tick = br#"{"type":"params","playback_pos":0}"#;
        let begin = [
            Body::Header(header),
            of(up, Opcode::Text, b"{}"),
            of(down, Opcode::Text, br#"{"type":"ready","sample_rate":10,"channels":1}"#),
            of(down, Opcode::Binary, &[0; 400]),
        ];
        let ticks = (0..10).map(|_| of(up, Opcode::Text, tick));
        for (seq, body) in (0..).zip(begin.into_iter().chain(ticks)) {
            engine.handle(&Record { seq, t: Nanos(seq * 1_000_000_000), conn: 0, body });
        }
        engine
    }

    #[test]
    fn reports_decide_of_imports_that_nobody_decided() {
        let (headless, foreign) = (ClientKind::Headless, ClientKind::Foreign);
        let (simulated, reported) = (PlayheadSource::Simulated, PlayheadSource::Reported);
        let of = |software, client, asked| standing(software, client, asked).playhead_by_evidence();
        assert_eq!(of("imported x", headless, None), Some(reported));
        assert_eq!(of("imported x", headless, Some(simulated)), None);
        assert_eq!(of("imported x", foreign, None), None);
        assert_eq!(of("lagtape 1", headless, None), None);
    }

    #[test]
    fn silence_means_what_the_client_does() {
        let habit = |software: &str, client, metadata: &[(&str, &str)], lead_s| {
            let metadata = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            let metadata = metadata.collect();
            let header = Header { client, metadata, ..Header::new(software, Nanos(0)) };
            let last = TickReport { slice_lead_s: lead_s, ..TickReport::default() };
            ClientHabit::of(Some(&header), &last)
        };
        let (own, foreign) = (ClientKind::Headless, ClientKind::Foreign);
        let proxy = (RECORDED_BY, "proxy");
        assert_eq!(habit("lagtape 1", own, &[], None), ClientHabit::Recording);
        assert_eq!(habit("imported x", own, &[], None), ClientHabit::Reporting);
        assert_eq!(habit("lagtape 1", own, &[proxy], None), ClientHabit::Reporting);
        assert_eq!(habit("lagtape 1", foreign, &[proxy], None), ClientHabit::Reporting);
        assert_eq!(habit("lagtape 1", foreign, &[proxy], Some(0.2)), ClientHabit::Page);
        let firefox = ("user_agent", "Mozilla/5.0 (X11) Firefox/1");
        assert_eq!(habit("lagtape 1", foreign, &[proxy, firefox], None), ClientHabit::Page);
        let python = ("user_agent", "Python/3 websockets/15");
        assert_eq!(habit("lagtape 1", foreign, &[proxy, python], None), ClientHabit::Reporting);
        assert_eq!(habit("imported x", foreign, &[("client", "web")], None), ClientHabit::Page);
        assert_eq!(
            habit("imported x", foreign, &[("client", "sdk")], None),
            ClientHabit::Reporting
        );
        let browser = (RECORDED_BY, BROWSER);
        assert_eq!(habit("imported HAR", foreign, &[browser], None), ClientHabit::Recording);
        assert_eq!(ClientHabit::of(None, &TickReport::default()), ClientHabit::Reporting);
    }

    #[track_caller]
    fn check(apart_s: &[f64], expected: u64) {
        let mut evidence = PlayheadEvidence::default();
        for (tick, apart_s) in (0..).zip(apart_s) {
            evidence.note(Nanos(tick * 500_000_000), *apart_s);
        }
        assert_eq!(evidence.departures, expected);
    }

    #[test]
    fn reports_must_stay_apart_to_be_another_playheads() {
        check(&[0.0, 0.1, 0.25, 0.1], 0);
        check(&[0.0, 5.0, 5.0, 0.0, 5.0, 0.0], 0);
        check(&[f64::NAN, f64::NAN, f64::NAN, f64::INFINITY], 0);
        check(&[0.0, 5.0, 5.0, 5.0], 1);
        check(&[0.26, 0.26, 0.26], 1);
        check(&[0.0, 5.0, 5.0, 5.0, 5.0], 1);
        check(&[5.0, 5.0, 5.0, 0.0, 5.0, 5.0, 5.0], 2);
    }
}
