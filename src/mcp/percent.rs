//! Percent-encoding of ids in the addresses of resources, and of paths in links.

/// Percent-encodes all but letters, digits, `-._~` and what is in `also`.
pub fn encoded(text: &str, also: &str) -> String {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.as_bytes().contains(&byte)
    };
    text.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// Undoes [`encoded`].
pub fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(id: &str, expected: &str) {
        assert_eq!(encoded(id, ""), expected);
        assert_eq!(decoded(expected).as_deref(), Some(id));
    }

    #[test]
    fn ids_survive_addresses() {
        check("stall", "stall");
        check("out/demo", "out%2Fdemo");
        check("späti 100%", "sp%C3%A4ti%20100%25");
        for broken in ["%", "%4", "%zz", "%ff", "a%c3"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }
}
