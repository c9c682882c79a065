//! Notices of how a recording goes, and their wording.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::flight::TriggerReason;

/// A change of a recording that is reported at once.
#[derive(Clone, Debug, PartialEq)]
pub enum RecorderNotice {
    /// The disk refuses writes.
    DiskFails {
        what: String,
        error: String,
        /// The recording stops for it, as a strict one does.
        stops: bool,
    },
    /// The disk accepts writes again.
    DiskIsBack { what: String },
    /// The buffer is full: records are lost from now on.
    Losing,
    /// Records were lost, and a gap record stands for them.
    Gap { records: u64, bytes: u64 },
    /// The next part of a recording began.
    Part(PathBuf),
    /// An incident is being written; the class and the sentence of what was at work, if that shows.
    Incident { path: PathBuf, why: TriggerReason, finding: Option<String> },
    /// An incident is written to its end.
    Written { path: PathBuf, bytes: u64 },
    /// An incident is not written, because too many others are being written.
    Crowded { why: TriggerReason },
    /// An incident could not be written to its end.
    CutShort(PathBuf),
    /// An old incident was deleted, to make room for new ones.
    Deleted(PathBuf),
    /// An old incident could not be deleted.
    NotDeleted { path: PathBuf, error: String },
    /// Where the recording stands; sent again and again.
    Status(RecorderStatus),
}

impl RecorderNotice {
    /// The file that begins.
    #[must_use]
    pub fn begun(&self) -> Option<&Path> {
        match self {
            RecorderNotice::Part(path) | RecorderNotice::Incident { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Whether something is wrong with the recording.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        matches!(
            self,
            RecorderNotice::DiskFails { .. }
                | RecorderNotice::Losing
                | RecorderNotice::Gap { .. }
                | RecorderNotice::Crowded { .. }
                | RecorderNotice::CutShort(_)
                | RecorderNotice::NotDeleted { .. }
        )
    }
}

impl fmt::Display for RecorderNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecorderNotice::DiskFails { what, error, stops: false } => write!(
                f,
                "cannot write {what}: {error}; measuring goes on, and what waits is written when the disk takes it"
            ),
            RecorderNotice::DiskFails { what, error, stops: true } => {
                write!(f, "cannot write {what}: {error}; the recording stops, since it is strict")
            }
            RecorderNotice::DiskIsBack { what } => write!(f, "{what} is being written again"),
            RecorderNotice::Losing => f.write_str(
                "the disk does not keep up and its buffer is full; what comes now is missing from the capture",
            ),
            RecorderNotice::Gap { records, bytes } => write!(
                f,
                "{records} records with {bytes} bytes are missing from the capture; a gap record says so"
            ),
            RecorderNotice::Part(path) => write!(f, "going on in {}", path.display()),
            RecorderNotice::Incident { path, why, finding } => {
                write!(f, "incident: {why}; writing {}", path.display())?;
                finding.iter().try_for_each(|finding| write!(f, " · cause: {finding}"))
            }
            RecorderNotice::Written { path, bytes } => {
                write!(f, "wrote {}, {bytes} bytes", path.display())
            }
            RecorderNotice::Crowded { why } => {
                write!(f, "incident: {why}; not written, since as many as can be are already")
            }
            RecorderNotice::CutShort(path) => write!(f, "{} ends early: the disk failed", path.display()),
            RecorderNotice::Deleted(path) => write!(f, "deleted {} for the quota", path.display()),
            RecorderNotice::NotDeleted { path, error } => {
                write!(f, "cannot delete {} for the quota: {error}", path.display())
            }
            RecorderNotice::Status(status) => write!(f, "{} of {} records written", status.written, status.records),
        }
    }
}

/// Where a recording stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecorderStatus {
    /// Records of the session so far, lost ones included.
    pub records: u64,
    /// Records handed to the operating system, or to the ring of an incident recorder. A killed
    /// recorder loses none of them.
    pub written: u64,
    /// Records lost: neither in the capture nor waiting for it.
    pub lost: u64,
    /// Bytes that wait for the disk.
    pub waiting_bytes: u64,
    /// The error of a disk that refuses writes.
    pub failing: Option<String>,
    /// Files so far: the capture, its parts, or the incidents that were not deleted.
    pub file_count: usize,
    #[serde(skip)]
    pub(super) offered_bytes: u64,
    #[serde(skip)]
    pub(super) written_bytes: u64,
}
