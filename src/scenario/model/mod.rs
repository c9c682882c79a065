//! The closed loop, predicted: what the server would have done had the client reported otherwise.
//!
//! Enters: a [`Trace`] of one recording and a [`Change`]. Leaves: [`Answer`]: the outcomes that were
//! possible with their shares, and how well the model repeats what is known. The moments at which
//! slices were made stay as recorded; where they go follows from the reports. Nothing here is random
//! but for an explicit seed, and nothing that the counterfactual arm recorded is ever used.

mod change;
mod due;
mod ensemble;
mod fit;
mod generations;
mod habits;
mod listener;
mod looks;
mod predict;
mod queue;
mod retell;
mod trace;

pub use change::{Change, Later, UnknownToModel};
pub use ensemble::{Answer, DEFAULT_MEMBERS, MAX_OUTCOMES, Outcome, Question, Spread, answer};
pub use fit::{FactualError, Fit, FitError, MAX_LEAD_ERROR_S, MAX_MISSING_SHARE};
pub use generations::{Generation, NewFrames};
pub use habits::Displaced;
pub use predict::{Luck, Predicted, predict};
pub use queue::{Cause, Queue};
pub use retell::{Retold, RetoldReport};
pub use trace::{MIN_SLICES, MIN_TICKS, Trace, TraceError, TracedSlice, TracedTick, Tracer};
