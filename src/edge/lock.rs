//! Who writes a file: a recorder locks its own as long as it has them open, so that nobody else, of this
//! process or of another one, replaces or deletes what is still growing.

use std::fs::File;
#[cfg(unix)]
use std::fs::TryLockError;
use std::path::Path;

/// Whether a recorder has the file open, be it of this process or of another one.
pub(super) fn is_being_written(path: &Path) -> bool {
    // To open a pipe would wait for its other end.
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    is_file && File::open(path).is_ok_and(|file| is_locked(&file))
}

/// Locks a file for its only writer; `false` where another one has it. The lock is advisory, so that
/// everybody can read. A file system without locks does without.
#[cfg(unix)]
pub(super) fn lock(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

#[cfg(unix)]
fn is_locked(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// The locks of other systems would keep readers away from a capture that is being written.
#[cfg(not(unix))]
pub(super) fn lock(_: &File) -> bool {
    true
}

#[cfg(not(unix))]
fn is_locked(_: &File) -> bool {
    false
}
