use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Seek};
use std::path::Path;

use collimate_tensors::is_lfs_pointer;
use serde::Serialize;

use super::error::GgufError;
use super::types::ggml_type;

/// Most bytes of keys, values and tensor infos that are looked at. Values that are passed over, such
/// as the texts of tokens, don't count.
pub(super) const METADATA_LIMIT: u64 = 32 << 20;
/// Most bytes of a value that is kept.
pub(super) const STRING_LIMIT: u64 = 1 << 20;
/// Most arrays that lie in each other.
pub(super) const ARRAY_DEPTH: u32 = 4;
/// Most bytes of a key, as the format says.
const KEY_LIMIT: u64 = 65_535;
/// Most bytes of a tensor's name, as the format says.
const NAME_LIMIT: u64 = 64;
/// Most elements of an array that is kept: one for each layer.
const KEPT_ELEMENTS: u64 = 4096;

/// The header of a GGUF file: its keys and values, and which tensors there are.
///
/// What [`read`](Self::read) accepts is sound: tensors lie one after another as their types and
/// shapes say, and the file is long enough for them.
///
/// # Examples
///
/// ```
/// use std::io::Cursor;
///
/// use collimate_models::{GgufError, GgufHeader};
///
/// let mut file = b"GGUF".to_vec();
/// file.extend(3_u32.to_le_bytes()); // version
/// file.extend(0_u64.to_le_bytes()); // tensors
/// file.extend(0_u64.to_le_bytes()); // keys
/// let header = GgufHeader::parse(&mut Cursor::new(&file), 24)?;
/// assert_eq!((header.version(), header.tensors().len()), (3, 0));
///
/// let cut_off = GgufHeader::parse(&mut Cursor::new(&file), 23);
/// assert!(matches!(cut_off, Err(GgufError::Truncated { .. })));
/// # Ok::<(), GgufError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GgufHeader {
    version: u32,
    values: BTreeMap<String, Value>,
    tensors: Vec<GgufTensor>,
    /// Where the data begins in the file.
    data_start: u64,
    /// Bytes that the file must have for all its tensors.
    end: u64,
}

/// One tensor of a GGUF file.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GgufTensor {
    /// Its name.
    pub name: String,
    /// How its elements are packed (`Q4_K`).
    pub dtype: &'static str,
    /// Its shape, the fastest dimension first, as the format has it.
    pub shape: Vec<u64>,
    /// Number of its elements.
    pub elements: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Where it begins, in bytes from the start of the data.
    pub offset: u64,
}

/// A value, as far as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// An integer that isn't negative, or a boolean.
    Count(u64),
    Text(String),
    /// A short array of integers that aren't negative.
    Counts(Vec<u64>),
    /// The length of any other array.
    Array(u64),
    /// Any other number.
    Other,
}

impl GgufHeader {
    /// Reads the header of a file and checks it against the file's length. No tensor is read.
    ///
    /// # Errors
    ///
    /// [`GgufError`]: the file can't be read, is cut off, or is not a GGUF file that is known.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, GgufError> {
        let path = path.as_ref();
        let failed = |source| GgufError::Open { path: path.to_owned(), source };
        // What is not a regular file is never opened: a pipe would block.
        let metadata = fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            return Err(GgufError::NotAFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(failed)?;
        Self::parse(&mut buffered(file), metadata.len())
    }

    /// Reads the header at the start of a file of `file_len` bytes.
    ///
    /// # Errors
    ///
    /// [`GgufError`]: the file can't be read, is cut off, or is not a GGUF file that is known.
    pub fn parse<R: BufRead + Seek>(source: &mut R, file_len: u64) -> Result<Self, GgufError> {
        let header = Self::parse_header(source, file_len)?;
        header.check_length(file_len)?;
        Ok(header)
    }

