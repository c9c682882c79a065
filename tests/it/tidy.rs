//! The walls between the rooms: no room uses one below it in the corridor.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, in the order in which data walks through them.
const CORRIDOR: [&str; 23] = [
    "time",
    "parse",
    "wire",
    "capture",
    "event",
    "mirror",
    "playhead",
    "heard",
    "lag",
    "verdict",
    "engine",
    "checkpoint",
    "peer",
    "flight",
    "scenario",
    "sweep",
    "report",
    "edge",
    "app",
    "mcp",
    "cli",
    "lib",
    "main",
];

#[test]
fn no_room_uses_a_later_one() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut violations = Vec::new();
    let mut read = 0;
    for path in rust_files(&src) {
        let room = room_of(path.strip_prefix(&src).unwrap());
        violations.extend(
            later_rooms(&room, &fs::read_to_string(&path).unwrap())
                .into_iter()
                .map(|later| format!("{} uses {later}", path.display())),
        );
        read += 1;
    }
    assert!(read > 20, "only {read} files were read");
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn a_later_room_is_noticed() {
    assert_eq!(later_rooms("lag", "use crate::report::Analysis;"), ["report"]);
    assert_eq!(later_rooms("lag", "let x = crate::engine::Engine::new();"), ["engine"]);
    assert_eq!(later_rooms("lag", "use crate::{time::Nanos, event, app as a};"), ["app"]);
    assert!(later_rooms("lag", "// see crate::report").is_empty());
    assert!(later_rooms("report", "use crate::lag::LagReport;").is_empty());
}

#[test]
#[should_panic(expected = "is not in the corridor")]
fn an_unknown_room_is_noticed() {
    later_rooms("lag", "use crate::attic::Box;");
}

fn room_of(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn place(room: &str) -> usize {
    CORRIDOR
        .iter()
        .position(|known| *known == room)
        .unwrap_or_else(|| panic!("{room} is not in the corridor; give it its place"))
}

/// Rooms that `source` names with `crate::` and that come after `room`.
fn later_rooms(room: &str, source: &str) -> Vec<String> {
    let own = place(room);
    source
        .lines()
        .map(|line| line.split("//").next().unwrap())
        .flat_map(rooms_named)
        .filter(|named| place(named) > own)
        .collect()
}

fn rooms_named(line: &str) -> Vec<String> {
    line.split("crate::")
        .skip(1)
        .flat_map(|after| match after.strip_prefix('{') {
            Some(group) => group
                .split([',', '}'])
                .map(|item| item.trim().split([':', ' ']).next().unwrap().to_owned())
                .filter(|name| {
                    name.chars().all(|c| c.is_lowercase() || c == '_') && !name.is_empty()
                })
                .collect::<Vec<_>>(),
            None => {
                let name: String =
                    after.chars().take_while(|c| c.is_lowercase() || *c == '_').collect();
                if name.is_empty() { Vec::new() } else { vec![name] }
            }
        })
        .collect()
}
