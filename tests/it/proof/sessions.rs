//! Sessions with a fault, the same sessions without it, and what the proof says of them.
//!
//! Both arms run on the virtual clock with the same seed and the same hidden constants: once with the
//! fault, once without. The proof sees the capture of the first arm and nothing else. What is hidden,
//! and from which ranges it is drawn, stands in [`Hidden::of`]; docs/DIAGNOSIS.md says the same in
//! words.

use std::fmt;

use lagtape::capture::{ClientKind, FORMAT_VERSION, Header, Records, SyncMarker, Writer};
use lagtape::diagnosis::Class;
use lagtape::diagnosis::proof::{BadAudio, Claim, Proof, ProofOptions, Unproven, prove};
use lagtape::heard::{BehindRule, HeardRule};
use lagtape::lag::ReportArgs;
use lagtape::peer::client::{ClientOptions, DEFAULT_PARAMS_HZ, DEFAULT_PING_EVERY, Dialect};
use lagtape::peer::incident::{Setup, Trouble};
use lagtape::peer::link::LinkOptions;
use lagtape::peer::rng::{Rng, Stream};
use lagtape::peer::server::{ServerOptions, ServerSource};
use lagtape::peer::simulation::{SimulationOptions, simulate};
use lagtape::scenario::answer::{Recording, RecordingBuilder};
use lagtape::time::Span;
use serde_json::json;

/// Length of a session and of its loop, in seconds.
const SESSION_S: f64 = 24.0;
const LOOP_S: f64 = 16.0;
/// Runs of the model for each proof; the share is that of the one in the middle.
const RUNS: usize = 8;
/// A proof agrees if its share is off by no more than this.
pub const AGREES_WITHIN: f64 = 0.10;

/// A fault that a session can have, and how the same session is without it.
pub struct Fault {
    pub name: &'static str,
    pub class: Class,
    /// The incident with its values; a number in `[0, 1)` says how strong it is.
    incident: fn(f64) -> String,
    take_away: fn(&mut Setup),
    /// From when to when it is at work, in seconds from the initial buffer.
    at_s: (f64, f64),
}

const ALWAYS: (f64, f64) = (0.0, SESSION_S);

/// A second stall in a session that has another fault before.
pub static LATE_STALL: Fault = Fault {
    name: "late stall",
    class: Class::GenerationStall,
    at_s: (16.0, 21.5),
    incident: |strength| format!("stall:at=16,for={}", 3.2 + 2.0 * strength),
    take_away: |setup| setup.faults.stalls.retain(|stall| stall.at_s < 16.0),
};

/// All faults that the simulator has and the model can take away.
pub static FAULTS: [Fault; 11] = [
    Fault {
        name: "stall",
        class: Class::GenerationStall,
        at_s: (6.5, 13.0),
        incident: |strength| format!("stall:at=6.5,for={}", 3.2 + 3.0 * strength),
        take_away: |setup| setup.faults.stalls.clear(),
    },
    Fault {
        name: "slow-generation",
        class: Class::SlowGeneration,
        at_s: (5.0, 14.0),
        incident: |strength| format!("slow-generation:at=5,for=8,factor={}", 10.0 + 6.0 * strength),
        take_away: |setup| setup.faults.slow.clear(),
    },
    Fault {
        name: "burst-production",
        class: Class::BurstProduction,
        at_s: ALWAYS,
        incident: |strength| format!("burst-production:short=0.25,long={}", 0.55 + 0.3 * strength),
        take_away: |setup| setup.faults.bursts = None,
    },
    Fault {
        name: "rebuild-stall",
        class: Class::RebuildStall,
        at_s: (6.0, 10.5),
        incident: |strength| format!("rebuild-stall:at=6,for={}", 1.0 + 3.0 * strength),
        take_away: |setup| setup.faults.rebuild_s = 0.0,
    },
    Fault {
        name: "refit-storm",
        class: Class::RefitStorm,
        at_s: (5.0, 13.5),
        incident: |strength| format!("refit-storm:at=5,for=8,refit={}", 0.4 + 0.4 * strength),
        take_away: |setup| setup.faults.refit_s = 0.0,
    },
    Fault {
        name: "thin-link",
        class: Class::BandwidthDeficit,
        at_s: ALWAYS,
        incident: |strength| format!("thin-link:down={:.0}KB/s", 120.0 + 150.0 * strength),
        take_away: |setup| {
            (setup.down.bytes_per_s, setup.down.buffer_bytes) = (None, None);
        },
    },
    Fault {
        name: "stale-playhead",
        class: Class::StalePlayhead,
        at_s: ALWAYS,
        incident: |strength| format!("stale-playhead:per-s={}", 16.0 + 10.0 * strength),
        take_away: |setup| setup.policy.intake.backlog_per_s = None,
    },
    Fault {
        name: "client-backlog",
        class: Class::ClientBacklog,
        at_s: ALWAYS,
        incident: |strength| format!("client-backlog:every={}", 0.8 + 0.8 * strength),
        take_away: |setup| setup.client.main_thread = None,
    },
    Fault {
        name: "seek-lead-runaway",
        class: Class::SeekLeadRunaway,
        at_s: (8.0, 13.0),
        incident: |strength| format!("seek-lead-runaway:at=8,to={}", 12.0 + 3.0 * strength),
        take_away: |setup| setup.policy.lead.transport = None,
    },
    Fault {
        name: "clock-skew",
        class: Class::ClockSkew,
        at_s: ALWAYS,
        incident: |strength| format!("clock-skew:rate={}", 1.005 + 0.03 * strength),
        take_away: |setup| setup.client.rate = 1.0,
    },
    Fault {
        name: "oversize-window",
        class: Class::OversizeWindow,
        at_s: ALWAYS,
        incident: |strength| format!("oversize-window:window={}", 4.0 + 3.0 * strength),
        take_away: |setup| {
            setup.client.config.remove("vae_window");
        },
    },
];

