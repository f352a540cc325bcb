use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::name::RepoId;
use crate::printable::printable;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// Why files of a repository could not be had.
///
/// Text that came from a server is escaped by [`printable`](crate::printable()).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HubError {
    /// A setting can't be used.
    #[error("setting `{field}`: {message}")]
    Config {
        /// Name of the setting.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A text can't be a branch, a tag or a commit.
    #[error("{revision:?} is not a revision: expected a branch, a tag or a commit")]
    InvalidRevision {
        /// The text.
        revision: String,
    },
    /// There is no such repository, or it isn't shown to whoever asks.
    #[error("no repository {repo} at {url}: check its name and its kind (model or dataset); {}", private_hint(*.with_token))]
    RepoNotFound {
        /// The repository.
        repo: Box<RepoId>,
        /// What was asked.
        url: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The repository has no such branch, tag or commit.
    #[error(
        "{repo} has no revision {revision:?} ({url}): name a branch, a tag or a commit of 40 digits"
    )]
    RevisionNotFound {
        /// The repository.
        repo: Box<RepoId>,
        /// The revision.
        revision: String,
        /// What was asked.
        url: String,
    },
    /// The revision has no such file.
    #[error("{repo} at {revision} has no file {file:?}: list the repository for its files")]
    FileNotFound {
        /// The repository.
        repo: Box<RepoId>,
        /// The revision.
        revision: String,
        /// The file, or the pattern that no file matches.
        file: String,
    },
    /// The repository is there, but its owner wants conditions to be accepted first.
    #[error("access to {repo} has to be requested: accept the conditions at {accept_at}, {}", gated_hint(*.with_token))]
    Gated {
        /// The repository.
        repo: Box<RepoId>,
        /// The page on which the conditions can be accepted.
        accept_at: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The Hub doesn't know the token.
    #[error(
        "the token was rejected at {url}: it is wrong, expired or revoked; make a new one, or use none"
    )]
    Unauthorized {
        /// The repository.
        repo: Box<RepoId>,
        /// What was asked.
        url: String,
    },
    /// The Hub knows who asks, and refuses.
    #[error("access to {repo} is refused at {url}{}: use a token that may read it", said(.message))]
    Forbidden {
        /// The repository.
        repo: Box<RepoId>,
        /// What was asked.
        url: String,
        /// What the server says.
        message: String,
    },
    /// Too many requests, after all tries.
    #[error("too many requests to {url}: try again{}, or use a token", after(.retry_after))]
    RateLimited {
        /// The repository.
        repo: Box<RepoId>,
        /// What was asked.
        url: String,
        /// What the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// No answer, after all tries.
    #[error("{repo} at {revision}: no answer from {url}: {}{}", cause(.source.as_ref()), cached_hint(*.cached))]
    Network {
        /// The repository.
        repo: Box<RepoId>,
        /// The revision.
        revision: String,
        /// What was asked.
        url: String,
        /// Whether the cache holds all that was asked for.
        cached: bool,
        /// What failed.
        source: Source,
    },
    /// The server failed, after all tries, or gave an answer that has no meaning here.
    #[error("{repo}: {url} answered {status}{}", said(.message))]
    Server {
        /// The repository.
        repo: Box<RepoId>,
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// The server's answer can't be understood.
    #[error("{repo}: {url} gave an answer that is not the Hub's: {message}")]
    Malformed {
        /// The repository.
        repo: Box<RepoId>,
        /// What was asked.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// The repository lists a file that would lie outside of its folder; nothing was written.
    #[error("{repo} lists {path:?}, which is no path inside a folder; nothing was written")]
    UnsafePath {
        /// The repository.
        repo: Box<RepoId>,
        /// The path, escaped.
        path: String,
    },
    /// No weights that are loaded by their usual names.
    #[error("{repo} at {revision} has no weights in a usual place{}: name the files to fetch", listed(.found))]
    NoWeights {
        /// The repository.
        repo: Box<RepoId>,
        /// The revision.
        revision: String,
        /// Other weights that are there, up to twenty.
        found: Vec<String>,
    },
    /// The selection matches nothing.
    #[error("{repo} at {revision} has no file that is selected: {selection}")]
    NothingSelected {
        /// The repository.
        repo: Box<RepoId>,
        /// The revision.
        revision: String,
        /// What was looked for.
        selection: String,
    },
    /// A file arrived with another content than the Hub states, twice; the partial file is removed.
    #[error("{repo}: {} is corrupted: its hash should be {expected}, and is {found}; try again later, or from another network", printable(.file))]
    Corrupted {
        /// The repository.
        repo: Box<RepoId>,
        /// Path in the repository.
        file: String,
        /// The hash that the Hub states.
        expected: String,
        /// The hash of what arrived.
        found: String,
    },
    /// A file that is in the cache has another content than the Hub states.
    #[error("{} is corrupted: its hash should be {expected}, and is {found}; delete it and fetch again", shown(.path))]
    CorruptedCache {
        /// The file.
        path: PathBuf,
        /// The hash that the Hub states.
        expected: String,
        /// Its hash.
        found: String,
    },
    /// A file ended early, after all tries; what is there is kept.
    #[error("{repo}: {} should have {expected} bytes, and {url} sent {found}; fetch again to go on from there", printable(.file))]
    Truncated {
        /// The repository.
        repo: Box<RepoId>,
        /// Path in the repository.
        file: String,
        /// What was asked.
        url: String,
        /// Size in bytes, as the repository lists it.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The server sends more bytes than the file has; what arrived was removed.
    #[error("{repo}: {} should have {expected} bytes, and {url} sends more; what arrived was removed", printable(.file))]
    Oversized {
        /// The repository.
        repo: Box<RepoId>,
        /// Path in the repository.
        file: String,
        /// What was asked.
        url: String,
        /// Size in bytes, as the repository lists it.
        expected: u64,
    },
    /// The cache doesn't hold all that was asked for, and no connection may be made.
    #[error("{} doesn't hold {repo} at {revision}{}: fetch it without the offline option", shown(.cache), listed(.files))]
    NotCached {
        /// The repository.
        repo: Box<RepoId>,
        /// The revision.
        revision: String,
        /// The cache directory.
        cache: PathBuf,
        /// What is missing; empty if nothing of the revision is there.
        files: Vec<String>,
    },
    /// Whoever asked has cancelled; partial files stay, and the next fetch goes on from there.
    #[error("cancelled; what arrived is kept, and the next fetch goes on from there")]
    Cancelled,
    /// There is no room on the disk; what arrived stays.
    #[error("no room for {}: make room and fetch again; {kept} bytes of it are kept", shown(.path))]
    DiskFull {
        /// The file that was written.
        path: PathBuf,
        /// Bytes of it that stay.
        kept: u64,
        /// The system's error.
        source: io::Error,
    },
    /// A file or folder of the cache can't be read or written.
    #[error("{action} {}: {source}", shown(.path))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, such as `reading`.
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("no thread can be started: {}", cause(.source.as_ref()))]
    Setup {
        /// What failed.
        source: Source,
    },
}

impl HubError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, kept: 0, source }
            }
            _ => Self::Io { path, action, source },
        }
    }

    /// Whether the same request may succeed a moment later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Network { .. } | Self::RateLimited { .. } | Self::Truncated { .. } => true,
            Self::Server { status, .. } => matches!(status, 408 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

/// What lies at the bottom of an error: for a network, the only part that says something.
fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    printable(&cause.to_string()).into_owned()
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

fn private_hint(with_token: bool) -> &'static str {
    if with_token {
        "if it is private, the token may not be allowed to read it"
    } else {
        "if it is private, pass a token that may read it"
    }
}

