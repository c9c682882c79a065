//! The full-screen view on a real terminal, which is as it was before when the view ends, however it does.
//!
//! It draws on stderr, so that stdout stays what programs read.

use std::future::Future;
use std::io::{self, IsTerminal, Stderr as StderrStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use tokio::sync::watch;

use super::screen::{ScreenView, draw};
use crate::edge::page_server::PageHub;
use crate::parse::Misuse;

/// Time between two drawings where nobody presses a key.
const REDRAW: Duration = Duration::from_millis(250);
/// What is seen of a session at first, and the shortest and longest of it, in seconds.
const SPAN_S: (f64, f64, f64) = (30.0, 5.0, 3600.0);

/// A view that runs until `q` is pressed or it is dropped.
pub struct TerminalView {
    left: watch::Receiver<bool>,
    end: Arc<Mutex<bool>>,
    hint: Arc<Mutex<String>>,
    thread: Option<JoinHandle<()>>,
}

/// The terminal while it is the view's.
struct Taken(Terminal<CrosstermBackend<StderrStream>>);

impl TerminalView {
    /// Takes the terminal and shows the sessions on it.
    pub fn start(hub: &Arc<PageHub>, hint: String) -> Result<TerminalView> {
        ensure!(
            io::stdin().is_terminal() && io::stderr().is_terminal(),
            Misuse::new("--tui needs a terminal to show and to type on; leave it out")
        );
        let mut taken = Taken::take().context("the terminal cannot be used")?;
        let (leave, left) = watch::channel(false);
        let (end, hint) = (Arc::new(Mutex::new(false)), Arc::new(Mutex::new(hint)));
        let (hub, shared) = (Arc::clone(hub), (Arc::clone(&end), Arc::clone(&hint)));
        let thread =
            std::thread::Builder::new().name("lagtape-screen".to_owned()).spawn(move || {
                // A terminal that fails has nobody to tell.
                let _ = show(&mut taken.0, &hub, &shared);
                drop(taken);
                leave.send_replace(true);
            });
        let thread = Some(thread.context("cannot start the view's thread")?);
        Ok(TerminalView { left, end, hint, thread })
    }

    /// Resolves when the person has left.
    pub fn left(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut left = self.left.clone();
        async move {
            // An error means that the thread is gone, and the view with it.
            let _ = left.wait_for(|left| *left).await;
        }
    }

    /// Adds something worth knowing to the last line.
    pub fn add_hint(&self, hint: &str) {
        let mut shown = self.hint.lock().unwrap_or_else(PoisonError::into_inner);
        shown.push_str(" · ");
        shown.push_str(hint);
    }
}

impl Drop for TerminalView {
    fn drop(&mut self) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = true;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            let _ = thread.join();
        }
    }
}

impl Taken {
    fn take() -> io::Result<Taken> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        enable_raw_mode()?;
        execute!(io::stderr(), EnterAlternateScreen, cursor::Hide)?;
        Terminal::new(CrosstermBackend::new(io::stderr())).map(Taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    // A terminal that is gone needs nothing back.
    let _ = execute!(io::stderr(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

/// Draws until the person leaves or the view is ended.
fn show(
    terminal: &mut Terminal<CrosstermBackend<StderrStream>>,
    hub: &PageHub,
    (end, hint): &(Arc<Mutex<bool>>, Arc<Mutex<String>>),
) -> io::Result<()> {
    let (mut span_s, mut chosen) = (SPAN_S.0, None);
    loop {
        if *end.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(());
        }
        let hint = hint.lock().unwrap_or_else(PoisonError::into_inner).clone();
        draw_once(terminal, hub, chosen, span_s, &hint)?;
        if !event::poll(REDRAW)? {
            continue;
        }
        let Event::Key(key) = event::read()? else { continue };
        let is_interrupt = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            _ if key.kind == KeyEventKind::Release => {}
            KeyCode::Char('c') if is_interrupt => return Ok(()),
            KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
            KeyCode::Tab => chosen = after(hub, chosen),
            KeyCode::Char('+') => span_s = (span_s * 2.0).min(SPAN_S.2),
            KeyCode::Char('-') => span_s = (span_s / 2.0).max(SPAN_S.1),
            _ => {}
        }
    }
}

/// The session after this one, by the hub's numbers; `None` is the newest.
fn after(hub: &PageHub, chosen: Option<u64>) -> Option<u64> {
    let numbers: Vec<_> = hub.sessions().iter().map(|session| session.number).collect();
    let at =
        chosen.map_or(numbers.len().checked_sub(1), |it| numbers.iter().position(|n| *n == it));
    let next = at.map_or(0, |at| at + 1);
    numbers.get(next).or(numbers.first()).copied()
}

fn draw_once(
    terminal: &mut Terminal<CrosstermBackend<StderrStream>>,
    hub: &PageHub,
    chosen: Option<u64>,
    span_s: f64,
    hint: &str,
) -> io::Result<()> {
    let sessions = hub.sessions();
    let at = sessions.iter().position(|session| Some(session.number) == chosen);
    let at = at.or(sessions.len().checked_sub(1));
    let page = at.map(|at| sessions[at].page());
    let tail = page.as_ref().and_then(|page| page.tail(span_s));
    let analysis = page.as_ref().and_then(|page| page.analysis());
    let view = ScreenView {
        place: (at.map_or(0, |at| at + 1), sessions.len()),
        is_live: page.as_ref().is_some_and(|page| page.is_live()),
        session: analysis.zip(tail.as_ref()),
        hint,
    };
    terminal.draw(|frame| draw(frame, &view))?;
    Ok(())
}
