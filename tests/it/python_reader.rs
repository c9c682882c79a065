//! The Python program that `docs/FORMAT.md` prints reads a capture as lagtape does.
//!
//! Needs Python with the packages that the program imports; see [`crate::python`].

use std::io::Write;

use lagtape::capture::{Body, Ending, Records};
use sha2::{Digest, Sha256};

use crate::capture::{capture, sample_records};
use crate::python;

/// The program, as the description prints it.
fn program() -> &'static str {
    let text = include_str!("../../docs/FORMAT.md");
    let (_, program) = text.split_once("```python\n").expect("FORMAT.md has a Python block");
    let (program, _) = program.split_once("```").expect("the Python block ends");
    program
}

/// What the program should print about a capture.
fn expected_output(bytes: &[u8]) -> String {
    let mut lines = Vec::new();
    let mut records = Records::new(bytes);
    while let Some(record) = records.next_record().unwrap() {
        if let Body::Message(message) = record.body {
            let digest = Sha256::digest(message.payload);
            lines.push(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        }
    }
    let count = lines.len();
    let complete = records.ending() == Some(Ending::Complete);
    lines.push(format!("{count} messages, {}", if complete { "complete" } else { "incomplete" }));
    lines.join("\n") + "\n"
}

/// Runs the program over these bytes as a file; what it prints, or what it complains of.
fn run(bytes: &[u8]) -> Result<String, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let output = python::command().arg("-c").arg(program()).arg(file.path()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().replace("\r\n", "\n");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn the_printed_program_reads_a_capture() {
    assert!(program().lines().count() <= 25, "the description promises 25 lines");
    if !python::has("google_crc32c, msgpack", "msgpack google-crc32c") {
        return;
    }
    let (mut bytes, ends) = capture(&sample_records());
    assert_eq!(run(&bytes).unwrap(), expected_output(&bytes));

    let torn = &bytes[..ends[6] - 1];
    assert_eq!(run(torn).unwrap(), expected_output(torn));

    bytes[ends[3] - 1] ^= 1;
    let complaint = run(&bytes).unwrap_err();
    assert!(complaint.contains("record 3 is damaged"), "{complaint}");
    assert!(run(b"Dear all").unwrap_err().contains("this is not a capture"));
}
