//! Fills in a report from an engine after its last record.

use super::arrivals::ArrivalsReport;
use super::clock::ReportClock;
use super::data::{
    Analysis, CloseReport, EpochReport, EventReport, IdleSpan, Rates, SCHEMA, SessionReport,
    TrafficReport, Trend,
};
use super::description::CaptureDescription;
use super::ending::EndingReport;
use super::family::FamilyReport;
use super::leads::LeadsReport;
use super::playhead_use::PlayheadUse;
use super::round_trip::RoundTripReport;
use super::time_report::TimeReport;
use super::warnings::warnings;
use crate::capture::Direction;
use crate::diagnosis::Diagnosis;
use crate::engine::{Engine, Epoch, Facts};
use crate::heard::HeardReport;
use crate::lag::ReportArgs;
use crate::lag::stats::round;
use crate::time::Nanos;
use crate::verdict::{HeardUse, Verdict};

/// Why there is no verdict on a stream that never began.
const NO_BUFFER: &str = "no usable initial buffer came";
/// Why there is none on another protocol.
const NO_SESSION: &str = "there is no DEMON session in it, as no server said ready";

/// Columns of a [`Trend`].
const TREND_COLUMNS: usize = 24;

impl Analysis {
    /// Looks at an engine after its last record.
    #[must_use]
    pub fn of(engine: &Engine, about: CaptureDescription, args: &ReportArgs) -> Analysis {
        let facts = engine.facts();
        let clock = ReportClock::of(engine, about.at);
        let time = TimeReport::of(engine);
        let heard = heard(engine);
        let arrivals = ArrivalsReport::of(engine, &clock);
        let epochs = engine.epochs().iter().map(|epoch| epoch_report(engine, epoch, &clock, args));
        let epochs: Vec<_> = epochs.collect();
        Analysis {
            schema: SCHEMA,
            // The last epoch has not ended.
            lag: epochs.last().map(|epoch| epoch.lag.clone()),
            verdict: verdict(engine, heard.as_ref(), arrivals.is_some()),
            diagnosis: Diagnosis::of(engine, about.at, &about.capture),
            heard,
            leads: LeadsReport::of(engine, about.at, args),
            epochs,
            session: session(engine),
            playhead: PlayheadUse::of(engine, about.playheads, &clock),
            time,
            report_at_s: clock.s(about.at),
            report_ns: about.at.0,
            headers_only: about.headers_only,
            complete: about.complete,
            traffic: TrafficReport {
                client_to_server: *facts.traffic(Direction::ClientToServer),
                server_to_client: *facts.traffic(Direction::ServerToClient),
            },
            round_trip: RoundTripReport::of(facts.pings.round_trips()),
            rates: rates(
                facts,
                clock.s(about.at)
                    - facts.resumed.map_or(0.0, |t| clock.s(t).max(0.0))
                    - Nanos(facts.hole_ns).seconds(),
            ),
            slices: facts.slices,
            ticks: facts.ticks,
            swaps: facts.swaps,
            decode_errors: facts.decode_errors,
            arrivals,
            events: facts
                .events
                .iter()
                .map(|event| EventReport {
                    t_s: clock.s(event.t),
                    seq: event.seq,
                    event: event.fields.clone(),
                })
                .collect(),
            events_dropped: facts.events_dropped,
            closes: closes(facts, &clock),
            idle: idle(engine, &clock),
            ending: EndingReport::of(engine, about.at),
            family: FamilyReport::of(engine, about.at),
            warnings: warnings(engine, &about, &clock),
            audio_is_missing: engine.doubts().audio.is_some(),
            trend: trend(engine, about.at),
            capture: about.capture,
            damage: about.damage,
        }
    }

    /// Seconds of the session that are in it: from the initial buffer on, or from where a part begins.
    #[must_use]
    pub fn covered_s(&self) -> f64 {
        self.report_at_s - self.session.begins_s.unwrap_or(0.0)
    }
}

