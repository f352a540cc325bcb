//! The table of tensors of a PyTorch checkpoint. Nothing of it is executed.

mod archive;
mod error;
mod opcodes;

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use pytorch_reader::{DType, PytorchReader};

pub use error::PickleError;

use crate::dtype::Dtype;
use crate::format::{LEGACY_MAGIC, LOOK, is_lfs_pointer, is_tar};

/// Pickles at the start of a checkpoint that isn't an archive: the number that says so, the protocol,
/// the system, the tensors, the keys of their storages.
const LEGACY_PICKLES: u32 = 5;
/// How many times a file's own length its compressed parts, or the elements that a stride repeats, may
/// have. Nothing that `torch.save` writes is compressed, and few other weights shrink to a half.
pub(crate) const INFLATION: u64 = 16;

/// The tensors of a PyTorch checkpoint (`pytorch_model.bin`, `*.pt`, `*.pth`): what they are called,
/// of what type and shape they are.
///
/// The opcodes of its pickle are looked through first: what the writers of weights never use is
/// refused, and so is what would take much memory. Nothing is executed, and no tensor is read.
#[derive(Debug)]
pub struct PickleTable {
    tensors: Vec<PickleTensor>,
}

/// One tensor of a PyTorch checkpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PickleTensor {
    /// Its name: the path through the dictionaries, with full stops between.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its shape, the slowest dimension first; empty for a scalar.
    pub shape: Vec<u64>,
    pub(crate) storage: Storage,
}

/// Where the elements of a tensor lie.
#[derive(Clone, Debug)]
pub(crate) struct Storage(pytorch_reader::Tensor);

impl PickleTable {
    /// Reads the table of a file.
    ///
    /// # Errors
    ///
    /// [`PickleError`]: the file can't be read, or is not a checkpoint that holds nothing but weights.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, PickleError> {
        let path = path.as_ref();
        let failed = |source| PickleError::Io { path: path.to_owned(), source };
        // What is not a regular file is never opened: a pipe would block.
        let metadata = fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            return Err(PickleError::NotAFile { path: path.to_owned() });
        }
        let mut file = File::open(path).map_err(failed)?;
        let mut start = Vec::with_capacity(LOOK as usize);
        (&mut file).take(LOOK).read_to_end(&mut start).map_err(failed)?;
        if is_lfs_pointer(&start) {
            return Err(PickleError::LfsPointer);
        }
        if is_tar(&start) {
            return Err(PickleError::Tar);
        }
        let len = metadata.len();
        let (at, pickles) = if start.starts_with(b"PK") {
            (archive::find_pickle(&mut file, len)?, 1)
        } else if start.windows(LEGACY_MAGIC.len()).any(|window| window == LEGACY_MAGIC) {
            (0..len, LEGACY_PICKLES)
        } else {
            (0..len, 1)
        };
        file.seek(SeekFrom::Start(at.start)).map_err(failed)?;
        opcodes::check(BufReader::new(file.take(at.end - at.start)), pickles)?;

        let reader =
            PytorchReader::new(path).map_err(|error| PickleError::Tensors(Box::new(error)))?;
        let mut tensors: Vec<_> = reader
            .into_tensors()
            .into_iter()
            .map(|(name, source)| PickleTensor {
                name,
                dtype: dtype(source.dtype()),
                shape: source.shape().iter().map(|&size| size as u64).collect(),
                storage: Storage(source),
            })
            .collect();
        tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { tensors })
    }

    /// Every tensor, in the order of their names.
    pub fn tensors(&self) -> &[PickleTensor] {
        &self.tensors
    }

    pub(crate) fn into_tensors(self) -> Vec<PickleTensor> {
        self.tensors
    }
}

impl PickleTensor {
    /// Number of its elements.
    pub fn elements(&self) -> u64 {
        self.storage.0.num_elements() as u64
    }

    /// Number of its bytes, without gaps between elements.
    pub fn bytes(&self) -> u64 {
        self.storage.0.byte_len() as u64
    }
}

impl Storage {
    /// The elements, one after another, the slowest dimension first, little endian.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = self.0.read()?;
        if cfg!(target_endian = "big") {
            bytes.chunks_exact_mut(self.0.dtype().size()).for_each(<[u8]>::reverse);
        }
        Ok(bytes)
    }
}

