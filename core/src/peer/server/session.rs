//! A session from the initial buffer on: what it reacts to, and when. [`generation`] is what it does by
//! itself. Everything happens at the time it is due, however late the driver polls, so a slow driver delays
//! only the sending.

use serde_json::{Map, Value};

use super::bleed::Bleed;
use super::conditioning::Conditioning;
use super::config::Config;
use super::events;
use super::faults::{ServerFaults, SessionEnding};
use super::handshake::Start;
use super::intake::{Intake, Report, Taken};
use super::knobs::{KnobBank, Turned};
use super::library::TrackLibrary;
use super::loras::LoraLibrary;
use super::music::Music;
use super::outbox::{Outbox, Rendered};
use super::pcm::{self, Pcm};
use super::profile;
use super::revision::Revision;
use super::source::{Loaded, LoopShape, ServerSource};
use super::tape::WrittenTape;
use super::uploads::{AwaitedUpload, SwapRequest};
use super::{ServerOptions, Shed, after};
use crate::peer::generator::{Durations, Generator};
use crate::peer::keepalive::Keepalive;
use crate::peer::loop_audio::{FADE_FRAMES, LoopAudio, settle_waiting};
use crate::peer::pacing::{
    AnchorQueue, Fate, FlowControl, IdleGate, LeadController, Placed, Placement, PlayheadClock,
};
use crate::peer::{LOST, Outgoing, RESET};
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos};
use crate::wire::slice::SliceEncoder;

mod generation;

pub(super) struct Session {
    pub(super) seed: u64,
    pub(super) source: ServerSource,
    pub(super) library: TrackLibrary,
    pub(super) config: Config,
    pub(super) conditioning: Conditioning,
    pub(super) music: Music,
    pub(super) knobs: KnobBank,
    pub(super) loras: LoraLibrary,
    pub(super) source_epoch: u32,
    pub(super) manual_slots: u32,
    pub(super) awaited: Option<AwaitedUpload>,
    pub(super) payload_within_s: f64,
    pub(super) swap: Option<PendingSwap>,
    pub(super) shed: Shed,
    pub(super) loop_audio: LoopAudio,
    pub(super) placement: Placement,
    pub(super) channels: u16,
    pub(super) frames: u32,
    faults: ServerFaults,
    began: Nanos,
    over: bool,
    stage: Stage,
    hold_until: Nanos,
    intake: Intake,
    generator: Generator,
    pub(super) previous: Durations,
    pub(super) first: bool,
    encoder: SliceEncoder,
    clock: PlayheadClock,
    lead: LeadController,
    flow: FlowControl,
    idle: IdleGate,
    anchors: AnchorQueue,
    /// What is left of the source before a swap.
    bleed: Option<Bleed>,
    keepalive: Option<Keepalive>,
    started: bool,
    /// Of a family that only appends.
    pub(super) tape: Option<WrittenTape>,
    /// Of a family whose changes are heard later.
    pub(super) revision: Option<Revision>,
}

/// Where the loop that generates stands.
enum Stage {
    Ticking {
        until: Nanos,
        work: Durations,
    },
    Decoding {
        until: Nanos,
        work: Durations,
        placed: Placed,
        asked_for: bool,
    },
    /// Nothing to do before that moment; `None`: before somebody turns a knob.
    Resting {
        until: Option<Nanos>,
    },
}

/// A source that is being loaded.
pub(super) struct PendingSwap {
    pub due: Nanos,
    pub loaded: Loaded,
    pub request: SwapRequest,
}

/// Frames that are left of a window that is not clamped: measured on the server of June 2026.
const UNCLAMPED_FRAMES: u32 = 769;
/// Manual steering slots that a session begins with.
const FIRST_SLOTS: u32 = 1;

