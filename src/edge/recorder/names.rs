//! What the files of a recording are called.

use std::ffi::OsStr;
use std::fs;
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

/// The files that are called as parts of this recording, in order, with their numbers.
pub(super) fn existing_parts(path: &Path) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder_of(path)) else { return Vec::new() };
    let numbers = entries.filter_map(|entry| part_number(path, &entry.ok()?.file_name()));
    let mut found: Vec<_> = numbers.map(|number| (number, part_path(path, number))).collect();
    found.sort();
    found
}

/// The number of the part that a file of this name would be.
fn part_number(path: &Path, name: &OsStr) -> Option<u64> {
    let (_, number) = Path::new(name).file_stem()?.to_str()?.rsplit_once('-')?;
    let number = number.parse().ok()?;
    (part_path(path, number).file_name()? == name).then_some(number)
}

/// The file of an incident, counted from 1 among those with the same label.
pub(super) fn incident_path(path: &Path, label: &str, number: usize) -> PathBuf {
    match number {
        1 => named(path, label),
        _ => named(path, &format!("{label}-{number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_a_folder() {
        let path = Path::new("in/live.lagtape");
        assert_eq!(part_path(path, 7), Path::new("in/live-007.lagtape"));
        assert_eq!(incident_path(path, "why", 1), Path::new("in/live-why.lagtape"));
        assert_eq!(incident_path(path, "why", 2), Path::new("in/live-why-2.lagtape"));
        let long = PathBuf::from(format!("in/{}.lagtape", "é".repeat(500)));
        let name = named(&long, "2026-11-22T16-04-10Z-behind-12");
        let name = name.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.len() <= 255 && name.starts_with("éé"), "{name}");
        assert!(name.ends_with("é-2026-11-22T16-04-10Z-behind-12.lagtape"), "{name}");
    }

    #[track_caller]
    fn check_part(name: &str, expected: Option<u64>) {
        assert_eq!(part_number(Path::new("in/live.lagtape"), name.as_ref()), expected, "{name}");
    }

    #[test]
    fn a_part_is_known_by_stem_number_and_extension() {
        check_part("live-001.lagtape", Some(1));
        check_part("live-1234.lagtape", Some(1234));
        check_part("live-01.lagtape", None);
        check_part("live-0012.lagtape", None);
        check_part("live-+12.lagtape", None);
        check_part("live-002.wav", None);
        check_part("alive-002.lagtape", None);
        check_part("live.lagtape", None);
    }
}
