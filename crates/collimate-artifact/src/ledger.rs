mod chain;
mod report;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use collimate_tensors::stays_inside;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::checksums::Checksum;
use crate::disk::{folder_of, open_regular, sync_folder};
use crate::error::{ArtifactError, Result};
use crate::json::canonical;
use crate::names::FolderName;

use chain::{Chain, Fault};
pub(crate) use report::verify;
pub use report::{LedgerProblem, LedgerReport};

/// An append-only list of what runs have made, each entry chained to the one before it by its hash.
///
/// A line of JSON for each entry: keys sorted, no white space. An entry that is changed, removed or
/// moved breaks the chain, and a changed file no longer has the checksum in its entry. Entries cut off
/// from the end leave a sound chain: only a proof that is kept elsewhere, as the one in each
/// certificate, shows that they are gone.
///
/// Writers wait for each other. An entry is written with one call and brought to the disk; a run that is
/// killed in it leaves a torn last line, which is an error until [`Ledger::recover`] removes it.
///
/// # Examples
///
/// ```
/// use std::collections::BTreeMap;
///
/// use collimate_artifact::{Checksum, FolderName, Ledger};
///
/// let folder = tempfile::tempdir()?;
/// let ledger = Ledger::new(folder.path().join("ledger.jsonl"));
/// let files = BTreeMap::from([("model.safetensors".to_owned(), Checksum::of_bytes(b"weights"))]);
/// let at = "2026-01-31T12:00:00Z".parse()?;
/// let first = ledger.append(&FolderName::new("run-1")?, at, "merge", files.clone())?;
/// let second = ledger.append(&FolderName::new("run-2")?, at, "merge", files)?;
/// assert_eq!(second.previous, first.hash);
/// assert_eq!(ledger.entries()?, [first, second]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ledger {
    path: PathBuf,
}

/// What one run has made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// Its place, counted from zero.
    pub index: u64,
    /// The hash of the entry before it; of the first, zeros.
    pub previous: Checksum,
    /// The run.
    pub run_id: FolderName,
    /// When it was added.
    pub timestamp: Timestamp,
    /// What it is about.
    pub kind: String,
    /// The SHA-256 of each file, by its path.
    pub files: BTreeMap<String, Checksum>,
    /// The SHA-256 of all of the above, as JSON with sorted keys and without white space.
    pub hash: Checksum,
}

impl Ledger {
    /// The ledger in this file; nothing is read or created.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All entries, after the chain was checked; none where there is no file.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::BrokenLedger`], [`ArtifactError::TornLedger`], [`ArtifactError::Io`].
    pub fn entries(&self) -> Result<Vec<LedgerEntry>> {
        let chain = self.read()?;
        self.refuse(&chain)?;
        Ok(chain.entries)
    }

    /// Adds an entry, and returns it once it is on the disk.
    ///
    /// # Errors
    ///
    /// A path is not a plain relative one; as [`Ledger::entries`].
    pub fn append(
        &self,
        run_id: &FolderName,
        timestamp: Timestamp,
        kind: &str,
        files: BTreeMap<String, Checksum>,
    ) -> Result<LedgerEntry> {
        let mut open = self.open()?;
        let entry = open.next(run_id, timestamp, kind, files)?;
        open.push(entry.clone())?;
        Ok(entry)
    }

    /// Removes a torn last line, which no run was ever told that it was written; returns its bytes.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::BrokenLedger`], [`ArtifactError::Io`].
    pub fn recover(&self) -> Result<u64> {
        let mut locked = Locked::of(self)?;
        locked.recover()
    }

    /// Compares the chain, and the files of all entries below `root`, with what is there now. A file that
    /// several entries list is as in the last of them.
    ///
    /// # Errors
    ///
    /// Something can't be read; [`ArtifactError::Cancelled`].
    pub fn verify(&self, root: &Path, cancelled: &AtomicBool) -> Result<LedgerReport> {
        verify(self, root, cancelled).map(|(report, _)| report)
    }

    /// Waits until no other run writes, and checks the chain.
    pub(crate) fn open(&self) -> Result<Locked> {
        let locked = Locked::of(self)?;
        self.refuse(&locked.chain)?;
        Ok(locked)
    }

    /// Waits until no other run writes, and removes a torn last line; returns its bytes too.
    pub(crate) fn open_recovered(&self) -> Result<(Locked, u64)> {
        let mut locked = Locked::of(self)?;
        let removed = locked.recover()?;
        Ok((locked, removed))
    }

