//! How many connections a server takes, and from whom.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;

use super::shedding::Shortage;

/// How long the head of a request may take, from the connection or from its first byte on.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections on which one address may owe the first request.
pub const MAX_HEADS_PER_PEER: usize = 64;
/// File descriptors that connections leave for captures, for what a server says while it turns
/// clients away, and for whatever else the process opens.
pub const RESERVED_DESCRIPTORS: usize = 24;

/// What a server would take if the process had no limits.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct Demand {
    pub connections: usize,
    /// File descriptors that each needs.
    pub descriptors: usize,
}

/// What a server takes.
pub(super) struct Capacity {
    demand: Demand,
    /// Connections for which the descriptors are enough.
    affordable: usize,
}

impl Capacity {
    pub fn of(listener: &TcpListener, demand: Demand) -> Capacity {
        let affordable = free_descriptors(listener)
            .map_or(usize::MAX, |free| (usable(free) / demand.descriptors).max(1));
        Capacity { demand, affordable }
    }

    /// Why no further connection is taken beside `open` ones, if that is so.
    pub fn shortage(&self, open: usize) -> Option<Shortage> {
        if open >= self.demand.connections {
            return Some(Shortage::Connections(open));
        }
        (open >= self.affordable).then_some(Shortage::Descriptors(open))
    }
}

/// How many of the free descriptors connections may take.
fn usable(free: usize) -> usize {
    free - RESERVED_DESCRIPTORS.min(free / 2)
}

/// Descriptors that the process may still open. The lowest free number is always given out next, so
/// that of the listener tells how many there were before it.
#[cfg(unix)]
fn free_descriptors(listener: &TcpListener) -> Option<usize> {
    use std::os::fd::AsRawFd;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
    let used = usize::try_from(listener.as_raw_fd()).ok()? + 1;
    Some(usize::try_from(limit).ok()?.saturating_sub(used))
}

#[cfg(not(unix))]
fn free_descriptors(_: &TcpListener) -> Option<usize> {
    None
}

/// How many connections of each address have no whole request yet.
#[derive(Clone)]
pub(super) struct AwaitedHeads {
    counts: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    limit: usize,
}

impl AwaitedHeads {
    pub fn new(limit: usize) -> AwaitedHeads {
        AwaitedHeads { counts: Arc::default(), limit }
    }

    /// Counts a connection of `peer`, unless there are too many.
    pub fn enter(&self, peer: IpAddr) -> Result<AwaitedHead, Shortage> {
        let peer = peer.to_canonical();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= self.limit {
            return Err(Shortage::Heads { peer, connections: *count });
        }
        *count += 1;
        drop(counts);
        Ok(AwaitedHead { heads: self.clone(), peer })
    }

    /// Whether some address may connect no more.
    pub fn is_exhausted(&self) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.values().any(|&count| count >= self.limit)
    }
}

/// A connection whose first request is awaited, for as long as this lives.
pub(in crate::edge) struct AwaitedHead {
    heads: AwaitedHeads,
    peer: IpAddr,
}

impl Drop for AwaitedHead {
    fn drop(&mut self) {
        let mut counts = self.heads.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(free: usize, connections: usize) {
        assert_eq!(usable(free), connections, "of {free}");
    }

    #[test]
    fn captures_have_descriptors_of_their_own() {
        check(0, 0);
        check(10, 5);
        check(48, 24);
        check(1000, 976);
    }

    #[test]
    fn each_address_may_owe_so_many_requests() {
        let heads = AwaitedHeads::new(2);
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = heads.enter(one).ok().unwrap();
        let _second = heads.enter("::ffff:127.0.0.1".parse().unwrap()).ok().unwrap();
        let refused = heads.enter(one).err();
        assert_eq!(refused, Some(Shortage::Heads { peer: one, connections: 2 }));
        assert!(heads.is_exhausted());
        let _elsewhere = heads.enter(other).ok().unwrap();
        drop(first);
        assert!(!heads.is_exhausted());
        assert!(heads.enter(one).is_ok());
        assert_eq!(heads.counts.lock().unwrap().len(), 2);
    }
}
