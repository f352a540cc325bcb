use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use collimate_data::{Mask, OnNothingTrained, PrepareSettings, Truncation};

/// Shows what a data set becomes on its way into training, and writes the splits.
///
/// Without --data, a few embedded conversations are formatted in the ChatML format and tokenized byte
/// by byte.
#[derive(Parser)]
#[command(version)]
pub struct Arguments {
    /// File, folder or pattern with records (JSON Lines, JSON, CSV, TSV, Parquet; gzip or zstd); may be
    /// given several times
    #[arg(long, value_name = "PATH")]
    pub data: Vec<String>,
    /// Folder with the model's tokenizer and chat template
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Chat template: a built-in name (chatml, llama-2, llama-3, mistral, gemma, phi-3, zephyr, alpaca,
    /// vicuna, plain) or a file; prompts and completions that are strings become turns [default: the
    /// model's]
    #[arg(long, value_name = "NAME|FILE")]
    pub template: Option<String>,
    /// Which tokens carry loss
    #[arg(long, value_enum, default_value = "completion")]
    pub mask: MaskName,
    /// Most tokens of a row
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
    /// What happens to a longer row
    #[arg(long, value_enum, default_value = "error")]
    pub truncation: TruncationName,
    /// Leave out records in which nothing carries loss, and count them, instead of stopping at the first
    #[arg(long)]
    pub drop_untrained: bool,
    /// What the columns are, where their names do not say it, as in prompt=goal,completion=target
    #[arg(long, value_name = "COLUMN=NAME,…")]
    pub columns: Option<String>,
    /// Pack rows into sequences of --max-length tokens; with --out they are written as JSON Lines with
    /// input_ids, labels, position_ids and segment_ids
    #[arg(long)]
    pub pack: bool,
    /// Count the prompts that a keyword heuristic takes for unsafe, by category
    #[arg(long)]
    pub labels: bool,
    /// Share of the records to train on; the others are for validation. Duplicates stay together
    #[arg(long, value_name = "SHARE", default_value = "0.9")]
    pub split: f64,
    /// Seed of the split
    #[arg(long, value_name = "N", default_value = "42")]
    pub seed: u64,
    /// Folder to write the splits into: records as JSON Lines, prepared rows, and the report
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Folder that keeps the prepared rows for the next run with the same data and settings [default:
    /// the folder `prepared` in --out]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Rows to show
    #[arg(long, value_name = "N", default_value = "2")]
    pub show: usize,
    /// Print each rendered conversation as one JSON string per line, or {"error": …}, and nothing else
    #[arg(long)]
    pub render: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

impl Arguments {
    /// How texts become rows.
    pub fn prepare_settings(&self) -> PrepareSettings {
        let on_nothing_trained = match self.drop_untrained {
            true => OnNothingTrained::Drop,
            false => OnNothingTrained::Error,
        };
        PrepareSettings::default()
            .with_mask(self.mask.into())
            .with_max_length(self.max_length)
            .with_truncation(self.truncation.into())
            .with_on_nothing_trained(on_nothing_trained)
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum MaskName {
    Completion,
    Assistant,
    LastTurn,
    All,
}

impl From<MaskName> for Mask {
    fn from(name: MaskName) -> Self {
        match name {
            MaskName::Completion => Self::Completion,
            MaskName::Assistant => Self::Assistant,
            MaskName::LastTurn => Self::LastTurn,
            MaskName::All => Self::All,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum TruncationName {
    Error,
    Drop,
    KeepStart,
    KeepEnd,
}

impl From<TruncationName> for Truncation {
    fn from(name: TruncationName) -> Self {
        match name {
            TruncationName::Error => Self::Error,
            TruncationName::Drop => Self::Drop,
            TruncationName::KeepStart => Self::KeepStart,
            TruncationName::KeepEnd => Self::KeepEnd,
        }
    }
}
