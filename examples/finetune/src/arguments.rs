use std::path::{Path, PathBuf};

use clap::Parser;
use collimate_peft::{LoraConfig, TargetModules};
use collimate_train::{EvaluationConfig, Every, Method, TrainConfig};
use serde_json::Value;
use shell::Outcome;

/// Most steps, unless told otherwise.
pub const MAX_STEPS: u64 = 250;
/// Most tokens of a row, unless told otherwise.
const MAX_LENGTH: usize = 1024;

/// Fine-tunes a language model with LoRA on a data set, of which a tenth is held out to measure on.
///
/// What is under --out in the end is an adapter that PEFT loads. Ctrl-C writes a checkpoint; the same
/// command with --resume goes on from there and comes to the same bits. Without arguments a tiny model
/// learns a few words.
#[derive(Parser)]
#[command(version)]
pub struct Arguments {
    /// Folder of the model: config.json, weights, tokenizer.json
    #[arg(long, value_name = "DIR", requires_all = ["data", "out"])]
    pub model: Option<PathBuf>,
    /// File, folder or pattern with records (JSON Lines, JSON, CSV, TSV, Parquet; gzip or zstd); may be
    /// given several times
    #[arg(long, value_name = "PATH", requires = "model")]
    pub data: Vec<String>,
    /// Folder for checkpoints and the adapter
    #[arg(long, value_name = "DIR", requires = "model")]
    pub out: Option<PathBuf>,
    /// YAML or JSON file with settings, laid over the defaults; options of the command line win
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Rank of the adapter [default: 16]
    #[arg(long, value_name = "R")]
    pub rank: Option<u32>,
    /// What its update is multiplied by, times its rank [default: 32]
    #[arg(long, value_name = "ALPHA")]
    pub alpha: Option<f64>,
    /// Probability of dropping an input of the adapter [default: 0.05]
    #[arg(long, value_name = "P")]
    pub dropout: Option<f64>,
    /// Which modules are adapted: all-linear, or names as in q_proj,v_proj [default: all-linear]
    #[arg(long, value_name = "NAMES")]
    pub targets: Option<String>,
    /// Learning rate [default: 2e-4]
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
    /// How often all rows are seen [default: 3]
    #[arg(long, value_name = "N")]
    pub epochs: Option<f64>,
    /// Most steps [default: 250]
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Rows, or packed sequences, that run together [default: 8]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Batches whose gradients are added up to one step [default: 1]
    #[arg(long, value_name = "N")]
    pub accumulate: Option<usize>,
    /// Chat template: a built-in name (chatml, llama-2, llama-3, mistral, gemma, phi-3, zephyr, alpaca,
    /// vicuna, plain) or a file [default: the model's]
    #[arg(long, value_name = "NAME|FILE")]
    pub template: Option<String>,
    /// Most tokens of a row; what is longer is cut at its end, and counted [default: 1024, or what the
    /// model takes]
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
    /// Pack rows into sequences of --max-length tokens
    #[arg(long)]
    pub pack: bool,
    /// Where it runs: cpu, or cuda, vulkan, wgpu where the program was built with them, with a number
    /// as in cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// The type of the weights: f32, bf16 or f16; on a card that of activations as well. Adapters are always
    /// f32
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub dtype: String,
    /// What every random choice follows from [default: 42]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Go on from the latest checkpoint under --out
    #[arg(long)]
    pub resume: bool,
    /// Print what happens as lines of JSON
    #[arg(long)]
    pub json_events: bool,
}

impl Arguments {
    /// The settings: defaults, under those of the file, under those of the command line.
    pub fn settings(&self) -> Outcome<TrainConfig> {
        let evaluation = EvaluationConfig::default().with_every(Every::Epoch);
        let mut config =
            TrainConfig::default().with_evaluation(evaluation).with_max_steps(MAX_STEPS);
        if let Some(path) = &self.config {
            config = config.merged(&read(path)?)?;
        }
        if let Some(rate) = self.lr {
            config = config.with_learning_rate(rate);
        }
        if let Some(epochs) = self.epochs {
            config = config.with_epochs(epochs);
        }
        if let Some(steps) = self.max_steps {
            config = config.with_max_steps(steps);
        }
        if let Some(rows) = self.batch {
            config = config.with_batch_size(rows);
        }
        if let Some(batches) = self.accumulate {
            config = config.with_accumulation(batches);
        }
        if let Some(seed) = self.seed {
            config = config.with_seed(seed);
        }
        let is_set = self.rank.is_some()
            || self.alpha.is_some()
            || self.dropout.is_some()
            || self.targets.is_some();
        match &mut config.method {
            Method::Lora { adapter, .. } => self.adapt(adapter),
            _ if is_set => {
                return Err("--rank, --alpha, --dropout and --targets are for LoRA; the settings \
                            train another method"
                    .into());
            }
            _ => {}
        }
        Ok(config)
    }

    fn adapt(&self, adapter: &mut LoraConfig) {
        if let Some(rank) = self.rank {
            adapter.r = rank;
        }
        if let Some(alpha) = self.alpha {
            adapter.lora_alpha = alpha;
        }
        if let Some(dropout) = self.dropout {
            adapter.lora_dropout = dropout;
        }
        if let Some(names) = &self.targets {
            adapter.target_modules = Some(match names.as_str() {
                "all-linear" => TargetModules::AllLinear,
                names => TargetModules::list(names.split(',').map(str::trim)),
            });
        }
    }

    /// Most tokens of a row of a model that takes so many.
    pub fn most_tokens(&self, model: usize) -> usize {
        self.max_length.unwrap_or(MAX_LENGTH.min(model))
    }
}

/// What a file says; YAML, of which JSON is a part.
fn read(path: &Path) -> Outcome<Value> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{shown} can't be read: {error}"))?;
    Ok(serde_saphyr::from_str(&text).map_err(|error| format!("{shown}: {error}"))?)
}
