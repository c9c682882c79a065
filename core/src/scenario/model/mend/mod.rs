//! A recording whose peers or link were not at fault.
//!
//! Enters: the trace of a recording, the server that was fitted to it, and what is to be put right
//! from when to when. Leaves: a [`Mended`], from which the model runs as from the recording itself.
//! What is right is read off the session: the turns, ways and reports that it had outside of the
//! fault, else its best ones. Only where it had none, upstream's stand in for them.

mod reports;
mod turns;
mod unmade;
mod way;

use super::fit::Fit;
use super::hypothesis::Hypothesis;
use super::pacing::Rule;
use super::queue::Cause;
use super::spell::Spell;
use super::trace::Trace;
use crate::peer::policy::PlacementPolicy;
use crate::time::Nanos;

/// What can be put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mend {
    /// Slices arrive without waiting for a link, and none is shed for it.
    Link,
    /// The client applies slices when they arrive, and none is shed because it does not.
    Client,
    /// The server takes reports as they come, the newest counts, and it sheds nothing for
    /// acknowledgements that it was late to take.
    Intake,
    /// Turns take as long as they usually do, and the loop that generates rests no longer.
    Turns,
    /// Slices go ahead of the listener, never behind.
    Aim,
    /// Reported leads raise no lead of the server.
    Transport,
    /// Slices are as long as upstream makes them.
    Window,
    /// The client reports without breaks.
    Reports,
    /// The client's audio clock goes as fast as the others.
    Clock,
}

/// A session without its faults.
#[derive(Clone, Debug)]
pub struct Mended {
    pub trace: Trace,
    pub server: Hypothesis,
    /// From when on it differs from the recording; `None`: nowhere, as there was no such fault.
    pub from: Option<Nanos>,
}

impl Mended {
    /// The recording of `trace` with all of `mends` put right, each in its spell.
    #[must_use]
    pub fn of(trace: &Trace, fit: &Fit, mends: &[(Mend, Spell)]) -> Mended {
        let mut server = fit.server.clone();
        unmade::leave_out(trace, &mut server);
        let mut mended = Mended { trace: trace.clone(), server: server.clone(), from: None };
        // Turns are counted anew once it is known which of them were shed.
        let mut in_order = mends.to_vec();
        in_order.sort_by_key(|(mend, _)| *mend);
        in_order.iter().for_each(|(mend, spell)| mended.put_right(*mend, *spell));
        if mended.trace != *trace || mended.server != server {
            mended.from = in_order.iter().map(|(mend, spell)| mend.from(*spell)).min();
        }
        mended
    }

    fn put_right(&mut self, mend: Mend, spell: Spell) {
        let Mended { trace, server, .. } = self;
        match mend {
            Mend::Link => way::clear(trace, server, Cause::Link, spell),
            Mend::Client => {
                way::clear(trace, server, Cause::Client, spell);
                trace.busy.retain(|busy| !spell.meets(busy.from, busy.to));
            }
            Mend::Intake => {
                server.policy.intake.backlog_per_s = None;
                way::take_acknowledgements(server);
            }
            Mend::Turns => turns::even_out(trace, server, spell),
            Mend::Aim => server.rule = Rule::AheadOfListener,
            Mend::Transport => server.policy.lead.transport = None,
            Mend::Window => server.policy.placement.window_s = PlacementPolicy::default().window_s,
            Mend::Reports => reports::fill_breaks(trace, spell),
            Mend::Clock => reports::set_clock_right(trace),
        }
    }
}

impl Mend {
    /// From when on a session differs in which this is put right in that spell: constants and clocks
    /// are right from the beginning on.
    fn from(self, spell: Spell) -> Nanos {
        match self {
            Mend::Turns | Mend::Reports => spell.from,
            _ => Nanos(0),
        }
    }
}
