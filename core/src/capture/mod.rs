//! The capture file: a recording as a sequence of records, and its bytes.
//!
//! [`Writer`] turns [`Record`]s into bytes; [`Records`] and [`Salvage`] turn bytes, in pieces of any
//! size, into records whose payloads borrow from them. Times are [`Nanos`](crate::time::Nanos) of one
//! monotonic clock, lengths are bytes. `docs/FORMAT.md` is complete enough to write a reader in
//! another language.
//!
//! The same records with the same sync marker give the same bytes. A record is returned only if its
//! checksum matches. Memory is bounded by the largest record, not by the file.
//!
//! ```
//! use lagtape_core::capture::*;
//! use lagtape_core::time::Nanos;
//!
//! let mut file = Vec::new();
//! let mut writer = Writer::new(SyncMarker::derive(b"an example"));
//! writer.begin(&mut file);
//! let bodies = [
//!     Body::Header(Header::new("an example", Nanos(0))),
//!     Body::Message(Message::new(Direction::ClientToServer, Opcode::Text, b"{}")),
//! ];
//! for body in bodies {
//!     let record = Record { seq: writer.next_seq(), t: Nanos(7), conn: 0, body };
//!     writer.write(&record, &mut file);
//! }
//!
//! let mut records = Records::new(&file[..]);
//! while let Some(record) = records.next_record()? {
//!     if let Body::Message(message) = record.body {
//!         assert_eq!(message.text(), Some("{}"));
//!     }
//! }
//! assert_eq!(records.ending(), Some(Ending::Incomplete { torn_bytes: 0 }));
//! # Ok::<(), ReadError>(())
//! ```

mod batch;
mod body;
mod broken;
mod checkpoint;
mod error;
mod format;
mod marker;
mod msgpack;
mod reader;
mod record;
mod records;
mod salvage;
mod session_close;
mod session_log;
mod snapshot;
mod tail;
mod window;
mod writer;

pub use batch::RecordBatch;
pub use broken::{ConnectionBreak, Party, UnderWay};
pub use checkpoint::{
    BufferShape, CHECKPOINT_AT_LATEST_NS, CHECKPOINT_EVERY_NS, CHECKPOINT_SHARE, Checkpoint,
    CheckpointRow, CheckpointSummary, Digest, MAX_ROWS, PackedRows, RoundTrips, RowKind, RowsError,
    Totals,
};
pub use error::{DamageReason, ReadError};
pub use format::{FORMAT_VERSION, MAGIC, MAX_BODY_LEN, MAX_PAYLOAD_LEN, SyncMarker, crc32c};
pub use marker::Marker;
pub use msgpack::Malformed;
pub use reader::{Ending, ReadStep, Reader};
pub use record::{
    Body, ClientKind, Clock, Direction, End, Gap, Header, Kind, Message, Opcode, Record,
};
pub use records::Records;
pub use salvage::{Loss, Losses, MAX_LOSSES, Salvage, Stored};
pub use session_log::{
    BlobError, ImportError, LineError, MAX_LINE_LEN, import_noted_session_log, import_session_log,
    session_log_marker,
};
pub(crate) use snapshot::{
    Arrived, BehindSpell, Excuses, HeardSpell, LastWrite, MeterState, Patch, Waiting, WrittenBy,
};
pub use snapshot::{
    BehindState, BufferError, ClientClockState, Context, Expectation, HeardState, LagDetectorState,
    PackedBuffer, PlayheadLine, ReportedState, ServerRefusal, SessionPhase, SessionState,
    SimulatedState, StaleState, StreamState, TapeRule, TapeState, TickReport,
};
pub use tail::{Index, last_checkpoint, whole_index};
pub use writer::Writer;
