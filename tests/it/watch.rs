//! The live page, in Chromium: of a recording, of a proxy, and of a file that grows.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::devtools::Browser;
use crate::program::{Running, check, check_complaint, long, simulated};
use crate::report_page::text;

/// A backend whose stream stalls for a long time, and where it is.
fn troubled() -> (Running, String) {
    let backend = Running::start(&[
        "backend",
        "--listen",
        "0",
        "--bus-port",
        "off",
        "--loop",
        "8s",
        "--incident",
        "stall:at=6s,for=600s",
    ]);
    let url = backend.line();
    assert!(url.starts_with("ws://"), "{url}");
    (backend, url)
}

fn address_of(url: &str) -> &str {
    url.strip_prefix("http://").unwrap().trim_end_matches('/')
}

/// What the server answers to a request for this path: head and body.
fn get(url: &str, path: &str, headers: &str) -> (String, String) {
    let address = address_of(url);
    let mut stream = TcpStream::connect(address).unwrap();
    let host =
        if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    write!(stream, "GET {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// Waits until an expression is true on the page.
#[track_caller]
pub fn wait(browser: &mut Browser, expression: &str) {
    browser.ask(&format!(
        "new Promise((done) => {{
            const look = () => ({expression}) ? done(1) : setTimeout(look, 50);
            look();
        }})"
    ));
}

const LAGS: &str = "document.getElementById('badge').textContent === 'LAG' && \
                    document.getElementById('live-state').className === 'live'";

/// Sees on the page that a session lags while it goes on, also after a reload and beside a client that
/// never reads.
#[track_caller]
fn check_live(browser: &mut Browser, url: &str) {
    browser.visit(url);
    wait(browser, LAGS);
    // An incident is there at the latest two seconds after it counts as one.
    let behind =
        browser.ask("shown.session.to_s - shown.session.analysis.verdict.episodes[0].from_s");
    assert!(behind.as_f64().is_some(), "{behind}");
    let mut deaf = TcpStream::connect(address_of(url)).unwrap();
    write!(deaf, "GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", address_of(url)).unwrap();
    let slices = |browser: &mut Browser| {
        let count = browser.ask("[shown.session.slice.t_s.length, shown.session.tick.t_s.length]");
        (count[0].as_u64().unwrap(), count[1].as_u64().unwrap())
    };
    let before = slices(browser);
    assert!(before.0 > 10 && before.1 > 10, "{before:?}");
    browser.reload();
    wait(browser, LAGS);
    let after = slices(browser);
    assert!(after.0 >= before.0 && after.1 >= before.1, "{before:?}, then {after:?}");
    wait(browser, &format!("shown.session.tick.t_s.length > {} + 30", after.1));
    browser.check_quiet();
    drop(deaf);
}

/// The page of the session, which is over, as the server saves it, is that of `report`.
#[track_caller]
fn check_saved(url: &str, capture: &Path, folder: &TempDir) {
    let (head, saved) = get(url, "/save?session=1", "");
    assert!(head.contains("attachment; filename=\""), "{head}");
    let page = folder.path().join("again.html");
    let words = ["report", capture.to_str().unwrap(), "-o", page.to_str().unwrap()];
    check(&words, 0);
    assert!(saved == std::fs::read_to_string(page).unwrap(), "saved is what report writes");
}

#[cfg(unix)]
#[test]
fn a_recording_is_seen_while_it_goes_on() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let (_backend, server) = troubled();
    let capture = folder.path().join("x.lagtape");
    let mut watch = Running::start(&["watch", &server, "-o", capture.to_str().unwrap()]);
    let url = watch.line();
    check_live(&mut browser, &url);
    assert!(watch.is_running());
    let ended = watch.terminate();
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.out.contains("LAG"), "{ended:?}");
    wait(&mut browser, "document.getElementById('live-state').textContent.startsWith('Nobody')");
    let mut again = Running::start(&["watch", capture.to_str().unwrap()]);
    let url = again.line();
    browser.visit(&url);
    wait(&mut browser, "document.getElementById('live-state').textContent === 'Over'");
    check_saved(&url, &capture, &folder);
    assert!(again.is_running());
    assert_eq!(again.terminate().code, Some(0));
}

#[cfg(unix)]
#[test]
fn sessions_of_a_proxy_are_tabs() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let (_backend, server) = troubled();
    let out = folder.path().to_str().unwrap();
    let watch = Running::start(&["watch", "--proxy", &server, "--proxy-listen", "0", "-o", out]);
    let url = watch.line();
    let between = watch.line();
    assert!(between.starts_with("ws://"), "{between}");
    let to = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let record = |name: &str, length: &str| {
        Running::start(&["record", &between, "--for", length, "-o", &to(name)])
    };
    let first = record("first.txt", "500s");
    check_live(&mut browser, &url);
    drop(first);
    wait(&mut browser, "document.getElementById('live-state').textContent === 'Over'");
    let _second = record("second.txt", "500s");
    wait(&mut browser, "document.querySelectorAll('#tabs button').length === 2");
    // Who follows is shown the new one.
    wait(&mut browser, "live.shows === 2");
    browser.ask("document.getElementById('tab-0').click()");
    wait(&mut browser, "live.shows === 1");
    browser.check_quiet();
    let captures = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().path());
    let mut captures: Vec<_> =
        captures.filter(|path| path.extension().is_some_and(|it| it == "lagtape")).collect();
    captures.sort();
    assert_eq!(captures.len(), 2);
    check_saved(&url, &captures[0], &folder);
    assert_eq!(watch.terminate().code, Some(4));
}

