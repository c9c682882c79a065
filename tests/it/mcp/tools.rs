//! What each tool answers.

use serde_json::{Value, json};

use super::{Client, folder, until};

use crate::program::{command, lagtape};
use crate::promises::measured;

/// Longest answer: about 8,000 tokens.
const MAX_ANSWER_LEN: usize = lagtape::mcp::MAX_ANSWER_LEN;

fn tools(client: &mut Client) -> Vec<Value> {
    client.request("tools/list", &json!({}))["result"]["tools"].as_array().unwrap().clone()
}

fn names(words: &[&str]) -> Vec<String> {
    let mut client = Client::start(folder().path(), words);
    tools(&mut client).iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn tools_can_be_narrowed_at_the_start() {
    let all = names(&[]);
    assert_eq!(all.len(), 22);
    let live = names(&["--toolsets", "live"]);
    let replay = names(&["--toolsets", "replay"]);
    assert!(live.iter().all(|name| name.starts_with("headless_")) && live.len() == 9);
    assert!(replay.iter().all(|name| name.starts_with("capture_")) && replay.len() == 13);
    let reading = names(&["--read-only"]);
    for writing in ["headless_start", "headless_stop", "headless_send", "capture_dump_audio"] {
        assert!(!reading.iter().any(|name| name == writing), "{writing}");
    }
    assert!(reading.iter().any(|name| name == "capture_open"));
    let folder = folder();
    let mut client = Client::start(folder.path(), &["--toolsets", "replay", "--read-only"]);
    let refused = client.failure("headless_start", &json!({}));
    assert!(refused.contains("there is no tool"), "{refused}");
}

#[test]
fn every_schema_is_closed_and_whole_and_arguments_are_never_null() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    for tool in tools(&mut client) {
        let text = tool.to_string();
        assert!(!text.contains("$ref"), "{text}");
        assert!(!tool["inputSchema"].to_string().contains("\"null\""), "{text}");
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{text}");
        assert_eq!(tool["inputSchema"]["type"], "object");
        let described = tool["description"].as_str().unwrap();
        assert!(described.len() > 40 && described.len() < 500, "{text}");
        let has_schema = tool.get("outputSchema").is_some();
        assert_eq!(has_schema, tool["name"] != "capture_chart", "{text}");
        if has_schema {
            assert_eq!(tool["outputSchema"]["type"], "object");
        }
    }
}

#[test]
fn all_tools_together_take_few_tokens_to_read() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let tools = Value::Array(tools(&mut client)).to_string();
    // Such JSON has 4.2 bytes to a token of cl100k, so that these are just under 6,000.
    assert!(tools.len() <= 25_000, "{} bytes", tools.len());
    for spelling in ["oneOf", "anyOf", "\"const\""] {
        assert!(!tools.contains(spelling), "{spelling}: {tools}");
    }
}

/// Annotations: read-only, destructive, idempotent, open-world.
#[track_caller]
fn check_hints(tools: &[Value], name: &str, expected: [bool; 4]) {
    let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
    let hints = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"]
        .map(|hint| tool["annotations"][hint].as_bool().unwrap());
    assert_eq!(hints, expected, "{name}");
}

#[test]
fn annotations_are_true() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let tools = tools(&mut client);
    check_hints(&tools, "headless_start", [false, true, false, true]);
    check_hints(&tools, "headless_stop", [false, true, true, true]);
    check_hints(&tools, "headless_seek", [false, false, false, true]);
    check_hints(&tools, "headless_set_playback", [false, false, true, true]);
    check_hints(&tools, "headless_status", [true, false, true, false]);
    check_hints(&tools, "capture_open", [true, false, true, false]);
    check_hints(&tools, "capture_dump_audio", [false, false, true, false]);

    // What says that it only reads leaves no file behind.
    let before = files(folder.path());
    for tool in ["capture_open", "capture_lag_report", "capture_messages"] {
        client.call(tool, &json!({"capture": "stall"}));
    }
    client.result("capture_chart", &json!({"capture": "stall"}));
    assert_eq!(files(folder.path()), before);
    // What says that it is idempotent writes the same file twice.
    let dump = json!({"capture": "stall", "last_s": 1});
    assert_eq!(client.call("capture_dump_audio", &dump), client.call("capture_dump_audio", &dump));
    assert_eq!(files(folder.path()), before + 1);
}

