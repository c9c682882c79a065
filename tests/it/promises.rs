//! docs/PROMISES.md: what is promised, the trials of it, and what they measured.
//!
//! `cargo test --test it -- --ignored promises_are_measured` runs the trials and writes their figures.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::NamedTempFile;

/// Names the file to which trials write what they measure.
const FIGURES: &str = "LAGTAPE_FIGURES";

/// Promises, and the tests that try them. Each of them measures something, or stands beside one that does.
const PROMISES: [(&str, &[&str]); 27] = [
    (
        "The proxy changes no byte",
        &[
            "every_byte_of_plain_traffic",
            "every_byte_of_compressed_traffic",
            "every_byte_of_large_messages",
        ],
    ),
    (
        "What the proxy forwards of a head is read like what came",
        &["corpus_changed_here_and_there_breaks_nothing"],
    ),
    (
        "A proxy without room for the observer forwards all the same",
        &["what_cannot_be_looked_at_is_told_and_forwarded"],
    ),
    (
        "A recorder that is stopped for a while loses nothing",
        &[
            "a_proxy_that_was_stopped_goes_on_where_it_was",
            "a_recording_that_was_stopped_goes_on_where_it_was",
        ],
    ),
    (
        "Half-sent requests cost no session",
        &["a_session_is_untouched_by_connections_that_ask_nothing"],
    ),
    (
        "Servers without descriptors say so and recover",
        &[
            "servers_turn_away_whom_they_have_no_descriptors_for",
            "a_server_without_descriptors_goes_on_when_there_are_some",
        ],
    ),
    (
        "A signal seals the captures",
        &[
            "a_signal_ends_the_proxy_under_any_connection",
            "a_signal_ends_backend_and_replay_under_any_connection",
        ],
    ),
    (
        "A killed recording holds every record that it said was written",
        &["a_killed_recording_has_every_record_that_it_said_was_written", "fifty_kills"],
    ),
    (
        "A recording never waits for the disk",
        &[
            "a_slow_disk_costs_records_that_a_gap_tells_of",
            "a_disk_that_keeps_stopping_costs_a_gap_each_time",
            "what_a_full_disk_costs_is_measured_and_told_when_it_is_back",
            "a_disk_that_stands_still_holds_no_message_up",
        ],
    ),
    (
        "A file that is cut short keeps its whole records",
        &["truncated_at_every_byte_the_complete_records_come_back"],
    ),
    (
        "A damaged file costs what is damaged",
        &["of_every_bit_flipped_at_most_one_record_is_lost_and_it_is_told"],
    ),
    ("Live is offline", &["live_is_offline_for_every_incident"]),
    (
        "The index says what the file says",
        &[
            "reports_from_checkpoints_are_those_of_the_engine",
            "an_op_or_a_swap_between_reports_leaves_no_gap",
        ],
    ),
    ("Figures are the reference's", &["golden_lag", "golden_codec_decode", "golden_codec_encode"]),
    (
        "What was heard is what a walk from frame to frame hears",
        &[
            "heard_is_what_a_walk_from_frame_to_frame_hears",
            "heard_by_an_engine_is_what_an_array_of_write_times_says",
        ],
    ),
    (
        "An incident is reported once, and only when it is one",
        &[
            "the_sentry_reports_each_spell_of_lag_once",
            "only_a_client_that_leaves_makes_no_incident",
        ],
    ),
    ("An incident is complete in itself", &["a_ring_can_become_a_capture_at_any_moment"]),
    (
        "Parts join to the whole",
        &["a_session_is_split_into_parts_that_join", "parts_together_are_the_whole"],
    ),
    (
        "A civil clock that is set moves no record",
        &[
            "times_do_not_follow_a_civil_clock_that_is_set",
            "clocks_that_part_tell_what_was_set_and_what_slept",
        ],
    ),
    (
        "A civil clock that is set changes no report",
        &["a_report_does_not_follow_a_civil_clock_that_is_set"],
    ),
    (
        "A long stream costs no more memory than a short one",
        &["an_hour_of_stream_costs_no_more_memory_than_ten_minutes", "soak"],
    ),
    ("Verbs that copy hold a long loop once", &["a_long_loop_is_held_once"]),
    (
        "Any bytes are read without a panic",
        &["any_bytes_break_nothing", "corpus_breaks_nothing_any_more"],
    ),
    (
        "Results do not depend on the number of threads",
        &["sweeps_are_the_same_on_any_number_of_threads"],
    ),
    ("An answer to an agent is never too long", &["no_answer_is_longer_than_an_agent_can_read"]),
    (
        "Hostile arguments of agents end nothing",
        &["hostile_arguments_get_an_answer_and_nothing_else"],
    ),
    (
        "Calls of agents are answered, however many come at once",
        &["ten_thousand_calls_at_once_are_all_answered"],
    ),
];

