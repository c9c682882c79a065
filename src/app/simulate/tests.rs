//! Every incident shows its mechanism in the capture, each kind of client reports as that client does,
//! and captures say what was injected.

use super::*;
use crate::capture::{Body, Direction, Marker, Opcode, Record};
use crate::engine::{EndKind, Engine, Options};
use crate::lag::SliceRecord;
use crate::peer::client_model::CLIENT_MODELS;

fn verb(incident: &str, seed: u64, run_for_s: u64, out: PathBuf) -> SimulateVerb {
    SimulateVerb {
        trouble: incident.parse().unwrap(),
        seed,
        run_for: Span(run_for_s * 1_000_000_000),
        loop_s: 8.0,
        channels: 1,
        family: Family::Acestep,
        client: ClientModel::Lagtape,
        params_hz: None,
        dialect: None,
        rate: None,
        script: Vec::new(),
        out,
        force: false,
    }
}

/// A message, with its time from the initial buffer.
#[derive(Debug, Clone)]
struct Seen {
    t_s: f64,
    direction: Direction,
    opcode: Opcode,
    payload: Vec<u8>,
    automatic: bool,
}

/// A simulated session: what its records say.
struct Session {
    engine: Engine,
    ended: Nanos,
    header: Header,
    messages: Vec<Seen>,
    markers: Vec<(f64, Marker)>,
    is_broken: bool,
}

fn session(incident: &str, client: ClientModel, run_for_s: u64) -> Session {
    session_of(incident, client, run_for_s, 16.0)
}

fn session_of(incident: &str, client: ClientModel, run_for_s: u64, loop_s: f64) -> Session {
    let mut verb = verb(incident, 3, run_for_s, PathBuf::new());
    (verb.client, verb.loop_s) = (client, loop_s);
    let options = verb.options().unwrap();
    let header = verb.header(&options);
    let mut engine = Engine::new(Options::default());
    let (mut messages, mut markers, mut is_broken) = (Vec::new(), Vec::new(), false);
    let mut first = Header::default();
    let mut see = |record: &Record<'_>| {
        engine.handle(record);
        let t_s = record.t.seconds();
        match &record.body {
            Body::Message(message) => messages.push(Seen {
                t_s,
                direction: message.direction,
                opcode: message.opcode,
                payload: message.payload.to_vec(),
                automatic: message.automatic,
            }),
            Body::Marker(marker) => markers.push((t_s, marker.clone())),
            Body::Break(_) => is_broken = true,
            Body::Header(header) => first = header.clone(),
            _ => {}
        }
    };
    let ended = run(options, header, &mut see).ended;
    let origin_s = engine.origin().unwrap().seconds();
    messages.iter_mut().for_each(|seen| seen.t_s -= origin_s);
    markers.iter_mut().for_each(|(t_s, _)| *t_s -= origin_s);
    Session { engine, ended, header: first, messages, markers, is_broken }
}

impl Session {
    fn texts(&self, direction: Direction, kind: &str) -> Vec<(f64, Value)> {
        let texts = self
            .messages
            .iter()
            .filter(|seen| seen.direction == direction && seen.opcode == Opcode::Text);
        texts
            .map(|seen| (seen.t_s, serde_json::from_slice::<Value>(&seen.payload).unwrap()))
            .filter(|(_, text)| text["type"] == kind)
            .collect()
    }

    fn reports(&self) -> Vec<(f64, Value)> {
        self.texts(Direction::ClientToServer, "params")
    }

    /// The slices of all buffers, with their times of arrival.
    fn slices(&self) -> Vec<(f64, SliceRecord)> {
        let origin_s = self.engine.origin().unwrap().seconds();
        let slices = self.engine.epochs().iter().flat_map(|epoch| epoch.tracker.slices());
        slices.map(|slice| (slice.t_s - origin_s, *slice)).collect()
    }

    /// Time of arrival and lead of the slices of the last buffer.
    fn leads(&self) -> Vec<(f64, f64)> {
        let origin_s = self.engine.origin().unwrap().seconds();
        let tracker = &self.engine.epochs().last().unwrap().tracker;
        tracker.slices().map(|slice| (slice.t_s - origin_s, slice.lead_s)).collect()
    }

