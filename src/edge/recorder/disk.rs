//! Files as the recorder writes them: short writes joined, interruptions ignored, and handed to the
//! disk for good when the policy says so.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

/// Time between two hand-overs to the disk under [`SyncPolicy::Interval`].
pub const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// When what was written is handed to the disk for good. Whatever the policy, a killed recorder
/// loses nothing that was written; it is the power that may fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// The operating system decides: a power failure may cost what it had not written back, some
    /// 30 s as Linux is set up.
    None,
    /// Every second: a power failure costs about the last second.
    #[default]
    Interval,
    /// After every write: a power failure costs only what was still waiting to be written.
    Record,
}

/// What the recorder writes to.
pub trait Disk: Write + Send {
    /// Hands everything written so far to the disk for good.
    fn sync(&mut self) -> io::Result<()>;
}

impl Disk for File {
    fn sync(&mut self) -> io::Result<()> {
        match self.sync_data() {
            // A pipe or a device has no disk behind it.
            Err(error)
                if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) =>
            {
                Ok(())
            }
            synced => synced,
        }
    }
}

/// Where the recorder makes its files.
pub trait Store: Send {
    /// Makes an empty file. Refuses an existing one unless `force`.
    fn create(&mut self, path: &Path, force: bool) -> io::Result<Box<dyn Disk>>;
}

/// The file system.
#[derive(Debug)]
pub struct Files;

impl Store for Files {
    fn create(&mut self, path: &Path, force: bool) -> io::Result<Box<dyn Disk>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(force).create_new(!force);
        Ok(Box::new(options.open(path)?))
    }
}

/// A file being written.
pub(super) struct OpenFile {
    disk: Box<dyn Disk>,
    policy: SyncPolicy,
    unsynced: bool,
    /// Bytes written.
    pub written: u64,
}

impl OpenFile {
    pub fn new(disk: Box<dyn Disk>, policy: SyncPolicy) -> Self {
        OpenFile { disk, policy, unsynced: false, written: 0 }
    }

    /// Writes all of `bytes`, or as many as the disk takes; says how many that were.
    pub fn write(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
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
        (at, self.disk.flush())
    }

    /// Hands what was written since the last time to the disk for good.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.disk.sync()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// The same at the end of a file, unless the policy is not to.
    pub fn sync_as_agreed(&mut self) -> io::Result<()> {
        match self.policy {
            SyncPolicy::None => Ok(()),
            SyncPolicy::Interval | SyncPolicy::Record => self.sync(),
        }
    }
}
