//! The ways between the peers of a run: the links that a scenario adds, and the recorded way.
//!
//! The server's clock is that of arrivals: the recorded way to the client takes no time beyond what
//! one slice needs more than the fastest, and that to the server takes both ways' time. Only their
//! sum can be known, and only their sum matters.

use super::super::bottleneck::LinkAnew;
use super::super::change::Change;
use super::super::generations::{Generation, shifted};
use super::super::hypothesis::Hypothesis;
use super::super::pacing::PacingReport;
use super::super::perturbation::Perturbation;
use super::commands::Side;
use super::slice::MadeSlice;
use crate::peer::link::{Link, LinkOptions, websocket_len};
use crate::peer::rng::{Rng, Stream};
use crate::time::Nanos;

/// The links that a scenario adds to the recorded way, where it has any.
pub(super) struct Links<'a> {
    up: Option<Link<PacingReport>>,
    /// Texts are `None`.
    down: Option<Link<Option<MadeSlice<'a>>>>,
}

impl<'a> Links<'a> {
    pub fn new(
        change: &Change,
        perturbation: &Perturbation,
        begins: Nanos,
        anew: Option<LinkAnew>,
    ) -> Self {
        let seed = perturbation.seed;
        let plain = LinkOptions::default;
        let up = || Link::new(plain(), seed, Stream::Uplink, begins);
        let down = || match anew {
            None => Link::new(plain(), seed, Stream::Downlink, begins),
            Some(anew) => begun_with(anew, change, seed),
        };
        let has_down = !change.down.is_empty() || anew.is_some();
        Self { up: (!change.up.is_empty()).then(up), down: has_down.then(down) }
    }

    pub fn change(&mut self, side: Side, options: &LinkOptions) {
        match side {
            Side::Up => self.up.iter_mut().for_each(|link| link.change(options.clone())),
            Side::Down => self.down.iter_mut().for_each(|link| link.change(options.clone())),
        }
    }

    /// Whether reports have to pass a link to the server.
    #[inline]
    pub fn has_up(&self) -> bool {
        self.up.is_some()
    }

    /// Whether slices have to pass a link to the client, and to wait for room on it.
    #[inline]
    pub fn has_down(&self) -> bool {
        self.down.is_some()
    }

    /// Whether there are links whose moments have to be watched.
    #[inline]
    pub fn any(&self) -> bool {
        self.up.is_some() || self.down.is_some()
    }

    /// Sends a report, if there is a link to the server.
    pub fn send_report(&mut self, now: Nanos, report: PacingReport, bytes: u32) {
        if let Some(link) = &mut self.up {
            link.send(now, report, u64::from(bytes));
        }
    }

    /// Sends a slice and the texts that follow it, if there is a link to the client.
    pub fn send_slice(&mut self, now: Nanos, slice: MadeSlice<'a>) {
        let Some(link) = &mut self.down else { return };
        link.send(now, Some(slice), websocket_len(slice.bytes as usize, false));
        let text_bytes = slice.generation.text_bytes;
        if text_bytes > 0 {
            link.send(now, None, u64::from(text_bytes));
        }
    }

    /// A report that has passed, with the moment it did.
    pub fn passed_report(&mut self, now: Nanos) -> Option<(Nanos, PacingReport)> {
        self.up.as_mut()?.poll(now)
    }

    /// A slice that has passed.
    pub fn passed_slice(&mut self, now: Nanos) -> Option<MadeSlice<'a>> {
        self.down.as_mut()?.poll(now)?.1
    }

    /// When the next report passes.
    pub fn report_passes_at(&self) -> Option<Nanos> {
        self.up.as_ref()?.wake_at()
    }

    /// When the next message to the client passes.
    pub fn slice_passes_at(&self) -> Option<Nanos> {
        self.down.as_ref()?.wake_at()
    }

    /// When there is room for a slice from `at` on.
    pub fn accepts_at(&self, at: Nanos) -> Option<Nanos> {
        Some(self.down.as_ref()?.accepts_at(at))
    }
}

/// A link on which the rest of the initial buffer is under way.
fn begun_with<'a>(anew: LinkAnew, change: &Change, seed: u64) -> Link<Option<MadeSlice<'a>>> {
    let options = change.down.first().map(|(_, options)| options.clone()).unwrap_or_default();
    let mut link = Link::new(options, seed, Stream::Downlink, anew.began);
    if anew.first_bytes > 0 {
        link.send(anew.began, None, anew.first_bytes);
    }
    link
}

/// The way that the recording measured, which every message takes beside the links.
pub(super) struct RecordedWay<'a> {
    hypothesis: &'a Hypothesis,
    rng: Rng,
    /// From then on reports jitter.
    jitters_from: Nanos,
    /// By how much longer than recorded the recorded queue is, in nanoseconds.
    longer_ns: f64,
}

impl<'a> RecordedWay<'a> {
    pub fn new(hypothesis: &'a Hypothesis, perturbation: &Perturbation, differs_at: Nanos) -> Self {
        Self {
            hypothesis,
            rng: Rng::new(perturbation.seed, Stream::Client),
            jitters_from: if perturbation.jitters { differs_at } else { Nanos(u64::MAX) },
            longer_ns: 0.0,
        }
    }

