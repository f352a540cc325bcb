//! Files that are written, held against the safetensors library.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use collimate_tensors::{
    Dtype, Layout, SafetensorsWriter, TensorFile, WriteError, write_safetensors,
};
use proptest::prelude::*;
use safetensors::tensor::TensorView;

fn layout() -> Layout {
    let mut layout = Layout::new();
    layout.push("a", Dtype::F32, [2, 2]).unwrap();
    layout.push("b", Dtype::U8, [5]).unwrap();
    layout.push("empty", Dtype::F32, [0]).unwrap();
    layout
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_python_wrote_is_written_again_byte_by_byte() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mixed.safetensors");
    let file = TensorFile::open(&path).unwrap();
    let mut tensors: Vec<_> =
        file.tensors().map(|t| (t.name(), t.dtype(), t.shape(), t.bytes().unwrap())).collect();
    tensors.reverse();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    write_safetensors(&copy, file.metadata(), tensors).unwrap();
    assert_eq!(fs::read(copy).unwrap(), fs::read(path).unwrap());
    assert_eq!(names(folder.path()), ["copy"]);
}

fn dtypes() -> impl Strategy<Value = (Dtype, safetensors::Dtype)> {
    prop::sample::select(vec![
        (Dtype::BOOL, safetensors::Dtype::BOOL),
        (Dtype::U8, safetensors::Dtype::U8),
        (Dtype::F8_E4M3, safetensors::Dtype::F8_E4M3),
        (Dtype::F16, safetensors::Dtype::F16),
        (Dtype::BF16, safetensors::Dtype::BF16),
        (Dtype::I32, safetensors::Dtype::I32),
        (Dtype::F32, safetensors::Dtype::F32),
        (Dtype::C64, safetensors::Dtype::C64),
        (Dtype::F64, safetensors::Dtype::F64),
        (Dtype::I64, safetensors::Dtype::I64),
        (Dtype::U64, safetensors::Dtype::U64),
    ])
}

proptest! {
    #[test]
    fn bytes_are_those_of_the_safetensors_library(
        tensors in prop::collection::btree_map(
            any::<String>(), (dtypes(), prop::collection::vec(0_u64..4, 0..4)), 0..8,
        ),
        key in prop::option::of(any::<String>()),
    ) {
        prop_assume!(!tensors.contains_key("__metadata__"));
        let metadata: BTreeMap<_, _> = key.iter().map(|key| (key.clone(), "pt".into())).collect();
        let tensors: Vec<_> = tensors
            .into_iter()
            .enumerate()
            .map(|(at, (name, ((ours, theirs), shape)))| {
                let len = shape.iter().product::<u64>() * ours.bits() / 8;
                (name, ours, theirs, shape, vec![at as u8; len as usize])
            })
            .collect();
        let views = tensors.iter().map(|(name, _, dtype, shape, bytes)| {
            let shape = shape.iter().map(|&size| size as usize).collect();
            (name, TensorView::new(*dtype, shape, bytes).unwrap())
        });
        let info = key.map(|_| metadata.clone().into_iter().collect());
        let reference = safetensors::serialize(views, info).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        // What comes in another order is written in the same.
        let ours = tensors.iter().rev().map(|(name, dtype, _, shape, bytes)| {
            (name.as_str(), *dtype, shape.as_slice(), bytes)
        });
        write_safetensors(&path, &metadata, ours).unwrap();
        prop_assert_eq!(fs::read(&path).unwrap(), reference);
        let file = TensorFile::open(&path).unwrap();
        for (name, _, _, _, bytes) in &tensors {
            prop_assert_eq!(&*file.get(name).unwrap().bytes().unwrap(), bytes);
        }
    }

    /// Parts of one tensor, in any order, from several threads.
    #[test]
    fn parts_come_in_any_order(
        cuts in prop::collection::btree_set(1_usize..200, 0..20),
        order in any::<prop::sample::Index>(),
    ) {
        let content: Vec<u8> = (0..200).collect();
        let mut cuts: Vec<_> = [0].into_iter().chain(cuts).chain([200]).collect();
        cuts.dedup();
        let mut parts: Vec<_> = cuts.windows(2).map(|pair| pair[0]..pair[1]).collect();
        let turn = order.index(parts.len());
        parts.rotate_left(turn);
        let mut layout = Layout::new();
        layout.push("before", Dtype::U8, [3]).unwrap();
        layout.push("w", Dtype::U8, [200]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let writer = SafetensorsWriter::create(&path, &layout).unwrap();
        std::thread::scope(|scope| {
            for half in parts.chunks(parts.len().div_ceil(2)) {
                let (writer, content) = (&writer, &content);
                scope.spawn(move || {
                    for part in half {
                        writer.write("w", part.start as u64, &content[part.clone()]).unwrap();
                    }
                });
            }
        });
        writer.write("before", 0, b"xyz").unwrap();
        writer.finish().unwrap();
        let file = TensorFile::open(&path).unwrap();
        prop_assert_eq!(&*file.get("w").unwrap().bytes().unwrap(), &content);
        prop_assert_eq!(&*file.get("before").unwrap().bytes().unwrap(), b"xyz");
    }
}

#[test]
fn the_order_of_a_layout_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let mut layout = Layout::new();
    for (name, dtype) in [("z", Dtype::U8), ("y", Dtype::F64), ("x", Dtype::U8)] {
        layout.push(name, dtype, []).unwrap();
    }
    let writer = SafetensorsWriter::create(&path, &layout).unwrap();
    writer.write("z", 0, &[1]).unwrap();
    writer.write("y", 0, &2_f64.to_le_bytes()).unwrap();
    writer.write("x", 0, &[3]).unwrap();
    writer.finish().unwrap();
    let file = TensorFile::open(&path).unwrap();
    assert_eq!(file.tensors().map(|tensor| tensor.name()).collect::<Vec<_>>(), ["z", "y", "x"]);
    assert_eq!(file.get("y").unwrap().to_f32().unwrap(), [2.0]);
    let sorted: Vec<_> = layout.sorted().tensors().iter().map(|t| t.name.clone()).collect();
    assert_eq!(sorted, ["y", "x", "z"]);
}

