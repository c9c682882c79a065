//! `proxy`: records and watches every session between a client and its server.
//!
//! The proxy runs on a thread of its own, so a terminal that does not take what is printed delays
//! nothing.

mod display;
mod impairment;

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc;

use anyhow::{Context, Result, anyhow};

pub use self::display::ProxyDisplay;
pub use self::impairment::ImpairmentArgs;
use crate::app::{self, Outcome, ProxyVerb, run_server};
use crate::cli::keeping::KeepingArgs;
use crate::cli::signals::{stop_signal, take_signals};
use crate::cli::stderr::Stderr;
use crate::cli::values::parse_listen;
use crate::edge::proxy::{ProxyNotice, ServerTrust, SessionCaptures};
use crate::edge::recorder::ManualTrigger;

/// Notices that may wait to be printed; further ones are dropped.
const MAX_WAITING_NOTICES: usize = 4096;

/// A message from the thread of the proxy.
pub enum ProxyMessage {
    Listening(SocketAddr),
    Notice(ProxyNotice),
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape proxy --upstream ws://127.0.0.1:1318
  lagtape proxy --upstream 'wss://pod.example/ws?signature=…' -o tonight
  lagtape proxy --upstream ws://pod:1318 --down 200KB/s --after-ready
  lagtape proxy --upstream ws://pod:1318 --latency 40ms --stall down=6s:2s

Point the client at the address on the first line of stdout instead of the \
server. Pages and API of the server are there, too. Each WebSocket session \
becomes a capture in the folder. The proxy changes no byte, and what it cannot \
record it still forwards. Ctrl-C ends it.")]
pub struct ProxyArgs {
    /// The server: ws://, wss://, http:// or https://. A path or query in it is used for clients
    /// that ask for none of their own; it is never written down
    #[arg(long, value_name = "URL")]
    pub upstream: String,
    /// Where to listen, an address and a port or a port alone; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:13180", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// Folder of the captures
    #[arg(short, long, value_name = "DIR", default_value = "captures")]
    pub out: PathBuf,
    /// Only look on: no captures
    #[arg(long, conflicts_with = "out")]
    pub no_capture: bool,
    #[command(flatten)]
    pub trust: TrustArgs,
    /// One JSON object per line on stdout: sessions, how they are, lag
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub keeping: KeepingArgs,
    #[command(flatten)]
    pub impairment: ImpairmentArgs,
}

/// Which servers are believed.
#[derive(Debug, clap::Args)]
pub struct TrustArgs {
    /// Believe servers whose certificates these vouch for, in place of the machine's own
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,
    /// Believe any certificate
    #[arg(long)]
    pub insecure: bool,
}

impl TrustArgs {
    pub fn trust(&self, stderr: Stderr) -> ServerTrust {
        if self.insecure {
            stderr.complain(
                "--insecure: no certificate is checked; anybody on the way can pose as the server",
            );
        }
        match (&self.ca, self.insecure) {
            (Some(path), _) => ServerTrust::File(path.clone()),
            (None, true) => ServerTrust::Anybody,
            (None, false) => ServerTrust::System,
        }
    }
}

pub fn run(args: &ProxyArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let verb = ProxyVerb {
        upstream: args.upstream.clone(),
        trust: args.trust.trust(stderr),
        listen: args.listen,
        captures: (!args.no_capture).then(|| SessionCaptures {
            folder: args.out.clone(),
            layout: args.keeping.keeping(),
            sync: args.keeping.sync(),
        }),
        trigger: ManualTrigger::default(),
        impairment: args.impairment.impairment(),
    };
    let trigger = args.keeping.ring.is_some().then(|| verb.trigger.clone());
    let serving = Serving { verb, trigger, stop: Box::pin(stop_signal()) };
    serving.run(ProxyDisplay::new(args.json, stderr), stderr, &mut |_| (), out)
}

/// A proxy that is to run.
pub struct Serving {
    pub verb: ProxyVerb,
    /// What SIGUSR1 fires.
    pub trigger: Option<ManualTrigger>,
    /// What ends it.
    pub stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Serving {
    /// Serves to the end. `also` is shown everything that is displayed.
    pub fn run(
        self,
        mut display: ProxyDisplay,
        stderr: Stderr,
        also: &mut dyn FnMut(&ProxyMessage),
        out: &mut dyn Write,
    ) -> Result<Outcome> {
        let Serving { verb, trigger, stop } = self;
        if !verb.listen.ip().is_loopback() {
            stderr.complain(&format!(
                "{} is open to the network: whoever reaches it reaches the server through it",
                verb.listen
            ));
        }
        let (sender, messages) = mpsc::sync_channel(MAX_WAITING_NOTICES);
        let serving = std::thread::Builder::new()
            .name("lagtape-proxy".to_owned())
            .spawn(move || {
                let (address, notices) = (sender.clone(), sender);
                run_server(async {
                    take_signals(trigger);
                    app::proxy(
                        verb,
                        stop,
                        // The receiver is gone only when the program ends.
                        move |at| drop(address.try_send(ProxyMessage::Listening(at))),
                        move |notice| drop(notices.try_send(ProxyMessage::Notice(notice))),
                    )
                    .await
                })
            })
            .context("cannot start the proxy's thread")?;
        for message in messages {
            also(&message);
            // A reader that has closed stdout does not end the sessions of the clients.
            let _ = display.show(message, out);
        }
        serving.join().map_err(|_| anyhow!("the proxy has failed; this is a bug of lagtape"))??;
        Ok(display.outcome)
    }
}
