//! Binary messages that the client has announced and not yet sent.

use std::collections::VecDeque;

/// The binaries that are still to come, by the commands that announced them.
#[derive(Default)]
pub(super) struct Uploads {
    expected: VecDeque<Upload>,
}

pub(super) enum Upload {
    Swap { fixture: Option<String>, stem_mode: Option<String> },
    Reference { part: Reference, name: String },
    Write { at_s: f64, sum: bool, fill: bool, source_epoch: Option<u64> },
    Ignored,
}

/// What a reference recording is for.
#[derive(Clone, Copy)]
pub(super) enum Reference {
    Timbre,
    Structure,
}

impl Reference {
    pub fn name(self) -> &'static str {
        match self {
            Reference::Timbre => "timbre",
            Reference::Structure => "structure",
        }
    }
}

impl Uploads {
    /// Binaries announced and not yet come, at most; more are not expected.
    const CAPACITY: usize = 64;

    pub fn expect(&mut self, upload: Upload) {
        if self.expected.len() < Self::CAPACITY {
            self.expected.push_back(upload);
        }
    }

    pub fn next(&mut self) -> Option<Upload> {
        self.expected.pop_front()
    }
}
