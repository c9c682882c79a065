//! Which part of a session is asked about.

use crate::time::{Offset, Span};

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
}
