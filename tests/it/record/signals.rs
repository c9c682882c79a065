//! Recordings that are told to end.

use std::process::Command;

use lagtape::app::{self, AnalyzeOptions};
use tempfile::TempDir;

use super::{drain, reports, start_recording};

#[tokio::test]
async fn sigterm_ends_a_recording_in_order() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let (child, mut socket) = start_recording(&[], &[], &out).await;
    reports(&mut socket, 3).await;
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    drain(socket).await;
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let analysis = app::analyze(&out, &AnalyzeOptions::default()).unwrap();
    assert!(analysis.complete && analysis.slices == 1 && analysis.ticks >= 3);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("healthy") && printed.contains("next: lagtape"), "{printed}");
}

/// The disk is a pipe that nobody reads.
#[tokio::test]
async fn a_second_signal_ends_a_recording_that_waits_for_the_disk() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&out).status().unwrap().success());
    let _held_open = std::fs::File::options().read(true).write(true).open(&out).unwrap();
    let (mut child, mut socket) = start_recording(&[], &["--force"], &out).await;
    reports(&mut socket, 3).await;
    let pid = child.id().to_string();
    let interrupt = || Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(interrupt().success());
    drain(socket).await;
    // It has said goodbye to the server, and now waits for the disk.
    assert!(interrupt().success());
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
    let status =
        tokio::time::timeout(std::time::Duration::from_secs(20), ended).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(1));
}