    /// Reads a header; whether its data is there is left to [`check_length`](Self::check_length).
    pub(super) fn parse_header<R: BufRead + Seek>(
        source: &mut R,
        file_len: u64,
    ) -> Result<Self, GgufError> {
        let mut reader = Reader { source, at: 0, file_len, budget: METADATA_LIMIT };
        let version = reader.version()?;
        let tensor_count = reader.u64()?;
        let key_count = reader.u64()?;
        let mut values = BTreeMap::new();
        let names = RandomState::new();
        let mut seen = HashSet::new();
        for _ in 0..key_count {
            let key = reader.string(KEY_LIMIT)?;
            if !seen.insert(names.hash_one(&key)) {
                return Err(GgufError::DuplicateKey { key });
            }
            let kind = reader.u32()?;
            let value = reader.value(&key, kind)?;
            if is_kept(&key) {
                values.insert(key, value);
            }
        }
        let alignment = match values.get("general.alignment") {
            None => 32,
            Some(&Value::Count(alignment)) if alignment.is_power_of_two() => alignment,
            Some(Value::Count(other)) => {
                return Err(GgufError::Alignment { found: other.to_string() });
            }
            Some(_) => return Err(GgufError::Alignment { found: "no number".to_owned() }),
        };
        seen.clear();
        let mut tensors = Vec::new();
        let mut next = 0_u64;
        let mut end = 0_u64;
        for _ in 0..tensor_count {
            let tensor = reader.tensor()?;
            if !seen.insert(names.hash_one(&tensor.name)) {
                return Err(GgufError::DuplicateTensor { tensor: tensor.name });
            }
            if tensor.offset != next {
                let (expected, found) = (next, tensor.offset);
                return Err(GgufError::Offset { tensor: tensor.name, expected, found });
            }
            let after = next.checked_add(tensor.bytes).and_then(|unpadded| {
                Some((unpadded, unpadded.checked_next_multiple_of(alignment)?))
            });
            let Some((unpadded, padded)) = after else {
                return Err(GgufError::Overflow { tensor: tensor.name });
            };
            (end, next) = (unpadded, padded);
            tensors.push(tensor);
        }
        let overflow = || GgufError::Truncated { expected: u64::MAX, found: file_len };
        let data_start = match tensors.is_empty() {
            true => reader.at,
            false => reader.at.checked_next_multiple_of(alignment).ok_or_else(overflow)?,
        };
        let end = data_start.checked_add(end).ok_or_else(overflow)?;
        Ok(Self { version, values, tensors, data_start, end })
    }

    /// Checks that the file has the bytes that the header describes.
    pub(super) fn check_length(&self, found: u64) -> Result<(), GgufError> {
        if found < self.end {
            return Err(GgufError::Truncated { expected: self.end, found });
        }
        Ok(())
    }

    /// The version of the format: 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Every tensor, in the order of their data.
    pub fn tensors(&self) -> &[GgufTensor] {
        &self.tensors
    }

    /// Where the data begins in the file, in bytes.
    pub fn data_start(&self) -> u64 {
        self.data_start
    }

    /// The text of a key such as `general.architecture`; nothing where there is none, or none that
    /// describes the model.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The number of a key such as `llama.block_count`; nothing where there is none, or none that
    /// describes the model.
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.values.get(key) {
            Some(&Value::Count(count)) => Some(count),
            _ => None,
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }
}

/// A reader for a header, whose tokens have megabytes.
pub(super) fn buffered(file: File) -> BufReader<File> {
    BufReader::with_capacity(32 << 10, file)
}

/// Whether a key describes the model; the others are read over.
fn is_kept(key: &str) -> bool {
    const KEPT: [&str; 9] = [
        "general.alignment",
        "general.architecture",
        "general.name",
        "general.license",
        "general.file_type",
        "split.no",
        "split.count",
        "tokenizer.chat_template",
        "tokenizer.ggml.tokens",
    ];
    // Any family has these, after its name and a full stop.
    const KEPT_ENDINGS: [&str; 8] = [
        ".block_count",
        ".embedding_length",
        ".feed_forward_length",
        ".attention.head_count",
        ".attention.head_count_kv",
        ".attention.key_length",
        ".context_length",
        ".vocab_size",
    ];
    KEPT.contains(&key) || KEPT_ENDINGS.iter().any(|ending| key.ends_with(ending))
}

/// Reads forwards within the file and a budget.
struct Reader<'a, R> {
    source: &'a mut R,
    at: u64,
    file_len: u64,
    /// Bytes that may still be looked at.
    budget: u64,
}

