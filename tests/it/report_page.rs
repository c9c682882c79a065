//! The page, in Chromium: of the bundled captures, every incident and family, and of captures that have
//! little or nothing to show.

use std::path::{Path, PathBuf};

use lagtape::app::{self, SimulateVerb};
use lagtape::capture::{
    Body, ClientKind, Direction, Header, Message, Opcode, Record, Records, SyncMarker, Writer,
};
use lagtape::engine::{Engine, Options};
use lagtape::family::{FAMILIES, Family};
use lagtape::lag::ReportArgs;
use lagtape::peer::client::Dialect;
use lagtape::peer::client_model::ClientModel;
use lagtape::peer::incident;
use lagtape::peer::simulation::simulate;
use lagtape::report::page::{PageCollector, PageExtras, PageSession};
use lagtape::report::{Analysis, CaptureDescription, page};
use lagtape::review::{PageRequest, TunnelRuns};
use lagtape::time::{Nanos, Span};
use serde_json::json;
use tempfile::TempDir;

use crate::devtools::Browser;
use crate::program::{check, check_complaint, simulated};
use crate::replay::bundled;

/// Writes the page of a capture beside it.
#[track_caller]
fn written(folder: &TempDir, capture: &Path, verb: &PageRequest) -> (PathBuf, Analysis) {
    let (session, analysis) = app::page_session(capture, verb).unwrap();
    let page = folder.path().join("page.html");
    std::fs::write(&page, page::html(&[session])).unwrap();
    (page, analysis)
}

/// How many pixels of a chart are those of a test in JavaScript on `red`, `green` and `blue`.
fn pixels(browser: &mut Browser, chart: &str, test: &str) -> u64 {
    let count = format!(
        "(() => {{
            const canvas = document.getElementById('chart-{chart}');
            const inks = getComputedStyle(document.documentElement);
            const is = (name, ...colour) => {{
                const ink = inks.getPropertyValue('--' + name).trim();
                // A thin line is blended with its neighbours.
                const near = (part, at) =>
                    Math.abs(part - parseInt(ink.slice(1 + 2 * at, 3 + 2 * at), 16)) <= 8;
                return colour.every(near);
            }};
            const {{ data }} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            // The first rows are the shading of incidents.
            for (let at = 4 * 4 * canvas.width; at < data.length; at += 4) {{
                const [red, green, blue, opaque] = data.subarray(at, at + 4);
                count += opaque >= 128 && ({test});
            }}
            return count;
        }})()"
    );
    browser.ask(&count).as_u64().unwrap()
}

/// How many have the ink of that name.
pub fn inked(browser: &mut Browser, chart: &str, ink: &str) -> u64 {
    pixels(browser, chart, &format!("is('{ink}', red, green, blue)"))
}

/// How many are the blue of slices that landed ahead, paler with their lead.
pub fn blue(browser: &mut Browser, chart: &str) -> u64 {
    pixels(browser, chart, "blue - red > 60")
}

/// What the page says first.
fn badge(analysis: &Analysis) -> &'static str {
    match analysis.verdict.lag {
        Some(true) => "LAG",
        Some(false) => "HEALTHY",
        None => "NO VERDICT",
    }
}

pub fn text(browser: &mut Browser, id: &str) -> String {
    let text = browser.ask(&format!("document.getElementById('{id}').textContent"));
    text.as_str().unwrap().to_owned()
}

/// The stretch of time that is shown.
pub fn range(browser: &mut Browser) -> (f64, f64) {
    let range = browser.ask("[shown.view.from, shown.view.to]");
    (range[0].as_f64().unwrap(), range[1].as_f64().unwrap())
}

/// Where on the screen a moment of the lead's chart is.
fn place(browser: &mut Browser, t_s: f64) -> (f64, f64) {
    let place = browser.ask(&format!(
        "(() => {{
            const [, lead] = shown.panels;
            lead.canvas.scrollIntoView({{ block: 'center' }});
            const box = lead.canvas.getBoundingClientRect();
            return [box.left + lead.x({t_s}), box.top + 40];
        }})()"
    ));
    (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
}

