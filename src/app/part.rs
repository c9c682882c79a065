//! Which part of a session is asked about.

use std::path::Path;

use anyhow::Result;

use super::peek::origin;
use crate::capture::Record;
use crate::edge::files;
use crate::report::DamageReport;
use crate::review::{Before, ReviewError};
use crate::time::{Nanos, Offset, Span};

/// A part of a session; times count from the initial buffer. The default is all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionPart {
    /// From this moment on.
    pub from: Option<Offset>,
    /// Up to this moment.
    pub to: Option<Offset>,
    /// Around this episode of the verdict instead, counted from 1.
    pub episode: Option<usize>,
}

impl SessionPart {
    /// Its end as a length of time, which nothing before the initial buffer has.
    pub(super) fn until(self) -> Option<Span> {
        self.to.map(|to| Span(to.0.max(0).unsigned_abs()))
    }

    /// The same part, which where it has no end ends at that time.
    pub(super) fn or_until(self, at: Option<Span>) -> SessionPart {
        let at = at.map(|at| Offset(at.0.try_into().unwrap_or(i64::MAX)));
        SessionPart { to: self.to.or(at), ..self }
    }

    /// The flags that choose it.
    #[must_use]
    pub fn flags(self) -> Vec<String> {
        let moments = [("--from", self.from), ("--to", self.to)];
        let moments = moments.into_iter().filter_map(|(flag, at)| Some((flag, at?.to_string())));
        let episode = self.episode.map(|number| ("--episode", number.to_string()));
        moments.chain(episode).flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// Whether it is all of a session.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self == SessionPart::default()
    }

    /// Shows `see` the records of this part, which is resolved, as if it had been cut out: what begins
    /// in the middle of its session begins with a header and with the state of that moment. Nothing
    /// behind the part is read.
    pub(super) fn each_record(
        self,
        path: &Path,
        mut see: impl FnMut(&Record<'_>),
    ) -> Result<PartRead> {
        let until = match self.until() {
            Some(to) => Some(Nanos(origin(path)?.0.saturating_add(to.0))),
            None => None,
        };
        let mut records = files::open_capture(path)?;
        let mut before = self.from.filter(|from| from.0 > 0).map(|from| (Before::new(), from));
        let mut ends_at = None;
        while let Some(record) = records.next_record()? {
            if let Some((known, from)) = &mut before
                && known.takes(&record, *from)
            {
                continue;
            }
            ends_at = until.filter(|until| record.t > *until);
            if ends_at.is_some() {
                break;
            }
            if let Some((known, _)) = before.take() {
                see(&known.header(record.t));
                see(&known.engine.context());
            }
            see(&record);
        }
        if before.is_some() {
            return Err(ReviewError::NothingThere.into());
        }
        Ok(PartRead { ends_at, damage: DamageReport::of(records.losses()) })
    }
}

/// What was read of a part.
pub(super) struct PartRead {
    /// Its end, where the session goes on behind it.
    pub ends_at: Option<Nanos>,
    /// What is lost of it.
    pub damage: Option<DamageReport>,
}
