//! Findings put to the proof: each cause is taken away, and what it leaves of the lag speaks for it or
//! against it.
//!
//! Enters: a diagnosis from signatures, and the recording that it is of. Leaves: the same diagnosis
//! with a proof at each audible finding, or the reason why there is none; causes whose removal mends
//! nothing behind those whose removal does; and what else the evidence could have meant, told apart by
//! what its removal would have left.

use std::cmp::Reverse;

use super::class::Class;
use super::finding::{Diagnosis, Finding, ToldApart};
use super::proof::{Claim, Proof, ProofOptions, Proofs, Unproven, prove};
use super::suspect::rounded;
use crate::scenario::answer::Recording;

/// Findings that are put to the proof, the worst: each costs an ensemble.
const MOST_CLAIMS: usize = 4;
const NOT_TRIED: &str = "only the four worst findings are put to the proof";
const NOT_HEARD: &str = "nobody heard it, so that there is no lag to explain";
/// A cause that explains a smaller share mends nothing, …
const MENDS_NOTHING: f64 = 0.05;
/// … and one that explains a larger one mends it.
const MENDS_IT: f64 = 0.5;
/// Two causes are told apart where one explains so much more than the other.
const TELLS_APART: f64 = 0.25;
/// What is left of the confidence in a finding whose removal mends nothing where another's does.
const DOUBTED: f64 = 0.3;

impl Diagnosis {
    /// Puts the audible findings to the proof.
    pub fn prove(&mut self, recording: &Recording, options: &ProofOptions) {
        let count = self.findings.iter().take_while(|finding| finding.audible).count();
        let count = count.min(MOST_CLAIMS);
        let own = self.findings[..count].iter().map(|finding| claim(finding, finding.class));
        let others = self.alternatives(count);
        let others_too = others.iter().map(|(of, class)| claim(&self.findings[*of], *class));
        let own: Vec<Claim> = own.collect();
        let others_too: Vec<Claim> = others_too.collect();
        let Proofs { alone, together } = prove(recording, &own, options);
        let tried = prove(recording, &others_too, options).alone;
        self.together = together;
        for (finding, proof) in self.findings.iter_mut().zip(alone) {
            match proof {
                Ok(proof) => finding.proof = Some(proof),
                Err(why) => finding.unproven = Some(why.to_string()),
            }
        }
        for ((of, class), tried) in others.into_iter().zip(tried) {
            tell_apart(&mut self.findings[of], class, tried);
        }
        settle(&mut self.findings[..count]);
        self.give_reasons();
    }

    /// Says of every finding without a proof why it rests on signatures alone.
    pub fn give_reasons(&mut self) {
        for finding in self.findings.iter_mut().filter(|it| it.proof.is_none()) {
            let why = if finding.audible { NOT_TRIED } else { NOT_HEARD };
            finding.unproven.get_or_insert_with(|| why.to_owned());
        }
    }

    /// What else the evidence could mean, each with the finding in whose place it would be.
    fn alternatives(&self, count: usize) -> Vec<(usize, Class)> {
        let claimed = |class: &Class| self.findings[..count].iter().any(|it| it.class == *class);
        let mut others: Vec<(usize, Class)> = Vec::new();
        for (number, finding) in self.findings[..count].iter().enumerate() {
            let alike = self.ambiguity.iter().filter(|it| it.classes.contains(&finding.class));
            let classes = alike.flat_map(|it| &it.classes).filter(|class| !claimed(class));
            for class in classes {
                if others.len() < MOST_CLAIMS && !others.contains(&(number, *class)) {
                    others.push((number, *class));
                }
            }
        }
        others
    }
}

fn claim(finding: &Finding, class: Class) -> Claim {
    Claim { class, from_s: finding.from_s, to_s: finding.to_s }
}

/// Says of a finding what would have been left without another cause in its place.
fn tell_apart(finding: &mut Finding, class: Class, tried: Result<Proof, Unproven>) {
    let Some(own) = &finding.proof else { return };
    let (share, by) = match tried {
        Ok(tried) => (tried.share, format!("without {} {tried}", tried.without)),
        Err(why @ Unproven::NothingToMend(_)) => (0.0, why.to_string()),
        Err(_) => return,
    };
    if own.share >= share + TELLS_APART {
        finding.told_apart.push(ToldApart { from: class, by });
    } else if share >= own.share + TELLS_APART {
        finding.against.push(format!("{class} in its place explains more: {by}"));
    }
}

