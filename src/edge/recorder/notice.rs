//! What an onlooker hears of the recorder.
//!
//! Enters: what became of the recording. Leaves: a line for people.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::flight::TriggerReason;

/// Something that is told at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The disk refuses what is written.
    DiskFails {
        /// What cannot be written.
        what: String,
        /// What the disk says.
        error: String,
    },
    /// The disk takes what is written again.
    DiskIsBack {
        /// What is written again.
        what: String,
    },
    /// The buffer is full: records are lost from now on.
    Losing,
    /// Records were lost, and a gap record stands for them.
    Gap {
        /// How many.
        records: u64,
        /// Their payload bytes.
        bytes: u64,
    },
    /// The next part of a recording began.
    Part(PathBuf),
    /// An incident is being written.
    Incident {
        /// Where to.
        path: PathBuf,
        /// What happened.
        why: TriggerReason,
    },
    /// An incident is written to its end.
    Written {
        /// Where.
        path: PathBuf,
        /// Length of the file.
        bytes: u64,
    },
    /// An incident is not written, because too many are at this moment.
    Crowded {
        /// What happened.
        why: TriggerReason,
    },
    /// An incident could not be written to its end.
    CutShort(PathBuf),
    /// An old incident was deleted, to make room for new ones.
    Deleted(PathBuf),
    /// An old incident could not be deleted.
    NotDeleted {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: String,
    },
    /// Where the recording stands; said again and again, and not for people.
    Status(Status),
}

impl Notice {
    /// Something is wrong with the recording.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        matches!(
            self,
            Notice::DiskFails { .. }
                | Notice::Losing
                | Notice::Gap { .. }
                | Notice::Crowded { .. }
                | Notice::CutShort(_)
                | Notice::NotDeleted { .. }
        )
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::DiskFails { what, error } => write!(
                f,
                "cannot write {what}: {error}; measuring goes on, and what waits is written when the disk takes it"
            ),
            Notice::DiskIsBack { what } => write!(f, "{what} is being written again"),
            Notice::Losing => f.write_str(
                "the disk does not keep up and its buffer is full; what comes now is missing from the capture",
            ),
            Notice::Gap { records, bytes } => write!(
                f,
                "{records} records with {bytes} bytes are missing from the capture; a gap record says so"
            ),
            Notice::Part(path) => write!(f, "going on in {}", path.display()),
            Notice::Incident { path, why } => write!(f, "incident: {why}; writing {}", path.display()),
            Notice::Written { path, bytes } => {
                write!(f, "wrote {}, {bytes} bytes", path.display())
            }
            Notice::Crowded { why } => {
                write!(f, "incident: {why}; not written, since as many as can be are already")
            }
            Notice::CutShort(path) => write!(f, "{} ends early: the disk failed", path.display()),
            Notice::Deleted(path) => write!(f, "deleted {} for the quota", path.display()),
            Notice::NotDeleted { path, error } => {
                write!(f, "cannot delete {} for the quota: {error}", path.display())
            }
            Notice::Status(status) => write!(f, "{} of {} records written", status.written, status.records),
        }
    }
}

/// Where a recording stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Records of the session so far, lost ones included.
    pub records: u64,
    /// Records handed to the operating system, or to the ring of an incident recorder. A killed
    /// recorder loses none of them.
    pub written: u64,
    /// Records lost: neither in the capture nor waiting for it.
    pub lost: u64,
    /// Bytes that wait for the disk.
    pub waiting_bytes: u64,
    /// What the disk says that refuses what is written.
    pub failing: Option<String>,
    /// Files so far: the capture, its parts, or the incidents that were not deleted.
    pub file_count: usize,
    #[serde(skip)]
    pub(super) offered_bytes: u64,
    #[serde(skip)]
    pub(super) written_bytes: u64,
}
