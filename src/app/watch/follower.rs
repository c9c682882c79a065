//! One capture that is watched: what has come is read, handled and shown.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use crate::app::record::LIVE_TRACKER_BOUND;
use crate::app::report::tunnel;
use crate::capture::{Body, Ending, ReadError, Salvage};
use crate::edge::growing::{self, GrowingFile, Growth};
use crate::edge::page_server::{HubSession, PageHub};
use crate::engine::{Engine, Options};
use crate::lag::ReportArgs;
use crate::playhead::PlayheadSource;
use crate::report::page::PageExtras;
use crate::report::page::tunnel::Tunnel;
use crate::report::{Analysis, CaptureDescription, DamageReport, PlayheadDecision};
use crate::review::{PageRequest, next_commands};
use crate::time::Nanos;

/// Records that are read at a look; the rest has to wait for the next one.
const MOST_RECORDS: usize = 20_000;

/// A capture, and how far it was read.
pub(super) struct Follower {
    path: PathBuf,
    session: Arc<HubSession>,
    reading: Option<Reading>,
    /// The playhead that the reports show, where they contradict the capture.
    by_evidence: Option<PlayheadSource>,
}

/// A capture from its beginning.
struct Reading {
    records: Salvage<GrowingFile>,
    growth: Growth,
    engine: Engine,
    last: Nanos,
}

/// What a look has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// There is something new to see.
    pub is_new: bool,
    /// The capture is complete, and nothing more will come.
    pub is_over: bool,
}

impl Follower {
    pub fn new(path: PathBuf, session: Arc<HubSession>) -> Follower {
        Follower { path, session, reading: None, by_evidence: None }
    }

    /// What is being read, for a sentence.
    pub fn name(&self) -> String {
        format!("{} is watched no more", self.path.display())
    }

    /// Reads what has come and shows it.
    pub fn look(&mut self) -> Result<Found> {
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            // A recorder names a file just before it makes it.
            None if !self.path.exists() => return Ok(Found::default()),
            None => self.begin()?,
        };
        let is_new = match reading.read_on(&self.session) {
            Ok(is_new) => is_new,
            // Somebody writes it anew.
            Err(ReadError::Io(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                return Ok(Found::default());
            }
            Err(error) => return Err(error.into()),
        };
        let is_over = reading.records.ending().is_some();
        if !is_new {
            self.reading = Some(reading);
            return Ok(Found { is_new, is_over });
        }
        let shown = reading.engine.playhead_by_evidence();
        if shown.is_some() && self.by_evidence.is_none() {
            self.by_evidence = shown;
            return self.look();
        }
        self.show(&reading);
        self.reading = Some(reading);
        Ok(Found { is_new, is_over })
    }

    fn begin(&self) -> Result<Reading> {
        let (records, growth) = growing::open(&self.path)?;
        let options = Options {
            playhead: self.by_evidence,
            tracker_bound: Some(LIVE_TRACKER_BOUND),
            ..Options::default()
        };
        self.session.page().restart();
        Ok(Reading { records, growth, engine: Engine::new(options), last: Nanos(0) })
    }

    fn show(&self, reading: &Reading) {
        let analysis = self.analysis(reading);
        let is_live = reading.records.ending().is_none();
        let why_not = match is_live {
            true => "the wind tunnel asks a session that is over, and this one goes on",
            false => "the wind tunnel is being computed",
        };
        let tunnel = analysis.lag.is_some().then(|| Tunnel::none(why_not));
        self.renew(reading, analysis, tunnel);
    }

    /// Shows a session that is over with its wind tunnel, which another thread computes. One that could
    /// not be read to its end is only over.
    pub fn seal(self, verb: &PageRequest, hub: &Arc<PageHub>) {
        let Some(reading) = self.reading.as_ref() else {
            self.session.page().end();
            return hub.changed();
        };
        let analysis = self.analysis(reading);
        let Some(runs) = verb.tunnel.of(analysis.report_at_s).filter(|_| analysis.lag.is_some())
        else {
            return;
        };
        let (verb, hub) = (verb.clone(), Arc::clone(hub));
        let compute = move || {
            let tunnel = tunnel(&self.path, &verb, Some(runs), &analysis);
            if let Some(reading) = &self.reading {
                self.renew(reading, analysis, Some(tunnel));
            }
            hub.changed();
        };
        // Without a thread the page has no wind tunnel, and says so.
        drop(std::thread::Builder::new().name("lagtape-tunnel".to_owned()).spawn(compute));
    }

    /// The report up to now, as `report` makes it.
    fn analysis(&self, reading: &Reading) -> Analysis {
        let Reading { records, engine, last, .. } = reading;
        let playheads =
            PlayheadDecision { by_evidence: self.by_evidence.is_some(), other_lags: None };
        let about = CaptureDescription {
            tracker_bound: Some(LIVE_TRACKER_BOUND),
            complete: records.ending().is_none_or(|ending| ending == Ending::Complete),
            damage: DamageReport::of(records.losses()),
            playheads,
            ..CaptureDescription::live(self.path.display().to_string(), *last)
        };
        Analysis::of(engine, about, &ReportArgs::default())
    }

    fn renew(&self, reading: &Reading, analysis: Analysis, tunnel: Option<Tunnel>) {
        let next = next_commands(&analysis);
        let extras = PageExtras { next, tunnel, ..PageExtras::default() };
        let is_live = reading.records.ending().is_none();
        self.session.page().renew(&reading.engine, analysis, &extras, is_live);
    }
}

impl Reading {
    /// Reads what has come, and says whether that was anything.
    fn read_on(&mut self, session: &HubSession) -> Result<bool, ReadError> {
        let Reading { records, growth, engine, last } = self;
        let mut page = session.page();
        for count in 0..MOST_RECORDS {
            match records.next_record() {
                Ok(Some(record)) => {
                    engine.handle(&record);
                    page.see(engine, &record);
                    *last = record.t.max(*last);
                    if matches!(record.body, Body::End(_)) {
                        growth.end();
                    }
                }
                Ok(None) => return Ok(true),
                Err(ReadError::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(count > 0);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
