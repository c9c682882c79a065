//! What becomes of one record: every text in it without what the patterns name, and its audio.

use sha2::{Digest, Sha256};

use super::pattern::{Pattern, REDACTED};
use super::splice::{plain_without, without};
use super::{Removed, is_note};
use crate::capture::{
    Body, Context, Direction, Gap, Header, Marker, Message, Opcode, Record, RowKind,
};
use crate::wire::slice::HEADER_LEN;

/// Longest payload of a close, ping or pong, by RFC 6455.
const MAX_CONTROL_LEN: usize = 125;
/// Bytes of a close's code.
const CODE_LEN: usize = 2;
/// How often a text is searched again for what its own removal may have put together.
const MAX_ROUNDS: usize = 8;
/// Shortest run of text within binary data that is searched.
const MIN_RUN: usize = 4;

/// Removes texts and audio from records, and counts what it removes.
pub(super) struct Redactor<'a> {
    drop_audio: bool,
    patterns: &'a [Pattern],
    pub removed: Removed,
    /// A pattern stands in what remains of a text.
    pub stuck: bool,
}

impl<'a> Redactor<'a> {
    pub fn new(drop_audio: bool, patterns: &'a [Pattern]) -> Self {
        Redactor { drop_audio, patterns, removed: Removed::default(), stuck: false }
    }