#[track_caller]
fn check_drawn(browser: &mut Browser, folder: &TempDir, capture: &Path) {
    let (page, analysis) = written(folder, capture, &PageRequest::default());
    browser.open(&page, "");
    let name = capture.display();
    let charts = [("loop", 100), ("lead", 10), ("age", 10), ("cadence", 10), ("link", 10)];
    for (chart, least) in charts {
        let drawn = blue(browser, chart) + inked(browser, chart, "behind");
        assert!(drawn > least, "{name}: {drawn} pixels in {chart}");
    }
    assert_eq!(text(browser, "badge"), badge(&analysis), "{name}");
    let told = analysis.diagnosis.findings.len() + analysis.verdict.episodes.len();
    assert_eq!(browser.ask("document.querySelectorAll('#findings button').length"), told);
    // The worst slice is seen, however many share its pixel.
    let listened = analysis.leads.arrival.is_some_and(|lead| lead.min < 0.0);
    assert_eq!(inked(browser, "lead", "behind") > 0, listened, "{name}");
    browser.check_quiet();
}

#[test]
fn pages_of_bundled_captures_and_incidents_draw() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    for name in ["healthy", "stall"] {
        check_drawn(&mut browser, &folder, &bundled(name));
    }
    for incident in incident::ALL.iter().filter(|it| it.families.contains(&Family::Acestep)) {
        let words = ["--incident", incident.name, "--for", "12s", "--loop", "8s"];
        let capture = simulated(&folder, incident.name, &words);
        check_drawn(&mut browser, &folder, Path::new(&capture));
    }
}

#[test]
fn pages_of_families_draw() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    for family in FAMILIES.into_iter().filter(|family| *family != Family::Unknown) {
        let words = ["--family", family.name(), "--for", "20s"];
        let capture = simulated(&folder, family.name(), &words);
        check_drawn(&mut browser, &folder, Path::new(&capture));
    }
}

#[test]
fn charts_zoom_select_and_tell() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let (page, analysis) = written(&folder, &bundled("stall"), &PageRequest::default());
    browser.open(&page, "");
    let whole = range(&mut browser);
    assert!((whole.1 - analysis.report_at_s).abs() < 0.01, "{whole:?}");

    let at = place(&mut browser, 4.0);
    browser.mouse(&[at], false);
    let told = text(&mut browser, "readout");
    assert!(told.starts_with("4.0") && told.contains("record") && told.contains("age"), "{told}");
    assert!(told.contains("no slices for"), "{told}");

    let to = place(&mut browser, 5.0);
    browser.mouse(&[at, to], true);
    let selected = browser.ask("shown.view.selection");
    assert!((selected[0].as_f64().unwrap() - 4.0).abs() < 0.02, "{selected}");
    assert!((selected[1].as_f64().unwrap() - 5.0).abs() < 0.02, "{selected}");
    browser.ask("document.querySelector('[data-do=selection]').click()");
    browser.settle();
    let zoomed = range(&mut browser);
    assert!((zoomed.0 - 4.0).abs() < 0.02 && (zoomed.1 - 5.0).abs() < 0.02, "{zoomed:?}");

    let at = place(&mut browser, 4.5);
    browser.mouse(&[at, at], true);
    assert_eq!(browser.ask("document.getElementById('around').hidden"), false);
    let rows = browser.ask("document.querySelectorAll('#around tbody tr').length").as_u64();
    assert!(rows.unwrap() > 20, "{rows:?}");
    assert_eq!(browser.ask("document.querySelectorAll('#around tr.at').length"), 1);
    browser.check_quiet();
}