#[cfg(unix)]
#[test]
fn parts_of_a_recording_are_tabs_and_go_on_where_the_one_before_ends() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let (_backend, server) = troubled();
    let capture = folder.path().join("x.lagtape");
    let words = ["watch", &server, "--split", "4s", "-o", capture.to_str().unwrap()];
    let watch = Running::start(&words);
    browser.visit(&watch.line());
    // A slow browser may first look when there are more parts.
    wait(&mut browser, "known.size >= 2 && live.shows >= 2");
    let names = browser.ask(
        "[...document.querySelectorAll('#tabs button')].slice(0, 2).map((tab) => tab.textContent)",
    );
    let path = |number| folder.path().join(format!("x-00{number}.lagtape"));
    assert_eq!(names, serde_json::json!(["x-001.lagtape", "x-002.lagtape"]));
    // A part counts from the initial buffer of the session, and its loop is the session's.
    wait(&mut browser, "shown.session.message.t_s.length > 20 && shown.session.loops.length > 0");
    assert!(browser.ask("known.get(1).is_live") == false);
    let ends = browser.ask("[1, 2].map((number) => known.get(number).tables.message.t_s.at(-1))");
    assert!(ends[1].as_f64().unwrap() > ends[0].as_f64().unwrap(), "{ends}");
    browser.check_quiet();
    watch.terminate();
    check(
        &[
            "join",
            path(1).to_str().unwrap(),
            path(2).to_str().unwrap(),
            "-o",
            capture.to_str().unwrap(),
        ],
        0,
    );
}

#[cfg(unix)]
#[test]
fn incidents_of_a_ring_become_tabs() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let (_backend, server) = troubled();
    let out = folder.path().to_str().unwrap();
    let words =
        ["watch", "--proxy", &server, "--proxy-listen", "0", "--ring", "30s", "--after", "2s"];
    let watch = Running::start(&[&words[..], &["-o", out]].concat());
    let url = watch.line();
    let between = watch.line();
    let elsewhere = folder.path().join("x.txt");
    let _client = Running::start(&["record", &between, "-o", elsewhere.to_str().unwrap()]);
    browser.visit_empty(&url);
    // Nothing is kept of what is healthy.
    wait(&mut browser, "known.size >= 1 && live.shows >= 1");
    wait(&mut browser, "byId('badge').textContent === 'LAG'");
    assert!(
        text(&mut browser, "name").contains("-behind")
            || text(&mut browser, "name").contains("-stale")
    );
    browser.check_quiet();
    watch.terminate();
}

#[test]
fn a_file_that_grows_is_followed_and_its_past_is_there() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let words = ["--incident", "stall:at=6s,for=3s", "--for", "14s", "--loop", "8s"];
    let whole = std::fs::read(simulated(&folder, "whole", &words)).unwrap();
    let path = folder.path().join("growing.lagtape");
    let mut growing = File::create(&path).unwrap();
    let (first, rest) = whole.split_at(whole.len() / 3);
    growing.write_all(first).unwrap();
    let watch = Running::start(&["watch", path.to_str().unwrap()]);
    browser.visit(&watch.line());
    assert_eq!(browser.ask("document.getElementById('live-state').textContent"), "Live");
    assert_eq!(browser.ask("byId('badge').textContent"), "HEALTHY");
    growing.write_all(rest).unwrap();
    wait(&mut browser, "byId('live-state').textContent === 'Over' && !known.get(1).isStale");
    wait(&mut browser, "byId('badge').textContent === 'LAG'");
    let told = browser.ask(
        "[shown.session.message.t_s.length, shown.session.slice.t_s.length, shown.session.tick.t_s.length]",
    );
    // The same rows as those of a page from the file.
    let page = folder.path().join("page.html");
    check(&["report", path.to_str().unwrap(), "-o", page.to_str().unwrap(), "--runs", "0"], 0);
    browser.open(&page, "");
    let rows = browser.ask(
        "[shown.session.message.t_s.length, shown.session.slice.t_s.length, shown.session.tick.t_s.length]",
    );
    assert_eq!(told, rows);
    drop(watch);
}

