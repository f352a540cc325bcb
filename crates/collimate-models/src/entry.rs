use std::path::{Path, PathBuf};

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::description::Description;
use crate::error::{ModelsError, Result};
use crate::name::{ModelName, RepoId};
use crate::problem::Problem;

/// One model that a scan found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its canonical name. Several entries can have the same; see
    /// [`Catalog::collisions`](crate::Catalog::collisions).
    pub name: ModelName,
    /// Its name for people, as written: escape it with [`printable`](crate::printable) before
    /// showing it on a terminal.
    pub display_name: String,
    /// What it is.
    pub kind: Kind,
    /// The folder, or the file of a GGUF model.
    pub path: PathBuf,
    /// Where it was found.
    pub source: Source,
    /// What it is made of.
    pub description: Description,
    /// What is wrong with it, those that block loading first.
    pub problems: Vec<Problem>,
}

impl Entry {
    /// Whether everything that loading needs is there.
    pub fn state(&self) -> State {
        if !self.problems.iter().any(Problem::blocks_loading) {
            State::Complete
        } else if self.problems.iter().any(|p| matches!(p, Problem::Unfinished { .. })) {
            State::Unfinished
        } else {
            State::Broken
        }
    }

    /// Whether everything that loading needs is there.
    pub fn is_complete(&self) -> bool {
        self.state() == State::Complete
    }

    /// Its path, if it can be loaded.
    ///
    /// # Errors
    ///
    /// [`ModelsError::Incomplete`] with everything that stands in the way.
    pub fn loadable(&self) -> Result<&Path> {
        if self.is_complete() {
            return Ok(&self.path);
        }
        Err(ModelsError::Incomplete {
            name: self.name.clone(),
            path: self.path.clone(),
            problems: self.problems.iter().filter(|p| p.blocks_loading()).cloned().collect(),
        })
    }

    /// Adds problems: those that block loading stand first, and none stands twice.
    pub(crate) fn add_problems(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
        self.problems.sort_by_cached_key(|problem| (!problem.blocks_loading(), problem.clone()));
        self.problems.dedup();
    }

    /// Number of stored weight elements, where the weights could be counted.
    pub fn parameters(&self) -> Option<u64> {
        self.description.weights.as_ref().map(|weights| weights.parameters)
    }

    /// Bytes of all weights, without headers, where they could be counted.
    pub fn bytes(&self) -> Option<u64> {
        self.description.weights.as_ref().map(|weights| weights.bytes)
    }

    /// The repository it was fetched from.
    pub fn repository(&self) -> Option<&RepoId> {
        match &self.source {
            Source::HubCache { repository, .. } => Some(repository),
            Source::Folder { .. } => None,
        }
    }

    /// The commit of its repository, where it is known.
    pub fn revision(&self) -> Option<&str> {
        match &self.source {
            Source::HubCache { commit, .. } => commit.as_deref(),
            Source::Folder { .. } => None,
        }
    }

    /// Whether `revision` means the commit that it is at: a branch or tag that points to it, or the
    /// first digits of the commit, seven or more.
    pub fn is_at(&self, revision: &str) -> bool {
        let Source::HubCache { commit, refs, .. } = &self.source else { return false };
        refs.iter().any(|name| name == revision)
            || revision.len() >= 7 && commit.as_ref().is_some_and(|c| c.starts_with(revision))
    }
}

/// An object with stable keys. `architecture`, `parameters` and `bytes` repeat the most asked-for
/// values of `description`; `bytes` are those of the weights.
impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let architecture = self.description.architecture.as_ref();
        let mut object = serializer.serialize_struct("Entry", 13)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("display_name", &self.display_name)?;
        object.serialize_field("kind", &self.kind)?;
        object.serialize_field("architecture", &architecture.and_then(|a| a.name.as_deref()))?;
        object.serialize_field("parameters", &self.parameters())?;
        object.serialize_field("bytes", &self.bytes())?;
        object.serialize_field("complete", &self.is_complete())?;
        object.serialize_field("state", &self.state())?;
        object.serialize_field("problems", &self.problems)?;
        object.serialize_field("path", &self.path.to_string_lossy())?;
        object.serialize_field("source", &self.source)?;
        object.serialize_field("revision", &self.revision())?;
        object.serialize_field("description", &self.description)?;
        object.end()
    }
}

/// What a model is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// A complete model that nothing says was aligned here.
    Base,
    /// A complete model whose configuration says how it was aligned.
    Aligned,
    /// A PEFT adapter: of use with its base model only.
    Adapter,
    /// A GGUF file, or the first of several that make one model.
    Gguf,
    /// A download that has not come far enough to say what it will be.
    Unfinished,
}

/// Whether a model can be loaded.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Everything that loading needs is there.
    Complete,
    /// A download of it has not ended.
    Unfinished,
    /// Something is missing, cut off or unreadable.
    Broken,
}

/// Where an entry was found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "from")]
#[non_exhaustive]
pub enum Source {
    /// A folder below a root, or a root that is a model itself.
    Folder {
        /// The root, as it was given.
        #[serde(serialize_with = "lossy")]
        root: PathBuf,
    },
    /// A revision in a Hugging Face cache.
    HubCache {
        /// The cache, as it was given.
        #[serde(serialize_with = "lossy")]
        cache: PathBuf,
        /// The repository.
        repository: RepoId,
        /// The commit; absent where a download was given up before anything was in place.
        commit: Option<String>,
        /// Branches and tags that point to the commit, sorted.
        refs: Vec<String>,
    },
}

/// Paths that are not Unicode are shown, not refused.
pub(crate) fn lossy<S: Serializer>(
    path: &Path,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
