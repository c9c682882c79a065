//! `join`: one capture of the parts of a recording.
//!
//! What comes out is, byte for byte, what the recording would have been without its division: the
//! headers and contexts between the parts are left out, the end is counted anew, and checkpoints are
//! made anew.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::capture::{Body, End, Ending, Gap, Header, Record, Salvage, SyncMarker, Writer};
use crate::edge::files::{self, CaptureFile};
use crate::edge::output::{self, OutputFile};
use crate::edge::rewrite::Woven;
use crate::flight::PART_KEY;
use crate::report::DamageReport;
use crate::time::Nanos;

/// What was joined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JoinSummary {
    pub parts: usize,
    /// Records of the capture, its end included.
    pub records: u64,
    /// Parts between these that were not there.
    pub missing: Vec<MissingPart>,
    /// The last part was closed in order.
    pub complete: bool,
}

/// Something is missing between two parts, or before the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MissingPart {
    /// The part that begins later than the one before ends.
    pub before: PathBuf,
    /// Records that lie between them.
    pub records: u64,
}

/// Joins parts, named in any order.
pub fn join(paths: &[PathBuf], out: &Path, force: bool) -> Result<JoinSummary> {
    paths.iter().try_for_each(|path| output::refuse_input(path, out))?;
    let mut output = OutputFile::create(out, force)?;
    let mut parts = paths.iter().map(|path| Part::open(path)).collect::<Result<Vec<_>>>()?;
    parts.sort_by_key(|part| part.number);
    for pair in parts.windows(2) {
        let (one, other) = (pair[0].path.display(), pair[1].path.display());
        if pair[0].marker != pair[1].marker {
            bail!("{one} and {other} are parts of different recordings");
        }
        if pair[0].number == pair[1].number {
            bail!("{one} and {other} are the same part");
        }
    }
    let Some(first) = parts.first() else { bail!("name the parts to join") };
    let mut woven = Woven::new(output.writer(), first.marker);
    let mut joined = Joined::begin(first);
    let count = parts.len();
    for (i, part) in parts.into_iter().enumerate() {
        let path = part.path.clone();
        joined
            .append(part, i + 1 == count, &mut woven)
            .with_context(|| format!("cannot join {}", path.display()))?;
    }
    output.finish()?;
    Ok(JoinSummary {
        parts: count,
        records: joined.writer.end(None).records,
        missing: joined.missing,
        complete: joined.complete,
    })
}

/// A part whose header was read.
struct Part {
    path: PathBuf,
    number: u64,
    marker: SyncMarker,
    header: Header,
    t: Nanos,
    records: Salvage<CaptureFile>,
}

impl Part {
    fn open(path: &Path) -> Result<Part> {
        let mut records = files::open_capture(path)?;
        let header =
            records.next_record().with_context(|| format!("cannot join {}", path.display()))?;
        let header = header.and_then(|record| match record.body {
            Body::Header(header) => Some((record.t, header)),
            _ => None,
        });
        let number =
            header.as_ref().and_then(|(_, header)| header.metadata.get(PART_KEY)?.parse().ok());
        match (header, number, records.marker()) {
            (Some((t, header)), Some(number), Some(marker)) => {
                Ok(Part { path: path.to_owned(), number, marker, header, t, records })
            }
            _ => bail!("{} is no part of a recording; record --split makes them", path.display()),
        }
    }
}

/// The capture that the parts become.
struct Joined {
    writer: Writer,
    bytes: Vec<u8>,
    missing: Vec<MissingPart>,
    complete: bool,
    last: Nanos,
}

impl Joined {
    fn begin(first: &Part) -> Joined {
        let mut header = first.header.clone();
        header.metadata.remove(PART_KEY);
        let mut writer = Writer::new(first.marker);
        let mut bytes = Vec::new();
        writer.begin(&mut bytes);
        writer
            .write(&Record { seq: 0, t: first.t, conn: 0, body: Body::Header(header) }, &mut bytes);
        Joined { writer, bytes, missing: Vec::new(), complete: false, last: first.t }
    }

    fn append(&mut self, mut part: Part, is_last: bool, out: &mut impl Write) -> Result<()> {
        while let Some(record) = part.records.next_record()? {
            match &record.body {
                Body::Header(_) => {}
                Body::Context(_) if record.seq.saturating_add(1) == self.writer.next_seq() => {}
                Body::Context(_) => {
                    self.skip_to(&record, &part.path);
                    self.writer.write(&record, &mut self.bytes);
                }
                Body::End(end) if is_last => {
                    let end = End { reason: end.reason.clone(), ..self.writer.end(None) };
                    let record = Record { body: Body::End(end), ..record };
                    self.writer.write(&record, &mut self.bytes);
                }
                // A checkpoint speaks of places in the part.
                Body::End(_) | Body::Checkpoint(_) => {}
                Body::Other(id) => {
                    bail!("it holds records of type {id}; join it with the version that made it")
                }
                _ => self.writer.write(&record, &mut self.bytes),
            }
            if record.is_numbered() && !matches!(record.body, Body::End(_)) {
                self.last = self.last.max(record.t);
            }
            out.write_all(&self.bytes)?;
            self.bytes.clear();
        }
        if let Some(damage) = DamageReport::of(part.records.losses()) {
            bail!(damage.reason);
        }
        self.complete = is_last && part.records.ending() == Some(Ending::Complete);
        Ok(())
    }

    /// Notes that the records up to that of a context are missing. The gap has the number of the
    /// last of them, and the time of the record before them.
    fn skip_to(&mut self, context: &Record<'_>, before: &Path) {
        let first_seq = self.writer.next_seq();
        let count = context.seq.saturating_add(1).saturating_sub(first_seq);
        self.missing.push(MissingPart { before: before.to_owned(), records: count });
        if count == 0 {
            return;
        }
        let reason = "a part is missing".to_owned();
        let gap = Gap { first_seq, count, bytes: 0, reason };
        let record = Record { seq: context.seq, t: self.last, conn: 0, body: Body::Gap(gap) };
        self.writer.write(&record, &mut self.bytes);
    }
}
