//! What to do where there is no answer, as a value.
//!
//! The core knows what would help and no flag or argument that asks for it: a door gives a
//! [`Wording`], and sentences end in its words.

/// What would get an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Let the recorded slices stay.
    OpenLoop,
    /// Record for longer, or let the recorded slices stay.
    RecordLonger,
    /// Change nothing but where the listener is.
    OnlyMoveListener,
    /// Leave the knob of that name as recorded.
    LeaveOut(&'static str),
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
            Advice::OpenLoop | Advice::LeaveOut(_) | Advice::AllRows => "; ",
            Advice::RecordLonger => ", so ",
            Advice::OnlyMoveListener => ": ",
        };
        format!("{sentence}{joint}{}", wording.of(self))
    }
}

fn plain(advice: Advice) -> String {
    match advice {
        Advice::OpenLoop => "ask for the open loop".to_owned(),
        Advice::RecordLonger => "record for some seconds or ask for the open loop".to_owned(),
        Advice::OnlyMoveListener => "change only ops, rate or skew".to_owned(),
        Advice::LeaveOut(knob) => format!("leave {knob} out"),
        Advice::AllRows => "the data has them all".to_owned(),
    }
}