    fn close(&self) -> Option<(f64, u16)> {
        let close = self.messages.iter().find(|seen| seen.opcode == Opcode::Close)?;
        Some((close.t_s, u16::from_be_bytes(close.payload.first_chunk().copied()?)))
    }
}

/// The longest gap between times: when it begins and how long it is.
fn longest_gap(times_s: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let times_s: Vec<f64> = times_s.into_iter().collect();
    let gaps = times_s.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
    gaps.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

#[track_caller]
fn check_near(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() <= within, "{found} is not within {within} of {expected}");
}

#[test]
fn clients_report_as_they_do() {
    let fields = |client| {
        let session = session("healthy", client, 10);
        let reports = session.reports();
        let (_, last) = reports.last().unwrap();
        let known = ["client_time", "slice_bytes_rx", "slice_lead_s"];
        // Leads go with the report after a slice.
        let has = |key: &&str| reports.iter().any(|(_, report)| report[*key].is_number());
        assert!(last["playback_pos"].is_number() && last["raw"].is_object());
        let rate = reports.len() as f64 / 10.0;
        (rate.round(), known.into_iter().filter(has).count(), session.header.client)
    };
    use ClientKind::{Foreign, Headless};
    assert_eq!(fields(ClientModel::Lagtape), (30.0, 3, Headless));
    assert_eq!(fields(ClientModel::Headless), (30.0, 0, Headless));
    assert_eq!(fields(ClientModel::Web), (84.0, 3, Foreign));
    assert_eq!(fields(ClientModel::Sdk), (13.0, 2, Foreign));
    assert_eq!(fields(ClientModel::TouchDesigner), (29.0, 0, Foreign));
    assert_eq!(fields(ClientModel::Throttled).0, 1.0);
}

#[test]
fn nobody_tells_a_proxy_what_the_listener_does() {
    let own = session("seek:at=3,to=9", ClientModel::Headless, 6);
    assert!(matches!(own.markers[..], [(t_s, Marker::Seek { .. })] if (t_s - 3.0).abs() < 0.01));
    let seen = session("seek:at=3,to=9", ClientModel::Web, 6);
    assert!(seen.markers.is_empty(), "{:?}", seen.markers);
    let (at_s, after) = seen.reports().into_iter().find(|(t_s, _)| *t_s > 3.01).unwrap();
    check_near(after["playback_pos"].as_f64().unwrap(), 9.0 + at_s - 3.0, 0.02);
}

#[test]
fn a_page_is_silent_while_it_is_paused() {
    let paused = session("paused-player:at=4,for=3", ClientModel::Web, 10);
    let (begins_s, lasts_s) = longest_gap(paused.reports().iter().map(|(t_s, _)| *t_s));
    check_near(begins_s, 4.0, 0.05);
    check_near(lasts_s, 3.0, 0.05);
    let goes_on = session("paused-player:at=4,for=3", ClientModel::TouchDesigner, 10);
    let (_, lasts_s) = longest_gap(goes_on.reports().iter().map(|(t_s, _)| *t_s));
    assert!(lasts_s < 0.1, "{lasts_s}");
}

#[test]
fn a_page_goes_on_a_little_after_the_beginning_of_its_loop() {
    let laps = session_of("healthy", ClientModel::Web, 12, 5.0);
    let positions: Vec<f64> =
        laps.reports().iter().map(|(_, report)| report["playback_pos"].as_f64().unwrap()).collect();
    let after_laps: Vec<f64> =
        positions.windows(2).filter(|pair| pair[1] < pair[0]).map(|pair| pair[1]).collect();
    assert_eq!(after_laps.len(), 2, "{after_laps:?}");
    after_laps.iter().for_each(|&position_s| check_near(position_s, 0.055, 0.012));
}

