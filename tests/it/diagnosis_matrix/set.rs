//! Labelled sessions: every class of incident over seeds, strengths, onsets, loops, clients and links,
//! healthy ones with everything that looks like trouble, and some with two causes.

use lagtape::app::SimulateVerb;
use lagtape::capture::Record;
use lagtape::engine::{Engine, Options};
use lagtape::family::Family;
use lagtape::peer::client::Dialect;
use lagtape::peer::client_model::ClientModel;
use lagtape::peer::incident::Injection;
use lagtape::peer::rng::{Rng, Stream};
use lagtape::peer::simulation::simulate;
use lagtape::time::{Nanos, Span};

use ClientModel::{Headless, Lagtape, Sdk, Throttled, TouchDesigner, Web};

/// A session to be simulated, with the truth about it.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// Its class, `healthy`, or two classes with a `+`.
    pub class: String,
    /// Decides everything about it, within its class.
    pub seed: u64,
    verb: SimulateVerb,
    /// Added to the latency of either way, in seconds.
    latency_s: f64,
}

/// How a session went, as the simulator knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    pub ended: Nanos,
    /// When the server threw its transport lead up, in seconds from the initial buffer.
    pub thrown_s: Option<f64>,
}

/// A transport lead of this length was thrown up by one report, in seconds: the server's cap is 3 s, and what
/// a way of 40 ms needs is a tenth of a second.
const THROWN_S: f64 = 1.0;

/// How much of the evidence a recording has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    Full,
    /// 29 reports a second without acknowledgements or leads, and slices without payloads.
    Half,
}

impl Labelled {
    /// What was injected.
    pub fn truth(&self) -> Vec<Injection> {
        self.verb.trouble.injections()
    }

    /// The session as people would type it.
    pub fn command(&self) -> String {
        let SimulateVerb { trouble, loop_s, channels, client, run_for, .. } = &self.verb;
        let client = client.traits().name;
        let seed = self.verb.seed;
        format!(
            "simulate --incident {trouble} --client {client} --loop {loop_s}s --channels {channels} \
             --seed {seed} --for {run_for} (+{:.0} ms each way)",
            self.latency_s * 1e3
        )
    }

    /// Whether the fault can happen at all: no server throws its lead for a client that reports none.
    pub fn happens(&self, evidence: Evidence) -> bool {
        evidence == Evidence::Full || self.class != "seek-lead-runaway"
    }

    /// Simulates the session and returns what an engine knows of it at its end, and how it went.
    pub fn run(&self, evidence: Evidence) -> (Engine, Outcome) {
        let headers_only = evidence == Evidence::Half;
        let mut engine = Engine::new(Options { headers_only, ..Options::default() });
        let outcome = self.simulated(evidence, &mut |record| engine.handle(record));
        (engine, outcome)
    }

