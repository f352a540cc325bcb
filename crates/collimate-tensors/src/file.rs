use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::dtype::Dtype;
use crate::error::{Result, TensorsError};
use crate::format::{Format, LOOK};
use crate::map::{map, release};
use crate::names::NameHasher;
use crate::pickle::{INFLATION, PickleError, PickleTable, Storage};
use crate::safetensors::{SafetensorsError, SafetensorsHeader};
use crate::stamp::FileStamp;
use crate::tensor::Tensor;

/// An open file of tensors: safetensors, mapped, or a PyTorch checkpoint, of which nothing is
/// executed.
///
/// # Examples
///
/// ```
/// use collimate_tensors::{Dtype, TensorFile, write_safetensors};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("adapter_model.safetensors");
/// let ones = 1_f32.to_le_bytes().repeat(6);
/// write_safetensors(&path, &Default::default(), [("w", Dtype::F32, [2, 3], &ones)])?;
///
/// let file = TensorFile::open(&path)?;
/// let tensor = file.get("w").expect("it was written");
/// assert_eq!(tensor.shape(), [2, 3]);
/// assert_eq!(tensor.to_f32()?, [1.0; 6]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    stamp: FileStamp,
    metadata: BTreeMap<String, String>,
    map: Option<Mmap>,
    /// In the order of their data.
    entries: Vec<Entry>,
    /// Their positions, in the order of their names.
    by_name: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<u64>,
    pub(crate) elements: u64,
    pub(crate) bytes: u64,
    pub(crate) place: Place,
}

#[derive(Debug)]
pub(crate) enum Place {
    Mapped(Range<usize>),
    Pickle(Storage),
}