#[test]
fn a_page_is_written_and_its_path_said() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let answer = client.call("capture_report", &json!({"capture": "stall"}));
    let page = std::fs::read_to_string(answer["path"].as_str().unwrap()).unwrap();
    assert_eq!(answer["bytes"], page.len());
    assert_eq!(answer["verdict"]["lag"], true);
    assert!(page.starts_with("<!doctype html>"), "{}", &page[..100]);
    let other = json!({"capture": "healthy", "audio": true});
    assert_eq!(client.call("capture_report", &other)["verdict"]["lag"], false);
    let changed = json!({"capture": "stall", "what_if": {"set": {"tick-factor": 0.5}}});
    let answer = client.call("capture_report", &changed);
    let with = std::fs::read_to_string(answer["path"].as_str().unwrap()).unwrap();
    assert!(with != page, "{answer}");
    // The page of an app in a chat is the same.
    let read = client.request("resources/read", &json!({"uri": answer["page"]}));
    assert_eq!(read["result"]["contents"][0]["text"], with);
    for form in ["perfetto", "mcap", "har", "csv", "jsonl"] {
        let answer = client.call("capture_report", &json!({"capture": "stall", "form": form}));
        assert!(answer["summary"].as_str().unwrap().contains("left out: "), "{answer}");
        let len = std::fs::metadata(answer["path"].as_str().unwrap()).unwrap().len();
        assert!(answer["bytes"] == len && len > 10_000, "{answer}");
    }
}

fn files(folder: &std::path::Path) -> usize {
    std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| match entry.path().is_dir() {
            true => files(&entry.path()),
            false => 1,
        })
        .sum()
}

#[test]
fn families_stand_in_the_answers() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let opened = client.call("capture_open", &json!({"capture": "stall"}));
    let family = &opened["family"];
    assert_eq!((&family["name"], &family["kind"]), (&json!("acestep"), &json!("refining_loop")));
    assert!(family.get("frontier").is_none(), "{family}");

    let args = json!({"family": "mrt2", "text_only": true, "params_hz": 10});
    let started = client.call("headless_start", &args);
    let handle = json!({"handle": started["handle"]});
    let streaming = json!({"handle": started["handle"], "until": "streaming", "for_s": 110});
    client.call("headless_observe", &streaming);
    let report = until(&mut client, "headless_lag_report", &handle, |report| {
        report["family"]["frontier"]["bursts"].as_u64().is_some_and(|bursts| bursts > 0)
    });
    assert_eq!(report["family"]["kind"], "append_only_tape", "{report}");
    let stopped = client.call("headless_stop", &handle);
    let family = &stopped["family"];
    assert_eq!(family["name"], "mrt2", "{family}");
    assert!(family["frontier"]["bursts"].as_u64().unwrap() > 0, "{family}");
    assert_eq!(family["ended"], false);
}

