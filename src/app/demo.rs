//! `demo`: the whole of lagtape in a few seconds, without server, GPU or network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use super::analyze::{AnalyzeOptions, analyze};
use super::audio::{AudioOptions, audio};
use super::record::{RecordVerb, RecordedSession, SessionSource, record};
use crate::edge::backend::{self, BackendOptions};
use crate::edge::output;
use crate::peer::client::Client;
use crate::peer::server::{BUILT_IN, ServerOptions};
use crate::peer::{interval::Interval, server};
use crate::report::text;
use crate::review::next_commands;
use crate::time::{Nanos, Span};

/// Length of the demo's stream.
pub const LENGTH: Span = Span(13_000_000_000);
/// The generator stops, …
const STALL: Interval = Interval { at_s: 2.0, for_s: 4.0 };
/// … and later slices land behind the listener.
const BEHIND: server::Behind =
    server::Behind { interval: Interval { at_s: 9.0, for_s: 2.0 }, by_s: 0.6 };
/// The loop of the demo, in seconds.
const LOOP_S: f64 = 8.0;

/// What the demo found.
#[derive(Debug)]
pub struct DemoSummary {
    /// The report of the capture, for a person.
    pub report: String,
    /// Live and offline reports were the same bytes.
    pub proven: bool,
    /// Length of the report that was compared, in bytes.
    pub compared_bytes: usize,
    pub files: Vec<PathBuf>,
}

/// Starts a backend with trouble on a free loopback port, records it over a real WebSocket, replays
/// the capture and compares. `watch` sees the client after every record.
pub async fn demo(folder: &Path, watch: impl FnMut(&Client, Nanos)) -> Result<DemoSummary> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = |extension: &str| folder.join("demo").with_extension(extension);
    let session = record_backend(&file("lagtape"), watch).await?;

    let offline = analyze(&file("lagtape"), &AnalyzeOptions::default())?;
    let live_bytes = serde_json::to_vec(&session.analysis)?;
    let offline_bytes = serde_json::to_vec(&offline)?;
    let report = text::analysis(&offline, &next_commands(&offline));
    output::write(&file("json"), &offline_bytes, true)?;
    output::write(&file("txt"), report.as_bytes(), true)?;
    let heard = AudioOptions { force: true, ..AudioOptions::default() };
    audio(&file("lagtape"), &file("wav"), &heard)?;
    Ok(DemoSummary {
        report,
        proven: live_bytes == offline_bytes,
        compared_bytes: offline_bytes.len(),
        files: ["lagtape", "json", "txt", "wav"].map(file).into(),
    })
}

async fn record_backend(out: &Path, watch: impl FnMut(&Client, Nanos)) -> Result<RecordedSession> {
    let listener =
        TcpListener::bind("127.0.0.1:0").await.context("cannot listen on a loopback port")?;
    let url = format!("ws://{}", listener.local_addr()?);
    let mut options = ServerOptions {
        seed: 7,
        source: server::ServerSource::BuiltIn { seconds: LOOP_S, channels: 2 },
        ..ServerOptions::default()
    };
    options.faults.stalls.push(STALL);
    options.faults.behind = Some(BEHIND);
    let options = BackendOptions { server: options, ..BackendOptions::default() };
    let served = backend::serve(listener, options, std::future::pending());
    let verb = RecordVerb {
        out: Some(out.to_owned()),
        force: true,
        source: SessionSource::Fixture(BUILT_IN.to_owned()),
        run_for: Some(LENGTH),
        ..RecordVerb::new(url)
    };
    tokio::select! {
        session = record(verb, std::future::pending(), watch) => session,
        ended = served => Err(ended.err().unwrap_or_else(|| anyhow::anyhow!("the backend ended"))),
    }
}
