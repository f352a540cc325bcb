use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};
use collimate_peft::MergeDtype;

/// Merges LoRA adapters into their base model and writes the result as a complete folder.
///
/// Without arguments it merges a tiny model that it makes itself.
#[derive(Parser)]
#[command(version)]
pub struct Arguments {
    /// The base model: a folder, or the name of a model in one of the places that are searched
    #[arg(long, value_name = "DIR|NAME", requires = "adapter", requires = "out")]
    pub base: Option<String>,
    /// Folders of PEFT adapters, separated by commas, each with a weight if it isn't 1
    #[arg(long, value_name = "DIR[:WEIGHT]", value_delimiter = ',', requires = "base")]
    pub adapter: Vec<WeightedAdapter>,
    /// The folder to write
    #[arg(long, value_name = "DIR", requires = "base")]
    pub out: Option<PathBuf>,
    /// The type of the merged weights
    #[arg(long, value_enum, default_value = "keep")]
    pub dtype: Dtype,
    /// Most bytes of a file of weights, as in 5GB or 500MB [default: as the base model's]
    #[arg(long, value_name = "SIZE")]
    pub shard_size: Option<Size>,
    /// Write the adapter, tokenizer and card alone
    #[arg(long)]
    pub adapter_only: bool,
    /// Replace the folder if it is there
    #[arg(long)]
    pub replace: bool,
    /// How the adapters were trained: lora, sft, or a name of your own
    #[arg(long, value_name = "NAME", default_value = "lora")]
    pub technique: String,
    /// The name of the result [default: the name of the folder]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where models are searched by name; may be given several times [default: ./models]
    #[arg(long, value_name = "DIR")]
    pub root: Vec<PathBuf>,
    /// Hugging Face cache to search in [default: $HF_HUB_CACHE, $HF_HOME/hub, ~/.cache/huggingface/hub]
    #[arg(long, value_name = "DIR")]
    pub hf_cache: Option<PathBuf>,
    /// Print what was written as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Dtype {
    Keep,
    F32,
    Bf16,
    F16,
}

impl From<Dtype> for MergeDtype {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Keep => Self::Keep,
            Dtype::F32 => Self::F32,
            Dtype::Bf16 => Self::Bf16,
            Dtype::F16 => Self::F16,
        }
    }
}

/// A folder, with what its scale is multiplied by.
#[derive(Clone)]
pub struct WeightedAdapter {
    pub folder: PathBuf,
    pub weight: f64,
}

impl FromStr for WeightedAdapter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let split = text.rsplit_once(':').and_then(|(folder, weight)| {
            // What follows the colon of a drive is a path.
            Some((folder, weight.parse::<f64>().ok()?))
        });
        let (folder, weight) = split.unwrap_or((text, 1.0));
        match folder {
            "" => Err("there is no folder before the weight".to_owned()),
            _ if !weight.is_finite() => Err(format!("{weight} is no weight")),
            _ => Ok(Self { folder: PathBuf::from(folder), weight }),
        }
    }
}

/// Bytes, written as in 5GB.
#[derive(Clone, Copy)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match text[digits.len()..].to_ascii_uppercase().as_str() {
            "" | "B" => 1,
            "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KIB" => 1 << 10,
            "MIB" => 1 << 20,
            "GIB" => 1 << 30,
            _ => {
                return Err(
                    "a size is a whole number with B, KB, MB, GB, KiB, MiB or GiB".to_owned()
                );
            }
        };
        let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        match bytes {
            Some(0) | None => Err("a size is a whole number above 0, such as 5GB".to_owned()),
            Some(bytes) => Ok(Self(bytes)),
        }
    }
}
