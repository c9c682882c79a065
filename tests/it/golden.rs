//! Where the golden vectors lie and how to walk them.
//!
//! Two roots: the subset inside the repository, always; and the folder that `LAGTAPE_GOLDEN` names,
//! when it is set. Tests walk the folders and name no vector.

use std::path::{Path, PathBuf};

/// The roots to walk. Panics when `LAGTAPE_GOLDEN` names something that is not a folder.
pub fn roots() -> Vec<PathBuf> {
    let mut roots = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")];
    if let Some(named) = std::env::var_os("LAGTAPE_GOLDEN").filter(|value| !value.is_empty()) {
        let named = PathBuf::from(named);
        assert!(named.is_dir(), "LAGTAPE_GOLDEN is not a folder: {}", named.display());
        roots.push(named);
    }
    roots
}

/// Every file below the `kind` folder of each root whose name passes, in a stable order.
/// Panics when there is none at all: a walk that finds nothing proves nothing.
pub fn files(kind: &str, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in roots() {
        walk(&root.join(kind), &mut |path| {
            if wanted(path) {
                found.push(path.to_path_buf());
            }
        });
    }
    assert!(!found.is_empty(), "no golden vectors of the kind {kind}");
    found
}

/// Every JSON file below the `kind` folder of each root.
pub fn json_files(kind: &str) -> Vec<(PathBuf, serde_json::Value)> {
    files(kind, |path| path.extension().is_some_and(|extension| extension == "json"))
        .into_iter()
        .map(|path| {
            let text = std::fs::read(&path).unwrap();
            let value = serde_json::from_slice(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, value)
        })
        .collect()
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}

/// Compares as JSON values with numbers compared numerically (`-0.0` equals `0.0`, `3` equals `3.0`).
#[track_caller]
pub fn assert_json_eq(actual: &serde_json::Value, expected: &serde_json::Value, context: &str) {
    if let Some(difference) = difference(actual, expected, "") {
        panic!("{context}: {difference}\nactual   {actual}\nexpected {expected}");
    }
}

fn difference(
    actual: &serde_json::Value,
    expected: &serde_json::Value,
    at: &str,
) -> Option<String> {
    use serde_json::Value::{Array, Number, Object};
    match (actual, expected) {
        (Number(a), Number(b)) if a.as_f64() == b.as_f64() => None,
        (Array(a), Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(i, (a, b))| difference(a, b, &format!("{at}[{i}]"))),
        (Object(a), Object(b)) => {
            let missing = b.keys().find(|key| !a.contains_key(*key));
            let extra = a.keys().find(|key| !b.contains_key(*key));
            if let Some(key) = missing.or(extra) {
                return Some(format!("{at}.{key} stands on one side only"));
            }
            a.iter().find_map(|(key, a)| difference(a, &b[key], &format!("{at}.{key}")))
        }
        (a, b) if a == b => None,
        (a, b) => Some(format!("at {at}: {a} is not {b}")),
    }
}
