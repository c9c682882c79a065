//! Sessions whose constants the closed-loop model is not told, and how well it predicts them.
//!
//! Both arms run on the virtual clock with the same seed: once left alone, once changed. The model
//! sees the first arm's capture and nothing else. What is hidden, and from which ranges it is drawn,
//! stands in [`Hidden::of`]; docs/WHATIF.md says the same in words.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use lagtape::capture::{ClientKind, FORMAT_VERSION, Header, Records, SyncMarker, Writer};
use lagtape::engine::{Engine, Options};
use lagtape::lag::stats::percentile;
use lagtape::lag::{LagReport, LagTracker, ReportArgs};
use lagtape::peer::client::{ClientOptions, DEFAULT_PING_EVERY, Dialect};
use lagtape::peer::generator::GeneratorOptions;
use lagtape::peer::incident::{ClientSetup, Trouble};
use lagtape::peer::link::LinkOptions;
use lagtape::peer::main_thread::MainThread;
use lagtape::peer::policy::Policy;
use lagtape::peer::rng::{Rng, Stream};
use lagtape::peer::server::{ServerFaults, ServerOptions, ServerSource};
use lagtape::peer::simulation::{SimulationOptions, simulate};
use lagtape::scenario::columns::{Columns, ColumnsBuilder};
use lagtape::scenario::knobs::{Knob, PolicyChange};
use lagtape::scenario::model::{
    Change, DEFAULT_MEMBERS, Fit, FitError, ModelOutcome, Question, Spread, Trace, Tracer, answer,
    predict,
};
use lagtape::scenario::open_loop::{OpenLoop, Scratch};
use lagtape::scenario::{Playback, Scenario};
use lagtape::time::{Nanos, Span};
use serde_json::json;

/// Sessions for each question and each kind of client.
pub const SEEDS: std::ops::Range<u64> = 0..8;
/// Length of a session and of its loop.
const SESSION_S: u64 = 14;
const LOOP_S: f64 = 20.0;
/// An outcome with a smaller share says nothing.
const WORTH_NAMING: f64 = 0.03;
/// Most that the median lead may be off, in seconds.
const LEAD_ERROR_S: f64 = 0.020;

/// A simulated session whose constants the model is not told.
#[derive(Debug)]
pub struct Hidden {
    seed: u64,
    dialect: Dialect,
    params_hz: f64,
    generator: GeneratorOptions,
    policy: Policy,
    pub up: LinkOptions,
    pub down: LinkOptions,
    pub pings: bool,
    /// An incident, and what it does to server and client.
    trouble: &'static str,
    faults: ServerFaults,
    client: ClientSetup,
}

/// One session: its capture, what its client's tracker recorded, when it ended.
pub struct Session {
    pub capture: Vec<u8>,
    tracker: LagTracker,
    ended_s: f64,
}

/// A session that nothing changed: all that the model sees of it.
pub struct Recorded {
    pub trace: Trace,
    columns: Columns,
    fit: OnceLock<Result<Fit, FitError>>,
}

impl Recorded {
    /// What the model fits to it.
    pub fn fit(&self) -> Result<&Fit, FitError> {
        self.fit.get_or_init(|| Fit::of(&self.trace)).as_ref().map_err(FitError::clone)
    }
}

impl Session {
    /// What its client's tracker reports.
    pub fn report(&self) -> LagReport {
        self.tracker.report(self.ended_s, &ReportArgs::default())
    }
}

