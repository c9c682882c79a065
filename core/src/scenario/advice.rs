//! What to do where there is no answer, as a value.
//!
//! The core knows what would help and no flag or argument that asks for it: a door gives a
//! [`Wording`], and sentences end in its words.

use crate::time::Span;

/// What would get an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Let the recorded slices stay.
    OpenLoop,
    /// Record for longer, or let the recorded slices stay.
    RecordLonger,
    /// Record for longer; recorded slices could not stay.
    RecordForSeconds,
    /// Change nothing but where the listener is.
    OnlyMoveListener,
    /// The same, and let the recorded slices stay.
    OnlyMoveListenerOpenLoop,
    /// Do not ask that the recorded slices stay.
    NoOpenLoop,
    /// Leave the knob of that name as recorded.
    LeaveOut(&'static str),
    /// Turn the knob of that name instead.
    TurnInstead(&'static str),
    /// The same in a document, by its key.
    SetKey(&'static str),
    /// Ask the part of the capture that begins at that time.
    AskPart(Span),
    /// Record it as well, and compare.
    RecordAnother,
    /// Ask for data instead of a text, which leaves rows out.
    AllRows,
}

/// How a door says it. The default has the words of no door, for those who use the library.
#[derive(Clone, Copy, Debug)]
pub struct Wording(pub fn(Advice) -> String);

impl Default for Wording {
    fn default() -> Self {
        Wording(plain)
    }
}

impl Wording {
    /// What to do, in the words of the door.
    #[must_use]
    pub fn of(self, advice: Advice) -> String {
        (self.0)(advice)
    }
}

impl Advice {
    /// A sentence with what to do.
    #[must_use]
    pub fn after(self, sentence: &str, wording: Wording) -> String {
        let joint = match self {
            Advice::RecordLonger | Advice::RecordForSeconds => ", so ",
            Advice::OnlyMoveListener => ": ",
            _ => "; ",
        };
        format!("{sentence}{joint}{}", wording.of(self))
    }
}

fn plain(advice: Advice) -> String {
    match advice {
        Advice::OpenLoop => "ask for the open loop".to_owned(),
        Advice::RecordLonger => "record for some seconds or ask for the open loop".to_owned(),
        Advice::OnlyMoveListener => "change only ops, rate or skew".to_owned(),
        Advice::OnlyMoveListenerOpenLoop => {
            "only ops, rate or skew can be asked, in the open loop".to_owned()
        }
        Advice::NoOpenLoop => "ask without open loop".to_owned(),
        Advice::LeaveOut(knob) => format!("leave {knob} out"),
        Advice::TurnInstead(knob) => format!("ask what that costs in time: {knob}"),
        Advice::AskPart(from) => format!("ask the part behind it, which begins at {from}"),
        Advice::RecordAnother | Advice::RecordForSeconds | Advice::SetKey(_) => {
            of_every_door(advice)
        }
        Advice::AllRows => "the data has them all".to_owned(),
    }
}

/// What is done with other commands, whoever asks.
#[must_use]
pub fn of_every_door(advice: Advice) -> String {
    match advice {
        Advice::RecordForSeconds => "record for some seconds".to_owned(),
        Advice::SetKey(key) => format!("{key} says what it costs in time"),
        _ => "record a session with it, and compare the two: lagtape diff".to_owned(),
    }
}