fn dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{archive, checkpoint, state_dict};

    /// Name, type, elements and bytes of each tensor.
    type Row = (String, Dtype, u64, u64);

    fn read(bytes: &[u8]) -> Result<Vec<Row>, PickleError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f.bin");
        fs::write(&path, bytes).expect("a file");
        let row = |t: &PickleTensor| (t.name.clone(), t.dtype, t.elements(), t.bytes());
        PickleTable::read(path).map(|table| table.tensors().iter().map(row).collect())
    }

    #[track_caller]
    fn message(bytes: &[u8]) -> String {
        read(bytes).expect_err("refused").to_string()
    }

    fn two_tensors() -> Vec<u8> {
        let tensors = [("a", "FloatStorage", "0", [2, 3]), ("b", "BFloat16Storage", "1", [4, 1])];
        state_dict(&tensors, b"")
    }

    #[test]
    fn tensors_are_read_without_their_bytes() {
        let expected = [("a".to_owned(), Dtype::F32, 6, 24), ("b".to_owned(), Dtype::BF16, 4, 8)];
        assert_eq!(read(&checkpoint(&two_tensors())).expect("sound"), expected);
    }

    #[test]
    fn checkpoints_from_before_archives_are_read() {
        let mut bytes = [b"\x80\x02\x8a\x0a", &LEGACY_MAGIC[..], b"."].concat();
        bytes.extend(b"\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.");
        bytes.extend(state_dict(&[("a", "FloatStorage", "0", [2, 3])], b""));
        bytes.extend(b"\x80\x02]X\x01\0\0\x000a.");
        bytes.extend(6_u64.to_le_bytes());
        bytes.extend([0; 24]);
        let tensors = read(&bytes).expect("sound");
        assert_eq!(tensors, [("a".to_owned(), Dtype::F32, 6, 24)]);
        // Its storages follow the pickles: here a cut is seen.
        message(&bytes[..bytes.len() - 1]);
    }

    #[test]
    fn tensors_that_share_a_storage_count_each() {
        let tied = [("a", "FloatStorage", "0", [2, 3]), ("b", "FloatStorage", "0", [2, 3])];
        let tensors = read(&checkpoint(&state_dict(&tied, b""))).expect("sound");
        assert_eq!(tensors.iter().map(|row| row.2).sum::<u64>(), 12);
    }

    #[test]
    fn a_pickle_that_would_run_a_program_is_named_and_not_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("ran");
        let command = format!("touch {}", mark.display());
        // os.system(command), once as the value itself and once thrown away before the weights.
        let mut call = b"cposix\nsystem\nX".to_vec();
        call.extend((command.len() as u32).to_le_bytes());
        call.extend(command.as_bytes());
        call.extend(b"\x85R");
        let alone = [b"\x80\x02", &call[..], b"."].concat();
        let hidden = state_dict(&[("a", "FloatStorage", "0", [1, 1])], &[&call[..], b"0"].concat());
        for pickle in [alone, hidden] {
            for bytes in [checkpoint(&pickle), pickle] {
                let error = message(&bytes);
                assert!(error.contains("posix.system"), "{error}");
                assert!(!mark.exists());
            }
        }
    }

    #[test]
    fn an_archive_that_is_cut_off_is_reported() {
        let whole = checkpoint(&two_tensors());
        for len in [4, 30, whole.len() / 2, whole.len() - 1] {
            assert!(message(&whole[..len]).contains("cut off"), "{len}");
        }
    }

    #[test]
    fn an_archive_without_pickle_or_with_two_is_refused() {
        let pickle = two_tensors();
        assert!(message(&archive(&[("a", b"")])).contains("without data.pkl"));
        let two = archive(&[("a/data.pkl", &pickle), ("b/data.pkl", &pickle)]);
        assert!(message(&two).contains("more than one data.pkl"));
    }

    #[test]
    fn a_compressed_pickle_is_refused() {
        let mut bytes = checkpoint(&two_tensors());
        let entry = bytes.windows(4).position(|bytes| bytes == b"PK\x01\x02").expect("a directory");
        bytes[entry + 10] = 8;
        assert!(message(&bytes).contains("compressed"));
    }

    #[test]
    fn sizes_that_the_archive_does_not_have_are_refused() {
        let whole = checkpoint(&two_tensors());
        let entry = whole.windows(4).position(|bytes| bytes == b"PK\x01\x02").expect("a directory");
        let mut bytes = whole.clone();
        for at in [20, 24] {
            bytes[entry + at..][..4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
        }
        assert!(message(&bytes).contains("beyond the end"));
        let mut bytes = whole.clone();
        let end = bytes.len() - 22;
        bytes[end + 12..][..4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
        assert!(message(&bytes).contains("not within the file"));
        let mut bytes = whole;
        bytes[entry + 42..][..4].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
        assert!(message(&bytes).contains("can't be read"));
    }

    #[test]
    fn compressed_files_that_would_take_much_memory_are_refused() {
        let whole = checkpoint(&two_tensors());
        let mut names = whole.windows(8).enumerate().filter(|(_, name)| *name == b"m/data/0");
        let (name, _) = names.next_back().expect("an entry of the directory");
        let entry = name - 46;
        let mut bytes = whole.clone();
        bytes[entry + 10] = 8;
        bytes[entry + 24..][..4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
        let message = message(&bytes);
        assert!(message.contains("claim 2147483647 bytes"), "{message}");
    }

    #[test]
    fn a_tar_archive_is_refused() {
        let mut bytes = vec![0; 1024];
        bytes[257..262].copy_from_slice(b"ustar");
        assert!(message(&bytes).contains("tar archive"));
    }

    #[test]
    fn a_pointer_of_git_lfs_is_told_apart() {
        let error = read(b"version https://git-lfs.github.com/spec/v1\n").expect_err("a pointer");
        assert!(matches!(error, PickleError::LfsPointer));
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        for bytes in [&b""[..], b"hello", b"\x80\x02K\x01.", b"\x80\x02]."] {
            message(bytes);
        }
    }
}
