use serde::Serialize;
use serde_json::{Map, Value};

use super::Inner;

/// A token with a meaning of its own.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SpecialToken {
    /// How it is written in a text.
    pub text: String,
    /// Its id.
    pub id: u32,
}

/// The special tokens that a model's files name.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<SpecialToken>,
    /// Ends a text.
    pub eos: Option<SpecialToken>,
    /// Fills up what is too short.
    pub pad: Option<SpecialToken>,
    /// Stands for what the vocabulary lacks.
    pub unk: Option<SpecialToken>,
}

/// The names of all special tokens in a model's files.
const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What the files beside a `tokenizer.json` say about it.
#[derive(Debug, Default)]
pub(super) struct TokenizerConfig {
    named: Vec<(&'static str, tokenizers::AddedToken)>,
    /// Tokens that may be missing in `tokenizer.json`, in the order of their ids.
    pub(super) added: Vec<tokenizers::AddedToken>,
    /// Whether a BOS and an EOS are to be added, where the files say so.
    pub(super) add_bos_eos: Option<(bool, bool)>,
}

impl TokenizerConfig {
    /// Reads `tokenizer_config.json` and `special_tokens_map.json` as transformers does: the map
    /// counts only where the configuration is of the older kind that lists no added tokens, or is
    /// silent.
    pub(super) fn new(config: &Map<String, Value>, map: &Map<String, Value>) -> Self {
        let decoder = config.get("added_tokens_decoder").and_then(Value::as_object);
        let mut added: Vec<(u32, tokenizers::AddedToken)> = decoder
            .into_iter()
            .flatten()
            .filter_map(|(id, token)| Some((id.parse().ok()?, added_token(token)?)))
            .collect();
        added.sort_by_key(|(id, _)| *id);

        let named = NAMES.into_iter().filter_map(|name| {
            let value = if decoder.is_some() {
                config.get(name).or_else(|| map.get(name))
            } else {
                map.get(name).or_else(|| config.get(name))
            };
            Some((name, added_token(value?)?.special(true)))
        });
        let flag = |name| config.get(name).and_then(Value::as_bool).unwrap_or(false);
        let explicit = config.contains_key("add_bos_token") || config.contains_key("add_eos_token");
        Self {
            named: named.collect(),
            added: added.into_iter().map(|(_, token)| token).collect(),
            add_bos_eos: explicit.then(|| (flag("add_bos_token"), flag("add_eos_token"))),
        }
    }

    /// Every named token.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &tokenizers::AddedToken> {
        self.named.iter().map(|(_, token)| token)
    }

    /// The named tokens with their ids.
    pub(super) fn special_tokens(&self, tokenizer: &Inner) -> SpecialTokens {
        let token = |name| {
            let (_, token) = self.named.iter().find(|(of, _)| *of == name)?;
            let id = tokenizer.token_to_id(&token.content)?;
            Some(SpecialToken { text: token.content.clone(), id })
        };
        SpecialTokens {
            bos: token("bos_token"),
            eos: token("eos_token"),
            pad: token("pad_token"),
            unk: token("unk_token"),
        }
    }
}

/// A token that is written as a text, or as an object with its properties.
fn added_token(value: &Value) -> Option<tokenizers::AddedToken> {
    match value {
        Value::String(text) if !text.is_empty() => {
            Some(tokenizers::AddedToken::from(text.clone(), false))
        }
        Value::Object(fields) => {
            let text = fields.get("content")?.as_str().filter(|text| !text.is_empty())?;
            let flag = |name, default| fields.get(name).and_then(Value::as_bool).unwrap_or(default);
            let special = flag("special", false);
            Some(
                tokenizers::AddedToken::from(text, special)
                    .lstrip(flag("lstrip", false))
                    .rstrip(flag("rstrip", false))
                    .single_word(flag("single_word", false))
                    .normalized(flag("normalized", !special)),
            )
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => panic!("not an object"),
        }
    }

    fn named<'a>(config: &'a TokenizerConfig, name: &str) -> Option<&'a str> {
        let (_, token) = config.named.iter().find(|(of, _)| *of == name)?;
        Some(&token.content)
    }

    #[test]
    fn the_configuration_wins_where_it_lists_added_tokens() {
        let map =
            object(serde_json::json!({"eos_token": "</s>", "unk_token": {"content": "<unk>"}}));
        let mut config = object(serde_json::json!({"eos_token": "<|end|>"}));
        let old = TokenizerConfig::new(&config, &map);
        assert_eq!(named(&old, "eos_token"), Some("</s>"));
        config.insert("added_tokens_decoder".to_owned(), serde_json::json!({}));
        let new = TokenizerConfig::new(&config, &map);
        assert_eq!(named(&new, "eos_token"), Some("<|end|>"));
        assert_eq!(named(&new, "unk_token"), Some("<unk>"));
        config.insert("eos_token".to_owned(), Value::Null);
        assert_eq!(named(&TokenizerConfig::new(&config, &map), "eos_token"), None);
    }

    #[test]
    fn added_tokens_come_in_the_order_of_their_ids() {
        let config = object(serde_json::json!({"added_tokens_decoder": {
            "10": {"content": "ten"}, "9": {"content": "nine", "lstrip": true, "special": true}}}));
        let config = TokenizerConfig::new(&config, &Map::new());
        let texts: Vec<&str> = config.added.iter().map(|token| token.content.as_str()).collect();
        assert_eq!(texts, ["nine", "ten"]);
        assert!(config.added[0].lstrip && config.added[0].special && !config.added[0].normalized);
    }

    #[test]
    fn added_ends_are_explicit_or_left_to_the_tokenizer() {
        let ends = |value| TokenizerConfig::new(&object(value), &Map::new()).add_bos_eos;
        assert_eq!(ends(serde_json::json!({})), None);
        assert_eq!(ends(serde_json::json!({"add_bos_token": true})), Some((true, false)));
        assert_eq!(ends(serde_json::json!({"add_eos_token": null})), Some((false, false)));
    }
}
