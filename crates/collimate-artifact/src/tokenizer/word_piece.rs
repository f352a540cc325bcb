//! Pieces of words, from `vocab.txt`.

use std::collections::BTreeMap;

use serde_json::json;

use super::class::Class;
use super::config::Config;
use super::finish::{Around, Parts};
use super::{invalid, read};
use crate::copy::SourceFolder;
use crate::error::Result;

const NAME: &str = "vocab.txt";

pub(super) fn parts(folder: &SourceFolder, class: Class, config: &Config) -> Result<Parts> {
    let path = folder.path().join(NAME);
    // A token is a line; of lines that repeat, the last counts.
    let mut vocabulary = BTreeMap::new();
    for (index, line) in read::text(folder, NAME)?.lines().enumerate() {
        let id = u32::try_from(index).map_err(|_| invalid(&path, "it has too many lines"))?;
        vocabulary.insert(line.trim_end().to_owned(), id);
    }
    let named = config.named(class)?;
    let unknown = named.get("unk_token").ok_or_else(|| invalid(&path, "it needs an unk_token"))?;
    if !vocabulary.contains_key(&unknown.content) {
        let message = format!("it lacks the token '{}', for what is unknown", unknown.content);
        return Err(invalid(&path, message));
    }
    Ok(Parts {
        model: json!({
            "type": "WordPiece",
            "unk_token": unknown.content,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        }),
        normalizer: json!({
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": config.flag("tokenize_chinese_chars")?.unwrap_or(true),
            "strip_accents": config.flag("strip_accents")?,
            "lowercase": config.flag("do_lower_case")?.unwrap_or(true),
        }),
        pre_tokenizer: json!({"type": "BertPreTokenizer"}),
        decoder: json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
        around: Around::Bert,
        special: Vec::new(),
    })
}