#[test]
fn keys_move_through_the_session_and_the_address_remembers() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let (page, analysis) = written(&folder, &bundled("stall"), &PageRequest::default());
    browser.open(&page, "");
    browser.ask("document.getElementById('panels').focus()");
    let whole = range(&mut browser);
    browser.press("+", false);
    let zoomed = range(&mut browser);
    assert!((zoomed.1 - zoomed.0 - (whole.1 - whole.0) / 2.0).abs() < 1e-3);
    browser.press("ArrowRight", false);
    assert!(range(&mut browser).0 > zoomed.0);
    browser.press("0", false);
    let episode = &analysis.verdict.episodes[0];
    browser.ask("shown.view.show(-1, 1)");
    browser.press("n", false);
    let shown = range(&mut browser);
    assert!(shown.0 < episode.from_s && episode.to_s < shown.1, "{shown:?}");
    browser.press("0", false);
    assert!(blue(&mut browser, "loop") > 100);
    browser.press("c", false);
    assert_eq!(browser.ask("shown.view.colour"), "age");
    assert_eq!(blue(&mut browser, "loop"), 0);
    browser.press("ArrowRight", true);
    assert!(text(&mut browser, "readout").contains("record"));

    // The address says so a little later.
    let fragment = browser.ask(
        "new Promise((done) => {
            const look = () => location.hash.includes('at=') ? done(location.hash) : setTimeout(look, 10);
            look();
        })",
    );
    let (before, cursor) = (range(&mut browser), browser.ask("shown.view.cursor"));
    browser.open(&page, fragment.as_str().unwrap());
    let after = range(&mut browser);
    assert!((before.0 - after.0).abs() < 1e-3 && (before.1 - after.1).abs() < 1e-3);
    assert_eq!(browser.ask("shown.view.colour"), "age");
    let again = browser.ask("shown.view.cursor").as_f64().unwrap();
    assert!((again - cursor.as_f64().unwrap()).abs() < 1e-3);
    browser.check_quiet();
}

#[test]
fn named_causes_stand_before_the_spells() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let (page, _) = written(&folder, &bundled("stall"), &PageRequest::default());
    browser.open(&page, "");
    let told = browser.ask(
        "(() => {
            const own = document.querySelector('#findings li').textContent;
            shown.session.analysis.findings = [{
                class: 'generation-stall', sentence: 'no <b>slice</b> came', from_s: 2, to_s: 6, bad_s: 3.5,
                confidence: 0.9, chain: [{ what: 'the server stalled' }, { what: 'the tape ran dry' }],
                proof: null, mitigation: 'warm it up', next: 'lagtape cat',
            }];
            firstScreen(shown.session, shown.view);
            const [cause, spell] = document.querySelectorAll('#findings li');
            cause.querySelector('button').click();
            return [cause.textContent, spell.textContent, shown.view.selection, cause.querySelectorAll('b').length, own];
        })()",
    );
    let cause = told[0].as_str().unwrap();
    assert!(cause.starts_with("2.0 – 6.0 s: no <b>slice</b> came"), "{cause}");
    assert!(cause.contains("the server stalled → the tape ran dry"), "{cause}");
    assert!(told[1].as_str().unwrap().contains("no slices for"), "{told}");
    assert_eq!((&told[2], &told[3]), (&json!([2, 6]), &json!(0)));
    let own = told[4].as_str().unwrap();
    assert!(own.contains("Generation stood still"), "the capture's own cause: {own}");
}

#[test]
fn the_wind_tunnel_redraws_and_says_how_sure_it_is() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let words = ["--incident", "healthy", "--for", "20s", "--loop", "16s"];
    let capture = simulated(&folder, "turned", &words);
    let verb = PageRequest { tunnel: TunnelRuns::Exactly(4), ..PageRequest::default() };
    let (page, _) = written(&folder, Path::new(&capture), &verb);
    browser.open(&page, "");
    let before = inked(&mut browser, "lead", "second");
    let turned = browser.ask(
        "(() => {
            const knob = document.getElementById('knob-tick-factor');
            knob.value = knob.max;
            knob.dispatchEvent(new Event('input'));
            return document.getElementById('tunnel-result').textContent;
        })()",
    );
    browser.settle();
    let turned = turned.as_str().unwrap();
    assert!(turned.contains("model") && turned.contains("lead p5"), "{turned}");
    assert!(inked(&mut browser, "lead", "second") > before);
    assert!(text(&mut browser, "tunnel-model").contains("repeats"));
    browser.ask("document.getElementById('tunnel-reset').click()");
    browser.settle();
    assert_eq!(inked(&mut browser, "lead", "second"), before);
    browser.check_quiet();
}

