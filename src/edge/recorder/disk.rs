//! Files as the recorder writes them: short writes completed, interruptions ignored, checkpoints put
//! between the records, and synced as the policy says.
//!
//! A checkpoint describes what precedes it in its own file, so each file has a checkpointer, unless its
//! bytes come with checkpoints. It runs on the writing thread, where no session waits for it, and sees
//! each record once and in order, however often the disk fails in between. A file that a failing disk cuts short has no end record;
//! readers treat it like any other that was cut.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use crate::checkpoint::Checkpointer;
use crate::edge::lock::LockedFile;

/// Time between two syncs under [`SyncPolicy::Interval`].
pub const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// When written data is synced, which only matters if the power fails: a recorder that is killed
/// loses nothing that it has written, whatever the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When the operating system decides: a power failure may cost about 30 s on a usual Linux.
    None,
    /// Every second: a power failure costs about the last second.
    #[default]
    Interval,
    /// After every write: a power failure costs only what was still waiting to be written.
    Record,
}

/// What the recorder writes to.
pub trait Disk: Write + Send {
    /// Makes everything written so far safe from a power failure.
    fn sync(&mut self) -> io::Result<()>;
}

impl Disk for File {
    fn sync(&mut self) -> io::Result<()> {
        match self.sync_data() {
            // Pipes and devices cannot be synced.
            Err(error)
                if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) =>
            {
                Ok(())
            }
            synced => synced,
        }
    }
}

impl Disk for LockedFile {
    fn sync(&mut self) -> io::Result<()> {
        self.file().sync()
    }
}

/// Creates the recorder's files.
pub trait Store: Send {
    /// Creates an empty file. Refuses to replace an existing one unless `force`.
    fn create(&mut self, path: &Path, force: bool) -> io::Result<Box<dyn Disk>>;
}

/// The file system.
#[derive(Debug)]
pub struct FileSystem;

impl Store for FileSystem {
    fn create(&mut self, path: &Path, force: bool) -> io::Result<Box<dyn Disk>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).create_new(!force);
        let file = options.open(path)?;
        // Pipes and devices have no old content, and may have several writers.
        if !file.metadata()?.is_file() {
            return Ok(Box::new(file));
        }
        let Some(mut locked) = LockedFile::readable(file) else {
            let sentence = "it is being written by another recording";
            return Err(io::Error::new(ErrorKind::ResourceBusy, sentence));
        };
        locked.file().set_len(0)?;
        Ok(Box::new(locked))
    }
}

/// A capture being written, with its checkpoints.
pub(super) struct OpenFile {
    disk: Box<dyn Disk>,
    policy: SyncPolicy,
    unsynced: bool,
    /// `None` where checkpoints come with the bytes, and once it could not read a record: the rest of the
    /// file then has none.
    checkpointer: Option<Checkpointer>,
    /// Bytes that the checkpointer has seen and the disk has not taken.
    followed: usize,
    /// The checkpoint that is written after those bytes.
    checkpoint: Vec<u8>,
    /// Bytes written, checkpoints included.
    pub written: u64,
}

impl OpenFile {
    /// Begins a capture.
    pub fn new(
        disk: Box<dyn Disk>,
        policy: SyncPolicy,
        checkpointer: Option<Checkpointer>,
    ) -> Self {
        OpenFile {
            disk,
            policy,
            unsynced: false,
            checkpointer,
            followed: 0,
            checkpoint: Vec::new(),
            written: 0,
        }
    }

    /// Writes `bytes`, which are whole records, or as many of them as the disk takes, and returns how
    /// many that were. The next call has to go on with the rest.
    pub fn write(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut at = 0;
        loop {
            let (taken, result) = self.put(&bytes[at..at + self.followed]);
            at += taken;
            self.followed -= taken;
            if let Err(error) = result.and_then(|()| self.put_checkpoint()) {
                return (at, Err(error));
            }
            if at == bytes.len() {
                return (at, self.disk.flush());
            }
            self.follow(&bytes[at..]);
        }
    }

    fn put_checkpoint(&mut self) -> io::Result<()> {
        let mut checkpoint = std::mem::take(&mut self.checkpoint);
        let (taken, result) = self.put(&checkpoint);
        checkpoint.drain(..taken);
        self.checkpoint = checkpoint;
        result
    }

    fn follow(&mut self, bytes: &[u8]) {
        let checkpointer = self.checkpointer.as_mut();
        let followed = checkpointer.map(|all| all.follow(bytes, &mut self.checkpoint));
        debug_assert!(!matches!(followed, Some(Err(_))), "the recorder's own records read back");
        self.followed = followed.and_then(Result::ok).unwrap_or_else(|| {
            self.checkpointer = None;
            bytes.len()
        });
    }

    fn put(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut at = 0;
        while at < bytes.len() {
            match self.disk.write(&bytes[at..]) {
                Ok(0) => return (at, Err(ErrorKind::WriteZero.into())),
                Ok(taken) => {
                    at += taken;
                    self.written += taken as u64;
                    self.unsynced = true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (at, Err(error)),
            }
        }
        (at, Ok(()))
    }

    /// Syncs what was written since the last time.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.disk.sync()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Syncs at the end of a file, unless the policy is not to.
    pub fn sync_as_agreed(&mut self) -> io::Result<()> {
        match self.policy {
            SyncPolicy::None => Ok(()),
            SyncPolicy::Interval | SyncPolicy::Record => self.sync(),
        }
    }
}
