//! What if a link that was too thin had been wider: asked of the session itself, and beside the session
//! that was simulated with the other link.

use std::path::{Path, PathBuf};

use lagtape::app::{self, AnalyzeOptions, SimulateVerb, WhatIfVerb, what_if};
use lagtape::lag::LagReport;
use lagtape::peer::client::Dialect;
use lagtape::report::what_if::WhatIf;
use lagtape::scenario::{Scenario, Tier, parse};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::check;
use crate::simulated;

/// A session over that link.
struct Session {
    link: &'static str,
    seed: u64,
    dialect: Dialect,
    channels: u16,
}

impl Session {
    fn simulated(&self, folder: &Path) -> PathBuf {
        let Session { link, seed, dialect, channels } = *self;
        let out =
            folder.join(format!("{seed}-{dialect:?}-{}.lagtape", link.replace([':', '/'], "-")));
        let verb = SimulateVerb {
            loop_s: 20.0,
            channels,
            dialect: Some(dialect),
            ..simulated::verb(link, seed, 20, out.clone())
        };
        app::simulate(&verb).unwrap();
        out
    }
}

fn asked(capture: &Path, words: &[&str]) -> WhatIf {
    let mut scenario = Scenario::default();
    for word in words {
        match word.split_once('=') {
            Some((name, value)) if !name.contains(':') => {
                parse::assign(&mut scenario, name, value).unwrap();
            }
            _ => parse::add_op(&mut scenario, word).unwrap(),
        }
    }
    what_if(capture, &WhatIfVerb { scenario, ..WhatIfVerb::default() }).unwrap()
}

fn reported(capture: &Path) -> LagReport {
    app::analyze(capture, &AnalyzeOptions::default()).unwrap().lag.unwrap()
}

/// The answer of the one session to a wider link, beside the other that had it: the lead's median and 95th
/// percentile within so many seconds, slices behind within so many.
#[track_caller]
fn check_wider(session: &Session, other: &'static str, words: &[&str], (off_s, off): (f64, usize)) {
    let folder = TempDir::new().unwrap();
    let answer = asked(&session.simulated(folder.path()), words);
    assert_eq!(answer.tier, Tier::Model, "{}", answer.reason);
    let link = answer.model.as_ref().and_then(|model| model.link.as_ref());
    assert!(link.is_some(), "{:?}", answer.model);
    let came = reported(&Session { link: other, ..*session }.simulated(folder.path()));
    let ours = &answer.counterfactual.lag;
    let (own_s, came_s) = (ours.slices.lead_s.unwrap(), came.slices.lead_s.unwrap());
    let told = format!("{} {words:?}: {own_s:?} for {came_s:?}", session.link);
    assert!((own_s.p50 - came_s.p50).abs() < off_s, "{told}");
    assert!((own_s.p95 - came_s.p95).abs() < off_s, "{told}");
    let (own, came) = (ours.slices.behind_playhead, came.slices.behind_playhead);
    assert!(own.abs_diff(came) <= off, "{own} for {came} behind; {told}");
    let p50 = answer.outcomes[0].lead_p50_s;
    assert!((p50.p5..=p50.p95).contains(&came_s.p50), "{p50:?}; {told}");
}

#[test]
fn a_link_that_became_thin_is_made_wider() {
    for (seed, channels, link) in
        [(3, 1, "thin-link:down=90KB/s,at=5s"), (5, 2, "thin-link:down=200KB/s,at=5s")]
    {
        let session = Session { link, seed, dialect: Dialect::Legacy, channels };
        // The moment counts from the initial buffer here and there.
        let wide = "thin-link:down=1MB/s,at=5s";
        check_wider(&session, wide, &["5s:down=1MB/s"], (0.02, 2));
    }
}

