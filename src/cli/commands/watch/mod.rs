//! `watch`: sessions on a live page.
//!
//! What is watched runs on the main thread as its own verb runs it; the page has a thread of its own, and
//! so has what reads the captures.

mod screen;
mod terminal;

use std::future::Future;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use tokio::sync::oneshot;

use self::terminal::TerminalView;
use crate::app::{self, Outcome, ProxyVerb, RecordVerb, Watching, run_server, runtime};
use crate::cli::browser;
use crate::cli::commands::proxy::{self, ImpairmentArgs, ProxyDisplay, ProxyMessage, TrustArgs};
use crate::cli::commands::record::ClientArgs;
use crate::cli::keeping::KeepingArgs;
use crate::cli::recorded::print_recorded;
use crate::cli::recording_display::RecordingDisplay;
use crate::cli::signals::{stop_signal, take_signals};
use crate::cli::stderr::Stderr;
use crate::cli::values::parse_listen;
use crate::cli::wording::FLAGS;
use crate::edge::output::is_dash;
use crate::edge::proxy::{ProxyNotice, SessionCaptures};
use crate::edge::record::RecordingWatch;
use crate::edge::recorder::{FileLayout, ManualTrigger, RecorderOptions, default_path};
use crate::parse::Misuse;
use crate::peer::client::Client;
use crate::review::{PageRequest, TunnelRuns};
use crate::time::Nanos;

/// Where `proxy` listens too, if nothing else is said.
const PROXY_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 13180);

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape watch captures/live.lagtape --open
  lagtape watch ws://127.0.0.1:1318 --fixture lofi.wav -o x.lagtape
  lagtape watch --proxy ws://pod:1318 -o tonight
  lagtape watch --proxy ws://pod:1318 --down 200KB/s --after-ready
  lagtape watch --proxy ws://pod:1318 --ring 60s -o incidents

The page is at the address on the first line of stdout, for this machine alone. It shows what \
lagtape report shows of the capture up to now, a tab for each session; with --split for each part, with \
--ring for each incident. Who comes late sees the past, too. Ctrl-C ends the page, and with it the recording, whose capture is then complete.")]
pub struct WatchArgs {
    /// A capture, which may still be written by somebody else, or a server, ws:// or wss://, which
    /// is recorded as record does
    #[arg(value_name = "FILE|URL", required_unless_present = "proxy",
        conflicts_with_all = ["TrustArgs", "ImpairmentArgs"])]
    pub source: Option<PathBuf>,
    /// Watch the sessions of any client from in between, as proxy does: the server
    #[arg(long, value_name = "URL", conflicts_with_all = ["source", "force"])]
    pub proxy: Option<String>,
    /// Where the proxy listens, an address and a port or a port alone; port 0 is any free one;
    /// 127.0.0.1:13180 by default
    #[arg(long, value_name = "ADDRESS", value_parser = parse_listen)]
    pub proxy_listen: Option<SocketAddr>,
    /// Where the page is, an address and a port or a port alone; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// Show the page in the browser
    #[arg(long)]
    pub open: bool,
    /// Show the newest session on this terminal, too: verdict, findings, lead, age, events; q leaves
    #[arg(long)]
    pub tui: bool,
    /// The capture to write, <UTC>.lagtape by default, or the folder of those of the proxy
    #[arg(short, long, value_name = "FILE|DIR")]
    pub out: Option<PathBuf>,
    /// The folder of captures that --out does not name
    #[arg(long, value_name = "DIR", default_value = "captures")]
    pub captures: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub keeping: KeepingArgs,
    #[command(flatten, next_help_heading = "With a server")]
    pub client: ClientArgs,
    #[command(flatten, next_help_heading = "With --proxy")]
    pub trust: TrustArgs,
    #[command(flatten, next_help_heading = "With --proxy")]
    pub impairment: ImpairmentArgs,
}