/// The command line's JSON.
fn cli(folder: &std::path::Path, words: &[&str]) -> Value {
    let output = command(words).current_dir(folder).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().next().unwrap_or_default())
        .unwrap_or_else(|_| panic!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn figures_are_those_of_the_command_line() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let analysis = cli(folder.path(), &["analyze", "stall.lagtape", "--json"]);
    let opened = client.call("capture_open", &json!({"capture": "stall"}));
    assert_eq!(opened["lag"], analysis["lag"]);
    assert_eq!(opened["verdict"]["lag_s"], analysis["verdict"]["lag_s"]);
    assert_eq!(opened["verdict"]["episodes"], analysis["verdict"]["episodes"]);
    assert_eq!(opened["integrity"]["state"], "complete");
    let keys = ["window_s", "buffer_duration_s", "slices", "ticks"];
    let lag: Vec<_> = opened["lag"].as_object().unwrap().keys().collect();
    assert_eq!(lag, keys, "the reference's keys");

    let words = ["analyze", "stall.lagtape", "--json", "--window", "3s", "--timeline"];
    let windowed = cli(folder.path(), &words);
    let args = json!({"capture": "stall", "window_s": 3, "include_timeline": true});
    assert_eq!(client.call("capture_lag_report", &args)["lag"], windowed["lag"]);

    let words = ["what-if", "healthy.lagtape", "--rate", "1.01", "--open-loop", "--json"];
    let what_if = cli(folder.path(), &words);
    let args = json!({"capture": "healthy", "set": {"rate": 1.01}, "open_loop": true});
    let asked = client.call("capture_what_if", &args);
    assert_eq!(asked["counterfactual"], what_if["counterfactual"]);
    assert_eq!(asked["factual"], what_if["factual"]);
    assert_eq!(asked["trust"]["tier"], what_if["tier"]);
    assert!(asked["counterfactual"]["verdict"]["lag"].is_boolean());

    let words = ["sweep", "healthy.lagtape", "--rate", "0.99,1.0,1.01", "--open-loop", "--json"];
    let sweep = cli(folder.path(), &words);
    let args = json!({"capture": "healthy", "vary": ["rate=0.99,1.0,1.01"], "open_loop": true});
    let swept = client.call("capture_sweep", &args);
    assert_eq!(swept["rows_total"], 3);
    for (row, expected) in
        swept["rows"].as_array().unwrap().iter().zip(sweep["rows"].as_array().unwrap())
    {
        assert_eq!(row["values"], expected["values"]);
        assert_eq!(row["lead_p5_s"], expected["lag"]["slices"]["lead_s"]["p5"]);
        assert_eq!((&row["lags"], &row["bad_s"]), (&json!(false), &expected["verdict"]["bad_s"]));
    }
}

#[test]
fn the_list_says_what_each_capture_shows() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let listed = client.call("capture_list", &json!({"contains": "stall"}));
    let line = &listed["captures"][0];
    assert!(line["shows"].as_str().unwrap().starts_with("LAG 3.86 s of"), "{line}");
    assert!(line["stream_s"].as_f64().unwrap() > 6.0, "{line}");
}

#[test]
fn two_captures_are_compared_figure_by_figure() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let compared = client.call("capture_compare", &json!({"capture": "stall", "with": "healthy"}));
    let figure = |name: &str| {
        let figures = compared["figures"].as_array().unwrap();
        figures.iter().find(|figure| figure["name"] == name).unwrap().clone()
    };
    assert_eq!((&figure("staleness_max")["worse"], &compared["worse"]), (&json!("a"), &json!("a")));
    assert_eq!(figure("stale_ticks")["b"], 0.0);
    let diff = cli(folder.path(), &["diff", "stall.lagtape", "healthy.lagtape", "--json"]);
    for key in ["same", "worse", "because", "spans", "setting"] {
        assert_eq!(compared[key], diff[key], "{key}");
    }
    for expected in diff["figures"].as_array().unwrap().iter().filter(|f| !f["a"].is_null()) {
        assert_eq!(figure(expected["name"].as_str().unwrap()), *expected);
    }
    let alone = client.failure("capture_compare", &json!({"capture": "stall"}));
    assert!(alone.contains("with is missing"), "{alone}");
}

