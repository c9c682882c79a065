//! `info`: what a capture is, without replaying it, and at once whatever its size.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::index::{self, Recalled};
use super::outcome::Outcome;
use super::peek::direction_name;
use super::recording;
use crate::capture::{Body, Ending, Header, Record, Salvage, Totals, last_checkpoint};
use crate::edge::files;
use crate::engine::Options;
use crate::engine::pings::Pings;
use crate::report::text::{Bytes, Figure, OneLine};
use crate::report::{DamageReport, EndingReport, RoundTripReport, SCHEMA, askable};
use crate::review::CaptureReplay;
use crate::scenario::advice::Wording;
use crate::scenario::askable::Askable;
use crate::time::Nanos;

/// Largest capture whose checkpoints are read to say how its session ended, …
const MAX_RECALLED_LEN: u64 = 1 << 30;
/// … and largest that is read whole for it where it has none.
const MAX_REPLAYED_LEN: u64 = 64 << 20;
/// Largest capture of which it is said unasked what can be asked of it: about a minute and a half.
const MAX_ASKED_LEN: u64 = 16 << 20;

/// The facts of a capture.
#[derive(Debug, Clone, Serialize)]
pub struct Info {
    /// Version of this JSON.
    pub schema: u32,
    /// The capture as it was named.
    pub capture: String,
    /// Its size in bytes, unpacked.
    pub file_bytes: u64,
    /// Its header record; `null` when not even that is whole.
    pub header: Option<HeaderInfo>,
    /// Records that are whole and have numbers of their own: all but contexts and checkpoints.
    pub records: u64,
    /// Messages of each direction, and their payload bytes.
    pub messages: BTreeMap<&'static str, Count>,
    /// How long messages travel, there and back; `null` where no ping of the client was answered.
    /// In a recording that was not closed it covers the time up to the last checkpoint, if there is one.
    pub round_trip: Option<RoundTripReport>,
    /// Records lost while recording.
    pub lost: u64,
    /// From the first record to the last.
    pub duration_s: f64,
    /// The capture ends with its end record.
    pub complete: bool,
    /// How the session ended. `null` of a capture that is too large to be read for it and has no
    /// checkpoints to its end.
    pub ending: Option<EndingReport>,
    /// Why the recording ended, if the end record gives a reason.
    pub end_reason: Option<String>,
    /// Bytes of a record that was cut off at the end.
    pub torn_bytes: u64,
    /// Every record was checked; otherwise only what follows the last checkpoint was.
    pub checked: bool,
    /// What is damaged of what was checked.
    pub damage: Option<DamageReport>,
    /// What can be asked of it in what-ifs; `null` where nobody looked, as of a large capture.
    pub askable: Option<Askable>,
}

/// The header record.
#[derive(Debug, Clone, Serialize)]
pub struct HeaderInfo {
    /// The header as it was written.
    #[serde(flatten)]
    pub header: Header,
    /// The sync marker of the file, in hexadecimal.
    pub sync_marker: String,
}

/// Messages and their bytes.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Count {
    /// How many.
    pub messages: u64,
    /// Payload bytes, whole.
    pub bytes: u64,
}

impl Info {
    /// What this means for the exit code.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match &self.ending {
            _ if self.damage.is_some() => Outcome::Damaged,
            Some(ending) if ending.abnormal => Outcome::EndedAbnormally,
            _ => Outcome::Healthy,
        }
    }
}

/// Reads the facts of a capture: from its last checkpoint on, or all of it where it has none.
pub fn info(path: &Path) -> Result<Info> {
    let context = || format!("cannot read {}", path.display());
    let mut records = files::open_capture(path).with_context(context)?;
    let (mut file, file_bytes) = files::open_file(path).with_context(context)?;
    let mut info = Info {
        schema: SCHEMA,
        capture: path.display().to_string(),
        file_bytes,
        header: None,
        records: 0,
        messages: BTreeMap::from([("c2s", Count::default()), ("s2c", Count::default())]),
        round_trip: None,
        lost: 0,
        duration_s: 0.0,
        complete: false,
        ending: None,
        end_reason: None,
        torn_bytes: 0,
        checked: true,
        damage: None,
        askable: None,
    };
    let mut seen = Seen::default();
    if let Some(first) = records.next_record().with_context(context)? {
        info.count(first, &mut seen);
    }
    let marker = records.marker().filter(|_| info.header.is_some());
    if let (Some(header), Some(marker)) = (&mut info.header, marker) {
        header.sync_marker = marker.0.iter().map(|byte| format!("{byte:02x}")).collect();
    }
    let checkpoint = match marker {
        Some(marker) => last_checkpoint(&mut file, marker).with_context(context)?.zip(Some(marker)),
        None => None,
    };
    match checkpoint {
        Some((at, marker)) => {
            info.checked = false;
            file.seek(SeekFrom::Start(at)).with_context(context)?;
            info.read(&mut Salvage::behind(file, marker, at), &mut seen)
        }
        None => info.read(&mut records, &mut seen),
    }
    .with_context(context)?;
    info.duration_s = seen.span.map_or(0.0, |(first, last)| last.seconds_since(first));
    info.round_trip = RoundTripReport::of(seen.pings.round_trips());
    info.ending = ending(path, info.file_bytes).with_context(context)?;
    Ok(info)
}

