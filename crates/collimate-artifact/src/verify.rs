//! Whether a folder is what it says, and loads.

mod statements;
mod weights;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use collimate_models::{Entry, Kind};
use serde::Serialize;

use crate::checksums::{Checksums, verify_checksums};
use crate::error::{ArtifactError, Result};
use crate::event::{ArtifactEvent, Observer, check_cancelled};
use crate::form::Form;
use crate::inspect::model_in;
use crate::record::AlignmentRecord;
use crate::tokenizer::LoadedTokenizer;

/// What was found when a folder was checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// The folder.
    pub path: PathBuf,
    /// What it holds.
    pub form: Form,
    /// Files whose checksum was compared; 0 where the folder has no checksums.
    pub checksums: u64,
    /// Tensors whose place, type and shape were checked.
    pub tensors: u64,
    /// Tokens of the tokenizer; absent where there is none that works.
    pub tokens: Option<u64>,
    /// What is wrong or worth knowing, errors first.
    pub findings: Vec<Finding>,
}

/// Something that is wrong with a folder, or worth knowing.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file that it is about, by its path in the folder; empty where it is about all.
    pub file: String,
    /// What it is.
    pub message: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// The folder is not to be used.
    Error,
    /// It can be used.
    Note,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.errors().next().is_none()
    }

    /// What is wrong.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file.as_str() {
            "" => f.write_str(&self.message),
            file => write!(f, "{file}: {}", self.message),
        }
    }
}

/// Checks a folder with a model or an adapter, made here or elsewhere: checksums where it has them,
/// configuration, weights (headers, shapes, types, the totals of the index), tokenizer, adapters,
/// and whether its statements agree.
///
/// # Errors
///
/// [`ArtifactError::Invalid`]: there is no model; [`ArtifactError::Io`], [`ArtifactError::Cancelled`].
/// What is wrong with the model is no error, but a [`Finding`].
pub fn verify(
    folder: impl AsRef<Path>,
    cancelled: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Verification> {
    let folder = folder.as_ref();
    let mut check = Check::new(folder);
    check.checksums(cancelled)?;
    check.all(cancelled, observer)?;
    check.finish()
}

/// Loads the tokenizer that was just written into `below`, which is empty or ends in `/`.
pub(crate) fn load_staged(folder: &Path, below: &str) -> Result<LoadedTokenizer> {
    LoadedTokenizer::load(folder.join(below)).map_err(|error| ArtifactError::Unsound {
        path: folder.to_owned(),
        findings: vec![format!("{below}tokenizer.json: {}", full(&error))],
    })
}

/// Checks what was just written, and hashed already; the tokenizer may be loaded already, too.
pub(crate) fn verify_staged(
    folder: &Path,
    tokenizer: Option<LoadedTokenizer>,
    cancelled: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<()> {
    let mut check = Check { loaded: tokenizer, ..Check::new(folder) };
    check.all(cancelled, observer)?;
    let found = check.finish()?;
    if found.is_sound() {
        return Ok(());
    }
    let findings = found.errors().map(ToString::to_string).collect();
    Err(ArtifactError::Unsound { path: folder.to_owned(), findings })
}

/// A folder while it is checked.
struct Check<'a> {
    folder: &'a Path,
    form: Form,
    checksums: u64,
    tensors: u64,
    tokens: Option<u64>,
    findings: Vec<Finding>,
    loaded: Option<LoadedTokenizer>,
}

impl<'a> Check<'a> {
    fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            form: Form::Standalone,
            checksums: 0,
            tensors: 0,
            tokens: None,
            findings: Vec::new(),
            loaded: None,
        }
    }

    fn finish(mut self) -> Result<Verification> {
        self.findings.sort();
        self.findings.dedup();
        Ok(Verification {
            path: self.folder.to_owned(),
            form: self.form,
            checksums: self.checksums,
            tensors: self.tensors,
            tokens: self.tokens,
            findings: self.findings,
        })
    }

    fn error(&mut self, file: impl Into<String>, message: impl fmt::Display) {
        let (file, message) = (file.into(), message.to_string());
        self.findings.push(Finding { severity: Severity::Error, file, message });
    }

    fn note(&mut self, file: impl Into<String>, message: impl fmt::Display) {
        let (file, message) = (file.into(), message.to_string());
        self.findings.push(Finding { severity: Severity::Note, file, message });
    }

    fn checksums(&mut self, cancelled: &AtomicBool) -> Result<()> {
        if std::fs::symlink_metadata(self.folder.join(Checksums::FILE)).is_err() {
            self.note(
                "",
                "it has no checksums: whether bytes changed since it was written can't be told",
            );
            return Ok(());
        }
        let report = match verify_checksums(self.folder, cancelled) {
            Ok(report) => report,
            Err(ArtifactError::Cancelled) => return Err(ArtifactError::Cancelled),
            Err(error) => {
                self.error(Checksums::FILE, full(&error));
                return Ok(());
            }
        };
        self.checksums = report.intact + report.changed.len() as u64;
        for file in report.changed {
            self.error(file, "it changed since it was written: its checksum is another");
        }
        for file in report.missing {
            self.error(file, "it is missing");
        }
        for file in report.unexpected {
            self.error(file, "it was not there when the folder was written");
        }
        Ok(())
    }

    fn all(&mut self, cancelled: &AtomicBool, observer: &mut dyn Observer) -> Result<()> {
        let entry = model_in(self.folder)?;
        self.form = if entry.kind == Kind::Adapter { Form::Adapter } else { Form::Standalone };
        let mut step = |file: &str, check: fn(&mut Self, &Entry)| -> Result<()> {
            check_cancelled(cancelled)?;
            check(self, &entry);
            observer.on_event(&ArtifactEvent::FileVerified { file: PathBuf::from(file) });
            Ok(())
        };
        step("config.json", Self::entry)?;
        step("model.safetensors", Self::weights)?;
        step("tokenizer.json", Self::tokenizer)?;
        step(AlignmentRecord::FILE, Self::statements)
    }

    /// What a scan finds.
    fn entry(&mut self, entry: &Entry) {
        for problem in &entry.problems {
            let file = problem.file().unwrap_or_default().to_owned();
            if problem.blocks_loading() {
                self.error(file, problem);
            } else {
                self.note(file, problem);
            }
        }
    }

    fn tokenizer(&mut self, entry: &Entry) {
        let description = &entry.description;
        if description.tokenizer.files.is_empty() {
            let message = "there is no tokenizer";
            return match self.form {
                Form::Standalone => self.error("tokenizer.json", message),
                Form::Adapter => self.note("tokenizer.json", message),
            };
        }
        let rows = description.architecture.as_ref().and_then(|found| found.vocabulary);
        let loaded = self.loaded.take().map_or_else(|| LoadedTokenizer::load(&entry.path), Ok);
        match loaded.and_then(|loaded| loaded.fit(rows)) {
            Ok(found) => {
                self.tokens = Some(found.tokens);
                if found.chat_template.is_none() {
                    self.note("tokenizer_config.json", "there is no chat template");
                }
            }
            Err(error) => self.error("tokenizer.json", full(&error)),
        }
    }
}

/// An error with all that caused it.
fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
