//! Settings: what flags are where nobody gives them, from the environment, a project's file or a person's.
//!
//! Enters: `LAGTAPE_*`, the `lagtape.toml` of this folder or one above it, and the person's own
//! `config.toml`. Leaves: the command line with other defaults, so that a flag that is given always wins and
//! nothing conflicts with a setting. What a project's file may not decide is where secrets go and which
//! hosts agents may call: such files come with what others wrote.

mod file;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Arg, ArgAction, Command, ValueEnum};

pub use self::file::{SettingsFile, user_folder};
use super::looks::{AsciiChoice, is_width};
use super::stderr::ColorChoice;
use super::values::{PlayheadArg, header_of, parse_seconds};
use crate::parse::{Misuse, nearest};

/// Something that can be set.
#[derive(Debug)]
pub struct KnownSetting {
    /// As files have it; the environment has LAGTAPE_ and the same in capitals.
    pub key: &'static str,
    pub about: &'static str,
    /// What holds where nobody sets it.
    pub default: &'static str,
    /// The verbs and their arguments whose default it is; none of what holds for all text.
    places: &'static [(&'static str, &'static str)],
    kind: Kind,
    /// Why it does not come from a project's file, where it does not.
    pub personal: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Word(fn(&str) -> bool, &'static str),
    /// Folders, from that of the file on.
    Folders,
    /// Several texts.
    Texts,
    /// Several that are never shown.
    Secrets,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Environment,
    Project(PathBuf),
    User(PathBuf),
    Default,
}

/// A setting with its value.
#[derive(Debug, Clone)]
pub struct Value {
    pub setting: &'static KnownSetting,
    pub values: Vec<String>,
    pub origin: Origin,
}

/// All settings.
pub const SETTINGS: [KnownSetting; 10] = [
    KnownSetting {
        key: "color",
        about: "Colour messages: auto, always or never",
        default: "auto",
        places: &[("", "color")],
        kind: Kind::Word(|text| ColorChoice::from_str(text, true).is_ok(), "auto, always or never"),
        personal: None,
    },
    KnownSetting {
        key: "ascii",
        about: "Draw bars in ASCII: auto, always or never",
        default: "auto",
        places: &[],
        kind: Kind::Word(|text| AsciiChoice::from_str(text, true).is_ok(), "auto, always or never"),
        personal: None,
    },
    KnownSetting {
        key: "width",
        about: "Columns at which a terminal's lines are broken; auto: as it is wide",
        default: "auto",
        places: &[],
        kind: Kind::Word(is_width, "auto or a number of columns, 20 or more"),
        personal: None,
    },
    KnownSetting {
        key: "captures",
        about: "Folders of captures; new ones go into the first",
        default: "captures",
        places: &[
            ("record", "captures"),
            ("replay", "captures"),
            ("proxy", "out"),
            ("watch", "captures"),
            ("mcp", "captures"),
        ],
        kind: Kind::Folders,
        personal: None,
    },
    KnownSetting {
        key: "playhead",
        about: "The playhead to measure against: simulated or reported",
        default: "",
        places: &[
            ("analyze", "playhead"),
            ("audio", "playhead"),
            ("diff", "playhead"),
            ("plot", "playhead"),
            ("query", "playhead"),
            ("report", "playhead"),
        ],
        kind: Kind::Word(|text| PlayheadArg::from_str(text, true).is_ok(), "simulated or reported"),
        personal: None,
    },
    KnownSetting {
        key: "stale-threshold",
        about: "Audio older than this is stale",
        default: "3",
        places: &[
            ("analyze", "stale_threshold"),
            ("diff", "stale_threshold"),
            ("plot", "stale_threshold"),
            ("report", "stale_threshold"),
            ("sweep", "stale_threshold"),
            ("what-if", "stale_threshold"),
        ],
        kind: Kind::Word(|text| parse_seconds(text).is_ok(), "a length of time, such as 2s"),
        personal: None,
    },
    KnownSetting {
        key: "threads",
        about: "Captures or scenarios replayed at once; 0 is one for each core",
        default: "0",
        places: &[
            ("analyze", "threads"),
            ("diagnose", "threads"),
            ("report", "threads"),
            ("sweep", "threads"),
        ],
        kind: Kind::Word(|text| text.parse::<usize>().is_ok(), "a whole number"),
        personal: None,
    },
    KnownSetting {
        key: "header",
        about: "Further headers of a handshake, 'NAME: VALUE'",
        default: "",
        places: &[("record", "header"), ("replay", "header")],
        kind: Kind::Secrets,
        personal: Some("it would go to servers"),
    },
    KnownSetting {
        key: "allow-host",
        about: "Hosts that agents may have live sessions of, beside this machine",
        default: "",
        places: &[("mcp", "allow_host")],
        kind: Kind::Texts,
        personal: Some("it lets agents call hosts"),
    },
    KnownSetting {
        key: "toolsets",
        about: "Which tools agents get: live, replay or both",
        default: "live,replay",
        places: &[("mcp", "toolsets")],
        kind: Kind::Word(
            |text| text.split(',').all(|set| ["live", "replay"].contains(&set.trim())),
            "live, replay or live,replay",
        ),
        personal: None,
    },
];

/// Other variables of the environment that begin as those of settings do.
const OTHER_VARIABLES: [&str; 2] = ["LAGTAPE_MCP_TOKEN", super::completion::VARIABLE];

impl KnownSetting {
    /// The setting of a name, as files or the environment have it.
    pub fn named(name: &str) -> Result<&'static KnownSetting> {
        static ALL: [KnownSetting; 10] = SETTINGS;
        let key = name.trim().to_ascii_lowercase().replace('_', "-");
        let key = key.strip_prefix("lagtape-").unwrap_or(&key);
        ALL.iter().find(|setting| setting.key == key).ok_or_else(|| {
            let advice = nearest(key, ALL.iter().map(|setting| setting.key));
            Misuse(format!("there is no setting \"{name}\"; {advice}")).into()
        })
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = &'static KnownSetting> {
        SETTINGS.iter().filter_map(|setting| KnownSetting::named(setting.key).ok())
    }

