use std::path::Path;

use collimate_data::{DataError, PromptColumns, PromptSet, ReadSettings, Result, Source};

/// Reads safe and unsafe prompts: files with LITMUS's columns (`input`, `safety_label`, perhaps `axiom`
/// and `group`), or with `prompt` and `label`.
pub fn read_probes(path: &Path) -> Result<PromptSet> {
    let source = Source::open([path])?;
    let first = source.records(&ReadSettings::default())?.next().transpose()?;
    let Some(first) = first else {
        return Err(DataError::Setting {
            setting: "the probes",
            message: format!("{} has no records", path.display()),
        });
    };
    let has = |name| first.fields.contains_key(name);
    let columns = match has("prompt") && has("label") && !has("input") {
        true => PromptColumns::default().with_input("prompt").with_safety_label("label"),
        false => PromptColumns::default(),
    };
    PromptSet::read(source.records(&ReadSettings::default())?, &columns, None)
}