impl TensorFile {
    /// Opens a file. Which of the two kinds it is, its content says, not its name.
    ///
    /// # Errors
    ///
    /// [`TensorsError`]: it can't be read, is neither, is cut off or malformed, or is a checkpoint that
    /// holds more than weights.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |source| TensorsError::Io { path: path.to_owned(), source };
        // What is not a regular file is never opened: a pipe would block.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(TensorsError::NotAFile { path: path.to_owned() });
        }
        let mut file = File::open(path).map_err(failed)?;
        let stamp = FileStamp::of(&file.metadata().map_err(failed)?);
        let mut start = Vec::with_capacity(LOOK as usize);
        (&mut file).take(LOOK).read_to_end(&mut start).map_err(failed)?;
        file.rewind().map_err(failed)?;
        match Format::of(&start) {
            Some(Format::Safetensors) => Self::open_safetensors(path, file, stamp),
            Some(Format::Pickle) => Self::open_pickle(path, stamp),
            None => Err(TensorsError::UnknownFormat { path: path.to_owned() }),
        }
    }

    fn open_safetensors(path: &Path, mut file: File, stamp: FileStamp) -> Result<Self> {
        let malformed = |source| TensorsError::Safetensors { path: path.to_owned(), source };
        let failed = |source| TensorsError::Io { path: path.to_owned(), source };
        let header = SafetensorsHeader::scan(&mut file, path, stamp.bytes(), &NameHasher::new())
            .map_err(malformed)?;
        header.check_length(stamp.bytes()).map_err(malformed)?;
        // Every offset lies within the file, whose length fits.
        let len = usize::try_from(stamp.bytes())
            .map_err(|_| failed(io::ErrorKind::FileTooLarge.into()))?;
        let data_start = header.data_start() as usize;
        let entry = |tensor: crate::SafetensorsTensor| {
            let (begin, end) = tensor.data_offsets;
            Ok(Entry {
                elements: tensor.elements().ok_or_else(|| {
                    malformed(SafetensorsError::Overflow { tensor: tensor.name.clone() })
                })?,
                name: tensor.name,
                dtype: tensor.dtype,
                shape: tensor.shape,
                bytes: end - begin,
                place: Place::Mapped(data_start + begin as usize..data_start + end as usize),
            })
        };
        let entries = header.tensors().into_iter().map(entry).collect::<Result<_>>()?;
        let map = map(&file, len).map_err(failed)?;
        Ok(Self::new(path, stamp, header.metadata(), Some(map), entries))
    }

    fn open_pickle(path: &Path, stamp: FileStamp) -> Result<Self> {
        let malformed = |source| TensorsError::Pickle { path: path.to_owned(), source };
        let table = PickleTable::read(path).map_err(malformed)?;
        let limit = stamp.bytes().saturating_mul(INFLATION);
        let entry = |tensor: crate::PickleTensor| {
            let (elements, bytes) = (tensor.elements(), tensor.bytes());
            if bytes > limit {
                let tensor = tensor.name;
                return Err(malformed(PickleError::TensorTooLarge { tensor, bytes, limit }));
            }
            Ok(Entry {
                name: tensor.name,
                dtype: tensor.dtype,
                shape: tensor.shape,
                elements,
                bytes,
                place: Place::Pickle(tensor.storage),
            })
        };
        let entries = table.into_tensors().into_iter().map(entry).collect::<Result<_>>()?;
        Ok(Self::new(path, stamp, BTreeMap::new(), None, entries))
    }

    fn new(
        path: &Path,
        stamp: FileStamp,
        metadata: BTreeMap<String, String>,
        map: Option<Mmap>,
        entries: Vec<Entry>,
    ) -> Self {
        let mut names: Vec<_> =
            entries.iter().enumerate().map(|(at, entry)| (entry.name.as_str(), at)).collect();
        names.sort_unstable();
        let by_name = names.into_iter().map(|(_, at)| at).collect();
        Self { path: path.to_owned(), stamp, metadata, map, entries, by_name }
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes when it was opened.
    pub fn file_len(&self) -> u64 {
        self.stamp.bytes()
    }

    /// Whether it is a PyTorch checkpoint.
    pub fn is_pickle(&self) -> bool {
        self.map.is_none()
    }

    /// What its header says beside its tensors (mostly `format: pt`); nothing for a checkpoint.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The names of its tensors, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.by_name.iter().map(|&at| self.entries.get(at).map_or("", |entry| entry.name.as_str()))
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        let entry = |at: usize| self.entries.get(at);
        let found = self
            .by_name
            .binary_search_by(|&at| entry(at).map(|entry| entry.name.as_str()).cmp(&Some(name)))
            .ok()?;
        Some(Tensor { file: self, entry: entry(*self.by_name.get(found)?)? })
    }

    /// Its tensors, in the order of their data; those of a checkpoint by name.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = Tensor<'_>> {
        self.entries.iter().map(|entry| Tensor { file: self, entry })
    }

    /// Checks that the file is still the one that was opened: same length, same time of change and,
    /// where the system tells, the same file. Ask when everything was read; a change within the
    /// resolution of the file system's clock is not seen.
    ///
    /// # Errors
    ///
    /// [`TensorsError::Changed`]; [`TensorsError::Io`]: it isn't there any more.
    pub fn unchanged(&self) -> Result<()> {
        let metadata = fs::metadata(&self.path)
            .map_err(|source| TensorsError::Io { path: self.path.clone(), source })?;
        if FileStamp::of(&metadata) == self.stamp {
            Ok(())
        } else {
            Err(TensorsError::Changed { path: self.path.clone() })
        }
    }

    pub(crate) fn mapped(&self, range: Range<usize>) -> Option<&[u8]> {
        self.map.as_ref()?.get(range)
    }

    pub(crate) fn release(&self, range: Range<usize>) {
        if let Some(map) = self.map.as_ref().filter(|map| range.end <= map.len()) {
            release(map, range);
        }
    }

    pub(crate) fn tensor_at(&self, position: usize) -> Option<Tensor<'_>> {
        self.entries.get(position).map(|entry| Tensor { file: self, entry })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{checkpoint, state_dict};

    /// A tensor of these sizes whose elements are all the first one of its storage.
    fn expanded(rows: u32, columns: u32) -> Result<TensorFile> {
        let pickle = state_dict(&[("w", "FloatStorage", "0", [2, 3])], b"");
        let plain = b"K\x02K\x03\x86K\x03K\x01\x86";
        let at = pickle.windows(plain.len()).position(|part| part == plain).expect("sizes");
        let (rows, columns) = (rows.to_le_bytes(), columns.to_le_bytes());
        let sizes = [b"J", &rows[..], b"J", &columns, b"\x86K\x00K\x00\x86"].concat();
        let pickle = [&pickle[..at], &sizes, &pickle[at + plain.len()..]].concat();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("w.bin");
        fs::write(&path, checkpoint(&pickle)).expect("a file");
        TensorFile::open(path)
    }

    #[test]
    fn an_element_that_stands_for_very_many_is_refused() {
        let file = expanded(4, 5).expect("small");
        let tensor = file.get("w").expect("it is there");
        assert_eq!((tensor.elements(), tensor.shape()), (20, &[4, 5][..]));
        let error = expanded(1_000, 1_000).expect_err("large");
        assert!(
            matches!(&error, TensorsError::Pickle { source, .. }
                if matches!(source, PickleError::TensorTooLarge { bytes: 4_000_000, .. })),
            "{error:?}"
        );
        assert!(expanded(0x7fff_ffff, 0x7fff_ffff).is_err());
    }
}
