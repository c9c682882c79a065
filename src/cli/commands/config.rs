//! `config`: what is set, where it comes from, and how it is changed.

use std::io::Write;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::app::Outcome;
use crate::cli::settings::{self, KnownSetting, Origin, SettingsFile, Value};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, unless_closed};
use crate::parse::Misuse;
use crate::report::text::OneLine;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape config
  lagtape config path
  lagtape config set playhead reported
  lagtape config set captures ~/captures /mnt/more --project
  lagtape config unset playhead

A flag counts before LAGTAPE_* of the environment, that before lagtape.toml of \
this folder or one above it, and that before your own file. docs/CONFIG.md lists \
the settings.")]
pub struct ConfigArgs {
    #[command(subcommand)]
    verb: Option<ConfigVerb>,
    /// One JSON object a setting and line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigVerb {
    /// Print where the project's file and your own lie
    Path,
    /// Set a value in your own file
    Set {
        /// What to set
        key: String,
        /// Its value; captures, header and allow-host take several
        #[arg(required = true, value_name = "VALUE")]
        values: Vec<String>,
        /// In the project's file, or a new one in this folder
        #[arg(long)]
        project: bool,
    },
    /// Take a value out of your own file
    Unset {
        /// What to take out
        key: String,
        /// Out of the project's file
        #[arg(long)]
        project: bool,
    },
}

#[derive(Serialize)]
struct JsonSetting<'a> {
    key: &'a str,
    about: &'a str,
    values: Vec<String>,
    from: String,
    variable: String,
}

pub fn run(args: &ConfigArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    match &args.verb {
        None => list(args.json, stderr, out),
        Some(ConfigVerb::Path) => path(out),
        Some(ConfigVerb::Set { key, values, project }) => {
            change(key, Some(values), *project, stderr)
        }
        Some(ConfigVerb::Unset { key, project }) => change(key, None, *project, stderr),
    }
}

fn list(json: bool, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let values = settings::resolved(&SettingsFile::all()?)?;
    let printed = match json {
        true => values.iter().try_for_each(|value| json_line(out, &json_setting(value))),
        false => values.iter().try_for_each(|value| {
            let shown = shown(value).join(", ");
            let (key, from) = (value.setting.key, origin(value));
            Ok(writeln!(out, "{key:<16} {:<24} {}", OneLine(&shown).to_string(), OneLine(&from))?)
        }),
    };
    for odd in settings::odd_variables() {
        stderr.say(&odd);
    }
    unless_closed(printed, Outcome::Healthy)
}

fn json_setting(value: &Value) -> JsonSetting<'_> {
    let KnownSetting { key, about, .. } = value.setting;
    let variable = value.setting.variable();
    JsonSetting { key, about, values: shown(value), from: origin(value), variable }
}

/// The values, but of secrets no more than what comes before the colon.
fn shown(value: &Value) -> Vec<String> {
    let hide = |text: &String| match value.setting.is_secret() {
        true => format!("{}: …", text.split(':').next().unwrap_or_default()),
        false => text.clone(),
    };
    match value.values.is_empty() {
        true => vec!["–".to_owned()],
        false => value.values.iter().map(hide).collect(),
    }
}

fn origin(value: &Value) -> String {
    match &value.origin {
        Origin::Environment => value.setting.variable(),
        Origin::Project(path) | Origin::User(path) => path.display().to_string(),
        Origin::Default => "default".to_owned(),
    }
}

fn path(out: &mut dyn Write) -> Result<Outcome> {
    let there = |path: &std::path::Path| if path.is_file() { "" } else { " (not there)" };
    let project = match SettingsFile::project_path() {
        Some(path) => path.display().to_string(),
        None => "none here or above".to_owned(),
    };
    let user = match SettingsFile::user_path() {
        Some(path) => format!("{}{}", path.display(), there(&path)),
        None => "there is no home folder".to_owned(),
    };
    let printed = writeln!(out, "project  {}\nuser     {}", OneLine(&project), OneLine(&user));
    unless_closed(printed.map_err(Into::into), Outcome::Healthy)
}

fn change(key: &str, values: Option<&[String]>, project: bool, stderr: Stderr) -> Result<Outcome> {
    let setting = KnownSetting::named(key)?;
    for value in values.into_iter().flatten() {
        setting.check(value)?;
    }
    if values.is_some_and(|values| values.len() > 1) && !setting.is_list() {
        bail!(Misuse(format!("{key} has one value")));
    }
    let path = match project {
        true => match SettingsFile::project_path() {
            Some(path) => path,
            None => SettingsFile::new_project_path()?,
        },
        false => SettingsFile::user_path().context("there is no home folder; give --project")?,
    };
    if let Some(why) = setting.personal.filter(|_| project) {
        bail!(Misuse(format!("{key} does not come from a project's file, since {why}")));
    }
    let name = path.display().to_string();
    SettingsFile::read(path, project)?.set(setting, values)?;
    let done = if values.is_some() { "is set in" } else { "is not set any more in" };
    stderr.say(&format!("{} {done} {name}", setting.key));
    let now = settings::resolved(&SettingsFile::all()?)?;
    let over = now.iter().find(|value| value.setting.key == setting.key);
    if let Some(over) = over.filter(|over| values.is_some() && origin(over) != name) {
        stderr.say(&format!("{} counts before it", origin(over)));
    }
    Ok(Outcome::Healthy)
}
