//! What comes through a pipe or packed, as plain files that can be read more than once.
//!
//! Both are copied into temporary files without a name, which end with their reader.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use zip::ZipArchive;

use super::output::is_dash;
use crate::parse::Misuse;

/// Most bytes that are unpacked, or taken from a pipe: days of recording.
const MAX_LEN: u64 = 1 << 36;
/// Ending of a capture's name in a zip.
const CAPTURE: &str = ".lagtape";

/// How the bytes of a file are packed, by their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
    Zip,
}

impl Packing {
    fn of(first: &[u8]) -> Option<Packing> {
        match first {
            [0x1f, 0x8b, ..] => Some(Packing::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
            [b'P', b'K', 3, 4, ..] => Some(Packing::Zip),
            _ => None,
        }
    }
}

/// What came through pipes, by the names that people gave them.
static TAKEN: Mutex<BTreeMap<PathBuf, File>> = Mutex::new(BTreeMap::new());

/// What comes through stdin, which is `-`, or through the pipe at `path`: all of it, each time.
pub(super) fn of_pipe(path: &Path) -> Result<(File, u64)> {
    let name = path.display();
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if !taken.contains_key(path) {
        let source: Box<dyn Read> = match is_dash(path) {
            true if io::stdin().is_terminal() => {
                bail!(Misuse::new("- is stdin, and nothing is sent into it; name a file"))
            }
            true => Box::new(io::stdin().lock()),
            false => Box::new(File::open(path).with_context(|| format!("cannot open {name}"))?),
        };
        let (file, _) = copied(source).with_context(|| format!("cannot read {name}"))?;
        taken.insert(path.to_owned(), file);
    }
    let Some(mut file) = taken.get(path) else { bail!("{name} cannot be read again") };
    file.rewind()?;
    copied(file).with_context(|| format!("cannot read {name}"))
}

/// A file without its gzip or zstd; any other as it is.
pub(super) fn of_stream(path: &Path, (mut file, len): (File, u64)) -> Result<(File, u64)> {
    let unpacked = match packing(&mut file)? {
        Some(Packing::Gzip) => copied(flate2::read::MultiGzDecoder::new(file)),
        Some(Packing::Zstd) => zstd::Decoder::new(file).map_err(Into::into).and_then(copied),
        Some(Packing::Zip) | None => return Ok((file, len)),
    };
    unpacked.with_context(|| format!("cannot unpack {}", path.display()))
}

/// The same, and of a zip the one capture in it.
pub(super) fn of_capture(path: &Path, file: (File, u64)) -> Result<(File, u64)> {
    let (mut file, len) = of_stream(path, file)?;
    if packing(&mut file)? != Some(Packing::Zip) {
        return Ok((file, len));
    }
    only_capture(file).with_context(|| format!("cannot unpack {}", path.display()))
}

fn only_capture(file: File) -> Result<(File, u64)> {
    let mut archive = ZipArchive::new(file).context("it is no sound zip file")?;
    let names = archive.file_names().filter_map(Result::ok);
    let captures: Vec<_> =
        names.map(|name| name.into_owned()).filter(|name| name.ends_with(CAPTURE)).collect();
    match &captures[..] {
        [only] => copied(archive.by_name(only)?),
        [] => bail!("there is no capture in it, whose name would end in {CAPTURE}"),
        several => bail!(
            "there are {} captures in it; unpack it with unzip and name one of them",
            several.len()
        ),
    }
}

fn packing(file: &mut File) -> Result<Option<Packing>> {
    let mut first = Vec::new();
    file.by_ref().take(4).read_to_end(&mut first)?;
    file.rewind()?;
    Ok(Packing::of(&first))
}

/// Everything that comes out of `source`, as a file at its beginning, and its length.
fn copied(source: impl Read) -> Result<(File, u64)> {
    let mut file = tempfile::tempfile().context("cannot write a temporary file")?;
    let len = io::copy(&mut source.take(MAX_LEN + 1), &mut file)?;
    ensure!(len <= MAX_LEN, "it has more than {MAX_LEN} bytes, as no recording does");
    file.rewind()?;
    Ok((file, len))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &[u8] = b"what is packed, and comes out again";

    fn file_of(bytes: &[u8]) -> (File, u64) {
        copied(bytes).unwrap()
    }

    #[track_caller]
    fn check(packed: &[u8], expected: &[u8]) {
        let (mut file, len) = of_capture(Path::new("x"), file_of(packed)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!((bytes.as_slice(), len), (expected, expected.len() as u64));
    }

    fn zipped(names: &[&str]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for name in names {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(TEXT).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn packed_files_come_out_as_they_were() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(TEXT).unwrap();
        let gzip = gzip.finish().unwrap();
        check(TEXT, TEXT);
        check(b"", b"");
        check(&gzip, TEXT);
        check(&[gzip.clone(), gzip].concat(), &[TEXT, TEXT].concat());
        check(&zstd::encode_all(TEXT, 1).unwrap(), TEXT);
        check(&zipped(&["notes.txt", "in/x.lagtape"]), TEXT);
        check(&zstd::encode_all(&zipped(&["x.lagtape"])[..], 1).unwrap(), TEXT);
    }

    #[track_caller]
    fn check_refused(packed: &[u8], sentence: &str) {
        let error = of_capture(Path::new("x.zip"), file_of(packed)).err().unwrap();
        assert!(format!("{error:#}").contains(sentence), "{error:#}");
    }

    #[test]
    fn what_cannot_be_unpacked_says_why() {
        check_refused(&zipped(&["notes.txt"]), "cannot unpack x.zip: there is no capture in it");
        check_refused(&zipped(&["a.lagtape", "b.lagtape"]), "there are 2 captures in it");
        check_refused(b"PK\x03\x04 and no more", "no sound zip file");
        check_refused(&[0x1f, 0x8b, 8, 0], "cannot unpack x.zip");
        check_refused(&[0x28, 0xb5, 0x2f, 0xfd, 0], "cannot unpack x.zip");
    }
}