#[test]
fn who_looks_elsewhere_is_left_there() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let whole =
        std::fs::read(simulated(&folder, "whole", &["--for", "14s", "--loop", "8s"])).unwrap();
    let path = folder.path().join("growing.lagtape");
    let mut growing = File::create(&path).unwrap();
    let (first, rest) = whole.split_at(whole.len() / 2);
    growing.write_all(first).unwrap();
    let watch = Running::start(&["watch", path.to_str().unwrap()]);
    browser.visit(&watch.line());
    browser.ask("shown.view.show(1, 3)");
    wait(&mut browser, "!byId('follow').checked && location.hash.includes('from=1.0000')");
    growing.write_all(rest).unwrap();
    wait(
        &mut browser,
        "byId('live-state').textContent === 'Over' && live.shows && !known.get(1).isStale",
    );
    assert_eq!(browser.ask("[shown.view.from, shown.view.to]"), serde_json::json!([1, 3]));
    browser.reload();
    wait(&mut browser, "document.documentElement.dataset.ready");
    assert_eq!(browser.ask("[shown.view.from, shown.view.to]"), serde_json::json!([1, 3]));
    browser.ask("byId('follow').click()");
    wait(&mut browser, "shown.view.to === shown.view.whole[1]");
}

#[test]
fn knobs_are_turned_together_where_a_session_is_over() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "stall");
    let watch = Running::start(&["watch", &capture]);
    browser.visit(&watch.line());
    wait(&mut browser, "shown.session.tunnel.knobs.length > 2");
    // One knob alone is answered as it was computed beforehand.
    let is_same = browser.ask(
        "(async () => {
            const told = ({ tier, refusal, outcomes }) => JSON.stringify({ tier, refusal, outcomes });
            const knob = shown.session.tunnel.knobs.find(({ name }) => name === 'lead-floor');
            const body = JSON.stringify({ [knob.name]: knob.settings[0].value });
            const answer = await fetch('scenario?session=1', { method: 'POST', body });
            return told(await answer.json()) === told(knob.settings[0]);
        })()",
    );
    assert_eq!(is_same, true);
    browser.ask(
        "byId('together').click();
        for (const name of ['lead-floor', 'latency']) {
            const input = byId(`knob-${name}`);
            input.value = input.max;
            input.dispatchEvent(new Event('input'));
        }",
    );
    let caption = "document.querySelector('#tunnel-result caption').textContent";
    wait(&mut browser, &format!("/lead-floor .*, latency .*model/.test({caption})"));
    assert!(browser.ask("shown.view.setting.outcomes.length").as_u64().unwrap() > 0);
    browser.ask("byId('tunnel-reset').click()");
    assert_eq!(browser.ask(caption), "Nothing is changed.");
    browser.check_quiet();
}

#[test]
fn nobody_else_is_answered() {
    let folder = TempDir::new().unwrap();
    let capture = simulated(&folder, "x", &["--for", "2s"]);
    let watch = Running::start(&["watch", &capture]);
    let url = watch.line();
    let rows = [
        ("/", "", "200"),
        ("/events", "Host: evil.example\r\n", "403"),
        ("/", "Origin: https://evil.example\r\n", "403"),
        ("/save?session=7", "", "404"),
        ("/save", "", "400"),
        ("/secrets", "", "404"),
        ("/scenario?session=1", "", "405"),
        ("/favicon.ico", "", "204"),
    ];
    for (path, headers, code) in rows {
        let (head, body) = get(&url, path, headers);
        assert!(head.starts_with(&format!("HTTP/1.1 {code}")), "{path} {headers}: {head}");
        assert_eq!(body.contains("connect-src 'self'"), path == "/" && headers.is_empty());
    }
}

/// Events as a program reads them.
#[test]
fn a_late_listener_gets_the_whole_session() {
    let folder = TempDir::new().unwrap();
    let capture = simulated(&folder, "x", &["--for", "2s"]);
    let watch = Running::start(&["watch", &capture]);
    let url = watch.line();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address_of(&url)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(stream, "GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", address_of(&url)).unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "event: part"));
        assert!(lines.next().unwrap_or_default().contains("data: "));
    }
}

#[test]
fn what_cannot_be_watched_is_said_at_once() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "Dear all, this is no capture of anything").unwrap();
    let text = text.to_str().unwrap();
    let capture = simulated(&folder, "x", &["--for", "2s"]);
    check_complaint(&["watch"], 2, "<FILE|URL>");
    check_complaint(&["watch", text], 1, "not a lagtape capture");
    check_complaint(&["watch", "none.lagtape"], 1, "cannot open none.lagtape");
    check_complaint(&["watch", &capture, "--tui"], 2, "needs a terminal");
    check_complaint(&["watch", "-"], 2, "no name to watch");
    check_complaint(&["watch", &capture, "--fixture", "x"], 2, "nothing is recorded");
    check_complaint(&["watch", &capture, "--split", "5s"], 2, "nothing is recorded");
    check_complaint(&["watch", &capture, "--latency", "40ms"], 2, "cannot be used with");
    check_complaint(&["watch", "--proxy", "ws://pod", "--prompt", "x"], 2, "told nothing");
    check_complaint(&["watch", &capture, "--proxy-listen", "0"], 2, "with --proxy alone");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    check_complaint(&["watch", &capture, "--listen", &listen], 1, "the port is taken");
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let out = folder.path().join("y.lagtape");
    let words = ["watch", &format!("ws://{gone}"), "-o", out.to_str().unwrap()];
    check_complaint(&words, 1, "refused");
}
