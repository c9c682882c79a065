//! The tool that starts a live session.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::app::{LivePhase, LiveServer, LiveSession, LiveState, LiveVerb, SessionSource};
use crate::edge::clock::utc_file_name;
use crate::mcp::answer::ToolAnswer;
use crate::mcp::args::{span, within};
use crate::mcp::call::{Call, Consent};
use crate::mcp::live_view::LiveView;
use crate::mcp::options::Toolset;
use crate::mcp::sessions::Held;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::{views, waiting};
use crate::peer::client::MAX_PARAMS_HZ;
use crate::peer::client_model::ClientModel;
use crate::peer::incident::Trouble;
use crate::wire::url::without_secrets;

/// Default and greatest length of a session after its initial buffer, in seconds.
const RUN_FOR_S: (f64, f64) = (600.0, 86_400.0);
/// Default and greatest time until the initial buffer, in seconds.
const TIMEOUT_S: (f64, f64) = (600.0, 3_600.0);
/// Default and greatest time that a start waits for the stream: some clients give up at 60 s.
const START_WAIT_S: (f64, f64) = (20.0, 50.0);

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct StartArgs {
    /// The server, ws:// or wss://; its query string is used and never shown or written
    url: Option<String>,
    /// The built-in server's trouble: stall:at=6,for=4, thin-link:down=100KB/s, or two: stall+jitter
    incident: Option<String>,
    /// Of the built-in server
    seed: Option<u64>,
    /// A fixture that the server loads
    fixture: Option<String>,
    /// An audio file inside the capture folders, uploaded
    audio: Option<String>,
    /// Bring no audio where the server can do without
    #[serde(default)]
    text_only: bool,
    prompt: Option<String>,
    /// acestep, sa3, yue2, mrt2 or minimax; the server's own unless given
    family: Option<String>,
    /// Depth of the pipeline
    depth: Option<u32>,
    /// Steps of the model
    steps: Option<u32>,
    /// Report as it does: lagtape unless given, headless, web, sdk or touchdesigner
    client: Option<String>,
    /// Reports a second; the client's unless given
    params_hz: Option<f64>,
    /// Further fields of the configuration, which win over all others
    #[serde(default)]
    config: Map<String, Value>,
    /// Until the initial buffer at most, 600 unless given
    timeout_s: Option<f64>,
    /// From the initial buffer to the end, 600 unless given
    run_for_s: Option<f64>,
    /// For the stream, before the answer; 20 unless given, up to 50
    wait_s: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Started {
    handle: String,
    /// Until when the handle leads to the session
    lifetime: String,
    /// The id of the capture that is being written
    capture: String,
    path: std::path::PathBuf,
    /// The server, without secrets
    server: String,
    state: LiveView,
}

/// The tool [`headless_start`].
pub(super) const HEADLESS_START: AboutTool = AboutTool {
    name: "headless_start",
    title: "Start a live session",
    description: "Starts and records a session as a headless client. PRE-EMPTS whoever has the server: a DEMON \
     server serves one listener and closes the one before with 4001. Without url a built-in simulated \
     server is used, in trouble if incident names one.",
    set: Toolset::Live,
    effect: Effect::TakesOver,
};

pub(super) async fn headless_start(
    shared: Arc<Shared>,
    args: StartArgs,
    call: Call,
) -> Result<ToolAnswer<Started>> {
    let wait_s = within("wait_s", args.wait_s.unwrap_or(START_WAIT_S.0), 0.0, START_WAIT_S.1)?;
    let number = shared.sessions.next_number();
    let handle = format!("live-{number}");
    let out = shared.captures.place(&format!("{}-{handle}.lagtape", utc_file_name()))?;
    let verb = live_verb(&shared, args, out)?;
    ask_first(&verb.server, &call).await?;
    let held = shared.sessions.hold(number, || {
        Ok(Held {
            capture: out_id(&verb)?,
            path: verb.out.clone(),
            server: shown_server(&verb.server),
            run_for_s: verb.run_for.seconds(),
            handle: handle.clone(),
            session: LiveSession::start(verb)?,
        })
    })?;
    let state = waiting::streaming(&held.session, wait_s, &call).await;
    let never_began = state.end.as_ref().is_some_and(|end| end.analysis.is_none());
    if never_began {
        shared.sessions.forget(&handle);
    }
    if let Some(failure) = state.end.as_ref().and_then(|end| end.failure.as_deref()) {
        bail!("{}; {}", failure.trim_end_matches(['.', '?']), after_failure(&state));
    }
    let summary = format!(
        "{} of {}, recorded as {}; whoever had the server before was pre-empted",
        match state.phase {
            LivePhase::Streaming => "streaming",
            LivePhase::Ended => "ended already",
            _ => "the server has not sent its initial buffer yet: a cold one can take minutes",
        },
        held.server,
        held.capture
    );
    let steps = match state.phase {
        LivePhase::Streaming => vec![
            format!("headless_observe {{\"handle\": \"{handle}\", \"until\": \"lag_begins\"}}"),
            format!("headless_stop {{\"handle\": \"{handle}\"}} seals the capture"),
        ],
        _ => vec![format!("headless_status {{\"handle\": \"{handle}\"}}")],
    };
    let body = Started {
        lifetime: format!(
            "until headless_stop, the server's close, {} s of stream, or the end of this MCP server; the \
             capture stays",
            held.run_for_s
        ),
        handle,
        capture: held.capture.clone(),
        path: held.path.clone(),
        server: held.server.clone(),
        state: LiveView::of(&state),
    };
    Ok(ToolAnswer::new(summary, body).next(steps))
}

/// Before a server is taken over that others may listen to, the person is asked, where the client can.
async fn ask_first(server: &LiveServer, call: &Call) -> Result<()> {
    let LiveServer::Url(url) = server else { return Ok(()) };
    let question = format!(
        "Take over {}? Whoever listens to this server now is cut off.",
        views::address(url)
    );
    ensure!(
        call.consent(&question).await? != Consent::Refused,
        "the person did not want {} taken over; nothing was started. Without url a built-in server is used",
        views::address(url)
    );
    Ok(())
}

fn live_verb(shared: &Shared, args: StartArgs, out: std::path::PathBuf) -> Result<LiveVerb> {
    let place = match (args.url, args.incident) {
        (Some(_), Some(_)) => {
            bail!("give either url or incident: incidents are the built-in server's")
        }
        (Some(url), None) => {
            shared.hosts.check(&url)?;
            LiveServer::Url(url)
        }
        (None, incident) => {
            let trouble: Trouble = incident.as_deref().unwrap_or("healthy").parse()?;
            LiveServer::BuiltIn { trouble, seed: args.seed.unwrap_or(0) }
        }
    };
    let source = match (args.fixture, args.audio, args.text_only) {
        (Some(name), None, false) => Some(SessionSource::Fixture(name)),
        (None, Some(path), false) => Some(SessionSource::File(shared.captures.file(&path)?)),
        (None, None, true) => Some(SessionSource::Text),
        (None, None, false) => None,
        _ => bail!("give one of fixture, audio and text_only"),
    };
    let family = args.family.as_deref().map(str::parse).transpose()?;
    let mut set = Map::new();
    for (key, value) in [("depth", args.depth), ("steps", args.steps)] {
        set.extend(value.map(|value| (key.to_owned(), json!(value))));
    }
    set.extend(args.config);
    let hz = args.params_hz.map(|hz| within("params_hz", hz, 0.1, MAX_PARAMS_HZ)).transpose()?;
    let run_for_s = within("run_for_s", args.run_for_s.unwrap_or(RUN_FOR_S.0), 0.1, RUN_FOR_S.1)?;
    let timeout_s = within("timeout_s", args.timeout_s.unwrap_or(TIMEOUT_S.0), 0.1, TIMEOUT_S.1)?;
    let client: ClientModel = args.client.as_deref().unwrap_or("lagtape").parse()?;
    ensure!(client.traits().is_live(), "a live client is not held up; take web");
    Ok(LiveVerb {
        client,
        server: place,
        source,
        prompt: args.prompt,
        family,
        set,
        params_hz: hz,
        run_for: span("run_for_s", run_for_s)?,
        ready_timeout: span("timeout_s", timeout_s)?,
        out,
    })
}

fn out_id(verb: &LiveVerb) -> Result<String> {
    let name = verb.out.file_stem().and_then(|name| name.to_str());
    Ok(name.context("a capture has a name")?.to_owned())
}

fn shown_server(server: &LiveServer) -> String {
    match server {
        LiveServer::Url(url) => without_secrets(url),
        LiveServer::BuiltIn { trouble, .. } => format!("the built-in server ({trouble})"),
    }
}

fn after_failure(state: &LiveState) -> &'static str {
    match state.end.as_ref().and_then(|end| end.analysis.as_ref()) {
        Some(_) => "what came until then is in the capture",
        None => "without url a built-in server is used",
    }
}
