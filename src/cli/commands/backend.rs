//! `backend`: simulated sessions on a real port.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, BackendPorts, BackendVerb, BusPort, Outcome, run_server};
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

The address stands on the first line of stdout, that of the side bus on the second. Ctrl-C ends it.

The side bus is a second port of DEMON's server, through which its own MCP server drives a session: \
GET /sessions, GET /sessions/ID, POST /sessions/ID/cmd. It is reached from this machine only.")]
pub struct BackendArgs {
    /// Where to listen, an address and a port or a port alone; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// The port of the side bus: the one after the server's unless given; 0 is any free one, off
    /// is none
    #[arg(long, value_name = "PORT", value_parser = parse_bus)]
    pub bus_port: Option<BusPort>,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Play an audio file in place of the built-in music
    #[arg(long, value_name = "FILE")]
    pub audio: Option<PathBuf>,
    /// Wait for PCM although a client asks for a session of text alone, as servers of June 2026 do
    #[arg(long)]
    pub needs_pcm: bool,
    /// List the incidents with what can be set
    #[arg(long)]
    pub list: bool,
}

impl BackendArgs {
    fn verb(&self) -> BackendVerb {
        BackendVerb {
            listen: self.listen,
            bus: self.bus_port.unwrap_or_default(),
            trouble: self.server.trouble(),
            seed: self.server.seed,
            loop_s: self.server.loop_s(),
            family: self.server.family,
            needs_pcm: self.needs_pcm,
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
    if let Err(error) = verb.trouble.check_family(verb.family) {
        stderr.say(&format!("{error}; lagtape backend --list has them all"));
        return Ok(Outcome::Usage);
    }
    if verb.trouble.needs_client() {
        stderr.say_lines(&format!(
            "{name} is partly the doing of a client, which yours may not do; for both sides:\n  \
             lagtape simulate --incident {name} -o {name}.lagtape",
            name = verb.trouble.name()
        ));
    }
    let serving = app::backend(
        verb,
        stop_signal(),
        |ports| announce(ports, stderr, out),
        move |notice| stderr.say(&notice.to_string()),
    );
    run_server(serving)?;
    Ok(Outcome::Healthy)
}

fn announce(
    BackendPorts { address, bus, taken }: BackendPorts,
    stderr: Stderr,
    out: &mut dyn Write,
) {
    // Programs that start the backend read the addresses from the first lines.
    let mut lines = format!("ws://{address}\n");
    if let Some(bus) = bus {
        lines.push_str(&format!("http://{bus}/sessions\n"));
    }
    let _ = write!(out, "{lines}").and_then(|()| out.flush());
    if let Some((taken, bus)) = taken.zip(bus) {
        let port = bus.port();
        stderr.say(&format!("port {taken} is taken; the side bus is on port {port} instead"));
    }
    if let Some(bus) = bus {
        stderr.say(&format!(
            "DEMON's own MCP server finds it with DEMON_PORT={} DEMON_CONTROL_PORT={}",
            address.port(),
            bus.port()
        ));
    }
    stderr.say(&format!("next: lagtape record ws://{address} --fixture {BUILT_IN} --for 30s"));
}

fn parse_bus(text: &str) -> Result<BusPort, String> {
    match text.trim() {
        "off" => Ok(BusPort::Off),
        port => port.parse().map(BusPort::Port).map_err(|_| "write a port, 0 or off".to_owned()),
    }
}
