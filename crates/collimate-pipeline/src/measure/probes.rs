use std::path::Path;

use collimate_data::{DataError, PromptColumns, PromptSet, ReadSettings, Result, Source};

/// Reads safe and unsafe prompts. Where nothing else is said of the columns, they are LITMUS's (`input`,
/// `safety_label`, perhaps `axiom` and `group`), or `prompt` and `label`.
///
/// # Errors
///
/// There is no record, one can't be read, or it has no prompt or no label.
pub fn read_probes(path: &Path, columns: &PromptColumns) -> Result<PromptSet> {
    let source = Source::open([path])?;
    let first = source.records(&ReadSettings::default())?.next().transpose()?;
    let Some(first) = first else {
        return Err(DataError::Setting {
            setting: "the probes",
            message: format!("{} has no records", path.display()),
        });
    };
    let has = |name| first.fields.contains_key(name);
    let is_other = has("prompt") && has("label") && !has("input");
    let records = source.records(&ReadSettings::default())?;
    if is_other && *columns == PromptColumns::default() {
        let columns = PromptColumns::default().with_input("prompt").with_safety_label("label");
        return PromptSet::read(records, &columns, None);
    }
    PromptSet::read(records, columns, None)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn columns_are_those_that_are_said_or_one_of_two_usual_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probes.csv");
        let read = |text: &str, columns: &PromptColumns| {
            fs::write(&path, text).unwrap();
            let probes = read_probes(&path, columns)?;
            Ok::<_, DataError>(probes.prompts()[0].input.clone())
        };
        let (usual, own) = (PromptColumns::default(), PromptColumns::default().with_input("ask"));
        assert_eq!(read("input,safety_label\nWho?,safe\n", &usual).unwrap(), "Who?");
        assert_eq!(read("prompt,label\nWho?,safe\n", &usual).unwrap(), "Who?");
        let both = "input,safety_label,prompt,label\nWho?,safe,Why?,unsafe\n";
        assert_eq!(read(both, &usual).unwrap(), "Who?");
        assert_eq!(read("ask,safety_label\nWho?,safe\n", &own).unwrap(), "Who?");
        let error = read("prompt,label\nWho?,safe\n", &own).unwrap_err().to_string();
        assert!(error.contains("ask"), "{error}");
        let error = read("prompt,label\n", &usual).unwrap_err().to_string();
        assert!(error.contains("probes.csv has no records"), "{error}");
    }
}
