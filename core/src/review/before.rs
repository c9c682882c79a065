//! What stands before a part of a capture, remembered as the state with which the part begins.

use crate::capture::{Body, Header, Kind, PackedBuffer, Record};
use crate::engine::{Engine, Options};
use crate::time::{Nanos, Offset};

/// What came before a part.
pub struct Before {
    /// The state that it left.
    pub engine: Engine,
    /// That of the capture; `None` where it is lost.
    pub header: Option<Header>,
}

impl Before {
    /// Nothing came yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "nothing is no default of what came before")]
    pub fn new() -> Before {
        let options = Options {
            audio_crc: true,
            tracker_bound: Some(1),
            // A longer buffer has no place in a context.
            mirror_bound: Some(PackedBuffer::MAX_SAMPLES),
            ..Options::default()
        };
        Before { engine: Engine::new(options), header: None }
    }

    /// Remembers a record.
    pub fn see(&mut self, record: &Record<'_>) {
        if let Body::Header(header) = &record.body {
            self.header = Some(header.clone());
        }
        self.engine.handle(record);
    }

    /// Whether a record comes before the moment `from` of its session; then it is only remembered.
    pub fn takes(&mut self, record: &Record<'_>, from: Offset) -> bool {
        let opens = matches!(record.kind(), Kind::Header | Kind::Context | Kind::Checkpoint);
        let begins = self.engine.origin().is_some_and(|origin| record.t >= from.from(origin));
        if !opens && begins {
            return false;
        }
        self.see(record);
        true
    }

    /// The header of the capture, or one that stands for it in a part that begins at `t`.
    #[must_use]
    pub fn header(&self, t: Nanos) -> Record<'static> {
        let header = self.header.clone().unwrap_or_else(|| Header::new("lagtape", t));
        Record { seq: 0, t: header.start, conn: 0, body: Body::Header(header) }
    }
}
