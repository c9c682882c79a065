//! The contract of the server, command by command: what each is answered on the client's socket and
//! over the side bus, and what is ignored.
//!
//! The names are those of `names.json` and of servers since October 2026. Every event that is seen is
//! held to what `names.json` declares of it.

mod binaries;

use std::collections::BTreeSet;

use lagtape::peer::Outgoing;
use lagtape::peer::server::{Incoming, Server, ServerOptions, ServerSource, TrackLibrary};
use lagtape::time::Nanos;
use lagtape::wire::names;
use serde_json::{Map, Value, json};

/// Bytes of the loop: two seconds in mono, as halves.
const BUFFER_LEN: usize = 192_000;

fn ms(ms: u64) -> Nanos {
    Nanos(ms * 1_000_000)
}

/// An upload of that many frames in one channel.
fn pcm(frames: u32) -> Vec<u8> {
    let mut bytes = [1_u32.to_le_bytes(), frames.to_le_bytes()].concat();
    bytes.extend((0..frames).flat_map(|_| 0.5_f32.to_le_bytes()));
    bytes
}

fn options() -> ServerOptions {
    let source = ServerSource::BuiltIn { seconds: 2.0, channels: 1 };
    ServerOptions { seed: 7, source, ..ServerOptions::default() }
}

/// What the server sends until then, slices and their updates left out; of a binary, its length.
fn sent(server: &mut Server, from: Nanos, until: Nanos) -> Vec<Value> {
    let mut seen = Vec::new();
    let mut now = from;
    loop {
        while let Some(message) = server.poll(now) {
            match message {
                Outgoing::Text(text) => seen.push(declared(serde_json::from_str(&text).unwrap())),
                Outgoing::Binary(bytes) if bytes.first() == Some(&1) => {}
                Outgoing::Binary(bytes) => seen.push(json!(bytes.len())),
                Outgoing::Close { code, .. } => seen.push(json!({"close": code})),
                Outgoing::Ping(_) | Outgoing::Pong(_) => {}
            }
        }
        match server.wake_at().filter(|&at| at <= until) {
            Some(at) => now = at.max(now),
            None => break,
        }
    }
    seen.retain(|message| message["type"] != "params_update");
    seen
}

/// The event itself; it has a name, and all fields that it must have.
#[track_caller]
fn declared(event: Value) -> Value {
    let kind = event["type"].as_str().unwrap().to_owned();
    let protocol = names::protocol();
    let declared = [&protocol["events"], &protocol["handshake"]["events"]]
        .into_iter()
        .find_map(|events| events.get(&kind));
    let declared = declared.unwrap_or_else(|| panic!("{kind} is no event"));
    for (field, about) in declared["fields"].as_object().unwrap() {
        let is_there = event.get(field).is_some_and(|value| !value.is_null());
        assert!(about["required"] != true || is_there, "{kind} lacks {field}: {event}");
    }
    event
}

/// A session with that config, 150 ms after its beginning.
fn live(config: &Value) -> Server {
    live_with(options(), config)
}

fn live_with(options: ServerOptions, config: &Value) -> Server {
    let mut server = Server::new(options, ms(0));
    let mut fields = json!({"use_server_fixture": true, "fixture_name": "built-in"});
    for (key, value) in config.as_object().unwrap() {
        fields[key.as_str()] = value.clone();
    }
    server.receive(ms(0), Incoming::Text(&fields.to_string()));
    let seen = sent(&mut server, ms(0), ms(155));
    assert_eq!((&seen[0]["type"], &seen[1]), (&json!("ready"), &json!(BUFFER_LEN)));
    server
}

fn with_loras() -> Value {
    json!({"lora": true})
}

/// What comes until 600 ms when the command and its binary are sent on the socket.
fn over_socket(server: &mut Server, command: &Value, binary: Option<&[u8]>) -> Vec<Value> {
    server.receive(ms(160), Incoming::Text(&command.to_string()));
    binary.into_iter().for_each(|binary| server.receive(ms(160), Incoming::Binary(binary)));
    sent(server, ms(160), ms(600))
}

fn over_bus(server: &mut Server, command: &Value, binary: Option<&[u8]>) -> Vec<Value> {
    let fields: Map<String, Value> = command.as_object().unwrap().clone();
    server.inject(ms(160), fields, binary.unwrap_or_default().to_vec());
    sent(server, ms(160), ms(600))
}

