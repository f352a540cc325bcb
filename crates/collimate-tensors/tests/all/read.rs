//! Files that safetensors and torch wrote.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use collimate_tensors::{
    CastError, Dtype, PickleError, SafetensorsError, TensorFile, TensorsError, write_safetensors,
};
use safetensors::SafeTensors;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A file of the given bytes, in a folder that goes away.
fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[track_caller]
fn error(bytes: &[u8]) -> TensorsError {
    let (_folder, path) = file(bytes);
    TensorFile::open(path).unwrap_err()
}

#[test]
fn a_mapped_file_is_what_safetensors_reads() {
    let path = fixture("mixed.safetensors");
    let bytes = fs::read(&path).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    let file = TensorFile::open(&path).unwrap();
    assert!(!file.is_pickle());
    assert_eq!(file.file_len(), bytes.len() as u64);
    assert_eq!(file.metadata(), &BTreeMap::from([("format".to_owned(), "pt".to_owned())]));
    let mut names: Vec<_> = reference.names();
    names.sort_unstable();
    assert_eq!(file.names().collect::<Vec<_>>(), names);
    for name in names {
        let (tensor, expected) = (file.get(name).unwrap(), reference.tensor(name).unwrap());
        assert_eq!(tensor.name(), name);
        assert_eq!(tensor.dtype().to_string(), expected.dtype().to_string());
        let shape: Vec<_> = expected.shape().iter().map(|&size| size as u64).collect();
        assert_eq!(tensor.shape(), shape);
        assert_eq!(tensor.elements(), shape.iter().product::<u64>());
        assert_eq!(tensor.byte_len(), expected.data().len() as u64);
        assert_eq!(tensor.bytes().unwrap(), expected.data(), "{name}");
    }
    // F64 lies first, then what has smaller elements.
    let order: Vec<_> = file.tensors().map(|tensor| tensor.dtype().bits()).collect();
    assert!(order.is_sorted_by(|a, b| a >= b), "{order:?}");
    assert!(file.get("absent").is_none());
    file.unchanged().unwrap();
}

#[test]
fn checkpoints_of_every_form_hold_the_same_tensors() {
    let expected = TensorFile::open(fixture("mixed.safetensors")).unwrap();
    for name in ["archive.bin", "deflated.bin", "legacy.bin"] {
        let file = TensorFile::open(fixture(name)).unwrap();
        assert!(file.is_pickle());
        assert_eq!(file.names().collect::<Vec<_>>(), expected.names().collect::<Vec<_>>());
        for tensor in file.tensors() {
            let expected = expected.get(tensor.name()).unwrap();
            assert_eq!((tensor.dtype(), tensor.shape()), (expected.dtype(), expected.shape()));
            assert_eq!(tensor.bytes().unwrap(), expected.bytes().unwrap(), "{}", tensor.name());
        }
    }
}

#[test]
fn the_content_tells_what_a_file_is() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, is_pickle) in
        [("mixed.safetensors", "w.bin", false), ("archive.bin", "w.safetensors", true)]
    {
        fs::copy(fixture(from), folder.path().join(to)).unwrap();
        assert_eq!(TensorFile::open(folder.path().join(to)).unwrap().is_pickle(), is_pickle);
    }
}

#[test]
fn floats_are_read_as_f32() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let doubles: Vec<u8> = [0.1_f64, -2.0, 1e300].iter().flat_map(|n| n.to_le_bytes()).collect();
    let halves = [0x3c00_u16, 0xc000, 0x7c00].map(u16::to_le_bytes).concat();
    let brains = [0x3f80_u16, 0xc000, 0x7f80].map(u16::to_le_bytes).concat();
    let singles = [1_f32, -2.0, f32::INFINITY].map(f32::to_le_bytes).concat();
    let tensors = [
        ("f64", Dtype::F64, [3], doubles),
        ("f32", Dtype::F32, [3], singles),
        ("f16", Dtype::F16, [3], halves),
        ("bf16", Dtype::BF16, [3], brains),
    ];
    write_safetensors(&path, &BTreeMap::new(), tensors).unwrap();
    let file = TensorFile::open(&path).unwrap();
    assert_eq!(file.get("f64").unwrap().to_f32().unwrap(), [0.1, -2.0, f32::INFINITY]);
    for name in ["f32", "f16", "bf16"] {
        let tensor = file.get(name).unwrap();
        assert_eq!(tensor.to_f32().unwrap(), [1.0, -2.0, f32::INFINITY], "{name}");
        let mut one = [0.0];
        tensor.read_f32(1..2, &mut one).unwrap();
        assert_eq!(one, [-2.0], "{name}");
        tensor.read_f32(3..3, &mut []).unwrap();
        for (start, end) in [(2, 4), (4, 4), (2, 1), (u64::MAX, 1), (u64::MAX, u64::MAX)] {
            let error = tensor.read_f32(start..end, &mut one).unwrap_err();
            assert!(matches!(error, TensorsError::OutOfRange { elements: 3, .. }), "{error}");
        }
        let error = tensor.read_f32(0..2, &mut one).unwrap_err();
        assert!(matches!(error, TensorsError::Cast { source: CastError::Length { .. }, .. }));
    }
}

