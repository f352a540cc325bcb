use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::error::HubError;
use super::glob::matches;
use super::listing::{RepoKind, RepoListing, is_safe_path};

/// Which files of a repository are fetched.
///
/// # Examples
///
/// ```
/// use collimate_models::FileSelection;
///
/// let all_that_is_needed = FileSelection::needed();
/// let one_split = FileSelection::needed_of(["data/train-*"]);
/// let quantized = FileSelection::matching(["*Q4_K_M*.gguf"]);
/// let config = FileSelection::files(["config.json"]);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct FileSelection(Rule);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Rule {
    Needed { of: Vec<String> },
    Matching(Vec<String>),
    Files(Vec<String>),
}

impl FileSelection {
    /// What is needed to work with the repository, each thing once.
    ///
    /// Of a model: its weights in one format (safetensors, or else PyTorch's), a single file or an
    /// index with the shards that it names; an adapter's weights and configuration; configuration,
    /// tokenizer, chat templates, card and licence. Only files outside of folders count.
    ///
    /// Of a data set: all files of rows (Parquet, JSON, JSON lines, CSV, TSV, text; also compressed
    /// by gzip or Zstandard), the card and the licence.
    pub fn needed() -> Self {
        Self(Rule::Needed { of: Vec::new() })
    }

    /// As [`needed`](Self::needed), but rows or weights only from files that match one of the
    /// patterns.
    ///
    /// In patterns `*` stands for any characters, slashes too, `?` for one character; a pattern
    /// that ends in a slash stands for all that is in the folder.
    pub fn needed_of<S: Into<String>>(patterns: impl IntoIterator<Item = S>) -> Self {
        Self(Rule::Needed { of: patterns.into_iter().map(Into::into).collect() })
    }

    /// All files that match one of the patterns, and no others. A pattern that matches nothing is an
    /// error.
    pub fn matching<S: Into<String>>(patterns: impl IntoIterator<Item = S>) -> Self {
        Self(Rule::Matching(patterns.into_iter().map(Into::into).collect()))
    }

    /// Exactly these files. One that the repository doesn't have is an error.
    pub fn files<S: Into<String>>(paths: impl IntoIterator<Item = S>) -> Self {
        Self(Rule::Files(paths.into_iter().map(Into::into).collect()))
    }

    /// The paths that are selected of a listing. `read` gives the content of a listed file: it is
    /// asked for indices of shards only.
    pub(super) fn choose(
        &self,
        listing: &RepoListing,
        read: &mut dyn FnMut(&str) -> Result<Vec<u8>, HubError>,
    ) -> Result<BTreeSet<String>, HubError> {
        let chosen = match &self.0 {
            Rule::Needed { of } => {
                let mut chosen = match listing.kind {
                    RepoKind::Model => Weights { listing, of, read }.choose()?,
                    RepoKind::Dataset => {
                        let rows = listing.files.keys().filter(|path| is_rows(path));
                        rows.filter(|path| is_wanted(of, path)).cloned().collect()
                    }
                };
                if chosen.is_empty() {
                    return Err(nothing(listing, "files of rows"));
                }
                let about = listing.files.keys().filter(|path| is_about(path, listing.kind));
                chosen.extend(about.cloned());
                chosen
            }
            Rule::Matching(patterns) => {
                let mut chosen = BTreeSet::new();
                for pattern in patterns {
                    let mut found = listing.files.keys().filter(|p| matches(pattern, p)).peekable();
                    if found.peek().is_none() {
                        return Err(missing(listing, pattern));
                    }
                    chosen.extend(found.cloned());
                }
                chosen
            }
            Rule::Files(paths) => {
                if let Some(absent) = paths.iter().find(|path| !listing.files.contains_key(*path)) {
                    return Err(missing(listing, absent));
                }
                paths.iter().cloned().collect()
            }
        };
        if chosen.is_empty() {
            return Err(nothing(listing, "an empty list"));
        }
        Ok(chosen)
    }
}

/// Weights are loaded from the first of these that is there.
const MODEL_WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];
const ADAPTER_WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

struct Weights<'a> {
    listing: &'a RepoListing,
    of: &'a [String],
    read: &'a mut dyn FnMut(&str) -> Result<Vec<u8>, HubError>,
}

