//! Before a server is taken over, the person is asked, where the client can.

use serde_json::{Value, json};

use super::{Client, folder};

/// A port of this machine on which nobody listens once this returns.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("ws://{}/?key=secret", listener.local_addr().unwrap())
}

/// Starts a session and answers what is asked; the question, and the result of the call.
fn start(said: &Value, args: &Value) -> (Option<Value>, Value) {
    let folder = folder();
    let mut client = Client::able(folder.path(), &[], &json!({"elicitation": {}}));
    let id = client.send("tools/call", &json!({"name": "headless_start", "arguments": args}));
    let first = client.message(|message| {
        message["method"] == "elicitation/create"
            || message["id"] == id && message.get("method").is_none()
    });
    if first["method"] != "elicitation/create" {
        return (None, first["result"].clone());
    }
    client.write(&json!({"jsonrpc": "2.0", "id": first["id"], "result": said}).to_string());
    (Some(first["params"].clone()), client.answer(id)["result"].clone())
}

#[test]
fn a_person_may_keep_a_server() {
    let url = nobody();
    let args = json!({"url": url, "fixture": "x.wav", "wait_s": 20});
    for said in [json!({"action": "decline"}), json!({"action": "cancel"})] {
        let (asked, answer) = start(&said, &args);
        let question = asked.unwrap()["message"].as_str().unwrap().to_owned();
        assert!(question.contains("127.0.0.1") && !question.contains("secret"), "{question}");
        let text = answer["content"][0]["text"].as_str().unwrap();
        assert!(answer["isError"] == true && text.contains("nothing was started"), "{answer}");
    }
    // With a yes it goes on, to a server that is not there.
    let (_, answer) = start(&json!({"action": "accept", "content": {}}), &args);
    let text = answer["content"][0]["text"].as_str().unwrap();
    assert!(answer["isError"] == true && !text.contains("nothing was started"), "{answer}");
}

#[test]
fn the_built_in_server_is_nobodys() {
    let (asked, answer) = start(&json!({"action": "decline"}), &json!({"wait_s": 0}));
    assert_eq!((asked, &answer["isError"]), (None, &json!(false)));
}

#[test]
fn a_client_that_cannot_ask_goes_on() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let args = json!({"url": nobody(), "fixture": "x.wav", "wait_s": 20});
    let said = client.failure("headless_start", &args);
    assert!(!said.contains("nothing was started"), "{said}");
}