#[test]
fn a_proxy_sees_slices_when_they_arrive_and_reports_when_they_are_made() {
    let throttled = session("healthy", ClientModel::Throttled, 12);
    let (_, gap_s) = longest_gap(throttled.slices().iter().map(|(t_s, _)| *t_s));
    assert!(gap_s < 0.2, "slices come evenly: {gap_s}");
    let acks: Vec<f64> = throttled
        .reports()
        .iter()
        .map(|(_, report)| report["slice_bytes_rx"].as_f64().unwrap())
        .collect();
    assert!((10..=14).contains(&acks.len()), "{acks:?}");
    assert!(acks.windows(2).skip(1).all(|pair| pair[1] - pair[0] > 50e3), "{acks:?}");
}

#[test]
fn contention_comes_and_goes_and_paging_stays() {
    let contention =
        session("gpu-contention:at=4,every=4,busy=2,factor=14", ClientModel::Headless, 16);
    let is_busy = |t_s: f64| (t_s - 4.0).rem_euclid(4.0) < 2.0 && t_s > 4.0;
    let leads = contention.leads();
    // A slice tells of the tick before it, so the first and the last of a burst are left out.
    for (t_s, slice) in contention.slices() {
        let since_s = (t_s - 4.0).rem_euclid(4.0);
        if (1.2..2.0).contains(&since_s) && t_s > 4.0 {
            assert!(slice.tick_ms > 400.0 && slice.dec_ms > 90.0, "{t_s}: {slice:?}");
        } else if since_s > 2.9 && t_s > 4.0 {
            assert!(slice.tick_ms < 60.0 && slice.dec_ms < 10.0, "{t_s}: {slice:?}");
        }
        assert!(is_busy(t_s) || slice.tick_ms < 60.0 || since_s < 2.9, "{t_s}");
    }
    assert!(leads.len() > 50);
    let paging = session("vram-paging:at=5,factor=2.5", ClientModel::Headless, 12);
    let mean = |from_s: f64, to_s: f64| {
        let ticks: Vec<f64> = paging
            .slices()
            .iter()
            .filter(|(t_s, _)| (from_s..to_s).contains(t_s))
            .map(|(_, slice)| slice.tick_ms)
            .collect();
        ticks.iter().sum::<f64>() / ticks.len() as f64
    };
    check_near(mean(5.5, 12.0) / mean(0.5, 5.0), 2.5, 0.1);
}

#[test]
fn a_hitch_stops_reports_and_not_slices() {
    let hitches = "client-send-hitch:at=4,every=4,hitch=1.5";
    let seen = session(hitches, ClientModel::TouchDesigner, 14);
    let times: Vec<f64> = seen.reports().iter().map(|(t_s, _)| *t_s).collect();
    let gaps: Vec<f64> =
        times.windows(2).filter(|pair| pair[1] - pair[0] > 1.0).map(|pair| pair[0]).collect();
    assert_eq!(gaps.len(), 3, "{gaps:?}");
    for (gap_s, expected_s) in gaps.iter().zip([4.0, 8.0, 12.0]) {
        check_near(*gap_s, expected_s, 0.05);
    }
    let (_, gap_s) = longest_gap(seen.slices().iter().map(|(t_s, _)| *t_s));
    assert!(gap_s < 0.2, "{gap_s}");
    // The client plays on: the first report after a hitch is 1.5 s further.
    let positions: Vec<(f64, f64)> =
        seen.reports().iter().map(|(t, r)| (*t, r["playback_pos"].as_f64().unwrap())).collect();
    positions.iter().for_each(|(t_s, position_s)| check_near(*position_s, *t_s, 0.05));
}

#[test]
fn a_coarse_callback_moves_the_position_in_steps() {
    let stairs = session("stair-step-playhead:frames=4096", ClientModel::Headless, 6);
    let frames: Vec<u64> = stairs
        .reports()
        .iter()
        .map(|(_, report)| (report["playback_pos"].as_f64().unwrap() * 48_000.0).round() as u64)
        .collect();
    assert!(frames.iter().all(|frame| frame % 4096 == 0), "{frames:?}");
    let repeated = frames.windows(2).filter(|pair| pair[0] == pair[1]).count();
    // 30 reports a second, 11.7 steps.
    check_near(repeated as f64 / frames.len() as f64, 1.0 - 11.7 / 30.0, 0.03);
}

