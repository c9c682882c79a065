//! A diagnosis as text for people: the cause in a line for the report, everything for `diagnose`.

use std::fmt::{self, Write as _};

use super::data::Analysis;
use super::format::{Figure, OneLine, Tenths, hanging, plural, wrapped};
use crate::diagnosis::{Diagnosis, Finding};

/// Before the further lines of an item.
const ITEM: &str = "    ";
/// Findings that a report names; `diagnose` has them all.
const FEW: usize = 3;

/// The causes, a paragraph each, for a report.
#[must_use]
pub fn causes(diagnosis: &Diagnosis) -> String {
    let mut out = String::new();
    for finding in diagnosis.findings.iter().take(FEW) {
        let line = format!("cause: {}. {}", headline(finding), finding.sentence);
        out += &format!("{}\n", wrapped(&line));
    }
    if let Some(more) = diagnosis.findings.len().checked_sub(FEW).filter(|&more| more > 0) {
        out += &format!("and {more} more finding{}; lagtape diagnose names them\n", plural(more));
    }
    out
}

/// Class, subsystem, times, and what was heard.
#[must_use]
pub fn headline(finding: &Finding) -> String {
    let heard = match (finding.audible, finding.bad_s) {
        (false, _) => "not heard".to_owned(),
        (true, bad_s) if bad_s > 0.0 => format!("{} s heard", Figure(bad_s)),
        (true, _) => "slices landed behind".to_owned(),
    };
    format!(
        "{} ({}), {} – {} s, {heard}, {:.0} % sure",
        finding.class,
        finding.subsystem.name(),
        Tenths(finding.from_s),
        Tenths(finding.to_s),
        finding.confidence * 100.0
    )
}

/// All that a diagnosis says of a capture.
#[must_use]
pub fn diagnosis(analysis: &Analysis) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_diagnosis(analysis, &mut out);
    out
}

fn write_diagnosis(analysis: &Analysis, out: &mut String) -> fmt::Result {
    let diagnosis = &analysis.diagnosis;
    writeln!(out, "{} · {} s", OneLine(&analysis.capture), Figure(analysis.report_at_s))?;
    if diagnosis.findings.is_empty() {
        let why = analysis.verdict.why.as_deref().filter(|_| !analysis.verdict.known);
        let nothing = match why {
            Some(why) => format!("no finding: {why}"),
            None if analysis.verdict.is_lag() => {
                "no finding: what was heard has no cause that the capture shows".to_owned()
            }
            None => "no finding: nothing was heard and nothing is wrong".to_owned(),
        };
        writeln!(out, "{}", wrapped(&nothing))?;
    }
    for (number, finding) in diagnosis.findings.iter().enumerate() {
        writeln!(out, "\n{}. {}", number + 1, headline(finding))?;
        write_finding(finding, out)?;
    }
    if let Some(together) = &diagnosis.together {
        let together = format!("all of them: without {} {together}", together.without);
        writeln!(out, "\n{}", wrapped(&together))?;
    }
    if !diagnosis.notes.is_empty() || !diagnosis.ambiguity.is_empty() {
        writeln!(out)?;
    }
    for note in &diagnosis.notes {
        let span = format!("healthy, {} – {} s: ", Tenths(note.from_s), Tenths(note.to_s));
        writeln!(out, "{}", wrapped(&(span + &note.sentence)))?;
    }
    for ambiguity in &diagnosis.ambiguity {
        let classes: Vec<_> = ambiguity.classes.iter().map(|class| class.id()).collect();
        let line = format!(
            "cannot tell apart: {}, since {}. Record next time: {}.",
            classes.join(", "),
            ambiguity.missing,
            ambiguity.record_next
        );
        writeln!(out, "{}", wrapped(&line))?;
    }
    Ok(())
}

fn write_finding(finding: &Finding, out: &mut String) -> fmt::Result {
    writeln!(out, "{}", wrapped(&finding.sentence))?;
    for (step, link) in finding.chain.iter().enumerate() {
        let figures: Vec<_> =
            link.figures.iter().map(|it| format!("{} {}", it.name, Figure(it.value))).collect();
        let figures = match figures.is_empty() {
            true => String::new(),
            false => format!(" ({})", figures.join(", ")),
        };
        let records: Vec<_> = link.records.iter().map(|seq| format!("#{seq}")).collect();
        let records = match records.is_empty() {
            true => String::new(),
            false => format!(" {}", records.join(" ")),
        };
        let arrow = if step == 0 { "  " } else { "  → " };
        let link = format!("{}{figures}{records}", link.what);
        writeln!(out, "{}", hanging(arrow, &link, ITEM))?;
    }
    for apart in &finding.told_apart {
        item(&format!("not {}: {}", apart.from, apart.by), out)?;
    }
    for against in &finding.against {
        item(&format!("against: {against}"), out)?;
    }
    let proof = match (&finding.proof, &finding.unproven) {
        (Some(proof), _) => format!("proof: without it ({}) {proof}", proof.without),
        (None, Some(why)) => format!("rests on signatures alone: {why}"),
        (None, None) => "rests on signatures alone".to_owned(),
    };
    item(&proof, out)?;
    item(&format!("mend: {}", finding.mitigation), out)?;
    // A command stays on its line.
    writeln!(out, "  next: {}", OneLine(&finding.next))
}

fn item(sentence: &str, out: &mut String) -> fmt::Result {
    writeln!(out, "{}", hanging("  ", sentence, ITEM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::{Class, Diagnosis};

    fn finding(class: Class) -> Finding {
        Finding {
            sentence: "It happened.".to_owned(),
            from_s: 1.0,
            to_s: 3.5,
            confidence: 0.9,
            ..Finding::of(class)
        }
    }

    #[test]
    fn what_was_heard_stands_in_the_headline() {
        let quiet = finding(Class::ClockSkew);
        assert_eq!(
            headline(&quiet),
            "clock-skew (client audio clock), 1.0 – 3.5 s, not heard, 90 % sure"
        );
        let heard = Finding { audible: true, bad_s: 1.25, ..quiet.clone() };
        assert!(headline(&heard).contains("1.25 s heard"), "{}", headline(&heard));
        let behind = Finding { audible: true, ..quiet };
        assert!(headline(&behind).contains("slices landed behind"), "{}", headline(&behind));
    }

    #[test]
    fn a_report_names_three_causes_and_counts_the_others() {
        let all = vec![finding(Class::Preempted); 5];
        let text = causes(&Diagnosis { findings: all, ..Diagnosis::default() });
        assert_eq!(text.matches("cause: preempted").count(), 3);
        assert!(text.ends_with("and 2 more findings; lagtape diagnose names them\n"), "{text}");
    }
}
