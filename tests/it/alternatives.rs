//! Changes from a moment on, several scenarios in one table, and both sides to listen to.

use std::fs;
use std::path::Path;

use lagtape::app::{self, AudioOptions};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{check, check_complaint, long, short, simulated};

fn json(words: &[&str], code: i32) -> Value {
    serde_json::from_str(&check(&[words, &["--json"]].concat(), code).0).unwrap()
}

fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn all_changes_can_begin_at_a_moment() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let few = ["--members", "4"];
    let ask = |words: &[&str]| {
        let mut answer = json(&[&["what-if", capture.as_str()], words, &few].concat(), 0);
        answer["counterfactual"].take()
    };
    let at = ask(&["--at", "6s", "--lead-floor", "0.6", "--op", "seek=3s"]);
    assert_eq!(at, ask(&["--op", "6s:lead-floor=0.6", "--op", "6s:seek=3s"]));
    assert_ne!(at, ask(&["--lead-floor", "0.6", "--op", "6s:seek=3s"]));
    let toml = file(&folder, "later.toml", "at = \"6s\"\n[server]\nlead_floor_s = 0.6\n");
    let of_file = ask(&["--scenario", &toml, "--op", "6s:seek=3s"]);
    assert_eq!(of_file, at);
    // A sweep's rows begin there, too, and its command says so.
    let sweep = ["sweep", &capture, "--at", "6s", "--op", "seek=3s", "--lead-floor", "0.5,0.6"];
    let swept = json(&[&sweep[..], &few].concat(), 0);
    assert_eq!(swept["rows"][1]["lag"], at["lag"]);
    check_complaint(&["what-if", &capture, "--at", "6s", "--quantum", "512"], 2, "quantum: ");
    check_complaint(
        &["what-if", &capture, "--at", "90s", "--rate", "1.1"],
        1,
        "the session ends at",
    );
}

#[test]
fn several_scenarios_stand_in_one_table_with_their_files() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let a = file(&folder, "a.toml", "name = \"more-lead\"\n[server]\nlead_floor_s = 0.6\n");
    let b = file(&folder, "slow.toml", "[playback]\nrate = 0.97\n");
    let late = file(&folder, "late.toml", "[playback]\nops = [\"90s:pause\"]\n");
    let out = folder.path().join("out").to_str().unwrap().to_owned();
    let asked = ["what-if", &capture, "--members", "4", "--scenario", &a, "--scenario", &b];
    let written = [&asked[..], &["--audio", &out, "--capture", &out]].concat();
    let (text, err) = check(&written, 0);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[2].starts_with("recorded") && lines[3].starts_with("more-lead"), "{text}");
    assert!(lines[4].starts_with("slow"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80 || line.starts_with("next")));
    let next = lines.last().unwrap().strip_prefix("next: lagtape ").unwrap();
    assert_eq!(next, format!("diff {out}/more-lead.lagtape {out}/slow.lagtape"));
    check(&next.split(' ').collect::<Vec<_>>(), 4);
    assert_eq!(err.matches("wrote ").count(), 4, "{err}");

    // Each is the answer that it gets alone, and its capture says so.
    let all = json(&asked, 0);
    for (number, toml) in [&a, &b].into_iter().enumerate() {
        let alone = json(&["what-if", &capture, "--members", "4", "--scenario", toml], 0);
        for part in ["factual", "counterfactual", "outcomes", "scenario", "tier"] {
            assert_eq!(all[number][part], alone[part], "{toml}: {part}");
        }
    }
    assert_eq!((&all[0]["name"], &all[1]["name"]), (&"more-lead".into(), &"slow".into()));
    let analysed = json(&["analyze", &format!("{out}/slow.lagtape")], 0);
    assert_eq!(analysed["lag"], all[1]["counterfactual"]["lag"]);

    // One without an answer is named, and the others stand.
    let mixed = ["what-if", &capture, "--members", "4", "--scenario", &b, "--scenario", &late];
    let (text, err) = check(&mixed, 1);
    assert!(text.contains("late") && text.contains("refused"), "{text}");
    assert!(err.contains("late: ") && err.contains("the session ends at"), "{err}");
    let mixed = json(&mixed, 1);
    assert_eq!((&mixed[0]["tier"], &mixed[1]["tier"]), (&"model".into(), &"refused".into()));
    check_complaint(&["what-if", &capture, "--scenario", &b, "--scenario", &b], 2, "two scenarios");
    check_complaint(&["sweep", &capture, "--scenario", &a, "--scenario", &b], 2, "give one file");
    let odd = file(&folder, "odd.toml", "name = \"../x\"\n");
    check_complaint(&["what-if", &capture, "--scenario", &b, "--scenario", &odd], 2, "no name");
}

