use super::*;
use serde_json::{Value, json};

const CONFIG: &str = r#"{"use_server_fixture": true, "fixture_name": "built-in", "lora": true}"#;

fn ms(ms: u64) -> Nanos {
    Nanos(ms * 1_000_000)
}

fn options() -> ServerOptions {
    let source = ServerSource::BuiltIn { seconds: 2.0, channels: 1 };
    ServerOptions { seed: 7, source, ..ServerOptions::default() }
}

fn pcm_bytes(channels: u32, samples: &[f32]) -> Vec<u8> {
    let frames = samples.len() as u32 / channels.max(1);
    let mut bytes = [channels.to_le_bytes(), frames.to_le_bytes()].concat();
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    bytes
}

/// Everything the server sends up to `until`, slices and their updates as `slice`, other binaries as
/// their length.
fn sent(server: &mut Server, from: Nanos, until: Nanos) -> Vec<Value> {
    let mut seen = Vec::new();
    let mut now = from;
    loop {
        while let Some(message) = server.poll(now) {
            seen.push(match message {
                Outgoing::Text(text) => serde_json::from_str(&text).unwrap(),
                Outgoing::Binary(bytes) if bytes.first() == Some(&1) => json!("slice"),
                Outgoing::Binary(bytes) => json!(bytes.len()),
                Outgoing::Close { code, .. } => json!({"close": code}),
                Outgoing::Ping(_) | Outgoing::Pong(_) => json!("control"),
            });
        }
        match server.wake_at().filter(|&at| at <= until) {
            Some(at) => now = at.max(now),
            None => return seen,
        }
    }
}

fn live(options: ServerOptions) -> Server {
    let mut server = Server::new(options, ms(0));
    server.receive(ms(0), Incoming::Text(CONFIG));
    let seen = sent(&mut server, ms(0), ms(150));
    assert_eq!(seen[0]["type"], "ready");
    assert_eq!(seen[1], 192_000);
    server
}

