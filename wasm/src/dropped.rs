//! A file that was dropped: a capture, or the sessions of a HAR file.

use std::cell::OnceCell;
use std::io::Read;

use lagtape_core::Salvage;
use lagtape_core::har::{HarLog, text_of};
use lagtape_core::report::json_text;
use lagtape_core::report::page::{self, PageSession};
use lagtape_core::review::{self, PageRequest, ReviewError, TunnelRuns};

/// Most bytes that a packed file may unpack to: memory of this kind ends at four gigabytes.
const MAX_UNPACKED: u64 = 1 << 30;

/// A file with what is in it.
pub struct Dropped {
    captures: Vec<Capture>,
    assumed: Vec<String>,
}

/// A session as a capture.
struct Capture {
    name: String,
    bytes: Vec<u8>,
    /// As the page draws it, with its wind tunnel, once that was asked for.
    whole: OnceCell<PageSession>,
}

impl Dropped {
    /// Reads a file, or says why it cannot be shown.
    pub fn read(name: String, bytes: Vec<u8>) -> Result<Dropped, String> {
        let bytes = unpacked(&name, bytes)?;
        if bytes.starts_with(b"PK\x03\x04") {
            return Err(format!("{name} is a zip file; unpack it, and drop what is in it"));
        }
        let is_named = |ending: &str| name.to_ascii_lowercase().contains(ending);
        let is_capture = Salvage::new(&bytes[..]).next_record().is_ok();
        if is_capture || is_named(".lagtape") {
            let capture = Capture::new(name, bytes);
            capture.check()?;
            return Ok(Dropped { captures: vec![capture], assumed: Vec::new() });
        }
        let text = text_of(&bytes);
        let is_json = text.trim_start().starts_with(['{', '[']);
        match HarLog::read(&bytes, &text) {
            Ok(log) => Dropped::import(&name, &log),
            Err(error) if is_json || is_named(".har") => Err(error.of_file(&name)),
            // What begins a capture is said of whatever else it may be.
            Err(_) => Err(Capture::new(name, bytes).check().err().unwrap_or_default()),
        }
    }

    /// All sessions of a HAR file.
    fn import(name: &str, log: &HarLog<'_>) -> Result<Dropped, String> {
        let sessions = log.sessions();
        let (mut captures, mut assumed) = (Vec::new(), Vec::<String>::new());
        for session in 1..=sessions.max(1) {
            let mut bytes = Vec::new();
            let chosen = Some(session).filter(|_| sessions > 1);
            let imported = log.import(chosen, &mut bytes).map_err(|error| error.of_file(name))?;
            let more: Vec<_> =
                imported.assumed.into_iter().filter(|it| !assumed.contains(it)).collect();
            assumed.extend(more);
            let name = chosen.map_or(name.to_owned(), |_| format!("{name}, session {session}"));
            captures.push(Capture::new(name, bytes));
        }
        Ok(Dropped { captures, assumed })
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> u32 {
        self.captures.len() as u32
    }

    /// What had to be assumed, a line each.
    pub fn assumed(&self) -> String {
        self.assumed.join("\n")
    }

    fn capture(&self, session: usize) -> Result<&Capture, String> {
        self.captures.get(session).ok_or_else(|| "there is no such session".to_owned())
    }

    /// The report.
    pub fn analysis_json(&self, session: usize) -> Result<String, String> {
        let capture = self.capture(session)?;
        let analysis = review::analysis(|| capture.open(), &capture.name);
        analysis.map(|analysis| json_text(&analysis)).map_err(|error| capture.sentence(&error))
    }

    /// What the page draws.
    pub fn page_session(&self, session: usize, has_tunnel: bool) -> Result<String, String> {
        let capture = self.capture(session)?;
        match has_tunnel {
            true => capture.whole().map(|page| page.packed().to_owned()),
            false => capture.page(TunnelRuns::Never).map(|page| page.packed().to_owned()),
        }
    }

    /// A page of its own.
    pub fn page_file(&self, session: usize) -> Result<String, String> {
        Ok(page::html(std::slice::from_ref(self.capture(session)?.whole()?)))
    }
}

impl Capture {
    fn new(name: String, bytes: Vec<u8>) -> Capture {
        Capture { name, bytes, whole: OnceCell::new() }
    }

    fn open(&self) -> Result<Salvage<&[u8]>, ReviewError> {
        Ok(Salvage::new(&self.bytes[..]))
    }

    /// Whether it can be read at all.
    fn check(&self) -> Result<(), String> {
        let first = Salvage::new(&self.bytes[..]).next_record().map(|record| record.is_some());
        match first {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("{} holds no record", self.name)),
            Err(error) => Err(self.sentence(&error)),
        }
    }

    fn whole(&self) -> Result<&PageSession, String> {
        if let Some(page) = self.whole.get() {
            return Ok(page);
        }
        let page = self.page(TunnelRuns::Affordable)?;
        Ok(self.whole.get_or_init(|| page))
    }

    fn page(&self, tunnel: TunnelRuns) -> Result<PageSession, String> {
        // There is one thread, and the words are those of the command line.
        let request = PageRequest { tunnel, threads: 1, ..PageRequest::default() };
        review::page_session(|| self.open(), &self.name, &request, || None)
            .map(|(session, _)| session)
            .map_err(|error| self.sentence(&error))
    }

    fn sentence(&self, error: &impl std::fmt::Display) -> String {
        format!("{} cannot be shown: {error}", self.name)
    }
}

/// The bytes of a file without its gzip or zstd.
fn unpacked(name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let unpack = |source: &mut dyn Read| {
        let mut unpacked = Vec::new();
        let read = source.take(MAX_UNPACKED + 1).read_to_end(&mut unpacked);
        read.map_err(|error| format!("{name} cannot be unpacked: {error}"))?;
        match unpacked.len() as u64 > MAX_UNPACKED {
            true => Err(format!("{name} is too large for a page; use lagtape report")),
            false => Ok(unpacked),
        }
    };
    match bytes[..] {
        [0x1f, 0x8b, ..] => unpack(&mut flate2::read::MultiGzDecoder::new(&bytes[..])),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::Decoder::new(&bytes[..])
            .map_err(|error| format!("{name} cannot be unpacked: {error}"))
            .and_then(|mut source| unpack(&mut source)),
        _ => Ok(bytes),
    }
}