impl Session {
    /// Queues `ready` and the initial buffer. The stream begins when both have gone: see
    /// [`Session::start`].
    pub fn begin(
        options: &ServerOptions,
        Start { config, loaded, .. }: Start,
        session_id: &str,
        now: Nanos,
        outbox: &mut Outbox,
    ) -> Self {
        let family = config.model.family;
        let generator = profile::generator_of(family, &options.generator);
        let manual_slots = if events::refines_as_acestep(&config) { FIRST_SLOTS } else { 0 };
        let policy = config.apply(&options.policy);
        let shape = loaded.shape();
        let music = loaded.music.clone();
        let tape = WrittenTape::of(family, shape.frames);
        let mut buffer = pcm::to_halves(&loaded.pcm.audio);
        let loop_audio = loaded.into_loop_audio();
        let mut basis = loop_audio.audio().to_vec();
        if tape.is_some() {
            buffer.fill(0);
            basis.fill(0.0);
        }
        let mut session = Self {
            seed: options.seed,
            source: options.source.clone(),
            library: options.library.clone(),
            conditioning: Conditioning::of(&config),
            music,
            knobs: KnobBank::new(config.sde, family),
            loras: LoraLibrary::new(),
            config,
            source_epoch: 0,
            manual_slots,
            awaited: None,
            payload_within_s: policy.intake.payload_within_s,
            swap: None,
            shed: Shed::default(),
            placement: Placement::new(&policy.placement, shape.frames, DEFAULT_SAMPLE_RATE),
            channels: shape.channels,
            frames: shape.frames,
            faults: options.faults.clone(),
            began: now,
            over: false,
            stage: Stage::Resting { until: None },
            hold_until: now,
            intake: Intake::new(&policy.intake, now),
            generator: Generator::new(generator, options.seed),
            previous: Durations::default(),
            first: true,
            encoder: SliceEncoder::new(basis, shape.channels, options.generator.zstd_level),
            loop_audio,
            clock: PlayheadClock::new(&policy.clock, shape.frames, DEFAULT_SAMPLE_RATE, now),
            lead: LeadController::new(&policy.lead, policy.placement.window_s),
            flow: FlowControl::new(&policy.flow),
            idle: IdleGate::new(&policy.idle, now),
            anchors: AnchorQueue::default(),
            bleed: None,
            keepalive: None,
            started: false,
            tape,
            revision: None,
        };
        session.revision = Revision::of(family, options.seed, session.made_from(), now);
        (1..=manual_slots).for_each(|slot| session.knobs.add_slot(slot));
        session.greet(now, session_id, buffer, outbox);
        session
    }

    /// Begins to stream, once: a server that waits until a slow link has taken the initial buffer
    /// does not make slices meanwhile.
    pub fn start(&mut self, now: Nanos) {
        if !self.started {
            self.started = true;
            self.began = now;
            self.clock.restart(self.frames, now);
            self.idle.stir(now);
            self.keepalive = self.faults.deaf.map(|deaf| Keepalive::new(deaf.keepalive(), now));
            self.start_generation(now);
        }
    }

    /// The client's answer to a ping.
    pub fn pong(&mut self, now: Nanos) {
        let hears = self.faults.deaf.is_none_or(|deaf| self.seconds(now) < deaf.from_s);
        if let Some(keepalive) = self.keepalive.as_mut().filter(|_| hears) {
            keepalive.on_pong(now);
        }
    }

    pub fn receive(&mut self, now: Nanos, message: Taken) {
        if !self.over {
            self.intake.push(now, message);
        }
    }

    /// When something is due next.
    pub fn wake_at(&self) -> Option<Nanos> {
        if self.over {
            return None;
        }
        if !self.started {
            return Some(self.began);
        }
        let stage = match self.stage {
            Stage::Ticking { until, .. } | Stage::Decoding { until, .. } => Some(until),
            Stage::Resting { until } => until,
        };
        let swap = self.swap.as_ref().map(|swap| swap.due);
        let awaited = self.awaited.as_ref().map(|awaited| awaited.due);
        let intake = self.intake.wake_at();
        let keepalive = self.keepalive.as_ref().map(|keepalive| keepalive.wake_at(true));
        [intake, awaited, swap, stage, keepalive, self.ending_at()].into_iter().flatten().min()
    }

