//! Runs client against server on a virtual clock.
//!
//! It returns the records of the session one by one, from the header to the end, exactly as a recording
//! client would have stamped them, or a proxy between the peers. Time jumps from one event to the next.
//! The same options give the same records on every platform.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::client::{Client, ClientOptions, ClientStep, Finish};
use super::link::{Link, LinkOptions, websocket_len};
use super::main_thread::{MainThread, NEVER};
use super::rng::Stream;
use super::server::{Incoming, Server, ServerOptions};
use super::stall::{STALLS_FOR, StallWatch};
use super::{LOST, Outgoing};
use crate::capture::{
    Body, ClientKind, ConnectionBreak, Direction, End, Header, Message, Opcode, Party, Record,
};
use crate::engine::{Engine, Options};
use crate::time::{Nanos, Span};

/// What a simulated session is made of.
#[derive(Debug, Clone)]
pub struct SimulationOptions {
    /// The client; without `run_for` the session ends only if the server ends it.
    pub client: ClientOptions,
    /// The server; its seed is the simulation's.
    pub server: ServerOptions,
    pub up: LinkOptions,
    pub down: LinkOptions,
    /// When the client is busy.
    pub main_thread: MainThread,
    /// The client leaves out reports while more bytes than this wait to be sent.
    pub max_unsent: Option<u64>,
    /// The records are those of a proxy at the client's end of the links: what arrives is stamped
    /// then and not when the client handles it, and nobody says what the listener does.
    pub is_seen_by_proxy: bool,
}

impl SimulationOptions {
    /// A client that handles messages as they come, and nothing between it and the two links.
    #[must_use]
    pub fn new(
        client: ClientOptions,
        server: ServerOptions,
        up: LinkOptions,
        down: LinkOptions,
    ) -> SimulationOptions {
        SimulationOptions {
            client,
            server,
            up,
            down,
            main_thread: MainThread::default(),
            max_unsent: None,
            is_seen_by_proxy: false,
        }
    }
}

/// A session that was simulated to its end.
#[derive(Debug)]
pub struct Simulated {
    /// The client with all it knows.
    pub client: Client,
    /// The time of the end record.
    pub ended: Nanos,
    pub finish: Finish,
    /// When the server's transport lead was at its greatest, and how long it was, in seconds.
    pub greatest_transport_lead: (Nanos, f64),
    /// What has seen the records, if that is not the client.
    proxy: Option<Engine>,
}

impl Simulated {
    /// Everything known of the session from its records.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.proxy.as_ref().unwrap_or_else(|| self.client.engine())
    }
}

/// Runs a session and hands every record to `sink`.
pub fn simulate(
    options: SimulationOptions,
    header: Header,
    sink: &mut dyn FnMut(&Record<'_>),
) -> Simulated {
    let mut simulation = Simulation::new(options, sink);
    simulation.begin(header);
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
    client_seq: u64,
    server: Server,
    up: Link<Outgoing>,
    down: Link<Outgoing>,
    /// What has arrived at the client and waits for its main thread.
    inbox: VecDeque<Outgoing>,
    main_thread: MainThread,
    max_unsent: u64,
    proxy: Option<Engine>,
    /// When a recording ends whose client does not come back to end it.
    run_for: Option<Span>,
    is_broken: bool,
    stalls: StallWatch,
    greatest: (Nanos, f64),
    end: End,
    sink: &'a mut dyn FnMut(&Record<'_>),
}

