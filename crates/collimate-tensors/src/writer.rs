mod error;
mod position;
mod reserve;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use error::WriteError;

use crate::dtype::Dtype;
use crate::layout::Layout;

/// A safetensors file while it is written: the header first, then any part of any tensor, in any
/// order, from any number of threads.
///
/// Dropped before it is finished, it removes the file.
///
/// # Examples
///
/// ```
/// use collimate_tensors::{Dtype, Layout, SafetensorsWriter, TensorFile};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.safetensors");
/// let mut layout = Layout::new().with_metadata("format", "pt");
/// layout.push("w", Dtype::U8, [8])?;
/// let writer = SafetensorsWriter::create(&path, &layout)?;
/// std::thread::scope(|scope| {
///     let second = scope.spawn(|| writer.write("w", 4, &[5, 6, 7, 8]));
///     writer.write("w", 0, &[1, 2, 3, 4])?;
///     second.join().expect("no panic")
/// })?;
/// writer.finish()?;
/// assert_eq!(*TensorFile::open(&path)?.get("w").unwrap().bytes()?, [1, 2, 3, 4, 5, 6, 7, 8]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SafetensorsWriter {
    path: PathBuf,
    /// Nothing once it is finished.
    file: Option<File>,
    tensors: HashMap<String, Slot>,
    prefix: Mutex<Prefix>,
}

/// The place of one tensor.
#[derive(Debug)]
struct Slot {
    /// Where it begins in the file.
    start: u64,
    len: u64,
    written: Mutex<Written>,
}

/// The parts of a tensor that were written or are being written.
#[derive(Debug, Default)]
struct Written {
    /// Ends by their beginnings; none overlap.
    parts: BTreeMap<u64, u64>,
    bytes: u64,
}

/// The beginning of the file up to the first byte that is not written yet.
#[derive(Debug)]
struct Prefix {
    len: u64,
    /// What was written beyond it: ends by beginnings.
    beyond: BTreeMap<u64, u64>,
}