#[test]
fn what_was_heard_can_be_played() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let verb = PageRequest { audio: true, ..PageRequest::default() };
    let (page, analysis) = written(&folder, &bundled("stall"), &verb);
    browser.open(&page, "");
    let length = browser.ask(
        "new Promise((done) => {
            const [player] = document.querySelectorAll('audio');
            const told = () => done(player.duration);
            if (player.readyState > 0) told();
            player.addEventListener('loadedmetadata', told);
            player.addEventListener('error', () => done(player.error.message));
        })",
    );
    let length = length.as_f64().unwrap_or_else(|| panic!("{length}"));
    assert!((length - analysis.report_at_s).abs() < 0.5, "{length}");
    let at = place(&mut browser, 3.0);
    browser.mouse(&[at, at], true);
    let time = browser.ask("document.querySelector('audio').currentTime").as_f64().unwrap();
    assert!((time - 3.0).abs() < 0.2, "{time}");
    browser.check_quiet();
}

#[test]
fn the_page_of_a_part_begins_with_it() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let whole = simulated(&folder, "whole", &["--for", "14s", "--loop", "5s"]);
    let part = folder.path().join("part.lagtape");
    check(&["cut", &whole, "--from", "10s", "-o", part.to_str().unwrap()], 0);
    let (page, _) = written(&folder, &part, &PageRequest { audio: true, ..PageRequest::default() });
    browser.open(&page, "");
    let shown = range(&mut browser);
    assert!((shown.0 - 10.0).abs() < 0.1 && (shown.1 - 14.0).abs() < 0.1, "{shown:?}");
    // Nothing is known of what was written before, and the source was not heard.
    let dark = "red < 110 && green < 110 && blue < 110";
    let of_part = pixels(&mut browser, "loop", dark);
    let at = place(&mut browser, 12.0);
    browser.mouse(&[at, at], true);
    let time = browser.ask("document.querySelector('audio').currentTime").as_f64().unwrap();
    assert!((time - 2.0).abs() < 0.2, "{time}");
    browser.check_quiet();
    let (page, _) = written(&folder, Path::new(&whole), &PageRequest::default());
    browser.open(&page, "");
    let of_whole = pixels(&mut browser, "loop", dark);
    assert!(2 * of_part < of_whole, "{of_part} dark pixels of {of_whole}");
}

#[test]
fn two_captures_are_two_tabs() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let page = folder.path().join("both.html");
    let (healthy, stall) = (bundled("healthy"), bundled("stall"));
    let words = ["report", healthy.to_str().unwrap(), stall.to_str().unwrap(), "--runs", "0", "-o"];
    check(&[&words[..], &[page.to_str().unwrap()]].concat(), 0);
    browser.open(&page, "#tab=1");
    assert_eq!(text(&mut browser, "badge"), "LAG");
    browser.ask("document.getElementById('tab-0').click()");
    browser.settle();
    assert_eq!(text(&mut browser, "badge"), "HEALTHY");
    assert!(blue(&mut browser, "lead") > 20);
    browser.check_quiet();
}

/// A capture with these messages, so many nanoseconds apart.
fn capture(folder: &TempDir, name: &str, step_ns: u64, messages: &[(Direction, &str)]) -> PathBuf {
    let path = folder.path().join(name);
    let (mut writer, mut out) = (Writer::new(SyncMarker(*b"the page")), Vec::new());
    writer.begin(&mut out);
    let header = Body::Header(Header::new("a test", Nanos(0)));
    let bodies = messages.iter().map(|(direction, text)| {
        let opcode = if text.starts_with('{') { Opcode::Text } else { Opcode::Binary };
        Body::Message(Message::new(*direction, opcode, text.as_bytes()))
    });
    for (seq, body) in (0..).zip([header].into_iter().chain(bodies)) {
        let record = Record { seq, t: Nanos(seq * step_ns), conn: 0, body };
        writer.write(&record, &mut out);
    }
    std::fs::write(&path, out).unwrap();
    path
}