#[test]
fn a_modern_client_s_session_is_healthy_over_a_link_that_is_wide_enough() {
    let session = Session {
        link: "thin-link:down=90KB/s,at=5s",
        seed: 3,
        dialect: Dialect::Modern,
        channels: 1,
    };
    let folder = TempDir::new().unwrap();
    let answer = asked(&session.simulated(folder.path()), &["5s:down=1MB/s"]);
    assert_eq!(answer.factual.verdict.as_ref().unwrap().lag, Some(true));
    assert_eq!(answer.counterfactual.verdict.as_ref().unwrap().lag, Some(false));
    let narrowest = answer.model.unwrap().link.unwrap().narrowest();
    assert!((narrowest - 90e3).abs() < 900.0, "{narrowest}");
}

#[test]
fn a_link_that_was_thin_from_the_first_byte_on_is_made_wider() {
    let session = Session {
        link: "thin-link:down=328KB/s,buffer=254KB",
        seed: 18_425,
        dialect: Dialect::Modern,
        channels: 2,
    };
    check_wider(&session, "thin-link:down=1MB/s,buffer=254KB", &["down=1MB/s"], (0.03, 1));
}

#[test]
fn what_else_changes_goes_over_the_recorded_link() {
    let session = Session {
        link: "thin-link:down=90KB/s,at=5s",
        seed: 6,
        dialect: Dialect::Legacy,
        channels: 1,
    };
    let folder = TempDir::new().unwrap();
    let capture = session.simulated(folder.path());
    let recorded = reported(&capture);
    // The recorded rate is no change.
    let same = asked(&capture, &["5s:down=90KB/s"]).counterfactual.lag;
    let (own_s, recorded_s) = (same.slices.lead_s.unwrap(), recorded.slices.lead_s.unwrap());
    assert!((own_s.p5 - recorded_s.p5).abs() < 0.1, "{own_s:?} for {recorded_s:?}");
    // With half of the turns half of the bytes have to pass.
    let slower = asked(&capture, &["tick-factor=2"]).counterfactual.lag;
    assert!(slower.slices.lead_s.unwrap().p5 > recorded_s.p5 + 0.5, "{slower:?}");
}

#[test]
fn a_buffer_bounds_how_far_behind_a_thin_link_brings_the_slices() {
    let session = Session { link: "healthy", seed: 3, dialect: Dialect::Legacy, channels: 1 };
    let folder = TempDir::new().unwrap();
    let capture = session.simulated(folder.path());
    let lead_p5_s =
        |words: &[&str]| asked(&capture, words).counterfactual.lag.slices.lead_s.unwrap().p5;
    let unbounded_s = lead_p5_s(&["5s:down=90KB/s"]);
    // A server that cannot write makes no slices, so none grows old in front of the link.
    let bounded_s = lead_p5_s(&["5s:down=90KB/s", "buffer=64KB"]);
    assert!(bounded_s > unbounded_s + 0.5, "{bounded_s} s, without a bound {unbounded_s} s");
}

#[test]
fn how_much_bandwidth_would_have_been_enough_is_found() {
    let session = Session {
        link: "thin-link:down=90KB/s,at=5s",
        seed: 3,
        dialect: Dialect::Legacy,
        channels: 1,
    };
    let folder = TempDir::new().unwrap();
    let capture = session.simulated(folder.path());
    let values = "down=100KB/s..400KB/s:50KB/s";
    let words = ["sweep", capture.to_str().unwrap(), "--find", "lag_s == 0", "--vary", values];
    let words = [&words[..], &["--threads", "1"]].concat();
    let found: Value =
        serde_json::from_str(&check(&[&words[..], &["--json"]].concat(), 0).0).unwrap();
    let recorded = found["recorded_value"].as_f64().unwrap();
    assert!((recorded - 90e3).abs() < 1e3, "{recorded}");
    let enough = found["value"].as_f64().unwrap();
    // What the same session needs over a link that holds nothing up.
    assert!((recorded..400e3).contains(&enough), "{enough}");
    let text = format!("5s:down={enough}B/s");
    assert_eq!(asked(&capture, &[&text]).counterfactual.verdict.unwrap().lag, Some(false));
}
