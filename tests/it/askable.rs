//! What a capture says beforehand of what it can be asked is what it then answers.

use std::fs;
use std::path::{Path, PathBuf};

use lagtape::app;
use lagtape::capture::{
    Body, Direction, Gap, Marker, Message, Opcode, Record, Records, SyncMarker, Writer,
};
use lagtape::scenario::advice::Wording;
use lagtape::scenario::answer::{AskOptions, Recording, RecordingBuilder};
use lagtape::scenario::askable::Askable;
use lagtape::scenario::knobs::KNOBS;
use lagtape::scenario::open_loop::Scratch;
use lagtape::scenario::{Scenario, Tier, TimedChange};
use lagtape::sweep::axis::Axis;
use lagtape::time::Span;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{check, check_complaint, lagtape, long, simulated};

const BUNDLED: [&str; 2] = ["captures/healthy.lagtape", "captures/stall.lagtape"];

fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn recording(path: &Path) -> Recording {
    let mut builder = RecordingBuilder::default();
    let mut records = Records::new(fs::File::open(path).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        builder.handle(&record);
    }
    builder.finish().unwrap()
}

/// Every value that stands for a knob is answered in the tier that was promised or in a better one, or
/// refused in the words that were said.
#[track_caller]
fn check_promise(askable: &Askable, answered: Result<Tier, String>, name: &str, is_later: bool) {
    let holds = |group: &&lagtape::scenario::askable::AskableGroup| {
        let names = if is_later { &group.at_a_time } else { &group.knobs };
        names.iter().any(|known| known == name)
    };
    let group = askable.answers.iter().find(holds);
    let group = group.unwrap_or_else(|| panic!("nothing is said of {name}: {askable:?}"));
    match answered {
        Ok(tier) => assert!(tier <= group.tier, "{name}: {tier:?}, and was told {:?}", group.tier),
        Err(why) => assert_eq!(Some(why), group.why, "{name}"),
    }
}

#[track_caller]
fn check_askable(path: &Path) -> Askable {
    let wording = Wording::default();
    let askable = app::askable(path, wording);
    let recording = recording(path);
    let prepared = recording.prepare(AskOptions { heard: false, ..AskOptions::default() });
    let mut scratch = Scratch::default();
    let mut answer = |scenario: &Scenario| {
        let answer = prepared.answer(scenario, &mut scratch);
        answer.map(|answer| answer.tier).map_err(|why| why.worded(wording))
    };
    let middle = Span(((askable.from_s + askable.to_s) * 0.4e9) as u64);
    for knob in KNOBS.iter().filter(|knob| knob.name != "seed") {
        let values = Axis::vary(knob.name, &Scenario::default()).unwrap().values;
        let few = [0, values.len() / 3, values.len() - 1].map(|number| values[number]);
        for value in few {
            let name = match (knob.name, value) {
                ("newest-wins", 0.0) => "newest-wins=off",
                ("newest-wins", _) => "newest-wins=on",
                (name, _) => name,
            };
            check_promise(&askable, answer(&knob.alone(value)), name, false);
            if knob.is_condition() {
                let conditions = knob.alone(value).conditions;
                let timed = vec![TimedChange { at: middle, conditions }];
                let later = Scenario { timed, ..Scenario::default() };
                check_promise(&askable, answer(&later), name, true);
            }
        }
    }
    for (name, op) in [("seek", "seek=1s"), ("pause", "pause"), ("rate", "rate=0.97")] {
        let mut scenario = Scenario::default();
        lagtape::scenario::parse::add_op(&mut scenario, &format!("{middle}:{op}")).unwrap();
        check_promise(&askable, answer(&scenario), name, true);
    }
    askable
}

#[test]
fn what_is_promised_of_a_knob_is_what_it_gets() {
    for name in BUNDLED {
        let askable = check_askable(&bundled(name));
        let model = askable.answers.iter().find(|group| group.tier == Tier::Model).unwrap();
        assert!(model.knobs.iter().any(|knob| knob == "down"), "{name}: {askable:?}");
        assert!(model.at_a_time.iter().any(|knob| knob == "params-hz"), "{name}: {askable:?}");
        assert!(askable.from_s == 0.0 && askable.to_s > 2.0, "{name}");
    }
}

