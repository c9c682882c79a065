//! `query` at the command line: its forms, and which rows it has of a part.

use serde_json::{Value, json};

use crate::program::check;

const STALL: &str = "captures/stall.lagtape";

/// What is printed of a question to the stall, and what is said.
#[track_caller]
fn asked(words: &[&str]) -> (String, String) {
    check(&[&["query", STALL], words].concat(), 0)
}

#[track_caller]
fn rows(words: &[&str]) -> Value {
    let (out, _) = asked(&[words, &["--json"]].concat());
    serde_json::from_str::<Value>(&out).unwrap()["rows"].clone()
}

#[test]
fn people_get_columns_and_hear_of_what_is_left() {
    let (out, said) = asked(&["messages", "-g", "kind", "-a", "count"]);
    let expected = "kind           count\nbuffer             1\nparams           209\n\
                    params_update     39\nready              1\nslice             39\n\
                    text               1\n";
    assert_eq!((out.as_str(), said.as_str()), (expected, ""));
    let (out, said) = asked(&["slices", "--limit", "3"]);
    assert_eq!(out.lines().count(), 4, "{out}");
    assert_eq!(said, "3 of 39 rows; --limit gives more\n");
}

#[test]
fn programs_get_the_same_as_csv_and_as_json() {
    let words = ["slices", "--select", "seq,lead_s", "--limit", "2"];
    let (csv, _) = asked(&[&words[..], &["--csv"]].concat());
    assert_eq!(csv, "seq,lead_s\n7,0.2882\n11,0.2617\n");
    assert_eq!(rows(&words), json!([[7, 0.2882], [11, 0.2617]]));
}

#[test]
fn rows_are_chosen_and_ordered() {
    assert_eq!(rows(&["slices", "--where", "lead_s < 0.26", "-a", "count"]), json!([[6]]));
    assert_eq!(rows(&["slices", "-a", "count"]), json!([[39]]));
    // The episode and a second on both sides.
    assert_eq!(rows(&["slices", "--episode", "1", "-a", "count"]), json!([[17]]));
    let leads = rows(&["slices", "--select", "lead_s", "--order", "lead_s desc"]);
    let leads: Vec<_> = leads.as_array().unwrap().iter().map(|row| row[0].as_f64()).collect();
    assert!(leads.is_sorted_by(|a, b| a >= b) && leads.first() > leads.last(), "{leads:?}");
}