impl<R: BufRead + Seek> Reader<'_, R> {
    fn version(&mut self) -> Result<u32, GgufError> {
        // An LFS pointer is longer than what is looked at here.
        let start = self.source.fill_buf().map_err(|source| GgufError::Read { at: 0, source })?;
        if is_lfs_pointer(start) {
            return Err(GgufError::LfsPointer);
        }
        let found = start.get(..start.len().min(4)).unwrap_or_default().to_vec();
        if found != b"GGUF" {
            return Err(GgufError::NotGguf { found });
        }
        self.bytes::<4>()?;
        match self.u32()? {
            version @ 2..=3 => Ok(version),
            version if matches!(version.swap_bytes(), 1..=0xffff) => Err(GgufError::BigEndian),
            version => Err(GgufError::Version { version }),
        }
    }

    fn tensor(&mut self) -> Result<GgufTensor, GgufError> {
        let name = self.string(NAME_LIMIT)?;
        let dimensions = self.u32()?;
        if dimensions > 4 {
            return Err(GgufError::Dimensions { tensor: name, found: dimensions });
        }
        let mut shape = Vec::with_capacity(dimensions as usize);
        for _ in 0..dimensions {
            shape.push(self.u64()?);
        }
        let number = self.u32()?;
        let offset = self.u64()?;
        let Some(kind) = ggml_type(number) else {
            return Err(GgufError::TensorType { tensor: name, found: number });
        };
        let row = shape.first().copied().unwrap_or(1);
        if row % kind.block != 0 {
            let (kind, block) = (kind.name, kind.block);
            return Err(GgufError::PartialBlock { tensor: name, row, kind, block });
        }
        let elements = shape.iter().try_fold(1_u64, |product, &size| product.checked_mul(size));
        let bytes = elements.and_then(|elements| (elements / kind.block).checked_mul(kind.bytes));
        let (Some(elements), Some(bytes)) = (elements, bytes) else {
            return Err(GgufError::Overflow { tensor: name });
        };
        Ok(GgufTensor { name, dtype: kind.name, shape, elements, bytes, offset })
    }

    fn value(&mut self, key: &str, kind: u32) -> Result<Value, GgufError> {
        let kept = is_kept(key);
        match kind {
            8 if kept => Ok(Value::Text(self.string(STRING_LIMIT)?)),
            8 => {
                let len = self.u64()?;
                self.skip(len)?;
                Ok(Value::Other)
            }
            9 => {
                let kind = self.u32()?;
                let len = self.u64()?;
                if !kept || len > KEPT_ELEMENTS || number_width(kind).is_none() {
                    self.skip_elements(key, kind, len, 1)?;
                    return Ok(Value::Array(len));
                }
                let mut counts = Vec::with_capacity(len as usize);
                for _ in 0..len {
                    match self.value(key, kind)? {
                        Value::Count(count) => counts.push(count),
                        _ => counts.clear(),
                    }
                }
                match counts.len() as u64 == len {
                    true => Ok(Value::Counts(counts)),
                    false => Ok(Value::Array(len)),
                }
            }
            _ => {
                let Some(width) = number_width(kind) else {
                    return Err(GgufError::ValueType { key: key.to_owned(), found: kind });
                };
                let mut bytes = [0; 8];
                self.fill(bytes.get_mut(..width as usize).unwrap_or_default())?;
                let number = u64::from_le_bytes(bytes);
                let is_float = matches!(kind, 6 | 12);
                let is_signed = matches!(kind, 1 | 3 | 5 | 11);
                let is_negative = is_signed && number >> (8 * width - 1) == 1;
                Ok(if is_float || is_negative { Value::Other } else { Value::Count(number) })
            }
        }
    }

    /// Passes over the elements of an array.
    fn skip_elements(
        &mut self,
        key: &str,
        kind: u32,
        len: u64,
        depth: u32,
    ) -> Result<(), GgufError> {
        if depth > ARRAY_DEPTH {
            return Err(GgufError::ArrayDepth { key: key.to_owned() });
        }
        if let Some(width) = number_width(kind) {
            return match len.checked_mul(width) {
                Some(bytes) => self.skip(bytes),
                None => Err(self.truncated(u64::MAX)),
            };
        }
        for _ in 0..len {
            match kind {
                8 => {
                    let bytes = self.u64()?;
                    self.skip(bytes)?;
                }
                9 => {
                    let kind = self.u32()?;
                    let len = self.u64()?;
                    self.skip_elements(key, kind, len, depth + 1)?;
                }
                _ => return Err(GgufError::ValueType { key: key.to_owned(), found: kind }),
            }
        }
        Ok(())
    }

    fn string(&mut self, limit: u64) -> Result<String, GgufError> {
        let at = self.at;
        let claimed = self.u64()?;
        self.claim(claimed)?;
        if claimed > limit {
            return Err(GgufError::StringTooLong { at, claimed, limit });
        }
        let mut bytes = vec![0; claimed as usize];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| GgufError::Utf8 { at })
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), GgufError> {
        let len = bytes.len() as u64;
        self.claim(len)?;
        self.budget = self.budget.checked_sub(len).ok_or(GgufError::MetadataTooLarge)?;
        match self.source.read_exact(bytes) {
            Ok(()) => {
                self.at += len;
                Ok(())
            }
            // The file has become shorter since it was looked at.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.truncated(self.at.saturating_add(len)))
            }
            Err(source) => Err(GgufError::Read { at: self.at, source }),
        }
    }

    fn skip(&mut self, len: u64) -> Result<(), GgufError> {
        self.claim(len)?;
        let offset = i64::try_from(len).map_err(|_| self.truncated(u64::MAX))?;
        self.source
            .seek_relative(offset)
            .map_err(|source| GgufError::Read { at: self.at, source })?;
        self.at += len;
        Ok(())
    }

    /// Checks that so many bytes follow in the file.
    fn claim(&self, len: u64) -> Result<(), GgufError> {
        match self.at.checked_add(len) {
            Some(end) if end <= self.file_len => Ok(()),
            end => Err(self.truncated(end.unwrap_or(u64::MAX))),
        }
    }

    fn truncated(&self, expected: u64) -> GgufError {
        GgufError::Truncated { expected, found: self.file_len }
    }
}

/// Bytes of a number or boolean; nothing for strings, arrays and what the format doesn't have.
fn number_width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}
