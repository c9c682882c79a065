//! Rust source as names and marks: the little of its grammar that finding paths takes.

/// A name, `::` or a single character.
pub struct Token {
    pub text: String,
    pub line: usize,
}

pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single characters. Comments are left out, and so are literals, apart from those
/// that are paths: attributes name functions that way.
pub fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let (text, after) = rest.split_at(token_len(rest));
        let mut push = |text: &str| tokens.push(Token { text: text.to_owned(), line });
        match first {
            '"' if ["\"crate::", "\"super::", "\"self::"].iter().any(|s| text.starts_with(s)) => {
                for (i, name) in text.trim_matches('"').split("::").enumerate() {
                    (i > 0).then(|| push("::"));
                    push(name);
                }
            }
            _ if first.is_whitespace() || text.len() > 2 && !is_name(text) => {}
            _ if is_name(text) && text.ends_with(['"', '#']) => {}
            _ => push(text.trim_start_matches("r#")),
        }
        line += text.matches('\n').count();
        rest = after;
    }
    tokens
}

/// How long the token at the beginning of `rest` is.
fn token_len(rest: &str) -> usize {
    let until = |from: usize, end: &str| {
        rest[from..].find(end).map_or(rest.len(), |found| from + found + end.len())
    };
    let quoted = |from: usize, quote: char| {
        let mut is_escaped = false;
        let end = rest[from..].find(|c| {
            let ends = c == quote && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        end.map_or(rest.len(), |end| from + end + 1)
    };
    let mut chars = rest.chars();
    let (first, second, third) = (chars.next().unwrap(), chars.next(), chars.next());
    match first {
        '/' if second == Some('/') => rest.find('\n').unwrap_or(rest.len()),
        '/' if second == Some('*') => until(2, "*/"),
        '"' => quoted(1, '"'),
        '\'' if second == Some('\\') => quoted(1, '\''),
        '\'' if third == Some('\'') => 2 + second.unwrap().len_utf8(),
        ':' if second == Some(':') => 2,
        _ if is_name(rest) => {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let name = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let hashes = rest[name..].bytes().take_while(|&b| b == b'#').count();
            let is_quote = rest[name + hashes..].starts_with('"');
            match &rest[..name] {
                "r" | "br" | "cr" if is_quote => {
                    until(name + hashes + 1, &format!("\"{}", "#".repeat(hashes)))
                }
                "b" | "c" if is_quote && hashes == 0 => quoted(name + 1, '"'),
                "r" if hashes == 1 => {
                    let after = &rest[name + 1..];
                    name + 1 + after.find(|c| !is_part(c)).unwrap_or(after.len())
                }
                _ => name,
            }
        }
        _ if first.is_ascii_digit() => {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        }
        _ => first.len_utf8(),
    }
}

/// Cuts out the items that only unit tests have, and returns the modules among them that have files.
pub fn cut_tests(tokens: &mut Vec<Token>) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut modules = Vec::new();
    let is_mark = |window: &[Token]| window.iter().map(|token| &token.text).eq(MARK);
    while let Some(start) = tokens.windows(MARK.len()).position(is_mark) {
        let mut depth = 0;
        let ends = |token: &Token| {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            depth == 0 && ["}", ";"].contains(&token.text.as_str())
        };
        let len = tokens[start..].iter().position(ends).map_or(tokens.len() - start, |len| len + 1);
        let cut: Vec<_> = tokens.drain(start..start + len).collect();
        if let [.., keyword, name, end] = &cut[..]
            && keyword.text == "mod"
            && end.text == ";"
        {
            modules.push(name.text.clone());
        }
    }
    modules
}
