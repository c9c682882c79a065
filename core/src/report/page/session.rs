//! A session as the page gets it: a head in JSON and columns, deflated together, in base64.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;

use super::collect::PageCollector;
use super::columns::ColumnPlace;
use super::rows::{Load, Rows};
use super::tunnel::Tunnel;
use crate::engine::Engine;
use crate::family::FamilyKind;
use crate::heard::HeardEpisode;
use crate::report::clock::ReportClock;
use crate::report::{Analysis, json, text};
use crate::time::Nanos;

/// A session, ready for the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSession {
    /// The capture as it was named.
    pub name: String,
    /// The report as text.
    pub text: String,
    /// What there is no audio of, and why.
    pub missing: Vec<String>,
    /// All that the page draws.
    pub(super) packed: String,
}

/// What a page has beside what was recorded.
#[derive(Debug, Default)]
pub struct PageExtras {
    /// Commands worth trying.
    pub next: Vec<String>,
    /// What other knobs would have done.
    pub tunnel: Option<Tunnel>,
    /// Audio to listen to.
    pub sounds: Vec<PageSound>,
    /// What there is no audio of, and why.
    pub missing: Vec<String>,
}

/// Audio of a session.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PageSound {
    /// What it is.
    pub label: String,
    /// A second of it is a second of the session; else it is a loop.
    pub is_heard: bool,
    /// When in the session it begins, in seconds from the initial buffer.
    pub from_s: f64,
    /// Bytes of the WAV file, which stands behind the columns.
    len: usize,
    #[serde(skip)]
    wav: Vec<u8>,
}

impl PageSound {
    /// Audio in a WAV file, of the session from that second on or of a loop.
    #[must_use]
    pub fn new(label: &str, from_s: Option<f64>, wav: Vec<u8>) -> PageSound {
        let is_heard = from_s.is_some();
        let from_s = from_s.unwrap_or(0.0);
        PageSound { label: label.to_owned(), is_heard, from_s, len: wav.len(), wav }
    }
}

/// A spell of bad audio, or of slices behind, with words for it.
#[derive(Serialize)]
struct Spell {
    from_s: f64,
    to_s: f64,
    bad_s: f64,
    alarm: bool,
    words: String,
}

/// What the page knows of a session beside its columns.
#[derive(Serialize)]
pub(super) struct Head<'a> {
    name: &'a str,
    /// The answer.
    opening: String,
    /// The report as text.
    text: &'a str,
    next: &'a [String],
    from_s: f64,
    to_s: f64,
    listens_from_s: Option<f64>,
    sample_rate: u32,
    stale_threshold_s: f64,
    is_tape: bool,
    spells: Vec<Spell>,
    analysis: &'a Analysis,
    pub kinds: &'a [String],
    pub texts: &'a [(usize, String)],
    pub texts_left_out: u64,
    /// Of so many slices, and as many reports, the worst one is shown.
    pub one_of: usize,
    load_from_s: f64,
    load_part_s: f64,
    tunnel: Option<&'a Tunnel>,
    sounds: &'a [PageSound],
    missing: &'a [String],
    columns: &'a [ColumnPlace],
}

impl PageSession {
    /// What a page shows of a session: an engine after its last record, what was picked up on the way,
    /// and the report.
    #[must_use]
    pub fn of(
        engine: &Engine,
        collected: PageCollector,
        analysis: &Analysis,
        extras: &PageExtras,
    ) -> PageSession {
        let seconds = clock_of(engine, analysis);
        let PageCollector { mut rows, kinds, mut texts, texts_left_out, .. } = collected;
        let load = rows.load(&seconds);
        let one_of = rows.thin(texts.iter_mut().map(|(row, _)| row));
        let columns = rows.pack(&load, &seconds);
        let text = text::analysis(analysis, &extras.next);
        let head = Head {
            kinds: &kinds,
            texts: &texts,
            texts_left_out,
            one_of,
            sounds: &extras.sounds,
            columns: &columns.places,
            ..Head::of(engine, analysis, extras, &text, (&rows, &load))
        };
        let packed = pack(&json::json_text(&head), &columns.bytes, &extras.sounds);
        let missing = extras.missing.clone();
        PageSession { name: analysis.capture.clone(), text, missing, packed }
    }
}