/// How the session ended: from the checkpoints, or of a small capture from all records, where it has
/// none or they cannot tell.
fn ending(path: &Path, file_bytes: u64) -> Result<Option<EndingReport>> {
    let options = Options { headers_only: true, tracker_bound: Some(1), ..Options::default() };
    let mut recalled = None;
    if file_bytes <= MAX_RECALLED_LEN
        && let Some(Recalled { engine, ended, .. }) =
            index::recall(path, options.clone(), |_, _| ())?
    {
        recalled = Some(EndingReport::of(&engine, ended));
    }
    let is_told = recalled.as_ref().is_some_and(|ending| !ending.kind.is_silence());
    if is_told || file_bytes > MAX_REPLAYED_LEN {
        return Ok(recalled);
    }
    let replay = CaptureReplay::of(files::open_capture(path)?, options, None)?;
    Ok(Some(EndingReport::of(&replay.engine, replay.at)))
}

/// What is known only at the end.
#[derive(Default)]
struct Seen {
    /// Times of the first and of the last record.
    span: Option<(Nanos, Nanos)>,
    pings: Pings,
}

impl Info {
    fn read(&mut self, records: &mut Salvage<impl Read>, seen: &mut Seen) -> Result<()> {
        while let Some(record) = records.next_record()? {
            self.count(record, seen);
        }
        self.damage = DamageReport::of(records.losses());
        match records.ending() {
            Some(Ending::Complete) => self.complete = true,
            Some(Ending::Incomplete { torn_bytes }) => self.torn_bytes = torn_bytes,
            None => {}
        }
        Ok(())
    }

    fn count(&mut self, record: Record<'_>, seen: &mut Seen) {
        // A checkpoint may claim any number.
        self.records = self.records.saturating_add(u64::from(record.is_numbered()));
        let (first, last) = seen.span.unwrap_or((record.t, record.t));
        seen.span = Some((first, last.max(record.t)));
        match record.body {
            Body::Header(header) if self.header.is_none() => {
                self.header = Some(HeaderInfo { header, sync_marker: String::new() });
            }
            Body::Message(message) => {
                seen.pings.see(record.t, &message);
                let count = self.messages.entry(direction_name(message.direction)).or_default();
                count.messages = count.messages.saturating_add(1);
                count.bytes = count.bytes.saturating_add(message.len());
            }
            Body::Gap(gap) => self.lost = self.lost.saturating_add(gap.count),
            Body::End(end) => self.end_reason = end.reason,
            // In a file that is read from the beginning it repeats what has been counted so far.
            Body::Checkpoint(checkpoint) => {
                let Totals {
                    records,
                    up_messages,
                    up_bytes,
                    down_messages,
                    down_bytes,
                    lost,
                    round_trips,
                    ..
                } = checkpoint.summary.totals;
                self.records = records;
                self.lost = lost;
                seen.pings = Pings::resume(round_trips);
                let up = Count { messages: up_messages, bytes: up_bytes };
                let down = Count { messages: down_messages, bytes: down_bytes };
                self.messages = BTreeMap::from([("c2s", up), ("s2c", down)]);
            }
            _ => {}
        }
    }
}

impl Info {
    /// Says what can be asked of the capture at `path`: of any, or of one that is read and modelled at
    /// once.
    pub fn say_askable(&mut self, path: &Path, any: bool, wording: Wording) {
        if any || self.file_bytes <= MAX_ASKED_LEN {
            self.askable = Some(recording::askable(path, wording));
        }
    }
}

/// Prints the facts for a person.
#[must_use]
pub fn info_text(info: &Info) -> String {
    let mut out = String::new();
    let state = match (&info.damage, info.complete) {
        (Some(damage), _) => format!("damaged at byte {}", damage.offset),
        (None, true) => "complete".to_owned(),
        (None, false) => "incomplete".to_owned(),
    };
    let _ = writeln!(
        out,
        "{} · {} · {} s · {} records · {state}",
        OneLine(&info.capture),
        Bytes(info.file_bytes),
        Figure(info.duration_s),
        info.records
    );
    if let Some(ended) = info.ending.as_ref().and_then(EndingReport::headline) {
        let _ = writeln!(out, "{ended}");
    }
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(out, "  {:<12} {}", OneLine(key).to_string(), OneLine(value));
    };
    if let Some(HeaderInfo { header, sync_marker }) = &info.header {
        line("recorded by", &header.software);
        if let Some(url) = &header.url {
            line("from", url);
        }
        if let Some(start) = &header.start_utc {
            line("started", start);
        }
        if let Some(config) = &header.config {
            line("config", config);
        }
        for (key, value) in &header.metadata {
            line(key, value);
        }
        line("sync marker", sync_marker);
    }
    for (direction, name) in [("s2c", "down"), ("c2s", "up")] {
        let count = info.messages.get(direction).copied().unwrap_or_default();
        line(name, &format!("{} messages, {}", count.messages, Bytes(count.bytes)));
    }
    if let Some(round_trip) = &info.round_trip {
        line("round trip", &round_trip.to_string());
    }
    if info.lost > 0 {
        line("lost", &format!("{} records could not be kept while recording", info.lost));
    }
    if let Some(reason) = &info.end_reason {
        line("ended", reason);
    }
    if info.torn_bytes > 0 {
        line(
            "cut off",
            &format!("within its last record, of which {} are here", Bytes(info.torn_bytes)),
        );
    }
    if !info.checked {
        line("checked", "the end only; lagtape verify checks every record");
    }
    if let Some(damage) = &info.damage {
        line("damage", &damage.reason);
    }
    match &info.askable {
        Some(askable) => out.push_str(&askable::text(askable)),
        None => line("what-if", "not looked at: the capture is long; info --askable does"),
    }
    out
}
