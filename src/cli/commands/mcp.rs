//! `mcp`: the server for agents, on stdio or HTTP.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::app::Outcome;
use crate::cli::signals::stop_signal;
use crate::cli::stderr::Stderr;
use crate::cli::values::parse_listen;
use crate::edge;
use crate::mcp::{self, HttpOptions, McpClient, McpOptions, Toolset};

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape mcp
  lagtape mcp --captures ~/captures --toolsets replay --read-only
  lagtape mcp --http 127.0.0.1:8973
  lagtape mcp --print-config claude-code

Without --http it speaks on stdin and stdout and ends with its input. Running \
captures are sealed at the end. A server that other machines reach needs a token \
in the environment variable LAGTAPE_MCP_TOKEN. docs/MCP.md says more.")]
pub struct McpArgs {
    /// A folder of captures; only files in such folders are read, and new ones go into the first
    #[arg(long, value_name = "DIR", default_value = "captures")]
    pub captures: Vec<PathBuf>,
    /// A host that live sessions may be had of, beside this machine; with :PORT only that port
    #[arg(long, value_name = "HOST")]
    pub allow_host: Vec<String>,
    /// Which tools to offer
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        value_delimiter = ',',
        default_value = "live,replay"
    )]
    pub toolsets: Vec<Toolset>,
    /// Offer only tools that change nothing
    #[arg(long)]
    pub read_only: bool,
    /// Serve streamable HTTP at http://ADDRESS/mcp instead; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", value_parser = parse_listen)]
    pub http: Option<SocketAddr>,
    /// A further name of this server, as clients write it in Host and Origin; with :PORT only that port
    #[arg(long, value_name = "NAME", requires = "http")]
    pub http_host: Vec<String>,
    /// Print what a client needs to start this server, and end
    #[arg(long, value_enum, value_name = "CLIENT", conflicts_with = "http")]
    pub print_config: Option<McpClient>,
}

/// The environment variable that holds the token. An argument would show it to every user of the
/// machine.
const TOKEN: &str = "LAGTAPE_MCP_TOKEN";

impl McpArgs {
    fn options(&self) -> McpOptions {
        McpOptions {
            captures: self.captures.clone(),
            allow_hosts: self.allow_host.clone(),
            toolsets: self.toolsets.clone(),
            read_only: self.read_only,
        }
    }

    /// These arguments as a client has to pass them, with absolute folders.
    fn words(&self) -> Result<Vec<String>> {
        let mut words = vec!["mcp".to_owned()];
        for folder in &self.captures {
            let folder = std::path::absolute(folder)?;
            words.extend(["--captures".to_owned(), folder.display().to_string()]);
        }
        for host in &self.allow_host {
            words.extend(["--allow-host".to_owned(), host.clone()]);
        }
        if let [only] = self.toolsets[..] {
            let name = match only {
                Toolset::Live => "live",
                Toolset::Replay => "replay",
            };
            words.extend(["--toolsets".to_owned(), name.to_owned()]);
        }
        if self.read_only {
            words.push("--read-only".to_owned());
        }
        Ok(words)
    }
}

pub fn run(args: &McpArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    if let Some(client) = args.print_config {
        let program = std::env::current_exe().context("cannot tell where lagtape lies")?;
        write!(out, "{}", mcp::client_config(client, &program, &args.words()?))?;
        return Ok(Outcome::Healthy);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    if args.http.is_none() && std::io::stdin().is_terminal() {
        stderr
            .say("this speaks MCP with a program, which --print-config configures; Ctrl-D ends it");
    }
    let served = match args.http {
        None => runtime.block_on(mcp::serve_stdio(&args.options(), stop_signal())),
        Some(address) => runtime.block_on(serve_http(args, address, stderr, out)),
    };
    // A read of stdin that never returns must not keep the process alive.
    runtime.shutdown_background();
    served.map(|()| Outcome::Healthy)
}

async fn serve_http(
    args: &McpArgs,
    address: SocketAddr,
    stderr: Stderr,
    out: &mut dyn Write,
) -> Result<()> {
    let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
    let http = HttpOptions { token, hosts: args.http_host.clone() };
    let listener = edge::listen(address).await?;
    let address = listener.local_addr()?;
    // Programs that start the server read the address from the first line.
    writeln!(out, "http://{address}/mcp").and_then(|()| out.flush())?;
    stderr.say("Ctrl-C ends it and seals running captures");
    mcp::serve_http(listener, &args.options(), http, stop_signal()).await
}
