//! Between the keys of `adapter_config.json` and [`LoraConfig`].

use serde_json::{Map, Number, Value};

use super::error::ConfigError;
use super::values::{Bias, InitLoraWeights, ModuleNames, OneOrMany, TargetModules};
use super::{LoraConfig, MAX_RANK, json, other};

const LORA: &str = "LORA";
const A_FLAG: &str = "true or false";
const A_RANK: &str = "a whole number from 1 to 65536";
const A_NUMBER: &str = "a number";
const TEXTS: &str = "a list of texts";

/// An error about a field that holds this value.
pub(super) fn invalid(
    field: impl Into<String>,
    expected: &'static str,
    value: &Value,
) -> ConfigError {
    ConfigError::Field { field: field.into(), expected, found: json::shown(value) }
}

/// What an error calls an entry of a field.
pub(super) fn entry(field: &str, pattern: &str) -> String {
    format!("{field}.{}", pattern.escape_debug())
}

/// Reads the fields; those that are left are kept.
pub(super) fn from_map(map: Map<String, Value>) -> Result<LoraConfig, ConfigError> {
    let mut fields = Fields(map);
    match fields.0.shift_remove("peft_type") {
        Some(Value::String(kind)) if kind == LORA => {}
        Some(found) => return Err(ConfigError::NotLora { found: json::shown(&found) }),
        None => return Err(ConfigError::Missing { field: "peft_type", expected: "\"LORA\"" }),
    }
    let defaults = LoraConfig::of_peft();
    let mut config = LoraConfig {
        r: fields.read("r", rank)?.unwrap_or(defaults.r),
        lora_alpha: fields.read("lora_alpha", number)?.unwrap_or(defaults.lora_alpha),
        lora_dropout: fields.read("lora_dropout", number)?.unwrap_or(defaults.lora_dropout),
        bias: fields.read("bias", bias)?.unwrap_or(defaults.bias),
        init_lora_weights: fields
            .read("init_lora_weights", init_lora_weights)?
            .unwrap_or(defaults.init_lora_weights),
        fan_in_fan_out: fields.flag("fan_in_fan_out")?,
        use_rslora: fields.flag("use_rslora")?,
        use_dora: fields.flag("use_dora")?,
        lora_bias: fields.flag("lora_bias")?,
        inference_mode: fields.flag("inference_mode")?,
        target_modules: fields.optional("target_modules", target_modules)?,
        exclude_modules: fields.optional("exclude_modules", module_names)?,
        layers_to_transform: fields.optional("layers_to_transform", layer_indices)?,
        layers_pattern: fields.optional("layers_pattern", layer_patterns)?,
        modules_to_save: fields.optional("modules_to_save", texts)?,
        base_model_name_or_path: fields.optional("base_model_name_or_path", text)?,
        revision: fields.optional("revision", text)?,
        task_type: fields.optional("task_type", text)?,
        rank_pattern: fields.pattern("rank_pattern", rank)?,
        alpha_pattern: fields.pattern("alpha_pattern", number)?,
        other: fields.0,
    };
    config.check()?;
    config.other.retain(|key, value| !other::is_default(key, value));
    Ok(config)
}

