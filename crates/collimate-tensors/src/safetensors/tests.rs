use super::*;

fn file(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn parse(json: &str, data: usize) -> Result<SafetensorsHeader, SafetensorsError> {
    let bytes = file(json, data);
    SafetensorsHeader::parse(&bytes, bytes.len() as u64)
}

#[track_caller]
fn message(json: &str, data: usize) -> String {
    parse(json, data).expect_err("malformed").to_string()
}

#[test]
fn a_sound_header_is_counted() {
    let header = parse(
        r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2],"data_offsets":[12,16]},
           "a":{"dtype":"F32","shape":[3,1],"data_offsets":[0,12]},
           "e":{"data_offsets":[16,16],"shape":[0,7],"dtype":"F32"},
           "s":{"dtype":"I64","shape":[],"data_offsets":[16,24]}}   "#,
        24,
    )
    .expect("sound");
    assert_eq!((header.len(), header.parameters(), header.data_len()), (4, 6, 24));
    let elements: Vec<_> = header.elements().collect();
    assert_eq!(elements, [(Dtype::F16, 2), (Dtype::F32, 3), (Dtype::I64, 1)]);
    let names: Vec<_> = header.tensors().into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(names, ["a", "b", "e", "s"]);
    assert_eq!(header.metadata()["format"], "pt");
}

#[test]
fn a_file_without_tensors_is_sound() {
    assert!(parse("{}", 0).expect("sound").is_empty());
    assert!(parse(r#"{"__metadata__":null}"#, 0).expect("sound").is_empty());
}

#[test]
fn shorter_than_the_length_is_cut_off() {
    let error = SafetensorsHeader::parse(b"1234567", 7).expect_err("cut off");
    assert!(matches!(error, SafetensorsError::Truncated { expected: 8, found: 7 }));
}

#[test]
fn a_length_beyond_the_limit_is_refused() {
    let mut bytes = file("{}", 0);
    bytes[..8].copy_from_slice(&(1_u64 << 63).to_le_bytes());
    let error = SafetensorsHeader::parse(&bytes, 1 << 40).expect_err("too large");
    assert!(matches!(error, SafetensorsError::HeaderTooLarge { claimed } if claimed == 1 << 63));
    bytes[..8].copy_from_slice(&100_000_001_u64.to_le_bytes());
    let error = SafetensorsHeader::parse(&bytes, 1 << 40).expect_err("too large");
    assert!(matches!(error, SafetensorsError::HeaderTooLarge { .. }));
}

#[test]
fn a_header_beyond_the_file_is_cut_off() {
    let mut bytes = file("{}", 0);
    bytes[0] = 3;
    let error = SafetensorsHeader::parse(&bytes, 10).expect_err("cut off");
    assert!(matches!(error, SafetensorsError::Truncated { expected: 11, found: 10 }));
}

#[test]
fn an_empty_header_is_refused() {
    assert!(matches!(parse("", 0), Err(SafetensorsError::EmptyHeader)));
}

#[test]
fn a_header_that_does_not_begin_with_an_object_is_refused() {
    for json in [" {}", "[]", "null", "\u{feff}{}"] {
        assert!(matches!(parse(json, 0), Err(SafetensorsError::NotAnObject { .. })), "{json}");
    }
}

#[test]
fn a_header_that_is_not_unicode_is_refused() {
    let mut bytes = file(r#"{"w":0}"#, 0);
    bytes[10] = 0xff;
    let error = SafetensorsHeader::parse(&bytes, 15).expect_err("not UTF-8");
    assert!(matches!(error, SafetensorsError::Utf8(_)));
}

#[test]
fn a_header_that_is_not_json_is_refused_with_the_place() {
    assert!(message(r#"{"w":"#, 0).contains("line 1 column 5"));
    assert!(message("{}{}", 0).contains("trailing characters at line 1 column 3"));
}

#[test]
fn depth_is_bounded() {
    let deep = format!(r#"{{"w":{{"x":{}"#, "[".repeat(100_000));
    assert!(message(&deep, 0).contains("recursion limit"));
}

#[test]
fn an_unknown_type_is_named() {
    let json = r#"{"w":{"dtype":"F128","shape":[1],"data_offsets":[0,16]}}"#;
    assert!(message(json, 16).contains("unknown variant `F128`"));
}

#[test]
fn fields_must_be_there_once() {
    let missing = message(r#"{"w":{"dtype":"F32","shape":[1]}}"#, 4);
    assert!(missing.contains("missing field `data_offsets`"), "{missing}");
    let twice = r#"{"w":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    assert!(message(twice, 1).contains("duplicate field `dtype`"));
}

#[test]
fn sizes_must_be_non_negative_integers() {
    for size in ["-1", "1.0", "1e3", "18446744073709551616", "\"1\"", "null"] {
        let json = format!(r#"{{"w":{{"dtype":"U8","shape":[{size}],"data_offsets":[0,1]}}}}"#);
        assert!(matches!(parse(&json, 1), Err(SafetensorsError::Json(_))), "{size}");
    }
}

#[test]
fn a_shape_that_overflows_is_refused() {
    let elements = r#"{"w":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,1]}}"#;
    assert!(message(elements, 1).contains("overflows"));
    let bits = r#"{"w":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,1]}}"#;
    assert!(message(bits, 1).contains("overflows"));
}

#[test]
fn elements_smaller_than_a_byte_must_fill_bytes() {
    let json = r#"{"w":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}"#;
    assert!(message(json, 1).contains("12 bits"));
    assert!(parse(r#"{"w":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}}"#, 3).is_ok());
}

#[test]
fn offsets_must_span_what_the_shape_needs() {
    let json = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#;
    assert_eq!(message(json, 4), "tensor \"w\" needs 8 bytes, its offsets span 4");
}

#[test]
fn offsets_must_be_in_order() {
    let json = r#"{"w":{"dtype":"U8","shape":[0],"data_offsets":[1,0]}}"#;
    assert_eq!(message(json, 0), "tensor \"w\" ends at 0, before it begins at 1");
}

#[test]
fn a_hole_is_refused() {
    let json = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                   "b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}"#;
    assert_eq!(message(json, 3), "tensor \"b\" begins at 2, the one before it ends at 1");
    let first = r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    assert!(matches!(parse(first, 2), Err(SafetensorsError::Hole { expected: 0, .. })));
}

#[test]
fn tensors_that_overlap_are_refused() {
    let json = r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
                   "b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#;
    assert!(message(json, 3).contains("within the one before it"));
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    let json = r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                   "\u0077":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    assert_eq!(message(json, 2), "tensor \"w\" is there twice");
}

#[test]
fn metadata_must_be_one_object_of_strings() {
    assert!(message(r#"{"__metadata__":{"a":1}}"#, 0).contains("expected a string"));
    assert!(message(r#"{"__metadata__":{},"__metadata__":{}}"#, 0).contains("duplicate field"));
}

#[test]
fn data_beyond_the_file_is_cut_off() {
    let json = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let expected = 8 + json.len() as u64 + 8;
    let error = parse(json, 7).expect_err("cut off");
    assert!(
        matches!(error, SafetensorsError::Truncated { expected: e, found } if e == expected && found == e - 1)
    );
}

#[test]
fn bytes_after_the_last_tensor_are_refused() {
    let json = r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    assert!(matches!(parse(json, 2), Err(SafetensorsError::TrailingBytes { .. })));
}

#[test]
fn a_pointer_of_git_lfs_is_told_apart() {
    let bytes = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    let error = SafetensorsHeader::parse(bytes, bytes.len() as u64).expect_err("a pointer");
    assert!(matches!(error, SafetensorsError::LfsPointer));
}
