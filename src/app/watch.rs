//! `watch`: captures on a live page, while they are written.
//!
//! Whatever is watched is a capture that becomes longer: that of `record`, those of `proxy`, or a file that
//! somebody else writes. One thread reads on in all of them, gives their records to engines, and shows the
//! reports in a [`PageHub`]; so what is seen live is what a report of the capture says later. The thread
//! takes a quarter of a core at most.

mod follower;
mod turned;

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::{Map, Value};

use self::follower::Follower;
use self::turned::Turned;
use super::report::page_session;
use super::runtime::armed;
use crate::edge::clock::MonotonicClock;
use crate::edge::files;
use crate::edge::page_server::{HubSession, PageHub, PageServer, SavedPage, serve};
use crate::report::page;
use crate::review::PageRequest;

/// Time between two looks at the files.
const LOOK_PERIOD: Duration = Duration::from_millis(250);
/// Looking takes so many times less than the time between two looks.
const REST: u32 = 3;

/// The captures of the sessions, by their numbers.
type Paths = Arc<Mutex<Vec<(u64, PathBuf)>>>;

/// Captures that are watched.
pub struct Watching {
    hub: Arc<PageHub>,
    verb: PageRequest,
    paths: Paths,
    orders: Option<Sender<(PathBuf, Arc<HubSession>)>>,
    thread: Option<JoinHandle<()>>,
}

impl Watching {
    /// Watches nothing yet. Sessions that are over get a wind tunnel as `verb` has it; `trouble` is told of
    /// files that cannot be read any more.
    pub fn start(verb: PageRequest, trouble: impl Fn(String) + Send + 'static) -> Result<Watching> {
        let hub = Arc::new(PageHub::default());
        let (orders, taken) = channel();
        let (shared, of_sealed) = (Arc::clone(&hub), verb.clone());
        let thread = std::thread::Builder::new()
            .name("lagtape-watch".to_owned())
            .spawn(move || follow(&shared, &of_sealed, &taken, &trouble))
            .context("cannot start a thread that reads the captures")?;
        let (orders, thread) = (Some(orders), Some(thread));
        Ok(Watching { hub, verb, paths: Arc::default(), orders, thread })
    }

    /// The sessions as they are shown.
    #[must_use]
    pub fn hub(&self) -> &Arc<PageHub> {
        &self.hub
    }

    /// Watches a further capture, from its beginning on.
    pub fn add(&self, path: &Path) {
        let session = self.hub.open();
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.push((session.number, path.to_owned()));
        if let Some(orders) = &self.orders {
            // The thread ends only with this.
            let _ = orders.send((path.to_owned(), session));
        }
    }

    /// Serves the page until `shutdown` resolves. Calls `listening` with the address.
    pub async fn serve(
        &self,
        listen: SocketAddr,
        shutdown: impl Future<Output = ()>,
        listening: impl FnOnce(SocketAddr),
    ) -> Result<()> {
        let listener = crate::edge::listen(listen).await?;
        let address = listener.local_addr()?;
        let shutdown = armed(shutdown).await;
        listening(address);
        let (paths, verb) = (Arc::clone(&self.paths), self.verb.clone());
        let save = move |number| in_words(saved(&path_of(&paths, number)?, &verb));
        let (paths, turned) = (Arc::clone(&self.paths), Turned::new(self.verb.clone()));
        let turn = move |number, knobs: &Map<String, Value>| {
            in_words(turned.turn(number, &path_of(&paths, number)?, knobs))
        };
        let server = PageServer {
            hub: Arc::clone(&self.hub),
            html: page::live_html(),
            save: Arc::new(save),
            turn: Arc::new(turn),
        };
        serve(listener, server, shutdown).await
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            let _ = thread.join();
        }
    }
}

/// Refuses what is no capture, as every verb does.
pub fn check_capture(path: &Path) -> Result<()> {
    let name = || format!("cannot watch {}", path.display());
    let first = files::open_capture(path)?.next_record().map(|record| record.is_some());
    match first.with_context(name)? {
        true => Ok(()),
        false => Err(anyhow!("it holds no record")).with_context(name),
    }
}

fn path_of(paths: &Paths, number: u64) -> Result<PathBuf, String> {
    let paths = paths.lock().unwrap_or_else(PoisonError::into_inner);
    let found = paths.iter().find(|(known, _)| *known == number);
    found.map(|(_, path)| path.clone()).ok_or_else(|| format!("there is no session {number}"))
}

fn in_words<T>(result: Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{error:#}"))
}

/// The same page as that of `report`.
fn saved(path: &Path, verb: &PageRequest) -> Result<SavedPage> {
    let (session, _) = page_session(path, verb)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(SavedPage { name: format!("{stem}.html"), html: page::html(&[session]) })
}

/// The life of the thread: reads on in all captures again and again.
fn follow(
    hub: &Arc<PageHub>,
    verb: &PageRequest,
    orders: &Receiver<(PathBuf, Arc<HubSession>)>,
    trouble: &impl Fn(String),
) {
    let clock = MonotonicClock::start();
    let mut followers: Vec<Follower> = Vec::new();
    let mut pause = LOOK_PERIOD;
    loop {
        match orders.recv_timeout(pause) {
            Ok((path, session)) => followers.push(Follower::new(path, session)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let began = clock.now();
        let mut is_new = false;
        let look = |follower: &mut Follower| match follower.look() {
            Ok(found) => {
                is_new |= found.is_new;
                found.is_over
            }
            Err(error) => {
                trouble(format!("{:#}", error.context(follower.name())));
                true
            }
        };
        for over in followers.extract_if(.., look) {
            over.seal(verb, hub);
        }
        if is_new {
            hub.changed();
        }
        let took = Duration::from_nanos(clock.now().0 - began.0);
        pause = LOOK_PERIOD.max(took * REST);
    }
}
