//! `lagtape backend` as a program: what it prints, its side bus, and a fixture that it does not have.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Running, check, check_complaint};

fn started(words: &[&str]) -> Running {
    Running::start(&[&["backend"], words].concat())
}

fn get(address: &str) -> Value {
    let (host, path) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn the_side_bus_is_on_the_second_line() {
    let backend = started(&["--bus-port", "0"]);
    assert!(backend.line().starts_with("ws://127.0.0.1:"));
    let bus = backend.line();
    assert_eq!(get(&bus), json!([]), "{bus}");

    let backend = started(&["--bus-port", "off"]);
    assert!(backend.line().starts_with("ws://127.0.0.1:"));
    assert!(!backend.kill().said.contains("DEMON_CONTROL_PORT"));
}

#[test]
fn a_side_bus_whose_port_is_taken_goes_elsewhere_or_fails() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    check_complaint(&["backend", "--bus-port", &port], 1, "the port is taken");
    check_complaint(&["backend", "--bus-port", "none"], 2, "write a port, 0 or off");
}

#[test]
fn a_recording_of_an_unknown_fixture_says_what_there_is() {
    let backend = started(&["--loop", "2s"]);
    let url = backend.line();
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape").to_str().unwrap().to_owned();
    let (_, said) = check(&["record", &url, "--fixture", "nosuch", "-o", &out], 1);
    for part in
        ["no fixture \"nosuch\"", "built-in, ", "thrash_metal_loop_60s_enm.wav", "upload audio"]
    {
        assert!(said.contains(part), "{said}");
    }
    let said = backend.kill().said;
    assert!(said.contains("asked for the fixture \"nosuch\", which is none"), "{said}");
}
