//! What the files of a recording are called.

use std::path::{Path, PathBuf};

/// Longest stem, in bytes, of the name that a recording is given: with a time, a reason, a number and
/// an extension behind it a file's name still fits into the 255 bytes of most file systems.
const MAX_STEM_LEN: usize = 180;

/// A path with `-` and `label` between the stem and the extension of its file name.
pub(super) fn named(path: &Path, label: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stem = &stem[..stem.floor_char_boundary(MAX_STEM_LEN)];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_a_folder() {
        let path = Path::new("in/live.lagtape");
        assert_eq!(part_path(path, 7), Path::new("in/live-007.lagtape"));
        let long = PathBuf::from(format!("in/{}.lagtape", "é".repeat(500)));
        let name = named(&long, "2026-11-22T16-04-10Z-behind-12");
        let name = name.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.len() <= 255 && name.starts_with("éé"), "{name}");
        assert!(name.ends_with("é-2026-11-22T16-04-10Z-behind-12.lagtape"), "{name}");
    }
}
