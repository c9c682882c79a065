//! How well a pacing that is fed with the recorded reports puts slices where they are. Unlike
//! [`score`](super::score()) it runs no client, so that thousands of servers can be weighed.

use super::super::pacing_replay::KnownLooks;
use super::super::trace::Trace;
use crate::lag::stats::{fold_lead, percentile};
use crate::peer::policy::Policy;

/// With this share of places met upstream's constants are taken as they are.
pub(super) const GOOD_SHARE: f64 = 0.85;
/// One place missed costs as much as a lead that is off by this, in seconds, and no place more.
const MISS_S: f64 = 0.2;
/// The first places tell the floor and the round trip apart, because no report has come yet or only
/// few have; later a longer way and a higher floor look the same. Each of them missed costs this.
const FIRST_MISS: f64 = 0.03;
const FIRST_SLICES: usize = 8;

/// How well a pacing puts slices where they are.
pub(super) struct Places {
    pub exact_share: f64,
    /// By how much each lies behind its place, in seconds.
    errors_s: Vec<f64>,
}

impl Places {
    /// The slices of the looks at which a server knows so much, as it would put them with that policy.
    pub fn of(trace: &Trace, known: &KnownLooks<'_>, policy: &Policy) -> Places {
        let sample_rate = f64::from(trace.sample_rate);
        let mut starts = trace.slices.iter().map(|slice| slice.header.start);
        let (mut exact, mut errors_s) = (0, Vec::new());
        for (look, placed) in known.placed(policy) {
            if look.turn.shed {
                continue;
            }
            let Some(start) = starts.next() else { break };
            if placed.spill.is_some() {
                starts.next();
            }
            // How far behind the listener it went is not known before the round trip is.
            if known.is_displaced(look.at) {
                continue;
            }
            let off = fold_lead(start, u64::from(placed.region.start), trace.frames);
            exact += usize::from(off == 0);
            errors_s.push(off as f64 / sample_rate);
        }
        let count = errors_s.len().max(1) as f64;
        Places { exact_share: exact as f64 / count, errors_s }
    }

    /// What is wrong with them; 0 for none.
    pub fn cost(&self) -> f64 {
        let Places { exact_share, errors_s } = self;
        let count = errors_s.len().max(1) as f64;
        let error_s = errors_s.iter().map(|error| error.abs().min(MISS_S)).sum::<f64>() / count;
        let first_missed = errors_s.iter().take(FIRST_SLICES).filter(|&&off| off != 0.0).count();
        1.0 - exact_share + error_s / MISS_S + FIRST_MISS * first_missed as f64
    }

    /// By how much the floor is lower than most of them tell, in seconds.
    pub fn shift_s(mut self) -> f64 {
        percentile(&mut self.errors_s, 0.5)
    }
}
