//! How soon a live session names its fault: asked for as a display does, four times a second.

use lagtape::capture::Header;
use lagtape::diagnosis::Diagnosis;
use lagtape::engine::{Engine, Options};
use lagtape::peer::simulation::simulate;
use lagtape::time::Nanos;

use super::verb;

/// Between two questions.
const ASKED_EVERY_NS: u64 = 250_000_000;
/// A finding stands this long after its evidence is there at the latest, in seconds.
const WITHIN_S: f64 = 2.0;

/// When the class of a trouble is named first, in seconds from the initial buffer.
fn named_at(
    trouble: &str,
    client: lagtape::peer::client_model::ClientModel,
    class: &str,
) -> Option<f64> {
    let verb = verb(trouble, client, 20);
    let options = verb.options().unwrap();
    let header: Header = verb.header(&options);
    let mut engine = Engine::new(Options { headers_only: true, ..Options::default() });
    let (mut ask_at, mut last, mut named) = (Nanos(0), Nanos(0), None);
    simulate(options, header, &mut |record| {
        last = record.t;
        while named.is_none() && record.t > ask_at {
            let finding = Diagnosis::present(&engine, ask_at);
            named = finding.filter(|it| it.class.id() == class).map(|_| ask_at);
            ask_at = Nanos(ask_at.0 + ASKED_EVERY_NS);
        }
        engine.handle(record);
    });
    // A session that is over is asked once more.
    let finding = Diagnosis::present(&engine, last).filter(|it| it.class.id() == class);
    let named = named.or(finding.map(|_| last));
    let origin = engine.origin().unwrap();
    named.map(|at: Nanos| at.seconds_since(origin))
}

/// A fault whose evidence is there at `told_s` is named within two seconds from then on.
#[track_caller]
fn check(
    trouble: &str,
    client: lagtape::peer::client_model::ClientModel,
    class: &str,
    told_s: f64,
) {
    let named_s = named_at(trouble, client, class);
    let named_s = named_s.unwrap_or_else(|| panic!("{trouble} is never {class}"));
    println!("{trouble}: {class} at {named_s:.2} s, told from {told_s} s on");
    assert!(named_s <= told_s + WITHIN_S, "{trouble}: {class} at {named_s} s, told at {told_s} s");
}

use lagtape::peer::client_model::ClientModel::{Headless, Lagtape, Sdk, TouchDesigner, Web};

#[test]
fn what_shows_at_once_is_named_within_2_s_of_its_onset() {
    check("stall:at=8,for=4", Sdk, "generation-stall", 8.0);
    check("refit-storm:at=8,for=6,refit=0.5", Lagtape, "refit-storm", 8.0);
    check("raw-source:for=5", Lagtape, "raw-source-never-covered", 0.0);
    check("oversize-window:window=4", Sdk, "oversize-window", 0.0);
    check("preempted:at=9", Web, "preempted", 9.0);
}

/// Ticks that are fifteen times as long tell of themselves when the first of them is done; a position that is
/// read late has to be old by as much as counts.
#[test]
fn what_has_to_grow_is_named_within_2_s_of_what_counts() {
    check("slow-generation:at=8", Sdk, "slow-generation", 8.8);
    check("vram-paging:at=8", Web, "vram-paging", 8.3);
    check("stale-playhead:per-s=10,at=8", TouchDesigner, "stale-playhead", 8.5);
}

/// What is told by passing, or by coming again, is told when it has.
#[test]
fn what_comes_again_is_named_within_2_s_of_the_time_that_tells() {
    // The first burst of load ends at 10 s, and its last tick 0.4 s later at most.
    check("gpu-contention:at=8,every=4,busy=2", Lagtape, "gpu-contention", 10.4);
    // Two rounds of a throttled client.
    check("client-backlog:every=1", Sdk, "client-backlog", 2.0);
    // The client reports again.
    check("client-send-hitch:at=8,every=5,hitch=2", Web, "client-send-hitch", 10.0);
    // A clock has to be watched, and four pauses to pass.
    check("clock-skew:rate=1.03", Headless, "clock-skew", 2.3);
    check("stair-step-playhead:frames=4096", TouchDesigner, "stair-step-playhead", 2.3);
    check("burst-production:short=0.2,long=0.6", Sdk, "burst-production", 6.5);
}
