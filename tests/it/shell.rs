//! What a shell does with the program: pipes, packed files, folders, parts, many captures, and what is
//! refused before any work.

#[cfg(target_os = "linux")]
mod terminal;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{check, check_complaint, command, lagtape, simulated};

const HEALTHY: &str = "captures/healthy.lagtape";
const STALL: &str = "captures/stall.lagtape";

/// Wrong usage that only shows once the arguments are read, with what is said about it.
const MISUSES: [(&[&str], &str); 31] = [
    (&["analyze", STALL, "--timeline", "--timeline-step", "1us"], "take longer steps"),
    (&["analyze", STALL, "--from", "5s", "--to", "3s"], "ends before it begins"),
    (&["analyze", STALL, "--episode", "2"], "has 1 episode of lag"),
    (&["analyze", HEALTHY, "--episode", "1"], "has no episode of lag"),
    (&["analyze", STALL, "--sort", "led_p5"], "did you mean lead_p5?"),
    (&["analyze", STALL, "--fail-if", "lag_s"], "it compares nothing"),
    (&["analyze", STALL, "--csv", "--json"], "cannot be used with"),
    (&["plot", STALL, "-o", "x.gif"], "neither .png nor .svg"),
    (&["audio", STALL, "-o", "x.mp3"], "ffmpeg -i x.wav x.mp3"),
    (&["audio", STALL, "-o", "x.flac.mp3"], "written as WAV or FLAC"),
    (&["what-if", STALL, "--rate", "1.01", "--audio", "x.ogg"], "written as WAV"),
    (&["what-if", STALL, "--rate", "1.01", "--audio", "-"], "where the results go"),
    (&["what-if", STALL, "--op", "nonsense"], "the time is missing"),
    (&["what-if", STALL, "--lead-floor", "-5"], "not a length of time"),
    (&["sweep", STALL, "--vary", "nope"], "a scenario has no"),
    (&["sweep", STALL, "--rate", "0..1:0"], "the step must be above 0"),
    (&["sweep", STALL, "--find", "lag_s == 0"], "--find varies one key"),
    (&["sweep", STALL, "--find", "x"], "it compares nothing"),
    (&["cat", STALL, "--type", "header"], "add --records"),
    (&["cut", STALL, "--from", "5s", "--to", "3s", "-o", "x.lagtape"], "ends before it begins"),
    (&["cut", STALL, "--json", "-o", "-"], "where the results go"),
    (&["redact", STALL, "-o", "x.lagtape"], "nothing to remove"),
    (&["redact", STALL, "--text", "*", "-o", "x.lagtape"], "would remove everything"),
    (&["record", "127.0.0.1:1318"], "ws:// or wss://"),
    (&["record", "ws://127.0.0.1:1", "-o", "-"], "grows in a file"),
    (&["simulate", "--loop", "10min", "-o", "x.lagtape"], "at most 546 s fit"),
    (&["backend", "--loop", "10min"], "at most 546 s fit"),
    (&["proxy", "--upstream", "nonsense"], "ws:// or wss://"),
    (&["replay", STALL, "--start-at", "5s", "--until", "3s"], "give a later --until"),
    (&["replay", STALL, "--timing", "max", "--rate", "2"], "leave out --rate"),
    (&["mcp", "--http", "0", "--print-config", "codex"], "cannot be used with"),
];

#[test]
fn wrong_usage_ends_with_two_whenever_it_is_found() {
    for (words, sentence) in MISUSES {
        check_complaint(words, 2, sentence);
    }
    let folder = TempDir::new().unwrap();
    let scenario = folder.path().join("change.toml");
    for text in ["foo = 1", "foo ="] {
        fs::write(&scenario, text).unwrap();
        check_complaint(&["what-if", STALL, "--scenario", scenario.to_str().unwrap()], 2, "is no");
    }
    assert!(!Path::new(env!("CARGO_MANIFEST_DIR")).join("x.lagtape").exists());
}

