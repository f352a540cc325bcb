//! A text as words, with what stands in quotation marks and where sentences end.

/// A word of a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Word {
    /// In lower case.
    pub(super) text: String,
    /// The sentence it stands in.
    pub(super) sentence: usize,
    /// Whether it stands in quotation marks.
    pub(super) is_quoted: bool,
}

/// Words are runs of letters and digits; an apostrophe between two of them belongs to the word.
pub(super) fn words(text: &str) -> Vec<Word> {
    let chars: Vec<char> = text.chars().collect();
    let quoted = quoted(&chars);
    let mut words: Vec<Word> = Vec::new();
    let (mut sentence, mut in_word) = (0, false);
    for (at, &c) in chars.iter().enumerate() {
        if c.is_alphanumeric() {
            if !in_word {
                let is_quoted = quoted.get(at).copied().unwrap_or(false);
                words.push(Word { text: String::new(), sentence, is_quoted });
                in_word = true;
            }
            if let Some(word) = words.last_mut() {
                word.text.extend(c.to_lowercase());
            }
        } else if is_apostrophe(c) && in_word && is_word(&chars, at + 1) {
            if let Some(word) = words.last_mut() {
                word.text.push('\'');
            }
        } else {
            in_word = false;
            sentence += usize::from(matches!(c, '.' | '!' | '?' | ';' | '\n' | '。' | '！' | '？'));
        }
    }
    // A text that is quoted as a whole is not a mention of something else.
    if words.iter().all(|word| word.is_quoted) {
        words.iter_mut().for_each(|word| word.is_quoted = false);
    }
    words
}

/// Whether each character stands between quotation marks that are closed in its paragraph.
fn quoted(chars: &[char]) -> Vec<bool> {
    let mut quoted = vec![false; chars.len()];
    let mut start = 0;
    for paragraph in chars.split_inclusive(|c| *c == '\n') {
        // Marks that nothing closes in the rest of the paragraph.
        let mut open: Vec<char> = Vec::new();
        let mut at = 0;
        while let Some(&mark) = paragraph.get(at) {
            let closing = closing(paragraph, at);
            let is_single = matches!(mark, '\'' | '‘');
            let closes = |to: &usize| {
                closing.contains(&paragraph[*to]) && !(is_single && is_word(paragraph, to + 1))
            };
            at += 1;
            if closing.is_empty() || open.contains(&mark) {
                continue;
            }
            match (at..paragraph.len()).find(closes) {
                Some(to) => {
                    quoted.iter_mut().skip(start + at).take(to - at).for_each(|q| *q = true);
                    at = to + 1;
                }
                None => open.push(mark),
            }
        }
        start += paragraph.len();
    }
    quoted
}

/// The marks that close a quotation that begins here; none where none does.
fn closing(chars: &[char], at: usize) -> &'static [char] {
    match chars.get(at) {
        Some('"') => &['"'],
        Some('“') => &['”'],
        Some('„') => &['“', '”'],
        Some('«') => &['»'],
        Some('»') => &['«'],
        Some('「') => &['」'],
        Some('\'' | '‘') if !is_word_before(chars, at) && is_word(chars, at + 1) => &['\'', '’'],
        _ => &[],
    }
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’')
}

fn is_word(chars: &[char], at: usize) -> bool {
    chars.get(at).is_some_and(|c| c.is_alphanumeric())
}

fn is_word_before(chars: &[char], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| is_word(chars, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted_words(text: &str) -> Vec<String> {
        words(text).into_iter().filter(|word| word.is_quoted).map(|word| word.text).collect()
    }

    #[test]
    fn words_keep_their_apostrophes() {
        let texts: Vec<String> =
            words("Don’t self-harm, it's 'X2'!").into_iter().map(|w| w.text).collect();
        assert_eq!(texts, ["don't", "self", "harm", "it's", "x2"]);
        let sentences: Vec<usize> = words("A b. C; d").iter().map(|w| w.sentence).collect();
        assert_eq!(sentences, [0, 0, 1, 2]);
    }

    #[test]
    fn quotation_marks_must_be_closed() {
        assert_eq!(quoted_words("Translate \"go now\" please"), ["go", "now"]);
        assert_eq!(quoted_words("What do “a b” and 'c d' mean?"), ["a", "b", "c", "d"]);
        assert_eq!(quoted_words("say \"go now"), [""; 0]);
        assert_eq!(quoted_words("the boys' toys and the girls' games"), [""; 0]);
        assert_eq!(quoted_words("\"all of it\""), [""; 0]);
        assert_eq!(quoted_words("a \"b\nc\" d"), [""; 0]);
    }
}
