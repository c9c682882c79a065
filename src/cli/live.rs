//! The live verbs at the command line: signals, and what is said at the end.

use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Talk;
use super::args::{BackendArgs, DemoArgs, RecordArgs};
use super::display::Display;
use crate::app::{self, Outcome, RecordVerb, RecordedSession};
use crate::edge::recorder::{FileLayout, ManualTrigger, RecorderStatus};
use crate::peer::server::BUILT_IN;
use crate::report::{Analysis, text};

/// Runs `record`.
pub fn record(args: &RecordArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let (notices, heard) = mpsc::channel();
    let verb = RecordVerb { notices: Some(notices), ..args.verb() };
    let trigger = matches!(verb.keeping, FileLayout::Ring(_)).then(|| verb.trigger.clone());
    talk.say("this takes the server over from whoever is listening on it");
    let mut display = Display::new(talk, verb.run_for).hearing(heard, args.status_every);
    let session = runtime()?.block_on(async {
        take_signals(trigger);
        app::record(verb, stop_signal(), |client, now| display.show(client, now)).await
    });
    display.end();
    tell(&session?, args.json, talk, out)
}

/// Prints what was recorded, and says why if it is not all.
pub fn tell(
    session: &RecordedSession,
    json: bool,
    talk: Talk,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let outcome = match &session.failure {
        None => session.analysis.outcome(),
        Some(failure) => {
            talk.complain(failure);
            Outcome::Failed
        }
    };
    if session.files.is_empty() {
        talk.say("nothing happened that would have been worth a file");
    }
    super::unless_closed(print_session(session, json, out), outcome)
}

fn print_session(session: &RecordedSession, json: bool, out: &mut dyn Write) -> Result<()> {
    /// The report as `analyze --json` prints it, and what became of the recording.
    #[derive(Serialize)]
    struct Printed<'a> {
        #[serde(flatten)]
        analysis: &'a Analysis,
        recording: Recording<'a>,
    }
    #[derive(Serialize)]
    struct Recording<'a> {
        #[serde(flatten)]
        status: &'a RecorderStatus,
        files: &'a [PathBuf],
    }
    if json {
        let recording = Recording { status: &session.status, files: &session.files };
        return super::json_line(out, &Printed { analysis: &session.analysis, recording });
    }
    let report = text::analysis(&session.analysis, &session.next_commands());
    Ok(write!(out, "{report}")?)
}

/// Runs `backend`.
pub fn backend(args: &BackendArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    if args.list {
        return super::list_incidents(out);
    }
    let verb = args.verb();
    if verb.trouble.needs_client() {
        talk.say(&format!(
            "{name} is partly the doing of a client, which yours may not do; for both sides:\n  \
             lagtape simulate --incident {name} -o {name}.lagtape",
            name = verb.trouble.incident.name
        ));
    }
    let serving = app::backend(
        verb,
        stop_signal(),
        |address| {
            // Whoever started the backend reads the address from the first line.
            let _ = writeln!(out, "ws://{address}").and_then(|()| out.flush());
            talk.say(&format!(
                "next: lagtape record ws://{address} --fixture {BUILT_IN} --for 30s"
            ));
        },
        move |notice| talk.say(&notice.to_string()),
    );
    runtime()?.block_on(serving)?;
    Ok(Outcome::Healthy)
}

/// Runs `demo`.
pub fn demo(args: &DemoArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    talk.say(
        "a simulated server with a stall and a spell of late slices, recorded over a real WebSocket",
    );
    let mut display = Display::new(talk, Some(app::DEMO_LENGTH));
    let summary =
        runtime()?.block_on(app::demo(&args.out, |client, now| display.show(client, now)));
    display.end();
    let summary = summary?;
    write!(out, "{}", summary.report)?;
    let files: Vec<_> = summary.files.iter().map(|file| file.display().to_string()).collect();
    talk.say(&format!("wrote {}", files.join(", ")));
    if !summary.proven {
        talk.complain(
            "the live report and the one of the capture differ; this is a bug of lagtape",
        );
        return Ok(Outcome::Failed);
    }
    writeln!(
        out,
        "\nlive = offline: the live engine and the replay of the capture report the same {} bytes",
        summary.compared_bytes
    )?;
    Ok(Outcome::Healthy)
}

/// A runtime for one session: its tasks share one thread.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")
}

/// Resolves at Ctrl-C, or SIGTERM where there is such a thing. A second one ends the program at
/// once: the orderly end waits for the disk, and some disks never answer.
pub async fn stop_signal() {
    signalled().await;
    std::thread::spawn(|| {
        if let Ok(runtime) = runtime() {
            runtime.block_on(signalled());
            std::process::exit(Outcome::Failed.code().into());
        }
    });
}

/// Sees to the signals that would otherwise end a recording: a file size limit, which is a disk
/// like any other that is full, and SIGUSR1, which makes an incident recorder write a file.
#[cfg(unix)]
pub fn take_signals(trigger: Option<ManualTrigger>) {
    use tokio::signal::unix::{SignalKind, signal};
    /// On Linux, the BSDs and macOS alike, on all but a few rare processors.
    const SIGXFSZ: i32 = 25;
    // Once it is listened to, it does nothing any more; the write says what is wrong.
    drop(signal(SignalKind::from_raw(SIGXFSZ)));
    let Some(trigger) = trigger else { return };
    if let Ok(mut asked) = signal(SignalKind::user_defined1()) {
        tokio::spawn(async move {
            while asked.recv().await.is_some() {
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
