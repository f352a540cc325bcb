use std::path::{Path, PathBuf};

use collimate_models::{Catalog, Entry, Kind, ScanConfig};
use serde::Serialize;

use crate::error::{ArtifactError, Result};
use crate::form::Form;
use crate::record::AlignmentRecord;

/// What a folder with a model says of itself, made here or elsewhere: for lists and labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The folder.
    pub path: PathBuf,
    /// What it holds.
    pub form: Form,
    /// Whether it says that it was aligned, or is an adapter.
    pub is_aligned: bool,
    /// Its name for people.
    pub model_name: String,
    /// The model that it was made from: a repository, a name or a path, as stated.
    pub parent_id: Option<String>,
    /// That model's name for people.
    pub parent_name: Option<String>,
    /// How it was aligned.
    pub technique: Option<String>,
    /// When, as stated.
    pub date: Option<String>,
    /// The class that transformers would use.
    pub architecture: Option<String>,
    /// Number of stored elements.
    pub parameters: Option<u64>,
    /// Bytes of all weights.
    pub bytes: Option<u64>,
    /// The licence that its card states.
    pub licence: Option<String>,
    /// All of this in a line: what it is and where it comes from.
    pub origin: String,
}

/// Reads what a folder with a model, or a folder around one (RLHF's `policy`), says of itself. No
/// weights are read.
///
/// # Errors
///
/// [`ArtifactError::Invalid`]: there is no model; [`ArtifactError`]: its record can't be read.
pub fn inspect(folder: impl AsRef<Path>) -> Result<Inspection> {
    let folder = folder.as_ref();
    let record = AlignmentRecord::read(folder)?;
    let entry = model_in(folder)?;
    let description = &entry.description;
    let form = if entry.kind == Kind::Adapter { Form::Adapter } else { Form::Standalone };
    let alignment = description.alignment.as_ref();
    let adapter = description.adapter.as_ref();
    let is_aligned = record.is_some() || entry.kind != Kind::Base;
    let stated =
        |of_record: fn(&AlignmentRecord) -> &String| record.as_ref().map(of_record).cloned();
    let parent_id = stated(|record| &record.parent_model)
        .or_else(|| alignment?.parent.clone())
        .or_else(|| adapter?.base_model.clone());
    let parent_name =
        stated(|record| &record.parent_model_name).or_else(|| alignment?.parent_name.clone());
    let technique = stated(|record| &record.alignment_technique_title)
        .or_else(|| alignment?.technique.clone())
        .or_else(|| adapter?.peft_type.clone());
    let date = record
        .as_ref()
        .map(|record| record.alignment_timestamp.to_string())
        .or_else(|| alignment?.timestamp.clone());
    let model_name =
        stated(|record| &record.model_name).unwrap_or_else(|| entry.display_name.clone());
    let mut found = Inspection {
        path: folder.to_owned(),
        form,
        is_aligned,
        model_name,
        parent_id,
        parent_name,
        technique,
        date,
        architecture: description.architecture.as_ref().and_then(|found| found.name.clone()),
        parameters: entry.parameters(),
        bytes: entry.bytes(),
        licence: description.licence.clone(),
        origin: String::new(),
    };
    found.origin = found.describe();
    Ok(found)
}

impl Inspection {
    fn describe(&self) -> String {
        let name = &self.model_name;
        if !self.is_aligned {
            return format!("{name}, a base model");
        }
        let parent = match (&self.parent_name, &self.parent_id) {
            (Some(name), Some(id)) if name != id => format!("{name} ({id})"),
            (Some(parent), _) | (None, Some(parent)) => parent.clone(),
            (None, None) => "a model that it does not name".to_owned(),
        };
        let mut line = match self.form {
            Form::Adapter => format!("{name}, an adapter for {parent}"),
            Form::Standalone => format!("{name}, made from {parent}"),
        };
        if let Some(technique) = &self.technique {
            line.push_str(&format!(" with {technique}"));
        }
        if let Some(date) = &self.date {
            line.push_str(&format!(" on {}", date.split('T').next().unwrap_or(date)));
        }
        line
    }
}

/// The model in a folder, or in the first folder of those that techniques give their models.
pub(crate) fn model_in(folder: &Path) -> Result<Entry> {
    let path = folder.canonicalize().map_err(ArtifactError::io(folder))?;
    let catalog = Catalog::scan(&ScanConfig::new().with_root(&path));
    let entries = catalog.entries();
    let found = entries.iter().find(|entry| entry.path == path).or_else(|| {
        let below = |entry: &&Entry| entry.path.parent() == Some(path.as_path());
        entries.iter().filter(below).find(|entry| entry.kind == Kind::Aligned)
    });
    found.cloned().ok_or_else(|| ArtifactError::Invalid {
        path: folder.to_owned(),
        message: "there is no model in it".to_owned(),
    })
}