    /// The variable of the environment.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("LAGTAPE_{}", self.key.to_ascii_uppercase().replace('-', "_"))
    }

    /// Whether its values are kept to themselves.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secrets)
    }

    /// Whether it has several values.
    #[must_use]
    pub fn is_list(&self) -> bool {
        !matches!(self.kind, Kind::Word(..))
    }

    /// Refuses a value that its flags would refuse.
    pub fn check(&self, value: &str) -> Result<()> {
        let key = self.key;
        match self.kind {
            Kind::Word(fits, form) if !fits(value) => {
                bail!(Misuse(format!("{key} is \"{value}\"; write {form}")))
            }
            Kind::Secrets if header_of(value).is_none() => bail!(Misuse(format!(
                "{key} is written 'NAME: VALUE'; the one that is not is not repeated here, since it may \
                 be a secret"
            ))),
            Kind::Folders | Kind::Texts if value.trim().is_empty() => {
                bail!(Misuse(format!("{key} is empty; leave it out instead")))
            }
            _ => Ok(()),
        }
    }

    /// A value of the environment: of several a comma stands between them.
    fn split(&self, text: &str) -> Vec<String> {
        match self.kind {
            Kind::Word(..) | Kind::Secrets => vec![text.trim().to_owned()],
            Kind::Folders => {
                std::env::split_paths(text).map(|path| path.display().to_string()).collect()
            }
            Kind::Texts => text.split(',').map(|part| part.trim().to_owned()).collect(),
        }
    }

    /// A value of a file: folders lie from that of the file on.
    fn placed(&self, value: String, file: &Path) -> String {
        match (self.kind, file.parent()) {
            (Kind::Folders, Some(folder)) => folder.join(value).display().to_string(),
            _ => value,
        }
    }
}

/// All settings with their values, the first of environment, project, person and default counting.
pub fn resolved(files: &[SettingsFile]) -> Result<Vec<Value>> {
    KnownSetting::all().map(|setting| value_of(setting, files)).collect()
}

