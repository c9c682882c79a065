//! The time line and the rows of captures, as agents ask for them.

use serde_json::{Value, json};

use super::{Client, folder};
use crate::program::{check, lagtape};

#[test]
fn what_happened_is_one_list() {
    let folder = folder();
    let out = folder.path().join("swap.lagtape");
    let out = out.to_str().unwrap();
    lagtape(&[
        "simulate",
        "--incident",
        "swap-head-of-line",
        "--for",
        "30s",
        "--seed",
        "3",
        "-o",
        out,
    ]);
    let mut client = Client::start(folder.path(), &[]);
    let mut args = json!({"capture": "swap", "limit": 5});
    let mut seen: Vec<Value> = Vec::new();
    loop {
        let page = client.call("capture_timeline", &args);
        seen.extend(page["moments"].as_array().unwrap().iter().cloned());
        match page["truncated"]["next_cursor"].as_str() {
            Some(next) => args["cursor"] = next.into(),
            None => break,
        }
    }
    let times: Vec<_> = seen.iter().map(|moment| moment["t_s"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let count = |kind: &str, name: &str| {
        let same = |moment: &&Value| moment["kind"] == kind && moment["name"] == name;
        seen.iter().filter(same).count()
    };
    assert_eq!(count("buffer", "initial buffer"), 1);
    assert_eq!((count("command", "swap_source"), count("event", "swap_ready")), (1, 1));
    assert_eq!(count("buffer", "swap buffer"), 1);
    assert_eq!(count("finding", "swap-head-of-line"), 1);
    assert_eq!(count("lag", "lag begins"), count("lag", "lag ends"));
    // A knob that is turned stands with its new value.
    let knobs = seen.iter().find(|moment| moment["kind"] == "knobs").unwrap();
    assert!(!knobs["detail"].as_object().unwrap().is_empty(), "{knobs}");
    let swaps = json!({"capture": "swap", "kinds": ["swap_ready", "close"], "from_s": 1});
    let only = client.call("capture_timeline", &swaps)["moments"].clone();
    assert!(only.as_array().unwrap().iter().all(|moment| moment["kind"] != "lag"), "{only}");
    // The command line has the same moments.
    let (text, _) = check(&["cat", out, "--timeline", "--json"], 0);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), seen.len());
    for (line, moment) in lines.iter().zip(&seen) {
        assert_eq!((&line["t_s"], &line["name"]), (&moment["t_s"], &moment["name"]));
    }
}

#[test]
fn rows_are_those_of_the_report() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let opened = client.call("capture_open", &json!({"capture": "stall"}));
    let lead = &opened["lag"]["slices"]["lead_s"];
    let asked = json!({
        "capture": "stall", "table": "slices", "aggregate": ["count", "min(lead_s)", "p95(lead_s)"],
    });
    let row = client.call("capture_query", &asked)["rows"][0].clone();
    assert_eq!((&row[0], &row[1]), (&opened["lag"]["slices"]["count"], &lead["min"]));
    assert!(
        (row[2].as_f64().unwrap() - lead["p95"].as_f64().unwrap()).abs() < 2e-4,
        "{row} {lead}"
    );
    let stale = json!({
        "capture": "stall", "table": "ticks", "where": "staleness_s > 3", "aggregate": "count",
    });
    let stale = client.call("capture_query", &stale);
    assert_eq!(stale["matched"], opened["lag"]["ticks"]["stale_ticks"]);

    // Pages have no gaps, and the command line gives the same.
    let mut args =
        json!({"capture": "stall", "table": "messages", "where": ["kind = slice"], "limit": 16});
    let mut rows = Vec::new();
    loop {
        let page = client.call("capture_query", &args);
        rows.extend(page["rows"].as_array().unwrap().iter().cloned());
        match page["truncated"]["next_cursor"].as_str() {
            Some(next) => args["cursor"] = next.into(),
            None => break,
        }
    }
    let file = folder.path().join("stall.lagtape");
    let words = ["query", file.to_str().unwrap(), "messages", "--where", "kind = slice", "--json"];
    let (text, _) = check(&words, 0);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["rows"], json!(rows));
    assert_eq!(rows.len(), 39);
}

#[test]
fn errors_name_the_columns_that_there_are() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    for (args, hint) in [
        (json!({"table": "slice"}), "did you mean slices?"),
        (json!({"table": "slices", "where": "lead < 0"}), "its columns are t_s, seq, start"),
        (json!({"table": "ticks", "order": "lead_s"}), "its columns are t_s, seq, playhead_s"),
        (json!({"table": "ticks", "aggregate": "worst(lead_s)"}), "p95(lead_s)"),
    ] {
        let mut args = args.clone();
        args["capture"] = "stall".into();
        let said = client.failure("capture_query", &args);
        assert!(said.contains(hint), "{args}: {said}");
    }
}
