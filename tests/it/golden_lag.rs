//! The lag tracker and its arithmetic against the reference.

use lagtape::lag::stats::{fold_lead, mean, percentile, round};
use lagtape::lag::{Arrival, Figures, LagTracker, ReportArgs};
use serde_json::{Value, json};

use crate::golden;
use crate::promises::measured;

#[test]
fn golden_lag() {
    let mut reports = 0;
    for (path, file) in golden::json_files("lag") {
        for case in file["cases"].as_array().into_iter().flatten() {
            let context = format!("{} {}", path.display(), case["name"]);
            reports += check_case(case, &context);
        }
    }
    assert!(reports > 0, "no reports among the lag vectors");
    measured(reports as u64, "reports");
}

/// Replays the events and compares each record, and each report at its place among them.
#[track_caller]
fn check_case(case: &Value, context: &str) -> usize {
    let events = case["events"].as_array().unwrap();
    let reports = case["reports"].as_array().unwrap();
    let mut tracker = LagTracker::with_limits(
        length(&case["duration_samples"]),
        number(&case["sample_rate"]) as u32,
        number(&case["t0"]),
        number(&case["bucket_s"]),
        case["maxlen"].as_u64().map(|bound| bound as usize),
    );
    let mut compared = 0;
    for handled in 0..=events.len() {
        for report in reports.iter().filter(|report| report["after_events"] == json!(handled)) {
            check_report(&tracker, report, &format!("{context} after {handled} events"));
            compared += 1;
        }
        if let Some(event) = events.get(handled) {
            check_event(&mut tracker, event, &format!("{context} event {handled}"));
        }
    }
    assert_eq!(compared, reports.len(), "{context}: a report stands at no event");
    compared
}

#[track_caller]
fn check_event(tracker: &mut LagTracker, event: &Value, context: &str) {
    let now_s = number(&event["t"]);
    let record = match event["kind"].as_str() {
        Some("reset") => {
            tracker.reset(length(&event["duration_samples"]), now_s);
            return;
        }
        Some("slice") => {
            let record = tracker.on_slice(now_s, arrival(event));
            assert_eq!(tracker.slices().next_back(), Some(&record), "{context}");
            json!({"lead_s": record.lead_s, "interval_s": record.interval_s})
        }
        Some("tick") => {
            let record = tracker.on_tick(now_s, whole(&event["playhead_sample"]));
            assert_eq!(tracker.ticks().next_back(), Some(&record), "{context}");
            json!({"playhead_s": record.playhead_s, "staleness_s": record.staleness_s})
        }
        _ => panic!("{context}: {event} is of no kind known here"),
    };
    let expected = record.as_object().unwrap().keys().map(|key| (key.clone(), event[key].clone()));
    golden::assert_json_eq(&record, &expected.collect(), context);
}

#[track_caller]
fn check_report(tracker: &LagTracker, report: &Value, context: &str) {
    let given = &report["args"];
    let wants_timeline = given["include_timeline"].as_bool().unwrap_or(false);
    let args = ReportArgs {
        window_s: given.get("window_s").map_or(Some(30.0), Value::as_f64),
        stale_threshold_s: given["stale_threshold_s"].as_f64().unwrap_or(3.0),
        timeline_step_s: wants_timeline.then(|| given["timeline_step_s"].as_f64().unwrap_or(1.0)),
    };
    assert_eq!(args.check(0.0), Ok(()), "{context}");
    let actual = serde_json::to_value(tracker.report(number(&report["t"]), &args)).unwrap();
    golden::assert_json_eq(&actual, &report["expected"], &format!("{context} with {given}"));
}

fn arrival(event: &Value) -> Arrival {
    Arrival {
        start: u32::try_from(whole(&event["start_sample"])).unwrap(),
        frames: u32::try_from(whole(&event["num_samples"])).unwrap(),
        playhead: whole(&event["playhead_sample"]),
        tick_ms: number(&event["tick_ms"]),
        dec_ms: number(&event["dec_ms"]),
        generations: u32::try_from(whole(&event["num_gens"])).unwrap(),
    }
}

#[test]
fn golden_numeric() {
    let mut rows = 0;
    for (path, file) in golden::json_files("lag") {
        let context = path.display().to_string();
        for row in file["round"].as_array().into_iter().flatten() {
            let rounded = round(number(&row["x"]), whole(&row["digits"]) as usize);
            assert_eq!(rounded, number(&row["rounded"]), "{context}: {row}");
            rows += 1;
        }
        for row in file["percentiles"].as_array().into_iter().flatten() {
            check_figures(row, &context);
            rows += 1;
        }
        rows += check_leads(&file["fold_lead_samples"], &context);
    }
    assert!(rows > 0, "no arithmetic among the lag vectors");
}

#[track_caller]
fn check_figures(row: &Value, context: &str) {
    let values: Vec<f64> = row["values"].as_array().unwrap().iter().map(number).collect();
    let mut reordered = values.clone();
    assert_eq!(mean(&values), number(&row["mean"]), "{context}: mean of {row}");
    for (key, q) in [("min", 0.0), ("p5", 0.05), ("p50", 0.5), ("p95", 0.95), ("max", 1.0)] {
        let actual = percentile(&mut reordered, q);
        assert_eq!(actual, number(&row[key]), "{context}: {key} of {row}");
    }
    let rounded = serde_json::to_value(Figures::of(values)).unwrap();
    golden::assert_json_eq(&rounded, &row["rounded"], context);
}

#[track_caller]
fn check_leads(table: &Value, context: &str) -> usize {
    let Some(rows) = table["rows"].as_array() else { return 0 };
    let columns = table["columns"].as_array().unwrap();
    let column = |name| columns.iter().position(|column| column == name).unwrap();
    let (start, playhead) = (column("start_sample"), column("playhead_sample"));
    let (frames, lead) = (column("n"), column("lead"));
    for row in rows {
        let start = u32::try_from(whole(&row[start])).unwrap();
        let actual = fold_lead(start, whole(&row[playhead]), length(&row[frames]));
        assert_eq!(Some(actual), row[lead].as_i64(), "{context}: {row}");
    }
    rows.len()
}

#[track_caller]
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[track_caller]
fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a whole number"))
}

/// A length in frames; what is below zero counts as nothing.
#[track_caller]
fn length(value: &Value) -> u64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is not a length")).max(0) as u64
}