/// Tells the table what a trial has measured. What is measured in several places is added up.
pub fn measured(count: u64, what: &str) {
    let Some(path) = std::env::var_os(FIGURES) else { return };
    let mut file = fs::File::options().append(true).open(path).unwrap();
    // One write, since trials run side by side.
    file.write_all(format!("{count} {what}\n").as_bytes()).unwrap();
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    fs::read_to_string(root().join("docs/PROMISES.md")).unwrap()
}

/// The rows of the document: promise, trials, figure.
fn rows(document: &str) -> Vec<[&str; 3]> {
    let rows = document.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        cells.try_into().unwrap_or_else(|_| panic!("not three cells: {row}"))
    })
    .collect()
}

fn named(trials: &[&str]) -> String {
    trials.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_document_has_the_promises_and_their_trials() {
    let mut paths = Vec::new();
    ["core/src", "src", "tests"]
        .iter()
        .for_each(|folder| sources(&root().join(folder), &mut paths));
    let code: String = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let document = document();
    let rows = rows(&document);
    let expected: Vec<_> =
        PROMISES.iter().map(|(promise, trials)| (*promise, named(trials))).collect();
    let found: Vec<_> =
        rows.iter().map(|[promise, trials, _]| (*promise, (*trials).to_owned())).collect();
    assert_eq!(found, expected, "promises_are_measured writes the table");
    for name in PROMISES.iter().flat_map(|(_, trials)| *trials) {
        assert!(code.contains(&format!("fn {name}(")), "there is no test {name}");
    }
    for [promise, _, figure] in rows {
        assert!(figure.contains(|c: char| c.is_ascii_digit()), "no figure: {promise}");
        // A figure says what some trial counts.
        for measured in figure.split("; ") {
            let what = measured.trim_start_matches(|c: char| c.is_ascii_digit() || c == ',').trim();
            assert!(code.contains(&format!("\"{what}\"")), "nothing measures {what:?}: {promise}");
        }
    }
}

/// 1234567 as 1,234,567.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let first = digits.len() % 3;
    let (head, rest) = digits.split_at(first);
    let mut groups: Vec<_> =
        rest.as_bytes().chunks(3).map(|group| str::from_utf8(group).unwrap()).collect();
    if first > 0 {
        groups.insert(0, head);
    }
    groups.join(",")
}

/// Runs those of the trials that are tests of this program, and adds up what they measure.
fn figure(all: &[String], trials: &[&str]) -> String {
    let is_asked = |test: &&String| trials.contains(&test.rsplit("::").next().unwrap());
    let tests: Vec<_> = all.iter().filter(is_asked).collect();
    let file = NamedTempFile::new().unwrap();
    let run = Command::new(std::env::current_exe().unwrap())
        .arg("--exact")
        .args(&tests)
        .env(FIGURES, file.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{tests:?}: {}", String::from_utf8_lossy(&run.stdout));
    let mut sums: BTreeMap<usize, (u64, String)> = BTreeMap::new();
    for line in fs::read_to_string(file.path()).unwrap().lines() {
        let (count, what) = line.split_once(' ').unwrap();
        let known = sums.iter().find(|(_, (_, known))| known == what).map(|(place, _)| *place);
        let place = known.unwrap_or(sums.len());
        sums.entry(place).or_insert((0, what.to_owned())).0 += count.parse::<u64>().unwrap();
    }
    assert!(!sums.is_empty(), "none of {tests:?} measures anything");
    let told = sums.values().map(|(sum, what)| format!("{} {what}", grouped(*sum)));
    told.collect::<Vec<_>>().join("; ")
}

/// Writes the table of the document with what the trials measure here and now.
#[test]
#[ignore = "runs the trials, and writes docs/PROMISES.md"]
fn promises_are_measured() {
    let list = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let all: Vec<_> =
        list.lines().filter_map(|line| Some(line.strip_suffix(": test")?.to_owned())).collect();
    let rows = PROMISES.iter().map(|(promise, trials)| {
        format!("| {promise} | {} | {} |\n", named(trials), figure(&all, trials))
    });
    let rows: String = rows.collect();
    let document = document();
    let (intro, _) = document.split_once("| promise |").expect("a table");
    let table = format!("{intro}| promise | trial | figure |\n|---|---|---|\n{rows}");
    fs::write(root().join("docs/PROMISES.md"), table).unwrap();
}