/// Samples, channels and the texts of the labels with their frames.
fn sound(path: &str) -> (Vec<f32>, u16, Vec<(u32, String)>) {
    let bytes = fs::read(path).unwrap();
    let reader = hound::WavReader::new(&bytes[..]).unwrap();
    let channels = reader.spec().channels;
    let samples = reader.into_samples::<f32>().map(Result::unwrap).collect();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let chunk = |name: &[u8; 4]| {
        let mut at = 12;
        while at + 8 <= bytes.len() {
            let len = number(at + 4) as usize;
            if bytes[at..at + 4] == *name {
                return Some((at + 8, len));
            }
            at += 8 + len + len % 2;
        }
        None
    };
    let Some((cues, _)) = chunk(b"cue ") else { return (samples, channels, Vec::new()) };
    let frames: Vec<_> =
        (0..number(cues) as usize).map(|cue| number(cues + 4 + cue * 24 + 20)).collect();
    let (list, len) = chunk(b"LIST").unwrap();
    let (mut at, mut labels) = (list + 4, Vec::new());
    while at + 8 <= list + len {
        let part = number(at + 4) as usize;
        if bytes[at..at + 4] == *b"labl" {
            let text = String::from_utf8(bytes[at + 12..at + 8 + part - 1].to_vec()).unwrap();
            labels.push((frames[number(at + 8) as usize - 1], text));
        }
        at += 8 + part + part % 2;
    }
    (samples, channels, labels)
}

fn heard(folder: &TempDir, capture: &str) -> Vec<f32> {
    let wav = folder.path().join("heard.wav").to_str().unwrap().to_owned();
    check(&["audio", capture, "-o", &wav, "--force"], 0);
    sound(&wav).0
}

#[test]
fn both_sides_are_one_stereo_file_with_the_episodes_of_each() {
    let folder = TempDir::new().unwrap();
    let words = ["--incident", "stall:at=4,for=4", "--for", "12s", "--channels", "1"];
    let capture = simulated(&folder, "stall", &words);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ab, derived) = (path("ab.wav"), path("derived.lagtape"));
    let change = ["--op", "2s:seek=9s"];
    let (_, said) = check(&["audio", &capture, "--ab", "2s:seek=9s", "-o", &ab], 0);
    assert!(said.contains("LAG ") && said.contains("ab-loop.wav"), "{said}");
    check(&[&["what-if", &capture, "--capture", &derived], &change[..]].concat(), 0);
    let (both, channels, labels) = sound(&ab);
    assert_eq!(channels, 2);
    let side = |number: usize| both.iter().copied().skip(number).step_by(2).collect::<Vec<_>>();
    let (left, right) = (heard(&folder, &capture), heard(&folder, &derived));
    assert_eq!(left.len(), 12 * 48_000);
    assert!(side(0) == left && side(1) == right, "a frame is the same moment on both sides");
    assert_ne!(left, right);
    assert_eq!(left.len(), right.len());
    let episodes = json(&["analyze", &capture], 4)["verdict"]["episodes"].clone();
    let from_s = episodes[0]["from_s"].as_f64().unwrap();
    let of_a: Vec<_> = labels.iter().filter(|(_, text)| text.starts_with("A: LAG")).collect();
    assert_eq!(of_a.len(), episodes.as_array().unwrap().len(), "{labels:?}");
    assert!((f64::from(of_a[0].0) - from_s * 48_000.0).abs() <= 1.0, "{labels:?}");
    let seek = labels.iter().find(|(_, text)| text.starts_with("B: seek")).unwrap();
    // The other session's buffer has its own way over the link.
    assert!(seek.0.abs_diff(2 * 48_000) < 48_000 / 50, "{labels:?}");
    let buffer = path("buffer.wav");
    check(&["audio", &capture, "--buffer", "-o", &buffer], 0);
    assert_eq!(sound(&path("ab-loop.wav")).0, sound(&buffer).0);

    // A part of both.
    let part = path("part.wav");
    let words =
        ["audio", &capture, "--ab", "2s:seek=9s", "--from", "1s", "--to", "3s", "-o", &part];
    check(&words, 0);
    let (samples, _, labels) = sound(&part);
    assert_eq!(samples, both[2 * 48_000..6 * 48_000]);
    let expected = (seek.0 - 48_000, seek.1.clone());
    assert!(labels.contains(&expected), "{labels:?}");
}

#[test]
fn both_sides_of_stereo_are_two_files_of_one_length() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let toml = file(&folder, "slow.toml", "[playback]\nrate = 0.97\n");
    check(&["audio", &capture, "--ab", &toml, "-o", &path("ab.wav")], 0);
    let [a, b] = ["ab-a.wav", "ab-b.wav"].map(|name| sound(&path(name)));
    assert_eq!((a.1, b.1, a.0.len()), (2, 2, b.0.len()));
    assert_eq!(a.0, heard(&folder, &capture));
    assert_ne!(a.0, b.0);
    assert!(fs::metadata(path("ab.wav")).is_err());
}

