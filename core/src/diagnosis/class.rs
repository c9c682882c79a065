//! The classes of incident: what each is called, whose fault it is, what mends it and what to do next.

use std::fmt;

use serde::{Serialize, Serializer};

/// The part of the system at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Subsystem {
    /// The model, its GPU and the pipeline around it.
    Generation,
    /// How the server reads reports, estimates the playhead and chooses its lead.
    ServerClock,
    /// The way of slices to the client.
    Downlink,
    /// The way of reports to the server.
    Uplink,
    /// The thread that applies slices and sends reports.
    ClientMainThread,
    /// The clock and the callback that play the loop.
    ClientAudioClock,
    /// The connection itself: who closed it, or which side is gone.
    Connection,
    /// Which audio is in the buffer: sources, swaps, deltas.
    ContentAndSwap,
    /// What the client asked for.
    Configuration,
}

impl Subsystem {
    /// Its name in running text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Subsystem::Generation => "generation",
            Subsystem::ServerClock => "server clock and intake",
            Subsystem::Downlink => "downlink",
            Subsystem::Uplink => "uplink",
            Subsystem::ClientMainThread => "client main thread",
            Subsystem::ClientAudioClock => "client audio clock",
            Subsystem::Connection => "connection",
            Subsystem::ContentAndSwap => "content and swap",
            Subsystem::Configuration => "configuration",
        }
    }
}

/// What is known of a class whatever the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AboutClass {
    pub class: Class,
    /// Its name in JSON, in text and in the documentation.
    pub id: &'static str,
    pub subsystem: Subsystem,
    /// What is known to mend it or to make it bearable.
    pub mitigation: &'static str,
    /// What to run next; `FILE` stands for the capture.
    pub next: &'static str,
}

macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident: $id:literal, $subsystem:ident, $mitigation:literal, $next:literal;)*) => {
        /// A class of incident.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Class {
            $($(#[$doc])* $class,)*
        }

        /// Every class, in the order of `docs/DIAGNOSIS.md`.
        pub const CLASSES: &[AboutClass] = &[$(AboutClass {
            class: Class::$class,
            id: $id,
            subsystem: Subsystem::$subsystem,
            mitigation: $mitigation,
            next: $next,
        },)*];
    };
}

