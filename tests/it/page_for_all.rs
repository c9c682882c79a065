//! The page on narrow screens, and for people who cannot see its pictures.

use std::fs;
use std::path::{Path, PathBuf};

use lagtape::app;
use lagtape::report::page;
use lagtape::review::{PageRequest, TunnelRuns};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::devtools::{Browser, npm_file};
use crate::replay::bundled;

/// Longer than any screen here is wide, and without a place to break it.
fn long_word() -> String {
    "unbroken".repeat(25)
}

/// A page with everything on it, of two captures in a folder with a long name.
fn full_page(folder: &TempDir) -> PathBuf {
    let deep = folder.path().join(long_word());
    fs::create_dir(&deep).unwrap();
    let session = |name: &str| {
        let capture = deep.join(format!("{name}-{}.lagtape", &long_word()[..40]));
        fs::copy(bundled(name), &capture).unwrap();
        let tunnel = TunnelRuns::Exactly(1);
        let verb = PageRequest { audio: true, tunnel, ..PageRequest::default() };
        app::page_session(&capture, &verb).unwrap().0
    };
    let page = folder.path().join("page.html");
    fs::write(&page, page::html(&[session("healthy"), session("stall")])).unwrap();
    page
}

/// Everything that can be opened is open.
fn open_all(browser: &mut Browser) {
    browser.ask(
        "shown.view.point(4);
         showAround(shown.session, shown.view, 4);
         document.querySelectorAll('details').forEach((details) => { details.open = true; })",
    );
    browser.settle();
}

/// The elements that are further right than the screen, but for what lies in a box that scrolls.
fn sticking_out(browser: &mut Browser) -> Value {
    browser.ask(
        "(() => {
            const { clientWidth, scrollWidth } = document.documentElement;
            const out = [...document.querySelectorAll('body *')].filter((element) => {
                const { right, width } = element.getBoundingClientRect();
                return width && right > clientWidth + 0.5 && !element.parentElement.closest('.scroll');
            });
            const names = out.map(({ tagName, id, className, textContent }) =>
                `${tagName}#${id}.${className}: ${textContent.slice(0, 40)}`);
            return scrollWidth > clientWidth ? [`${scrollWidth - clientWidth} pixels`, ...names] : names;
        })()",
    )
}

/// Puts a long word before every text on the page, as a prompt, a path or a command may have one.
fn lengthen(browser: &mut Browser) -> Value {
    browser.ask(&format!(
        "(() => {{
            const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), texts = [];
            while (walk.nextNode()) texts.push(walk.currentNode);
            const shown = texts.filter(({{ data, parentElement }}) =>
                data.trim() && !parentElement.closest('script, style, noscript, option'));
            for (const text of shown) text.data = `{} ${{text.data}}`;
            return shown.length;
        }})()",
        long_word()
    ))
}

#[test]
fn nothing_sticks_out_of_a_narrow_screen() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let page = full_page(&folder);
    for width in [320, 380, 760] {
        browser.resize(width, 800);
        browser.open(&page, "#tab=1");
        open_all(&mut browser);
        assert_eq!(sticking_out(&mut browser), json!([]), "{width} pixels wide");
        assert!(lengthen(&mut browser).as_u64().unwrap() > 300);
        browser.settle();
        assert_eq!(sticking_out(&mut browser), json!([]), "{width} pixels wide, long words");
    }
    browser.check_quiet();
}

/// Faults that keep somebody from using the page, as axe-core finds them: rule, and where.
fn faults(browser: &mut Browser, axe: &Path) -> Value {
    browser.ask(&format!("{}; 0", fs::read_to_string(axe).unwrap()));
    browser.ask(
        "axe.run().then(({ violations }) => violations
            .filter(({ impact }) => impact === 'serious' || impact === 'critical')
            .map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html.slice(0, 120))]))",
    )
}

#[test]
fn axe_finds_no_serious_fault_in_light_or_dark() {
    let Some(axe) = npm_file("axe-core/axe.min.js") else { return };
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let page = full_page(&folder);
    for colours in ["light", "dark"] {
        browser.prefer_colours(colours);
        browser.open(&page, "#tab=1");
        open_all(&mut browser);
        assert_eq!(faults(&mut browser, &axe), json!([]), "{colours}");
        browser.check_quiet();
    }
    // It does find them.
    browser.ask("document.getElementById('facts').style.color = 'rgb(40, 44, 48)'");
    let found = faults(&mut browser, &axe);
    assert_eq!(found[0][0], "color-contrast", "{found}");
}