/// What is watched.
enum WatchSource<'a> {
    File(&'a PathBuf),
    Server(String),
    Proxy(&'a str),
}

impl WatchArgs {
    fn source(&self) -> Result<WatchSource<'_>> {
        let Some(source) = &self.source else {
            if self.client.asks_for_anything() {
                return Err(Misuse::new(
                    "with --proxy other clients connect, so this one is told nothing; leave out what it is told",
                )
                .into());
            }
            return Ok(WatchSource::Proxy(self.proxy.as_deref().unwrap_or_default()));
        };
        if self.proxy_listen.is_some() {
            return Err(Misuse::new("--proxy-listen is said with --proxy alone").into());
        }
        if let Some(url) = source.to_str().filter(|text| text.contains("://")) {
            return Ok(WatchSource::Server(url.to_owned()));
        }
        let is_kept = self.keeping.asks_for_anything();
        if self.out.is_some() || is_kept || self.client.asks_for_anything() {
            return Err(Misuse(format!(
                "{} is a file, so nothing is recorded; name a server, ws://host:port, or leave out what a \
                 recording is told",
                source.display()
            ))
            .into());
        }
        if is_dash(source) {
            return Err(
                Misuse::new("what comes through stdin has no name to watch; name a file").into()
            );
        }
        Ok(WatchSource::File(source))
    }
}

pub fn run(args: &WatchArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let source = args.source()?;
    if let WatchSource::File(path) = source {
        app::check_capture(path)?;
    }
    // As `report` has it.
    let verb =
        PageRequest { tunnel: TunnelRuns::Affordable, wording: FLAGS, ..PageRequest::default() };
    let watching = Arc::new(Watching::start(verb, move |sentence| stderr.complain(&sentence))?);
    let (page, url) = Page::serve(args, &watching, stderr, out)?;
    if !args.tui {
        if !args.open {
            stderr.say(&format!("next: open {url} in a browser"));
        }
        let outcome = watch(args, source, &watching, None, stderr, out);
        return page.end().and(outcome);
    }
    let view = TerminalView::start(watching.hub(), url)?;
    stderr.keep();
    let mut said = Vec::new();
    let outcome = watch(args, source, &watching, Some(&view), stderr, &mut said);
    let ended = page.end();
    drop(view);
    stderr.release();
    out.write_all(&said)?;
    ended.and(outcome)
}

/// Watches until a signal or the person on the terminal ends it.
fn watch(
    args: &WatchArgs,
    source: WatchSource<'_>,
    watching: &Watching,
    view: Option<&TerminalView>,
    stderr: Stderr,
    out: &mut dyn Write,
) -> Result<Outcome> {
    match source {
        WatchSource::File(path) => {
            watching.add(path);
            runtime()?.block_on(stop(view));
            Ok(Outcome::Healthy)
        }
        WatchSource::Server(url) => record(args, url, watching, view, stderr, out),
        WatchSource::Proxy(upstream) => between(args, upstream, watching, view, stderr, out),
    }
}

