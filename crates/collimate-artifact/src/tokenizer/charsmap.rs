//! Compiled rules of normalization: a length, a trie of that length, and replacements.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::invalid;
use crate::error::{ArtifactError, Result};

/// Whether the length that rules begin with is not more than they have. The tokenizers library
/// allocates by it.
pub(super) fn fits(charsmap: &[u8]) -> bool {
    match charsmap.split_first_chunk() {
        Some((length, rest)) => u64::from(u32::from_le_bytes(*length)) <= rest.len() as u64,
        None => charsmap.is_empty(),
    }
}

/// Refuses a `tokenizer.json` with rules that don't fit.
pub(super) fn check(path: &Path, tokenizer_json: &[u8]) -> Result<()> {
    #[derive(Deserialize)]
    struct TokenizerJson {
        normalizer: Option<Value>,
    }
    let json: TokenizerJson = serde_json::from_slice(tokenizer_json)
        .map_err(|source| ArtifactError::Json { path: path.to_owned(), source })?;
    if json.normalizer.iter().all(all_fit) {
        return Ok(());
    }
    Err(invalid(path, "'precompiled_charsmap' is cut off"))
}

/// Nested as deep as a parser of JSON allows.
fn all_fit(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().all(all_fit),
        Value::Object(fields) => fields.iter().all(|(name, value)| match value.as_str() {
            Some(base64) if name == "precompiled_charsmap" => base64_fits(base64),
            _ => all_fit(value),
        }),
        _ => true,
    }
}

/// [`fits`], of what is written in base 64: six bits a character, the first ones highest.
fn base64_fits(base64: &str) -> bool {
    let digits = base64.bytes().take(6).map(|byte| match byte {
        b'A'..=b'Z' => u64::from(byte - b'A'),
        b'a'..=b'z' => u64::from(byte - b'a') + 26,
        b'0'..=b'9' => u64::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    });
    let bits = digits.fold(0, |bits, digit| bits << 6 | digit);
    let length = u32::swap_bytes((bits >> 4) as u32);
    // What is shorter than a length is refused by the library.
    base64.len() < 6 || u64::from(length) <= base64.len() as u64 / 4 * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_the_length_that_they_begin_with() {
        assert!(fits(&[]) && fits(&[0, 0, 0, 0]) && fits(&[4, 0, 0, 0, 1, 2, 3, 4]));
        assert!(!fits(&[0]) && !fits(&[1, 0, 0, 0]) && !fits(&[0, 0, 0, 0x7f, 1]));
    }

    #[test]
    fn rules_in_a_tokenizer_json_are_found_and_measured() {
        let with = |charsmap: &str| {
            let rules =
                format!(r#"{{"type": "Precompiled", "precompiled_charsmap": "{charsmap}"}}"#);
            let json =
                format!(r#"{{"normalizer": {{"type": "Sequence", "normalizers": [{rules}]}}}}"#);
            check(Path::new("tokenizer.json"), json.as_bytes())
        };
        // 4 and four bytes; 4 + 2²⁴ and four bytes; 2³¹ - 1.
        assert!(with("BAAAAAECAwQ=").is_ok());
        assert!(with("BAAAAQECAwQ=").is_err());
        assert!(with("////fwECAwQ=").is_err());
        assert!(check(Path::new("tokenizer.json"), br#"{"normalizer": null}"#).is_ok());
    }
}
