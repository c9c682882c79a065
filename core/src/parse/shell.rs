//! Words of a command that people copy into a POSIX shell.

/// A word as a shell takes it: in single quotes, unless every character stands for itself.
#[must_use]
pub fn word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The name of a file as a shell and lagtape take it: one that begins with `-` is not read as a flag. A
/// lone `-` is stdin or stdout.
#[must_use]
pub fn file(name: &str) -> String {
    match name.starts_with('-') && name != "-" {
        true => word(&format!("./{name}")),
        false => word(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(file(name), expected);
    }

    #[test]
    fn names_of_files_are_one_word_and_no_flag() {
        check("captures/stall.lagtape", "captures/stall.lagtape");
        check("a_b:c@d%e+f=g,h-1.lagtape", "a_b:c@d%e+f=g,h-1.lagtape");
        check("my take.lagtape", "'my take.lagtape'");
        check("my $(touch PWN).lagtape", "'my $(touch PWN).lagtape'");
        check("a`b`;c&d|e>f*g?[h]~i#j!k\"l\\m", "'a`b`;c&d|e>f*g?[h]~i#j!k\"l\\m'");
        check("~/x.lagtape", "'~/x.lagtape'");
        check("it's", r"'it'\''s'");
        check("Café.lagtape", "'Café.lagtape'");
        check("a\nb", "'a\nb'");
        check("", "''");
        check("-rf.lagtape", "./-rf.lagtape");
        check("-my take.lagtape", "'./-my take.lagtape'");
        check("-", "-");
    }

    #[test]
    fn flags_are_words() {
        assert_eq!(word("--op"), "--op");
        assert_eq!(word("lag_s == 0"), "'lag_s == 0'");
    }
}
