//! A cause that a signature has seen, before it is known what was heard of it.

use super::class::Class;
use super::finding::{ChainLink, MeasuredFigure, ToldApart};
use super::view::Stretch;
use crate::lag::stats::round;

/// A cause and when it was at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    pub class: Class,
    pub stretch: Stretch,
    /// 0 to 1.
    pub confidence: f64,
    pub sentence: String,
    pub chain: Vec<ChainLink>,
    pub against: Vec<String>,
    pub told_apart: Vec<ToldApart>,
}

impl Suspect {
    pub fn new(class: Class, stretch: Stretch, confidence: f64, sentence: String) -> Suspect {
        Suspect {
            class,
            stretch,
            confidence,
            sentence,
            chain: Vec::new(),
            against: Vec::new(),
            told_apart: Vec::new(),
        }
    }

    /// Adds the next step from the cause to what was heard.
    pub fn link(
        mut self,
        what: impl Into<String>,
        figures: &[(&'static str, f64)],
        records: impl IntoIterator<Item = u64>,
    ) -> Suspect {
        let figures =
            figures.iter().map(|&(name, value)| MeasuredFigure { name, value: rounded(value) });
        let records = records.into_iter().filter(|&seq| seq > 0).take(MAX_RECORDS);
        self.chain.push(ChainLink {
            what: what.into(),
            figures: figures.collect(),
            records: records.collect(),
        });
        self
    }

    pub fn apart(mut self, from: Class, by: impl Into<String>) -> Suspect {
        self.told_apart.push(ToldApart { from, by: by.into() });
        self
    }

    /// Notes what speaks against it, which costs confidence.
    pub fn against(mut self, what: impl Into<String>, costs: f64) -> Suspect {
        self.against.push(what.into());
        self.confidence = (self.confidence - costs).max(0.05);
        self
    }
}

/// Records that one link of a chain names.
const MAX_RECORDS: usize = 8;

/// To a millionth, and without the sign of a zero: figures are equal wherever they are computed.
pub fn rounded(value: f64) -> f64 {
    round(value, 6) + 0.0
}