/// A folder that is not there is said before anything is read: the input is not there either.
#[test]
fn a_folder_that_is_missing_is_said_before_the_work() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("nowhere/x.lagtape");
    let (out, wav) = (out.to_str().unwrap(), out.with_extension("wav"));
    let (picture, wav) = (wav.with_extension("png"), wav.to_str().unwrap().to_owned());
    let verbs: [&[&str]; 10] = [
        &["cut", "none.lagtape", "-o", out],
        &["recover", "none.lagtape", "-o", out],
        &["redact", "none.lagtape", "--drop-audio", "-o", out],
        &["join", "none.lagtape", "-o", out],
        &["import", "none.har", "-o", out],
        &["audio", "none.lagtape", "-o", &wav],
        &["plot", "none.lagtape", "-o", picture.to_str().unwrap()],
        &["what-if", "none.lagtape", "--rate", "1.01", "--capture", out],
        &["simulate", "--for", "1s", "-o", out],
        &["record", "ws://127.0.0.1:1", "-o", out],
    ];
    for words in verbs {
        let (_, err) = check(words, 1);
        assert!(err.contains("there is no folder"), "{words:?} said: {err}");
        assert!(!err.contains(".lagtape-"), "a temporary name: {err}");
    }
}

/// The program with a file on stdin.
fn piped(words: &[&str], input: &Path) -> Output {
    command(words).stdin(fs::File::open(input).unwrap()).output().unwrap()
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"))
}

/// The analysis of a capture, but for its name.
fn analysis(words: &[&str]) -> Value {
    nameless(json(&lagtape(&[&["analyze", "--json"], words].concat())))
}

fn nameless(mut analysis: Value) -> Value {
    analysis["capture"] = Value::Null;
    // The next command names the capture.
    for finding in analysis["findings"].as_array_mut().into_iter().flatten() {
        finding["next"] = Value::Null;
    }
    analysis
}

#[test]
fn stdin_and_packed_files_are_captures_like_any() {
    let folder = TempDir::new().unwrap();
    let stall = Path::new(env!("CARGO_MANIFEST_DIR")).join(STALL);
    let bytes = fs::read(&stall).unwrap();
    let expected = analysis(&[STALL]);
    assert_eq!(nameless(json(&piped(&["analyze", "--json", "-"], &stall))), expected);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes).unwrap();
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("stall.lagtape", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(&bytes).unwrap();
    let packed = [
        ("gz", gzip.finish().unwrap()),
        ("zst", zstd::encode_all(&bytes[..], 1).unwrap()),
        ("zip", archive.finish().unwrap().into_inner()),
    ];
    for (ending, packed) in packed {
        let path = folder.path().join(format!("stall.lagtape.{ending}"));
        fs::write(&path, packed).unwrap();
        let name = path.to_str().unwrap();
        assert_eq!(analysis(&[name]), expected, "{ending}");
        assert_eq!(nameless(json(&piped(&["analyze", "--json", "-"], &path))), expected);
        assert_eq!(check(&["cat", name], 0), check(&["cat", STALL], 0), "{ending}");
        let info = |name: &str| nameless(json(&lagtape(&["info", "--json", name])));
        assert_eq!(info(name), info(STALL), "{ending}");
    }
    // A folder is its captures, packed or not.
    fs::copy(HEALTHY, folder.path().join("healthy.lagtape")).unwrap();
    fs::write(folder.path().join("notes.txt"), "no capture").unwrap();
    let (out, _) = check(&["analyze", "--json", folder.path().to_str().unwrap()], 4);
    assert_eq!(out.lines().count(), 4, "{out}");
    let (out, _) = check(&["verify", folder.path().to_str().unwrap()], 0);
    assert_eq!(out.matches("sound and complete").count(), 4, "{out}");
}

#[test]
fn stdout_takes_what_a_file_takes() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name);
    let verbs: [&[&str]; 5] = [
        &["cut", STALL, "--from", "1s"],
        &["redact", STALL, "--drop-audio"],
        &["recover", STALL],
        &["audio", STALL],
        &["simulate", "--for", "1s", "--seed", "3"],
    ];
    for verb in verbs {
        let path = file(verb[0]);
        lagtape(&[verb, &["-o", path.to_str().unwrap()]].concat());
        let output = lagtape(&[verb, &["-o", "-"]].concat());
        assert!(!output.stdout.is_empty(), "{output:?}");
        assert_eq!(output.stdout, fs::read(&path).unwrap(), "{verb:?}");
    }
    let picture = lagtape(&["plot", STALL, "-o", "-"]);
    assert_eq!(picture.stdout[..8], *b"\x89PNG\r\n\x1a\n");
    assert!(!Path::new(env!("CARGO_MANIFEST_DIR")).join("-").exists());
}

