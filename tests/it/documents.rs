//! Every command that README and docs/ print is run, and where they print what comes of it, that too.
//!
//! Servers listen on a free port and clients record from a server of the test; nothing leaves the
//! machine. Figures may be others than those printed, and nothing else may.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::har;
use crate::program::Running;

/// A command of a document, and the lines printed below it.
#[derive(Debug)]
struct Printed {
    place: String,
    command: String,
    output: Vec<String>,
}

/// Output of sessions that no document's reader has: it is not compared.
const OF_OTHER_SESSIONS: [&str; 6] = [
    // A client of the reader's own connects.
    "lagtape proxy --upstream ws://localhost:1318",
    "lagtape replay captures/stall.lagtape --listen 127.0.0.1:1318",
    "lagtape replay captures/stall.lagtape",
    // A server that was fixed.
    "lagtape replay incident.lagtape --to ws://127.0.0.1:1318 -o fixed.lagtape",
    "lagtape diff incident.lagtape fixed.lagtape",
    "lagtape diff before.lagtape after.lagtape",
];

/// Captures that commands name, and what of the repository stands for each.
const NAMED: [(&str, &str); 7] = [
    ("after.lagtape", "captures/healthy.lagtape"),
    ("before.lagtape", "captures/stall.lagtape"),
    ("captures/healthy.lagtape", "captures/healthy.lagtape"),
    ("captures/stall.lagtape", "captures/stall.lagtape"),
    ("fixed.lagtape", "captures/healthy.lagtape"),
    ("live.lagtape", "captures/stall.lagtape"),
    ("song.flac", "tests/audio/sine.flac"),
];

/// Commands that wait for others until they are ended.
fn is_server(command: &str) -> bool {
    let verbs = ["lagtape proxy", "lagtape backend", "lagtape replay", "lagtape watch"];
    verbs.iter().any(|verb| command.starts_with(verb)) && !command.contains(" --to ")
}

