//! Splits ASCII text into the pieces that byte-level tokenizers merge tokens within.

use serde_json::Value;

/// GPT-2's expression, which [`ByteLevel`](tokenizers::pre_tokenizers::byte_level::ByteLevel) has
/// built in.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// What later models put in its place; `DIGITS` is `\p{N}` or `\p{N}{1,3}`.
const LATER: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Most digits of a piece, where there is no limit.
const UNLIMITED: usize = usize::MAX;

/// Where a byte-level tokenizer splits ASCII text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Split {
    /// As GPT-2 does.
    Gpt2,
    /// As GPT-4, Llama-3 and Qwen2 do, with so many digits in a piece.
    Later { digits: usize },
}

impl Split {
    /// What a pre-tokenizer does with ASCII; nothing where it isn't one of those that are known.
    pub(super) fn of(pre_tokenizer: &Value) -> Option<Self> {
        let kind = |value: &Value, name: &str| {
            value.get("type").and_then(Value::as_str).is_some_and(|found| found == name)
        };
        let flag = |value: &Value, name: &str| value.get(name).and_then(Value::as_bool);
        let bytes = |value: &Value, regex: bool| {
            kind(value, "ByteLevel")
                && flag(value, "add_prefix_space") == Some(false)
                && flag(value, "use_regex").unwrap_or(true) == regex
        };
        if bytes(pre_tokenizer, true) {
            return Some(Self::Gpt2);
        }
        let parts = pre_tokenizer.get("pretokenizers").and_then(Value::as_array)?;
        let [split, last] = parts.as_slice() else { return None };
        let known = kind(pre_tokenizer, "Sequence")
            && bytes(last, false)
            && kind(split, "Split")
            && split.get("behavior").and_then(Value::as_str) == Some("Isolated")
            && flag(split, "invert") == Some(false);
        let pattern = split.pointer("/pattern/Regex").and_then(Value::as_str)?;
        let later = |digits: &str| LATER.replace("DIGITS", digits);
        match pattern {
            _ if !known => None,
            _ if pattern == GPT2 => Some(Self::Gpt2),
            _ if pattern == later(r"\p{N}") => Some(Self::Later { digits: 1 }),
            _ if pattern == later(r"\p{N}{1,3}") => Some(Self::Later { digits: 3 }),
            _ => None,
        }
    }

    /// Length of the piece that an ASCII text begins with; 0 where the text is empty.
    pub(super) fn first(self, text: &[u8]) -> usize {
        let (ignore_case, digits) = match self {
            Self::Gpt2 => (false, UNLIMITED),
            Self::Later { digits } => (true, digits),
        };
        let Some(&first) = text.first() else { return 0 };
        if first == b'\''
            && let Some(length) = contraction(text, ignore_case)
        {
            return length;
        }
        match self {
            Self::Gpt2 => after_space(text),
            Self::Later { .. } => later(text, first, digits),
        }
        .unwrap_or_else(|| spaces(text))
    }
}

/// ` ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+`
fn after_space(text: &[u8]) -> Option<usize> {
    let space = usize::from(text.first() == Some(&b' '));
    let rest = text.get(space..).unwrap_or_default();
    let class = class(*rest.first()?);
    (class != Class::Space).then(|| space + run(rest, |byte| self::class(byte) == class))
}

/// `[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,k}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+`
fn later(text: &[u8], first: u8, digits: usize) -> Option<usize> {
    let letter = |byte: &u8| byte.is_ascii_alphabetic();
    match class(first) {
        Class::Letter => return Some(run(text, |byte| byte.is_ascii_alphabetic())),
        Class::Digit => return Some(run(text, |byte| byte.is_ascii_digit()).min(digits)),
        Class::Space | Class::Other => {}
    }
    let rest = text.get(1..).unwrap_or_default();
    if !is_break(first) && rest.first().is_some_and(letter) {
        return Some(1 + run(rest, |byte| byte.is_ascii_alphabetic()));
    }
    let space = usize::from(first == b' ');
    let signs = run(text.get(space..).unwrap_or_default(), |byte| class(byte) == Class::Other);
    if signs > 0 {
        let end = space + signs;
        return Some(end + run(text.get(end..).unwrap_or_default(), is_break));
    }
    let blank = text.get(..run(text, |byte| class(byte) == Class::Space)).unwrap_or_default();
    blank.iter().rposition(|byte| is_break(*byte)).map(|last| last + 1)
}

/// `\s+(?!\S)|\s+`
fn spaces(text: &[u8]) -> usize {
    let length = run(text, |byte| class(byte) == Class::Space);
    if length > 1 && length < text.len() { length - 1 } else { length.max(1) }
}

/// `'s|'t|'re|'ve|'m|'ll|'d`
fn contraction(text: &[u8], ignore_case: bool) -> Option<usize> {
    let fold = |byte: &u8| if ignore_case { byte.to_ascii_lowercase() } else { *byte };
    match (text.get(1).map(fold)?, text.get(2).map(fold)) {
        (b's' | b't' | b'm' | b'd', _) => Some(2),
        (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => Some(3),
        _ => None,
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Class {
    Letter,
    Digit,
    Space,
    Other,
}

fn class(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
        b'0'..=b'9' => Class::Digit,
        b' ' | b'\t'..=b'\r' => Class::Space,
        _ => Class::Other,
    }
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

fn run(text: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !belongs(*byte)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use tokenizers::PreTokenizerWrapper;
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    use super::*;

    fn sequence(regex: &str) -> Value {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]})
    }

    fn known() -> Vec<Value> {
        vec![
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}),
            sequence(&LATER.replace("DIGITS", r"\p{N}")),
            sequence(&LATER.replace("DIGITS", r"\p{N}{1,3}")),
        ]
    }

    fn pieces(split: Split, text: &str) -> Vec<&str> {
        let mut rest = text;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(split.first(rest.as_bytes()));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }

    fn of_library<'t>(pre_tokenizer: &PreTokenizerWrapper, text: &'t str) -> Vec<&'t str> {
        let mut split = PreTokenizedString::from(text);
        pre_tokenizer.pre_tokenize(&mut split).unwrap();
        let splits = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(_, (start, end), _)| &text[start..end]).collect()
    }

    #[test]
    fn only_what_is_known_is_split_here() {
        let splits = [Split::Gpt2, Split::Later { digits: 1 }, Split::Later { digits: 3 }];
        for (pre_tokenizer, split) in known().iter().zip(splits) {
            assert_eq!(Split::of(pre_tokenizer), Some(split));
        }
        assert_eq!(Split::of(&sequence(GPT2)), Some(Split::Gpt2));
        for other in [
            json!(null),
            json!({"type": "ByteLevel", "add_prefix_space": true}),
            json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}),
            json!({"type": "Whitespace"}),
            sequence(r"\s+"),
        ] {
            assert_eq!(Split::of(&other), None, "{other}");
        }
        let mut inverted = sequence(GPT2);
        inverted["pretokenizers"][0]["invert"] = json!(true);
        assert_eq!(Split::of(&inverted), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn pieces_are_those_of_the_library(text in "([ -~\t\n\r\x0b\x0c\x1c]|[ \n]{1,4}|'[sStTrRvVmMlLdDeE]{1,3}|[0-9]{1,7}|[a-zA-Z]{1,5}){0,24}") {
            for known in known() {
                let split = Split::of(&known).unwrap();
                let library: PreTokenizerWrapper = serde_json::from_value(known).unwrap();
                prop_assert_eq!(pieces(split, &text), of_library(&library, &text));
            }
        }
    }
}