/// Whether messages are as expected, which names only the fields that matter.
fn matches(seen: &[Value], expected: &Value) -> bool {
    let expected = expected.as_array().unwrap();
    let fits = |(seen, expected): (&Value, &Value)| match expected.as_object() {
        Some(fields) => fields.iter().all(|(key, value)| seen.get(key) == Some(value)),
        None => seen == expected,
    };
    seen.len() == expected.len() && seen.iter().zip(expected).all(fits)
}

/// A command, the binary behind it, the answers on the socket, and over the bus where they differ.
struct Row(Value, Option<Vec<u8>>, Value, Option<Value>);

/// Commands that do something.
fn commands() -> Vec<Row> {
    let some = |frames| Some(pcm(frames));
    let row = |command: Value, answers: Value| Row(command, None, answers, None);
    let with = |command: Value, binary: Option<Vec<u8>>, answers: Value| {
        Row(command, binary, answers, None)
    };
    vec![
        Row(
            json!({"type": "params", "raw": {"denoise": 0.5}, "playback_pos": 0.1}),
            None,
            json!([]),
            Some(json!([{"type": "params_echo", "raw": {"denoise": 0.5}}])),
        ),
        row(json!({"type": "loop_band", "start_sec": 0.2, "end_sec": 0.9}), json!([])),
        row(
            json!({"type": "prompt", "tags": "dub", "tags_b": "jazz", "key": "A minor", "bpm": 90}),
            json!([{"type": "prompt_applied", "tags": "dub"}]),
        ),
        Row(
            json!({"type": "set_prompt_blend", "value": 1.5}),
            None,
            json!([]),
            Some(json!([{"type": "prompt_blend_echo", "value": 1.0}])),
        ),
        row(json!({"type": "set_interp_method", "path": "timbre", "method": "linear"}), json!([])),
        row(
            json!({"type": "set_depth", "value": 2}),
            json!([{"type": "depth_applied", "value": 2}]),
        ),
        row(
            json!({"type": "enable_lora", "id": "lo-fi", "strength": 0.5}),
            json!([{"type": "lora_catalog"}]),
        ),
        row(json!({"type": "disable_lora", "id": "lo-fi"}), json!([{"type": "lora_catalog"}])),
        row(
            json!({"type": "add_lora", "id": "new", "url": "https://example.org/new.safetensors"}),
            json!([{"type": "lora_catalog"}]),
        ),
        row(json!({"type": "manual_slot_add"}), json!([{"type": "manual_slot_count", "count": 2}])),
        row(json!({"type": "manual_slot_pop"}), json!([{"type": "manual_slot_count", "count": 0}])),
        row(json!({"type": "set_timbre_strength", "value": 0.5}), json!([])),
        with(
            json!({"type": "set_timbre_source", "name": "voice"}),
            some(24_000),
            json!([{"type": "timbre_set", "name": "voice", "duration": 0.5}]),
        ),
        row(
            json!({"type": "set_timbre_fixture", "name": "thrash_metal_loop_60s_enm.wav"}),
            json!([{"type": "timbre_set", "name": "thrash_metal_loop_60s_enm.wav", "duration": 2.0}]),
        ),
        row(json!({"type": "clear_timbre_source"}), json!([{"type": "timbre_cleared"}])),
        with(
            json!({"type": "set_structure_source"}),
            some(24_000),
            json!([{"type": "structure_set", "name": "structure", "duration": 0.5}]),
        ),
        row(
            json!({"type": "set_structure_fixture", "name": "built-in"}),
            json!([{"type": "structure_set", "name": "built-in", "duration": 2.0}]),
        ),
        row(json!({"type": "clear_structure_source"}), json!([{"type": "structure_cleared"}])),
        with(
            json!({"type": "swap_source", "key": "A minor", "time_signature": "3", "fixture_name": "my.wav"}),
            some(48_000),
            json!([
                {
                    "type": "swap_ready", "duration": 1.0, "channels": 1, "key": "A minor",
                    "time_signature": "3", "fixture_name": "my.wav", "source_epoch": 1,
                },
                96_000,
            ]),
        ),
        row(
            json!({"type": "swap_source", "use_server_source": true, "fixture_name": "short_loop_8s.wav", "stem_source_mode": "full"}),
            json!([
                {"type": "swap_ready", "duration": 8.0, "source_epoch": 1},
                768_000,
                {"type": "stem_assets", "source_mode": "full", "frames": 384_000},
                768_000,
                768_000,
            ]),
        ),
        with(
            json!({"type": "write_audio", "at_s": 1.0, "source_epoch": 0}),
            some(9_600),
            json!([{"type": "audio_written", "start_s": 0.6, "end_s": 1.6, "source_epoch": 0}]),
        ),
        row(
            json!({"type": "bounce", "request_id": "b1"}),
            json!([
                {"type": "bounce_ready", "request_id": "b1", "sample_rate": 48_000, "channels": 1, "frames": 96_000},
                BUFFER_LEN,
            ]),
        ),
        with(
            json!({"type": "midi_transcribe", "request_id": "m1"}),
            some(48_000),
            json!([{"type": "midi_failed", "request_id": "m1"}]),
        ),
    ]
}

