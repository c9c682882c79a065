//! Files of settings: where they lie, what stands in them, and how one value is changed.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::{KnownSetting, Origin};
use crate::app::toml_fault;
use crate::edge::{files, output};
use crate::parse::Misuse;

/// Longest file that is read.
const MAX_LEN: usize = 1 << 16;
/// What a project's file is called, in its folder or one below it.
const PROJECT_FILE: &str = "lagtape.toml";

/// A file of settings.
#[derive(Debug, Clone)]
pub struct SettingsFile {
    pub path: PathBuf,
    /// It came with a project, and not from the person.
    pub is_project: bool,
    text: String,
    values: Vec<(&'static str, Vec<String>)>,
}

/// The folder in which this system keeps a person's settings.
#[must_use]
pub fn user_folder() -> Option<PathBuf> {
    let set =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = std::env::home_dir();
    match std::env::consts::OS {
        "macos" => home.map(|home| home.join("Library/Application Support")),
        "windows" => set("APPDATA").or_else(|| home.map(|home| home.join("AppData/Roaming"))),
        _ => set("XDG_CONFIG_HOME").or_else(|| home.map(|home| home.join(".config"))),
    }
}

impl SettingsFile {
    /// Where the person's file lies, whether or not there is one.
    #[must_use]
    pub fn user_path() -> Option<PathBuf> {
        Some(user_folder()?.join("lagtape").join("config.toml"))
    }

    /// The project's file: the first in this folder and those above it.
    #[must_use]
    pub fn project_path() -> Option<PathBuf> {
        let here = std::env::current_dir().ok()?;
        here.ancestors().map(|folder| folder.join(PROJECT_FILE)).find(|path| path.is_file())
    }

    /// Where a project's file would lie if there were none.
    pub fn new_project_path() -> Result<PathBuf> {
        Ok(std::env::current_dir().context("cannot tell the present folder")?.join(PROJECT_FILE))
    }

    /// The files that there are, in the order in which they count.
    pub fn all() -> Result<Vec<SettingsFile>> {
        let project = SettingsFile::project_path().map(|path| SettingsFile::read(path, true));
        let user = SettingsFile::user_path().filter(|path| path.is_file());
        let user = user.map(|path| SettingsFile::read(path, false));
        project.into_iter().chain(user).collect()
    }

    /// Reads a file; one that is not there is empty.
    pub fn read(path: PathBuf, is_project: bool) -> Result<SettingsFile> {
        let text = match path.is_file() {
            true => files::read_text(&path, MAX_LEN)?,
            false => String::new(),
        };
        SettingsFile::of(path, is_project, text)
    }

    fn of(path: PathBuf, is_project: bool, text: String) -> Result<SettingsFile> {
        let name = path.display();
        if text.len() > MAX_LEN {
            bail!(Misuse(format!("{name} is too long for a file of settings")));
        }
        let table: toml::Table =
            toml::from_str(&text).map_err(|error| Misuse(toml_fault(&path, &text, &error)))?;
        let mut values = Vec::new();
        for (key, value) in &table {
            let in_file = |error: anyhow::Error| Misuse(format!("{name}: {error}"));
            let setting = KnownSetting::named(key).map_err(in_file)?;
            if let Some(why) = setting.personal.filter(|_| is_project) {
                bail!(Misuse(format!(
                    "{name}: {key} does not come from a project's file, since {why}; lagtape config set \
                     {key} keeps it for you alone"
                )));
            }
            let texts = texts(value).filter(|texts| setting.is_list() || texts.len() == 1);
            let texts = texts.with_context(|| format!("{key} is not written like that"));
            let texts = texts.map_err(in_file)?;
            for text in &texts {
                setting.check(text).map_err(in_file)?;
            }
            values.push((setting.key, texts));
        }
        Ok(SettingsFile { path, is_project, text, values })
    }

    /// What it says of a setting.
    pub fn values(&self, setting: &KnownSetting) -> Option<&[String]> {
        let found = self.values.iter().find(|(key, _)| *key == setting.key);
        found.map(|(_, values)| values.as_slice())
    }

