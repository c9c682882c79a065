//! What a listener hears, picked up record by record.

use crate::capture::Record;
use crate::engine::Engine;
use crate::heard::{CrossedBuffer, SessionAudio};
use crate::playhead::PlayheadSource;
use crate::time::{Nanos, Offset};

/// Takes the audio that a listener hears from an engine, record by record.
#[derive(Debug)]
pub struct SessionFollower {
    from: Option<Offset>,
    audio: Option<SessionAudio>,
}

impl SessionFollower {
    /// From this moment of the session on, or from where its records begin.
    #[must_use]
    pub fn new(from: Option<Offset>) -> SessionFollower {
        SessionFollower { from, audio: None }
    }

    /// Goes on to a record, which the engine has not got yet.
    pub fn before(&mut self, engine: &Engine, record: &Record<'_>) {
        self.play_to(engine, record.t);
    }

    /// All of it, up to a moment; `None` without a buffer.
    #[must_use]
    pub fn end(mut self, engine: &Engine, at: Nanos) -> Option<SessionAudio> {
        self.play_to(engine, at);
        self.audio
    }

    fn play_to(&mut self, engine: &Engine, t: Nanos) {
        let (Some(origin), Some(mirror)) = (engine.origin(), engine.mirror()) else { return };
        let audio = self.audio.get_or_insert_with(|| {
            // Nobody knows what was heard before the first record of a part.
            let known = engine.begins().unwrap_or(origin);
            let begins = self.from.map_or(known, |from| from.from(origin).max(known));
            let reported = engine.playhead_source() == PlayheadSource::Reported;
            SessionAudio::new((origin, begins), engine.sample_rate(), mirror.channels(), reported)
        });
        // How the playhead went on from the end of what was heard so far.
        let Some(line) = engine.playhead_line(t) else { return };
        let buffer = CrossedBuffer { samples: mirror.samples(), channels: mirror.channels() };
        audio.play_to(t, line, Some(buffer));
    }
}
