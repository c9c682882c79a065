//! `proxy` at the command line.
//!
//! The proxy has a thread of its own: a terminal that does not take what is printed delays nothing.

mod args;
mod display;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc;

use anyhow::{Context, Result, anyhow};

use super::Talk;
use super::live::{runtime, stop_signal, take_signals};
use crate::app::{self, Outcome};
use crate::edge::proxy::ProxyNotice;
pub use args::ProxyArgs;
use display::Display;

/// Notices that may wait to be printed; beyond that they are left out.
const MAX_UNSAID: usize = 4096;

/// What the proxy's thread has to say.
enum Said {
    Listening(SocketAddr),
    Notice(ProxyNotice),
}

/// Runs `proxy`.
pub fn proxy(args: &ProxyArgs, talk: Talk, out: &mut dyn Write) -> Result<Outcome> {
    if args.insecure {
        talk.complain(
            "--insecure: no certificate is checked; anybody on the way can pose as the server",
        );
    }
    if !args.listen.ip().is_loopback() {
        talk.complain(&format!(
            "{} is open to the network: whoever reaches it reaches the server through it",
            args.listen
        ));
    }
    let (tell, told) = mpsc::sync_channel(MAX_UNSAID);
    let verb = args.verb();
    let trigger = args.keeping.ring.is_some().then(|| verb.trigger.clone());
    let serving = std::thread::Builder::new()
        .name("lagtape-proxy".to_owned())
        .spawn(move || {
            let (address, notices) = (tell.clone(), tell);
            runtime()?.block_on(async {
                take_signals(trigger);
                app::proxy(
                    verb,
                    stop_signal(),
                    // Nobody is left to hear only when the program ends.
                    move |at| drop(address.try_send(Said::Listening(at))),
                    move |notice| drop(notices.try_send(Said::Notice(notice))),
                )
                .await
            })
        })
        .context("cannot start the proxy's thread")?;
    let mut display = Display::new(args, talk);
    for said in told {
        // A reader that has left has seen enough; the clients have not.
        let _ = display.show(said, out);
    }
    serving.join().map_err(|_| anyhow!("the proxy has failed; this is a bug of lagtape"))??;
    Ok(display.outcome)
}
