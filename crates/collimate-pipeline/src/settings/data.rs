use collimate_data::{
    ChatTemplate, Column, ColumnMapping, Format, Formatter, Mask, OnNothingTrained,
    PrepareSettings, ReadSettings, SplitConfig, TemplateFolder, Truncation,
};

use crate::error::Result;
use crate::recipe::{self, CheckedRecipe};

/// Most tokens of a row, unless told otherwise.
const MAX_LENGTH: usize = 1024;

impl CheckedRecipe {
    /// How records are read.
    pub(crate) fn read_settings(&self) -> ReadSettings {
        let mut settings = ReadSettings::default();
        settings.format = self.recipe().data.format.map(|format| match format {
            recipe::DataFormat::JsonLines => Format::JsonLines,
            recipe::DataFormat::Json => Format::Json,
            recipe::DataFormat::Csv => Format::Csv,
            recipe::DataFormat::Tsv => Format::Tsv,
            recipe::DataFormat::Parquet => Format::Parquet,
        });
        settings
    }

    /// What is known of the columns.
    pub(crate) fn column_mapping(&self) -> ColumnMapping {
        let data = &self.recipe().data;
        let mut mapping = ColumnMapping::default();
        mapping.columns =
            data.columns.iter().map(|(column, name)| (of_column(*column), name.clone())).collect();
        mapping.roles.clone_from(&data.roles);
        mapping.role_key.clone_from(&data.role_key);
        mapping.content_key.clone_from(&data.content_key);
        mapping
    }

    /// Most tokens of a row, of a model that takes so many.
    pub(crate) fn max_length(&self, of_model: usize) -> usize {
        self.recipe().data.max_length.unwrap_or(MAX_LENGTH.min(of_model))
    }

    /// How texts become rows of at most so many tokens.
    pub(crate) fn prepare_settings(&self, max_length: usize) -> PrepareSettings {
        let data = &self.recipe().data;
        PrepareSettings::default()
            .with_mask(match data.mask {
                recipe::Mask::Completion => Mask::Completion,
                recipe::Mask::Assistant => Mask::Assistant,
                recipe::Mask::LastTurn => Mask::LastTurn,
                recipe::Mask::All => Mask::All,
            })
            .with_max_length(Some(max_length))
            .with_truncation(match data.truncation {
                recipe::Truncation::Error => Truncation::Error,
                recipe::Truncation::Drop => Truncation::Drop,
                recipe::Truncation::KeepStart => Truncation::KeepStart,
                recipe::Truncation::KeepEnd => Truncation::KeepEnd,
            })
            .with_on_nothing_trained(match data.on_nothing_trained {
                recipe::OnNothingTrained::Error => OnNothingTrained::Error,
                recipe::OnNothingTrained::Drop => OnNothingTrained::Drop,
            })
    }

    /// The chat template: the one that the recipe names, else the model's, else none.
    pub(crate) fn template(&self, folder: &TemplateFolder) -> Result<Option<ChatTemplate>> {
        Ok(self.formatter(folder)?.template().cloned())
    }

    /// What renders examples for a model of these templates. The date that a template may show is always
    /// the same.
    pub(crate) fn formatter(&self, folder: &TemplateFolder) -> Result<Formatter> {
        let named = self.recipe().data.template.as_deref();
        let named = named.map(|name| folder.named(name)).transpose()?;
        Ok(Formatter::of_model(folder, named)?)
    }

    /// Which rows are held out. Only those that are not are to be trained on.
    pub(crate) fn split_config(&self) -> SplitConfig {
        let held_out = self.recipe().data.held_out;
        SplitConfig::default()
            .with_train(1.0 - held_out)
            .with_validation(held_out)
            .with_seed(self.recipe().seed)
    }
}