    /// Simulates the session, gives every record away, and returns how it went.
    pub fn simulated(&self, evidence: Evidence, emit: &mut dyn FnMut(&Record<'_>)) -> Outcome {
        let mut verb = self.verb.clone();
        if evidence == Evidence::Half {
            verb.params_hz = verb.params_hz.or((verb.client != Throttled).then_some(29.0));
            verb.dialect = Some(Dialect::Legacy);
        }
        let mut options = verb.options().expect("the loop fits a message");
        for link in [&mut options.up, &mut options.down] {
            link.latency_s += self.latency_s;
        }
        let header = verb.header(&options);
        let simulated = simulate(options, header, &mut |record| emit(record));
        let (at, lead_s) = simulated.greatest_transport_lead;
        let origin = simulated.engine().origin().unwrap_or_default();
        Outcome {
            ended: simulated.ended,
            thrown_s: (lead_s >= THROWN_S).then(|| at.seconds_since(origin)),
        }
    }
}

/// Draws for one session.
struct Draw(Rng);

impl Draw {
    fn new(class: &str, seed: u64) -> Self {
        let salt = class.bytes().fold(0_u64, |hash, byte| {
            hash.wrapping_mul(0x100_0000_01b3).wrapping_add(u64::from(byte))
        });
        Draw(Rng::new(salt ^ seed, Stream::Names))
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        let drawn = least + (most - least) * self.0.unit();
        (drawn * 100.0).round() / 100.0
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[(self.0.next_u64() % all.len() as u64) as usize]
    }
}

/// Draws a trouble as people type it.
type DrawTrouble = fn(&mut Draw, &Frame) -> String;

/// How the sessions of a class are drawn.
pub struct Kind {
    pub class: &'static str,
    clients: &'static [ClientModel],
    channels: &'static [u16],
    trouble: DrawTrouble,
    /// How long they last after the initial buffer, in seconds.
    length_s: u64,
}

/// What is drawn before the trouble.
struct Frame {
    loop_s: f64,
    channels: u16,
    client: ClientModel,
}

impl Frame {
    /// About the rate of the simulated stream, in bytes per second.
    fn stream_rate(&self) -> f64 {
        STREAM_RATE * f64::from(self.channels)
    }
}

/// Bytes per second and channel of the slices that the simulated server sends.
const STREAM_RATE: f64 = 140e3;

/// Mono is simulated in half the time.
const MOSTLY_MONO: &[u16] = &[1, 1, 1, 2];
const STEREO: &[u16] = &[2];
/// Clients that play on while nothing is applied, and whose reports arrive evenly.
const STEADY: &[ClientModel] = &[Lagtape, Headless, Web, Sdk, TouchDesigner];
/// Clients that report leads.
const MODERN: &[ClientModel] = &[Lagtape, Web];
/// Clients whose acknowledgements do not come late when reports do.
const LEGACY: &[ClientModel] = &[Headless, TouchDesigner];

pub const KINDS: &[Kind] = &[
    Kind {
        class: "generation-stall",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| format!("stall:at={},for={}", d.between(5.0, 14.0), d.between(0.9, 4.0)),
        length_s: 26,
    },
    Kind {
        class: "slow-generation",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| {
            format!("slow-generation:at={},factor={}", d.between(5.0, 10.0), d.between(10.0, 15.0))
        },
        length_s: 30,
    },
    Kind {
        class: "gpu-contention",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| {
            let every = d.between(3.5, 6.0);
            let (at, busy) = (d.between(5.0, 10.0), every * 0.5);
            format!(
                "gpu-contention:at={at},every={every},busy={busy},factor={}",
                d.between(11.0, 16.0)
            )
        },
        length_s: 32,
    },
    Kind {
        class: "vram-paging",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| {
            format!("vram-paging:at={},factor={}", d.between(7.0, 13.0), d.between(2.2, 3.4))
        },
        length_s: 28,
    },
    Kind {
        class: "bandwidth-deficit",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, frame| {
            let down = frame.stream_rate() * d.between(0.45, 0.8);
            format!("thin-link:down={down:.0}B/s,at={},buffer=16MB", d.between(5.0, 9.0))
        },
        length_s: 32,
    },
    Kind {
        class: "swap-head-of-line",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, frame| {
            let down = f64::from(frame.channels) * d.between(400e3, 750e3);
            format!("swap-head-of-line:at={},down={down:.0}B/s", d.between(6.0, 9.0))
        },
        length_s: 34,
    },
    Kind {
        class: "anchored-shed",
        clients: &[Lagtape, Web, Sdk],
        channels: MOSTLY_MONO,
        trouble: |d, frame| {
            let down = frame.stream_rate() * d.between(0.4, 0.7);
            format!("anchored-shed:at={},down={down:.0}B/s", d.between(5.0, 9.0))
        },
        length_s: 30,
    },
    Kind {
        class: "transport-lead-oscillation",
        clients: MODERN,
        channels: STEREO,
        trouble: |d, _| {
            // What the server lets be under way has to arrive within its greatest lead.
            let down = d.between(110e3, 160e3);
            let (at, tau) = (d.between(5.0, 9.0), d.between(3.0, 5.0));
            format!("transport-lead-oscillation:at={at},tau={tau},down={down:.0}B/s")
        },
        length_s: 44,
    },
    Kind {
        class: "seek-lead-runaway",
        clients: &[Web],
        channels: MOSTLY_MONO,
        trouble: |d, frame| {
            let at = d.between(5.0, 8.0);
            let to = at + (frame.loop_s - at) * d.between(0.4, 0.6);
            format!("seek-lead-runaway:at={at},to={to:.2},latency={}", d.between(0.03, 0.06))
        },
        length_s: 20,
    },
    Kind {
        class: "stale-playhead",
        clients: LEGACY,
        channels: MOSTLY_MONO,
        trouble: |d, frame| {
            let per_s = frame.client.traits().params_hz * d.between(0.2, 0.8);
            format!("stale-playhead:per-s={per_s:.2},at={}", d.between(0.0, 8.0))
        },
        length_s: 34,
    },
    Kind {
        class: "client-backlog",
        clients: &[Web, Sdk],
        channels: MOSTLY_MONO,
        trouble: |d, _| format!("client-backlog:every={}", d.between(0.8, 1.6)),
        length_s: 28,
    },
    Kind {
        class: "client-send-hitch",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| {
            let (at, every) = (d.between(5.0, 9.0), d.between(4.0, 7.0));
            format!("client-send-hitch:at={at},every={every},hitch={}", d.between(1.0, 2.5))
        },
        length_s: 32,
    },
    Kind {
        class: "stair-step-playhead",
        clients: &[Headless, TouchDesigner, Lagtape],
        channels: MOSTLY_MONO,
        trouble: |d, _| format!("stair-step-playhead:frames={}", d.one_of(&[4096, 6144, 8192])),
        length_s: 24,
    },
    Kind {
        class: "clock-skew",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| {
            let off = d.one_of(&[-0.04, -0.02, -0.01, 0.005, 0.01, 0.02, 0.03]);
            format!("clock-skew:rate={}", 1.0 + off)
        },
        length_s: 34,
    },
    Kind {
        class: "rebuild-stall",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| {
            format!("rebuild-stall:at={},for={}", d.between(5.0, 14.0), d.between(1.0, 1.4))
        },
        length_s: 26,
    },
    Kind {
        class: "refit-storm",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| {
            let (at, lasts) = (d.between(5.0, 10.0), d.between(4.0, 7.0));
            format!("refit-storm:at={at},for={lasts},refit={}", d.between(0.45, 0.7))
        },
        length_s: 28,
    },
    Kind {
        class: "burst-production",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| {
            format!("burst-production:short={},long={}", d.between(0.2, 0.28), d.between(0.58, 0.7))
        },
        length_s: 26,
    },
    Kind {
        class: "oversize-window",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| format!("oversize-window:window={}", d.one_of(&[2.0, 3.0, 4.0, 6.0])),
        length_s: 22,
    },
    Kind {
        class: "raw-source-never-covered",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| match d.one_of(&[0, 1]) {
            0 => format!("raw-source:for={}", d.between(3.0, 6.0)),
            _ => format!("raw-source:swap={},for={}", d.between(6.0, 10.0), d.between(2.5, 4.0)),
        },
        length_s: 26,
    },
    Kind {
        class: "old-track-bleed",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| {
            format!("old-track-bleed:at={},for={}", d.between(6.0, 11.0), d.between(1.0, 3.0))
        },
        length_s: 24,
    },
    Kind {
        class: "mirror-drift",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |_, _| "mirror-drift".to_owned(),
        length_s: 20,
    },
    Kind {
        class: "loop-end-crash",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| format!("loop-end-crash:at={}", d.between(4.0, 9.0)),
        length_s: 60,
    },
    Kind {
        class: "pipeline-death",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| format!("pipeline-death:at={}", d.between(5.0, 14.0)),
        length_s: 20,
    },
    Kind {
        class: "preempted",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| format!("preempted:at={}", d.between(5.0, 14.0)),
        length_s: 20,
    },
    Kind {
        class: "keepalive-kill",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| {
            let (every, within) = (d.between(3.0, 6.0), d.between(5.0, 9.0));
            format!("keepalive-kill:at={},every={every},within={within}", d.between(4.0, 8.0))
        },
        length_s: 30,
    },
    Kind {
        class: "tunnel-reset",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| {
            let (at, stalled) = (d.between(8.0, 16.0), d.one_of(&[0.0, 0.0, 1.0, 3.0]));
            format!("tunnel-reset:at={at},stalled={stalled}")
        },
        length_s: 20,
    },
    Kind {
        class: "half-open",
        clients: STEADY,
        channels: MOSTLY_MONO,
        trouble: |d, _| format!("half-open:at={}", d.between(6.0, 12.0)),
        // A page is taken for gone after 21 s.
        length_s: 36,
    },
];

/// Nothing is wrong, whatever it looks like.
pub const HEALTHY: Kind = Kind {
    class: "healthy",
    clients: STEADY,
    channels: MOSTLY_MONO,
    trouble: |d, frame| {
        let (at, back, ahead) = (d.between(5.0, 9.0), d.between(0.5, 3.0), d.between(0.6, 0.9));
        let resume = 20.0 + frame.loop_s + d.between(2.0, 6.0);
        match d.one_of(&[0, 1, 2, 3, 4, 5, 6, 7, 8]) {
            0 => "idle-pause".to_owned(),
            1 => format!("idle-pause:resume={resume}"),
            2 => "settled-loop".to_owned(),
            3 => format!("paused-player:at={at},for={}", d.between(1.0, 6.0)),
            4 => format!("seek:at={at},to={back}"),
            5 if MODERN.contains(&frame.client) => {
                format!("seek:at={at},to={}", d.between(1.0, 4.0))
            }
            5 => format!("seek:at={at},to={:.2}", frame.loop_s * ahead),
            // Slices in flight at a swap are reported as far off by a modern client, and its server may throw
            // the lead for it: that is a runaway.
            6 if MODERN.contains(&frame.client) => "settled-loop".to_owned(),
            6 => format!("swap:at={at}"),
            7 => format!(
                "short-gaps:at={at},every={},gap={}",
                d.between(8.0, 20.0),
                d.between(0.1, 0.2)
            ),
            _ => format!("jitter:by={},latency={}", d.between(0.01, 0.03), d.between(0.0, 0.04)),
        }
    },
    length_s: 48,
};

/// Pairs of causes that a session may have at once.
const PAIRS: &[(&str, ClientModel, DrawTrouble)] = &[
    ("generation-stall+bandwidth-deficit", TouchDesigner, |d, frame| {
        let down = frame.stream_rate() * d.between(0.5, 0.7);
        let (stall, thin) = (d.between(5.0, 7.0), d.between(16.0, 18.0));
        format!("stall:at={stall},for=3+thin-link:at={thin},down={down:.0}B/s,buffer=16MB")
    }),
    ("generation-stall+stale-playhead", TouchDesigner, |d, _| {
        let (stall, stale) = (d.between(4.0, 6.0), d.between(14.0, 16.0));
        format!("stall:at={stall},for=3+stale-playhead:at={stale},per-s={}", d.between(7.0, 15.0))
    }),
    ("generation-stall+client-send-hitch", Web, |d, _| {
        let (stall, hitch) = (d.between(4.0, 6.0), d.between(14.0, 16.0));
        format!("stall:at={stall},for=3+client-send-hitch:at={hitch},every=5,hitch=2")
    }),
    ("slow-generation+tunnel-reset", Sdk, |d, _| {
        let (slow, reset) = (d.between(5.0, 8.0), d.between(20.0, 26.0));
        format!(
            "slow-generation:at={slow},factor={}+tunnel-reset:at={reset}",
            d.between(11.0, 14.0)
        )
    }),
    ("stale-playhead+tunnel-reset", TouchDesigner, |d, _| {
        let reset = d.between(24.0, 30.0);
        format!("stale-playhead:per-s={}+tunnel-reset:at={reset}", d.between(6.0, 15.0))
    }),
    ("clock-skew+generation-stall", Headless, |d, _| {
        format!(
            "clock-skew:rate={}+stall:at={},for=3",
            d.one_of(&[0.97, 1.03]),
            d.between(6.0, 12.0)
        )
    }),
    ("rebuild-stall+generation-stall", Sdk, |d, _| {
        let (rebuild, stall) = (d.between(5.0, 7.0), d.between(16.0, 18.0));
        format!("rebuild-stall:at={rebuild}+stall:at={stall},for={}", d.between(2.5, 4.0))
    }),
    ("gpu-contention+pipeline-death", Web, |d, _| {
        let (gpu, death) = (d.between(5.0, 7.0), d.between(24.0, 28.0));
        format!(
            "gpu-contention:at={gpu},factor={}+pipeline-death:at={death}",
            d.between(12.0, 15.0)
        )
    }),
];

/// The session of that class and seed.
pub fn of_kind(kind: &Kind, seed: u64) -> Labelled {
    let mut draw = Draw::new(kind.class, seed);
    let client = draw.one_of(kind.clients);
    drawn(kind, client, seed, draw)
}

/// The session with two causes of that seed.
pub fn of_two_causes(seed: u64) -> Labelled {
    let (class, client, trouble) = PAIRS[seed as usize / 2 % PAIRS.len()];
    let kind = Kind { class, clients: STEADY, channels: MOSTLY_MONO, trouble, length_s: 36 };
    drawn(&kind, client, seed, Draw::new(class, seed))
}

fn drawn(kind: &Kind, client: ClientModel, seed: u64, mut draw: Draw) -> Labelled {
    let loop_s = draw.one_of(&[12.0, 16.0, 20.0, 24.0, 30.0]);
    let frame = Frame { loop_s, channels: draw.one_of(kind.channels), client };
    let trouble = (kind.trouble)(&mut draw, &frame);
    let latency_s = draw.one_of(&[0.0, 0.0, 0.005, 0.02, 0.04]);
    let verb = SimulateVerb {
        trouble: trouble.parse().unwrap_or_else(|error| panic!("{trouble}: {error}")),
        seed,
        run_for: Span(kind.length_s * 1_000_000_000),
        loop_s,
        channels: frame.channels,
        family: Family::Acestep,
        client,
        params_hz: None,
        dialect: None,
        rate: None,
        script: Vec::new(),
        out: std::path::PathBuf::new(),
        force: false,
    };
    Labelled { class: kind.class.to_owned(), seed, verb, latency_s }
}
