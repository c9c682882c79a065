//! A fleet of simulated sessions: sorts of sessions by their weights, spread over days, each with labels that
//! say what was injected.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use jiff::civil::Date;
use serde::Deserialize;

use super::{SessionLabels, SimulateVerb, labelled};
use crate::app::{Stopped, toml_fault};
use crate::edge::files;
use crate::family::Family;
use crate::parse::Misuse;
use crate::peer::client_model::ClientModel;
use crate::peer::incident::Trouble;
use crate::peer::rng::{Rng, Stream};
use crate::sweep::in_order::InOrder;
use crate::time::Span;

/// Longest file that describes a mix.
const MAX_MIX_LEN: usize = 1 << 20;
/// Most sessions at once.
const MAX_SESSIONS: u64 = 1_000_000;
/// The mix of fleets for which none is named.
const USUAL: &str = include_str!("fleet.toml");

/// What a fleet is made of.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetMix {
    /// The first day, as `2026-11-23`.
    first_day: String,
    /// Days over which sessions are spread.
    #[serde(default = "one")]
    days: u32,
    /// Length of each session, where its sort says no other.
    #[serde(default = "usual_length", rename = "for")]
    length: String,
    /// Length of the loop that is served.
    #[serde(default = "usual_loop", rename = "loop")]
    loop_length: String,
    #[serde(default = "usual_channels")]
    channels: u16,
    #[serde(rename = "session")]
    sessions: Vec<SessionSort>,
}

/// A sort of sessions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionSort {
    /// How many of them there are, beside the weights of the others.
    #[serde(default = "one")]
    weight: u32,
    /// As `--incident` takes them, several at once.
    #[serde(default)]
    incident: Vec<String>,
    #[serde(default)]
    client: Option<String>,
    #[serde(default)]
    family: Option<String>,
    #[serde(default, rename = "for")]
    length: Option<String>,
    #[serde(default)]
    params_hz: Option<f64>,
    /// Only on these days of the fleet; the first is 1.
    #[serde(default)]
    from_day: Option<u32>,
    #[serde(default)]
    to_day: Option<u32>,
    /// What is said of such a session in its header, such as `client_version`.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

fn one() -> u32 {
    1
}

fn usual_length() -> String {
    "30s".to_owned()
}

fn usual_loop() -> String {
    "24s".to_owned()
}

fn usual_channels() -> u16 {
    2
}

/// What to simulate.
#[derive(Debug, Clone)]
pub struct FleetVerb {
    pub sessions: u64,
    pub mix: FleetMix,
    pub seed: u64,
    /// Keep of slices and buffers only their headers: a hundredth of the bytes, and nothing to hear.
    pub headers_only: bool,
    /// A folder, which gets `0001.lagtape` and so on.
    pub out: PathBuf,
    pub force: bool,
    /// Threads; 0 is one for each core.
    pub threads: usize,
}

impl FleetMix {
    /// Reads a mix, or the usual one.
    pub fn read(path: Option<&Path>) -> Result<FleetMix> {
        let text = path.map_or(Ok(USUAL.to_owned()), |path| files::read_text(path, MAX_MIX_LEN))?;
        let path = path.unwrap_or(Path::new("fleet.toml"));
        let mix: FleetMix =
            toml::from_str(&text).map_err(|error| Misuse(toml_fault(path, &text, &error)))?;
        let wrong = |why: String| Misuse(format!("{}: {why}", path.display()));
        ensure!(!mix.sessions.is_empty(), wrong("it has no [[session]]".to_owned()));
        mix.first().map_err(|error| wrong(format!("{error:#}")))?;
        for number in 0..mix.sessions.len() {
            mix.verb(number, 0, PathBuf::new(), false)
                .map_err(|error| wrong(format!("session {}: {error:#}", number + 1)))?;
        }
        Ok(mix)
    }

    fn first(&self) -> Result<Date> {
        let day = &self.first_day;
        day.parse().with_context(|| format!("first_day {day} is no day such as 2026-11-23"))
    }

