//! The closed loop, predicted: what the server would have done had the client reported otherwise.
//!
//! The moments at which slices were made stay as recorded; where they go follows from the reports.
//! Nothing here is random but for an explicit seed, and nothing that the counterfactual session
//! recorded is ever used. Data walks downwards through the files, and no file uses a later one:
//!
//! - [`Trace`]: what a recording fixes, from its records. [`Generation`]: from that, when the server
//!   worked on what.
//! - `pacing`: the one replay of a server's clock, lead and placement. [`Rule`] names the families of
//!   servers; a new one is a type that implements `PacingRule`, and its line there.
//! - [`Hypothesis`]: a server that may have made the recording: its [`Rule`] and constants, the way to
//!   it, its generations, and the [`Queue`] that they waited in; or the [`Gate`] of one that appends.
//! - [`Change`]: what is to be different, translated from a scenario. [`Perturbation`]: what differs
//!   from run to run and nobody can ask for.
//! - `run`: a client and a server anew, with the links between them and the timers that order what
//!   they do. [`predict`] leaves what the listener met, [`emit`] what would stand in a capture.
//! - `fit`: [`score`] says how well a hypothesis repeats its recording, generators of candidates offer
//!   some, and a [`Fit`] is the first that repeats it well enough.
//! - [`Mended`]: the trace and the server without some of their faults, from which a run goes as well.
//! - [`Relinked`]: the server of a recording without the [`Bottleneck`] that its slices waited for, which is
//!   run anew.
//! - [`answer`]: many perturbed runs of one question, and the few outcomes that they come to, in
//!   intervals that are wider than what they span by what is `unknown`.

mod bottleneck;
mod busy;
mod change;
mod ensemble;
mod fit;
mod gate;
#[cfg(test)]
mod gate_tests;
mod generations;
mod hypothesis;
mod listener;
mod mend;
mod outcome;
mod pacing;
mod pacing_replay;
mod perturbation;
mod queue;
mod relink;
mod run;
mod spell;
mod trace;
mod unknown;

pub use bottleneck::{Bottleneck, LinkAnew};
pub use change::{Change, Later, UnknownToModel};
pub use ensemble::{DEFAULT_MEMBERS, EnsembleAnswer, MAX_OUTCOMES, Members, Question, answer};
pub use fit::{FactualError, Fit, FitError, MAX_LEAD_ERROR_S, MAX_MISSING_SHARE, score};
pub use gate::{Chunk, Gate};
pub use generations::{Coverage, Generation, NewFrames};
pub use hypothesis::Hypothesis;
pub use mend::{Mend, Mended};
pub use outcome::{ModelOutcome, Spread};
pub use pacing::{Displaced, Rule};
pub use perturbation::Perturbation;
pub use queue::{Cause, Queue};
pub use relink::Relinked;
pub use run::{Emitted, EmittedReport, Predicted, emit, predict};
pub use spell::Spell;
pub use trace::{MIN_SLICES, MIN_TICKS, Trace, TraceError, TracedSlice, TracedTick, Tracer};
