//! A tool: what it is called, what it says of itself, and what it does.
//!
//! Enters: a function of typed arguments. Leaves: the tool as clients see it, and one call that takes
//! and gives JSON. Arguments that do not fit are failures in the answer, which agents can read.

use std::future::Future;
use std::pin::Pin;

use anyhow::{Result, anyhow, bail};
use clap::ValueEnum;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::{Answer, Output, clipped};
use super::call::Call;
use super::schema;
use super::server::Server;
use crate::parse::nearest;

/// Groups of tools that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Toolset {
    /// Sessions that run: the headless_ tools
    Live,
    /// Sessions that were recorded: the capture_ tools
    Replay,
}

/// What a call does to the world.
#[derive(Debug, Clone, Copy)]
pub enum Effect {
    /// Looks only.
    Reads,
    /// Writes files of its own, the same ones when called again.
    WritesFiles,
    /// Changes a session of ours; again is more of it.
    Acts,
    /// Changes a session of ours into a state; again changes nothing.
    Sets,
    /// Ends a session of ours; again changes nothing.
    Ends,
    /// Takes a server over from whoever has it.
    TakesOver,
}

impl Effect {
    /// Read-only, destructive, idempotent, open-world.
    fn hints(self) -> [bool; 4] {
        match self {
            Effect::Reads => [true, false, true, false],
            Effect::WritesFiles => [false, false, true, false],
            Effect::Acts => [false, false, false, true],
            Effect::Sets => [false, false, true, true],
            Effect::Ends => [false, true, true, true],
            Effect::TakesOver => [false, true, false, true],
        }
    }
}

/// What a tool says of itself.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its name.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it does and when to use it.
    pub description: &'static str,
    /// Its group.
    pub set: Toolset,
    /// What it does to the world.
    pub effect: Effect,
}

type Answering = Pin<Box<dyn Future<Output = Result<Output>> + Send>>;

/// A tool that can be called.
pub struct Entry {
    /// As clients see it.
    pub tool: Tool,
    /// Its group.
    pub set: Toolset,
    /// It changes nothing.
    pub read_only: bool,
    /// What it does.
    pub call: Box<dyn Fn(Server, JsonObject, Call) -> Answering + Send + Sync>,
}

/// A tool whose answer has a schema.
pub fn answering<A, T, F, R>(about: About, run: F) -> Entry
where
    A: DeserializeOwned + JsonSchema + Send + 'static,
    T: Serialize + JsonSchema + Send + 'static,
    F: Fn(Server, A, Call) -> R + Send + Sync + Copy + 'static,
    R: Future<Output = Result<Answer<T>>> + Send + 'static,
{
    let tool = described::<A>(about).with_raw_output_schema(schema::output::<Answer<T>>());
    let known = argument_names(&tool);
    entry(about, tool, move |server, args, call| {
        let args = parsed(about.name, &known, args);
        Box::pin(async move { run(server, args?, call).await?.output() })
    })
}

/// A tool that answers with a picture, which has no schema.
pub fn picturing<A, F, R>(about: About, run: F) -> Entry
where
    A: DeserializeOwned + JsonSchema + Send + 'static,
    F: Fn(Server, A, Call) -> R + Send + Sync + Copy + 'static,
    R: Future<Output = Result<Output>> + Send + 'static,
{
    let tool = described::<A>(about);
    let known = argument_names(&tool);
    entry(about, tool, move |server, args, call| {
        let args = parsed(about.name, &known, args);
        Box::pin(async move { run(server, args?, call).await })
    })
}

fn entry(
    about: About,
    tool: Tool,
    call: impl Fn(Server, JsonObject, Call) -> Answering + Send + Sync + 'static,
) -> Entry {
    let [read_only, ..] = about.effect.hints();
    Entry { tool, set: about.set, read_only, call: Box::new(call) }
}

fn described<A: JsonSchema>(about: About) -> Tool {
    let [read_only, destructive, idempotent, open_world] = about.effect.hints();
    let annotations = ToolAnnotations::with_title(about.title)
        .read_only(read_only)
        .destructive(destructive)
        .idempotent(idempotent)
        .open_world(open_world);
    Tool::new(about.name, about.description, schema::input::<A>())
        .with_title(about.title)
        .with_annotations(annotations)
}

fn argument_names(tool: &Tool) -> Vec<String> {
    let properties = tool.input_schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// Arguments as the tool takes them. A `null` is as good as nothing, since some clients send one for
/// every argument that they leave out.
fn parsed<A: DeserializeOwned>(tool: &str, known: &[String], mut args: JsonObject) -> Result<A> {
    args.retain(|_, value| !value.is_null());
    if let Some(odd) = args.keys().find(|name| !known.contains(name)) {
        let advice = nearest(odd, known.iter().map(String::as_str));
        bail!("{tool} takes no argument \"{}\"; {advice}", clipped(odd));
    }
    serde_json::from_value(Value::Object(args))
        .map_err(|error| anyhow!("{tool} cannot be called like this: {error}"))
}
