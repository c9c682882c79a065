//! The playhead, and the audio heard under it, against the reference.

use lagtape::heard::HeardAudio;
use lagtape::playhead::PlayheadSim;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::golden;

#[test]
fn golden_playhead() {
    let mut steps = 0;
    for (path, file) in golden::json_files("playhead") {
        for trace in file["traces"].as_array().into_iter().flatten() {
            let context = format!("{} {}", path.display(), trace["name"]);
            steps += check_trace(trace, &context);
        }
    }
    assert!(steps > 0, "no traces among the playhead vectors");
}

#[track_caller]
fn check_trace(trace: &Value, context: &str) -> usize {
    let steps = trace["steps"].as_array().unwrap();
    let mut playhead: Option<PlayheadSim> = None;
    for (number, step) in steps.iter().enumerate() {
        let context = format!("{context} step {number} {step}");
        let t_s = step["t"].as_f64().unwrap();
        match playhead.as_mut() {
            None => playhead = Some(create(trace, step, t_s)),
            Some(playhead) => command(playhead, step, t_s),
        }
        check_step(playhead.as_ref().unwrap(), step, t_s, &context);
    }
    steps.len()
}

#[track_caller]
fn create(trace: &Value, step: &Value, t_s: f64) -> PlayheadSim {
    assert_eq!(step["op"], "new");
    let sample_rate = step.get("sample_rate").unwrap_or(&trace["sample_rate"]).as_u64().unwrap();
    let mut playhead = PlayheadSim::new(length(step), sample_rate as u32, t_s);
    if let Some(rate) = step["rate"].as_f64() {
        playhead.set_rate(rate, t_s);
    }
    playhead
}

#[track_caller]
fn command(playhead: &mut PlayheadSim, step: &Value, t_s: f64) {
    match step["op"].as_str() {
        Some("at") => (),
        Some("reset") => playhead.reset(length(step), t_s),
        Some("seek") => playhead.seek(step["arg"].as_f64().unwrap(), t_s),
        Some("set_rate") => playhead.set_rate(step["arg"].as_f64().unwrap(), t_s),
        Some("set_paused") => playhead.set_paused(step["arg"].as_bool().unwrap(), t_s),
        _ => panic!("{step} has no op known here"),
    }
}

#[track_caller]
fn check_step(playhead: &PlayheadSim, step: &Value, t_s: f64, context: &str) {
    let mut actual = json!({
        "sample": playhead.frame(t_s),
        "seconds": playhead.seconds(t_s),
        "duration_samples": playhead.frames(),
        "rate": playhead.rate(),
        "paused": playhead.paused(),
    });
    let actual = actual.as_object_mut().unwrap();
    actual.retain(|key, _| step.get(key).is_some());
    assert!(actual.len() >= 3, "{context}: sample, seconds and duration are always given");
    let expected = actual.keys().map(|key| (key.clone(), step[key].clone())).collect();
    golden::assert_json_eq(&Value::Object(actual.clone()), &expected, context);
}

fn length(step: &Value) -> u64 {
    step["duration_samples_arg"].as_i64().unwrap().max(0) as u64
}

#[test]
fn golden_recorder() {
    let mut ticks = 0;
    for (path, file) in golden::json_files("playhead") {
        for case in file["cases"].as_array().into_iter().flatten() {
            let context = format!("{} {}", path.display(), case["name"]);
            ticks += check_recorder(case, &context);
        }
    }
    assert!(ticks > 0, "no recorder among the playhead vectors");
}

#[track_caller]
fn check_recorder(case: &Value, context: &str) -> usize {
    const SAMPLE_RATE: f64 = 48_000.0;
    let cap = (case["cap_s"].as_f64().unwrap() * SAMPLE_RATE) as u64;
    let mut mirror = formula_mirror(case["buffer_samples"].as_u64().unwrap());
    let mut heard = HeardAudio::new(Some(cap), CHANNELS);
    let ticks = case["ticks"].as_array().unwrap();
    for (number, tick) in ticks.iter().enumerate() {
        if case["name"] == "ring_cap" && number == 3 {
            let changed = 3000 * usize::from(CHANNELS)..3300 * usize::from(CHANNELS);
            mirror[changed].iter_mut().for_each(|sample| *sample += 5.0);
        }
        heard.on_tick(tick["playhead_sample"].as_u64().unwrap(), &mirror);
        let actual = json!({
            "playhead_sample": tick["playhead_sample"],
            "chunks": heard.chunks().collect::<Vec<_>>(),
            "total": heard.frames(),
            "read_pos": heard.read_to(),
        });
        golden::assert_json_eq(&actual, tick, &format!("{context} tick {number}"));
    }
    let played = heard.samples(None);
    assert_eq!(sha256(&played), case["played_sha256"], "{context}");
    let played_frames = played.len() as u64 / u64::from(CHANNELS);
    assert_eq!(Some(played_frames), case["played_samples"].as_u64(), "{context}");
    ticks.len()
}

const CHANNELS: u16 = 2;

/// `value[i][c] = f32((2*i+c)/64) + 1`, as the vectors describe their mirror.
fn formula_mirror(frames: u64) -> Vec<f32> {
    (0..frames * u64::from(CHANNELS)).map(|index| (index as f64 / 64.0) as f32 + 1.0).collect()
}

fn sha256(samples: &[f32]) -> String {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
