//! One form for texts that differ in case, quotes, white space and Markdown.

use unicode_normalization::UnicodeNormalization;

/// Lower case, in Unicode's form NFKC; straight quotes; single spaces; without the marks of Markdown
/// (`*`, `_`, `` ` ``, `~`, `#`, `>`, and hyphens or bullets before a line), without characters that
/// take no room, and without white space around.
pub(super) fn normalize(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        for word in line.trim_start_matches(is_before_line).split_whitespace() {
            let begun = out.len();
            if begun > 0 {
                out.push(' ');
            }
            let chars = word.nfkc().flat_map(char::to_lowercase).filter_map(character);
            let before = out.len();
            out.extend(chars);
            if out.len() == before {
                out.truncate(begun);
            }
        }
    }
    out
}

fn is_before_line(char: char) -> bool {
    char.is_whitespace() || matches!(char, '-' | '+' | '•' | '*' | '#' | '>')
}

fn character(char: char) -> Option<char> {
    match char {
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2032}' | '\u{02bc}' => Some('\''),
        '\u{201c}' | '\u{201d}' | '\u{201f}' | '\u{2033}' => Some('"'),
        '*' | '_' | '`' | '~' | '#' | '>' => None,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => None,
        char => Some(char),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_text_are_one() {
        for text in [
            "I can't help.",
            "**I can\u{2019}t** help.",
            "\u{feff}\n> *I can\u{2019}t*\n\thelp.",
            "# I\u{a0}CAN'T\n\n- help.",
            "Ｉ ＣＡＮ'T he\u{ad}lp. ** \u{200b}",
        ] {
            assert_eq!(normalize(text), "i can't help.", "{text:?}");
        }
        assert_eq!(normalize(" \n**\u{200b}** "), "");
    }
}
