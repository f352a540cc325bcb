//! The table of tensors of a PyTorch checkpoint. Nothing of it is executed, and no tensor is read.

mod archive;
mod opcodes;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use pytorch_reader::{DType, PytorchReader};

use crate::folder::{is_lfs_pointer, unreadable};
use crate::problem::Problem;

/// One tensor of a checkpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PickleTensor {
    /// As safetensors would call it.
    pub(super) dtype: &'static str,
    pub(super) elements: u64,
    pub(super) bytes: u64,
}

/// The number that opens a checkpoint that isn't an archive (PyTorch before 1.6).
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Pickles at the start of such a checkpoint: the number, the protocol, the system, the tensors, the
/// keys of their storages.
const LEGACY_PICKLES: u32 = 5;
/// Where a tar archive says what it is.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// Reads the tensors of a checkpoint by their names.
///
/// Its opcodes are looked through first: what the writers of weights never use is refused, and so
/// is what would take much memory.
///
/// # Errors
///
/// The problem that the file has.
pub(super) fn read(
    name: &str,
    path: &Path,
    mut file: File,
    bytes: u64,
) -> Result<BTreeMap<String, PickleTensor>, Problem> {
    let invalid = |message: String| Problem::Invalid { file: name.to_owned(), message };
    let io = |error: &std::io::Error| unreadable(name, error);
    let mut start = Vec::with_capacity(TAR_MAGIC.end);
    (&mut file).take(TAR_MAGIC.end as u64).read_to_end(&mut start).map_err(|error| io(&error))?;
    if is_lfs_pointer(&start) {
        return Err(Problem::LfsPointer { file: name.to_owned() });
    }
    if start.get(TAR_MAGIC) == Some(b"ustar") {
        return Err(invalid(
            "it is a tar archive, as PyTorch wrote before 0.1.10; save it again".to_owned(),
        ));
    }
    let (at, pickles) = if start.starts_with(b"PK") {
        (archive::find_pickle(&mut file, bytes).map_err(invalid)?, 1)
    } else if start.windows(LEGACY_MAGIC.len()).any(|window| window == LEGACY_MAGIC) {
        (0..bytes, LEGACY_PICKLES)
    } else {
        (0..bytes, 1)
    };
    file.seek(SeekFrom::Start(at.start)).map_err(|error| io(&error))?;
    opcodes::check(BufReader::new(file.take(at.end - at.start)), pickles).map_err(invalid)?;

    let reader = PytorchReader::new(path).map_err(|error| invalid(error.to_string()))?;
    let tensors = reader.into_tensors().into_iter().map(|(name, tensor)| {
        let elements = tensor.num_elements() as u64;
        let bytes = tensor.byte_len() as u64;
        (name, PickleTensor { dtype: dtype_name(tensor.dtype()), elements, bytes })
    });
    Ok(tensors.collect())
}

fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F64 => "F64",
        DType::F32 => "F32",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::I64 => "I64",
        DType::I32 => "I32",
        DType::I16 => "I16",
        DType::I8 => "I8",
        DType::U64 => "U64",
        DType::U32 => "U32",
        DType::U16 => "U16",
        DType::U8 => "U8",
        DType::Bool => "BOOL",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Model, archive, checkpoint, state_dict};
    use super::*;

    fn read(bytes: &[u8]) -> Result<BTreeMap<String, PickleTensor>, Problem> {
        let model = Model::new().with("f.bin", bytes);
        let (file, len) = model.folder().open("f.bin")?;
        super::read("f.bin", &model.path().join("f.bin"), file, len)
    }

    #[track_caller]
    fn message(bytes: &[u8]) -> String {
        match read(bytes) {
            Err(problem @ Problem::Invalid { .. }) => problem.to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn two_tensors() -> Vec<u8> {
        let tensors = [("a", "FloatStorage", "0", [2, 3]), ("b", "BFloat16Storage", "1", [4, 1])];
        state_dict(&tensors, b"")
    }

    #[test]
    fn tensors_are_read_without_their_bytes() {
        let expected = BTreeMap::from([
            ("a".to_owned(), PickleTensor { dtype: "F32", elements: 6, bytes: 24 }),
            ("b".to_owned(), PickleTensor { dtype: "BF16", elements: 4, bytes: 8 }),
        ]);
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
        assert_eq!(tensors["a"], PickleTensor { dtype: "F32", elements: 6, bytes: 24 });
        // Its storages follow the pickles: here a cut is seen.
        message(&bytes[..bytes.len() - 1]);
    }

    #[test]
    fn tensors_that_share_a_storage_count_each() {
        let tied = [("a", "FloatStorage", "0", [2, 3]), ("b", "FloatStorage", "0", [2, 3])];
        let tensors = read(&checkpoint(&state_dict(&tied, b""))).expect("sound");
        assert_eq!(tensors.values().map(|tensor| tensor.elements).sum::<u64>(), 12);
    }

    #[test]
    fn a_pickle_that_would_run_a_program_is_named_and_not_run() {
        let folder = Model::new();
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
    fn a_tar_archive_is_refused() {
        let mut bytes = vec![0; 1024];
        bytes[257..262].copy_from_slice(b"ustar");
        assert!(message(&bytes).contains("tar archive"));
    }

    #[test]
    fn a_pointer_of_git_lfs_is_told_apart() {
        let problem = read(b"version https://git-lfs.github.com/spec/v1\n").expect_err("a pointer");
        assert!(matches!(problem, Problem::LfsPointer { .. }));
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        for bytes in [&b""[..], b"hello", b"\x80\x02K\x01.", b"\x80\x02]."] {
            message(bytes);
        }
    }
}
