//! `what-if` at the command line: tiers, sentences, and refusals before any work.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{self, lagtape, long, short, simulated};

#[track_caller]
fn check(words: &[&str], code: i32) -> (String, String) {
    program::check(&[&["what-if"], words].concat(), code)
}

#[track_caller]
fn json(words: &[&str]) -> Value {
    let (out, _) = check(&[words, &["--json"]].concat(), 0);
    serde_json::from_str(&out).unwrap()
}

const STALL: &str = "captures/stall.lagtape";

/// A client of before June 2026 in an incident.
fn incident(folder: &TempDir, name: &str) -> String {
    simulated(folder, "incident", &["--incident", name, "--legacy", "--for", "12s"])
}

#[test]
fn nothing_changed_is_exact_and_the_recorded_report() {
    let answer = json(&[STALL, "--rate", "1"]);
    assert_eq!(answer["tier"], "exact");
    assert_eq!(answer["factual"], answer["counterfactual"]);
    let analysis = lagtape(&["analyze", STALL, "--json"]);
    let analysis: Value = serde_json::from_slice(&analysis.stdout).unwrap();
    assert_eq!(answer["factual"]["lag"], analysis["lag"]);
    assert_eq!(answer["factual"]["heard"], analysis["heard"]);
    assert_eq!(answer["factual"]["verdict"], analysis["verdict"]);
}

#[test]
fn a_change_is_asked_for_unless_a_file_is() {
    let folder = TempDir::new().unwrap();
    for words in [&[STALL][..], &[STALL, "--json"], &[STALL, "--open-loop"]] {
        let (out, said) = check(words, 2);
        assert!(out.is_empty() && said.contains("nothing is different"), "{words:?}: {out}{said}");
    }
    let out = folder.path().join("x.lagtape");
    check(&[STALL, "--capture", out.to_str().unwrap()], 0);
    let (as_written, said) = program::check(&["analyze", out.to_str().unwrap()], 4);
    assert!(as_written.contains("3.86 s of 7.00 s heard raw"), "{as_written}{said}");
}

