use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// The result of whatever can go wrong with a recipe.
pub(super) type Result<T, E = RecipeError> = std::result::Result<T, E>;

/// What can be wrong with a recipe.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file can't be read.
    #[error("{} can't be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large to be a recipe.
    #[error("{} has more than {limit} bytes; that is no recipe", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The most bytes that one may have.
        limit: u64,
    },
    /// The end of a file's name says no format.
    #[error("{} is no recipe by its name; it has to end in .yaml, .yml, .toml or .json", path.display())]
    Format {
        /// Which.
        path: PathBuf,
    },
    /// A file is not YAML, TOML or JSON, or has what a recipe may not have.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong.
        message: String,
    },
    /// There is no such field.
    #[error("{place}: there is no field `{field}`{}", hint(meant.as_deref()))]
    Unknown {
        /// Where.
        place: Place,
        /// Which, with the names on the way to it.
        field: String,
        /// The nearest that there is.
        meant: Option<String>,
    },
    /// A field has an impossible value.
    #[error("{given} {message}")]
    Value {
        /// Which, and where.
        given: Given,
        /// What is wrong, and what to do.
        message: String,
    },
    /// Two fields contradict one another.
    #[error("{first} and {second} contradict each other: {message}")]
    Contradiction {
        /// The one.
        first: Box<Given>,
        /// The other.
        second: Box<Given>,
        /// Why, and what to do.
        message: String,
    },
    /// A field of a conventional trainer's configuration that means nothing here.
    #[error("{given} has no counterpart here: {message}")]
    NoCounterpart {
        /// Which, and where.
        given: Given,
        /// Why, and what to do.
        message: String,
    },
    /// An override can't be applied.
    #[error("--set {text}: {message}")]
    Override {
        /// As it was written.
        text: String,
        /// What is wrong.
        message: String,
    },
}

/// A field, and where it was given.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Given {
    /// The field, with the names on the way to it.
    pub field: String,
    /// What the file calls it, where that is not its name in a recipe.
    pub called: Option<String>,
    /// Where.
    pub place: Place,
}

impl fmt::Display for Given {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, called, place } = self;
        if *place != Place::Default {
            write!(formatter, "{place}: ")?;
        }
        match called {
            Some(called) if called != field => {
                write!(formatter, "`{called}` (in a recipe `{field}`)")
            }
            _ => write!(formatter, "`{field}`"),
        }
    }
}

/// Where something was given.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Place {
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// The line, counted from 1, where it is known.
        line: Option<u64>,
    },
    /// By an override, as it was written.
    Override(Arc<str>),
    /// By a program, or nowhere, so that it is as by default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(formatter, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(formatter, "{}", path.display()),
            Self::Override(text) => write!(formatter, "--set {text}"),
            Self::Default => formatter.write_str("recipe"),
        }
    }
}

fn hint(meant: Option<&str>) -> String {
    meant.map(|meant| format!("; `{meant}` is meant?")).unwrap_or_default()
}
