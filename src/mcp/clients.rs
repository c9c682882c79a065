//! The configuration that a client needs to start this server.

use std::path::Path;

use clap::ValueEnum;
use serde_json::json;

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
}

/// The configuration of a client that starts the server as `program` with `words`.
#[must_use]
pub fn config(client: McpClient, program: &Path, words: &[String]) -> String {
    let program = program.display().to_string();
    let server = json!({"command": program, "args": words});
    let servers = json!({"mcpServers": {"lagtape": server}});
    let pretty = |value| serde_json::to_string_pretty(value).unwrap_or_default();
    match client {
        McpClient::ClaudeCode => {
            let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
            let (program, words) = (quoted(&program), words.join(" "));
            format!(
                "# run this, or put the JSON below into .mcp.json of the project\n\
                 claude mcp add lagtape -- {program} {words}\n\n{}\n",
                pretty(&servers)
            )
        }
        McpClient::ClaudeDesktop | McpClient::Cursor => pretty(&servers) + "\n",
        McpClient::VsCode => {
            let server = json!({"type": "stdio", "command": program, "args": words});
            pretty(&json!({"servers": {"lagtape": server}})) + "\n"
        }
        McpClient::Codex => {
            let strings: Vec<_> = words.iter().map(|word| json!(word).to_string()).collect();
            format!(
                "[mcp_servers.lagtape]\ncommand = {}\nargs = [{}]\n",
                json!(program),
                strings.join(", ")
            )
        }
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
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
        check(McpClient::VsCode, plain, "/servers/lagtape");
        check(McpClient::Codex, |text| toml::from_str(text).unwrap(), "/mcp_servers/lagtape");
        let below = |text: &str| serde_json::from_str(&text[text.find("\n\n").unwrap()..]).unwrap();
        check(McpClient::ClaudeCode, below, "/mcpServers/lagtape");
        let shell = config(McpClient::ClaudeCode, Path::new("/a b/lagtape"), &["it's".to_owned()]);
        assert!(shell.contains(r"claude mcp add lagtape -- '/a b/lagtape' 'it'\''s'"), "{shell}");
    }
}
