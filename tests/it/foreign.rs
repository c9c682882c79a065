//! Clients that lagtape only sees from outside: from when there is a listener, where he is by his own
//! clock, and how old the audio is that is meant for him.

use lagtape::capture::{
    Body, CheckpointRow, ClientKind, Direction, Header, Message, Opcode, Record,
};
use lagtape::engine::{Engine, Options};
use lagtape::heard::HeardReport;
use lagtape::lag::ReportArgs;
use lagtape::report::{Analysis, CaptureDescription, text};
use lagtape::time::Nanos;
use lagtape::wire::slice::SliceHeader;

const MS: u64 = 1_000_000;
/// A frame is a millisecond long.
const LOOP_MS: u64 = 20_000;
const BEGAN_MS: u64 = 1_000;
const WINDOW_MS: u64 = 360;

/// What a client says of itself; times in milliseconds since its buffer came.
#[derive(Clone, Copy)]
struct Said {
    position_ms: u64,
    client_ms: Option<u64>,
    bytes: Option<u64>,
    lead_s: Option<f64>,
}

fn at(position_ms: u64) -> Said {
    Said { position_ms, client_ms: None, bytes: None, lead_s: None }
}

fn timed(position_ms: u64, client_ms: u64) -> Said {
    Said { client_ms: Some(client_ms), ..at(position_ms) }
}

/// A foreign client, a server that places slices by its reports, and engines that see them: one all
/// records, one only checkpoints, and one that begins in the middle.
struct Session {
    engine: Engine,
    recalled: Engine,
    cut: Option<Engine>,
    seq: u64,
    now_ms: u64,
    /// Where the server takes the client to be, and since when.
    anchor: (u64, u64),
    sent: u64,
}

impl Session {
    fn new() -> Self {
        let engine = || Engine::new(Options::default());
        let mut session = Session {
            engine: engine(),
            recalled: engine(),
            cut: None,
            seq: 0,
            now_ms: 0,
            anchor: (0, 0),
            sent: 0,
        };
        let header = Header { client: ClientKind::Foreign, ..Header::new("a test", Nanos(0)) };
        let header = Record { seq: 0, t: Nanos(0), conn: 0, body: Body::Header(header) };
        session.recalled.handle(&header);
        session.engine.handle(&header);
        session.text(Direction::ClientToServer, "{}");
        let ready = r#"{"type":"ready","channels":1,"sample_rate":1000}"#;
        session.text(Direction::ServerToClient, ready);
        session.binary(&vec![0; 2 * LOOP_MS as usize]);
        session
    }

    fn record(&mut self, body: Body<'_>) {
        self.seq += 1;
        let t = Nanos((BEGAN_MS + self.now_ms) * MS);
        let record = Record { seq: self.seq, t, conn: 0, body };
        self.engine.handle(&record);
        if let Some(cut) = &mut self.cut {
            cut.handle(&record);
        }
        let what = self.engine.did().clone();
        self.recalled.recall(&CheckpointRow { t, stored_len: 0, what });
    }

    fn text(&mut self, direction: Direction, text: &str) {
        self.record(Body::Message(Message::new(direction, Opcode::Text, text.as_bytes())));
    }

    fn binary(&mut self, payload: &[u8]) {
        self.record(Body::Message(Message::new(
            Direction::ServerToClient,
            Opcode::Binary,
            payload,
        )));
    }