impl Hidden {
    pub fn of(seed: u64, dialect: Dialect) -> Self {
        let mut rng = Rng::new(1_000 + seed, Stream::Names);
        let mut drawn = |least: f64, most: f64| least + (most - least) * rng.unit();
        let generator = GeneratorOptions {
            tick_ms: drawn(35.0, 60.0),
            tick_spread: drawn(0.05, 0.25),
            decode_ms: drawn(5.0, 12.0),
            overhead_ms: drawn(0.2, 0.8),
            encode_ms: drawn(0.3, 1.5),
            ..GeneratorOptions::default()
        };
        let mut policy = Policy::default();
        policy.lead.floor_s = drawn(0.22, 0.40);
        policy.lead.gain = drawn(1.4, 1.8);
        policy.lead.margin_s = drawn(0.03, 0.07);
        policy.lead.gap_weight = drawn(0.07, 0.15);
        policy.lead.gap_seed_s = drawn(0.05, 0.09);
        policy.lead.reserve_tau_s = drawn(1.0, 2.0);
        let mut way = || LinkOptions {
            latency_s: drawn(0.0, 0.025),
            jitter_s: drawn(0.000_2, 0.004),
            ..LinkOptions::default()
        };
        let (up, down) = (way(), way());
        let params_hz = if seed.is_multiple_of(2) { 60.0 } else { 30.0 };
        let (faults, client) = (ServerFaults::default(), ClientSetup::default());
        let (pings, trouble) = (true, "");
        Self {
            seed,
            dialect,
            params_hz,
            generator,
            policy,
            up,
            down,
            pings,
            trouble,
            faults,
            client,
        }
    }

    /// The same in an incident: its faults, and the parts of the policy that it is made of.
    fn in_trouble(mut self, trouble: &'static str) -> Self {
        let (incident, part) = trouble.split_once(" without ").unwrap_or((trouble, ""));
        let setup = incident.parse::<Trouble>().unwrap().setup();
        self.trouble = trouble;
        if part == "a reserve" {
            self.policy.lead.reserve_cap_s = 0.0;
        }
        (self.faults, self.client) = (setup.faults, setup.client);
        (self.policy.intake, self.policy.clock) = (setup.policy.intake, setup.policy.clock);
        self.policy.lead.transport = setup.policy.lead.transport;
        self
    }

    /// A server with upstream's constants and a client that sends no pings, over longer ways.
    fn upstream(seed: u64, dialect: Dialect) -> Self {
        let mut hidden =
            Self { policy: Policy::default(), pings: false, ..Self::of(seed, dialect) };
        hidden.up.latency_s *= 2.0;
        hidden.down.latency_s *= 2.0;
        hidden
    }

    /// The same over a link that carries half of its stream from shortly after the beginning.
    fn on_a_thin_link(mut self) -> Self {
        let Recorded { trace, .. } = self.recorded();
        let thin = half_the_rate(trace).down.remove(0).1;
        self.down.bytes_per_s = thin.bytes_per_s;
        self.down.slow_from_s = trace.origin.seconds() + 0.2;
        self
    }

    fn name(&self, case: &Case) -> String {
        let told = if self.pings { "hidden floor" } else { "no pings" };
        format!("{}, {:?} {}, {told} {}", case.name, self.dialect, self.seed, self.trouble)
    }

    /// The same over links that carry so many bytes a second from a moment on, in seconds.
    pub fn thin(mut self, bytes_per_s: f64, from_s: f64) -> Self {
        (self.down.bytes_per_s, self.down.slow_from_s) = (Some(bytes_per_s), from_s);
        self
    }

    /// When slices arrive the first of which its link holds up, in seconds.
    pub fn changes_at_s(&self) -> f64 {
        self.down.slow_from_s + self.down.latency_s + self.down.jitter_s / 2.0
    }

    /// Mean bytes a second of its slices over a link that holds none of them up.
    pub fn demand(&self) -> f64 {
        let Recorded { trace, .. } = self.recorded();
        let bytes: u64 = trace.slices.iter().map(|slice| u64::from(slice.bytes)).sum();
        bytes as f64 / trace.end.seconds_since(trace.origin)
    }

