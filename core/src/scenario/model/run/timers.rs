//! What happens next in a run of the model.
//!
//! Enters: the moment at which each kind of event happens next. Leaves: the earliest of them, and of
//! several at one moment the one that comes first.

use super::NEVER;
use crate::time::Nanos;

/// What may happen, in the order in which simultaneous things happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// A slice has passed the link to the client.
    Departed,
    /// A slice is heard of by the client.
    Landed,
    /// Somebody wants something else from now on.
    Command,
    /// The client reports.
    Tick,
    /// A report has passed the link to the server.
    ReportPassed,
    /// The loop that generates has done its tick, or its decode.
    Generate,
    /// A slice finds room on the link to the client.
    Send,
}

impl Timer {
    const ALL: [Timer; 7] = [
        Timer::Departed,
        Timer::Landed,
        Timer::Command,
        Timer::Tick,
        Timer::ReportPassed,
        Timer::Generate,
        Timer::Send,
    ];
}

/// When each kind of event happens next, in their order; [`NEVER`] if it does not.
pub(super) type Moments = [Nanos; Timer::ALL.len()];

/// What happens next, and when; `None` if nothing does.
pub(super) fn earliest(moments: Moments) -> Option<(Nanos, Timer)> {
    let mut next = (NEVER, Timer::Command);
    for (event, at) in Timer::ALL.into_iter().zip(moments) {
        // A choice between values: which is the earliest no processor can guess.
        next = if at < next.0 { (at, event) } else { next };
    }
    (next.0 < NEVER).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(at: &[(Timer, u64)], expected: Option<(u64, Timer)>) {
        let mut moments = [NEVER; Timer::ALL.len()];
        at.iter().for_each(|&(event, at)| moments[event as usize] = Nanos(at));
        assert_eq!(earliest(moments), expected.map(|(at, event)| (Nanos(at), event)));
    }

    #[test]
    fn the_earliest_and_of_simultaneous_ones_the_first_kind() {
        check(&[], None);
        check(&[(Timer::Tick, u64::MAX)], None);
        check(&[(Timer::Send, 3), (Timer::Tick, 4)], Some((3, Timer::Send)));
        check(&[(Timer::Send, 3), (Timer::Tick, 3), (Timer::Generate, 3)], Some((3, Timer::Tick)));
        check(&[(Timer::Tick, 0), (Timer::Landed, 0)], Some((0, Timer::Landed)));
    }

    #[test]
    fn events_stand_in_their_order() {
        assert!(Timer::ALL.into_iter().map(|event| event as usize).eq(0..Timer::ALL.len()));
    }
}
