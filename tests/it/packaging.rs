//! What is handed out beside the program agrees with it.

use std::fs;
use std::path::Path;

use serde_json::Value;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn text(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap()
}

#[test]
fn every_file_names_the_same_version() {
    assert_eq!(json("packaging/manifest.json")["version"], VERSION);
    let server = json("packaging/server.json");
    assert_eq!(server["version"], VERSION);
    let bundle = server["packages"][0]["identifier"].as_str().unwrap();
    let expected = format!("/releases/download/v{VERSION}/lagtape-v{VERSION}-x86_64");
    assert!(bundle.contains(&expected), "{bundle}");
    assert!(
        text("CHANGELOG.md").contains(&format!("\n## {VERSION} ")),
        "the changelog lacks {VERSION}"
    );
}

#[test]
fn the_program_that_is_handed_out_is_small_and_tells_where_it_panics() {
    let manifest: toml::Table = toml::from_str(&text("Cargo.toml")).unwrap();
    let profiles = &manifest["profile"];
    let dist = &profiles["dist"];
    assert_eq!(dist["inherits"].as_str(), Some("release"));
    assert_eq!(dist["strip"].as_str(), Some("symbols"));
    assert_eq!(dist["lto"].as_str(), Some("fat"));
    assert_eq!(dist["codegen-units"].as_integer(), Some(1));
    // A panic tells file and line whatever is stripped, unless there is no message at all.
    for profile in ["dist", "release"] {
        assert!(profiles[profile].get("panic").is_none(), "{profile}");
    }
}

/// The registry refuses longer ones.
#[test]
fn the_registry_takes_the_description() {
    assert!(json("packaging/server.json")["description"].as_str().unwrap().len() <= 100);
}

#[test]
fn the_bundle_starts_the_server_as_the_command_line_knows_it() {
    let server = &json("packaging/manifest.json")["server"];
    let words = server["mcp_config"]["args"].as_array().unwrap();
    assert_eq!((&words[0], &words[1]), (&Value::from("mcp"), &Value::from("--captures")));
    assert_eq!(server["entry_point"], "lagtape");
}