/// The commands in the code blocks of a document.
fn printed(document: &str) -> Vec<Printed> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let (mut found, mut is_code): (Vec<Printed>, bool) = (Vec::new(), false);
    let mut is_below = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("```") {
            (is_code, is_below) = (!is_code, false);
            continue;
        }
        let asked = line.strip_prefix("$ ");
        let command = asked.unwrap_or(line);
        // Not the head of a table in a run of the benchmarks.
        if is_code && command.starts_with("lagtape ") && !command.starts_with("lagtape 0.") {
            let command = command.split(" | ").next().unwrap().to_owned();
            found.push(Printed {
                place: format!("{document}:{number}"),
                command,
                output: Vec::new(),
            });
            is_below = asked.is_some();
        } else if is_code && is_below {
            found.last_mut().unwrap().output.push(line.to_owned());
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A folder with everything that commands name.
fn bench() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("captures")).unwrap();
    for (name, of) in NAMED {
        fs::copy(root().join(of), folder.path().join(name)).unwrap();
    }
    // A capture of which a record in the middle is damaged.
    let live = folder.path().join("live.lagtape");
    let mut bytes = fs::read(&live).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&live, bytes).unwrap();
    // A session that this version's own server can play again.
    let incident = "lagtape simulate --incident stall:at=4,for=3 --for 9s -o incident.lagtape";
    shell(&folder, incident).output().unwrap();
    // Scenarios that commands name.
    for (name, text) in [
        ("more-lead.toml", "[server]\nlead_floor_s = 0.6\n"),
        ("thin.toml", "[link.down]\nbandwidth = \"100KB/s\"\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    // What the developer tools saved of a session.
    let saved = har::har(&[har::entry(&har::frames(&har::stall()))]);
    fs::write(folder.path().join("choppy.har"), saved).unwrap();
    folder
}

/// The shell with a command, in that folder.
fn shell(folder: &TempDir, command: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_lagtape")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder).env("PATH", path).stdin(Stdio::null());
    shell.env_remove("LAGTAPE_THREADS").env_remove("LAGTAPE_COLOR");
    shell
}

/// A server that runs until it is dropped, and the first line that it printed.
struct Server {
    _running: Running,
    address: String,
}

impl Server {
    fn start(folder: &TempDir, command: &str) -> Server {
        let mut shell = shell(folder, &format!("exec {command}"));
        let running = Running::of(&mut shell);
        let address = running.line();
        Server { _running: running, address }
    }
}

/// A server's command, on a free port of this machine.
fn on_free_port(command: &str) -> String {
    let words: Vec<_> = command.split(' ').collect();
    let listen = words.iter().position(|word| *word == "--listen");
    let kept = words
        .iter()
        .enumerate()
        .filter(|(i, _)| listen.is_none_or(|listen| *i != listen && *i != listen + 1));
    let kept: Vec<_> = kept.map(|(_, word)| *word).collect();
    let bus = if command.starts_with("lagtape backend") { " --bus-port 0" } else { "" };
    format!("{} --listen 0{bus}", kept.join(" "))
}

/// A client's command, for a short while from that server.
fn from_server(command: &str, address: &str) -> String {
    let short = command.replace("--for 60s", "").replace("ws://127.0.0.1:1318", address);
    let short = short.replace("--ring 60s", "--ring 60s --trigger none");
    let short = short.replace("lagtape record", "lagtape record --for 300ms");
    // What it writes may be there from another command.
    format!("{short} --force")
}

/// A line without its figures, its bars and its columns.
fn shape(line: &str) -> String {
    let plain = line.chars().map(|c| match c {
        '0'..='9' | '.' | ',' | '−' => '#',
        '▁'..='█' => ' ',
        c => c,
    });
    let mut shape = String::new();
    for c in plain {
        if !(matches!(c, '#' | ' ') && shape.ends_with(c)) {
            shape.push(c);
        }
    }
    shape.trim().to_owned()
}

/// Whether all printed lines stand in what was said, in their order. `…` stands for any.
fn missing(printed: &[String], said: &str) -> Option<String> {
    let mut said = said.lines().map(shape);
    let lines =
        printed.iter().map(|line| shape(line)).filter(|line| !line.is_empty() && line != "…");
    lines.into_iter().find(|line| !said.any(|said| said == *line))
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Runs a command; what is wrong with it.
fn run(folder: &TempDir, server: &Server, printed: &Printed) -> Result<(), String> {
    let Printed { place, command, output } = printed;
    let holds = |holds: bool, said: &dyn Fn() -> String| match holds {
        true => Ok(()),
        false => Err(format!("{place}: {command} said\n{}", said())),
    };
    if is_server(command) {
        let server = Server::start(folder, &on_free_port(command));
        let listens = ["ws://", "http://"].iter().any(|it| server.address.starts_with(it))
            || server.address.contains("listening");
        return holds(listens, &|| server.address.clone());
    }
    if command.contains("wss://") {
        // A pod of somebody's: the command is read to its end, and refused for its output alone.
        let output = shell(folder, &format!("{command} -o -")).output().unwrap();
        return holds(said(&output).contains("grows in a file"), &|| said(&output));
    }
    let is_client = command.contains("ws://127.0.0.1:1318");
    let command = if is_client { from_server(command, &server.address) } else { command.clone() };
    let ran = shell(folder, &command).output().unwrap();
    // Lag, and an end that is none of a session's, are findings and no failures.
    let ended = ran.status.code().is_some_and(|code| [0, 3, 4, 5].contains(&code));
    holds(ended, &|| said(&ran))?;
    if OF_OTHER_SESSIONS.contains(&printed.command.as_str()) {
        return Ok(());
    }
    let missing = missing(output, &said(&ran));
    holds(missing.is_none(), &|| format!("{}\nbut not: {missing:?}", said(&ran)))
}

/// How many commands a document has, and what is wrong with them.
fn check(document: &str) -> (usize, Vec<String>) {
    let folder = bench();
    let server = Server::start(&folder, "lagtape backend --listen 0 --bus-port off");
    let commands = printed(document);
    let wrong = commands.iter().filter_map(|printed| run(&folder, &server, printed).err());
    (commands.len(), wrong.collect())
}

#[test]
fn every_command_that_is_printed_does_what_is_printed() {
    let mut documents = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|file| file.unwrap().file_name().into_string().unwrap());
    documents.extend(docs.map(|name| format!("docs/{name}")));
    documents.sort();
    // Sessions take their time, and each document has a folder and a server of its own.
    let checked: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> =
            documents.iter().map(|document| scope.spawn(|| check(document))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let count: usize = checked.iter().map(|(count, _)| count).sum();
    let wrong: Vec<_> = checked.into_iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(count > 40, "{count} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn shapes_differ_where_words_do() {
    let printed = ["LAG  3.86 s of 7.00 s", "…", "lead p5 0.26"].map(str::to_owned);
    assert_eq!(missing(&printed, "x\nLAG 12 s of 30.5 s\n\nlead  p5 −0.1\n"), None);
    assert_eq!(missing(&printed, "LAG 12 s of 30.5 s\n"), Some("lead p# #".to_owned()));
    assert_eq!(missing(&printed, "lead p5 1\nLAG 12 s of 30.5 s\n"), Some("lead p# #".to_owned()));
}
