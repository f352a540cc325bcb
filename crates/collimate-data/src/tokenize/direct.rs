//! Byte-level tokenizers without the library's intermediate strings.
//!
//! Such a tokenizer takes out its added tokens, splits what is between them into pieces, and turns
//! each piece into tokens by itself. So a piece has the same tokens wherever it stands, and common
//! pieces need to be looked at only once. What isn't ASCII is left to the library, with as much text
//! around it as it takes to come to the same pieces.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use aho_corasick::{AhoCorasick, MatchKind};
use tokenizers::{AddedToken, Model, ModelWrapper};

use super::pieces::{Piece, Pieces};
use super::split::Split;
use super::{Encoded, Inner};

/// How ASCII becomes tokens.
#[derive(Debug)]
pub(super) struct Direct {
    split: Split,
    /// Added tokens that are found in the text as it stands, and in what a normalizer makes of it.
    added: [Option<Added>; 2],
    /// Whether added tokens are found only in what the normalizer makes of a text.
    needs_normal: bool,
    /// What stands for each ASCII byte in the vocabulary.
    letters: [char; 128],
    pieces: Pieces,
}

#[derive(Debug)]
struct Added {
    finder: AhoCorasick,
    ids: Vec<u32>,
}

impl Direct {
    /// The same tokenizer; nothing where it does something that isn't known here.
    pub(super) fn of(inner: &Inner) -> Option<Self> {
        let split = Split::of(&serde_json::to_value(inner.get_pre_tokenizer()?).ok()?)?;
        let ModelWrapper::BPE(bpe) = inner.get_model() else { return None };
        let none = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
        if bpe.dropout.is_some_and(|dropout| dropout > 0.0)
            || !none(&bpe.continuing_subword_prefix)
            || !none(&bpe.end_of_word_suffix)
            || inner.get_normalizer().is_some_and(|normalizer| !normalizer.keeps_ascii())
        {
            return None;
        }
        let letters = std::array::from_fn(|byte| letter(byte as u8));
        if letters.iter().any(|letter| bpe.token_to_id(letter.encode_utf8(&mut [0; 4])).is_none()) {
            return None;
        }
        let tokens = inner.get_added_tokens_decoder();
        let simple = |token: &AddedToken| !(token.single_word || token.lstrip || token.rstrip);
        let normalizes = inner.get_normalizer().is_some();
        let keeps = |token: &AddedToken| !token.normalized || token.content.is_ascii();
        if !tokens.values().all(|token| simple(token) && (keeps(token) || !normalizes)) {
            return None;
        }
        let added = |normalized: bool| {
            let chosen = tokens.iter().filter(|(_, token)| token.normalized == normalized);
            Added::new(chosen.map(|(id, token)| (*id, token.content.as_str())))
        };
        let added = [added(false)?, added(true)?];
        let needs_normal = normalizes && added[1].is_some();
        Some(Self { split, added, needs_normal, letters, pieces: Pieces::new() })
    }

    /// Adds the tokens of a text. `library` gives those of a part of it.
    pub(super) fn encode<E>(
        &self,
        inner: &Inner,
        text: &str,
        tokens: &mut Encoded,
        library: &mut impl FnMut(&str, usize, &mut Encoded) -> Result<(), E>,
    ) -> Result<(), E> {
        let [first, second] = &self.added;
        around(first, text, 0..text.len(), tokens, &mut |part, tokens| {
            if self.needs_normal && !text.as_bytes().get(part.clone()).is_some_and(<[u8]>::is_ascii)
            {
                return library(text.get(part.clone()).unwrap_or_default(), part.start, tokens);
            }
            around(second, text, part, tokens, &mut |part, tokens| {
                self.plain(inner, text, part, tokens, library)
            })
        })
    }

    /// Adds the tokens of a part of a text without added tokens.
    fn plain<E>(
        &self,
        inner: &Inner,
        text: &str,
        part: Range<usize>,
        tokens: &mut Encoded,
        library: &mut impl FnMut(&str, usize, &mut Encoded) -> Result<(), E>,
    ) -> Result<(), E> {
        let Range { mut start, end } = part;
        while start < end {
            let rest = text.as_bytes().get(start..end).unwrap_or_default();
            let foreign = rest.iter().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
            // From where on the library has to look, and until where.
            let (from, to) = if foreign == rest.len() {
                (foreign, foreign)
            } else {
                (cut_before(rest, foreign), cut_after(rest, foreign))
            };
            let mut ascii = rest.get(..from).unwrap_or_default();
            let mut place = start;
            while !ascii.is_empty() {
                let (piece, after) = ascii.split_at(self.split.first(ascii));
                if !self.piece(inner, piece, place, tokens) {
                    let piece = text.get(place..place + piece.len()).unwrap_or_default();
                    library(piece, place, tokens)?;
                }
                place += piece.len();
                ascii = after;
            }
            if from < to {
                let foreign = text.get(start + from..start + to).unwrap_or_default();
                library(foreign, start + from, tokens)?;
            }
            start += to;
        }
        Ok(())
    }

