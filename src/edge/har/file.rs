//! The texts of a HAR file: its own, and those of the files attached to it.
//!
//! Playwright attaches the messages of a WebSocket as a file of JSON lines, which lies beside the HAR
//! file or in one zip with it. Nothing else of the folder or of the zip is read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use zip::ZipArchive;

use crate::edge::files;
use crate::har::text_of;

/// The first bytes of a zip file.
const ZIP: &[u8] = b"PK\x03\x04";
/// A zip may unpack to so many times its length; base64 and JSON stay far below.
const MAX_UNPACKED_RATIO: u64 = 200;

/// Where the files attached to a HAR lie.
enum Beside {
    Folder(PathBuf),
    Zip { archive: Box<ZipArchive<File>>, left: u64 },
}

/// A HAR file that was opened.
pub(super) struct HarFile {
    pub text: String,
    /// Its bytes as they lie on disk, for the capture's marker.
    pub bytes: Vec<u8>,
    beside: Beside,
}

impl HarFile {
    pub fn open(path: &Path) -> Result<HarFile> {
        let (mut file, len) = files::open_foreign(path)?;
        let mut first = Vec::new();
        file.by_ref().take(ZIP.len() as u64).read_to_end(&mut first)?;
        file.rewind()?;
        if first == ZIP {
            return Self::unpack(file, len);
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let beside = Beside::Folder(folder);
        Ok(HarFile { text: text_of(&bytes), bytes, beside })
    }

    fn unpack(file: File, len: u64) -> Result<HarFile> {
        let mut archive = Box::new(ZipArchive::new(file).context("it is no sound zip file")?);
        let names = archive.file_names().filter_map(Result::ok);
        let name = names.map(|name| name.into_owned()).find(|name| name.ends_with(".har"));
        let name = name.context("there is no HAR file in the zip")?;
        let mut left = len.saturating_mul(MAX_UNPACKED_RATIO);
        let bytes = unpacked(&mut archive, &name, &mut left)?;
        let beside = Beside::Zip { archive, left };
        Ok(HarFile { text: text_of(&bytes), bytes, beside })
    }

    /// The texts of these attached files, as far as they are there.
    pub fn attached(&mut self, names: &[String]) -> Result<BTreeMap<String, String>> {
        let mut texts = BTreeMap::new();
        for name in names {
            let bytes = match &mut self.beside {
                Beside::Folder(folder) if is_inside(name) => fs::read(folder.join(name)).ok(),
                Beside::Folder(_) => None,
                Beside::Zip { archive, left } if archive.index_for_name(name).is_some() => {
                    Some(unpacked(archive, name, left)?)
                }
                Beside::Zip { .. } => None,
            };
            texts.extend(bytes.map(|bytes| (name.clone(), text_of(&bytes))));
        }
        Ok(texts)
    }
}

/// Whether a path leads into the folder that it begins in.
fn is_inside(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// A file of a zip, if it has no more bytes than are `left`.
fn unpacked(archive: &mut ZipArchive<File>, name: &str, left: &mut u64) -> Result<Vec<u8>> {
    let cannot = || format!("cannot unpack {name}");
    let file = archive.by_name(name).with_context(cannot)?;
    let mut bytes = Vec::new();
    let read = file.take(*left + 1).read_to_end(&mut bytes);
    if let Err(error) = read.as_ref()
        && error.kind() == io::ErrorKind::OutOfMemory
    {
        bail!("{name} does not fit into memory");
    }
    read.with_context(cannot)?;
    ensure!(
        bytes.len() as u64 <= *left,
        "the zip unpacks to more than {MAX_UNPACKED_RATIO} times its length, as no recording does"
    );
    *left -= bytes.len() as u64;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attached_files_lie_inside() {
        for (name, expected) in
            [("x.jsonl", true), ("x_files/y.jsonl", true), ("../x", false), ("/etc/passwd", false)]
        {
            assert_eq!(is_inside(name), expected, "{name}");
        }
    }
}