#[test]
fn a_folder_is_summed_up_by_groups() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    std::fs::copy("captures/healthy.lagtape", folder.path().join("deep/ü b.lagtape")).unwrap();
    std::fs::write(folder.path().join("text.lagtape"), "this is no capture\n").unwrap();
    let mut client = Client::start(folder.path(), &[]);
    let fleet = client.call("capture_list", &json!({"by": "verdict,metadata.place"}));
    assert_eq!(fleet["summary"], "4 captures: 1 with LAG, 2 healthy, 1 unreadable");
    let sums = &fleet["sums"];
    assert_eq!((&fleet["total"], &sums["all"]["lag"]), (&json!(4), &json!(1)));
    assert!(fleet.get("captures").is_none());
    let worst = sums["worst"].as_array().unwrap();
    assert_eq!(
        (&worst[0]["id"], &worst[0]["cause"]),
        (&json!("stall"), &json!("generation-stall"))
    );
    assert_eq!(worst.len(), 2);
    let groups = sums["groups"].as_array().unwrap();
    let named: Vec<_> =
        groups.iter().map(|of| (of["verdict"].clone(), of["captures"].clone())).collect();
    let expected = [("LAG", 1), ("healthy", 2), ("unreadable", 1)];
    assert_eq!(named, expected.map(|(verdict, count)| (json!(verdict), json!(count))));
    assert!(sums["damage"][0].as_str().unwrap().contains("not a lagtape capture"), "{fleet}");
    // The same as the command line's.
    let words = ["analyze", folder.path().to_str().unwrap(), "--by", "verdict"];
    let printed = String::from_utf8(lagtape(&words).stdout).unwrap();
    assert!(printed.starts_with(fleet["summary"].as_str().unwrap()), "{printed}");

    let deep = client.call("capture_list", &json!({"contains": "deep/"}));
    assert_eq!(deep["captures"][0]["id"], "deep/ü b");
    let deep = client.call("capture_list", &json!({"contains": "deep/", "by": ""}));
    assert_eq!((&deep["total"], &deep["sums"]["groups"]), (&json!(1), &json!([])));
    let first = client.call("capture_list", &json!({"by": "down_bytes", "limit": 1}));
    assert_eq!(first["truncated"]["next_cursor"], "1");
    let none = client.call("capture_list", &json!({"contains": "nowhere", "by": "client"}));
    assert_eq!((&none["total"], &none["sums"]["worst"]), (&json!(0), &json!([])));
    let odd = client.failure("capture_list", &json!({"by": "clint"}));
    assert!(odd.contains("did you mean client?"), "{odd}");
}

#[test]
fn lists_are_paged_without_gaps() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let mut args = json!({"capture": "stall", "types": ["slice"], "limit": 7});
    let mut seen = Vec::new();
    loop {
        let page = client.call("capture_messages", &args);
        seen.extend(page["lines"].as_array().unwrap().iter().map(Value::to_string));
        assert_eq!(page["total"], 39);
        match page["truncated"]["next_cursor"].as_str() {
            Some(next) => args["cursor"] = next.into(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 39);
    let mut sorted = seen.clone();
    sorted.dedup();
    assert_eq!(sorted, seen);

    let first = client.call("capture_list", &json!({"limit": 1}));
    assert_eq!((&first["total"], &first["truncated"]["total"]), (&json!(2), &json!(2)));
    let cursor = first["truncated"]["next_cursor"].clone();
    let second = client.call("capture_list", &json!({"limit": 1, "cursor": cursor}));
    assert_ne!(first["captures"][0]["id"], second["captures"][0]["id"]);
    assert!(second["truncated"].get("next_cursor").is_none());

    let rows = json!({"capture": "stall", "include_timeline": true, "timeline_step_s": 0.01, "limit": 200});
    let report = client.call("capture_lag_report", &rows);
    assert!(report["truncated"]["total"].as_u64().unwrap() > 600);
    assert!(report["truncated"]["shown"].as_u64().unwrap() >= 60);
}

#[test]
fn no_answer_is_longer_than_an_agent_can_read() {
    let folder = folder();
    let made = folder.path().join("long.lagtape");
    let out = made.to_str().unwrap();
    let words = ["simulate", "--incident", "refit-storm", "--for", "120s", "-o", out];
    let made = lagtape(&words);
    assert!(made.status.code().is_some_and(|code| code == 0 || code == 4));
    let mut client = Client::start(folder.path(), &[]);
    let calls = [
        ("capture_list", json!({"limit": 100})),
        ("capture_list", json!({"by": "metadata.incident,down_bytes,host", "limit": 200})),
        ("capture_open", json!({"capture": "long", "format": "detailed"})),
        (
            "capture_lag_report",
            json!({"capture": "long", "include_timeline": true, "timeline_step_s": 0.05, "limit": 200}),
        ),
        ("capture_messages", json!({"capture": "long", "limit": 200})),
        ("capture_messages", json!({"capture": "long", "limit": 200, "format": "detailed"})),
        (
            "capture_sweep",
            json!({"capture": "long", "vary": ["rate=0.9..1.1:0.001"], "open_loop": true, "limit": 200}),
        ),
        (
            "capture_what_if",
            json!({"capture": "long", "set": {"rate": 1.01}, "open_loop": true, "format": "detailed"}),
        ),
        ("capture_compare", json!({"capture": "long", "with": "stall"})),
        ("capture_timeline", json!({"capture": "long", "limit": 200})),
        ("capture_query", json!({"capture": "long", "table": "messages", "limit": 200})),
    ];
    for (tool, args) in calls {
        let len = client.call(tool, &args).to_string().len();
        assert!(len <= MAX_ANSWER_LEN, "{tool} {args}: {len}");
        measured(1, "calls that ask for as much as they can");
    }
}

#[test]
fn big_things_are_files_with_a_path_and_a_link() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let result = client.result("capture_dump_audio", &json!({"capture": "stall"}));
    let path = result["structuredContent"]["path"].as_str().unwrap();
    let file = hound::WavReader::open(path).unwrap();
    let seconds = f64::from(file.duration()) / f64::from(file.spec().sample_rate);
    assert_eq!(result["structuredContent"]["seconds"], seconds);
    let link = &result["content"][1];
    assert_eq!((&link["type"], &link["mimeType"]), (&json!("resource_link"), &json!("audio/wav")));
    assert!(link["uri"].as_str().unwrap().starts_with("file:///"));

    let args = json!({"capture": "healthy", "set": {"rate": 1.02}});
    let would = client.call("capture_dump_audio", &args);
    assert!(would["seconds"].as_f64().unwrap() > 1.0, "{would}");
    assert_ne!(would["path"], path);
}