    /// Where its values come from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self.is_project {
            true => Origin::Project(self.path.clone()),
            false => Origin::User(self.path.clone()),
        }
    }

    /// Writes a value into it, or takes it out; all other lines stay as they are.
    pub fn set(&self, setting: &KnownSetting, values: Option<&[String]>) -> Result<()> {
        let is_of = |line: &str| {
            let key = line.split('=').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
            line.contains('=') && key == setting.key
        };
        let line = values.map(|values| match values {
            [only] => format!("{} = {}", setting.key, toml_text(only)),
            several => {
                let several: Vec<_> = several.iter().map(|text| toml_text(text)).collect();
                format!("{} = [{}]", setting.key, several.join(", "))
            }
        });
        let mut lines: Vec<String> = self.text.lines().map(str::to_owned).collect();
        match (lines.iter().position(|line| is_of(line)), line) {
            (Some(at), Some(line)) => lines[at] = line,
            (Some(at), None) => drop(lines.remove(at)),
            (None, Some(line)) => lines.push(line),
            (None, None) => {}
        }
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let name = self.path.display();
        // A list over several lines would be cut apart.
        let after = SettingsFile::of(self.path.clone(), self.is_project, text.clone())
            .ok()
            .filter(|after| after.values(setting) == values)
            .with_context(|| {
                format!(
                    "{name} has {} in a form that is not changed here; edit it by hand",
                    setting.key
                )
            })?;
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        output::write(&after.path, text.as_bytes(), true)
    }
}

/// A value, or several, as texts.
fn texts(value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text.clone()]),
        toml::Value::Integer(number) => Some(vec![number.to_string()]),
        toml::Value::Float(number) => Some(vec![number.to_string()]),
        toml::Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(texts).collect();
            Some(items?.concat())
        }
        _ => None,
    }
}

fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn file(text: &str, is_project: bool) -> Result<SettingsFile> {
        SettingsFile::of(Path::new("x.toml").to_owned(), is_project, text.to_owned())
    }

    #[track_caller]
    fn check_refused(text: &str, is_project: bool, hint: &str) {
        let said = file(text, is_project).unwrap_err().to_string();
        assert!(said.starts_with("x.toml") && said.contains(hint), "{said}");
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named() {
        check_refused("playhed = \"reported\"", true, "did you mean playhead?");
        check_refused("playhead = \"real\"", true, "write simulated or reported");
        check_refused("stale-threshold = \"soon\"", false, "a length of time");
        check_refused("threads = [1, 2]", false, "not written like that");
        check_refused("color = true", false, "not written like that");
        check_refused("allow-host = \"pod\"", true, "lets agents call hosts");
        check_refused("a = 1\nheader = \"X: secret", false, "line 2");
        let said = file("header = \"tok-9\"", false).unwrap_err().to_string();
        assert!(!said.contains("tok-9"), "{said}");
    }

    #[test]
    fn one_value_is_changed_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.toml");
        let set = |key: &str, values: Option<&[String]>| {
            let setting = KnownSetting::named(key).unwrap();
            SettingsFile::read(path.clone(), false).unwrap().set(setting, values)
        };
        set("playhead", Some(&["reported".to_owned()])).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("# mine\n{text}threads = 2 # two\n")).unwrap();
        set("playhead", Some(&["simulated".to_owned()])).unwrap();
        set("captures", Some(&["a".to_owned(), "b \"c\"".to_owned()])).unwrap();
        let read = SettingsFile::read(path.clone(), false).unwrap();
        let captures = read.values(KnownSetting::named("captures").unwrap()).unwrap();
        assert_eq!(captures, ["a", "b \"c\""]);
        set("threads", None).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\nplayhead = \"simulated\"\ncaptures = "), "{text}");
        std::fs::write(&path, "captures = [\n\"a\",\n]\n").unwrap();
        let said = set("captures", Some(&["b".to_owned()])).unwrap_err().to_string();
        assert!(said.contains("edit it by hand"), "{said}");
    }
}
