//! The configuration that a client needs to start this server, and where it keeps it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::parse::shell;

/// Clients whose configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum McpClient {
    /// Claude Code: a command to run, or .mcp.json
    ClaudeCode,
    /// Claude Desktop: `claude_desktop_config.json`
    ClaudeDesktop,
    /// Cursor: .cursor/mcp.json
    Cursor,
    /// VS Code: .vscode/mcp.json
    #[value(name = "vscode")]
    VsCode,
    /// Codex: ~/.codex/config.toml
    Codex,
    /// Gemini CLI: ~/.gemini/settings.json
    Gemini,
}

/// Where clients look for their configuration.
#[derive(Debug, Clone)]
pub struct ClientFolders {
    /// The project, whose `.mcp.json` and `.vscode` are read.
    pub project: PathBuf,
    /// The person's own folder.
    pub home: PathBuf,
    /// Where programs keep settings: `~/.config`, `~/Library/Application Support`, `%APPDATA%`.
    pub settings: PathBuf,
}

/// The file in which a client keeps its servers.
#[must_use]
pub fn config_file(client: McpClient, folders: &ClientFolders) -> PathBuf {
    let ClientFolders { project, home, settings } = folders;
    match client {
        McpClient::ClaudeCode => project.join(".mcp.json"),
        McpClient::ClaudeDesktop => settings.join("Claude/claude_desktop_config.json"),
        McpClient::Cursor => home.join(".cursor/mcp.json"),
        McpClient::VsCode => project.join(".vscode/mcp.json"),
        McpClient::Codex => home.join(".codex/config.toml"),
        McpClient::Gemini => home.join(".gemini/settings.json"),
    }
}

/// The text of a client's file with the entry in it; all else stays as it was.
///
/// # Errors
/// The file is not in the form that the client documents. Nothing is guessed: it holds other entries.
pub fn installed(
    client: McpClient,
    file: &str,
    program: &Path,
    words: &[String],
) -> Result<String> {
    match client {
        McpClient::Codex => installed_in_toml(file, &config(client, program, words)),
        _ => installed_in_json(client, file, program, words),
    }
}

fn installed_in_json(
    client: McpClient,
    file: &str,
    program: &Path,
    words: &[String],
) -> Result<String> {
    let mut root: Map<String, Value> = match file.trim() {
        "" => Map::new(),
        text => {
            serde_json::from_str(text).context("it is no JSON object, perhaps it has comments")?
        }
    };
    let (key, entry) = json_entry(client, program, words);
    let servers = root.entry(key).or_insert_with(|| json!({}));
    let servers = servers.as_object_mut().with_context(|| format!("its {key} is no object"))?;
    servers.insert("lagtape".to_owned(), entry);
    Ok(serde_json::to_string_pretty(&root)? + "\n")
}

/// Comments stay where they are: only the lines of the entry change.
fn installed_in_toml(file: &str, entry: &str) -> Result<String> {
    ensure!(toml::from_str::<toml::Table>(file).is_ok(), "it is no TOML");
    let header = entry.lines().next().unwrap_or_default();
    let is_other = |line: &&str| line.starts_with('[');
    let lines: Vec<_> = file.lines().collect();
    let merged = match lines.iter().position(|line| line.trim() == header) {
        None => [file.trim_end(), "\n\n", entry].concat(),
        Some(at) => {
            let rest = &lines[at + 1..];
            let len = rest.iter().position(is_other).unwrap_or(rest.len());
            let (before, after) = (lines[..at].join("\n"), rest[len..].join("\n"));
            format!("{before}\n{entry}\n{after}\n")
        }
    };
    let merged = format!("{}\n", merged.trim());
    ensure!(toml::from_str::<toml::Table>(&merged).is_ok(), "it writes the entry in another way");
    Ok(merged)
}

/// Under which key a client keeps servers, and this one as it writes them.
fn json_entry(client: McpClient, program: &Path, words: &[String]) -> (&'static str, Value) {
    let command = program.display().to_string();
    match client {
        McpClient::VsCode => {
            ("servers", json!({"type": "stdio", "command": command, "args": words}))
        }
        _ => ("mcpServers", json!({"command": command, "args": words})),
    }
}

