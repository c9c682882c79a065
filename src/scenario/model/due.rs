//! What happens next in a run of the model.
//!
//! Enters: the moment at which each kind of event happens next. Leaves: the earliest of them, and of
//! several at one moment the one that comes first. Remembers one moment of each kind and no more.

use crate::time::Nanos;

/// Kinds of events, in the order in which simultaneous things happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
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

impl Event {
    const ALL: [Event; 7] = [
        Event::Departed,
        Event::Landed,
        Event::Command,
        Event::Tick,
        Event::ReportPassed,
        Event::Generate,
        Event::Send,
    ];
}

const NEVER: Nanos = Nanos(u64::MAX);

/// When each kind of event happens next.
pub(super) struct Due([Nanos; Event::ALL.len()]);

impl Default for Due {
    fn default() -> Self {
        Due([NEVER; Event::ALL.len()])
    }
}

impl Due {
    /// This kind happens then, or never.
    pub fn set(&mut self, event: Event, at: Option<Nanos>) {
        self.0[event as usize] = at.unwrap_or(NEVER);
    }

    /// What happens next, and when.
    pub fn next(&self) -> (Nanos, Event) {
        let mut next = (NEVER, Event::Command);
        for (event, at) in Event::ALL.into_iter().zip(self.0) {
            // A choice between values: which is the earliest no processor can guess.
            next = if at < next.0 { (at, event) } else { next };
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(due: &[(Event, u64)], expected: (u64, Event)) {
        let mut all = Due::default();
        due.iter().for_each(|&(event, at)| all.set(event, Some(Nanos(at))));
        assert_eq!(all.next(), (Nanos(expected.0), expected.1));
    }

    #[test]
    fn the_earliest_and_of_simultaneous_ones_the_first_kind() {
        check(&[], (u64::MAX, Event::Command));
        check(&[(Event::Send, 3), (Event::Tick, 4)], (3, Event::Send));
        check(&[(Event::Send, 3), (Event::Tick, 3), (Event::Generate, 3)], (3, Event::Tick));
        check(&[(Event::Tick, 0), (Event::Landed, 0)], (0, Event::Landed));
    }

    #[test]
    fn events_stand_in_their_order() {
        assert!(Event::ALL.into_iter().map(|event| event as usize).eq(0..Event::ALL.len()));
    }
}
