use std::borrow::Cow;
use std::fmt::Write as _;

/// Text that is safe on a terminal and in one line: control characters, line separators and
/// characters that turn the writing direction are written as escapes (`\n`, `\u{1b}`).
///
/// # Examples
///
/// ```
/// use collimate_models::printable;
///
/// assert_eq!(printable("plain – text"), "plain – text");
/// assert_eq!(printable("red\u{1b}[31m\nname"), "red\\u{1b}[31m\\nname");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) {
            // Writing into a string can't fail.
            let _ = write!(safe, "{}", character.escape_default());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}')
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_or_turns_the_line_is_escaped() {
        for text in ["a\tb", "a\rb", "a\u{7f}b", "a\u{9b}31mb", "a\u{2028}b", "a\u{202e}b"] {
            let safe = printable(text);
            assert!(safe.chars().all(|c| c.is_ascii_graphic()), "{safe}");
        }
    }

    #[test]
    fn letters_of_any_script_are_left_alone() {
        assert!(matches!(printable("Größe 模型 — ok"), Cow::Borrowed(_)));
    }
}
