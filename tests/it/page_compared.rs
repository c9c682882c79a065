//! The page with something beside what was recorded: another capture, a scenario.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::devtools::Browser;
use crate::program::{check, check_complaint, short, simulated};
use crate::replay::bundled;
use crate::report_page::{inked, range, text};

/// The page that `report` writes with these words.
fn page(folder: &TempDir, words: &[&str]) -> PathBuf {
    let page = folder.path().join("page.html");
    check(&[&["report", "-o", page.to_str().unwrap(), "--force"], words].concat(), 0);
    page
}

#[test]
fn a_capture_stands_beside_another_on_the_same_time_axis() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let (healthy, stall) = (bundled("healthy"), bundled("stall"));
    let captures = [healthy.to_str().unwrap(), stall.to_str().unwrap()];
    let page = page(&folder, &[&captures[..], &["--runs", "0"]].concat());
    browser.resize(1600, 900);
    // Two stand beside each other unless somebody wants it otherwise.
    browser.open(&page, "#tab=0&beside=none");
    let alone = browser.ask("shown.panels.length").as_u64().unwrap();
    let own = range(&mut browser);
    browser.ask(
        "byId('beside').value = '1';
         byId('beside').dispatchEvent(new Event('change'))",
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
    assert!(inked(&mut browser, "age-beside", "stale") > 0);
    assert_eq!(text(&mut browser, "badge"), "HEALTHY");

    // The cursor stands in both, and tells of the one that it is in.
    let (left, right) =
        (box_of(&mut browser, "chart-lead"), box_of(&mut browser, "chart-lead-beside"));
    assert!(right.0 > left.0 + 500.0 && (right.1 - left.1).abs() < 1.0, "{left:?} {right:?}");
    let at = browser.ask("shown.panels[3].x(4)").as_f64().unwrap();
    browser.mouse(&[(right.0 + at, right.1 + 40.0)], false);
    let cursors = browser
        .ask("['cursor', 'cursor-beside'].map((id) => byId(id).getBoundingClientRect().left)");
    assert!((cursors[0].as_f64().unwrap() - left.0 - at).abs() < 1.5, "{cursors}");
    assert!((cursors[1].as_f64().unwrap() - right.0 - at).abs() < 1.5, "{cursors}");
    assert!(text(&mut browser, "readout").contains("no slices for"));
    browser.mouse(&[(right.0 + at, right.1 + 40.0); 2], true);
    assert!(text(&mut browser, "around-title").contains("stall.lagtape"));

    // Where there is no room, one stands below the other.
    browser.resize(700, 900);
    browser.settle();
    let (above, below) =
        (box_of(&mut browser, "chart-lead"), box_of(&mut browser, "chart-lead-beside"));
    assert!(above.0 == below.0 && below.1 > above.1 + 100.0, "{above:?} {below:?}");
    assert_eq!(browser.ask("byId('cursor-beside').hidden"), true);

    // The address says so too.
    browser.open(&page, "#tab=0&beside=1");
    assert_eq!(browser.ask("shown.panels.length"), 2 * alone);
    browser.open(&page, "#tab=0&beside=7");
    assert_eq!(browser.ask("shown.panels.length"), alone);
    browser.check_quiet();
}

/// Where the left upper corner of an element is on the screen, once it is there.
fn box_of(browser: &mut Browser, id: &str) -> (f64, f64) {
    let corner = browser.ask(&format!(
        "(() => {{
            const element = byId('{id}');
            if (!/beside/.test('{id}')) element.scrollIntoView({{ block: 'center' }});
            const {{ left, top }} = element.getBoundingClientRect();
            return [left, top];
        }})()"
    ));
    (corner[0].as_f64().unwrap(), corner[1].as_f64().unwrap())
}

#[test]
fn sound_that_is_missing_is_told() {
    let folder = TempDir::new().unwrap();
    let scenario = folder.path().join("slow pod.toml");
    fs::write(&scenario, "tick_factor = 2.0\n").unwrap();
    let capture = short(&folder);
    let page = folder.path().join("page.html");
    let words = ["report", &capture, "--what-if", scenario.to_str().unwrap(), "--audio", "-o"];
    let (_, said) = check(&[&words[..], &[page.to_str().unwrap()]].concat(), 0);
    let said = said.replace('\n', " ");
    let sentence = "there is no sound of what would have been heard with slow pod: ";
    assert!(said.contains(sentence) && said.contains("record for some seconds"), "{said}");
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&page, "");
    let told = text(&mut browser, "missing");
    assert!(told.contains("what would have been heard with slow pod"), "{told}");
    assert_eq!(browser.ask("document.querySelectorAll('audio').length"), 2);
    // And where the capture has none at all.
    let silent = folder.path().join("silent.lagtape");
    let (stall, out) = (bundled("stall"), silent.to_str().unwrap());
    check(&["redact", stall.to_str().unwrap(), "--drop-audio", "-o", out], 0);
    let words = ["report", out, "--audio", "--runs", "0", "--force", "-o", page.to_str().unwrap()];
    assert!(check(&words, 0).1.contains("there is no sound of what was heard"));
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