impl Fault {
    fn claim(&self) -> Claim {
        let (from_s, to_s) = self.at_s;
        Claim { class: self.class, from_s, to_s }
    }
}

/// The fault of that name.
pub fn fault(name: &str) -> &'static Fault {
    FAULTS.iter().chain([&LATE_STALL]).find(|fault| fault.name == name).unwrap()
}

/// Two faults in one session.
pub const PAIRS: [[&str; 2]; 5] = [
    ["seek-lead-runaway", "late stall"],
    ["refit-storm", "late stall"],
    ["slow-generation", "late stall"],
    ["client-backlog", "late stall"],
    ["stale-playhead", "late stall"],
];

/// A simulated session whose constants the proof is not told.
pub struct Hidden {
    seed: u64,
    dialect: Dialect,
    setup: Setup,
}

impl Hidden {
    /// The session of a seed with faults.
    pub fn of(seed: u64, faults: &[&Fault]) -> Self {
        let mut rng = Rng::new(5_000 + seed, Stream::Names);
        let mut drawn = |least: f64, most: f64| least + (most - least) * rng.unit();
        let mut setup = "healthy".parse::<Trouble>().unwrap().setup();
        for fault in faults {
            let trouble: Trouble = (fault.incident)(drawn(0.0, 1.0)).parse().unwrap();
            merge(&mut setup, trouble.setup());
        }
        setup.generator.tick_ms = drawn(35.0, 60.0);
        setup.generator.tick_spread = drawn(0.05, 0.25);
        setup.generator.decode_ms = drawn(5.0, 12.0);
        setup.generator.overhead_ms = drawn(0.2, 0.8);
        setup.policy.lead.floor_s = drawn(0.22, 0.40);
        setup.policy.lead.gain = drawn(1.4, 1.8);
        setup.policy.lead.margin_s = drawn(0.03, 0.07);
        for link in [&mut setup.up, &mut setup.down] {
            link.latency_s = link.latency_s.max(drawn(0.0, 0.025));
            link.jitter_s = drawn(0.000_2, 0.004);
        }
        let runs_away = faults.iter().any(|fault| fault.class == Class::SeekLeadRunaway);
        let modern = seed.is_multiple_of(2) || runs_away;
        setup.client.params_hz = Some(if seed % 4 < 2 { 60.0 } else { 30.0 });
        let dialect = if modern { Dialect::Modern } else { Dialect::Legacy };
        Self { seed, dialect, setup }
    }

    /// The same without these faults.
    pub fn without(&self, faults: &[&Fault]) -> Self {
        let mut setup = self.setup.clone();
        faults.iter().for_each(|fault| (fault.take_away)(&mut setup));
        Self { setup, ..*self }
    }

    /// What was recorded of it.
    pub fn recording(&self) -> Recording {
        let setup = self.setup.clone();
        let channels = if self.seed.is_multiple_of(3) { 2 } else { 1 };
        let config = json!({"use_server_fixture": true, "fixture_name": "built-in"});
        let mut config = config.as_object().cloned().unwrap();
        config.extend(setup.client.config);
        let client = ClientOptions {
            config,
            rate: setup.client.rate,
            commands: setup.client.commands,
            params_hz: setup.client.params_hz.unwrap_or(DEFAULT_PARAMS_HZ),
            dialect: self.dialect,
            script: setup.client.script,
            run_for: Some(Span((SESSION_S * 1e9) as u64)),
            ping_every: Some(DEFAULT_PING_EVERY),
            ..ClientOptions::default()
        };
        let server = ServerOptions {
            seed: self.seed,
            source: ServerSource::BuiltIn { seconds: LOOP_S, channels },
            policy: setup.policy,
            generator: setup.generator,
            faults: setup.faults,
            ..ServerOptions::default()
        };
        let options = SimulationOptions {
            main_thread: setup.client.main_thread.unwrap_or_default(),
            ..SimulationOptions::new(client, server, setup.up, setup.down)
        };
        let mut capture = Vec::new();
        let mut writer = Writer::new(SyncMarker::derive(b"hidden"));
        writer.begin(&mut capture);
        let header =
            Header { format: FORMAT_VERSION, client: ClientKind::Headless, ..Header::default() };
        simulate(options, header, &mut |record| writer.write(record, &mut capture));
        let mut recording = RecordingBuilder::default();
        let mut records = Records::new(&capture[..]);
        while let Some(record) = records.next_record().unwrap() {
            recording.handle(&record);
        }
        recording.finish().unwrap()
    }
}