/// The keys to write, sorted: those that every PEFT knows, and those that differ from the default.
///
/// # Errors
///
/// As [`LoraConfig::check`].
pub(super) fn to_map(config: &LoraConfig) -> Result<Map<String, Value>, ConfigError> {
    config.check()?;
    let mut map: Map<String, Value> = config
        .other
        .iter()
        .filter(|(key, value)| !other::is_default(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for value in map.values_mut() {
        value.sort_all_objects();
    }
    let optional = |text: &Option<String>| Value::from(text.clone());
    let init = match &config.init_lora_weights {
        InitLoraWeights::Flag(flag) => Value::from(*flag),
        InitLoraWeights::Named(name) => Value::from(name.as_str()),
    };
    let targets = config.target_modules.as_ref().map_or(Value::Null, |targets| match targets {
        TargetModules::List(names) => Value::from(names.as_slice()),
        TargetModules::Regex(regex) => Value::from(regex.as_str()),
        TargetModules::AllLinear => Value::from(TargetModules::ALL_LINEAR),
    });
    let known_to_all = [
        ("base_model_name_or_path", optional(&config.base_model_name_or_path)),
        ("bias", Value::from(config.bias.as_str())),
        ("fan_in_fan_out", Value::from(config.fan_in_fan_out)),
        ("inference_mode", Value::from(config.inference_mode)),
        ("init_lora_weights", init),
        ("lora_alpha", whole_or_float(config.lora_alpha)),
        ("lora_dropout", Value::from(config.lora_dropout)),
        ("modules_to_save", Value::from(config.modules_to_save.clone())),
        ("peft_type", Value::from(LORA)),
        ("r", Value::from(config.r)),
        ("target_modules", targets),
        ("task_type", optional(&config.task_type)),
    ];
    map.extend(known_to_all.map(|(key, value)| (key.to_owned(), value)));

    let mut differing = |key: &str, differs: bool, value: Value| {
        if differs {
            map.insert(key.to_owned(), value);
        }
    };
    for (key, flag) in [
        ("use_rslora", config.use_rslora),
        ("use_dora", config.use_dora),
        ("lora_bias", config.lora_bias),
    ] {
        differing(key, flag, Value::from(flag));
    }
    differing("revision", config.revision.is_some(), optional(&config.revision));
    let ranks = config.rank_pattern.iter().map(|(key, rank)| (key.clone(), Value::from(*rank)));
    differing("rank_pattern", !config.rank_pattern.is_empty(), ranks.collect());
    let alphas =
        config.alpha_pattern.iter().map(|(key, alpha)| (key.clone(), whole_or_float(*alpha)));
    differing("alpha_pattern", !config.alpha_pattern.is_empty(), alphas.collect());
    if let Some(names) = &config.exclude_modules {
        let value = match names {
            ModuleNames::List(names) => Value::from(names.as_slice()),
            ModuleNames::Regex(regex) => Value::from(regex.as_str()),
        };
        differing("exclude_modules", true, value);
    }
    if let Some(layers) = &config.layers_to_transform {
        differing("layers_to_transform", true, one_or_many(layers));
    }
    if let Some(patterns) = &config.layers_pattern {
        differing("layers_pattern", true, one_or_many(patterns));
    }
    map.sort_keys();
    Ok(map)
}

/// PEFT declares `lora_alpha` as a whole number.
fn whole_or_float(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        // In range, and a whole number.
        Value::from(number as i64)
    } else {
        Number::from_f64(number).map_or(Value::Null, Value::Number)
    }
}

fn one_or_many<T: Clone + Into<Value>>(values: &OneOrMany<T>) -> Value {
    match values {
        OneOrMany::One(value) => value.clone().into(),
        OneOrMany::Many(values) => values.clone().into(),
    }
}

/// The keys that have not been read yet.
struct Fields(Map<String, Value>);

/// What reads a value: nothing, and what is expected, where it doesn't fit.
type Reader<T> = fn(&Value) -> Result<T, &'static str>;

impl Fields {
    /// A field that may be absent but not null.
    fn read<T>(&mut self, key: &str, reader: Reader<T>) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.0.shift_remove(key) else { return Ok(None) };
        reader(&value).map(Some).map_err(|expected| invalid(key, expected, &value))
    }

    /// A field that may be absent or null.
    fn optional<T>(&mut self, key: &str, reader: Reader<T>) -> Result<Option<T>, ConfigError> {
        if self.0.get(key).is_some_and(Value::is_null) {
            self.0.shift_remove(key);
        }
        self.read(key, reader)
    }

    /// A field that is false unless it is true: null counts as false in Python.
    fn flag(&mut self, key: &str) -> Result<bool, ConfigError> {
        let flag = |value: &Value| value.as_bool().ok_or(A_FLAG);
        self.optional(key, flag).map(Option::unwrap_or_default)
    }

    /// A field whose entries are values by pattern.
    fn pattern<T>(&mut self, key: &str, read: Reader<T>) -> Result<Vec<(String, T)>, ConfigError> {
        let object = |value: &Value| value.as_object().cloned().ok_or("an object");
        let entries = self.optional(key, object)?.unwrap_or_default();
        let mut values = Vec::with_capacity(entries.len());
        for (pattern, value) in entries {
            match read(&value) {
                Ok(read) => values.push((pattern, read)),
                Err(expected) => {
                    return Err(invalid(entry(key, &pattern), expected, &value));
                }
            }
        }
        Ok(values)
    }
}

fn rank(value: &Value) -> Result<u32, &'static str> {
    let rank = value.as_u64().and_then(|rank| u32::try_from(rank).ok()).ok_or(A_RANK)?;
    if (1..=MAX_RANK).contains(&rank) { Ok(rank) } else { Err(A_RANK) }
}

fn number(value: &Value) -> Result<f64, &'static str> {
    value.as_f64().ok_or(A_NUMBER)
}

fn text(value: &Value) -> Result<String, &'static str> {
    value.as_str().map(str::to_owned).ok_or("a text")
}

fn texts(value: &Value) -> Result<Vec<String>, &'static str> {
    let items = value.as_array().ok_or(TEXTS)?;
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or(TEXTS)).collect()
}

fn bias(value: &Value) -> Result<Bias, &'static str> {
    let found = Bias::ALL.into_iter().find(|bias| value == bias.as_str());
    found.ok_or("\"none\", \"all\" or \"lora_only\"")
}

fn init_lora_weights(value: &Value) -> Result<InitLoraWeights, &'static str> {
    match value {
        Value::Bool(flag) => Ok(InitLoraWeights::Flag(*flag)),
        // Neither initialization takes place.
        Value::Null => Ok(InitLoraWeights::Flag(false)),
        Value::String(name) => Ok(InitLoraWeights::Named(name.clone())),
        _ => Err("true, false or the name of an initialization"),
    }
}

fn target_modules(value: &Value) -> Result<TargetModules, &'static str> {
    match value {
        Value::String(text) => Ok(TargetModules::from_text(text.clone())),
        _ => texts(value).map(TargetModules::List).map_err(|_| "a text or a list of texts"),
    }
}

fn module_names(value: &Value) -> Result<ModuleNames, &'static str> {
    match value {
        Value::String(text) => Ok(ModuleNames::Regex(text.clone())),
        _ => texts(value).map(ModuleNames::List).map_err(|_| "a text or a list of texts"),
    }
}

fn layer_patterns(value: &Value) -> Result<OneOrMany<String>, &'static str> {
    match value {
        Value::String(text) => Ok(OneOrMany::One(text.clone())),
        _ => texts(value).map(OneOrMany::Many).map_err(|_| "a text or a list of texts"),
    }
}

fn layer_indices(value: &Value) -> Result<OneOrMany<u64>, &'static str> {
    const EXPECTED: &str = "an index of a layer from 0 on, or a list of them";
    match value {
        Value::Array(items) => {
            let indices = items.iter().map(|item| item.as_u64().ok_or(EXPECTED));
            indices.collect::<Result<_, _>>().map(OneOrMany::Many)
        }
        _ => value.as_u64().map(OneOrMany::One).ok_or(EXPECTED),
    }
}
