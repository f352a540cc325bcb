//! The tokenizers of BLEU.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::python;

/// How BLEU cuts text into words; as sacreBLEU's tokenizers of the same names.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum BleuTokenizer {
    /// That of WMT's mteval-v13a: ASCII punctuation apart, points and commas kept in numbers,
    /// four HTML entities decoded.
    #[default]
    #[serde(rename = "13a")]
    V13a,
    /// That of mteval-v14 for any language: Unicode's punctuation and symbols apart.
    #[serde(rename = "intl")]
    International,
    /// Each Chinese character alone, the rest as `13a`, without its entities.
    #[serde(rename = "zh")]
    Chinese,
    /// Each character alone.
    #[serde(rename = "char")]
    Character,
    /// What white space separates: for text that is tokenized.
    #[serde(rename = "none")]
    None,
}

impl BleuTokenizer {
    /// Its name in sacreBLEU.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V13a => "13a",
            Self::International => "intl",
            Self::Chinese => "zh",
            Self::Character => "char",
            Self::None => "none",
        }
    }

    /// The words of a text.
    ///
    /// ```
    /// use collimate_eval::BleuTokenizer;
    ///
    /// let words = BleuTokenizer::V13a.tokenize("It costs $1,250.50, \"all in\".");
    /// assert_eq!(words, ["It", "costs", "$", "1,250.50", ",", "\"", "all", "in", "\"", "."]);
    /// ```
    #[must_use]
    pub fn tokenize(self, text: &str) -> Vec<String> {
        python::words(&self.separate(text)).map(str::to_owned).collect()
    }

    /// The text with white space between its words.
    pub(super) fn separate(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::V13a => Cow::Owned(western(&format!(" {} ", unescape(text)))),
            Self::International => Cow::Owned(international(text)),
            Self::Chinese => {
                Cow::Owned(western(&surround(text.trim_matches(python::is_space), is_chinese)))
            }
            Self::Character => Cow::Owned(surround(text, |_| true)),
            Self::None => Cow::Borrowed(text),
        }
    }
}

/// Joins lines and decodes entities, one kind after the other: `&amp;lt;` is `<`.
fn unescape(text: &str) -> Cow<'_, str> {
    let replacements = [
        ("<skipped>", ""),
        ("-\n", ""),
        ("\n", " "),
        ("&quot;", "\""),
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
    ];
    replacements.into_iter().fold(Cow::Borrowed(text), |text, (from, to)| {
        if text.contains(from) { Cow::Owned(text.replace(from, to)) } else { text }
    })
}

/// Sets ASCII punctuation apart, but for apostrophes, hyphens outside of numbers, and points and
/// commas between digits.
fn western(text: &str) -> String {
    let point = |char| matches!(char, '.' | ',');
    let digit = |char: char| char.is_ascii_digit();
    let text = surround(text, |char| {
        char.is_ascii_punctuation() && !matches!(char, '\'' | ',' | '-' | '.')
    });
    let text = detach(&text, |char| !digit(char), point, Detached::Second);
    let text = detach(&text, point, |char| !digit(char), Detached::First);
    detach(&text, digit, |char| char == '-', Detached::Second)
}

/// Sets Unicode's punctuation apart unless it is between numbers, and symbols always.
fn international(text: &str) -> String {
    let of = |group| move |char: char| char.general_category_group() == group;
    let number = of(GeneralCategoryGroup::Number);
    let punctuation = of(GeneralCategoryGroup::Punctuation);
    let text = detach(text, |char| !number(char), punctuation, Detached::Second);
    let text = detach(&text, punctuation, |char| !number(char), Detached::First);
    surround(&text, of(GeneralCategoryGroup::Symbol))
}

/// Puts spaces around characters.
fn surround(text: &str, which: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for char in text.chars() {
        if which(char) {
            out.extend([' ', char, ' ']);
        } else {
            out.push(char);
        }
    }
    out
}

#[derive(Clone, Copy)]
enum Detached {
    First,
    Second,
}

/// Puts spaces around one of two neighbours. Pairs don't overlap: of three in a row the third is
/// looked at together with what follows it.
fn detach(
    text: &str,
    first: impl Fn(char) -> bool,
    second: impl Fn(char) -> bool,
    which: Detached,
) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match (chars.next_if(|&next| first(char) && second(next)), which) {
            (None, _) => out.push(char),
            (Some(next), Detached::First) => out.extend([' ', char, ' ', next]),
            (Some(next), Detached::Second) => out.extend([char, ' ', next, ' ']),
        }
    }
    out
}

/// Whether sacreBLEU takes a character for Chinese. It compares strings, and two of its ranges are
/// meant for characters beyond U+FFFF but hold others: arrows and signs, and a few ideographs.
fn is_chinese(char: char) -> bool {
    matches!(char,
        '\u{2001}'..='\u{2a6d}'
        | '\u{2e80}'..='\u{2fdf}'
        | '\u{2ff0}'..='\u{303f}'
        | '\u{3100}'..='\u{312f}'
        | '\u{31a0}'..='\u{31bf}'
        | '\u{31c0}'..='\u{31ef}'
        | '\u{3200}'..='\u{4db5}'
        | '\u{4e00}'..='\u{9fbb}'
        | '\u{f900}'..='\u{fa2d}'
        | '\u{fa30}'..='\u{fa6a}'
        | '\u{fa70}'..='\u{fad9}'
        | '\u{fe10}'..='\u{fe1f}'
        | '\u{fe30}'..='\u{fe4f}'
        | '\u{ff00}'..='\u{ffef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_do_not_overlap() {
        assert_eq!(BleuTokenizer::V13a.tokenize("a..1"), ["a", ".", ".1"]);
        assert_eq!(
            BleuTokenizer::V13a.tokenize("&amp;lt; 10-20 x-y"),
            ["<", "10", "-", "20", "x-y"]
        );
    }

    #[test]
    fn all_characters_are_words_but_white_space() {
        assert_eq!(BleuTokenizer::Character.tokenize("a e\u{301}\n"), ["a", "e", "\u{301}"]);
        assert_eq!(BleuTokenizer::None.tokenize(" a,b\tc "), ["a,b", "c"]);
    }
}
