//! `sweep` at the command line: the same bytes on any number of threads, searches, and refusals
//! before any work.

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{check, long, short};

#[track_caller]
fn json(words: &[&str], code: i32) -> Value {
    serde_json::from_str(&check(&[words, &["--json"]].concat(), code).0).unwrap()
}

const STALL: &str = "captures/stall.lagtape";
const HEALTHY: &str = "captures/healthy.lagtape";

#[test]
fn the_bytes_do_not_depend_on_the_threads() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let forms: [&[&str]; 4] =
        [&["--json"], &["--csv"], &[], &["--find", "lead_p5 > 0.4", "--vary", "lead-floor"]];
    for form in forms {
        let axes: &[&str] = match form.first() {
            Some(&"--find") => &[],
            _ => &["--rate", "0.99..1.01:0.004", "--lead-floor", "0.25,0.5"],
        };
        let run = |threads| {
            let words = [&["sweep", &capture, HEALTHY, "--threads", threads], axes, form].concat();
            check(&words, 0).0
        };
        let one = run("1");
        assert_eq!(run("2"), one);
        assert_eq!(run("8"), one);
    }
}

#[test]
fn rows_are_the_answers_of_what_if() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let fixed = ["--op", "5s:seek=12s", "--members", "4", "--stale-threshold", "0.5"];
    let axes = ["--lead-floor", "0.3,0.6", "--rate", "1,1.01"];
    let swept = json(&[&["sweep", capture.as_str()], &fixed[..], &axes].concat(), 0);
    assert_eq!(swept["axes"][0]["key"], "rate");
    assert_eq!(swept["schema"], 1);
    let rows = swept["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let value = |axis: usize| row["values"][axis].to_string();
        let (rate, floor) = (value(0), value(1));
        let set = ["--rate", rate.as_str(), "--lead-floor", floor.as_str()];
        let alone = json(&[&["what-if", capture.as_str()], &fixed[..], &set].concat(), 0);
        for field in ["lag", "heard", "verdict"] {
            assert_eq!(row[field], alone["counterfactual"][field]);
        }
        let all = alone["outcomes"].as_array().unwrap();
        let lags = |side: &Value| side["verdict"]["lag"].as_bool().unwrap();
        let lags = lags(&alone["counterfactual"]) || all.iter().any(lags);
        assert_eq!(row["lags"], lags);
        assert_eq!(row["tier"], alone["tier"]);
        let outcomes = alone["outcomes"].as_array().unwrap().len();
        assert_eq!(row["outcomes"].as_array().map_or(1, Vec::len), outcomes);
        assert_eq!(swept["captures"][0]["factual"], alone["factual"]["lag"]);
        assert_eq!(swept["captures"][0]["verdict"], alone["factual"]["verdict"]);
    }
}

