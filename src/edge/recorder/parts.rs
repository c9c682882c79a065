//! A recording in parts, each complete in itself: header, context, records, end.
//!
//! An engine follows the stream, so that each part can begin with the state in which the previous one
//! ended. Records are copied byte for byte, so that `lagtape join` can rebuild the capture that an
//! undivided recording would have been. Checkpoints are added on top, and a limit in bytes does not
//! count them.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::disk::{OpenFile, Store};
use super::names::{existing_parts, part_path};
use super::notice::RecorderNotice;
use super::options::RecorderOptions;
use super::queue::RecordQueue;
use super::writer::FileSink;
use crate::capture::{
    Body, Header, PackedBuffer, ReadStep, Reader, Record, Records, SyncMarker, Writer,
};
use crate::checkpoint::Checkpointer;
use crate::engine::{Engine, Options};
use crate::flight::{PART_KEY, SplitAt, TriggerReason};
use crate::time::Nanos;

/// Bytes that are written at a time.
const CHUNK: usize = 1 << 20;

/// Splits the stream into files.
pub(super) struct Parts {
    options: RecorderOptions,
    at: SplitAt,
    store: Box<dyn Store>,
    file: OpenFile,
    number: u64,
    part: PartWriter,
    /// What goes to the current file next, and how much of it is written.
    out: Vec<u8>,
    out_written: usize,
    /// Bytes of the stream that are in `out` and not yet reported as done.
    ahead: usize,
    /// `out` ends the part; once it is written, the next file follows.
    is_full: bool,
}

/// Encodes the current part, and follows the state of the stream.
struct PartWriter {
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
        queue: &RecordQueue,
    ) -> io::Result<Parts> {
        let first = part_path(&options.path, 1);
        let file = OpenFile::new(
            store.create(&first, options.force)?,
            options.sync,
            Some(Checkpointer::new(marker)),
        );
        queue.change_files(|files| files.push(first));
        if options.force {
            remove_old_parts(&options.path)?;
        }
        Ok(Parts {
            options,
            at,
            store,
            file,
            number: 1,
            part: PartWriter::new(marker),
            out: Vec::new(),
            out_written: 0,
            ahead: 0,
            is_full: false,
        })
    }

    /// Fills `out` from the stream, up to the end of the part at most.
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

    /// Creates the next file, and puts its beginning into `out`.
    fn turn(&mut self, queue: &RecordQueue) -> io::Result<()> {
        self.file.sync_as_agreed()?;
        let path = part_path(&self.options.path, self.number + 1);
        let disk = self.store.create(&path, self.options.force)?;
        self.file =
            OpenFile::new(disk, self.options.sync, Some(Checkpointer::new(self.part.marker)));
        self.number += 1;
        self.is_full = false;
        self.out.clear();
        self.out_written = 0;
        self.part.begin(self.number, &mut self.out);
        queue.notify(RecorderNotice::Part(path.clone()));
        queue.change_files(|files| files.push(path));
        Ok(())
    }
}

impl FileSink for Parts {
    fn take(
        &mut self,
        bytes: &[u8],
        _: &[TriggerReason],
        queue: &RecordQueue,
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

    fn close(&mut self, _: &RecordQueue) -> io::Result<()> {
        self.file.sync_as_agreed()
    }
}

/// Removes the parts of an earlier recording, which would be joined with those of this one. The first
/// has been replaced already.
fn remove_old_parts(path: &Path) -> io::Result<()> {
    let mut old = existing_parts(path);
    old.retain(|(number, part)| *number > 1 && is_part(part, *number));
    old.iter().try_for_each(|(_, part)| fs::remove_file(part))
}

/// Whether a file is a capture whose header says that it is this part.
fn is_part(path: &Path, number: u64) -> bool {
    let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let Some(file) = is_file.then(|| File::open(path).ok()).flatten() else { return false };
    let mut records = Records::new(file);
    let Ok(Some(Record { body: Body::Header(header), .. })) = records.next_record() else {
        return false;
    };
    header.metadata.get(PART_KEY) == Some(&number.to_string())
}

impl PartWriter {
    fn new(marker: SyncMarker) -> Self {
        // Only the state is needed, never a report.
        let options = Options {
            tracker_bound: Some(1),
            audio_crc: true,
            // A longer buffer has no place in a context.
            mirror_bound: Some(PackedBuffer::MAX_SAMPLES),
            ..Options::default()
        };
        PartWriter {
            marker,
            writer: Writer::new(marker),
            header: Header::default(),
            engine: Engine::new(options),
            reader: Reader::new(),
            began: None,
            bytes: 0,
        }
    }

    /// Whether this record belongs into the next part.
    fn is_full(&self, at: SplitAt, record: &Record<'_>, len: usize) -> bool {
        let Some(began) = self.began else { return false };
        // The end of the recording begins no other part.
        if matches!(record.body, Body::End(_)) {
            return false;
        }
        match at {
            SplitAt::Time(span) => record.t.0.saturating_sub(began.0) >= span.0,
            SplitAt::Size(size) => self.bytes + len as u64 > size.0,
        }
    }

    /// Appends a record of the stream; header and end are replaced by the part's own.
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

    /// Appends the beginning of a part: header, and context of all but the first.
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
