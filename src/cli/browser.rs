//! The person's browser.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// Shows a file or an address.
pub fn show(what: &OsStr) -> Result<()> {
    let mut opener = if cfg!(target_os = "macos") {
        Command::new("open")
    } else if cfg!(windows) {
        Command::new("explorer")
    } else {
        Command::new("xdg-open")
    };
    let shown = opener.arg(what).stdin(Stdio::null()).stdout(Stdio::null()).status();
    if let Err(error) = shown {
        bail!("no browser could be asked for ({error}); open it yourself");
    }
    Ok(())
}
