//! How diagnoses of labelled sessions compare with the truth.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lagtape::diagnosis::Diagnosis;
use lagtape::engine::Engine;
use lagtape::lag::ReportArgs;
use lagtape::report::{Analysis, CaptureDescription};

use super::set::{Evidence, Labelled, Outcome};

/// Classes of which nothing shows before they end the session, whenever they begin.
const SHOW_AT_THE_END: [&str; 2] = ["loop-end-crash", "keepalive-kill"];

/// What a thrown lead is.
const RUNAWAY: &str = "seek-lead-runaway";

/// A diagnosis beside its truth.
pub struct Scored {
    pub class: String,
    pub seed: u64,
    pub command: String,
    /// A listener heard lag.
    pub is_audible: bool,
    /// The class of the first finding, or `healthy`.
    pub top: String,
    /// The classes of all findings, the first first.
    pub all: Vec<String>,
    /// The first finding is the truth, or one of the classes that are true as well.
    pub is_right: bool,
    /// A finding says that what is true cannot be told from others.
    pub is_ambiguous: bool,
    /// Every cause has a finding.
    pub has_all: bool,
    /// From the true onset to that of the finding, in seconds.
    pub onset_error_s: Option<f64>,
}

impl Scored {
    /// Simulates a session, diagnoses it, and compares.
    pub fn of(labelled: &Labelled, evidence: Evidence) -> Scored {
        let (engine, outcome) = labelled.run(evidence);
        Scored::judged(labelled, &engine, outcome)
    }

    /// Diagnoses what an engine knows of a session at its end, and compares. A session of which nothing was
    /// to be wrong, and in which a stray report threw the server's lead all the same, is one of a runaway:
    /// the simulated server says so, whatever the diagnosis does.
    pub fn judged(labelled: &Labelled, engine: &Engine, outcome: Outcome) -> Scored {
        let ended = outcome.ended;
        let about = CaptureDescription::live(String::new(), ended);
        let analysis = Analysis::of(engine, about, &ReportArgs::default());
        let diagnosis = &analysis.diagnosis;
        let ended_s = engine.origin().map_or(0.0, |origin| ended.seconds_since(origin));
        let (truth, found) = (labelled.truth(), classes(diagnosis));
        let mut true_classes: Vec<Vec<&str>> =
            truth.iter().map(|injection| [&[injection.class], injection.also].concat()).collect();
        let thrown_s = outcome.thrown_s.filter(|_| truth.is_empty());
        true_classes.extend(thrown_s.map(|_| vec![RUNAWAY]));
        let is_true = |class: &str| true_classes.iter().any(|those| those.contains(&class));
        let is_found =
            |those: &Vec<&str>| found.iter().any(|found| those.contains(&found.as_str()));
        let onset_error_s = truth.first().and_then(|injection| {
            let those = [&[injection.class], injection.also].concat();
            let finding = diagnosis.findings.iter().find(|f| those.contains(&f.class.id()))?;
            let ends_it = SHOW_AT_THE_END.contains(&injection.class);
            let onset_s = if ends_it { ended_s } else { injection.onset_s };
            Some((finding.from_s - onset_s).abs())
        });
        let class = if thrown_s.is_some() { RUNAWAY } else { &labelled.class };
        let top = found.first().cloned().unwrap_or_else(|| "healthy".to_owned());
        Scored {
            class: class.to_owned(),
            seed: labelled.seed,
            command: labelled.command(),
            is_audible: analysis.verdict.lag == Some(true),
            is_right: if true_classes.is_empty() { found.is_empty() } else { is_true(&top) },
            is_ambiguous: diagnosis
                .ambiguity
                .iter()
                .any(|these| these.classes.iter().any(|class| is_true(class.id()))),
            has_all: true_classes.iter().all(is_found),
            top,
            all: found,
            onset_error_s,
        }
    }
}

fn classes(diagnosis: &Diagnosis) -> Vec<String> {
    diagnosis.findings.iter().map(|finding| finding.class.id().to_owned()).collect()
}

/// What the numbers come to, a line each.
pub fn summary(scored: &[&Scored]) -> String {
    let is_single = |one: &&&Scored| one.class != "healthy" && !one.class.contains('+');
    let single: Vec<&Scored> = scored.iter().filter(is_single).copied().collect();
    let heard: Vec<&Scored> = single.iter().filter(|one| one.is_audible).copied().collect();
    let healthy: Vec<&Scored> =
        scored.iter().filter(|one| one.class == "healthy").copied().collect();
    let two: Vec<&Scored> = scored.iter().filter(|one| one.class.contains('+')).copied().collect();
    let errors = onset_errors(&single);
    let at = |share: f64| errors.get((errors.len() as f64 * share) as usize).copied();
    let seconds = |s: Option<f64>| s.map_or("–".to_owned(), |s| format!("{s:.2} s"));
    [
        format!("- of one cause, heard: {} named right", share(&heard, |one| one.is_right)),
        format!("- of one cause, heard or not: {} named right", share(&single, |one| one.is_right)),
        format!(
            "- or not told from others, which is said: {}",
            share(&single, |one| one.is_right || one.is_ambiguous)
        ),
        format!("- healthy: {} with a finding", share(&healthy, |one| !one.is_right)),
        format!("- of two causes: {} with both", share(&two, |one| one.has_all)),
        format!(
            "- onsets: off by {} in the median, {} in 95 %",
            seconds(at(0.5)),
            seconds(at(0.95))
        ),
    ]
    .join("\n")
        + "\n"
}

/// A share as people read it: `37 of 40 (92.5 %)`.
fn share(scored: &[&Scored], is_good: impl Fn(&Scored) -> bool) -> String {
    let good = scored.iter().filter(|scored| is_good(scored)).count();
    format!(
        "{good} of {} ({:.1} %)",
        scored.len(),
        100.0 * good as f64 / scored.len().max(1) as f64
    )
}

/// Onset errors of the sessions that were named right, sorted.
fn onset_errors(scored: &[&Scored]) -> Vec<f64> {
    let mut errors: Vec<f64> = scored.iter().filter_map(|scored| scored.onset_error_s).collect();
    errors.sort_by(f64::total_cmp);
    errors
}

/// A row per class: how many, how many audible, how many right, and what else was said.
pub fn confusion(scored: &[&Scored]) -> String {
    let mut rows: BTreeMap<&str, Vec<&Scored>> = BTreeMap::new();
    for &one in scored {
        rows.entry(&one.class).or_default().push(one);
    }
    let mut table = String::from(
        "| truth | sessions | heard | named right | onset off, median s | otherwise named |\n\
         |---|---|---|---|---|---|\n",
    );
    for (class, those) in rows {
        let heard = those.iter().filter(|one| one.is_audible).count();
        let errors = onset_errors(&those);
        let onset = errors.get(errors.len() / 2).map_or("–".to_owned(), |s| format!("{s:.2}"));
        let right = those.iter().filter(|one| one.is_right).count();
        // Writing to a text cannot fail.
        let _ = writeln!(
            table,
            "| {class} | {} | {heard} | {right} | {onset} | {} |",
            those.len(),
            otherwise(&those)
        );
    }
    table
}

fn otherwise(those: &[&Scored]) -> String {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for one in those.iter().filter(|one| !one.is_right) {
        *names.entry(&one.top).or_default() += 1;
    }
    let names: Vec<_> = names.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if names.is_empty() { "–".to_owned() } else { names.join(", ") }
}