impl SafetensorsWriter {
    /// Creates a file, writes its header and reserves the space for all of it, so that a full disk is
    /// an error before any work was done. Where the system can't reserve space, the file only gets its
    /// length.
    ///
    /// # Errors
    ///
    /// [`WriteError`]: there is something at `path`, the disk is full, or the header is too large.
    pub fn create(path: impl AsRef<Path>, layout: &Layout) -> Result<Self, WriteError> {
        let path = path.as_ref();
        let header = layout.header()?;
        let start = header.len() as u64;
        let len = start.checked_add(layout.data_len()).ok_or(WriteError::TooLarge)?;
        let slot = |tensor: &crate::SafetensorsTensor| {
            let (begin, end) = tensor.data_offsets;
            let slot = Slot { start: start + begin, len: end - begin, written: Mutex::default() };
            (tensor.name.clone(), slot)
        };
        let tensors = layout.tensors().iter().map(slot).collect();
        let failed = |source| WriteError::Io { path: path.to_owned(), source };
        let mut file = File::create_new(path).map_err(failed)?;
        // From here on it is removed on failure.
        let prepared = reserve::reserve(&file, len).and_then(|()| file.write_all(&header));
        let prefix = Mutex::new(Prefix { len: start, beyond: BTreeMap::new() });
        let writer = Self { path: path.to_owned(), file: Some(file), tensors, prefix };
        prepared.map_err(failed)?;
        Ok(writer)
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes bytes of a tensor, `offset` bytes from its beginning.
    ///
    /// # Errors
    ///
    /// [`WriteError`]: there is no such tensor, the bytes reach beyond its end, some of them were
    /// written before, or the file can't be written.
    pub fn write(&self, tensor: &str, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        let slot = self
            .tensors
            .get(tensor)
            .ok_or_else(|| WriteError::UnknownTensor { tensor: tensor.to_owned() })?;
        let end = offset.checked_add(bytes.len() as u64).filter(|&end| end <= slot.len);
        let Some(end) = end else {
            return Err(WriteError::OutOfRange {
                tensor: tensor.to_owned(),
                len: slot.len,
                offset,
                bytes: bytes.len(),
            });
        };
        if bytes.is_empty() {
            return Ok(());
        }
        if !slot.written().claim(offset, end) {
            return Err(WriteError::Overlap { tensor: tensor.to_owned(), offset, end });
        }
        let Some(file) = &self.file else { return Ok(()) };
        position::write_all_at(file, bytes, slot.start + offset).map_err(|source| {
            slot.written().release(offset, end);
            WriteError::Io { path: self.path.clone(), source }
        })?;
        self.prefix().add(slot.start + offset, slot.start + end);
        Ok(())
    }

    /// Bytes from the beginning of the file that stay as they are, the header among them: they can be
    /// read while the rest is being written.
    pub fn prefix_len(&self) -> u64 {
        self.prefix().len
    }

    /// Brings what was written so far to the disk, so that [`Self::finish`] has less to wait for.
    ///
    /// # Errors
    ///
    /// [`WriteError::Io`]: it can't be written. That is not said again.
    pub fn sync(&self) -> Result<(), WriteError> {
        let Some(file) = &self.file else { return Ok(()) };
        file.sync_data().map_err(|source| WriteError::Io { path: self.path.clone(), source })
    }

    /// Ends the file: checks that every byte of every tensor was written, and waits until all of them
    /// are on the disk. Whoever renames it afterwards syncs the folder.
    ///
    /// # Errors
    ///
    /// [`WriteError`]: bytes are missing, or the file can't be written. The file is removed then.
    pub fn finish(mut self) -> Result<(), WriteError> {
        let mut missing: Vec<_> = self
            .tensors
            .iter()
            .map(|(name, slot)| (slot.start, name, slot.written().bytes, slot.len))
            .filter(|(_, _, written, len)| written < len)
            .collect();
        missing.sort_unstable();
        if let Some(&(_, tensor, written, expected)) = missing.first() {
            let (tensor, count) = (tensor.clone(), missing.len());
            return Err(WriteError::Incomplete { tensor, written, expected, count });
        }
        if let Some(file) = &self.file {
            file.sync_all().map_err(|source| WriteError::Io { path: self.path.clone(), source })?;
        }
        self.file = None;
        Ok(())
    }

    fn prefix(&self) -> MutexGuard<'_, Prefix> {
        self.prefix.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SafetensorsWriter {
    fn drop(&mut self) {
        // It can't be removed everywhere while it is open.
        if self.file.take().is_some() {
            // Nobody could be told.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Slot {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    /// Notes a part; `false` where it overlaps another.
    fn claim(&mut self, begin: u64, end: u64) -> bool {
        let before = self.parts.range(..end).next_back();
        if before.is_some_and(|(_, &before)| before > begin) {
            return false;
        }
        self.parts.insert(begin, end);
        self.bytes += end - begin;
        true
    }

    /// Takes back a part that was not written after all.
    fn release(&mut self, begin: u64, end: u64) {
        self.parts.remove(&begin);
        self.bytes -= end - begin;
    }
}

impl Prefix {
    fn add(&mut self, begin: u64, end: u64) {
        self.beyond.insert(begin, end);
        while let Some(end) = self.beyond.remove(&self.len) {
            self.len = end;
        }
    }
}

/// Writes a small safetensors file, whole or not at all, with the bytes that the safetensors library
/// writes: beside its place, synced, then renamed. What was there before is replaced.
///
/// Of each tensor name, type, shape (the slowest dimension first) and bytes (little endian) are given.
///
/// # Errors
///
/// [`WriteError`]: a tensor doesn't have the bytes that its shape needs or is there twice, or the file
/// can't be written.
pub fn write_safetensors<N, S, B>(
    path: impl AsRef<Path>,
    metadata: &BTreeMap<String, String>,
    tensors: impl IntoIterator<Item = (N, Dtype, S, B)>,
) -> Result<(), WriteError>
where
    N: Into<String>,
    S: Into<Vec<u64>>,
    B: AsRef<[u8]>,
{
    let path = path.as_ref();
    let mut layout = Layout::new();
    for (key, value) in metadata {
        layout = layout.with_metadata(key, value);
    }
    let mut bytes = Vec::new();
    for (name, dtype, shape, tensor) in tensors {
        let name = name.into();
        let begin = layout.data_len();
        layout.push(name.clone(), dtype, shape)?;
        let (expected, found) = (layout.data_len() - begin, tensor.as_ref().len() as u64);
        if expected != found {
            return Err(WriteError::WrongSize { tensor: name, expected, found });
        }
        bytes.push((name, tensor));
    }
    let beside = beside(path);
    let writer = SafetensorsWriter::create(&beside, &layout.sorted())?;
    for (name, bytes) in &bytes {
        writer.write(name, 0, bytes.as_ref())?;
    }
    writer.finish()?;
    let renamed = fs::rename(&beside, path).and_then(|()| sync_folder(path));
    renamed.map_err(|source| {
        // Where it was renamed, it isn't there any more; the first error is the one to report.
        let _ = fs::remove_file(&beside);
        WriteError::Io { path: path.to_owned(), source }
    })
}

/// A hidden name in the same folder that nobody else has.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{:016x}.tmp", RandomState::new().hash_one(path)))
}

/// So that the new name is on the disk as well. Only there can folders be opened.
#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_written_after_all_can_be_written_again() {
        let mut written = Written::default();
        assert!(written.claim(0, 4) && written.claim(8, 12) && written.claim(4, 8));
        assert!(!written.claim(5, 6));
        written.release(4, 8);
        assert_eq!(written.bytes, 8);
        assert!(!written.claim(4, 9) && written.claim(4, 6) && written.claim(6, 8));
        assert_eq!(written.bytes, 12);
    }

    #[test]
    fn the_prefix_ends_at_the_first_byte_that_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let mut layout = Layout::new();
        layout.push("a", Dtype::U8, [4]).unwrap();
        layout.push("b", Dtype::U8, [4]).unwrap();
        let path = folder.path().join("model.safetensors");
        let writer = SafetensorsWriter::create(&path, &layout).unwrap();
        let header = layout.header().unwrap().len() as u64;
        assert_eq!(writer.prefix_len(), header);
        for (tensor, offset, bytes, len) in
            [("b", 2, [7, 8], 0), ("a", 2, [3, 4], 0), ("a", 0, [1, 2], 4), ("b", 0, [5, 6], 8)]
        {
            writer.write(tensor, offset, &bytes).unwrap();
            assert!(writer.write(tensor, offset, &bytes).is_err());
            assert_eq!(writer.prefix_len(), header + len);
        }
        writer.sync().unwrap();
        assert!(fs::read(&path).unwrap().ends_with(&[1, 2, 3, 4, 5, 6, 7, 8]));
    }
}
