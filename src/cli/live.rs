//! The live verbs at the command line: signals, the progress bar, and what is said at the end.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Talk;
use super::args::{BackendArgs, DemoArgs, RecordArgs};
use crate::app::{self, Outcome};
use crate::peer::client::Client;
use crate::peer::server::BUILT_IN;
use crate::report::text::{Bytes, Figure};
use crate::time::{Nanos, Span};

/// Runs `record`.
pub fn record(args: &RecordArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    let verb = args.verb();
    talk.say("this takes the server over from whoever is listening on it");
    let mut progress = Progress::new(verb.run_for);
    let session = runtime()?.block_on(app::record(verb, stop_signal(), |client, now| {
        progress.show(client, now);
    }));
    progress.clear();
    let session = session?;
    let outcome = match &session.failure {
        None => session.analysis.outcome(),
        Some(failure) => {
            talk.complain(failure);
            talk.say(&format!("what came until then is in {}", session.analysis.capture));
            Outcome::Failed
        }
    };
    super::unless_closed(super::print_analyses(&[session.analysis], args.json, out), outcome)
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
    let mut progress = Progress::new(Some(app::DEMO_LENGTH));
    let summary =
        runtime()?.block_on(app::demo(&args.out, |client, now| progress.show(client, now)));
    progress.clear();
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

/// The line on a terminal while a session is recorded; nothing where stderr is none.
struct Progress {
    bar: ProgressBar,
    run_for: Option<Span>,
    streaming: bool,
}

impl Progress {
    fn new(run_for: Option<Span>) -> Progress {
        let visible = std::io::stderr().is_terminal();
        let target = if visible {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(style(
            "waiting for the server's ready … {elapsed} (a cold engine can take minutes)",
        ));
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress { bar, run_for, streaming: false }
    }

    fn show(&mut self, client: &Client, now: Nanos) {
        let Some(origin) = client.engine().origin() else { return };
        let played_s = now.seconds_since(origin);
        if !self.streaming {
            self.streaming = true;
            self.bar.set_style(style(match self.run_for {
                // A line of 80 columns holds it all; what is wider is cut and never wraps.
                Some(_) => "recording {bar:12} {wide_msg}",
                None => "recording {wide_msg}",
            }));
            self.bar.set_length(self.run_for.map_or(0, |run_for| run_for.0 / 1_000_000));
        }
        self.bar.set_position((played_s * 1e3) as u64);
        self.bar.set_message(self.line(client, played_s));
    }

    fn line(&self, client: &Client, played_s: f64) -> String {
        let facts = client.engine().facts();
        let played = match self.run_for {
            Some(run_for) => format!("{} s of {} s", Figure(played_s), Figure(run_for.seconds())),
            None => format!("{} s, Ctrl-C stops", Figure(played_s)),
        };
        let slices =
            client.engine().epochs().last().and_then(|epoch| epoch.tracker.slices().next_back());
        let lead =
            slices.map_or("none yet".to_owned(), |slice| format!("{} s", Figure(slice.lead_s)));
        let per_s = |count: u64| if played_s > 0.0 { (count as f64 / played_s) as u64 } else { 0 };
        format!(
            "{played}  lead {lead}  {} slices/s  {}/s",
            per_s(facts.slices),
            Bytes(per_s(facts.slice_bytes))
        )
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
