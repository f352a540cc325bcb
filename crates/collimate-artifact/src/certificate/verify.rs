use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::dna::DnaFile;
use super::proof::{LIMIT, Proof, runs};
use super::{CERTIFIED, DNA, KIND, LEDGER, LEDGER_PROOF, certified_path};
use crate::disk::read_small;
use crate::error::{ArtifactError, Result};
use crate::json::pretty;
use crate::ledger::{Ledger, LedgerEntry, LedgerProblem, LedgerReport, verify};
use crate::names::FolderName;

/// Compares all certificates below `root` with their ledger, and the files of both with what is there.
///
/// # Errors
///
/// Something can't be read; [`ArtifactError::Cancelled`].
pub fn verify_certificates(root: &Path, cancelled: &AtomicBool) -> Result<LedgerReport> {
    let certified = root.join(CERTIFIED);
    let (mut report, entries) = verify(&Ledger::new(certified.join(LEDGER)), root, cancelled)?;
    let is_broken = report.problems.iter().any(|problem| {
        matches!(problem, LedgerProblem::Broken { .. } | LedgerProblem::Torn { .. })
    });
    let certificates = entries.iter().filter(|entry| entry.kind == KIND);
    for entry in certificates.clone() {
        let problem = check_certificate(&certified, entry, &report)?;
        report.problems.extend(problem);
    }
    let known: BTreeSet<_> = certificates.map(|entry| &entry.run_id).collect();
    for run in runs(&certified)? {
        // What the ledger had after the place where it is broken can't be known.
        if !known.contains(&run) && !is_broken {
            report.problems.push(unlisted(&certified, &run, report.entries));
        }
    }
    Ok(report)
}

/// Whether the proof is that of the entry, and the DNA that of the models. Files that are known to be
/// changed are not looked at again.
fn check_certificate(
    certified: &Path,
    entry: &LedgerEntry,
    report: &LedgerReport,
) -> Result<Option<LedgerProblem>> {
    let dna = certified_path(&entry.run_id, DNA);
    if report.problems.iter().any(|problem| problem.file() == dna) {
        return Ok(None);
    }
    let folder = certified.join(entry.run_id.as_str());
    let contradicting = |file: String, message: &str| {
        Some(LedgerProblem::Contradicting { file, message: message.to_owned() })
    };
    let read: Option<DnaFile> = serde_json::from_slice(&read_small(&folder.join(DNA), LIMIT)?).ok();
    let Some(read) = read.filter(DnaFile::is_consistent) else {
        return Ok(contradicting(dna, "its id is not that of what it says"));
    };
    let file = certified_path(&entry.run_id, LEDGER_PROOF);
    let found = match read_small(&folder.join(LEDGER_PROOF), LIMIT) {
        Ok(found) => found,
        Err(ArtifactError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let (index, run_id) = (entry.index, entry.run_id.to_string());
            return Ok(Some(LedgerProblem::Missing { file, index, run_id }));
        }
        Err(ArtifactError::Invalid { message, .. }) => return Ok(contradicting(file, &message)),
        Err(error) => return Err(error),
    };
    let expected = pretty(&Proof::new(entry.clone(), read.subject));
    if expected.is_ok_and(|expected| expected == found) {
        return Ok(None);
    }
    let index = entry.index;
    Ok(contradicting(file, &format!("it and entry {index} of the ledger differ; one was changed")))
}

/// What is wrong with a certificate that the ledger does not list.
fn unlisted(certified: &Path, run: &FolderName, entries: u64) -> LedgerProblem {
    let proof = certified_path(run, LEDGER_PROOF);
    match Proof::of_folder(&certified.join(run.as_str()), run) {
        Some(Proof { entry: LedgerEntry { index, .. }, .. }) if index >= entries => {
            LedgerProblem::Truncated {
                file: format!("{CERTIFIED}/{LEDGER}"),
                entries,
                proof,
                index,
            }
        }
        _ => LedgerProblem::Contradicting {
            file: proof,
            message: "the ledger has no entry of this certificate, and it proves none".to_owned(),
        },
    }
}
