//! The signals that end a program, and those that must not end a recording.

use std::future::Future;

use crate::app::{Outcome, runtime};
use crate::edge::recorder::ManualTrigger;

/// Resolves at Ctrl-C, and on Unix at SIGTERM. A second signal ends the program at once, because the
/// orderly end waits for the disk and some disks never answer.
pub async fn stop_signal() {
    // A thread that begins to listen only after the first signal could miss one that follows at once.
    std::thread::spawn(|| {
        if let Ok(runtime) = runtime() {
            runtime.block_on(async {
                signalled().await;
                signalled().await;
            });
            std::process::exit(Outcome::Failed.code().into());
        }
    });
    signalled().await;
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

async fn signalled() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
fn terminated() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
fn terminated() -> impl Future<Output = ()> {
    std::future::pending()
}
