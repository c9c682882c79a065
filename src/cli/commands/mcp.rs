//! `mcp`: the server for agents, on stdio or HTTP.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::app::Outcome;
use crate::cli::settings::user_folder;
use crate::cli::signals::stop_signal;
use crate::cli::stderr::Stderr;
use crate::cli::values::parse_listen;
use crate::edge::{self, files, output};
use crate::mcp::{self, ClientFolders, HttpOptions, McpClient, McpOptions, Toolset};

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape mcp
  lagtape mcp --captures ~/captures --toolsets replay --read-only
  lagtape mcp --http 127.0.0.1:8973
  lagtape mcp install claude-code
  lagtape mcp --print-config claude-code

Without --http it speaks on stdin and stdout and ends with its input. Running \
captures are sealed at the end. A server that other machines reach needs a token \
in the environment variable LAGTAPE_MCP_TOKEN. docs/MCP.md says more.")]
#[command(args_conflicts_with_subcommands = true)]
pub struct McpArgs {
    #[command(subcommand)]
    verb: Option<McpVerb>,
    #[command(flatten)]
    offer: OfferArgs,
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

#[derive(Debug, clap::Subcommand)]
enum McpVerb {
    /// Enter this server into a client's configuration; shows the change, and makes it with --write
    Install(InstallArgs),
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape mcp install cursor
  lagtape mcp install cursor --write
  lagtape mcp install claude-code --captures ~/captures --read-only --write

Shows what would be written, and where. Everything else in the file stays.")]
struct InstallArgs {
    /// The client
    #[arg(value_enum)]
    client: McpClient,
    #[command(flatten)]
    offer: OfferArgs,
    /// Write it
    #[arg(long)]
    write: bool,
    /// The client's file, where it is not the usual one
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What the server offers.
#[derive(Debug, clap::Args)]
struct OfferArgs {
    /// A folder of captures; only files in such folders are read, and new ones go into the first
    #[arg(long, value_name = "DIR", default_value = "captures")]
    captures: Vec<PathBuf>,
    /// A host that live sessions may be had of, beside this machine; with :PORT only that port
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// Which tools to offer
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        value_delimiter = ',',
        default_value = "live,replay"
    )]
    toolsets: Vec<Toolset>,
    /// Offer only tools that change nothing
    #[arg(long)]
    read_only: bool,
}

/// Longest configuration of a client that is read.
const MAX_CONFIG_LEN: usize = 8 << 20;
/// The environment variable that holds the token. An argument would show it to every user of the
/// machine.
const TOKEN: &str = "LAGTAPE_MCP_TOKEN";

impl OfferArgs {
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
    if let Some(McpVerb::Install(args)) = &args.verb {
        return install(args, stderr, out);
    }
    if let Some(client) = args.print_config {
        write!(out, "{}", mcp::client_config(client, &program()?, &args.offer.words()?))?;
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
        None => runtime.block_on(mcp::serve_stdio(&args.offer.options(), stop_signal())),
        Some(address) => runtime.block_on(serve_http(args, address, stderr, out)),
    };
    // A read of stdin that never returns must not keep the process alive.
    runtime.shutdown_background();
    served.map(|()| Outcome::Healthy)
}

fn program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot tell where lagtape lies")
}

fn install(args: &InstallArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => mcp::config_file(args.client, &client_folders()?),
    };
    let name = file.display();
    let before = match file.try_exists()? {
        true => files::read_text(&file, MAX_CONFIG_LEN)?,
        false => String::new(),
    };
    let (program, words) = (program()?, args.offer.words()?);
    let after = match mcp::installed(args.client, &before, &program, &words) {
        Ok(after) => after,
        Err(error) => {
            write!(out, "{}", mcp::client_config(args.client, &program, &words))?;
            bail!("{name} is left as it is: {error:#}; put what is printed above into it by hand");
        }
    };
    if !args.write {
        write!(out, "{after}")?;
        stderr.say(&format!("{name} would hold this; --write makes it so"));
        return Ok(Outcome::Healthy);
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    output::write(&file, after.as_bytes(), true)?;
    stderr.say(&format!("{name} starts lagtape now; restart the client"));
    Ok(Outcome::Healthy)
}

/// The folders of this person on this system.
fn client_folders() -> Result<ClientFolders> {
    let home = std::env::home_dir().context("there is no home folder; say --file")?;
    let settings = user_folder().context("there is no folder of settings; say --file")?;
    let project = std::env::current_dir().context("cannot tell the present folder")?;
    Ok(ClientFolders { project, home, settings })
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
    mcp::serve_http(listener, &args.offer.options(), http, stop_signal()).await
}
