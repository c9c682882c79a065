//! A real disk that stands still: a file system of this process, over the kernel's FUSE protocol.
//!
//! It needs /dev/fuse and the right to mount; without them the test says so and passes, unless
//! `LAGTAPE_REQUIRE_FUSE` is set.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use lagtape::capture::{Body, Ending, Records};
use tempfile::TempDir;

use crate::promises::measured;
use crate::proxy_between::{Maker, PATIENCE};
use crate::proxy_cli::{session, start};

/// Bytes of the heads of requests and answers.
const IN_HEAD: usize = 40;
/// Most bytes of a write.
const MAX_WRITE: u32 = 64 << 10;
const ENOENT: i32 = 2;
const ENOSYS: i32 = 38;

/// A folder in which every write waits until it is let go.
struct StandingDisk {
    folder: TempDir,
    disk: Arc<Disk>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Disk {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Default)]
struct Held {
    goes_on: bool,
    /// Writes that wait, or did.
    asked: u64,
    /// Name and content; the first is node 2.
    files: Vec<(String, Vec<u8>)>,
}

impl StandingDisk {
    /// `None` where this machine lets nobody mount one.
    fn mount() -> Option<StandingDisk> {
        let kernel = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-i", "-t", "fuse", "lagtape"])
            .arg(folder.path())
            // The kernel takes the device from whoever mounts.
            .args(["-o", "fd=0,rootmode=40000,user_id=0,group_id=0"])
            .stdin(Stdio::from(kernel.try_clone().unwrap()))
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            return None;
        }
        let disk = Arc::new(Disk::default());
        let serving = Arc::clone(&disk);
        let thread = std::thread::spawn(move || serving.serve(kernel));
        Some(StandingDisk { folder, disk, thread: Some(thread) })
    }

    /// Waits until somebody waits for it.
    fn wait_until_asked(&self) {
        let held = self.disk.held.lock().unwrap();
        let waited = self.disk.changed.wait_timeout_while(held, PATIENCE, |held| held.asked == 0);
        assert!(!waited.unwrap().1.timed_out(), "nobody writes");
    }

    /// Name and content of each.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.disk.held.lock().unwrap().files.clone()
    }

    fn let_go(&self) {
        self.disk.held.lock().unwrap().goes_on = true;
        self.disk.changed.notify_all();
    }
}

