//! The program, run to its end as people run it.

use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// What `lagtape` does with these words.
pub fn lagtape(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lagtape"))
        .args(words)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("LAGTAPE_THREADS")
        .env_remove("LAGTAPE_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// It ends with this exit code; what it printed on stdout and on stderr.
#[track_caller]
pub fn check(words: &[&str], code: i32) -> (String, String) {
    let output = lagtape(words);
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{out}\n{err}");
    (out, err)
}

/// It ends with this exit code and says this.
#[track_caller]
pub fn check_complaint(words: &[&str], code: i32, sentence: &str) {
    let (_, err) = check(words, code);
    // What is said of a command line is wrapped.
    let unbroken = err.replace('\n', " ");
    assert!(unbroken.contains(sentence), "{words:?} said: {err}");
}

/// A simulated session with these words besides, in a file of that name.
pub fn simulated(folder: &TempDir, name: &str, words: &[&str]) -> String {
    let path = folder.path().join(format!("{name}.lagtape")).to_str().unwrap().to_owned();
    let output = lagtape(&[&["simulate", "-o", &path], words].concat());
    assert!(matches!(output.status.code(), Some(0 | 4 | 5)), "{output:?}");
    path
}

/// One that is long enough for the model.
pub fn long(folder: &TempDir, incident: &str) -> String {
    let name = incident.split(':').next().unwrap();
    simulated(folder, name, &["--incident", incident, "--for", "12s", "--loop", "16s"])
}

/// One that is too short for it.
pub fn short(folder: &TempDir) -> String {
    simulated(folder, "short", &["--for", "600ms", "--loop", "16s"])
}