    /// The session that nothing changed, simulated once for all that is asked about it: the first who asks does
    /// so, and the others wait. It is kept to the end.
    pub fn recorded(&self) -> &'static Recorded {
        static SESSIONS: Mutex<BTreeMap<String, &OnceLock<Recorded>>> = Mutex::new(BTreeMap::new());
        let session = *SESSIONS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(format!("{self:?}"))
            .or_insert_with(|| Box::leak(Box::default()));
        session.get_or_init(|| {
            let (trace, columns) = read(&self.run(&Change::default(), Nanos(0)).capture);
            Recorded { trace, columns, fit: OnceLock::new() }
        })
    }

    /// The session with that change; changes of the link count from the recorded `origin`.
    pub fn run(&self, change: &Change, origin: Nanos) -> Session {
        let channels = if self.seed % 4 < 2 { 1 } else { 2 };
        let source = ServerSource::BuiltIn { seconds: LOOP_S, channels };
        let mut down = self.down.clone();
        if let Some((at, thin)) = change.down.first() {
            down.bytes_per_s = thin.bytes_per_s;
            // As of the messages that would have arrived from then on.
            let way_s = down.latency_s + down.jitter_s / 2.0;
            down.slow_from_s = origin.seconds() + at.seconds() - way_s;
        }
        let config = json!({"use_server_fixture": true, "fixture_name": "built-in"});
        let mut config = config.as_object().cloned().unwrap();
        config.extend(self.client.config.clone());
        let client = ClientOptions {
            config,
            rate: self.client.rate,
            commands: self.client.commands.clone(),
            params_hz: self.params_hz,
            dialect: self.dialect,
            script: change.ops.clone().unwrap_or_default(),
            run_for: Some(Span(SESSION_S * 1_000_000_000)),
            ping_every: self.pings.then_some(DEFAULT_PING_EVERY),
            ..ClientOptions::default()
        };
        let server = ServerOptions {
            seed: self.seed,
            source,
            policy: change.policy(&self.policy),
            generator: self.generator.clone(),
            faults: self.faults.clone(),
            ..ServerOptions::default()
        };
        let up = self.up.clone();
        // The model's client handles messages in turns, and reports steadily.
        let main_thread = MainThread {
            reports_in_turns: false,
            ..self.client.main_thread.clone().unwrap_or_default()
        };
        let options =
            SimulationOptions { main_thread, ..SimulationOptions::new(client, server, up, down) };
        let mut capture = Vec::new();
        let mut writer = Writer::new(SyncMarker::derive(b"hidden"));
        writer.begin(&mut capture);
        let header =
            Header { format: FORMAT_VERSION, client: ClientKind::Headless, ..Header::default() };
        let simulated = simulate(options, header, &mut |record| writer.write(record, &mut capture));
        let tracker = simulated.client.engine().epochs().last().unwrap().tracker.clone();
        Session { capture, tracker, ended_s: simulated.ended.seconds() }
    }
}

/// What both walkers of what-ifs take from a capture.
pub fn read(capture: &[u8]) -> (Trace, Columns) {
    let mut engine = Engine::new(Options { headers_only: true, ..Options::default() });
    let (mut tracer, mut columns) = (Tracer::new(), ColumnsBuilder::new());
    let mut records = Records::new(capture);
    while let Some(record) = records.next_record().unwrap() {
        engine.handle(&record);
        columns.see(&engine, &record);
        tracer.handle(&record);
    }
    let trace = tracer.finish().unwrap();
    let columns = columns.finish(&engine, trace.end).unwrap();
    (trace, columns)
}

/// What is asked of a recording.
pub struct Case {
    pub name: &'static str,
    pub dialects: &'static [Dialect],
    change: fn(&Trace) -> Change,
    /// Whether both arms have a link for half of the stream.
    thin: bool,
}

pub const BOTH: &[Dialect] = &[Dialect::Modern, Dialect::Legacy];

pub const SEEK_FORWARD: Case =
    Case { name: "seek forward", dialects: BOTH, thin: false, change: |_| ops(&["6.013:seek=14"]) };
pub const SEEK_BACK: Case =
    Case { name: "seek back", dialects: BOTH, thin: false, change: |_| ops(&["8.021:seek=2"]) };
pub const THREE_SEEKS: Case = Case {
    name: "three seeks in a row",
    thin: false,
    dialects: BOTH,
    change: |_| ops(&["5.017:seek=12", "5.411:seek=3", "5.909:seek=16"]),
};
pub const SLOWER: Case =
    Case { name: "rate 0.97", dialects: BOTH, thin: false, change: |_| ops(&["4.009:rate=0.97"]) };
pub const FASTER: Case =
    Case { name: "rate 1.03", dialects: BOTH, thin: false, change: |_| ops(&["4.009:rate=1.03"]) };
