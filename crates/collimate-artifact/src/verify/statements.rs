use collimate_models::Entry;

use super::{Check, full};
use crate::form::Form;
use crate::record::AlignmentRecord;

impl Check<'_> {
    /// Whether the files say the same of how the model was made.
    pub(super) fn statements(&mut self, entry: &Entry) {
        let record = match AlignmentRecord::read(self.folder) {
            Ok(record) => record,
            Err(error) => return self.error(AlignmentRecord::FILE, full(&error)),
        };
        let Some(record) = record else {
            if entry.description.alignment.is_some() {
                self.note(
                    "",
                    "config.json says that it was aligned, alignment_info.json is not there",
                );
            }
            return;
        };
        if record.standalone != (self.form == Form::Standalone) {
            let found = if record.standalone { "the whole model" } else { "an adapter alone" };
            self.error(AlignmentRecord::FILE, format!("it says that the folder has {found}"));
        }
        let parent = record.parent_model.as_str();
        let differs =
            |stated: Option<&str>| stated.filter(|stated| *stated != parent).map(str::to_owned);
        let alignment = entry.description.alignment.as_ref();
        if let Some(other) = differs(alignment.and_then(|found| found.parent.as_deref())) {
            self.error(
                "config.json",
                format!("its parent_model is '{other}', elsewhere '{parent}'"),
            );
        }
        let adapter = entry.description.adapter.as_ref();
        if let Some(other) = differs(adapter.and_then(|found| found.base_model.as_deref())) {
            let message = format!("its base_model_name_or_path is '{other}', elsewhere '{parent}'");
            self.error("adapter_config.json", message);
        }
        if let [card] = entry.description.card_base_models.as_slice()
            && card != parent
        {
            self.error("README.md", format!("its base_model is '{card}', elsewhere '{parent}'"));
        }
        let technique = alignment.and_then(|found| found.technique.as_deref());
        if let Some(other) = technique.filter(|found| *found != record.alignment_technique) {
            let message =
                format!("its technique is '{other}', elsewhere '{}'", record.alignment_technique);
            self.error("config.json", message);
        }
        for adapter in &record.adapters {
            if !collimate_tensors::stays_inside(&adapter.path) && adapter.path != "." {
                self.error(
                    AlignmentRecord::FILE,
                    format!("'{}' leads out of the folder", adapter.path),
                );
            } else if !self.folder.join(&adapter.path).join("adapter_config.json").is_file() {
                self.error(
                    AlignmentRecord::FILE,
                    format!("there is no adapter in '{}'", adapter.path),
                );
            }
        }
    }
}