#[test]
fn captures_with_little_or_nothing_have_a_page_that_says_so() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let (up, down) = (Direction::ClientToServer, Direction::ServerToClient);
    let ready = r#"{"type":"ready","sample_rate":8,"channels":1}"#;
    let evil = format!(
        r#"{{"type":"prompt</script>","text":"</script><img src=x onerror=alert(1)>\u001b[31m{}"}}"#,
        "x".repeat(1 << 20)
    );
    let stream = [(up, "{}"), (down, ready), (down, "sixteen bytes of")];
    let refusal = r#"{"type":"error","code":"busy"}"#;
    let tick = (up, r#"{"type":"params","playback_pos":0.5}"#);
    let swap = (down, r#"{"type":"swap_ready","channels":1}"#);
    let another = (down, "sixteen bytes or");
    let swaps = [&stream[..], &[tick, swap, another, swap, another]].concat();
    let (tenth, lifetime) = (100_000_000, 1_000_000_000_000_000_000);
    for (name, step_ns, messages, says) in [
        ("nothing", tenth, &[][..], "No stream began"),
        ("refused", tenth, &[(up, "{}"), (down, refusal)], "refused"),
        ("no-slice", tenth, &stream, "0 slices"),
        ("one-tick", tenth, &[&stream[..], &[tick]].concat(), "1 reports"),
        ("two-swaps", tenth, &swaps, "2 swaps"),
        ("day", 3 * 3_600_000_000_000, &swaps, "2 swaps"),
        ("centuries", lifetime, &swaps, "2 swaps"),
        ("evil", tenth, &[&stream[..], &[(up, &evil), (down, &evil)]].concat(), "0 slices"),
    ] {
        let path = capture(&folder, name, step_ns, messages);
        let (page, analysis) = written(&folder, &path, &PageRequest::default());
        assert!(std::fs::metadata(&page).unwrap().len() < 200_000, "{name}");
        browser.open(&page, "");
        assert_eq!(text(&mut browser, "badge"), badge(&analysis), "{name}");
        let told = text(&mut browser, "main");
        assert!(told.contains(says), "{name}: {told}");
        browser.ask("document.getElementById('panels').focus()");
        for key in ["+", "n", "ArrowRight", "Enter", "c", "0", "Escape"] {
            browser.press(key, false);
        }
        browser.check_quiet();
    }
    assert_eq!(browser.ask("document.images.length"), 0);
}

#[test]
fn damaged_and_cut_captures_have_a_page_that_says_so() {
    let folder = TempDir::new().unwrap();
    let sound = std::fs::read(bundled("stall")).unwrap();
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xaa);
    let cut = sound[..sound.len() / 3].to_vec();
    let mut browser = Browser::start();
    for (name, bytes, code, says) in
        [("damaged.lagtape", damaged, 3, "Damage:"), ("cut.lagtape", cut, 0, "incomplete")]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let page = folder.path().join(format!("{name}.html"));
        let words = ["report", path.to_str().unwrap(), "-o", page.to_str().unwrap()];
        let is_damaged = check(&words, code).1.contains("damaged");
        assert_eq!(is_damaged, code == 3);
        let Some(browser) = &mut browser else { continue };
        browser.open(&page, "");
        assert!(text(browser, "main").contains(says), "{name}");
        browser.check_quiet();
    }
}

#[test]
fn what_is_no_capture_is_no_page() {
    let folder = TempDir::new().unwrap();
    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "Dear all").unwrap();
    let out = folder.path().join("page.html");
    let (notes, out) = (notes.to_str().unwrap(), out.to_str().unwrap());
    check_complaint(&["report", notes, "-o", out], 1, "not a lagtape capture");
    assert!(!Path::new(out).exists());
    // One of several that can be shown is shown.
    let stall = bundled("stall");
    let stall = stall.to_str().unwrap();
    check_complaint(
        &["report", notes, stall, "--runs", "0", "-o", out],
        1,
        "not a lagtape capture",
    );
    check_complaint(&["report", stall, "-o", out], 1, "--force");
    check_complaint(&["report", stall, "-o", stall], 1, "is what is being read");
    check(&["report", stall, "--runs", "0", "-o", out, "--force"], 0);
}

