//! Results one after another in the order of their items, made on several threads and never far ahead of
//! who takes them: memory is that of a few results, however many items there are.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Results that wait to be taken, for each thread.
const AHEAD: usize = 2;

/// An iterator over results. Dropping it ends the work after the items under way.
pub struct InOrder<R> {
    shared: Arc<Shared<R>>,
    threads: Vec<JoinHandle<()>>,
    total: usize,
}

struct Shared<R> {
    state: Mutex<State<R>>,
    changed: Condvar,
}

struct State<R> {
    /// Items that were begun.
    begun: usize,
    /// Results that were taken.
    taken: usize,
    done: BTreeMap<usize, Result<R, Box<dyn Any + Send>>>,
    is_over: bool,
}

impl<R: Send + 'static> InOrder<R> {
    /// Applies `work` to every item on `threads` threads; 0 is one for each core.
    pub fn new<T: Send + Sync + 'static>(
        items: Vec<T>,
        threads: usize,
        work: impl Fn(&T) -> R + Send + Sync + 'static,
    ) -> std::io::Result<InOrder<R>> {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores() } else { threads };
        let (total, threads) = (items.len(), threads.min(items.len()));
        let state = State { begun: 0, taken: 0, done: BTreeMap::new(), is_over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let mut all = InOrder { shared: Arc::clone(&shared), threads: Vec::new(), total };
        let job = Arc::new((items, work));
        for _ in 0..threads {
            let (shared, job) = (Arc::clone(&shared), Arc::clone(&job));
            let run = move || {
                while let Some(number) = shared.next_item(total, threads * AHEAD) {
                    let (items, work) = &*job;
                    let result = catch_unwind(AssertUnwindSafe(|| work(&items[number])));
                    shared.lock().done.insert(number, result);
                    shared.changed.notify_all();
                }
            };
            all.threads.push(thread::Builder::new().name("captures".to_owned()).spawn(run)?);
        }
        Ok(all)
    }
}

impl<R> Shared<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State<R>>) -> MutexGuard<'a, State<R>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next item to work on, once it is not too far ahead.
    fn next_item(&self, total: usize, ahead: usize) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.is_over || state.begun == total {
                return None;
            }
            if state.begun < state.taken + ahead {
                state.begun += 1;
                return Some(state.begun - 1);
            }
            state = self.wait(state);
        }
    }
}

impl<R> Iterator for InOrder<R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        let mut state = self.shared.lock();
        let number = state.taken;
        if number == self.total {
            return None;
        }
        let result = loop {
            match state.done.remove(&number) {
                Some(result) => break result,
                None => state = self.shared.wait(state),
            }
        };
        state.taken += 1;
        drop(state);
        self.shared.changed.notify_all();
        Some(result.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<R> Drop for InOrder<R> {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_threads() {
        for threads in [0, 1, 3, 9] {
            let items: Vec<u32> = (0..100).collect();
            let doubled = InOrder::new(items, threads, |item| item * 2).unwrap();
            assert_eq!(doubled.collect::<Vec<_>>(), (0..200).step_by(2).collect::<Vec<_>>());
        }
        assert_eq!(InOrder::new(Vec::<u8>::new(), 2, |_| ()).unwrap().count(), 0);
    }

    #[test]
    fn nobody_works_far_ahead_and_dropping_ends_it() {
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&begun);
        let work = move |_: &usize| counted.fetch_add(1, Ordering::SeqCst);
        let mut results = InOrder::new((0..1000).collect(), 2, work).unwrap();
        for _ in 0..10 {
            results.next();
        }
        drop(results);
        assert!((10..=10 + 2 * AHEAD).contains(&begun.load(Ordering::SeqCst)));
    }

    #[test]
    fn a_panic_reaches_whoever_takes_the_result() {
        let mut results = InOrder::new(vec![1, 0, 1], 2, |item| 1 / item).unwrap();
        assert_eq!(results.next(), Some(1));
        assert!(catch_unwind(AssertUnwindSafe(|| results.next())).is_err());
    }
}
