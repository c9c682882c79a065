//! Foreign code talks to the backend: a client written with Python's `websockets`, default settings.
//!
//! Needs Python with that package; see [`crate::python`].

use serde_json::json;

use crate::backend::{BUFFER_LEN, Running};
use crate::python;

#[test]
fn a_client_in_python_has_a_session() {
    if !python::has("websockets.asyncio.client", "websockets") {
        return;
    }
    let backend = Running::start(crate::backend::options());
    let output = python::command()
        .args(["-c", include_str!("python_client.py"), &backend.url(), "40"])
        .env("no_proxy", "127.0.0.1")
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        told,
        json!({
            "before": ["init_ack", "ready"],
            "extensions": 0,
            "buffer": BUFFER_LEN,
            "slices": 40,
            "coded": [1],
            "knob": 0.5,
            "prompt": "dub",
        })
    );
}
