use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;

use crate::adapter::AdapterError;
use crate::config::ConfigError;
use crate::extract::ExtractError;
use crate::merge::MergeError;
use crate::mlx::MlxError;
use crate::modules::{ModuleKind, TreeError};
use crate::pattern::PatternError;

/// Most names that a message repeats.
const MAX_SHOWN: usize = 8;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, PeftError>;

/// Why an adapter can't be read, written or matched with a model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PeftError {
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// A path leads to something else than a file.
    #[error("{}: it is not a regular file; give the path of adapter_config.json", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A file is too large to be a configuration.
    #[error("{}: it has more than {limit} bytes, too many for a configuration", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes that are read.
        limit: u64,
    },
    /// A file is no text.
    #[error("{}: it is not UTF-8 at byte {position}", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Where, in bytes from the beginning.
        position: usize,
    },
    /// A file is no JSON object, or not one that can be kept exactly.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// A file is no configuration of a LoRA adapter.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// A configuration that was not read from a file is wrong.
    #[error(transparent)]
    Setting(#[from] ConfigError),
    /// The modules of a model can't be told from its tensors.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A regular expression can't be used.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Settings that give an adapter other modules or tensors than are known here.
    #[error(
        "{} set: an adapter with other modules or tensors than LoRA's is not supported",
        quoted(fields)
    )]
    Unsupported {
        /// The fields.
        fields: Vec<&'static str>,
    },
    /// PEFT has no default for models of this type.
    #[error(
        "there are no default target modules for models of type {model_type:?}: set \
         `target_modules`, for example to \"all-linear\""
    )]
    NoDefaultTargets {
        /// The `model_type` of its configuration.
        model_type: String,
    },
    /// The configuration doesn't say what to adapt.
    #[error("`target_modules` is not set: set it, for example to \"all-linear\"")]
    NoTargets,
    /// Not one module is adapted.
    #[error("no module matches {}{}; {}", quoted(targets), left_out_words(*left_out), offer(candidates))]
    NothingMatches {
        /// What was looked for.
        targets: Vec<String>,
        /// How many modules match, but are left out by `exclude_modules`, `modules_to_save` or
        /// `layers_to_transform`.
        left_out: usize,
        /// The ends of names of modules that can be adapted, the most similar first.
        candidates: Vec<Candidate>,
    },
    /// A target is not of a kind that has an adapter.
    #[error(
        "`target_modules` matches {module:?}, which is {kind}: only linear modules and embeddings \
         can be adapted; name them, or leave it out with `exclude_modules`"
    )]
    NotAdaptable {
        /// The module.
        module: String,
        /// What it is.
        kind: ModuleKind,
    },
    /// B can't have a bias in an embedding.
    #[error("`lora_bias` is set, but the target {module:?} is an embedding: leave one of them out")]
    BiasOnEmbedding {
        /// The module.
        module: String,
    },
    /// A module can't be saved whole because it, or one within it, is adapted or saved already, or
    /// because it is a list of modules.
    #[error("`modules_to_save` matches {module:?}, which can't be saved: {reason}")]
    NotSavable {
        /// The module.
        module: String,
        /// Why not.
        reason: String,
    },
    /// The tensors of an adapter are not what they should be.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// Adapters can't be merged into a model.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// No adapter can be extracted from two models.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// An adapter can't be read from the MLX layout, or written in it.
    #[error(transparent)]
    Mlx(#[from] MlxError),
    /// More parameters than can be counted.
    #[error("the adapter has more parameters than can be counted")]
    TooManyParameters,
}

/// Modules that could be adapted, by the end of their names.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Candidate {
    /// The last component of their names.
    pub name: String,
    /// How many have it.
    pub modules: usize,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ×{}", self.name, self.modules)
    }
}

fn quoted(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<_> =
        names.iter().take(MAX_SHOWN).map(|name| format!("{:?}", name.as_ref())).collect();
    match names.len().saturating_sub(MAX_SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn left_out_words(count: usize) -> String {
    if count == 0 {
        return String::new();
    }
    format!(
        " that is not left out ({count} left out by `exclude_modules`, `modules_to_save` or \
         `layers_to_transform`)"
    )
}

fn offer(candidates: &[Candidate]) -> String {
    if candidates.is_empty() {
        return "the model has no module that can be adapted".to_owned();
    }
    let names: Vec<_> = candidates.iter().map(ToString::to_string).collect();
    format!("it has {}", names.join(", "))
}
