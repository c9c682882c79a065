//! A recording in parts, each complete in itself: header, context, records, end.
//!
//! An engine follows what is written, so that each part can begin with the state in which the one
//! before it ended. Records go into the parts with their bytes as they came, so that `lagtape join`
//! can make the one capture of them that an undivided recording would have been. Checkpoints come on
//! top: they are the file's, and a limit in bytes does not count them.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{OpenFile, Store};
use super::queue::Queue;
use super::writer::Keeper;
use super::{Notice, RecorderOptions, named};
use crate::capture::{Body, Header, ReadStep, Reader, Record, SyncMarker, Writer};
use crate::engine::{Engine, Options};
use crate::flight::{PART_KEY, SplitAt, TriggerReason};
use crate::time::Nanos;

/// Bytes that are written at a time.
const CHUNK: usize = 1 << 20;

/// The file of a part.
pub(super) fn path_of(path: &Path, number: u64) -> PathBuf {
    named(path, &format!("{number:03}"))
}

/// Cuts the stream into files.
pub(super) struct Parts {
    options: RecorderOptions,
    at: SplitAt,
    store: Box<dyn Store>,
    file: OpenFile,
    number: u64,
    part: Part,
    /// What is to be written to the present file next, and how much of it is.
    out: Vec<u8>,
    out_written: usize,
    /// Bytes of the stream that are in `out`, from the first that is not reported as done.
    ahead: usize,
    /// The part has got its end; when that is written the next file is to be made.
    is_full: bool,
}

/// The part that is being made, and the state of the stream at its end.
struct Part {
    marker: SyncMarker,
    writer: Writer,
    header: Header,
    engine: Engine,
    reader: Reader,
    began: Option<Nanos>,
    bytes: u64,
}

impl Parts {
    pub fn begin(
        options: RecorderOptions,
        at: SplitAt,
        mut store: Box<dyn Store>,
        marker: SyncMarker,
        queue: &Queue,
    ) -> io::Result<Parts> {
        let first = path_of(&options.path, 1);
        let file = OpenFile::new(store.create(&first, options.force)?, options.sync, marker);
        queue.change_files(|files| files.push(first));
        Ok(Parts {
            options,
            at,
            store,
            file,
            number: 1,
            part: Part::new(marker),
            out: Vec::new(),
            out_written: 0,
            ahead: 0,
            is_full: false,
        })
    }

    /// Fills `out` with what comes next in the stream, to the end of the part at most.
    fn fill(&mut self, bytes: &[u8]) {
        self.out.clear();
        self.out_written = 0;
        while self.out.len() < CHUNK && self.ahead < bytes.len() {
            let rest = &bytes[self.ahead..];
            let mut reader = self.part.reader.clone();
            let Ok(ReadStep::Record { record, len }) = reader.step(rest) else {
                debug_assert!(false, "the recorder's own records read back");
                self.ahead = bytes.len();
                return;
            };
            if self.part.is_full(self.at, &record, len) {
                self.part.end(record.seq, record.t, "went on in the next part", &mut self.out);
                self.is_full = true;
                return;
            }
            self.part.reader = reader;
            self.part.take(&record, &rest[..len], self.number, &mut self.out);
            self.ahead += len;
        }
    }

    /// Makes the next file; its beginning is what is to be written next.
    fn turn(&mut self, queue: &Queue) -> io::Result<()> {
        self.file.sync_as_agreed()?;
        let path = path_of(&self.options.path, self.number + 1);
        let disk = self.store.create(&path, self.options.force)?;
        self.file = OpenFile::new(disk, self.options.sync, self.part.marker);
        self.number += 1;
        self.is_full = false;
        self.out.clear();
        self.out_written = 0;
        self.part.begin(self.number, &mut self.out);
        queue.tell(Notice::Part(path.clone()));
        queue.change_files(|files| files.push(path));
        Ok(())
    }
}

impl Keeper for Parts {
    fn take(
        &mut self,
        bytes: &[u8],
        _: &[TriggerReason],
        queue: &Queue,
    ) -> (usize, io::Result<()>) {
        let mut done = 0;
        loop {
            let (written, result) = self.file.write(&self.out[self.out_written..]);
            self.out_written += written;
            if let Err(error) = result {
                return (done, Err(error));
            }
            done += std::mem::take(&mut self.ahead);
            if self.is_full {
                if let Err(error) = self.turn(queue) {
                    return (done, Err(error));
                }
            } else if done < bytes.len() {
                self.fill(&bytes[done..]);
            } else {
                self.out.clear();
                self.out_written = 0;
                return (done, Ok(()));
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn close(&mut self, _: &Queue) -> io::Result<()> {
        self.file.sync_as_agreed()
    }
}

impl Part {
    fn new(marker: SyncMarker) -> Self {
        // Of the past only the state counts, and no report is ever asked for.
        let options = Options { tracker_bound: Some(1), audio_crc: true, ..Options::default() };
        Part {
            marker,
            writer: Writer::new(marker),
            header: Header::default(),
            engine: Engine::new(options),
            reader: Reader::new(),
            began: None,
            bytes: 0,
        }
    }

    /// Whether this record has to go into the next part.
    fn is_full(&self, at: SplitAt, record: &Record<'_>, len: usize) -> bool {
        let Some(began) = self.began else { return false };
        // The end of the recording is no reason to begin another part.
        if matches!(record.body, Body::End(_)) {
            return false;
        }
        match at {
            SplitAt::Time(span) => record.t.0.saturating_sub(began.0) >= span.0,
            SplitAt::Size(size) => self.bytes + len as u64 > size.0,
        }
    }

    /// Appends a record of the stream. Header and end are the part's own.
    fn take(&mut self, record: &Record<'_>, bytes: &[u8], number: u64, out: &mut Vec<u8>) {
        self.engine.handle(record);
        match &record.body {
            Body::Header(header) => {
                self.header = header.clone();
                self.begin(number, out);
            }
            Body::End(end) => {
                let reason = end.reason.as_deref().unwrap_or_default();
                self.end(record.seq, record.t, reason, out);
            }
            _ => {
                self.began.get_or_insert(record.t);
                self.writer.copy(record, bytes, out);
            }
        }
        self.bytes += bytes.len() as u64;
    }

    /// Appends what stands before the first record of a part.
    fn begin(&mut self, number: u64, out: &mut Vec<u8>) {
        let mut header = self.header.clone();
        header.metadata.insert(PART_KEY.to_owned(), number.to_string());
        let t = header.start;
        self.writer = Writer::new(self.marker);
        self.writer.begin(out);
        self.writer.write(&Record { seq: 0, t, conn: 0, body: Body::Header(header) }, out);
        if number > 1 {
            self.writer.write(&self.engine.context(), out);
        }
        self.began = None;
        self.bytes = out.len() as u64;
    }

    fn end(&mut self, seq: u64, t: Nanos, reason: &str, out: &mut Vec<u8>) {
        let end = self.writer.end(Some(reason.to_owned()));
        self.writer.write(&Record { seq, t, conn: 0, body: Body::End(end) }, out);
    }
}
