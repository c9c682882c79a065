//! Commands that announce a binary.

use lagtape::peer::server::{Incoming, Server};
use serde_json::{Value, json};

use super::{check, live, live_with, matches, ms, options, over_bus, over_socket, pcm, sent};

/// Commands that announce a binary, and the answer when it is none or does not come.
const ANNOUNCING: [(&str, &str); 5] = [
    ("set_timbre_source", "timbre_failed"),
    ("set_structure_source", "structure_failed"),
    ("swap_source", "swap_failed"),
    ("write_audio", "audio_write_failed"),
    ("midi_transcribe", "midi_failed"),
];

/// A session that waits a second for a binary.
fn impatient() -> Server {
    let mut options = options();
    assert_eq!(options.policy.intake.payload_within_s, 120.0);
    options.policy.intake.payload_within_s = 1.0;
    live_with(options, &json!({}))
}

#[test]
fn a_missing_binary_is_told() {
    for (kind, failed) in ANNOUNCING {
        let (command, failed) = (json!({"type": kind}), json!([{"type": failed}]));
        check(&json!({}), &command, Some(&[1, 2]), &failed);

        // Whatever comes in its place is taken for it; the next message is itself again.
        for instead in [r#"{"type": "manual_slot_add"}"#, "not json", r#"{"type": "params"}"#] {
            let mut server = live(&json!({}));
            server.receive(ms(160), Incoming::Text(&command.to_string()));
            server.receive(ms(161), Incoming::Text(instead));
            assert!(matches(&sent(&mut server, ms(161), ms(600)), &failed), "{kind} {instead}");
            let depth = over_socket(&mut server, &json!({"type": "set_depth", "value": 1}), None);
            assert_eq!(depth, [json!({"type": "depth_applied", "value": 1})]);
        }

        // Over the bus nothing can come later.
        assert!(matches(&over_bus(&mut live(&json!({})), &command, None), &failed), "{kind}");

        let mut server = impatient();
        server.receive(ms(160), Incoming::Text(&command.to_string()));
        assert!(sent(&mut server, ms(160), ms(1_100)).is_empty(), "{kind}");
        assert!(matches(&sent(&mut server, ms(1_100), ms(1_200)), &failed), "{kind}");
        // What comes too late belongs to nothing.
        server.receive(ms(1_200), Incoming::Binary(&pcm(48_000)));
        assert!(sent(&mut server, ms(1_200), ms(1_600)).is_empty(), "{kind}");
    }
}

#[test]
fn audio_is_written_within_the_source() {
    let write = |at_s: f64, more: Value| {
        let mut command = json!({"type": "write_audio", "at_s": at_s});
        more.as_object().unwrap().iter().for_each(|(key, value)| command[key] = value.clone());
        command
    };
    let written = |start_s: f64, end_s: f64| json!([{"type": "audio_written", "start_s": start_s, "end_s": end_s, "source_epoch": 0}]);
    let failed = json!([{"type": "audio_write_failed"}]);
    let rows = [
        (write(1.9, json!({})), written(1.48, 2.0)),
        (write(0.0, json!({"repeat": "fill"})), written(0.0, 2.0)),
        (write(0.5, json!({"mix": "sum", "repeat": "none"})), written(0.08, 1.4)),
        (write(2.0, json!({})), failed.clone()),
        (write(-0.1, json!({})), failed.clone()),
        (write(0.0, json!({"source_epoch": 3})), failed),
    ];
    for (command, expected) in rows {
        check(&json!({}), &command, Some(&pcm(24_000)), &expected);
    }
}