    /// Does everything that is due, in the order in which it is.
    pub fn run(&mut self, now: Nanos, outbox: &mut Outbox) {
        while let Some(due) = self.wake_at().filter(|&due| self.started && due <= now) {
            if self.ending_at() == Some(due) {
                self.end(due, outbox);
            } else if self.keepalive.as_ref().is_some_and(|it| it.wake_at(true) == due) {
                self.ping(due, outbox);
            } else if self.intake.wake_at() == Some(due) {
                self.take_in(due, outbox);
            } else if let Some(awaited) = self.awaited.take_if(|awaited| awaited.due == due) {
                let error = format!("no binary message within {} s", self.payload_within_s);
                outbox.text(due, awaited.upload.failed(&error));
            } else if let Some(swap) = self.swap.take_if(|swap| swap.due == due) {
                self.swap_in(due, swap, outbox);
            } else {
                self.step(due, outbox);
            }
        }
    }

    /// The fate of a slice whose turn has come; the message if it goes out. Those `waiting` behind it
    /// repeat what it holds.
    pub fn encode<'w>(
        &mut self,
        now: Nanos,
        slice: &Rendered,
        waiting: impl Iterator<Item = &'w mut Rendered>,
    ) -> Option<Vec<u8>> {
        match self.flow.fate(now.seconds_since(slice.made), slice.never_dropped) {
            Fate::DropInFlight => {
                self.shed.in_flight += 1;
                return None;
            }
            Fate::DropOld => {
                self.shed.old += 1;
                return None;
            }
            Fate::Send => {}
        }
        let message = self.encoder.encode(
            slice.region.start,
            &slice.audio,
            slice.tick_ms as f32,
            slice.decode_ms as f32,
            slice.generations,
        )?;
        self.flow.sent(message.len());
        if self.faults.codes_against_wanted {
            self.encoder.assume(slice.region.start, &slice.audio);
            return Some(message);
        }
        let held =
            self.encoder.basis().get(slice.region.start as usize * usize::from(self.channels)..);
        let (start, held) = (slice.region.start, held.unwrap_or_default());
        self.loop_audio.settle(start, &slice.audio, held);
        for waiting in waiting {
            let waiting = (waiting.region, &mut waiting.audio[..]);
            settle_waiting(waiting, start, &slice.audio, held, self.channels);
        }
        Some(message)
    }

    pub(super) fn greatest_transport_lead(&self) -> (Nanos, f64) {
        self.lead.greatest_transport_lead()
    }

    /// Something changed the sound: the model works again, and works on something else.
    pub(super) fn stir(&mut self, now: Nanos) {
        let made_from = self.made_from();
        match &mut self.revision {
            Some(revision) => revision.told(now, self.config.depth, made_from),
            None => self.loop_audio.vary(),
        }
        self.touch(now);
    }

    /// Somebody is there: the model works again.
    pub(super) fn touch(&mut self, now: Nanos) {
        self.idle.stir(now);
        if matches!(self.stage, Stage::Resting { until: None }) {
            self.start_generation(now);
        }
    }

    /// The pipeline is rebuilt: no generation begins before that is done.
    pub(super) fn rebuild(&mut self, now: Nanos) {
        self.hold(now, self.faults.rebuild_s);
    }

    fn hold(&mut self, now: Nanos, for_s: f64) {
        self.hold_until = self.hold_until.max(after(now, for_s));
    }

    fn take_in(&mut self, now: Nanos, outbox: &mut Outbox) {
        let Some((_, taken)) = self.intake.pop() else { return };
        if let Taken::Injected(injected) = taken {
            return self.inject(now, &injected, outbox);
        }
        // Whatever comes where a binary was announced is taken for it.
        match (self.awaited.take(), taken) {
            (Some(AwaitedUpload { upload, .. }), Taken::Binary(bytes)) => {
                self.binary(now, upload, &bytes, outbox);
            }
            (Some(AwaitedUpload { upload, .. }), _) => {
                let error = format!("a binary message was to follow {}", upload.command());
                outbox.text(now, upload.failed(&error));
            }
            (None, Taken::Report(report)) => self.hear(now, *report),
            (None, Taken::Command(fields)) => self.command(now, &fields, outbox),
            (None, _) => {}
        }
    }

    fn hear(&mut self, now: Nanos, report: Report) {
        if let Some(position_s) = report.position_s {
            self.clock.report(now, position_s, report.client_time);
            if let Some(tape) = &mut self.tape {
                tape.report(position_s);
            }
        }
        if let Some(lead_s) = report.slice_lead_s
            && !self.faults.ignores_leads(self.seconds(now))
        {
            self.lead.report(lead_s);
        }
        if let Some(bytes) = report.slice_bytes_rx {
            self.flow.acknowledge(bytes);
        }
        if let Some(at_s) = report.render_anchor_s {
            self.anchors.set_anchor(at_s);
        }
        report.render_anchor_queue_s.into_iter().for_each(|at_s| self.anchors.push(at_s));
        if let Some(raw) = report.raw {
            self.turn_knobs(now, raw);
        }
    }

    fn turn_knobs(&mut self, now: Nanos, raw: Map<String, Value>) {
        let Some(Turned { rebuilds, refits }) = self.knobs.turn(raw) else { return };
        if rebuilds {
            self.rebuild(now);
        } else if refits {
            self.hold(now, self.faults.refit_s);
        }
        if refits {
            self.knobs
                .lora_strengths()
                .for_each(|(id, strength)| self.loras.set_strength(id, strength));
        }
        self.stir(now);
    }

    /// A ping, or the end of a client of which nothing came back.
    fn ping(&mut self, now: Nanos, outbox: &mut Outbox) {
        let Some(keepalive) = &mut self.keepalive else { return };
        if keepalive.take_ping(now) {
            outbox.message(now, Outgoing::Ping(Vec::new()));
        } else if keepalive.is_lost(now) {
            self.over = true;
            outbox.close(now, 1011, "keepalive ping timeout");
        }
    }

    /// The decoded window is shorter than the cross-fade that is to join it, and the generator raises.
    fn die_at_the_end(&mut self, now: Nanos, outbox: &mut Outbox) {
        self.over = true;
        let message = format!(
            "Generation stopped: ValueError: operands could not be broadcast together with shapes \
             ({UNCLAMPED_FRAMES},{}) ({FADE_FRAMES},1) ",
            self.channels
        );
        outbox.text(now, events::error("pipeline_error", &message));
        outbox.close(now, 1000, "");
    }

    fn ending_at(&self) -> Option<Nanos> {
        self.faults.ending.as_ref().map(|ending| after(self.began, ending.at_s))
    }

    fn end(&mut self, now: Nanos, outbox: &mut Outbox) {
        self.over = true;
        let Some(ending) = &self.faults.ending else { return };
        match (ending.how, ending.how.message()) {
            (SessionEnding::Reset, _) => outbox.close_first(now, LOST, RESET),
            (_, None) => outbox.close(now, 4001, "preempted by another session"),
            (_, Some(message)) => {
                outbox.text(now, events::error("pipeline_error", message));
                outbox.close(now, 1000, "");
            }
        }
    }

    fn seconds(&self, now: Nanos) -> f64 {
        now.seconds_since(self.began)
    }

    /// When a source that begins to load now is there.
    pub(super) fn loaded_at(&self, now: Nanos) -> Nanos {
        after(now, self.generator.options().load_ms / 1e3)
    }
}

/// Queues the stems of a source: their names, then their buffers.
pub(super) fn send_stems(now: Nanos, name: &str, mode: &str, pcm: &Pcm, outbox: &mut Outbox) {
    let shape = LoopShape { frames: pcm.frames() as u32, channels: pcm.channels };
    outbox.text(now, events::stem_assets(shape, name, mode));
    for stem in pcm::stems(pcm) {
        outbox.message(now, Outgoing::Binary(pcm::to_halves(&stem)));
    }
}
