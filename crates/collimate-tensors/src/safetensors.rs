//! The header of a safetensors file, read without its data.

mod error;
mod json;
mod plain;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeSeed;

pub use error::SafetensorsError;
use json::{Each, Names, Record, Records};

use crate::dtype::Dtype;
use crate::format::is_lfs_pointer;
use crate::names::{NameHasher, NameSum};

/// Most bytes of a header that the format allows.
pub(crate) const HEADER_LIMIT: u64 = 100_000_000;
/// Bytes of the number that states the header's length.
pub(crate) const PREFIX: u64 = 8;
/// Bytes that are read of a file without a sensible header, after the length.
const LOOK: u64 = 256;

/// The header of a safetensors file: which tensors there are, of what type and shape, and where.
///
/// What [`read`](Self::read) accepts is sound: names are unique, shapes and offsets agree, and the
/// tensors fill the file without hole or overlap.
///
/// # Examples
///
/// ```
/// use collimate_tensors::SafetensorsHeader;
///
/// let json = br#"{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
/// let mut file = (json.len() as u64).to_le_bytes().to_vec();
/// file.extend(json);
/// file.extend([0; 24]);
/// let header = SafetensorsHeader::parse(&file, file.len() as u64)?;
/// assert_eq!(header.parameters(), 6);
/// assert_eq!(header.tensors()[0].shape, [2, 3]);
/// assert!(SafetensorsHeader::parse(&file, file.len() as u64 - 1).is_err());
/// # Ok::<(), collimate_tensors::SafetensorsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SafetensorsHeader {
    /// The first bytes of the file: the length, the header, perhaps some data.
    start: Vec<u8>,
    json_len: u64,
    data_len: u64,
    tensors: u64,
    /// Elements and whether there are tensors at all, by the number of their type.
    elements: [Option<u64>; Dtype::ALL.len()],
    parameters: u64,
    names: NameSum,
}

/// One tensor of a safetensors file.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SafetensorsTensor {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its shape, the slowest dimension first; empty for a scalar.
    pub shape: Vec<u64>,
    /// Where its first byte lies and where its last byte ends, counted from the start of the data.
    pub data_offsets: (u64, u64),
}

impl SafetensorsTensor {
    /// Number of its elements; nothing where the product of its shape overflows, which no header that
    /// was read has.
    pub(crate) fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1_u64, |elements, &size| elements.checked_mul(size))
    }
}