    /// Adds the tokens of a piece, unless the model does not give them plainly.
    fn piece(&self, inner: &Inner, piece: &[u8], place: usize, tokens: &mut Encoded) -> bool {
        let add = |found: &[Piece]| {
            let mut start = place;
            for token in found {
                let end = start + token.bytes as usize;
                tokens.push(token.id, start..end);
                start = end;
            }
        };
        self.pieces.with(piece, || self.merged(inner, piece), add)
    }

    /// What the model makes of a piece.
    fn merged(&self, inner: &Inner, piece: &[u8]) -> Option<Box<[Piece]>> {
        let written: Option<String> =
            piece.iter().map(|byte| self.letters.get(usize::from(*byte))).collect();
        let merge = AssertUnwindSafe(|| inner.get_model().tokenize(&written?).ok());
        let merged = catch_unwind(merge).ok()??;
        let mut bytes = 0;
        let found = merged.iter().map(|token| {
            let length = token.value.chars().count();
            bytes += length;
            Some(Piece { id: token.id, bytes: u32::try_from(length).ok()? })
        });
        let found = found.collect::<Option<_>>()?;
        (bytes == piece.len()).then_some(found)
    }
}

impl Added {
    /// Nothing inside where there are no tokens; nothing at all where they can't be searched for.
    fn new<'t>(tokens: impl Iterator<Item = (u32, &'t str)>) -> Option<Option<Self>> {
        let (ids, contents): (Vec<u32>, Vec<&str>) = tokens.unzip();
        if ids.is_empty() {
            return Some(None);
        }
        let finder =
            AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(contents).ok()?;
        Some(Some(Self { finder, ids }))
    }
}

/// Adds the added tokens of a part of a text, and hands on what is between them.
fn around<E>(
    added: &Option<Added>,
    text: &str,
    part: Range<usize>,
    tokens: &mut Encoded,
    between: &mut impl FnMut(Range<usize>, &mut Encoded) -> Result<(), E>,
) -> Result<(), E> {
    let mut start = part.start;
    if let Some(added) = added {
        let searched = text.get(part.clone()).unwrap_or_default();
        for found in added.finder.find_iter(searched) {
            let place = part.start + found.start()..part.start + found.end();
            if start < place.start {
                between(start..place.start, tokens)?;
            }
            start = place.end;
            if let Some(id) = added.ids.get(found.pattern().as_usize()) {
                tokens.push(*id, place);
            }
        }
    }
    if start < part.end { between(start..part.end, tokens) } else { Ok(()) }
}

/// Whether pieces end at a place whatever stands around: an ASCII letter, then a space, then another
/// letter. No piece has a space behind a letter.
fn is_cut(text: &[u8], place: usize) -> bool {
    let letter = |place: Option<usize>| {
        place.and_then(|place| text.get(place)).is_some_and(u8::is_ascii_alphabetic)
    };
    text.get(place) == Some(&b' ') && letter(place.checked_sub(1)) && letter(Some(place + 1))
}

fn cut_before(text: &[u8], place: usize) -> usize {
    (0..place).rev().find(|place| is_cut(text, *place)).unwrap_or(0)
}

/// The first cut behind which there is enough ASCII to be worth it.
fn cut_after(text: &[u8], place: usize) -> usize {
    /// Bytes of ASCII behind a cut.
    const ENOUGH: usize = 24;
    (place..text.len())
        .find(|place| {
            is_cut(text, *place)
                && text.get(*place..).is_some_and(|rest| rest.iter().take(ENOUGH).all(u8::is_ascii))
        })
        .unwrap_or(text.len())
}

/// The character that byte-level vocabularies write for an ASCII byte.
fn letter(byte: u8) -> char {
    match byte {
        b'!'..=b'~' => char::from(byte),
        // Those without a shape of their own are numbered: 33 below `!`, then DEL.
        0x7f => '\u{121}',
        _ => char::from_u32(0x100 + u32::from(byte)).unwrap_or_default(),
    }
}
