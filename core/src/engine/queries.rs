//! What can be read of an engine at any moment. Nothing here changes it.

use super::doubts::Doubts;
use super::stream::{DEFAULT_READY, Stream};
use super::timing::TimeEvidence;
use super::whose::{ClientHabit, PlayheadEvidence};
use super::{Engine, Epoch, Facts, Hearing, Observed, Options, SessionEnd, StreamAtEnd};
use crate::capture::{ClientKind, Header, PlayheadLine, TickReport};
use crate::event::Interpreter;
use crate::family::FamilyUse;
use crate::heard::{HeardAudio, HeardEpisode, HeardMeter};
use crate::lag::{LagReport, ReportArgs};
use crate::mirror::Mirror;
use crate::mirror::drift::MirrorDrift;
use crate::playhead::{PlayheadSim, PlayheadSource};
use crate::time::Nanos;
use crate::wire::message::Ready;

impl Engine {
    /// How the session ended, or stands at `at`.
    #[must_use]
    pub fn ending(&self, at: Nanos) -> SessionEnd {
        let at_s = at.seconds();
        let stream = self.stream.as_ref();
        let stream = StreamAtEnd {
            streams: stream.is_some(),
            is_paused: stream.is_some_and(|stream| stream.hearing.playhead.paused(at_s)),
            habit: ClientHabit::of(self.header.as_ref(), &self.last_report()),
            is_idle: stream.is_some_and(|stream| {
                let meter = &stream.hearing.meter;
                meter.idles(at) || meter.may_be_silent(at)
            }),
            awaits_buffer: self.interpreter.pending().len() > 0,
        };
        self.facts.ending.ending(at, stream)
    }

    /// The playhead that is, or will be, used.
    #[must_use]
    pub fn playhead_source(&self) -> PlayheadSource {
        self.options.playhead.unwrap_or(match self.header.as_ref().map(|header| header.client) {
            Some(ClientKind::Headless) => PlayheadSource::Simulated,
            Some(ClientKind::Foreign) | None => PlayheadSource::Reported,
        })
    }

    /// Whether checkpoints can be made from what this engine knows: it reads the audio of every slice, and
    /// looks at the session as any reader of the capture does who was told nothing.
    #[must_use]
    pub fn makes_checkpoints(&self) -> bool {
        let Options { audio_crc, headers_only, playhead, .. } = self.options;
        audio_crc && !headers_only && playhead.is_none()
    }

    /// Whether somebody chose the playhead, rather than the kind of client.
    #[must_use]
    pub fn playhead_was_chosen(&self) -> bool {
        self.options.playhead.is_some()
    }

    /// How the client's reports fit the simulated playhead.
    #[must_use]
    pub fn playhead_evidence(&self) -> PlayheadEvidence {
        self.stream.as_ref().map(|stream| stream.evidence.clone()).unwrap_or_default()
    }

    /// The capture's header record.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// What `ready` declared.
    #[must_use]
    pub fn ready(&self) -> Option<Ready> {
        self.ready
    }

    /// Whether there were messages, and no DEMON server accepted or refused a session. A client that asks
    /// once and gets no answer is one of a server that is not up yet.
    #[must_use]
    pub fn speaks_otherwise(&self) -> bool {
        let [up, down] = &self.facts.arrivals.sides;
        let is_demon = self.ready.is_some() || self.facts.refusal.is_some();
        !is_demon && (down.data() > 0 || up.data() > 1)
    }

