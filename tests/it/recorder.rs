//! The recorder against slow and failing disks.

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use lagtape::capture::{
    Body, Direction, Ending, Gap, Header, Message, Opcode, Record, Records, SyncMarker,
};
use lagtape::edge::recorder::Recorder;
use lagtape::time::Nanos;

const MARKER: SyncMarker = SyncMarker(*b"recorder");

/// A disk that takes one write for every permission it gets, and up to `room` bytes in all.
struct Disk {
    permissions: Receiver<()>,
    room: usize,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Once the test has dropped its end, everything is permitted.
        let _ = self.permissions.recv();
        let mut written = self.bytes.lock().unwrap();
        let taken = bytes.len().min(self.room - written.len());
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        written.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn disk(room: usize) -> (Disk, Sender<()>, Arc<Mutex<Vec<u8>>>) {
    let (permit, permissions) = channel();
    let bytes = Arc::default();
    (Disk { permissions, room, bytes: Arc::clone(&bytes) }, permit, bytes)
}

/// What a record is, for comparing what was seen with what was written.
fn shape(record: &Record<'_>) -> (u64, String) {
    let what = match &record.body {
        Body::Message(message) => format!("message of {}", message.payload.len()),
        Body::Gap(Gap { first_seq, count, bytes, .. }) => {
            format!("gap of {count} from {first_seq}, {bytes} bytes")
        }
        other => other.kind().to_string(),
    };
    (record.seq, what)
}

fn message(payload: &[u8]) -> Message<'_> {
    Message::new(Direction::ServerToClient, Opcode::Binary, payload)
}

fn read(bytes: &[u8]) -> Vec<(u64, String)> {
    let mut records = Records::new(bytes);
    let mut found = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        found.push(shape(&record));
    }
    found
}

#[test]
fn a_slow_disk_costs_records_that_a_gap_tells_of() {
    let (disk, permit, bytes) = disk(usize::MAX);
    let mut seen = Vec::new();
    let header = Header::new("test", Nanos(0));
    let see = &mut |record: &Record<'_>| seen.push(shape(record));
    let mut recorder = Recorder::start(Path::new("x"), disk, 1000, MARKER, header, see).unwrap();
    // The disk stands still: 1000 bytes fit, whatever the thread has already taken.
    for i in 0..100 {
        recorder.message(Nanos(i), message(&[0; 300]), see);
    }
    drop(permit);
    while !recorder.is_idle() {
        std::thread::yield_now();
    }
    recorder.message(Nanos(200), message(&[0; 5]), see);
    recorder.finish(Nanos(201), "done".to_owned(), see).unwrap();

    let written = read(&bytes.lock().unwrap());
    assert_eq!(seen, written, "what the engine saw is what the file has");
    let gaps: Vec<_> = written.iter().filter(|(_, what)| what.starts_with("gap")).collect();
    assert_eq!(gaps.len(), 1, "{written:?}");
    let whole = written.iter().filter(|(_, what)| what == "message of 300").count();
    let lost = 100 - whole;
    let first = 1 + whole as u64;
    let told = format!("gap of {lost} from {first}, {} bytes", lost * 300);
    assert_eq!(gaps[0].1, told);
    assert_eq!(gaps[0].0, first + lost as u64);
    assert_eq!(written.len(), 1 + whole + 1 + 1 + 1, "header, messages, gap, message, end");
}

#[test]
fn a_full_disk_keeps_what_was_written() {
    let (disk, permit, bytes) = disk(5_000);
    drop(permit);
    let header = Header::new("test", Nanos(0));
    let see = &mut |_: &Record<'_>| {};
    let mut recorder = Recorder::start(Path::new("x"), disk, 1 << 20, MARKER, header, see).unwrap();
    let mut sent = 0;
    while recorder.failure().is_none() {
        recorder.message(Nanos(sent), message(&[0; 300]), see);
        sent += 1;
    }
    assert!(recorder.failure().unwrap().starts_with("cannot write x: "));
    let error = recorder.finish(Nanos(sent), "done".to_owned(), see).unwrap_err().to_string();
    assert!(error.contains("what was written before is kept"), "{error}");
    let written = read(&bytes.lock().unwrap());
    assert!(written.len() > 10, "{} whole records in 5000 bytes", written.len());
}

#[test]
fn the_end_waits_for_a_slow_disk() {
    let (disk, permit, bytes) = disk(usize::MAX);
    let mut seen = Vec::new();
    let header = Header::new("test", Nanos(0));
    let see = &mut |record: &Record<'_>| seen.push(shape(record));
    let mut recorder = Recorder::start(Path::new("x"), disk, 1000, MARKER, header, see).unwrap();
    for i in 0..100 {
        recorder.message(Nanos(i), message(&[0; 300]), see);
    }
    let disk = std::thread::spawn(move || drop(permit));
    recorder.finish(Nanos(201), "done".to_owned(), see).unwrap();
    disk.join().unwrap();

    let bytes = bytes.lock().unwrap();
    let written = read(&bytes);
    assert_eq!(seen, written, "what the engine saw is what the file has");
    let [.., (_, gap), (_, end)] = &written[..] else { panic!("{written:?}") };
    assert!(gap.starts_with("gap of") && end == "end", "{gap}, {end}");
    let mut records = Records::new(&bytes[..]);
    while records.next_record().unwrap().is_some() {}
    assert_eq!(records.ending(), Some(Ending::Complete), "the end counts the gap");
}
