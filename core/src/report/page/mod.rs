//! One page that explains a session: a single HTML file that needs no network and opens from disk.
//!
//! A [`PageCollector`] follows an engine and picks up what the page shows of every record; with the
//! [`Analysis`](super::Analysis) it becomes a [`PageSession`], all of it in one piece of base64, so that no
//! text of a peer is ever markup or script. [`html`] joins any number of them with the page's own style
//! and scripts, which draw on canvases. Times are seconds from the initial buffer.

mod collect;
mod columns;
mod live;
mod rows;
mod session;
pub mod tunnel;

pub use collect::PageCollector;
pub use live::{LiveEvent, LivePage, LiveTail, Seen};
#[cfg(test)]
pub(in crate::report) use rows::{MessageRow, SliceRow};
pub use session::{PageExtras, PageSession, PageSound};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
/// The scripts in the order in which they use each other.
const SCRIPTS: [&str; 10] = [
    include_str!("decode.js"),
    include_str!("words.js"),
    include_str!("view.js"),
    include_str!("draw.js"),
    include_str!("lanes.js"),
    include_str!("loop.js"),
    include_str!("inspect.js"),
    include_str!("tunnel.js"),
    include_str!("first.js"),
    include_str!("main.js"),
];
/// What begins the page of a file, the one within a chat, the live one, and the one for dropped files.
const OF_FILE: &str = include_str!("file.js");
const OF_APP: &str = include_str!("app.js");
const OF_LIVE: &str = include_str!("live.js");
const OF_DROP: &str = include_str!("drop.js");
/// What only a live page has, above everything else.
const LIVE_BAR: &str = include_str!("live.html");
/// What only the page onto which files are dropped has, above everything else.
const DROP_PLACE: &str = include_str!("drop.html");

/// The page that shows sessions while they go on; it asks the server that it comes from, and nobody
/// else.
#[must_use]
pub fn live_html() -> String {
    filled(
        TEMPLATE,
        &[
            ("scripts", ""),
            ("connect", " connect-src 'self';"),
            ("bar", LIVE_BAR),
            ("title", "watch"),
            ("style", STYLE),
            ("texts", "They come while the page is open, and so not without it."),
            ("sessions", ""),
            ("script", &script(OF_LIVE)),
        ],
    )
}

/// The page that shows files as they are dropped onto it: `module` is the core as WebAssembly, which reads
/// them there (see the crate in `wasm/`).
#[must_use]
pub fn drop_html(module: &[u8]) -> String {
    let module = session::deflated(std::iter::once(module));
    filled(
        TEMPLATE,
        &[
            ("scripts", " 'wasm-unsafe-eval'"),
            ("connect", " worker-src blob:;"),
            ("bar", DROP_PLACE),
            ("title", "drop a capture"),
            ("style", STYLE),
            ("texts", "It reads captures with WebAssembly, and so not without it."),
            ("sessions", &format!("<script type=\"text/plain\" id=\"core\">{module}</script>\n")),
            ("script", &script(OF_DROP)),
        ],
    )
}

/// The page of these sessions, a tab each.
#[must_use]
pub fn html(sessions: &[PageSession]) -> String {
    joined(sessions, OF_FILE)
}

/// The page without a session, as an app in a chat, whose host gets it one: see `app.js`.
#[must_use]
pub fn app() -> String {
    joined(&[], OF_APP)
}

fn joined(sessions: &[PageSession], beginning: &str) -> String {
    let names: Vec<_> = sessions.iter().map(|session| session.name.as_str()).collect();
    let title = escaped(&names.join(", "));
    let texts: Vec<_> = sessions.iter().map(|session| escaped(&session.text)).collect();
    let packed = sessions.iter().map(|session| {
        format!("<script type=\"text/plain\" class=\"session\">{}</script>\n", session.packed)
    });
    filled(
        TEMPLATE,
        &[
            ("scripts", ""),
            ("connect", ""),
            ("bar", ""),
            ("title", &title),
            ("style", STYLE),
            ("texts", &texts.join("\n\n")),
            ("sessions", &packed.collect::<String>()),
            ("script", &script(beginning)),
        ],
    )
}

/// All scripts, and at last what begins the page.
fn script(beginning: &str) -> String {
    [&SCRIPTS[..], &[beginning]].concat().join("\n")
}

/// A template with its `{{names}}` replaced, once: what stands in a value stays as it is.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let mut parts = template.split("{{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").expect("a name in the template has an end");
        let (_, value) = values.iter().find(|(known, _)| *known == name).expect("a known name");
        out.push_str(value);
        out.push_str(rest);
    }
    out
}

/// A text as the content of an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
