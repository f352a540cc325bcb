//! Files that are written are read back as they were, and appear whole or not at all.

use std::fs;

use collimate_data::{DataError, Format, ReadSettings, Source, write_records};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

fn fields(records: &[Value]) -> impl Iterator<Item = Result<Fields, DataError>> {
    records.iter().map(|record| Ok(record.as_object().unwrap().clone()))
}

fn read(path: &std::path::Path) -> Vec<Value> {
    let records = Source::open([path]).unwrap().records(&ReadSettings::default()).unwrap();
    records.map(|record| Value::Object(record.unwrap().fields)).collect()
}

const FORMATS: [(&str, Format); 5] = [
    ("jsonl", Format::JsonLines),
    ("json", Format::Json),
    ("csv", Format::Csv),
    ("tsv", Format::Tsv),
    ("parquet", Format::Parquet),
];

#[test]
fn the_same_records_give_the_same_bytes() {
    let records: Vec<Value> =
        (0..25_000).map(|n| json!({"text": format!("n {n}\n"), "b": "\"x\","})).collect();
    for (ending, format) in FORMATS {
        for compression in ["", ".gz", ".zst"] {
            let dir = tempfile::tempdir().unwrap();
            let paths =
                ["a", "b"].map(|name| dir.path().join(format!("{name}.{ending}{compression}")));
            let written =
                paths.each_ref().map(|path| write_records(path, format, fields(&records)).unwrap());
            assert_eq!(written[0], written[1]);
            let bytes = paths.each_ref().map(|path| fs::read(path).unwrap());
            assert_eq!(bytes[0], bytes[1], "{ending}{compression}");
            assert_eq!((written[0].records, written[0].bytes), (25_000, bytes[0].len() as u64));
            let digest = <sha2::Sha256 as sha2::Digest>::digest(&bytes[0]);
            let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(written[0].sha256, digits);
            assert_eq!(read(&paths[0]), records, "{ending}{compression}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
        }
    }
}

#[test]
fn values_are_kept_or_written_as_the_table_says() {
    let records = [
        json!({"s": "é", "n": 1, "f": 2, "b": true, "l": [{"role": "user"}], "z": null}),
        json!({"s": null, "n": null, "f": 0.5, "b": false, "l": {}, "z": null}),
    ];
    let dir = tempfile::tempdir().unwrap();
    let written = |ending: &str, format| {
        let path = dir.path().join(format!("x.{ending}"));
        write_records(&path, format, fields(&records)).unwrap();
        read(&path)
    };
    assert_eq!(written("jsonl", Format::JsonLines), records);
    assert_eq!(written("json", Format::Json), records);
    assert_eq!(
        written("csv", Format::Csv),
        [
            json!({"s": "é", "n": "1", "f": "2", "b": "true", "l": "[{\"role\":\"user\"}]", "z": ""}),
            json!({"s": "", "n": "", "f": "0.5", "b": "false", "l": "{}", "z": ""}),
        ]
    );
    assert_eq!(
        written("parquet", Format::Parquet),
        [
            json!({"s": "é", "n": 1, "f": 2.0, "b": true, "l": "[{\"role\":\"user\"}]", "z": null}),
            json!({"s": null, "n": null, "f": 0.5, "b": false, "l": "{}", "z": null}),
        ]
    );
}

#[test]
fn what_can_not_be_written_leaves_the_old_file() {
    let one = json!({"a": "x"});
    let many: Vec<Value> =
        (0..10_001).map(|n| if n < 10_000 { json!({"a": 1}) } else { json!({"a": "x"}) }).collect();
    for (ending, format, records, expected) in [
        ("csv", Format::Csv, vec![one.clone(), json!({"b": "y"})], "record 2: has a column `b`"),
        ("csv", Format::Csv, vec![json!({"a": "x\0"})], "record 1: column `a` has a NUL"),
        ("csv", Format::Csv, vec![], "there is no record"),
        ("csv", Format::Csv, vec![json!({})], "has no columns"),
        (
            "parquet",
            Format::Parquet,
            vec![one.clone(), json!({"a": 1})],
            "record 2: column `a` is a number",
        ),
        ("parquet", Format::Parquet, many, "record 10001: column `a` is a text"),
        (
            "parquet",
            Format::Parquet,
            vec![json!({"a": u64::MAX})],
            "record 1: column `a` is a number",
        ),
        ("parquet", Format::Parquet, vec![], "no record"),
        ("jsonl", Format::Csv, vec![one.clone()], "ending of another format"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(format!("x.{ending}"));
        fs::write(&path, "before").unwrap();
        let message = write_records(&path, format, fields(&records)).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.jsonl");
    let failing = [Ok(Fields::new()), Err(DataError::Cancelled)];
    assert!(matches!(write_records(&path, Format::JsonLines, failing), Err(DataError::Cancelled)));
    assert!(!path.exists());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_texts_come_back(rows in prop::collection::vec(("[^\0]{0,6}", "[ ,\t\"\r\na'é]{0,6}"), 1..8)) {
        let records: Vec<Value> = rows.iter().map(|(a, b)| json!({"a, \"1\"": a, "b": b})).collect();
        let dir = tempfile::tempdir().unwrap();
        for (ending, format) in FORMATS {
            let path = dir.path().join(format!("x.{ending}"));
            write_records(&path, format, fields(&records)).unwrap();
            prop_assert_eq!(&read(&path), &records, "{}", ending);
        }
    }
}
