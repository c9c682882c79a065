//! Captures into tables: whole files or none, the same bytes however they came about, and a sentence for all
//! that goes wrong.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lagtape::app::{self, AnalyzeOptions, Outcome, TableTarget, TablesSummary, TablesVerb};
use lagtape::report::table::{GroupKeys, TableForm, TableName};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{check, check_complaint, command_behind};

const STALL: &str = "captures/stall.lagtape";
const HEALTHY: &str = "captures/healthy.lagtape";
/// More than after which everything is safe.
const MANY: usize = 150;

/// A folder with a sound capture, which has an odd name and lies far below, and many that were cut short: of
/// these there is no verdict, which weighs more than lag.
fn fleet() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let captures = folder.path().join("captures");
    let deep = captures.join("über alles/2026/11/23/host/eu");
    fs::create_dir_all(&deep).unwrap();
    fs::copy(STALL, deep.join("000 ä.lagtape")).unwrap();
    let bytes = fs::read(HEALTHY).unwrap();
    for number in 1..MANY {
        fs::write(captures.join(format!("{number:03}.lagtape")), &bytes[..200]).unwrap();
    }
    (folder, captures)
}

fn verb(form: TableForm, out: &Path) -> TablesVerb {
    let tables = vec![TableName::Captures, TableName::Slices, TableName::Damage];
    let (out, force, resume) = (out.to_owned(), false, false);
    TablesVerb {
        options: AnalyzeOptions { headers_only: true, ..AnalyzeOptions::default() },
        threads: 2,
        files: Some(TableTarget { form, out, tables, force, resume }),
        by: GroupKeys::default(),
        fail_if: None,
    }
}