impl PageSession {
    /// All that the page draws, as it reads it.
    #[must_use]
    pub fn packed(&self) -> &str {
        &self.packed
    }
}

#[cfg(test)]
impl PageSession {
    /// A session of which only what is packed counts.
    pub(super) fn for_test(packed: String) -> PageSession {
        PageSession { name: String::new(), text: String::new(), missing: Vec::new(), packed }
    }
}

/// Reads the clock of the page, which is the report's.
pub(super) fn clock_of(engine: &Engine, analysis: &Analysis) -> impl Fn(Nanos) -> f64 + use<> {
    let clock = ReportClock::of(engine, Nanos(analysis.report_ns));
    move |t| clock.s(t)
}

impl<'a> Head<'a> {
    /// A head without rows, texts and sounds.
    pub fn of(
        engine: &Engine,
        analysis: &'a Analysis,
        extras: &'a PageExtras,
        text: &'a str,
        (rows, load): (&Rows, &Load),
    ) -> Head<'a> {
        let seconds = clock_of(engine, analysis);
        let times = || rows.messages.iter().map(|message| seconds(message.t));
        // A part begins with its records; of a whole session what came before the buffer is seen, too.
        let begins_s = analysis.session.begins_s.unwrap_or(0.0).min(analysis.report_at_s);
        Head {
            name: &analysis.capture,
            opening: text::opening(analysis),
            text,
            next: &extras.next,
            from_s: times().fold(begins_s, f64::min),
            to_s: times().fold(analysis.report_at_s, f64::max),
            listens_from_s: engine.listens_from().map(&seconds),
            sample_rate: engine.sample_rate(),
            stale_threshold_s: threshold_s(analysis),
            is_tape: analysis.family.of.kind == FamilyKind::AppendOnlyTape,
            spells: spells(analysis),
            analysis,
            kinds: &[],
            texts: &[],
            texts_left_out: 0,
            one_of: 1,
            load_from_s: load.from_s,
            load_part_s: load.part_s,
            tunnel: extras.tunnel.as_ref(),
            sounds: &[],
            missing: &extras.missing,
            columns: &[],
        }
    }
}

/// Length of the head, the head, the columns, the sounds: deflated, in base64.
pub(super) fn pack(head: &str, columns: &[u8], sounds: &[PageSound]) -> String {
    let len = u32::try_from(head.len()).expect("a head is far shorter than 4 GiB");
    let len = len.to_le_bytes();
    let parts = [&len[..], head.as_bytes(), columns].into_iter();
    deflated(parts.chain(sounds.iter().map(|sound| &sound.wav[..])))
}

/// These bytes, one after another: deflated, in base64.
pub(super) fn deflated<'b>(mut parts: impl Iterator<Item = &'b [u8]>) -> String {
    let mut deflated = ZlibEncoder::new(Vec::new(), Compression::default());
    let written = parts.try_for_each(|part| deflated.write_all(part));
    let deflated = written.and_then(|()| deflated.finish()).expect("a Vec takes everything");
    STANDARD.encode(deflated)
}

fn threshold_s(analysis: &Analysis) -> f64 {
    let default_s = crate::lag::DEFAULT_STALE_THRESHOLD_S;
    analysis.lag.as_ref().map_or(default_s, |lag| lag.ticks.stale_threshold_s)
}

fn spells(analysis: &Analysis) -> Vec<Spell> {
    let Some(heard) = &analysis.heard else { return Vec::new() };
    let spell = |episode: &HeardEpisode| Spell {
        from_s: episode.from_s,
        to_s: episode.to_s,
        bad_s: episode.bad_s,
        alarm: episode.alarm,
        words: text::what(&episode.what),
    };
    heard.report.episodes.iter().map(spell).collect()
}