    /// The session of a sort.
    fn verb(&self, sort: usize, seed: u64, out: PathBuf, force: bool) -> Result<SimulateVerb> {
        let sort = &self.sessions[sort];
        let troubles: Vec<Trouble> =
            sort.incident.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let healthy = || "healthy".parse().map(|healthy| vec![healthy]);
        let troubles = if troubles.is_empty() { healthy()? } else { troubles };
        let trouble = Trouble::all(&troubles);
        let family = sort.family.as_deref().map_or(Ok(Family::default()), str::parse)?;
        trouble.check_family(family)?;
        let length = sort.length.as_ref().unwrap_or(&self.length);
        let (run_for, loop_length): (Span, Span) = (length.parse()?, self.loop_length.parse()?);
        ensure!((1..=8).contains(&self.channels), "channels are from 1 to 8");
        Ok(SimulateVerb {
            trouble,
            seed,
            run_for,
            loop_s: loop_length.seconds(),
            channels: self.channels,
            family,
            client: sort.client.as_deref().map_or(Ok(ClientModel::default()), str::parse)?,
            params_hz: sort.params_hz,
            dialect: None,
            rate: None,
            script: Vec::new(),
            out,
            force,
        })
    }

    /// One of the sorts that there are on a day.
    fn pick(&self, day: u32, rng: &mut Rng) -> Option<usize> {
        let is_there = |sort: &SessionSort| {
            sort.from_day.is_none_or(|from| day >= from) && sort.to_day.is_none_or(|to| day <= to)
        };
        let there: Vec<_> =
            (0..self.sessions.len()).filter(|sort| is_there(&self.sessions[*sort])).collect();
        let total: u32 = there.iter().map(|sort| self.sessions[*sort].weight).sum();
        let mut left = rng.unit() * f64::from(total);
        there.iter().copied().find(|sort| {
            left -= f64::from(self.sessions[*sort].weight);
            left < 0.0
        })
    }
}

/// Simulates a fleet. `progress` hears how many sessions of how many are done, and may end it. What is
/// written depends on the mix and the seed alone, whatever the threads.
pub fn simulate_fleet(
    verb: &FleetVerb,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<()> {
    if !(1..=MAX_SESSIONS).contains(&verb.sessions) {
        bail!(Misuse(format!("a fleet has from 1 to {MAX_SESSIONS} sessions")));
    }
    let shown = verb.out.display();
    fs::create_dir_all(&verb.out).with_context(|| format!("cannot make the folder {shown}"))?;
    let numbers: Vec<u64> = (0..verb.sessions).collect();
    let of = verb.clone();
    let sessions = InOrder::new(numbers, verb.threads, move |number| session(&of, *number))?;
    for (done, session) in (1..).zip(sessions) {
        session?;
        if progress(done, verb.sessions).is_break() {
            bail!(Stopped);
        }
    }
    Ok(())
}

fn session(verb: &FleetVerb, number: u64) -> Result<()> {
    let mut rng = Rng::new(verb.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number, Stream::Fleet);
    let seed = rng.next_u64() >> 1;
    let mix = &verb.mix;
    let day = number * u64::from(mix.days.max(1)) / verb.sessions;
    let day = u32::try_from(day)? + 1;
    let Some(sort) = mix.pick(day, &mut rng) else {
        bail!(Misuse(format!("no session of the mix may be on day {day}")));
    };
    let width = verb.sessions.to_string().len().max(4);
    let out = verb.out.join(format!("{:0width$}.lagtape", number + 1));
    let one = mix.verb(sort, seed, out, verb.force)?;
    let date = mix.first()?.saturating_add(jiff::Span::new().days(i64::from(day) - 1));
    let (hours, minutes) = ((rng.unit() * 24.0) as u8, (rng.unit() * 60.0) as u8);
    let labels = SessionLabels {
        start_utc: Some(format!("{date}T{hours:02}:{minutes:02}:00Z")),
        metadata: mix.sessions[sort].metadata.clone(),
        headers_only: verb.headers_only,
    };
    labelled(&one, &labels).map(drop)
}
