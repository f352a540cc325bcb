//! From the parts of a tokenizer to the bytes of its `tokenizer.json`.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::{AddedToken, PostProcessorWrapper, Tokenizer};

use super::class::Class;
use super::config::Config;
use super::{guarded, invalid};
use crate::error::{ArtifactError, Result};

/// The parts of a `tokenizer.json` that a class determines.
pub(super) struct Parts {
    pub(super) model: Value,
    pub(super) normalizer: Value,
    pub(super) pre_tokenizer: Value,
    pub(super) decoder: Value,
    pub(super) around: Around,
    /// Tokens that are found before the model sees a text, beside those that the settings name.
    pub(super) special: Vec<AddedToken>,
}

/// The tokens that are put around a text.
pub(super) enum Around {
    BosEos { bos: bool, eos: bool },
    Bert,
    Roberta { trim_offsets: bool, add_prefix_space: bool },
    T5,
}

impl Around {
    /// BOS and EOS as the settings say, with what counts for the BOS where they are silent.
    pub(super) fn bos_eos(config: &Config, bos: bool) -> Result<Self> {
        Ok(Self::BosEos {
            bos: config.flag("add_bos_token")?.unwrap_or(bos),
            eos: config.flag("add_eos_token")?.unwrap_or(false),
        })
    }
}

/// Joins the parts, adds the tokens that the settings name, and writes it all as the library does.
pub(super) fn finish(
    folder: &Path,
    class: Class,
    config: &Config,
    parts: Parts,
) -> Result<Vec<u8>> {
    let Parts { model, normalizer, pre_tokenizer, decoder, around, special } = parts;
    let json = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": null,
        "decoder": decoder,
        "model": model,
    });
    let error = |source| ArtifactError::Json { path: folder.to_owned(), source };
    let bytes = serde_json::to_vec(&json).map_err(error)?;
    drop(json);
    let mut tokenizer = guarded(folder, || Tokenizer::from_bytes(&bytes))?;

    let named = config.named(class)?;
    guarded(folder, || tokenizer.add_tokens(added(class, config, &named, special)?))?;
    for (id, token) in &config.added {
        let found = tokenizer.token_to_id(&token.content);
        if found != Some(*id) {
            let found = found.map_or("none".to_owned(), |id| id.to_string());
            let content = &token.content;
            return Err(invalid(
                folder,
                format!(
                    "the token '{content}' has the id {id} in tokenizer_config.json or \
                     added_tokens.json, but {found} in the vocabulary; one of the files is of \
                     another model"
                ),
            ));
        }
    }
    let processor = post_processor(folder, &around, &named, &tokenizer)?;
    let processor: PostProcessorWrapper = serde_json::from_value(processor).map_err(error)?;
    tokenizer.with_post_processor(Some(processor));
    let mut text = guarded(folder, || tokenizer.to_string(true))?;
    text.push('\n');
    Ok(text.into_bytes())
}

/// The tokens to add, in the order in which transformers adds them: those with ids, those with
/// names, those without, each only if it is not among the first.
fn added(
    class: Class,
    config: &Config,
    named: &BTreeMap<String, AddedToken>,
    special: Vec<AddedToken>,
) -> tokenizers::Result<Vec<AddedToken>> {
    let names: HashSet<&str> = named.values().map(|token| &*token.content).collect();
    let listed: HashSet<&str> = config.added.values().map(|token| &*token.content).collect();
    let marked = |mut token: AddedToken| {
        token.special |= names.contains(&*token.content);
        token
    };
    let mut tokens: Vec<AddedToken> = config.added.values().cloned().map(marked).collect();
    let others = Config::order(named).cloned().chain(config.extra()?).chain(special).map(marked);
    tokens.extend(others.filter(|token| !listed.contains(&*token.content)));
    if class == Class::Qwen2 {
        let again = Config::order(named).cloned().chain(config.extra()?);
        tokens.extend(again.map(|token| AddedToken::from(token.content, true)));
    }
    Ok(tokens)
}

fn post_processor(
    folder: &Path,
    around: &Around,
    named: &BTreeMap<String, AddedToken>,
    tokenizer: &Tokenizer,
) -> Result<Value> {
    let token = |name: &str| {
        let content = named.get(name).map(|token| token.content.clone());
        let id = content.as_deref().and_then(|content| tokenizer.token_to_id(content));
        content.zip(id)
    };
    let needed = |name: &str| {
        token(name).ok_or_else(|| invalid(folder, format!("the tokenizer needs a {name}")))
    };
    Ok(match around {
        Around::Roberta { trim_offsets, add_prefix_space } => json!({
            "type": "RobertaProcessing",
            "sep": needed("sep_token")?,
            "cls": needed("cls_token")?,
            "trim_offsets": trim_offsets,
            "add_prefix_space": add_prefix_space,
        }),
        Around::Bert => {
            let (cls, sep) = (needed("cls_token")?, needed("sep_token")?);
            template((Some(&cls), Some(&sep)), (None, Some(&sep)), 1)
        }
        Around::T5 => {
            let eos = needed("eos_token")?;
            template((None, Some(&eos)), (None, Some(&eos)), 0)
        }
        Around::BosEos { bos, eos } => {
            let bos = bos.then(|| token("bos_token")).flatten();
            let eos = eos.then(|| token("eos_token")).flatten();
            let both = (bos.as_ref(), eos.as_ref());
            template(both, both, 1)
        }
    })
}

type Token = (String, u32);
/// The tokens before and after a text.
type Both<'a> = (Option<&'a Token>, Option<&'a Token>);

/// A template with tokens around a text, and around the second text of a pair, which has a type.
fn template(first: Both<'_>, second: Both<'_>, second_type: u8) -> Value {
    let mut special = Map::new();
    let mut part = |name: &str, kind: u8, (before, after): Both<'_>| {
        let mut token = |(content, id): &Token| {
            let value = json!({"id": content, "ids": [id], "tokens": [content]});
            special.insert(content.clone(), value);
            json!({"SpecialToken": {"id": content, "type_id": kind}})
        };
        let before = before.map(&mut token);
        let after = after.map(&mut token);
        let text = json!({"Sequence": {"id": name, "type_id": kind}});
        before.into_iter().chain([text]).chain(after).collect::<Vec<Value>>()
    };
    let single = part("A", 0, first);
    let pair = [single.clone(), part("B", second_type, second)].concat();
    json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special})
}
