use std::io::Cursor;

use super::*;
use crate::weights::CountedFrom;
use crate::weights::testing::{Gguf, Model};

/// Written by `conformance/gguf_files.py` with gguf 0.19.0; what is expected of them below is what
/// its `GGUFReader` says.
const WHOLE: &[u8] = include_bytes!("../../../tests/fixtures/llama.gguf");
const FIRST: &[u8] = include_bytes!("../../../tests/fixtures/llama-split-00001-of-00002.gguf");
const SECOND: &[u8] = include_bytes!("../../../tests/fixtures/llama-split-00002-of-00002.gguf");

fn look(model: &Model, file: &str) -> (Option<GgufModel>, Vec<Problem>) {
    let mut problems = Vec::new();
    let found = inspect(&model.folder(), file, &mut problems);
    (found, problems)
}

fn parse(bytes: &[u8]) -> Result<GgufHeader, GgufError> {
    GgufHeader::parse(&mut Cursor::new(bytes), bytes.len() as u64)
}

#[track_caller]
fn message(bytes: &[u8]) -> String {
    parse(bytes).expect_err("malformed").to_string()
}

#[test]
fn a_file_of_the_reference_library_is_described() {
    let (found, problems) = look(&Model::new().with("m.gguf", WHOLE), "m.gguf");
    assert_eq!(problems, []);
    let found = found.expect("a model");
    assert_eq!(found.display_name.as_deref(), Some("Tiny Llama"));
    assert_eq!(found.licence.as_deref(), Some("apache-2.0"));
    assert!(found.chat_template && found.tokenizer);
    assert_eq!(found.split, None);
    let weights = found.weights;
    assert_eq!((weights.tensors, weights.parameters, weights.bytes), (4, 1248, 2474));
    let dtypes: Vec<_> = weights.dtypes.iter().map(|(name, &n)| (name.as_str(), n)).collect();
    assert_eq!(dtypes, [("F16", 1024), ("F32", 64), ("Q8_0", 160)]);
    assert_eq!(
        found.architecture,
        Architecture {
            name: Some("llama".to_owned()),
            layers: Some(2),
            hidden_size: Some(32),
            intermediate_size: Some(64),
            attention_heads: Some(4),
            key_value_heads: Some(2),
            head_dim: Some(8),
            vocabulary: Some(5),
            context_length: Some(128),
            tied_embeddings: Some(true),
            quantization: Some(Quantization { method: "Q8_0".to_owned(), bits: Some(8) }),
            ..Architecture::default()
        }
    );
}

#[test]
fn offsets_are_those_of_the_reference_library() {
    let header = parse(WHOLE).expect("sound");
    assert_eq!((header.version(), header.data_start()), (3, 1088));
    let tensors: Vec<_> = header.tensors().iter().map(|t| (t.offset, t.bytes)).collect();
    assert_eq!(tensors, [(0, 170), (192, 128), (320, 2048), (2368, 128)]);
    assert_eq!(header.tensors()[0].shape, [32, 5]);
    assert_eq!(header.text("general.architecture"), Some("llama"));
    assert_eq!(header.number("llama.block_count"), Some(2));
}

#[test]
fn parts_are_one_model() {
    let (first, second) = ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf");
    let model = Model::new().with(first, FIRST).with(second, SECOND);
    let (found, problems) = look(&model, first);
    let found = found.expect("a model");
    assert_eq!((found.weights.parameters, found.weights.bytes), (1248, 2474));
    assert_eq!((found.weights.files.len(), found.split), (2, Some((0, 2))));
    assert_eq!(found.architecture.tied_embeddings, Some(true));
    assert_eq!(problems, []);

    let (found, problems) = look(&Model::new().with(first, FIRST), first);
    let found = found.expect("a model");
    assert_eq!(found.weights.counted_from, CountedFrom::Partial);
    assert_eq!(found.architecture.tied_embeddings, None);
    assert_eq!(
        problems,
        [Problem::MissingShard { file: second.to_owned(), named_by: first.to_owned() }]
    );
}

#[test]
fn a_part_under_another_name_is_reported() {
    let (found, problems) = look(&Model::new().with("m.gguf", FIRST), "m.gguf");
    assert_eq!(found.and_then(|found| found.split), Some((0, 2)));
    assert!(problems[0].to_string().contains("a whole model, its keys make it part 1 of 2"));
}

