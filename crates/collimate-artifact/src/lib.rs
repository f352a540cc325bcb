#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod alignment;
mod card;
mod certificate;
mod checksums;
mod config;
mod copy;
mod disk;
mod error;
mod event;
mod files;
mod form;
mod inspect;
mod json;
mod ledger;
mod measurement;
mod metadata;
mod names;
mod parent;
mod project;
mod record;
mod space;
mod stage;
mod technique;
mod tokenizer;
mod verify;
mod version;
mod writer;

pub use alignment::{Alignment, Dataset, Evaluation};
pub use certificate::{Certificate, CertifiedModel, Dna, TrainingResults, verify_certificates};
pub use checksums::{Checksum, ChecksumReport, Checksums, verify_checksums};
pub use copy::{CopiedFile, SourceFolder, copy_file};
pub use error::{ArtifactError, Result};
pub use event::{ArtifactEvent, Observer};
pub use form::Form;
pub use inspect::{Inspection, inspect};
pub use ledger::{Ledger, LedgerEntry, LedgerProblem, LedgerReport};
pub use measurement::Measurement;
pub use metadata::{ModelWeights, ProjectMetadata};
pub use names::{
    FolderName, ModelFolders, RealName, adapter_folder, organization_folder, standalone_folder,
};
pub use parent::Parent;
pub use project::{Project, Release};
pub use record::{AlignmentRecord, MergedRecord, Tool};
pub use space::{check_space, free_space};
pub use stage::{Replace, Staging};
pub use technique::Technique;
pub use tokenizer::{TokenizerCheck, TokenizerSuite, check_tokenizer};
pub use verify::{Finding, Severity, Verification, verify};
pub use version::{Bump, Version};
pub use writer::{ArtifactWriter, Sharding, Written};