#[test]
fn what_is_no_float_is_named() {
    for name in ["mixed.safetensors", "archive.bin"] {
        let file = TensorFile::open(fixture(name)).unwrap();
        let error = file.get("long").unwrap().to_f32().unwrap_err();
        assert!(error.to_string().contains(r#"tensor "long" of "#), "{error}");
        let source = error.source().unwrap().to_string();
        assert_eq!(source, "I64 is not one of F16, BF16, F32, F64");
        assert!(file.get("long").unwrap().read_f32(0..1, &mut [0.0]).is_err());
    }
}

#[test]
fn a_file_that_changed_is_noticed() {
    let bytes = fs::read(fixture("mixed.safetensors")).unwrap();
    let grown = [&bytes[..], b" "].concat();
    let (_folder, path) = file(&bytes);
    let open = TensorFile::open(&path).unwrap();
    open.unchanged().unwrap();
    fs::write(&path, grown).unwrap();
    assert!(matches!(open.unchanged(), Err(TensorsError::Changed { .. })));
    drop(open);

    let (_folder, path) = file(&bytes);
    let open = TensorFile::open(&path).unwrap();
    let written = fs::File::options().write(true).open(&path).unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
    written.set_modified(later).unwrap();
    assert!(matches!(open.unchanged(), Err(TensorsError::Changed { .. })));
    drop(open);
    fs::remove_file(&path).unwrap();
}

#[cfg(unix)]
#[test]
fn a_file_that_was_replaced_is_noticed_and_still_read() {
    let bytes = fs::read(fixture("mixed.safetensors")).unwrap();
    let (folder, path) = file(&bytes);
    let open = TensorFile::open(&path).unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let other = folder.path().join("other");
    fs::write(&other, vec![0; bytes.len()]).unwrap();
    fs::File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
    fs::rename(other, &path).unwrap();
    assert!(matches!(open.unchanged(), Err(TensorsError::Changed { .. })));
    assert_eq!(open.get("scalar").unwrap().to_f32().unwrap(), [2.5]);
    fs::remove_file(&path).unwrap();
    assert!(matches!(open.unchanged(), Err(TensorsError::Io { .. })));
}

#[test]
fn what_holds_no_tensors_is_refused() {
    assert!(matches!(error(b"GGUF\x03\0\0\0\x01\0\0\0"), TensorsError::UnknownFormat { .. }));
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n";
    let TensorsError::Safetensors { source, .. } = error(pointer) else { panic!() };
    assert!(matches!(source, SafetensorsError::LfsPointer));
    for (bytes, pickle) in [(&b""[..], false), (b"\x80\x02", true), (b"PK\x03\x04", true)] {
        let error = error(bytes);
        assert_eq!(matches!(error, TensorsError::Pickle { .. }), pickle, "{error:?}");
    }
}

#[test]
fn every_cut_is_noticed() {
    for name in ["mixed.safetensors", "archive.bin", "legacy.bin"] {
        let bytes = fs::read(fixture(name)).unwrap();
        for len in (0..bytes.len()).step_by(13).chain([bytes.len() - 1]) {
            error(&bytes[..len]);
        }
    }
}

#[test]
fn a_pickle_that_would_run_a_program_is_refused() {
    let TensorsError::Pickle { source, .. } =
        error(b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R.")
    else {
        panic!()
    };
    assert!(matches!(source, PickleError::Global { name, at: 2, .. } if name == "system"));
}

/// Whatever stands in the bytes, it is read or refused, and what is read can be had.
#[test]
fn damaged_files_are_read_or_refused() {
    let mut opened = 0;
    for name in ["mixed.safetensors", "archive.bin", "deflated.bin", "legacy.bin"] {
        let bytes = fs::read(fixture(name)).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            let (_folder, path) = file(&damaged);
            let Ok(file) = TensorFile::open(path) else { continue };
            opened += 1;
            for tensor in file.tensors() {
                if let Ok(bytes) = tensor.bytes() {
                    assert_eq!(bytes.len() as u64, tensor.byte_len());
                }
            }
        }
    }
    assert!(opened > 0);
}

#[cfg(unix)]
#[test]
fn what_is_not_a_regular_file_is_never_opened() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), Path::new("/dev/zero")] {
        assert!(matches!(TensorFile::open(path), Err(TensorsError::NotAFile { .. })));
    }
    let absent = folder.path().join("absent");
    assert!(matches!(TensorFile::open(absent), Err(TensorsError::Io { .. })));
}

#[test]
fn what_was_given_back_can_be_read_again() {
    const BYTES: usize = 4 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.safetensors");
    let data: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    let tensors = [("w", Dtype::U8, [BYTES as u64], &data)];
    write_safetensors(&path, &Default::default(), tensors).unwrap();
    let file = TensorFile::open(&path).unwrap();
    let tensor = file.get("w").unwrap();

    assert_eq!(tensor.bytes().unwrap(), data.as_slice());
    let whole = resident(&path);
    tensor.release(1 << 20..BYTES);
    let rest = resident(&path);
    if cfg!(target_os = "linux") {
        assert!(whole >= BYTES >> 10, "{whole} KiB");
        assert!(rest <= (1 << 10) + 256, "{rest} KiB");
    }
    tensor.release(0..BYTES + 1);
    assert_eq!(tensor.bytes().unwrap(), data.as_slice());
}

/// How much of a mapped file is the process's, in KiB; 0 where the system doesn't tell.
fn resident(path: &Path) -> usize {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let name = path.to_string_lossy();
    let mut lines = maps.lines().skip_while(|line| !line.ends_with(name.as_ref()));
    let rss = lines.find_map(|line| line.strip_prefix("Rss:"));
    rss.and_then(|rss| rss.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
