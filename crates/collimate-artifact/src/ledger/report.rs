//! Comparing a ledger with what is on the disk.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use collimate_models::printable;
use rayon::prelude::*;
use serde::Serialize;
use thiserror::Error;

use super::chain::Fault;
use super::{Ledger, LedgerEntry};
use crate::checksums::Checksum;
use crate::error::{ArtifactError, Result};

/// How a ledger and the files that it lists compare with what is there.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LedgerReport {
    /// Entries that are sound.
    pub entries: u64,
    /// Files whose checksums were compared.
    pub files: u64,
    /// Listings of files that a later entry lists with another checksum; those can't be checked.
    pub superseded: u64,
    /// What is wrong; nothing, if all is as it was.
    pub problems: Vec<LedgerProblem>,
}

impl LedgerReport {
    /// Whether all is as it was.
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One thing that is not as it was.
#[derive(Clone, Debug, Eq, Error, PartialEq, Serialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
#[non_exhaustive]
pub enum LedgerProblem {
    /// A file of an entry was changed.
    #[error("{}: changed since run {run_id} (entry {index})", printable(file))]
    Changed {
        /// The file, below the root.
        file: String,
        /// The entry that lists it.
        index: u64,
        /// The run of the entry.
        run_id: String,
    },
    /// A file of an entry is gone.
    #[error("{}: missing since run {run_id} (entry {index})", printable(file))]
    Missing {
        /// The file, below the root.
        file: String,
        /// The entry that lists it.
        index: u64,
        /// The run of the entry.
        run_id: String,
    },
    /// An entry of the ledger was changed, removed or moved; those after it were not looked at.
    #[error("{}: entry {index} {message}", printable(file))]
    Broken {
        /// The ledger.
        file: String,
        /// The entry.
        index: u64,
        /// What is wrong with it.
        message: String,
    },
    /// The ledger ends in the middle of a line.
    #[error("{}: line {line} is torn after {bytes} bytes", printable(file))]
    Torn {
        /// The ledger.
        file: String,
        /// The line, counted from one.
        line: u64,
        /// Bytes of it that are there.
        bytes: u64,
    },
    /// Entries are gone from the end of the ledger: a proof of a later one exists. A run that was killed
    /// before its last step leaves the same; then the next certificate adds the entry.
    #[error(
        "{}: it has {entries} entries, but {} proves entry {index}",
        printable(file),
        printable(proof)
    )]
    Truncated {
        /// The ledger.
        file: String,
        /// Entries that it has.
        entries: u64,
        /// The proof.
        proof: String,
        /// The entry that it proves.
        index: u64,
    },
    /// A file of a certificate contradicts the ledger, or itself.
    #[error("{}: {message}", printable(file))]
    Contradicting {
        /// The file, below the root.
        file: String,
        /// What is wrong with it.
        message: String,
    },
}

impl LedgerProblem {
    /// The file that is not as it was.
    pub fn file(&self) -> &str {
        match self {
            Self::Changed { file, .. }
            | Self::Missing { file, .. }
            | Self::Broken { file, .. }
            | Self::Torn { file, .. }
            | Self::Truncated { file, .. }
            | Self::Contradicting { file, .. } => file,
        }
    }
}

/// The report, and the entries that are sound.
pub(crate) fn verify(
    ledger: &Ledger,
    root: &Path,
    cancelled: &AtomicBool,
) -> Result<(LedgerReport, Vec<LedgerEntry>)> {
    let chain = ledger.read()?;
    let mut report = LedgerReport { entries: chain.entries.len() as u64, ..Default::default() };
    let mut listed: BTreeMap<&str, (&LedgerEntry, Checksum)> = BTreeMap::new();
    for entry in &chain.entries {
        for (file, checksum) in &entry.files {
            let before = listed.insert(file, (entry, *checksum));
            report.superseded += u64::from(before.is_some_and(|(_, before)| before != *checksum));
        }
    }
    report.files = listed.len() as u64;
    let compared: Vec<_> = listed
        .into_par_iter()
        .map(|(file, (entry, checksum))| {
            let (index, run_id) = (entry.index, entry.run_id.to_string());
            let file = file.to_owned();
            Ok(match compare(&root.join(&file), checksum, cancelled)? {
                Found::Same => None,
                Found::Other => Some(LedgerProblem::Changed { file, index, run_id }),
                Found::Nothing => Some(LedgerProblem::Missing { file, index, run_id }),
            })
        })
        .collect::<Result<_>>()?;
    report.problems.extend(compared.into_iter().flatten());
    let file = ledger.path.strip_prefix(root).unwrap_or(&ledger.path).display().to_string();
    let index = report.entries;
    report.problems.extend(chain.fault.map(|fault| match fault {
        Fault::Torn { bytes } => LedgerProblem::Torn { file, line: index + 1, bytes },
        Fault::Broken { message } => LedgerProblem::Broken { file, index, message },
    }));
    Ok((report, chain.entries))
}

enum Found {
    Same,
    Other,
    Nothing,
}

fn compare(path: &Path, checksum: Checksum, cancelled: &AtomicBool) -> Result<Found> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Ok(Found::Other),
        Ok(_) => {}
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Found::Nothing);
        }
        Err(source) => return Err(ArtifactError::Io { path: path.to_owned(), source }),
    }
    let same = Checksum::of_file(path, cancelled)? == checksum;
    Ok(if same { Found::Same } else { Found::Other })
}
