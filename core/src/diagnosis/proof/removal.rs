//! How the model takes a cause away, and why it cannot.

use crate::diagnosis::class::Class;
use crate::scenario::model::Mend;

/// What is put right where a cause is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::diagnosis) struct Removal {
    pub mends: &'static [Mend],
    /// The same in words.
    pub sentence: &'static str,
}

/// A cause that the model cannot take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model cannot take {class} away: {why}")]
pub struct NoRemoval {
    class: Class,
    why: &'static str,
}

/// Nobody recorded what a session would have been after its end.
const ENDED: &str = "what would have come after the end is not recorded";
/// The model puts slices into a loop and knows nothing of what they hold.
const CONTENT: &str = "it knows where slices went, and not what was in them";

impl Removal {
    pub fn of(class: Class) -> Result<Removal, NoRemoval> {
        let removal = |mends, sentence| Ok(Removal { mends, sentence });
        let cannot = |why| Err(NoRemoval { class, why });
        match class {
            Class::StalePlayhead => removal(&[Mend::Intake], "the newest report handled at once"),
            Class::BandwidthDeficit | Class::SwapHeadOfLine | Class::AnchoredShed => {
                removal(&[Mend::Link], "the link as fast as needed")
            }
            Class::SeekLeadRunaway => {
                removal(&[Mend::Transport], "no lead added for leads that were reported")
            }
            Class::TransportLeadOscillation => {
                removal(&[Mend::Transport, Mend::Link], "slices in time without a transport lead")
            }
            Class::ClientBacklog => {
                removal(&[Mend::Client, Mend::Reports], "slices applied and reported at once")
            }
            Class::ClientSendHitch => {
                removal(&[Mend::Client, Mend::Reports], "the client reporting without breaks")
            }
            Class::ClockSkew => removal(&[Mend::Clock], "the client's audio clock at rate 1"),
            Class::SlowGeneration
            | Class::GpuContention
            | Class::VramPaging
            | Class::BurstProduction => removal(&[Mend::Turns], "ticks of normal length"),
            Class::RebuildStall => removal(&[Mend::Turns], "no rebuild of the pipeline"),
            Class::RefitStorm => removal(&[Mend::Turns], "no refit of the LoRA"),
            Class::GenerationStall => removal(&[Mend::Turns], "the generator going on"),
            Class::RawSourceNeverCovered => removal(&[Mend::Turns], "slices from the beginning on"),
            Class::OversizeWindow => removal(&[Mend::Window], "windows of 0.36 s"),
            Class::StairStepPlayhead => cannot("the positions between the steps are not recorded"),
            Class::OldTrackBleed | Class::MirrorDrift => cannot(CONTENT),
            Class::PipelineDeath
            | Class::LoopEndCrash
            | Class::Preempted
            | Class::KeepaliveKill
            | Class::TunnelReset
            | Class::HalfOpen
            | Class::SessionRefused
            | Class::AbnormalClose => cannot(ENDED),
        }
    }
}