#[test]
fn a_sound_that_cannot_be_made_is_refused_with_a_sentence() {
    let folder = TempDir::new().unwrap();
    let capture = long(&folder, "healthy");
    let ab = folder.path().join("ab.wav").to_str().unwrap().to_owned();
    let refused = |words: &[&str], code: i32, sentence: &str| {
        check_complaint(&[&["audio"], words, &["-o", &ab]].concat(), code, sentence);
        assert!(fs::metadata(&ab).is_err());
    };
    refused(&[&capture, "--ab", "quantum=512"], 1, "a position in quanta has no audio");
    refused(&[&capture, "--ab", "99s:pause"], 1, "the session ends at");
    refused(&[&short(&folder), "--ab", "lead-floor=0.6"], 1, "the model needs at least");
    refused(&[&capture, "--ab", "dwn=1"], 2, "did you mean down?");
    let bare = folder.path().join("bare.lagtape").to_str().unwrap().to_owned();
    check(&["redact", &capture, "--drop-audio", "-o", &bare], 0);
    refused(&[&bare, "--ab", "rate=0.97"], 1, "holds no audio to play");
    check_complaint(&["audio", &capture, "--ab", "rate=0.97", "-o", "-"], 2, "name a file instead");
}

/// The samples of a capture's audio, and how many of the session were before them.
fn heard_from(path: &str) -> (Vec<f32>, usize) {
    let out = format!("{path}.wav");
    let options = AudioOptions { force: true, ..AudioOptions::default() };
    let summary = app::audio(Path::new(path), Path::new(&out), &options).unwrap();
    let skipped = summary.from_s.unwrap() * f64::from(summary.sample_rate);
    (sound(&out).0, skipped.round() as usize)
}

#[test]
fn a_part_in_a_file_of_its_own_sounds_as_that_stretch_of_the_session() {
    let folder = TempDir::new().unwrap();
    let moves = ["--op", "3s:seek=1.3s", "--op", "4s:pause", "--op", "5s:resume"];
    let words = ["--incident", "healthy", "--loop", "5s", "--for", "12s", "--channels", "1"];
    let session = simulated(&folder, "session", &[&words[..], &moves].concat());
    let part = folder.path().join("part.lagtape").to_str().unwrap().to_owned();
    check(&["cut", &session, "--from", "7.01s", "--to", "10s", "-o", &part], 0);
    let ((whole, origin), (heard, skipped)) = (heard_from(&session), heard_from(&part));
    assert_eq!((whole.len(), origin), (12 * 48_000, 0));
    // The state that a part begins with is that of the record before.
    assert!((6 * 48_000..=7 * 48_000 + 480).contains(&skipped), "{skipped}");
    assert!((2 * 48_000..=4 * 48_000).contains(&heard.len()), "{}", heard.len());
    assert!(heard == whole[skipped..][..heard.len()], "it is not that stretch");
    assert!(heard.iter().any(|sample| sample.abs() > 0.01), "it is not silent");

    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (wav, again, ab) = (path("x.wav"), path("would.wav"), path("ab.wav"));
    let (_, said) = check(&["audio", &part, "-o", &wav], 0);
    let from = said.split_once(" from ").and_then(|(_, rest)| rest.split_once(" s on"));
    let from_s: f64 = from.expect(&said).0.parse().unwrap();
    assert!((from_s - skipped as f64 / 48_000.0).abs() < 0.1, "{said}");
    // Of what is before it, --from takes nothing.
    check(&["audio", &part, "--from", "2s", "-o", &wav, "--force"], 0);
    assert!(sound(&wav).0 == heard);

    // What would have been heard begins there, too, and so do both sides.
    let (_, said) = check(&["what-if", &part, "--op", "9s:seek=2s", "--audio", &again], 0);
    assert!(said.contains(" s on"), "{said}");
    let would = sound(&again).0;
    assert_eq!(would.len(), heard.len());
    let (_, said) = check(&["audio", &part, "--ab", "9s:seek=2s", "-o", &ab], 0);
    assert!(said.contains(" s on, "), "{said}");
    let (both, _, labels) = sound(&ab);
    let side = |number: usize| both.iter().copied().skip(number).step_by(2).collect::<Vec<_>>();
    assert!(side(0) == heard && side(1) == would);
    let seek = labels.iter().find(|(_, text)| text.starts_with("B: seek")).unwrap();
    assert!((seek.0 as usize + skipped).abs_diff(9 * 48_000) < 48_000 / 50, "{labels:?}");
}
