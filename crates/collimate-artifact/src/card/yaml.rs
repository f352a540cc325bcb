//! As much YAML as a card's front matter needs.

use std::fmt::Write;

#[derive(Debug, Default)]
pub(super) struct Yaml {
    pub(super) text: String,
}

impl Yaml {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn field(&mut self, key: &str, value: &str) {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "{key}: {}", scalar(value));
    }

    /// Nothing where the list is empty.
    pub(super) fn list<'t>(&mut self, key: &str, values: impl IntoIterator<Item = &'t str>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_some() {
            let _ = writeln!(self.text, "{key}:");
        }
        for value in values {
            let _ = writeln!(self.text, "- {}", scalar(value));
        }
    }

    /// Lines that are YAML already.
    pub(super) fn raw(&mut self, lines: &str) {
        self.text.push_str(lines);
    }
}

/// A text, between quotes unless it can't be taken for anything else.
pub(super) fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./+".contains(c))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain {
        return text.to_owned();
    }
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            // Line ends of YAML, and what it does not allow.
            _ if character.is_control()
                || matches!(
                    character,
                    '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
                ) =>
            {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_unless_they_are_plain() {
        for plain in ["mit", "apache-2.0", "org/name", "text-generation", "openrail++"] {
            assert_eq!(scalar(plain), plain);
        }
        for (text, quoted) in [
            ("", "\"\""),
            ("no", "\"no\""),
            ("1.0", "\"1.0\""),
            ("a: b", "\"a: b\""),
            ("a\nb\"c\\", "\"a\\u000ab\\\"c\\\\\""),
            ("- a", "\"- a\""),
            ("é", "\"é\""),
            ("\u{85}\u{2028}", "\"\\u0085\\u2028\""),
        ] {
            assert_eq!(scalar(text), quoted);
        }
    }
}
