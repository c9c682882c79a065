//! How many incidents may lie on the disk, and how large they may be together.
//!
//! Deletes the oldest beyond that, and only what an incident recorder of the same name has written:
//! files whose name and whose header both say so. The newest is never deleted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::queue::Queue;
use super::{Notice, folder_of, named};
use crate::capture::{Body, Records};
use crate::flight::INCIDENT_NS_KEY;
use crate::parse::ByteSize;

/// Most incidents on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// At most so many files.
    pub files: usize,
    /// At most so many bytes together.
    pub bytes: ByteSize,
}

impl Default for Quota {
    fn default() -> Self {
        Quota { files: 20, bytes: ByteSize(2_000_000_000) }
    }
}

/// Length of `2026-11-22T16-04-10Z`, by which the names of incidents sort.
const UTC_LEN: usize = 20;

impl Quota {
    /// Deletes the oldest incidents of the recorder whose files are named after `path` until the
    /// others keep to the quota together with those that are being written now.
    pub(super) fn enforce(&self, path: &Path, open: &[PathBuf], queue: &Queue) {
        let mut incidents = incidents_of(path);
        let unmade = open.iter().filter(|path| !path.exists()).count();
        let mut files = incidents.len() + unmade;
        let mut bytes: u64 = incidents.iter().map(|found| found.len).sum();
        // The newest stays, however large it is.
        incidents.pop_if(|_| unmade == 0);
        for Found { path, len, .. } in incidents {
            if files <= self.files && bytes <= self.bytes.0 {
                return;
            }
            if open.contains(&path) {
                continue;
            }
            match fs::remove_file(&path) {
                Ok(()) => {
                    files -= 1;
                    bytes -= len;
                    queue.change_files(|files| files.retain(|file| *file != path));
                    queue.tell(Notice::Deleted(path));
                }
                Err(error) => queue.tell(Notice::NotDeleted { path, error: error.to_string() }),
            }
        }
    }
}

/// An incident on the disk. The oldest is the least.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    utc: String,
    /// Tells those of one second apart.
    incident_ns: u64,
    path: PathBuf,
    len: u64,
}

/// The incidents of this recorder and of earlier ones of its name, oldest first.
fn incidents_of(path: &Path) -> Vec<Found> {
    let Ok(entries) = fs::read_dir(folder_of(path)) else { return Vec::new() };
    let pattern = named(path, "");
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let path = folder_of(path).join(entry.ok()?.file_name());
            let utc = utc_of(&path, &pattern)?;
            let metadata = path.symlink_metadata().ok().filter(fs::Metadata::is_file)?;
            let incident_ns = incident_ns(&path)?;
            Some(Found { utc, incident_ns, path, len: metadata.len() })
        })
        .collect();
    found.sort();
    found
}

/// The time in the name of an incident: `pattern` with a time and more behind its stem.
fn utc_of(path: &Path, pattern: &Path) -> Option<String> {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = stem(path);
    let (utc, why) = name.strip_prefix(&stem(pattern))?.split_at_checked(UTC_LEN)?;
    let is_utc = utc.bytes().all(|byte| byte.is_ascii_digit() || b"T-Z".contains(&byte));
    let is_incident = path.extension() == pattern.extension() && is_utc && why.starts_with('-');
    is_incident.then(|| utc.to_owned())
}

/// When it happened, if the file is a capture of an incident.
fn incident_ns(path: &Path) -> Option<u64> {
    let mut records = Records::new(File::open(path).ok()?);
    let record = records.next_record().ok()??;
    let Body::Header(header) = record.body else { return None };
    header.metadata.get(INCIDENT_NS_KEY)?.parse().ok()
}