    /// The record as it may be passed on; `did` is what it did to the session, and `payload` holds a
    /// changed payload.
    pub fn record<'b>(
        &mut self,
        record: &Record<'b>,
        did: &RowKind,
        payload: &'b mut Vec<u8>,
    ) -> Record<'b> {
        let mut record = record.clone();
        match &mut record.body {
            Body::Message(message) => self.message(message, did, payload),
            Body::Header(header) => self.header(header),
            Body::Context(context) => self.context(context),
            Body::Marker(Marker::Point { name }) => self.text(name),
            Body::Clock(clock) => self.text(&mut clock.utc),
            Body::End(end) => end.reason.iter_mut().for_each(|reason| self.text(reason)),
            Body::Gap(gap) => self.text(&mut gap.reason),
            Body::Break(broken) => self.text(&mut broken.reason),
            Body::Other(_) if !self.patterns.is_empty() => {
                self.removed.unreadable += 1;
                record.body = Body::Gap(Gap {
                    first_seq: record.seq,
                    count: 1,
                    bytes: 0,
                    reason: "of an unknown type, and left out".to_owned(),
                });
            }
            Body::Marker(_) | Body::Checkpoint(_) | Body::Other(_) => {}
        }
        record
    }

    fn message<'b>(&mut self, message: &mut Message<'b>, did: &RowKind, payload: &'b mut Vec<u8>) {
        if !self.patterns.is_empty() && message.compressed {
            // What it says cannot be known without the messages that it refers back to.
            self.removed.unreadable += u64::from(!message.payload.is_empty());
            message.whole_len = Some(message.len());
            (message.payload, message.sha256) = (&[], None);
            return;
        }
        if let Some(redacted) = self.payload(message, did) {
            *payload = redacted;
            *message = Message { payload, sha256: None, whole_len: None, ..*message };
        }
        if !self.patterns.is_empty() && message.opcode != Opcode::Binary && !message.is_whole() {
            // The hash of a short text tells the part that was not kept.
            message.sha256 = None;
        }
        if self.drop_audio && message.opcode == Opcode::Binary {
            self.audio(message, did);
        }
    }

    /// The payload without what the patterns name; `None` where they name nothing in it.
    fn payload(&mut self, message: &Message<'_>, did: &RowKind) -> Option<Vec<u8>> {
        match message.opcode {
            Opcode::Text => self.bytes(message.payload),
            Opcode::Binary if is_audio(did) => None,
            Opcode::Binary | Opcode::Other(_) if str::from_utf8(message.payload).is_err() => {
                self.binary(message.payload)
            }
            Opcode::Binary | Opcode::Other(_) => self.bytes(message.payload),
            Opcode::Close => {
                let (code, reason) = message.payload.split_at_checked(CODE_LEN)?;
                let reason = shortened(self.bytes(reason)?, MAX_CONTROL_LEN - CODE_LEN);
                Some([code, &reason].concat())
            }
            Opcode::Ping | Opcode::Pong => {
                Some(shortened(self.bytes(message.payload)?, MAX_CONTROL_LEN))
            }
        }
    }

    fn audio(&mut self, message: &mut Message<'_>, did: &RowKind) {
        // What could not be used keeps nothing, so that it cannot be used again.
        let landed = matches!(did, RowKind::Slice { .. });
        let is_down = message.direction == Direction::ServerToClient;
        let kept = if landed && is_down { HEADER_LEN } else { 0 }.min(message.payload.len());
        if message.is_whole() {
            message.sha256 = message.sha256.or(Some(Sha256::digest(message.payload).into()));
        }
        self.removed.audio_messages += 1;
        self.removed.audio_bytes += (message.payload.len() - kept) as u64;
        message.whole_len = Some(message.len());
        message.payload = &message.payload[..kept];
    }

    fn header(&mut self, header: &mut Header) {
        let Header { software, start_utc, url, config, metadata, .. } = header;
        let texts = [software].into_iter().chain(start_utc).chain(url).chain(config);
        texts.for_each(|text| self.text(text));
        for (key, mut value) in std::mem::take(metadata) {
            let mut name = key.clone();
            if !is_note(&key, &value) {
                self.text(&mut name);
                self.text(&mut value);
            }
            // Two keys may have become the same.
            let mut number = 1;
            let mut free = name.clone();
            while metadata.contains_key(&free) {
                number += 1;
                free = format!("{name} {number}");
            }
            metadata.insert(free, value);
        }
    }

    fn context(&mut self, context: &mut Context<'_>) {
        if self.drop_audio {
            context.buffer = None;
        }
        let state = &mut context.state;
        self.text(&mut state.config);
        self.text(&mut state.ready_text);
        self.text(&mut state.knobs);
        self.text(&mut state.params_update);
        if let Some(refusal) = &mut state.refusal {
            refusal.code.iter_mut().chain(&mut refusal.message).for_each(|text| self.text(text));
        }
        if let Some(stream) = &mut state.stream {
            self.text(&mut stream.tick_knobs);
        }
    }

    pub fn text(&mut self, text: &mut String) {
        if let Some(bytes) = self.bytes(text.as_bytes()) {
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
    }

    /// The text without what the patterns name; `None` where they name nothing in it.
    fn bytes(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        let mut redacted: Option<Vec<u8>> = None;
        for round in 0..MAX_ROUNDS {
            let mut found_any = false;
            for pattern in self.patterns {
                let from = redacted.as_deref().unwrap_or(text);
                let found = pattern.find(from);
                if found.is_empty() {
                    continue;
                }
                found_any = true;
                if round == 0 {
                    self.removed.texts += found.len() as u64;
                }
                // What is left of a pattern in JSON is the JSON itself.
                let remove = if round < 2 { without } else { plain_without };
                redacted = Some(remove(from, &found));
            }
            if !found_any {
                return redacted;
            }
        }
        self.stuck = true;
        redacted
    }

    /// Binary data with each match in its runs of text overwritten.
    fn binary(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        let mut redacted: Option<Vec<u8>> = None;
        let mut at = 0;
        for chunk in data.utf8_chunks() {
            let valid = chunk.valid();
            for run in valid.split(char::is_control).filter(|run| run.len() >= MIN_RUN) {
                let start = at + (run.as_ptr() as usize - valid.as_ptr() as usize);
                for found in self.patterns.iter().flat_map(|pattern| pattern.find(run.as_bytes())) {
                    self.removed.texts += 1;
                    let data = redacted.get_or_insert_with(|| data.to_vec());
                    data[start + found.start..start + found.end].fill(0);
                }
            }
            at += valid.len() + chunk.invalid().len();
        }
        redacted
    }
}

/// Whether a record brought audio that the session used.
pub(super) fn is_audio(did: &RowKind) -> bool {
    matches!(did, RowKind::Slice { .. } | RowKind::Begin(_) | RowKind::Swap(_))
}

/// The text, or less where it became too long for its place.
fn shortened(text: Vec<u8>, max_len: usize) -> Vec<u8> {
    if text.len() > max_len { REDACTED.into() } else { text }
}