#[test]
fn a_moved_listener_is_modelled_and_open_loop_on_demand() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let modelled = json(&[&capture, "--op", "6s:seek=12s"]);
    assert_eq!(modelled["tier"], "model");
    let shares = modelled["outcomes"].as_array().unwrap().iter();
    let sum: f64 = shares.map(|outcome| outcome["share"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{modelled}");
    assert!(modelled["model"]["factual_error"]["exact_share"].as_f64().unwrap() > 0.9);
    for field in ["lag", "heard", "verdict"] {
        assert_eq!(modelled["outcomes"][0][field], modelled["counterfactual"][field]);
    }

    let open = json(&[&capture, "--op", "6s:seek=12s", "--open-loop"]);
    assert_eq!(open["tier"], "horizon");
    let until_s = open["valid_until_s"].as_f64().unwrap();
    assert!((6.0..6.2).contains(&until_s), "{until_s}");
    assert!(open["beyond_share"].as_f64().unwrap() > 0.3);
}

/// Its server is scripted: it holds no reserve against stalls, as the places after the stall show.
#[test]
fn a_server_unlike_upstream_s_is_modelled_as_it_is() {
    let answer = json(&[STALL, "--op", "6500ms:seek=4s"]);
    assert_eq!(answer["tier"], "model");
    assert_eq!(answer["model"]["parameters"]["lead"]["reserve_cap_s"], 0.0);
    let found = answer["model"]["found"][0].as_str().unwrap();
    assert_eq!(found, "the server holds no reserve against stalls");
    let (text, _) = check(&[STALL, "--op", "6500ms:seek=4s"], 0);
    assert!(text.replace('\n', " ").contains(found), "{text}");
    // With the reserve that upstream's holds, leads are longer after the stall.
    let p95 =
        |answer: &Value| answer["factual"]["lag"]["slices"]["lead_s"]["p95"].as_f64().unwrap();
    assert!(p95(&answer) < 0.3);
}

#[test]
fn what_waited_in_the_recording_is_kept_and_said() {
    let folder = TempDir::new().unwrap();
    // It reports once a second, and the model needs sixteen reports.
    let words = ["--incident", "client-backlog", "--legacy", "--for", "24s"];
    let capture = simulated(&folder, "incident", &words);
    let moved = json(&[&capture, "--op", "6s:seek=12s"]);
    assert_eq!(moved["tier"], "model");
    let found = moved["model"]["found"][0].as_str().unwrap();
    assert!(found.contains("a client that took them only now and then"), "{found}");
    let (_, err) = check(&[&capture, "--lead-floor", "0.6"], 1);
    assert!(err.contains("took them only now and then; the model keeps that"), "{err}");
    assert!(err.contains("ask with --op, --rate or --skew-ppm alone"), "{err}");
}

#[test]
fn a_server_that_fell_behind_can_be_asked_to_take_the_newest_report() {
    let folder = TempDir::new().unwrap();
    let capture = incident(&folder, "stale-playhead");
    let answer = json(&[&capture, "--newest-wins", "on"]);
    assert_eq!(answer["tier"], "model");
    let per_s = answer["model"]["parameters"]["intake"]["backlog_per_s"].as_f64().unwrap();
    assert!((per_s - 24.0).abs() < 0.05, "{per_s}");
    let p5 = |side: &str| answer[side]["lag"]["slices"]["lead_s"]["p5"].as_f64().unwrap();
    assert!(p5("factual") < -0.5 && p5("counterfactual") > 0.1, "{answer}");
}

#[test]
fn more_lead_and_a_thin_link_are_modelled() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let p50 = |answer: &Value, side: &str| {
        answer[side]["lag"]["slices"]["lead_s"]["p50"].as_f64().unwrap()
    };
    let lead = json(&[&capture, "--lead-floor", "600ms"]);
    let raised_s = p50(&lead, "counterfactual") - p50(&lead, "factual");
    assert!((raised_s - 0.35).abs() < 0.02, "{raised_s}");
    let thin = json(&[&capture, "--down", "100KB/s"]);
    let count = |side: &str| thin[side]["lag"]["slices"]["count"].as_u64().unwrap();
    assert!(count("counterfactual") < count("factual"), "a thin link sheds slices");
}

#[test]
fn the_first_line_answers_and_outcomes_stand_side_by_side() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let (sought, _) = check(&[&capture, "--op", "6s:seek=12s"], 0);
    let (unmoved, _) = check(&[STALL, "--start-offset", "0"], 0);
    let (fallen_back, _) = check(&[&short(&folder), "--rate", "1.02"], 0);
    for text in [&sought, &unmoved, &fallen_back] {
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
    assert!(sought.starts_with("healthy → LAG "), "{sought}");
    assert!(sought.contains(" of 64 runs"), "{sought}");
    assert!(sought.contains("extra lead"), "{sought}");
    let (first, second) = unmoved.split_once('\n').unwrap();
    let (was, would) = first.split_once(" → ").unwrap();
    assert_eq!(was.strip_prefix("LAG "), Some(would), "{unmoved}");
    assert!(second.starts_with("exact: "), "{unmoved}");
    assert!(fallen_back.replace('\n', " ").contains("recorded slices stay"), "{fallen_back}");
}

#[test]
fn what_would_have_been_heard_and_sent_is_written() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (wav, derived) = (file("heard.wav"), file("derived.lagtape"));
    let outputs = ["--audio", wav.as_str(), "--capture", derived.as_str()];
    let words = [&[capture.as_str(), "--lead-floor", "0.5"], &outputs[..]].concat();
    let answer = json(&words);
    assert_eq!(
        (&answer["audio"], &answer["derived"]),
        (&Value::from(&*wav), &Value::from(&*derived))
    );
    let analysis = lagtape(&["analyze", &derived, "--json"]);
    let analysis: Value = serde_json::from_slice(&analysis.stdout).unwrap();
    for field in ["lag", "heard", "verdict"] {
        assert_eq!(analysis[field], answer["counterfactual"][field]);
    }
    let (_, err) = check(&words, 1);
    assert!(err.contains("exists already; use --force"), "{err}");
    let (_, err) = check(&[&words[..], &["--force"]].concat(), 0);
    assert!(err.contains("derived.lagtape: the capture with the change"), "{err}");
}

