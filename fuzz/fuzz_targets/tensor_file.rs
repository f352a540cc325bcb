//! Bytes from anywhere, opened as a file of tensors: whatever is accepted can be read to its end, has the
//! size that it says and, where it is a safetensors file, survives being written again.

#![no_main]

use std::fs;

use collimate_tensors::{Layout, SafetensorsWriter, TensorFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    fs::write(&path, bytes).expect("a file");
    let Ok(file) = TensorFile::open(&path) else { return };
    for tensor in file.tensors() {
        let found = file.get(tensor.name()).expect("each tensor has its name");
        assert_eq!(found.byte_len(), tensor.byte_len());
        let Ok(content) = tensor.bytes() else {
            assert!(file.is_pickle(), "what is mapped can be read");
            continue;
        };
        assert_eq!(content.len() as u64, tensor.byte_len());
        if let Ok(numbers) = tensor.to_f32() {
            assert_eq!(numbers.len() as u64, tensor.elements());
        }
    }
    if file.is_pickle() {
        return;
    }
    let mut layout = Layout::new();
    for (key, value) in file.metadata() {
        layout = layout.with_metadata(key, value);
    }
    for tensor in file.tensors() {
        layout.push(tensor.name(), tensor.dtype(), tensor.shape()).expect("it was read");
    }
    let copy = folder.path().join("copy");
    let writer = SafetensorsWriter::create(&copy, &layout).expect("there is room");
    for tensor in file.tensors() {
        let content = tensor.bytes().expect("it was read");
        writer.write(tensor.name(), 0, &content).expect("it has its place");
    }
    writer.finish().expect("nothing is missing");
    let copy = TensorFile::open(&copy).expect("what was written can be read");
    assert_eq!(copy.metadata(), file.metadata());
    for (ours, theirs) in copy.tensors().zip(file.tensors()) {
        assert_eq!((ours.name(), ours.shape()), (theirs.name(), theirs.shape()));
        assert_eq!(ours.bytes().expect("mapped"), theirs.bytes().expect("mapped"));
    }
});