#[test]
fn values_of_every_type_are_passed_over() {
    let array = |kind: u32, len: u64, elements: &[u8]| {
        [&kind.to_le_bytes(), &len.to_le_bytes()[..], elements].concat()
    };
    let text = [&3_u64.to_le_bytes()[..], b"abc"].concat();
    let numbers = array(4, 2, &[1, 0, 0, 0, 2, 0, 0, 0]);
    let mut file = Gguf::default();
    for (kind, width) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 1)] {
        file = file.raw(&format!("x.{kind}"), kind, &vec![0xff; width]);
    }
    for kind in [10, 11, 12] {
        file = file.raw(&format!("x.{kind}"), kind, &[0xff; 8]);
    }
    let file = file
        .raw("x.text", 8, &text)
        .raw("x.texts", 9, &array(8, 2, &[&text[..], &text].concat()))
        .raw("x.arrays", 9, &array(9, 2, &[&numbers[..], &numbers].concat()))
        .text("general.architecture", "x")
        .raw("x.block_count", 10, &7_u64.to_le_bytes())
        .raw("x.context_length", 5, &(-1_i32).to_le_bytes())
        .raw("x.embedding_length", 6, &1_f32.to_le_bytes())
        .raw("x.attention.head_count", 9, &array(5, 3, &[0, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0]))
        .raw("x.attention.head_count_kv", 9, &array(4, 2, &[1, 0, 0, 0, 2, 0, 0, 0]));
    let header = parse(&file.bytes()).expect("sound");
    let architecture = architecture(&header);
    assert_eq!(architecture.layers, Some(7));
    assert_eq!((architecture.context_length, architecture.hidden_size), (None, None));
    // Layers without attention have no heads; layers that differ have no common number.
    assert_eq!((architecture.attention_heads, architecture.key_value_heads), (Some(9), None));
}

#[test]
fn an_output_head_of_its_own_is_not_tied() {
    let file = Gguf::default().text("general.architecture", "x").number("general.file_type", 1);
    let file = file.tensor("output.weight", 1, &[4, 4], 32).bytes();
    let (found, problems) = look(&Model::new().with("m.gguf", file), "m.gguf");
    let architecture = found.expect("a model").architecture;
    assert_eq!((architecture.tied_embeddings, problems), (Some(false), Vec::new()));
    assert_eq!((architecture.dtype.as_deref(), architecture.quantization), (Some("float16"), None));
}

#[test]
fn a_file_without_architecture_is_reported() {
    let file = Gguf::default().tensor("w", 0, &[1], 4).bytes();
    let (found, problems) = look(&Model::new().with("m.gguf", file), "m.gguf");
    assert_eq!(found.map(|found| found.weights.parameters), Some(1));
    assert!(problems[0].to_string().contains("general.architecture"));
}

#[test]
fn another_alignment_is_kept_to() {
    let file = Gguf::default().number("general.alignment", 64);
    let file = file.info("a", 0, &[1], 0).info("b", 0, &[1], 64).bytes();
    let header = GgufHeader::parse(&mut Cursor::new(&file), 1 << 20).expect("sound");
    assert_eq!(header.data_start() % 64, 0);
    for alignment in [0, 24] {
        let file = Gguf::default().number("general.alignment", alignment).bytes();
        assert!(message(&file).contains("power of two"));
    }
    let file = Gguf::default().text("general.alignment", "32").bytes();
    assert!(message(&file).contains("power of two"));
}

