//! `report`: a session, or several, as one page.

use std::path::Path;

use anyhow::{Context, Result};

use super::what_if::{self, WhatIfVerb};
use crate::edge::files;
use crate::edge::output::is_dash;
use crate::report::Analysis;
use crate::report::page::tunnel::Tunnel;
use crate::report::page::{PageSession, PageSound};
use crate::review::{self, MOST_RUNS, PageRequest, TunnelRuns};
use crate::scenario::NamedScenario;

/// A session for a page; the analysis says what it shows.
pub fn page_session(path: &Path, request: &PageRequest) -> Result<(PageSession, Analysis)> {
    request.report.check(0.0)?;
    // What comes through stdin can be read once.
    let request = match is_dash(path) {
        true => PageRequest { tunnel: TunnelRuns::Never, what_if: None, ..request.clone() },
        false => request.clone(),
    };
    let name = path.display().to_string();
    let further = || sound_of_what_if(path, &request);
    review::page_session(|| files::open_capture(path), &name, &request, further)
        .with_context(|| format!("cannot replay {name}"))
}

/// The wind tunnel of a capture, or why it has none.
pub(super) fn tunnel(
    path: &Path,
    request: &PageRequest,
    knobs: Option<usize>,
    analysis: &Analysis,
) -> Tunnel {
    let name = path.display().to_string();
    review::tunnel(|| files::open_capture(path), &name, request, knobs, analysis)
}

/// What would have been heard, or why that is not known; `None` where nobody asks.
fn sound_of_what_if(path: &Path, request: &PageRequest) -> Option<Result<PageSound, String>> {
    let NamedScenario { name, scenario } = request.what_if.as_ref().filter(|_| request.audio)?;
    let asked = WhatIfVerb {
        scenario: scenario.clone(),
        members: MOST_RUNS,
        wording: request.wording,
        ..WhatIfVerb::default()
    };
    let made = what_if::sound(path, &asked).and_then(|(_, sound)| {
        Ok(PageSound::new(&format!("with {name}"), sound.begins_s(), sound.wav()?))
    });
    Some(made.map_err(|error| {
        let why = super::advice::worded(&error, request.wording);
        format!("what would have been heard with {name}: {why}")
    }))
}
