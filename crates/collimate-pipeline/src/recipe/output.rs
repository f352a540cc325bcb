use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::section::{section, words};
use super::values::{one_or_many, size};

section! {
    /// What is written.
    OutputRecipe {
        /// The folder under which everything lies; with several models, each has a folder in it. Default
        /// `aligned`.
        folder, with_folder: PathBuf = PathBuf::from("aligned");
        /// The name of the aligned model. Default: the base model's, with `-lora`, or `-sft` for `full`.
        name, with_name: Option<String> = None;
        /// Whether the adapter, the whole model or both are written. Default: `both` for `lora`, `merged` for
        /// `full`.
        form, with_form: Option<OutputForm> = None;
        /// The type of the weights of the whole model. Default `keep`, which is the base model's.
        dtype, with_dtype: OutputDtype = OutputDtype::default();
        /// Most bytes of a file of weights, as in `5GB`. Default: as the base model's files.
        #[serde(deserialize_with = "size")]
        #[schemars(schema_with = "super::values::size_schema")]
        shard_size, with_shard_size: Option<u64> = None;
        /// Whether a folder that is there is replaced. Default: no.
        replace, with_replace: bool = false;
        /// The licence of the result. Default: the base model's.
        licence, with_licence: Option<String> = None;
        /// Who made it. Default: not said.
        author, with_author: Option<String> = None;
        /// What it is for, in a few sentences of Markdown. Default: not said.
        description, with_description: Option<String> = None;
        /// Its languages, as ISO 639-1 codes. Default: not said.
        #[serde(deserialize_with = "one_or_many")]
        #[schemars(schema_with = "super::values::one_or_many_texts")]
        languages, with_languages: Vec<String> = Vec::new();
        /// Tags of its card, beside those of the method. Default: none.
        #[serde(deserialize_with = "one_or_many")]
        #[schemars(schema_with = "super::values::one_or_many_texts")]
        tags, with_tags: Vec<String> = Vec::new();
    }
}

/// What of an aligned model is written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputForm {
    /// The adapter.
    Adapter,
    /// The whole model.
    Merged,
    /// The whole model, and the adapter beside it.
    Both,
}

words! {
    /// The type of the weights that are written.
    OutputDtype {
        /// That of the base model.
        #[default]
        Keep,
        /// `float32`.
        F32,
        /// `bfloat16`.
        Bf16,
        /// `float16`.
        F16,
    }
}

words! {
    /// The type of the weights while a model runs.
    WeightDtype {
        /// `float32`.
        #[default]
        F32,
        /// `bfloat16`.
        Bf16,
        /// `float16`.
        F16,
    }
}

section! {
    /// Where the run is recorded.
    TrackingRecipe {
        /// Whether it is recorded. Default: yes.
        enabled, with_enabled: bool = true;
        /// The database. Default: `experiments.sqlite` in the folder of the output.
        database, with_database: Option<PathBuf> = None;
        /// What the experiment is called. Default: the name of the aligned model.
        experiment, with_experiment: Option<String> = None;
        /// Tags of the experiment. Default: none.
        #[serde(deserialize_with = "one_or_many")]
        #[schemars(schema_with = "super::values::one_or_many_texts")]
        tags, with_tags: Vec<String> = Vec::new();
    }
}

section! {
    /// How what changed is shown.
    ReportRecipe {
        /// Whether an HTML page is written. Default: yes.
        html, with_html: bool = true;
        /// Whether a summary in Markdown is written. Default: yes.
        markdown, with_markdown: bool = true;
        /// Figures as files of their own. Default `svg`.
        figures, with_figures: FigureFormat = FigureFormat::default();
    }
}

words! {
    /// Figures as files of their own.
    FigureFormat {
        /// None.
        None,
        /// SVG.
        #[default]
        Svg,
        /// PNG.
        Png,
    }
}