#[test]
fn a_part_is_analysed_as_if_it_had_been_cut_out() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("part.lagtape");
    let out = out.to_str().unwrap();
    for from in ["0.5s", "3s"] {
        check(&["cut", STALL, "--from", from, "-o", out, "--force"], 0);
        let (part, mut whole) = (analysis(&[out]), analysis(&[STALL, "--from", from]));
        // What was cut out says so in its header and in its end.
        for of_the_file in ["ending", "session"] {
            whole[of_the_file] = part[of_the_file].clone();
        }
        assert_eq!(whole, part, "from {from}");
    }
    // The episode goes from 2.5 s to 6.4 s, and its part a second further.
    let part = analysis(&[STALL, "--episode", "1"]);
    let begins_s = part["session"]["begins_s"].as_f64().unwrap();
    assert!((1.4..1.7).contains(&begins_s), "{begins_s}");
    assert_eq!(part["verdict"]["episodes"].as_array().unwrap().len(), 1);
    let (cat, _) = check(&["cat", STALL, "--episode", "1", "--type", "params", "--json"], 0);
    let ticks = cat.lines().count();
    assert!((140..190).contains(&ticks), "5.86 s of 30 a second: {ticks}");
    for verb in ["audio", "plot"] {
        let ending = if verb == "audio" { "wav" } else { "png" };
        let out = folder.path().join(format!("part.{ending}"));
        check(&[verb, STALL, "--episode", "1", "-o", out.to_str().unwrap()], 0);
    }
    let wav = hound::WavReader::open(folder.path().join("part.wav")).unwrap();
    assert!((278_000..284_000).contains(&wav.duration()), "{}", wav.duration());
}

