use serde_json::json;

use super::support::{fields, file, gzip, positions, read, read_with, zstd};
use collimate_data::{Format, OnError, ReadSettings};

const LINES: &str = "{\"a\": \"é\", \"b\": [1, null]}\n\n  {\"a\": \"\\ud83d\\ude42\\u0000\"}\r\n\t\n{\"a\": \"x\"}";

#[test]
fn every_text_format_is_read_in_every_encoding_and_compression() {
    let array =
        "\n[\n {\"a\": \"1\", \"b\": \"é, \\\"x]\"} ,\n{\"a\": \"2\", \"b\": \"l1\\nl2\"}\n]\n";
    let objects = "{\"a\": \"1\", \"b\": \"é, \\\"x]\"}\n{\n\"a\": \"2\",\n \"b\": \"l1\\nl2\"}";
    let around = format!("{{\"version\": {{\"n\": [1]}}, \"data\": {array}, \"more\": 1}}");
    let lines = "{\"a\": \"1\", \"b\": \"é, \\\"x]\"}\n{\"a\": \"2\", \"b\": \"l1\\nl2\"}\n";
    let csv = "a,b\r\n1,\"é, \"\"x]\"\n\n2,\"l1\nl2\"\n";
    let tsv = "a\tb\n1\t\"é, \"\"x]\"\n2\t\"l1\nl2\"";
    let expected = [json!({"a": "1", "b": "é, \"x]"}), json!({"a": "2", "b": "l1\nl2"})];
    for (name, text, at) in [
        ("x.jsonl", lines, ["line 1", "line 2"]),
        ("x.ndjson", lines, ["line 1", "line 2"]),
        ("x.json", array, ["element 1", "element 2"]),
        ("x.json", objects, ["line 1", "line 2"]),
        ("x.json", lines, ["line 1", "line 2"]),
        ("x.json", &around, ["element 1", "element 2"]),
        ("x.csv", csv, ["line 2", "line 4"]),
        ("x.tsv", tsv, ["line 2", "line 3"]),
        ("X.CSV", csv, ["line 2", "line 4"]),
    ] {
        for mark in [false, true] {
            let text = format!("{}{text}", if mark { "\u{feff}" } else { "" }).into_bytes();
            for (ending, bytes) in [
                ("", text.clone()),
                (".gz", gzip(&text)),
                ("", gzip(&text)),
                (".zst", zstd(&text)),
                ("", zstd(&text)),
                // Several members and frames follow one another.
                (".gz", [gzip(&text[..7]), gzip(&text[7..])].concat()),
                (".zst", [zstd(&text[..7]), zstd(&text[7..])].concat()),
            ] {
                let file = file(&format!("{name}{ending}"), &bytes);
                let (records, report) =
                    read(&file.path).unwrap_or_else(|error| panic!("{name}{ending}: {error}"));
                assert_eq!(fields(&records), expected, "{name}{ending}");
                assert_eq!(positions(&records), at, "{name}{ending}");
                assert_eq!((report.records, report.bytes), (2, bytes.len() as u64));
            }
        }
    }
}

#[test]
fn lines_are_counted_and_blank_ones_too() {
    let file = file("x.jsonl", LINES);
    let (records, report) = read(&file.path).unwrap();
    assert_eq!(
        fields(&records),
        [json!({"a": "é", "b": [1, null]}), json!({"a": "🙂\0"}), json!({"a": "x"})]
    );
    assert_eq!(positions(&records), ["line 1", "line 3", "line 5"]);
    assert_eq!((report.records, report.blank_lines, report.files), (3, 2, 1));
}

#[test]
fn empty_files_have_no_records_where_that_can_be() {
    for (name, text) in
        [("x.jsonl", ""), ("x.jsonl", "\n \n"), ("x.json", "[]"), ("x.csv", "a,b\n")]
    {
        let file = file(name, text);
        assert_eq!(read(&file.path).unwrap().0, [], "{name}");
    }
}

