//! What the files of a recording are called.

use std::path::{Path, PathBuf};

/// A path with `-` and `label` between the stem and the extension of its file name.
pub(super) fn named(path: &Path, label: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map_or("lagtape".into(), |e| e.to_string_lossy());
    path.with_file_name(format!("{stem}-{label}.{extension}"))
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The file of a part, counted from 1.
pub(super) fn part_path(path: &Path, number: u64) -> PathBuf {
    named(path, &format!("{number:03}"))
}