#[test]
fn what_is_no_gguf_file_of_a_known_version_is_refused() {
    let sound = Gguf::default().bytes();
    assert!(matches!(parse(b""), Err(GgufError::NotGguf { .. })));
    assert!(matches!(parse(b"GGML\x03\0\0\0"), Err(GgufError::NotGguf { .. })));
    assert!(matches!(parse(b"version https://git-lfs.github.com"), Err(GgufError::LfsPointer)));
    for (version, expected) in [(1_u32, "version 1"), (4, "version 4"), (0, "version 0")] {
        let file = [b"GGUF", &version.to_le_bytes()[..], &sound[8..]].concat();
        assert!(message(&file).contains(expected));
    }
    let file = [b"GGUF", &3_u32.to_be_bytes()[..], &sound[8..]].concat();
    assert!(matches!(parse(&file), Err(GgufError::BigEndian)));
    let file = [b"GGUF", &2_u32.to_le_bytes()[..], &sound[8..]].concat();
    assert_eq!(parse(&file).expect("sound").version(), 2);
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_told() {
    for len in 8..WHOLE.len() {
        match parse(&WHOLE[..len]) {
            Err(GgufError::Truncated { expected, found }) => {
                assert!(found == len as u64 && expected > found);
            }
            // The end is padded.
            Ok(header) => assert!(len as u64 >= header.data_start() + 2368 + 128),
            Err(other) => panic!("{len}: {other}"),
        }
    }
    let model = Model::new().with("m.gguf", &WHOLE[..WHOLE.len() - 500]);
    let (found, problems) = look(&model, "m.gguf");
    assert_eq!(found.map(|found| found.weights.parameters), Some(1248));
    assert!(matches!(problems[..], [Problem::Truncated { .. }]));
}

#[test]
fn lengths_beyond_the_file_are_told_before_anything_is_allocated() {
    let huge = (1_u64 << 62).to_le_bytes();
    let array = |kind: u32| [&kind.to_le_bytes()[..], &huge].concat();
    for file in [
        Gguf::default().raw("general.name", 8, &huge),
        Gguf::default().raw("x.text", 8, &huge),
        Gguf::default().raw("x.numbers", 9, &array(4)),
        Gguf::default().raw("x.numbers", 9, &array(12)),
        Gguf::default().raw("x.texts", 9, &array(8)),
        Gguf::default().raw("x.arrays", 9, &array(9)),
    ] {
        assert!(matches!(parse(&file.bytes()), Err(GgufError::Truncated { .. })));
    }
    for counts in [8, 16] {
        let mut file = Gguf::default().bytes();
        file[counts..counts + 8].copy_from_slice(&huge);
        assert!(matches!(parse(&file), Err(GgufError::Truncated { .. })));
    }
}

#[test]
fn arrays_in_arrays_are_bounded() {
    let mut value = Vec::new();
    for _ in 0..100_000 {
        value.extend(9_u32.to_le_bytes());
        value.extend(1_u64.to_le_bytes());
    }
    assert!(message(&Gguf::default().raw("x", 9, &value).bytes()).contains("deep"));
}

#[test]
fn metadata_is_bounded() {
    // A file of zeros has keys of no bytes and values of one, without end; the second is the first
    // again. Arrays of empty strings have eight bytes for each.
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    file.extend(0_u64.to_le_bytes());
    file.extend(1_u64.to_le_bytes());
    file.extend(1_u64.to_le_bytes());
    file.extend(b"x\x09\0\0\0\x08\0\0\0");
    file.extend((1_u64 << 40).to_le_bytes());
    file.resize(file.len() + (33 << 20), 0);
    let parsed = GgufHeader::parse(&mut Cursor::new(&file), 1 << 50);
    assert!(matches!(parsed, Err(GgufError::MetadataTooLarge)));
}

#[test]
fn what_the_format_does_not_have_is_refused() {
    assert!(message(&Gguf::default().raw("x", 13, b"").bytes()).contains("type 13"));
    let array = [&13_u32.to_le_bytes()[..], &1_u64.to_le_bytes()].concat();
    assert!(message(&Gguf::default().raw("x", 9, &array).bytes()).contains("type 13"));
    assert!(message(&Gguf::default().tensor("w", 4, &[32], 0).bytes()).contains("type 4"));
    assert!(message(&Gguf::default().tensor("w", 0, &[1; 5], 4).bytes()).contains("5 dimensions"));
    let long = "w".repeat(65);
    assert!(message(&Gguf::default().tensor(&long, 0, &[1], 4).bytes()).contains("65 bytes"));
    let text = [&1_u64.to_le_bytes()[..], b"\xff"].concat();
    assert!(message(&Gguf::default().raw("general.name", 8, &text).bytes()).contains("UTF-8"));
}

#[test]
fn keys_and_tensors_are_there_once() {
    let file = Gguf::default().number("x", 1).number("x", 1).bytes();
    assert_eq!(message(&file), "the key \"x\" is there twice");
    let file = Gguf::default().tensor("w", 0, &[1], 4).tensor("w", 0, &[1], 4).bytes();
    assert_eq!(message(&file), "tensor \"w\" is there twice");
}

#[test]
fn tensors_lie_where_their_sizes_put_them() {
    for offset in [0, 4, 64] {
        let file = Gguf::default().tensor("a", 0, &[1], 4).info("b", 0, &[1], offset).bytes();
        assert!(message(&file).contains("it should begin at 32"), "{offset}");
    }
}

#[test]
fn shapes_fit_their_types() {
    let half = Gguf::default().tensor("w", 12, &[128, 2], 144).bytes();
    assert!(message(&half).contains("rows of 128 elements, blocks of Q4_K have 256"));
    for shape in [&[1 << 40, 1 << 40][..], &[1 << 62]] {
        let file = Gguf::default().info("w", 0, shape, 0).bytes();
        assert!(message(&file).contains("overflows"));
    }
    let file = Gguf::default().info("w", 0, &[u64::MAX >> 2], 0).bytes();
    assert!(matches!(parse(&file), Err(GgufError::Overflow { .. } | GgufError::Truncated { .. })));
}
