//! A SentencePiece model: the fields of its protocol buffer that matter here.

use std::collections::HashSet;
use std::path::Path;

use super::{charsmap, invalid};
use crate::error::Result;

/// What tokens a model makes, and how.
#[derive(Debug, PartialEq)]
pub(super) struct Model {
    /// The id of a piece is its index.
    pub(super) pieces: Vec<Piece>,
    pub(super) algorithm: u64,
    pub(super) unknown_id: u64,
    pub(super) suffix: bool,
    /// Rules of normalization, compiled.
    pub(super) charsmap: Vec<u8>,
    /// Whether a space is put before each text.
    pub(super) add_dummy_prefix: bool,
    /// Whether spaces that repeat, begin or end a text are removed.
    pub(super) remove_extra_whitespaces: bool,
    pub(super) escape_whitespaces: bool,
}

/// A token of the vocabulary.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: u64,
}

impl Piece {
    /// A symbol that is never made from text, such as the one that begins a text.
    pub(super) const CONTROL: u64 = 3;
    /// A symbol that is always one token.
    pub(super) const USER_DEFINED: u64 = 4;
}

impl Model {
    pub(super) const UNIGRAM: u64 = 1;
    pub(super) const BPE: u64 = 2;

    /// Parses the bytes of a file.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let refuse =
            |problem: &str| invalid(path, format!("it is not a SentencePiece model: {problem}"));
        let model = parse(bytes).ok_or_else(|| refuse("its fields do not add up"))?;
        if model.pieces.is_empty() {
            return Err(refuse("it has no pieces"));
        }
        let mut texts = HashSet::new();
        for (id, piece) in model.pieces.iter().enumerate() {
            if piece.text.is_empty() {
                return Err(refuse(&format!("piece {id} is empty")));
            }
            if !texts.insert(&*piece.text) {
                return Err(refuse(&format!("piece {id} stands in it twice")));
            }
            if !piece.score.is_finite() {
                return Err(refuse(&format!("the score of piece {id} is not a number")));
            }
        }
        if model.unknown_id >= model.pieces.len() as u64 {
            return Err(refuse("the id of its unknown piece is beyond its pieces"));
        }
        if !charsmap::fits(&model.charsmap) {
            return Err(refuse("its rules of normalization are cut off"));
        }
        Ok(model)
    }
}

fn parse(bytes: &[u8]) -> Option<Model> {
    let mut model = Model {
        pieces: Vec::new(),
        algorithm: Model::UNIGRAM,
        unknown_id: 0,
        suffix: false,
        charsmap: Vec::new(),
        add_dummy_prefix: true,
        remove_extra_whitespaces: true,
        escape_whitespaces: true,
    };
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => model.pieces.push(piece(bytes)?),
            (2, Value::Bytes(bytes)) => {
                for field in Fields(bytes) {
                    match field? {
                        (3, Value::Number(algorithm)) => model.algorithm = algorithm,
                        (24, Value::Number(flag)) => model.suffix = flag != 0,
                        (40, Value::Number(id)) => model.unknown_id = id,
                        _ => {}
                    }
                }
            }
            (3, Value::Bytes(bytes)) => {
                for field in Fields(bytes) {
                    match field? {
                        (2, Value::Bytes(charsmap)) => model.charsmap = charsmap.to_vec(),
                        (3, Value::Number(flag)) => model.add_dummy_prefix = flag != 0,
                        (4, Value::Number(flag)) => model.remove_extra_whitespaces = flag != 0,
                        (5, Value::Number(flag)) => model.escape_whitespaces = flag != 0,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(model)
}

fn piece(bytes: &[u8]) -> Option<Piece> {
    let mut piece = Piece { kind: 1, ..Piece::default() };
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(text)) => piece.text = str::from_utf8(text).ok()?.to_owned(),
            (2, Value::Fixed(bits)) => piece.score = f32::from_bits(bits),
            (3, Value::Number(kind)) => piece.kind = kind,
            _ => {}
        }
    }
    Some(piece)
}

/// The fields of a message, one after the other; none where they do not add up.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed(u32),
    Other,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => {
                self.take(8)?;
                Value::Other
            }
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        (key >> 3 != 0).then_some((key >> 3, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &[u8] = b"\x0a\x08\x0a\x01a\x15\0\0\x80\xbf";

    fn message(bytes: &[&[u8]]) -> Result<Model> {
        Model::parse(Path::new("tokenizer.model"), &bytes.concat())
    }

    #[test]
    fn fields_are_read_with_their_defaults() {
        let model = message(&[A]).unwrap();
        let piece = Piece { text: "a".to_owned(), score: -1.0, kind: 1 };
        assert_eq!(model.pieces, [piece]);
        assert_eq!((model.algorithm, model.unknown_id), (Model::UNIGRAM, 0));
        assert!(model.add_dummy_prefix && model.remove_extra_whitespaces);

        let model = message(&[A, b"\x12\x02\x18\x02", b"\x1a\x04\x18\x00\x20\x00"]).unwrap();
        assert_eq!(model.algorithm, Model::BPE);
        assert!(!model.add_dummy_prefix && !model.remove_extra_whitespaces);
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        assert!(message(&[A, b"\x79\0\0\0\0\0\0\0\0", b"\x7a\x01x", b"\x78\x01"]).is_ok());
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let refused = |bytes: &[&[u8]]| message(bytes).unwrap_err().to_string();
        assert!(refused(&[]).contains("no pieces"));
        assert!(refused(&[b"IQ== 0\nIg== 1\n"]).contains("not a SentencePiece model"));
        assert!(refused(&[A, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]).contains("add up"));
        assert!(
            refused(&[A, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]).contains("add up")
        );
        assert!(refused(&[A, b"\x0b"]).contains("add up"));
        assert!(refused(&[A, A]).contains("piece 1 stands in it twice"));
        assert!(refused(&[A, b"\x0a\x00"]).contains("piece 1 is empty"));
        assert!(refused(&[b"\x0a\x08\x0a\x01a\x15\0\0\xc0\x7f"]).contains("score of piece 0"));
        assert!(refused(&[A, b"\x12\x03\xc0\x02\x01"]).contains("unknown piece"));
        assert!(refused(&[A, b"\x1a\x07\x12\x05\xff\xff\xff\x7f\0"]).contains("cut off"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = message(&[A, &bytes]);
        }
    }
}