fn value_of(setting: &'static KnownSetting, files: &[SettingsFile]) -> Result<Value> {
    let variable = setting.variable();
    if let Ok(text) = std::env::var(&variable)
        && !text.is_empty()
    {
        let values = setting.split(&text);
        for value in &values {
            setting.check(value).map_err(|error| Misuse(format!("{variable}: {error}")))?;
        }
        return Ok(Value { setting, values, origin: Origin::Environment });
    }
    for file in files {
        if let Some(values) = file.values(setting) {
            let placed = |value: &String| setting.placed(value.clone(), &file.path);
            let values = values.iter().map(placed).collect();
            return Ok(Value { setting, values, origin: file.origin() });
        }
    }
    let default = Some(setting.default).filter(|default| !default.is_empty());
    let values = default.into_iter().map(str::to_owned).collect();
    Ok(Value { setting, values, origin: Origin::Default })
}

/// The first value of a setting; empty without one.
pub fn first<'a>(values: &'a [Value], key: &str) -> &'a str {
    let value = values.iter().find(|value| value.setting.key == key);
    value.and_then(|value| value.values.first()).map_or("", String::as_str)
}

/// The command line with these values as defaults of its flags.
pub fn applied(command: Command, values: &[Value]) -> Command {
    let set = values.iter().filter(|value| value.origin != Origin::Default);
    set.fold(command, |command, value| {
        value.setting.places.iter().fold(command, |command, (verb, id)| match *verb {
            "" => command.mut_arg(id, |arg| with_default(arg, value)),
            verb => command.mut_subcommand(verb, |verb| with_defaults(verb, id, value)),
        })
    })
}

/// In a verb, and in those of its own that take the same.
fn with_defaults(verb: Command, id: &str, value: &Value) -> Command {
    let has = |command: &Command| command.get_arguments().any(|arg| arg.get_id() == id);
    let nested = verb.get_subcommands().filter(|verb| has(verb));
    let nested: Vec<_> = nested.map(|verb| verb.get_name().to_owned()).collect();
    let verb = nested.into_iter().fold(verb, |verb, name| {
        verb.mut_subcommand(name, |verb| verb.mut_arg(id, |arg| with_default(arg, value)))
    });
    verb.mut_arg(id, |arg| with_default(arg, value))
}

/// clap keeps defaults for as long as the program runs; these are read once.
fn with_default(arg: Arg, value: &Value) -> Arg {
    let is_list = matches!(arg.get_action(), ArgAction::Append);
    let most = if is_list { usize::MAX } else { 1 };
    let kept = value.values.iter().take(most).map(|text| &*text.clone().leak());
    let kept: Vec<&'static str> = kept.collect();
    let hidden = value.setting.is_secret();
    arg.default_values(kept).hide_default_value(hidden)
}

/// Variables of the environment that look like settings and are none, with what may be meant.
pub fn odd_variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let names = names.filter(|name| name.starts_with("LAGTAPE_"));
    let odd = names.filter(|name| !OTHER_VARIABLES.contains(&name.as_str()));
    odd.filter_map(|name| KnownSetting::named(&name).err().map(|error| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::CommandLine;

    #[test]
    fn every_setting_is_the_default_of_flags_that_there_are() {
        let of = |setting: &'static KnownSetting| {
            let values = match setting.key {
                "playhead" => "reported",
                "header" => "X: y",
                "allow-host" => "pod",
                _ => setting.default,
            };
            assert!(setting.check(values).is_ok(), "{}", setting.key);
            let values = vec![values.to_owned()];
            Value { setting, values, origin: Origin::Environment }
        };
        let values: Vec<_> = KnownSetting::all().map(of).collect();
        assert_eq!(values.len(), SETTINGS.len());
        let command = CommandLine::command();
        for place in values.iter().flat_map(|value| value.setting.places) {
            let verb = match place.0 {
                "" => Some(&command),
                verb => command.find_subcommand(verb),
            };
            let mut arguments = verb.unwrap().get_arguments();
            assert!(arguments.any(|arg| arg.get_id() == place.1), "{place:?}");
        }
        applied(command, &values).debug_assert();
    }

    #[test]
    fn names_are_those_of_files_and_of_the_environment() {
        let key = |name: &str| KnownSetting::named(name).map(|setting| setting.key).ok();
        assert_eq!(key("stale-threshold"), Some("stale-threshold"));
        assert_eq!(key("LAGTAPE_STALE_THRESHOLD"), Some("stale-threshold"));
        assert_eq!(key("stale"), None);
        let variables = KnownSetting::all().map(KnownSetting::variable);
        assert!(variables.into_iter().all(|variable| key(&variable).is_some()));
    }
}
