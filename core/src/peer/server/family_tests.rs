//! The servers of the families, message by message.

use serde_json::{Map, Value, json};

use super::*;

/// What a server sends: when, in seconds from the config, and what.
type Sent = Vec<(f64, Value)>;

/// A client of that family that reports ten times a second from the initial buffer on.
struct Listener {
    server: Server,
    now: Nanos,
    sent: Sent,
    /// When the initial buffer came.
    began_s: Option<f64>,
    /// Its length.
    buffer_s: f64,
    /// Whether the listener stands at the beginning until the first slice.
    waits: bool,
    knobs: Map<String, Value>,
}

impl Listener {
    fn new(family: Family, config: &Value) -> Self {
        let source = ServerSource::BuiltIn { seconds: 2.0, channels: 1 };
        let options = ServerOptions { seed: 7, source, ..ServerOptions::default() };
        Self::of(options, family, config)
    }

    fn of(options: ServerOptions, family: Family, config: &Value) -> Self {
        let mut server = Server::new(options, Nanos(0));
        let mut fields = config.as_object().unwrap().clone();
        fields.insert("backend".to_owned(), json!(family.name()));
        fields.insert("telemetry_version".to_owned(), json!(1));
        server.receive(Nanos(0), Incoming::Text(&Value::Object(fields).to_string()));
        let waits = family.traits().first_audio_s > 0.0;
        let sent = Vec::new();
        Self { server, now: Nanos(0), sent, began_s: None, buffer_s: 0.0, waits, knobs: Map::new() }
    }

    fn text_only(family: Family, further: &Value) -> Self {
        let mut config = further.clone();
        config["text_only"] = json!(true);
        Self::new(family, &config)
    }

    fn say(&mut self, message: &Value) {
        self.server.receive(self.now, Incoming::Text(&message.to_string()));
    }

    /// Listens on for so long.
    fn listen(mut self, for_s: f64) -> Self {
        let until = Nanos(self.now.0 + (for_s * 1e9) as u64);
        while self.now < until {
            self.now = Nanos(self.now.0 + 100_000_000);
            self.take();
            let first = self.sent.iter().find(|(_, message)| *message == "slice");
            let from_s = if self.waits { first.map(|(at_s, _)| *at_s) } else { self.began_s };
            let heard_s = from_s.map_or(0.0, |from_s| self.now.seconds() - from_s);
            let position_s = heard_s % self.buffer_s.max(1.0);
            if self.began_s.is_some() {
                // Something is turned now and then, so that the server does not rest.
                let mut raw = self.knobs.clone();
                raw.insert("x".to_owned(), json!(self.now.0 / 10_000_000_000));
                self.say(&json!({"type": "params", "raw": raw, "playback_pos": position_s}));
            }
        }
        self
    }

    /// Takes what is due by now, each at its time.
    fn take(&mut self) {
        let until = self.now;
        while let Some(at) = self.server.wake_at().filter(|&at| at <= until) {
            while let Some(message) = self.server.poll(at) {
                let message = match message {
                    Outgoing::Text(text) => serde_json::from_str(&text).unwrap(),
                    Outgoing::Binary(bytes) if bytes.first() == Some(&1) => json!("slice"),
                    Outgoing::Binary(bytes) => {
                        self.began_s.get_or_insert(at.seconds());
                        self.buffer_s = bytes.len() as f64 / 4.0 / 48_000.0;
                        json!(bytes.len())
                    }
                    Outgoing::Close { code, .. } => json!({"close": code}),
                    Outgoing::Ping(_) | Outgoing::Pong(_) => json!("control"),
                };
                self.sent.push((at.seconds(), message));
            }
        }
    }

    fn of_type(&self, kind: &str) -> Vec<(f64, &Value)> {
        let found = self.sent.iter().filter(|(_, message)| message["type"] == kind);
        found.map(|(at_s, message)| (*at_s, message)).collect()
    }

    fn updates(&self) -> Vec<(f64, &Value)> {
        self.of_type("params_update")
            .into_iter()
            .map(|(at_s, sent)| (at_s, &sent["params"]))
            .collect()
    }

    fn slices(&self) -> Vec<f64> {
        let slices = self.sent.iter().filter(|(_, message)| *message == "slice");
        slices.map(|(at_s, _)| *at_s).collect()
    }
}

/// `ready` comes after so long, and with it a buffer of so many bytes.
#[track_caller]
fn check_beginning(family: Family, config: &Value, after_s: f64, bytes: u64, can: &[&str]) {
    let listener = Listener::text_only(family, config).listen(after_s + 0.5);
    let (ready_s, ready) = listener.of_type("ready")[0];
    assert!((ready_s - after_s).abs() < 0.01, "{} is ready at {ready_s} s", family.name());
    let place = listener.sent.iter().position(|(_, message)| message["type"] == "ready").unwrap();
    assert_eq!(listener.sent[place + 1].1, bytes, "{}", family.name());
    let all = ready["capabilities"].as_object().unwrap();
    let found: Vec<_> = all.iter().filter(|(_, can)| **can == true).map(|(name, _)| name).collect();
    assert_eq!(found, can, "{}", family.name());
    let frames = ready["geometry"]["duration_s"].as_f64().unwrap() * 48_000.0;
    assert!((frames * 4.0 - bytes as f64).abs() < 0.5, "geometry {}", ready["geometry"]);
}

