use std::path::PathBuf;

use thiserror::Error;

use crate::name::{ModelName, NameError, RepoIdError};
use crate::printable::printable;
use crate::problem::Problem;
use crate::selection::SelectionError;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, ModelsError>;

/// What can go wrong when models are asked for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelsError {
    /// A text can't be made a model's name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A text is not the id of a repository.
    #[error(transparent)]
    RepoId(#[from] RepoIdError),
    /// A selection matches no model, or more than one.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// A model that is to be loaded is not all there.
    #[error("{name} in {} can't be loaded: {}", printable(&path.to_string_lossy()), list(problems))]
    Incomplete {
        /// Its name.
        name: ModelName,
        /// Its folder.
        path: PathBuf,
        /// What stands in the way.
        problems: Vec<Problem>,
    },
}

fn list(problems: &[Problem]) -> String {
    let messages: Vec<_> =
        problems.iter().map(|p| printable(&p.to_string()).into_owned()).collect();
    messages.join("; ")
}