    fn say(&mut self, said: Said) {
        // A server that sees no change rests in the end.
        let (position_s, knob) = (s(said.position_ms), self.now_ms / 7_000);
        let mut fields =
            format!(r#"{{"type":"params","raw":{{"x":{knob}}},"playback_pos":{position_s}"#);
        if let Some(client_ms) = said.client_ms {
            fields += &format!(r#","client_time":{}"#, s(5_000_000 + client_ms));
        }
        if let Some(bytes) = said.bytes {
            fields += &format!(r#","slice_bytes_rx":{bytes}"#);
        }
        if let Some(lead_s) = said.lead_s {
            fields += &format!(r#","slice_lead_s":{lead_s}"#);
        }
        self.text(Direction::ClientToServer, &(fields + "}"));
        self.anchor = (said.position_ms, self.now_ms);
    }

    fn slice(&mut self, lead_ms: u64) {
        let (position, since) = self.anchor;
        let start = (position + self.now_ms - since + lead_ms) % LOOP_MS;
        let frames = WINDOW_MS.min(LOOP_MS - start);
        let header = SliceHeader {
            start: start as u32,
            frames: frames as u32,
            channels: 1,
            ..SliceHeader::default()
        };
        let slice = [&header.to_bytes()[..], &vec![0; 2 * frames as usize]].concat();
        self.sent += slice.len() as u64;
        self.binary(&slice);
    }

    /// Goes on: `lead` is that of the slice that leaves, if one does, and `reports` what the client says.
    fn run(
        mut self,
        until_ms: u64,
        lead: impl Fn(u64) -> Option<u64>,
        reports: impl Fn(u64, u64) -> Vec<Said>,
    ) -> Self {
        while self.now_ms < until_ms {
            self.now_ms += 10;
            for said in reports(self.now_ms, self.sent) {
                self.say(said);
            }
            if let Some(lead_ms) = lead(self.now_ms).filter(|_| self.now_ms.is_multiple_of(50)) {
                self.slice(lead_ms);
            }
        }
        self
    }

    /// From here on another engine sees what follows, after a context that has all before it.
    fn cut(mut self) -> Self {
        let mut cut = Engine::new(Options::default());
        cut.handle(&Record {
            seq: 0,
            t: Nanos(0),
            conn: 0,
            body: Body::Header(self.engine.header().unwrap().clone()),
        });
        cut.handle(&self.engine.context());
        self.cut = Some(cut);
        self
    }

    fn heard(&self) -> HeardReport {
        let report =
            |engine: &Engine| engine.heard_meter().unwrap().report(engine.origin().unwrap());
        let all = report(&self.engine);
        assert_eq!(report(&self.recalled), all, "the checkpoints tell otherwise");
        if let Some(cut) = &self.cut {
            let states = [cut, &self.engine].map(|engine| engine.heard_meter().unwrap().state());
            assert_eq!(states[0], states[1], "what was cut tells otherwise");
        }
        all
    }

    fn analysis(&self) -> Analysis {
        let at = Nanos((BEGAN_MS + self.now_ms) * MS);
        let about = CaptureDescription::live("a test".to_owned(), at);
        Analysis::of(&self.engine, about, &ReportArgs::default())
    }

    /// Seconds of bad audio, within a tenth of a second.
    #[track_caller]
    fn check(self, bad_s: f64) -> Self {
        let heard = self.heard();
        assert!((heard.bad_s - bad_s).abs() < 0.1, "{heard:#?}");
        assert_eq!(heard.episodes.iter().any(|episode| episode.alarm), bad_s >= 0.15, "{heard:#?}");
        self
    }
}

fn s(ms: u64) -> f64 {
    ms as f64 / 1e3
}

/// A client that plays from `from_ms` on and reports every 10 ms.
fn plays(from_ms: u64) -> impl Fn(u64, u64) -> Vec<Said> {
    move |now_ms, _| {
        let said = |played_ms| timed(played_ms % LOOP_MS, now_ms);
        now_ms.checked_sub(from_ms).map(said).into_iter().collect()
    }
}

#[test]
fn a_client_that_did_not_report_yet_hears_nothing() {
    let session = Session::new().run(6_000, |_| Some(300), |_, _| Vec::new()).check(0.0);
    let analysis = session.analysis();
    assert_eq!(analysis.heard.as_ref().unwrap().report.s, 0.0);
    assert_eq!((analysis.leads.arrival, analysis.leads.before_listener), (None, 120));
    assert!(analysis.trend.lead_s.iter().all(Option::is_none));
    assert!(!text::analysis(&analysis, &[]).contains("  lead "));
    assert_eq!(analysis.lag.as_ref().unwrap().slices.count, 120);
    // Nor are slices behind a listener who is not there.
    Session::new().run(6_000, |_| Some(LOOP_MS - 500), |_, _| Vec::new()).check(0.0);
    let none = Session::new().run(6_000, |_| None, |_, _| Vec::new()).check(0.0);
    // And what nobody is known to have heard is not healthy.
    for silent in [&session, &none] {
        let verdict = silent.analysis().verdict;
        assert_eq!((verdict.lag, verdict.known), (None, false));
        assert!(verdict.why.unwrap().contains("never reported where it listens"));
    }
}

#[test]
fn the_grace_of_a_start_counts_from_the_first_report() {
    for from_ms in [100, 500, 1_500, 3_500, 12_000] {
        let late = Session::new().run(from_ms + 1_000, |_| Some(1_350), plays(from_ms));
        let late = late.cut().run(from_ms + 30_000, |_| Some(300), plays(from_ms)).check(0.0);
        assert!((late.heard().s - 30.0).abs() < 0.02);
    }
    // The server waits for the client, too.
    let waits = |from_ms: u64, first_ms: u64| {
        let lead = move |now_ms: u64| (now_ms >= from_ms + first_ms).then_some(300);
        Session::new().run(from_ms + 20_000, lead, plays(from_ms))
    };
    waits(3_500, 1_500).check(0.0);
    waits(3_500, 4_000).check(3.3);
    waits(10, 4_000).check(3.3);
}

#[test]
fn the_clients_own_leads_stand_beside_those_of_arrival() {
    let reports = |now_ms: u64, _| {
        let said = |lead_s| Said { lead_s, ..timed(now_ms % LOOP_MS, now_ms) };
        vec![said((now_ms % 50 == 10).then_some(0.125))]
    };
    let session = Session::new().run(10_000, |_| Some(300), reports).check(0.0);
    let analysis = session.analysis();
    let (arrival, client) = (analysis.leads.arrival.unwrap(), analysis.leads.client.unwrap());
    assert_eq!((arrival.p50, client.p50), (0.3, 0.125));
    let page = text::analysis(&analysis, &[]);
    assert!(page.contains("  as applied p5 0.12   p50 0.12   p95 0.12 s\n"), "{page}");
    let json = serde_json::to_value(&analysis).unwrap();
    assert_eq!(json["leads"]["client"]["p5"], 0.125);
    let without = Session::new().run(10_000, |_| Some(300), plays(10)).analysis();
    assert_eq!(without.leads.client, None);
}

/// What a client that plays from the start says at `made_ms`, whenever that arrives. It has got
/// everything that had left by then, and applied it.
fn made_at(made_ms: u64, bytes: u64, lead_s: Option<f64>) -> Said {
    Said { bytes: Some(bytes), lead_s, ..timed(made_ms % LOOP_MS, made_ms) }
}

/// Bytes of the slices that have left by a moment, of a server that sends one every 50 ms.
fn left_by(now_ms: u64) -> u64 {
    now_ms / 50 * (23 + 2 * WINDOW_MS)
}

/// The link stalls from 30 to 41 s: nothing comes through, and what the client could still write of its
/// reports comes when the link is back, before a report of then.
fn stalls(now_ms: u64, applied: impl Fn(u64) -> u64) -> Vec<Said> {
    let said = |made_ms| made_at(made_ms, applied(made_ms), None);
    match now_ms {
        30_000..41_000 => Vec::new(),
        41_000 => (30_000..30_600).step_by(10).map(said).chain([said(41_000)]).collect(),
        _ => vec![said(now_ms)],
    }
}

/// As long as no slice starts near the loop's end, all have the same length.
fn whole_slices(now_ms: u64) -> Option<u64> {
    let start = (now_ms + 300) % LOOP_MS;
    let clamped = (2 * LOOP_MS - WINDOW_MS - now_ms % LOOP_MS) % LOOP_MS;
    Some(if start > LOOP_MS - WINDOW_MS { clamped } else { 300 })
}

#[test]
fn reports_that_were_held_up_are_no_seeks_and_take_no_lag_away() {
    // The recorder is at the server: slices leave, and the client gets none of them for 11 s.
    let applied = |made_ms: u64| left_by(made_ms.min(30_000));
    let applied = move |made_ms| if made_ms > 41_000 { left_by(made_ms) } else { applied(made_ms) };
    let run = |until_ms| {
        Session::new()
            .run(20_000, whole_slices, move |now_ms, _| stalls(now_ms, applied))
            .cut()
            .run(until_ms, whole_slices, move |now_ms, _| stalls(now_ms, applied))
    };
    // What was there reaches 0.65 s far; the rest of the outage is a lap old.
    let session = run(60_000).check(10.35);
    let analysis = session.analysis();
    let late = analysis.ending.late.as_deref().unwrap();
    assert_eq!((late.reports, late.bursts, late.from_s), (60, 1, 41.0));
    assert!((late.worst_s - 11.0).abs() < 0.02, "{late:?}");
    let page = text::analysis(&analysis, &[]);
    assert!(page.contains("reports: 60 of the client came late in 1 burst, from 41.0 s"), "{page}");
}

#[test]
fn a_client_whose_reports_alone_are_held_up_hears_what_it_acknowledges() {
    let session = Session::new()
        .run(60_000, whole_slices, |now_ms, _| {
            let said = |made_ms| made_at(made_ms, left_by(made_ms), Some(0.3));
            match now_ms {
                30_000..41_000 => Vec::new(),
                41_000 => (30_000..=41_000).step_by(10).map(said).collect(),
                _ => vec![said(now_ms)],
            }
        })
        .check(0.0);
    assert_eq!(session.analysis().ending.late.unwrap().bursts, 1);
}

/// The lead of a server that raises it from 0.3 s to this after 5 s, by a second a second.
fn raised_to(lead_ms: u64) -> impl Fn(u64) -> Option<u64> {
    move |now_ms| Some(300 + now_ms.saturating_sub(5_000).min(lead_ms - 300))
}

#[test]
fn audio_that_was_written_far_ahead_is_old_only_after_it_was_due() {
    for lead_ms in [300, 1_350, 2_900, 3_100, 4_350] {
        let session = Session::new().run(15_000, raised_to(lead_ms), plays(10));
        session.cut().run(40_000, raised_to(lead_ms), plays(10)).check(0.0);
    }
    // Slices that stop are missed when what was due is over: 3.1 s, and the window of the last.
    let sends = |now_ms: u64| !(30_000..36_000).contains(&now_ms);
    let stops = |now_ms: u64| raised_to(3_100)(now_ms).filter(|_| sends(now_ms));
    Session::new().run(60_000, stops, plays(10)).check(6.05 - s(WINDOW_MS));
    // What is farther ahead than any server places it is not due, but left over.
    Session::new().run(40_000, raised_to(6_000), plays(10)).check(26.5);
}
