//! Text from anywhere: made visible, cut where that is said, measured for drawing.

use std::borrow::Cow;

/// Text without what is invisible or reorders what stands around it: control characters, marks and
/// overrides of direction, separators of lines, tags. Each is shown by its number, as `‹U+202E›`.
/// Line feeds and tabs stay; a carriage return before a line feed is left out.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\r' && rest.peek() == Some(&'\n') {
            continue;
        }
        if is_hidden(c) {
            shown.push_str(&format!("‹U+{:04X}›", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// The same on one line, with single spaces.
pub(crate) fn one_line(text: &str) -> String {
    visible(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
        // No character at all, and not allowed in XML.
        || u32::from(c) & 0xFFFE == 0xFFFE
        || matches!(c, '\u{FDD0}'..='\u{FDEF}')
}

/// The first characters of a text, and how many follow that are not among them.
pub(crate) fn cut(text: &str, most: usize) -> (&str, usize) {
    match text.char_indices().nth(most) {
        Some((at, _)) => {
            let (first, rest) = text.split_at(at);
            (first, rest.chars().count())
        }
        None => (text, 0),
    }
}

/// About how wide a line of text is drawn at a font size, in the same unit; rather too wide.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

/// Advance of a character in units of the font size, as wide sans-serif fonts have it.
fn advance(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 0.34,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '-' | '"' => 0.42,
        'm' | 'M' | 'w' | 'W' | '@' | '%' | '−' => 0.95,
        'A'..='Z' => 0.72,
        '\u{0}'..='\u{36F}' => 0.64,
        '\u{370}'..='\u{10FF}' => 0.75,
        _ => 1.05,
    }
}

/// Text in at most so many lines of at most this width, broken between words where it can be; what
/// doesn't fit ends in "…".
pub(crate) fn wrap(text: &str, size: f64, most: f64, lines: usize) -> Vec<String> {
    let mut wrapped: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in one_line(text).split(' ') {
        let joined = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if width(&joined, size) <= most {
            line = joined;
            continue;
        }
        if !line.is_empty() {
            wrapped.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            if !line.is_empty() && width(&line, size) + advance(c) * size > most {
                wrapped.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
        if wrapped.len() > lines {
            break;
        }
    }
    wrapped.push(line);
    if wrapped.len() > lines {
        wrapped.truncate(lines);
        if let Some(last) = wrapped.last_mut() {
            while !last.is_empty() && width(last, size) + 1.05 * size > most {
                last.pop();
            }
            last.push('…');
        }
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_invisible_stays() {
        for (text, shown) in [
            ("plain – ünï 模型", "plain – ünï 模型"),
            ("a\u{202E}b", "a‹U+202E›b"),
            ("a\u{0}b\u{7F}\u{85}", "a‹U+0000›b‹U+007F›‹U+0085›"),
            ("a\r\nb\tc\rd", "a\nb\tc‹U+000D›d"),
            (
                "\u{FFFE}\u{1FFFF}\u{FEFF}\u{2066}\u{E0041}",
                "‹U+FFFE›‹U+1FFFF›‹U+FEFF›‹U+2066›‹U+E0041›",
            ),
            // A family and Persian are joined by characters without width.
            ("👨\u{200D}👩 می\u{200C}خواهم", "👨\u{200D}👩 می\u{200C}خواهم"),
        ] {
            assert_eq!(visible(text), shown, "{text:?}");
        }
        assert_eq!(one_line(" a\n\n b\t"), "a b");
    }

    #[test]
    fn what_is_cut_is_counted() {
        assert_eq!(cut("äöü", 3), ("äöü", 0));
        assert_eq!(cut("äöüß!", 3), ("äöü", 2));
        assert_eq!(cut("", 0), ("", 0));
    }

    #[test]
    fn lines_fit() {
        let lines = wrap("Justice and Rights of everyone", 10.0, 60.0, 9);
        assert_eq!(lines, ["Justice", "and Rights", "of", "everyone"]);
        assert_eq!(wrap("", 10.0, 60.0, 2), [""]);
        for text in
            ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "模型模型模型模型模型模型 b c d e f g"]
        {
            let lines = wrap(text, 10.0, 60.0, 2);
            assert_eq!(lines.len(), 2);
            assert!(lines[1].ends_with('…'), "{lines:?}");
            assert!(lines.iter().all(|line| width(line, 10.0) <= 60.0), "{lines:?}");
        }
    }
}
