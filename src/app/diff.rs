//! `diff`: two captures side by side.

use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::capture::{Body, Direction, Opcode, Record};
use crate::edge::files;
use crate::engine::Options;
use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};
use crate::parse::shell;
use crate::playhead::PlayheadSource;
use crate::report::CaptureDescription;
use crate::report::compare::{ComparedSide, Comparison, Tolerance};
use crate::review;
use crate::sweep;
use crate::time::Span;

/// How to compare.
#[derive(Debug, Clone)]
pub struct DiffVerb {
    /// What may be apart and still the same.
    pub tolerance: Tolerance,
    /// Audio older than this is stale.
    pub stale_threshold_s: f64,
    /// The playhead of both; `None`: what each capture calls for.
    pub playhead: Option<PlayheadSource>,
    pub headers_only: bool,
}

impl Default for DiffVerb {
    fn default() -> Self {
        DiffVerb {
            tolerance: Tolerance::default(),
            stale_threshold_s: DEFAULT_STALE_THRESHOLD_S,
            playhead: None,
            headers_only: false,
        }
    }
}

/// Compares two captures over the time that both cover.
pub fn diff(a: &Path, b: &Path, verb: &DiffVerb) -> Result<Comparison> {
    let sides = sweep::map_in_order(&[a, b], 0, |path| verb.side(path, None))?;
    let [a_side, b_side] = <[Result<ComparedSide>; 2]>::try_from(sides)
        .unwrap_or_else(|_| unreachable!("two paths give two sides"));
    let (mut a_side, mut b_side) = (a_side?, b_side?);
    let lengths_s = [&a_side, &b_side].map(ComparedSide::length_s);
    let [length_a_s, length_b_s] = lengths_s;
    let until = |side: &ComparedSide, length_s: f64| {
        Some(Span(((side.from_s() + length_s).max(0.0) * 1e9).round() as u64))
    };
    if length_a_s > length_b_s {
        a_side = verb.side(a, until(&a_side, length_b_s))?.ended_as(&a_side);
    } else if length_b_s > length_a_s {
        b_side = verb.side(b, until(&b_side, length_a_s))?.ended_as(&b_side);
    }
    Ok(Comparison::of(&a_side, &b_side, lengths_s, verb.tolerance))
}

impl DiffVerb {
    fn side(&self, path: &Path, until: Option<Span>) -> Result<ComparedSide> {
        let options = Options {
            playhead: self.playhead,
            headers_only: self.headers_only,
            stale_threshold_s: self.stale_threshold_s,
            ..Options::default()
        };
        let open = || files::open_capture(path);
        let (replay, digests, playheads) = review::collected(
            open,
            &options,
            (None, until),
            Vec::new,
            |digests, engine, record| {
                digests.extend(digest(record));
                engine.handle(record);
            },
        )
        .with_context(|| format!("cannot compare {}", path.display()))?;
        if replay.engine.origin().is_none() {
            let named = shell::file(&path.to_string_lossy());
            bail!(
                "cannot compare {}: it has no initial buffer to be aligned at; look at it with: lagtape cat {named}",
                path.display()
            );
        }
        let about = CaptureDescription {
            headers_only: self.headers_only,
            ..replay.described(path.display(), playheads)
        };
        let args =
            ReportArgs { stale_threshold_s: self.stale_threshold_s, ..ReportArgs::default() };
        Ok(ComparedSide::of(&replay.engine, about, &args, digests))
    }
}

/// What stands for a binary message of the server: the beginning of its SHA-256.
fn digest(record: &Record<'_>) -> Option<u64> {
    let Body::Message(message) = &record.body else { return None };
    let is_audio =
        message.direction == Direction::ServerToClient && message.opcode == Opcode::Binary;
    let sha256 = || message.sha256.unwrap_or_else(|| Sha256::digest(message.payload).into());
    is_audio.then(|| {
        let [a, b, c, d, e, f, g, h, ..] = sha256();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    })
}