    fn read(&self) -> Result<Chain> {
        match open_regular(&self.path) {
            Ok((file, _)) => {
                // So that a line that is being written is not taken for a torn one.
                file.lock_shared().map_err(ArtifactError::io(&self.path))?;
                Chain::read(&file).map_err(ArtifactError::io(&self.path))
            }
            Err(ArtifactError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Chain::default())
            }
            Err(error) => Err(error),
        }
    }

    fn refuse(&self, chain: &Chain) -> Result<()> {
        let (path, index) = (self.path.clone(), chain.entries.len() as u64);
        match &chain.fault {
            None => Ok(()),
            Some(Fault::Torn { bytes }) => {
                Err(ArtifactError::TornLedger { path, line: index + 1, bytes: *bytes })
            }
            Some(Fault::Broken { message }) => {
                Err(ArtifactError::BrokenLedger { path, index, message: message.clone() })
            }
        }
    }
}

/// A ledger that nobody else writes to.
pub(crate) struct Locked {
    ledger: Ledger,
    file: File,
    chain: Chain,
}

impl Locked {
    fn of(ledger: &Ledger) -> Result<Self> {
        let path = &ledger.path;
        let failed = ArtifactError::io(path);
        let is_new = match fs::symlink_metadata(path) {
            Ok(found) if found.is_file() => false,
            Ok(_) => {
                let message = "it is not a regular file".to_owned();
                return Err(ArtifactError::Invalid { path: path.clone(), message });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(failed(error)),
        };
        let file =
            OpenOptions::new().read(true).append(true).create(true).open(path).map_err(&failed)?;
        if is_new {
            sync_folder(folder_of(path))?;
        }
        file.lock().map_err(&failed)?;
        let chain = Chain::read(&file).map_err(&failed)?;
        Ok(Self { ledger: ledger.clone(), file, chain })
    }

    pub(crate) fn entries(&self) -> &[LedgerEntry] {
        &self.chain.entries
    }

    /// The entry that would come next; nothing is written.
    pub(crate) fn next(
        &self,
        run_id: &FolderName,
        timestamp: Timestamp,
        kind: &str,
        files: BTreeMap<String, Checksum>,
    ) -> Result<LedgerEntry> {
        let path = self.ledger.path.clone();
        if let Some(found) = files.keys().find(|file| !stays_inside(file)) {
            return Err(ArtifactError::Outside { path, found: found.clone() });
        }
        let mut entry = LedgerEntry {
            index: self.chain.entries.len() as u64,
            previous: self.chain.head(),
            run_id: run_id.clone(),
            timestamp,
            kind: kind.to_owned(),
            files,
            hash: Checksum::ZERO,
        };
        entry.hash = entry.content_hash().map_err(|source| ArtifactError::Json { path, source })?;
        Ok(entry)
    }

    /// Writes the entry that comes next.
    pub(crate) fn push(&mut self, entry: LedgerEntry) -> Result<()> {
        let path = &self.ledger.path;
        let mut line = canonical(&entry)
            .map_err(|source| ArtifactError::Json { path: path.clone(), source })?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line).and_then(|()| self.file.sync_all()) {
            // A full disk: what is left of the line is removed now, or by `recover`.
            let _ = self.file.set_len(self.chain.bytes);
            return Err(ArtifactError::Io { path: path.clone(), source: error });
        }
        self.chain.bytes += line.len() as u64;
        self.chain.entries.push(entry);
        Ok(())
    }

    fn recover(&mut self) -> Result<u64> {
        let Some(Fault::Torn { bytes }) = self.chain.fault else {
            self.ledger.refuse(&self.chain)?;
            return Ok(0);
        };
        let failed = ArtifactError::io(&self.ledger.path);
        // What is opened for appending can't be cut on every system.
        let file = OpenOptions::new().write(true).open(&self.ledger.path).map_err(&failed)?;
        file.set_len(self.chain.bytes).and_then(|()| file.sync_all()).map_err(&failed)?;
        self.chain.fault = None;
        Ok(bytes)
    }
}

impl LedgerEntry {
    /// Whether its hash is that of its content.
    pub(crate) fn is_sound(&self) -> bool {
        self.content_hash().is_ok_and(|hash| hash == self.hash)
    }

    fn content_hash(&self) -> serde_json::Result<Checksum> {
        let mut content = serde_json::to_value(self)?;
        if let Some(map) = content.as_object_mut() {
            map.shift_remove("hash");
        }
        canonical(&content).map(|bytes| Checksum::of_bytes(&bytes))
    }
}
