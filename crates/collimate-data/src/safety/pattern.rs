//! Phrases that are looked for.

use super::words::{Word, words};

/// Words that a gap may stand for, at most.
const GAP: usize = 3;

/// Words and gaps of a phrase, at most.
const LONGEST: usize = 16;

/// Gaps of a phrase, at most.
const GAPS: usize = 2;

/// Words that a phrase can take from a text, at most.
pub(super) const REACH: usize = LONGEST + GAPS * GAP;

/// A phrase: words, words of which only the beginning is given (`bomb*`), and gaps (` * `) of up
/// to three words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Word(String),
    Stem(String),
    Gap,
}

impl Pattern {
    /// Reads a phrase; the error says what is wrong with it.
    pub(super) fn new(phrase: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        for piece in phrase.split_whitespace() {
            if piece == "*" {
                parts.push(Part::Gap);
                continue;
            }
            let stem = piece.strip_suffix('*');
            if stem.unwrap_or(piece).contains('*') {
                return Err(format!("{phrase:?} has a `*` that does not end a word"));
            }
            let texts = words(stem.unwrap_or(piece)).into_iter().map(|word| word.text);
            parts.extend(texts.map(Part::Word));
            if stem.is_some() {
                match parts.pop() {
                    Some(Part::Word(word)) => parts.push(Part::Stem(word)),
                    _ => return Err(format!("{phrase:?} has a `*` without a word before it")),
                }
            }
        }
        let gaps = parts.iter().filter(|part| **part == Part::Gap).count();
        let ends = [parts.first(), parts.last()];
        if ends.iter().any(|end| end.is_none_or(|part| *part == Part::Gap)) {
            return Err(format!("{phrase:?} does not begin and end with a word"));
        }
        if parts.len() > LONGEST || gaps > GAPS {
            return Err(format!(
                "{phrase:?} is too long: it may have {LONGEST} words and {GAPS} gaps"
            ));
        }
        Ok(Self { parts })
    }

    /// How many words the phrase takes from the beginning of `words`, at least, within a
    /// sentence.
    pub(super) fn length_at(&self, words: &[Word]) -> Option<usize> {
        let sentence = words.first()?.sentence;
        let words = words.get(..REACH).unwrap_or(words);
        let end = words.iter().position(|word| word.sentence != sentence).unwrap_or(words.len());
        matches(&self.parts, words.get(..end)?)
    }

    /// Whether the phrase stands anywhere in these words.
    pub(super) fn occurs_in(&self, words: &[Word]) -> bool {
        (0..words.len())
            .any(|at| words.get(at..).is_some_and(|rest| self.length_at(rest).is_some()))
    }
}

fn matches(parts: &[Part], words: &[Word]) -> Option<usize> {
    let Some((part, later)) = parts.split_first() else { return Some(0) };
    if *part == Part::Gap {
        let after = |gap: usize| matches(later, words.get(gap..)?).map(|length| gap + length);
        return (0..=GAP).find_map(after);
    }
    let (word, rest) = words.split_first()?;
    let fits = match part {
        Part::Word(text) => word.text == *text,
        Part::Stem(stem) => word.text.starts_with(stem.as_str()),
        Part::Gap => false,
    };
    if fits { matches(later, rest).map(|length| length + 1) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurs(phrase: &str, text: &str) -> bool {
        Pattern::new(phrase).unwrap().occurs_in(&words(text))
    }

    #[test]
    fn words_are_whole_and_stems_are_beginnings() {
        assert!(occurs("kill", "To KILL time") && !occurs("kill", "skills, killer, kills"));
        assert!(occurs("bomb*", "bombing") && !occurs("bomb*", "a-bom b"));
        assert!(occurs("self-harm", "Self harm") && occurs("hack into", "hack, into"));
        assert!(!occurs("hack into", "Hack. Into what?"));
    }

    #[test]
    fn gaps_are_short() {
        assert!(occurs("kill * process", "kill a Python process"));
        assert!(occurs("kill * process", "kill process"));
        assert!(!occurs("kill * process", "kill one two three four process"));
    }

    #[test]
    fn phrases_that_cannot_match_are_errors() {
        for phrase in ["", "  ", "?!", "* a", "a *", "*", "a*b", "a * b * c * d", &"a ".repeat(17)]
        {
            assert!(Pattern::new(phrase).is_err(), "{phrase:?}");
        }
    }
}
