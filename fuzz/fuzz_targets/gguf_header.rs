//! Bytes from anywhere, read as a GGUF file: an error, or tensors that lie one after another within
//! the file.

#![no_main]

use std::io::Cursor;

use collimate_models::{GgufError, GgufHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let len = bytes.len() as u64;
    let Ok(header) = GgufHeader::parse(&mut Cursor::new(bytes), len) else {
        return;
    };
    let mut end = 0;
    for tensor in header.tensors() {
        assert!(tensor.offset >= end, "{tensor:?}");
        assert_eq!(tensor.elements, tensor.shape.iter().product::<u64>());
        end = tensor.offset + tensor.bytes;
    }
    assert!(header.data_start() + end <= len);
    // One byte less than the tensors need is noticed.
    let cut_off = GgufHeader::parse(&mut Cursor::new(bytes), header.data_start() + end - 1);
    assert!(matches!(cut_off, Err(GgufError::Truncated { .. })));
});
