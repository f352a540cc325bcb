use serde::Serialize;

use super::fields::{Report, Schema};
use super::json;
use crate::folder::Folder;
use crate::problem::Problem;

/// Its name.
pub(super) const FILE: &str = "adapter_config.json";

static SCHEMA: Schema = Schema(&[
    ("base_model_name_or_path", None),
    ("lora_alpha", None),
    ("peft_type", None),
    ("r", None),
    ("revision", None),
    ("target_modules", None),
]);

/// What `adapter_config.json` says of an adapter.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AdapterInfo {
    /// The model it was trained on: a repository id or a path (`base_model_name_or_path`).
    pub base_model: Option<String>,
    /// The base model's revision, where the adapter pins one.
    pub base_revision: Option<String>,
    /// `LORA`, `IA3`, …
    pub peft_type: Option<String>,
    /// Rank of the low-rank update (`r`).
    pub rank: Option<u64>,
    /// Scale of the update before division by the rank (`lora_alpha`).
    pub lora_alpha: Option<f64>,
    /// The modules that it changes; a pattern stands here as the only element.
    pub target_modules: Vec<String>,
}

impl AdapterInfo {
    /// Reads the file. Keys that newer or older versions of PEFT write are no problem.
    ///
    /// # Errors
    ///
    /// The problem, where it can't be read or is not an object.
    pub(super) fn read(folder: &Folder, problems: &mut Vec<Problem>) -> Result<Self, Problem> {
        let fields = json::read(folder, FILE, &SCHEMA)?;
        let report = &mut Report { file: FILE, problems };
        let known = report.problems.len();
        let peft_type = fields.text("peft_type", report).map(str::to_owned);
        if peft_type.is_none() && report.problems.len() == known {
            report.field(&fields, "peft_type", "is missing".to_owned());
        }
        Ok(Self {
            base_model: fields.text("base_model_name_or_path", report).map(str::to_owned),
            base_revision: fields.text("revision", report).map(str::to_owned),
            peft_type,
            rank: fields.size("r", report),
            lora_alpha: fields.number("lora_alpha", report),
            target_modules: fields.texts("target_modules", report),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Model;
    use super::*;

    fn read(config: &str) -> (AdapterInfo, Vec<String>) {
        let (model, mut problems) = (Model::new(&[(FILE, config)]), Vec::new());
        let found = AdapterInfo::read(&model.folder(), &mut problems).unwrap();
        (found, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn known_keys_are_sorted() {
        assert!(SCHEMA.0.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn fields_of_any_version_are_read() {
        let (found, problems) = read(
            r#"{"peft_type": "LORA", "r": 8, "lora_alpha": 1.5, "revision": null, "future": [{}],
                "base_model_name_or_path": "org/base", "target_modules": ["q_proj", "v_proj"]}"#,
        );
        let expected = AdapterInfo {
            base_model: Some("org/base".to_owned()),
            base_revision: None,
            peft_type: Some("LORA".to_owned()),
            rank: Some(8),
            lora_alpha: Some(1.5),
            target_modules: vec!["q_proj".to_owned(), "v_proj".to_owned()],
        };
        assert_eq!((found, problems), (expected, vec![]));
        let (found, _) = read(r#"{"peft_type": "LORA", "target_modules": "all-linear"}"#);
        assert_eq!(found.target_modules, ["all-linear"]);
        let (found, problems) = read(r#"{"peft_type": "IA3", "target_modules": null}"#);
        assert_eq!((found.target_modules.len(), problems.len()), (0, 0));
    }

    #[test]
    fn wrong_fields_are_reported() {
        let (found, problems) =
            read(r#"{"r": 0, "lora_alpha": NaN, "target_modules": ["a", 3], "revision": "v1"}"#);
        assert_eq!(found.base_revision.as_deref(), Some("v1"));
        let expected = [
            "adapter_config.json: peft_type is missing",
            "adapter_config.json: r is 0; a whole number from 1 to 4294967295 is expected",
            "adapter_config.json: lora_alpha is \"NaN\"; a number is expected",
            "adapter_config.json: target_modules holds 3; a list of texts is expected",
        ];
        assert_eq!(problems, expected);
        assert_eq!(read(r#"{"peft_type": 1}"#).1.len(), 1);
    }
}
