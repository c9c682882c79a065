//! What the proxy records of what it forwards.

use std::sync::mpsc as blocking;
use std::sync::{Arc, Mutex};

use lagtape::app::{self, AnalyzeOptions, RecordVerb, SessionSource};
use lagtape::capture::Body;
use lagtape::edge::backend::serve;
use lagtape::edge::proxy::ProxyNotice as Notice;
use lagtape::edge::proxy::ProxyOptions;
use lagtape::edge::proxy::SessionCaptures as Captures;
use lagtape::edge::recorder::{FileLayout, Quota, RingOptions};
use lagtape::peer::server::BUILT_IN;
use lagtape::playhead::PlayheadSource;
use lagtape::time::Span;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{DOWN, UP, assert_same, shake_hands};
use crate::backend;
use crate::promises::measured;
use crate::proxy_between::{Between, Maker, PATIENCE, into, messages_of, read};

/// The onlooker is held up while messages pass: they all arrive, and the capture tells what it lacks.
async fn check_loss(extensions: &str, deflate: Option<bool>) -> Vec<(u8, Vec<u8>)> {
    let folder = TempDir::new().unwrap();
    let (release, held) = blocking::channel::<()>();
    let held = Mutex::new(held);
    let options = ProxyOptions {
        max_waiting: 400_000,
        // The thread that looks on is held up by its first notice.
        watch: Arc::new(move |notice| {
            if matches!(notice, Notice::Opened { .. }) {
                let _ = held.lock().unwrap().recv();
            }
        }),
        ..into(folder.path())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = Between::start(&format!("ws://{}", listener.local_addr().unwrap()), options);
    let (mut client, mut server) = shake_hands(&listener, between.address, extensions).await;
    let mut down = Maker::new(20, false, deflate);
    for i in 0..200 {
        let payload = down.payload(if i % 2 == 0 { 20_000 } else { 10 });
        down.message(2, &payload, 7_000);
    }
    let before = down.traffic.wire.len();
    let lost_part = down.traffic.messages.len();
    let mut heard = vec![0; before];
    let (wrote, read_all) =
        tokio::join!(server.write_all(&down.traffic.wire), client.read_exact(&mut heard));
    wrote.unwrap();
    read_all.unwrap();
    assert_same(&heard, &down.traffic.wire, "what the client heard");

    drop(release);
    // From here on everything is looked at again; how soon is not known, so much follows.
    let mut known = Vec::new();
    for i in 0..200 {
        let payload = down.payload(3_000);
        let at = down.traffic.wire.len();
        down.message(if i % 5 == 0 { 1 } else { 2 }, &payload, 9_000);
        known.push((down.traffic.messages.last().unwrap().clone(), at));
        server.write_all(&down.traffic.wire[at..]).await.unwrap();
        let mut heard = vec![0; down.traffic.wire.len() - at];
        client.read_exact(&mut heard).await.unwrap();
        assert_same(&heard, &down.traffic.wire[at..], "what the client heard later");
    }
    measured(
        down.traffic.wire.len() as u64,
        "bytes forwarded to a client whose observer stood still",
    );
    drop((client, server));
    let capture = tokio::task::spawn_blocking(move || between.closed()).await.unwrap();
    let (mut whole, mut compressed, mut lost) = (0, 0, 0);
    let mut next_seq = 0;
    read(&capture, |record| {
        match &record.body {
            Body::Gap(gap) => {
                assert_eq!(gap.first_seq, next_seq, "a gap stands where its records are missing");
                assert!(gap.reason.contains("could be looked at"), "{}", gap.reason);
                lost += gap.count;
            }
            Body::Message(message) if message.compressed => compressed += 1,
            Body::Message(_) => whole += 1,
            _ => {}
        }
        next_seq = record.seq + 1;
    });
    let sent = down.traffic.messages.len() as u64;
    assert_eq!(
        whole + compressed + lost,
        sent,
        "{whole} whole, {compressed} compressed, {lost} lost"
    );
    assert!(lost > 100 && lost < lost_part as u64 + 200, "{lost} of {lost_part}");
    assert!(deflate == Some(true) || compressed == 0, "{compressed} need nothing that was lost");
    let found = messages_of(&capture, DOWN);
    let mut expected = down.traffic.messages.iter();
    for message in &found {
        assert!(expected.any(|sent| sent == message), "an unknown message, or one out of order");
    }
    assert_eq!(found.last(), down.traffic.messages.last(), "in the end all is known again");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_at_is_told_and_forwarded() {
    check_loss("x", None).await;
    check_loss("permessage-deflate; server_no_context_takeover", Some(false)).await;
    check_loss("permessage-deflate", Some(true)).await;
}

/// The client's own capture and the proxy's, of one session: the same messages, and the same report
/// but for the moments that a message needs from one to the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_recording_in_between_reports_what_the_client_does() {
    let folder = TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, backend::options(), std::future::pending()));
    let between = Between::start(&url, into(folder.path()));
    let own = folder.path().join("own.lagtape");
    let verb = RecordVerb {
        out: Some(own.clone()),
        source: SessionSource::Fixture(BUILT_IN.to_owned()),
        run_for: Some(Span(4_000_000_000)),
        ..RecordVerb::new(format!("ws://{}", between.address))
    };
    let session = app::record(verb, std::future::pending(), ()).await.unwrap();
    assert_eq!(session.failure, None);
    let (capture, said) =
        tokio::task::spawn_blocking(move || (between.closed(), between.finish())).await.unwrap();
    assert!(said.is_empty(), "{said:?}");

    // When each slice was there, once for the client and once for the proxy, from the buffer on.
    let times = |path| {
        let (mut times, mut origin) = (Vec::new(), None);
        read(path, |record| {
            if let Body::Message(message) = &record.body
                && message.direction == DOWN
                && u8::from(message.opcode) == 2
            {
                let from = *origin.get_or_insert(record.t);
                times.push(record.t.seconds_since(from));
            }
        });
        times
    };
    let (client, proxy) = (times(&own), times(&capture));
    assert_eq!(client.len(), proxy.len());
    let apart_s = client.iter().zip(&proxy).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);

    let options =
        AnalyzeOptions { playhead: Some(PlayheadSource::Reported), ..AnalyzeOptions::default() };
    let [own, between] = [&own, &capture].map(|path| app::analyze(path, &options).unwrap());
    assert_eq!(own.slices, between.slices);
    assert_eq!(own.ticks, between.ticks);
    assert_eq!(own.traffic.server_to_client.bytes, between.traffic.server_to_client.bytes);
    let (own, between) = (own.lag.unwrap(), between.lag.unwrap());
    let (own_lead, lead) = (own.slices.lead_s.unwrap(), between.slices.lead_s.unwrap());
    // A report reaches the proxy as much later as a slice reaches the client.
    let bound_s = 2.0 * apart_s + 0.001;
    for (own, between) in
        [(own_lead.p5, lead.p5), (own_lead.p50, lead.p50), (own_lead.p95, lead.p95)]
    {
        assert!(
            (own - between).abs() <= bound_s,
            "lead {own} and {between} s, times {apart_s} s apart"
        );
    }
    assert_eq!(own.ticks.count, between.ticks.count);
}

