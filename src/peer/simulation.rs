//! Runs client against server on a virtual clock.
//!
//! It returns the records of the session one by one, from the header to the end, exactly as a recording
//! client would have stamped them. Time jumps from one event to the next. The same options give the
//! same records on every platform.

use std::borrow::Cow;

use super::Outgoing;
use super::client::{Client, ClientOptions, ClientStep, Finish};
use super::link::{Link, LinkOptions, websocket_len};
use super::rng::Stream;
use super::server::{Incoming, Server, ServerOptions};
use crate::capture::{Body, Direction, End, Header, Message, Opcode, Record};
use crate::time::Nanos;

/// What a simulated session is made of.
#[derive(Debug, Clone)]
pub struct SimulationOptions {
    /// The client; without `run_for` the session ends only if the server ends it.
    pub client: ClientOptions,
    /// The server; its seed is the simulation's.
    pub server: ServerOptions,
    pub up: LinkOptions,
    pub down: LinkOptions,
    /// A throttled client handles what came only at multiples of this many seconds; 0: at once.
    pub handles_every_s: f64,
}

/// A session that was simulated to its end.
#[derive(Debug)]
pub struct Simulated {
    /// The client with all it knows.
    pub client: Client,
    /// The time of the end record.
    pub ended: Nanos,
    pub finish: Finish,
}

/// Runs a session and hands every record to `sink`.
pub fn simulate(
    options: SimulationOptions,
    header: Header,
    sink: &mut dyn FnMut(&Record<'_>),
) -> Simulated {
    let mut simulation = Simulation::new(options, sink);
    simulation.put(Nanos(0), Body::Header(header));
    let mut now = Nanos(0);
    let finish = loop {
        if let Some(finish) = simulation.step(now) {
            break finish;
        }
        let Some(next) = simulation.wake_at(now) else {
            break Finish::Closed(None, "nothing was left to happen".to_owned());
        };
        // Always onwards: what wakes at this very moment is done a nanosecond later.
        now = next.max(Nanos(now.0.saturating_add(1)));
    };
    simulation.end(now, finish)
}

struct Simulation<'a> {
    client: Client,
    server: Server,
    up: Link<Outgoing>,
    down: Link<Outgoing>,
    handles_every_s: f64,
    end: End,
    sink: &'a mut dyn FnMut(&Record<'_>),
}

impl<'a> Simulation<'a> {
    fn new(options: SimulationOptions, sink: &'a mut dyn FnMut(&Record<'_>)) -> Self {
        let start = Nanos(0);
        let seed = options.server.seed;
        Simulation {
            client: Client::new(options.client, start),
            server: Server::new(options.server, start),
            up: Link::new(options.up, seed, Stream::Uplink, start),
            down: Link::new(options.down, seed, Stream::Downlink, start),
            handles_every_s: options.handles_every_s,
            end: End::default(),
            sink,
        }
    }

    /// Everything that happens at `now`.
    fn step(&mut self, now: Nanos) -> Option<Finish> {
        while let Some((at, message)) = self.up.poll(now) {
            match message {
                // As on a socket, pongs are none of the server's business.
                Outgoing::Ping(payload) => self.send_down(now, Outgoing::Pong(payload)),
                Outgoing::Text(text) => self.server.receive(at, Incoming::Text(&text)),
                Outgoing::Binary(bytes) => self.server.receive(at, Incoming::Binary(&bytes)),
                Outgoing::Close { .. } => self.server.receive(at, Incoming::Closed),
                Outgoing::Pong(_) => {}
            }
        }
        while self.down.accepts(now)
            && let Some(message) = self.server.poll(now)
        {
            self.send_down(now, message);
        }
        if self.handled_at(now) <= now {
            while let Some((_, message)) = self.down.poll(now) {
                self.record(now, Direction::ServerToClient, &message);
            }
        }
        while let Some(step) = self.client.poll(now) {
            match step {
                ClientStep::Send(message) => {
                    self.record(now, Direction::ClientToServer, &message);
                    let bytes = websocket_len(parts(&message).1.len(), true);
                    self.up.send(now, message, bytes);
                }
                ClientStep::Mark(marker) => self.put(now, Body::Marker(marker)),
                ClientStep::Finish(finish) => return Some(finish),
            }
        }
        None
    }

    fn send_down(&mut self, now: Nanos, message: Outgoing) {
        let bytes = websocket_len(parts(&message).1.len(), false);
        self.down.send(now, message, bytes);
    }

    /// The next moment at which something happens.
    fn wake_at(&self, now: Nanos) -> Option<Nanos> {
        let room = self.down.accepts_at(now);
        let server = self.server.wake_at().map(|at| at.max(room));
        let handled = self.down.wake_at().map(|at| self.handled_at(at.max(now)));
        [self.up.wake_at(), server, handled, self.client.wake_at()].into_iter().flatten().min()
    }

    /// When a client that is busy until its next turn handles what arrives at `at`.
    fn handled_at(&self, at: Nanos) -> Nanos {
        if self.handles_every_s <= 0.0 {
            return at;
        }
        let turn_ns = (self.handles_every_s * 1e9) as u64;
        Nanos(at.0.div_ceil(turn_ns.max(1)) * turn_ns.max(1))
    }

    fn record(&mut self, now: Nanos, direction: Direction, message: &Outgoing) {
        let (opcode, payload) = parts(message);
        self.put(now, Body::Message(Message::new(direction, opcode, &payload)));
    }

    fn put(&mut self, t: Nanos, body: Body<'_>) {
        let record = Record { seq: self.end.records, t, conn: 0, body };
        self.end.records += 1;
        if let Body::Message(message) = &record.body {
            self.end.messages += 1;
            self.end.bytes += message.payload.len() as u64;
        }
        self.client.see(&record);
        (self.sink)(&record);
    }

    fn end(mut self, now: Nanos, finish: Finish) -> Simulated {
        if self.client.engine().facts().closes.is_empty() {
            let close = Outgoing::Close { code: 1000, reason: String::new() };
            self.record(now, Direction::ClientToServer, &close);
        }
        let end = End { reason: Some(finish.sentence()), ..self.end.clone() };
        self.put(now, Body::End(end));
        Simulated { client: self.client, ended: now, finish }
    }
}

/// Opcode and payload of a message as they stand on the wire.
#[must_use]
pub fn parts(message: &Outgoing) -> (Opcode, Cow<'_, [u8]>) {
    match message {
        Outgoing::Text(text) => (Opcode::Text, text.as_bytes().into()),
        Outgoing::Binary(bytes) => (Opcode::Binary, bytes.into()),
        Outgoing::Ping(bytes) => (Opcode::Ping, bytes.into()),
        Outgoing::Pong(bytes) => (Opcode::Pong, bytes.into()),
        Outgoing::Close { code, reason } => {
            (Opcode::Close, [&code.to_be_bytes(), reason.as_bytes()].concat().into())
        }
    }
}
