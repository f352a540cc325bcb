//! Prepared rows in a file: written, read, cached, damaged.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use collimate_data::{
    DataError, DataEvent, Fingerprint, Observer, Origin, Position, PreferenceRow, PrepareReport,
    PrepareSettings, PreparedRows, PreparedWriter, Row, prepare_cached,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn origin(file: &str, position: Position) -> Origin {
    Origin { file: PathBuf::from(file).into(), position }
}

fn line(line: u64) -> Origin {
    origin("data.jsonl", Position::Line(line))
}

fn row(ids: &[u32]) -> Row {
    Row::new(ids.to_vec(), ids.iter().map(|id| id % 2 == 1).collect())
}

/// Three rows, the second one empty.
fn written(folder: &Path) -> (PathBuf, Vec<Row>) {
    let path = folder.join("rows.safetensors");
    let rows = vec![row(&[1, 2, u32::MAX]), row(&[]), row(&[7])];
    let mut writer = PreparedWriter::create(&path, "abc").unwrap();
    writer.set_settings(&PrepareSettings::default()).unwrap();
    writer.push(&rows[0], &line(3)).unwrap();
    writer.push(&rows[1], &origin("b.json", Position::Element(1 << 40))).unwrap();
    writer.push(&rows[2], &line(u64::MAX)).unwrap();
    let mut report = PrepareReport::default();
    report.rows = 3;
    let size = writer.finish(&report).unwrap();
    assert_eq!(size, fs::metadata(&path).unwrap().len());
    (path, rows)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn rows_are_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rows) = written(folder.path());
    let read = PreparedRows::open(&path).unwrap();
    assert_eq!(read.path(), path);
    assert_eq!((read.len(), read.fingerprint(), read.report().rows), (3, "abc", 3));
    assert_eq!(read.settings()["mask"], "completion");
    assert!(!read.has_preferences());
    assert_eq!(read.lengths().collect::<Vec<_>>(), [3, 0, 1]);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(&read.row(index).unwrap(), row);
    }
    assert_eq!(read.rows(0..3).unwrap(), rows);
    assert_eq!(read.rows(1..3).unwrap(), rows[1..]);
    assert!(read.rows(2..2).unwrap().is_empty());
    assert_eq!(read.origin(0).unwrap(), line(3));
    assert_eq!(read.origin(1).unwrap(), origin("b.json", Position::Element(1 << 40)));
    assert_eq!(read.origin(2).unwrap(), line(u64::MAX));
    for index in [3, usize::MAX / 2, usize::MAX] {
        assert!(read.row(index).is_err());
        assert!(read.origin(index).is_err());
        assert!(read.preference(index).is_err());
    }
    assert!(read.rows(2..4).is_err());
}

#[test]
fn arrays_are_aligned_and_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path());
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let mut arrays: Vec<(u64, u64, &str)> = header
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, array)| {
            let offset = |index: usize| array["data_offsets"][index].as_u64().unwrap();
            (offset(0), offset(1), name.as_str())
        })
        .collect();
    arrays.sort_unstable();
    let mut end = 0;
    for (start, next, name) in arrays {
        // Safetensors allows no gaps.
        assert_eq!(start, end, "{name}");
        if !name.starts_with("padding_") {
            assert_eq!((8 + length as u64 + start) % 64, 0, "{name}");
        }
        end = next;
    }
    assert_eq!(end as usize, bytes.len() - 8 - length);
}

#[test]
fn preferences_are_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.safetensors");
    let mut pair = PreferenceRow::default();
    pair.prompt_len = 2;
    pair.chosen = row(&[1, 2, 3]);
    pair.rejected = row(&[1, 2, 5, 6]);
    let mut writer = PreparedWriter::create(&path, "abc").unwrap();
    writer.push_preference(&pair, &line(1)).unwrap();
    writer.push_preference(&pair, &line(2)).unwrap();
    assert!(matches!(writer.push(&pair.chosen, &line(3)), Err(DataError::File { .. })));
    writer.finish(&PrepareReport::default()).unwrap();
    let read = PreparedRows::open(&path).unwrap();
    assert!(read.has_preferences());
    assert_eq!((read.len(), read.preference(1).unwrap()), (4, pair.clone()));
    assert_eq!(read.origin(3).unwrap(), line(2));
    assert!(read.preference(2).is_err());

    let mut writer = PreparedWriter::create(&path, "abc").unwrap();
    writer.push(&pair.chosen, &line(1)).unwrap();
    assert!(matches!(writer.push_preference(&pair, &line(2)), Err(DataError::File { .. })));
}

