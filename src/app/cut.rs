//! `cut`: a part of a capture whose figures are those of the whole capture for that time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::lost::Lost;
use super::outcome::Outcome;
use super::peek::origin;
use crate::capture::{Body, Header, Kind, Record, Stored};
use crate::edge::files;
use crate::edge::output::{self, OutputFile};
use crate::edge::rewrite::Rewriter;
use crate::parse::Misuse;
use crate::report::SCHEMA;
use crate::review::Before;
use crate::time::{Nanos, Offset};

/// Which part to cut out; times count from the initial buffer.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CutOptions {
    /// From this moment on; from the beginning by default.
    pub from: Option<Offset>,
    /// Up to this moment, which the next part begins with; to the end by default.
    pub to: Option<Offset>,
    pub force: bool,
}

/// What was cut out.
#[derive(Debug, Clone, Serialize)]
pub struct CutSummary {
    /// Version of this JSON.
    pub schema: u32,
    /// What was written.
    pub out: PathBuf,
    /// Records of the capture in it, its header left aside.
    pub records: u64,
    /// The first and the last of them, in seconds from the initial buffer.
    pub from_s: f64,
    /// See `from_s`.
    pub to_s: f64,
    /// What is lost of the capture up to there.
    #[serde(flatten)]
    pub lost: Lost,
}

impl CutSummary {
    /// What this means for the exit code.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.lost.anything() { Outcome::Damaged } else { Outcome::Healthy }
    }
}

/// Writes the records between two moments to `out`. A context before them holds the state that the
/// session had, so that every later figure is the same as in the whole capture.
pub fn cut(path: &Path, out: &Path, options: &CutOptions) -> Result<CutSummary> {
    let context = || format!("cannot cut {}", path.display());
    output::refuse_input(path, out)?;
    let output = OutputFile::create(out, options.force)?;
    let origin = origin(path).with_context(context)?;
    let from = options.from.map(|from| from.from(origin));
    let to = options.to.map(|to| to.from(origin));
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        bail!(Misuse::new("the part ends before it begins; give a --to after the --from"));
    }
    let mut records = files::open_capture(path).with_context(context)?;
    let mut waiting = Some((Before::new(), output));
    let mut part: Option<Part> = None;
    while let Some(stored) = records.next_stored().with_context(context)? {
        if waiting.as_mut().is_some_and(|(before, _)| is_before(before, &stored, from)) {
            continue;
        }
        if to.is_some_and(|to| stored.record.t >= to) {
            break;
        }
        if let Some((before, output)) = waiting.take() {
            part = Some(begin(before, output, &stored)?);
        }
        if let Some(part) = &mut part {
            part.take(&stored)?;
        }
    }
    let Some(part) = part else {
        bail!("{} holds no record in that time; see lagtape info", path.display());
    };
    let (first, last, count) = (part.first, part.last, part.records);
    part.finish()?;
    Ok(CutSummary {
        schema: SCHEMA,
        out: out.to_owned(),
        records: count,
        from_s: first.seconds_since(origin),
        to_s: last.seconds_since(origin),
        lost: Lost::of(records.losses()),
    })
}

/// Whether a record lies before the part; then it is only remembered.
fn is_before(before: &mut Before, stored: &Stored<'_>, from: Option<Nanos>) -> bool {
    let record = &stored.record;
    let opens = matches!(record.kind(), Kind::Header | Kind::Context | Kind::Checkpoint);
    let is_before = opens || from.is_some_and(|from| record.t < from);
    if is_before {
        before.see(record);
    }
    is_before
}

/// Begins the part with its header and the state of the session.
fn begin(before: Before, output: OutputFile, first: &Stored<'_>) -> Result<Part> {
    let Before { engine, header } = before;
    let has_state = engine.facts().records > 1 || engine.facts().resumed.is_some();
    let context = has_state.then(|| engine.context());
    // Its mirror takes more than the context, which is to be copied once more.
    drop(engine);
    let mut rewriter = Rewriter::new(output, first.marker());
    let mut header = header.unwrap_or_else(|| {
        let mut header = Header::new("lagtape cut", first.record.t);
        header.metadata.insert("recovered".to_owned(), "the header was lost".to_owned());
        header
    });
    header.metadata.insert("cut".to_owned(), format!("from record {}", first.record.seq));
    let t = header.start;
    rewriter.put(&Record { seq: 0, t, conn: 0, body: Body::Header(header) })?;
    if let Some(context) = context {
        rewriter.put(&context)?;
    }
    let t = first.record.t;
    Ok(Part { rewriter, first: t, last: t, records: 0, ended: false })
}

/// A part in the making.
struct Part {
    rewriter: Rewriter,
    first: Nanos,
    last: Nanos,
    records: u64,
    ended: bool,
}

impl Part {
    fn take(&mut self, stored: &Stored<'_>) -> Result<()> {
        self.rewriter.copy(stored)?;
        self.records += u64::from(stored.record.is_numbered());
        self.last = self.last.max(stored.record.t);
        self.ended = stored.record.kind() == Kind::End;
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        if !self.ended {
            self.rewriter.end(self.last, "cut")?;
        }
        self.rewriter.finish()
    }
}
