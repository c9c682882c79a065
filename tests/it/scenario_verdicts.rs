//! One meaning of lag: over scenarios drawn at random, what a sweep calls lagging is what `analyze` calls
//! LAG in the capture that `what-if --capture` writes of it, of whole sessions and of parts.

use std::path::{Path, PathBuf};

use lagtape::app::{
    self, AnalyzeOptions, SessionPart, SimulateVerb, SweepVerb, WhatIfVerb, what_if,
};
use lagtape::peer::client::Dialect;
use lagtape::peer::rng::{Rng, Stream};
use lagtape::scenario::{Scenario, parse};
use lagtape::time::Offset;
use tempfile::TempDir;

use crate::simulated;

/// Seconds of a simulated session.
const SESSION_S: u64 = 14;

/// Captures of all kinds of answers: one that lags, one that does not, one whose link the model runs anew.
fn captures(folder: &Path) -> Vec<PathBuf> {
    let bundled = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name);
    let session = |incident: &str, dialect| {
        let out = folder.join(format!("{dialect:?}.lagtape"));
        let verb = SimulateVerb {
            loop_s: 12.0,
            dialect: Some(dialect),
            ..simulated::verb(incident, 11, SESSION_S, out.clone())
        };
        app::simulate(&verb).unwrap();
        out
    };
    vec![
        bundled("healthy.lagtape"),
        bundled("stall.lagtape"),
        session("thin-link:down=100KB/s,at=4s", Dialect::Legacy),
        session("thin-link:down=100KB/s,at=4s", Dialect::Modern),
    ]
}

/// A scenario of one to three changes.
fn drawn(rng: &mut Rng) -> (Vec<String>, Scenario) {
    let mut scenario = Scenario::default();
    let mut said = Vec::new();
    for _ in 0..=(rng.unit() * 3.0) as usize {
        let mut between = |least: f64, most: f64| least + (most - least) * rng.unit();
        let at_s = between(0.5, 6.5);
        let word = match between(0.0, 9.0) as u32 {
            0 => format!("rate={:.3}", between(0.95, 1.05)),
            1 => format!("skew-ppm={:.0}", between(-3000.0, 3000.0)),
            2 => format!("{at_s:.2}s:seek={:.2}", between(0.0, 10.0)),
            3 => format!("{at_s:.2}s:pause"),
            4 => format!("lead-floor={:.2}", between(0.05, 1.2)),
            5 => format!("down={:.0}KB/s", between(60.0, 600.0)),
            6 => format!("{at_s:.2}s:down={:.0}KB/s", between(60.0, 600.0)),
            7 => format!("tick-factor={:.2}", between(0.6, 4.0)),
            _ => format!("latency={:.3}s", between(0.0, 0.4)),
        };
        match word.contains(':') {
            true => parse::add_op(&mut scenario, &word).unwrap(),
            false => {
                let (name, value) = word.split_once('=').unwrap();
                parse::assign(&mut scenario, name, value).unwrap();
            }
        }
        said.push(word);
    }
    (said, scenario)
}

/// All of a session or, every other time, a part of it.
fn drawn_part(rng: &mut Rng) -> SessionPart {
    let mut moment = |least_s: f64, most_s: f64| {
        let at_s = least_s + (most_s - least_s) * rng.unit();
        Some(Offset((at_s * 1e9) as i64))
    };
    let (from, to) = (moment(-4.0, 4.0), moment(8.0, 20.0));
    SessionPart {
        from: from.filter(|from| from.0 > 0),
        to: to.filter(|to| to.seconds() < SESSION_S as f64),
        episode: None,
    }
}

/// How many of so many scenarios were answered, and how many of these lag.
fn check(seed: u64, scenarios: usize) -> (usize, usize) {
    let folder = TempDir::new().unwrap();
    let captures = captures(folder.path());
    let derived = folder.path().join("derived.lagtape");
    let mut rng = Rng::new(seed, Stream::Names);
    let (mut answered, mut lagging) = (0, 0);
    for number in 0..scenarios {
        let capture = &captures[number % captures.len()];
        let (said, scenario) = drawn(&mut rng);
        let part = drawn_part(&mut rng);
        let verb = WhatIfVerb {
            scenario: scenario.clone(),
            part,
            members: 1,
            capture: Some(derived.clone()),
            force: true,
            ..WhatIfVerb::default()
        };
        let Ok(answer) = what_if(capture, &verb) else { continue };
        let analysis = app::analyze(&derived, &AnalyzeOptions::default()).unwrap();
        let told = format!("{} {part:?} {said:?}: {}", capture.display(), answer.reason);
        let recorded = AnalyzeOptions { part, ..AnalyzeOptions::default() };
        let recorded = app::analyze(capture, &recorded).unwrap();
        assert_eq!(answer.factual.verdict.as_ref(), Some(&recorded.verdict), "{told}");
        assert_eq!(answer.counterfactual.verdict.as_ref(), Some(&analysis.verdict), "{told}");
        let sweep = SweepVerb { scenario, part, ..SweepVerb::default() };
        let swept = app::sweep(std::slice::from_ref(capture), &sweep, &|_, _| {
            std::ops::ControlFlow::Continue(())
        });
        let row = &swept.unwrap().rows[0];
        assert_eq!(row.lags, analysis.verdict.lag, "{told}");
        answered += 1;
        lagging += usize::from(analysis.verdict.lag == Some(true));
    }
    (answered, lagging)
}

#[test]
fn a_row_lags_where_its_capture_does() {
    let (answered, lagging) = check(1, 60);
    assert!(answered > 40 && (15..answered - 10).contains(&lagging), "{lagging} of {answered}");
}

#[test]
#[ignore = "takes minutes: the same for 500 scenarios"]
fn five_hundred_rows_lag_where_their_captures_do() {
    let (answered, lagging) = check(2, 500);
    println!("{answered} answered, of which {lagging} lag");
    assert!(answered > 340 && (125..answered - 80).contains(&lagging), "{lagging} of {answered}");
}
