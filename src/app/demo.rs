//! `demo`: two recordings of the real server, replayed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{AnalyzeOptions, AudioOptions, analyze, audio, next_commands};
use crate::edge::files;
use crate::report::text;

/// The bundled captures: name and bytes.
const CAPTURES: [(&str, &[u8]); 2] = [
    ("healthy", include_bytes!("../../captures/healthy.lagtape")),
    ("stall", include_bytes!("../../captures/stall.lagtape")),
];

/// Replays the bundled captures and leaves captures, reports and audio in `folder`; returns the
/// text reports.
pub fn demo(folder: &Path) -> Result<Vec<String>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    CAPTURES.iter().map(|(name, bytes)| replay(folder, name, bytes)).collect()
}

fn replay(folder: &Path, name: &str, bytes: &[u8]) -> Result<String> {
    let file = |extension: &str| folder.join(format!("{name}.{extension}"));
    let capture = file("lagtape");
    files::write(&capture, bytes, true)?;
    let analysis = analyze(&capture, &AnalyzeOptions::default())?;
    let report = text::analysis(&analysis, &next_commands(&analysis));
    files::write(&file("json"), &serde_json::to_vec_pretty(&analysis)?, true)?;
    files::write(&file("txt"), report.as_bytes(), true)?;
    audio(&capture, &file("wav"), &AudioOptions { force: true, ..AudioOptions::default() })?;
    Ok(report)
}
