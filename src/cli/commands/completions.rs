//! `completions`: what a shell needs to complete lagtape's command lines.

use std::io::Write;

use anyhow::{Context, Result};
use clap_complete::env::Shells;

use crate::app::Outcome;
use crate::cli::completion::VARIABLE;
use crate::cli::stderr::Stderr;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  source <(lagtape completions bash)
  lagtape completions zsh > ~/.zfunc/_lagtape
  lagtape completions fish > ~/.config/fish/completions/lagtape.fish

The script asks lagtape at each Tab, so that it offers captures, knobs and \
incidents, and needs no renewal when lagtape changes.")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_parser = ["bash", "elvish", "fish", "powershell", "zsh"])]
    pub shell: String,
}

pub fn run(args: &CompletionsArgs, _: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let shells = Shells::builtins();
    let shell = shells.completer(&args.shell).context("clap knows no such shell")?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "lagtape", "lagtape", "lagtape", &mut script)?;
    out.write_all(&script)?;
    Ok(Outcome::Healthy)
}
