//! Files to write. An output appears under its name only when it is whole: it is written to a temporary
//! file and renamed. The name `-` is stdout, which gets all of it at once.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempPath;

use super::lock::is_being_written;
use crate::parse::Misuse;

/// Whether a name stands for stdin or stdout.
#[must_use]
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
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

/// A file that appears under its name when [`OutputFile::finish`] is called, and not before.
pub struct OutputFile {
    file: BufWriter<File>,
    place: Place,
}

/// Where an output goes once it is whole.
enum Place {
    Stdout,
    File { path: PathBuf, beside: TempPath, force: bool },
}

impl OutputFile {
    /// Prepares to write `path`, or what it links to. Refuses an existing file unless `force`, and
    /// anything but a plain file: renaming onto a device or a pipe would replace it. To be called before
    /// any work, which a folder that cannot be written to would make futile.
    pub fn create(path: &Path, force: bool) -> Result<OutputFile> {
        if is_dash(path) {
            return OutputFile::of_stdout();
        }
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
        if existing.is_some() && is_being_written(path) {
            bail!(
                "{} is a recording that is still being written; name another file",
                path.display()
            );
        }
        let path = if existing.is_some() { fs::canonicalize(path)? } else { path.to_owned() };
        let (file, beside) = temporary_beside(&path)?.into_parts();
        Ok(OutputFile { file: BufWriter::new(file), place: Place::File { path, beside, force } })
    }

    fn of_stdout() -> Result<OutputFile> {
        if io::stdout().is_terminal() {
            bail!(Misuse::new(
                "- is stdout, which is a terminal, and these bytes are not for one; send them into a \
                 file or a pipe"
            ));
        }
        let file = tempfile::tempfile().context("cannot write a temporary file")?;
        Ok(OutputFile { file: BufWriter::new(file), place: Place::Stdout })
    }

    /// Takes the bytes; seekable.
    pub fn writer(&mut self) -> &mut BufWriter<File> {
        &mut self.file
    }

    /// What is written, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.place {
            Place::Stdout => "stdout".to_owned(),
            Place::File { path, .. } => path.display().to_string(),
        }
    }

    /// Puts the file in its place.
    pub fn finish(self) -> Result<()> {
        let OutputFile { file, place } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        match place {
            Place::Stdout => copy_to_stdout(file).context("cannot write to stdout"),
            Place::File { path, beside, force } => {
                let placed = || format!("cannot write {}", path.display());
                drop(file.with_context(placed)?);
                let persisted = match force {
                    true => beside.persist(&path),
                    false => beside.persist_noclobber(&path),
                };
                persisted.map_err(|error| error.error).with_context(placed)
            }
        }
    }
}

/// Copies all of a file. A reader that closed stdout has read enough.
fn copy_to_stdout(file: io::Result<File>) -> io::Result<()> {
    let mut file = file?;
    file.rewind()?;
    let mut stdout = io::stdout();
    match io::copy(&mut file, &mut stdout).and_then(|_| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// A temporary file in the folder of `path` that, once renamed, is as readable as the user's others.
/// Errors name the file that was to be written and never the temporary one.
fn temporary_beside(path: &Path) -> Result<tempfile::NamedTempFile> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let (path, shown) = (path.display(), folder.display());
    ensure!(
        folder.is_dir(),
        "cannot write {path}: there is no folder {shown}; make it, or name another file"
    );
    let mut builder = tempfile::Builder::new();
    builder.prefix(".lagtape-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
        .tempfile_in(folder)
        .map_err(|error| io::Error::from(error.kind()))
        .with_context(|| format!("cannot write {path} into the folder {shown}"))
}

/// Writes a whole file at once.
pub fn write(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    let mut output = OutputFile::create(path, force)?;
    output.writer().write_all(bytes).with_context(|| format!("cannot write {}", path.display()))?;
    output.finish()
}
