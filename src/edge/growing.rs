//! The file of a capture that is still being written.
//!
//! Where it ends for now it would block, so that a reader waits in the middle of a record for the rest of
//! it. Only after [`Growth::end`] is its end an end.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use super::files;
use crate::capture::Salvage;

/// A file that may become longer.
#[derive(Debug)]
pub struct GrowingFile {
    file: File,
    read: u64,
    growth: Growth,
}

/// Whether a file may still become longer.
#[derive(Clone, Debug, Default)]
pub struct Growth(Arc<AtomicBool>);

impl Growth {
    /// Nothing comes any more.
    pub fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Opens a capture to read it while it grows.
pub fn open(path: &Path) -> Result<(Salvage<GrowingFile>, Growth)> {
    let (file, _) = files::open_file(path)?;
    let growth = Growth::default();
    let file = GrowingFile { file, read: 0, growth: growth.clone() };
    Ok((Salvage::new(file), growth))
}

impl Read for GrowingFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        if count > 0 || self.growth.is_over() {
            return Ok(count);
        }
        match self.file.metadata()?.len() < self.read {
            true => Err(ErrorKind::UnexpectedEof.into()),
            false => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::capture::{Ending, ReadError};

    /// Reads what is there; `None` at the end.
    fn read(records: &mut Salvage<GrowingFile>) -> Option<usize> {
        let mut count = 0;
        loop {
            match records.next_record() {
                Ok(Some(_)) => count += 1,
                Ok(None) => return None,
                Err(ReadError::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    return Some(count);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn records_come_once_wherever_the_file_ends_for_now() {
        let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/stall.lagtape");
        let bytes = std::fs::read(&capture).unwrap();
        let mut whole = files::open_capture(&capture).unwrap();
        let mut expected = 0;
        while whole.next_record().unwrap().is_some() {
            expected += 1;
        }
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("x.lagtape");
        let mut out = File::create(&path).unwrap();
        let (mut records, growth) = open(&path).unwrap();
        let mut count = 0;
        // No piece ends where a record does.
        for piece in bytes.chunks(9973) {
            out.write_all(piece).unwrap();
            count += read(&mut records).unwrap();
        }
        assert_eq!(count, expected);
        growth.end();
        assert_eq!(read(&mut records), None);
        assert_eq!(records.ending(), Some(Ending::Complete));
        assert!(records.losses().is_empty());
    }

    #[test]
    fn a_file_that_became_shorter_is_noticed() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("x.lagtape");
        let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/healthy.lagtape");
        std::fs::copy(capture, &path).unwrap();
        let (mut records, _growth) = open(&path).unwrap();
        assert!(read(&mut records).unwrap() > 30);
        File::create(&path).unwrap();
        let error = records.next_record().unwrap_err();
        assert!(matches!(error, ReadError::Io(error) if error.kind() == ErrorKind::UnexpectedEof));
    }
}
