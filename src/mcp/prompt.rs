//! The one prompt: from a symptom to its cause.

use rmcp::ErrorData;
use rmcp::model::{
    GetPromptRequestParams, GetPromptResponse, GetPromptResult, Prompt, PromptArgument,
    PromptMessage, Role,
};
use serde_json::Value;

use super::answer::clipped;
use crate::parse::nearest;

const NAME: &str = "diagnose_lag";

/// The prompt as clients list it.
pub fn described() -> Prompt {
    let argument = |name: &str, what: &str| {
        PromptArgument::new(name).with_description(what).with_required(false)
    };
    Prompt::new(
        NAME,
        Some("Walks from a symptom (\"it was choppy\") to its cause and to what would have prevented it"),
        Some(vec![
            argument("capture", "The capture, by its id; the newest by default"),
            argument("symptom", "What the listener noticed, and when"),
        ]),
    )
    .with_title("Diagnose lag")
}

/// The prompt with its arguments filled in.
pub fn get(params: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let refuse = |why: String| ErrorData::invalid_params(why, None);
    if params.name != NAME {
        let known = nearest(&params.name, [NAME].into_iter());
        return Err(refuse(format!("there is no prompt \"{}\"; {known}", clipped(&params.name))));
    }
    let argument = |name: &str| {
        let value = params.arguments.as_ref().and_then(|arguments| arguments.get(name));
        value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(clipped)
    };
    let text = walk(argument("capture").as_deref(), argument("symptom").as_deref());
    let message = PromptMessage::new_text(Role::User, text);
    let result = GetPromptResult::new(vec![message]);
    Ok(result.with_description("From a symptom to its cause").into())
}

fn walk(capture: Option<&str>, symptom: Option<&str>) -> String {
    let symptom = symptom.unwrap_or("the audio was choppy, stale or late");
    let open = match capture {
        Some(capture) => format!("Call capture_open with capture \"{capture}\"."),
        None => {
            "Call capture_list; take the newest capture unless another fits the symptom, and call \
                 capture_open with its id."
                .to_owned()
        }
    };
    format!(
        "A listener of a DEMON stream says: {symptom}. Find out whether lagtape's capture shows it, \
         why it happened, and what would have prevented it.\n\
         \n\
         1. {open} Read verdict, integrity and warnings first: a damaged, incomplete or gappy capture \
         limits every figure; say so. Where verdict.known is false, nobody can tell from it: say why, and \
         stop at what is certain. Lag false in the verdict means that nothing stale or late was heard: \
         then look for pauses, an idle server (unchanged for 20 s and a lap) or a wrong time.\n\
         2. Call capture_diagnose: each finding names the part at fault with its chain of evidence, what speaks \
         against it and what is left of the lag without it. Where ambiguity is not empty, the evidence cannot \
         decide: say what to record next time.\n\
         3. Check it yourself: capture_timeline around the first episode (an event, a command, a swap, a seek \
         or a close is often the cause), capture_chart, and capture_query for figures, such as slices grouped \
         by t_s/1 with p95(tick_ms) and min(lead_s). tick_ms that grows is a slow model; interval_s that grows \
         with unchanged tick_ms is the link or the client; lead that jumps by seconds after a seek is a slice \
         in flight.\n\
         4. Say which causes the evidence excludes. A client without acks cannot tell a slow link from a \
         busy client.\n\
         5. Ask capture_what_if for the change that your cause implies (lead-floor, down, latency, an op \
         left out with replace_ops), or capture_sweep for the smallest one. Repeat its tier and its \
         model's error: an answer of the model is no measurement.\n\
         6. Report: what was heard and when, the cause with its evidence (times, record numbers), how \
         sure you are, what would have prevented it. Do not repeat figures that no tool gave you."
    )
}