#[test]
fn the_same_question_gets_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let ask = |seed: &str| check(&[&capture, "--op", "6s:seek=12s", "--json", "--seed", seed], 0).0;
    assert_eq!(ask("1"), ask("1"));
}

#[test]
fn a_scenario_comes_from_a_file_too() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let file = folder.path().join("change.toml");
    fs::write(
        &file,
        "[playback]\nops = [\"6s:pause\", \"8s:resume\"]\n[server]\nlead_floor_s = 0.4\n",
    )
    .unwrap();
    let answer = json(&[&capture, "--scenario", file.to_str().unwrap()]);
    assert_eq!(answer["tier"], "model");
    assert_eq!(answer["scenario"]["server"]["lead_floor_s"], 0.4);
}

#[test]
fn refusals_name_the_key_and_come_first() {
    let refused = [
        (&["no-such-file", "--tick-factor", "0"][..], 2, "tick-factor: 0 is out of range"),
        (&["no-such-file", "--op", "3s:dwn=1"], 2, "did you mean down?"),
        (&["no-such-file", "--down", "fast"], 2, "is not a rate"),
        (&["no-such-file", "--lead-floor", "2", "--lead-ceiling", "1"], 2, "is above"),
        (&[STALL, "--down", "1MB/s", "--open-loop"], 1, "leave --open-loop out"),
        (&[STALL, "--op", "8s:pause"], 1, "the session ends at 7.00 s"),
        (&[STALL, "--op", "7.5s:down=1MB/s"], 1, "nothing can happen at 7.5 s"),
    ];
    for (words, code, sentence) in refused {
        let (_, said) = check(words, code);
        assert!(said.contains(sentence), "{words:?} said: {said}");
    }
}

/// An incident file begins where its ring began, and knows the server as well as the whole recording.
#[test]
fn a_part_is_answered_like_the_whole() {
    let folder = TempDir::new().unwrap();
    let whole = long(&folder, "healthy");
    let part = folder.path().join("part.lagtape").to_str().unwrap().to_owned();
    program::check(&["cut", &whole, "--from", "4s", "-o", &part], 0);
    for change in [["--lead-floor", "0.6"], ["--latency", "60ms"], ["--rate", "1.01"]] {
        let [whole, part] = [&whole, &part].map(|file| {
            let answer = json(&[file, change[0], change[1], "--window", "6", "--members", "8"]);
            assert_eq!(answer["tier"], "model", "{answer}");
            let lead_s = &answer["counterfactual"]["lag"]["slices"]["lead_s"];
            [lead_s["p5"].as_f64().unwrap(), lead_s["p50"].as_f64().unwrap()]
        });
        for (whole, part) in whole.into_iter().zip(part) {
            assert!((whole - part).abs() < 0.02, "{change:?}: {whole} {part}");
        }
    }
}

/// What kept the server from making slices until the end keeps it from it in every answer.
#[test]
fn a_server_that_stalls_at_the_end_goes_on_stalling() {
    let folder = TempDir::new().unwrap();
    let words = ["--incident", "stall:at=4,for=20", "--for", "9s"];
    let capture = simulated(&folder, "stalled", &words);
    for change in [["--lead-floor", "0.25"], ["--latency", "20ms"]] {
        let answer = json(&[&capture, change[0], change[1], "--members", "8"]);
        assert_eq!(answer["tier"], "model", "{answer}");
        let count =
            |side: &str, part: &str, key: &str| answer[side]["lag"][part][key].as_u64().unwrap();
        for (part, key, most) in [("slices", "count", 2), ("ticks", "stale_ticks", 8)] {
            let (recorded, modelled) =
                (count("factual", part, key), count("counterfactual", part, key));
            assert!(recorded > 60, "{key}: {recorded}");
            assert!(recorded.abs_diff(modelled) <= most, "{change:?} {key}: {recorded} {modelled}");
        }
    }
}
