//! From the keys of metadata, under all their names, to [`ProjectMetadata`].

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{ModelWeights, ProjectMetadata};
use crate::names::{FolderName, RealName, exact};
use crate::version::Version;

pub(super) const NO_MODEL: &str =
    "`baseModels` is missing; it must list the real names of the models that were trained";

const PROJECT: &[&str] = &["project", "projectName", "project_name"];
const VERSION: &[&str] = &["version", "modelVersion", "model_version"];
const CREATED: &[&str] = &["created", "createdAt", "created_at", "timestamp"];
const TECHNIQUE: &[&str] = &["technique", "alignmentTechnique", "alignment_technique"];
const BASE_MODELS: &[&str] = &["baseModels", "base_models", "baseModel", "base_model"];
const WEIGHTS: &[&str] =
    &["modelSpecificWeights", "model_specific_weights", "trainedModels", "trained_models"];

const FOLDER_NAME: &[&str] = &["folderName", "folder_name"];
const ADAPTER: &[&str] = &["adapterPath", "adapter_path", "adapter"];
const STANDALONE: &[&str] = &["standalonePath", "standalone_path", "standalone"];
const SHA256: &[&str] = &["weightsSha256", "weights_sha256"];

/// What is wrong, and where.
type Read<T> = Result<T, String>;

type Weights = BTreeMap<RealName, ModelWeights>;

pub(super) fn metadata(value: Value) -> Read<ProjectMetadata> {
    let Value::Object(map) = value else { return Err("it is not a JSON object".to_owned()) };
    let mut fields = Fields(map);
    let project: FolderName = fields.required(PROJECT, parsed)?;
    let version: Version = fields.required(VERSION, version)?;
    let created = fields.take(CREATED, parsed)?;
    let technique = fields.take(TECHNIQUE, parsed)?;
    let listed: Vec<RealName> = fields.take(BASE_MODELS, names)?.unwrap_or_default();
    let weights: Weights = fields.take(WEIGHTS, weights)?.unwrap_or_default();
    let base_models = if listed.is_empty() { weights.keys().cloned().collect() } else { listed };
    if base_models.is_empty() {
        return Err(NO_MODEL.to_owned());
    }
    if let Some(model) = weights.keys().find(|model| !base_models.contains(model)) {
        return Err(format!("`modelSpecificWeights` has {model}, which is not in `baseModels`"));
    }
    let mut model_specific_weights = weights;
    for model in &base_models {
        model_specific_weights.entry(model.clone()).or_default();
    }
    let other = fields.0;
    Ok(ProjectMetadata {
        project,
        version,
        created,
        technique,
        base_models,
        model_specific_weights,
        other,
    })
}

/// The keys that have not been read yet.
struct Fields(Map<String, Value>);

impl Fields {
    /// The value that stands under one of these keys. Under several it must be the same.
    fn take<T: PartialEq>(
        &mut self,
        keys: &[&str],
        read: impl Fn(Value) -> Read<T>,
    ) -> Read<Option<T>> {
        let mut found: Option<(&str, T)> = None;
        for key in keys {
            let Some(value) = self.0.shift_remove(*key).filter(|value| !value.is_null()) else {
                continue;
            };
            let value = read(value).map_err(|error| format!("`{key}`: {error}"))?;
            match &found {
                None => found = Some((key, value)),
                Some((_, first)) if *first == value => {}
                Some((first, _)) => {
                    return Err(format!("`{first}` and `{key}` differ; remove one"));
                }
            }
        }
        Ok(found.map(|(_, value)| value))
    }

    fn required<T: PartialEq>(
        &mut self,
        keys: &[&str],
        read: impl Fn(Value) -> Read<T>,
    ) -> Read<T> {
        let name = keys.first().copied().unwrap_or_default();
        self.take(keys, read)?.ok_or_else(|| format!("`{name}` is missing"))
    }
}

fn parsed<T: DeserializeOwned>(value: Value) -> Read<T> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Some have a `v` before it.
fn version(value: Value) -> Read<Version> {
    let text: String = parsed(value)?;
    text.strip_prefix('v').unwrap_or(&text).parse().map_err(|error| format!("{error}"))
}

