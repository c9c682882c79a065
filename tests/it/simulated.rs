//! Both peers on a virtual clock: live reports are offline reports, and every incident shows what
//! was injected.

use std::path::PathBuf;

use lagtape::app::{self, AnalyzeOptions, Outcome, SimulateVerb};
use lagtape::capture::Records;
use lagtape::engine::{Engine, Options};
use lagtape::family::Family;
use lagtape::heard::{HeardEpisode, LagKind};
use lagtape::peer::client::Dialect;
use lagtape::peer::client_model::ClientModel;
use lagtape::peer::incident::{self, Trouble};
use lagtape::report::Analysis;
use lagtape::sweep;
use lagtape::time::Span;
use tempfile::TempDir;

/// A modern client's mono session of an incident, into `out`.
pub fn verb(incident: &str, seed: u64, run_for_s: u64, out: PathBuf) -> SimulateVerb {
    let trouble = incident.parse::<Trouble>().unwrap();
    SimulateVerb {
        family: trouble.family(),
        trouble,
        seed,
        run_for: Span(run_for_s * 1_000_000_000),
        loop_s: 8.0,
        channels: 1,
        client: ClientModel::Lagtape,
        params_hz: None,
        dialect: Some(Dialect::Modern),
        rate: None,
        script: Vec::new(),
        out,
        force: false,
    }
}

struct Simulated {
    live: Analysis,
    capture: PathBuf,
    _folder: TempDir,
}

fn simulate(incident: &str, seed: u64, run_for_s: u64) -> Simulated {
    simulate_with(incident, seed, run_for_s, |verb| verb)
}

fn simulate_with(
    incident: &str,
    seed: u64,
    run_for_s: u64,
    change: impl FnOnce(SimulateVerb) -> SimulateVerb,
) -> Simulated {
    let folder = TempDir::new().unwrap();
    let capture = folder.path().join("x.lagtape");
    let live = app::simulate(&change(verb(incident, seed, run_for_s, capture.clone()))).unwrap();
    Simulated { live, capture, _folder: folder }
}

/// The capture of a session in which the listener seeks, pauses and changes the rate.
pub fn simulated_bytes(incident: &str, seed: u64, run_for_s: u64) -> Vec<u8> {
    let script = ["3s:seek=6s", "5s:pause", "5500ms:resume", "6s:rate=1.02"];
    let script = script.map(|op| op.parse().unwrap()).to_vec();
    let simulated =
        simulate_with(incident, seed, run_for_s, |verb| SimulateVerb { script, ..verb });
    std::fs::read(simulated.capture).unwrap()
}

#[test]
fn live_reports_are_offline_reports() {
    // Those of other families are in `families`.
    let of_acestep = incident::ALL.iter().filter(|i| i.families.contains(&Family::Acestep));
    let sessions: Vec<_> = of_acestep.flat_map(|i| (0..8).map(|seed| (i.name, seed))).collect();
    sweep::map_in_order(&sessions, 0, |(incident, seed)| {
        let simulated = simulate(incident, *seed, 13);
        let offline = app::analyze(&simulated.capture, &AnalyzeOptions::default()).unwrap();
        assert_eq!(
            serde_json::to_string(&simulated.live).unwrap(),
            serde_json::to_string(&offline).unwrap(),
            "{incident} with seed {seed}"
        );
        assert!(offline.complete && offline.slices > 0, "{incident} with seed {seed}");
    })
    .unwrap();
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let bytes = |seed| std::fs::read(simulate("stall", seed, 8).capture).unwrap();
    let first = bytes(7);
    assert_eq!(first, bytes(7));
    assert_ne!(first, bytes(8));
}

#[test]
fn verdicts_are_those_that_the_incidents_promise() {
    for incident in incident::ALL {
        let Analysis { verdict, .. } = simulate_with(incident.name, 3, 30, |verb| SimulateVerb {
            loop_s: 24.0,
            channels: 2,
            ..verb
        })
        .live;
        assert_eq!(verdict.lag, Some(incident.lags), "{} {verdict:?}", incident.name);
    }
}