impl SafetensorsHeader {
    /// Reads the header of a file and checks it against the file's length. No tensor is read.
    ///
    /// # Errors
    ///
    /// [`SafetensorsError`]: the file can't be read, is cut off, or is not a safetensors file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, SafetensorsError> {
        let path = path.as_ref();
        let failed = |source| SafetensorsError::Io { path: path.to_owned(), source };
        // What is not a regular file is never opened: a pipe would block.
        let metadata = fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            return Err(SafetensorsError::NotAFile { path: path.to_owned() });
        }
        let mut file = File::open(path).map_err(failed)?;
        let header = Self::scan(&mut file, path, metadata.len(), &NameHasher::new())?;
        header.check_length(metadata.len())?;
        Ok(header)
    }

    /// Reads the header of an opened file of this length in bytes, with the key of the hashes by
    /// which [`names`](Self::names) are compared. Whether the data is there is left to
    /// [`check_length`](Self::check_length), so that a file that is cut off can still be described.
    ///
    /// # Errors
    ///
    /// [`SafetensorsError`]: the file can't be read or is not a safetensors file; `path` is only for
    /// the message.
    pub fn scan(
        file: &mut File,
        path: &Path,
        file_len: u64,
        names: &NameHasher,
    ) -> Result<Self, SafetensorsError> {
        let start = read_start(file, file_len)
            .map_err(|source| SafetensorsError::Io { path: path.to_owned(), source })?;
        Self::parse_start(start, file_len, names)
    }

    /// Reads a header from the first bytes of a file, or all of them, and checks it against the
    /// file's length in bytes.
    ///
    /// # Errors
    ///
    /// [`SafetensorsError`]: the file is cut off or is not a safetensors file.
    pub fn parse(bytes: &[u8], file_len: u64) -> Result<Self, SafetensorsError> {
        let json = header_text(bytes, file_len)?;
        let start = bytes.get(..PREFIX as usize + json.len()).unwrap_or(bytes).to_vec();
        let header = Self::parse_start(start, file_len, &NameHasher::new())?;
        header.check_length(file_len)?;
        Ok(header)
    }

    fn parse_start(
        start: Vec<u8>,
        file_len: u64,
        names: &NameHasher,
    ) -> Result<Self, SafetensorsError> {
        let json = header_text(&start, file_len)?;
        // A tensor's entry has about a hundred bytes.
        let expected = json.len() / 100;
        let mut records = match plain::records(json, names, expected) {
            Some(records) => records,
            None => parsed(json, names, expected).map_err(SafetensorsError::Json)?,
        };
        check_unique(json, &records)?;
        // Most files list their tensors in this order already.
        records.sort_unstable_by_key(|record| (record.begin, record.end));
        let mut header = Self {
            start: Vec::new(),
            json_len: json.len() as u64,
            data_len: 0,
            tensors: records.len() as u64,
            elements: [None; Dtype::ALL.len()],
            parameters: 0,
            names: NameSum::default(),
        };
        for record in &records {
            header.append(record).map_err(|fault| fault.named(json, record))?;
        }
        header.start = start;
        Ok(header)
    }

    /// Checks that the file has exactly the bytes that the header describes.
    ///
    /// # Errors
    ///
    /// [`SafetensorsError::Truncated`], [`SafetensorsError::TrailingBytes`].
    pub fn check_length(&self, found: u64) -> Result<(), SafetensorsError> {
        let expected = self.data_start().saturating_add(self.data_len);
        match found {
            _ if found < expected => Err(SafetensorsError::Truncated { expected, found }),
            _ if found > expected => Err(SafetensorsError::TrailingBytes { expected, found }),
            _ => Ok(()),
        }
    }

    /// Number of tensors.
    pub fn len(&self) -> u64 {
        self.tensors
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.tensors == 0
    }

    /// Elements of all tensors.
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// Where the data begins in the file, in bytes.
    pub fn data_start(&self) -> u64 {
        PREFIX + self.json_len
    }

    /// Bytes of all tensors.
    pub fn data_len(&self) -> u64 {
        self.data_len
    }

    /// Elements of all tensors of each type that is there.
    pub fn elements(&self) -> impl Iterator<Item = (Dtype, u64)> + '_ {
        let counts = Dtype::ALL.into_iter().zip(self.elements);
        counts.filter_map(|(dtype, elements)| Some((dtype, elements?)))
    }

    /// Every tensor, in the order of their data.
    pub fn tensors(&self) -> Vec<SafetensorsTensor> {
        let mut tensors = Vec::new();
        let each = Each(|name, tensor: json::Tensor<Vec<u64>>| {
            let json::Tensor { dtype, shape, data_offsets } = tensor;
            tensors.push(SafetensorsTensor { name, dtype, shape, data_offsets });
        });
        // It was read once: this can't fail.
        let read = each.deserialize(&mut serde_json::Deserializer::from_str(self.json()));
        debug_assert!(read.is_ok());
        tensors.sort_by_key(|tensor| tensor.data_offsets);
        tensors
    }

    /// What the header says beside its tensors: mostly `format: pt`.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        #[derive(serde::Deserialize)]
        struct Outer {
            #[serde(rename = "__metadata__", default)]
            metadata: Option<BTreeMap<String, String>>,
        }
        serde_json::from_str::<Outer>(self.json())
            .ok()
            .and_then(|outer| outer.metadata)
            .unwrap_or_default()
    }

    /// The names of the tensors as a set, under the key that the header was read with.
    pub fn names(&self) -> NameSum {
        self.names
    }

    /// Calls a function with the name of every tensor, in the order of the header.
    pub fn each_name(&self, function: impl FnMut(&str)) {
        each_name(self.json(), function);
    }

    fn json(&self) -> &str {
        // It was read once: this can't fail.
        header_text(&self.start, u64::MAX).unwrap_or("{}")
    }

    /// Takes in the next tensor in the order of the data.
    fn append(&mut self, record: &Record) -> Result<(), Fault> {
        if record.end < record.begin {
            return Err(Fault::Reversed);
        }
        if record.begin != self.data_len {
            return Err(Fault::Gap { expected: self.data_len });
        }
        let elements = record.elements.ok_or(Fault::Overflow)?;
        let bits = elements.checked_mul(record.dtype.bits()).ok_or(Fault::Overflow)?;
        if bits % 8 != 0 {
            return Err(Fault::PartialByte { bits });
        }
        if bits / 8 != record.end - record.begin {
            return Err(Fault::WrongSize { expected: bits / 8 });
        }
        self.data_len = record.end;
        self.names.add(record.name_hash);
        // No element is smaller than half a byte, and all bytes together fit 64 bits; tensors
        // without elements add nothing.
        self.parameters = self.parameters.checked_add(elements).ok_or(Fault::Overflow)?;
        if let Some(count) = self.elements.get_mut(record.dtype as usize) {
            *count = Some(count.unwrap_or(0).checked_add(elements).ok_or(Fault::Overflow)?);
        }
        Ok(())
    }
}