/// What a session answers to messages, slices and their updates left out.
fn answers(server: &mut Server, messages: &[Incoming<'_>]) -> Vec<Value> {
    messages.iter().for_each(|&message| server.receive(ms(160), message));
    let mut seen = sent(server, ms(160), ms(600));
    seen.retain(|message| message != "slice" && message["type"] != "params_update");
    seen
}

#[track_caller]
fn check(messages: &[Incoming<'_>], expected: &Value) {
    let seen = Value::Array(answers(&mut live(options()), messages));
    assert_eq!(&seen, expected);
}

use Incoming::{Binary, Text};

#[test]
fn a_session_begins_with_ready_and_the_buffer_and_goes_on_with_slices() {
    let mut server = live(options());
    let seen = sent(&mut server, ms(150), ms(400));
    assert_eq!(seen[0], "slice");
    let first = json!({"num_gens": 0, "tick_ms": 0.0, "dec_ms": 0.0});
    assert_eq!(seen[1], json!({"type": "params_update", "params": first}));
    assert_eq!(seen[2], "slice");
    assert_eq!(seen[3]["params"]["_prompt"], "instrumental music");
    assert!((8..=12).contains(&seen.len()), "{}", seen.len());
}

#[test]
fn commands_are_acknowledged() {
    check(
        &[Text(r#"{"type": "prompt", "tags": "dub"}"#)],
        &json!([{"type": "prompt_applied", "tags": "dub"}]),
    );
    check(
        &[
            Text(r#"{"type": "set_depth", "value": 2}"#),
            Text(r#"{"type": "set_depth", "value": 99}"#),
            Text(r#"{"type": "set_depth", "value": 4}"#),
        ],
        &json!([{"type": "depth_applied", "value": 2}, {"type": "depth_applied", "value": 4}]),
    );
    check(&[Text(r#"{"type": "set_prompt_blend", "value": 0.5}"#)], &json!([]));
    check(
        &[Text(r#"{"type": "manual_slot_add"}"#), Text(r#"{"type": "manual_slot_pop"}"#)],
        &json!([
            {"type": "manual_slot_count", "count": 2}, {"type": "manual_slot_count", "count": 1},
        ]),
    );
    check(
        &[Text(r#"{"type": "set_timbre_source", "name": "t"}"#), Binary(&pcm_bytes(1, &[0.0; 48]))],
        &json!([{"type": "timbre_set", "name": "t", "duration": 0.001}]),
    );
    check(
        &[Text(r#"{"type": "set_structure_source"}"#), Binary(&[1, 2])],
        &json!([{
            "type": "structure_failed",
            "error": "an upload begins with 8 bytes of channels and frames, but 2 bytes came",
        }]),
    );
    check(&[Text(r#"{"type": "clear_timbre_source"}"#)], &json!([{"type": "timbre_cleared"}]));
    check(&[Text(r#"{"type": "loop_band", "start_sec": 0.2, "end_sec": 0.9}"#)], &json!([]));
    check(
        &[Text(r#"{"type": "fly"}"#), Text("{}"), Text("not json"), Text("[1]"), Binary(&[7])],
        &json!([]),
    );
}

#[test]
fn loras_need_a_session_that_has_them() {
    let enable = Text(r#"{"type": "enable_lora", "id": "lo-fi"}"#);
    assert_eq!(answers(&mut live(options()), &[enable])[0]["type"], "lora_catalog");
    let mut server = Server::new(options(), ms(0));
    server.receive(ms(0), Text(&CONFIG.replace("true}", "false}")));
    sent(&mut server, ms(0), ms(150));
    assert_eq!(answers(&mut server, &[enable])[0]["requires"], "lora");
}

#[test]
fn written_audio_reaches_the_loop() {
    let audio = pcm_bytes(1, &[0.5; 480]);
    let write = Text(r#"{"type": "write_audio", "at_s": 0.5}"#);
    check(
        &[write, Binary(&audio)],
        &json!([{"type": "audio_written", "start_s": 0.08, "end_s": 0.92, "source_epoch": 0}]),
    );
    let old = Text(r#"{"type": "write_audio", "source_epoch": 3}"#);
    let seen = answers(&mut live(options()), &[old, Binary(&audio)]);
    assert_eq!(seen[0]["type"], "audio_write_failed");
    let stereo = pcm_bytes(2, &[0.5; 480]);
    let seen = answers(&mut live(options()), &[write, Binary(&stereo)]);
    assert_eq!(seen[0]["error"], "2 channels do not fit a loop of 1");
}

#[test]
fn a_swap_brings_the_buffer_and_its_stems() {
    let swap = json!({
        "type": "swap_source", "use_server_source": true, "fixture_name": "short_loop_8s.wav",
        "stem_source_mode": "full",
    })
    .to_string();
    let seen = answers(&mut live(options()), &[Text(&swap)]);
    assert_eq!((&seen[0]["type"], &seen[0]["source_epoch"]), (&json!("swap_ready"), &json!(1)));
    assert_eq!(seen[0]["duration"], 8.0);
    assert_eq!(seen[1], 768_000);
    assert_eq!(seen[2]["stems"], json!(["vocals", "instruments"]));
    assert_eq!(seen[3..], [json!(768_000), json!(768_000)]);
}

#[test]
fn an_uploaded_swap_may_change_the_channels() {
    let upload = pcm_bytes(2, &[0.25; 96_000]);
    let swap = Text(r#"{"type": "swap_source"}"#);
    let seen = answers(&mut live(options()), &[swap, Binary(&upload)]);
    assert_eq!((&seen[0]["channels"], &seen[1]), (&json!(2), &json!(192_000)));
}

#[track_caller]
fn check_handshake(messages: &[Incoming<'_>], expected: &Value) {
    let mut server = Server::new(options(), ms(0));
    messages.iter().for_each(|&message| server.receive(ms(0), message));
    let mut seen = sent(&mut server, ms(0), ms(150));
    seen.iter_mut().filter_map(Value::as_object_mut).for_each(|event| {
        event.retain(|key, _| ["type", "code", "close", "duration", "samples"].contains(&&**key));
    });
    assert_eq!(&Value::Array(seen), expected);
}

#[test]
fn handshakes_good_and_bad() {
    let pcm = pcm_bytes(1, &[0.5; 48]);
    let ready = json!([{"type": "ready", "duration": 0.001}, 96]);
    check_handshake(&[Text("{}"), Binary(&pcm)], &ready);
    let unknown = Text(r#"{"use_server_fixture": true, "fixture_name": "?"}"#);
    check_handshake(&[unknown], &json!([]));
    check_handshake(&[unknown, Binary(&pcm)], &ready);
    let acked = json!([{"type": "init_ack"}]);
    check_handshake(&[Text(r#"{"telemetry_version": 1}"#)], &acked);
    let failed = json!([{"type": "error", "code": "handshake_failed"}, {"close": 1011}]);
    check_handshake(&[Text("[]")], &failed);
    check_handshake(&[Text("\u{0}")], &failed);
    check_handshake(&[Binary(&pcm)], &failed);
    let bad_audio = json!([{"type": "error", "code": "bad_audio"}, {"close": 1011}]);
    check_handshake(&[Text("{}"), Binary(&pcm[..50])], &bad_audio);
    check_handshake(&[Text(r#"{"text_only": true}"#)], &json!([]));
    let silent = json!([{"type": "init_ack"}, {"type": "ready", "duration": 60.0}, 11_520_000]);
    check_handshake(&[Text(r#"{"text_only": true, "telemetry_version": 1}"#)], &silent);
    let track = Text(r#"{"type": "upload_track", "name": "x"}"#);
    let kept = json!([{"type": "upload_ok", "samples": 48}, {"close": 1000}]);
    check_handshake(&[track, Binary(&pcm)], &kept);
    let failed = json!([{"type": "upload_failed"}, {"close": 1000}]);
    check_handshake(&[track, Binary(&pcm[..50])], &failed);
    check_handshake(&[track, Text("{}")], &failed);
}

#[test]
fn a_refusal_comes_before_any_audio() {
    let refusal =
        InjectedRefusal { code: "engine_not_built".to_owned(), message: "no engine".to_owned() };
    let faults = ServerFaults { refusal: Some(refusal), ..ServerFaults::default() };
    let mut server = Server::new(ServerOptions { faults, ..options() }, ms(0));
    server.receive(ms(0), Text("{}"));
    let seen = sent(&mut server, ms(0), ms(10));
    assert_eq!((&seen[0]["code"], &seen[1]), (&json!("engine_not_built"), &json!({"close": 1011})));
    assert!(server.is_closed());
}

#[test]
fn preemption_and_death_end_the_session() {
    let mut server = live(options());
    server.preempt(ms(200));
    assert_eq!(sent(&mut server, ms(200), ms(900)), [json!({"close": 4001})]);
    let ending = Some(EarlyEnding { at_s: 0.2, how: SessionEnding::PipelineError });
    let faults = ServerFaults { ending, ..ServerFaults::default() };
    let mut server = live(ServerOptions { faults, ..options() });
    let seen = sent(&mut server, ms(150), ms(2_000));
    assert_eq!(seen[seen.len() - 2]["code"], "pipeline_error");
    assert_eq!(seen[seen.len() - 1], json!({"close": 1000}));
}

#[test]
fn knobs_turned_elsewhere_are_echoed_and_turn_when_they_are_sent_back() {
    let mut server = live(options());
    let raw = json!({"denoise": 0.5}).as_object().cloned().unwrap();
    server.echo_params(ms(160), raw);
    let seen = sent(&mut server, ms(160), ms(300));
    assert_eq!(seen[0], json!({"type": "params_echo", "raw": {"denoise": 0.5}}));
    let update = |seen: &[Value]| seen.last().unwrap()["params"]["denoise"].clone();
    assert_eq!(update(&seen), 0.0);
    let back = Text(r#"{"type": "params", "raw": {"denoise": 0.5}, "playback_pos": 0.1}"#);
    server.receive(ms(310), back);
    assert_eq!(update(&sent(&mut server, ms(310), ms(500))), 0.5);
}

#[test]
fn sessions_of_one_seed_have_ids_of_their_own() {
    let id = |session| Server::new(ServerOptions { session, ..options() }, ms(0)).session_id;
    assert_eq!(id(0), id(0));
    assert!(id(0) != id(1) && id(1) != id(2), "{} {} {}", id(0), id(1), id(2));
}

#[test]
fn a_fixture_that_there_is_not_is_told() {
    let mut server = Server::new(options(), ms(0));
    server.receive(ms(0), Text(r#"{"fixture_name": "nosuch"}"#));
    assert_eq!(server.unknown_fixture(), None, "the client brings it");
    let mut server = Server::new(options(), ms(0));
    server.receive(ms(0), Text(r#"{"use_server_fixture": 1, "fixture_name": "nosuch"}"#));
    assert_eq!(server.unknown_fixture(), Some("nosuch"));
}

/// A position beyond all bounds, a lead of minus infinity, acknowledgements that are no numbers.
#[test]
fn hostile_reports_are_survived() {
    let mut server = live(options());
    for text in [
        r#"{"type": "params", "raw": 5, "playback_pos": 1e308, "client_time": -1e308}"#,
        r#"{"type": "params", "raw": {"steps_override": -1e308}, "playback_pos": NaN}"#,
        r#"{"type": "params", "slice_bytes_rx": -1e308, "slice_lead_s": -1e308}"#,
        r#"{"type": "params", "slice_bytes_rx": 1e308, "slice_lead_s": 1e308}"#,
        r#"{"type": "params", "render_anchor_s": 1e308, "render_anchor_queue_s": [-1e308, "x"]}"#,
        r#"{"type": "loop_band", "start_sec": -1e308, "end_sec": 1e308}"#,
        r#"{"type": "loop_band", "start_sec": 1.9999, "end_sec": 2}"#,
        r#"{"type": "set_depth", "value": -1e308}"#,
        r#"{"type": "write_audio", "at_s": 1e308}"#,
        r#"{"type": 7}"#,
        r#"{"type": "params", "playback_pos": 1}"#,
    ] {
        server.receive(ms(160), Text(text));
    }
    server.receive(ms(160), Binary(&pcm_bytes(1, &[0.5; 200_000])));
    let seen = sent(&mut server, ms(160), ms(1_000));
    assert!(seen.iter().filter(|message| **message == "slice").count() > 10);
}

#[test]
fn a_driver_that_never_reads_costs_bounded_memory() {
    let mut server = live(options());
    for second in 1..60 {
        server.receive(ms(150 + 1_000 * second), Text(r#"{"type": "manual_slot_add"}"#));
    }
    let waiting = server.outbox.take().len();
    assert!(waiting <= Outbox::MAX_SLICES + 60, "{waiting}");
}

#[test]
fn an_idle_session_settles_stops_and_resumes() {
    let mut policy = Policy::default();
    policy.idle.after_s = Some(1.0);
    let mut server = live(ServerOptions { policy, ..options() });
    let slices = |seen: &[Value]| seen.iter().filter(|message| **message == "slice").count();
    assert!(slices(&sent(&mut server, ms(150), ms(3_300))) > 40);
    assert_eq!(slices(&sent(&mut server, ms(3_300), ms(9_000))), 0);
    server.receive(ms(9_000), Text(r#"{"type": "params", "raw": {"seed": 1}}"#));
    assert!(slices(&sent(&mut server, ms(9_000), ms(9_500))) > 5);
}

#[test]
fn the_same_seed_sends_the_same_bytes() {
    let run = |seed| {
        let mut server = Server::new(ServerOptions { seed, ..options() }, ms(0));
        server.receive(ms(0), Text(CONFIG));
        let mut all = Vec::new();
        for now in 0..1_000 {
            all.extend(std::iter::from_fn(|| server.poll(ms(now))));
        }
        all
    };
    assert!(run(7) == run(7));
    assert!(run(7) != run(8));
}
