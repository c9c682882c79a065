//! The walls of the house: no room uses one below it in the corridor, no files of a room use each
//! other in a circle, and no two public types have one name.

mod source;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use source::{NamedPath, Sources, UnitTests};

/// The rooms, in the order in which data walks through them.
const CORRIDOR: [&str; 27] = [
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
    "family",
    "engine",
    "checkpoint",
    "peer",
    "flight",
    "scenario",
    "sweep",
    "diagnosis",
    "report",
    "review",
    "har",
    "edge",
    "app",
    "mcp",
    "cli",
    "lib",
    "main",
];

#[test]
fn rooms_use_no_later_one() {
    let sources = read_src(UnitTests::Included);
    let violations: Vec<_> = sources
        .named
        .iter()
        .filter_map(|named| Some(format!("{} uses {}", named.place, later_room(&sources, named)?)))
        .collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn circles_of_files_are_absent() {
    let found = circles(&read_src(UnitTests::LeftOut));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn types_have_names_of_their_own() {
    let found = shared_names(&read_src(UnitTests::LeftOut));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What of the standard library touches the world; `clippy.toml` bans the clocks.
const WORLD: [&str; 5] = ["env", "fs", "net", "os", "process"];

#[test]
fn the_core_touches_nothing() {
    let files = read_crate("core/src");
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let found = worldly(&files);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_touches_the_world_is_noticed() {
    let files = [
        ("lag/a.rs", "use std::{fmt, fs};\nfn f() { std::net::TcpStream::connect(x); }"),
        ("lag/b.rs", "use std::io; #[cfg(test)] mod tests { use std::fs; }"),
    ];
    assert_eq!(
        worldly(&files),
        ["lag/a.rs:1 names std::fs", "lag/a.rs:2 names std::net::TcpStream::connect"]
    );
}

/// Files that write to a terminal: each escapes what acts on one, or asks whether there is one.
const TERMINAL_FILES: [&str; 8] = [
    "cli/commands/proxy/display.rs",
    "cli/commands/watch/terminal.rs",
    "cli/mod.rs",
    "cli/progress.rs",
    "cli/recording_display.rs",
    "cli/stderr.rs",
    "cli/stdout.rs",
    "mcp/sessions.rs",
];

#[test]
fn terminals_are_written_by_few_files() {
    let mut found = Vec::new();
    for (name, text) in read_crates() {
        let writes = ["io::stderr()", "io::Stdout", "eprint", " println!(", " print!("];
        let is_other = !TERMINAL_FILES.contains(&name.as_str());
        found.extend(
            writes
                .into_iter()
                .filter(|it| is_other && text.contains(it))
                .map(|it| format!("{name}: {it}")),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn rooms_that_are_later_are_noticed() {
    assert_eq!(later_rooms("lag", "use crate::report::Analysis;"), ["report"]);
    assert_eq!(later_rooms("lag", "let x = crate::engine::Engine::new();"), ["engine"]);
    assert_eq!(later_rooms("lag", "use crate::{time::Nanos, event, app as a};"), ["app"]);
    assert!(later_rooms("lag", "// see crate::report").is_empty());
    assert!(later_rooms("report", "use crate::lag::LagReport;").is_empty());
}

#[test]
fn rooms_are_noticed_on_any_line_of_an_import() {
    let import = "use crate::{\n    // why\n    event::{\n        Event,\n    },\n    app,\n};";
    assert_eq!(later_rooms("lag", import), ["app"]);
    assert_eq!(
        later_rooms("lag", "use crate::{\n    time::{self, Nanos},\n    wire,\n};"),
        [""; 0]
    );
}

#[test]
fn rooms_are_noticed_behind_super() {
    assert_eq!(later_rooms("lag/mod.rs", "use super::report::Analysis;"), ["report"]);
    assert_eq!(later_rooms("lag/stats.rs", "use super::super::engine::Engine;"), ["engine"]);
    assert_eq!(later_rooms("lag.rs", "mod tests { fn f() { super::super::app::run() } }"), ["app"]);
    assert!(later_rooms("lag/stats.rs", "use super::report::LagReport;").is_empty());
}

#[test]
fn rooms_are_noticed_in_attributes() {
    assert_eq!(later_rooms("lag", r#"#[serde(with = "crate::report::span")] s: u8"#), ["report"]);
    assert!(later_rooms("lag", r##"f("crate", 'c', '"', "\"", r#"use crate::app;"#)"##).is_empty());
}

#[test]
#[should_panic(expected = "is not in the corridor")]
fn rooms_that_are_unknown_are_noticed() {
    later_rooms("lag", "use crate::attic::Box;");
}

#[test]
fn circles_are_noticed() {
    check_circles(
        &[("lag/a.rs", "use super::b::B;"), ("lag/b.rs", "fn f() { super::a::run() }")],
        &["lag: a → b (lag/a.rs:1), b → a (lag/b.rs:1)"],
    );
    let three = [
        ("lag/a.rs", "\nuse super::{\n    b::B,\n};"),
        ("lag/b.rs", "use crate::lag::c;"),
        ("lag/c.rs", "use crate::{\n    lag::{\n        a,\n    },\n};"),
    ];
    check_circles(&three, &["lag: a → b (lag/a.rs:3), b → c (lag/b.rs:1), c → a (lag/c.rs:3)"]);
    check_circles(&three[..2], &[]);
}

#[test]
fn circles_are_noticed_between_folders() {
    check_circles(
        &[
            ("lag/a/mod.rs", "mod deep;"),
            ("lag/a/deep.rs", "use super::super::b::deep::B;"),
            ("lag/b.rs", "mod deep;"),
            ("lag/b/deep.rs", "use crate::lag::a::A;"),
        ],
        &["lag: a → b (lag/a/deep.rs:1), b → a (lag/b/deep.rs:1)"],
    );
}

#[test]
fn circles_are_noticed_behind_imports_of_the_parent() {
    check_circles(
        &[
            ("lag/mod.rs", "mod a; mod b; pub use b::B as Renamed;"),
            ("lag/a.rs", "use super::Renamed;"),
            ("lag/b.rs", "use super::a::A;"),
        ],
        &["lag: a → b (lag/a.rs:1), b → a (lag/b.rs:1)"],
    );
    check_circles(
        &[("lag/a.rs", "use super::*;"), ("lag/mod.rs", "")],
        &["lag/a.rs:1 imports all of lag: name what it uses"],
    );
}

#[test]
fn circles_are_not_between_parent_and_child() {
    check_circles(
        &[
            ("lag/mod.rs", "mod a; use a::A; pub struct Lag(A);"),
            ("lag/a.rs", "use super::Lag; use std::fmt; pub enum A { B } use A::*;"),
        ],
        &[],
    );
}

#[test]
fn circles_of_unit_tests_are_none() {
    check_circles(
        &[
            ("lag/a.rs", "use super::b::B;"),
            (
                "lag/b.rs",
                "#[cfg(test)] mod tests { use super::*; use crate::lag::a::A; } struct B;",
            ),
            ("lag/mod.rs", "mod a; mod b; #[cfg(test)] mod tests;"),
            ("lag/tests.rs", "use super::*; use super::a::A;"),
        ],
        &[],
    );
}

#[test]
fn types_of_one_name_are_noticed() {
    let sources = Sources::read(
        &[
            ("lag/a.rs", "pub struct Step;\n\npub(crate) enum Kind {}\nstruct Own;"),
            ("lag/b.rs", "pub enum Step {}\npub trait Kind { type Own; }"),
            ("time.rs", "pub type Own = u8; #[cfg(test)] mod tests { pub struct Kind; }"),
        ],
        UnitTests::LeftOut,
    );
    assert_eq!(shared_names(&sources), ["Step: lag/a.rs:1, lag/b.rs:1"]);
}

#[track_caller]
fn check_circles(files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(circles(&Sources::read(files, UnitTests::LeftOut)), expected);
}

fn read_src(tests: UnitTests) -> Sources {
    let files = read_crates();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Sources::read(&files, tests)
}

/// The files of the core and of the program, as if they were of one crate.
fn read_crates() -> Vec<(String, String)> {
    [read_crate("core/src"), read_crate("src")].concat()
}

/// The files of a crate: their names below its `src`, and their texts.
fn read_crate(src: &str) -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join(src);
    let files = rust_files(&src);
    assert!(files.len() > 20, "only {} files were read", files.len());
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
        (name, fs::read_to_string(&path).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// Where each file, outside of its unit tests, names what touches the world.
fn worldly(files: &[(&str, &str)]) -> Vec<String> {
    let sources = Sources::read(files, UnitTests::LeftOut);
    let is_worldly = |named: &&NamedPath| match &named.path[..] {
        [std, room, ..] => std == "std" && WORLD.contains(&room.as_str()),
        _ => false,
    };
    let found = sources.named.iter().filter(is_worldly);
    found.map(|named| format!("{} names {}", named.place, named.path.join("::"))).collect()
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

/// Rooms that one file names and that come after its own.
fn later_rooms(file: &str, text: &str) -> Vec<String> {
    let sources = Sources::read(&[(file, text)], UnitTests::Included);
    sources.named.iter().filter_map(|named| later_room(&sources, named)).collect()
}

/// The room that a path leads to, if that comes after the room that names it.
fn later_room(sources: &Sources, named: &NamedPath) -> Option<String> {
    let own = named.module.first()?;
    let room = sources.resolve(&named.module, &named.path)?.into_iter().next()?;
    // What begins with a capital is an item of the root itself.
    (room.starts_with(char::is_lowercase) && place(&room) > place(own)).then_some(room)
}

/// The circles among the children of every module of a room, a folder being one child, with the
/// first place where each child uses the next. What a child uses of its parent's own file is in no
/// circle.
fn circles(sources: &Sources) -> Vec<String> {
    let mut uses: BTreeMap<Vec<String>, BTreeMap<(String, String), String>> = BTreeMap::new();
    let mut found = Vec::new();
    for named in &sources.named {
        let Some(path) = sources.resolve(&named.module, &named.path) else { continue };
        if let [module @ .., last] = &path[..]
            && last == "*"
            && sources.is_module(module)
        {
            let module = module.join("::");
            found.push(format!("{} imports all of {module}: name what it uses", named.place));
            continue;
        }
        let used = sources.module_on(&path);
        let shared = named.module.iter().zip(&used).take_while(|(own, other)| own == other).count();
        // The order of the rooms themselves is the corridor's.
        if shared == 0 || shared == named.module.len() || shared == used.len() {
            continue;
        }
        let children = (named.module[shared].clone(), used[shared].clone());
        let siblings = uses.entry(used[..shared].to_vec()).or_default();
        siblings.entry(children).or_insert_with(|| named.place.clone());
    }
    for (module, uses) in &uses {
        found.extend(circles_among(uses).iter().map(|circle| {
            let steps = circle.iter().map(|&(from, to)| {
                format!("{from} → {to} ({})", uses[&(from.to_owned(), to.to_owned())])
            });
            format!("{}: {}", module.join("::"), steps.collect::<Vec<_>>().join(", "))
        }));
    }
    found
}

/// For every child that uses itself in the end, the shortest such circle; each circle once.
fn circles_among(uses: &BTreeMap<(String, String), String>) -> Vec<Vec<(&str, &str)>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for start in uses.keys().map(|(from, _)| from.as_str()).collect::<BTreeSet<_>>() {
        let mut paths = vec![vec![start]];
        let mut reached = BTreeSet::new();
        let mut next = 0;
        while next < paths.len() {
            let path = paths[next].clone();
            next += 1;
            if path.len() > 1 && path[path.len() - 1] == start {
                if seen.insert(path.iter().copied().collect::<BTreeSet<_>>()) {
                    found.push(path.windows(2).map(|step| (step[0], step[1])).collect());
                }
                break;
            }
            let last = path[path.len() - 1];
            for (_, to) in uses.keys().filter(|(from, _)| from == last) {
                if reached.insert(to.as_str()) {
                    paths.push([&path[..], &[to.as_str()]].concat());
                }
            }
        }
    }
    found
}

/// Names that more than one public type has.
fn shared_names(sources: &Sources) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for public in &sources.public_types {
        places.entry(&public.name).or_default().push(&public.place);
    }
    places.retain(|_, places| places.len() > 1);
    places.iter().map(|(name, places)| format!("{name}: {}", places.join(", "))).collect()
}
