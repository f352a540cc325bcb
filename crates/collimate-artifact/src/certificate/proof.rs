//! `ledger_proof.json`: that a run's entry was in the ledger, and where.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{LEDGER_PROOF, Subject};
use crate::checksums::Checksum;
use crate::disk::read_small;
use crate::error::{ArtifactError, Result};
use crate::ledger::{LedgerEntry, Locked};
use crate::names::FolderName;

#[derive(Deserialize, Serialize)]
pub(super) struct Proof {
    pub(super) entry: LedgerEntry,
    index: u64,
    /// The last entry when the proof was made.
    head: Head,
    #[serde(flatten)]
    subject: Subject,
}

#[derive(Deserialize, Serialize)]
struct Head {
    index: u64,
    hash: Checksum,
}

/// Most bytes of a certificate's file.
pub(super) const LIMIT: u64 = 16 << 20;

impl Proof {
    pub(super) fn new(entry: LedgerEntry, subject: Subject) -> Self {
        let (index, hash) = (entry.index, entry.hash);
        Self { entry, index, head: Head { index, hash }, subject }
    }

    /// The proof in a folder, if it is one of that folder's run, and its entry was not changed.
    pub(super) fn of_folder(folder: &Path, run_id: &FolderName) -> Option<Self> {
        let json = read_small(&folder.join(LEDGER_PROOF), LIMIT).ok()?;
        let proof: Self = serde_json::from_slice(&json).ok()?;
        (proof.entry.run_id == *run_id && proof.entry.is_sound()).then_some(proof)
    }
}

/// The runs that have a folder of their own among the certificates, sorted.
pub(super) fn runs(certified: &Path) -> Result<Vec<FolderName>> {
    let failed = ArtifactError::io(certified);
    let entries = match fs::read_dir(certified) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut runs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(&failed)?;
        if !entry.file_type().map_err(&failed)?.is_dir() {
            continue;
        }
        // What is being written is hidden, and nothing else is of ours.
        if let Some(run) = entry.file_name().to_str().and_then(|name| FolderName::new(name).ok()) {
            runs.push(run);
        }
    }
    runs.sort_unstable();
    Ok(runs)
}

/// Adds the entry of a certificate whose run was killed before it could.
pub(super) fn add_missing(ledger: &mut Locked, certified: &Path) -> Result<()> {
    let runs = runs(certified)?;
    let is_known = |run: &FolderName| ledger.entries().iter().any(|entry| entry.run_id == *run);
    let pending: Vec<_> = runs.into_iter().filter(|run| !is_known(run)).collect();
    for run in pending {
        let Some(Proof { entry, .. }) = Proof::of_folder(&certified.join(run.as_str()), &run)
        else {
            // Verification names it.
            continue;
        };
        let next = ledger.next(&run, entry.timestamp, &entry.kind, entry.files.clone())?;
        if next == entry {
            ledger.push(entry)?;
        }
    }
    Ok(())
}
