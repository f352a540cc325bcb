use std::path::{Path, PathBuf};

use collimate_models::{Catalog, Entry, Kind, ModelName, RepoId, ScanConfig};

use crate::error::{ArtifactError, Result};

/// The model that an aligned one is made from. It is read, never written to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Parent {
    /// How an aligned model names it: its repository, else its name. Never a path of this machine.
    pub reference: String,
    /// Its name for people.
    pub display_name: String,
    /// The commit of its repository, where it is known.
    pub revision: Option<String>,
    /// Where it lies; nothing where it can't be had.
    pub folder: Option<PathBuf>,
    /// The licence that its card states.
    pub licence: Option<String>,
}

impl Parent {
    /// The model in a folder.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Parent`]: there is no complete model in it, or it is an adapter.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let path = folder
            .canonicalize()
            .map_err(|source| ArtifactError::Io { path: folder.to_owned(), source })?;
        let catalog = Catalog::scan(&scan_of(&path));
        let found = catalog.entries().iter().find(|entry| entry.path == path);
        let found = found.ok_or_else(|| ArtifactError::Parent {
            path: folder.to_owned(),
            message: "there is no model in it".to_owned(),
        })?;
        Self::from_entry(found)
    }

    /// A model of a catalog.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Parent`]: it is not complete, or it is not a folder with a model of its own.
    pub fn from_entry(entry: &Entry) -> Result<Self> {
        let failed =
            |message: String| Err(ArtifactError::Parent { path: entry.path.clone(), message });
        if !matches!(entry.kind, Kind::Base | Kind::Aligned) {
            return failed("it is not a folder with a complete model".to_owned());
        }
        if let Err(error) = entry.loadable() {
            return failed(error.to_string());
        }
        let reference =
            entry.repository().map_or_else(|| entry.name.to_string(), RepoId::to_string);
        Ok(Self {
            reference,
            display_name: entry.display_name.clone(),
            revision: entry.revision().map(str::to_owned),
            folder: Some(entry.path.clone()),
            licence: entry.description.licence.clone(),
        })
    }

    /// A model that can't be had: only an adapter can be written for it.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Parent`]: this is no name and no repository.
    pub fn absent(reference: &str) -> Result<Self> {
        if RepoId::new(reference).is_err() && ModelName::new(reference).is_err() {
            return Err(ArtifactError::Parent {
                path: PathBuf::from(reference),
                message: "this is neither a model's name nor a repository".to_owned(),
            });
        }
        Ok(Self {
            reference: reference.to_owned(),
            display_name: reference.rsplit('/').next().unwrap_or(reference).to_owned(),
            revision: None,
            folder: None,
            licence: None,
        })
    }

    /// Under another name: the repository that the folder was fetched from, where that isn't known
    /// from its place.
    #[must_use]
    pub fn with_reference(mut self, reference: impl Into<String>) -> Self {
        self.reference = reference.into();
        self
    }

    /// Its id on the Hub, if its reference can be one: `owner/name`.
    pub(crate) fn hub_id(&self) -> Option<&str> {
        let id = RepoId::new(&self.reference).ok()?;
        id.owner().is_some().then_some(self.reference.as_str())
    }
}

/// What finds the model in a folder: where that is a snapshot of a Hugging Face cache, with its
/// repository.
fn scan_of(path: &Path) -> ScanConfig {
    let snapshots = path.parent().filter(|parent| parent.ends_with("snapshots"));
    let repository = snapshots.and_then(Path::parent).filter(|folder| {
        folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("models--"))
    });
    match repository.and_then(Path::parent) {
        Some(cache) => ScanConfig::new().with_hub_cache(cache),
        None => ScanConfig::new().with_root(path),
    }
}
