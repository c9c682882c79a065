//! Many captures or scenarios in parallel: the only room that knows rayon.
//!
//! Enters: items and a pure function of one of them. Leaves: the results in the items' order,
//! whatever the threads. A thread works on whole items; no sum is ever split between threads.
//! [`axis`] says which scenarios, [`rows`] what came of each, [`measure`] by which
//! figure they are judged, [`search`] which of them is the
//! smallest change that does something.

pub mod axis;
pub mod in_order;
pub mod measure;
pub mod rows;
pub mod search;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::lag::ReportArgs;
use crate::scenario::answer::{Prepared, ScenarioAnswer};
use crate::scenario::columns::Columns;
use crate::scenario::open_loop::{OpenLoop, OpenLoopError, Scratch};
use axis::Point;
use rows::SweepRow;

/// Hears how many rows of how many are done, from any thread, and may end the work.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) -> ControlFlow<()> + Sync);

/// Threads could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {threads} threads: {reason}; try fewer")]
pub struct ThreadsError {
    threads: usize,
    reason: String,
}

/// Applies `work` to every item on `threads` threads (0: one for each core), but no more than there
/// are items, and keeps the order.
pub fn map_in_order<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Result<Vec<R>, ThreadsError> {
    Ok(match pool(threads, items.len())? {
        Some(pool) => pool.install(|| items.par_iter().map(&work).collect()),
        None => items.iter().map(work).collect(),
    })
}

/// Answers every scenario for every capture: all scenarios of the first capture, then those of the
/// second. `scratch` makes buffers that a thread reuses; an answer must not depend on them.
pub fn cross<C: Sync, P: Sync, S, R: Send>(
    captures: &[C],
    scenarios: &[P],
    threads: usize,
    scratch: impl Fn() -> S + Sync + Send,
    answer: impl Fn(&C, &P, &mut S) -> R + Sync + Send,
) -> Result<Vec<R>, ThreadsError> {
    let count = captures.len() * scenarios.len();
    let row = |scratch: &mut S, row: usize| {
        let (capture, scenario) = (row / scenarios.len(), row % scenarios.len());
        answer(&captures[capture], &scenarios[scenario], scratch)
    };
    Ok(match pool(threads, count)? {
        Some(pool) => pool.install(|| (0..count).into_par_iter().map_init(scratch, row).collect()),
        None => {
            let mut scratch = scratch();
            (0..count).map(|number| row(&mut scratch, number)).collect()
        }
    })
}

/// The rows of every scenario for every capture, as [`cross`] orders them, each in the best tier
/// that there is; `None` once `progress` ended the work. A capture comes with its number.
pub fn answer_all(
    captures: &[(usize, Prepared<'_>)],
    points: &[Point],
    threads: usize,
    progress: Progress<'_>,
) -> Result<Option<Vec<SweepRow>>, ThreadsError> {
    let total = captures.len() * points.len();
    let (done, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let rows = cross(captures, points, threads, Scratch::default, |capture, point, scratch| {
        if ended.load(Ordering::Relaxed) {
            return None;
        }
        let (number, prepared) = capture;
        let answer = prepared.answer(&point.scenario, scratch);
        let row = SweepRow::of(*number, point, answer.map_err(|why| prepared.worded(&why)));
        if progress(done.fetch_add(1, Ordering::Relaxed) + 1, total).is_break() {
            ended.store(true, Ordering::Relaxed);
        }
        Some(row)
    })?;
    Ok(if ended.into_inner() { None } else { rows.into_iter().collect() })
}

/// The reference's reports of every scenario for every capture in the open loop, as [`cross`] orders
/// them, without verdicts; or the first scenario that the open loop cannot answer.
pub fn open_loop(
    captures: &[Columns],
    points: &[Point],
    args: &ReportArgs,
    threads: usize,
) -> Result<Result<Vec<SweepRow>, OpenLoopError>, ThreadsError> {
    let captures: Vec<_> =
        captures.iter().map(|columns| OpenLoop::new(columns, *args)).enumerate().collect();
    let rows = cross(&captures, points, threads, Scratch::default, |capture, point, scratch| {
        let (capture, open_loop) = capture;
        let answer = open_loop.answer(&point.scenario, scratch)?;
        Ok(SweepRow::of(*capture, point, Ok(ScenarioAnswer::of(answer, ""))))
    })?;
    Ok(rows.into_iter().collect())
}

/// Threads for so many items; `None` where the caller's own does it all, which is the only one that a page
/// in a browser has.
fn pool(threads: usize, items: usize) -> Result<Option<rayon::ThreadPool>, ThreadsError> {
    if threads == 1 || items <= 1 {
        return Ok(None);
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.min(items))
        .build()
        .map(Some)
        .map_err(|error| ThreadsError { threads, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::scenario::answer::AskOptions;
    use crate::scenario::tests::{recorded, seek};

    #[test]
    fn a_sweep_says_how_far_it_is_and_can_be_ended() {
        let (recording, ..) = recorded(|_| ());
        let options = AskOptions { open_loop: true, heard: false, ..AskOptions::default() };
        let captures = [(7, recording.prepare(options)), (9, recording.prepare(options))];
        let points: Vec<_> = [0.1, 0.2, 0.3]
            .map(|to_s| Point { values: vec![to_s], scenario: seek(100, to_s) })
            .into();
        let said = Mutex::new(Vec::new());
        let swept = |until: usize| {
            let progress = |done, total| {
                said.lock().unwrap().push((done, total));
                if done < until { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            answer_all(&captures, &points, 1, &progress).unwrap()
        };
        let rows = swept(99).unwrap();
        let of: Vec<_> = rows.iter().map(|row| (row.capture, row.values[0])).collect();
        assert_eq!(of, [(7, 0.1), (7, 0.2), (7, 0.3), (9, 0.1), (9, 0.2), (9, 0.3)]);
        assert_eq!(
            std::mem::take(&mut *said.lock().unwrap()),
            (1..=6).map(|n| (n, 6)).collect::<Vec<_>>()
        );
        assert_eq!(swept(2), None);
        assert_eq!(*said.lock().unwrap(), [(1, 6), (2, 6)]);
    }
}