/// The page of minutes in which the server never rests: one of them again and again.
fn page_of_minutes(folder: &TempDir, minutes: u64) -> (PathBuf, u64, u64) {
    let verb = SimulateVerb {
        family: Family::Acestep,
        trouble: "behind".parse().unwrap(),
        seed: 1,
        run_for: Span(60_000_000_000),
        loop_s: 24.0,
        channels: 2,
        params_hz: None,
        dialect: Some(Dialect::Modern),
        client: ClientModel::default(),
        rate: None,
        script: Vec::new(),
        out: PathBuf::new(),
        force: false,
    };
    let mut options = verb.options().unwrap();
    options.server.policy.idle.after_s = None;
    let mut header = Header::new("a test", Nanos(0));
    header.client = ClientKind::Headless;
    let (mut writer, mut minute) = (Writer::new(SyncMarker(*b"the page")), Vec::new());
    writer.begin(&mut minute);
    simulate(options, header, &mut |record| writer.write(record, &mut minute));
    let mut engine = Engine::new(Options { headers_only: true, ..Options::default() });
    let (mut collector, mut seq, mut ended) = (PageCollector::default(), 0, Nanos(0));
    for number in 0..minutes {
        let (mut records, mut has_begun) = (Records::new(&minute[..]), number == 0);
        while let Some(record) = records.next_record().unwrap() {
            // The handshake comes once, and the initial buffer with it.
            let is_slice = matches!(&record.body, Body::Message(message)
                if message.opcode == Opcode::Binary && message.payload.len() < 100_000);
            has_begun |= is_slice;
            if has_begun && !matches!(record.body, Body::End(_)) {
                ended = Nanos(record.t.0 + number * 60_000_000_000);
                let record = Record { seq, t: ended, ..record };
                engine.handle(&record);
                collector.see(&engine, &record);
                seq += 1;
            }
        }
    }
    let about = CaptureDescription::live("minutes of stream".to_owned(), ended);
    let analysis = Analysis::of(&engine, about, &ReportArgs::default());
    let session = PageSession::of(&engine, collector, &analysis, &PageExtras::default());
    let page = folder.path().join("page.html");
    std::fs::write(&page, page::html(&[session])).unwrap();
    (page, analysis.slices, analysis.ticks)
}

#[test]
fn ten_minutes_are_a_page_of_less_than_three_megabytes() {
    let folder = TempDir::new().unwrap();
    let (page, slices, ticks) = page_of_minutes(&folder, 10);
    assert!(slices > 10_000 && ticks > 15_000, "{slices} slices, {ticks} ticks");
    let len = std::fs::metadata(&page).unwrap().len();
    assert!(len < 3_000_000, "{len} bytes");
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&page, "");
    assert!(inked(&mut browser, "lead", "behind") > 0);
    let told = browser.ask("[shown.session.slice.t_s.length, shown.session.tick.t_s.length]");
    assert_eq!(told, json!([slices, ticks]));
    browser.check_quiet();
}

/// Prints what docs/PERFORMANCE.md says of the page of an hour; no machine has to be that fast.
#[test]
#[ignore = "measures how fast a page of an hour is drawn, for docs/PERFORMANCE.md"]
fn zooming_75000_points_is_measured() {
    let folder = TempDir::new().unwrap();
    let (page, slices, ticks) = page_of_minutes(&folder, 61);
    assert!(slices > 75_000 && ticks > 75_000, "{slices} slices, {ticks} ticks");
    let Some(mut browser) = Browser::start() else { return };
    browser.resize(1600, 1000);
    browser.open(&page, "");
    let opened = browser.ask("performance.now()");
    // Each drawing ends with a pixel that is read, and so is done.
    let measured = browser.ask(
        "(() => {
            const { view, panels } = shown;
            const done = (panel) => panel.pen.getImageData(0, 0, 1, 1);
            const median = (some) => some.sort((a, b) => a - b)[some.length >> 1];
            const times = panels.map(() => []), all = [];
            for (let number = 0; number < 41; number++) {
                // From the whole hour to a minute, and back.
                const span = view.whole[1] * 0.9 ** Math.min(number, 40 - number);
                view.show(view.whole[1] - span, view.whole[1]);
                const began = performance.now();
                panels.forEach((panel, at) => {
                    const before = performance.now();
                    panel.draw();
                    done(panel);
                    times[at].push(performance.now() - before);
                });
                all.push(performance.now() - began);
            }
            const names = panels.map((panel) => panel.canvas.id.replace('chart-', ''));
            return { all: median(all), most: Math.max(...all), each: Object.fromEntries(names.map((name, at) => [name, median(times[at])])) };
        })()",
    );
    println!("{slices} slices, {ticks} reports: open after {opened} ms; all charts {measured}");
}