#[test]
fn where_there_is_no_model_recorded_slices_are_promised_and_the_rest_is_refused() {
    let folder = TempDir::new().unwrap();
    // Too short to be modelled, and one whose client took messages only now and then.
    let short = simulated(&folder, "short", &["--for", "600ms", "--loop", "16s"]);
    let askable = check_askable(Path::new(&short));
    let tier = |name: &str| {
        let of = |group: &&lagtape::scenario::askable::AskableGroup| {
            group.knobs.iter().any(|knob| knob == name)
        };
        let group = askable.answers.iter().find(of).unwrap();
        (group.tier, group.why.clone().unwrap_or_default())
    };
    assert_eq!(tier("rate").0, Tier::Horizon);
    let (refused, why) = tier("lead-floor");
    assert_eq!(refused, Tier::Refused);
    assert!(why.contains("the model needs at least"), "{why}");
    assert!(tier("depth").1.contains("tick-factor"), "{:?}", tier("depth"));
    let words = ["--incident", "client-backlog", "--legacy", "--for", "24s"];
    check_askable(Path::new(&simulated(&folder, "backlog", &words)));
}

#[test]
fn info_says_it_in_text_and_in_json() {
    let (text, _) = check(&["info", BUNDLED[1]], 0);
    assert!(text.contains("by the model: "), "{text}");
    assert!(text.contains("tick-factor"), "{text}");
    let (json, _) = check(&["info", "--json", BUNDLED[1]], 0);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["askable"]["answers"][0]["tier"], "model");
    let ends_s = json["askable"]["to_s"].as_f64().unwrap();
    assert!((7.0..7.01).contains(&ends_s), "the end record, 4 ms after the last message: {ends_s}");
    let folder = TempDir::new().unwrap();
    let damaged = folder.path().join("damaged.lagtape");
    let mut bytes = fs::read(bundled(BUNDLED[1])).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let output = lagtape(&["info", damaged.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("nothing can be asked: "), "{text}");
}

