use std::path::PathBuf;

use serde::Serialize;

use super::event::Verification;
use super::listing::RepoKind;
use crate::name::RepoId;

/// Files of a repository that are in the cache, all of them whole.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Fetched {
    /// The repository.
    pub repo: RepoId,
    /// Its kind.
    pub kind: RepoKind,
    /// The revision that was asked for.
    pub revision: String,
    /// The commit that it names.
    pub commit: String,
    /// The folder with the files.
    pub path: PathBuf,
    /// The selected files, by path.
    pub files: Vec<FetchedFile>,
}

/// A file that is in the cache.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FetchedFile {
    /// Path in the repository, and below [`Fetched::path`].
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// How its content was checked.
    pub verification: Verification,
    /// Whether it was in the cache already.
    pub reused: bool,
}

impl Fetched {
    /// Size of all files in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// The files of which only the size was compared.
    pub fn unverified(&self) -> impl Iterator<Item = &FetchedFile> {
        self.files.iter().filter(|file| file.verification == Verification::SizeOnly)
    }
}
