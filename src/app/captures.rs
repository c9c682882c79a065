//! The capture folders: what lies in them, and the only places that agents may name.
//!
//! Enters: ids and paths as somebody wrote them. Leaves: files that exist inside the folders, links
//! resolved, or why not. An id is the path below its folder, with `/`, without `.lagtape`.
//! A path outside the folders gets the same refusal whether it exists or not.

use std::cmp::Reverse;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::parse::nearest;
use crate::report::text::OneLine;

/// Ending of a capture's name.
const EXTENSION: &str = "lagtape";
/// Folders below a capture folder that are looked into, …
const MAX_DEPTH: usize = 4;
/// … and below a folder that stands for its captures, such as a mirrored bucket.
const MOST_DEPTH: usize = 64;
/// Directory entries that a listing reads at most.
const MAX_ENTRIES: usize = 100_000;
/// Longest id or path.
const MAX_NAME_LEN: usize = 4096;

/// The folders, the first being where new files go.
#[derive(Debug, Clone)]
pub struct CaptureFolders {
    folders: Vec<PathBuf>,
}

/// The captures that these names stand for: of a folder all that lie in it and in folders below it, in the
/// order of their paths. A folder without any stays, for whoever opens it to refuse.
pub fn with_folders(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut captures = Vec::new();
    for path in paths {
        let before = captures.len();
        if path.is_dir() {
            below(path, MOST_DEPTH, &mut captures)?;
            captures[before..].sort();
        }
        if captures.len() == before {
            captures.push(path.clone());
        }
    }
    Ok(captures)
}

/// Adds the captures in a folder; hidden folders and links to folders are not looked into.
fn below(folder: &Path, depth: usize, captures: &mut Vec<PathBuf>) -> Result<()> {
    let cannot = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot)?.flatten() {
        let path = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth > 0 && !is_hidden {
                // A folder that cannot be read hides its captures, and no others.
                let _ = below(&path, depth - 1, captures);
            }
        } else if is_capture(&path) {
            captures.push(path);
        }
    }
    Ok(())
}

/// Whether a file's name is that of a capture, packed or not.
#[must_use]
pub fn is_capture(path: &Path) -> bool {
    let ends_in = |path: &Path, endings: &[&str]| {
        path.extension().is_some_and(|ending| endings.iter().any(|known| ending == *known))
    };
    let is_packed = ends_in(path, &["gz", "zip", "zst"]);
    let stem = path.file_stem().map(Path::new).filter(|_| is_packed);
    path.is_file() && ends_in(stem.unwrap_or(path), &[EXTENSION])
}

/// A capture in one of the folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCapture {
    pub id: String,
    /// Where it lies, links resolved.
    pub path: PathBuf,
}

/// A capture in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedCapture {
    pub id: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes.
    pub bytes: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub modified_ns: u64,
}

impl CaptureFolders {
    /// The folders need not exist yet.
    pub fn new(folders: Vec<PathBuf>) -> Result<CaptureFolders> {
        ensure!(!folders.is_empty(), "name at least one folder for captures");
        Ok(CaptureFolders { folders })
    }

    /// The folders as the user named them.
    #[must_use]
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The capture that `text` names, by its id or by its path.
    pub fn find(&self, text: &str) -> Result<FoundCapture> {
        if let Some(path) = self.resolve(text, true)? {
            return self.found(&path);
        }
        let known = self.list().unwrap_or_default();
        let known = nearest(text, known.iter().take(20).map(|listed| listed.id.as_str()));
        bail!("there is no capture \"{}\" in {}; {known}", shown(text), self.named())
    }

    /// Any file inside the folders, such as audio to play.
    pub fn file(&self, text: &str) -> Result<PathBuf> {
        match self.resolve(text, false)? {
            Some(path) => Ok(path),
            None => bail!("there is no file \"{}\" in {}", shown(text), self.named()),
        }
    }

    /// Where a new file of this name goes, below the first folder; folders are made. The name is
    /// lagtape's own and never a caller's.
    pub fn place(&self, name: &str) -> Result<PathBuf> {
        let path = self.folders[0].join(name);
        let folder = path.parent().unwrap_or(&self.folders[0]);
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        ensure!(self.holds(&folder), "{} leads out of the capture folders", folder.display());
        Ok(match path.file_name() {
            Some(file) => folder.join(file),
            None => folder,
        })
    }

    /// The id of a file inside the folders.
    pub fn id(&self, path: &Path) -> Result<String> {
        Ok(self.found(path)?.id)
    }

    /// All captures, the newest first; of the same age by their ids.
    pub fn list(&self) -> Result<Vec<ListedCapture>> {
        let mut listed = Vec::new();
        let mut entries = 0;
        let mut folders: Vec<_> =
            self.folders.iter().filter_map(|folder| folder.canonicalize().ok()).collect();
        folders.dedup();
        for folder in folders {
            walk(&folder, &folder, MAX_DEPTH, &mut entries, &mut listed)?;
        }
        listed.sort_by(|a, b| {
            (Reverse(a.modified_ns), &a.id, &a.path).cmp(&(Reverse(b.modified_ns), &b.id, &b.path))
        });
        Ok(listed)
    }