#[test]
fn healthy_is_healthy() {
    for seed in 0..5 {
        let healthy = simulate("healthy", seed, 15).live;
        let lag = healthy.lag.as_ref().unwrap();
        assert_eq!((lag.ticks.stale_ticks, lag.slices.behind_playhead), (0, 0), "seed {seed}");
        assert_eq!(Outcome::of_analysis(&healthy), Outcome::Healthy);
    }
}

/// The only episode of a kind.
#[track_caller]
fn only(analysis: &Analysis, kind: impl Fn(&LagKind) -> bool) -> HeardEpisode {
    let found: Vec<_> = analysis.verdict.episodes.iter().filter(|e| kind(&e.what)).collect();
    assert_eq!(found.len(), 1, "{:?}", analysis.verdict);
    *found[0]
}

#[track_caller]
fn check_near(found: f64, injected: f64) {
    assert!((found - injected).abs() <= 0.1, "{found} is not within 0.1 of {injected}");
}

/// Times of arrival and leads of the slices, from the initial buffer.
fn slices(simulated: &Simulated) -> Vec<(f64, f64)> {
    let mut engine = Engine::new(Options::default());
    let mut records = Records::new(std::fs::File::open(&simulated.capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        engine.handle(&record);
    }
    let origin_s = engine.origin().unwrap().seconds();
    engine.epochs()[0].tracker.slices().map(|s| (s.t_s - origin_s, s.lead_s)).collect()
}

/// The longest gap between slices: its beginning and its length.
fn longest_gap(slices: &[(f64, f64)]) -> (f64, f64) {
    slices
        .windows(2)
        .map(|pair| (pair[0].0, pair[1].0 - pair[0].0))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap()
}

#[test]
fn a_stall_shows_where_it_was_put() {
    for seed in 0..5 {
        let stall = simulate("stall:at=5,for=4", seed, 15);
        let (begins_s, lasts_s) = longest_gap(&slices(&stall));
        check_near(begins_s, 5.0);
        check_near(lasts_s, 4.0);
        // What is heard of the first lap is the source, and older audio after it.
        let heard = only(&stall.live, |what| what.old_audio().is_some()).what;
        check_near(heard.old_audio().unwrap().silence_s, 4.0);
    }
}

#[test]
fn late_slices_show_where_they_were_put() {
    for seed in 0..5 {
        let behind = simulate("behind:at=5,for=2,by=0.6", seed, 12);
        let episode = only(&behind.live, |what| matches!(what, LagKind::Behind { .. }));
        check_near(episode.from_s, 5.0);
        check_near(episode.to_s, 7.0);
        let leads: Vec<_> = slices(&behind).iter().filter(|s| s.1 < 0.0).map(|s| s.1).collect();
        let mean = leads.iter().sum::<f64>() / leads.len() as f64;
        check_near(mean, -0.6);
    }
}

#[test]
fn slow_generation_shows_in_ticks_and_gaps() {
    let slow = simulate("slow-generation:at=5,for=5,factor=10", 1, 12);
    let (fast, slow): (Vec<_>, Vec<_>) = slices(&slow)
        .windows(2)
        .map(|pair| (pair[0].0, pair[1].0 - pair[0].0))
        .partition(|(at_s, _)| *at_s < 5.0);
    let mean = |gaps: &[(f64, f64)]| gaps.iter().map(|gap| gap.1).sum::<f64>() / gaps.len() as f64;
    let during: Vec<_> = slow.into_iter().filter(|(at_s, _)| (5.1..9.5).contains(at_s)).collect();
    check_near(mean(&during) - mean(&fast), 9.0 * 0.040);
}

#[test]
fn a_thin_link_carries_what_it_carries() {
    let thin = simulate("thin-link:down=60KB/s,buffer=64KB", 1, 20);
    let bytes = thin.live.traffic.server_to_client.bytes as f64;
    let buffer = 8.0 * 48_000.0 * 2.0;
    let rate = (bytes - buffer) / 20.0;
    assert!((54e3..62e3).contains(&rate), "{rate} B/s");
}

#[test]
fn a_seek_sometimes_throws_the_transport_lead_to_its_cap() {
    let thrown = |seed| {
        let seek = simulate_with("seek-lead-runaway:latency=1ms", seed, 12, |verb| SimulateVerb {
            loop_s: 24.0,
            ..verb
        });
        let highest = slices(&seek).iter().filter(|s| s.0 > 6.5).map(|s| s.1).fold(0.0, f64::max);
        assert!(highest < 0.6 || (2.8..3.5).contains(&highest), "seed {seed}: {highest}");
        highest > 1.0
    };
    let thrown = (0..20).filter(|&seed| thrown(seed)).count();
    assert!((2..=18).contains(&thrown), "{thrown} of 20");
}

#[test]
fn knobs_and_commands_show_as_gaps() {
    let rebuild = simulate("rebuild-stall:at=5,for=1.1", 1, 10);
    let (begins_s, lasts_s) = longest_gap(&slices(&rebuild));
    check_near(begins_s, 5.0);
    check_near(lasts_s, 1.15);
    let storm = simulate("refit-storm:at=5,for=2,refit=0.6", 1, 12);
    let (begins_s, lasts_s) = longest_gap(&slices(&storm));
    check_near(begins_s, 5.0);
    check_near(lasts_s, 2.6);
}

#[test]
fn bursts_come_in_their_two_lengths() {
    let bursts = simulate("burst-production:short=0.25,long=0.65", 1, 20);
    let slices = slices(&bursts);
    let gaps: Vec<_> = slices.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let near = |length: f64| gaps.iter().filter(|gap| (*gap - length).abs() < 0.02).count();
    assert!(near(0.258) > 5 && near(0.658) > 5, "{gaps:?}");
    assert_eq!(near(0.258) + near(0.658), gaps.len(), "{gaps:?}");
}

#[test]
fn a_throttled_client_handles_in_turns() {
    let backlog = simulate("client-backlog:every=1", 1, 12);
    let turns: std::collections::BTreeSet<_> =
        slices(&backlog).iter().map(|s| (s.0 * 1e3).round() as i64).collect();
    assert!(turns.len() <= 13, "{turns:?}");
}

#[test]
fn sessions_end_as_they_were_told_to() {
    let preempted = simulate("preempted:at=5", 1, 12).live;
    assert_eq!(preempted.closes[0].code, Some(4001));
    check_near(preempted.closes[0].t_s, 5.0);
    let death = simulate("pipeline-death:at=5", 1, 12).live;
    assert_eq!(death.closes[0].code, Some(1000));
    let error = serde_json::to_string(&death.events).unwrap();
    assert!(error.contains("pipeline_error"), "{error}");
}

#[test]
fn a_stale_playhead_falls_steadily() {
    let stale = simulate_with("stale-playhead:per-s=24", 1, 16, |verb| SimulateVerb {
        loop_s: 24.0,
        dialect: Some(Dialect::Legacy),
        ..verb
    });
    let slices = slices(&stale);
    let lead_at = |at_s: f64| slices.iter().find(|s| s.0 >= at_s).unwrap().1;
    let per_s = (lead_at(14.0) - lead_at(4.0)) / 10.0;
    // 24 of 30 reports a second are handled: the position that the server knows falls behind by
    // a fifth of a second each second.
    check_near(per_s, -0.2);
}

#[test]
fn an_idle_server_is_no_lag() {
    let idle = simulate("idle-pause", 1, 45);
    assert_eq!(Outcome::of_analysis(&idle.live), Outcome::Healthy);
    let last = slices(&idle).last().unwrap().0;
    check_near(last, 28.1);
}

#[test]
fn an_oversize_window_is_oversize() {
    let oversize = simulate("oversize-window:window=2", 1, 5);
    let mut longest = 0;
    let mut engine = Engine::new(Options::default());
    let mut records = Records::new(std::fs::File::open(&oversize.capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        engine.handle(&record);
    }
    for slice in engine.epochs()[0].tracker.slices() {
        longest = longest.max(slice.frames);
    }
    assert_eq!(longest, 96_000);
}

#[test]
fn a_fast_clock_drifts_in_its_reports() {
    let skew = simulate("clock-skew:rate=1.02", 1, 10);
    let mut engine = Engine::new(Options::default());
    let mut records = Records::new(std::fs::File::open(&skew.capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        engine.handle(&record);
    }
    let last = *engine.epochs()[0].tracker.ticks().next_back().unwrap();
    let elapsed_s = last.t_s - engine.origin().unwrap().seconds();
    check_near(last.playhead_s, (elapsed_s * 1.02) % 8.0);
}