#[test]
fn a_file_has_its_full_length_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let writer = SafetensorsWriter::create(&path, &layout()).unwrap();
    assert_eq!(writer.path(), path);
    let header = layout().header().unwrap().len() as u64;
    assert_eq!(header % 8, 0);
    assert_eq!(fs::metadata(&path).unwrap().len(), header + 21);
}

#[test]
fn what_is_not_complete_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let writer = SafetensorsWriter::create(&path, &layout()).unwrap();
    writer.write("b", 0, &[0; 5]).unwrap();
    writer.write("a", 0, &[0; 15]).unwrap();
    let error = writer.finish().unwrap_err();
    assert_eq!(error.to_string(), "tensor \"a\" has 15 of 16 bytes; 1 tensors are not complete");
    assert_eq!(names(folder.path()), [""; 0]);
    drop(SafetensorsWriter::create(&path, &layout()).unwrap());
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn bytes_are_written_once_and_within_their_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let writer = SafetensorsWriter::create(folder.path().join("w"), &layout()).unwrap();
    writer.write("a", 4, &[0; 4]).unwrap();
    writer.write("a", 4, &[]).unwrap();
    for (offset, len) in [(4, 4), (0, 5), (7, 1), (5, 2), (0, 16), (3, 2)] {
        let error = writer.write("a", offset, &vec![0; len]).unwrap_err();
        assert!(matches!(error, WriteError::Overlap { .. }), "{offset} {len}: {error}");
    }
    for (offset, len) in [(16, 1), (0, 17), (15, 2), (u64::MAX, 1), (17, 0)] {
        let error = writer.write("a", offset, &vec![0; len]).unwrap_err();
        assert!(matches!(error, WriteError::OutOfRange { len: 16, .. }), "{offset} {len}: {error}");
    }
    assert!(matches!(writer.write("c", 0, &[0]), Err(WriteError::UnknownTensor { .. })));
    writer.write("a", 0, &[0; 4]).unwrap();
    writer.write("a", 8, &[0; 8]).unwrap();
    writer.write("b", 0, &[0; 5]).unwrap();
    writer.finish().unwrap();
}

#[test]
fn what_is_there_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w");
    fs::write(&path, "mine").unwrap();
    let error = SafetensorsWriter::create(&path, &layout()).unwrap_err();
    let WriteError::Io { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn a_file_that_no_disk_has_room_for_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w");
    for size in [1 << 60, u64::MAX / 8] {
        let mut layout = Layout::new();
        layout.push("w", Dtype::U8, [size]).unwrap();
        SafetensorsWriter::create(&path, &layout).unwrap_err();
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn what_can_not_be_written_is_no_layout() {
    let mut layout = layout();
    let mut error =
        |name: &str, dtype, shape: &[u64]| layout.push(name, dtype, shape).unwrap_err().to_string();
    assert_eq!(error("a", Dtype::F32, &[1]), "tensor \"a\" is there twice");
    assert_eq!(error("__metadata__", Dtype::F32, &[1]), "a tensor can't be called __metadata__");
    for shape in [&[1 << 60, 1 << 60][..], &[1 << 62], &[u64::MAX / 4]] {
        assert!(error("w", Dtype::F32, shape).contains("overflows"), "{shape:?}");
    }
    assert!(error("w", Dtype::F4, &[3]).contains("12 bits"));
    assert!(error("w", Dtype::U8, &[u64::MAX]).contains("overflows"));
    assert_eq!(layout.tensors().len(), 3);
    assert_eq!(layout.parameters(), 9);
}

#[test]
fn a_header_beyond_the_limit_is_an_error() {
    let layout = Layout::new().with_metadata("k", "x".repeat(100_000_000));
    assert!(matches!(layout.header(), Err(WriteError::HeaderTooLarge { .. })));
}

#[test]
fn a_small_file_appears_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let metadata = BTreeMap::new();
    write_safetensors(&path, &metadata, [("a", Dtype::U8, [2], [1, 2])]).unwrap();
    let before = fs::read(&path).unwrap();
    let error = write_safetensors(&path, &metadata, [("a", Dtype::U8, [3], [1, 2])]).unwrap_err();
    assert_eq!(error.to_string(), "tensor \"a\" needs 3 bytes, it has 2");
    let twice = [("a", Dtype::U8, [1], [1]), ("a", Dtype::U8, [1], [1])];
    write_safetensors(&path, &metadata, twice).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), before);
    write_safetensors(&path, &metadata, [("b", Dtype::U8, [1], [3])]).unwrap();
    assert_eq!(TensorFile::open(&path).unwrap().names().collect::<Vec<_>>(), ["b"]);
    assert_eq!(names(folder.path()), ["w.safetensors"]);
    let nowhere = folder.path().join("absent/w.safetensors");
    write_safetensors(nowhere, &metadata, [("b", Dtype::U8, [1], [3])]).unwrap_err();
}
