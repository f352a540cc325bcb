use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::class::Class;
use super::{TOKENIZER_CONFIG, invalid, read};
use crate::copy::SourceFolder;
use crate::error::Result;

/// The special tokens that every tokenizer can have, in the order in which they are added.
const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
const ADDED: &str = "added_tokens.json";
const MAP: &str = "special_tokens_map.json";

/// What the files beside a vocabulary say about the tokenizer.
#[derive(Debug)]
pub(super) struct Config {
    path: PathBuf,
    settings: Map<String, Value>,
    model: Map<String, Value>,
    /// Tokens with stated ids, by id.
    pub(super) added: BTreeMap<u32, AddedToken>,
}

impl Config {
    /// Reads `tokenizer_config.json`, `config.json` and, where the first is of the older kind that
    /// lists no added tokens, `special_tokens_map.json` and `added_tokens.json`; each may be missing.
    pub(super) fn read(folder: &SourceFolder) -> Result<Self> {
        let mut config = Self {
            settings: read::settings(folder, TOKENIZER_CONFIG)?,
            model: read::settings(folder, "config.json")?,
            added: BTreeMap::new(),
            path: folder.path().join(TOKENIZER_CONFIG),
        };
        match config.settings.get("added_tokens_decoder") {
            None => config.read_older(folder)?,
            Some(Value::Object(decoder)) => {
                for (id, value) in decoder {
                    let field = format!("added_tokens_decoder.{id}");
                    let token = token(&config.path, &field, value)?;
                    let id = id.parse().map_err(|_| wrong(&config.path, &field, "an id"))?;
                    if config.added.insert(id, token).is_some() {
                        return Err(wrong(&config.path, &field, "the only one of its id"));
                    }
                }
            }
            Some(_) => return Err(wrong(&config.path, "added_tokens_decoder", "an object")),
        }
        Ok(config)
    }

    fn read_older(&mut self, folder: &SourceFolder) -> Result<()> {
        for (name, mut value) in read::settings(folder, MAP)? {
            if let Value::Object(token) = &mut value {
                token.insert("special".to_owned(), Value::Bool(true));
            }
            self.settings.insert(name, value);
        }
        let path = folder.path().join(ADDED);
        let listed = read::settings(folder, ADDED)?;
        let mut special: HashSet<String> =
            self.special_tokens(None)?.into_values().map(|token| token.content).collect();
        special.extend(self.extra()?.into_iter().map(|token| token.content));
        for (content, id) in listed {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = id.ok_or_else(|| wrong(&path, &content, "an id"))?;
            let is_special = special.contains(&content);
            if let Some(other) = self.added.insert(id, AddedToken::from(&*content, is_special)) {
                let other = other.content;
                return Err(invalid(&path, format!("'{other}' and '{content}' have the id {id}")));
            }
        }
        Ok(())
    }

    /// The name of the tokenizer's class.
    pub(super) fn class<'a>(&'a self) -> Option<&'a str> {
        let name = |of: &'a Map<String, Value>| of.get("tokenizer_class").and_then(Value::as_str);
        name(&self.settings).or_else(|| name(&self.model))
    }

    /// The type of the model in `config.json`.
    pub(super) fn model_type(&self) -> Option<&str> {
        self.model.get("model_type")?.as_str()
    }

    /// A setting that is true or false, if it is there and not null.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.settings.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(wrong(&self.path, name, "true or false")),
        }
    }

    /// A setting that is a count of at most 100 000.
    pub(super) fn count(&self, name: &str) -> Result<Option<u64>> {
        match self.settings.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(count) if count <= 100_000 => Ok(Some(count)),
                _ => Err(wrong(&self.path, name, "a count of at most 100000")),
            },
        }
    }

    /// The special tokens by their names, with those that a class has by default.
    pub(super) fn named(&self, class: Class) -> Result<BTreeMap<String, AddedToken>> {
        self.special_tokens(Some(class))
    }

    /// The special tokens that the files state, by their names; those without are numbered.
    pub(super) fn stated(&self) -> Result<BTreeMap<String, AddedToken>> {
        let mut stated = self.special_tokens(None)?;
        for (index, token) in self.extra()?.into_iter().enumerate() {
            stated.insert(format!("extra_special_tokens[{index}]"), token);
        }
        Ok(stated)
    }

    /// Special tokens in the order in which they are added to the vocabulary.
    pub(super) fn order(named: &BTreeMap<String, AddedToken>) -> impl Iterator<Item = &AddedToken> {
        let first = NAMED.iter().filter_map(|name| named.get(*name));
        first.chain(named.iter().filter(|(name, _)| !NAMED.contains(&&***name)).map(|(_, of)| of))
    }

    /// The special tokens without a name.
    pub(super) fn extra(&self) -> Result<Vec<AddedToken>> {
        let mut tokens = Vec::new();
        for name in ["extra_special_tokens", "additional_special_tokens"] {
            match self.settings.get(name) {
                None | Some(Value::Null | Value::Object(_)) => {}
                Some(Value::Array(values)) => {
                    for (index, value) in values.iter().enumerate() {
                        tokens.push(token(&self.path, &format!("{name}[{index}]"), value)?);
                    }
                }
                Some(_) => return Err(wrong(&self.path, name, "a list")),
            }
        }
        Ok(tokens)
    }

    fn special_tokens(&self, class: Option<Class>) -> Result<BTreeMap<String, AddedToken>> {
        let defaults = class.map_or(&[][..], Class::special_tokens).iter();
        let mut named: BTreeMap<String, AddedToken> = defaults
            .map(|(name, content)| ((*name).to_owned(), AddedToken::from(*content, true)))
            .collect();
        let extra = self.settings.get("extra_special_tokens").and_then(Value::as_object);
        let of_settings = self.settings.iter().filter(|(name, _)| name.ends_with("_token"));
        for (name, value) in of_settings.chain(extra.into_iter().flatten()) {
            match value {
                Value::Null => {
                    named.remove(name);
                }
                Value::Bool(_) => {}
                value => {
                    named.insert(name.clone(), token(&self.path, name, value)?.special(true));
                }
            }
        }
        Ok(named)
    }
}

/// A token that is written as a text, or as an object with its properties.
fn token(path: &Path, field: &str, value: &Value) -> Result<AddedToken> {
    let expected = || wrong(path, field, "a token: a text, or an object with its 'content'");
    match value {
        Value::String(content) if !content.is_empty() => Ok(AddedToken::from(&**content, true)),
        Value::Object(fields) => {
            let content = fields.get("content").and_then(Value::as_str).ok_or_else(expected)?;
            if content.is_empty() {
                return Err(expected());
            }
            let flag = |name, default| match fields.get(name) {
                None | Some(Value::Null) => Ok(default),
                Some(Value::Bool(flag)) => Ok(*flag),
                Some(_) => Err(wrong(path, &format!("{field}.{name}"), "true or false")),
            };
            let special = flag("special", false)?;
            Ok(AddedToken::from(content, special)
                .lstrip(flag("lstrip", false)?)
                .rstrip(flag("rstrip", false)?)
                .single_word(flag("single_word", false)?)
                .normalized(flag("normalized", !special)?))
        }
        _ => Err(expected()),
    }
}

fn wrong(path: &Path, field: &str, expected: &str) -> crate::error::ArtifactError {
    invalid(path, format!("'{field}' has to be {expected}"))
}