    /// The file that `text` names, if there is one; an error when it leads outside.
    fn resolve(&self, text: &str, with_extension: bool) -> Result<Option<PathBuf>> {
        ensure!(
            !text.is_empty() && text.len() <= MAX_NAME_LEN,
            "a capture's id or path is missing"
        );
        ensure!(!text.contains('\0'), "a path has no zero bytes");
        let given = Path::new(text);
        let mut candidates = vec![given.to_owned()];
        if given.is_relative() {
            let below = self.folders.iter().map(|folder| folder.join(given));
            candidates = below.chain(candidates).collect();
        }
        for candidate in candidates {
            let extended = with_extension.then(|| with_name_ending(&candidate));
            for path in [Some(candidate), extended].into_iter().flatten() {
                let Ok(path) = path.canonicalize() else { continue };
                if self.holds(&path) && path.is_file() {
                    return Ok(Some(path));
                }
            }
        }
        let climbs = given.components().any(|part| part == Component::ParentDir);
        if given.is_absolute() || climbs || self.leads_out(given) {
            bail!(
                "\"{}\" does not lie inside {}; only files there may be used (lagtape mcp --captures DIR adds a folder)",
                shown(text),
                self.named()
            );
        }
        Ok(None)
    }

    /// A link inside a folder that ends outside.
    fn leads_out(&self, given: &Path) -> bool {
        self.folders.iter().any(|folder| {
            let path = folder.join(given);
            [with_name_ending(&path), path]
                .iter()
                .any(|path| path.canonicalize().is_ok_and(|path| !self.holds(&path)))
        })
    }

    /// Whether a path without links lies inside a folder.
    fn holds(&self, path: &Path) -> bool {
        self.folders
            .iter()
            .filter_map(|folder| folder.canonicalize().ok())
            .any(|folder| path.starts_with(folder))
    }

    fn found(&self, path: &Path) -> Result<FoundCapture> {
        let path = path.canonicalize()?;
        let folders = self.folders.iter().filter_map(|folder| folder.canonicalize().ok());
        let below = folders.filter_map(|folder| path.strip_prefix(folder).ok().map(id_of)).next();
        let id = below.flatten().context("a name that is no text cannot be used")?;
        Ok(FoundCapture { id, path })
    }

    fn named(&self) -> String {
        let names: Vec<_> = self.folders.iter().map(|f| f.display().to_string()).collect();
        names.join(", ")
    }
}

fn with_name_ending(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(EXTENSION);
    PathBuf::from(name)
}

fn id_of(below: &Path) -> Option<String> {
    let parts: Option<Vec<_>> = below.iter().map(|part| part.to_str()).collect();
    let name = parts?.join("/");
    Some(name.strip_suffix(".lagtape").unwrap_or(&name).to_owned())
}

/// Collects captures below `folder`; links to folders are not followed.
fn walk(
    root: &Path,
    folder: &Path,
    depth: usize,
    entries: &mut usize,
    listed: &mut Vec<ListedCapture>,
) -> Result<()> {
    let read = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in read.flatten() {
        *entries += 1;
        ensure!(*entries <= MAX_ENTRIES, "{} holds more files than can be listed", root.display());
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth > 0 {
            // A folder that cannot be read hides its captures, and no others.
            let _ = walk(root, &path, depth - 1, entries, listed);
        } else if kind.is_file() && path.extension().is_some_and(|e| e == EXTENSION) {
            let (Some(id), Ok(metadata)) =
                (path.strip_prefix(root).ok().and_then(id_of), entry.metadata())
            else {
                continue;
            };
            let modified_ns = metadata.modified().map_or(0, nanos_since_1970);
            listed.push(ListedCapture { id, path, bytes: metadata.len(), modified_ns });
        }
    }
    Ok(())
}

fn nanos_since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// A name as it is shown: short, in one line.
fn shown(text: &str) -> String {
    OneLine(&text.chars().take(120).collect::<String>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(captures: &CaptureFolders, text: &str, expected: &str) {
        let said = match captures.find(text) {
            Ok(found) => found.id,
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{text}: {said}");
    }

    #[test]
    fn only_what_lies_inside_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("captures");
        fs::create_dir_all(inside.join("deep")).unwrap();
        let outside = folder.path().join("secret.lagtape");
        for path in [&outside, &inside.join("a.lagtape"), &inside.join("deep/b.lagtape")] {
            fs::write(path, b"x").unwrap();
        }
        let captures = CaptureFolders::new(vec![inside.clone()]).unwrap();
        let absolute = |name: &str| inside.join(name).display().to_string();
        check(&captures, "a", "a");
        check(&captures, "a.lagtape", "a");
        check(&captures, "deep/b", "deep/b");
        check(&captures, &absolute("deep/b.lagtape"), "deep/b");
        check(&captures, &absolute("deep/../a.lagtape"), "a");
        check(&captures, "c", "did you mean a?");
        for climbing in ["../secret", "../secret.lagtape", "deep/../../secret", "/etc/passwd"] {
            check(&captures, climbing, "does not lie inside");
        }
        check(&captures, &outside.display().to_string(), "does not lie inside");
        check(&captures, &folder.path().join("none").display().to_string(), "does not lie inside");
        check(&captures, "deep", "there is no capture");
        check(&captures, "a\0b", "zero bytes");
        check(&captures, "", "missing");
        check(&captures, &"x".repeat(5000), "missing");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&outside, inside.join("link.lagtape")).unwrap();
            std::os::unix::fs::symlink(inside.join("a.lagtape"), inside.join("near.lagtape"))
                .unwrap();
            check(&captures, "link", "does not lie inside");
            check(&captures, "near", "a");
        }
        let ids: Vec<_> = captures.list().unwrap().into_iter().map(|listed| listed.id).collect();
        assert_eq!(ids.len(), 2, "links are not listed: {ids:?}");
    }
}
