//! A proxy that runs, and bytes to send through it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc as blocking};
use std::thread::JoinHandle;
use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use lagtape::capture::{Body, Direction, Message, Record, Records};
use lagtape::edge::proxy::{
    self, ProxyNotice as Notice, ProxyOptions, ServerTrust as Trust, SessionCaptures as Captures,
    Upstream,
};
use lagtape::peer::rng::{Rng, Stream};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// For whatever must not take for ever; far more than a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A proxy on a thread of its own, until it is dropped.
pub struct Between {
    pub address: SocketAddr,
    pub notices: blocking::Receiver<Notice>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Between {
    pub fn start(upstream: &str, options: ProxyOptions) -> Self {
        Self::trusting(upstream, &Trust::System, options)
    }

    pub fn trusting(upstream: &str, trust: &Trust, mut options: ProxyOptions) -> Self {
        let upstream = Upstream::parse(upstream, trust).unwrap();
        let (tell, notices) = blocking::channel();
        let also = Arc::clone(&options.watch);
        options.watch = Arc::new(move |notice| {
            drop(tell.send(notice.clone()));
            also(notice);
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell_address, address) = blocking::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell_address.send(listener.local_addr().unwrap()).unwrap();
                let stop = async { drop(stopped.await) };
                proxy::serve(listener, upstream, options, stop).await.unwrap();
            });
        });
        let address = address.recv_timeout(PATIENCE).unwrap();
        Self { address, notices, stop: Some(stop), thread: Some(thread) }
    }

    /// Stops, and gives back what was said.
    pub fn finish(mut self) -> Vec<Notice> {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
        self.notices.try_iter().collect()
    }

    /// Waits for the end of a session and gives back its capture.
    pub fn closed(&self) -> PathBuf {
        loop {
            match self.notices.recv_timeout(PATIENCE).unwrap() {
                Notice::Closed { mut captures, .. } => return captures.pop().unwrap(),
                _ => continue,
            }
        }
    }
}

/// Options of a proxy that records into a folder.
pub fn into(folder: &Path) -> ProxyOptions {
    ProxyOptions { captures: Some(Captures::into(folder.to_owned())), ..ProxyOptions::default() }
}

/// Calls `each` with every record of a capture.
pub fn read(capture: &Path, mut each: impl FnMut(&Record<'_>)) {
    let mut records = Records::new(std::fs::File::open(capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        each(&record);
    }
}

/// The messages of a capture that went one way: opcode and payload.
pub fn messages_of(capture: &Path, direction: Direction) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    read(capture, |record| {
        if let Body::Message(message @ Message { compressed: false, .. }) = &record.body
            && message.direction == direction
        {
            found.push((message.opcode.into(), message.payload.to_vec()));
        }
    });
    found
}

/// One direction of a WebSocket connection: its bytes, and the messages in them.
#[derive(Clone, Default)]
pub struct Traffic {
    pub wire: Vec<u8>,
    pub messages: Vec<(u8, Vec<u8>)>,
}

/// Makes traffic as real peers do, and as none would.
pub struct Maker {
    pub rng: Rng,
    is_masked: bool,
    deflate: Option<Compress>,
    takes_over: bool,
    pub traffic: Traffic,
}

impl Maker {
    pub fn new(seed: u64, is_masked: bool, deflate: Option<bool>) -> Self {
        Maker {
            rng: Rng::new(seed, Stream::Names),
            is_masked,
            deflate: deflate.map(|_| Compress::new(Compression::fast(), false)),
            takes_over: deflate.unwrap_or_default(),
            traffic: Traffic::default(),
        }
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.rng.next_u64() % bound as u64) as usize
    }

    /// `count` messages of every sort.
    pub fn random(mut self, count: usize) -> Self {
        const LENGTHS: [usize; 9] = [0, 1, 125, 126, 127, 1_000, 20_000, 65_535, 65_536];
        const OPCODES: [u8; 10] = [1, 2, 2, 2, 1, 9, 10, 3, 11, 2];
        for _ in 0..count {
            let len = LENGTHS[self.below(LENGTHS.len())];
            let opcode = OPCODES[self.below(OPCODES.len())];
            let pieces = if opcode < 8 { 1 + self.below(4) } else { 1 };
            let payload = self.payload(len);
            self.message(opcode, &payload, len.div_ceil(pieces).max(1));
        }
        self
    }

    /// Half noise, half repetition.
    pub fn payload(&mut self, len: usize) -> Vec<u8> {
        let noise = self.rng.next_u64().is_multiple_of(2);
        (0..len).map(|i| if noise { self.rng.next_u64() as u8 } else { (i / 7) as u8 }).collect()
    }

    /// A message in pieces of `size`, with a ping between each two.
    pub fn message(&mut self, opcode: u8, payload: &[u8], size: usize) {
        let compressed = match &mut self.deflate {
            Some(compress) if opcode < 8 => {
                if !self.takes_over {
                    compress.reset();
                }
                let mut out = Vec::with_capacity(payload.len() + payload.len() / 8 + 1024);
                compress.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
                assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
                out.truncate(out.len() - 4);
                Some(out)
            }
            _ => None,
        };
        let body = compressed.as_deref().unwrap_or(payload);
        let mut pieces: Vec<&[u8]> = body.chunks(size).collect();
        if pieces.is_empty() {
            pieces.push(&[]);
        }
        let last = pieces.len() - 1;
        for (i, piece) in pieces.into_iter().enumerate() {
            let rsv1 = if i == 0 && compressed.is_some() { 0x40 } else { 0 };
            let first = if i == 0 { opcode } else { 0 } | if i == last { 0x80 } else { 0 } | rsv1;
            self.frame(first, piece);
            if i < last && size < 100_000 {
                self.frame(0x89, b"amid");
                self.traffic.messages.push((9, b"amid".to_vec()));
            }
        }
        self.traffic.messages.push((opcode, payload.to_vec()));
    }

    fn frame(&mut self, first: u8, payload: &[u8]) {
        let mask = self.is_masked.then(|| (self.rng.next_u64() as u32).to_be_bytes());
        let bit = if self.is_masked { 0x80 } else { 0 };
        let wire = &mut self.traffic.wire;
        wire.push(first);
        match payload.len() {
            len @ 0..=125 => wire.push(bit | len as u8),
            len @ 126..=65_535 => {
                wire.push(bit | 126);
                wire.extend((len as u16).to_be_bytes());
            }
            len => {
                wire.push(bit | 127);
                wire.extend((len as u64).to_be_bytes());
            }
        }
        wire.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
        let mask = mask.unwrap_or_default();
        wire.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
}
