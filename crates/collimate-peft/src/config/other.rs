//! The keys of `adapter_config.json` that are kept as they stand: settings of initializations and
//! of variants of LoRA, which nothing here computes.

use serde_json::{Map, Value};

use super::error::ConfigError;
use super::fields::invalid;

/// A key, what it may hold, and what it means when absent.
struct Other {
    key: &'static str,
    holds: Holds,
    default: Default,
}

#[derive(Clone, Copy)]
enum Holds {
    Flag,
    Size,
    Text,
    Object,
    List,
    ListOrObject,
}

#[derive(Clone, Copy)]
enum Default {
    Null,
    False,
    EmptyObject,
    Text(&'static str),
    Size(u64),
}

const fn other(key: &'static str, holds: Holds, default: Default) -> Other {
    Other { key, holds, default }
}

/// As in PEFT 0.21.2, `peft/config.py` and `peft/tuners/lora/config.py`; the last two are of
/// versions before 0.3.
const OTHERS: [Other; 23] = [
    other("alora_invocation_tokens", Holds::List, Default::Null),
    other("arrow_config", Holds::Object, Default::Null),
    other("auto_mapping", Holds::Object, Default::Null),
    other("corda_config", Holds::Object, Default::Null),
    other("ensure_weight_tying", Holds::Flag, Default::False),
    other("eva_config", Holds::Object, Default::Null),
    other("kasa_config", Holds::Object, Default::Null),
    other("layer_replication", Holds::List, Default::Null),
    other("loftq_config", Holds::Object, Default::EmptyObject),
    other("lora_ga_config", Holds::Object, Default::Null),
    other("megatron_config", Holds::Object, Default::Null),
    other("megatron_core", Holds::Text, Default::Text("megatron.core")),
    other("monteclora_config", Holds::Object, Default::Null),
    other("peft_version", Holds::Text, Default::Null),
    other("qalora_group_size", Holds::Size, Default::Size(16)),
    other("runtime_config", Holds::Object, Default::Null),
    other("target_parameters", Holds::List, Default::Null),
    other("trainable_token_indices", Holds::ListOrObject, Default::Null),
    other("use_bdlora", Holds::Object, Default::Null),
    other("use_qalora", Holds::Flag, Default::False),
    other("velora_config", Holds::Object, Default::Null),
    other("enable_lora", Holds::List, Default::Null),
    other("merge_weights", Holds::Flag, Default::False),
];

/// Settings under which an adapter has other modules or other tensors than plain LoRA.
const OTHER_TENSORS: [&str; 9] = [
    "enable_lora",
    "ensure_weight_tying",
    "kasa_config",
    "layer_replication",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_qalora",
];
/// Settings under which plain tensors are applied otherwise than by adding `s·B·A` to the weights.
const OTHER_USE: [&str; 2] = ["alora_invocation_tokens", "arrow_config"];

/// Checks the known ones among the keys.
pub(super) fn check(others: &Map<String, Value>) -> Result<(), ConfigError> {
    for known in &OTHERS {
        let Some(value) = others.get(known.key) else { continue };
        let (fits, expected) = match known.holds {
            Holds::Flag => (value.is_boolean(), "true or false"),
            Holds::Size => (value.is_u64(), "a whole number"),
            Holds::Text => (value.is_string(), "a text"),
            Holds::Object => (value.is_object(), "an object"),
            Holds::List => (value.is_array(), "a list"),
            Holds::ListOrObject => (value.is_array() || value.is_object(), "a list or an object"),
        };
        if !fits && !value.is_null() {
            return Err(invalid(known.key, expected, value));
        }
    }
    Ok(())
}

/// Whether a key holds what it means when absent.
pub(super) fn is_default(key: &str, value: &Value) -> bool {
    let Some(known) = OTHERS.iter().find(|known| known.key == key) else { return false };
    // PEFT treats null as nothing set, whatever the key.
    value.is_null()
        || match known.default {
            Default::Null => false,
            Default::False => value == &Value::Bool(false),
            Default::EmptyObject => value.as_object().is_some_and(Map::is_empty),
            Default::Text(text) => value == text,
            Default::Size(size) => value == size,
        }
}

/// The settings that are set and give an adapter other modules or tensors.
pub(super) fn other_tensors(others: &Map<String, Value>) -> Vec<&'static str> {
    OTHER_TENSORS.into_iter().filter(|key| is_set(others, key)).collect()
}

/// The settings that are set and apply the tensors otherwise.
pub(super) fn other_use(others: &Map<String, Value>) -> Vec<&'static str> {
    OTHER_USE.into_iter().filter(|key| is_set(others, key)).collect()
}

fn is_set(others: &Map<String, Value>, key: &str) -> bool {
    match others.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        // An empty sub-configuration is one with every default.
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_that_change_the_tensors_are_known_keys() {
        for key in OTHER_TENSORS.into_iter().chain(OTHER_USE) {
            assert!(OTHERS.iter().any(|known| known.key == key), "{key}");
        }
    }

    #[test]
    fn only_what_says_something_is_not_the_default() {
        assert!(is_default("megatron_core", &json!("megatron.core")));
        assert!(is_default("loftq_config", &json!({})));
        assert!(is_default("qalora_group_size", &json!(16)));
        assert!(!is_default("qalora_group_size", &json!(32)));
        assert!(!is_default("eva_config", &json!({})));
        assert!(!is_default("of_the_future", &json!(null)));
    }
}
