//! What Python's string methods do, where Rust's differ.

/// White space as `str.split` knows it: Unicode's, and the four separators of ASCII.
pub(super) fn is_space(char: char) -> bool {
    char.is_whitespace() || ('\x1c'..='\x1f').contains(&char)
}

/// `text.split()`: what stands between white space, without empty parts.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// Whether a character is in `string.punctuation`.
pub(super) fn is_punctuation(char: char) -> bool {
    char.is_ascii_punctuation()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_of_ascii_and_unicode_are_white_space() {
        let found: Vec<&str> = words("\u{1f}a\u{1c}b\u{a0}c\u{3000}\u{2028}d\u{200b}e ").collect();
        assert_eq!(found, ["a", "b", "c", "d\u{200b}e"]);
    }
}
