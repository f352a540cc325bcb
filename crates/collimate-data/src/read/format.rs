use std::path::Path;

use serde::{Deserialize, Serialize};

/// How records lie in a file.
///
/// Each may be compressed with gzip or zstd, which is seen from the file's first bytes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// One JSON object per line (`.jsonl`, `.ndjson`).
    JsonLines,
    /// A JSON array of objects, an object around such an array, or objects one after another
    /// (`.json`).
    Json,
    /// Comma-separated values with a header (`.csv`).
    Csv,
    /// Tab-separated values with a header, quoted as CSV is (`.tsv`).
    Tsv,
    /// Apache Parquet (`.parquet`).
    Parquet,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
}

/// The endings that are known, for messages.
pub(crate) const ENDINGS: &str =
    ".jsonl, .ndjson, .json, .csv, .tsv and .parquet, each also with .gz or .zst";

impl Format {
    /// What a path's ending says, a `.gz` or `.zst` after it aside.
    ///
    /// ```
    /// # use collimate_data::Format;
    /// assert_eq!(Format::of_path("train.jsonl.zst".as_ref()), Some(Format::JsonLines));
    /// assert_eq!(Format::of_path("README.md".as_ref()), None);
    /// ```
    pub fn of_path(path: &Path) -> Option<Self> {
        let (format, _) = endings(path);
        format
    }
}

/// What the endings of a path say.
pub(crate) fn endings(path: &Path) -> (Option<Format>, Option<Compression>) {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase())
    else {
        return (None, None);
    };
    let (stem, compression) = match name.rsplit_once('.') {
        Some((stem, "gz")) => (stem, Some(Compression::Gzip)),
        Some((stem, "zst" | "zstd")) => (stem, Some(Compression::Zstd)),
        _ => (name.as_str(), None),
    };
    let format = match stem.rsplit_once('.').map(|(_, ending)| ending) {
        Some("jsonl" | "ndjson") => Some(Format::JsonLines),
        Some("json") => Some(Format::Json),
        Some("csv") => Some(Format::Csv),
        Some("tsv") => Some(Format::Tsv),
        Some("parquet") => Some(Format::Parquet),
        _ => None,
    };
    (format, compression)
}