fn gated_hint(with_token: bool) -> &'static str {
    if with_token { "with the account of the token" } else { "then pass that account's token" }
}

fn cached_hint(cached: bool) -> &'static str {
    if cached { "; the cache holds this revision: use it with the offline option" } else { "" }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" (the server says: {message})") }
}

fn after(retry_after: &Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| format!(" in {} s", wait.as_secs()))
}

fn listed(names: &[String]) -> impl fmt::Display + '_ {
    struct Names<'a>(&'a [String]);
    impl fmt::Display for Names<'_> {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            const SHOWN: usize = 20;
            for (index, name) in self.0.iter().take(SHOWN).enumerate() {
                let before = if index == 0 { " (" } else { ", " };
                write!(formatter, "{before}{}", printable(name))?;
            }
            match self.0.len() {
                0 => Ok(()),
                count if count > SHOWN => write!(formatter, " and {} more)", count - SHOWN),
                _ => formatter.write_str(")"),
            }
        }
    }
    Names(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_to_do() {
        let repo = Box::new("org/model".parse::<RepoId>().unwrap());
        let url = "https://hub/api".to_owned();
        let missing = HubError::RepoNotFound { repo: repo.clone(), url, with_token: false };
        assert!(missing.to_string().ends_with("pass a token that may read it"), "{missing}");
        let files = (0..25).map(|n| format!("{n}\n")).collect();
        let revision = "main".to_owned();
        let missing = HubError::NotCached { repo, revision, cache: "c".into(), files };
        let text = missing.to_string();
        assert!(text.contains("(0\\n, 1\\n") && text.contains("19\\n and 5 more)"), "{text}");
        assert!(text.contains("without the offline option"));
    }
}
