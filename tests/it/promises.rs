//! docs/PROMISES.md: each row names tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn each_promise_names_a_trial_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    ["src", "tests"].iter().for_each(|folder| sources(&root.join(folder), &mut paths));
    let code: String = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let table = fs::read_to_string(root.join("docs/PROMISES.md")).unwrap();
    let rows: Vec<_> =
        table.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert!(rows.len() >= 15, "{} rows", rows.len());
    for row in rows {
        let trial = row.split('|').nth(2).unwrap();
        let names: Vec<_> = trial.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no trial: {row}");
        for name in names {
            assert!(code.contains(&format!("fn {name}(")), "there is no test {name}: {row}");
        }
    }
}
