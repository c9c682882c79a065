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
