//! Bytes from anywhere, read as a safetensors file: what is accepted is what the safetensors crate
//! accepts, and says the same.

#![no_main]

use std::collections::BTreeMap;

use collimate_tensors::{SafetensorsError, SafetensorsHeader};
use libfuzzer_sys::fuzz_target;
use safetensors::SafeTensors;

fuzz_target!(|bytes: &[u8]| {
    let reference = SafeTensors::read_metadata(bytes).ok();
    match SafetensorsHeader::parse(bytes, bytes.len() as u64) {
        Ok(header) => {
            let (_, reference) = reference.expect("what is accepted here is accepted there");
            same(&header, &reference);
        }
        Err(error) => {
            let Some((_, reference)) = reference else { return };
            // Names that are there twice, space before the object and forms of an entry that nobody
            // writes are refused; the rest of what was wrong must not be there.
            assert!(
                matches!(
                    error,
                    SafetensorsError::Duplicate { .. }
                        | SafetensorsError::NotAnObject { .. }
                        | SafetensorsError::Json(_)
                ),
                "{error}"
            );
            let json = serde_json::to_vec(&reference).expect("a header is JSON");
            let mut written = (json.len() as u64).to_le_bytes().to_vec();
            written.extend(json);
            let len = written.len() as u64 + reference.data_len() as u64;
            let header = SafetensorsHeader::parse(&written, len);
            same(&header.expect("as the reference writes it, it is accepted"), &reference);
        }
    }
});

fn same(header: &SafetensorsHeader, reference: &safetensors::tensor::Metadata) {
    let ours: BTreeMap<_, _> = header
        .tensors()
        .into_iter()
        .map(|tensor| (tensor.name, (tensor.dtype.to_string(), tensor.shape, tensor.data_offsets)))
        .collect();
    let theirs: BTreeMap<_, _> = reference
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let shape: Vec<_> = info.shape.iter().map(|&size| size as u64).collect();
            let (begin, end) = info.data_offsets;
            (name, (info.dtype.to_string(), shape, (begin as u64, end as u64)))
        })
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(header.len(), theirs.len() as u64);
    assert_eq!(header.data_len(), reference.data_len() as u64);
    let elements = theirs.values().map(|(_, shape, _)| shape.iter().product::<u64>()).sum::<u64>();
    assert_eq!(header.parameters(), elements);
    let metadata = reference.metadata().clone().unwrap_or_default();
    assert_eq!(header.metadata(), metadata.into_iter().collect());
}
