//! The protocol that lagtape publishes is the one that the reference's servers publish, and what they have
//! learned since.

use lagtape::wire::names;
use serde_json::Value;

use crate::golden;

/// What stands in `published` and not in `ours`.
fn missing(ours: &Value, published: &Value, at: &str) -> Option<String> {
    match (ours, published) {
        (Value::Object(ours), Value::Object(published)) => {
            published.iter().find_map(|(key, value)| {
                let at = format!("{at}.{key}");
                ours.get(key).map_or(Some(at.clone()), |ours| missing(ours, value, &at))
            })
        }
        (Value::Array(ours), Value::Array(published)) => {
            let lost = published.iter().find(|value| !ours.contains(value));
            lost.map(|value| format!("{at}: {value}"))
        }
        _ => (ours != published).then(|| format!("{at}: {ours} instead of {published}")),
    }
}

#[test]
fn golden_protocol_names() {
    for (path, published) in golden::json_files("wire") {
        assert_eq!(missing(names::protocol(), &published, ""), None, "{}", path.display());
    }
}

#[test]
fn names_of_october_2026() {
    let protocol = names::protocol();
    for name in ["add_lora", "bounce", "midi_transcribe"] {
        assert!(protocol["commands"][name].is_object(), "{name}");
    }
    assert_eq!(protocol["commands"]["midi_transcribe"]["binary"], true);
    assert_eq!(protocol["commands"]["bounce"]["binary"], false);
    assert_eq!(protocol["events"]["bounce_ready"]["binary_follow"], true);
    for event in ["bounce_failed", "midi_notes", "midi_failed"] {
        assert_eq!(protocol["events"][event]["binary_follow"], false, "{event}");
    }
    let fields = [
        "/commands/params/fields/render_anchor_s",
        "/commands/swap_source/fields/duration_s",
        "/events/init_ack/fields/supports_text_only",
        "/config/text_only",
        "/config/telemetry_version",
        "/config/minimax_lyrics",
    ];
    for field in fields {
        assert!(protocol.pointer(field).is_some(), "{field}");
    }
}
