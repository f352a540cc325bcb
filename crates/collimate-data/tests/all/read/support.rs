use std::io::Write;
use std::path::{Path, PathBuf};

use collimate_data::{DataError, ReadReport, ReadSettings, Record, Source};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with one file.
pub(crate) struct OneFile {
    _dir: TempDir,
    pub(crate) path: PathBuf,
}

pub(crate) fn file(name: &str, bytes: impl AsRef<[u8]>) -> OneFile {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    OneFile { _dir: dir, path }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

pub(crate) type Read = (Vec<Record>, ReadReport);

/// Reads a file one record at a time, and checks that batches give the same.
pub(crate) fn read_with(path: &Path, settings: &ReadSettings) -> Result<Read, DataError> {
    let source = Source::open([path])?;
    let mut records = source.records(settings)?;
    let one_by_one: Result<Vec<Record>, DataError> = (&mut records).collect();
    assert!(records.next().is_none(), "an iterator that ended goes on");
    let report = records.report().clone();

    let mut batches = source.records(settings)?;
    let mut batched = Vec::new();
    while let Some(batch) = batches.next_batch(3) {
        assert!(!batch.is_empty() && batch.len() <= 4);
        batched.extend(batch);
    }
    assert!(batches.next_batch(3).is_none());
    let batched: Result<Vec<Record>, DataError> = batched.into_iter().collect();
    match (&one_by_one, &batched) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one, other);
            assert_eq!(&report, batches.report());
        }
        (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string()),
        other => panic!("one by one and in batches differ: {other:?}"),
    }
    one_by_one.map(|records| (records, report))
}

pub(crate) fn read(path: &Path) -> Result<Read, DataError> {
    read_with(path, &ReadSettings::default())
}

/// The message of the error that reading this file ends with, which names the file.
pub(crate) fn refusal(name: &str, bytes: impl AsRef<[u8]>) -> String {
    refusal_with(name, bytes, &ReadSettings::default())
}

pub(crate) fn refusal_with(name: &str, bytes: impl AsRef<[u8]>, settings: &ReadSettings) -> String {
    let file = file(name, bytes);
    let message = read_with(&file.path, settings).unwrap_err().to_string();
    assert!(message.starts_with(&file.path.display().to_string()), "{message}");
    assert!(message.len() < 1000 && !message.contains('\n'), "{message}");
    message
}

pub(crate) fn fields(records: &[Record]) -> Vec<Value> {
    records.iter().map(|record| Value::Object(record.fields.clone())).collect()
}

/// Positions as they are shown.
pub(crate) fn positions(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.origin.position.to_string()).collect()
}
