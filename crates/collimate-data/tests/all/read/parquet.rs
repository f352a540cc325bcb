//! The fixtures are written by pyarrow 26.0.1: `conformance/records.py`.

use std::path::Path;

use super::support::{fields, file, gzip, positions, read, read_with, refusal, refusal_with, zstd};
use collimate_data::{OnError, ReadSettings};

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records");
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn rows_are_those_that_pyarrow_wrote() {
    let expected = file("expected.jsonl", fixture("expected.jsonl"));
    let expected = fields(&read(&expected.path).unwrap().0);
    for name in ["none", "snappy", "gzip", "zstd"] {
        let bytes = fixture(&format!("{name}.parquet"));
        for (ending, bytes) in [("", bytes.clone()), (".gz", gzip(&bytes)), (".zst", zstd(&bytes))]
        {
            let file = file(&format!("x.parquet{ending}"), bytes);
            let (records, _) = read(&file.path).unwrap();
            assert_eq!(fields(&records), expected, "{name}{ending}");
            assert_eq!(
                positions(&records)[2..5],
                ["row group 1, row 3", "row group 2, row 1", "row group 2, row 2"]
            );
        }
    }
}

#[test]
fn a_file_that_is_cut_is_named() {
    let whole = fixture("snappy.parquet");
    for length in [5, 11, 12, 200, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        let message = refusal("x.parquet", &whole[..length]);
        assert!(message.contains("does not end in PAR1"), "{length}: {message}");
        // Nor is it skipped.
        let settings = ReadSettings::default().with_on_error(OnError::Skip);
        refusal_with("x.parquet", &whole[..length], &settings);
    }
    // The end of a file after the half of it.
    let end = &whole[whole.len() - 3000..];
    let joined = [&whole[..1000], end].concat();
    assert!(!refusal("x.parquet", joined).is_empty());
}

#[test]
fn no_damaged_byte_is_more_than_an_error() {
    let whole = fixture("zstd.parquet");
    let read_through = |bytes: &[u8]| {
        let file = file("x.parquet", bytes);
        // A value may change unnoticed, but it is read, or refused with a reason.
        match read_with(&file.path, &ReadSettings::default()) {
            Ok((records, _)) => assert!(records.len() <= 1000),
            Err(error) => assert!(error.to_string().contains("x.parquet"), "{error}"),
        }
    };
    for at in (0..whole.len()).step_by(23) {
        for flip in [0xff, 0x01] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            read_through(&bytes);
        }
    }
}

#[test]
fn a_compressed_file_unpacks_to_a_bounded_size() {
    let settings = ReadSettings::default().with_max_unpacked_bytes(1000);
    let message = refusal_with("x.parquet.gz", gzip(&fixture("none.parquet")), &settings);
    assert!(message.contains("max_unpacked_bytes"), "{message}");
}
