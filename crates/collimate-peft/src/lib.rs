#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod adapter;
mod config;
mod coverage;
mod defaults;
mod disk;
mod error;
mod extract;
mod matching;
mod merge;
mod mlx;
mod modules;
mod names;
mod pattern;
mod selector;
mod targets;

pub use adapter::{Adapter, AdapterError, AdapterKey, AdapterPart, AdapterTensor};
pub use config::{
    Bias, ConfigError, InitLoraWeights, LoraConfig, ModuleNames, OneOrMany, TargetModules,
};
pub use coverage::Coverage;
pub use defaults::default_target_modules;
pub use error::{Candidate, PeftError, Result};
pub use extract::{Extract, ExtractError, ExtractReport, ExtractedModule, Reconstruction};
pub use merge::{
    Merge, MergeDtype, MergeError, MergePlan, MergeReport, MergedAdapter, TensorChange,
};
pub use mlx::MlxError;
pub use modules::{Module, ModuleKind, ModuleTree, TreeError, is_buffer};
pub use pattern::PatternError;
pub use targets::{SavedModule, Target, Targets, Unmatched};
