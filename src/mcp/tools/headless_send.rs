//! `headless_send`: a prompt, knobs, a swap or any other command for the server of a live session.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::app;
use crate::mcp::answer::{ToolAnswer, clipped};
use crate::mcp::args::within;
use crate::mcp::call::Call;
use crate::mcp::live_view::{LiveView, shown_events};
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views::{self, any_list};
use crate::mcp::waiting;
use crate::peer::client::ClientCommand;
use crate::peer::{Outgoing, command};

/// Default and greatest time to wait for the answer to a command, in seconds.
const ANSWER_WAIT_S: (f64, f64) = (1.0, 20.0);
/// Events that an answer shows.
const EVENTS: usize = 20;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct SendArgs {
    handle: String,
    /// What the music should be
    prompt: Option<String>,
    /// Knobs by their names; they go out with every report from now on
    #[serde(default)]
    knobs: Map<String, Value>,
    /// Swap the source to this fixture of the server
    swap_fixture: Option<String>,
    /// Swap the source to this audio file inside the capture folders
    swap_audio: Option<String>,
    /// Any other command of the protocol, such as {"type": "set_depth", "value": 2}
    #[serde(default)]
    command: Map<String, Value>,
    /// An audio file inside the capture folders that belongs to command
    audio: Option<String>,
    /// How long to wait for the server's answer, 1 unless given, up to 20
    wait_s: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Sent {
    handle: String,
    /// What went out
    sent: Vec<String>,
    /// Events that came since
    #[schemars(schema_with = "any_list")]
    events: Vec<Value>,
    state: LiveView,
}

/// The tool [`headless_send`].
pub(super) const HEADLESS_SEND: AboutTool = AboutTool {
    name: "headless_send",
    title: "Send to the server",
    description: "Sends a prompt, knobs (they persist), a swap to another fixture or audio file, or any other \
     command of the protocol, and shows the events that came back.",
    set: Toolset::Live,
    effect: Effect::Acts,
};

pub(super) async fn headless_send(
    shared: Arc<Shared>,
    args: SendArgs,
    call: Call,
) -> Result<ToolAnswer<Sent>> {
    let held = shared.sessions.find(&args.handle)?;
    let wait_s = within("wait_s", args.wait_s.unwrap_or(ANSWER_WAIT_S.0), 0.0, ANSWER_WAIT_S.1)?;
    ensure!(held.is_running(), "{} has ended; headless_start begins another", held.handle);
    let commands = commands_of(&args)?;
    ensure!(
        !commands.is_empty() || !args.knobs.is_empty(),
        "say what to send: prompt, knobs, swap_fixture, swap_audio or command"
    );
    let since = held.session.fresh_state().await.at;
    let mut sent = Vec::new();
    if !args.knobs.is_empty() {
        sent.push(format!(
            "knobs {}",
            clipped(&args.knobs.keys().cloned().collect::<Vec<_>>().join(", "))
        ));
        held.session.command(ClientCommand::Knobs(args.knobs.clone())).await?;
    }
    for (command, audio) in commands {
        let upload = match &audio {
            Some(path) => Some(upload(&shared, path, &call).await?),
            None => None,
        };
        sent.push(clipped(&Value::Object(command.clone()).to_string()));
        let text = Outgoing::Text(Value::Object(command).to_string());
        held.session.command(ClientCommand::Send(text)).await?;
        if let Some(bytes) = upload {
            held.session.command(ClientCommand::Send(Outgoing::Binary(bytes))).await?;
        }
    }
    let (events, _) = waiting::events_after(&held.session, since, wait_s, EVENTS, &call).await;
    let state = held.session.fresh_state().await;
    let failed = events.iter().find(|event| {
        event.fields.get("type").and_then(Value::as_str).is_some_and(|t| t.ends_with("failed"))
    });
    let summary = match (failed, events.len()) {
        (Some(event), _) => {
            format!("the server refused: {}", clipped(&json!(event.fields).to_string()))
        }
        (None, 0) => format!("sent; no event came within {wait_s} s"),
        (None, count) => format!("sent; {} came back", views::counted(count as u64, "event")),
    };
    let body = Sent {
        handle: held.handle.clone(),
        sent,
        events: shown_events(&events, &state),
        state: LiveView::of(&state),
    };
    let next = format!("headless_observe {{\"handle\": \"{}\", \"for_s\": 10}}", held.handle);
    Ok(ToolAnswer::new(summary, body).next([next]))
}

/// A command, and the audio file that belongs to it.
type CommandWithAudio = (Map<String, Value>, Option<String>);

/// The commands in the order in which they go out, each checked against the protocol.
fn commands_of(args: &SendArgs) -> Result<Vec<CommandWithAudio>> {
    let object = |value: Value| value.as_object().cloned().unwrap_or_default();
    let mut commands = Vec::new();
    if let Some(tags) = &args.prompt {
        commands.push((object(json!({"type": "prompt", "tags": tags})), None));
    }
    if let Some(name) = &args.swap_fixture {
        let swap = json!({"type": "swap_source", "fixture_name": name, "use_server_source": true});
        commands.push((object(swap), None));
    }
    if let Some(path) = &args.swap_audio {
        commands.push((object(json!({"type": "swap_source"})), Some(path.clone())));
    }
    if !args.command.is_empty() {
        commands.push((args.command.clone(), args.audio.clone()));
    } else if args.audio.is_some() {
        bail!("audio belongs to a command; to swap to it give it as swap_audio");
    }
    for (command, audio) in &commands {
        command::check(command, audio.is_some())?;
    }
    Ok(commands)
}

/// The binary message of an audio file.
async fn upload(shared: &Shared, path: &str, call: &Call) -> Result<Vec<u8>> {
    let file = shared.captures.file(path)?;
    call.work("decoding", move || app::upload(&file)).await
}