#[test]
fn a_chart_is_a_small_picture_without_structured_content() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    for capture in ["stall", "healthy"] {
        let result = client.result("capture_chart", &json!({"capture": capture}));
        assert!(result.get("structuredContent").is_none());
        assert_eq!(result["content"][0]["type"], "text");
        let image = &result["content"][1];
        assert_eq!((&image["type"], &image["mimeType"]), (&json!("image"), &json!("image/png")));
        // Base64 of 40 KB.
        let len = image["data"].as_str().unwrap().len();
        assert!((4_000..54_620).contains(&len), "{len}");
    }
}

#[test]
fn resources_templates_completion_and_the_prompt() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    std::fs::copy(folder.path().join("stall.lagtape"), folder.path().join("deep/ä b.lagtape"))
        .unwrap();
    let mut client = Client::start(folder.path(), &[]);
    let listed = client.request("resources/list", &json!({}))["result"]["resources"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 12);
    for resource in listed.as_array().unwrap() {
        let read = client.request("resources/read", &json!({"uri": resource["uri"]}));
        let contents = &read["result"]["contents"][0];
        assert_eq!(
            (&contents["uri"], &contents["mimeType"]),
            (&resource["uri"], &resource["mimeType"])
        );
    }
    let mut read = |uri: &str| client.request("resources/read", &json!({"uri": uri}));
    let report = read("lagtape://captures/deep%2F%C3%A4%20b/report");
    let report: Value =
        serde_json::from_str(report["result"]["contents"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(report["verdict"]["lag"], true);
    let timeline = read("lagtape://captures/stall/timeline");
    let csv = timeline["result"]["contents"][0]["text"].as_str().unwrap().to_owned();
    assert!(
        csv.starts_with("epoch,to_s,slices,min_lead_s,max_staleness_s,playhead_s\n0,1"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 9);
    for unknown in [
        "lagtape://captures/none/report",
        "lagtape://captures/stall/x",
        "file:///etc/passwd",
        "lagtape://captures/..%2Fx/report",
        "lagtape://captures/%zz/report",
    ] {
        let refused = read(unknown);
        assert_eq!(refused["error"]["code"], -32002, "{unknown}: {refused}");
    }
    let templates = client.request("resources/templates/list", &json!({}));
    assert_eq!(templates["result"]["resourceTemplates"].as_array().unwrap().len(), 4);
    let template = json!({"type": "ref/resource", "uri": "lagtape://captures/{id}/report"});
    let prompt = json!({"type": "ref/prompt", "name": "diagnose_lag"});
    for (of, name, typed, expected) in [
        (template, "id", "deep", json!(["deep%2F%C3%A4%20b"])),
        (prompt.clone(), "capture", "st", json!(["stall"])),
        (prompt, "symptom", "st", json!([])),
    ] {
        let params = json!({"ref": of, "argument": {"name": name, "value": typed}});
        let completed = client.request("completion/complete", &params);
        assert_eq!(completed["result"]["completion"]["values"], expected);
    }
    let args = json!({"name": "diagnose_lag", "arguments": {"capture": "stall", "symptom": "a gap at 4 s"}});
    let prompt = client.request("prompts/get", &args);
    let text = prompt["result"]["messages"][0]["content"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("a gap at 4 s") && text.contains("capture \"stall\""), "{text}");
    // Every tool that the walk names exists.
    let known = names(&[]);
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
        let is_tool = word.starts_with("capture_") || word.starts_with("headless_");
        assert!(!is_tool || known.iter().any(|name| name == word), "{word}");
    }
}

#[test]
fn the_reading_of_a_capture_can_be_watched_and_ended() {
    use std::cell::Cell;
    use std::ops::ControlFlow;
    use std::path::Path;
    use std::rc::Rc;

    use lagtape::app::{AnalyzeOptions, analyze};
    use lagtape::edge::files::watched;

    let stall = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/stall.lagtape");
    let read = || analyze(&stall, &AnalyzeOptions::default());
    let seen = Rc::new(Cell::new((0, 0)));
    let told = Rc::clone(&seen);
    let all = move |done, total| {
        told.set((done, total));
        ControlFlow::Continue(())
    };
    assert!(watched(all, read).is_ok());
    let (done, total) = seen.get();
    assert!(done > 0 && done <= total, "{done} of {total}");
    let half = move |done, _| match done > total / 2 {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let error = format!("{:#}", watched(half, read).unwrap_err());
    assert!(error.contains("the reading was ended"), "{error}");
    assert!(read().is_ok(), "nobody watches any more");
}

#[test]
fn several_scenarios_moments_and_both_sides_are_arguments() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let opened = client.call("capture_open", &json!({"capture": "healthy"}));
    assert_eq!(opened["askable"]["answers"][0]["tier"], "model", "{opened}");
    let scenarios = json!([
        {"name": "more-lead", "set": {"lead-floor": 0.6}},
        {"name": "late", "ops": ["90s:pause"]},
    ]);
    let several = json!({"capture": "healthy", "scenarios": scenarios, "members": 4});
    let answer = client.call("capture_what_if", &several);
    let rows = answer["alternatives"].as_array().unwrap();
    assert_eq!((&rows[0]["name"], &rows[0]["tier"]), (&json!("more-lead"), &json!("model")));
    assert!(rows[1]["refusal"].as_str().unwrap().contains("the session ends at"), "{answer}");

    let set = json!({"lead-floor": 0.6});
    let later = json!({"capture": "healthy", "set": set, "begins_s": 1, "members": 4});
    let op = json!({"capture": "healthy", "ops": ["1s:lead-floor=0.6"], "members": 4});
    let [later, op] = [later, op].map(|args| client.call("capture_what_if", &args));
    assert_eq!(later["counterfactual"], op["counterfactual"]);
    assert!(later["command"].as_str().unwrap().contains(" --at 1"), "{later}");

    let content = json!({"capture": "healthy", "ops": ["3s:depth=2"]});
    let refused = client.failure("capture_what_if", &content);
    assert!(refused.contains("ask what that costs in time with tick-factor in set"), "{refused}");

    let both = json!({"capture": "healthy", "ops": ["1s:seek=2s"], "ab": true});
    let answer = client.call("capture_dump_audio", &both);
    assert!(std::fs::metadata(answer["path"].as_str().unwrap()).unwrap().len() > 10_000);
    assert!(answer["summary"].as_str().unwrap().contains("the loop at the end"), "{answer}");
}
