//! Who writes a file: its writer locks it as long as he has it open, so that nobody else, of this process or
//! of another one, replaces or deletes what is still growing.
//!
//! A lock lasts as long as anybody has the file open, and a program that another thread is just starting has
//! all files open until it runs. So whoever is done with a lock gives it back and does not only close the file.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::Path;

/// A file locked for its only writer until it is dropped.
#[derive(Debug)]
pub struct LockedFile(File);

impl LockedFile {
    /// Locks a file; `None` where another writer has it. A file system without locks does without.
    pub fn new(file: File) -> Option<LockedFile> {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => None,
            Ok(()) | Err(TryLockError::Error(_)) => Some(LockedFile(file)),
        }
    }

    /// The same of a file that others read meanwhile, which a lock would keep away where it is not advisory.
    pub(super) fn readable(file: File) -> Option<LockedFile> {
        if cfg!(unix) { LockedFile::new(file) } else { Some(LockedFile(file)) }
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.0
    }
}

impl Write for LockedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Where nothing could be locked there is nothing to give back.
        let _ = self.0.unlock();
    }
}

/// Whether a recorder has the file open, be it of this process or of another one.
pub(super) fn is_being_written(path: &Path) -> bool {
    // To open a pipe would wait for its other end.
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    cfg!(unix) && is_file && File::open(path).is_ok_and(|file| is_locked(&file))
}

fn is_locked(file: &File) -> bool {
    let tried = file.try_lock_shared();
    let _ = file.unlock();
    matches!(tried, Err(TryLockError::WouldBlock))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::File;

    use super::{LockedFile, is_being_written, is_locked};

    /// Another descriptor of the same open file is what a program that is just being started has.
    #[test]
    fn a_lock_is_given_back_though_a_program_that_starts_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let file = File::create(&path).unwrap();
        let of_a_program = file.try_clone().unwrap();
        let locked = LockedFile::new(file).unwrap();
        assert!(is_being_written(&path));
        assert!(LockedFile::new(File::open(&path).unwrap()).is_none());
        drop(locked);
        assert!(!is_being_written(&path));
        drop(LockedFile::new(File::open(&path).unwrap()).unwrap());
        // Nor does whoever looks keep a lock.
        let looking = File::open(&path).unwrap();
        let of_another_program = looking.try_clone().unwrap();
        assert!(!is_locked(&looking));
        assert!(LockedFile::new(File::open(&path).unwrap()).is_some());
        drop((of_a_program, of_another_program));
    }
}