#[test]
fn a_hasty_transport_lead_goes_up_and_down() {
    let swings = |incident| {
        let seen = session_of(incident, ClientModel::Lagtape, 40, 24.0);
        let leads: Vec<(f64, f64)> =
            seen.leads().into_iter().filter(|(t_s, _)| *t_s > 8.0).collect();
        // Rises by more than half a second from a low to the next high.
        let (mut low, mut high, mut swings) = (f64::MAX, f64::MIN, 0);
        for (_, lead_s) in leads {
            (low, high) = (low.min(lead_s), high.max(lead_s));
            if lead_s > low + 0.5 {
                (low, high, swings) = (f64::MAX, lead_s, swings + 1);
            } else if lead_s < high - 0.5 {
                (low, high) = (lead_s, f64::MIN);
            }
        }
        swings
    };
    let hasty = swings("transport-lead-oscillation:at=4,down=140KB/s");
    let patient = swings("thin-link:at=4,down=140KB/s,buffer=16MB");
    assert!(hasty >= 3 && hasty > patient, "{hasty} swings, {patient} with the usual decay");
}

#[test]
fn a_long_buffer_blocks_what_is_behind_it() {
    let seen = session("swap-head-of-line:at=4,down=900KB/s", ClientModel::Headless, 20);
    let ready = seen.texts(Direction::ServerToClient, "swap_ready");
    let (begins_s, lasts_s) = longest_gap(seen.slices().iter().map(|(t_s, _)| *t_s));
    check_near(begins_s, ready[0].0, 0.1);
    // 57.6 s of mono halves.
    check_near(lasts_s, 57.6 * 48_000.0 * 2.0 / 900e3, 0.2);
}

#[test]
fn regions_that_were_asked_for_are_shed() {
    let missing = |incident| {
        let seen = session(incident, ClientModel::Lagtape, 20);
        let slices = seen.slices();
        let mut asked = 0;
        let mut missing = 0;
        for (t_s, report) in seen.reports().iter().filter(|(t_s, _)| *t_s < 15.0) {
            let queue = report["render_anchor_queue_s"].as_array();
            for at_s in queue.into_iter().flatten().map(|at_s| at_s.as_f64().unwrap()) {
                let start = (at_s * 48_000.0).trunc().rem_euclid(16.0 * 48_000.0) as u32;
                let arrives = slices.iter().any(|(t, slice)| t > t_s && slice.start == start);
                (asked, missing) = (asked + 1, missing + usize::from(!arrives));
            }
        }
        assert!(asked >= 15, "{asked}");
        missing
    };
    assert!(missing("anchored-shed:at=4,down=60KB/s") > 5);
    assert_eq!(
        missing("anchored-shed:at=4,down=10MB/s"),
        0,
        "a link that is fast enough sheds none"
    );
}

#[test]
fn what_is_heard_after_a_swap_is_the_track_before() {
    let starts = |incident, from_s: f64, to_s: f64| -> Vec<f64> {
        let seen = session(incident, ClientModel::Headless, 12);
        let (swapped_s, _) = seen.texts(Direction::ServerToClient, "swap_ready")[0];
        let within = |t_s: f64| (from_s..to_s).contains(&(t_s - swapped_s));
        let slices = seen.slices().into_iter().filter(|(t_s, _)| within(*t_s));
        slices.map(|(t_s, slice)| f64::from(slice.start) / 48e3 - (t_s - swapped_s)).collect()
    };
    // Slices are aimed ahead of where the listener would be on the old track: at 4 s when it began.
    let bleeding = starts("old-track-bleed:at=4,for=2", 0.1, 1.8);
    assert!(bleeding.len() > 20);
    bleeding.iter().for_each(|&lead_s| check_near(lead_s, 4.4, 0.35));
    let over = starts("old-track-bleed:at=4,for=2", 2.3, 5.0);
    over.iter().for_each(|&lead_s| check_near(lead_s, 0.25, 0.2));
    starts("swap:at=4", 0.1, 1.8).iter().for_each(|&lead_s| check_near(lead_s, 0.25, 0.2));
}

