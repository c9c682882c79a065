//! Bursts: slices after either of two times, by turns, as of a generator that does not fill its gaps.

use super::load::{LONG_BY_S, LONG_TIMES};
use crate::diagnosis::class::Class;
use crate::diagnosis::suspect::Suspect;
use crate::diagnosis::view::{SliceRow, Stretch, View, quantile};

/// A burst has so many slices at most: two rounds of a pipeline of depth 4. After more the generator has
/// recovered, and what comes is another load.
const BURST_SLICES: usize = 8;
/// Pauses, and bursts between them, at least.
const PAUSES: usize = 4;
const BURSTS: usize = 3;
/// Share of intervals that are short, at least.
const SHORT: f64 = 0.2;
/// A tick that varies by a quarter either way has intervals up to 5/3 of one another. Of two lengths the
/// shortest long ones are this many times the longest short ones, without the tenth at either edge.
const APART_TIMES: f64 = 1.5;
const EDGE: f64 = 0.1;
/// Headers account for this share of what long intervals have more than short ones: else it is the
/// link's or the client's.
const MADE_BY: f64 = 0.5;

/// The suspect with the most pauses.
pub fn suspect(view: &View) -> Option<Suspect> {
    let is_sound = |slice: &&SliceRow| !slice.is_reused && slice.interval_s.is_some();
    let slices: Vec<&SliceRow> = view
        .slices
        .iter()
        .filter(is_sound)
        .filter(|slice| !view.is_idle(Stretch { from_s: slice.t_s - 0.1, to_s: slice.t_s }))
        .collect();
    let short_s = quantile(slices.iter().copied().map(interval_s), EDGE);
    let least_s = (LONG_TIMES * short_s).max(short_s + LONG_BY_S);
    let trains = trains(&slices, least_s);
    let longest = trains.into_iter().filter_map(|train| Bimodal::of(train, least_s));
    longest.max_by_key(|train| train.pauses).map(|train| train.suspect())
}

fn interval_s(slice: &SliceRow) -> f64 {
    slice.interval_s.unwrap_or(0.0)
}

/// Pauses with no more than a burst between two of them, each from the first pause to the last.
fn trains<'a, 'v>(slices: &'a [&'v SliceRow], least_s: f64) -> Vec<&'a [&'v SliceRow]> {
    let mut trains: Vec<(usize, usize)> = Vec::new();
    for at in (0..slices.len()).filter(|&at| interval_s(slices[at]) > least_s) {
        match trains.last_mut().filter(|(_, last)| at - *last <= BURST_SLICES + 1) {
            Some((_, last)) => *last = at,
            None => trains.push((at, at)),
        }
    }
    trains.into_iter().map(|(first, last)| &slices[first..=last]).collect()
}

/// Slices after either of two times.
struct Bimodal {
    stretch: Stretch,
    pauses: usize,
    pause_s: f64,
    work_s: f64,
    short_share: f64,
    records: Vec<u64>,
}

impl Bimodal {
    fn of(train: &[&SliceRow], least_s: f64) -> Option<Bimodal> {
        let (first, last) = (*train.first()?, *train.last()?);
        let is_long = |slice: &SliceRow| interval_s(slice) > least_s;
        let long: Vec<f64> =
            train.iter().copied().map(interval_s).filter(|&s| s > least_s).collect();
        let short: Vec<f64> =
            train.iter().copied().map(interval_s).filter(|&s| s <= least_s).collect();
        let bursts = train.windows(2).filter(|pair| is_long(pair[0]) && !is_long(pair[1])).count();
        let long_share = long.len() as f64 / train.len() as f64;
        let of = |values: &[f64], share| quantile(values.iter().copied(), share);
        let is_apart = of(&long, EDGE) >= APART_TIMES * of(&short, 1.0 - EDGE);
        let work = |share: f64| quantile(train.iter().map(|it| it.work_s()), share);
        // The middle of either mode.
        let (work_s, short_work_s) = (work(1.0 - long_share / 2.0), work((1.0 - long_share) / 2.0));
        let pause_s = of(&long, 0.5);
        let is_made = work_s - short_work_s >= MADE_BY * (pause_s - of(&short, 0.5));
        let alternates = bursts >= BURSTS && 1.0 - long_share >= SHORT;
        (long.len() >= PAUSES && alternates && is_apart && is_made).then(|| Bimodal {
            stretch: Stretch { from_s: first.t_s - interval_s(first), to_s: last.t_s },
            pauses: long.len(),
            pause_s,
            work_s,
            short_share: 1.0 - long_share,
            records: vec![first.seq, last.seq],
        })
    }

    fn suspect(&self) -> Suspect {
        let Bimodal { stretch, pauses, pause_s, work_s, short_share, .. } = *self;
        let sentence = format!(
            "Slices came in bursts: {pauses} pauses of {pause_s:.2} s with quick generations in between."
        );
        let figures = [("pause_s", pause_s), ("quick_share", short_share), ("tick_s", work_s)];
        Suspect::new(Class::BurstProduction, stretch, 0.9, sentence)
            .link(
                "Nothing fills the time between generations",
                &figures,
                self.records.iter().copied(),
            )
            .apart(Class::SlowGeneration, "generations took either of two times, by turns")
    }
}