    /// Frames per second of the session: what `ready` declared, or the protocol's usual rate.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.ready.unwrap_or(DEFAULT_READY).sample_rate
    }

    /// Which family serves the session, and by what that is known.
    #[must_use]
    pub fn family(&self) -> &FamilyUse {
        &self.family
    }

    /// Counts, events, oddities.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Why the capture's times, or its audio, cannot carry a verdict.
    #[must_use]
    pub fn doubts(&self) -> Doubts {
        Doubts::of(self)
    }

    /// The listener and the measure of what he hears.
    #[must_use]
    pub fn hearing(&self) -> Option<&Hearing> {
        self.stream.as_ref().map(|stream| &stream.hearing)
    }

    /// Whether deltas were coded against what the client holds; `None` where its audio is not known.
    #[must_use]
    pub fn mirror_drift(&self) -> Option<&MirrorDrift> {
        let stream = self.stream.as_ref().filter(|stream| stream.mirror.is_some());
        stream.map(|stream| stream.drift.seen())
    }

    /// What was observed of the stream.
    #[must_use]
    pub fn observed(&self) -> Option<&Observed> {
        self.stream.as_ref().map(|stream| &stream.observed)
    }

    /// What the records say about their times.
    #[must_use]
    pub fn time_evidence(&self) -> &TimeEvidence {
        &self.timing
    }

    /// The state of the protocol.
    #[must_use]
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// The simulated playhead, whether it counts or not.
    #[must_use]
    pub fn simulated_playhead(&self) -> Option<&PlayheadSim> {
        self.stream.as_ref().and_then(|stream| stream.hearing.playhead.simulated())
    }

    /// How the listener goes on from a moment while nothing moves him.
    #[must_use]
    pub fn playhead_line(&self, at: Nanos) -> Option<PlayheadLine> {
        Some(self.stream.as_ref()?.hearing.playhead.line(at))
    }

    /// The spans in which the server rested because nothing was changed, from its last slice to the last
    /// report before it went on.
    #[must_use]
    pub fn idle_spans(&self) -> &[(Nanos, Nanos)] {
        self.stream.as_ref().map_or(&[], |stream| &stream.idle[..])
    }

    /// When the initial buffer arrived: the origin of every time that a person reads.
    #[must_use]
    pub fn origin(&self) -> Option<Nanos> {
        self.stream.as_ref().map(|stream| stream.origin)
    }

    /// From when somebody is known to listen: since the buffer came, or since a foreign client first said
    /// where it plays. Leads and ages from before are nobody's.
    #[must_use]
    pub fn listens_from(&self) -> Option<Nanos> {
        self.stream.as_ref().and_then(Stream::listens_from)
    }

    /// When what was seen of the stream begins: with the initial buffer, or with the context.
    #[must_use]
    pub fn begins(&self) -> Option<Nanos> {
        let origin = self.origin()?;
        Some(self.facts.resumed.map_or(origin, |resumed| resumed.max(origin)))
    }

    /// One entry for each source buffer, oldest first.
    #[must_use]
    pub fn epochs(&self) -> &[Epoch] {
        self.stream.as_ref().map_or(&[], |stream| &stream.epochs)
    }

    /// The reference's report at `at`, of the session since the last swap.
    #[must_use]
    pub fn report(&self, at: Nanos, args: &ReportArgs) -> Option<LagReport> {
        self.epochs().last().map(|epoch| epoch.tracker.report(at.seconds(), args))
    }

    /// The episodes of lag so far; times are seconds from the initial buffer.
    #[must_use]
    pub fn episodes(&self) -> Vec<HeardEpisode> {
        self.stream
            .as_ref()
            .map_or_else(Vec::new, |stream| stream.hearing.meter.alarms(stream.origin))
    }

    /// The episode of lag that goes on.
    #[must_use]
    pub fn current_episode(&self) -> Option<HeardEpisode> {
        self.stream.as_ref().and_then(|stream| stream.hearing.meter.current_alarm(stream.origin))
    }

    /// The episodes that may yet become longer.
    #[must_use]
    pub fn open_episodes(&self) -> Vec<HeardEpisode> {
        let open = |stream: &Stream| stream.hearing.meter.open_alarms(stream.origin).collect();
        self.stream.as_ref().map_or_else(Vec::new, open)
    }

    /// The latest episode of bad audio and that of slices behind, over or not.
    pub fn latest_episodes(&self) -> impl Iterator<Item = HeardEpisode> {
        self.stream.iter().flat_map(|stream| stream.hearing.meter.latest_alarms(stream.origin))
    }

    /// The frame under the playhead at `at`.
    #[must_use]
    pub fn playhead_frame(&self, at: Nanos) -> Option<u64> {
        self.stream.as_ref().map(|stream| stream.hearing.playhead.frame(at.seconds()))
    }

    /// The position of the playhead at `at`, in seconds from the start of the loop.
    #[must_use]
    pub fn playhead_s(&self, at: Nanos) -> Option<f64> {
        self.stream.as_ref().map(|stream| stream.hearing.playhead.seconds(at.seconds()))
    }

    /// What the last tick said; nothing before the first.
    #[must_use]
    pub fn last_report(&self) -> TickReport {
        self.stream.as_ref().map_or_else(TickReport::default, |stream| stream.last_report)
    }

    /// The client's buffer, unless payloads were missing or not read.
    #[must_use]
    pub fn mirror(&self) -> Option<&Mirror> {
        self.stream.as_ref().and_then(|stream| stream.mirror.as_ref())
    }

    /// What the listener heard, when it was asked for and the audio is known.
    #[must_use]
    pub fn heard(&self) -> Option<&HeardAudio> {
        self.stream.as_ref().and_then(|stream| stream.heard.as_ref())
    }

    /// The measure of what was heard, to the frame.
    #[must_use]
    pub fn heard_meter(&self) -> Option<&HeardMeter> {
        self.stream.as_ref().map(|stream| &stream.hearing.meter)
    }

    /// The capture begins in the middle of its session and does not say when each frame of the loop
    /// was written last: until each was written again, ages are known to a bucket.
    #[must_use]
    pub fn ages_are_coarse(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.seeded)
    }
}
