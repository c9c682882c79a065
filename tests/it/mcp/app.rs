//! The page in a chat: what the protocol's own host makes of `capture_report`.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Client, folder};
use crate::devtools::{Browser, npm_file};

const APP: &str = "ui://lagtape/report";
const PAGE: &str = "lagtape://captures/stall/page";

/// A page with the host of `@modelcontextprotocol/ext-apps`, or `None` when the test is to be skipped.
fn host(folder: &TempDir) -> Option<PathBuf> {
    let bundler = npm_file(".bin/esbuild")?;
    npm_file("@modelcontextprotocol/ext-apps/package.json")?;
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mcp/app_host.js");
    let script = folder.path().join("host.js");
    let output = Command::new(bundler)
        .args([source, "--bundle", "--format=iife", "--log-level=error"])
        .arg(format!("--outfile={}", script.display()))
        .env("NODE_PATH", std::env::var_os("LAGTAPE_NODE_MODULES").unwrap_or_default())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = folder.path().join("host.html");
    let script = std::fs::read_to_string(script).unwrap().replace("</script", "<\\/script");
    std::fs::write(&page, format!("<!doctype html><body></body><script>{script}</script>"))
        .unwrap();
    Some(page)
}

fn read(client: &mut Client, uri: &str) -> Value {
    client.request("resources/read", &json!({"uri": uri}))["result"].clone()
}

/// Has the host show the app with these resources to be read.
fn show(browser: &mut Browser, app: &str, result: &Value, resources: &Value, sandbox: &str) {
    let words = [json!(app), result.clone(), resources.clone(), json!(sandbox)];
    let words: Vec<_> = words.iter().map(Value::to_string).collect();
    assert_eq!(browser.ask(&format!("showApp({})", words.join(", "))), "shown");
}

/// Waits until something is so.
fn wait_until(browser: &mut Browser, what: &str) -> Value {
    browser.ask(&format!(
        "new Promise((done) => {{
            const look = () => {{
                const found = {what};
                if (found) done(found);
                else setTimeout(look, 10);
            }};
            look();
        }})"
    ))
}

#[test]
fn the_tool_names_its_app_and_the_server_has_it() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let tools = client.request("tools/list", &json!({}))["result"]["tools"].clone();
    let with_app = tools.as_array().unwrap().iter().filter(|tool| tool.get("_meta").is_some());
    let with_app: Vec<_> = with_app.map(|tool| (&tool["name"], &tool["_meta"])).collect();
    assert_eq!(with_app, [(&json!("capture_report"), &json!({"ui": {"resourceUri": APP}}))]);
    let app = &read(&mut client, APP)["contents"][0];
    assert_eq!(app["mimeType"], "text/html;profile=mcp-app");
    assert!(app["text"].as_str().unwrap().starts_with("<!doctype html>"));
    let mut live = Client::start(folder.path(), &["--toolsets", "live"]);
    assert!(live.request("resources/read", &json!({"uri": APP})).get("error").is_some());
}

#[test]
fn the_protocols_own_host_shows_the_page() {
    let place = TempDir::new().unwrap();
    let Some(page) = host(&place) else { return };
    let Some(mut browser) = Browser::start() else { return };
    let captures = folder();
    let mut client = Client::start(captures.path(), &[]);
    let app = read(&mut client, APP)["contents"][0]["text"].as_str().unwrap().to_owned();
    let result = client.result("capture_report", &json!({"capture": "stall"}));
    assert_eq!(result["structuredContent"]["page"], PAGE);
    let resources = json!({PAGE: read(&mut client, PAGE)});

    // Within reach of the test.
    browser.open(&page, "");
    show(&mut browser, &app, &result, &resources, "allow-scripts allow-same-origin");
    let ready = "shown.frame.contentDocument.documentElement.dataset.ready";
    assert_eq!(wait_until(&mut browser, ready), "yes");
    let badge = "shown.frame.contentDocument.getElementById('badge').textContent";
    assert_eq!(browser.ask(badge), "LAG");
    let drawn = "(() => {
        const canvas = shown.frame.contentDocument.getElementById('chart-lead');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return data.some((value) => value > 0);
    })()";
    assert_eq!(browser.ask(drawn), true);
    assert_eq!(browser.ask("shown.read"), json!([PAGE]));
    browser.check_quiet();

    // Shut in, as hosts have it; that the lanes are there shows in the height that it asks for.
    browser.open(&page, "");
    show(&mut browser, &app, &result, &resources, "allow-scripts");
    let height = wait_until(&mut browser, "shown.height > 1500 && shown.height");
    assert!(height.as_f64().unwrap() < 10_000.0, "{height}");
    browser.check_quiet();
}

#[test]
fn a_host_that_reads_nothing_for_it_shows_the_words() {
    let place = TempDir::new().unwrap();
    let Some(page) = host(&place) else { return };
    let Some(mut browser) = Browser::start() else { return };
    let captures = folder();
    let mut client = Client::start(captures.path(), &[]);
    let app = read(&mut client, APP)["contents"][0]["text"].as_str().unwrap().to_owned();
    let result = client.result("capture_report", &json!({"capture": "stall"}));
    browser.open(&page, "");
    show(&mut browser, &app, &result, &Value::Null, "allow-scripts allow-same-origin");
    let ready = "shown.frame.contentDocument.documentElement.dataset.ready";
    assert_eq!(wait_until(&mut browser, ready), "words");
    let words = browser.ask("shown.frame.contentDocument.getElementById('failure').textContent");
    let words = words.as_str().unwrap();
    assert!(words.contains("wrote a page") && words.contains("stall.html"), "{words}");
    browser.check_quiet();
}