#[test]
fn a_mirror_drifts_only_where_deltas_are_coded_against_what_was_wanted() {
    let mirror = |incident, run_for_s| {
        let seen = session_of(incident, ClientModel::Headless, run_for_s, 4.0);
        seen.engine.mirror().unwrap().samples().to_vec()
    };
    let apart = |run_for_s| {
        let (healthy, drifted) = (mirror("healthy", run_for_s), mirror("mirror-drift", run_for_s));
        let squares = healthy.iter().zip(&drifted).map(|(a, b)| f64::from(a - b).powi(2));
        (squares.sum::<f64>() / healthy.len() as f64).sqrt()
    };
    let (early, late) = (apart(6), apart(20));
    assert!(early > 0.0 && late > 1.5 * early, "{early} grows to {late}");
}

#[test]
fn the_source_is_heard_where_nothing_covers_it() {
    let late = session("raw-source:for=3", ClientModel::Headless, 8);
    assert!(late.slices()[0].0 > 3.0);
    let swapped = session("raw-source:swap=4,for=3", ClientModel::Headless, 12);
    let (ready_s, _) = swapped.texts(Direction::ServerToClient, "swap_ready")[0];
    let first = swapped.slices().into_iter().find(|(t_s, _)| *t_s > ready_s + 0.05).unwrap().0;
    check_near(first - ready_s, 3.0, 0.2);
}

#[test]
fn sessions_end_in_all_the_ways_there_are() {
    let crash = session_of("loop-end-crash:at=3", ClientModel::Headless, 20, 8.0);
    let (error_s, error) = &crash.texts(Direction::ServerToClient, "error")[0];
    assert_eq!(error["code"], "pipeline_error");
    assert!(error["message"].as_str().unwrap().contains("(769,1) (1200,1)"), "{error}");
    check_near(error_s.rem_euclid(8.0), 7.7, 0.15);
    assert_eq!(crash.close().unwrap().1, 1000);

    let killed = session("keepalive-kill:at=6,every=4,within=5", ClientModel::Sdk, 30);
    let pings = killed.messages.iter().filter(|seen| seen.opcode == Opcode::Ping);
    let pings: Vec<f64> = pings.map(|seen| seen.t_s).collect();
    assert_eq!(pings.len(), 2, "the answer to the second is not handled: {pings:?}");
    let pongs = killed.messages.iter().filter(|seen| seen.opcode == Opcode::Pong && seen.automatic);
    assert_eq!(pongs.count(), 2);
    let (closed_s, code) = killed.close().unwrap();
    assert_eq!(code, 1011);
    check_near(closed_s, pings[1] + 5.0, 0.05);

    let reset = session("tunnel-reset:at=7,stalled=2", ClientModel::Headless, 20);
    assert!(reset.is_broken && reset.close().is_none());
    check_near(reset.messages.last().unwrap().t_s, 7.0, 0.1);
    let last_slice = reset.slices().last().unwrap().0;
    check_near(last_slice, 5.0, 0.2);

    let gone = session("half-open:at=6", ClientModel::TouchDesigner, 14);
    let last = gone.messages.iter().rfind(|seen| seen.direction == Direction::ClientToServer);
    check_near(last.unwrap().t_s, 6.0, 0.05);
    assert!(gone.messages.last().unwrap().t_s > 6.2, "the server goes on for a while");
    let kinds = [&crash, &killed, &reset, &gone].map(|it| it.engine.ending(it.ended).kind);
    let expected = [EndKind::PipelineError, EndKind::Keepalive, EndKind::Cut, EndKind::HalfOpen];
    assert_eq!(kinds, expected);
}

#[test]
fn two_incidents_are_both_there() {
    let both = session("stall:at=4,for=2+preempted:at=9", ClientModel::Headless, 20);
    let (begins_s, lasts_s) = longest_gap(both.slices().iter().map(|(t_s, _)| *t_s));
    check_near(begins_s, 4.0, 0.1);
    check_near(lasts_s, 2.0, 0.1);
    let (closed_s, code) = both.close().unwrap();
    check_near(closed_s, 9.0, 0.05);
    assert_eq!(code, 4001);
}