pub const PAUSE: Case = Case {
    name: "pause",
    dialects: BOTH,
    thin: false,
    change: |_| ops(&["5.011:pause", "8.023:resume"]),
};
pub const SEEK_FORWARD_WHILE_THIN: Case =
    Case { name: "seek forward, both thin", thin: true, ..SEEK_FORWARD };
pub const SEEK_BACK_WHILE_THIN: Case =
    Case { name: "seek back, both thin", thin: true, ..SEEK_BACK };
pub const FASTER_WHILE_THIN: Case = Case { name: "rate 1.03, both thin", thin: true, ..FASTER };
pub const PAUSE_WHILE_THIN: Case = Case { name: "pause, both thin", thin: true, ..PAUSE };
pub const THIN_WITH_ACKS: Case = Case {
    name: "thin link, acks",
    thin: false,
    dialects: &[Dialect::Modern],
    change: half_the_rate,
};
pub const THIN_WITHOUT: Case = Case {
    name: "thin link, no acks",
    thin: false,
    dialects: &[Dialect::Legacy],
    change: half_the_rate,
};
pub const MORE_LEAD: Case = Case {
    name: "lead floor 0.6",
    thin: false,
    dialects: BOTH,
    change: |_| Change { policy: floor(), ..Change::default() },
};
pub fn floor() -> PolicyChange {
    let mut scenario = Scenario::default();
    Knob::named("lead-floor").unwrap().set(&mut scenario, 0.6);
    PolicyChange::of(&scenario.conditions)
}

fn ops(script: &[&str]) -> Change {
    let ops = script.iter().map(|op| op.parse().unwrap()).collect();
    Change { ops: Some(ops), ..Change::default() }
}

/// From the fourth second on the link carries half of what the recording needs.
fn half_the_rate(trace: &Trace) -> Change {
    let bytes: u64 = trace.slices.iter().map(|slice| u64::from(slice.bytes)).sum();
    let rate = bytes as f64 / trace.end.seconds_since(trace.origin) / 2.0;
    let thin = LinkOptions { bytes_per_s: Some(rate), ..LinkOptions::default() };
    Change { down: vec![(Span(4_000_000_000), thin)], ..Change::default() }
}

/// The prediction that came closest among those worth naming, beside what happened.
pub struct Row {
    session: String,
    share: f64,
    pub lead_error_s: f64,
    pub lead_p50_s: (f64, f64),
    pub behind: Count,
    pub stale: Count,
    pub open_loop_error_s: Option<f64>,
}

/// A count as predicted, with its interval, and what happened.
#[derive(Clone, Copy)]
pub struct Count {
    predicted: usize,
    interval: (f64, f64),
    actual: usize,
}

impl Count {
    fn of(predicted: usize, spread: Spread, actual: usize) -> Self {
        Self { predicted, interval: (spread.p5, spread.p95), actual }
    }

    /// Whether what happened lies in the stated interval, or within 5 % or 2 of it.
    pub fn is_good(&self) -> bool {
        let (actual, (least, most)) = (self.actual as f64, self.interval);
        let outside = (least - actual).max(actual - most);
        outside <= (0.05 * actual).max(2.0)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { predicted, interval: (least, most), actual } = self;
        write!(f, "{predicted} ({least:.0} to {most:.0}) for {actual}")
    }
}

impl Row {
    pub fn is_good(&self) -> bool {
        self.lead_error_s < LEAD_ERROR_S && self.behind.is_good() && self.stale.is_good()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { session, share, lead_error_s, lead_p50_s: (p50_s, for_s), behind, stale, .. } =
            self;
        let off_ms = lead_error_s * 1e3;
        write!(
            f,
            "{session}: share {share:.2}, lead off by {off_ms:.1} ms, p50 {p50_s:.3} for {for_s:.3} s, \
             behind {behind}, stale {stale}"
        )
    }
}

