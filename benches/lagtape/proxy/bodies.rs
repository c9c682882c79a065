//! HTTP bodies through whatever stands in between: tracks that a page uploads and downloads.
//!
//! One connection is kept for all requests of a row. The client writes a request, or one with a body,
//! and reads the answer to its last byte.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::relays::{self, Relay};
use crate::harness::{Aim, Bench, Ratio, Row, Table};

/// Megabytes of a body: a minute of stereo as 16-bit samples.
const BODY_MB: usize = 12;
const BODY_LEN: usize = BODY_MB * 1_000_000;
/// Bytes that either end hands over at a time, and of a chunk.
const PIECE: usize = 64 << 10;
/// What is compared, of all that can stand in between.
const COMPARED: [&str; 3] = ["direct", "splice", "lagtape, recording"];

/// How a body travels.
#[derive(Clone, Copy)]
enum Way {
    Download,
    DownloadInChunks,
    Upload,
}

/// The tables of this part.
pub fn run(bench: &mut Bench) -> Result<()> {
    let ways = [
        (Way::Download, "downloads of a known length"),
        (Way::DownloadInChunks, "downloads in chunks"),
        (Way::Upload, "uploads"),
    ];
    for (way, title) in ways {
        let mut rows = Vec::new();
        for (name, mut client) in clients(bench.folder.path())? {
            let work = move || client.request(way).expect("an answer");
            rows.push(Row::wall(name, BODY_MB, work));
        }
        let ratios = vec![
            Ratio::new("lagtape, recording", "splice", Aim::AtMost(2.0)),
            Ratio::new("lagtape, recording", "direct", Aim::Shown),
        ];
        let title = format!("HTTP, {title}, {BODY_MB} MB");
        bench.measure(Table { title, unit: "megabyte", rows, ratios })?;
    }
    Ok(())
}

/// A client of a server behind each of what is compared.
fn clients(folder: &Path) -> Result<Vec<(&'static str, Client)>> {
    let compared = |(name, _): &(&str, _)| COMPARED.contains(name);
    relays::all(folder)
        .into_iter()
        .filter(compared)
        .map(|(name, start)| {
            let (listener, relay) = start()?;
            Ok((name, Client::connect(listener, relay)?))
        })
        .collect()
}

/// The client's end of a connection.
struct Client {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
    /// Ends the relay when it is dropped.
    _relay: Option<Relay>,
}

impl Client {
    fn connect(listener: TcpListener, relay: Option<Relay>) -> Result<Client> {
        let address = relay.as_ref().map_or(listener.local_addr()?, |relay| relay.address);
        std::thread::spawn(move || -> Result<()> {
            let (stream, _) = listener.accept()?;
            serve(stream)
        });
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let stream = BufReader::with_capacity(PIECE, stream);
        Ok(Client { stream, body: vec![0x5a; BODY_LEN], _relay: relay })
    }

    fn request(&mut self, way: Way) -> Result<()> {
        let path = if matches!(way, Way::DownloadInChunks) { "/chunks" } else { "/length" };
        let stream = self.stream.get_mut();
        if matches!(way, Way::Upload) {
            write!(stream, "POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: {BODY_LEN}\r\n\r\n")?;
            stream.write_all(&self.body)?;
        } else {
            write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        }
        let head = Head::read(&mut self.stream)?.context("no answer")?;
        ensure!(head.first_line.starts_with("HTTP/1.1 200"), "the answer is {}", head.first_line);
        let len = match head.length {
            Some(len) => swallow(&mut self.stream, len)?,
            None => swallow_chunks(&mut self.stream)?,
        };
        let expected = if matches!(way, Way::Upload) { 0 } else { BODY_LEN };
        ensure!(len == expected, "{len} bytes came, and not {expected}");
        Ok(())
    }
}

/// Answers requests until the client goes away.
fn serve(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(PIECE, stream);
    let piece = vec![0x5a; PIECE];
    while let Some(head) = Head::read(&mut stream)? {
        swallow(&mut stream, head.length.unwrap_or(0))?;
        let out = stream.get_mut();
        if head.first_line.starts_with("POST") {
            out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let in_chunks = head.first_line.contains("/chunks");
        match in_chunks {
            true => out.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?,
            false => write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {BODY_LEN}\r\n\r\n")?,
        }
        let mut left = BODY_LEN;
        while left > 0 {
            let piece = &piece[..left.min(PIECE)];
            left -= piece.len();
            match in_chunks {
                true => {
                    write!(out, "{:x}\r\n", piece.len())?;
                    out.write_all(piece)?;
                    out.write_all(b"\r\n")?;
                }
                false => out.write_all(piece)?,
            }
        }
        if in_chunks {
            out.write_all(b"0\r\n\r\n")?;
        }
    }
    Ok(())
}

/// What stands before a body.
struct Head {
    first_line: String,
    /// `None` of a body in chunks.
    length: Option<usize>,
}

impl Head {
    /// `None` where the other end has gone.
    fn read(stream: &mut impl BufRead) -> Result<Option<Head>> {
        let mut head = Head { first_line: String::new(), length: None };
        if stream.read_line(&mut head.first_line)? == 0 {
            return Ok(None);
        }
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                None => return Ok(Some(head)),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    head.length = Some(value.trim().parse()?);
                }
                Some(_) => {}
            }
        }
    }
}

/// Reads so many bytes, and says how many there were.
fn swallow(stream: &mut impl BufRead, len: usize) -> Result<usize> {
    let mut left = len;
    while left > 0 {
        let there = stream.fill_buf()?.len().min(left);
        if there == 0 {
            break;
        }
        stream.consume(there);
        left -= there;
    }
    Ok(len - left)
}

fn swallow_chunks(stream: &mut impl BufRead) -> Result<usize> {
    let mut whole = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let len = usize::from_str_radix(line.trim(), 16)?;
        whole += swallow(stream, len)?;
        let mut end = [0; 2];
        stream.read_exact(&mut end)?;
        if len == 0 {
            return Ok(whole);
        }
    }
}
