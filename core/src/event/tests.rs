use super::*;

/// Reads a script of messages and names what each meant. `<` is from the server, `>` from the
/// client; a message in braces is text, anything else binary. Those that begin with `2` are of
/// a second connection.
fn read(script: &[&str]) -> Vec<&'static str> {
    let mut interpreter = Interpreter::new();
    script
        .iter()
        .map(|message| {
            let second = message.strip_prefix('2');
            let (direction, payload) = second.unwrap_or(message).split_at(1);
            let direction = match direction {
                "<" => Direction::ServerToClient,
                _ => Direction::ClientToServer,
            };
            let opcode = if payload.starts_with('{') { Opcode::Text } else { Opcode::Binary };
            let message = Message::new(direction, opcode, payload.as_bytes());
            name(&interpreter.read(second.is_some().into(), &message))
        })
        .collect()
}

fn name(event: &Event<'_>) -> &'static str {
    match event {
        Event::Config(_) => "config",
        Event::Upload => "upload",
        Event::Skipped => "skipped",
        Event::Ready { .. } => "ready",
        Event::Refused { .. } => "refused",
        Event::InitialBuffer => "buffer",
        Event::Slice => "slice",
        Event::SwapBuffer { channels: Some(1) } => "mono swap",
        Event::SwapBuffer { .. } => "swap",
        Event::Aside => "aside",
        Event::ParamsUpdate => "update",
        Event::Server { .. } => "event",
        Event::Unreadable(_) => "unreadable",
        Event::Tick(_) => "tick",
        Event::Command(_) => "command",
        Event::Close { .. } => "close",
        Event::Nothing => "nothing",
        Event::Compressed => "compressed",
        Event::Elsewhere => "elsewhere",
    }
}

const HANDSHAKE: [&str; 3] = [r#">{"prompt":"x"}"#, r#"<{"type":"ready"}"#, "<pcm"];

#[track_caller]
fn check(after_handshake: &[&str], expected: &[&str]) {
    let script = [&HANDSHAKE[..], after_handshake].concat();
    assert_eq!(read(&script)[3..], *expected);
}

#[test]
fn handshake() {
    assert_eq!(
        read(&[
            r#">{"prompt":"x"}"#,
            ">pcm",
            r#"<{"type":"init_ack"}"#,
            "<early",
            "<{not json}",
            r#"<{"type":"ready"}"#,
            r#"<{"type":"lora_catalog"}"#,
            "<pcm",
            "<slice",
        ]),
        ["config", "upload", "skipped", "skipped", "skipped", "ready", "event", "buffer", "slice"]
    );
    assert_eq!(
        read(&[r#">{}"#, r#"<{"type":"error","code":"x"}"#, "<pcm", r#"<{"type":"ready"}"#]),
        ["config", "refused", "skipped", "nothing"]
    );
}

#[test]
fn announced_binaries_come_in_their_order() {
    check(
        &[
            r#"<{"type":"swap_ready","channels":1}"#,
            r#"<{"type":"stem_assets","stems":["a"]}"#,
            r#"<{"type":"stem_assets","stems":{"b":{}}}"#,
            r#"<{"type":"params_update"}"#,
            r#"<{"type":"bounce_ready"}"#,
            "<new",
            "<stem",
            "<stem",
            "<bounce",
            "<slice",
        ],
        &[
            "event",
            "event",
            "event",
            "update",
            "event",
            "mono swap",
            "aside",
            "aside",
            "aside",
            "slice",
        ],
    );
}

#[test]
fn what_was_announced_and_does_not_come() {
    let mut interpreter = Interpreter { phase: SessionPhase::Streaming, ..Interpreter::default() };
    let mut read = |direction, opcode, payload: &[u8]| {
        name(&interpreter.read(0, &Message::new(direction, opcode, payload)));
        interpreter.contradiction()
    };
    let (up, down) = (Direction::ClientToServer, Direction::ServerToClient);
    let header = SliceHeader {
        flags: 0,
        start: 0,
        frames: 1,
        channels: 1,
        tick_ms: 0.0,
        dec_ms: 0.0,
        generations: 1,
    };
    let slice = [&header.to_bytes()[..], &[0; 2]].concat();
    let bounce = br#"{"type":"bounce_ready","frames":8}"#;
    assert_eq!(read(down, Opcode::Text, bounce), None);
    assert_eq!(read(down, Opcode::Binary, &[7; 32]), None, "the bounce itself");
    assert_eq!(read(down, Opcode::Text, bounce), None);
    assert_eq!(read(down, Opcode::Binary, &slice), Some(Contradiction::NeverCame));
    assert_eq!(read(down, Opcode::Binary, &slice), None);
    let midi = br#"{"type":"midi_transcribe","request_id":"1"}"#;
    assert_eq!(read(up, Opcode::Text, midi), None);
    assert_eq!(read(up, Opcode::Binary, &[0; 8]), None);
    assert_eq!(read(up, Opcode::Text, midi), None);
    let text = Some(Contradiction::TextForPcm);
    assert_eq!(read(up, Opcode::Text, br#"{"type":"params"}"#), text);
    assert_eq!(read(up, Opcode::Text, br#"{"type":"params"}"#), None);
    let named = br#"{"type":"swap_source","use_server_source":true}"#;
    assert_eq!(read(up, Opcode::Text, named), None);
    assert_eq!(read(up, Opcode::Text, br#"{"type":"params"}"#), None);
}

#[test]
fn a_swap_announced_before_the_first_buffer_waits_for_it() {
    let script = [HANDSHAKE[0], HANDSHAKE[1], r#"<{"type":"swap_ready"}"#, "<pcm", "<new"];
    assert_eq!(read(&script)[2..], ["event", "buffer", "swap"]);
}

#[test]
fn the_session_is_where_the_server_is_ready() {
    let upload = [r#">{"type":"upload_track"}"#, ">pcm", r#"<{"type":"upload_done"}"#];
    let session =
        [r#"2>{"prompt":"x"}"#, r#"2<{"type":"ready"}"#, "<late", "2<pcm", ">late", "2<slice"];
    assert_eq!(
        read(&[&upload[..], &session].concat()),
        [
            "config",
            "upload",
            "skipped",
            "config",
            "ready",
            "elsewhere",
            "buffer",
            "elsewhere",
            "slice"
        ]
    );
    assert_eq!(
        read(&[r#">{}"#, r#"<{"type":"error"}"#, r#"2>{}"#, r#"2<{"type":"ready"}"#, "2<pcm"]),
        ["config", "refused", "config", "ready", "buffer"],
        "a client that was refused tries again"
    );
}

#[test]
fn behind_a_hole_a_slice_is_known_by_its_looks() {
    let slice = [&[0; 23][..]].concat();
    let binary = |payload| Message::new(Direction::ServerToClient, Opcode::Binary, payload);
    let mut interpreter = Interpreter {
        phase: SessionPhase::BeforeBuffer,
        expected: [Expectation::Stem].into(),
        ..Interpreter::new()
    };
    interpreter.doubt();
    assert_eq!(interpreter.read(0, &binary(&slice)), Event::Skipped, "the buffer is missing");
    assert_eq!(interpreter.read(0, &binary(&[7; 480])), Event::InitialBuffer);
    interpreter.expected = [Expectation::Stem].into();
    assert_eq!(interpreter.read(0, &binary(&slice)), Event::Slice, "the stem is missing");
    interpreter.expected = [Expectation::Stem].into();
    assert_eq!(interpreter.read(0, &binary(&[7; 480])), Event::Aside);
    assert_eq!(interpreter.pending().len(), 0);
}

#[test]
fn no_message_announces_stems_without_end() {
    let names = vec!["\"x\""; 2 * MAX_STEMS].join(",");
    let text = format!(r#"{{"type":"stem_assets","stems":[{names}]}}"#);
    let mut interpreter = Interpreter::new();
    for (direction, text) in [
        (Direction::ClientToServer, "{}"),
        (Direction::ServerToClient, r#"{"type":"ready"}"#),
        (Direction::ServerToClient, &text),
    ] {
        interpreter.read(0, &Message::new(direction, Opcode::Text, text.as_bytes()));
    }
    assert_eq!(interpreter.pending().len(), MAX_STEMS);
}

#[test]
fn what_cannot_be_read_costs_nothing() {
    check(
        &[">{broken", r#">{"type":"params"}"#, r#">{"type":"prompt"}"#, "<{broken", "<slice"],
        &["nothing", "tick", "command", "unreadable", "slice"],
    );
}

#[test]
fn what_failed_to_be_sent_means_nothing() {
    let mut interpreter = Interpreter::new();
    let mut config = Message::new(Direction::ClientToServer, Opcode::Text, b"{}");
    config.failed = true;
    assert_eq!(interpreter.read(0, &config), Event::Nothing);
    assert_eq!(interpreter.phase(), SessionPhase::BeforeConfig);
}

#[test]
fn what_stayed_compressed_uses_up_what_was_announced() {
    let mut interpreter = Interpreter {
        phase: SessionPhase::Streaming,
        expected: [Expectation::Bounce].into(),
        ..Interpreter::new()
    };
    let mut message = Message::new(Direction::ServerToClient, Opcode::Binary, &[0; 23]);
    message.compressed = true;
    interpreter.doubt();
    assert_eq!(interpreter.read(0, &message), Event::Compressed);
    assert_eq!(interpreter.pending().len(), 0);
}

#[test]
fn what_looks_like_a_slice_ends_all_that_was_announced() {
    let slice = [0; 23];
    let mut interpreter = Interpreter {
        phase: SessionPhase::Streaming,
        expected: [Expectation::Stem, Expectation::Bounce].into(),
        ..Interpreter::new()
    };
    interpreter.doubt();
    let message = Message::new(Direction::ServerToClient, Opcode::Binary, &slice);
    assert_eq!(interpreter.read(0, &message), Event::Slice);
    assert_eq!(interpreter.pending().len(), 0);
}

/// Whether a message of a delta with this behind its header looks like a slice.
#[track_caller]
fn check_delta(behind: &[u8], whole_len: Option<u64>, expected: bool) {
    let header = SliceHeader { flags: 1, frames: 9, channels: 1, ..SliceHeader::default() };
    let bytes = [&header.to_bytes()[..], behind].concat();
    let mut message = Message::new(Direction::ServerToClient, Opcode::Binary, &bytes);
    message.whole_len = whole_len;
    assert_eq!(looks_like_slice(&message), expected, "{behind:?} {whole_len:?}");
}

#[test]
fn a_delta_is_known_by_its_frame_or_by_what_was_left_out() {
    check_delta(&[0x28, 0xb5, 0x2f, 0xfd, 1], None, true);
    check_delta(&[0x28, 0xb5, 0x2f, 0xfe, 1], None, false);
    check_delta(&[], Some(90), true);
    check_delta(&[], None, false);
}

#[test]
fn stems_that_nobody_has_are_not_waited_for() {
    let stems = vec!["\"s\""; MAX_STEMS + 9].join(",");
    let event = format!(r#"{{"type":"stem_assets","stems":[{stems}]}}"#);
    let mut interpreter = Interpreter { phase: SessionPhase::Streaming, ..Interpreter::new() };
    let direction = Direction::ServerToClient;
    interpreter.read(0, &Message::new(direction, Opcode::Text, event.as_bytes()));
    assert_eq!(interpreter.pending().len(), MAX_STEMS);
}

#[test]
fn a_doubt_is_saved() {
    let mut interpreter = Interpreter::new();
    interpreter.doubt();
    let mut state = SessionState::default();
    interpreter.save(&mut state);
    assert!(state.doubtful && Interpreter::resume(&state).doubtful);
}

#[test]
fn a_close_has_a_code_with_or_without_a_reason() {
    let of = |payload: &[u8]| match close(payload) {
        Event::Close { code, reason } => (code, reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(of(&[3, 232]), (Some(1000), String::new()));
    assert_eq!(of(b"\x03\xe9gone"), (Some(1001), "gone".to_owned()));
    assert_eq!(of(&[3]), (None, String::new()));
}

#[test]
fn only_a_slice_of_up_to_eight_channels_stands_where_stems_were_announced() {
    let meant = |channels| {
        let header = SliceHeader { frames: 1, channels, ..SliceHeader::default() };
        let bytes = [&header.to_bytes()[..], &vec![0; 2 * usize::from(channels)]].concat();
        let mut interpreter = Interpreter {
            phase: SessionPhase::Streaming,
            expected: [Expectation::Stem].into(),
            ..Interpreter::new()
        };
        let message = Message::new(Direction::ServerToClient, Opcode::Binary, &bytes);
        (name(&interpreter.read(0, &message)), interpreter.contradiction())
    };
    assert_eq!(meant(1), ("slice", Some(Contradiction::NeverCame)));
    assert_eq!(meant(8), ("slice", Some(Contradiction::NeverCame)));
    assert_eq!(meant(9), ("aside", None));
}

#[test]
fn assets_without_stems_announce_none() {
    for none in ["[]", "{}", "7", "null"] {
        let text = format!(r#"<{{"type":"stem_assets","stems":{none}}}"#);
        check(&[&text, "<pcm"], &["event", "slice"]);
    }
    check(&[r#"<{"type":"stem_assets"}"#, "<pcm"], &["event", "slice"]);
}
