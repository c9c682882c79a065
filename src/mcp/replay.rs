//! The tools for recorded sessions.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Output, Truncated, clipped, clipped_value, cursor, page};
use super::args::{ChangeArgs, Format, Playhead, limit, offset, report_args, span};
use super::call::Call;
use super::resources;
use super::schema;
use super::server::Server;
use super::tool::{About, Effect, Entry, Toolset, answering, picturing};
use super::views::{self, Verdict};
use crate::app::{self, AnalyzeOptions, AudioOptions, CatFilter, PlotForm, PlotVerb, WhatIfVerb};
use crate::capture::Direction;
use crate::report::text::{Bytes, Figure};
use crate::scenario::model::DEFAULT_MEMBERS;

/// Largest picture in bytes.
const MAX_CHART_LEN: usize = 40 << 10;
/// Runs of the model at most.
const MAX_MEMBERS: u64 = 1_000;

/// The tools.
pub fn tools() -> Vec<Entry> {
    let about = |name, title, description, effect| About {
        name,
        title,
        description,
        set: Toolset::Replay,
        effect,
    };
    vec![
        answering(
            about(
                "capture_list",
                "List captures",
                "Lists recorded sessions, the newest first. Their ids are what the other capture_ tools take.",
                Effect::Reads,
            ),
            capture_list,
        ),
        answering(
            about(
                "capture_open",
                "Open a capture",
                "Says what a capture is, whether it is intact, whether the listener heard lag, when and how \
                 badly, and which tools help next. Begin with this one.",
                Effect::Reads,
            ),
            capture_open,
        ),
        answering(
            about(
                "capture_lag_report",
                "Lag report of a capture",
                "The reference client's lag report (lead of slices, staleness of what was heard) over all of \
                 a capture or a part of it; with include_timeline also over time.",
                Effect::Reads,
            ),
            capture_lag_report,
        ),
        answering(
            about(
                "capture_what_if",
                "What would have been",
                "Asks what the listener would have heard otherwise: another lead floor, a seek, a thinner or \
                 faster link, another clock. The answer says how far it can be trusted: exact, exact until a \
                 moment, or by a model together with the model's error on this capture.",
                Effect::Reads,
            ),
            capture_what_if,
        ),
        answering(
            about(
                "capture_compare",
                "Compare",
                "Compares a capture with another one (with), or with what would have been (set, ops), figure by \
                 figure, and says which differences a listener would call better or worse.",
                Effect::Reads,
            ),
            capture_compare,
        ),
        answering(
            about(
                "capture_messages",
                "Messages of a capture",
                "The messages of a capture in their order, filtered and paged: events, commands, slices, \
                 reports of the playhead. Leave out what is frequent with types.",
                Effect::Reads,
            ),
            capture_messages,
        ),
        answering(
            about(
                "capture_dump_audio",
                "Audio of a capture",
                "Writes a WAV file of what the listener heard, or of the loop as it stood (what: buffer). \
                 Answers with its path.",
                Effect::WritesFiles,
            ),
            capture_dump_audio,
        ),
        picturing(
            about(
                "capture_chart",
                "Chart of a capture",
                "A picture: lead of slices, age of the audio heard, write frontier against playhead over the \
                 loop, cadences; spells of lag are shaded.",
                Effect::Reads,
            ),
            capture_chart,
        ),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct ListArgs {
    /// Only captures whose id contains this
    contains: Option<String>,
    /// Captures at most, 20 unless given, up to 100
    limit: Option<u64>,
    /// next_cursor of the answer before
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CaptureList {
    captures: Vec<CaptureLine>,
    /// Captures there are
    total: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CaptureLine {
    id: String,
    path: PathBuf,
    bytes: u64,
    /// When the recording began, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    started_utc: Option<String>,
    /// Whose client it was: headless or foreign
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    /// The server, without secrets
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The handle of the live session that still writes it
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<String>,
}

async fn capture_list(server: Server, args: ListArgs, call: Call) -> Result<Answer<CaptureList>> {
    let (start, most) = (cursor(args.cursor.as_deref())?, limit(args.limit, 20, 100));
    let running: Vec<_> =
        server.sessions.all().into_iter().filter(|held| held.is_running()).collect();
    let line = move |listed: &app::Listed| {
        let header = app::header_of(&listed.path);
        let recording = running.iter().find(|held| held.path == listed.path);
        CaptureLine {
            id: listed.id.clone(),
            path: listed.path.clone(),
            bytes: listed.bytes,
            started_utc: header.as_ref().and_then(|h| h.start_utc.as_deref().map(clipped)),
            client: header.as_ref().map(|h| views::word(&h.client)),
            url: header.and_then(|h| h.url.as_deref().map(clipped)),
            recording: recording.map(|held| held.handle.clone()),
        }
    };
    let asked = server.clone();
    let (captures, cut) = call
        .work("listing", move || {
            let mut listed = asked.captures.list()?;
            if let Some(part) = &args.contains {
                listed.retain(|listed| listed.id.contains(part));
            }
            Ok(page("captures", listed.iter().map(line), start, most))
        })
        .await?;
    let total = cut.as_ref().map_or(captures.len() as u64, |cut| cut.total);
    let first =
        captures.first().map(|capture| format!("capture_open {{\"capture\": \"{}\"}}", capture.id));
    let (summary, next) = match first {
        Some(open) => (format!("{}, the newest first", views::counted(total, "capture")), open),
        None => (
            format!("no capture in {}", views::folders(&server.captures)),
            "headless_start records one, also without a server".to_owned(),
        ),
    };
    Ok(Answer::new(summary, CaptureList { captures, total }).next([next]).cut(cut))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct OpenArgs {
    /// The capture, by its id or path
    capture: String,
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Opened {
    id: String,
    path: PathBuf,
    integrity: views::Integrity,
    verdict: Verdict,
    /// The lag report over all of it; absent when no audio came
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::lag")]
    lag: Option<Value>,
    session: views::Session,
    warnings: Vec<String>,
    /// Events of the server by type
    #[schemars(schema_with = "schema::any_object")]
    events: Value,
    /// The newest events, in format detailed
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    last_events: Vec<Value>,
    /// Addresses of its resources
    resources: Vec<String>,
}

async fn capture_open(server: Server, args: OpenArgs, call: Call) -> Result<Answer<Opened>> {
    let found = server.captures.find(&args.capture)?;
    let (path, id) = (found.path.clone(), found.id);
    let analysis =
        call.work("replaying", move || app::analyze(&path, &AnalyzeOptions::default())).await?;
    let detailed = args.format == Format::Detailed;
    let newest = analysis.events.iter().rev().map(views::event);
    let (last_events, cut) = match detailed {
        true => page("last_events", newest, 0, 30),
        false => (Vec::new(), None),
    };
    let opened = Opened {
        integrity: views::Integrity::of(&analysis),
        verdict: Verdict::of(&analysis.verdict),
        lag: analysis.lag.as_ref().map(serde_json::to_value).transpose()?,
        session: views::Session::of(&analysis, detailed),
        warnings: analysis.warnings.iter().take(12).map(|w| clipped(&w.message)).collect(),
        events: views::event_counts(&analysis),
        last_events,
        resources: ["report", "timeline", "chart"].map(|part| resources::address(&id, part)).into(),
        path: found.path,
        id: id.clone(),
    };
    let steps = views::next_after(&analysis, &id);
    Ok(Answer::new(views::summary(&analysis), opened).next(steps).cut(cut))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ReportToolArgs {
    /// The capture, by its id or path
    capture: String,
    /// Only so many seconds before the report; all unless given
    window_s: Option<f64>,
    /// Audio older than this is stale, 3 s unless given
    stale_threshold_s: Option<f64>,
    /// Add rows over time
    #[serde(default)]
    include_timeline: bool,
    /// Length of a row, 1 s unless given
    timeline_step_s: Option<f64>,
    /// Report as of this moment from the initial buffer on, instead of the end
    at_s: Option<f64>,
    /// Measure against this playhead instead of the one that suits the capture
    playhead: Option<Playhead>,
    /// Rows of the timeline at most, 60 unless given, up to 200
    limit: Option<u64>,
    /// next_cursor of the answer before
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ReportAnswer {
    id: String,
    /// When the report was made, in seconds from the initial buffer
    report_at_s: f64,
    #[schemars(schema_with = "schema::lag")]
    lag: Value,
    verdict: Verdict,
}

async fn capture_lag_report(
    server: Server,
    args: ReportToolArgs,
    call: Call,
) -> Result<Answer<ReportAnswer>> {
    let found = server.captures.find(&args.capture)?;
    let step = args.include_timeline.then(|| args.timeline_step_s.unwrap_or(1.0));
    let options = AnalyzeOptions {
        playhead: args.playhead.map(Into::into),
        report: report_args(args.window_s, args.stale_threshold_s, step)?,
        at: args.at_s.map(|at_s| span("at_s", at_s)).transpose()?,
        ..AnalyzeOptions::default()
    };
    let (start, most) = (cursor(args.cursor.as_deref())?, limit(args.limit, 60, 200));
    let path = found.path.clone();
    let analysis = call.work("replaying", move || app::analyze(&path, &options)).await?;
    let Some(report) = &analysis.lag else { bail!("{}", views::no_report(&analysis)) };
    let (lag, cut) = views::lag(report, start, most)?;
    let answer = ReportAnswer {
        id: found.id.clone(),
        report_at_s: analysis.report_at_s,
        lag,
        verdict: Verdict::of(&analysis.verdict),
    };
    let steps = views::next_after(&analysis, &found.id);
    Ok(Answer::new(views::figures(report), answer).next(steps).cut(cut))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct WhatIfArgs {
    /// The capture, by its id or path
    capture: String,
    #[serde(flatten)]
    change: ChangeArgs,
    /// Keep the recorded slices, whatever the server would have done
    #[serde(default)]
    open_loop: bool,
    /// Runs of the model
    members: Option<u64>,
    /// Only so many seconds before the end; all unless given
    window_s: Option<f64>,
    /// Audio older than this is stale, 3 s unless given
    stale_threshold_s: Option<f64>,
    #[serde(default)]
    format: Format,
}

impl WhatIfArgs {
    fn verb(&self) -> Result<WhatIfVerb> {
        ensure!(
            !self.change.is_empty(),
            "say what would have been different: set {{\"lead-floor\": 0.6}}, or ops [\"6s:seek=16s\"]"
        );
        let members = self.members.unwrap_or(DEFAULT_MEMBERS as u64);
        ensure!(
            (1..=MAX_MEMBERS).contains(&members),
            "members is {members}; give from 1 to {MAX_MEMBERS}"
        );
        Ok(WhatIfVerb {
            scenario: self.change.scenario()?,
            open_loop: self.open_loop,
            members: usize::try_from(members)?,
            report: report_args(self.window_s, self.stale_threshold_s, None)?,
        })
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct WhatIfAnswer {
    id: String,
    /// What the answer rests on
    trust: views::Trust,
    /// What was recorded, under lag
    #[schemars(schema_with = "schema::any_object")]
    factual: Value,
    /// What would have been in the likeliest outcome, under lag
    #[schemars(schema_with = "schema::any_object")]
    counterfactual: Value,
    /// Where it is a matter of luck: what could have been, the likeliest first
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    outcomes: Vec<Value>,
    /// The same as a command line
    command: String,
}

async fn capture_what_if(
    server: Server,
    args: WhatIfArgs,
    call: Call,
) -> Result<Answer<WhatIfAnswer>> {
    let found = server.captures.find(&args.capture)?;
    let (verb, path) = (args.verb()?, found.path.clone());
    let answer = call.work("replaying", move || app::what_if(&path, &verb)).await?;
    let most = if args.format == Format::Detailed { 10 } else { 4 };
    let outcomes = answer.outcomes.iter().map(|outcome| json!(outcome));
    let (outcomes, cut) = page("outcomes", outcomes, 0, most);
    let compare =
        format!("capture_compare with the same arguments on \"{}\" lists every figure", found.id);
    let body = WhatIfAnswer {
        trust: views::Trust::of(&answer),
        factual: json!(answer.factual),
        counterfactual: json!(answer.counterfactual),
        outcomes,
        command: format!("lagtape what-if {}{}", found.path.display(), args.change.words()),
        id: found.id,
    };
    Ok(Answer::new(views::what_if_summary(&answer), body).next([compare]).cut(cut))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct CompareArgs {
    /// The capture, by its id or path
    capture: String,
    /// Another capture to compare it with; leave out for what would have been
    with: Option<String>,
    #[serde(flatten)]
    change: ChangeArgs,
    /// Only so many seconds before the end; all unless given
    window_s: Option<f64>,
    /// Audio older than this is stale, 3 s unless given
    stale_threshold_s: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Compared {
    /// The first side, …
    a: String,
    /// … and the second
    b: String,
    /// Figures with a, b, change (b − a) and what that means: better, worse, same, other
    #[schemars(schema_with = "views::any_list")]
    figures: Vec<Value>,
    /// Figures that are better in b
    better: u64,
    /// Figures that are worse in b
    worse: u64,
    /// How far b can be trusted, when it was not recorded
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<views::Trust>,
}

async fn capture_compare(
    server: Server,
    args: CompareArgs,
    call: Call,
) -> Result<Answer<Compared>> {
    let found = server.captures.find(&args.capture)?;
    let report = report_args(args.window_s, args.stale_threshold_s, None)?;
    let (compared, trust) = match &args.with {
        Some(other) => {
            ensure!(args.change.is_empty(), "give either with or set and ops, not both");
            let (a, b) = (found.path, server.captures.find(other)?.path);
            let compared = call.work("replaying", move || app::compare(&a, &b, report)).await?;
            (compared, None)
        }
        None => {
            ensure!(
                !args.change.is_empty(),
                "say with what: another capture in with, or a change in set or ops"
            );
            let verb = WhatIfVerb {
                scenario: args.change.scenario()?,
                open_loop: false,
                members: DEFAULT_MEMBERS,
                report,
            };
            let asked = move || app::compare_what_if(&found.path, &verb);
            let (compared, answer) = call.work("replaying", asked).await?;
            (compared, Some(views::Trust::of(&answer)))
        }
    };
    let summary = views::comparison(&compared);
    let body = Compared {
        a: clipped(&compared.a.name),
        b: clipped(&compared.b.name),
        figures: compared.figures.iter().map(|figure| json!(figure)).collect(),
        better: compared.better as u64,
        worse: compared.worse as u64,
        trust,
    };
    Ok(Answer::new(summary, body)
        .next(["capture_chart shows when; capture_dump_audio lets a person hear it"]))
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Way {
    /// Client to server
    C2s,
    /// Server to client
    S2c,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct MessagesArgs {
    /// The capture, by its id or path
    capture: String,
    /// Only these: a JSON type (params, prompt, ready, swap_ready, …), an opcode (text, binary), or
    /// what it is (config, upload, buffer, slice, swap_buffer)
    #[serde(default)]
    types: Vec<String>,
    /// Not these
    #[serde(default)]
    not_types: Vec<String>,
    /// Only what went this way
    direction: Option<Way>,
    /// From this moment on, in seconds from the initial buffer
    from_s: Option<f64>,
    /// Up to this moment
    to_s: Option<f64>,
    /// Messages at most, 40 unless given, up to 200
    limit: Option<u64>,
    /// next_cursor of the answer before
    cursor: Option<String>,
    /// concise: a line each; detailed: all fields, long texts cut
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Messages {
    id: String,
    /// Concise: number, seconds, direction, type, size, beginning
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<String>,
    /// Detailed: as lagtape cat --json has them
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    messages: Vec<Value>,
    /// Messages that pass the filter
    total: u64,
    /// Where the capture is damaged; nothing after that is here
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

async fn capture_messages(
    server: Server,
    args: MessagesArgs,
    call: Call,
) -> Result<Answer<Messages>> {
    let found = server.captures.find(&args.capture)?;
    let detailed = args.format == Format::Detailed;
    let filter = CatFilter {
        json: detailed,
        records: false,
        kinds: args.types,
        not_kinds: args.not_types,
        direction: args.direction.map(|way| match way {
            Way::C2s => Direction::ClientToServer,
            Way::S2c => Direction::ServerToClient,
        }),
        from: args.from_s.map(|s| offset("from_s", s)).transpose()?,
        to: args.to_s.map(|s| offset("to_s", s)).transpose()?,
        limit: Some(limit(args.limit, 40, 200) as u64),
    };
    filter.check()?;
    let after = match args.cursor.as_deref() {
        Some(text) => Some(cursor(Some(text))? as u64),
        None => None,
    };
    let path = found.path.clone();
    let read = move || app::messages(&path, &filter, after, super::answer::LIST_LEN);
    let messages = call.work("reading", read).await?;
    let shown = messages.lines.len() as u64;
    let cut = (shown < messages.total).then(|| Truncated {
        list: if detailed { "messages" } else { "lines" },
        shown,
        total: messages.total,
        next_cursor: messages.next.map(|next| next.to_string()),
    });
    let mut body = Messages {
        id: found.id,
        lines: Vec::new(),
        messages: Vec::new(),
        total: messages.total,
        damage: messages.damage.map(|damage| clipped(&damage.reason)),
    };
    match detailed {
        true => {
            let parsed = messages.lines.iter().filter_map(|line| serde_json::from_str(line).ok());
            body.messages = parsed.map(|message: Value| clipped_value(&message)).collect();
        }
        false => body.lines = messages.lines,
    }
    let summary = format!("{shown} of {} messages", messages.total);
    let hint = match shown {
        0 => "no message passes; capture_open names the events that there are",
        _ => {
            "narrow with types, not_types [\"params\", \"params_update\", \"slice\"], from_s and to_s"
        }
    };
    Ok(Answer::new(summary, body).next([hint]).cut(cut))
}

/// Which audio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// What the listener heard.
    #[default]
    Heard,
    /// The loop as it stood.
    Buffer,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct AudioArgs {
    /// The capture, by its id or path
    capture: String,
    /// heard, or buffer
    #[serde(default)]
    what: What,
    /// Only so many seconds before the end
    last_s: Option<f64>,
    /// Up to this moment from the initial buffer on, instead of the end
    at_s: Option<f64>,
}

/// A WAV file that was written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AudioFile {
    pub path: PathBuf,
    pub seconds: f64,
    pub channels: u16,
    pub sample_rate: u32,
    pub bytes: u64,
}

async fn capture_dump_audio(
    server: Server,
    args: AudioArgs,
    call: Call,
) -> Result<Answer<AudioFile>> {
    let found = server.captures.find(&args.capture)?;
    let options = AudioOptions {
        buffer: args.what == What::Buffer,
        last: args.last_s.map(|s| span("last_s", s)).transpose()?,
        at: args.at_s.map(|s| span("at_s", s)).transpose()?,
        force: true,
        ..AudioOptions::default()
    };
    let out = server.captures.place(&audio_name(&found.id, &args))?;
    let written = out.clone();
    let (summary, bytes) = call
        .work("replaying", move || {
            let summary = app::audio(&found.path, &written, &options)?;
            Ok((summary, std::fs::metadata(&written)?.len()))
        })
        .await?;
    let damaged = summary
        .damage
        .as_ref()
        .map(|d| format!("; the capture is damaged: {}", clipped(&d.reason)));
    let file = AudioFile {
        path: out,
        seconds: summary.frames as f64 / f64::from(summary.sample_rate.max(1)),
        channels: summary.channels,
        sample_rate: summary.sample_rate,
        bytes,
    };
    Ok(audio_answer(file, &damaged.unwrap_or_default()))
}

/// An answer about a file of audio.
pub fn audio_answer(file: AudioFile, remark: &str) -> Answer<AudioFile> {
    let path = file.path.clone();
    let (seconds, bytes) = (Figure(file.seconds).to_string(), Bytes(file.bytes).to_string());
    Answer::new(format!("wrote {seconds} s of audio, {bytes}, to {}{remark}", path.display()), file)
        .next(["give the path to the person; agents cannot listen"])
        .file(&path)
}

fn audio_name(id: &str, args: &AudioArgs) -> String {
    let what = if args.what == What::Buffer { "buffer" } else { "heard" };
    let seconds =
        |name: &str, value: Option<f64>| value.map_or(String::new(), |s| format!("-{name}{s}s"));
    let (last, at) = (seconds("last", args.last_s), seconds("at", args.at_s));
    format!("out/{}-{what}{last}{at}.wav", id.replace('/', "-"))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ChartArgs {
    /// The capture, by its id or path
    capture: String,
    /// Audio older than this is stale, 3 s unless given
    stale_threshold_s: Option<f64>,
}

async fn capture_chart(server: Server, args: ChartArgs, call: Call) -> Result<Output> {
    let found = server.captures.find(&args.capture)?;
    let report = report_args(None, args.stale_threshold_s, None)?;
    let path = found.path.clone();
    let draw = move || app::plot_bytes(&path, PlotForm::Png, &PlotVerb { playhead: None, report });
    let (png, analysis) = call.work("drawing", draw).await?;
    ensure!(
        png.len() <= MAX_CHART_LEN,
        "the chart is {}, too large for an answer; lagtape plot {} -o chart.png writes it to a file",
        Bytes(png.len() as u64),
        found.path.display()
    );
    let sentence = format!(
        "{}. Panels from above: lead of slices (red: behind the listener), age of the audio heard with the \
         stale threshold, loop position written (blue) and heard (orange), slices and reports a second; \
         spells of lag are shaded. The figures are in capture_lag_report.",
        views::summary(&analysis)
    );
    Ok(Output::picture(STANDARD.encode(png), "image/png", sentence))
}