/// The start of a file: the length of its header and, where the length is sensible, the header. No
/// data is touched, which would be read ahead from the disk.
fn read_start(file: &mut File, file_len: u64) -> io::Result<Vec<u8>> {
    let mut prefix = [0; PREFIX as usize];
    let mut filled = 0;
    while filled < prefix.len() {
        match file.read(&mut prefix[filled..])? {
            0 => return Ok(prefix[..filled].to_vec()),
            read => filled += read,
        }
    }
    let claimed = u64::from_le_bytes(prefix);
    let length = if claimed <= HEADER_LIMIT && claimed.saturating_add(PREFIX) <= file_len {
        claimed
    } else {
        // Enough to tell what else the file may be.
        LOOK
    };
    let mut bytes = Vec::with_capacity((PREFIX + length.min(file_len)) as usize);
    bytes.extend(prefix);
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The header's text, between the length and the data.
fn header_text(bytes: &[u8], file_len: u64) -> Result<&str, SafetensorsError> {
    if is_lfs_pointer(bytes) {
        return Err(SafetensorsError::LfsPointer);
    }
    let Some((prefix, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(SafetensorsError::Truncated { expected: PREFIX, found: file_len });
    };
    let claimed = u64::from_le_bytes(*prefix);
    if claimed > HEADER_LIMIT {
        return Err(SafetensorsError::HeaderTooLarge { claimed });
    }
    let header = usize::try_from(claimed).ok().and_then(|claimed| rest.get(..claimed));
    let Some(header) = header.filter(|_| PREFIX + claimed <= file_len) else {
        let found = if PREFIX + claimed > file_len { file_len } else { bytes.len() as u64 };
        return Err(SafetensorsError::Truncated { expected: PREFIX + claimed, found });
    };
    match header.first() {
        None => Err(SafetensorsError::EmptyHeader),
        Some(b'{') => std::str::from_utf8(header).map_err(SafetensorsError::Utf8),
        Some(&found) => Err(SafetensorsError::NotAnObject { found }),
    }
}

/// What a JSON parser makes of a header.
fn parsed(json: &str, names: &NameHasher, expected: usize) -> serde_json::Result<Vec<Record>> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let records = Records { names, expected }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(records)
}

/// Checks that no two tensors have one name, by the names themselves where hashes are equal.
fn check_unique(json: &str, records: &[Record]) -> Result<(), SafetensorsError> {
    let mut hashes: Vec<_> = records.iter().map(|record| record.name_hash).collect();
    hashes.sort_unstable();
    if hashes.windows(2).all(|pair| pair[0] != pair[1]) {
        return Ok(());
    }
    let mut names = Vec::with_capacity(records.len());
    each_name(json, |name| names.push(name.to_owned()));
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(SafetensorsError::Duplicate { tensor: pair[0].clone() }),
        None => Ok(()),
    }
}

fn each_name(json: &str, function: impl FnMut(&str)) {
    // It was read once: this can't fail.
    let read = Names(function).deserialize(&mut serde_json::Deserializer::from_str(json));
    debug_assert!(read.is_ok());
}

/// What is wrong with a tensor whose name isn't at hand.
enum Fault {
    Overflow,
    PartialByte { bits: u64 },
    WrongSize { expected: u64 },
    Reversed,
    Gap { expected: u64 },
}

impl Fault {
    fn named(self, json: &str, record: &Record) -> SafetensorsError {
        let mut tensor = String::new();
        let mut position = 0;
        each_name(json, |name| {
            if position == record.position {
                name.clone_into(&mut tensor);
            }
            position += 1;
        });
        let Record { begin, end, .. } = *record;
        match self {
            Self::Overflow => SafetensorsError::Overflow { tensor },
            Self::PartialByte { bits } => SafetensorsError::PartialByte { tensor, bits },
            Self::WrongSize { expected } => {
                SafetensorsError::WrongSize { tensor, expected, found: end - begin }
            }
            Self::Reversed => SafetensorsError::Reversed { tensor, begin, end },
            Self::Gap { expected } if begin > expected => {
                SafetensorsError::Hole { tensor, expected, begin }
            }
            Self::Gap { expected } => SafetensorsError::Overlap { tensor, expected, begin },
        }
    }
}

#[cfg(test)]
mod tests;
