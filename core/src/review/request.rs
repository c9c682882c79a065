//! What a page is to show.

use crate::lag::ReportArgs;
use crate::playhead::PlayheadSource;
use crate::scenario::NamedScenario;
use crate::scenario::advice::Wording;

/// Runs of the model for each setting of the wind tunnel, where nobody says how many: so many seconds of
/// session together, and at most so many runs.
const RUN_S: f64 = 480.0;
/// The most runs of a setting.
pub const MOST_RUNS: usize = 8;

/// How often the model runs for each setting of the wind tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TunnelRuns {
    /// There is no wind tunnel.
    #[default]
    Never,
    /// Eight times, and less often with long sessions.
    Affordable,
    /// So often.
    Exactly(usize),
}

impl TunnelRuns {
    /// Runs for a session that lasts so long; `None`: there is no wind tunnel.
    #[must_use]
    pub fn of(self, length_s: f64) -> Option<usize> {
        match self {
            TunnelRuns::Never => None,
            TunnelRuns::Affordable => {
                let runs = RUN_S / length_s.max(1.0);
                Some((runs as usize).clamp(1, MOST_RUNS))
            }
            TunnelRuns::Exactly(runs) => (runs > 0).then_some(runs),
        }
    }
}

/// What a page shows.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// `None`: what suits the client that made the capture.
    pub playhead: Option<PlayheadSource>,
    /// Stale threshold of the report.
    pub report: ReportArgs,
    /// Put in what was heard, and the loop as it stood at the end.
    pub audio: bool,
    /// The wind tunnel.
    pub tunnel: TunnelRuns,
    /// A scenario to lay over what was recorded.
    pub what_if: Option<NamedScenario>,
    /// Threads; 0 is one for each core.
    pub threads: usize,
    /// How reasons say what to do.
    pub wording: Wording,
}
