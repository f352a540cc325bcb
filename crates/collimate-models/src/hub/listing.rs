use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::HubError;
use crate::name::RepoId;
use crate::printable::printable;

/// The kind of a repository.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RepoKind {
    /// Weights, tokenizer, configuration.
    Model,
    /// Rows to train and evaluate with.
    Dataset,
}

impl RepoKind {
    /// As it stands in addresses and in names of cache folders.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }

    /// What stands before the id in the address of a file or page.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::Dataset => "datasets/",
        }
    }
}

/// The files of a repository at one commit.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RepoListing {
    /// The repository.
    pub repo: RepoId,
    /// Its kind.
    pub kind: RepoKind,
    /// The revision that was asked for.
    pub revision: String,
    /// The commit that it names: 40 hexadecimal digits.
    pub commit: String,
    /// The files by their path in the repository.
    pub files: BTreeMap<String, RepoFile>,
}

/// A file of a repository, as the Hub lists it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RepoFile {
    /// Size in bytes.
    pub size: u64,
    /// Git's hash of the file, or of the pointer that stands for it.
    pub blob_id: String,
    /// SHA-256 of the content; only of large files.
    pub sha256: Option<String>,
    /// Hash of the content in chunks; only of files in that kind of storage.
    pub xet_hash: Option<String>,
}

impl RepoFile {
    /// The name of its content in the cache, and its hash.
    pub(super) fn etag(&self) -> &str {
        self.sha256.as_deref().unwrap_or(&self.blob_id)
    }
}

/// What the Hub's API says of a file or folder.
#[derive(Deserialize)]
pub(super) struct TreeItem {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    lfs: Option<Lfs>,
    #[serde(default, rename = "xetHash")]
    xet_hash: Option<String>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
}

/// Most files that a listing may have.
pub(super) const MAX_FILES: usize = 200_000;

impl RepoListing {
    /// Adds what the API lists, if each path and hash is one that can safely be a file's name.
    pub(super) fn add(&mut self, items: Vec<TreeItem>, url: &str) -> Result<(), HubError> {
        for item in items {
            if item.kind != "file" {
                continue;
            }
            let sha256 = item.lfs.map(|lfs| lfs.oid);
            let xet_hash = item.xet_hash.filter(|hash| is_hex(hash, 64));
            let file = RepoFile { size: item.size, blob_id: item.oid, sha256, xet_hash };
            self.insert(item.path, file, url)?;
        }
        Ok(())
    }

    pub(super) fn insert(
        &mut self,
        path: String,
        file: RepoFile,
        url: &str,
    ) -> Result<(), HubError> {
        let malformed = |message: String| HubError::Malformed {
            repo: Box::new(self.repo.clone()),
            url: url.to_owned(),
            message,
        };
        if !is_safe_path(&path) {
            let path = printable(&path).chars().take(200).collect();
            return Err(HubError::UnsafePath { repo: Box::new(self.repo.clone()), path });
        }
        if !is_safe_etag(file.etag()) || !is_safe_etag(&file.blob_id) {
            let etag: String = file.etag().chars().take(80).collect();
            return Err(malformed(format!(
                "{path} has the hash {etag:?}, which can't name a file"
            )));
        }
        if self.files.len() >= MAX_FILES {
            return Err(malformed(format!("it lists more than {MAX_FILES} files")));
        }
        if self.files.contains_key(&path) {
            return Err(malformed(format!("it lists {path} twice")));
        }
        self.files.insert(path, file);
        Ok(())
    }
}

/// Whether a text has `length` lower-case hexadecimal digits and nothing else.
pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether a path of a repository, or a revision, stays below the folder that it is appended to.
pub(super) fn is_safe_path(path: &str) -> bool {
    path.len() <= 1024
        && !path.contains('\\')
        && !path.contains(char::is_control)
        && path.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= 255)
        && (cfg!(not(windows)) || is_safe_on_windows(path))
}

/// There, a colon leads to other drives and streams, and what ends in a dot is another file.
fn is_safe_on_windows(path: &str) -> bool {
    !path.contains([':', '"', '<', '>', '|', '?', '*'])
        && path.split('/').all(|part| !part.ends_with(['.', ' ']))
}

fn is_safe_etag(etag: &str) -> bool {
    (1..=128).contains(&etag.len())
        && !etag.starts_with('.')
        && !etag.ends_with('.')
        && etag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_folder_or_name_no_file() {
        for path in ["a", "a/b.c", "data/train-00000-of-00001.parquet", ".gitattributes", "größe"]
        {
            assert!(is_safe_path(path), "{path}");
        }
        for path in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../a",
            "a/../b",
            "a/..",
            "./a",
            "a//b",
            "a/",
            "a\\b",
            "..\\a",
            "a\0b",
            "a\nb",
        ] {
            assert!(!is_safe_path(path), "{path:?}");
        }
        for path in ["C:/a", "C:a", "a:stream", "a.", "a /b", "a?"] {
            assert!(!is_safe_on_windows(path), "{path:?}");
        }
        assert!(!is_safe_path(&"a".repeat(256)));
        assert!(!is_safe_path(&"a/".repeat(600)));
    }

    #[test]
    fn hashes_that_can_not_name_a_file() {
        for etag in ["", ".", "..", "../x", "a/b", "a\\b", "a\0", ".hidden", "a b", "a."] {
            assert!(!is_safe_etag(etag), "{etag:?}");
        }
        assert!(is_safe_etag("d41d8cd98f00b204e9800998ecf8427e-5"));
        assert!(!is_safe_etag(&"a".repeat(129)));
    }
}