#[test]
fn groups_and_notes_are_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.safetensors");
    let write = |groups: &[u32]| {
        let mut writer = PreparedWriter::create(&path, "abc").unwrap();
        for number in 0..4 {
            writer.push(&row(&[number]), &line(1)).unwrap();
        }
        writer.set_note("statistics", &json!({ "rows": 4 })).unwrap();
        writer.set_groups(groups.to_vec());
        writer.finish(&PrepareReport::default())
    };
    write(&[0, 1, 0, 1]).unwrap();
    let read = PreparedRows::open(&path).unwrap();
    assert_eq!(read.groups().unwrap(), Some(vec![0, 1, 0, 1]));
    assert_eq!((read.records(), &read.notes()["statistics"]["rows"]), (4, &json!(4)));
    assert!(matches!(write(&[0]), Err(DataError::Io { .. })));
    for wrong in [[0, 0, 1, 0], [0, 3, 0, 3], [0, 1, 2, u32::MAX]] {
        write(&wrong).unwrap();
        let error = PreparedRows::open(&path).unwrap().groups().unwrap_err();
        assert!(error.to_string().contains("groups"), "{error}");
    }
    let (path, _) = written(folder.path());
    assert_eq!(PreparedRows::open(path).unwrap().groups().unwrap(), None);
}

#[test]
fn all_rows_come_in_order_over_many_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.safetensors");
    // A block has about 210,000 tokens: short rows, one that is longer than a block, empty ones.
    let lengths = [vec![70_000; 7], vec![400_000, 0, 0, 3]].concat();
    let rows: Vec<Row> = (0..)
        .zip(&lengths)
        .map(|(row, &length)| Row::new(vec![row; length], vec![true; length]))
        .collect();
    let mut writer = PreparedWriter::create(&path, "abc").unwrap();
    rows.iter().for_each(|row| writer.push(row, &line(1)).unwrap());
    writer.finish(&PrepareReport::default()).unwrap();
    let read = PreparedRows::open(&path).unwrap();
    assert!(read.iter().map(Result::unwrap).eq(rows));
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.safetensors");
    let mut writer = PreparedWriter::create(&path, "abc").unwrap();
    writer.push(&row(&[1, 2]), &line(1)).unwrap();
    assert!(names(folder.path()).iter().any(|name| name.starts_with(".collimate-partial-")));
    drop(writer);
    assert!(names(folder.path()).is_empty());
}

/// What a run with a cache did.
fn cached(
    folder: &Path,
    fingerprint: &str,
    ids: &[u32],
) -> (Result<PreparedRows, DataError>, Vec<DataEvent>) {
    let mut events = Vec::new();
    let mut observer = |event: &DataEvent| events.push(event.clone());
    let produce = |writer: &mut PreparedWriter, _: &mut dyn Observer| {
        writer.push(&row(ids), &line(1))?;
        Ok(PrepareReport::default())
    };
    let rows = prepare_cached(folder, fingerprint, &mut observer, produce);
    (rows, events)
}

#[test]
fn a_second_run_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("made");
    let fingerprint = Fingerprint::new().with_text("template", "x").finish();
    let path = folder.join(format!("{fingerprint}.safetensors"));
    let (rows, events) = cached(&folder, &fingerprint, &[1, 2]);
    assert_eq!(rows.unwrap().row(0).unwrap(), row(&[1, 2]));
    let bytes = fs::metadata(&path).unwrap().len();
    assert_eq!(events, [DataEvent::CacheWritten { path: path.clone(), bytes }]);
    let (rows, events) = cached(&folder, &fingerprint, &[9, 9]);
    assert_eq!(rows.unwrap().row(0).unwrap(), row(&[1, 2]));
    assert_eq!(events, [DataEvent::CacheHit { path }]);
    let (rows, _) = cached(&folder, "other", &[9, 9]);
    assert_eq!(rows.unwrap().row(0).unwrap(), row(&[9, 9]));
    assert_eq!(names(&folder).len(), 2);
}

#[test]
fn a_run_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let produce = |writer: &mut PreparedWriter, _: &mut dyn Observer| {
        writer.push(&row(&[1]), &line(1))?;
        Err(DataError::Cancelled)
    };
    let result = prepare_cached(folder.path(), "abc", &mut (), produce);
    assert!(matches!(result, Err(DataError::Cancelled)));
    assert!(names(folder.path()).is_empty());
    assert!(cached(folder.path(), "abc", &[1]).0.is_ok());
}

#[test]
fn what_a_killed_run_left_is_removed_but_nothing_that_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let aged = |name: &str, age: u64| {
        let file = File::create(folder.path().join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        file
    };
    drop(aged(".collimate-partial-dead", 600));
    drop(aged(".collimate-partial-young", 1));
    drop(aged("another", 600));
    let used = aged(".collimate-partial-used", 600);
    used.lock().unwrap();
    cached(folder.path(), "abc", &[1]).0.unwrap();
    let expected =
        [".collimate-partial-used", ".collimate-partial-young", "abc.safetensors", "another"];
    assert_eq!(names(folder.path()), expected);
}

