//! What can be asked of a capture, as a person reads it: a paragraph for each kind of answer.

use super::format::{Figure, hanging};
use crate::scenario::Tier;
use crate::scenario::askable::{Askable, AskableGroup, AskableQuiet};

/// Columns before what is said.
const MARGIN: &str = "               ";

/// Prints what can be asked.
#[must_use]
pub fn text(askable: &Askable) -> String {
    let mut out = String::new();
    let mut paragraph = |key: &str, sentence: &str| {
        out.push_str(&hanging(&format!("  {key:<13}"), sentence, MARGIN));
        out.push('\n');
    };
    if let Some(why) = &askable.why_not {
        paragraph("what-if", &format!("nothing can be asked: {why}"));
        return out;
    }
    for group in &askable.answers {
        let key = match group.tier {
            Tier::Refused => "no what-if",
            _ => "what-if",
        };
        paragraph(key, &sentence(group));
    }
    let Askable { from_s, to_s, quiet, .. } = askable;
    paragraph("at a time", &format!("from {} s to {} s", Figure(*from_s), Figure(*to_s)));
    for AskableQuiet { from_s, to_s, why } in quiet {
        let sentence = format!("{why} from {} s to {} s", Figure(*from_s), Figure(*to_s));
        paragraph("no stream", &sentence);
    }
    out
}

/// How far answers can be trusted, or why there are none, and what can be asked.
fn sentence(group: &AskableGroup) -> String {
    let AskableGroup { tier, why, knobs, at_a_time } = group;
    let how = match tier {
        Tier::Exact => "exact: ",
        Tier::Horizon => "with the recorded slices: ",
        Tier::Model => "by the model: ",
        Tier::Refused => "",
    };
    let mut asked = Vec::new();
    if !knobs.is_empty() {
        asked.push(knobs.join(", "));
    }
    if !at_a_time.is_empty() {
        asked.push(format!("at a time {}", at_a_time.join(", ")));
    }
    let why = why.as_ref().map_or(String::new(), |why| format!(": {why}"));
    format!("{how}{}{why}", asked.join("; "))
}