/// Resolves at a signal, or when the person on the terminal leaves.
fn stop(view: Option<&TerminalView>) -> impl Future<Output = ()> + Send + use<> {
    let left = view.map(TerminalView::left);
    async move {
        tokio::select! {
            () = stop_signal() => {}
            () = async {
                match left {
                    Some(left) => left.await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}

/// The page on a thread of its own.
struct Page {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Page {
    /// Serves it, and says where.
    fn serve(
        args: &WatchArgs,
        watching: &Arc<Watching>,
        stderr: Stderr,
        out: &mut dyn Write,
    ) -> Result<(Page, String)> {
        if !args.listen.ip().is_loopback() {
            stderr.complain(&format!(
                "{} is open to the network: whoever reaches it sees the sessions, prompts too",
                args.listen
            ));
        }
        let (stop, stopped) = oneshot::channel();
        let (tell, address) = mpsc::sync_channel(1);
        let (watching, listen) = (Arc::clone(watching), args.listen);
        let serving = move || {
            let stopped = async { drop(stopped.await) };
            let listening = move |at| {
                // Nobody waits any more only where the program ends.
                let _ = tell.send(at);
            };
            run_server(watching.serve(listen, stopped, listening))
        };
        let thread = std::thread::Builder::new().name("lagtape-page".to_owned()).spawn(serving);
        let page = Page { stop, thread: thread.context("cannot start the page's thread")? };
        let Ok(address) = address.recv() else {
            page.end()?;
            return Err(anyhow!("the page ended before it began"));
        };
        let url = format!("http://{address}/");
        writeln!(out, "{url}")?;
        out.flush()?;
        if let Some(Err(error)) = args.open.then(|| browser::show(url.as_ref())) {
            stderr.complain(&format!("{error:#}"));
        }
        Ok((page, url))
    }

    fn end(self) -> Result<()> {
        // The server may have ended by itself.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| anyhow!("the page has failed; this is a bug of lagtape"))?
    }
}

/// A recording on stderr and on the page.
struct ShownRecording<'a> {
    display: &'a mut RecordingDisplay,
    watching: &'a Watching,
    /// The file that it begins with, if it does, until the page has it.
    first: Option<PathBuf>,
}

impl RecordingWatch for ShownRecording<'_> {
    fn connecting(&mut self) {
        self.display.connecting();
    }

    fn see(&mut self, client: &Client, now: Nanos) {
        // The capture is there from the first call on.
        if let Some(first) = self.first.take() {
            self.watching.add(&first);
        }
        self.display.see(client, now);
        self.display.begun().iter().for_each(|begun| self.watching.add(begun));
    }
}

/// Records a server, as `record` does, and shows it.
fn record(
    args: &WatchArgs,
    url: String,
    watching: &Watching,
    view: Option<&TerminalView>,
    stderr: Stderr,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let layout = args.keeping.keeping();
    let path = args.out.clone().map_or_else(|| default_path(&args.captures, &layout), Ok)?;
    let first = RecorderOptions { layout: layout.clone(), ..RecorderOptions::new(&path) }.first();
    let (notices, received) = mpsc::channel();
    let verb = RecordVerb {
        out: Some(path),
        force: args.force,
        sync: args.keeping.sync(),
        keeping: layout,
        notices: Some(notices),
        ..args.client.verb(url)
    };
    let trigger = matches!(verb.keeping, FileLayout::Ring(_)).then(|| verb.trigger.clone());
    let mut display = RecordingDisplay::new(stderr, verb.run_for).with_notices(received, None);
    let shown = ShownRecording { display: &mut display, watching, first };
    let mut is_stopped = false;
    let runtime = runtime()?;
    let session = runtime.block_on(async {
        take_signals(trigger);
        let stop = async {
            stop(view).await;
            is_stopped = true;
        };
        app::record(verb, stop, shown).await
    });
    display.end();
    let session = session?;
    let outcome = print_recorded(&session, false, stderr, out)?;
    out.flush()?;
    if !is_stopped && session.analysis.lag.is_some() {
        stderr.say("the session is over; its page stays until Ctrl-C");
        runtime.block_on(stop(view));
    }
    Ok(outcome)
}

/// Stands between clients and a server, as `proxy` does, and shows every session.
fn between(
    args: &WatchArgs,
    upstream: &str,
    watching: &Watching,
    view: Option<&TerminalView>,
    stderr: Stderr,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let folder = args.out.clone().unwrap_or_else(|| args.captures.clone());
    let verb = ProxyVerb {
        upstream: upstream.to_owned(),
        trust: args.trust.trust(stderr),
        listen: args.proxy_listen.unwrap_or(PROXY_LISTEN),
        captures: Some(SessionCaptures {
            folder,
            layout: args.keeping.keeping(),
            sync: args.keeping.sync(),
        }),
        trigger: ManualTrigger::default(),
        impairment: args.impairment.impairment(),
    };
    let mut also = |message: &ProxyMessage| match message {
        ProxyMessage::Notice(
            ProxyNotice::Recording { first: Some(file), .. }
            | ProxyNotice::Recorder { begun: Some(file), .. },
        ) => watching.add(file),
        ProxyMessage::Notice(_) => {}
        ProxyMessage::Listening(address) => {
            if let Some(view) = view {
                view.add_hint(&format!("clients connect to ws://{address}"));
            }
        }
    };
    let trigger = args.keeping.ring.is_some().then(|| verb.trigger.clone());
    let serving = proxy::Serving { verb, trigger, stop: Box::pin(stop(view)) };
    serving.run(ProxyDisplay::new(false, stderr), stderr, &mut also, out)
}
