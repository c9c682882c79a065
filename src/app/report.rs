//! `report`: a session, or several, as one page.

use std::path::Path;

use anyhow::{Context, Result};

use super::what_if::{WhatIfVerb, what_if};
use crate::edge::files;
use crate::edge::output::is_dash;
use crate::report::Analysis;
use crate::report::page::tunnel::Tunnel;
use crate::report::page::{PageSession, PageSound};
use crate::review::{self, MOST_RUNS, PageRequest, TunnelRuns};

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
    let (name, scenario) = request.what_if.as_ref().filter(|_| request.audio)?;
    let made = || {
        let folder = tempfile::tempdir().context("cannot write a temporary file")?;
        let file = folder.path().join("heard.wav");
        let asked = WhatIfVerb {
            scenario: scenario.clone(),
            members: MOST_RUNS,
            audio: Some(file.clone()),
            wording: request.wording,
            ..WhatIfVerb::default()
        };
        what_if(path, &asked)?;
        let wav = std::fs::read(file).context("cannot read a temporary file")?;
        anyhow::Ok(PageSound::new(&format!("with {name}"), true, wav))
    };
    let worded = |error: anyhow::Error| super::advice::worded(&error, request.wording);
    Some(
        made()
            .map_err(|error| format!("what would have been heard with {name}: {}", worded(error))),
    )
}