#[test]
fn every_command_is_answered_as_documented() {
    let mut seen_names = BTreeSet::new();
    for Row(command, binary, socket, bus) in commands() {
        seen_names.insert(command["type"].as_str().unwrap().to_owned());
        let seen = over_socket(&mut live(&with_loras()), &command, binary.as_deref());
        assert!(matches(&seen, &socket), "socket: {command}\n{seen:#?}");
        let seen = over_bus(&mut live(&with_loras()), &command, binary.as_deref());
        assert!(matches(&seen, &bus.unwrap_or(socket)), "bus: {command}\n{seen:#?}");
    }
    let declared = names::protocol()["commands"].as_object().unwrap().keys().cloned();
    assert_eq!(seen_names, declared.collect(), "every command has a row");
}

/// The answer is the same over the socket and over the bus.
#[track_caller]
fn check(config: &Value, command: &Value, binary: Option<&[u8]>, expected: &Value) {
    let seen = over_socket(&mut live(config), command, binary);
    assert!(matches(&seen, expected), "socket: {command}\n{seen:#?}");
    let seen = over_bus(&mut live(config), command, binary);
    assert!(matches(&seen, expected), "bus: {command}\n{seen:#?}");
}

#[test]
fn what_is_no_command_or_lacks_its_fields_is_ignored() {
    for command in [
        json!({"type": "fly"}),
        json!({"type": 7}),
        json!({}),
        json!({"type": "ready"}),
        json!({"type": "prompt"}),
        json!({"type": "prompt", "tags": null}),
        json!({"type": "set_depth"}),
        json!({"type": "set_depth", "value": "deep"}),
        json!({"type": "set_depth", "value": 4}),
        json!({"type": "set_depth", "value": 99}),
        json!({"type": "set_interp_method", "path": "prompt", "method": "cubic"}),
        json!({"type": "set_interp_method", "path": "volume", "method": "linear"}),
        json!({"type": "enable_lora"}),
        json!({"type": "enable_lora", "id": ""}),
        json!({"type": "disable_lora", "id": null}),
        json!({"type": "add_lora", "id": "x", "url": "http://example.org/x"}),
        json!({"type": "loop_band", "start_sec": "x", "end_sec": []}),
    ] {
        check(&with_loras(), &command, None, &json!([]));
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    for kind in ["enable_lora", "disable_lora", "add_lora"] {
        let command = json!({"type": kind, "id": "lo-fi", "url": "https://example.org/x"});
        let failed = json!([{"type": "command_failed", "command": kind, "requires": "lora"}]);
        check(&json!({}), &command, None, &failed);
    }
    for (kind, failed) in
        [("set_timbre_fixture", "timbre_failed"), ("set_structure_fixture", "structure_failed")]
    {
        check(
            &json!({}),
            &json!({"type": kind, "name": "nosuch"}),
            None,
            &json!([{"type": failed}]),
        );
    }
    let swap = json!({"type": "swap_source", "use_server_source": true, "fixture_name": "nosuch"});
    check(&json!({}), &swap, None, &json!([{"type": "swap_failed"}]));
    // The real server lists what its library has, whatever was asked for.
    let unknown = json!({"type": "enable_lora", "id": "nosuch"});
    check(&with_loras(), &unknown, None, &json!([{"type": "lora_catalog"}]));
}

#[test]
fn a_session_begins_with_a_slot_and_has_sixteen_at_most() {
    let mut server = live(&json!({}));
    let told = server.snapshot().unwrap();
    assert_eq!((&told["manual_slot_count"], &told["manual_slot_cap"]), (&json!(1), &json!(16)));
    let knobs = |server: &Server| server.snapshot().unwrap()["knob_manifest"]["knobs"].clone();
    let slots = |server: &Server| {
        (1..=17).filter(|slot| knobs(server).get(format!("man_alpha_{slot}")).is_some()).count()
    };
    assert_eq!(slots(&server), 1);
    assert!(knobs(&server).get("steer_density").is_some());
    for count in 2..=18_u64 {
        let seen = over_socket(&mut server, &json!({"type": "manual_slot_add"}), None);
        assert_eq!(seen[0]["count"], count.min(16));
    }
    assert_eq!(slots(&server), 16);
    for _ in 0..17 {
        over_socket(&mut server, &json!({"type": "manual_slot_pop"}), None);
    }
    assert_eq!(slots(&server), 0);
}

#[test]
fn loras_of_the_config_are_enabled_after_the_buffer() {
    let config = json!({
        "use_server_fixture": true, "fixture_name": "built-in", "lora": true,
        "enabled_loras": ["lo-fi", "nosuch"], "lora_strengths": {"lo-fi": 0.7},
    });
    let mut server = Server::new(options(), ms(0));
    server.receive(ms(0), Incoming::Text(&config.to_string()));
    let seen = sent(&mut server, ms(0), ms(155));
    let [ready, _, catalog] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(ready["lora_pending_enable"], json!(["lo-fi"]));
    assert!(ready["knob_manifest"]["knobs"].get("lora_str_lo-fi").is_some());
    let state = |list: &Value| {
        let lora = list[0].clone();
        (lora["state"].clone(), lora["strength"].clone(), lora["metadata"]["trigger_words"].clone())
    };
    let triggers = json!(["lofi-tape", "dusty"]);
    let registered = (json!("registered"), json!(0.0), triggers.clone());
    assert_eq!(state(&ready["lora_catalog"]), registered);
    assert_eq!(state(&catalog["catalog"]), (json!("enabled"), json!(0.7), triggers));
    assert_eq!(catalog["catalog"][0]["path"], "models/loras/lo-fi.safetensors");

    let turn = json!({"type": "params", "raw": {"lora_str_lo-fi": 9}, "playback_pos": 0.0});
    over_socket(&mut server, &turn, None);
    let told = server.snapshot().unwrap();
    assert_eq!(told["knob_values"]["lora_str_lo-fi"], 2.0, "clamped");
    assert_eq!(told["lora_catalog"][0]["strength"], 2.0);
    let disable = json!({"type": "disable_lora", "id": "lo-fi"});
    let seen = over_socket(&mut server, &disable, None);
    assert_eq!(state(&seen[0]["catalog"]), registered);
    assert!(server.snapshot().unwrap()["knob_values"].get("lora_str_lo-fi").is_none());
}

#[test]
fn uploads_stay_and_can_be_swapped_to_by_name() {
    let library = TrackLibrary::default();
    let upload = |header: Value, binary: &[u8]| {
        let mut server =
            Server::new(ServerOptions { library: library.clone(), ..options() }, ms(0));
        server.receive(ms(0), Incoming::Text(&header.to_string()));
        server.receive(ms(0), Incoming::Binary(binary));
        let seen = sent(&mut server, ms(0), ms(100));
        assert_eq!(seen[1..], [json!({"close": 1000})]);
        (seen[0].clone(), server.take_uploaded())
    };
    let header = json!({
        "type": "upload_track", "name": "My Song.mp3", "key": "D minor", "time_signature": "3",
    });
    let (kept, track) = upload(header, &pcm(48_000));
    let expected = json!({
        "type": "upload_ok", "name": "My Song.wav", "bpm": 96, "key": "D minor",
        "time_signature": "3", "duration_s": 1.0, "samples": 48_000, "stems_pending": true,
    });
    assert_eq!(kept, expected);
    assert_eq!(upload(json!({"type": "upload_track"}), &[1]).0["type"], "upload_failed");
    assert_eq!(library.names(), ["My Song.wav"]);

    let mut server = Server::new(ServerOptions { library: library.clone(), ..options() }, ms(0));
    let config = json!({"use_server_fixture": true, "fixture_name": "built-in"});
    server.receive(ms(0), Incoming::Text(&config.to_string()));
    sent(&mut server, ms(0), ms(155));
    server.send_stems(ms(155), &track.unwrap());
    let seen = sent(&mut server, ms(155), ms(160));
    let assets = json!([{"type": "stem_assets", "source_mode": "", "fixture_name": "My Song.wav"}, 96_000, 96_000]);
    assert!(matches(&seen, &assets), "{seen:?}");

    // What is known of a track wins over what the swap says of it.
    let swap = json!({"type": "swap_source", "use_server_source": true, "fixture_name": "My Song.wav", "key": "C major"});
    let seen = over_socket(&mut server, &swap, None);
    let ready = json!([{"type": "swap_ready", "duration": 1.0, "key": "D minor", "fixture_name": "My Song.wav"}, 96_000]);
    assert!(matches(&seen, &ready), "{seen:?}");
}

/// A page may report nothing before somebody presses play. The server plays on from the beginning,
/// idles, stops, and is there again with the first report.
#[test]
fn a_page_that_is_silent_until_it_plays() {
    let mut options = options();
    options.policy.idle.after_s = Some(1.0);
    let mut server = Server::new(options, ms(0));
    let config = json!({"use_server_fixture": true, "fixture_name": "built-in"});
    server.receive(ms(0), Incoming::Text(&config.to_string()));
    let slices = |server: &mut Server, from: u64, until: u64| {
        let (mut count, mut now) = (0, ms(from));
        loop {
            while let Some(message) = server.poll(now) {
                let is_slice =
                    matches!(message, Outgoing::Binary(bytes) if bytes.first() == Some(&1));
                count += usize::from(is_slice);
            }
            match server.wake_at().filter(|&at| at <= ms(until)) {
                Some(at) => now = at.max(now),
                None => return count,
            }
        }
    };
    assert!(slices(&mut server, 0, 1_000) > 10);
    slices(&mut server, 1_000, 4_000);
    assert_eq!(slices(&mut server, 4_000, 9_000), 0, "nobody is there");
    let play = json!({"type": "params", "raw": {"denoise": 0.5}, "playback_pos": 0.0});
    server.receive(ms(9_000), Incoming::Text(&play.to_string()));
    assert!(slices(&mut server, 9_000, 9_500) > 5);
}

#[test]
fn the_bus_sees_the_session() {
    let mut server = Server::new(options(), ms(0));
    assert_eq!(server.snapshot(), None);
    let config = json!({
        "use_server_fixture": true, "fixture_name": "built-in", "prompt": "dub", "sde": true,
    });
    server.receive(ms(0), Incoming::Text(&config.to_string()));
    sent(&mut server, ms(0), ms(155));
    over_socket(&mut server, &json!({"type": "set_prompt_blend", "value": 0.25}), None);
    over_socket(&mut server, &json!({"type": "set_timbre_fixture", "name": "built-in"}), None);
    let told = Value::Object(server.snapshot().unwrap());
    let expected = json!({
        "id": server.session_id(), "prompt": "dub", "prompt_b": "dub", "prompt_blend": 0.25,
        "duration": 2.0, "bpm": 96, "key": "G minor", "time_signature": "4",
        "fixture_name": "built-in", "timbre_name": "built-in", "timbre_strength": 1.0,
        "structure_name": null, "interp_prompt": "slerp", "lora_catalog": [], "channels": 1,
        "sample_rate": 48_000, "sde": true, "manual_slot_count": 1, "steering_available": true,
    });
    assert!(matches(std::slice::from_ref(&told), &json!([expected])), "{told:#}");
    assert_eq!(told["knob_values"]["sde_amp"], 0.0);
    assert_eq!(told["knob_values"]["guidance_scale"], 1.0);
    assert_eq!(told["capabilities"]["steering"], true);
}
