//! Why there is no answer, and what to do instead.

use super::advice::{Advice, Wording};
use super::knobs::Knob;
use super::model::{Cause, FitError, TraceError, UnknownToModel};
use super::open_loop::OpenLoopError;
use super::quiet::Quiet;
use crate::time::Span;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAnswer {
    /// The question itself: with recorded slices that stay.
    #[error("{0}")]
    Question(&'static str),
    /// The recording holds no stream.
    #[error("the initial buffer never came, so there is nothing to ask about")]
    NoBuffer,
    /// Something is to happen before anything that the recording knows.
    #[error(
        "the capture begins {begins_s:.2} s into its session, and nothing can happen at {at_s} s; \
         times count from the session's initial buffer"
    )]
    BeforeItBegins {
        /// When it would be, in seconds from the initial buffer.
        at_s: f64,
        begins_s: f64,
    },
    /// Something is to happen after the recording is over.
    #[error(
        "the session ends at {ends_s:.2} s, and nothing can happen at {at_s} s; give an earlier time"
    )]
    AfterItEnds {
        /// When it would be, in seconds from the initial buffer.
        at_s: f64,
        ends_s: f64,
    },
    /// Something is to happen where there was no stream.
    #[error("{quiet}, and nothing can happen at {at_s} s; {}", quiet.why.other_time())]
    NoStream {
        /// When it would be, in seconds from the initial buffer.
        at_s: f64,
        quiet: Quiet,
    },
    /// What came behind a hole does not follow from what is known of before.
    #[error(
        "records up to {to_s:.2} s are missing, and what came then does not follow from the others"
    )]
    Hole {
        /// In seconds from the initial buffer.
        to_s: f64,
        /// When the part behind it begins.
        behind: Span,
    },
    /// The recorded slices cannot stay.
    #[error(transparent)]
    OpenLoop(#[from] OpenLoopError),
    /// The recording cannot be modelled.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The model does not repeat the recording.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The model is not to be had, and nothing else answers this.
    #[error("{why}")]
    OnlyByModel {
        why: Box<NoAnswer>,
        /// What to do.
        instead: Advice,
    },
    /// What waited or was shed in the recording is kept, and not only the listener is to move.
    #[error(
        "slices of the recording {0}; the model keeps that, and so knows only what becomes of \
         another playhead"
    )]
    Kept(Cause),
    /// The model cannot change that.
    #[error("{}", without_part(.0))]
    Unknown(UnknownToModel),
}

/// Not as a cause, which would be said beside it.
impl From<UnknownToModel> for NoAnswer {
    fn from(unknown: UnknownToModel) -> NoAnswer {
        NoAnswer::Unknown(unknown)
    }
}

impl NoAnswer {
    /// What to do, where it is not said already.
    #[must_use]
    pub fn advice(&self) -> Option<Advice> {
        match self {
            NoAnswer::Question(_) => Some(Advice::NoOpenLoop),
            NoAnswer::Fit(_)
            | NoAnswer::Trace(TraceError::Unknown { .. } | TraceError::TooQuiet { .. }) => {
                Some(Advice::OpenLoop)
            }
            NoAnswer::Trace(TraceError::TooShort { .. }) => Some(Advice::RecordLonger),
            NoAnswer::Trace(TraceError::TooFew { .. }) => Some(Advice::OnlyMoveListenerOpenLoop),
            NoAnswer::OnlyByModel { instead, .. } => Some(*instead),
            NoAnswer::Hole { behind, .. } => Some(Advice::AskPart(*behind)),
            NoAnswer::Kept(_) => Some(Advice::OnlyMoveListener),
            NoAnswer::Unknown(UnknownToModel::NotOfGate { knob }) => Some(Advice::LeaveOut(knob)),
            NoAnswer::Unknown(UnknownToModel::NoPart { key, .. }) => {
                Knob::with_key(key).map(|knob| Advice::LeaveOut(knob.name))
            }
            _ => None,
        }
    }

    /// The sentence with what to do.
    #[must_use]
    pub fn worded(&self, wording: Wording) -> String {
        match self.advice() {
            Some(advice) => advice.after(&self.to_string(), wording),
            None => self.to_string(),
        }
    }
}

/// What the model has no part for, by the name of its knob; what to do is the door's to say.
fn without_part(unknown: &UnknownToModel) -> String {
    match unknown {
        UnknownToModel::NoPart { key, when } => {
            let name = Knob::with_key(key).map_or(*key, |knob| knob.name);
            format!("the model cannot change {name}{when}")
        }
        UnknownToModel::NotOfGate { .. } => unknown.to_string(),
    }
}
