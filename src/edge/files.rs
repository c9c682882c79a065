//! Files to read: `-` is stdin, and what is packed is unpacked first. Reading captures can be watched, and
//! ended, from outside.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail};

use super::output::is_dash;
use super::unpacked;
use crate::capture::Salvage;
use crate::parse::shell;

/// A capture's file, whose reading can be watched.
#[derive(Debug)]
pub struct CaptureFile {
    file: File,
    read: u64,
    len: u64,
}

impl Read for CaptureFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let watch = WATCH.with_borrow(Clone::clone);
        if watch.is_some_and(|watch| watch(self.read, self.len).is_break()) {
            return Err(io::Error::other("the reading was ended"));
        }
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

/// Called with how many bytes of a capture were read, and how many there are; a break ends reading.
type Watch = Rc<dyn Fn(u64, u64) -> ControlFlow<()>>;

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Does `work`, and calls `watch` for every capture that it reads on this thread.
pub fn watched<T>(
    watch: impl Fn(u64, u64) -> ControlFlow<()> + 'static,
    work: impl FnOnce() -> T,
) -> T {
    /// Restores the previous watch, also when the work panics.
    struct Restore(Option<Watch>);
    impl Drop for Restore {
        fn drop(&mut self) {
            WATCH.set(self.0.take());
        }
    }
    let _restore = Restore(WATCH.replace(Some(Rc::new(watch))));
    work()
}

/// Opens a capture; reading skips damage.
pub fn open_capture(path: &Path) -> Result<Salvage<CaptureFile>> {
    let (file, len) = open_file(path)?;
    Ok(Salvage::new(CaptureFile { file, read: 0, len }))
}

/// Opens the file of a capture, unpacked if it is packed, and returns its length too.
pub fn open_file(path: &Path) -> Result<(File, u64)> {
    if path.is_dir() {
        bail!(is_a_folder(path));
    }
    unpacked::of_capture(path, open_any(path)?)
}

/// Why a folder is no capture, and what to do by what lies in it.
fn is_a_folder(path: &Path) -> String {
    let shown = path.display();
    if path.join("session.json").is_file() {
        return format!(
            "{shown} is the folder of a session log; bring it in with: lagtape import {} -o x.lagtape",
            shell::file(&path.to_string_lossy())
        );
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    match names.any(|name| name.to_string_lossy().contains(".lagtape")) {
        true => format!("{shown} is a folder; name a capture in it"),
        false => format!("there is no capture in the folder {shown}"),
    }
}

/// Opens a file that another tool wrote, without the gzip or zstd that it may come in, and returns its
/// length too.
pub fn open_foreign(path: &Path) -> Result<(File, u64)> {
    unpacked::of_stream(path, open_any(path)?)
}

/// Opens a plain file, or what comes through stdin or a shell's pipe.
fn open_any(path: &Path) -> Result<(File, u64)> {
    match is_dash(path) || is_passing_pipe(path) {
        true => unpacked::of_pipe(path),
        false => open_plain(path),
    }
}

/// Opens a plain file, and returns its length too. Anything else is refused before it is opened: a
/// pipe may block forever, and a device need not end.
pub fn open_plain(path: &Path) -> Result<(File, u64)> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
    if !metadata.is_file() {
        bail!("{} is {}; name a file", path.display(), named(&metadata));
    }
    Ok((opened(path)?, metadata.len()))
}

/// Reads a text; of one that is too long, only so much that the caller sees it.
pub fn read_text(path: &Path, max_len: usize) -> Result<String> {
    let file = if is_passing_pipe(path) { opened(path)? } else { open_plain(path)?.0 };
    let mut text = String::new();
    let read = file.take(max_len as u64 + 1).read_to_string(&mut text);
    read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}

fn opened(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("cannot open {}", path.display()))
}

/// What a path names that is no file.
fn named(metadata: &fs::Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    if metadata.is_dir() { "a folder" } else { "a device" }
}

/// Whether a path is the end of a shell's pipe, such as `/dev/stdin` after `|` or `<(…)`. A named
/// pipe is none: opening it would wait for its writer.
fn is_passing_pipe(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let is_pipe = fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
        is_pipe && fs::canonicalize(path).is_err()
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}