#[test]
fn an_object_around_the_records_is_told() {
    let text = r#"{"info": {"x": [{"y": 1}]}, "rows": [{"a": "1"}, {"a": "2"}], "n": 2}"#;
    let around = file("x.json", text);
    let (records, report) = read(&around.path).unwrap();
    assert_eq!(fields(&records), [json!({"a": "1"}), json!({"a": "2"})]);
    assert_eq!(report.notes.len(), 1);
    assert!(report.notes[0].contains("`rows`; not read: `info`, `n`"), "{}", report.notes[0]);

    // A single record is not taken apart.
    let single = file("x.json", r#"{"messages": [{"role": "user"}], "tools": [{}], "id": 1}"#);
    assert_eq!(read(&single.path).unwrap().0.len(), 1);

    let several = file("x.json", r#"{"train": [{"a": 1}], "test": [{"a": 2}, {"a": 3}]}"#);
    let error = read(&several.path).unwrap_err().to_string();
    assert!(error.contains("`train`, `test`"), "{error}");
    let settings = ReadSettings::default().with_records_field("test");
    let (records, _) = read_with(&several.path, &settings).unwrap();
    assert_eq!(fields(&records), [json!({"a": 2}), json!({"a": 3})]);
}

#[test]
fn a_format_can_be_set_and_is_seen_without_an_ending() {
    for (name, text, format) in [
        ("x.txt", "a,b\n1,2\n", Some(Format::Csv)),
        ("x.txt", "{\"a\": \"1\", \"b\": \"2\"}\n", None),
        ("x", " [{\"a\": \"1\", \"b\": \"2\"}]", None),
        ("x.jsonl", "[{\"a\": \"1\", \"b\": \"2\"}]", Some(Format::Json)),
    ] {
        let mut settings = ReadSettings::default();
        settings.format = format;
        let file = file(name, text);
        let (records, _) = read_with(&file.path, &settings).unwrap();
        assert_eq!(fields(&records), [json!({"a": "1", "b": "2"})], "{name}");
    }
}

#[test]
fn cells_are_read_as_csv_writes_them() {
    let text = "a,b,c\n,\"\",\" x \"\n5\" pipe,it's,\"a\"\"\"\"b\"\n\"l1\r\nl2\",,\n";
    let file = file("x.csv", text);
    let (records, _) = read(&file.path).unwrap();
    assert_eq!(
        fields(&records),
        [
            json!({"a": "", "b": "", "c": " x "}),
            json!({"a": "5\" pipe", "b": "it's", "c": "a\"\"b"}),
            json!({"a": "l1\r\nl2", "b": "", "c": ""}),
        ]
    );
}

#[test]
fn records_that_are_skipped_are_counted_and_told() {
    let settings = ReadSettings::default().with_on_error(OnError::Skip).with_max_record_bytes(64);
    let long = "x".repeat(200);
    for (name, text) in [
        (
            "x.jsonl",
            format!("{{\"a\": 1}}\n{{\"a\": \"{long}\"}}\n[1]\n{{\"a\": }}\n{{\"a\": 2}}\n"),
        ),
        (
            "x.json",
            format!("[{{\"a\": 1}}, {{\"a\": \"{long}\"}}, [1], {{\"a\": }}, {{\"a\": 2}}]"),
        ),
    ] {
        let file = file(name, &text);
        let (records, report) = read_with(&file.path, &settings).unwrap();
        assert_eq!(fields(&records), [json!({"a": 1}), json!({"a": 2})], "{name}");
        assert_eq!((report.records, report.skipped), (2, 3), "{name}");
        assert_eq!(report.first_errors.len(), 3);
        assert!(report.first_errors[0].contains("longer than 64 bytes"), "{report:?}");
    }
    let rows = file("x.csv", format!("a,b\n1,2\n{long},2\n1\n1,2,3\n3,4\n"));
    let (records, report) = read_with(&rows.path, &settings).unwrap();
    assert_eq!(fields(&records), [json!({"a": "1", "b": "2"}), json!({"a": "3", "b": "4"})]);
    assert_eq!(report.skipped, 3);
    assert_eq!(positions(&records), ["line 2", "line 6"]);
}
