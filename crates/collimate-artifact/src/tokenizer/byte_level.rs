//! Byte pair encoding of bytes, from `vocab.json` and `merges.txt`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::class::Class;
use super::config::Config;
use super::finish::{Around, Parts};
use super::{invalid, read};
use crate::copy::SourceFolder;
use crate::error::{ArtifactError, Result};

/// The largest id. The library that writes the file counts all below the largest.
const LARGEST_ID: u32 = (1 << 24) - 1;
/// Where Qwen's tokenizers cut a text.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

pub(super) fn parts(folder: &SourceFolder, class: Class, config: &Config) -> Result<Parts> {
    let vocabulary = vocabulary(folder, "vocab.json")?;
    let merges = merges(folder, "merges.txt")?;
    let space = config.flag("add_prefix_space")?.unwrap_or(false);
    let byte_level = |space: bool, regex: bool| json!({"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": regex});
    let (normalizer, pre_tokenizer) = match class {
        Class::Qwen2 => {
            let split = json!({"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": false});
            let both =
                json!({"type": "Sequence", "pretokenizers": [split, byte_level(space, false)]});
            (json!({"type": "NFC"}), both)
        }
        _ => (Value::Null, byte_level(space, true)),
    };
    let around = match class {
        Class::Roberta => Around::Roberta {
            trim_offsets: config.flag("trim_offsets")?.unwrap_or(true),
            add_prefix_space: space,
        },
        _ => Around::bos_eos(config, false)?,
    };
    let model = json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": null,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": false,
        "byte_fallback": false,
        "ignore_merges": false,
        "vocab": vocabulary,
        "merges": merges,
    });
    let decoder = byte_level(true, true);
    Ok(Parts { model, normalizer, pre_tokenizer, decoder, around, special: Vec::new() })
}

/// Tokens with their ids.
fn vocabulary(folder: &SourceFolder, name: &str) -> Result<BTreeMap<String, u32>> {
    let path = &folder.path().join(name);
    let vocabulary: BTreeMap<String, u32> = serde_json::from_slice(&read::bytes(folder, name)?)
        .map_err(|source| ArtifactError::Json { path: path.to_owned(), source })?;
    let mut tokens = BTreeMap::new();
    for (token, id) in &vocabulary {
        if *id > LARGEST_ID {
            return Err(invalid(path, format!("'{token}' has the id {id}, beyond {LARGEST_ID}")));
        }
        if let Some(other) = tokens.insert(*id, token) {
            return Err(invalid(path, format!("'{other}' and '{token}' have the id {id}")));
        }
    }
    Ok(vocabulary)
}

/// Pairs of tokens that are joined, the first ones first.
fn merges(folder: &SourceFolder, name: &str) -> Result<Vec<[String; 2]>> {
    let path = &folder.path().join(name);
    let text = read::text(folder, name)?;
    let mut lines = text.lines().enumerate().peekable();
    lines.next_if(|(_, line)| line.starts_with("#version"));
    let pair = |(index, line): (usize, &str)| match line.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
            Ok([left.to_owned(), right.to_owned()])
        }
        _ => {
            let line = index + 1;
            Err(invalid(path, format!("line {line} has to have two tokens with a space between")))
        }
    };
    lines.map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file<T>(text: &str, read: fn(&SourceFolder, &str) -> Result<T>) -> Result<T> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), text).unwrap();
        read(&SourceFolder::open(folder.path()).unwrap(), "file")
    }

    #[test]
    fn only_the_first_line_states_a_version() {
        let read = with_file("#version: 0.2\na b\n#version c\n", merges).unwrap();
        assert_eq!(read, [["a", "b"], ["#version", "c"]]);
    }

    #[test]
    fn a_line_that_is_no_merge_is_refused() {
        for text in ["a b\nab\n", "a b\n\n", "a b\na b c\n", "a b\n b\n", "a b\n#version: 0.2 x\n"]
        {
            assert!(with_file(text, merges).unwrap_err().to_string().contains("line 2"), "{text}");
        }
    }

    #[test]
    fn ids_have_to_be_small_and_distinct() {
        assert!(with_file(r#"{"a": 0, "b": 1}"#, vocabulary).is_ok());
        assert!(with_file(r#"{"a": 0, "b": 0}"#, vocabulary).is_err());
        assert!(with_file(r#"{"a": 4294967295}"#, vocabulary).is_err());
        assert!(with_file(r#"{"a": -1}"#, vocabulary).is_err());
    }
}
