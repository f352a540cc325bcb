use std::fs;

use collimate_data::{ReadSettings, Source};

fn names(source: &Source) -> Vec<String> {
    let name = |file: &std::sync::Arc<std::path::Path>| {
        file.file_name().unwrap().to_string_lossy().into_owned()
    };
    source.files().iter().map(name).collect()
}

#[test]
fn folders_and_patterns_stand_for_files_in_order() {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in [
        ("b.jsonl", "{\"a\": 3}\n"),
        ("a-10.jsonl", "{\"a\": 2}\n"),
        ("a-01.json", "[{\"a\": 1}]"),
        (".hidden.jsonl", "broken"),
        ("README.md", "# Data"),
        ("below/c.csv", "a\n4\n"),
    ] {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let source = Source::open([dir.path()]).unwrap();
    assert_eq!(names(&source), ["a-01.json", "a-10.jsonl", "b.jsonl"]);
    let mut records = source.records(&ReadSettings::default()).unwrap();
    let numbers: Vec<i64> =
        (&mut records).map(|record| record.unwrap().fields["a"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!((records.report().files, records.report().bytes), (3, 28));

    let source = Source::open([dir.path().join("**")]).unwrap();
    assert_eq!(names(&source), ["a-01.json", "a-10.jsonl", "b.jsonl", "c.csv"]);
    let source = Source::open([dir.path().join("below"), dir.path().join("a-??.json*")]).unwrap();
    assert_eq!(names(&source), ["c.csv", "a-01.json", "a-10.jsonl"]);

    let nothing = Source::open([dir.path().join("*.parquet")]).unwrap_err().to_string();
    assert!(nothing.contains("matches no file"), "{nothing}");
    fs::create_dir(dir.path().join("empty")).unwrap();
    let empty = Source::open([dir.path().join("empty")]).unwrap_err().to_string();
    assert!(empty.contains("has no file of records"), "{empty}");
    assert!(Source::open(Vec::<&str>::new()).is_err());

    // A file whose name looks like a pattern is that file.
    #[cfg(unix)]
    {
        fs::write(dir.path().join("x*.jsonl"), "{}").unwrap();
        fs::write(dir.path().join("xy.jsonl"), "{}").unwrap();
        let source = Source::open([dir.path().join("x*.jsonl")]).unwrap();
        assert_eq!(names(&source), ["x*.jsonl"]);
    }
}

#[test]
fn an_error_names_the_file_and_ends_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.jsonl"), "{\"a\": 1}\n{\n").unwrap();
    fs::write(dir.path().join("b.jsonl"), "{\"a\": 2}\n").unwrap();
    let source = Source::open([dir.path()]).unwrap();
    let mut records = source.records(&ReadSettings::default()).unwrap();
    assert!(records.next().unwrap().is_ok());
    let message = records.next().unwrap().unwrap_err().to_string();
    assert!(message.contains("a.jsonl, line 2: column"), "{message}");
    assert!(records.next().is_none());
    assert!(records.next_batch(8).is_none());
}

#[test]
fn records_can_be_sent_to_another_thread() {
    fn sendable<T: Send>() {}
    sendable::<collimate_data::Records>();
}
