use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use super::class::Class;
use super::config::Config;
use super::{
    TOKENIZER_CONFIG, TOKENIZER_JSON, byte_level, finish, invalid, sentence_piece, word_piece,
};
use crate::copy::SourceFolder;
use crate::error::{ArtifactError, Result};
use crate::stage::Staging;

/// The files of a tokenizer and its templates, sorted.
const NAMES: [&str; 15] = [
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tekken.json",
    "tiktoken.model",
    TOKENIZER_JSON,
    "tokenizer.model",
    "tokenizer.model.v3",
    TOKENIZER_CONFIG,
    "vocab.json",
    "vocab.txt",
];
/// The folder of templates beside the default one.
pub(super) const TEMPLATES: &str = "additional_chat_templates";
/// How the names of those end.
pub(super) const TEMPLATE: &str = ".jinja";
/// How names of files of other tokenizers end.
const TIKTOKEN: &str = ".tiktoken";

/// The files of a model's tokenizer, and what its `tokenizer.json` is built from where it is
/// missing.
///
/// ```
/// use collimate_artifact::{SourceFolder, TokenizerSuite};
/// # let folder = tempfile::tempdir()?;
/// # let write = |name, text| std::fs::write(folder.path().join(name), text);
/// # write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\n")?;
/// # write("tokenizer_config.json", r#"{"tokenizer_class": "BertTokenizer"}"#)?;
/// let folder = SourceFolder::open(folder.path())?;
/// let suite = TokenizerSuite::of(&folder)?;
/// assert_eq!(suite.files, ["tokenizer_config.json", "vocab.txt"]);
/// assert_eq!(suite.built_from, Some(vec!["vocab.txt".to_owned()]));
///
/// let tokenizer_json = suite.build()?.ok_or("there is one")?;
/// assert!(String::from_utf8(tokenizer_json)?.contains("WordPiece"));
///
/// // Nothing says how a text is to be cut.
/// std::fs::remove_file(folder.path().join("tokenizer_config.json"))?;
/// assert!(TokenizerSuite::of(&folder).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TokenizerSuite {
    /// The files that are there, by their paths in the folder, sorted. They are to be copied as
    /// they are.
    pub files: Vec<String>,
    /// The files that `tokenizer.json` is built from; absent if it is there.
    pub built_from: Option<Vec<String>>,
    #[serde(skip)]
    folder: SourceFolder,
}

impl TokenizerSuite {
    /// Finds the files of the tokenizer in a model's folder.
    ///
    /// # Errors
    ///
    /// There is no `tokenizer.json`, and nothing that it can be built from; or the folder or its
    /// settings can't be read.
    pub fn of(folder: &SourceFolder) -> Result<Self> {
        let mut files =
            names(folder.path(), |name| NAMES.contains(&name) || name.ends_with(TIKTOKEN))?;
        let templates = folder.path().join(TEMPLATES);
        if templates.is_dir() {
            let names = names(&templates, |name| name.ends_with(TEMPLATE))?;
            files.extend(names.into_iter().map(|name| format!("{TEMPLATES}/{name}")));
        }
        files.sort();
        let mut suite = Self { files, built_from: None, folder: folder.clone() };
        if !suite.has(TOKENIZER_JSON) {
            let class = Class::of(folder.path(), &Config::read(folder)?)?;
            suite.built_from = Some(suite.sources(class)?);
        }
        Ok(suite)
    }

    /// The bytes of `tokenizer.json`, if it is missing.
    ///
    /// It gives the ids that transformers 5 gives with the same files, but for SentencePiece models of
    /// byte pair encoding, which it takes as their training left them: pieces are merged in the order
    /// of their scores, and a BOS begins a text unless `add_bos_token` says otherwise. transformers 5
    /// merges in the order of ids, and so gives other tokens for runs of spaces, and adds a BOS only
    /// if `add_bos_token` is stated.
    ///
    /// # Errors
    ///
    /// A file is not what it should be, or its tokenizer does something that a `tokenizer.json` of
    /// its class can't; the message says what, and what to do.
    pub fn build(&self) -> Result<Option<Vec<u8>>> {
        let Some(sources) = &self.built_from else { return Ok(None) };
        let folder = &self.folder;
        let config = Config::read(folder)?;
        let class = Class::of(folder.path(), &config)?;
        let parts = match (class, &**sources) {
            (Class::Bert, _) => word_piece::parts(folder, class, &config)?,
            (Class::Gpt2 | Class::Qwen2 | Class::Roberta, _) => {
                byte_level::parts(folder, class, &config)?
            }
            (_, [model, ..]) => sentence_piece::parts(folder, model, class, &config)?,
            (_, []) => return Ok(None),
        };
        finish::finish(folder.path(), class, &config, parts).map(Some)
    }

    /// Copies the files, and writes `tokenizer.json` if it is missing, into a folder of the one that is
    /// made: `folder` is empty, or ends in `/`.
    ///
    /// # Errors
    ///
    /// As for [`TokenizerSuite::build`] and [`SourceFolder::copy`].
    pub fn write_into(
        &self,
        staging: &Staging,
        folder: &str,
        cancelled: &AtomicBool,
    ) -> Result<()> {
        for file in &self.files {
            self.folder.copy(file, &staging.file(&format!("{folder}{file}"))?, cancelled)?;
        }
        if let Some(bytes) = self.build()? {
            staging.write(&format!("{folder}{TOKENIZER_JSON}"), &bytes)?;
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file == name)
    }

    fn sources(&self, class: Class) -> Result<Vec<String>> {
        let groups = class.sources();
        let found = groups.iter().find(|group| group.iter().all(|name| self.has(name)));
        let owned = |group: &&[&str]| group.iter().map(|name| (*name).to_owned()).collect();
        found.map(owned).ok_or_else(|| {
            let needed: Vec<String> = groups.iter().map(|group| group.join(" and ")).collect();
            let found =
                if self.files.is_empty() { "nothing".to_owned() } else { self.files.join(", ") };
            invalid(
                self.folder.path(),
                format!(
                    "there is no tokenizer.json, and to build it {} is needed; found {found}; load \
                     the tokenizer with the code that the model came with and save it again, which \
                     writes one",
                    needed.join(" or ")
                ),
            )
        })
    }
}

/// The names of files, or of links to files, that are wanted.
fn names(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let io = |source| ArtifactError::Io { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if let Some(name) = name.to_str().filter(|name| wanted(name)) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
