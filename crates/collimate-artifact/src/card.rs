//! `README.md` with the front matter that the Hub reads, and the same for programs.

mod licences;
mod yaml;

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::alignment::{Alignment, Evaluation};
use crate::form::Form;
use crate::parent::Parent;

use yaml::Yaml;

/// What a card says beside what was done.
pub(crate) struct Card<'a> {
    pub(crate) alignment: &'a Alignment,
    pub(crate) parent: &'a Parent,
    pub(crate) form: Form,
    /// Number of adapters that were merged, or are there.
    pub(crate) adapters: usize,
    /// Whether there is a chat template.
    pub(crate) chat: bool,
    /// Folder of the model, from where the card stands: mostly `.`.
    pub(crate) model: &'a str,
    /// Parameters of the whole model, and those that an adapter changes; where they are known.
    pub(crate) parameters: Option<u64>,
    pub(crate) adapted: Option<u64>,
}

impl Card<'_> {
    /// The text of `README.md`.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("---\n{}---\n\n", self.front_matter());
        let alignment = self.alignment;
        let name = &alignment.model_name;
        let parent = match self.parent.hub_id() {
            Some(id) => format!("[{id}](https://huggingface.co/{id})"),
            None => escaped(&self.parent.reference),
        };
        let what = match self.form {
            Form::Standalone => "An aligned version",
            Form::Adapter => "A LoRA adapter",
        };
        // Writing to a string can't fail.
        let _ = write!(text, "# {}\n\n{what} of {parent}", escaped(name));
        if let Some(revision) = &self.parent.revision {
            let _ = write!(text, " (commit `{}`)", code(revision));
        }
        let technique = alignment.technique.title();
        let _ = writeln!(text, ", made with {}.", escaped(technique));
        if let Some(description) = &alignment.description {
            let _ = writeln!(text, "\n{}", description.trim());
        }
        let _ = write!(text, "\n## Use\n\n{}", self.usage());
        let _ = write!(text, "\n## How it was made\n\n{}", self.facts());
        if !alignment.evaluations.is_empty() {
            let _ = write!(text, "\n## What was measured\n\n{}", table(&alignment.evaluations));
        }
        text
    }

    /// `model_card.json`.
    pub(crate) fn json(&self) -> Value {
        let Alignment { technique, timestamp, datasets, evaluations, .. } = self.alignment;
        json!({
            "adapters": self.adapters,
            "base_model": self.parent.reference,
            "base_model_relation": self.relation(),
            "base_model_revision": self.parent.revision,
            "created": timestamp,
            "datasets": datasets,
            "description": self.alignment.description,
            "evaluations": evaluations,
            "languages": self.alignment.languages,
            "library_name": self.library(),
            "license": self.licence(),
            "model_name": self.alignment.model_name,
            "parameters": self.parameters,
            "pipeline_tag": "text-generation",
            "standalone": self.form == Form::Standalone,
            "tags": self.tags(),
            "technique": technique.id(),
            "technique_title": technique.title(),
            "trained_parameters": self.adapted,
        })
    }

    fn front_matter(&self) -> String {
        let mut yaml = Yaml::new();
        if let Some(id) = self.parent.hub_id() {
            yaml.field("base_model", id);
            yaml.field("base_model_relation", self.relation());
        }
        let datasets: BTreeSet<_> =
            self.alignment.datasets.iter().filter_map(|data| data.hub_id.as_deref()).collect();
        yaml.list("datasets", datasets);
        yaml.list("language", self.alignment.languages.iter().map(String::as_str));
        yaml.field("library_name", self.library());
        if let Some(licence) = self.licence() {
            let (id, name) = licences::of(licence);
            yaml.field("license", id);
            if let Some(name) = name {
                yaml.field("license_name", name);
            }
        }
        let measured = self.alignment.evaluations.iter();
        let metrics: BTreeSet<_> = measured.map(|found| found.measurement.name.as_str()).collect();
        yaml.list("metrics", metrics);
        yaml.field("pipeline_tag", "text-generation");
        let tags = self.tags();
        yaml.list("tags", tags.iter().map(String::as_str));
        if !self.alignment.evaluations.is_empty() {
            yaml.raw(&self.model_index());
        }
        yaml.text
    }

    /// The results by the data that they were measured on, in the order given.
    fn model_index(&self) -> String {
        let mut results: Vec<(&Evaluation, Vec<&Evaluation>)> = Vec::new();
        for evaluation in &self.alignment.evaluations {
            match results.iter_mut().find(|(first, _)| first.dataset == evaluation.dataset) {
                Some((_, same)) => same.push(evaluation),
                None => results.push((evaluation, vec![evaluation])),
            }
        }
        let name = yaml::scalar(&self.alignment.model_name);
        let mut text = format!("model-index:\n- name: {name}\n  results:\n");
        for (first, evaluations) in results {
            let data = &first.dataset;
            text.push_str("  - task:\n      type: text-generation\n    dataset:\n");
            let kind = data.hub_id.as_deref().unwrap_or(&data.name);
            let _ = writeln!(text, "      name: {}", yaml::scalar(&data.name));
            let _ = writeln!(text, "      type: {}", yaml::scalar(kind));
            if let Some(split) = &data.split {
                let _ = writeln!(text, "      split: {}", yaml::scalar(split));
            }
            text.push_str("    metrics:\n");
            for Evaluation { measurement, .. } in evaluations {
                let _ = writeln!(text, "    - type: {}", yaml::scalar(&measurement.name));
                let _ = writeln!(text, "      value: {}", number(measurement.value));
            }
        }
        text
    }

    fn relation(&self) -> &'static str {
        match self.form {
            Form::Adapter => "adapter",
            Form::Standalone if self.adapters > 1 => "merge",
            Form::Standalone => "finetune",
        }
    }

    fn library(&self) -> &'static str {
        match self.form {
            Form::Adapter => "peft",
            Form::Standalone => "transformers",
        }
    }

    fn licence(&self) -> Option<&str> {
        self.alignment.licence.as_deref().or(self.parent.licence.as_deref())
    }

    fn tags(&self) -> Vec<String> {
        let mut tags: BTreeSet<_> = self.alignment.tags.iter().cloned().collect();
        tags.extend(self.alignment.technique.tags().iter().cloned());
        tags.extend(["aligned", "collimate"].map(str::to_owned));
        tags.into_iter().collect()
    }

    /// Python that works where the card stands.
    fn usage(&self) -> String {
        let folder = serde_json::Value::from(self.model).to_string();
        let mut text = "In this folder:\n\n```python\n".to_owned();
        match self.form {
            Form::Standalone => {
                text.push_str("from transformers import AutoModelForCausalLM, AutoTokenizer\n\n");
                let _ = writeln!(text, "folder = {folder}");
                text.push_str(
                    "model = AutoModelForCausalLM.from_pretrained(folder, dtype=\"auto\")\n",
                );
            }
            Form::Adapter => {
                text.push_str("from peft import PeftModel\n");
                text.push_str("from transformers import AutoModelForCausalLM, AutoTokenizer\n\n");
                let _ = writeln!(text, "folder = {folder}");
                let base = serde_json::Value::from(self.parent.reference.as_str()).to_string();
                let _ = writeln!(text, "base = {base}");
                text.push_str(
                    "model = AutoModelForCausalLM.from_pretrained(base, dtype=\"auto\")\n\
                     model = PeftModel.from_pretrained(model, folder)\n",
                );
            }
        }
        text.push_str("tokenizer = AutoTokenizer.from_pretrained(folder)\n\n");
        if self.chat {
            text.push_str(
                "inputs = tokenizer.apply_chat_template(\n    \
                     [{\"role\": \"user\", \"content\": \"Why is the sky blue?\"}],\n    \
                     add_generation_prompt=True, return_dict=True, return_tensors=\"pt\",\n)\n",
            );
        } else {
            text.push_str(
                "inputs = tokenizer(\"The sky is blue because\", return_tensors=\"pt\")\n",
            );
        }
        text.push_str(
            "output = model.generate(**inputs, max_new_tokens=64)\n\
             print(tokenizer.decode(output[0], skip_special_tokens=True))\n```\n",
        );
        text
    }

    fn facts(&self) -> String {
        let alignment = self.alignment;
        let mut text = format!("- When: {}\n", alignment.timestamp);
        if let Some(run) = &alignment.run_id {
            let _ = writeln!(text, "- Run: `{}`", code(run));
        }
        if let (Some(parameters), Some(adapted)) = (self.parameters, self.adapted) {
            let percent = adapted as f64 / parameters.max(1) as f64 * 100.0;
            let _ =
                writeln!(text, "- Trained: {adapted} of {parameters} parameters ({percent:.3}%)");
        }
        for data in &alignment.datasets {
            let mut line = format!("- Data: {}", escaped(&data.name));
            if let Some(split) = &data.split {
                let _ = write!(line, ", {}", escaped(split));
            }
            if let Some(rows) = data.rows {
                let _ = write!(line, ", {rows} rows");
            }
            if let Some(sha256) = &data.sha256 {
                let _ = write!(line, ", SHA-256 `{}`", code(sha256));
            }
            text.push_str(&line);
            text.push('\n');
        }
        let more = match self.form {
            Form::Standalone if self.adapters == 0 => {
                "`training_config.json` and `alignment_info.json`"
            }
            Form::Standalone => "`training_config.json`, `alignment_info.json` and `adapter/`",
            Form::Adapter => {
                "`training_config.json`, `alignment_info.json` and `adapter_config.json`"
            }
        };
        let _ = writeln!(text, "- Everything else: {more}");
        text
    }
}

fn table(evaluations: &[Evaluation]) -> String {
    let mut text = "| metric | value | unit | data |\n|---|---|---|---|\n".to_owned();
    for Evaluation { dataset, measurement } in evaluations {
        let unit = measurement.unit.as_deref().unwrap_or("");
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            escaped(&measurement.name),
            number(measurement.value),
            escaped(unit),
            escaped(&dataset.name)
        );
    }
    text
}

/// The shortest decimal that reads back as the same number.
fn number(value: f64) -> String {
    serde_json::Number::from_f64(value).map_or_else(String::new, |number| number.to_string())
}

/// Text that Markdown shows as it is, on one line.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '&' => {
                out.push('\\');
                out.push(character);
            }
            _ if character.is_control() => out.push(' '),
            _ => out.push(character),
        }
    }
    out
}

/// Text that stands between backticks.
fn code(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != '`').collect()
}
