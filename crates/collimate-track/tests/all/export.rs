//! Tables as files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use collimate_track::{
    AqiScore, EvaluationSummary, ExperimentId, ExportFormat, Interval, ModelEntry, ModelResponse,
    Page, Phase, Recorded, Safety, Table, TrackError, TrainingMetric, Version, VersionEntry,
};
use serde_json::{Value, json};

use crate::Scratch;

const FORMATS: [ExportFormat; 3] =
    [ExportFormat::Csv, ExportFormat::JsonLines, ExportFormat::Parquet];

/// A database with something in every table, of two experiments.
fn scratch() -> (Scratch, ExperimentId) {
    let mut scratch = Scratch::new();
    let (one, two) = (scratch.experiment(), scratch.experiment());
    let database = &mut scratch.database;
    let model = database.register_model(&ModelEntry::new("=cmd|' /C calc'!A0", "Fern-1B")).unwrap();
    let entry = VersionEntry::new(Version::new(1, 0, 0)).with_experiment(two);
    let version = database.register_version(model, &entry).unwrap();
    for id in [one, two] {
        let metrics = [0.1 + 0.2, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, -0.0, 1e300];
        let metrics: Vec<_> = (0..)
            .zip(metrics)
            .map(|(step, value)| TrainingMetric::new(step, "lo\"ss, \r\n=1+1", value))
            .collect();
        database.record_metrics(id, &metrics).unwrap();
        let score = AqiScore::new(Phase::Step(3), -0.1, 1, 2)
            .with_indices(f64::INFINITY, 0.5)
            .with_interval(Interval::new(f64::NEG_INFINITY, 0.3, 0.95))
            .with_version(version);
        database.record_scores(id, &[score]).unwrap();
        let responses = [
            ModelResponse::new(Phase::Before, "1", " \u{1f331}\0\u{feff}\t", ""),
            ModelResponse::new(Phase::Before, "2", "\"", "\n")
                .with_refused(true)
                .with_safety(Safety::Safe)
                .with_tokens(i64::MAX as u64),
        ];
        database.record_responses(id, &responses).unwrap();
        let details = json!({"b\n": [1, {"a": "\""}], "a": 0.1});
        let summary = EvaluationSummary::new(Phase::After, "bleu", 1.0).with_details(details);
        database.record_summaries(id, &[summary]).unwrap();
    }
    (scratch, two)
}

/// The rows of a file by the names of their columns; what is absent is left out, numbers are texts that
/// name all their bits.
fn rows(path: &Path, format: ExportFormat) -> Vec<BTreeMap<String, String>> {
    match format {
        ExportFormat::Csv => {
            let mut reader = csv::Reader::from_path(path).unwrap();
            reader.deserialize().map(|row| row.unwrap()).collect()
        }
        ExportFormat::JsonLines => fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| {
                let row: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
                let text = |value| match value {
                    Value::String(text) => text,
                    Value::Null => String::new(),
                    Value::Number(number) if number.is_f64() => {
                        format!("{:?}", number.as_f64().unwrap())
                    }
                    other => other.to_string(),
                };
                row.into_iter().map(|(name, value)| (name, text(value))).collect()
            })
            .collect(),
        _ => parquet_rows(path),
    }
}

fn parquet_rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let text = |field: &Field| match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Long(number) => number.to_string(),
        Field::Bool(truth) => truth.to_string(),
        Field::Double(number) => format!("{number:?}"),
        other => panic!("{other:?}"),
    };
    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    rows.map(|row| row.get_column_iter().map(|(name, field)| (name.clone(), text(field))).collect())
        .collect()
}

#[test]
fn every_table_comes_back_from_every_format() {
    let (scratch, _) = scratch();
    for table in Table::ALL {
        let mut first = None;
        for format in FORMATS {
            let path = scratch.path(&format!("{}.{}", table.name(), format.extension()));
            let exported = scratch.database.export_table(table, None, format, &path).unwrap();
            assert_eq!(exported.bytes, fs::metadata(&path).unwrap().len());
            let rows = rows(&path, format);
            assert!(exported.rows > 0 && rows.len() as u64 == exported.rows, "{table:?}");
            // All say the same.
            let first = first.get_or_insert_with(|| rows.clone());
            assert_eq!(rows, *first, "{table:?} {format:?}");
        }
    }
    assert_eq!(fs::read_dir(scratch.folder.path()).unwrap().count(), 3 + 3 * Table::ALL.len());
}