impl Drop for StandingDisk {
    fn drop(&mut self) {
        self.let_go();
        let unmounted = Command::new("umount").arg("-l").arg(self.folder.path()).status();
        // Else there would be nobody to wait for, and a folder that cannot be deleted.
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Disk {
    /// Answers the kernel until the disk is unmounted.
    fn serve(&self, mut kernel: File) {
        let mut request = vec![0; MAX_WRITE as usize + (8 << 10)];
        while let Ok(len @ IN_HEAD..) = kernel.read(&mut request) {
            let opcode = number(&request, 4, 4);
            // Nobody waits for an answer: what is forgotten, and what is given up.
            if matches!(opcode, 2 | 36 | 42) {
                continue;
            }
            let node = number(&request, 16, 8);
            let (error, body) = match self.answer(opcode, node, &request[IN_HEAD..len]) {
                Ok(body) => (0, body),
                Err(error) => (-error, Vec::new()),
            };
            let mut answer = (16 + body.len() as u32).to_le_bytes().to_vec();
            answer.extend(error.to_le_bytes());
            answer.extend(&request[8..16]);
            answer.extend(body);
            // Whoever asked may be gone.
            let _ = kernel.write_all(&answer);
        }
    }

    fn answer(&self, opcode: u64, node: u64, asked: &[u8]) -> Result<Vec<u8>, i32> {
        let mut held = self.held.lock().unwrap();
        match opcode {
            // LOOKUP
            1 => {
                let name = text(asked);
                let known = held.files.iter().position(|(known, _)| *known == name);
                known.map(|at| entry(&held, at as u64 + 2)).ok_or(ENOENT)
            }
            // GETATTR, SETATTR: whatever is to be set stays.
            3 | 4 => Ok(attributes(&held, node, 16)),
            // UNLINK: there is room.
            10 => Ok(Vec::new()),
            // WRITE
            16 => {
                held.asked += 1;
                self.changed.notify_all();
                let mut held = self.changed.wait_while(held, |held| !held.goes_on).unwrap();
                let (at, len) = (number(asked, 8, 8) as usize, number(asked, 16, 4) as usize);
                let file = &mut held.files[node as usize - 2].1;
                file.resize(file.len().max(at + len), 0);
                file[at..at + len].copy_from_slice(&asked[40..40 + len]);
                Ok((len as u64).to_le_bytes().to_vec())
            }
            // STATFS: 4 GiB are free, in blocks of 4 KiB.
            17 => {
                let words = [1_u64 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20];
                let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                body.extend([4_096_u32, 255, 4_096].iter().flat_map(|word| word.to_le_bytes()));
                body.resize(80, 0);
                Ok(body)
            }
            // RELEASE, FSYNC, FLUSH, RELEASEDIR, FSYNCDIR
            18 | 20 | 25 | 29 | 30 => Ok(Vec::new()),
            // INIT: the protocol of 7.31, and nothing that is optional.
            26 => {
                let mut body: Vec<u8> =
                    [7_u32, 31, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
                body.extend([0; 4]);
                body.extend(MAX_WRITE.to_le_bytes());
                body.resize(64, 0);
                Ok(body)
            }
            // OPEN, OPENDIR
            14 | 27 => Ok(vec![0; 16]),
            // READDIR: nothing that anybody would have to look at.
            28 => Ok(Vec::new()),
            // CREATE
            35 => {
                held.files.push((text(&asked[16..]), Vec::new()));
                let node = held.files.len() as u64 + 1;
                Ok([entry(&held, node), vec![0; 16]].concat())
            }
            _ => Err(ENOSYS),
        }
    }
}

fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let mut word = [0; 8];
    word[..len].copy_from_slice(&bytes[at..at + len]);
    u64::from_le_bytes(word)
}

/// A name with its zero behind it.
fn text(bytes: &[u8]) -> String {
    let name = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

fn entry(held: &Held, node: u64) -> Vec<u8> {
    // Its number and its generation; believed for no time, as are the attributes.
    let mut entry = node.to_le_bytes().to_vec();
    entry.resize(16 + 8, 0);
    entry.extend(attributes(held, node, 16));
    entry
}

/// What is known of a file, behind so many zeros.
fn attributes(held: &Held, node: u64, zeros: usize) -> Vec<u8> {
    let file = node.checked_sub(2).and_then(|at| held.files.get(at as usize));
    let (mode, size) = file.map_or((0o40_755, 0), |(_, bytes)| (0o100_644, bytes.len() as u64));
    let mut body = vec![0; zeros];
    // Number, size, blocks, three times in seconds and their parts.
    body.extend([node, size, size.div_ceil(512), 0, 0, 0].iter().flat_map(|w| w.to_le_bytes()));
    body.extend([0; 12]);
    // Mode, links, owner, group, device, size of a block.
    body.extend([mode, 1, 0, 0, 0, 4_096, 0].iter().flat_map(|word: &u32| word.to_le_bytes()));
    body
}

fn pass(from: &mut TcpStream, to: &mut TcpStream, wire: &[u8]) {
    from.write_all(wire).unwrap();
    let mut seen = vec![0; wire.len()];
    to.read_exact(&mut seen).unwrap();
    assert!(seen == wire);
}

#[test]
fn a_disk_that_stands_still_holds_no_message_up() {
    let Some(disk) = StandingDisk::mount() else {
        assert!(std::env::var_os("LAGTAPE_REQUIRE_FUSE").is_none(), "nothing can be mounted");
        eprintln!("SKIPPED: /dev/fuse, and the right to mount, are missing");
        return;
    };
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    let out = disk.folder.path().to_str().unwrap();
    let (proxy, address) = start(&["--upstream", &url, "--listen", "127.0.0.1:0", "-o", out]);
    // The proxy tries the server when it starts.
    drop(server.accept().unwrap());
    let (mut client, mut server) = session(&server, address.strip_prefix("ws://").unwrap());
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let mut sent = 0;
    let mut pass_on = |seed| {
        let [up, down] = [true, false].map(|up| Maker::new(seed, up, None).random(4).traffic);
        pass(&mut client, &mut server, &up.wire);
        pass(&mut server, &mut client, &down.wire);
        sent += up.messages.len() + down.messages.len();
    };
    pass_on(1);
    disk.wait_until_asked();
    // The disk has taken nothing, and takes nothing while all of this passes.
    (2..40).for_each(pass_on);
    assert!(disk.files().iter().all(|(_, bytes)| bytes.is_empty()));
    disk.let_go();
    drop((client, server));
    let ended = proxy.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let files = disk.files();
    let [(name, bytes)] = &files[..] else { panic!("{} files", files.len()) };
    let mut records = Records::new(&bytes[..]);
    let mut found = 0;
    while let Some(record) = records.next_record().unwrap() {
        assert!(!matches!(record.body, Body::Gap(_)), "there was room in memory");
        found += usize::from(matches!(record.body, Body::Message(_)));
    }
    assert_eq!((found, records.ending()), (sent, Some(Ending::Complete)), "{name}");
    measured(sent as u64, "messages forwarded while a mounted disk stood still, all recorded");
}