/// `docs/backend-playhead-lag-2026-06` of demonTD: a loop of 24 s, 29 reports a second of which 6.7 are
/// handled, leads that fall by 0.77 s a second, and a reset after 70 s.
#[test]
fn the_escalation_of_june() {
    let seen = session_of(
        "stale-playhead:per-s=6.67+tunnel-reset:at=70",
        ClientModel::TouchDesigner,
        90,
        24.0,
    );
    assert!(seen.is_broken);
    let ended_s = seen.messages.last().unwrap().t_s;
    check_near(ended_s, 70.0, 70.0 * 0.05);
    let cadence = seen.reports().len() as f64 / ended_s;
    check_near(cadence, 29.0, 29.0 * 0.05);
    // Leads are folded at half a lap.
    let leads = seen.leads();
    let lead_at = |at_s: f64| leads.iter().find(|(t_s, _)| *t_s >= at_s).unwrap().1;
    let slope = |from_s: f64, to_s: f64| (lead_at(to_s) - lead_at(from_s)) / (to_s - from_s);
    check_near(slope(2.0, 15.0), -0.77, 0.77 * 0.05);
    check_near(slope(18.0, 45.0), -0.77, 0.77 * 0.05);
    // Reports wait for as much as the server is behind with them: 0.77 s a second.
    let age_s = 0.25 - lead_at(15.0);
    check_near(age_s, 0.77 * 15.0, 0.77 * 15.0 * 0.05);
}

#[test]
fn captures_say_what_was_injected() {
    let labels = |incident: &str| {
        let verb = verb(incident, 3, 30, PathBuf::new());
        verb.header(&verb.options().unwrap()).metadata["injected"].clone()
    };
    assert_eq!(
        labels("stall:at=4,for=2+tunnel-reset:at=9"),
        r#"[{"class":"generation-stall","also":[],"onset_s":4.0,"end_s":6.0},{"class":"tunnel-reset","also":[],"onset_s":9.0,"end_s":null}]"#
    );
    assert_eq!(labels("jitter"), "[]");
    let warnings = |incident: &str, run_for_s: u64| {
        let mut verb = verb(incident, 3, run_for_s, PathBuf::new());
        verb.run_for = Span(run_for_s * 1_000_000_000);
        verb.warnings()
    };
    assert!(warnings("stall:at=4", 20).is_empty());
    let [late] = &warnings("stall:at=40", 30)[..] else { panic!("one warning") };
    assert!(late.contains("over after 30 s; write --for 55s"), "{late}");
    let [idle] = &warnings("idle-pause+stall:at=40", 60)[..] else { panic!("one warning") };
    assert!(idle.contains("idle from 28 s on"), "{idle}");
    let mut scripted = verb("healthy", 3, 8, PathBuf::new());
    scripted.script = ["7s:pause", "100s:resume"].map(|op| op.parse().unwrap()).into();
    let [late] = &scripted.warnings()[..] else { panic!("one warning") };
    assert!(late.contains("an op of 100 s") && late.contains("write --for 115s"), "{late}");
}

#[test]
fn every_kind_of_client_is_the_same_live_and_offline() {
    for client in CLIENT_MODELS {
        let mut verb = verb("stall:at=4,for=2", 3, 8, PathBuf::new());
        verb.client = client;
        let options = verb.options().unwrap();
        let header = verb.header(&options);
        let mut offline = Engine::new(Options::default());
        let live = run(options, header, &mut |record| offline.handle(record));
        assert_eq!(live.engine().state(), offline.state(), "{client:?}");
    }
}

#[test]
fn the_documentation_names_every_incident_and_client() {
    let text = include_str!("../../../docs/PEERS.md");
    for incident in crate::peer::incident::ALL {
        let row = format!("| `{}` | {} |", incident.name, incident.class);
        assert!(text.contains(&row), "{row}");
    }
    for client in CLIENT_MODELS {
        assert!(text.contains(&format!("| `{}` |", client.traits().name)), "{client:?}");
    }
}