classes! {
    /// The server acts on positions that are seconds old.
    StalePlayhead: "stale-playhead", ServerClock,
        "Handle the newest report and drop the older ones, or send fewer reports; a reconnect clears the backlog.",
        "lagtape what-if FILE --newest-wins on";
    /// The link carries less than the stream needs.
    BandwidthDeficit: "bandwidth-deficit", Downlink,
        "Ask for mono or a smaller stream, turn emit-trim on, or move to a faster link.",
        "lagtape what-if FILE --down 10MB/s";
    /// One stray report threw the transport lead to its cap.
    SeekLeadRunaway: "seek-lead-runaway", ServerClock,
        "Have the client leave slices of before the seek out of `slice_lead_s`, or cap the server's step per report.",
        "lagtape plot FILE -o plot.svg";
    /// The transport lead decays and has to be learnt again and again.
    TransportLeadOscillation: "transport-lead-oscillation", ServerClock,
        "Hold the transport lead while reported leads are inside the band instead of decaying it.",
        "lagtape plot FILE -o plot.svg";
    /// The client applies slices late and in bursts.
    ClientBacklog: "client-backlog", ClientMainThread,
        "Apply slices off the main thread, and keep the tab in the foreground.",
        "lagtape what-if FILE --handles-every 0";
    /// The client stops reporting and applying for a moment.
    ClientSendHitch: "client-send-hitch", ClientMainThread,
        "Move the blocking call off the thread that reports the position.",
        "lagtape cat FILE --type params";
    /// The reported position moves in steps of the audio callback.
    StairStepPlayhead: "stair-step-playhead", ClientAudioClock,
        "Interpolate the position between audio callbacks, or use a smaller callback.",
        "lagtape cat FILE --type params";
    /// The client's audio clock does not run at the rate of the wall clock.
    ClockSkew: "clock-skew", ClientAudioClock,
        "Report the position often, so that the server re-anchors; check the device's sample rate.",
        "lagtape what-if FILE --rate 1";
    /// A tick makes less audio than it takes time.
    SlowGeneration: "slow-generation", Generation,
        "Fewer steps, a smaller model or a faster GPU: a window has to take less time than it plays.",
        "lagtape what-if FILE --tick-factor 0.5";
    /// Another load on the GPU comes and goes.
    GpuContention: "gpu-contention", Generation,
        "Keep other work off the GPU, or give it a lower priority.",
        "lagtape what-if FILE --tick-factor 0.5";
    /// The pipeline was built anew.
    RebuildStall: "rebuild-stall", Generation,
        "Warm the configurations up before they are chosen live.",
        "lagtape plot FILE -o plot.svg";
    /// Each tick refits a LoRA that is being dragged.
    RefitStorm: "refit-storm", Generation,
        "Send LoRA strengths only when the drag ends, or a few times a second.",
        "lagtape cat FILE --type params";
    /// Memory ran out and ticks take a multiple from then on.
    VramPaging: "vram-paging", Generation,
        "Free GPU memory: fewer models, LoRAs or sessions beside it; restart the pod.",
        "lagtape what-if FILE --tick-factor 0.5";
    /// Generations come in bursts with pauses between.
    BurstProduction: "burst-production", Generation,
        "Turn gap-fill on, so that slices go on between generations.",
        "lagtape plot FILE -o plot.svg";
    /// Each slice is many times as long as it has to be.
    OversizeWindow: "oversize-window", Configuration,
        "Ask for the window of the server, 0.36 s.",
        "lagtape info FILE";
    /// The generator made nothing for a while.
    GenerationStall: "generation-stall", Generation,
        "Look at the server's log of that moment: something blocked the pipeline.",
        "lagtape plot FILE -o plot.svg";
    /// The pipeline died.
    PipelineDeath: "pipeline-death", Generation,
        "Reconnect; the server's log holds the exception.",
        "lagtape cat FILE --type error";
    /// A slice at the loop's very end broke the pipeline.
    LoopEndCrash: "loop-end-crash", Generation,
        "Clamp the window to the loop's end; a loop whose length is a multiple of the grid avoids it.",
        "lagtape cat FILE --type slice";
    /// Slices of the source before are written into the new one.
    OldTrackBleed: "old-track-bleed", ContentAndSwap,
        "Drop what was rendered before the swap; clients can compare the source's epoch.",
        "lagtape plot FILE -o plot.svg";
    /// The new buffer holds up the slices behind it.
    SwapHeadOfLine: "swap-head-of-line", Downlink,
        "Send the new buffer in pieces or compressed, or start playing it where slices already are.",
        "lagtape what-if FILE --down 10MB/s";
    /// A slice that fills a queued region was shed.
    AnchoredShed: "anchored-shed", Downlink,
        "Never shed anchored slices; ask for the region again.",
        "lagtape cat FILE --type slice";
    /// The client's buffer is not what the deltas were coded against.
    MirrorDrift: "mirror-drift", ContentAndSwap,
        "Code deltas against the samples as the client holds them, after rounding.",
        "lagtape verify FILE";
    /// Another session took the GPU.
    Preempted: "preempted", Connection,
        "Give each session a server of its own; do not reconnect by itself after 4001.",
        "lagtape info FILE";
    /// The server closed since its pings were not answered.
    KeepaliveKill: "keepalive-kill", Connection,
        "Answer pings off the busy thread, or lengthen the server's ping timeout.",
        "lagtape info FILE";
    /// The connection was reset without a close.
    TunnelReset: "tunnel-reset", Connection,
        "Reconnect with a back-off; look for the idle or age limit of the tunnel between.",
        "lagtape info FILE";
    /// The client is gone and its socket is not.
    HalfOpen: "half-open", Connection,
        "Close sessions whose client has said nothing for some seconds, and bound the socket's buffer.",
        "lagtape info FILE";
    /// A region of the buffer was heard before any slice was written to it.
    RawSourceNeverCovered: "raw-source-never-covered", ContentAndSwap,
        "Start playing, or fade the new source in, only once slices lie ahead of the playhead.",
        "lagtape plot FILE -o plot.svg";
    /// The server refused the session or could not begin it.
    SessionRefused: "session-refused", Connection,
        "Do what the server's message says; its log has more.",
        "lagtape info FILE";
    /// The connection ended in another way that it should not.
    AbnormalClose: "abnormal-close", Connection,
        "Look at the close code and its reason, and at the log of the side that closed.",
        "lagtape info FILE";
}

impl Class {
    /// What is known of it whatever the session.
    #[must_use]
    pub fn about(self) -> &'static AboutClass {
        &CLASSES[self as usize]
    }

    /// Its name, such as `stale-playhead`.
    #[must_use]
    pub fn id(self) -> &'static str {
        self.about().id
    }

    /// The class of that name.
    #[must_use]
    pub fn of_id(id: &str) -> Option<Class> {
        CLASSES.iter().find(|about| about.id == id).map(|about| about.class)
    }

    #[must_use]
    pub fn subsystem(self) -> Subsystem {
        self.about().subsystem
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Class {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Class".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let ids: Vec<_> = CLASSES.iter().map(|about| about.id).collect();
        schemars::json_schema!({ "type": "string", "enum": ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_by_their_ids() {
        for (index, about) in CLASSES.iter().enumerate() {
            assert_eq!(about.class as usize, index);
            assert_eq!(Class::of_id(about.id), Some(about.class), "{}", about.id);
            assert!(about.mitigation.ends_with('.') && !about.next.ends_with('.'), "{}", about.id);
        }
        assert_eq!(Class::of_id("choppy"), None);
    }
}
