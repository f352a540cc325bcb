use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use collimate_tensors::stays_inside;

use super::{CopiedFile, copy_file};
use crate::error::{ArtifactError, Result};

/// The folder of a model, out of which no path and no link of it leads.
///
/// Only the blobs of the Hub cache that it is a snapshot in count as a part of it.
#[derive(Clone, Debug)]
pub struct SourceFolder {
    path: PathBuf,
    real: PathBuf,
    blobs: Option<PathBuf>,
}

impl SourceFolder {
    /// The folder at a path.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Io`]: it isn't there; [`ArtifactError::Invalid`]: it is no folder.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let real = path.canonicalize().map_err(ArtifactError::io(&path))?;
        if !real.is_dir() {
            return Err(ArtifactError::Invalid { path, message: "it is no folder".to_owned() });
        }
        let snapshots = real.ancestors().find(|folder| folder.ends_with("snapshots"));
        let blobs = snapshots.and_then(Path::parent).map(|repo| repo.join("blobs"));
        Ok(Self { path, real, blobs })
    }

    /// Where it is, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The real place of one of its files, behind every link.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Outside`]: the path or a link leads elsewhere;
    /// [`ArtifactError::Invalid`]: it is no regular file; [`ArtifactError::Io`]: it isn't there.
    pub fn file(&self, relative: &str) -> Result<PathBuf> {
        let path = self.path.join(relative);
        if !stays_inside(relative) {
            let (path, found) = (self.path.clone(), relative.to_owned());
            return Err(ArtifactError::Outside { path, found });
        }
        let real = path.canonicalize().map_err(ArtifactError::io(&path))?;
        let is_blob = self.blobs.as_ref().is_some_and(|blobs| real.starts_with(blobs));
        if !real.starts_with(&self.real) && !is_blob {
            return Err(ArtifactError::Outside { path, found: real.display().to_string() });
        }
        if !real.is_file() {
            let message = "it is no regular file".to_owned();
            return Err(ArtifactError::Invalid { path, message });
        }
        Ok(real)
    }

    /// Copies one of its files; see [`copy_file`].
    ///
    /// # Errors
    ///
    /// As [`Self::file`] and [`copy_file`].
    pub fn copy(&self, relative: &str, to: &Path, cancelled: &AtomicBool) -> Result<CopiedFile> {
        copy_file(&self.file(relative)?, to, cancelled)
    }
}