#[test]
fn many_captures_end_in_a_table_of_the_worst() {
    let files = [HEALTHY, STALL, HEALTHY];
    let (out, _) = check(&[&["analyze"], &files[..]].concat(), 4);
    assert!(out.starts_with("3 captures: 1 with LAG, 2 healthy\n"), "{out}");
    let rows: Vec<_> = out.lines().filter(|line| line.ends_with(".lagtape")).collect();
    assert!(rows[0].contains("LAG") && rows[0].contains("3.86"), "{out}");
    assert!(rows[1].contains("healthy"), "{out}");
    assert!(out.ends_with(&format!("next: lagtape analyze {STALL}\n")), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");

    let (out, _) = check(&["analyze", HEALTHY, STALL, "--top", "1"], 4);
    assert!(out.contains("and 1 more") && !out.contains(HEALTHY), "{out}");
    let (out, _) = check(&["analyze", HEALTHY, STALL, "--each"], 4);
    assert!(out.contains("healthy: nothing stale") && out.contains("2 captures: "), "{out}");
    let (out, _) = check(&["analyze", HEALTHY, STALL, "--csv", "--sort", "slices"], 4);
    let captures: Vec<_> = out.lines().map(|line| line.split(',').next().unwrap()).collect();
    let slices: Vec<_> = out.lines().skip(1).map(|line| line.split(',').nth(8).unwrap()).collect();
    assert_eq!(captures.len(), 3, "{out}");
    let slices: Vec<u64> = slices.iter().map(|text| text.parse().unwrap()).collect();
    assert!(slices[0] < slices[1], "the fewest slices first: {out}");
}

#[test]
fn conditions_decide_the_exit_code() {
    let row = |condition: &str, code: i32, said: &str| {
        check_complaint(&["analyze", HEALTHY, STALL, "--fail-if", condition], code, said);
    };
    row("lag_s > 0", 4, "1 of 2 captures have lag_s > 0");
    row("lag_s > 60", 0, "0 of 2 captures have lag_s > 60");
    row("lead_p5 > 0", 4, "2 of 2 captures");
    check_complaint(&["analyze", "none.lagtape", "--fail-if", "lag_s > 0"], 1, "none.lagtape");
}

/// Runs a command that the program printed, as a shell takes it, where the captures lie.
#[cfg(unix)]
fn pasted(printed: &str, folder: &Path) -> Output {
    let words = printed.strip_prefix("lagtape ").expect(printed);
    let script = format!("\"$0\" {words}");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_lagtape")]).current_dir(folder);
    shell.output().unwrap()
}

#[cfg(unix)]
#[test]
fn suggested_commands_can_be_pasted_whatever_a_file_is_called() {
    for name in ["my $(touch PWN).lagtape", "it's; touch PWN.lagtape", "-my take.lagtape"] {
        let folder = TempDir::new().unwrap();
        let stall = Path::new(env!("CARGO_MANIFEST_DIR")).join(STALL);
        fs::copy(&stall, folder.path().join(name)).unwrap();
        for verb in ["analyze", "diagnose"] {
            let mut first = command(&[verb, "--", name]);
            let out = first.current_dir(folder.path()).output().unwrap().stdout;
            let out = String::from_utf8(out).unwrap();
            let lines = out.lines().map(|line| line.trim().trim_start_matches("next: "));
            let printed: Vec<_> = lines.filter(|line| line.starts_with("lagtape ")).collect();
            assert!(!printed.is_empty(), "{out}");
            for line in printed {
                let output = pasted(line, folder.path());
                assert!(matches!(output.status.code(), Some(0 | 4)), "{line}: {output:?}");
            }
        }
        let files = fs::read_dir(folder.path()).unwrap();
        let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        assert!(!files.iter().any(|file| file == "PWN" || file == "PWN.lagtape"), "{files:?}");
    }
}

#[test]
fn info_verify_and_recover_count_the_same_records() {
    let folder = TempDir::new().unwrap();
    let capture = simulated(&folder, "counted", &["--for", "4s", "--channels", "1"]);
    let json = |words: &[&str]| -> Value { serde_json::from_str(&check(words, 0).0).unwrap() };
    let records = json(&["info", &capture, "--json"])["records"].as_u64().unwrap();
    let verified = json(&["verify", &capture, "--json"]);
    assert_eq!(verified["records"], records);
    let checkpoints = verified["checkpoints"].as_u64().unwrap();
    assert!(checkpoints > 1 && verified["contexts"] == 0, "{verified}");
    let (text, _) = check(&["verify", &capture], 0);
    let counts = format!(" · {records} records and {checkpoints} checkpoints · sound and complete");
    assert!(text.contains(&counts), "{text}");
    let sound = folder.path().join("sound.lagtape");
    let recovered = json(&["recover", &capture, "-o", sound.to_str().unwrap(), "--json"]);
    assert_eq!(recovered["records"], records);
}

/// The samples of a file that `audio` wrote.
fn heard(folder: &TempDir, capture: &str, words: &[&str]) -> Vec<f32> {
    let out: PathBuf = folder.path().join("heard.wav");
    let words = [&["audio", capture, "-o", out.to_str().unwrap(), "--force"], words].concat();
    check(&words, 0);
    hound::WavReader::open(&out).unwrap().into_samples().map(Result::unwrap).collect()
}

#[test]
fn a_second_of_audio_is_a_second_of_the_session() {
    let folder = TempDir::new().unwrap();
    let ops = ["--op", "2s:pause", "--op", "3s:resume", "--op", "5s:seek=12s"];
    let capture = simulated(
        &folder,
        "ops",
        &[&["--for", "8s", "--channels", "1", "--loop", "16s"], &ops[..]].concat(),
    );
    let audio = heard(&folder, &capture, &[]);
    let report = json(&lagtape(&["analyze", "--json", &capture]));
    let expected = (report["report_at_s"].as_f64().unwrap() * 48_000.0).round();
    assert_eq!(audio.len() as f64, expected);
    let at = |s: f64| (s * 48_000.0) as usize;
    let loudest = |from: f64, to: f64| {
        audio[at(from)..at(to)].iter().fold(0.0f32, |loudest, sample| loudest.max(sample.abs()))
    };
    assert_eq!(loudest(2.05, 2.95), 0.0, "the pause is silent");
    assert!(loudest(1.0, 1.9) > 0.01 && loudest(3.1, 4.9) > 0.01);
    // What the seek skips is not inserted: from 5 s on the audio is that of 12 s of the loop.
    let buffer = heard(&folder, &capture, &["--buffer"]);
    assert_eq!(audio[at(7.5)..at(7.6)], buffer[at(14.5)..at(14.6)]);
    // Parts join without a seam.
    let (one, two) = (["--to", "4s"], ["--from", "4s"]);
    let joined = [heard(&folder, &capture, &one), heard(&folder, &capture, &two)].concat();
    assert_eq!(joined.len(), audio.len());

    let bytes = {
        heard(&folder, &capture, &[]);
        fs::read(folder.path().join("heard.wav")).unwrap()
    };
    for label in ["pause\0", "resume\0", "seek to 12.0 s\0"] {
        let found = bytes.windows(label.len()).any(|window| window == label.as_bytes());
        assert!(found, "{label}");
    }
    let out = folder.path().join("level.wav");
    let (_, err) = check(&["audio", STALL, "-o", out.to_str().unwrap()], 0);
    assert!(err.contains("1 label; peak −") && err.contains(" dB"), "{err}");
}

#[test]
fn a_server_that_rests_is_named_in_report_and_picture() {
    let folder = TempDir::new().unwrap();
    let words = ["--for", "40s", "--loop", "4s", "--op", "3s:seek=1s", "--op", "7s:pause"];
    let words =
        [&words[..], &["--op", "9s:resume", "--incident", "idle-pause", "--legacy"]].concat();
    let capture = simulated(&folder, "rest", &words);
    let report = json(&lagtape(&["analyze", "--json", &capture]));
    let idle = report["idle"].as_array().unwrap();
    assert_eq!(idle.len(), 1, "{idle:?}");
    let from_s = idle[0]["from_s"].as_f64().unwrap();
    // 20 s without a change and a loop.
    assert!((22.0..26.0).contains(&from_s), "{from_s}");
    assert!(idle[0]["to_s"].as_f64().unwrap() > 39.0);
    let (text, _) = check(&["analyze", &capture], 0);
    assert!(text.contains(" s: the server rests, as nothing is changed"), "{text}");

    let svg = folder.path().join("idle.svg");
    let svg_name = svg.to_str().unwrap();
    check(&["plot", &capture, "-o", svg_name, "--width", "1500", "--dark"], 0);
    let drawn = fs::read_to_string(&svg).unwrap();
    assert!(drawn.contains("width=\"1500\""), "{}", &drawn[..300]);
    for what in ["seek to 1.00 s", "paused", "idle"] {
        assert!(drawn.contains(what), "{what} is missing");
    }
    check(&["plot", &capture, "-o", svg_name, "--force", "--from", "10s", "--to", "20s"], 0);
    let part = fs::read_to_string(&svg).unwrap();
    assert!(!part.contains("seek to") && !part.contains("idle"), "what lies outside is left out");
    check_complaint(&["plot", &capture, "-o", "x.png", "--width", "3"], 2, "400 to 8000 pixels");
}

#[test]
fn slices_are_drawn_above_the_line_of_what_is_heard() {
    let folder = TempDir::new().unwrap();
    let svg = folder.path().join("x.svg");
    check(&["plot", STALL, "-o", svg.to_str().unwrap()], 0);
    let drawn = fs::read_to_string(&svg).unwrap();
    // What comes later lies above; only the slices are half transparent.
    let heard = drawn.rfind("stroke=\"#FF7F0E\"").unwrap();
    let written = drawn.find("opacity=\"0.45\" stroke=\"#1F77B4\"").unwrap();
    assert!(heard < written, "{heard}, {written}");
}

/// Who begins a session, with an address.
fn takers(url: &str, folder: &TempDir) -> [Vec<String>; 3] {
    let out = folder.path().join("taken.lagtape").to_str().unwrap().to_owned();
    let before = [&["record", url][..], &["watch", url], &["replay", STALL, "--to", url]];
    before.map(|words| words.iter().chain(&["-o", &out]).map(|&word| word.to_owned()).collect())
}

#[test]
fn that_a_server_is_taken_over_is_said_where_one_is_called() {
    const SENTENCE: &str = "this takes the server over from whoever is listening on it";
    let folder = TempDir::new().unwrap();
    let said = |url: &str, code| {
        takers(url, &folder).map(|words| {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            check(&words, code).1.matches(SENTENCE).count()
        })
    };
    assert_eq!(said("http://127.0.0.1:1", 2), [0; 3], "the address is refused");
    assert_eq!(said("ws://127.0.0.1:1", 1), [1; 3], "nobody listens there");
    std::fs::write(folder.path().join("taken.lagtape"), "").unwrap();
    assert_eq!(said("ws://127.0.0.1:1", 1), [0; 3], "the output is refused");
}
