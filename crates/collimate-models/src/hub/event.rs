use serde::Serialize;

/// What happens while files are fetched.
///
/// Events of one file come in order; those of files that are transferred at the same time mingle.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum HubEvent {
    /// The repository was listed, and this was selected of it.
    Listed {
        /// Number of selected files.
        files: usize,
        /// Their size in bytes.
        bytes: u64,
    },
    /// A file is in the cache already.
    Reused {
        /// Path in the repository.
        file: String,
    },
    /// The transfer of a file begins.
    Started {
        /// Path in the repository.
        file: String,
        /// Size in bytes.
        bytes: u64,
        /// Bytes that are there from an earlier transfer.
        resumed_from: u64,
    },
    /// A part of a file has arrived: one event for about every percent, and at least 256 KiB.
    Progress {
        /// Path in the repository.
        file: String,
        /// Bytes that are there.
        done: u64,
        /// Size in bytes.
        total: u64,
    },
    /// Something failed and is tried again.
    Retrying {
        /// Path in the repository; absent while the repository is looked up and listed.
        file: Option<String>,
        /// The number of the try that follows, from 2.
        attempt: u32,
        /// What failed.
        reason: String,
    },
    /// A file is complete.
    Finished {
        /// Path in the repository.
        file: String,
        /// How its content was checked.
        verified: Verification,
    },
}

/// How the content of a file was checked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verification {
    /// Its SHA-256 is the one that the Hub states (large files).
    Sha256,
    /// Its git blob hash is the one that the Hub states (small files).
    GitSha1,
    /// Only its size was compared: the Hub states no hash that could be computed, or the file was in
    /// the cache already and is trusted.
    SizeOnly,
}
