//! Runs client against server on a virtual clock.
//!
//! It returns the records of the session one by one, from the header to the end, exactly as a recording
//! client would have stamped them. Time jumps from one event to the next. The same options give the
//! same records on every platform.

use std::borrow::Cow;

use super::client::{Client, ClientOptions, ClientStep, Finish};
use super::link::{Link, LinkOptions, websocket_len};
use super::rng::Stream;
use super::server::{Incoming, Server, ServerOptions};
use super::stall::{STALLS_FOR, StallWatch};
use super::{LOST, Outgoing};
use crate::capture::{
    Body, ConnectionBreak, Direction, End, Header, Message, Opcode, Party, Record,
};
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
    stalls: StallWatch,
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
            stalls: StallWatch::new(Some(STALLS_FOR), start),
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
        if let Some(finish) = self.give_up(now) {
            return Some(finish);
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

    /// Ends a connection whose link down has carried nothing for long, without a close.
    fn give_up(&mut self, now: Nanos) -> Option<Finish> {
        let waiting = self.down.buffered(now);
        let taken = self.down.bytes_sent() - waiting;
        if !self.stalls.is_stalled(now, taken, waiting > 0) {
            return None;
        }
        let reason = "the server gave up a client that took nothing".to_owned();
        let by = Some(Party::Server);
        self.put(
            now,
            Body::Break(ConnectionBreak { by, reason: reason.clone(), under_way: Vec::new() }),
        );
        Some(Finish::Closed(Some(LOST), reason))
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
        let stalls = self.stalls.wake_at().filter(|_| self.down.buffered(now) > 0);
        let peers = [self.up.wake_at(), server, handled, self.client.wake_at()];
        peers.into_iter().chain([stalls]).flatten().min()
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
        let is_lost = matches!(finish, Finish::Closed(Some(LOST), _));
        if self.client.engine().facts().closes.is_empty() && !is_lost {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::interval::Interval;
    use crate::time::Span;

    /// How a session of a minute ends whose link down carries nothing for so long from 5 s on.
    #[track_caller]
    fn check(outage_s: f64, ends_s: std::ops::Range<u64>, is_lost: bool) {
        let config = serde_json::json!({"text_only": true, "telemetry_version": 1});
        let mut client = ClientOptions::default();
        client.config = config.as_object().unwrap().clone();
        client.run_for = Some(Span(60_000_000_000));
        let outages = vec![Interval { at_s: 5.0, for_s: outage_s }];
        let down = LinkOptions { buffer_bytes: Some(65_536), outages, ..LinkOptions::default() };
        let options = SimulationOptions {
            client,
            server: ServerOptions::default(),
            up: LinkOptions::default(),
            down,
            handles_every_s: 0.0,
        };
        let mut breaks = 0;
        let simulated = simulate(options, Header::new("a test", Nanos(0)), &mut |record| {
            breaks += usize::from(matches!(record.body, Body::Break(_)));
        });
        let ended_s = simulated.ended.0 / 1_000_000_000;
        assert!(ends_s.contains(&ended_s), "{ended_s} s: {:?}", simulated.finish);
        assert_eq!(matches!(simulated.finish, Finish::Closed(Some(LOST), _)), is_lost);
        assert_eq!(breaks, usize::from(is_lost));
    }

    #[test]
    fn a_client_that_takes_nothing_for_30_s_is_given_up() {
        check(25.0, 60..61, false);
        // The server looks every 2 s.
        check(50.0, 35..39, true);
    }
}
