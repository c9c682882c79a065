//! A tool: its name, its description, and the function that it calls.
//!
//! Enters: a function of typed arguments. Leaves: the tool as clients see it, with schemas of its
//! arguments and answer, and a function from JSON to JSON. Arguments that do not fit make an answer
//! that says so, because agents do not read protocol errors.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use rmcp::model::{JsonObject, MetaObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::{ToolAnswer, ToolOutput, clipped};
use super::call::Call;
use super::fit::fitted;
use super::options::Toolset;
use super::schema;
use super::shared::Shared;
use crate::parse::nearest;

/// What a call changes.
#[derive(Debug, Clone, Copy)]
pub enum Effect {
    /// Nothing.
    Reads,
    /// Writes files that lagtape names; the same call writes the same files.
    WritesFiles,
    /// Changes a live session, and more with every call.
    Acts,
    /// Brings a live session into a state; a second call changes nothing.
    Sets,
    /// Ends a live session; a second call changes nothing.
    Ends,
    /// Takes a server over from its present listener.
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

/// How a tool is described to clients.
#[derive(Debug, Clone, Copy)]
pub struct AboutTool {
    pub name: &'static str,
    pub title: &'static str,
    /// What it does and when to use it.
    pub description: &'static str,
    pub set: Toolset,
    pub effect: Effect,
}

type Answering = Pin<Box<dyn Future<Output = Result<ToolOutput>> + Send>>;

/// A tool that can be called.
pub struct ToolEntry {
    pub tool: Tool,
    pub set: Toolset,
    pub read_only: bool,
    pub call: Box<dyn Fn(Arc<Shared>, JsonObject, Call) -> Answering + Send + Sync>,
}

/// A tool whose answer has a schema.
pub fn answering<A, T, F, R>(about: AboutTool, run: F) -> ToolEntry
where
    A: DeserializeOwned + JsonSchema + Send + 'static,
    T: Serialize + JsonSchema + Send + 'static,
    F: Fn(Arc<Shared>, A, Call) -> R + Send + Sync + Copy + 'static,
    R: Future<Output = Result<ToolAnswer<T>>> + Send + 'static,
{
    let tool = described::<A>(about).with_raw_output_schema(schema::output::<T>());
    let schema = Arc::clone(&tool.input_schema);
    entry(about, tool, move |shared, args, call| {
        let args = parsed(about.name, &schema, args);
        Box::pin(async move { run(shared, args?, call).await?.output() })
    })
}

/// A tool that answers with a picture, which has no schema.
pub fn picturing<A, F, R>(about: AboutTool, run: F) -> ToolEntry
where
    A: DeserializeOwned + JsonSchema + Send + 'static,
    F: Fn(Arc<Shared>, A, Call) -> R + Send + Sync + Copy + 'static,
    R: Future<Output = Result<ToolOutput>> + Send + 'static,
{
    let tool = described::<A>(about);
    let schema = Arc::clone(&tool.input_schema);
    entry(about, tool, move |shared, args, call| {
        let args = parsed(about.name, &schema, args);
        Box::pin(async move { run(shared, args?, call).await })
    })
}

impl ToolEntry {
    /// With a page that hosts which have a place for it show beside the answer.
    pub fn shown_by(mut self, app: &str) -> ToolEntry {
        let ui = serde_json::json!({ "resourceUri": app });
        let meta = JsonObject::from_iter([("ui".to_owned(), ui)]);
        self.tool = self.tool.with_meta(MetaObject(meta));
        self
    }
}

fn entry(
    about: AboutTool,
    tool: Tool,
    call: impl Fn(Arc<Shared>, JsonObject, Call) -> Answering + Send + Sync + 'static,
) -> ToolEntry {
    let [read_only, ..] = about.effect.hints();
    ToolEntry { tool, set: about.set, read_only, call: Box::new(call) }
}

fn described<A: JsonSchema>(about: AboutTool) -> Tool {
    let [read_only, destructive, idempotent, open_world] = about.effect.hints();
    let annotations = ToolAnnotations::new()
        .read_only(read_only)
        .destructive(destructive)
        .idempotent(idempotent)
        .open_world(open_world);
    Tool::new(about.name, about.description, schema::input::<A>())
        .with_title(about.title)
        .with_annotations(annotations)
}

/// Arguments as the tool takes them.
fn parsed<A: DeserializeOwned>(tool: &str, schema: &JsonObject, args: JsonObject) -> Result<A> {
    let known = schema.get("properties").and_then(Value::as_object);
    let known: Vec<_> = known.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if let Some((odd, _)) =
        args.iter().find(|(name, value)| !value.is_null() && !known.contains(&name.as_str()))
    {
        let advice = nearest(odd, known.iter().copied());
        bail!("{tool} takes no argument \"{}\"; {advice}", clipped(odd));
    }
    let cannot = |error: &dyn Display| anyhow!("{tool} cannot be called like this: {error}");
    let args = fitted(schema, args).map_err(|error| cannot(&error))?;
    serde_json::from_value(Value::Object(args)).map_err(|error| cannot(&error))
}