fn of_column(column: recipe::Column) -> Column {
    match column {
        recipe::Column::Text => Column::Text,
        recipe::Column::Messages => Column::Messages,
        recipe::Column::Tools => Column::Tools,
        recipe::Column::System => Column::System,
        recipe::Column::Prompt => Column::Prompt,
        recipe::Column::Input => Column::Input,
        recipe::Column::History => Column::History,
        recipe::Column::Instruction => Column::Instruction,
        recipe::Column::Completion => Column::Completion,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use collimate_data::{
        BuiltIn, Content, Example, Fingerprint, Message, Origin, Position, RenderOptions, Turns,
    };
    use serde_json::json;

    use super::*;
    use crate::settings::testing::{checked, value};

    fn example() -> Example {
        let text = |text: &str| Turns::Text(text.to_owned());
        let strings = Content::PromptCompletion { prompt: text("Why?"), completion: text(" So.") };
        let file = std::path::Path::new("rows.jsonl").into();
        Example::new(strings, Origin { file, position: Position::Line(1) })
    }

    /// A folder with special tokens, and with a template if there is one.
    fn folder(template: Option<&str>) -> (tempfile::TempDir, TemplateFolder) {
        // Without a dot in its name, which would make any name in it that of a file.
        let place = tempfile::Builder::new().prefix("model").tempdir().unwrap();
        let mut config = json!({"eos_token": "<end>"});
        if let Some(template) = template {
            config["chat_template"] = json!(template);
        }
        fs::write(place.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        let read = TemplateFolder::read(place.path()).unwrap();
        (place, read)
    }

    #[test]
    fn the_default_is_that_of_the_reader() {
        let recipe = checked("");
        assert_eq!(recipe.read_settings(), ReadSettings::default());
        assert_eq!(recipe.column_mapping(), ColumnMapping::default());
        assert_eq!(recipe.split_config(), SplitConfig::default().with_validation(0.1));
        assert_eq!([256, 1024, 4096].map(|most| recipe.max_length(most)), [256, 1024, 1024]);
        let prepare = PrepareSettings::default()
            .with_max_length(Some(256))
            .with_truncation(Truncation::KeepStart)
            .with_on_nothing_trained(OnNothingTrained::Drop);
        assert_eq!(recipe.prepare_settings(256), prepare);
    }

    #[test]
    fn everything_can_be_otherwise() {
        let recipe = checked(
            "seed: 7
data:
  paths: [rows.tsv]
  format: tsv
  columns: {prompt: goal, completion: target}
  roles: {teacher: assistant}
  role_key: who
  content_key: says
  max_length: 4096
  truncation: keep_end
  mask: last_turn
  on_nothing_trained: error
  held_out: 0.25
",
        );
        assert_eq!(value(&recipe.read_settings())["format"], "tsv");
        assert_eq!(
            value(&recipe.column_mapping()),
            json!({
                "form": null,
                "columns": {"prompt": "goal", "completion": "target"},
                "roles": {"teacher": "assistant"},
                "role_key": "who",
                "content_key": "says",
            })
        );
        assert_eq!(recipe.max_length(256), 4096);
        assert_eq!(
            value(&recipe.prepare_settings(4096)),
            json!({
                "mask": "last_turn",
                "max_length": 4096,
                "truncation": "keep_end",
                "on_nothing_trained": "error",
            })
        );
        assert_eq!(
            value(&recipe.split_config()),
            json!({"train": 0.75, "validation": 0.25, "seed": 7})
        );
        let all = checked("data: {held_out: 0}").split_config().check().unwrap();
        assert!(all.random(9).unwrap().rows(collimate_data::Part::Validation).is_empty());
    }

    #[test]
    fn each_word_is_the_same_word_there() {
        for word in ["json_lines", "json", "csv", "tsv", "parquet"] {
            let recipe = checked(&format!("data: {{format: {word}}}"));
            assert_eq!(value(&recipe.read_settings())["format"], word);
        }
        for (field, words) in [
            ("mask", ["completion", "assistant", "last_turn", "all"].as_slice()),
            ("truncation", &["error", "drop", "keep_start", "keep_end"]),
            ("on_nothing_trained", &["error", "drop"]),
        ] {
            for word in words {
                let recipe = checked(&format!("data: {{{field}: {word}}}"));
                assert_eq!(value(&recipe.prepare_settings(64))[field], **word);
            }
        }
        for word in [
            "text",
            "messages",
            "tools",
            "system",
            "prompt",
            "input",
            "history",
            "instruction",
            "completion",
        ] {
            let recipe = checked(&format!("data: {{columns: {{{word}: there}}}}"));
            assert_eq!(value(&recipe.column_mapping())["columns"], json!({word: "there"}));
        }
    }

    #[test]
    fn a_template_is_the_named_one_or_the_models() {
        let own = "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}";
        let (_place, bare) = folder(None);
        let (place, with_own) = folder(Some(own));
        let file = place.path().join("chatml");
        fs::write(&file, "File: {{ messages[0].content }}{{ eos_token }}").unwrap();

        let default = checked("");
        assert!(default.template(&bare).unwrap().is_none());
        assert_eq!(default.template(&with_own).unwrap().unwrap().source(), own);

        // With a slash it is a file, though it is called like a built-in one.
        let of_file = checked(&format!("data: {{template: '{}'}}", file.display()));
        let rendered = of_file.template(&bare).unwrap().unwrap();
        let turns = [Message::new("user", "Why?")];
        let rendered = rendered.render_text(&turns, &RenderOptions::default()).unwrap();
        assert_eq!(rendered, "File: Why?<end>");

        for built_in in BuiltIn::ALL {
            let recipe = checked(&format!("data: {{template: {built_in}}}"));
            let template = recipe.template(&with_own).unwrap().unwrap();
            assert_eq!(template.source(), built_in.source());
        }
        for (name, said) in [("lama3", "lama3"), ("./no.jinja", "no.jinja")] {
            let recipe = checked(&format!("data: {{template: {name}}}"));
            let error = recipe.template(&bare).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn what_is_rendered_otherwise_has_another_fingerprint() {
        let (_place, bare) = folder(None);
        let (_own_place, with_own) = folder(Some("{{ messages[0].content }}"));
        let named = checked("data: {template: chatml}");
        let texts = [
            ("", &bare, "Why? So.<end>"),
            ("", &with_own, "Why? So.<end>"),
            (
                "chatml",
                &bare,
                "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n So.<|im_end|>\n",
            ),
        ];
        let mut fingerprints = std::collections::BTreeSet::new();
        for (template, folder, expected) in texts {
            let recipe = if template.is_empty() { checked("") } else { named.clone() };
            let formatter = recipe.formatter(folder).unwrap();
            assert_eq!(formatter.render(&example()).unwrap().text, expected);
            fingerprints.insert(Fingerprint::new().with_formatter(&formatter).unwrap().finish());
        }
        assert_eq!(fingerprints.len(), 3);
    }
}
