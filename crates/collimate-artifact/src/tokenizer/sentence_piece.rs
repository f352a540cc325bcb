//! The tokenizers that come as SentencePiece models.

use std::path::Path;

use serde_json::{Value, json};
use tokenizers::AddedToken;
use tokenizers::normalizers::Precompiled;

use super::class::Class;
use super::config::Config;
use super::finish::{Around, Parts};
use super::proto::{Model, Piece};
use super::{guarded, invalid, merges, read};
use crate::copy::SourceFolder;
use crate::error::{ArtifactError, Result};

/// What stands for a space.
const SPACE: &str = "▁";

pub(super) fn parts(
    folder: &SourceFolder,
    name: &str,
    class: Class,
    config: &Config,
) -> Result<Parts> {
    let path = &*folder.path().join(name);
    let model = Model::parse(path, &read::bytes(folder, name)?)?;
    if !model.escape_whitespaces || model.suffix {
        return Err(invalid(path, "it treats spaces as no tokenizer.json of its class can"));
    }
    // Symbols that are no result of merging have to be found before anything else.
    let symbols = model.pieces.iter().filter_map(|piece| match piece.kind {
        Piece::CONTROL => Some(AddedToken::from(&*piece.text, true)),
        Piece::USER_DEFINED => Some(AddedToken::from(&*piece.text, false).normalized(false)),
        _ => None,
    });
    let mut parts = match class {
        Class::Gemma => gemma(path, &model, config)?,
        Class::T5 => t5(path, &model, config)?,
        _ => llama(path, &model, config)?,
    };
    parts.special.splice(0..0, symbols);
    Ok(parts)
}

fn llama(path: &Path, model: &Model, config: &Config) -> Result<Parts> {
    let space = config.flag("add_prefix_space")?.unwrap_or(model.add_dummy_prefix);
    let scheme = match (space, config.flag("legacy")?.unwrap_or(false)) {
        (true, true) => "always",
        (true, false) => "first",
        (false, _) => "never",
    };
    let mut decoders = decoders();
    if space {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    Ok(Parts {
        model: byte_pairs(path, model)?,
        normalizer: Value::Null,
        pre_tokenizer: metaspace(scheme, false),
        decoder: json!({"type": "Sequence", "decoders": decoders}),
        around: Around::bos_eos(config, true)?,
        special: Vec::new(),
    })
}

fn gemma(path: &Path, model: &Model, config: &Config) -> Result<Parts> {
    if model.add_dummy_prefix {
        return Err(invalid(path, "it puts a space before each text, which its class does not"));
    }
    let space = json!({"String": " "});
    Ok(Parts {
        model: byte_pairs(path, model)?,
        normalizer: json!({"type": "Replace", "pattern": space, "content": SPACE}),
        pre_tokenizer: json!({
            "type": "Split", "pattern": space, "behavior": "MergedWithPrevious", "invert": false
        }),
        decoder: json!({"type": "Sequence", "decoders": decoders()}),
        around: Around::bos_eos(config, true)?,
        special: Vec::new(),
    })
}

fn t5(path: &Path, model: &Model, config: &Config) -> Result<Parts> {
    if model.algorithm != Model::UNIGRAM || !model.add_dummy_prefix {
        return Err(invalid(path, "it is not a model of the kind Unigram that puts a space first"));
    }
    let extra = config.count("extra_ids")?.unwrap_or(100);
    let sentinel = |number: u64| format!("<extra_id_{number}>");
    let pieces = model.pieces.iter().map(|piece| (piece.text.clone(), f64::from(piece.score)));
    let vocabulary: Vec<(String, f64)> =
        pieces.chain((0..extra).rev().map(|number| (sentinel(number), 0.0))).collect();
    let normalizer = match &*model.charsmap {
        [] => Value::Null,
        charsmap => {
            let rules = guarded(path, || Ok(Precompiled::from(charsmap)?))?;
            serde_json::to_value(rules)
                .map_err(|source| ArtifactError::Json { path: path.to_owned(), source })?
        }
    };
    Ok(Parts {
        model: json!({
            "type": "Unigram",
            "unk_id": model.unknown_id,
            "vocab": vocabulary,
            "byte_fallback": false,
        }),
        normalizer,
        pre_tokenizer: json!({
            "type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace("always", true)],
        }),
        decoder: metaspace("always", true),
        around: Around::T5,
        special: (0..extra).map(|number| AddedToken::from(sentinel(number), true)).collect(),
    })
}

/// Byte pair encoding where what is unknown becomes bytes.
fn byte_pairs(path: &Path, model: &Model) -> Result<Value> {
    if model.algorithm != Model::BPE {
        return Err(invalid(path, "it is not a model of byte pair encoding, as its class has"));
    }
    if !model.charsmap.is_empty() || model.remove_extra_whitespaces {
        let message = "it changes characters or spaces of a text, which its class can't; load the \
                       tokenizer with the code that the model came with and save it again";
        return Err(invalid(path, message));
    }
    let unknown = usize::try_from(model.unknown_id).ok().and_then(|id| model.pieces.get(id));
    let vocabulary: serde_json::Map<String, Value> = model
        .pieces
        .iter()
        .enumerate()
        .map(|(id, piece)| (piece.text.clone(), Value::from(id)))
        .collect();
    Ok(json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": unknown.map(|piece| &piece.text),
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": true,
        "byte_fallback": true,
        "ignore_merges": false,
        "vocab": vocabulary,
        "merges": merges::of(path, &model.pieces)?,
    }))
}

fn metaspace(scheme: &str, split: bool) -> Value {
    json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split})
}

fn decoders() -> Vec<Value> {
    vec![
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ]
}