#[test]
fn what_comes_back_is_what_was_recorded() {
    let (scratch, id) = scratch();
    for format in FORMATS {
        let export = |table| {
            let path = scratch.path("file");
            scratch.database.export_table(table, Some(id), format, &path).unwrap();
            rows(&path, format)
        };
        let recorded = scratch.database.training_metrics(id, None, Page::ALL).unwrap();
        let found = export(Table::TrainingMetrics);
        assert_eq!(found.len(), recorded.len());
        for (row, Recorded { record, recorded_at, .. }) in found.iter().zip(&recorded) {
            assert_eq!(row["name"], record.name);
            assert_eq!(row["step"], record.step.to_string());
            assert_eq!(row["recorded_at"], recorded_at.to_string());
            assert_eq!(row["epoch"], "");
            let value: f64 = row["value"].parse().unwrap();
            assert!(
                value.to_bits() == record.value.to_bits()
                    || value.is_nan() && record.value.is_nan()
            );
        }
        let recorded = scratch.database.model_responses(id, None, Page::ALL).unwrap();
        for (row, Recorded { record, .. }) in export(Table::ModelResponses).iter().zip(&recorded) {
            assert_eq!((&row["prompt"], &row["response"]), (&record.prompt, &record.response));
            assert_eq!(
                row["refused"],
                record.refused.map_or_else(String::new, |it| it.to_string())
            );
        }
        let summaries = export(Table::EvaluationSummary);
        assert_eq!(summaries[0]["details"], r#"{"a":0.1,"b\n":[1,{"a":"\""}]}"#);
        let scores = export(Table::AqiScores);
        assert_eq!((scores[0]["chi"].as_str(), scores[0]["ci_low"].as_str()), ("inf", "-inf"));
        assert_eq!((scores[0]["phase"].as_str(), scores[0]["step"].as_str()), ("step", "3"));
        // Nothing of these belongs to an experiment.
        assert_eq!((export(Table::Models).len(), export(Table::AuditLog).len()), (0, 0));
    }
}

#[test]
fn equal_rows_are_equal_bytes() {
    let ((one, id), (two, _)) = (scratch(), scratch());
    for format in FORMATS {
        let bytes = |scratch: &Scratch, name: &str| {
            let folder = scratch.path(name);
            let written = scratch.database.export_experiment(id, format, &folder).unwrap();
            let bytes: Vec<_> = written.iter().map(|it| fs::read(&it.path).unwrap()).collect();
            assert_eq!(fs::read_dir(folder).unwrap().count(), written.len());
            bytes
        };
        let name = format!("export-{}", format.extension());
        let first = bytes(&one, &name);
        assert_eq!(first.len(), 6);
        assert!(first == bytes(&one, &format!("{name}-again")) && first == bytes(&two, &name));
    }
}

#[test]
fn an_experiment_without_rows_is_still_a_file_with_its_columns() {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    for format in FORMATS {
        let path = scratch.path("empty");
        let exported = scratch.database.export_table(Table::AqiScores, Some(id), format, &path);
        assert_eq!(exported.unwrap().rows, 0);
        assert_eq!(rows(&path, format).len(), 0);
    }
    let path = scratch.path("empty.csv");
    scratch.database.export_table(Table::Models, None, ExportFormat::Csv, &path).unwrap();
    let head =
        "id,name,base_model,description,metadata,created_at,updated_at,retired_at,retired_reason\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), head);
}

#[test]
fn many_rows_are_several_groups() {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    let metrics: Vec<_> =
        (0..25_000).map(|step| TrainingMetric::new(step, "loss", step as f64)).collect();
    scratch.database.record_metrics(id, &metrics).unwrap();
    let path = scratch.path("metrics.parquet");
    let format = ExportFormat::Parquet;
    scratch.database.export_table(Table::TrainingMetrics, None, format, &path).unwrap();
    let rows = rows(&path, format);
    assert!(rows.iter().map(|row| row["step"].parse::<u64>().unwrap()).eq(0..25_000));
}

#[test]
fn a_file_is_replaced_and_a_folder_is_not() {
    let (scratch, id) = scratch();
    let path = scratch.path("file.csv");
    fs::write(&path, "old").unwrap();
    let database = &scratch.database;
    database.export_table(Table::Models, None, ExportFormat::Csv, &path).unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains("\n1,=cmd|' /C calc'!A0,Fern-1B,"));
    let error = database.export_experiment(id, ExportFormat::Csv, &path).unwrap_err();
    assert!(matches!(error, TrackError::Exists { .. }), "{error}");
    let error =
        database.export_experiment(id, ExportFormat::Csv, scratch.folder.path()).unwrap_err();
    assert!(matches!(error, TrackError::Exists { .. }), "{error}");
    let nowhere = scratch.path("missing/file.csv");
    let error =
        database.export_table(Table::Models, None, ExportFormat::Csv, &nowhere).unwrap_err();
    assert!(matches!(error, TrackError::Io { .. }), "{error}");
    let error =
        database.export_experiment(id, ExportFormat::Csv, scratch.path("missing/out")).unwrap_err();
    assert!(matches!(error, TrackError::Io { .. }), "{error}");
    let unknown = ExperimentId::new(9);
    let error =
        database.export_experiment(unknown, ExportFormat::Csv, scratch.path("out")).unwrap_err();
    assert!(matches!(error, TrackError::NotFound { .. }), "{error}");
    assert_eq!(fs::read_dir(scratch.folder.path()).unwrap().count(), 4, "something was left");
}

#[test]
fn the_database_is_not_replaced_by_its_export() {
    let (scratch, _) = scratch();
    let folder = scratch.folder.path();
    let name = folder.file_name().unwrap();
    for path in [
        folder.join("runs.db"),
        folder.join("runs.db-wal"),
        folder.join("..").join(name).join("runs.db"),
    ] {
        let error = scratch
            .database
            .export_table(Table::Models, None, ExportFormat::Csv, path)
            .unwrap_err();
        assert!(matches!(error, TrackError::Exists { .. }), "{error}");
    }
    assert!(scratch.database.check_integrity().unwrap().is_sound());
}

#[test]
fn an_export_that_fails_leaves_the_old_file() {
    let (scratch, id) = scratch();
    scratch.tamper("UPDATE evaluation_summary SET details = '{' WHERE experiment_id = 2");
    for format in FORMATS {
        let path = scratch.path("file");
        fs::write(&path, "old").unwrap();
        let error = scratch
            .database
            .export_table(Table::EvaluationSummary, None, format, &path)
            .unwrap_err();
        assert!(matches!(error, TrackError::Unreadable { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        let error =
            scratch.database.export_experiment(id, format, scratch.path("folder")).unwrap_err();
        assert!(matches!(error, TrackError::Unreadable { .. }), "{error}");
    }
    // The database with its two files, and the old file.
    assert_eq!(fs::read_dir(scratch.folder.path()).unwrap().count(), 4);
}