#[test]
fn each_family_begins_in_its_way() {
    let loops =
        ["refines_audio", "swap", "loop_band", "swap_resize", "render_anchor_queue", "bounce"];
    let with_loras: Vec<_> = [&loops[..2], &["lora"], &loops[2..]].concat();
    check_beginning(Family::Sa3, &json!({"sa3_duration_s": 10}), 0.15, 1_920_000, &loops);
    check_beginning(
        Family::Sa3,
        &json!({"sa3_duration_s": 4, "lora": true}),
        0.15,
        768_000,
        &with_loras,
    );
    let songs = ["refines_audio", "loop_band", "render_anchor_queue"];
    check_beginning(Family::Yue2, &json!({"yue2_duration_s": 10}), 15.15, 1_919_744, &songs);
    check_beginning(Family::Mrt2, &json!({}), 0.15, 11_520_000, &[]);
    check_beginning(Family::Minimax, &json!({"minimax_duration_s": 10}), 0.15, 1_920_000, &[]);
}

#[test]
fn what_the_client_brings_counts_for_sa3_alone() {
    let config = json!({"yue2_duration_s": 2, "minimax_duration_s": 2});
    let audio = Pcm::new(1, vec![0.5; 48_000]).to_message();
    for (family, after_s, bytes) in [
        (Family::Sa3, 0.2, 192_000),
        (Family::Yue2, 15.2, 383_744),
        (Family::Minimax, 0.2, 384_000),
    ] {
        let mut listener = Listener::new(family, &config);
        listener.server.receive(Nanos(0), Incoming::Binary(&audio));
        let listener = listener.listen(after_s);
        let buffer = listener.sent.iter().find(|(_, message)| message.is_u64());
        assert_eq!(buffer.unwrap().1, bytes, "{}", family.name());
    }
}

/// What a family says in `params_update` beside what all say.
#[track_caller]
fn check_telemetry(family: Family, listens_s: f64, own: &[&str]) {
    let config = json!({"sa3_duration_s": 4, "yue2_duration_s": 4, "minimax_duration_s": 4});
    let listener = Listener::text_only(family, &config).listen(listens_s);
    let updates = listener.updates();
    let common = ["num_gens", "tick_ms", "dec_ms", "_prompt", "x"];
    let said = updates.last().unwrap().1.as_object().unwrap();
    let found: Vec<_> = said.keys().filter(|key| !common.contains(&key.as_str())).collect();
    assert_eq!(found, own, "{}", family.name());
}

#[test]
fn each_family_tells_its_own() {
    let sa3 =
        ["gen_seed", "gen_prompt", "gen_cond_epoch", "gen_sa3_denoise", "seed", "sa3_denoise"];
    check_telemetry(Family::Sa3, 1.0, &sa3);
    let yue2 = [
        "gen_seed",
        "gen_prompt",
        "gen_cond_epoch",
        "gen_yue2_denoise",
        "yue2_nar",
        "yue2_truncated",
        "yue2_create_ms",
        "yue2_recomposing",
        "seed",
        "yue2_denoise",
    ];
    check_telemetry(Family::Yue2, 16.0, &yue2);
    check_telemetry(Family::Mrt2, 1.0, &["mrt2_lead"]);
    let minimax = [
        "frontier_lead_s",
        "ar_finished",
        "ar_frames",
        "ar_ms_per_frame",
        "ar_realtime",
        "chunks",
        "chunk_render_ms",
        "minimax_ar_seed",
        "minimax_lead",
        "minimax_endless",
    ];
    check_telemetry(Family::Minimax, 10.0, &minimax);
}

#[test]
fn a_command_that_a_family_lacks_is_refused_and_its_binary_ignored() {
    let mut listener = Listener::text_only(Family::Mrt2, &json!({})).listen(0.5);
    let before = listener.sent.len();
    listener.say(&json!({"type": "swap_source"}));
    let audio = Pcm::new(1, vec![0.5; 4_800]).to_message();
    listener.server.receive(listener.now, Incoming::Binary(&audio));
    listener.say(&json!({"type": "bounce", "request_id": "1"}));
    let listener = listener.listen(0.5);
    let answers: Vec<_> = listener.sent[before..]
        .iter()
        .map(|(_, message)| message)
        .filter(|message| **message != "slice" && message["type"] != "params_update")
        .map(|message| (&message["type"], &message["command"], &message["requires"]))
        .collect();
    let failed = json!("command_failed");
    assert_eq!(
        answers,
        [
            (&failed, &json!("swap_source"), &json!("swap")),
            (&failed, &json!("bounce"), &json!("bounce")),
        ]
    );
}

