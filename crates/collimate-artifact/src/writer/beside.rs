//! What is written beside the weights.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::AtomicBool;

use collimate_peft::MergeReport;
use collimate_tensors::{Checkpoint, Shards};
use serde_json::{Map, Value};

use super::{ArtifactWriter, all_files, file_names, statements, weights, write_json};
use crate::checksums::Checksums;
use crate::config::{CONFIG, Changes, GENERATION_CONFIG, aligned, generation};
use crate::copy::SourceFolder;
use crate::error::{ArtifactError, Result};
use crate::files::is_copied;
use crate::form::Form;
use crate::stage::Staging;
use crate::tokenizer::{LoadedTokenizer, TokenizerSuite};
use crate::verify::load_staged;

/// Everything of a standalone model but its weights and the checksums, written while those are merged.
pub(super) struct Beside<'a> {
    pub(super) writer: &'a ArtifactWriter<'a>,
    pub(super) source: &'a SourceFolder,
    pub(super) of_parent: &'a Checkpoint,
    /// The parameters of weights of which all were trained.
    pub(super) trained: Option<u64>,
    pub(super) config: &'a Map<String, Value>,
    pub(super) staging: &'a Staging,
    /// Where the model stands: empty, or ends in `/`.
    pub(super) folder: &'a str,
    pub(super) weights: &'a Shards,
    pub(super) report: &'a MergeReport,
}

/// What came of it.
#[derive(Default)]
pub(super) struct WrittenBeside {
    pub(super) checksums: Checksums,
    /// As it was loaded from what was written.
    pub(super) tokenizer: Option<LoadedTokenizer>,
    pub(super) left_out: Vec<String>,
}

impl Beside<'_> {
    /// Writes, brings to the disk and hashes, and loads the tokenizer. All of it on this thread: those
    /// of the pool are merging.
    pub(super) fn write(&self, stop: &AtomicBool) -> Result<WrittenBeside> {
        let (writer, staging, folder) = (self.writer, self.staging, self.folder);
        writer.write_adapters(staging, folder)?;
        writer.write_tokenizer(staging, folder, stop)?;
        let copied = self.copy(stop)?;
        let place = |name: &str| format!("{folder}{name}");
        if !copied.contains(GENERATION_CONFIG)
            && let Some(generation) = generation(self.config)
        {
            write_json(staging, &place(GENERATION_CONFIG), &Value::Object(generation))?;
        }
        let changes = Changes {
            alignment: writer.alignment,
            parent: writer.parent,
            peft_config: statements::peft_config(&writer.adapters, writer.parent)?,
            dtype: weights::dtype_of(writer.dtype),
            untied: self.report.untied,
        };
        let config = aligned(self.config.clone(), &changes);
        write_json(staging, &place(CONFIG), &Value::Object(config))?;
        writer.write_companions(staging, stop)?;
        writer.write_statements(
            staging,
            Form::Standalone,
            folder,
            Some(self.report),
            self.trained,
        )?;
        let tokenizer = load_staged(staging.path(), folder)?;
        let weights: BTreeSet<_> =
            self.weights.files.iter().map(|shard| place(&shard.file)).collect();
        let mut files = all_files(staging.path())?;
        files.retain(|file| !weights.contains(file));
        let mut checksums = Checksums::default();
        checksums.add_files(staging.path(), files, stop)?;
        staging.sync()?;
        let left_out = self.left_out(&copied)?;
        Ok(WrittenBeside { checksums, tokenizer: Some(tokenizer), left_out })
    }

    /// Copies what belongs to the model beside weights, configuration and tokenizer.
    fn copy(&self, stop: &AtomicBool) -> Result<BTreeSet<String>> {
        let has_code = self.config.contains_key("auto_map");
        let mut copied = BTreeSet::new();
        for name in file_names(self.source.path())? {
            if name == GENERATION_CONFIG || is_copied(&name, has_code) {
                let to = self.staging.file(&format!("{}{name}", self.folder))?;
                self.source.copy(&name, &to, stop)?;
                copied.insert(name);
            }
        }
        Ok(copied)
    }

    /// What of the parent's folder is neither copied nor read.
    fn left_out(&self, copied: &BTreeSet<String>) -> Result<Vec<String>> {
        let folder = self.source.path();
        let suite = TokenizerSuite::of(self.source)?;
        let mut weights: BTreeSet<_> =
            self.of_parent.files().iter().map(|file| file.path()).collect();
        weights.extend(self.of_parent.index());
        let mut left_out = Vec::new();
        for entry in fs::read_dir(folder).map_err(ArtifactError::io(folder))? {
            let entry = entry.map_err(ArtifactError::io(folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_used = name == CONFIG
                || copied.contains(&name)
                || suite.files.iter().any(|file| file.split('/').next() == Some(name.as_str()))
                || weights.contains(entry.path().as_path());
            if !is_used {
                left_out.push(name);
            }
        }
        left_out.sort_unstable();
        Ok(left_out)
    }
}
