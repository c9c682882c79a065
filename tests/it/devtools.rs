//! Chromium, driven by its DevTools protocol: opens pages from disk, asks them, moves mouse and keys, and
//! keeps what went wrong and what they asked the network for.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::proxy_between::PATIENCE;
use crate::proxy_peers::browser;

/// A file of an npm package, or `None` when the test is to be skipped; `LAGTAPE_NODE_MODULES` names the
/// folder of the packages. With `LAGTAPE_REQUIRE_NODE` a missing one is a failure.
pub fn npm_file(name: &str) -> Option<PathBuf> {
    let modules = std::env::var_os("LAGTAPE_NODE_MODULES").map(PathBuf::from);
    let file = modules.map(|modules| modules.join(name)).filter(|file| file.is_file());
    if file.is_none() {
        assert!(std::env::var_os("LAGTAPE_REQUIRE_NODE").is_none(), "npm install what has {name}");
        eprintln!("SKIPPED: no {name} (LAGTAPE_NODE_MODULES names the folder of its packages)");
    }
    file
}

/// A browser with one page.
pub struct Browser {
    child: Child,
    runtime: tokio::runtime::Runtime,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    asked: u64,
    session: Option<String>,
    events: Vec<Value>,
    /// Where the page comes from, which it may ask: nowhere, or a server.
    home: Option<String>,
    _profile: TempDir,
}

