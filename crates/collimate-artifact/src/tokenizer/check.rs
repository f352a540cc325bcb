use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use collimate_models::ChatTemplate;
use serde::Serialize;
use serde_json::Value;
use tokenizers::Tokenizer;

use super::config::Config;
use super::suite::{TEMPLATE, TEMPLATES, TokenizerSuite};
use super::{TOKENIZER_CONFIG, TOKENIZER_JSON, charsmap, guarded, invalid, read};
use crate::copy::SourceFolder;
use crate::error::Result;

/// A line that every tokenizer can encode.
const LINE: &str = "Hello, world. 1 2 3";

/// What a tokenizer that works is like.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TokenizerCheck {
    /// The number of its tokens.
    pub tokens: u64,
    /// The largest id of a token.
    pub largest_id: u32,
    /// The special tokens that the settings name, with their ids.
    pub special_tokens: BTreeMap<String, u32>,
    /// Where the chat template is, if there is one.
    pub chat_template: Option<ChatTemplate>,
}

/// Loads the `tokenizer.json` in a folder as other tools do, and tries it.
///
/// `embedding_rows` is the number of rows of the model's embedding, if it is known.
///
/// # Errors
///
/// The file is missing, too large or can't be loaded; it does not encode or decode a line; a token
/// that the settings name is missing, or an id has no row in the embedding.
pub fn check_tokenizer(
    folder: impl AsRef<Path>,
    embedding_rows: Option<u64>,
) -> Result<TokenizerCheck> {
    LoadedTokenizer::load(folder)?.fit(embedding_rows)
}

/// A tokenizer that works, for whatever embedding.
#[derive(Debug)]
pub(crate) struct LoadedTokenizer {
    path: PathBuf,
    /// With the largest id.
    last_token: String,
    found: TokenizerCheck,
}

impl LoadedTokenizer {
    /// Loads and tries the `tokenizer.json` in a folder.
    pub(crate) fn load(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = &SourceFolder::open(folder)?;
        let path = folder.path().join(TOKENIZER_JSON);
        let bytes = read::bytes(folder, TOKENIZER_JSON)?;
        charsmap::check(&path, &bytes)?;
        let config = Config::read(folder)?;
        let tokenizer = guarded(&path, || {
            let mut tokenizer = Tokenizer::from_bytes(&bytes)?;
            // Saved settings could cut the line, or fill it up without end.
            tokenizer.with_truncation(None)?;
            tokenizer.with_padding(None);
            tokenizer.add_tokens(config.added.values().cloned())?;
            Ok(tokenizer)
        })?;
        let ids = guarded(&path, || Ok(tokenizer.encode(LINE, true)?.get_ids().to_vec()))?;
        let text = guarded(&path, || tokenizer.decode(&ids, false))?;
        if text.trim().is_empty() {
            return Err(invalid(
                &path,
                format!("nothing is left of '{LINE}', encoded and decoded"),
            ));
        }

        let vocabulary = tokenizer.get_vocab(true);
        let largest = vocabulary.iter().max_by_key(|(token, id)| (**id, *token));
        let (last_token, largest_id) = largest
            .map(|(token, id)| (token.clone(), *id))
            .ok_or_else(|| invalid(&path, "it has no tokens"))?;
        let mut special_tokens = BTreeMap::new();
        for (name, token) in config.stated()? {
            let id = tokenizer.token_to_id(&token.content).ok_or_else(|| {
                let content = token.content;
                invalid(&path, format!("the {name} '{content}' is not among its tokens"))
            })?;
            special_tokens.insert(name, id);
        }
        let found = TokenizerCheck {
            tokens: vocabulary.len() as u64,
            largest_id,
            special_tokens,
            chat_template: chat_template(folder)?,
        };
        Ok(Self { path, last_token, found })
    }

    /// Checks that every token has a row in the embedding, if their number is known.
    pub(crate) fn fit(self, embedding_rows: Option<u64>) -> Result<TokenizerCheck> {
        let (token, largest_id) = (self.last_token, self.found.largest_id);
        match embedding_rows {
            Some(rows) if u64::from(largest_id) >= rows => Err(invalid(
                &self.path,
                format!(
                    "'{token}' has the id {largest_id}, but the embedding of the model has {rows} \
                     rows; the tokenizer is of another model, or the embedding was not resized"
                ),
            )),
            _ => Ok(self.found),
        }
    }
}

/// Where transformers takes the chat template from.
fn chat_template(folder: &SourceFolder) -> Result<Option<ChatTemplate>> {
    let suite = TokenizerSuite::of(folder)?;
    let named =
        suite.files.iter().filter_map(|file| file.strip_prefix(TEMPLATES)?.strip_prefix('/'));
    let named: Vec<String> =
        named.filter_map(|name| name.strip_suffix(TEMPLATE)).map(str::to_owned).collect();
    let has = |name: &str| suite.files.iter().any(|file| file == name);
    if has("chat_template.jinja") || !named.is_empty() {
        return Ok(Some(ChatTemplate::File(named)));
    }
    if has("chat_template.json") {
        return Ok(Some(ChatTemplate::Json));
    }
    let path = folder.path().join(TOKENIZER_CONFIG);
    match read::settings(folder, TOKENIZER_CONFIG)?.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(_)) => Ok(Some(ChatTemplate::TokenizerConfig)),
        Some(Value::Array(templates)) => {
            let names = templates.iter().map(|template| template.get("name")?.as_str());
            let names: Option<Vec<String>> = names.map(|name| name.map(str::to_owned)).collect();
            let message = "'chat_template' holds a template without a name";
            let names = names.ok_or_else(|| invalid(&path, message))?;
            Ok((!names.is_empty()).then_some(ChatTemplate::TokenizerConfigNamed(names)))
        }
        Some(_) => Err(invalid(&path, "'chat_template' has to be a text or a list of them")),
    }
}
