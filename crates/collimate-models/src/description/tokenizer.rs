use std::io::Read;

use collimate_tensors::is_lfs_pointer;
use serde::Serialize;

use crate::folder::{Folder, unreadable};
use crate::problem::Problem;

/// The files that turn text into tokens, or say something about it; sorted.
const NAMES: [&str; 12] = [
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tekken.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer.model.v3",
    CONFIG,
    "vocab.json",
    "vocab.txt",
];
/// It is read for the chat template, which also finds what is wrong with it.
pub(super) const CONFIG: &str = "tokenizer_config.json";
/// Those that suffice alone.
const SUFFICE: [&str; 7] = [
    "sentencepiece.bpe.model",
    "spiece.model",
    "tekken.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer.model.v3",
    "vocab.txt",
];
/// Files of other names that suffice alone.
const TIKTOKEN: &str = ".tiktoken";
/// A pointer of Git LFS has fewer bytes.
const POINTER_SIZE: u64 = 1024;

/// The files that turn text into tokens.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TokenizerFiles {
    /// Those that are here and not empty, sorted: `tokenizer.json`, `tokenizer_config.json`,
    /// `tokenizer.model`, `tokenizer.model.v3`, `spiece.model`, `sentencepiece.bpe.model`,
    /// `tekken.json`, `*.tiktoken`, `vocab.json`, `merges.txt`, `vocab.txt`,
    /// `special_tokens_map.json`, `added_tokens.json`.
    pub files: Vec<String>,
    /// Whether they suffice to tokenize, or the tokenizer stands in a GGUF file. One of
    /// `tokenizer.json`, a SentencePiece model, `tekken.json`, `*.tiktoken` or `vocab.txt` does, and
    /// so do `vocab.json` and `merges.txt` together.
    pub complete: bool,
}

impl TokenizerFiles {
    /// Looks for the files, and at their sizes.
    pub(super) fn find(folder: &Folder, problems: &mut Vec<Problem>) -> Self {
        let mut files = Vec::new();
        for name in folder.files() {
            if NAMES.binary_search(&name.as_str()).is_err() && !name.ends_with(TIKTOKEN) {
                continue;
            }
            match check(folder, name) {
                Ok(()) => files.push(name.clone()),
                Err(problem) => problems.push(problem),
            }
        }
        let has = |name: &str| files.iter().any(|file| file == name);
        let alone = |name: &String| SUFFICE.contains(&name.as_str()) || name.ends_with(TIKTOKEN);
        let complete = files.iter().any(alone) || (has("vocab.json") && has("merges.txt"));
        Self { files, complete }
    }
}

fn check(folder: &Folder, name: &str) -> Result<(), Problem> {
    if name == CONFIG {
        return Ok(());
    }
    let size = folder.size(name)?;
    if size == 0 {
        let message = "it is empty; fetch it again".to_owned();
        return Err(Problem::Invalid { file: name.to_owned(), message });
    }
    if size >= POINTER_SIZE {
        return Ok(());
    }
    let mut bytes = Vec::new();
    let (file, _) = folder.open(name)?;
    let read = file.take(POINTER_SIZE).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(name, &error))?;
    if is_lfs_pointer(&bytes) {
        return Err(Problem::LfsPointer { file: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Model;
    use super::*;

    fn find(files: &[(&str, &str)]) -> (Vec<String>, bool, Vec<&'static str>) {
        let (model, mut problems) = (Model::new(files), Vec::new());
        let found = TokenizerFiles::find(&model.folder(), &mut problems);
        (found.files, found.complete, problems.iter().map(Problem::code).collect())
    }

    #[test]
    fn names_are_sorted() {
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn some_files_suffice_alone() {
        for name in SUFFICE.into_iter().chain(["qwen.tiktoken"]) {
            let found = find(&[(name, "x"), ("other.json", "x")]);
            assert_eq!(found, (vec![name.to_owned()], true, vec![]));
        }
        for name in NAMES.into_iter().filter(|name| !SUFFICE.contains(name)) {
            assert_eq!(find(&[(name, "x")]), (vec![name.to_owned()], false, vec![]));
        }
        assert!(find(&[("vocab.json", "x"), ("merges.txt", "x")]).1);
    }

    #[test]
    fn empty_files_and_pointers_do_not_count() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n";
        let (files, complete, problems) =
            find(&[("tokenizer.json", ""), ("tokenizer.model", pointer)]);
        assert_eq!((files.len(), complete), (0, false));
        assert_eq!(problems, ["invalid", "lfs_pointer"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_to_nowhere_do_not_count() {
        let model = Model::new::<&str>(&[]);
        std::os::unix::fs::symlink("../blobs/0", model.path().join("tokenizer.json")).unwrap();
        let mut problems = Vec::new();
        let found = TokenizerFiles::find(&model.folder(), &mut problems);
        assert_eq!(found, TokenizerFiles::default());
        assert_eq!(problems.first().map(Problem::code), Some("dangling_link"));
    }
}
