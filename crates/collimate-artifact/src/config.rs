//! `config.json` and `generation_config.json` of an aligned model.

use collimate_tensors::Dtype;
use serde_json::{Map, Value, json};

use crate::alignment::Alignment;
use crate::parent::Parent;

/// Name of the file.
pub(crate) const CONFIG: &str = "config.json";
/// Name of the file.
pub(crate) const GENERATION_CONFIG: &str = "generation_config.json";

/// What becomes of a configuration.
pub(crate) struct Changes<'a> {
    pub(crate) alignment: &'a Alignment,
    pub(crate) parent: &'a Parent,
    /// The configuration of the adapter, or a list of several with their weights; none without adapters.
    pub(crate) peft_config: Option<Value>,
    /// The type of the merged weights, where it is not the parent's.
    pub(crate) dtype: Option<Dtype>,
    /// Whether the output head is no longer the embedding matrix.
    pub(crate) untied: bool,
}

/// The parent's configuration, everything that it had, with what says how the model was aligned.
pub(crate) fn aligned(mut config: Map<String, Value>, changes: &Changes<'_>) -> Map<String, Value> {
    let text_config = config.get_mut("text_config").and_then(Value::as_object_mut);
    if let Some(text_config) = text_config {
        change(text_config, changes, false);
    }
    change(&mut config, changes, true);
    let Changes { alignment, parent, peft_config, .. } = changes;
    let additions = [
        ("aligned_model", json!(true)),
        ("alignment_technique", json!(alignment.technique.id())),
        ("parent_model", json!(parent.reference)),
        ("parent_model_name", json!(parent.display_name)),
        ("alignment_timestamp", json!(alignment.timestamp)),
        ("model_name", json!(alignment.model_name)),
    ];
    config.extend(additions.map(|(key, value)| (key.to_owned(), value)));
    // The parent's is of adapters that its own weights were made with.
    config.shift_remove("peft_config");
    if let Some(peft_config) = peft_config {
        config.insert("peft_config".to_owned(), peft_config.clone());
    }
    config
}

/// Changes what depends on the weights: where it stands, and at the top where it stands nowhere.
fn change(config: &mut Map<String, Value>, changes: &Changes<'_>, top: bool) {
    if let Some(name) = changes.dtype.and_then(torch_name) {
        let keys = ["dtype", "torch_dtype"];
        let found: Vec<_> = keys.into_iter().filter(|key| config.contains_key(*key)).collect();
        let chosen = if found.is_empty() && top { vec!["dtype"] } else { found };
        config.extend(chosen.into_iter().map(|key| (key.to_owned(), json!(name))));
    }
    if changes.untied && (top || config.contains_key("tie_word_embeddings")) {
        config.insert("tie_word_embeddings".to_owned(), json!(false));
    }
}

/// The generation settings that follow from a configuration, for a parent without a file of them, as
/// transformers would derive them; nothing where there is nothing to say.
pub(crate) fn generation(config: &Map<String, Value>) -> Option<Map<String, Value>> {
    let keys = ["bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"];
    let text_config = config.get("text_config").and_then(Value::as_object);
    let find = |key: &str| {
        let found = config.get(key).or_else(|| text_config?.get(key));
        found.filter(|value| !value.is_null()).cloned()
    };
    let found: Vec<_> =
        keys.iter().filter_map(|key| Some(((*key).to_owned(), find(key)?))).collect();
    if found.is_empty() {
        return None;
    }
    let mark = [("_from_model_config".to_owned(), json!(true))];
    Some(mark.into_iter().chain(found).collect())
}

/// A type as torch calls it.
pub(crate) fn torch_name(dtype: Dtype) -> Option<&'static str> {
    match dtype {
        Dtype::F32 => Some("float32"),
        Dtype::F16 => Some("float16"),
        Dtype::BF16 => Some("bfloat16"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::technique::Technique;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other}"),
        }
    }

    fn aligned(config: Value, dtype: Option<Dtype>, untied: bool) -> Map<String, Value> {
        let technique = Technique::new("sft", json!({})).unwrap();
        let alignment = Alignment::new("Fern 2", technique, jiff::Timestamp::UNIX_EPOCH);
        let parent = Parent::absent("org/fern").unwrap();
        let peft_config = Some(json!({"r": 4}));
        let changes =
            Changes { alignment: &alignment, parent: &parent, peft_config, dtype, untied };
        super::aligned(object(config), &changes)
    }

    #[test]
    fn everything_of_the_parent_stays() {
        let parent = json!({"architectures": ["X"], "rms_norm_eps": 1e-5, "custom": {"a": [null]}});
        let config = aligned(parent.clone(), None, false);
        for (key, value) in object(parent) {
            assert_eq!(config[&key], value);
        }
        assert_eq!(config["aligned_model"], true);
        assert_eq!(config["alignment_technique"], "sft");
        assert_eq!(config["parent_model"], "org/fern");
        assert_eq!(config["parent_model_name"], "fern");
        assert_eq!(config["alignment_timestamp"], "1970-01-01T00:00:00Z");
        assert_eq!(config["model_name"], "Fern 2");
        assert_eq!(config["peft_config"]["r"], 4);
        assert_eq!(config.len(), 10);
    }

    #[test]
    fn what_depends_on_the_weights_changes_where_it_stands() {
        let parent = json!({"torch_dtype": "float16", "tie_word_embeddings": true,
            "text_config": {"dtype": "float16", "hidden_size": 4}});
        let config = aligned(parent, Some(Dtype::F32), true);
        assert_eq!(config["torch_dtype"], "float32");
        assert_eq!(config.get("dtype"), None);
        assert_eq!(config["tie_word_embeddings"], false);
        assert_eq!(config["text_config"], json!({"dtype": "float32", "hidden_size": 4}));
        assert_eq!(aligned(json!({}), Some(Dtype::BF16), false)["dtype"], "bfloat16");
    }

    #[test]
    fn generation_settings_follow_from_token_ids() {
        let config =
            object(json!({"bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": null}));
        let expected =
            json!({"_from_model_config": true, "bos_token_id": 1, "eos_token_id": [2, 3]});
        assert_eq!(generation(&config), Some(object(expected)));
        assert_eq!(generation(&object(json!({"hidden_size": 4}))), None);
    }
}