fn heard(engine: &Engine) -> Option<HeardUse> {
    Some(HeardUse::of(engine.heard_meter()?, engine.origin()?))
}

fn verdict(engine: &Engine, heard: Option<&HeardUse>, is_foreign: bool) -> Verdict {
    let nothing = HeardReport::default();
    let report = heard.map_or(&nothing, |heard| &heard.report);
    let why = match engine.origin() {
        Some(_) => engine.doubts().sentence(),
        None if is_foreign => Some(NO_SESSION.to_owned()),
        None => Some(engine.doubts().audio.unwrap_or(NO_BUFFER.to_owned())),
    };
    Verdict::of(report, why)
}

fn idle(engine: &Engine, clock: &ReportClock) -> Vec<IdleSpan> {
    let spans = engine.idle_spans().iter();
    spans.map(|(from, to)| IdleSpan { from_s: clock.s(*from), to_s: clock.s(*to) }).collect()
}

fn epoch_report(
    engine: &Engine,
    epoch: &Epoch,
    clock: &ReportClock,
    args: &ReportArgs,
) -> EpochReport {
    let sample_rate = engine.sample_rate();
    let ended = epoch.ended.unwrap_or(clock.at);
    EpochReport {
        from_s: clock.s(epoch.began),
        to_s: clock.s(ended),
        loop_s: epoch.frames as f64 / f64::from(sample_rate),
        frames: epoch.frames,
        channels: epoch.channels,
        lag: epoch.tracker.report(ended.seconds(), args),
    }
}

