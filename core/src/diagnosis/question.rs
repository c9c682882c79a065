//! What-ifs that findings suggest, only of recordings that answer them.
//!
//! The next step of some classes is a question to the model. Whether a recording answers it is known once
//! it was read; until then a finding suggests the page of its report.

use super::class::Class;
use super::finding::Diagnosis;
use crate::parse::shell;
use crate::scenario::answer::{AskOptions, Recording};
use crate::scenario::open_loop::Scratch;
use crate::scenario::{Scenario, parse};

/// How the next step of a class begins that is a question.
const QUESTION: &str = "lagtape what-if FILE --";
/// The next step where it is not asked.
const UNASKED: &str = "lagtape report FILE -o report.html";
/// What else is worth asking, of a server that refines a loop and of one that appends to a tape.
const OTHERS: [Question; 2] = [("lead-floor", "0.6"), ("tick-factor", "0.8")];

/// A knob and what it is turned to, as it is typed.
type Question = (&'static str, &'static str);

/// What to run after a finding whose question, if its class has one, nobody has tried.
pub(super) fn unasked(class: Class, capture: &str) -> String {
    let next = class.about().next;
    command(if question(class).is_some() { UNASKED } else { next }, capture)
}

impl Diagnosis {
    /// Whether a finding has a question that a recording may answer.
    #[must_use]
    pub fn has_questions(&self) -> bool {
        self.findings.iter().any(|finding| question(finding.class).is_some())
    }

    /// Suggests the questions of the findings that a recording answers; `capture` is what the commands are
    /// to name.
    pub fn suggest(&mut self, recording: &Recording, capture: &str) {
        let prepared = recording.prepare(AskOptions::default());
        let mut scratch = Scratch::default();
        let mut answers = |(knob, value): Question| {
            let mut scenario = Scenario::default();
            let is_read = parse::assign(&mut scenario, knob, value).is_ok();
            is_read && prepared.tier(&scenario, &mut scratch).is_ok()
        };
        for finding in &mut self.findings {
            let Some(question) = question(finding.class).filter(|it| answers(*it)) else {
                continue;
            };
            finding.next = command(finding.class.about().next, capture);
            self.question.get_or_insert(question);
        }
        if self.question.is_none() && !self.findings.is_empty() {
            self.question = OTHERS.into_iter().find(|it| answers(*it));
        }
    }
}

fn question(class: Class) -> Option<Question> {
    class.about().next.strip_prefix(QUESTION)?.split_once(' ')
}

fn command(next: &str, capture: &str) -> String {
    next.replace("FILE", &shell::file(capture))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::CLASSES;

    #[test]
    fn every_question_turns_a_knob() {
        let asking = CLASSES.iter().filter(|about| about.next.contains("what-if"));
        let asked: Vec<_> = asking.map(|it| question(it.class).expect(it.id)).collect();
        assert!(asked.len() > 5);
        for (knob, value) in asked.into_iter().chain(OTHERS) {
            let mut scenario = Scenario::default();
            assert!(parse::assign(&mut scenario, knob, value).is_ok(), "{knob} {value}");
        }
    }

    #[test]
    fn a_question_is_suggested_only_when_it_was_tried() {
        let next = unasked(Class::BandwidthDeficit, "a b.lagtape");
        assert_eq!(next, "lagtape report 'a b.lagtape' -o report.html");
        assert_eq!(unasked(Class::HalfOpen, "a.lagtape"), "lagtape info a.lagtape");
    }
}
