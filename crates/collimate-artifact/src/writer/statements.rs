//! The files that say what was done.

use collimate_peft::{Adapter, MergeReport};
use serde_json::{Value, json};

use super::{ArtifactWriter, write_json};
use crate::card::Card;
use crate::error::{ArtifactError, Result};
use crate::form::Form;
use crate::parent::Parent;
use crate::record::{AlignmentRecord, MergedRecord, Tool};
use crate::stage::Staging;

impl ArtifactWriter<'_> {
    pub(super) fn write_statements(
        &self,
        staging: &Staging,
        form: Form,
        model_folder: &str,
        merge: Option<&MergeReport>,
        trained: Option<u64>,
    ) -> Result<()> {
        let alignment = self.alignment;
        let technique = &alignment.technique;
        write_json(staging, technique.file(), &Value::Object(technique.config().clone()))?;
        write_json(staging, "training_config.json", &Value::Object(alignment.training.clone()))?;
        let record = self.record(form, model_folder, merge);
        let path = staging.path().join(AlignmentRecord::FILE);
        let record =
            serde_json::to_value(&record).map_err(|source| ArtifactError::Json { path, source })?;
        write_json(staging, AlignmentRecord::FILE, &record)?;
        let chat = staging.path().join(model_folder);
        let coverage = merge.and_then(|merge| Some(merge.adapters.first()?.coverage));
        let card = Card {
            alignment,
            parent: self.parent,
            form,
            adapters: self.adapters.len(),
            chat: has_chat_template(&chat),
            model: model_folder.strip_suffix('/').unwrap_or("."),
            parameters: trained
                .or(coverage.map(|coverage| coverage.of_parameters - coverage.parameters)),
            adapted: trained.or(coverage.map(|coverage| coverage.parameters)),
        };
        write_json(staging, "model_card.json", &card.json())?;
        staging.write("README.md", card.markdown().as_bytes())
    }

    fn record(
        &self,
        form: Form,
        model_folder: &str,
        merge: Option<&MergeReport>,
    ) -> AlignmentRecord {
        let alignment = self.alignment;
        let standalone = form == Form::Standalone;
        let folders = match form {
            Form::Standalone => adapter_folders(self.adapters.len()),
            Form::Adapter => vec![".".to_owned()],
        };
        let adapters =
            self.adapters.iter().zip(folders).map(|((_, weight), folder)| MergedRecord {
                path: if standalone { format!("{model_folder}{folder}") } else { folder },
                weight: *weight,
            });
        AlignmentRecord {
            aligned_model: true,
            standalone,
            model_name: alignment.model_name.clone(),
            alignment_technique: alignment.technique.id().to_owned(),
            alignment_technique_title: alignment.technique.title().to_owned(),
            alignment_timestamp: alignment.timestamp,
            parent_model: self.parent.reference.clone(),
            parent_model_name: self.parent.display_name.clone(),
            parent_revision: self.parent.revision.clone(),
            run_id: alignment.run_id.clone(),
            adapters: adapters.collect(),
            coverage: merge.map(|merge| {
                merge.adapters.iter().map(|adapter| json!(adapter.coverage)).collect()
            }),
            untied: merge.is_some_and(|merge| merge.untied),
            tool: Tool {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
        }
    }
}

/// The folders of adapters beside merged weights. At the top, transformers would apply them again.
pub(super) fn adapter_folders(count: usize) -> Vec<String> {
    match count {
        1 => vec!["adapter".to_owned()],
        _ => (1..=count).map(|number| format!("adapters/{number}")).collect(),
    }
}

/// Writes an adapter, naming the parent as others know it.
pub(super) fn write_adapter(
    staging: &Staging,
    folder: &str,
    adapter: &Adapter,
    parent: &Parent,
) -> Result<()> {
    // Creates the folder.
    let config = staging.file(&format!("{folder}adapter_config.json"))?;
    let place = config.parent().unwrap_or(staging.path());
    adapter.write(place)?;
    named(adapter, parent).write(&config)?;
    Ok(())
}

/// `peft_config`: the configuration of the adapter, or of several with their weights.
pub(super) fn peft_config(adapters: &[(&Adapter, f64)], parent: &Parent) -> Result<Option<Value>> {
    let config = |adapter: &Adapter| -> Result<Value> {
        let text = named(adapter, parent).to_json()?;
        serde_json::from_str(&text)
            .map_err(|source| ArtifactError::Json { path: "adapter_config.json".into(), source })
    };
    match adapters {
        [] => Ok(None),
        [(adapter, weight)] if *weight == 1.0 => config(adapter).map(Some),
        _ => adapters
            .iter()
            .map(|(adapter, weight)| Ok(json!({"config": config(adapter)?, "weight": weight})))
            .collect::<Result<_>>()
            .map(Some),
    }
}

fn named(adapter: &Adapter, parent: &Parent) -> collimate_peft::LoraConfig {
    let config = adapter.config().clone().with_base_model(&parent.reference);
    match &parent.revision {
        Some(revision) => config.with_revision(revision),
        None => config,
    }
}

fn has_chat_template(folder: &std::path::Path) -> bool {
    if folder.join("chat_template.jinja").is_file() {
        return true;
    }
    let config = std::fs::read(folder.join("tokenizer_config.json")).unwrap_or_default();
    serde_json::from_slice::<Value>(&config)
        .is_ok_and(|config| config.get("chat_template").is_some_and(|template| !template.is_null()))
}