/// A capture with other records.
fn rewritten(
    folder: &TempDir,
    of: &Path,
    change: impl Fn(Record<'_>) -> Vec<Record<'_>>,
) -> String {
    let out = folder.path().join("rewritten.lagtape");
    let mut writer = Writer::new(SyncMarker([7; 8]));
    let mut bytes = Vec::new();
    writer.begin(&mut bytes);
    let mut records = Records::new(fs::File::open(of).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        change(record).iter().for_each(|record| writer.write(record, &mut bytes));
    }
    fs::write(&out, bytes).unwrap();
    out.to_str().unwrap().to_owned()
}

#[test]
fn nothing_happens_where_there_is_no_stream() {
    let folder = TempDir::new().unwrap();
    // The server rests from 20 s and a lap on.
    let rests =
        simulated(&folder, "idle", &["--for", "50s", "--loop", "4s", "--incident", "idle-pause"]);
    let askable = app::askable(Path::new(&rests), Wording::default());
    let rest = askable.quiet.iter().find(|quiet| quiet.why == "rests").unwrap();
    let at = format!("{}s", (rest.from_s + rest.to_s) / 2.0);
    for change in ["seek=1s", "down=100KB/s"] {
        let op = format!("{at}:{change}");
        check_complaint(&["what-if", &rests, "--op", &op], 1, "the server rested from ");
        check_complaint(&["what-if", &rests, "--op", &op], 1, "give a time before or after that");
    }
    // Said once for all rows, by a search too.
    let op = format!("{at}:seek=1s");
    let sweep = ["sweep", &rests, "--op", &op, "--lead-floor", "0.3,0.4,0.5"];
    let (text, err) = check(&sweep, 1);
    for said in [err, text] {
        let unbroken = said.replace('\n', " ");
        assert_eq!(unbroken.matches("the server rested").count(), 1, "{said}");
    }
    let find = ["sweep", &rests, "--op", &op, "--find", "lag_s == 0", "--vary", "lead-floor"];
    check_complaint(&find, 1, "the server rested");

    // Records from 3 s to 4 s are missing.
    let whole = long(&folder, "healthy");
    let lost = rewritten(&folder, Path::new(&whole), |record| {
        let t_s = record.t.seconds();
        let is_lost = (3.0..4.0).contains(&t_s) && !matches!(record.body, Body::Header(_));
        match record.body {
            _ if is_lost => Vec::new(),
            Body::Checkpoint(_) | Body::End(_) => Vec::new(),
            _ => vec![record],
        }
    });
    let with_gap = rewritten_with_gap(&folder, Path::new(&lost));
    check_complaint(&["what-if", &with_gap, "--op", "3s:seek=1s"], 1, "records are missing from ");
    // Before it the recorded slices answer.
    check(&["what-if", &with_gap, "--op", "1s:seek=1s"], 0);
    // What only the model could answer is refused with the part that can be asked.
    let (_, err) = check(&["what-if", &with_gap, "--lead-floor", "0.5"], 1);
    assert!(err.contains("ask the part behind it with --from "), "{err}");

    check_complaint(&["what-if", BUNDLED[0], "--op=-2s:pause"], 2, "before the initial buffer");
}

/// The same with a gap record where numbers are missing.
fn rewritten_with_gap(folder: &TempDir, of: &Path) -> String {
    let missing = std::cell::Cell::new(None::<u64>);
    let of_last = folder.path().join("with-gap-of.lagtape");
    fs::copy(of, &of_last).unwrap();
    rewritten(folder, &of_last, |record| {
        let expected = missing.get();
        let mut all = Vec::new();
        if let Some(first_seq) = expected.filter(|next| *next < record.seq) {
            let count = record.seq - first_seq - 1;
            let gap = Body::Gap(Gap { first_seq, count, ..Gap::default() });
            all.push(Record { seq: record.seq - 1, t: record.t, conn: record.conn, body: gap });
        }
        missing.set(Some(record.seq + 1));
        all.push(record);
        all
    })
}

/// The record with the number that it has among those before it, and a point in place of an end that
/// knows another count.
fn renumbered<'a>(record: Record<'a>, next: &std::cell::Cell<u64>) -> Record<'a> {
    let body = match record.body {
        Body::End(_) => Body::Marker(Marker::Point { name: "still recording".to_owned() }),
        body => body,
    };
    let seq = next.get();
    next.set(seq + 1);
    Record { seq, body, ..record }
}

/// A session that was closed is over, though the recording goes on.
#[test]
fn nothing_happens_after_a_close() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let next = std::cell::Cell::new(0);
    let closed = rewritten(&folder, Path::new(&capture), |record| match record.body {
        Body::Message(_) if record.t.seconds() > 6.0 => Vec::new(),
        Body::Checkpoint(_) => Vec::new(),
        _ => vec![renumbered(record, &next)],
    });
    // Neither a slice nor a report comes for more than a healthy side is silent.
    check_complaint(&["what-if", &closed, "--op", "10s:seek=1s"], 1, "nothing can happen at 10 s");
    check(&["what-if", &closed, "--op", "3s:seek=1s", "--open-loop"], 0);
    // It is over at once where a side said goodbye.
    let (has_closed, next) = (std::cell::Cell::new(false), std::cell::Cell::new(0));
    let closed = rewritten(&folder, Path::new(&capture), |record| match record.body {
        Body::Message(_) if record.t.seconds() > 8.0 => {
            let close = Message::new(Direction::ServerToClient, Opcode::Close, &[3, 0xE8]);
            let body = Body::Message(close);
            match has_closed.replace(true) {
                true => Vec::new(),
                false => vec![renumbered(Record { body, ..record }, &next)],
            }
        }
        Body::Checkpoint(_) => Vec::new(),
        _ => vec![renumbered(record, &next)],
    });
    check_complaint(&["what-if", &closed, "--op", "9s:seek=1s"], 1, "the session was over at ");
    check_complaint(&["what-if", &closed, "--op", "9s:down=1MB/s"], 1, "give an earlier time");
}

