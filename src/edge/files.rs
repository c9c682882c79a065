//! Files: captures to read, outputs to write.
//!
//! An output appears under its name only when it is whole: it is written to a temporary file and
//! renamed. Reading captures can be watched, and ended, from outside.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use tempfile::NamedTempFile;

use crate::capture::Salvage;

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

/// Refuses to write over what is being read.
pub fn refuse_input(input: &Path, out: &Path) -> Result<()> {
    let both = fs::canonicalize(input).ok().zip(fs::canonicalize(out).ok());
    ensure!(
        both.is_none_or(|(input, out)| input != out),
        "{} is what is being read; name another file with -o",
        out.display()
    );
    Ok(())
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

/// Opens a capture that is read only once, so that a pipe from another program will do.
pub fn open_stream(path: &Path) -> Result<Salvage<CaptureFile>> {
    let (file, len) = match is_passing_pipe(path) {
        true => (opened(path)?, 0),
        false => open_file(path)?,
    };
    Ok(Salvage::new(CaptureFile { file, read: 0, len }))
}

/// Opens the file of a capture, and returns its length too.
pub fn open_file(path: &Path) -> Result<(File, u64)> {
    if path.is_dir() {
        bail!(
            "{path} is a folder; name a capture in it, or bring in a session log with: lagtape import {path} -o x.lagtape",
            path = path.display()
        );
    }
    open_plain(path)
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
pub(crate) fn is_passing_pipe(path: &Path) -> bool {
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

/// A file that appears under its name when [`OutputFile::finish`] is called, and not before.
pub struct OutputFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    force: bool,
}

impl OutputFile {
    /// Prepares to write `path`, or what it links to. Refuses an existing file unless `force`, and
    /// anything but a plain file: renaming onto a device or a pipe would replace it.
    pub fn create(path: &Path, force: bool) -> Result<OutputFile> {
        let existing = fs::metadata(path).ok();
        if existing.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            bail!("{} is not a plain file; name another one to write to", path.display());
        }
        if existing.is_some() && !force {
            bail!(
                "{} exists already; use --force to replace it, or name another file",
                path.display()
            );
        }
        let path = if existing.is_some() { fs::canonicalize(path)? } else { path.to_owned() };
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let file = beside()
            .tempfile_in(folder)
            .with_context(|| format!("cannot write in {}", folder.display()))?;
        Ok(OutputFile { path, file: BufWriter::new(file), force })
    }

    /// Takes the bytes; seekable.
    pub fn writer(&mut self) -> &mut BufWriter<NamedTempFile> {
        &mut self.file
    }

    /// Puts the file in its place.
    pub fn finish(self) -> Result<()> {
        let OutputFile { path, file, force } = self;
        let placed = || format!("cannot write {}", path.display());
        let file = file.into_inner().map_err(|error| error.into_error()).with_context(placed)?;
        if force {
            file.persist(&path).map_err(|error| error.error).with_context(placed)?;
        } else {
            file.persist_noclobber(&path).map_err(|error| error.error).with_context(placed)?;
        }
        Ok(())
    }
}

/// Creates temporary files that, once renamed, are as readable as the user's others.
fn beside() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".lagtape-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}

/// Writes a whole file at once.
pub fn write(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    let mut output = OutputFile::create(path, force)?;
    output.writer().write_all(bytes).with_context(|| format!("cannot write {}", path.display()))?;
    output.finish()
}
