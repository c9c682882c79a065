//! The signals that end a program, and those that must not end a recording.

use std::sync::mpsc;

use crate::app::{Outcome, runtime};
use crate::edge::recorder::ManualTrigger;

/// Resolves at Ctrl-C, and on Unix at SIGTERM. A second signal ends the program at once, because the
/// orderly end waits for the disk and some disks never answer.
pub async fn stop_signal() {
    let mut signals = StopSignals::listen();
    let (listening, is_listening) = mpsc::channel();
    std::thread::spawn(move || {
        if let Ok(runtime) = runtime() {
            runtime.block_on(async {
                let mut signals = StopSignals::listen();
                let _ = listening.send(());
                signals.next().await;
                signals.next().await;
            });
            std::process::exit(Outcome::Failed.code().into());
        }
    });
    // What comes before the thread listens would not be counted there. A thread that cannot listen says so by
    // ending.
    let _ = is_listening.recv();
    signals.next().await;
}

/// Handles the signals that would otherwise end a recording: SIGXFSZ, because a file size limit is
/// only a full disk, and SIGUSR1, which makes an incident recorder write its ring.
#[cfg(unix)]
pub fn take_signals(trigger: Option<ManualTrigger>) {
    use tokio::signal::unix::{SignalKind, signal};
    /// On Linux, the BSDs and macOS alike, on all but a few rare processors.
    const SIGXFSZ: i32 = 25;
    // A signal that has a handler does not kill; the write that failed reports the reason.
    drop(signal(SignalKind::from_raw(SIGXFSZ)));
    let Some(trigger) = trigger else { return };
    if let Ok(mut signals) = signal(SignalKind::user_defined1()) {
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                trigger.fire();
            }
        });
    }
}

#[cfg(not(unix))]
pub fn take_signals(_: Option<ManualTrigger>) {}

/// The signals that stop a program, from the moment of listening on: one that comes while nobody waits for it
/// is the next one.
struct StopSignals {
    /// Ctrl-C; `None` where the system gives no such signal.
    interrupt: Option<Interrupt>,
    #[cfg(unix)]
    terminate: Option<Interrupt>,
}

#[cfg(unix)]
type Interrupt = tokio::signal::unix::Signal;
#[cfg(not(unix))]
type Interrupt = tokio::signal::windows::CtrlC;

impl StopSignals {
    #[cfg(unix)]
    fn listen() -> StopSignals {
        use tokio::signal::unix::{SignalKind, signal};
        StopSignals {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
        }
    }

    #[cfg(not(unix))]
    fn listen() -> StopSignals {
        StopSignals { interrupt: tokio::signal::windows::ctrl_c().ok() }
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            () = received(&mut self.interrupt) => {}
            () = received(&mut self.terminate) => {}
        }
        #[cfg(not(unix))]
        received(&mut self.interrupt).await;
    }
}

async fn received(signal: &mut Option<Interrupt>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
