//! How a recording is written: into which files, and when they are safe.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::super::clock;
use super::incidents::RingOptions;
use super::{SyncPolicy, parts};
use crate::flight::SplitAt;

/// Bytes that may wait for the disk.
pub const MAX_QUEUED_BYTES: usize = 64 << 20;
/// Time between two tries of a disk that fails.
pub const RETRY: Duration = Duration::from_millis(500);

/// Which files a recording becomes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Keeping {
    /// One.
    #[default]
    Whole,
    /// One after the other, each complete in itself: `live-001.lagtape`, `live-002.lagtape`, …
    Parts(SplitAt),
    /// None, until something happens: `live-<UTC>-<why>.lagtape`.
    Ring(RingOptions),
}

/// How a recording is written.
#[derive(Clone, Debug)]
pub struct RecorderOptions {
    /// The capture, or what the names of its files are made from.
    pub path: PathBuf,
    /// Replace an existing file.
    pub force: bool,
    /// Which files.
    pub keeping: Keeping,
    /// When they are safe from a power failure.
    pub sync: SyncPolicy,
    /// Bytes that may wait for the disk.
    pub queue_bytes: usize,
    /// Time between two tries of a disk that fails.
    pub retry: Duration,
}

impl RecorderOptions {
    /// One file, with the defaults of everything else.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        RecorderOptions {
            path: path.into(),
            force: false,
            keeping: Keeping::Whole,
            sync: SyncPolicy::default(),
            queue_bytes: MAX_QUEUED_BYTES,
            retry: RETRY,
        }
    }

    /// What the files are called, for people and for a shell.
    #[must_use]
    pub fn shown(&self) -> PathBuf {
        match self.keeping {
            Keeping::Whole => self.path.clone(),
            Keeping::Parts(_) | Keeping::Ring(_) => named(&self.path, "*"),
        }
    }

    /// Refuses what cannot be written, before anything is asked of anybody.
    pub fn check(&self) -> Result<()> {
        match self.keeping {
            Keeping::Whole => refuse_existing(&self.path, self.force),
            Keeping::Parts(_) => refuse_existing(&parts::path_of(&self.path, 1), self.force),
            Keeping::Ring(_) => {
                refuse_existing(&named(&self.path, ""), true)?;
                let folder = folder_of(&self.path);
                tempfile::tempfile_in(folder)
                    .map(drop)
                    .with_context(|| format!("cannot write in {}", folder.display()))
            }
        }
    }
}

/// A path with `-` and `label` between the stem and the extension of its file.
pub(super) fn named(path: &Path, label: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map_or("lagtape".into(), |e| e.to_string_lossy());
    path.with_file_name(format!("{stem}-{label}.{extension}"))
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Refuses a file that exists, unless `force`, and one whose folder does not.
pub fn refuse_existing(path: &Path, force: bool) -> Result<()> {
    if !force && path.symlink_metadata().is_ok() {
        bail!("{} exists already; use --force to replace it, or name another file", path.display());
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        bail!("cannot write {}: there is no folder {}", path.display(), folder.display());
    }
    Ok(())
}

/// The default output in the folder captures, which is made if need be: `<UTC>.lagtape`, or where
/// the files are many, what their names begin with.
pub fn default_path(keeping: &Keeping) -> Result<PathBuf> {
    let folder = Path::new("captures");
    std::fs::create_dir_all(folder)
        .context("cannot make the folder captures; name a file with -o")?;
    Ok(match keeping {
        Keeping::Ring(_) => folder.join("incident.lagtape"),
        Keeping::Whole | Keeping::Parts(_) => {
            folder.join(format!("{}.lagtape", clock::utc_file_name()))
        }
    })
}
