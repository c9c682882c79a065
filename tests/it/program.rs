//! The program, run to its end as people run it.

use std::process::{Command, Output, Stdio};

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
    assert!(err.contains(sentence), "{words:?} said: {err}");
}