/// Runs until so many captures are done.
fn run(captures: &Path, verb: &TablesVerb, until: usize) -> anyhow::Result<TablesSummary> {
    let files = app::with_folders(&[captures.to_owned()]).unwrap();
    let mut progress = |done, _| match done < until {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    app::tables(&files, verb, &mut |_| (), &mut progress)
}

fn with(verb: &TablesVerb, change: impl Fn(&mut TableTarget)) -> TablesVerb {
    let mut verb = verb.clone();
    verb.files.iter_mut().for_each(change);
    verb
}

/// What lies in a folder: names, and what is in the files.
fn lies(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut lies: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect();
    lies.sort();
    lies
}

#[test]
fn a_run_that_was_ended_is_gone_on_with_to_the_same_bytes() {
    let (folder, captures) = fleet();
    let parquet = cfg!(feature = "parquet").then_some(TableForm::Parquet);
    for form in [TableForm::Csv, TableForm::Jsonl, TableForm::Arrow].into_iter().chain(parquet) {
        let whole = folder.path().join(format!("whole-{}", form.ending()));
        let done = run(&captures, &verb(form, &whole), usize::MAX).unwrap();
        assert_eq!((done.outcome, done.resumed), (Outcome::Failed, 0));
        let rows: Vec<_> = done.written.iter().map(|(_, rows)| *rows).collect();
        assert_eq!((rows[0], rows[2]), (MANY as u64, 0));
        let parts = verb(form, &folder.path().join(format!("parts-{}", form.ending())));
        let out = parts.files.as_ref().unwrap().out.clone();
        assert!(run(&captures, &parts, 70).is_err());
        assert_eq!(lies(&out).len(), 1, "nothing is in its place before all is whole");
        // Without --resume nothing is thrown away.
        let said = run(&captures, &parts, usize::MAX).unwrap_err().to_string();
        assert!(said.contains("--resume goes on with it"), "{said}");
        let resuming = with(&parts, |files| files.resume = true);
        assert!(run(&captures, &resuming, 130).is_err());
        let done = run(&captures, &resuming, usize::MAX).unwrap();
        assert_eq!((done.outcome, done.resumed), (Outcome::Failed, 128));
        assert_eq!(done.groups.captures(), MANY);
        assert!(lies(&whole) == lies(&out), "{form:?} differs");
        // One thread makes the same of it.
        let one = with(&parts, |files| files.out = folder.path().join("one"));
        run(&captures, &TablesVerb { threads: 1, ..one }, usize::MAX).unwrap();
        assert!(lies(&whole) == lies(&folder.path().join("one")), "{form:?} depends on threads");
        fs::remove_dir_all(folder.path().join("one")).unwrap();
    }
}

#[test]
fn another_run_is_not_gone_on_with() {
    let (folder, captures) = fleet();
    let parts = verb(TableForm::Csv, &folder.path().join("out"));
    assert!(run(&captures, &parts, 70).is_err());
    fs::remove_file(captures.join("149.lagtape")).unwrap();
    let resuming = with(&parts, |files| files.resume = true);
    let said = run(&captures, &resuming, usize::MAX).unwrap_err().to_string();
    assert!(said.contains("had other captures or other options"), "{said}");
    let forced = with(&parts, |files| files.force = true);
    assert_eq!(run(&captures, &forced, usize::MAX).unwrap().resumed, 0);
}

#[test]
fn two_runs_do_not_write_into_one_another() {
    let (folder, captures) = fleet();
    let first = verb(TableForm::Csv, &folder.path().join("out"));
    let files = app::with_folders(std::slice::from_ref(&captures)).unwrap();
    let mut said = String::new();
    let mut progress = |done, _| {
        if done == 10 {
            let second = with(&first, |files| files.force = true);
            said = run(&captures, &second, usize::MAX).unwrap_err().to_string();
        }
        ControlFlow::Continue(())
    };
    let done = app::tables(&files, &first, &mut |_| (), &mut progress).unwrap();
    assert!(said.contains("another run is writing into"), "{said}");
    assert_eq!(done.groups.captures(), MANY);
}

/// A small disk of its own, which fills up, is given more room, and is copied out of; `None` where this
/// machine lets nobody mount one.
fn on_a_small_disk(captures: &str, form: &str, copied: &Path) -> Option<Output> {
    let disk = TempDir::new().unwrap();
    let script = "mount -t tmpfs -o size=80k lagtape \"$1\" || exit 77
        \"$0\" analyze \"$2\" --threads 1 $3 \"$1/tables ü\"; echo $?
        ls \"$1/tables ü\"; mount -o remount,size=64m \"$1\" || exit 77
        \"$0\" analyze \"$2\" --threads 1 $3 \"$1/tables ü\" --resume > \"$1/said\"; echo $?
        cp -r \"$1/tables ü\" \"$4\"";
    let program = env!("CARGO_BIN_EXE_lagtape");
    let before = ["--mount", "sh", "-c", script, program];
    let mut command = Command::new("unshare");
    command.args(before).arg(disk.path()).args([captures, form]).arg(copied);
    let ran = command.output().ok()?;
    (ran.status.code() == Some(0)).then_some(ran)
}

#[test]
fn a_disk_that_is_full_costs_nothing_that_was_done() {
    let (folder, captures) = fleet();
    let captures = captures.to_str().unwrap();
    for form in ["csv", "jsonl", "arrow"] {
        let (copied, whole) =
            (folder.path().join(form), folder.path().join(format!("{form} whole")));
        let flag = format!("--{form}");
        let Some(ran) = on_a_small_disk(captures, &flag, &copied) else {
            eprintln!("SKIPPED: the right to mount is missing");
            return;
        };
        let (said, printed) = (ran.stderr.escape_ascii(), String::from_utf8(ran.stdout).unwrap());
        let said = said.to_string();
        assert!(said.contains("--resume goes on with it"), "{said}");
        assert!(said.contains("No space left on device"), "{said}");
        // Nothing is in its place before all is whole.
        assert_eq!(printed.lines().collect::<Vec<_>>(), ["1", "1"], "{said}");
        check(&["analyze", captures, &flag, whole.to_str().unwrap()], 1);
        assert!(lies(&copied) == lies(&whole), "{form} differs");
    }
}

#[test]
fn a_file_that_grows_too_long_costs_nothing_that_was_done() {
    let (folder, captures) = fleet();
    let (captures, out) = (captures.to_str().unwrap(), folder.path().join("out"));
    let out = out.to_str().unwrap();
    let limit = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let words = ["analyze", captures, "--jsonl", out];
    let ran = command_behind(&["sh", "-c", limit], &words).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("--resume goes on with it"), "{said}");
    assert_eq!(lies(Path::new(out)).len(), 1);
    check(&["analyze", captures, "--jsonl", out, "--resume"], 1);
    let lines = fs::read_to_string(Path::new(out).join("captures.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), MANY);
}

#[test]
fn what_cannot_be_read_has_a_row_and_what_cannot_be_written_a_sentence() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("text.lagtape"), "this is no capture\n").unwrap();
    fs::write(at("nothing.lagtape"), "").unwrap();
    let mut damaged = fs::read(STALL).unwrap();
    let middle = damaged.len() / 2;
    fs::write(at("cut short, über alles.lagtape"), &damaged[..middle]).unwrap();
    damaged[middle] ^= 1;
    fs::write(at("damaged.lagtape"), damaged).unwrap();
    let files = [
        STALL.to_owned(),
        at("damaged.lagtape"),
        at("text.lagtape"),
        at("cut short, über alles.lagtape"),
        at("nothing.lagtape"),
        at("none.lagtape"),
    ];
    let words: Vec<_> = ["analyze"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let out = at("out");
    let (_, said) = check(&[&words[..], &["--jsonl", &out]].concat(), 1);
    assert!(said.contains("this is not a lagtape capture"), "{said}");
    let rows = |table: &str| -> Vec<Value> {
        let lines = fs::read_to_string(format!("{out}/{table}.jsonl")).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let verdicts: Vec<_> = rows("captures").iter().map(|row| row["verdict"].clone()).collect();
    let expected = ["LAG", "LAG", "unreadable", "healthy", "unreadable", "unreadable"];
    assert_eq!(verdicts, expected);
    let names: Vec<_> = rows("captures").iter().map(|row| row["capture"].clone()).collect();
    assert_eq!(names, files);
    let damage = rows("damage");
    let used: Vec<_> = damage.iter().map(|row| row["used"].clone()).collect();
    assert_eq!(used, [true, false, false, false]);
    assert!(damage[0]["offset"].as_u64().unwrap() > 0);
    assert!(damage[3]["reason"].as_str().unwrap().contains("none.lagtape"), "{}", damage[3]);
    // One that was cut short is not damaged: it has no end.
    let complete: Vec<_> = rows("captures").iter().map(|row| row["complete"].clone()).collect();
    assert_eq!(complete[..4], [json!(true), json!(true), Value::Null, json!(false)]);

    check_complaint(&[&words[..], &["--jsonl", &out]].concat(), 1, "use --force to replace it");
    check_complaint(&["analyze", &at("empty"), "--csv", &at("x")], 1, "there is no capture in");
    check_complaint(&["analyze", STALL, "--csv", &at("text.lagtape")], 2, "is a file");
    check_complaint(&["analyze", STALL, "--csv", &at("text.lagtape/x")], 1, "cannot write into");
    fs::create_dir_all(at("in the way/captures.csv")).unwrap();
    check_complaint(&["analyze", STALL, "--csv", &at("in the way")], 1, "is not a plain file");
    #[cfg(target_os = "linux")]
    check_complaint(&["analyze", STALL, "--csv", "/proc/x.csv"], 1, "cannot write into /proc");
    check_complaint(&["analyze", STALL, "--jsonl", "-"], 2, "tables are files");
    check_complaint(&["analyze", STALL, "--arrow", &at("x"), "--tables", "slice"], 2, "slices");
    check_complaint(&["analyze", STALL, "--by", "clint"], 2, "did you mean client?");
    check_complaint(&["analyze", STALL, "--resume"], 2, "there is no file to write");
    check_complaint(
        &["analyze", STALL, "--csv", &at("x.csv"), "--tables", "slices,ticks"],
        2,
        "is one file",
    );
}

#[test]
fn one_table_is_one_file_with_the_columns_of_query() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("slices.csv");
    let out = out.to_str().unwrap();
    check(&["analyze", STALL, "--csv", out, "--tables", "slices"], 4);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let table = fs::read_to_string(out).unwrap();
    let (asked, _) = check(&["query", STALL, "slices", "--csv"], 0);
    let without_capture = table.lines().map(|line| line.split_once(',').unwrap().1);
    assert!(without_capture.eq(asked.lines()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn groups_are_counted_and_the_worst_named() {
    let (printed, _) = check(&["analyze", STALL, HEALTHY, "--by", "client"], 4);
    assert!(printed.contains("2 captures: 1 with LAG, 1 healthy"), "{printed}");
    let lines: Vec<_> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
    let find = |first: &str| lines.iter().find(|line: &&Vec<&str>| line.first() == Some(&first));
    let worst = find("LAG").unwrap();
    assert_eq!((worst[1], worst[3], worst[4]), ("3.86", "generation-stall", STALL));
    let headless = find("headless").unwrap();
    assert_eq!(headless[1..4], ["2", "1", "0"]);
}

#[test]
fn a_fleet_is_labelled_and_the_same_for_a_seed() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mix = "first_day = \"2026-11-23\"\ndays = 2\nfor = \"6s\"\nloop = \"4s\"\nchannels = 1\n\
               [[session]]\nclient = \"web\"\nto_day = 1\nmetadata = { client_version = \"1\" }\n\
               [[session]]\nincident = [\"stall:at=1,for=4\"]\nfrom_day = 2\n";
    fs::write(at("mix.toml"), mix).unwrap();
    let simulate = |out: &str, more: &[&str]| {
        let words = ["simulate", "--fleet", "4", "--mix", &at("mix.toml"), "--seed", "3"];
        check(&[&words[..], &["-o", &at(out)], more].concat(), 0);
    };
    simulate("a", &["--threads", "1"]);
    simulate("b", &["--threads", "3"]);
    assert!(lies(Path::new(&at("a"))) == lies(Path::new(&at("b"))));
    simulate("heads", &["--headers-only"]);
    let bytes = |out: &str| lies(Path::new(&at(out))).iter().map(|(_, of)| of.len()).sum::<usize>();
    assert!(bytes("heads") * 4 < bytes("a"));
    let rows = |out: &str| -> Vec<Value> {
        check(&["analyze", &at(out), "--jsonl", &at(&format!("{out}.jsonl"))], 4);
        let lines = fs::read_to_string(at(&format!("{out}.jsonl"))).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (whole, heads) = (rows("a"), rows("heads"));
    let days: Vec<_> = whole.iter().map(|row| row["day"].clone()).collect();
    assert_eq!(days, ["2026-11-23", "2026-11-23", "2026-11-24", "2026-11-24"]);
    for (row, head) in whole.iter().zip(&heads) {
        for column in ["verdict", "bad_s", "lead_p5_s", "slices", "client_version", "down_bytes"] {
            assert_eq!(row[column], head[column], "{column}");
        }
        let metadata: Value = serde_json::from_str(row["metadata"].as_str().unwrap()).unwrap();
        let is_stall = row["day"] == "2026-11-24";
        assert_eq!(row["verdict"] == "LAG", is_stall);
        assert_eq!(metadata["simulated"].as_str().unwrap().starts_with("stall"), is_stall);
    }
    fs::write(at("mix.toml"), "first_day = \"soon\"\n[[session]]\n").unwrap();
    let words = ["simulate", "--fleet", "4", "--mix", &at("mix.toml"), "-o", &at("c")];
    check_complaint(&words, 2, "is no day such as");
}