/// A list of names, or one name.
fn names(value: Value) -> Read<Vec<RealName>> {
    let names: Vec<RealName> = match value {
        Value::String(_) => vec![parsed(value)?],
        _ => parsed(value)?,
    };
    match names
        .iter()
        .enumerate()
        .find(|(index, name)| names.iter().take(*index).any(|n| n == *name))
    {
        Some((_, name)) => Err(format!("{name} is in it twice")),
        None => Ok(names),
    }
}

/// Weights by model; or names of models alone, of whose weights nothing is said.
fn weights(value: Value) -> Read<Weights> {
    let Value::Object(map) = value else {
        return Ok(names(value)?.into_iter().map(|name| (name, ModelWeights::default())).collect());
    };
    map.into_iter()
        .map(|(name, value)| {
            let weights = model_weights(value).map_err(|error| format!("{name}: {error}"))?;
            Ok((RealName::new(&name).map_err(|error| error.to_string())?, weights))
        })
        .collect()
}

/// What is said of the weights; a text alone is the path of the adapter.
fn model_weights(value: Value) -> Read<ModelWeights> {
    let mut fields = match value {
        Value::Object(map) => Fields(map),
        Value::String(path) => {
            return Ok(ModelWeights { adapter_path: Some(path), ..ModelWeights::default() });
        }
        _ => return Err("expected an object, or the path of an adapter".to_owned()),
    };
    let folder_name = |value| {
        let text: String = parsed(value)?;
        exact(&text).ok_or_else(|| format!("{text:?} is not the normalized name of a model"))
    };
    Ok(ModelWeights {
        folder_name: fields.take(FOLDER_NAME, folder_name)?,
        adapter_path: fields.take(ADAPTER, parsed)?,
        standalone_path: fields.take(STANDALONE, parsed)?,
        weights_sha256: fields.take(SHA256, parsed)?.unwrap_or_default(),
        other: fields.0,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(more: Value) -> Read<ProjectMetadata> {
        let mut map = json!({"project": "p", "version": "1.2.3"});
        map.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        metadata(map)
    }

    #[test]
    fn older_names_and_forms_mean_the_same() {
        let expected =
            read(json!({"baseModels": ["org/One-1B"], "modelSpecificWeights": {}})).unwrap();
        for older in [
            json!({"base_models": ["org/One-1B"]}),
            json!({"baseModel": "org/One-1B"}),
            json!({"base_model": "org/One-1B", "base_models": ["org/One-1B"]}),
            json!({"trained_models": ["org/One-1B"]}),
            json!({"trainedModels": "org/One-1B", "baseModels": null}),
            json!({"model_specific_weights": {"org/One-1B": {}}}),
        ] {
            assert_eq!(read(older.clone()), Ok(expected.clone()), "{older}");
        }
        let path = read(json!({"trained_models": {"org/One-1B": "one-adapter"}})).unwrap();
        let weights = path.model_specific_weights.values().next().unwrap();
        assert_eq!(weights.adapter_path.as_deref(), Some("one-adapter"));
    }

    #[test]
    fn nothing_stands_in_for_the_name_of_a_model() {
        for (metadata, expected) in [
            (json!({}), "`baseModels` is missing"),
            (json!({"baseModels": []}), "`baseModels` is missing"),
            (json!({"base_model": ""}), "`base_model`: \"\" can't be"),
            (json!({"baseModels": ["unknown"]}), "it stands for no model"),
            (json!({"modelSpecificWeights": {"base_model": {}}}), "it stands for no model"),
            (json!({"baseModels": [7]}), "expected a string"),
            (json!({"baseModels": ["a1", "a1"]}), "a1 is in it twice"),
            (
                json!({"baseModels": ["a1"], "base_model": "b1"}),
                "`baseModels` and `base_model` differ",
            ),
            (
                json!({"baseModels": ["a1"], "trained_models": ["b1"]}),
                "b1, which is not in `baseModels`",
            ),
            (json!({"baseModels": ["a1"], "version": "one"}), "`version`: \"one\" can't be"),
            (json!({"baseModels": ["a1"], "project": null}), "`project` is missing"),
            (json!({"trained_models": {"a1": {"folderName": "../x"}}}), "a1: `folderName`:"),
        ] {
            let error = read(metadata.clone()).unwrap_err();
            assert!(error.contains(expected), "{metadata}: {error}");
        }
    }
}