/// The configuration of a client that starts the server as `program` with `words`.
#[must_use]
pub fn config(client: McpClient, program: &Path, words: &[String]) -> String {
    let (key, entry) = json_entry(client, program, words);
    let alone = json!({key: {"lagtape": entry}});
    let pretty = serde_json::to_string_pretty(&alone).unwrap_or_default();
    let program = program.display().to_string();
    match client {
        McpClient::ClaudeCode => {
            let words: Vec<_> = words.iter().map(|word| shell::word(word)).collect();
            let (program, words) = (shell::word(&program), words.join(" "));
            format!(
                "# run this, or put the JSON below into .mcp.json of the project\n\
                 claude mcp add lagtape -- {program} {words}\n\n{pretty}\n"
            )
        }
        McpClient::Codex => {
            let strings: Vec<_> = words.iter().map(|word| json!(word).to_string()).collect();
            format!(
                "[mcp_servers.lagtape]\ncommand = {}\nargs = [{}]\n",
                json!(program),
                strings.join(", ")
            )
        }
        _ => pretty + "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(client: McpClient, read: fn(&str) -> serde_json::Value, server: &str) {
        let words = ["mcp".to_owned(), "--captures".to_owned(), "it's \"here\"".to_owned()];
        let text = config(client, Path::new("/opt/my tools/lagtape"), &words);
        let read = read(&text);
        let found = read.pointer(server).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(found["command"], "/opt/my tools/lagtape");
        assert_eq!(found["args"], json!(words));
    }

    #[test]
    fn every_client_reads_its_own_form() {
        let plain = |text: &str| serde_json::from_str(text).unwrap();
        check(McpClient::ClaudeDesktop, plain, "/mcpServers/lagtape");
        check(McpClient::Cursor, plain, "/mcpServers/lagtape");
        check(McpClient::Gemini, plain, "/mcpServers/lagtape");
        check(McpClient::VsCode, plain, "/servers/lagtape");
        check(McpClient::Codex, |text| toml::from_str(text).unwrap(), "/mcp_servers/lagtape");
        let below = |text: &str| serde_json::from_str(&text[text.find("\n\n").unwrap()..]).unwrap();
        check(McpClient::ClaudeCode, below, "/mcpServers/lagtape");
        let shell = config(McpClient::ClaudeCode, Path::new("/a b/lagtape"), &["it's".to_owned()]);
        assert!(shell.contains(r"claude mcp add lagtape -- '/a b/lagtape' 'it'\''s'"), "{shell}");
    }
    /// Installs into a file, twice, and gives what it holds.
    #[track_caller]
    fn check_installed(client: McpClient, file: &str, read: fn(&str) -> Value) -> Value {
        let words = ["mcp".to_owned()];
        let once = installed(client, file, Path::new("/old/lagtape"), &words).unwrap();
        let twice = installed(client, &once, Path::new("/new/lagtape"), &words).unwrap();
        assert_eq!(twice, once.replace("/old/", "/new/"), "the second takes the first's place");
        read(&twice)
    }

    #[test]
    fn what_a_client_has_beside_the_entry_stays() {
        let json = |text: &str| serde_json::from_str(text).unwrap();
        let file =
            r#"{"theme": "dark", "mcpServers": {"other": {"command": "x"}}, "z": 1, "a": 2}"#;
        for client in [McpClient::ClaudeCode, McpClient::ClaudeDesktop, McpClient::Gemini] {
            let file = check_installed(client, file, json);
            assert_eq!(file["mcpServers"]["other"]["command"], "x");
            assert_eq!(file["mcpServers"]["lagtape"]["command"], "/new/lagtape");
            let keys: Vec<_> = file.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["theme", "mcpServers", "z", "a"], "in their order");
        }
        let file = check_installed(McpClient::VsCode, "", json);
        assert_eq!(file["servers"]["lagtape"]["type"], "stdio");
    }

    #[test]
    fn toml_keeps_its_comments() {
        let toml = |text: &str| {
            assert!(text.contains("# mine"), "{text}");
            toml::from_str(text).unwrap()
        };
        let file = "# mine\nmodel = \"o\"\n[mcp_servers.lagtape]\ncommand = \"x\"\n\n[profiles.a]\nb = 1\n";
        for file in [file, "# mine\nmodel = \"o\"\n[profiles.a]\nb = 1"] {
            let file = check_installed(McpClient::Codex, file, toml);
            assert_eq!(file["mcp_servers"]["lagtape"]["command"], "/new/lagtape");
            assert_eq!((&file["model"], &file["profiles"]["a"]["b"]), (&json!("o"), &json!(1)));
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_alone() {
        let install = |client, file| installed(client, file, Path::new("lagtape"), &[]);
        for file in ["[1]", "{\"mcpServers\": []}", "{ // mine\n}", "{"] {
            assert!(install(McpClient::Cursor, file).is_err(), "{file}");
        }
        let inline = "mcp_servers = { lagtape = { command = \"x\" } }";
        for file in ["= 1", inline] {
            assert!(install(McpClient::Codex, file).is_err(), "{file}");
        }
    }
}
