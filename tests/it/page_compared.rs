//! The page with something beside what was recorded: another capture, a scenario.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::devtools::Browser;
use crate::program::{check, check_complaint, simulated};
use crate::replay::bundled;
use crate::report_page::{inked, range, text};

/// The page that `report` writes with these words.
fn page(folder: &TempDir, words: &[&str]) -> PathBuf {
    let page = folder.path().join("page.html");
    check(&[&["report", "-o", page.to_str().unwrap(), "--force"], words].concat(), 0);
    page
}

#[test]
fn a_capture_stands_below_another_on_the_same_time_axis() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let (healthy, stall) = (bundled("healthy"), bundled("stall"));
    let captures = [healthy.to_str().unwrap(), stall.to_str().unwrap()];
    let page = page(&folder, &[&captures[..], &["--runs", "0"]].concat());
    browser.open(&page, "#tab=0");
    let alone = browser.ask("shown.panels.length").as_u64().unwrap();
    let own = range(&mut browser);
    browser.ask(
        "document.getElementById('below').value = '1';
         document.getElementById('below').dispatchEvent(new Event('change'))",
    );
    browser.settle();
    assert_eq!(browser.ask("shown.panels.length"), 2 * alone);
    browser.ask("shown.view.showAll()");
    browser.settle();
    // Time reaches as far as that of the longer one, and a moment has one place in both.
    assert!(range(&mut browser).1 > own.1 + 1.0);
    let places = browser.ask("shown.panels.slice(2, 4).map((panel) => panel.x(3))");
    assert_eq!(places[0], places[1]);
    // What is bad is bad in the one that is: what was heard of the other was never old.
    assert!(inked(&mut browser, "age-below", "stale") > 0);
    assert_eq!(text(&mut browser, "badge"), "HEALTHY");

    // The address says so too.
    browser.open(&page, "#tab=0&below=1");
    assert_eq!(browser.ask("shown.panels.length"), 2 * alone);
    browser.open(&page, "#tab=0&below=7");
    assert_eq!(browser.ask("shown.panels.length"), alone);
    browser.check_quiet();
}

#[test]
fn a_scenario_lies_over_what_was_recorded_and_can_be_heard() {
    let folder = TempDir::new().unwrap();
    let words = ["--incident", "healthy", "--for", "20s", "--loop", "16s"];
    let capture = simulated(&folder, "asked", &words);
    let scenario = folder.path().join("slow pod.toml");
    fs::write(&scenario, "tick_factor = 2.0\n").unwrap();
    let scenario = scenario.to_str().unwrap();
    let page = page(&folder, &[&capture, "--what-if", scenario, "--runs", "0", "--audio"]);
    fs::write(folder.path().join("x.toml"), "no_such_knob = 1\n").unwrap();
    let wrong = folder.path().join("x.toml");
    let words = ["report", &capture, "--what-if", wrong.to_str().unwrap(), "-o", "x.html"];
    check_complaint(&words, 2, "no_such_knob");

    let Some(mut browser) = Browser::start() else { return };
    browser.open(&page, "");
    let button = "document.querySelector('#tunnel-given button')";
    let label = browser.ask(&format!("{button}.textContent + {button}.ariaPressed"));
    assert_eq!(label, "With slow podtrue");
    let told = text(&mut browser, "tunnel-result");
    assert!(told.contains("scenario slow pod: the model's answer"), "{told}");
    let with = inked(&mut browser, "lead", "second");
    browser.ask("document.getElementById('tunnel-reset').click()");
    browser.settle();
    assert!(inked(&mut browser, "lead", "second") < with);
    browser.ask(&format!("{button}.click()"));
    browser.settle();
    assert_eq!(inked(&mut browser, "lead", "second"), with);

    // Both count from the initial buffer.
    let lengths = browser.ask(
        "Promise.all([...document.querySelectorAll('audio')].map((player) => new Promise((done) => {
            const told = () => done(player.duration);
            if (player.readyState > 0) told();
            player.addEventListener('loadedmetadata', told);
        })))",
    );
    let lengths: Vec<_> =
        lengths.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect();
    let [heard, _, would] = lengths[..] else { panic!("{lengths:?}") };
    assert!((heard - would).abs() < 0.1, "{heard} {would}");
    let switched = browser.ask(
        "(() => {
            const [heard, , would] = document.querySelectorAll('audio');
            heard.play = () => {};
            would.currentTime = 5;
            document.getElementById('switch').click();
            return heard.currentTime;
        })()",
    );
    assert_eq!(switched, 5);
    browser.check_quiet();
}
