//! What the program says of wrong usage and of bad input, word for word.
//!
//! The sentences stand in tests/errors as they were looked at; `LAGTAPE_BLESS=1 cargo test --test it errors::`
//! writes them anew. No line of an error about the command line is wider than 80 columns, but for the names
//! that people typed; sentences about files are one line, which the terminal breaks.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Names, and the command lines that they stand for. `{…}` are files of [`bench`].
const ERRORS: [(&str, &str); 51] = [
    // Wrong usage.
    ("no-such-verb", "analyse x.lagtape"),
    ("no-such-flag", "analyze x.lagtape --timelime"),
    ("no-file", "analyze"),
    ("no-out", "plot healthy.lagtape"),
    ("bad-time", "analyze healthy.lagtape --at soon"),
    ("bad-rate", "what-if healthy.lagtape --rate fast"),
    ("bad-choice", "analyze healthy.lagtape --playhead real"),
    ("bad-number", "simulate -o out.lagtape --seed x"),
    ("bad-bytes", "what-if healthy.lagtape --down 200"),
    ("bad-op", "what-if healthy.lagtape --op seek"),
    ("op-before-start", "what-if healthy.lagtape --op=-2s:pause"),
    ("op-of-content", "what-if healthy.lagtape --op 3s:depth=2"),
    ("no-moment", "what-if healthy.lagtape --at 3s --skew-ppm 200"),
    ("ab-to-stdout", "audio healthy.lagtape --ab rate=0.98 -o -"),
    ("no-change", "what-if healthy.lagtape"),
    ("bad-setting", "record ws://127.0.0.1:1 --set depth"),
    ("bad-header", "record ws://127.0.0.1:1 --header token"),
    ("bad-condition", "analyze healthy.lagtape --fail-if lag"),
    ("bad-incident", "simulate -o out.lagtape --incident stal"),
    ("bad-incident-value", "simulate -o out.lagtape --incident stall:fro=4"),
    ("bad-family", "simulate -o out.lagtape --family acesteps"),
    ("bad-axis", "sweep healthy.lagtape --rate 1..2"),
    ("bad-table", "query healthy.lagtape slice"),
    ("bad-column", "query healthy.lagtape slices --where 'lead < 0'"),
    ("bad-aggregate", "query healthy.lagtape slices -a 'worst(lead_s)'"),
    ("bad-group", "query healthy.lagtape slices -g t_s/0"),
    ("bad-episode", "cut stall.lagtape --episode 3 -o out.lagtape"),
    ("backwards", "cut stall.lagtape --from 5 --to 3 -o out.lagtape"),
    ("conflict", "query healthy.lagtape slices --json --csv"),
    ("unknown-setting", "config set playhed reported"),
    ("bad-setting-value", "config set playhead real"),
    ("bad-picture", "plot healthy.lagtape -o out.gif"),
    ("bad-audio", "audio healthy.lagtape -o out.mp3"),
    ("bad-port", "backend --listen 70000"),
    ("bad-scheme", "record http://127.0.0.1:1 -o out.lagtape"),
    ("same-file", "cut healthy.lagtape --from 1 -o healthy.lagtape --force"),
    // Bad input.
    ("missing", "analyze missing.lagtape"),
    ("folder-empty", "analyze empty"),
    ("no-capture", "analyze text.lagtape"),
    ("nothing", "analyze nothing.lagtape"),
    ("half", "analyze half.lagtape"),
    ("damaged", "analyze damaged.lagtape"),
    ("damaged-what-if", "what-if damaged.lagtape --rate 1.01"),
    ("exists", "plot healthy.lagtape -o there.png"),
    ("no-folder", "plot healthy.lagtape -o nowhere/x.png"),
    ("import-text", "import text.lagtape -o out.lagtape"),
    ("import-har", "import broken.har -o out.lagtape"),
    ("no-scenario", "what-if healthy.lagtape --scenario broken.toml"),
    ("nobody-listens", "record ws://127.0.0.1:1 -o out.lagtape --timeout 1s"),
    ("bad-project-file", "--in project analyze ../healthy.lagtape"),
    ("project-file-with-secrets", "--in secrets analyze ../healthy.lagtape"),
];

/// A folder with captures, sound and not, and other files.
fn bench() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    for name in ["healthy.lagtape", "stall.lagtape"] {
        fs::copy(captures.join(name), folder.path().join(name)).unwrap();
    }
    let mut bytes = fs::read(captures.join("stall.lagtape")).unwrap();
    write("half.lagtape", &bytes[..200]);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    write("damaged.lagtape", &bytes);
    write("text.lagtape", b"this is no capture\n");
    write("nothing.lagtape", b"");
    write("there.png", b"");
    write("broken.har", b"{\"log\": {");
    write("broken.toml", b"[playback\nrate = 1\n");
    for (name, settings) in
        [("project", "playhed = \"reported\"\n"), ("secrets", "header = \"X: y\"\n")]
    {
        fs::create_dir(folder.path().join(name)).unwrap();
        write(&format!("{name}/lagtape.toml"), settings.as_bytes());
    }
    fs::create_dir(folder.path().join("empty")).unwrap();
    folder
}

/// What it says, and its exit code.
fn said(folder: &TempDir, line: &str) -> (String, String) {
    let (place, line) = match line.strip_prefix("--in ") {
        Some(rest) => rest.split_once(' ').unwrap(),
        None => ("", line),
    };
    let program = Path::new(env!("CARGO_BIN_EXE_lagtape"));
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let output = Command::new("sh")
        .args(["-c", &format!("lagtape {line}")])
        .current_dir(folder.path().join(place))
        .env_clear()
        .envs([("PATH", path.as_str()), ("LANG", "C.UTF-8"), ("HOME", "/nonexistent")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    // The folder has another name each time.
    let real = folder.path().canonicalize().unwrap();
    let text = text.replace(real.to_str().unwrap(), "FOLDER");
    let text = text.replace(folder.path().to_str().unwrap(), "FOLDER");
    let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    (code, text)
}

#[test]
fn errors_are_those_that_were_looked_at() {
    let folder = bench();
    let seen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let mut changed = Vec::new();
    for (name, line) in ERRORS {
        let (code, text) = said(&folder, line);
        let shown = format!("$ lagtape {line}\n{text}exit code {code}\n");
        let file = seen.join(format!("{name}.txt"));
        if std::env::var_os("LAGTAPE_BLESS").is_some() {
            fs::create_dir_all(&seen).unwrap();
            fs::write(&file, &shown).unwrap();
        }
        if shown != fs::read_to_string(&file).unwrap_or_default() {
            changed.push(shown);
        }
    }
    assert!(changed.is_empty(), "look at these, then bless them:\n{}", changed.join("\n"));
}

#[test]
fn errors_say_what_to_do_in_lines_that_fit() {
    let folder = bench();
    for (name, line) in ERRORS {
        let (code, text) = said(&folder, line);
        assert!(["0", "1", "2", "3"].contains(&code.as_str()), "{name}: {code}");
        assert!(!text.is_empty() && !text.contains("panicked"), "{name}: {text}");
        let is_usage = text.starts_with("error: ");
        for line in text.lines().filter(|_| is_usage) {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
    }
}
