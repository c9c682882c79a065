//! The generating loop: tick, look, decode, hand over; and a swap, between two of its steps.

use super::{PendingSwap, Session, Stage, send_stems};
use crate::family::Family;
use crate::peer::Outgoing;
use crate::peer::generator::Durations;
use crate::peer::pacing::{Activity, Placed};
use crate::peer::server::bleed::Bleed;
use crate::peer::server::outbox::{Entry, Outbox, Rendered, slices};
use crate::peer::server::revision::NAP_S;
use crate::peer::server::source::Loaded;
use crate::peer::server::tape::{GATE_S, Next, WrittenTape};
use crate::peer::server::{after, events, pcm};
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos};
use crate::wire::slice::SliceEncoder;

/// From a swap of sa3 to the first generation on the new anchor, of which the first slice comes about
/// a second after `swap_ready`.
const SWAP_FLUSH_S: f64 = 0.9;
impl Session {
    pub fn step(&mut self, now: Nanos, outbox: &mut Outbox) {
        match self.stage {
            Stage::Resting { .. } => self.start_generation(now),
            Stage::Ticking { work, .. } if self.tape.is_some() => {
                self.append(now, work, outbox);
                self.start_generation(now);
            }
            Stage::Ticking { work, .. } => self.look(now, work, outbox),
            Stage::Decoding { work, placed, asked_for, .. } => {
                self.hand_over(now, work, placed, asked_for, outbox);
                self.start_generation(after(now, self.generator.options().overhead_ms / 1e3));
            }
        }
    }

    pub fn start_generation(&mut self, now: Nanos) {
        let loop_s = f64::from(self.frames) / f64::from(DEFAULT_SAMPLE_RATE);
        self.stage = if self.idle.activity(now, loop_s) == Activity::Stopped {
            Stage::Resting { until: None }
        } else if let Some(until_s) = self.faults.stalled_until(self.seconds(now)) {
            Stage::Resting { until: Some(after(self.began, until_s).max(Nanos(now.0 + 1))) }
        } else if self.hold_until > now {
            Stage::Resting { until: Some(self.hold_until) }
        } else if self.tape.is_some() {
            self.next_commit(now)
        } else {
            self.next_tick(now)
        };
    }

    fn next_tick(&mut self, now: Nanos) -> Stage {
        if self.revision.as_mut().is_some_and(|revision| revision.turns(now)) {
            self.loop_audio.vary();
        }
        if let Some(work) = self.revision.as_ref().and_then(|revision| revision.nap(now)) {
            return Stage::Ticking { until: after(now, NAP_S), work };
        }
        let drawn = self.generator.next_durations();
        let work = self.faults.bend(self.seconds(now), drawn, || self.generator.draw());
        Stage::Ticking { until: after(now, work.tick_ms / 1e3), work }
    }

    /// The worker of a tape makes a commit; the loop only takes it, which costs it nothing.
    fn next_commit(&mut self, now: Nanos) -> Stage {
        let at_s = self.seconds(now);
        let next = self.tape.as_mut().map(|tape| tape.next(at_s, &self.knobs, &self.faults));
        match next {
            Some(Next::Makes(makes_s)) => {
                Stage::Ticking { until: after(now, makes_s), work: Durations::default() }
            }
            Some(Next::Waits) => Stage::Resting { until: Some(after(now, GATE_S)) },
            Some(Next::Over) | None => Stage::Resting { until: None },
        }
    }

    /// A commit is made and goes on the tape. Nothing of it is ever dropped: the server does not shed
    /// what it cannot send again.
    fn append(&mut self, now: Nanos, work: Durations, outbox: &mut Outbox) {
        let regions = self.tape.as_mut().map(WrittenTape::append).unwrap_or_default();
        let leaves = after(now, self.generator.options().encode_ms / 1e3);
        self.previous = work;
        let update = events::params_update(&self.params());
        for region in regions {
            let slice = Rendered {
                made: now,
                region,
                audio: self.loop_audio.render(region, false),
                never_dropped: true,
                tick_ms: self.previous.tick_ms,
                decode_ms: self.previous.decode_ms,
                generations: self.generator.generations(),
                update: update.clone(),
            };
            outbox.slice(leaves, slice, Outbox::MAX_KEPT_SLICES);
        }
        self.generator.finish_tick(self.config.depth, self.steps());
        self.first = false;
    }

