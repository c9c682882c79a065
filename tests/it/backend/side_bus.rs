//! A session of the simulated server that is driven from elsewhere.

use futures_util::SinkExt;
use lagtape::edge::backend::BackendChange as Happening;
use lagtape::peer::server::Pcm;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Running, options};

#[test]
fn knobs_turned_elsewhere_reach_the_session() {
    let backend = Running::start(options());
    let path = "/control/params_echo";
    assert_eq!(backend.post(path, r#"{"denoise": 0.7}"#).0, 409);

    let mut client = backend.session();
    backend.next_of(&mut client, "ready");
    assert_eq!(backend.post(path, r#"{"denoise": 0.7}"#), (200, json!({"sent": true})));
    assert_eq!(backend.next_of(&mut client, "params_echo")["raw"], json!({"denoise": 0.7}));

    for (body, status, part) in [
        ("", 400, "not JSON"),
        ("[1]", 400, "a list"),
        (&format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 16)), 413, "longer than"),
    ] {
        let (told, answer) = backend.post(path, body);
        assert!(told == status && answer["error"].as_str().unwrap().contains(part), "{answer}");
    }
    assert_eq!(backend.post("/control/other", "{}").0, 404);

    backend.act(client.close(None)).unwrap();
    backend.await_end(1);
    assert_eq!(backend.post(path, "{}").0, 409);
}

/// A body of the side bus.
pub fn framed(command: &Value, binary: &[u8]) -> Vec<u8> {
    let command = command.to_string();
    let len = u32::try_from(command.len()).unwrap();
    [&len.to_le_bytes(), command.as_bytes(), binary].concat()
}

#[test]
fn the_side_bus_drives_a_session() {
    let backend = Running::start(options());
    assert_eq!(backend.on_bus("GET", "/sessions", b""), (200, json!([])));

    let mut client = backend.session();
    let id = backend.next_of(&mut client, "ready")["session_id"].clone();
    let (status, sessions) = backend.on_bus("GET", "/sessions", b"");
    assert_eq!((status, sessions.as_array().unwrap().len(), &sessions[0]["id"]), (200, 1, &id));
    assert!(sessions[0]["started_at"].as_f64().unwrap() > 1.7e9, "{}", sessions[0]);
    let id = id.as_str().unwrap();
    let (one, command) = (format!("/sessions/{id}"), format!("/sessions/{id}/cmd"));
    assert_eq!(backend.on_bus("GET", &one, b"").1["prompt"], "instrumental music");

    let sent = json!({"sent": true, "session_id": id, "audio_bytes": 0});
    let turn = json!({"type": "params", "raw": {"denoise": 0.7}, "playback_pos": 0.0});
    assert_eq!(backend.on_bus("POST", &command, &framed(&turn, b"")), (200, sent));
    assert_eq!(backend.next_of(&mut client, "params_echo")["raw"], json!({"denoise": 0.7}));
    let blend = json!({"type": "set_prompt_blend", "value": 0.5});
    assert_eq!(backend.on_bus("POST", &command, &framed(&blend, b"")).0, 200);
    assert_eq!(backend.next_of(&mut client, "prompt_blend_echo")["value"], 0.5);
    let prompt = json!({"type": "prompt", "tags": "dub"});
    assert_eq!(backend.on_bus("POST", &command, &framed(&prompt, b"")).0, 200);
    assert_eq!(backend.next_of(&mut client, "prompt_applied")["tags"], "dub");
    assert_eq!(backend.on_bus("GET", &one, b"").1["prompt"], "dub");
    let pcm = Pcm { channels: 1, audio: vec![0.25; 48_000] }.to_message();
    let swap = json!({"type": "swap_source", "fixture_name": "mine"});
    let (_, sent) = backend.on_bus("POST", &command, &framed(&swap, &pcm));
    assert_eq!(sent["audio_bytes"], pcm.len());
    assert_eq!(backend.next_of(&mut client, "swap_ready")["fixture_name"], "mine");

    let unknown = (404, json!({"error": "unknown session"}));
    assert_eq!(backend.on_bus("GET", "/sessions/nobody", b""), unknown);
    assert_eq!(backend.on_bus("POST", "/sessions/nobody/cmd", &framed(&turn, b"")), unknown);
    for (method, path, body, status) in [
        ("POST", command.as_str(), &b""[..], 400),
        ("POST", &command, b"\xff\xff\xff\xff{}", 400),
        ("POST", "/sessions", b"", 404),
        ("GET", "/", b"", 404),
        ("DELETE", &one, b"", 405),
    ] {
        assert_eq!(backend.on_bus(method, path, body).0, status, "{method} {path}");
    }

    backend.act(client.close(None)).unwrap();
    backend.await_end(1);
    assert_eq!(backend.on_bus("GET", "/sessions", b""), (200, json!([])));
}

#[test]
fn each_session_has_an_id_of_its_own() {
    let ids = || {
        let backend = Running::start(options());
        [1, 2].map(|_| backend.next_of(&mut backend.session(), "ready")["session_id"].clone())
    };
    let [first, second] = ids();
    assert_ne!(first, second);
    assert_eq!(ids(), [first, second], "the seed decides");
}

#[test]
fn an_upload_stays_and_reaches_the_session() {
    let backend = Running::start(options());
    let mut client = backend.session();
    backend.next_of(&mut client, "ready");
    let mut upload = backend.connect();
    backend.send(&mut upload, r#"{"type": "upload_track", "name": "My Song.mp3"}"#);
    let pcm = Pcm { channels: 1, audio: vec![0.25; 48_000] }.to_message();
    backend.act(upload.send(Message::binary(pcm))).unwrap();
    assert_eq!(backend.next_json(&mut upload)["name"], "My Song.wav");
    assert_eq!(backend.next_close(&mut upload).0, 1000);
    let name = "My Song.wav".to_owned();
    backend.await_notice(2, &Happening::Uploaded { name });
    assert_eq!(backend.next_of(&mut client, "stem_assets")["source_mode"], "");

    let (_, _, names) = backend.get("/api/user_uploads");
    assert_eq!(serde_json::from_slice::<Value>(&names).unwrap(), json!(["My Song.wav"]));
    let (status, _, file) = backend.get("/user_uploads/My%20Song.wav");
    assert_eq!((status, hound::WavReader::new(&file[..]).unwrap().duration()), (200, 48_000));
    assert_eq!(backend.get("/user_uploads/other.wav").0, 404);
    let swap =
        r#"{"type": "swap_source", "use_server_source": true, "fixture_name": "My Song.wav"}"#;
    backend.send(&mut client, swap);
    assert_eq!(backend.next_of(&mut client, "swap_ready")["duration"], 1.0);
}
