use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::section::{section, words};
use super::values::one_or_many;

section! {
    /// What models are trained on.
    DataRecipe {
        /// Files, folders or patterns with records, one or several: JSON Lines, JSON, CSV, TSV or Parquet,
        /// with gzip or zstd. `embedded` is the data set that the program brings. Default `embedded`.
        #[serde(deserialize_with = "one_or_many")]
        #[schemars(schema_with = "super::values::one_or_many_texts")]
        paths, with_paths: Vec<String> = vec!["embedded".to_owned()];
        /// How records lie in the files. Default: as the ends of their names say.
        format, with_format: Option<DataFormat> = None;
        /// Which of the data set's columns is which: `text`, `messages`, `tools`, `system`, `prompt`,
        /// `input`, `history`, `instruction`, `completion`. Default: found out from their names.
        columns, with_columns: BTreeMap<Column, String> = BTreeMap::new();
        /// What the data set's names of roles mean in a chat template: `teacher: assistant`. Default: the
        /// usual names.
        roles, with_roles: BTreeMap<String, String> = BTreeMap::new();
        /// The key of a turn's role. Default: `role` or `from`.
        role_key, with_role_key: Option<String> = None;
        /// The key of a turn's content. Default: `content` or `value`.
        content_key, with_content_key: Option<String> = None;
        /// The chat template: `llama2`, `llama3`, `mistral`, `chatml`, `gemma`, `phi3`, `zephyr`, `alpaca`,
        /// `vicuna`, `plain`, or a file, whose name has a dot or a slash. Default: the model's own.
        template, with_template: Option<String> = None;
        /// Most tokens of a row, at least 2. Default: 1024, or what the model takes where that is less.
        max_length, with_max_length: Option<usize> = None;
        /// What happens to a longer row. Default `keep_start`.
        truncation, with_truncation: Truncation = Truncation::default();
        /// Which tokens carry loss. Default `completion`.
        mask, with_mask: Mask = Mask::default();
        /// What happens to a row without a token that carries loss. Default `drop`.
        on_nothing_trained, with_on_nothing_trained: OnNothingTrained = OnNothingTrained::default();
        /// The share of the rows that is held out to measure on, from 0 to below 1. Default 0.1.
        held_out, with_held_out: f64 = 0.1;
        /// Whether rows are packed into sequences of `max_length` tokens. Default: no.
        pack, with_pack: bool = false;
    }
}

/// What a column of a data set is for.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Column {
    /// One text to be learned as it is.
    Text,
    /// The turns of a conversation.
    Messages,
    /// Tools that the conversation may call.
    Tools,
    /// A system turn that comes first.
    System,
    /// What is given.
    Prompt,
    /// What belongs to the prompt.
    Input,
    /// Earlier pairs of a user's and an assistant's turn.
    History,
    /// How to answer.
    Instruction,
    /// What is to be learned.
    Completion,
}

/// How records lie in a file.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DataFormat {
    /// One JSON object per line.
    JsonLines,
    /// A JSON array of objects.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header.
    Tsv,
    /// Apache Parquet.
    Parquet,
}

words! {
    /// What happens to a row that is longer than allowed.
    Truncation {
        /// It is an error.
        Error,
        /// It is left out, and counted.
        Drop,
        /// Its end is cut off, and counted.
        #[default]
        KeepStart,
        /// Its beginning is cut off, and counted.
        KeepEnd,
    }
}

words! {
    /// Which tokens of a row carry loss.
    Mask {
        /// Everything that follows the prompt.
        #[default]
        Completion,
        /// Everything that the assistant says.
        Assistant,
        /// What the assistant says last.
        LastTurn,
        /// Everything.
        All,
    }
}

words! {
    /// What happens to a row without any token that carries loss.
    OnNothingTrained {
        /// It is an error.
        Error,
        /// It is left out, and counted.
        #[default]
        Drop,
    }
}
