//! Limits how many incidents are kept on the disk, and their total size.
//!
//! The oldest are deleted first, the newest never. Only files whose name and header both say that an
//! incident recorder of the same name wrote them are touched, and none that one still writes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::names::{folder_of, named};
use super::notice::RecorderNotice;
use super::queue::RecordQueue;
use crate::capture::{Body, Records};
use crate::edge::lock::is_being_written;
use crate::flight::INCIDENT_NS_KEY;
use crate::parse::ByteSize;

/// Most incidents on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub files: usize,
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
    pub(super) fn enforce(&self, path: &Path, open: &[PathBuf], queue: &RecordQueue) {
        let mut incidents = incidents_of(path);
        let is_found = |path: &PathBuf| incidents.iter().any(|found| found.path == *path);
        let unmade = open.iter().filter(|path| !is_found(path)).count();
        let mut files = incidents.len() + unmade;
        let mut bytes: u64 = incidents.iter().map(|found| found.len).sum();
        // The newest is kept, however large it is.
        incidents.pop_if(|_| unmade == 0);
        for FoundIncident { path, len, .. } in incidents {
            if files <= self.files && bytes <= self.bytes.0 {
                return;
            }
            if open.contains(&path) || is_being_written(&path) {
                continue;
            }
            match fs::remove_file(&path) {
                Ok(()) => {
                    files -= 1;
                    bytes -= len;
                    queue.change_files(|files| files.retain(|file| *file != path));
                    queue.notify(RecorderNotice::Deleted(path));
                }
                Err(error) => {
                    queue.notify(RecorderNotice::NotDeleted { path, error: error.to_string() });
                }
            }
        }
    }
}

/// An incident on the disk, ordered by age.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct FoundIncident {
    utc: String,
    /// Orders incidents of the same second.
    incident_ns: u64,
    path: PathBuf,
    len: u64,
}

/// The incidents of this recorder and of earlier ones with its name, oldest first.
fn incidents_of(path: &Path) -> Vec<FoundIncident> {
    let Ok(entries) = fs::read_dir(folder_of(path)) else { return Vec::new() };
    let pattern = named(path, "");
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let path = path.with_file_name(entry.ok()?.file_name());
            let utc = utc_of(&path, &pattern)?;
            let metadata = path.symlink_metadata().ok().filter(fs::Metadata::is_file)?;
            let incident_ns = incident_ns(&path)?;
            Some(FoundIncident { utc, incident_ns, path, len: metadata.len() })
        })
        .collect();
    found.sort();
    found
}

/// The time in the name of an incident, which is `pattern` with a time and a reason after its stem.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_utc(name: &str, expected: Option<&str>) {
        let pattern = named(Path::new("in/live.lagtape"), "");
        let found = utc_of(&Path::new("in").join(name), &pattern);
        assert_eq!(found.as_deref(), expected, "{name}");
    }

    #[test]
    fn an_incident_is_known_by_stem_time_reason_and_extension() {
        let utc = Some("2026-11-22T16-04-10Z");
        check_utc("live-2026-11-22T16-04-10Z-stale.lagtape", utc);
        check_utc("live-2026-11-22T16-04-10Z-stale-2.lagtape", utc);
        check_utc("live-2026-11-22T16-04-10Z-stale.wav", None);
        check_utc("live-2026-11-22T16-04-10Zstale.lagtape", None);
        check_utc("live-2026-11-22T16-04-10Z.lagtape", None);
        check_utc("live-20d6-11-22T16-04-10Z-stale.lagtape", None);
        check_utc("alive-2026-11-22T16-04-10Z-stale.lagtape", None);
        check_utc("live-001.lagtape", None);
    }
}