#[test]
fn sa3_is_silent_for_a_second_after_a_swap() {
    let mut listener = Listener::text_only(Family::Sa3, &json!({"sa3_duration_s": 8})).listen(3.0);
    listener.say(&json!({
        "type": "swap_source", "use_server_source": true, "fixture_name": "short_loop_8s.wav",
    }));
    let listener = listener.listen(3.0);
    let (swapped_s, _) = listener.of_type("swap_ready")[0];
    let first = listener.slices().into_iter().find(|&at_s| at_s > swapped_s).unwrap();
    assert!((0.95..1.1).contains(&(first - swapped_s)), "{first} after {swapped_s}");
    let slices = listener.slices();
    let rate = slices.iter().filter(|&&at_s| (1.0..3.0).contains(&at_s)).count() as f64 / 2.0;
    assert!((10.0..11.5).contains(&rate), "{rate} a second");
}

#[test]
fn slices_of_yue2_go_on_while_nothing_is_rendered() {
    let mut listener =
        Listener::text_only(Family::Yue2, &json!({"yue2_duration_s": 2})).listen(24.0);
    let counts = |listener: &Listener, from_s: f64, to_s: f64| -> Vec<u64> {
        let updates = listener.updates().into_iter();
        let within = updates.filter(|(at_s, _)| (from_s..to_s).contains(at_s));
        within.map(|(_, params)| params["num_gens"].as_u64().unwrap()).collect()
    };
    let settled = counts(&listener, 20.0, 24.0);
    assert!(settled.len() > 100, "{} slices", settled.len());
    assert!(settled.iter().all(|count| *count == settled[0]), "{settled:?}");
    assert_eq!(listener.updates().last().unwrap().1["tick_ms"], 0.0);
    listener.knobs.insert("yue2_denoise".to_owned(), json!(0.5));
    let listener = listener.listen(5.0);
    assert!(counts(&listener, 24.0, 29.0).last() > settled.last());
    assert_eq!(listener.updates().last().unwrap().1["gen_yue2_denoise"], 0.5);
}

#[test]
fn another_prompt_of_yue2_comes_with_another_song() {
    let mut listener =
        Listener::text_only(Family::Yue2, &json!({"yue2_duration_s": 2})).listen(18.0);
    listener.say(&json!({"type": "prompt", "tags": "house"}));
    let listener = listener.listen(60.0);
    let with = |key: &str, value: Value| {
        let updates =
            listener.updates().into_iter().filter(move |(_, params)| params[key] == value);
        updates.map(|(at_s, _)| at_s).collect::<Vec<_>>()
    };
    let composing = with("yue2_recomposing", json!(["a"]));
    let house = with("gen_prompt", json!("house"));
    assert!((18.0..18.2).contains(&composing[0]), "{}", composing[0]);
    assert!((39.0..76.1).contains(&house[0]), "{}", house[0]);
    assert!((house[0] - composing.last().unwrap()).abs() < 0.1);
}

#[test]
fn a_piece_of_minimax_ends_and_the_socket_stays() {
    let config = json!({"minimax_duration_s": 48});
    let finished = Listener::text_only(Family::Minimax, &config).listen(60.0);
    let slices = finished.slices();
    assert!((6.1..6.3).contains(&slices[0]), "first audio after {} s", slices[0]);
    assert_eq!(slices.len(), 33, "eleven commits of three slices");
    assert!((40.0..55.0).contains(slices.last().unwrap()));
    assert!(finished.of_type("error").is_empty() && !finished.server.is_closed());
    let mut endless = Listener::text_only(Family::Minimax, &config);
    endless.knobs.insert("minimax_endless".to_owned(), json!(true));
    assert!(endless.listen(60.0).slices().len() > 36);
}

#[test]
fn a_cold_server_composes_longest() {
    let source = ServerSource::BuiltIn { seconds: 2.0, channels: 1 };
    let faults = ServerFaults { cold: true, ..ServerFaults::default() };
    let options = ServerOptions { source, faults, ..ServerOptions::default() };
    let config = json!({"text_only": true, "yue2_duration_s": 2, "minimax_duration_s": 10});
    let yue2 = Listener::of(options.clone(), Family::Yue2, &config).listen(35.0);
    assert!((34.1..34.2).contains(&yue2.of_type("ready")[0].0));
    let minimax = Listener::of(options, Family::Minimax, &config).listen(40.0);
    assert!((34.1..34.3).contains(&minimax.slices()[0]), "{}", minimax.slices()[0]);
}

#[test]
fn what_a_tape_sends_late_is_not_shed() {
    let mut listener = Listener::text_only(Family::Mrt2, &json!({})).listen(3.0);
    // Nobody takes anything for 5 s, and nothing was acknowledged.
    for tenth in 0..50_u64 {
        let at = Nanos(3_000_000_000 + tenth * 100_000_000);
        let position_s = at.seconds() - 0.15;
        let report = json!({
            "type": "params", "raw": {}, "playback_pos": position_s, "slice_bytes_rx": 0,
        });
        listener.server.receive(at, Incoming::Text(&report.to_string()));
    }
    listener.now = Nanos(8_000_000_000);
    let before = listener.slices().len();
    listener.take();
    let late = listener.slices().len() - before;
    assert!((115..=130).contains(&late), "{late} slices of 40 ms in 5 s");
    assert_eq!(listener.server.shed(), Shed::default());
}
