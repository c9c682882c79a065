//! "Did you mean …?" for names that do not exist.

/// Says which of `known` comes closest to `name`, or lists all of them if none is close.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    let closest = known.iter().map(|known| (distance(name, known), *known)).min();
    match closest {
        None => "it has none".to_owned(),
        Some((distance, closest)) if distance <= closest.len().div_ceil(2) => {
            format!("did you mean {closest}?")
        }
        Some(_) => format!("there are {}", known.join(", ")),
    }
}

/// Edits that turn one word into the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, known: &[&str], expected: &str) {
        assert_eq!(nearest(name, known.iter().copied()), expected);
    }

    #[test]
    fn nearest_names_the_closest_or_lists_all() {
        check("stal", &["behind", "stall"], "did you mean stall?");
        check("fro", &["at", "for"], "did you mean for?");
        check("something else", &["at", "for"], "there are at, for");
        check("x", &[], "it has none");
    }
}