impl Browser {
    /// A browser, or `None` when the test is to be skipped.
    pub fn start() -> Option<Browser> {
        let profile = TempDir::new().unwrap();
        let mut child = browser()?
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-extensions", "--disable-background-networking", "--no-proxy-server"])
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = said
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned))
            .expect("the browser says where it listens");
        // What else it says would fill the pipe.
        std::thread::spawn(move || said.for_each(drop));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (socket, _) = runtime.block_on(tokio_tungstenite::connect_async(address)).unwrap();
        let (session, events, home) = (None, Vec::new(), None);
        let mut browser =
            Browser { child, runtime, socket, asked: 0, session, events, home, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.resize(1200, 900);
        Some(browser)
    }

    /// The answer to a command; what happens meanwhile is kept.
    #[track_caller]
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        let mut command = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let (socket, events) = (&mut self.socket, &mut self.events);
        let answer = self.runtime.block_on(async {
            socket.send(Message::text(command.to_string())).await.unwrap();
            let answer = async {
                loop {
                    let message = socket.next().await.unwrap().unwrap();
                    let said: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
                    if said["id"] == id {
                        return said;
                    }
                    events.push(said);
                }
            };
            tokio::time::timeout(PATIENCE, answer).await
        });
        let answer =
            answer.unwrap_or_else(|_| panic!("the browser does not answer: {method} {params}"));
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Waits until something has happened since the page was opened.
    fn wait_for(&mut self, is_it: impl Fn(&Value) -> bool) {
        if self.events.iter().any(&is_it) {
            return;
        }
        let (socket, events) = (&mut self.socket, &mut self.events);
        let happened = async {
            loop {
                let message = socket.next().await.unwrap().unwrap();
                let said: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
                let is_over = is_it(&said);
                events.push(said);
                if is_over {
                    return;
                }
            }
        };
        let happened = async { tokio::time::timeout(PATIENCE, happened).await };
        self.runtime.block_on(happened).expect("it happens");
    }

    /// What an expression is, once it is there.
    #[track_caller]
    pub fn ask(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Opens a page from disk, with a fragment or none, and waits until it has drawn.
    #[track_caller]
    pub fn open(&mut self, page: &Path, fragment: &str) {
        self.home = None;
        self.navigate(&format!("file://{}", page.display()), fragment);
    }

    /// Opens the page of a server, and waits until it has drawn.
    #[track_caller]
    pub fn visit(&mut self, url: &str) {
        self.home = Some(url.to_owned());
        self.navigate(url, "");
    }

    /// Opens the page of a server that has nothing to draw yet.
    pub fn visit_empty(&mut self, url: &str) {
        self.home = Some(url.to_owned());
        self.events.clear();
        self.call("Page.enable", &json!({}));
        self.call("Page.navigate", &json!({"url": url}));
        self.wait_for(|event| event["method"] == "Page.domContentEventFired");
    }

    /// Loads the page again, and waits until it has drawn; what was before counts no more.
    #[track_caller]
    pub fn reload(&mut self) {
        self.events.clear();
        self.call("Page.reload", &json!({}));
        self.wait_for(|event| event["method"] == "Page.frameNavigated");
        self.wait_until_drawn();
    }

    #[track_caller]
    fn navigate(&mut self, url: &str, fragment: &str) {
        self.events.clear();
        // A fragment alone would not load it again.
        self.call("Page.navigate", &json!({"url": "about:blank"}));
        self.call("Page.navigate", &json!({"url": format!("{url}{fragment}")}));
        self.wait_for(|event| {
            event["method"] == "Page.frameNavigated" && event["params"]["frame"]["url"] == url
        });
        self.wait_until_drawn();
    }

    #[track_caller]
    fn wait_until_drawn(&mut self) {
        let is_shown = "new Promise((done) => {
            const look = () => {
                const failure = document.getElementById('failure');
                if (document.documentElement?.dataset.ready) done('ready');
                else if (failure && !failure.hidden) done(failure.textContent);
                else setTimeout(look, 5);
            };
            look();
        })";
        assert_eq!(self.ask(is_shown), "ready");
        self.settle();
    }

    /// Lets the page draw what is due.
    pub fn settle(&mut self) {
        let frames = "new Promise((done) => \
                      requestAnimationFrame(() => requestAnimationFrame(() => done(1))))";
        self.ask(frames);
    }

    pub fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What the system prefers: `light` or `dark`.
    pub fn prefer_colours(&mut self, colours: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": colours});
        self.call("Emulation.setEmulatedMedia", &json!({"features": [feature]}));
    }

    /// Presses a key, with Shift or without.
    pub fn press(&mut self, key: &str, shift: bool) {
        let mut pressed =
            json!({"type": "keyDown", "key": key, "modifiers": if shift { 8 } else { 0 }});
        if key.chars().count() == 1 {
            pressed["text"] = json!(key);
        }
        self.call("Input.dispatchKeyEvent", &pressed);
        pressed["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", &pressed);
        self.settle();
    }

    /// Moves the mouse along these points, with the button down from the first to the last of them or
    /// not.
    pub fn mouse(&mut self, points: &[(f64, f64)], is_down: bool) {
        let event = |kind: &str, (x, y): (f64, f64)| {
            let button = if is_down { "left" } else { "none" };
            json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": 1})
        };
        let (first, last) = (points[0], points[points.len() - 1]);
        self.call("Input.dispatchMouseEvent", &event("mouseMoved", first));
        if is_down {
            self.call("Input.dispatchMouseEvent", &event("mousePressed", first));
        }
        for point in &points[1..] {
            let mut moved = event("mouseMoved", *point);
            moved["buttons"] = json!(u8::from(is_down));
            self.call("Input.dispatchMouseEvent", &moved);
        }
        if is_down {
            self.call("Input.dispatchMouseEvent", &event("mouseReleased", last));
        }
        self.settle();
    }

    /// Drops files onto the page, as a person does.
    pub fn drop_files(&mut self, files: &[&Path]) {
        let data = json!({"items": [], "files": files, "dragOperationsMask": 1});
        for kind in ["dragEnter", "dragOver", "drop"] {
            let event = json!({"type": kind, "x": 200, "y": 200, "data": data});
            self.call("Input.dispatchDragEvent", &event);
        }
    }

    /// What went wrong on the page, and what it asked for but itself.
    #[track_caller]
    pub fn check_quiet(&mut self) {
        self.settle();
        let is_bad = |event: &&Value| match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => true,
            "Runtime.consoleAPICalled" => event["params"]["type"] == "error",
            "Log.entryAdded" => event["params"]["entry"]["level"] == "error",
            "Network.requestWillBeSent" => {
                let url = event["params"]["request"]["url"].as_str().unwrap_or_default();
                let is_page = event["params"]["type"] == "Document";
                // The browser's own players have pictures in data.
                let is_home = self.home.as_ref().is_some_and(|home| url.starts_with(home));
                !is_page && !is_home && !url.starts_with("blob:") && !url.starts_with("data:")
            }
            _ => false,
        };
        let bad: Vec<_> = self.events.iter().filter(is_bad).collect();
        assert!(bad.is_empty(), "{bad:#?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