    /// The generator looks: where is the listener, and where does the slice go?
    fn look(&mut self, now: Nanos, work: Durations, outbox: &mut Outbox) {
        let estimate = self.clock.look(now);
        let estimate = self.bleeding(now).map_or(estimate, |bleed| bleed.estimate(now));
        let advance_s = self.lead.look(now, self.placement.band().is_some());
        let anchor = self.anchors.pop();
        let placed = match (anchor, self.faults.behind_by(self.seconds(now))) {
            (Some(at_s), _) => self.placement.place_exactly(at_s),
            (None, Some(by_s)) => self.placement.place(estimate, -by_s),
            (None, None) => self.placement.place(estimate, advance_s),
        };
        if self.faults.is_unclamped(self.seconds(now)) && self.placement.is_last(placed.region) {
            return self.die_at_the_end(now, outbox);
        }
        let until = after(now, work.decode_ms / 1e3);
        self.stage = Stage::Decoding { until, work, placed, asked_for: anchor.is_some() };
    }

    fn hand_over(
        &mut self,
        now: Nanos,
        work: Durations,
        placed: Placed,
        asked_for: bool,
        outbox: &mut Outbox,
    ) {
        let settled = self.idle.activity(now, f64::INFINITY) != Activity::Live
            || self.revision.as_ref().is_some_and(|revision| revision.is_settled(now));
        let leaves = after(now, self.generator.options().encode_ms / 1e3);
        let update = events::params_update(&self.params());
        for region in std::iter::once(placed.region).chain(placed.spill) {
            let old = self.bleeding(now).map(|bleed| bleed.audio(region));
            let slice = Rendered {
                made: now,
                region,
                audio: old.unwrap_or_else(|| self.loop_audio.render(region, settled)),
                never_dropped: asked_for || region.frames == self.frames,
                tick_ms: self.previous.tick_ms,
                decode_ms: self.previous.decode_ms,
                generations: self.generator.generations(),
                update: update.clone(),
            };
            outbox.slice(leaves, slice, Outbox::MAX_SLICES);
        }
        if !settled {
            self.generator.finish_tick(self.config.depth, self.steps());
        }
        self.previous = work;
        self.first = false;
    }

    fn steps(&self) -> u32 {
        let overridden = self.knobs.value("steps_override");
        overridden.map_or(self.config.steps, |steps| steps.clamp(1.0, 64.0) as u32)
    }

    /// Slices of the old source go out first, coded against it; then the new source begins.
    pub fn swap_in(&mut self, now: Nanos, swap: PendingSwap, outbox: &mut Outbox) {
        let mut entries = outbox.take();
        while let Some((at, entry)) = entries.pop_front() {
            match entry {
                Entry::Message(message) => outbox.message(at, message),
                Entry::Slice(slice) => {
                    if let Some(message) = self.encode(now, &slice, slices(&mut entries)) {
                        outbox.message(at, Outgoing::Binary(message));
                        outbox.text(at, slice.update);
                    }
                }
            }
        }
        let PendingSwap { loaded, request, .. } = swap;
        let shape = loaded.shape();
        self.source_epoch = self.source_epoch.saturating_add(1);
        self.music = loaded.music.clone();
        request.tags.iter().for_each(|tags| self.conditioning.swap_prompt(tags));
        let fixture = request.fixture.as_deref();
        outbox.text(now, events::swap_ready(shape, &self.music, fixture, self.source_epoch));
        outbox.message(now, Outgoing::Binary(pcm::to_halves(&loaded.pcm.audio)));
        if let Some(mode) = request.stem_mode {
            send_stems(now, fixture.unwrap_or("upload"), &mode, &loaded.pcm, outbox);
        }
        if self.config.model.family == Family::Sa3 {
            // Covers that were rendered for the old anchor are withheld (PR 335).
            self.hold(now, SWAP_FLUSH_S);
        }
        self.restart(now, loaded);
    }

    pub fn generations(&self) -> u32 {
        self.generator.generations()
    }

    pub fn restart(&mut self, now: Nanos, loaded: Loaded) {
        if self.faults.bleed_s > 0.0 {
            let held = self.loop_audio.audio().to_vec();
            let until = after(now, self.faults.bleed_s);
            self.bleed = Some(Bleed::new(until, self.clock.clone(), held, self.channels));
        }
        let shape = loaded.shape();
        self.frames = shape.frames;
        self.channels = shape.channels;
        self.loop_audio = loaded.into_loop_audio();
        let level = self.generator.options().zstd_level;
        self.encoder = SliceEncoder::new(self.loop_audio.audio().to_vec(), shape.channels, level);
        self.clock.restart(shape.frames, now);
        self.placement.restart(shape.frames);
        self.anchors.clear();
        self.idle.stir(now);
        self.start_generation(now);
    }

    /// What is left of the source before a swap, while the generator goes on with it.
    pub fn bleeding(&self, now: Nanos) -> Option<&Bleed> {
        self.bleed.as_ref().filter(|bleed| bleed.holds(now))
    }
}
