//! The tools that tell a live session what to do.

use anyhow::{Result, bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::{Answer, clipped};
use super::args::within;
use super::call::Call;
use super::observe;
use super::server::Server;
use super::sessions::Held;
use super::state::{State, shown_events};
use super::tool::{About, Effect, Toolset};
use super::views::{self, any_list};
use crate::app::{self, LivePhase};
use crate::capture::Marker;
use crate::peer::client::ClientCommand;
use crate::peer::{Outgoing, command};
use crate::report::text::Figure;

/// How long the answer to a command is awaited unless it is told, and at most, in seconds.
const ANSWER_WAIT_S: (f64, f64) = (1.0, 20.0);
/// Fastest playback in either direction.
const MAX_RATE: f64 = 16.0;
/// Largest clock error, in parts per million.
const MAX_SKEW_PPM: f64 = 1e6;
/// Events that an answer shows.
const EVENTS: usize = 20;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct SeekArgs {
    /// The session's handle
    handle: String,
    /// Where to, in seconds from the beginning of the loop
    to_s: f64,
}

/// What was done, and how the session stands after it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Done {
    handle: String,
    state: State,
}

impl Done {
    async fn answer(held: &Held, what: &str) -> Answer<Done> {
        // The session takes orders one after the other, so what was ordered stands by now.
        let state = held.session.fresh_state().await;
        let waits =
            if state.phase == LivePhase::Streaming { "" } else { ", as soon as the stream runs" };
        let next = format!("headless_observe {{\"handle\": \"{}\", \"for_s\": 10}}", held.handle);
        let body = Done { handle: held.handle.clone(), state: State::of(&state) };
        Answer::new(format!("{what}{waits}"), body).next([next])
    }
}

/// The tool [`headless_seek`].
pub const HEADLESS_SEEK: About = About {
    name: "headless_seek",
    title: "Seek",
    description: "The listener jumps to a position of the loop, now. The capture remembers it.",
    set: Toolset::Live,
    effect: Effect::Acts,
};

pub async fn headless_seek(server: Server, args: SeekArgs, _: Call) -> Result<Answer<Done>> {
    let held = server.sessions.find(&args.handle)?;
    let to_s = within("to_s", args.to_s, 0.0, 1e6)?;
    held.session.operate(Marker::Seek { to_s }).await?;
    Ok(Done::answer(&held, &format!("the listener seeks to {} s", Figure(to_s))).await)
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct PlaybackArgs {
    /// The session's handle
    handle: String,
    /// Speed of the playhead; 1 is as recorded
    rate: Option<f64>,
    /// Parts per million by which the listener's clock is fast
    skew_ppm: Option<f64>,
    /// Stops the playhead, or lets it go on
    pause: Option<bool>,
}

/// The tool [`headless_set_playback`].
pub const HEADLESS_SET_PLAYBACK: About = About {
    name: "headless_set_playback",
    title: "Set the playback",
    description: "The listener's rate, the error of its clock, or a pause, from now on.",
    set: Toolset::Live,
    effect: Effect::Sets,
};

pub async fn headless_set_playback(
    server: Server,
    args: PlaybackArgs,
    _: Call,
) -> Result<Answer<Done>> {
    let held = server.sessions.find(&args.handle)?;
    let mut done = Vec::new();
    if args.rate.is_some() || args.skew_ppm.is_some() {
        let rate = within("rate", args.rate.unwrap_or(1.0), -MAX_RATE, MAX_RATE)?;
        let skew = within("skew_ppm", args.skew_ppm.unwrap_or(0.0), -MAX_SKEW_PPM, MAX_SKEW_PPM)?;
        let rate = rate * (1.0 + skew / 1e6);
        held.session.operate(Marker::Rate { rate }).await?;
        done.push(format!("the rate is {rate}"));
    }
    if let Some(pause) = args.pause {
        held.session.operate(if pause { Marker::Pause } else { Marker::Resume }).await?;
        done.push(if pause { "the listener pauses" } else { "the listener goes on" }.to_owned());
    }
    ensure!(!done.is_empty(), "say what to set: rate, skew_ppm or pause");
    Ok(Done::answer(&held, &done.join(", ")).await)
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct SendArgs {
    /// The session's handle
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
pub struct Sent {
    handle: String,
    /// What went out
    sent: Vec<String>,
    /// Events that came since
    #[schemars(schema_with = "any_list")]
    events: Vec<Value>,
    state: State,
}

/// The tool [`headless_send`].
pub const HEADLESS_SEND: About = About {
    name: "headless_send",
    title: "Send to the server",
    description: "Sends a prompt, knobs (they persist), a swap to another fixture or audio file, or any other \
     command of the protocol, and shows the events that came back.",
    set: Toolset::Live,
    effect: Effect::Acts,
};

pub async fn headless_send(server: Server, args: SendArgs, call: Call) -> Result<Answer<Sent>> {
    let held = server.sessions.find(&args.handle)?;
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
            Some(path) => Some(upload(&server, path, &call).await?),
            None => None,
        };
        sent.push(clipped(&Value::Object(command.clone()).to_string()));
        let text = Outgoing::Text(Value::Object(command).to_string());
        held.session.command(ClientCommand::Send(text)).await?;
        if let Some(bytes) = upload {
            held.session.command(ClientCommand::Send(Outgoing::Binary(bytes))).await?;
        }
    }
    let (events, _) = observe::answers(&held.session, since, wait_s, EVENTS, &call).await;
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
        events: shown_events(&events),
        state: State::of(&state),
    };
    let next = format!("headless_observe {{\"handle\": \"{}\", \"for_s\": 10}}", held.handle);
    Ok(Answer::new(summary, body).next([next]))
}

/// A command, and the audio file that belongs to it.
type Worded = (Map<String, Value>, Option<String>);

/// The commands in the order in which they go out, each one that the protocol knows.
fn commands_of(args: &SendArgs) -> Result<Vec<Worded>> {
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
async fn upload(server: &Server, path: &str, call: &Call) -> Result<Vec<u8>> {
    let file = server.captures.file(path)?;
    call.work("decoding", move || app::upload(&file)).await
}