impl Weights<'_> {
    fn choose(mut self) -> Result<BTreeSet<String>, HubError> {
        let mut chosen = BTreeSet::new();
        let adapter = ADAPTER_WEIGHTS.into_iter().find(|name| self.has(name));
        chosen.extend(adapter.map(str::to_owned));
        match MODEL_WEIGHTS.into_iter().find(|name| self.has(name)) {
            Some(index) if index.ends_with(".index.json") => {
                chosen.extend(self.shards(index)?);
                chosen.insert(index.to_owned());
            }
            Some(single) => {
                chosen.insert(single.to_owned());
            }
            None if adapter.is_none() => return Err(self.no_weights()),
            None => {}
        }
        Ok(chosen)
    }

    fn has(&self, name: &str) -> bool {
        self.listing.files.contains_key(name) && is_wanted(self.of, name)
    }

    fn shards(&mut self, index: &str) -> Result<BTreeSet<String>, HubError> {
        #[derive(Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let content = (self.read)(index)?;
        let parsed = serde_json::from_slice::<Index>(&content);
        let Index { weight_map } = parsed.map_err(|error| HubError::Malformed {
            repo: Box::new(self.listing.repo.clone()),
            url: index.to_owned(),
            message: format!("it is not an index of shards: {error}"),
        })?;
        let shards: BTreeSet<String> = weight_map.into_values().collect();
        if let Some(path) = shards.iter().find(|path| !is_safe_path(path)) {
            let path = crate::printable::printable(path).chars().take(200).collect();
            return Err(HubError::UnsafePath { repo: Box::new(self.listing.repo.clone()), path });
        }
        if let Some(absent) = shards.iter().find(|path| !self.listing.files.contains_key(*path)) {
            return Err(missing(self.listing, absent));
        }
        Ok(shards)
    }

    fn no_weights(&self) -> HubError {
        const WEIGHTS: [&str; 8] =
            [".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx"];
        let is_weights = |path: &&String| WEIGHTS.iter().any(|ending| path.ends_with(ending));
        HubError::NoWeights {
            repo: Box::new(self.listing.repo.clone()),
            revision: self.listing.revision.clone(),
            found: self.listing.files.keys().filter(is_weights).take(20).cloned().collect(),
        }
    }
}

fn is_wanted(patterns: &[String], path: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, path))
}

fn is_rows(path: &str) -> bool {
    const ENDINGS: [&str; 6] = [".parquet", ".jsonl", ".json", ".csv", ".tsv", ".txt"];
    let hidden = path.split('/').any(|part| part.starts_with('.'));
    let plain = path.strip_suffix(".gz").or_else(|| path.strip_suffix(".zst")).unwrap_or(path);
    !hidden && (plain != path || ENDINGS.iter().any(|ending| plain.ends_with(ending)))
}

fn is_about(path: &str, kind: RepoKind) -> bool {
    const MODEL: [&str; 19] = [
        "config.json",
        "generation_config.json",
        "adapter_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "vocab.txt",
        "vocab.bpe",
        "merges.txt",
        "tokenizer.model",
        "spiece.model",
        "sentencepiece.bpe.model",
        "tekken.json",
        "chat_template.jinja",
        "chat_template.json",
        "MODEL_INFO.md",
        "USE_POLICY.md",
    ];
    const LEGAL: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];
    if path == "README.md" {
        return true;
    }
    let upper = path.to_uppercase();
    if !path.contains('/') && LEGAL.iter().any(|name| upper.starts_with(name)) {
        return true;
    }
    kind == RepoKind::Model
        && (MODEL.contains(&path)
            || (!path.contains('/') && path.ends_with(".tiktoken"))
            || (path.starts_with("additional_chat_templates/") && path.ends_with(".jinja")))
}

fn missing(listing: &RepoListing, file: &str) -> HubError {
    HubError::FileNotFound {
        repo: Box::new(listing.repo.clone()),
        revision: listing.revision.clone(),
        file: file.to_owned(),
    }
}