/// What a model refuses because of a swap is answered of the part behind it.
#[test]
fn the_part_behind_a_swap_can_be_asked() {
    let folder = TempDir::new().unwrap();
    let capture = simulated(&folder, "swap", &["--incident", "swap:at=4", "--for", "12s"]);
    let (_, err) = check(&["what-if", &capture, "--lead-floor", "0.5"], 1);
    let (_, from) = err.split_once("with --from ").unwrap();
    let from = from.trim();
    let asked = ["--lead-floor", "0.5", "--members", "4"];
    let of_part = [&["what-if", &capture, "--from", from], &asked[..]].concat();
    let (text, _) = check(&of_part, 0);
    assert!(text.contains("closed-loop model"), "{text}");
    // A part that is asked is what it would be if it had been cut out.
    let part = folder.path().join("part.lagtape").to_str().unwrap().to_owned();
    check(&["cut", &capture, "--from", from, "-o", &part], 0);
    let (of_cut, _) = check(&[&["what-if", &part], &asked[..]].concat(), 0);
    assert_eq!(text, of_cut);
}

#[test]
fn another_cadence_from_a_moment_on_is_answered() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let out = folder.path().join("rarely.lagtape").to_str().unwrap().to_owned();
    let words =
        ["what-if", &capture, "--op", "6s:params-hz=2", "--members", "4", "--capture", &out];
    let (text, _) = check(&words, 0);
    assert!(text.contains("closed-loop model"), "{text}");
    let count = |words: &[&str]| {
        let words = [&["query", out.as_str(), "ticks", "-a", "count", "--json"], words].concat();
        let (json, _) = check(&words, 0);
        let row: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        row.to_string()
    };
    let (before, after) = (count(&["--where", "t_s < 6"]), count(&["--where", "t_s > 6.2"]));
    assert!(before.contains("[[180]]"), "30 a second: {before}");
    assert!(after.contains("[[12]]"), "2 a second: {after}");
}

#[test]
fn refusals_say_what_to_do_in_the_words_of_the_door() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("change.toml");
    let refused = |toml: &str, sentence: &str| {
        fs::write(&file, toml).unwrap();
        let words = ["what-if", BUNDLED[0], "--scenario", file.to_str().unwrap()];
        check_complaint(&words, 1, sentence);
    };
    refused("[server]\ndepth = 2\n", "server.depth cannot be changed: ");
    refused("[server]\ndepth = 2\n", "tick_factor says what it costs in time");
    refused("[server]\nnewest_wins = false\n", "leave server.newest_wins out");
    refused("prompt = \"jazz\"\n", "record a session with it, and compare the two: lagtape diff");
    let flags = [
        (&["--op", "3s:depth=2"][..], "ask what that costs in time with --tick-factor"),
        (&["--op", "3s:swap"], "swap cannot be changed: no recording tells"),
        (&["--newest-wins", "off"], "newest-wins to off; leave --newest-wins out"),
        (&["--down", "1MB/s", "--open-loop"], "leave --open-loop out"),
    ];
    for (words, sentence) in flags {
        check_complaint(&[&["what-if", BUNDLED[0]], words].concat(), 1, sentence);
    }
    check_complaint(
        &["what-if", BUNDLED[0], "--tick-factor", "0"],
        2,
        "tick-factor: 0 is out of range",
    );
}

/// What a finding says to run next is answered.
#[test]
fn findings_suggest_only_what_the_capture_answers() {
    let folder = TempDir::new().unwrap();
    for (incident, asks) in [
        ("thin-link", false),
        ("client-backlog", false),
        ("transport-lead-oscillation", false),
        ("clock-skew", true),
    ] {
        let capture = simulated(&folder, incident, &["--incident", incident, "--for", "20s"]);
        for further in [&[][..], &["--no-proof"]] {
            let output = lagtape(&[&["diagnose", &capture, "--json"], further].concat());
            let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap();
            let findings = diagnosis["findings"].as_array().unwrap();
            let next: Vec<_> = findings.iter().map(|it| it["next"].as_str().unwrap()).collect();
            let (asked, others): (Vec<_>, Vec<_>) =
                next.into_iter().partition(|next| next.starts_with("lagtape what-if "));
            assert_eq!(!asked.is_empty(), asks, "{incident}: {asked:?} {others:?}");
            assert!(others.iter().all(|next| !next.contains("FILE")), "{incident}: {others:?}");
            for next in asked {
                let words: Vec<_> = next.split(' ').skip(1).collect();
                check(&words, 0);
            }
        }
    }
}
