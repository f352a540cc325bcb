//! A model's own tokenizer.

mod direct;
mod load;
mod normalize;
mod pieces;
mod special;
mod split;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::{DataError, Result};

use direct::Direct;
use normalize::Normal;

pub use special::{SpecialToken, SpecialTokens};

type Inner = tokenizers::TokenizerImpl<
    tokenizers::ModelWrapper,
    Normal,
    tokenizers::PreTokenizerWrapper,
    tokenizers::PostProcessorWrapper,
    tokenizers::DecoderWrapper,
>;

/// A model's own tokenizer, read from its `tokenizer.json`.
///
/// It gives the ids that the fast tokenizers of transformers give. Truncation and padding that were
/// saved with it are ignored: here nothing is cut or filled unless a caller asks for it.
///
/// ```
/// use collimate_data::Tokenizer;
/// # let folder = tempfile::tempdir()?;
/// # std::fs::write(folder.path().join("tokenizer.json"), r#"{"version": "1.0",
/// #     "model": {"type": "WordLevel", "vocab": {"hello": 0, "world": 1, "?": 2}, "unk_token": "?"},
/// #     "pre_tokenizer": {"type": "Whitespace"}, "added_tokens": []}"#)?;
/// let tokenizer = Tokenizer::from_folder(folder.path())?;
/// let encoded = tokenizer.encode("hello world", true)?;
/// assert_eq!(encoded.ids, [0, 1]);
/// assert_eq!(encoded.offsets, [0..5, 6..11]);
///
/// assert!(Tokenizer::from_file(folder.path().join("missing.json")).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tokenizer {
    /// Without post-processor: it would trim offsets, and what it adds stands in `before` and
    /// `after`.
    inner: Inner,
    /// The same, faster, where the tokenizer is one of those for which there is such a way.
    direct: Option<Arc<Direct>>,
    path: PathBuf,
    before: Vec<u32>,
    after: Vec<u32>,
    special: SpecialTokens,
    digest: [u8; 32],
}

/// A text as tokens.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Encoded {
    /// Token ids.
    pub ids: Vec<u32>,
    /// For each token the bytes of the text that it stands for, with its leading space where it has
    /// one; empty for tokens that the tokenizer adds. Tokens that are parts of one character have
    /// the range of the whole character.
    pub offsets: Vec<Range<usize>>,
}

impl Tokenizer {
    /// The tokenizer in a model's folder.
    ///
    /// `tokenizer.json` has to be there; `tokenizer_config.json` and `special_tokens_map.json` name
    /// the special tokens where they exist.
    ///
    /// # Errors
    ///
    /// A file is missing, too large or not what it should be; the message says which.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        load::from_folder(folder.as_ref())
    }

    /// The tokenizer in a `tokenizer.json`, without the files that may stand beside it: it has no
    /// named special tokens.
    ///
    /// # Errors
    ///
    /// As for [`Tokenizer::from_folder`].
    pub fn from_file(file: impl AsRef<Path>) -> Result<Self> {
        load::from_file(file.as_ref())
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The named special tokens.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special
    }

    /// The tokens that it adds before and after a text when asked for special tokens.
    pub fn added_tokens(&self) -> (&[u32], &[u32]) {
        (&self.before, &self.after)
    }

    /// A text as tokens, with the special tokens around it that the tokenizer is set to add, or
    /// without. Special tokens that are written out in the text are recognized in both cases.
    ///
    /// # Errors
    ///
    /// The tokenizer has no token for a part of the text.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Encoded> {
        let mut encoded = self.encode_plain(text)?;
        if add_special_tokens {
            let Encoded { ids, offsets } = &mut encoded;
            ids.splice(..0, self.before.iter().copied());
            offsets.splice(..0, self.before.iter().map(|_| 0..0));
            ids.extend(&self.after);
            offsets.resize(ids.len(), text.len()..text.len());
        }
        Ok(encoded)
    }

    /// Texts as tokens, in their order, computed in parallel in the current rayon pool.
    ///
    /// # Errors
    ///
    /// As for [`Tokenizer::encode`].
    pub fn encode_batch<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        add_special_tokens: bool,
    ) -> Result<Vec<Encoded>> {
        texts.par_iter().map(|text| self.encode(text.as_ref(), add_special_tokens)).collect()
    }

    /// Tokens as text, with special tokens written out or left out.
    ///
    /// # Errors
    ///
    /// The tokenizer can't decode.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        guarded(&self.path, || self.inner.decode(ids, skip_special_tokens))
    }

    /// The id of a token as it is written in the vocabulary.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id as it is written in the vocabulary.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// All tokens with their ids.
    pub fn vocabulary(&self) -> BTreeMap<String, u32> {
        self.inner.get_vocab(true).into_iter().collect()
    }

    /// The SHA-256 of all that determines its ids.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Whether the characters around a position of a text become others if they stand apart.
    pub(crate) fn joins_at(&self, text: &str, position: usize) -> bool {
        self.inner.get_normalizer().is_some_and(|normalizer| normalizer.joins_at(text, position))
    }

    /// Tokens without any that the text does not have.
    pub(crate) fn encode_plain(&self, text: &str) -> Result<Encoded> {
        // English has four bytes a token or more.
        let expected = text.len() / 4 + 8;
        let mut encoded =
            Encoded { ids: Vec::with_capacity(expected), offsets: Vec::with_capacity(expected) };
        let mut library = |part: &str, place: usize, encoded: &mut Encoded| {
            let encoding = guarded(&self.path, || self.inner.encode(part, false))?;
            encoded.ids.extend(encoding.get_ids());
            let offsets = encoding.get_offsets().iter();
            encoded.offsets.extend(offsets.map(|(start, end)| place + start..place + end));
            Ok(())
        };
        match &self.direct {
            Some(direct) => direct.encode(&self.inner, text, &mut encoded, &mut library)?,
            None => library(text, 0, &mut encoded)?,
        }
        Ok(encoded)
    }
}

impl Encoded {
    fn push(&mut self, id: u32, place: Range<usize>) {
        self.ids.push(id);
        self.offsets.push(place);
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("path", &self.path)
            .field("before", &self.before)
            .field("after", &self.after)
            .field("special", &self.special)
            .finish_non_exhaustive()
    }
}

/// Calls into the tokenizers library, which panics on some tokenizers that it should refuse.
fn guarded<T>(path: &Path, call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    let message = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => {
            let words = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            format!("it can't be used: {}", words.unwrap_or("the tokenizers library gave up"))
        }
    };
    Err(DataError::Tokenizer { path: path.to_owned(), message })
}
