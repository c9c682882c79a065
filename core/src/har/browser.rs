//! Who wrote a HAR file: a browser that recorded its own page, or something between the two.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::engine::whose::{BROWSER, RECORDED_BY};
use crate::wire::url::without_secrets;

/// Parts of the names of what records its own pages: developer tools, and what drives browsers.
const BROWSERS: [&str; 7] =
    ["webinspector", "web inspector", "firefox", "chrom", "playwright", "puppeteer", "safari"];
/// And of what stands between a browser and its servers.
const PROXIES: [&str; 6] = ["mitmproxy", "fiddler", "charles", "proxyman", "http toolkit", "burp"];

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    #[serde(default)]
    creator: Value,
    #[serde(default)]
    browser: Value,
    #[serde(default)]
    pages: Value,
    #[serde(default, rename = "entries")]
    _entries: IgnoredAny,
}

/// What the metadata of a capture says of a page in a browser, or nothing where none recorded it.
pub(super) fn metadata_of(text: &str) -> BTreeMap<String, String> {
    let Ok(Har { log }) = serde_json::from_str::<Har>(text) else { return BTreeMap::new() };
    let creator = named(&log.creator).unwrap_or_default().to_ascii_lowercase();
    let is_of = |names: &[&str]| names.iter().any(|name| creator.contains(name));
    let pages = log.pages.as_array().map_or(&[][..], Vec::as_slice);
    let browser = named(&log.browser);
    let is_page = browser.is_some() || !pages.is_empty() || is_of(&BROWSERS);
    if !is_page || is_of(&PROXIES) {
        return BTreeMap::new();
    }
    let title = match pages {
        [page] => page["title"].as_str().filter(|title| !title.is_empty()),
        _ => None,
    };
    let known = [
        (RECORDED_BY, Some(BROWSER.to_owned())),
        ("browser", browser),
        ("page", title.map(without_secrets)),
    ];
    known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// Name and version.
fn named(of: &Value) -> Option<String> {
    let name = of["name"].as_str().filter(|name| !name.is_empty())?;
    let version = of["version"].as_str().unwrap_or_default();
    Some(format!("{name} {version}").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(log: &Value, expected: &[(&str, &str)]) {
        let found = metadata_of(&json!({ "log": log }).to_string());
        let found: Vec<_> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, expected, "{log}");
    }

    #[test]
    fn a_browser_is_known_by_its_name_or_its_page() {
        let recorded = ("recorded_by", "browser");
        let chrome = json!({"name": "WebInspector", "version": "537.36"});
        check(&json!({"creator": chrome, "entries": [{}]}), &[recorded]);
        let page = json!([{"id": "page_1", "title": "https://pod/?token=SECRET"}]);
        check(
            &json!({"creator": chrome, "pages": page}),
            &[("page", &without_secrets("https://pod/?token=SECRET")), recorded],
        );
        let browser = json!({"name": "chromium", "version": "140.0"});
        check(&json!({"browser": browser}), &[("browser", "chromium 140.0"), recorded]);
        let two = json!([{"title": "a"}, {"title": "b"}]);
        check(&json!({"pages": two}), &[recorded]);
    }

    #[test]
    fn what_stands_between_is_no_browser() {
        check(&json!({"creator": {"name": "mitmproxy"}, "pages": []}), &[]);
        check(&json!({"creator": {"name": "Fiddler"}, "pages": [{"title": "a"}]}), &[]);
        check(&json!({"creator": 7, "pages": "x", "browser": null}), &[]);
        assert!(metadata_of("{}").is_empty() && metadata_of("x").is_empty());
    }
}