fn nothing(listing: &RepoListing, selection: &str) -> HubError {
    HubError::NothingSelected {
        repo: Box::new(listing.repo.clone()),
        revision: listing.revision.clone(),
        selection: selection.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::listing::RepoFile;
    use super::*;

    fn listing(kind: RepoKind, files: &[&str]) -> RepoListing {
        let file = RepoFile { size: 1, blob_id: "0".repeat(40), sha256: None, xet_hash: None };
        RepoListing {
            repo: "org/name".parse().unwrap(),
            kind,
            revision: "main".to_owned(),
            commit: "0".repeat(40),
            files: files.iter().map(|path| ((*path).to_owned(), file.clone())).collect(),
        }
    }

    fn choose(selection: &FileSelection, of: &RepoListing) -> Result<Vec<String>, HubError> {
        let mut read = |path: &str| {
            let stem = path.strip_suffix(".index.json").unwrap();
            let (stem, ending) = stem.split_once('.').unwrap();
            let shard = |n| format!("\"t{n}\": \"{stem}-0000{n}-of-00002.{ending}\"");
            Ok(format!("{{\"weight_map\": {{{}, {}}}}}", shard(1), shard(2)).into_bytes())
        };
        Ok(selection.choose(of, &mut read)?.into_iter().collect())
    }

    fn model(files: &[&str]) -> Result<Vec<String>, HubError> {
        choose(&FileSelection::needed(), &listing(RepoKind::Model, files))
    }

    #[test]
    fn safetensors_before_all_other_formats() {
        let files = [
            ".gitattributes",
            "README.md",
            "LICENSE.txt",
            "config.json",
            "model.safetensors",
            "pytorch_model.bin",
            "tf_model.h5",
            "flax_model.msgpack",
            "model.onnx",
            "m-Q4.gguf",
            "consolidated.safetensors",
            "original/model.safetensors",
            "tokenizer.json",
            "additional_chat_templates/tool.jinja",
            "modeling_x.py",
            "training_args.bin",
        ];
        assert_eq!(
            model(&files).unwrap(),
            [
                "LICENSE.txt",
                "README.md",
                "additional_chat_templates/tool.jinja",
                "config.json",
                "model.safetensors",
                "tokenizer.json",
            ]
        );
    }

    #[test]
    fn only_the_shards_that_the_index_names() {
        let files = [
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model-00001-of-00003.safetensors",
            "pytorch_model.bin.index.json",
            "pytorch_model-00001-of-00002.bin",
        ];
        assert_eq!(
            model(&files).unwrap(),
            [
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
            ]
        );
        let error = model(&files[..2]).unwrap_err();
        assert!(matches!(error, HubError::FileNotFound { file, .. } if file.contains("00002-of")));
    }

    #[test]
    fn pickles_where_there_is_nothing_better() {
        let shards = [
            "pytorch_model.bin.index.json",
            "pytorch_model-00001-of-00002.bin",
            "pytorch_model-00002-of-00002.bin",
            "x.safetensors",
        ];
        assert_eq!(model(&shards).unwrap().len(), 3);
        assert_eq!(model(&["pytorch_model.bin", "a.gguf"]).unwrap(), ["pytorch_model.bin"]);
    }

    #[test]
    fn adapters() {
        let files = [
            "adapter_config.json",
            "adapter_model.bin",
            "adapter_model.safetensors",
            "README.md",
            "checkpoint-5/adapter_model.safetensors",
        ];
        assert_eq!(
            model(&files).unwrap(),
            ["README.md", "adapter_config.json", "adapter_model.safetensors"]
        );
    }

    #[test]
    fn other_weights_are_named_when_there_are_no_usual_ones() {
        let error = model(&["README.md", "m-Q4.gguf", "sub/model.safetensors"]).unwrap_err();
        assert!(
            matches!(&error, HubError::NoWeights { found, .. } if *found == ["m-Q4.gguf", "sub/model.safetensors"]),
            "{error}"
        );
        let gguf = FileSelection::matching(["*Q4*.gguf"]);
        let listing = listing(RepoKind::Model, &["README.md", "m-Q4.gguf", "m-Q8.gguf"]);
        assert_eq!(choose(&gguf, &listing).unwrap(), ["m-Q4.gguf"]);
    }

    #[test]
    fn an_index_that_leads_elsewhere() {
        let listing = listing(RepoKind::Model, &["model.safetensors.index.json"]);
        for (index, unsafe_path) in [
            (r#"{"weight_map": {"t": "../../etc/passwd"}}"#, true),
            (r#"{"weight_map": {"t": "/etc/passwd"}}"#, true),
            (r#"{"weight_map": [1]}"#, false),
            ("", false),
        ] {
            let mut read = |_: &str| Ok(index.as_bytes().to_vec());
            let error = FileSelection::needed().choose(&listing, &mut read).unwrap_err();
            assert_eq!(matches!(error, HubError::UnsafePath { .. }), unsafe_path, "{error}");
            assert_eq!(matches!(error, HubError::Malformed { .. }), !unsafe_path, "{error}");
        }
    }

    #[test]
    fn rows_of_data_sets() {
        let files = [
            ".gitattributes",
            "README.md",
            "data/train-0.parquet",
            "data/test-0.parquet",
            "a.jsonl",
            "b.csv.gz",
            "c.zst",
            "script.py",
            "image.png",
            ".cache/x.json",
            "sub/README.md",
        ];
        let listing = listing(RepoKind::Dataset, &files);
        assert_eq!(
            choose(&FileSelection::needed(), &listing).unwrap(),
            [
                "README.md",
                "a.jsonl",
                "b.csv.gz",
                "c.zst",
                "data/test-0.parquet",
                "data/train-0.parquet",
            ]
        );
        let part = FileSelection::needed_of(["data/train*"]);
        assert_eq!(choose(&part, &listing).unwrap(), ["README.md", "data/train-0.parquet"]);
        let none = FileSelection::needed_of(["data/validation*"]);
        let error = choose(&none, &listing).unwrap_err();
        assert!(matches!(error, HubError::NothingSelected { .. }), "{error}");
    }

    #[test]
    fn files_and_patterns_that_are_not_there() {
        let listing = listing(RepoKind::Model, &["a", "b"]);
        for (selection, expected) in
            [(FileSelection::files(["a", "c"]), "c"), (FileSelection::matching(["a*", "c*"]), "c*")]
        {
            let error = choose(&selection, &listing).unwrap_err();
            assert!(matches!(error, HubError::FileNotFound { file, .. } if file == expected));
        }
        assert_eq!(choose(&FileSelection::files(["b"]), &listing).unwrap(), ["b"]);
        let empty = choose(&FileSelection::files([""; 0]), &listing).unwrap_err();
        assert!(matches!(empty, HubError::NothingSelected { .. }), "{empty}");
    }
}