/// Several sessions at once have a capture each.
#[tokio::test(flavor = "multi_thread")]
async fn each_session_has_its_capture() {
    let folder = TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between =
        Between::start(&format!("ws://{}", listener.local_addr().unwrap()), into(folder.path()));
    let mut open = Vec::new();
    for i in 0..5u8 {
        let (mut client, mut server) = shake_hands(&listener, between.address, "x").await;
        let mut sent = Maker::new(1, true, None);
        sent.message(1, &[b'0' + i], 10);
        client.write_all(&sent.traffic.wire).await.unwrap();
        server.read_exact(&mut vec![0; sent.traffic.wire.len()]).await.unwrap();
        open.push((client, server));
    }
    // A stop seals the captures of sessions that are still open.
    let said = tokio::task::spawn_blocking(move || between.finish()).await.unwrap();
    let mut captures: Vec<_> = said
        .into_iter()
        .filter_map(|notice| match notice {
            Notice::Closed { mut captures, reason, .. } => {
                assert_eq!(reason, "the proxy was stopped");
                captures.pop()
            }
            _ => None,
        })
        .collect();
    captures.sort();
    captures.dedup();
    assert_eq!(captures.len(), 5);
    let mut found: Vec<_> = captures.iter().flat_map(|capture| messages_of(capture, UP)).collect();
    found.sort();
    assert_eq!(found, (0..5).map(|i| (1, vec![b'0' + i])).collect::<Vec<_>>());
    for capture in captures {
        assert!(app::analyze(&capture, &AnalyzeOptions::default()).unwrap().complete);
    }
}

/// With a ring nothing is written until somebody asks, and then what came before.
#[tokio::test(flavor = "multi_thread")]
async fn a_ring_is_written_when_it_is_asked_for() {
    let folder = TempDir::new().unwrap();
    let ring = RingOptions {
        limits: "60s".parse().unwrap(),
        triggers: Vec::new(),
        after: Span(1_000_000_000),
        quota: Quota::default(),
    };
    let captures =
        Captures { layout: FileLayout::Ring(ring), ..Captures::into(folder.path().to_owned()) };
    let options = ProxyOptions { captures: Some(captures), ..ProxyOptions::default() };
    let trigger = options.trigger.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = Between::start(&format!("ws://{}", listener.local_addr().unwrap()), options);
    let (mut client, mut server) = shake_hands(&listener, between.address, "x").await;
    let sent = Maker::new(5, true, None).random(20).traffic;
    client.write_all(&sent.wire).await.unwrap();
    server.read_exact(&mut vec![0; sent.wire.len()]).await.unwrap();
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files(), 0, "nothing happened yet");
    trigger.fire();
    let capture = tokio::task::spawn_blocking(move || {
        loop {
            let notice = between.notices.recv_timeout(PATIENCE).unwrap();
            if let Notice::Recorder { sentence, .. } = &notice
                && sentence.contains("asked")
            {
                break;
            }
        }
        drop((client, server));
        between.closed()
    })
    .await
    .unwrap();
    assert_eq!(files(), 1);
    assert!(capture.file_name().unwrap().to_str().unwrap().starts_with("incident-"));
    assert_eq!(messages_of(&capture, UP), sent.messages);
}