fn session(engine: &Engine) -> SessionReport {
    let header = engine.header();
    let start = header.map_or(Nanos(0), |header| header.start);
    let refusal = engine.facts().refusal.as_ref().map(|(code, message)| {
        let parts = [code.as_deref(), message.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
    });
    SessionReport {
        software: header.map(|header| header.software.clone()).unwrap_or_default(),
        format: header.map_or(crate::capture::FORMAT_VERSION, |header| header.format),
        client: header.map(|header| header.client),
        url: header.and_then(|header| header.url.clone()),
        start_utc: header.and_then(|header| header.start_utc.clone()),
        start_ns: start.0,
        initial_buffer_ns: engine.origin().map(|origin| origin.0),
        startup_s: engine.origin().map(|origin| round(origin.seconds_since(start), 6)),
        begins_s: engine
            .facts()
            .resumed
            .zip(engine.origin())
            .map(|(begins, origin)| round(begins.seconds_since(origin).max(0.0), 6)),
        sample_rate: engine.ready().map(|ready| ready.sample_rate),
        config: header
            .and_then(|header| header.config.as_deref())
            .and_then(|config| serde_json::from_str(config).ok()),
        refusal,
        metadata: header.map(|header| header.metadata.clone()).unwrap_or_default(),
    }
}

fn rates(facts: &Facts, stream_s: f64) -> Rates {
    let per_second =
        |count: u64| if stream_s > 0.0 { round(count as f64 / stream_s, 3) } else { 0.0 };
    Rates {
        slices_per_s: per_second(facts.slices),
        ticks_per_s: per_second(facts.ticks),
        down_bytes_per_s: per_second(facts.traffic(Direction::ServerToClient).bytes),
        up_bytes_per_s: per_second(facts.traffic(Direction::ClientToServer).bytes),
    }
}

fn closes(facts: &Facts, clock: &ReportClock) -> Vec<CloseReport> {
    let by = |direction| match direction {
        Direction::ClientToServer => "client",
        Direction::ServerToClient => "server",
    };
    facts
        .closes
        .iter()
        .map(|close| CloseReport {
            t_s: clock.s(close.t),
            by: by(close.direction),
            code: close.code,
            reason: close.reason.clone(),
        })
        .collect()
}

/// Lowest lead and highest staleness in equal columns from the initial buffer to the report.
fn trend(engine: &Engine, at: Nanos) -> Trend {
    let mut trend =
        Trend { lead_s: vec![None; TREND_COLUMNS], staleness_s: vec![None; TREND_COLUMNS] };
    let Some(from) = engine.begins() else { return trend };
    let listens_from_s = engine.listens_from().map_or(f64::INFINITY, Nanos::seconds);
    let column_s = at.seconds_since(from) / TREND_COLUMNS as f64;
    if column_s <= 0.0 {
        return trend;
    }
    let column = |t_s: f64| (((t_s - from.seconds()) / column_s) as usize).min(TREND_COLUMNS - 1);
    for epoch in engine.epochs() {
        for slice in epoch.tracker.slices().filter(|slice| slice.t_s >= listens_from_s) {
            let lowest = &mut trend.lead_s[column(slice.t_s)];
            *lowest = Some(lowest.map_or(slice.lead_s, |lead_s| lead_s.min(slice.lead_s)));
        }
        for tick in epoch.tracker.ticks() {
            let highest = &mut trend.staleness_s[column(tick.t_s)];
            *highest = Some(highest.map_or(tick.staleness_s, |s| s.max(tick.staleness_s)));
        }
    }
    trend
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Body, Header, Message, Opcode, Record};
    use crate::engine::Options;

    /// An engine that saw a header at 1 s and then these messages, a second apart.
    fn engine(messages: &[(Direction, &str)]) -> Engine {
        let mut engine = Engine::new(Options::default());
        let header = Body::Header(Header::new("a test", Nanos(1_000_000_000)));
        engine.handle(&Record { seq: 0, t: Nanos(1_000_000_000), conn: 0, body: header });
        for (seq, (direction, payload)) in (1..).zip(messages) {
            let opcode = if payload.starts_with('{') { Opcode::Text } else { Opcode::Binary };
            let body = Body::Message(Message::new(*direction, opcode, payload.as_bytes()));
            let t = Nanos((1 + seq) * 1_000_000_000);
            engine.handle(&Record { seq, t, conn: 0, body });
        }
        engine
    }

    fn analysis(engine: &Engine, at_s: u64) -> Analysis {
        let description = CaptureDescription::live("test".to_owned(), Nanos(at_s * 1_000_000_000));
        Analysis::of(engine, description, &ReportArgs::default())
    }

    const UP: Direction = Direction::ClientToServer;
    const DOWN: Direction = Direction::ServerToClient;

    #[test]
    fn report_times_begin_with_the_initial_buffer() {
        let engine = engine(&[
            (UP, "{}"),
            (DOWN, r#"{"type":"ready","sample_rate":8,"channels":1}"#),
            (DOWN, "sixteen bytes of"),
            (UP, r#"{"type":"params","playback_pos":0.5}"#),
        ]);
        let analysis = analysis(&engine, 6);
        assert_eq!(analysis.session.startup_s, Some(3.0));
        assert_eq!(analysis.report_at_s, 2.0);
        assert_eq!((analysis.ticks, analysis.rates.ticks_per_s), (1, 0.5));
        let [epoch] = &analysis.epochs[..] else { panic!("{} epochs", analysis.epochs.len()) };
        assert_eq!((epoch.from_s, epoch.to_s, epoch.loop_s), (0.0, 2.0, 1.0));
        assert_eq!(
            analysis.verdict.lag, None,
            "one report tells of no time in which anybody listened"
        );
    }

    #[test]
    fn report_of_a_refused_session_says_why() {
        let error = r#"{"type":"error","code":"busy","message":"try again"}"#;
        let engine = engine(&[(UP, "{}"), (DOWN, error)]);
        let analysis = analysis(&engine, 3);
        assert_eq!(analysis.session.refusal.as_deref(), Some("busy: try again"));
        assert!(analysis.lag.is_none() && analysis.epochs.is_empty());
    }
}
