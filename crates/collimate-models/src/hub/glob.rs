/// Whether a path matches a pattern, as the Hub's own tools read it: `*` stands for any characters,
/// slashes too, `?` for one, and a pattern that ends in a slash for all that is in the folder.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let mut pattern: Vec<char> = pattern.chars().collect();
    if pattern.last() == Some(&'/') {
        pattern.push('*');
    }
    let path: Vec<char> = path.chars().collect();
    let (mut at, mut next) = (0, 0);
    // Where the last star stood, and what it stands for up to now.
    let mut star = None;
    while let Some(character) = path.get(at) {
        match pattern.get(next) {
            Some('*') => {
                star = Some((next, at));
                next += 1;
            }
            Some(expected) if *expected == '?' || expected == character => {
                at += 1;
                next += 1;
            }
            _ => match star {
                Some((star_at, covered)) => {
                    star = Some((star_at, covered + 1));
                    at = covered + 1;
                    next = star_at + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(next).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_question_marks_and_folders() {
        for (pattern, path) in [
            ("a.json", "a.json"),
            ("*", "a/b/c"),
            ("*.json", "a/b.json"),
            ("data/*-of-*.parquet", "data/train-1-of-2.parquet"),
            ("data/", "data/x/y"),
            ("?.txt", "ö.txt"),
            ("**a**", "bab"),
            ("*ab", "aab"),
            ("", ""),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("a.json", "a.jsonl"),
            ("*.json", "a.jsonl"),
            ("?.txt", "ab.txt"),
            ("data/", "data"),
            ("data/", "more/data/x"),
            ("A", "a"),
            ("", "a"),
            ("a*b*c", "acb"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
        assert!(!matches(&format!("{}b", "*a".repeat(100)), &"a".repeat(10_000)));
    }
}
