//! The sessions that a live page shows, and those who look on.
//!
//! Nothing is kept for a listener: it asks for what it lacks when it can take it, and gets what has come
//! in between at once. So one that reads slowly sees fewer steps, and one that never reads costs a
//! connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::report::page::{LivePage, Seen};

/// Sessions that are shown; beyond that the oldest ones that are over are left out.
pub const MAX_SESSIONS: usize = 24;
/// A listener to whom nothing happens hears at least this often that it is still connected.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// A session, and the number by which pages know it.
pub struct HubSession {
    pub number: u64,
    page: Mutex<LivePage>,
}

impl HubSession {
    /// The session as it is shown.
    pub fn page(&self) -> MutexGuard<'_, LivePage> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All sessions.
pub struct PageHub {
    sessions: Mutex<Vec<Arc<HubSession>>>,
    /// How many there were ever, and how often something changed.
    changes: watch::Sender<(u64, u64)>,
}

impl Default for PageHub {
    fn default() -> PageHub {
        PageHub { sessions: Mutex::default(), changes: watch::channel((0, 0)).0 }
    }
}

impl PageHub {
    /// Adds a session.
    pub fn open(&self) -> Arc<HubSession> {
        let mut number = 0;
        self.changes.send_modify(|(count, _)| {
            *count += 1;
            number = *count;
        });
        let session = Arc::new(HubSession { number, page: Mutex::default() });
        let mut sessions = self.locked();
        sessions.push(Arc::clone(&session));
        let over = |session: &Arc<HubSession>| !session.page().is_live();
        if sessions.len() > MAX_SESSIONS
            && let Some(oldest) = sessions.iter().position(over)
        {
            sessions.remove(oldest);
        }
        session
    }

    /// The sessions, the oldest first.
    pub fn sessions(&self) -> Vec<Arc<HubSession>> {
        self.locked().clone()
    }

    /// Tells everybody that there is something new.
    pub fn changed(&self) {
        self.changes.send_modify(|(_, changes)| *changes += 1);
    }

    /// Somebody who looks on from now on, and gets to see the past too.
    pub fn listener(self: &Arc<PageHub>) -> PageListener {
        let mut changes = self.changes.subscribe();
        changes.mark_changed();
        PageListener { hub: Arc::clone(self), changes, seen: BTreeMap::new(), last: 0 }
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Arc<HubSession>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who looks on.
pub struct PageListener {
    hub: Arc<PageHub>,
    changes: watch::Receiver<(u64, u64)>,
    seen: BTreeMap<u64, Seen>,
    /// The session that was told of last; the others have their turn first.
    last: u64,
}

impl PageListener {
    /// The next event, in the form of server-sent ones; waits until there is one.
    pub async fn next(&mut self) -> String {
        loop {
            if let Some(event) = self.due() {
                return event;
            }
            // The hub lives as long as its listeners.
            let changed = tokio::time::timeout(HEARTBEAT, self.changes.changed()).await;
            if changed.is_err() {
                return ": still here\n\n".to_owned();
            }
        }
    }

    /// The next event, if there is one.
    fn due(&mut self) -> Option<String> {
        let sessions = self.hub.sessions();
        let is_there = |number: u64| sessions.iter().any(|session| session.number == number);
        if let Some(gone) = self.seen.keys().copied().find(|number| !is_there(*number)) {
            self.seen.remove(&gone);
            return Some(format!("event: gone\ndata: {gone}\n\n"));
        }
        let turn = sessions.iter().position(|session| session.number > self.last).unwrap_or(0);
        let (first, rest) = sessions.split_at(turn);
        for session in rest.iter().chain(first) {
            let seen = self.seen.entry(session.number).or_default();
            if let Some(part) = session.page().since(session.number, seen) {
                self.last = session.number;
                return Some(format!("event: part\ndata: {part}\n\n"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Options};
    use crate::lag::ReportArgs;
    use crate::report::page::PageExtras;
    use crate::report::{Analysis, CaptureDescription};
    use crate::time::Nanos;

    fn renew(session: &HubSession, is_live: bool) {
        let engine = Engine::new(Options::default());
        let about = CaptureDescription::live("x".to_owned(), Nanos(0));
        let analysis = Analysis::of(&engine, about, &ReportArgs::default());
        session.page().renew(&engine, analysis, &PageExtras::default(), is_live);
    }

    /// How many events are due, and of which sort.
    fn due(listener: &mut PageListener) -> Vec<&'static str> {
        let sort = |event: String| if event.starts_with("event: gone") { "gone" } else { "part" };
        std::iter::from_fn(|| listener.due().map(sort)).collect()
    }

    #[test]
    fn a_listener_gets_at_once_what_has_come_in_between() {
        let hub = Arc::new(PageHub::default());
        let (one, other) = (hub.open(), hub.open());
        let mut listener = hub.listener();
        assert!(due(&mut listener).is_empty());
        (0..1000).for_each(|_| renew(&one, true));
        renew(&other, true);
        assert_eq!(due(&mut listener), ["part", "part"]);
        assert!(due(&mut listener).is_empty());
        let mut late = hub.listener();
        assert_eq!(due(&mut late), ["part", "part"]);
    }

    #[test]
    fn a_session_that_is_always_new_does_not_hide_the_others() {
        let hub = Arc::new(PageHub::default());
        let sessions = [hub.open(), hub.open(), hub.open()];
        let mut listener = hub.listener();
        sessions.iter().for_each(|session| renew(session, true));
        let mut told = Vec::new();
        for _ in 0..3 {
            listener.due().unwrap();
            told.push(listener.last);
            renew(&sessions[0], true);
        }
        assert_eq!(told, [1, 2, 3]);
    }

    #[test]
    fn the_oldest_that_is_over_makes_room() {
        let hub = Arc::new(PageHub::default());
        let sessions: Vec<_> = (0..MAX_SESSIONS).map(|_| hub.open()).collect();
        let mut listener = hub.listener();
        sessions.iter().for_each(|session| renew(session, session.number != 3));
        assert_eq!(due(&mut listener).len(), MAX_SESSIONS);
        hub.open();
        assert_eq!(hub.sessions().len(), MAX_SESSIONS);
        assert_eq!(due(&mut listener), ["gone"]);
        hub.open();
        assert_eq!(hub.sessions().len(), MAX_SESSIONS + 1, "no session that goes on is left out");
    }
}
