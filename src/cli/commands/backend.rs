//! `backend`: simulated sessions on a real port.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, BackendVerb, Outcome, runtime};
use crate::cli::server_args::{ServerArgs, list_incidents};
use crate::cli::signals::stop_signal;
use crate::cli::stderr::Stderr;
use crate::cli::values::parse_listen;
use crate::peer::server::BUILT_IN;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape backend
  lagtape backend --listen 127.0.0.1:1318 --incident stall:at=10
  lagtape backend --audio song.flac --incident thin-link:down=200KB/s

The address stands on the first line of stdout. Ctrl-C ends it.")]
pub struct BackendArgs {
    /// Where to listen, an address and a port or a port alone; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = parse_listen)]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Play an audio file in place of the built-in music
    #[arg(long, value_name = "FILE")]
    pub audio: Option<PathBuf>,
    /// List the incidents with what can be set
    #[arg(long)]
    pub list: bool,
}

impl BackendArgs {
    fn verb(&self) -> BackendVerb {
        BackendVerb {
            listen: self.listen,
            trouble: self.server.incident.clone(),
            seed: self.server.seed,
            loop_s: self.server.loop_length.seconds(),
            channels: self.server.channels,
            audio: self.audio.clone(),
        }
    }
}

pub fn run(args: &BackendArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    if args.list {
        return list_incidents(out);
    }
    let verb = args.verb();
    if verb.trouble.needs_client() {
        stderr.say_lines(&format!(
            "{name} is partly the doing of a client, which yours may not do; for both sides:\n  \
             lagtape simulate --incident {name} -o {name}.lagtape",
            name = verb.trouble.incident.name
        ));
    }
    let serving = app::backend(
        verb,
        stop_signal(),
        |address| {
            // Programs that start the backend read the address from the first line.
            let _ = writeln!(out, "ws://{address}").and_then(|()| out.flush());
            stderr.say(&format!(
                "next: lagtape record ws://{address} --fixture {BUILT_IN} --for 30s"
            ));
        },
        move |notice| stderr.say(&notice.to_string()),
    );
    runtime()?.block_on(serving)?;
    Ok(Outcome::Healthy)
}
