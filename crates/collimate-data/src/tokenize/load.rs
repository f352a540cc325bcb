use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokenizers::{Encoding, PostProcessor, PostProcessorWrapper};

use super::direct::Direct;
use super::special::TokenizerConfig;
use super::{Inner, SpecialToken, Tokenizer, guarded};
use crate::error::{DataError, Result};

/// The largest `tokenizer.json`, in bytes. The largest published ones have 35 MB.
const LARGEST: u64 = 256 << 20;
/// The largest file of settings, in bytes.
const LARGEST_CONFIG: u64 = 32 << 20;

/// Files of other libraries that hold the same vocabulary.
const OTHERS: [&str; 6] =
    ["tokenizer.model", "vocab.json", "merges.txt", "vocab.txt", "tekken.json", "spiece.model"];

pub(super) fn from_folder(folder: &Path) -> Result<Tokenizer> {
    let file = folder.join("tokenizer.json");
    if !file.exists() {
        let others: Vec<&str> =
            OTHERS.into_iter().filter(|name| folder.join(name).exists()).collect();
        let found = if others.is_empty() {
            String::new()
        } else {
            format!(", only {}", others.join(" and "))
        };
        return Err(DataError::Tokenizer {
            path: folder.to_owned(),
            message: format!(
                "there is no tokenizer.json{found}; load the tokenizer with transformers once and \
                 save it again with save_pretrained, which writes one"
            ),
        });
    }
    let mut hasher = Sha256::new();
    let bytes = read(&file, LARGEST, &mut hasher)?;
    let mut object = |name: &str| -> Result<Map<String, Value>> {
        let path = folder.join(name);
        if !path.exists() {
            hasher.update([0]);
            return Ok(Map::new());
        }
        let bytes = read(&path, LARGEST_CONFIG, &mut hasher)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| DataError::Tokenizer { path, message: error.to_string() })
    };
    let config = TokenizerConfig::new(
        &object("tokenizer_config.json")?,
        &object("special_tokens_map.json")?,
    );
    build(&file, &bytes, &config, hasher.finalize().into())
}

pub(super) fn from_file(file: &Path) -> Result<Tokenizer> {
    let mut hasher = Sha256::new();
    let bytes = read(file, LARGEST, &mut hasher)?;
    build(file, &bytes, &TokenizerConfig::default(), hasher.finalize().into())
}

fn build(
    path: &Path,
    bytes: &[u8],
    config: &TokenizerConfig,
    digest: [u8; 32],
) -> Result<Tokenizer> {
    let mut inner = guarded(path, || {
        let mut inner = Inner::from_bytes(bytes)?;
        inner.with_truncation(None)?;
        inner.with_padding(None);
        // As transformers: what the configuration lists and `tokenizer.json` lacks is added.
        let known = inner.get_added_tokens_decoder();
        let missing = config.added.iter().filter(|token| !known.values().any(|of| of == *token));
        let named = config.tokens().filter(|token| {
            !known.values().any(|of| of.content == token.content)
                && !config.added.iter().any(|of| of.content == token.content)
        });
        let tokens: Vec<_> = missing.chain(named).cloned().collect();
        inner.add_tokens(tokens)?;
        Ok(inner)
    })?;
    let special = config.special_tokens(&inner);
    let processor = inner.get_post_processor().cloned();
    inner.with_post_processor(None::<PostProcessorWrapper>);
    let (before, after) = match config.add_bos_eos {
        Some((bos, eos)) => {
            let ids = |wanted: bool, token: &Option<SpecialToken>| -> Vec<u32> {
                token.iter().filter(|_| wanted).map(|token| token.id).collect()
            };
            (ids(bos, &special.bos), ids(eos, &special.eos))
        }
        None => added_by(path, processor)?,
    };
    let direct = Direct::of(&inner).map(Arc::new);
    Ok(Tokenizer { inner, direct, path: path.to_owned(), before, after, special, digest })
}

/// What a post-processor puts before and after the tokens of a single text.
fn added_by(path: &Path, processor: Option<PostProcessorWrapper>) -> Result<(Vec<u32>, Vec<u32>)> {
    let Some(processor) = processor else { return Ok((Vec::new(), Vec::new())) };
    // No token of a vocabulary has this id.
    const TEXT: u32 = u32::MAX;
    let text = tokenizers::Token::new(TEXT, "text".to_owned(), (0, 4));
    let encoding = Encoding::from_tokens(vec![text], 0);
    let ids = guarded(path, || processor.process(encoding, None, true))?.get_ids().to_vec();
    let mut parts = ids.split(|id| *id == TEXT);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(after), None) => Ok((before.to_vec(), after.to_vec())),
        _ => Err(DataError::Tokenizer {
            path: path.to_owned(),
            message: "its post-processor has to give a text once; it leaves it out or repeats it"
                .to_owned(),
        }),
    }
}

/// Reads a file of a bounded size, and adds its length and bytes to a hash.
fn read(path: &Path, largest: u64, hasher: &mut Sha256) -> Result<Vec<u8>> {
    let io = |source| DataError::Io { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(io)?;
    let refuse = |message: String| Err(DataError::Tokenizer { path: path.to_owned(), message });
    if !metadata.is_file() {
        return refuse("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(largest + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > largest {
        return refuse(format!("it has more than {} MiB", largest >> 20));
    }
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(&bytes);
    Ok(bytes)
}