/// Of causes that were found side by side those whose removal mends it go first.
fn settle(findings: &mut [Finding]) {
    let share = |finding: &Finding| finding.proof.as_ref().map(|proof| proof.share);
    let mended = findings.iter().find(|it| share(it).is_some_and(|share| share >= MENDS_IT));
    let Some(mended) = mended.map(|finding| finding.class) else { return };
    for finding in findings.iter_mut() {
        if share(finding).is_some_and(|share| share < MENDS_NOTHING) {
            finding.confidence = rounded(finding.confidence * DOUBTED);
            finding.against.push(format!("the lag stays without it, and goes without {mended}"));
        }
    }
    findings
        .sort_by_key(|finding| Reverse(share(finding).is_none_or(|share| share >= MENDS_NOTHING)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::class::CLASSES;
    use crate::diagnosis::proof::{BadAudio, Removal};
    use crate::scenario::Tier;

    fn finding(class: Class, share: Option<f64>) -> Finding {
        let proof = share.map(|share| Proof {
            without: "it".to_owned(),
            tier: Tier::Model,
            heard: BadAudio::default(),
            left: BadAudio::default(),
            range: (BadAudio::default(), BadAudio::default()),
            runs: 1,
            share,
            repeats: None,
        });
        Finding { confidence: 0.8, audible: true, proof, ..Finding::of(class) }
    }

    #[track_caller]
    fn check(findings: &[(Class, Option<f64>)], expected: &[(Class, f64)]) {
        let mut findings: Vec<_> =
            findings.iter().map(|(class, share)| finding(*class, *share)).collect();
        settle(&mut findings);
        let settled: Vec<_> = findings.iter().map(|it| (it.class, it.confidence)).collect();
        assert_eq!(settled, expected);
    }

    #[test]
    fn the_cause_whose_removal_mends_it_wins() {
        use Class::{BandwidthDeficit, ClientBacklog, GenerationStall};
        check(
            &[(BandwidthDeficit, Some(0.0)), (ClientBacklog, Some(0.97)), (GenerationStall, None)],
            &[(ClientBacklog, 0.8), (GenerationStall, 0.8), (BandwidthDeficit, 0.24)],
        );
        // Neither mends it, so that neither is doubted for it.
        check(
            &[(BandwidthDeficit, Some(0.0)), (ClientBacklog, Some(0.3))],
            &[(BandwidthDeficit, 0.8), (ClientBacklog, 0.8)],
        );
    }

    #[test]
    fn every_class_has_a_proof_or_says_why_not() {
        for about in CLASSES {
            let proofs = [finding(about.class, None), finding(about.class, Some(1.0))];
            let quiet = Finding { audible: false, ..finding(about.class, None) };
            let findings = [&proofs[..], &[quiet]].concat();
            let mut diagnosis = Diagnosis { findings, ..Diagnosis::default() };
            diagnosis.give_reasons();
            for finding in &diagnosis.findings {
                assert!(finding.proof.is_some() != finding.unproven.is_some(), "{finding:#?}");
            }
            // What the model cannot take away it refuses with a reason that names the class.
            if let Err(why) = Removal::of(about.class) {
                assert!(why.to_string().contains(about.id), "{why}");
            }
        }
    }

    #[test]
    fn what_else_it_could_be_is_told_apart() {
        let mut own = finding(Class::BandwidthDeficit, Some(0.9));
        tell_apart(
            &mut own,
            Class::ClientBacklog,
            Err(Unproven::NothingToMend(Class::ClientBacklog)),
        );
        assert_eq!(own.told_apart.len(), 1);
        assert!(own.told_apart[0].by.contains("no client-backlog"), "{:?}", own.told_apart);
        let other = finding(Class::StalePlayhead, Some(1.0)).proof.unwrap();
        let mut weak = finding(Class::BandwidthDeficit, Some(0.2));
        tell_apart(&mut weak, Class::StalePlayhead, Ok(other));
        assert!(weak.told_apart.is_empty() && weak.against.len() == 1);
    }
}
