//! Both ends of a WebSocket connection, as plain sockets and threads.

#![expect(clippy::disallowed_methods, reason = "a benchmark is about time")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use lagtape::wire::websocket::FrameHeader;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::relays::Relay;

/// Place of the way from client to server.
pub const UP: usize = 0;
/// Place of the way from server to client.
pub const DOWN: usize = 1;
/// Longest wait for what is on its way.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time.
pub fn now() -> Instant {
    Instant::now()
}

/// Sleeps until then.
pub fn wait_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(now()));
}

/// A connection whose handshake is done.
pub struct Ends {
    origin: Instant,
    writers: [TcpStream; 2],
    sent: [u64; 2],
    heard: [Arc<Heard>; 2],
    buffer: Vec<u8>,
}

/// What one end has heard: how many messages, and how long each took.
#[derive(Default)]
struct Heard {
    messages: Mutex<(u64, Vec<f64>)>,
    more: Condvar,
}

impl Ends {
    /// Connects through a relay, or directly to the listener.
    pub fn connect(listener: TcpListener, relay: Option<&Relay>) -> Result<Ends> {
        let address = relay.map_or(listener.local_addr()?, |relay| relay.address);
        let server = std::thread::spawn(move || accept(&listener));
        let mut client = TcpStream::connect(address)?;
        client.set_nodelay(true)?;
        write!(
            client,
            "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )?;
        let answer = read_head(&mut client)?;
        ensure!(answer.starts_with("HTTP/1.1 101"), "the relay answers {answer}");
        let server = server.join().map_err(|_| anyhow!("the server failed"))??;
        let origin = now();
        let heard = [Arc::<Heard>::default(), Arc::<Heard>::default()];
        listen(server.try_clone()?, origin, Arc::clone(&heard[UP]));
        listen(client.try_clone()?, origin, Arc::clone(&heard[DOWN]));
        Ok(Ends { origin, writers: [client, server], sent: [0; 2], heard, buffer: Vec::new() })
    }

    /// Sends a message of `len` bytes, with the time in its first eight.
    pub fn send(&mut self, direction: usize, len: usize) -> Result<()> {
        self.buffer.clear();
        let mask = if direction == UP { 0x80 } else { 0 };
        self.buffer.push(0x82);
        if len < 65_536 {
            self.buffer.push(mask | 126);
            self.buffer.extend((len as u16).to_be_bytes());
        } else {
            self.buffer.push(mask | 127);
            self.buffer.extend((len as u64).to_be_bytes());
        }
        if direction == UP {
            // A mask of zeros is a mask, and leaves the time readable.
            self.buffer.extend([0; 4]);
        }
        let head = self.buffer.len();
        self.buffer.resize(head + len, 0x5a);
        let sent = self.origin.elapsed().as_nanos() as u64;
        self.buffer[head..head + 8].copy_from_slice(&sent.to_le_bytes());
        self.writers[direction].write_all(&self.buffer)?;
        self.sent[direction] += 1;
        Ok(())
    }

    /// Waits until everything that was sent is heard.
    pub fn wait_for_all(&self) -> Result<()> {
        for (heard, sent) in self.heard.iter().zip(self.sent) {
            let messages = heard.messages.lock().unwrap_or_else(PoisonError::into_inner);
            let waited =
                heard.more.wait_timeout_while(messages, PATIENCE, |(heard, _)| *heard < sent);
            let (messages, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            ensure!(!timeout.timed_out(), "{} of {sent} messages arrived", messages.0);
        }
        Ok(())
    }

    /// Seconds that the messages took, up and down, since the last call.
    pub fn take_latencies(&mut self) -> [Vec<f64>; 2] {
        [UP, DOWN].map(|direction| {
            let messages = self.heard[direction].messages.lock();
            std::mem::take(&mut messages.unwrap_or_else(PoisonError::into_inner).1)
        })
    }
}

fn accept(listener: &TcpListener) -> Result<TcpStream> {
    loop {
        let (mut server, _) = listener.accept()?;
        server.set_nodelay(true)?;
        // Some relays try the server before they use it.
        let Ok(request) = read_head(&mut server) else { continue };
        let key = request.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
        });
        let accept = derive_accept_key(key.context("a handshake without a key")?.as_bytes());
        write!(
            server,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )?;
        return Ok(server);
    }
}

fn read_head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head)?)
}

/// Hears on a thread of its own, until the connection ends.
fn listen(mut stream: TcpStream, origin: Instant, heard: Arc<Heard>) {
    std::thread::spawn(move || {
        let mut bytes = vec![0; 1 << 20];
        let mut filled = 0;
        while let Ok(read @ 1..) = stream.read(&mut bytes[filled..]) {
            filled += read;
            let mut start = 0;
            while let Some((sent_ns, len)) = next_message(&bytes[start..filled]) {
                let taken_s = origin.elapsed().as_secs_f64() - sent_ns as f64 * 1e-9;
                start += len;
                let mut messages = heard.messages.lock().unwrap_or_else(PoisonError::into_inner);
                messages.0 += 1;
                messages.1.push(taken_s);
                heard.more.notify_one();
            }
            bytes.copy_within(start..filled, 0);
            filled -= start;
        }
    });
}

/// When the first message was sent and how many bytes it takes, if it is whole. No relay here makes
/// messages of its own.
fn next_message(bytes: &[u8]) -> Option<(u64, usize)> {
    let (header, head) = FrameHeader::parse(bytes)?;
    let len = head + header.len as usize;
    let payload = bytes.get(head..len)?;
    let mut sent = *payload.first_chunk::<8>()?;
    let mask = header.mask.unwrap_or_default();
    sent.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Some((u64::from_le_bytes(sent), len))
}