#[test]
fn tiers_follow_what_each_scenario_changes() {
    let tiers = |words: &[&str]| -> Vec<String> {
        let swept = json(&[&["sweep"], words].concat(), 0);
        let rows = swept["rows"].as_array().unwrap().iter();
        rows.map(|row| row["tier"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(tiers(&[HEALTHY, "--rate", "1,1.01", "--open-loop"]), ["exact", "horizon"]);
    let folder = TempDir::new().unwrap();
    // Too short for the model, so the listener moves alone.
    let short = short(&folder);
    assert_eq!(tiers(&[&short, "--start-offset", "0,1"]), ["exact", "horizon"]);
    let capture = long(&folder, "healthy");
    assert_eq!(tiers(&[&capture, "--rate", "1,1.01"]), ["exact", "model"]);
}

#[test]
fn switches_are_varied_like_numbers() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    // Without acknowledgements a server does not know how much is on its way.
    let thin = ["--down", "150KB/s", "--flow-window", "32KB"];
    let swept = json(&[&["sweep", &capture, "--acks", "on,off"], &thin[..]].concat(), 0);
    assert_eq!(swept["axes"][0]["key"], "acks");
    let leads_s: Vec<f64> = swept["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["lag"]["slices"]["lead_s"]["p50"].as_f64().unwrap())
        .collect();
    assert!(leads_s[0] > leads_s[1] + 0.5, "{leads_s:?}");
    let (table, _) = check(&["sweep", &capture, "--vary", "acks"], 0);
    assert!(table.contains(" off ") && table.contains(" on "), "{table}");
    let (_, err) = check(&["sweep", "no-such-file", "--acks", "on,maybe"], 2);
    assert!(err.contains("\"maybe\" is neither on nor off"), "{err}");
}

/// Fields of a line of comma-separated values.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}

#[test]
fn comma_separated_values_are_read_back() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let awkward = folder.path().join("a, \"b\".lagtape");
    std::fs::rename(&capture, &awkward).unwrap();
    let words = ["sweep", awkward.to_str().unwrap(), "--lead-floor", "0.3..0.6:0.1"];
    let (csv, _) = check(&[&words[..], &["--csv"]].concat(), 0);
    let swept = json(&words, 0);
    let mut lines = csv.lines();
    let names = fields(lines.next().unwrap());
    assert_eq!(&names[..5], ["capture", "lead-floor", "tier", "lags", "stale_ticks"]);
    assert_eq!(names[names.len() - 5..], ["refusal", "bad_s", "onset_s", "lag_s", "episodes"]);
    let rows = swept["rows"].as_array().unwrap();
    assert_eq!(lines.clone().count(), rows.len());
    for (line, row) in lines.zip(rows) {
        let fields = fields(line);
        assert_eq!(fields.len(), names.len());
        assert_eq!(fields[0], awkward.to_str().unwrap().replace('"', ""), "{line}");
        let number = |name: &str| -> f64 {
            fields[names.iter().position(|known| known == name).unwrap()].parse().unwrap()
        };
        assert_eq!(number("lead-floor"), row["values"][0].as_f64().unwrap());
        assert_eq!(number("lead_p50_s"), row["lag"]["slices"]["lead_s"]["p50"].as_f64().unwrap());
        assert_eq!(number("bad_s"), row["verdict"]["bad_s"].as_f64().unwrap());
        assert_eq!(number("slices"), row["lag"]["slices"]["count"].as_f64().unwrap());
    }
}

#[test]
fn tables_fit_a_terminal_and_tell_what_they_leave_out() {
    let wide = ["--rate", "0.98..1.02:0.001", "--skew-ppm", "0,100", "--start-offset", "0,250ms"];
    let (table, err) = check(&[&["sweep", HEALTHY, STALL, "--open-loop"], &wide[..]].concat(), 0);
    assert!(table.starts_with("164 scenarios with each of 2 captures: "), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(table.contains("and 140 more of 164; --csv or --json has them all"), "{table}");
    for word in ["\nbest ", "\nworst ", "\nfirst that lags ", "recorded", "horizon"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    assert_eq!(err, "", "quiet when nobody watches");
}

#[test]
fn a_capture_that_cannot_be_used_is_named_and_the_others_go_on() {
    let words = ["sweep", "no-such-file", STALL, "--rate", "1,1.01", "--open-loop"];
    let (table, err) = check(&words, 1);
    assert!(table.contains("not used: cannot replay no-such-file"), "{table}");
    assert!(err.contains("cannot open no-such-file"), "{err}");
    let swept = json(&words, 1);
    assert!(swept["captures"][0]["failure"].as_str().unwrap().contains("no-such-file"));
    assert_eq!(swept["captures"][1]["failure"], Value::Null);
    let rows = swept["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["capture"].as_u64()).collect::<Vec<_>>(), [Some(1); 2]);
    // No scenario here has an answer from a capture that the model knows nothing of.
    let folder = TempDir::new().unwrap();
    let (table, _) = check(&["sweep", &short(&folder), "--lead-floor", "0.5,1"], 1);
    assert!(table.contains("not used: no answer from "), "{table}");
    assert!(table.contains("the capture holds"), "{table}");
}

#[test]
fn without_verdicts_rows_are_the_reference_s_reports() {
    let words = ["sweep", STALL, "--rate", "1,1.01", "--open-loop"];
    let (whole, alone) = (json(&words, 0), json(&[&words[..], &["--reference-only"]].concat(), 0));
    let rows = |swept: &Value| swept["rows"].as_array().unwrap().clone();
    assert_eq!(rows(&whole)[0]["lags"], true);
    assert!(rows(&whole)[0]["verdict"]["bad_s"].as_f64().unwrap() > 1.0);
    for (alone, whole) in rows(&alone).iter().zip(rows(&whole)) {
        assert_eq!(alone["lag"], whole["lag"]);
        for field in ["lags", "heard", "verdict"] {
            assert_eq!(alone[field], Value::Null, "{field}");
        }
    }
    let (table, _) = check(&[&words[..], &["--reference-only"]].concat(), 0);
    assert!(table.starts_with("2 scenarios: no verdicts\n"), "{table}");
    let find = ["sweep", "no-such-file", "--vary", "rate", "--find", "lag_s == 0"];
    let (_, err) = check(&[&find[..], &["--reference-only"]].concat(), 2);
    assert!(err.contains("leave --reference-only out"), "{err}");
}

/// A session whose lead is so short that slices land behind the listener's ear when the client is
/// slow to take them.
#[test]
fn the_smallest_change_is_found_and_can_be_tried() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let find = |words: &[&str]| json(&[&["sweep", &capture], words].concat(), 0);
    let slow = ["--apply-delay", "20ms", "--latency", "300ms"];
    let found = find(&[&slow[..], &["--find", "lead_min > 0", "--vary", "lead-floor"]].concat());
    assert_eq!(found["holds_already"], false);
    let value = found["value"].as_f64().unwrap();
    let tried = found["rows"].as_array().unwrap();
    let holds = |row: &Value| row["lag"]["slices"]["lead_s"]["min"].as_f64().unwrap() > 0.0;
    let nearer = |row: &&Value| {
        let away = |value: f64| (value - found["recorded_value"].as_f64().unwrap()).abs();
        away(row["values"][0].as_f64().unwrap()) < away(value)
    };
    assert!(tried.iter().filter(nearer).all(|row| !holds(row)), "{value} is not the smallest");
    let steps = tried.windows(2).map(|pair| {
        pair[1]["values"][0].as_f64().unwrap() - pair[0]["values"][0].as_f64().unwrap()
    });
    assert!(steps.fold(1.0, f64::min) < 0.006, "it was refined");
    // The command that is printed shows it.
    let command = found["command"].as_str().unwrap().to_owned();
    assert!(command.starts_with(&format!("lagtape what-if {capture} ")), "{command}");
    let words: Vec<_> = command.split(' ').skip(1).collect();
    let shown = json(&words, 0);
    let share: f64 = shown["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|o| o["lag"]["slices"]["lead_s"]["min"].as_f64().unwrap() > 0.0)
        .map(|o| o["share"].as_f64().unwrap())
        .sum();
    assert!((share - found["shares"][0].as_f64().unwrap()).abs() < 1e-9);
    let (text, _) = check(
        &[
            &["sweep", capture.as_str()],
            &slow[..],
            &["--find", "lead_min > 0", "--vary", "lead-floor"],
        ]
        .concat(),
        0,
    );
    assert!(text.ends_with(&format!("next: {command}\n")), "{text}");
}

#[test]
fn searches_without_an_answer_say_so() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let find = |condition: &str, vary: &str, sentence: &str| {
        let (text, _) = check(&["sweep", &capture, "--find", condition, "--vary", vary], 0);
        assert!(text.contains(sentence), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    };
    find("stale_ticks == 0", "lead-floor", "nothing has to change");
    find("lag_s == 0", "lead-floor", "nothing has to change: lag_s == 0 holds already");
    find("bad_s > 100", "lead-floor=0.5,1", "with bad_s 0");
    find("lead_p5 > 9", "lead-floor=0.5..1:0.25", "no lead-floor that was tried does it");
    find("lead_p5 > 9", "lead-floor=0.5..1:0.25", "tried: 3 values from 0.5 s to 1 s");
    find("lead_p5 > 9", "lead-floor=0.5..1:0.25", "closest: lead-floor 1 s");
    find("lead_p5 > 0.3", "lead-floor=0.5,1", "lead-floor 0.5 s would have done it");
}

#[test]
fn refusals_name_the_key_and_come_before_any_work() {
    let refused: [(&[&str], &str); 12] = [
        (&["--rate", "1..2:0"], "rate=1..2:0: the step must be above 0"),
        (&["--rate", "2..1:1"], "it ends before it begins"),
        (&["--rate", "1..2"], "the step is missing"),
        (&["--rate", "1,fast"], "rate=1,fast: write a number"),
        (&["--vary", "lead-flor=1,2"], "did you mean lead-floor?"),
        (&["--rate", "1,2", "--vary", "rate=3,4"], "rate is varied twice"),
        (&["--lead-floor", "1,2", "--lead-ceiling", "1.5"], "is above lead-ceiling"),
        (&["--tick-factor", "0,1"], "tick-factor: 0 is out of range"),
        (&["--rate", "0..1:1e-9"], "more than 1000000 values"),
        (&["--find", "stale == 0", "--vary", "rate"], "there is no figure \"stale\""),
        (&["--find", "stale_ticks == 0"], "--find varies one key"),
        (&["--find", "stale_ticks == 0", "--rate", "1,2", "--down", "1MB/s,2MB/s"], "these are 2"),
    ];
    for (words, sentence) in refused {
        let (_, err) = check(&[&["sweep", "no-such-file"], words].concat(), 2);
        assert!(err.contains(sentence), "{words:?} said: {err}");
        assert!(!err.contains("no-such-file"), "{words:?} began to work: {err}");
    }
    let (_, err) = check(&["sweep", "no-such-file", "--down", "1MB/s,2MB/s", "--open-loop"], 1);
    assert!(err.contains("leave --open-loop out"), "{err}");
    let (_, err) = check(&["what-if", "no-such-file", "--rate", "1..2:0.5"], 2);
    assert!(err.contains("sweep takes ranges"), "{err}");
}

/// Every number that can be varied is a flag of both verbs and searches its own range.
#[test]
fn every_knob_has_a_flag_and_a_range() {
    for knob in &lagtape::scenario::knobs::KNOBS {
        let axis = lagtape::sweep::axis::Axis::vary(knob.name, &Default::default()).unwrap();
        assert!(axis.values.len() > 1, "{}", knob.name);
        let value = knob.tries.split(',').flat_map(|values| values.split("..")).next().unwrap();
        for verb in ["what-if", "sweep"] {
            let (_, err) = check(&[verb, "no-such-file", &format!("--{}={value}", knob.name)], 1);
            assert!(err.contains("cannot open no-such-file"), "{verb} {}: {err}", knob.name);
        }
    }
}
