use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::{NormalizedString, Normalizer};

/// A normalizer that does not look at ASCII where it would leave it as it is, and knows whether it
/// joins characters.
#[derive(Clone, Debug)]
pub(super) struct Normal {
    normalizer: NormalizerWrapper,
    keeps_ascii: bool,
    joins: Joins,
}

/// Which characters a normalizer may turn into others than it would if they stood apart.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Joins {
    Nothing,
    NonAscii,
    Anything,
}

impl Normal {
    /// Whether it leaves every ASCII text as it is.
    pub(super) fn keeps_ascii(&self) -> bool {
        self.keeps_ascii
    }

    /// Whether it may join the characters at both sides of a position in a text.
    pub(super) fn joins_at(&self, text: &str, position: usize) -> bool {
        let (left, right) = text.split_at_checked(position).unwrap_or_default();
        let (Some(left), Some(right)) = (left.chars().next_back(), right.chars().next()) else {
            return false;
        };
        match self.joins {
            Joins::Nothing => false,
            Joins::NonAscii => !left.is_ascii() || !right.is_ascii(),
            Joins::Anything => true,
        }
    }
}

impl Normalizer for Normal {
    fn normalize(&self, text: &mut NormalizedString) -> tokenizers::Result<()> {
        if self.keeps_ascii && text.get().is_ascii() {
            return Ok(());
        }
        self.normalizer.normalize(text)
    }
}

impl<'de> Deserialize<'de> for Normal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let (keeps_ascii, joins) = (keeps_ascii(&value), joins(&value));
        let normalizer = serde_json::from_value(value).map_err(serde::de::Error::custom)?;
        Ok(Self { normalizer, keeps_ascii, joins })
    }
}

fn kind(normalizer: &Value) -> &str {
    normalizer.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// The normalizers of a sequence.
fn parts(normalizer: &Value) -> &[Value] {
    normalizer.get("normalizers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether a normalizer leaves every ASCII text as it is.
fn keeps_ascii(normalizer: &Value) -> bool {
    match kind(normalizer) {
        "NFC" | "NFD" | "NFKC" | "NFKD" => true,
        "Sequence" => parts(normalizer).iter().all(keeps_ascii),
        _ => false,
    }
}

fn joins(normalizer: &Value) -> Joins {
    let one_character = || {
        let pattern = normalizer.pointer("/pattern/String").and_then(Value::as_str);
        pattern.is_some_and(|pattern| pattern.chars().count() == 1)
    };
    match kind(normalizer) {
        "Prepend" | "ByteLevel" => Joins::Nothing,
        "Replace" if one_character() => Joins::Nothing,
        "NFC" | "NFD" | "NFKC" | "NFKD" => Joins::NonAscii,
        "Sequence" => parts(normalizer).iter().map(joins).max().unwrap_or(Joins::Nothing),
        _ => Joins::Anything,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: Value) -> Normal {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn unicode_normal_forms_keep_ascii_and_join_the_rest() {
        let (nfc, lower) = (json!({"type": "NFC"}), json!({"type": "Lowercase"}));
        let sequence = |parts: &[&Value]| read(json!({"type": "Sequence", "normalizers": parts}));
        assert!(read(nfc.clone()).keeps_ascii);
        assert!(!read(lower.clone()).keeps_ascii);
        assert!(sequence(&[&nfc, &nfc]).keeps_ascii);
        assert!(!sequence(&[&nfc, &lower]).keeps_ascii);

        let nfc = sequence(&[&nfc]);
        for (text, position, joins) in [
            ("ab", 1, false),
            ("e\u{301}", 1, true),
            ("éa", 2, true),
            ("é", 0, false),
            ("é", 9, false),
        ] {
            assert_eq!(nfc.joins_at(text, position), joins, "{text} {position}");
        }
    }

    #[test]
    fn replacing_one_character_joins_nothing() {
        let replace = |pattern: Value| {
            read(json!({"type": "Replace", "pattern": pattern, "content": "▁"})).joins_at("a b", 1)
        };
        assert!(!replace(json!({"String": " "})));
        assert!(replace(json!({"String": "  "})));
        assert!(replace(json!({"Regex": " "})));
        assert!(!read(json!({"type": "Prepend", "prepend": "▁"})).joins_at("a b", 1));
    }
}
