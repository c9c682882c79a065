//! What can stand in between: nothing, a splice, lagtape, and what else there is.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use lagtape::edge::proxy::{self, ProxyOptions, ServerTrust, SessionCaptures, Upstream};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// How long a relay may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// A relay that runs until this is dropped.
pub struct Relay {
    pub address: SocketAddr,
    child: Option<Child>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a server for a variant, and what stands before it.
type Start = Box<dyn FnOnce() -> Started>;
type Started = Result<(TcpListener, Option<Relay>)>;

/// All variants, by name, with what starts them.
pub fn all(folder: &Path) -> Vec<(&'static str, Start)> {
    let program = |variable: &str, name: &str| std::env::var(variable).unwrap_or(name.to_owned());
    let python = program("LAGTAPE_PYTHON", "python3");
    let mitmdump = program("LAGTAPE_MITMDUMP", "mitmdump");
    let folder = folder.to_owned();
    let again = folder.clone();
    vec![
        ("direct", Box::new(|| Ok((listener()?, None)))),
        ("splice", Box::new(|| here(|from, to| Box::pin(splice(from, to))))),
        (
            "lagtape, recording",
            Box::new(|| here(|from, to| Box::pin(lagtape(from, to, Some(folder))))),
        ),
        (
            "lagtape, forwarding only",
            Box::new(|| here(|from, to| Box::pin(lagtape(from, to, None)))),
        ),
        ("tokio-tungstenite", Box::new(|| here(|from, to| Box::pin(frames(from, to))))),
        ("Python websockets", Box::new(move || in_python(&python))),
        ("mitmproxy", Box::new(move || in_mitmproxy(&mitmdump, &again))),
    ]
}

fn listener() -> Result<TcpListener> {
    Ok(TcpListener::bind("127.0.0.1:0")?)
}

type Serving = std::pin::Pin<Box<dyn Future<Output = Result<()>>>>;

/// A relay on a thread of this process.
fn here(
    serve: impl FnOnce(tokio::net::TcpListener, SocketAddr) -> Serving + Send + 'static,
) -> Started {
    let server = listener()?;
    let to = server.local_addr()?;
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let from = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            tell.send(from.local_addr()?)?;
            serve(from, to).await
        })
    });
    let address = told.recv_timeout(PATIENCE).context("the relay did not start")?;
    Ok((server, Some(Relay { address, child: None })))
}

/// As little as a relay can do.
async fn splice(from: tokio::net::TcpListener, to: SocketAddr) -> Result<()> {
    let (mut client, _) = from.accept().await?;
    let mut server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn lagtape(
    from: tokio::net::TcpListener,
    to: SocketAddr,
    captures: Option<PathBuf>,
) -> Result<()> {
    let upstream = Upstream::parse(&format!("ws://{to}"), &ServerTrust::System)?;
    let (observe, captures) = (captures.is_some(), captures.map(SessionCaptures::into));
    let options = ProxyOptions { observe, captures, ..ProxyOptions::default() };
    proxy::serve(from, upstream, options, std::future::pending()).await
}

/// A relay that reads messages and writes them again.
async fn frames(from: tokio::net::TcpListener, to: SocketAddr) -> Result<()> {
    let config = WebSocketConfig::default().write_buffer_size(0);
    let (client, _) = from.accept().await?;
    client.set_nodelay(true)?;
    let client = tokio_tungstenite::accept_async_with_config(client, Some(config)).await?;
    let url = format!("ws://{to}/");
    let connected = tokio_tungstenite::connect_async_with_config(url, Some(config), true).await?;
    let ((to_client, from_client), (to_server, from_server)) =
        (client.split(), connected.0.split());
    tokio::try_join!(from_client.forward(to_server), from_server.forward(to_client))?;
    Ok(())
}

fn in_python(python: &str) -> Started {
    let server = listener()?;
    let mut child = Command::new(python)
        .args(["-c", include_str!("../peers/relay.py"), &format!("ws://{}", server.local_addr()?)])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {python}"))?;
    let said = child.stdout.take().context("it has no output")?;
    let mut port = String::new();
    BufReader::new(said).read_line(&mut port)?;
    let relay =
        |port| Relay { address: SocketAddr::from(([127, 0, 0, 1], port)), child: Some(child) };
    let port = port.trim().parse().context("it needs: pip install websockets")?;
    Ok((server, Some(relay(port))))
}

fn in_mitmproxy(mitmdump: &str, folder: &Path) -> Started {
    let server = listener()?;
    // It cannot say which port it took, so one that was free a moment ago has to do.
    let address = listener()?.local_addr()?;
    let child = Command::new(mitmdump)
        .args(["--quiet", "--mode", &format!("reverse:http://{}", server.local_addr()?)])
        .args(["--listen-host", "127.0.0.1", "--listen-port", &address.port().to_string()])
        .args(["--set", &format!("confdir={}", folder.display())])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {mitmdump}"))?;
    let relay = Relay { address, child: Some(child) };
    let deadline = super::ends::now() + PATIENCE;
    while std::net::TcpStream::connect(address).is_err() {
        anyhow::ensure!(super::ends::now() < deadline, "it does not listen");
        super::ends::wait_until(super::ends::now() + Duration::from_millis(100));
    }
    Ok((server, Some(relay)))
}
