//! A HAR file with one WebSocket: messages as Chromium saves them, which other tools read, and beside them,
//! under `_lagtape`, what a HAR file has no place for, so that import makes the same records again.
//!
//! `_lagtape` of the entry holds, in base64, a capture of all records that are no messages; `_lagtape` of
//! a message its number, its time in nanoseconds, and what is special about it.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::json;

use crate::capture::{Body, Direction, Header, Message, Opcode, Record, SyncMarker, Writer};
use crate::report::har_note::{EntryNote, FrameNote};
use crate::report::json::write_json;
use crate::time::Nanos;

/// A message as Chromium saves it.
#[derive(Serialize)]
struct Frame {
    #[serde(rename = "type")]
    way: &'static str,
    time: f64,
    opcode: u8,
    data: String,
    _lagtape: FrameNote,
}

/// Writes a HAR file from records in their order.
pub struct HarWriter<W> {
    out: W,
    header: Header,
    /// Seconds since 1970 of the capture's clock, or 0 where that is not known.
    clock_began_s: f64,
    others: Writer,
    records: Vec<u8>,
    messages: u64,
    last: Nanos,
}

impl<W: Write> HarWriter<W> {
    /// Begins a file; `began_s` is when the recording began, in seconds since 1970.
    ///
    /// # Errors
    /// The output fails.
    pub fn new(mut out: W, header: &Header, began_s: Option<f64>) -> io::Result<HarWriter<W>> {
        let others = Writer::new(SyncMarker(*b"har file"));
        let mut records = Vec::new();
        others.begin(&mut records);
        let creator = json!({"name": "lagtape", "version": env!("CARGO_PKG_VERSION")});
        write!(out, "{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"entries\":[{{")?;
        write!(out, "\"_resourceType\":\"websocket\",\"_webSocketMessages\":[")?;
        let start = header.start;
        let clock_began_s = began_s.map_or(0.0, |began_s| began_s - start.seconds());
        let header = header.clone();
        Ok(HarWriter { out, header, clock_began_s, others, records, messages: 0, last: start })
    }

    /// Takes a record; of one that this version does not know, nothing.
    ///
    /// # Errors
    /// The output fails.
    pub fn put(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.last = self.last.max(record.t);
        match &record.body {
            Body::Message(message) => self.message(record, message),
            Body::Checkpoint(_) | Body::Other(_) => Ok(()),
            _ => {
                self.others.write(record, &mut self.records);
                Ok(())
            }
        }
    }

    fn message(&mut self, record: &Record<'_>, message: &Message<'_>) -> io::Result<()> {
        let text = match (message.opcode, message.compressed) {
            (Opcode::Text, false) => std::str::from_utf8(message.payload).ok(),
            _ => None,
        };
        let comma = if self.messages > 0 { "," } else { "" };
        self.messages += 1;
        let frame = Frame {
            way: match message.direction {
                Direction::ClientToServer => "send",
                Direction::ServerToClient => "receive",
            },
            time: self.clock_began_s + record.t.seconds(),
            opcode: message.opcode.into(),
            data: text.map_or_else(|| STANDARD.encode(message.payload), str::to_owned),
            _lagtape: FrameNote {
                seq: record.seq,
                t_ns: record.t.0,
                conn: record.conn,
                automatic: message.automatic,
                failed: message.failed,
                compressed: message.compressed,
                whole_len: message.whole_len,
                sha256: message.sha256,
                is_base64: message.opcode == Opcode::Text && text.is_none(),
            },
        };
        writeln!(self.out, "{comma}")?;
        Ok(write_json(&mut self.out, &frame)?)
    }

    /// Ends the file; returns how many messages it has.
    ///
    /// # Errors
    /// The output fails.
    pub fn finish(mut self) -> io::Result<u64> {
        let Header { start, start_utc, url, .. } = &self.header;
        let length_ms = self.last.seconds_since(*start) * 1e3;
        let url = url.as_deref().unwrap_or("ws://unknown.invalid/");
        let nothing: [(); 0] = [];
        let rest = json!({
            "startedDateTime": start_utc.as_deref().unwrap_or("1970-01-01T00:00:00Z"),
            "time": length_ms,
            "request": {
                "method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": nothing,
                "queryString": nothing, "cookies": nothing, "headersSize": -1, "bodySize": -1,
            },
            "response": {
                "status": 101, "statusText": "Switching Protocols", "httpVersion": "HTTP/1.1",
                "headers": nothing, "cookies": nothing, "content": {"size": 0, "mimeType": ""},
                "redirectURL": "", "headersSize": -1, "bodySize": -1,
            },
            "cache": {},
            "timings": {"send": 0, "wait": 0, "receive": length_ms},
            "_lagtape": EntryNote { records: STANDARD.encode(&self.records) },
        });
        let rest = crate::report::json_text(&rest);
        // The rest of an object that has begun.
        writeln!(self.out, "],{}]}}}}", &rest[1..])?;
        self.out.flush()?;
        Ok(self.messages)
    }
}