    /// When a report arrives that the client sent, or a link let pass, at `now`.
    #[inline]
    pub fn report_arrives(&mut self, now: Nanos) -> Nanos {
        let jitters = now >= self.jitters_from;
        let jitter_ns = if jitters { self.hypothesis.jitter_ns(&mut self.rng) } else { 0 };
        shifted(now, self.hypothesis.round_trip_ns + jitter_ns).max(now)
    }

    /// When a slice of that turn arrives: as late as recorded, but for what the recorded queue is
    /// longer or shorter. An empty one is as long as it was.
    #[inline]
    pub fn slice_arrives(&mut self, now: Nanos, generation: &Generation) -> Nanos {
        let mut transit_ns = generation.transit_ns;
        if let Some(queue) = self.hypothesis.queue {
            if transit_ns <= queue.waits_ns {
                self.longer_ns = 0.0;
            }
            transit_ns += self.longer_ns as i64;
        }
        shifted(now, transit_ns).max(now)
    }

    /// The recorded slice of that turn does not join the queue, …
    #[inline]
    pub fn leaves_out(&mut self, generation: &Generation) {
        if !generation.shed {
            self.longer_ns -= self.queued_ns(u64::from(generation.bytes));
        }
    }

    /// … and one of that length does.
    #[inline]
    pub fn joins(&mut self, bytes: u64) {
        self.longer_ns += self.queued_ns(bytes);
    }

    /// How long the recorded link takes for that many bytes, where there was a queue.
    fn queued_ns(&self, bytes: u64) -> f64 {
        self.hypothesis.queue.map_or(0.0, |queue| queue.ns_per_byte * bytes as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::pacing::Region;
    use crate::scenario::model::hypothesis::tests::{queue, with_transits};
    use crate::time::Span;

    /// When reports of these moments arrive, as a way says that differs from 100 ns on.
    fn reports(jitters: bool, sent: &[u64]) -> Vec<u64> {
        let server = with_transits(&[0, 600]);
        let perturbation = Perturbation { seed: 5, jitters, ..Perturbation::default() };
        let mut way = RecordedWay::new(&server, &perturbation, Nanos(100));
        sent.iter().map(|&at| way.report_arrives(Nanos(at)).0).collect()
    }

    #[test]
    fn reports_jitter_from_where_a_run_differs() {
        let before: Vec<u64> = (0..50).collect();
        let as_fitted: Vec<u64> = before.iter().map(|at| at + 1_000).collect();
        assert_eq!(reports(true, &before), as_fitted);
        let mut after = reports(true, &[100; 50]);
        after.sort_unstable();
        after.dedup();
        assert_eq!(after, [100 + 1_000 - 300, 100 + 1_000 + 300]);
        assert_eq!(reports(false, &[100; 50]), [1_100; 50]);
    }

    #[test]
    fn slices_are_as_late_as_recorded_and_what_their_queue_is_longer() {
        let server = Hypothesis { queue: Some(queue()), ..with_transits(&[10, 80, 90, 20, 70]) };
        let mut way = RecordedWay::new(&server, &Perturbation::default(), Nanos(0));
        way.longer_ns = 5.0;
        let arrive: Vec<u64> =
            (0..3).map(|turn| way.slice_arrives(Nanos(100), server.turn(turn)).0).collect();
        assert_eq!(arrive, [110, 180, 190], "none waited for the first");
        way.longer_ns = 5.0;
        assert_eq!(way.slice_arrives(Nanos(100), server.turn(1)), Nanos(185));
        assert_eq!(way.slice_arrives(Nanos(100), server.turn(3)), Nanos(120));
        assert_eq!(way.slice_arrives(Nanos(100), server.turn(4)), Nanos(170), "that emptied it");
    }

    #[test]
    fn a_link_lets_slices_pass_and_keeps_texts_to_itself() {
        let down = vec![(Span(0), LinkOptions::default())];
        let change = Change { down, ..Change::default() };
        let mut links = Links::new(&change, &Perturbation::default(), Nanos(0), None);
        let region = Region { start: 9, frames: 8 };
        let generation = Generation { text_bytes: 30, ..Generation::default() };
        let slice = MadeSlice { bytes: 100, ..MadeSlice::new(&generation, region, Nanos(1)) };
        assert!(links.has_down() && links.any());
        links.send_slice(Nanos(1), slice);
        let at = links.slice_passes_at().unwrap();
        assert_eq!(links.passed_slice(at).map(|slice| slice.region), Some(region));
        assert!(links.slice_passes_at().is_some(), "the text is behind it");
        assert!(links.passed_slice(Nanos(u64::MAX)).is_none());
        let mut none = Links::new(&Change::default(), &Perturbation::default(), Nanos(0), None);
        assert!(!none.any() && !none.has_up() && !none.has_down());
        none.send_slice(Nanos(1), slice);
        assert!(none.slice_passes_at().is_none(), "there is none to pass");
    }
}
