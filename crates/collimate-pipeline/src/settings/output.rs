use collimate_artifact::{Alignment, Form, Replace, Sharding, Technique};
use collimate_peft::MergeDtype;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::recipe::{CheckedRecipe, MethodKind, OutputDtype, OutputForm};

impl CheckedRecipe {
    /// What is written, each in a folder of its own.
    pub(crate) fn forms(&self) -> &'static [Form] {
        match self.recipe().output.form {
            Some(OutputForm::Adapter) => &[Form::Adapter],
            Some(OutputForm::Merged) => &[Form::Standalone],
            // A checked recipe always says.
            Some(OutputForm::Both) | None => &[Form::Standalone, Form::Adapter],
        }
    }

    /// The name of what is done to models.
    pub(crate) fn technique(&self) -> &'static str {
        match self.recipe().method.kind {
            MethodKind::Lora => "LoRA",
            MethodKind::Full => "SFT",
        }
    }

    /// The type of the weights of the whole model.
    pub(crate) fn merge_dtype(&self) -> MergeDtype {
        match self.recipe().output.dtype {
            OutputDtype::Keep => MergeDtype::Keep,
            OutputDtype::F32 => MergeDtype::F32,
            OutputDtype::Bf16 => MergeDtype::Bf16,
            OutputDtype::F16 => MergeDtype::F16,
        }
    }

    /// Over which files they are spread.
    pub(crate) fn sharding(&self) -> Sharding {
        self.recipe().output.shard_size.map_or(Sharding::AsParent, Sharding::MaxBytes)
    }

    /// What becomes of a folder that is there.
    pub(crate) fn replace(&self) -> Replace {
        if self.recipe().output.replace { Replace::Existing } else { Replace::Never }
    }

    /// What was done to a model that came to be at this time, with the settings of its training.
    pub(crate) fn alignment(
        &self,
        model_name: &str,
        technique: Technique,
        timestamp: Timestamp,
        training: Map<String, Value>,
    ) -> Alignment {
        let output = &self.recipe().output;
        let mut alignment =
            Alignment::new(model_name, technique, timestamp).with_training(training);
        alignment.languages.clone_from(&output.languages);
        alignment.tags.clone_from(&output.tags);
        alignment.licence.clone_from(&output.licence);
        let author = output.author.as_ref().map(|author| format!("Made by {author}."));
        let said = [output.description.clone(), author];
        let said: Vec<String> = said.into_iter().flatten().collect();
        alignment.description = (!said.is_empty()).then(|| said.join("\n\n"));
        alignment
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::testing::{checked, value};

    fn alignment(text: &str) -> Alignment {
        let technique = Technique::new("lora", json!({"r": 4})).unwrap();
        let training = json!({"epochs": 3}).as_object().cloned().unwrap();
        checked(text).alignment("small-lora", technique, Timestamp::UNIX_EPOCH, training)
    }

    #[test]
    fn the_default_is_that_of_the_writer() {
        let recipe = checked("");
        assert_eq!(recipe.forms(), [Form::Standalone, Form::Adapter]);
        assert_eq!(recipe.merge_dtype(), MergeDtype::default());
        assert_eq!(recipe.sharding(), Sharding::default());
        assert_eq!(recipe.replace(), Replace::default());
        let technique = Technique::new("lora", json!({"r": 4})).unwrap();
        let expected = Alignment::new("small-lora", technique, Timestamp::UNIX_EPOCH)
            .with_training(json!({"epochs": 3}).as_object().cloned().unwrap());
        assert_eq!(alignment(""), expected);
    }

    #[test]
    fn everything_can_be_otherwise() {
        let of = |field: &str| checked(&format!("output: {{{field}}}"));
        assert_eq!(of("form: adapter").forms(), [Form::Adapter]);
        assert_eq!(of("form: merged").forms(), [Form::Standalone]);
        assert_eq!(of("form: both").forms(), [Form::Standalone, Form::Adapter]);
        assert_eq!(checked("method: {kind: full}").forms(), [Form::Standalone]);
        for word in ["keep", "f32", "bf16", "f16"] {
            assert_eq!(value(&of(&format!("dtype: {word}")).merge_dtype()), word);
        }
        assert_eq!(of("shard_size: 5GB").sharding(), Sharding::MaxBytes(5_000_000_000));
        assert_eq!(of("replace: true").replace(), Replace::Existing);
        let text = "output:
  licence: apache-2.0
  description: Says no.
  languages: [en, de]
  tags: small
";
        let expected = json!({
            "model_name": "small-lora",
            "technique": Technique::new("lora", json!({"r": 4})).unwrap(),
            "timestamp": "1970-01-01T00:00:00Z",
            "run_id": null,
            "training": {"epochs": 3},
            "datasets": [],
            "evaluations": [],
            "languages": ["en", "de"],
            "tags": ["small"],
            "licence": "apache-2.0",
            "description": "Says no.",
        });
        assert_eq!(value(&alignment(text)), expected);
    }
}
