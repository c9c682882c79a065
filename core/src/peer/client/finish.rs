//! Why a session of a client is over.

use crate::time::Span;

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// It ran as long as it was asked to.
    TimeUp,
    /// The server answered `error`.
    Refused(String),
    /// The server closed, with this code and reason.
    Closed(Option<u16>, String),
    /// The connection was lost without a close, in this way.
    Lost(String),
    /// The initial buffer could not be used.
    BadBuffer(String),
    /// No initial buffer within the time allowed, in seconds.
    NoBuffer(Span),
}

impl Finish {
    /// Whether the session could not be had, rather than came to an end.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Finish::TimeUp => false,
            Finish::Closed(code, _) => !matches!(code, Some(1000 | 1001)),
            Finish::Refused(_) | Finish::Lost(_) | Finish::BadBuffer(_) | Finish::NoBuffer(_) => {
                true
            }
        }
    }

    /// The reason in a sentence for the end record and for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Finish::TimeUp => "ran as long as it was asked to".to_owned(),
            Finish::Refused(reason) => format!("the server refused the session: {reason}"),
            Finish::Closed(Some(4001), _) => {
                "another session took the server over (close code 4001)".to_owned()
            }
            Finish::Closed(code, reason) => {
                let code =
                    code.map_or("no close code".to_owned(), |code| format!("close code {code}"));
                let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                format!("the server closed the connection ({code}){reason}")
            }
            Finish::Lost(how) => how.clone(),
            Finish::BadBuffer(reason) => format!("the initial buffer cannot be used: {reason}"),
            Finish::NoBuffer(waited) => {
                format!("the server sent no initial buffer within {waited}")
            }
        }
    }
}
