//! Where output goes: closed pipes, full disks, and files that may not be replaced.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{HEALTHY, STALL, path};
use crate::program::{check, check_complaint, command};

#[cfg(unix)]
#[track_caller]
fn check_closed_pipe(words: &[&str], code: i32) {
    let mut command = command(words);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(code), "{words:?}");
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_error_and_changes_no_outcome() {
    check_closed_pipe(&["cat", HEALTHY, "--json"], 0);
    check_closed_pipe(&["analyze", STALL], 4);
    check_closed_pipe(&["analyze", STALL, "--json", "--timeline", "--timeline-step", "1ms"], 4);
    check_closed_pipe(&["info", HEALTHY], 0);
}

#[cfg(target_os = "linux")]
#[test]
fn full_outputs_are_failures_and_not_panics() {
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
    let run = |words: &[&str], out: Stdio, err: Stdio| {
        command(words).stdout(out).stderr(err).spawn().unwrap().wait_with_output().unwrap()
    };
    for words in [&["analyze", STALL][..], &["cat", STALL], &["info", STALL]] {
        let output = run(words, full(), Stdio::piped());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("cannot write to stdout: No space left"), "{words:?}: {said}");
        assert_eq!(output.status.code(), Some(1), "{words:?}");
    }
    assert_eq!(run(&["analyze", "no-such-file"], full(), full()).status.code(), Some(1));
    let folder = TempDir::new().unwrap();
    let (_, name) = path(&folder, "heard.wav");
    let words = ["audio", HEALTHY, "-o", &name];
    assert_eq!(run(&words, Stdio::null(), full()).status.code(), Some(0));
}

#[cfg(unix)]
#[test]
fn outputs_replace_plain_files_only() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = TempDir::new().unwrap();
    let (target, _) = path(&folder, "heard.wav");
    let (link, link_name) = path(&folder, "link.wav");
    fs::write(&target, "old").unwrap();
    symlink(&target, &link).unwrap();
    check(&["audio", HEALTHY, "-o", &link_name, "--force"], 0);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "the link is kept");
    assert!(fs::metadata(&target).unwrap().len() > 1000, "and its target replaced");

    let (socket, socket_name) = path(&folder, "socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for name in [&socket_name, folder.path().to_str().unwrap()] {
        check_complaint(&["audio", HEALTHY, "-o", name, "--force"], 1, "is not a plain file");
    }

    let script = format!("umask 027; exec '{}' \"$@\"", env!("CARGO_BIN_EXE_lagtape"));
    let (private, private_name) = path(&folder, "private.wav");
    let output = Command::new("sh")
        .args(["-c", &script, "sh", "audio", HEALTHY, "-o", &private_name])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn no_output_replaces_what_is_being_read() {
    let folder = TempDir::new().unwrap();
    let (file, name) = path(&folder, "stall.lagtape");
    fs::copy(STALL, &file).unwrap();
    let verbs: [&[&str]; 7] = [
        &["cut"],
        &["recover"],
        &["redact", "--drop-audio"],
        &["join"],
        &["audio"],
        &["what-if", "--open-loop", "--rate", "1.01", "--capture", &name],
        &["what-if", "--open-loop", "--rate", "1.01", "--audio", &name],
    ];
    for verb in verbs {
        let out: &[&str] = if verb[0] == "what-if" { &[] } else { &["-o", &name] };
        check_complaint(&[verb, &[&name, "--force"], out].concat(), 1, "is what is being read");
        assert_eq!(fs::read(&file).unwrap(), fs::read(STALL).unwrap(), "{verb:?}");
    }
}