/// Median distance between the leads of two sessions: each slice against the other's nearest one,
/// and of several at one moment against the one in its turn.
fn lead_error_s(ours: &LagTracker, theirs: &LagTracker) -> f64 {
    let (own, their): (Vec<_>, Vec<_>) = (ours.slices().collect(), theirs.slices().collect());
    let mut errors: Vec<f64> = their
        .iter()
        .enumerate()
        .map(|(i, slice)| {
            let turn = i - their.partition_point(|before| before.t_s < slice.t_s);
            let after = own.partition_point(|own| own.t_s < slice.t_s);
            let near = [after.checked_sub(1), Some(after)].into_iter().flatten();
            let nearest = near
                .filter_map(|i| own.get(i))
                .min_by(|a, b| (a.t_s - slice.t_s).abs().total_cmp(&(b.t_s - slice.t_s).abs()))
                .unwrap();
            let together: Vec<_> = own.iter().filter(|own| own.t_s == nearest.t_s).collect();
            let nearest = together[turn.min(together.len() - 1)];
            let off = (nearest.lead_s - slice.lead_s).abs();
            off.min(LOOP_S - off)
        })
        .collect();
    percentile(&mut errors, 0.5)
}

fn row(case: &Case, hidden: Hidden) -> Result<Row, FitError> {
    let hidden = &if case.thin { hidden.on_a_thin_link() } else { hidden };
    let recorded = hidden.recorded();
    let Recorded { trace, columns, .. } = recorded;
    let change = &(case.change)(trace);
    let actual = hidden.run(change, trace.origin);
    let args = ReportArgs::default();
    let report = actual.tracker.report(actual.ended_s, &args);
    let fit = recorded.fit()?;
    let members = DEFAULT_MEMBERS;
    let question = Question { trace, fit, change, args, members, seed: 0 };
    let policy = change.policy(fit.policy());
    let to_row = |outcome: ModelOutcome| {
        let predicted = predict(trace, &fit.server, &policy, change, &outcome.perturbation);
        let (slices, ticks) = (outcome.lag.slices, outcome.lag.ticks);
        let behind = report.slices.behind_playhead;
        Row {
            session: hidden.name(case),
            share: outcome.share,
            lead_error_s: lead_error_s(&predicted.tracker, &actual.tracker),
            lead_p50_s: (slices.lead_s.unwrap().p50, report.slices.lead_s.unwrap().p50),
            behind: Count::of(slices.behind_playhead, outcome.behind_playhead, behind),
            stale: Count::of(ticks.stale_ticks, outcome.stale_ticks, report.ticks.stale_ticks),
            open_loop_error_s: open_loop_error_s(columns, change, &report),
        }
    };
    let named = answer(&question).outcomes.into_iter();
    let rows = named.filter(|outcome| outcome.share >= WORTH_NAMING).map(to_row);
    let key = |row: &Row| (!row.is_good(), row.lead_error_s);
    Ok(rows.min_by(|a, b| key(a).partial_cmp(&key(b)).unwrap()).unwrap())
}

/// How far the 5th percentile, the median or the 95th of the lead is off when the recorded slices
/// stay and only the listener moves; `None` where nobody moves.
fn open_loop_error_s(columns: &Columns, change: &Change, actual: &LagReport) -> Option<f64> {
    let ops = change.ops.clone()?;
    let scenario =
        Scenario { playback: Playback { ops, ..Playback::default() }, ..Scenario::default() };
    let open = OpenLoop::new(columns, ReportArgs::default());
    let lag = open.answer(&scenario, &mut Scratch::default()).unwrap().lag;
    let (ours, theirs) = (lag.slices.lead_s.unwrap(), actual.slices.lead_s.unwrap());
    let off = [ours.p5 - theirs.p5, ours.p50 - theirs.p50, ours.p95 - theirs.p95];
    off.into_iter().map(f64::abs).reduce(f64::max)
}

pub fn rows(case: &Case, dialect: Dialect, seeds: std::ops::Range<u64>) -> Vec<Row> {
    let told = seeds.clone().map(|seed| Hidden::of(seed, dialect));
    let upstream = seeds.map(|seed| Hidden::upstream(seed, dialect));
    told.chain(upstream).map(|hidden| row(case, hidden).unwrap()).collect()
}

/// The same in an incident.
pub fn rows_in(trouble: &'static str, case: &Case, dialect: Dialect) -> Vec<Result<Row, FitError>> {
    let hidden = |seed| Hidden::of(seed, dialect).in_trouble(trouble);
    (0..4).map(|seed| row(case, hidden(seed))).collect()
}
