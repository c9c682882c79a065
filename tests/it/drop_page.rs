//! The page onto which captures are dropped, in Chromium, where somebody has built it: `.ci/drop-page` does,
//! and `LAGTAPE_DROP_PAGE` says where it is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use lagtape::Salvage;
use lagtape::capture::ReadError;
use lagtape::report::page::{self, PageSession};
use lagtape::review::{self, PageRequest, ReviewError, TunnelRuns};
use serde_json::json;
use tempfile::TempDir;

use crate::devtools::Browser;
use crate::program::{check, lagtape};
use crate::replay::bundled;
use crate::report_page::{blue, inked, text};
use crate::watch::wait;

/// The page in a browser, with nothing on it; `None` where there is none.
fn begin() -> Option<Browser> {
    let Some(page) = std::env::var_os("LAGTAPE_DROP_PAGE").map(PathBuf::from) else {
        let is_required = std::env::var_os("LAGTAPE_REQUIRE_DROP_PAGE").is_some();
        assert!(!is_required, "LAGTAPE_DROP_PAGE names no page to drop captures on");
        eprintln!("skipped: LAGTAPE_DROP_PAGE names no page; .ci/drop-page builds it");
        return None;
    };
    let mut browser = Browser::start()?;
    browser.open(&page, "");
    Some(browser)
}

/// Drops files and waits until as many sessions are there in full.
fn drop_files(browser: &mut Browser, files: &[&Path], sessions: usize) {
    browser.drop_files(files);
    wait(
        browser,
        &format!("sessions.length === {sessions} && sessions.every(({{ made }}) => made.page)"),
    );
}

/// What this program itself makes of a capture for a page.
fn native(capture: &Path, name: &str) -> PageSession {
    let open = || -> Result<_, ReviewError> {
        Ok(Salvage::new(File::open(capture).map_err(ReadError::Io)?))
    };
    let request = PageRequest { tunnel: TunnelRuns::Affordable, ..PageRequest::default() };
    review::page_session(open, name, &request, || None).unwrap().0
}

#[track_caller]
fn check_session(browser: &mut Browser, capture: &Path, sessions: usize) {
    let name = capture.file_name().unwrap().to_str().unwrap();
    drop_files(browser, &[capture], sessions);
    let json = browser.ask("shown.session.made.json");
    let path = capture.to_str().unwrap();
    let analyzed = String::from_utf8(lagtape(&["analyze", path, "--json"]).stdout).unwrap();
    assert_eq!(json.as_str().unwrap(), analyzed.trim_end().replace(path, name));
    let made = browser.ask("shown.session.made.page");
    let page = page::html(&[native(capture, name)]);
    assert!(made.as_str() == Some(&page), "{name}: the page is not that of this program");
    assert!(blue(browser, "loop") > 100 && blue(browser, "lead") > 20, "{name}");
    assert!(browser.ask("shown.session.tunnel.knobs.length").as_u64().unwrap() > 0);
}

#[test]
fn dropped_captures_are_what_the_program_makes_of_them() {
    let Some(mut browser) = begin() else { return };
    let captures = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")).unwrap();
    let captures = captures.map(|entry| entry.unwrap().path());
    let mut captures: Vec<_> =
        captures.filter(|path| path.extension().is_some_and(|it| it == "lagtape")).collect();
    captures.sort();
    assert!(captures.len() >= 2);
    for (capture, sessions) in captures.iter().zip(1..) {
        check_session(&mut browser, capture, sessions);
    }
    // The second one stands beside the first.
    assert!(inked(&mut browser, "age", "stale") > 0);
    assert_eq!(browser.ask("document.querySelectorAll('.panel.other').length > 0"), true);
    browser.check_quiet();
}

#[test]
fn a_har_file_is_dropped_and_shown() {
    let Some(mut browser) = begin() else { return };
    let folder = TempDir::new().unwrap();
    let stall = bundled("stall");
    let har = folder.path().join("stall.har");
    check(&["export", stall.to_str().unwrap(), "--har", "-o", har.to_str().unwrap()], 0);
    // As a browser saves it: without what lagtape adds.
    let plain = fs::read_to_string(&har).unwrap().replace("_lagtape", "_another");
    fs::write(&har, &plain).unwrap();
    drop_files(&mut browser, &[&har], 1);
    assert_eq!(text(&mut browser, "badge"), "LAG");
    assert!(blue(&mut browser, "loop") > 100 && inked(&mut browser, "age", "stale") > 0);
    browser.check_quiet();
    // Packed, and beside another: a tab each.
    let packed = folder.path().join("stall.har.zst");
    fs::write(&packed, zstd::encode_all(plain.as_bytes(), 1).unwrap()).unwrap();
    drop_files(&mut browser, &[&packed, &stall], 3);
    let names =
        browser.ask("[...document.querySelectorAll('#tabs button')].map((tab) => tab.textContent)");
    assert_eq!(names, json!(["stall.har", "stall.har.zst", "stall.lagtape"]));
}

#[test]
fn what_cannot_be_shown_is_refused_in_a_sentence() {
    let Some(mut browser) = begin() else { return };
    let folder = TempDir::new().unwrap();
    let sound = fs::read(bundled("stall")).unwrap();
    for (name, bytes, says) in [
        ("notes.txt", &b"Dear all"[..], "notes.txt cannot be shown: this is not a lagtape capture"),
        ("cut.lagtape", &sound[..7], "cut.lagtape"),
        (
            "nothing.lagtape",
            b"",
            "nothing.lagtape cannot be shown: this is not a lagtape capture (it is empty)",
        ),
        ("x.har", b"{\"log\":", "x.har is neither a HAR file"),
        ("y.har", br#"{"log":{"entries":[]}}"#, "there are no WebSocket messages in it"),
        ("z.zip", b"PK\x03\x04", "z.zip is a zip file; unpack it"),
        ("p.lagtape.gz", &[0x1f, 0x8b, 8, 0], "p.lagtape.gz cannot be unpacked"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        browser.ask("byId('refused').replaceChildren()");
        browser.drop_files(&[&path]);
        wait(&mut browser, "byId('refused').textContent");
        let told = text(&mut browser, "refused");
        assert!(told.contains(says), "{name}: {told}");
    }
    // A damaged one is shown as far as it is intact, as by `report`.
    let mut damaged = sound;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xaa);
    let path = folder.path().join("damaged.lagtape");
    fs::write(&path, damaged).unwrap();
    drop_files(&mut browser, &[&path], 1);
    assert!(text(&mut browser, "sure").contains("Damage:"));
    assert_eq!(text(&mut browser, "refused"), "");
    browser.check_quiet();
}

#[test]
fn files_can_be_chosen_with_the_keyboard() {
    let Some(mut browser) = begin() else { return };
    browser.press("Tab", false);
    assert_eq!(browser.ask("document.activeElement.id"), "choose");
    let asks = "new Promise((done) => {
        byId('files').addEventListener('click', (event) => {
            event.preventDefault();
            done('asks for files');
        });
        document.activeElement.click();
    })";
    assert_eq!(browser.ask(asks), "asks for files");
}
