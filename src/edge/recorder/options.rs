//! How a recording is written: into which files, and when they are safe.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::disk::SyncPolicy;
use super::names::{existing_parts, folder_of, named, part_path};
use super::quota::Quota;
use crate::edge::clock;
use crate::edge::lock::is_being_written;
use crate::edge::output::is_dash;
use crate::flight::{RingLimits, SplitAt, Trigger};
use crate::parse::Misuse;
use crate::time::Span;

/// Bytes that may wait for the disk.
pub const MAX_QUEUED_BYTES: usize = 64 << 20;
/// Pause between two tries at a disk that fails.
pub const RETRY: Duration = Duration::from_millis(500);

/// Which files a recording becomes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum FileLayout {
    /// A single file.
    #[default]
    Whole,
    /// A sequence of files, each complete in itself: `live-001.lagtape`, `live-002.lagtape`, …
    Parts(SplitAt),
    /// A file for each incident: `live-<UTC>-<why>.lagtape`.
    Ring(RingOptions),
}

/// What an incident recorder keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct RingOptions {
    pub limits: RingLimits,
    pub triggers: Vec<Trigger>,
    /// How long an incident is recorded after it happened.
    pub after: Span,
    pub quota: Quota,
}

/// How a recording is written.
#[derive(Clone, Debug)]
pub struct RecorderOptions {
    /// The capture, or what the names of its files are made from.
    pub path: PathBuf,
    pub force: bool,
    pub layout: FileLayout,
    pub sync: SyncPolicy,
    /// Bytes that may wait for the disk.
    pub queue_bytes: usize,
    /// Pause between two tries at a disk that fails.
    pub retry: Duration,
}

impl RecorderOptions {
    /// One file, with the defaults of everything else.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        RecorderOptions {
            path: path.into(),
            force: false,
            layout: FileLayout::Whole,
            sync: SyncPolicy::default(),
            queue_bytes: MAX_QUEUED_BYTES,
            retry: RETRY,
        }
    }

    /// What the files are called: a path, or a pattern that a shell expands.
    #[must_use]
    pub fn shown(&self) -> PathBuf {
        match self.layout {
            FileLayout::Whole => self.path.clone(),
            FileLayout::Parts(_) | FileLayout::Ring(_) => named(&self.path, "*"),
        }
    }

    /// The file that the recording begins with; `None` where a trigger decides about that.
    #[must_use]
    pub fn first(&self) -> Option<PathBuf> {
        match self.layout {
            FileLayout::Whole => Some(self.path.clone()),
            FileLayout::Parts(_) => Some(part_path(&self.path, 1)),
            FileLayout::Ring(_) => None,
        }
    }

    /// Fails early if the files could not be written.
    pub fn check(&self) -> Result<()> {
        match self.layout {
            FileLayout::Whole => refuse_existing(&self.path, self.force),
            FileLayout::Parts(_) => {
                refuse_existing(&part_path(&self.path, 1), self.force)?;
                // One that is left of an earlier recording would stop this one when it came to it.
                let mut found = existing_parts(&self.path).into_iter();
                found.try_for_each(|(_, part)| refuse_existing(&part, self.force))
            }
            FileLayout::Ring(_) => {
                refuse_existing(&named(&self.path, ""), true)?;
                let folder = folder_of(&self.path);
                tempfile::tempfile_in(folder)
                    .map(drop)
                    .with_context(|| format!("cannot write in {}", folder.display()))
            }
        }
    }
}

/// Fails if its folder takes no new file, where it needs one. This tries it, so that it is for those who
/// have time.
pub fn refuse_closed_folder(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let folder = folder_of(path);
    let tried = tempfile::tempfile_in(folder).map_err(|error| io::Error::from(error.kind()));
    tried.map(drop).with_context(|| {
        format!("cannot write {} into the folder {}", path.display(), folder.display())
    })
}

/// Fails if a file exists, unless `force`, if a recorder is writing it, or if its folder does not exist.
pub fn refuse_existing(path: &Path, force: bool) -> Result<()> {
    if is_dash(path) {
        bail!(Misuse::new(
            "a recording grows in a file, so that a kill costs nothing; name one with -o"
        ));
    }
    if !force && path.symlink_metadata().is_ok() {
        bail!("{} exists already; use --force to replace it, or name another file", path.display());
    }
    if is_being_written(path) {
        bail!(
            "{} is being written by another recording; stop that one, or name another file",
            path.display()
        );
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        bail!("cannot write {}: there is no folder {}", path.display(), folder.display());
    }
    Ok(())
}

/// The default output in a folder of captures, which is created if need be: `<UTC>.lagtape`, or what the
/// names of several files begin with.
pub fn default_path(folder: &Path, layout: &FileLayout) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| {
        format!("cannot make the folder {}; name a file with -o", folder.display())
    })?;
    Ok(match layout {
        FileLayout::Ring(_) => folder.join("incident.lagtape"),
        FileLayout::Whole | FileLayout::Parts(_) => {
            folder.join(format!("{}.lagtape", clock::utc_file_name()))
        }
    })
}
