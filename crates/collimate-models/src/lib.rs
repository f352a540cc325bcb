#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cache;
mod catalog;
mod description;
mod entry;
mod error;
mod folder;
#[cfg(feature = "hub")]
mod hub;
mod hub_tree;
mod lineage;
mod name;
mod printable;
mod problem;
mod selection;
mod weights;

pub use cache::{CacheError, CacheStats, Lease, ModelCache};
pub use catalog::{Catalog, Collision, ScanConfig, SkipReason, Skipped};
pub use collimate_tensors::{Dtype, SafetensorsError, SafetensorsHeader, SafetensorsTensor};
pub use description::{
    AdapterInfo, AlignmentInfo, Architecture, ChatTemplate, Description, Quantization,
    TokenizerFiles,
};
pub use entry::{Entry, Kind, Source, State};
pub use error::{ModelsError, Result};
#[cfg(feature = "hub")]
pub use hub::{
    Fetched, FetchedFile, FileSelection, Hub, HubConfig, HubError, HubEvent, RepoFile, RepoKind,
    RepoListing, Verification,
};
pub use lineage::Parent;
pub use name::{ModelName, NameError, RepoId, RepoIdError};
pub use printable::printable;
pub use problem::Problem;
pub use selection::{Candidate, MatchRule, Selected, SelectionError};
pub use weights::{
    CountedFrom, GgufError, GgufHeader, GgufTensor, WeightFile, WeightFormat, Weights,
};