impl<'a> Simulation<'a> {
    fn new(options: SimulationOptions, sink: &'a mut dyn FnMut(&Record<'_>)) -> Self {
        let start = Nanos(0);
        let seed = options.server.seed;
        let proxy = options
            .is_seen_by_proxy
            .then(|| Engine::new(Options { playhead: None, ..options.client.engine.clone() }));
        Simulation {
            run_for: options.client.run_for,
            client: Client::new(options.client, start),
            client_seq: 0,
            server: Server::new(options.server, start),
            up: Link::new(options.up, seed, Stream::Uplink, start),
            down: Link::new(options.down, seed, Stream::Downlink, start),
            inbox: VecDeque::new(),
            main_thread: options.main_thread,
            max_unsent: options.max_unsent.unwrap_or(u64::MAX),
            proxy,
            is_broken: false,
            stalls: StallWatch::new(Some(STALLS_FOR), start),
            greatest: (Nanos(0), 0.0),
            end: End::default(),
            sink,
        }
    }

    /// The client knows its own playhead, whoever records.
    fn begin(&mut self, header: Header) {
        let own = Header { client: ClientKind::Headless, ..header.clone() };
        match self.proxy {
            Some(_) => {
                self.put(Nanos(0), Body::Header(Header { client: ClientKind::Foreign, ..header }));
                self.show_client(Nanos(0), Body::Header(own));
            }
            None => self.put(Nanos(0), Body::Header(header)),
        }
    }

    /// Everything that happens at `now`.
    fn step(&mut self, now: Nanos) -> Option<Finish> {
        self.deliver_up(now);
        while self.down.accepts(now)
            && let Some(message) = self.server.poll(now)
        {
            if let Outgoing::Close { code: LOST, .. } = message {
                return Some(self.break_off(now));
            }
            self.send_down(now, message);
        }
        // A server that has closed remembers nothing.
        let greatest = self.server.greatest_transport_lead();
        if greatest.1 > self.greatest.1 {
            self.greatest = greatest;
        }
        if let Some(finish) = self.give_up(now) {
            return Some(finish);
        }
        self.deliver_down(now);
        let origin = self.client.engine().origin();
        if self.main_thread.handles_at(now, origin) <= now {
            while let Some(message) = self.inbox.pop_front() {
                self.handle(now, &message);
            }
        }
        if self.main_thread.acts_at(now, origin) <= now {
            self.act(now)
        } else {
            self.gives_up_at().is_some_and(|at| at <= now).then_some(Finish::TimeUp)
        }
    }

    fn deliver_up(&mut self, now: Nanos) {
        while let Some((at, message)) = self.up.poll(now) {
            match message {
                // As on a socket, the answer is none of the server's business.
                Outgoing::Ping(payload) => self.send_down(now, Outgoing::Pong(payload)),
                Outgoing::Pong(_) => self.server.receive(at, Incoming::Pong),
                Outgoing::Text(text) => self.server.receive(at, Incoming::Text(&text)),
                Outgoing::Binary(bytes) => self.server.receive(at, Incoming::Binary(&bytes)),
                Outgoing::Close { .. } => self.server.receive(at, Incoming::Closed),
            }
        }
    }

    fn deliver_down(&mut self, now: Nanos) {
        while let Some((_, message)) = self.down.poll(now) {
            if self.proxy.is_some() {
                let (opcode, payload) = parts(&message);
                let body = Message::new(Direction::ServerToClient, opcode, &payload);
                self.put(now, Body::Message(body));
            }
            self.inbox.push_back(message);
        }
    }

    /// The client gets a message, and its WebSocket library answers a ping.
    fn handle(&mut self, now: Nanos, message: &Outgoing) {
        let (opcode, payload) = parts(message);
        let body = Message::new(Direction::ServerToClient, opcode, &payload);
        match self.proxy {
            Some(_) => self.show_client(now, Body::Message(body)),
            None => self.put(now, Body::Message(body)),
        }
        if let Outgoing::Ping(payload) = message {
            self.send_up(now, Outgoing::Pong(payload.clone()), true);
        }
    }

    /// What the client does of its own accord.
    fn act(&mut self, now: Nanos) -> Option<Finish> {
        loop {
            let has_room = self.up.buffered(now) <= self.max_unsent;
            match self.client.poll_with(now, has_room)? {
                ClientStep::Send(message) => self.send_up(now, message, false),
                ClientStep::Mark(marker) if self.proxy.is_some() => {
                    self.show_client(now, Body::Marker(marker));
                }
                ClientStep::Mark(marker) => self.put(now, Body::Marker(marker)),
                ClientStep::Finish(finish) => return Some(finish),
            }
        }
    }

    fn send_up(&mut self, now: Nanos, message: Outgoing, automatic: bool) {
        let (opcode, payload) = parts(&message);
        let mut body = Message::new(Direction::ClientToServer, opcode, &payload);
        body.automatic = automatic;
        self.put(now, Body::Message(body));
        if self.proxy.is_some() {
            self.show_client(now, Body::Message(body));
        }
        let bytes = websocket_len(payload.len(), true);
        self.up.send(now, message, bytes);
    }

    /// Ends a connection whose link down has carried nothing for long, without a close.
    fn give_up(&mut self, now: Nanos) -> Option<Finish> {
        let waiting = self.down.buffered(now);
        let taken = self.down.bytes_left(now);
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

    /// The connection is reset: what was under way is lost.
    fn break_off(&mut self, now: Nanos) -> Finish {
        let reason = "the connection was reset on its way".to_owned();
        let broken = ConnectionBreak { reason: reason.clone(), ..ConnectionBreak::default() };
        self.is_broken = true;
        self.put(now, Body::Break(broken));
        Finish::Lost(reason)
    }

    /// The next moment at which something happens.
    fn wake_at(&self, now: Nanos) -> Option<Nanos> {
        let origin = self.client.engine().origin();
        let room = self.down.accepts_at(now);
        let server = self.server.wake_at().map(|at| at.max(room));
        let handled = (!self.inbox.is_empty()).then(|| self.main_thread.handles_at(now, origin));
        let client = self.client.wake_at();
        let acts = client.map(|at| self.main_thread.acts_at(at.max(now), origin));
        let stalls = self.stalls.wake_at().filter(|_| self.down.buffered(now) > 0);
        let ends = [self.up.wake_at(), server, self.down.wake_at(), handled, acts, stalls];
        ends.into_iter().flatten().chain(self.gives_up_at()).filter(|at| *at != NEVER).min()
    }

    /// When the recording of a client ends that is blocked then.
    fn gives_up_at(&self) -> Option<Nanos> {
        let origin = self.client.engine().origin()?;
        let end = origin.checked_add(self.run_for?)?;
        (self.main_thread.acts_at(end, Some(origin)) > end).then_some(end)
    }

    /// Shows the client what is not in the records, or not at that time.
    fn show_client(&mut self, now: Nanos, body: Body<'_>) {
        let record = Record { seq: self.client_seq, t: now, conn: 0, body };
        self.client_seq += 1;
        self.client.see(&record);
    }

    fn put(&mut self, t: Nanos, body: Body<'_>) {
        let record = Record { seq: self.end.records, t, conn: 0, body };
        self.end.records += 1;
        if let Body::Message(message) = &record.body {
            self.end.messages += 1;
            self.end.bytes += message.payload.len() as u64;
        }
        match &mut self.proxy {
            Some(engine) => engine.handle(&record),
            None => self.client.see(&record),
        }
        (self.sink)(&record);
    }

    fn end(mut self, now: Nanos, finish: Finish) -> Simulated {
        let is_gone = self.gives_up_at().is_some();
        let is_lost = self.is_broken || matches!(finish, Finish::Closed(Some(LOST), _));
        let is_open = self.client.engine().facts().closes.is_empty();
        if is_open && !is_lost && !is_gone {
            let close = Outgoing::Close { code: 1000, reason: String::new() };
            self.send_up(now, close, false);
        }
        let end = End { reason: Some(finish.sentence()), ..self.end.clone() };
        self.put(now, Body::End(end));
        Simulated {
            client: self.client,
            ended: now,
            finish,
            greatest_transport_lead: self.greatest,
            proxy: self.proxy,
        }
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
        let client = ClientOptions {
            config: config.as_object().unwrap().clone(),
            run_for: Some(Span(60_000_000_000)),
            ..ClientOptions::default()
        };
        let outages = vec![Interval { at_s: 5.0, for_s: outage_s }];
        let down = LinkOptions { buffer_bytes: Some(65_536), outages, ..LinkOptions::default() };
        let options =
            SimulationOptions::new(client, ServerOptions::default(), LinkOptions::default(), down);
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