#[test]
fn a_foreign_file_under_the_name_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path());
    fs::rename(path, folder.path().join("def.safetensors")).unwrap();
    let error = cached(folder.path(), "def", &[1]).0.unwrap_err();
    assert!(error.to_string().contains("other inputs or settings (abc)"), "{error}");
    fs::write(folder.path().join("ghi.safetensors"), "text").unwrap();
    let error = cached(folder.path(), "ghi", &[1]).0.unwrap_err();
    assert!(error.to_string().contains("not a file of prepared rows"), "{error}");
    for name in ["", "../up", "a/b"] {
        assert!(matches!(cached(folder.path(), name, &[1]).0, Err(DataError::Setting { .. })));
    }
}

/// A file with another header in front of the same arrays.
fn with_header(path: &Path, change: impl Fn(&mut Value)) -> Result<PreparedRows, DataError> {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    let mut text = header.to_string().into_bytes();
    text.resize(length.max(text.len()), b' ');
    let mut changed = (text.len() as u64).to_le_bytes().to_vec();
    changed.extend(text);
    changed.extend(&bytes[8 + length..]);
    let path = path.with_file_name("changed.safetensors");
    fs::write(&path, changed).unwrap();
    PreparedRows::open(path)
}

#[test]
fn a_header_that_lies_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path());
    assert!(with_header(&path, |_| ()).is_ok());
    let set = |pointer: &'static str, value: Value| {
        with_header(&path, move |header| *header.pointer_mut(pointer).unwrap() = value.clone())
    };
    for (pointer, value) in [
        ("/__metadata__/format", json!("pt")),
        ("/__metadata__/version", json!("2")),
        ("/__metadata__", json!(null)),
        ("/ids/dtype", json!("I32")),
        ("/ids/shape", json!([5])),
        ("/ids/shape", json!([1u64 << 62])),
        ("/ids/shape", json!([4, 1])),
        ("/ids/data_offsets", json!([0, 20])),
        ("/ids/data_offsets", json!([16, 0])),
        ("/ids/data_offsets", json!([u64::MAX - 15, u64::MAX])),
        ("/ids/data_offsets", json!([-1, 15])),
        ("/trained/shape", json!([3])),
        ("/trained", json!({"dtype": "U8", "shape": [3], "data_offsets": [64, 67]})),
        ("/row_offsets", json!({"dtype": "U64", "shape": [0], "data_offsets": [0, 0]})),
        ("/row_offsets", json!({"dtype": "U64", "shape": [2], "data_offsets": [128, 144]})),
        ("/origins/shape", json!([9])),
        ("/origins", json!({"dtype": "U64", "shape": [1, 3], "data_offsets": [192, 216]})),
        ("/details", json!({"dtype": "U8", "shape": [1], "data_offsets": [0, 1]})),
        ("/details", json!(7)),
    ] {
        let result = set(pointer, value.clone());
        assert!(matches!(result, Err(DataError::File { .. })), "{pointer} {value}: {result:?}");
    }
    for name in ["ids", "trained", "row_offsets", "origins", "details", "__metadata__"] {
        let result = with_header(&path, |header| {
            header.as_object_mut().unwrap().remove(name).unwrap();
        });
        assert!(matches!(result, Err(DataError::File { .. })), "{name}: {result:?}");
    }
}

#[test]
fn a_mask_that_is_no_mask_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096 + 64] = 2;
    fs::write(&path, bytes).unwrap();
    let read = PreparedRows::open(&path).unwrap();
    assert!(matches!(read.row(0), Err(DataError::File { .. })));
    assert!(read.row(2).is_ok());
}

#[test]
fn a_file_that_ends_early_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path());
    let bytes = fs::read(&path).unwrap();
    for length in (0..bytes.len()).step_by(7) {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(PreparedRows::open(&path).is_err(), "{length}");
    }
    assert!(PreparedRows::open(folder.path()).is_err());
    assert!(matches!(PreparedRows::open(folder.path().join("missing")), Err(DataError::Io { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_rows_survive(rows in prop::collection::vec(prop::collection::vec(any::<(u32, bool)>(), 0..40), 0..30)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.safetensors");
        let rows: Vec<Row> = rows
            .into_iter()
            .map(|tokens| {
                let (ids, trained) = tokens.into_iter().unzip();
                Row::new(ids, trained)
            })
            .collect();
        let mut writer = PreparedWriter::create(&path, "abc").unwrap();
        for row in &rows {
            writer.push(row, &line(1)).unwrap();
        }
        writer.finish(&PrepareReport::default()).unwrap();
        let read = PreparedRows::open(&path).unwrap();
        prop_assert_eq!(read.rows(0..rows.len()).unwrap(), rows);
    }

    #[test]
    fn damaged_bytes_never_panic(position in 0..6000usize, byte in any::<u8>()) {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = written(folder.path());
        let mut bytes = fs::read(&path).unwrap();
        let position = position % bytes.len();
        bytes[position] = byte;
        fs::write(&path, bytes).unwrap();
        if let Ok(read) = PreparedRows::open(&path) {
            for index in 0..read.len().min(10) {
                let _ = (read.row(index), read.origin(index), read.preference(index));
            }
        }
    }
}
