//! Settings: what counts before what, what is refused, and what a project may not say.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::command;

/// A person with a home, and a project in it whose folder `deep/er` is where they are.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fs::create_dir_all(place.0.path().join("project/deep/er")).unwrap();
        let stall = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/stall.lagtape");
        fs::copy(stall, place.0.path().join("project/deep/er/stall.lagtape")).unwrap();
        place
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn project(&self, text: &str) {
        self.write("project/lagtape.toml", text);
    }

    fn user(&self, text: &str) {
        self.write("settings/lagtape/config.toml", text);
    }

    fn run(&self, words: &[&str], variables: &[(&str, &str)]) -> Output {
        command(words)
            .current_dir(self.0.path().join("project/deep/er"))
            .env_clear()
            .env("HOME", self.0.path())
            .env("XDG_CONFIG_HOME", self.0.path().join("settings"))
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    }

    fn said(&self, words: &[&str]) -> String {
        let output = self.run(words, &[]);
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    /// The value of a setting, and where it comes from.
    fn setting(&self, key: &str, variables: &[(&str, &str)]) -> (Value, String) {
        let output = self.run(&["config", "--json"], variables);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let line = lines.into_iter().find(|line| line["key"] == key).unwrap();
        (line["values"].clone(), line["from"].as_str().unwrap().to_owned())
    }

    /// The threshold that an analysis used.
    fn threshold(&self, words: &[&str], variables: &[(&str, &str)]) -> f64 {
        let words = [&["analyze", "stall.lagtape", "--json"], words].concat();
        let output = self.run(&words, variables);
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        report["lag"]["ticks"]["stale_threshold_s"].as_f64().unwrap()
    }
}

#[test]
fn a_flag_counts_before_the_environment_the_project_and_the_person() {
    let place = Place::new();
    let flag = ["--stale-threshold", "5"];
    let environment = [("LAGTAPE_STALE_THRESHOLD", "4s")];
    assert_eq!(place.threshold(&[], &[]), 3.0);
    place.user("stale-threshold = \"1s\"\n");
    assert_eq!(place.threshold(&[], &[]), 1.0);
    place.project("stale-threshold = 2\n");
    assert_eq!(place.threshold(&[], &[]), 2.0);
    assert!(place.setting("stale-threshold", &[]).1.ends_with("project/lagtape.toml"));
    assert_eq!(place.threshold(&[], &environment), 4.0);
    assert_eq!(place.setting("stale-threshold", &environment).1, "LAGTAPE_STALE_THRESHOLD");
    assert_eq!(place.threshold(&flag, &environment), 5.0);
}

#[test]
fn a_setting_conflicts_with_no_flag() {
    let place = Place::new();
    place.project("captures = [\"here\", \"there\"]\n");
    // Neither is the folder that --no-capture conflicts with given, nor a playhead.
    let output = place
        .run(&["proxy", "--upstream", "ws://127.0.0.1:1", "--no-capture", "--listen", "x"], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--listen") && !said.contains("cannot be used"), "{said}");
    // Folders lie from that of the file on.
    let (folders, _) = place.setting("captures", &[]);
    assert!(folders[0].as_str().unwrap().ends_with("project/here"), "{folders}");
    assert_eq!(folders.as_array().unwrap().len(), 2);
    let config = place.said(&["mcp", "--print-config", "cursor"]);
    assert!(config.contains("project/here") && config.contains("project/there"), "{config}");
}

#[test]
fn what_is_wrong_is_named_before_anything_is_done() {
    let place = Place::new();
    for (text, hint) in [
        ("playhed = \"reported\"", "did you mean playhead?"),
        ("playhead = \"real\"", "write simulated or reported"),
        ("header = \"X-Token: secret\"", "does not come from a project's file"),
        ("allow-host = \"pod\"", "does not come from a project's file"),
        ("threads = ", "line 1"),
    ] {
        place.project(text);
        let output = place.run(&["analyze", "stall.lagtape"], &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}: {said}");
        assert!(said.contains("lagtape.toml") && said.contains(hint), "{text}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
    place.project("");
    let odd = place.run(&["analyze", "stall.lagtape"], &[("LAGTAPE_PLAYHEAD", "real")]);
    let said = String::from_utf8(odd.stderr).unwrap();
    assert!(odd.status.code() == Some(2) && said.contains("LAGTAPE_PLAYHEAD"), "{said}");
    let listed = place.run(&["config"], &[("LAGTAPE_PLAYHED", "reported")]);
    let said = String::from_utf8(listed.stderr).unwrap();
    assert!(listed.status.success() && said.contains("did you mean playhead?"), "{said}");
}

#[test]
fn values_are_set_and_taken_back() {
    let place = Place::new();
    let said = place.said(&["config", "set", "header", "X-Token: secret", "X-More: y"]);
    assert!(said.contains("header is set in") && !said.contains("secret"), "{said}");
    let (shown, from) = place.setting("header", &[]);
    assert_eq!(shown, serde_json::json!(["X-Token: …", "X-More: …"]));
    assert!(from.ends_with("settings/lagtape/config.toml"), "{from}");
    place.said(&["config", "set", "playhead", "reported"]);
    place.project("# ours\n");
    let said = place.said(&["config", "set", "playhead", "simulated", "--project"]);
    assert!(said.contains("project/lagtape.toml"), "{said}");
    assert_eq!(place.setting("playhead", &[]).0, serde_json::json!(["simulated"]));
    let said = place.said(&["config", "set", "playhead", "reported"]);
    assert!(said.contains("project/lagtape.toml counts before it"), "{said}");
    place.said(&["config", "unset", "playhead", "--project"]);
    assert_eq!(place.setting("playhead", &[]).0, serde_json::json!(["reported"]));
    let left = fs::read_to_string(place.0.path().join("project/lagtape.toml")).unwrap();
    assert_eq!(left, "# ours\n");
    let path = place.said(&["config", "path"]);
    assert!(path.contains("project/lagtape.toml") && path.contains("config.toml"), "{path}");
}

#[test]
fn bars_are_as_they_are_set() {
    let place = Place::new();
    let drawn = |variables: &[(&str, &str)]| {
        String::from_utf8(place.run(&["analyze", "stall.lagtape"], variables).stdout).unwrap()
    };
    assert!(drawn(&[]).contains('█') && !drawn(&[("LAGTAPE_ASCII", "always")]).contains('█'));
    assert!(!drawn(&[("LANG", "C")]).contains('█'));
    place.user("ascii = \"never\"\n");
    assert!(drawn(&[("LANG", "C")]).contains('█'));
    place.user("width = 19\n");
    assert!(place.said(&["info", "stall.lagtape"]).contains("20 or more"));
}
