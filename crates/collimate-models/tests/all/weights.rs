//! Headers of weight files, against the safetensors crate and through the public types.

use std::collections::BTreeMap;
use std::fs;

use collimate_models::{GgufError, GgufHeader, SafetensorsError, SafetensorsHeader};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use safetensors::SafeTensors;

/// The file with this header and so many bytes of data.
fn file(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// The name, type, shape and offsets of every tensor, by the reference.
type Tensors = BTreeMap<String, (String, Vec<u64>, (u64, u64))>;

fn reference(bytes: &[u8]) -> Option<(u64, Tensors)> {
    let (len, metadata) = SafeTensors::read_metadata(bytes).ok()?;
    let tensors = metadata.tensors().into_iter().map(|(name, info)| {
        let shape = info.shape.iter().map(|&size| size as u64).collect();
        let (begin, end) = info.data_offsets;
        (name, (info.dtype.to_string(), shape, (begin as u64, end as u64)))
    });
    Some((len as u64 + 8, tensors.collect()))
}

fn ours(bytes: &[u8]) -> Result<(u64, Tensors), SafetensorsError> {
    let header = SafetensorsHeader::parse(bytes, bytes.len() as u64)?;
    let listed = header.tensors();
    let elements: u64 = listed.iter().map(|tensor| tensor.shape.iter().product::<u64>()).sum();
    assert_eq!(header.parameters(), elements);
    assert_eq!(header.len(), listed.len() as u64);
    let tensors = listed
        .into_iter()
        .map(|tensor| (tensor.name, (tensor.dtype.to_string(), tensor.shape, tensor.data_offsets)));
    Ok((header.data_start(), tensors.collect()))
}

/// Checks that the two readers agree. Names that are there twice pass the reference only, and so
/// does white space before the object.
fn agree(bytes: &[u8]) {
    match (ours(bytes), reference(bytes)) {
        (Ok(ours), reference) => assert_eq!(Some(ours), reference),
        (Err(SafetensorsError::Duplicate { .. } | SafetensorsError::NotAnObject { .. }), _) => {}
        (Err(error), reference) => assert_eq!(reference, None, "{error}"),
    }
}

/// Text of a header that is often sound and often a little off.
fn header() -> impl Strategy<Value = (String, usize)> {
    let dtype = prop_oneof![
        8 => prop::sample::select(vec![
            ("BOOL", 8), ("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("U8", 8), ("I8", 8),
            ("F8_E5M2", 8), ("F8_E4M3", 8), ("F8_E8M0", 8), ("F8_E4M3FNUZ", 8), ("I16", 16),
            ("U16", 16), ("F16", 16), ("BF16", 16), ("I32", 32), ("U32", 32), ("F32", 32),
            ("C64", 64), ("F64", 64), ("I64", 64), ("U64", 64),
        ]),
        1 => Just(("F128", 128)),
    ];
    let shape = prop::collection::vec(
        prop_oneof![9 => 0_u64..5, 1 => prop::sample::select(vec![1 << 32, u64::MAX])],
        0..4,
    );
    let extra = prop_oneof![
        6 => Just(String::new()),
        1 => prop::sample::select(vec![
            r#","x":[1e999]"#, r#","x":"\ud800""#, r#","x":{"y":[null,true,-1,2.5,"z"]}"#,
            r#","dtype":"U8""#, r#","x":"#, r#","\u0078":1"#,
        ])
        .prop_map(str::to_owned),
    ];
    let name = prop_oneof![8 => "[a-e]{1,2}", 1 => Just("\\u0061".to_owned()), 1 => ".{0,3}"];
    let nudge = prop_oneof![12 => Just(0_i64), 1 => -2_i64..3];
    let tensor = (name, dtype, shape, extra, nudge.clone(), nudge.clone());
    let metadata = prop::sample::select(vec![
        "",
        "",
        "",
        r#""__metadata__":{"format":"pt"},"#,
        r#""__metadata__":null,"#,
        r#""__metadata__":{"a":1},"#,
        r#""__metadata__":[],"#,
    ]);
    let order = any::<bool>();
    (metadata, prop::collection::vec(tensor, 0..5), nudge, order, "[ \n]{0,2}").prop_map(
        |(metadata, tensors, after, reversed, padding)| {
            let mut end = 0_u64;
            let mut entries = Vec::new();
            for (name, (dtype, bits), shape, extra, first, second) in tensors {
                let begin = end;
                let elements = shape.iter().fold(1_u64, |n, &size| n.wrapping_mul(size));
                end = end.wrapping_add(elements.wrapping_mul(bits) / 8 % 4096);
                let begin = begin.wrapping_add_signed(first);
                let stated = end.wrapping_add_signed(second);
                entries.push(format!(
                    r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{stated}]{extra}}}"#
                ));
            }
            if reversed {
                entries.reverse();
            }
            let json = format!("{{{metadata}{}}}{padding}", entries.join(","));
            let json = json.replace(",}", "}");
            (json, end.saturating_add_signed(after) as usize)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn headers_are_read_as_the_reference_reads_them((json, data) in header()) {
        agree(&file(&json, data));
    }

    #[test]
    fn a_header_with_one_byte_changed_is_read_as_the_reference_reads_it(
        (json, data) in header(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = file(&json, data);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        agree(&bytes);
    }
}

/// The strategy above must not only make what is refused.
#[test]
fn many_of_the_headers_are_sound() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let sound = (0..1000).filter(|_| {
        let (json, data) = header().new_tree(&mut runner).unwrap().current();
        ours(&file(&json, data)).is_ok_and(|(_, tensors)| !tensors.is_empty())
    });
    let sound = sound.count();
    assert!((100..900).contains(&sound), "{sound}");
}

#[test]
fn a_file_of_the_reference_is_read_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let bytes = vec![0; 24];
    let view =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F16, vec![3, 4], &bytes).unwrap();
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file([("w", view)], Some(metadata), &path).unwrap();
    let header = SafetensorsHeader::read(&path).unwrap();
    assert_eq!((header.len(), header.parameters(), header.data_len()), (1, 12, 24));
    assert_eq!(header.metadata()["format"], "pt");

    let missing = SafetensorsHeader::read(folder.path().join("no.safetensors"));
    assert!(matches!(missing, Err(SafetensorsError::Io { .. })));
    let not_a_file = SafetensorsHeader::read(folder.path());
    assert!(matches!(not_a_file, Err(SafetensorsError::NotAFile { .. })));
}

#[test]
fn a_claim_of_all_memory_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let sparse = fs::File::create(&path).unwrap();
    sparse.set_len(1 << 40).unwrap();
    // A length of zero and a terabyte of nothing.
    assert!(matches!(SafetensorsHeader::read(&path), Err(SafetensorsError::EmptyHeader)));
    let mut claim = u64::MAX.to_le_bytes().to_vec();
    claim.push(b'{');
    fs::write(&path, claim).unwrap();
    assert!(matches!(
        SafetensorsHeader::read(&path),
        Err(SafetensorsError::HeaderTooLarge { claimed: u64::MAX })
    ));
}

#[test]
fn a_gguf_file_is_read_from_disk() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let header = GgufHeader::read(format!("{folder}/llama.gguf")).unwrap();
    assert_eq!(header.tensors().iter().map(|tensor| tensor.elements).sum::<u64>(), 1248);
    assert!(matches!(GgufHeader::read(folder), Err(GgufError::NotAFile { .. })));
    let missing = GgufHeader::read(format!("{folder}/no.gguf"));
    assert!(matches!(missing, Err(GgufError::Open { .. })));
}