/// Adds what is wrong in one setup to another.
fn merge(setup: &mut Setup, other: Setup) {
    let healthy = "healthy".parse::<Trouble>().unwrap().setup();
    if other.faults != healthy.faults {
        let stalls = [setup.faults.stalls.clone(), other.faults.stalls.clone()].concat();
        let slow = [setup.faults.slow.clone(), other.faults.slow.clone()].concat();
        let bursts = other.faults.bursts.or(setup.faults.bursts);
        let rebuild_s = other.faults.rebuild_s.max(setup.faults.rebuild_s);
        let refit_s = other.faults.refit_s.max(setup.faults.refit_s);
        setup.faults = lagtape::peer::server::ServerFaults {
            stalls,
            slow,
            bursts,
            rebuild_s,
            refit_s,
            ..setup.faults.clone()
        };
    }
    let changed = |link: &LinkOptions, plain: &LinkOptions| link != plain;
    if changed(&other.up, &healthy.up) {
        setup.up = other.up;
    }
    if changed(&other.down, &healthy.down) {
        setup.down = other.down;
    }
    if other.policy != healthy.policy {
        setup.policy = other.policy;
    }
    let client = other.client;
    setup.client.config.extend(client.config);
    setup.client.script.extend(client.script);
    setup.client.commands.extend(client.commands);
    if client.rate != 1.0 {
        setup.client.rate = client.rate;
    }
    setup.client.main_thread = client.main_thread.or(setup.client.main_thread.take());
}

/// What is bad in a recording.
pub fn bad(recording: &Recording) -> BadAudio {
    let args = ReportArgs::default();
    let rule = HeardRule::new(args.stale_threshold_s, BehindRule::default());
    BadAudio::of(&recording.heard(rule), None)
}

/// What the proof says, and what is true.
pub struct Row {
    pub session: String,
    pub heard: BadAudio,
    /// Without the fault in truth.
    pub left: BadAudio,
    pub proof: Result<Proof, Unproven>,
}

impl Row {
    pub fn true_share(&self) -> f64 {
        share(self.heard, self.left)
    }

    pub fn off(&self) -> Option<f64> {
        Some((self.proof.as_ref().ok()?.share - self.true_share()).abs())
    }

    pub fn agrees(&self) -> bool {
        self.off().is_some_and(|off| off <= AGREES_WITHIN)
    }
}

fn share(heard: BadAudio, left: BadAudio) -> f64 {
    if heard.s > 0.0 { 1.0 - left.s / heard.s } else { 1.0 - left.lag_s / heard.lag_s }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { session, heard, left, proof, .. } = self;
        write!(
            f,
            "{session}: heard {:.2} s, left {:.2} s, true share {:.3}: ",
            heard.s,
            left.s,
            self.true_share()
        )?;
        match proof {
            Ok(proof) => write!(
                f,
                "share {:.3}, left {:.2} ({:.2}–{:.2}) s, repeats {:?}",
                proof.share,
                proof.left.s,
                proof.range.0.s,
                proof.range.1.s,
                proof.repeats.map(|it| (it.heard.s, it.lead_error_p95_s))
            ),
            Err(why) => write!(f, "{why}"),
        }
    }
}

/// The rows of each of these faults alone, then that of all together; none where nothing was heard.
pub fn rows(seed: u64, faults: &[&Fault]) -> Vec<Row> {
    let hidden = Hidden::of(seed, faults);
    let recording = hidden.recording();
    let heard = bad(&recording);
    if heard.episodes == 0 {
        return Vec::new();
    }
    let claims: Vec<_> = faults.iter().map(|fault| fault.claim()).collect();
    let proofs =
        prove(&recording, &claims, &ProofOptions { runs: RUNS, ..ProofOptions::default() });
    let names: Vec<_> = faults.iter().map(|fault| fault.name).collect();
    let row = |removed: &[&Fault], proof| {
        let without: Vec<_> = removed.iter().map(|fault| fault.name).collect();
        let session = format!("{} {seed} without {}", names.join(" + "), without.join(" + "));
        Row { session, heard, left: bad(&hidden.without(removed).recording()), proof }
    };
    let alone = faults.iter().zip(proofs.alone).map(|(fault, proof)| row(&[fault], proof));
    let together = proofs.together.map(|proof| row(faults, Ok(proof)));
    alone.chain(together).collect()
}
