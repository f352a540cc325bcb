//! One value for each row, as text: labels, ids, axioms, groups.

use super::{extension, npy, shape_text};
use crate::failure::{Failure, Result};
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The values of a column.
#[derive(Debug)]
pub(super) struct Column {
    /// The file that they come from.
    pub file: PathBuf,
    /// One value for each row.
    pub values: Vec<String>,
    /// Whether the first line of the file was taken as a header.
    pub has_header: bool,
}

/// Reads `FILE` or `FILE:COLUMN`; without a column, one of `names` or the only one.
pub(super) fn read(argument: &Path, names: &[&str]) -> Result<Column> {
    let (path, chosen) = split(argument);
    let kind = extension(&path);
    if chosen.is_some() && !matches!(kind.as_str(), "csv" | "tsv" | "jsonl") {
        let message = "columns are chosen in .csv, .tsv and .jsonl files only: leave :COLUMN out";
        return Err(Failure::in_file(&path, message));
    }
    let chosen = chosen.as_deref();
    let wrong = |reason| Failure::in_file(&path, reason);
    let values = match kind.as_str() {
        "npy" => numpy(&path)?,
        "csv" => table(&text(&path)?, b',', chosen, names).map_err(wrong)?,
        "tsv" => table(&text(&path)?, b'\t', chosen, names).map_err(wrong)?,
        "jsonl" => json_lines(&text(&path)?, chosen, names).map_err(wrong)?,
        "safetensors" | "npz" | "json" | "parquet" => {
            return Err(wrong(format!(
                "expected .npy, .csv, .tsv, .jsonl or text with one value per line, not .{kind}"
            )));
        }
        _ => lines(&text(&path)?).map_err(wrong)?,
    };
    let has_header = matches!(kind.as_str(), "csv" | "tsv");
    Ok(Column { file: path, values, has_header })
}

/// Splits a column's name off, unless there is a file of the whole name.
fn split(argument: &Path) -> (PathBuf, Option<String>) {
    let whole = || (argument.to_owned(), None);
    if argument.exists() {
        return whole();
    }
    match argument.to_str().and_then(|text| text.rsplit_once(':')) {
        Some((file, column)) if Path::new(file).exists() => {
            (PathBuf::from(file), Some(column.to_owned()))
        }
        _ => whole(),
    }
}

/// The file as text, without a byte order mark.
fn text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|error| Failure::in_file(path, error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count();
        Failure::in_file(path, format!("line {line} is not UTF-8: convert the file"))
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

fn lines(text: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            let line = index + 1;
            return Err(format!("line {line} is blank: expected one value per line, none missing"));
        }
        values.push(line.to_owned());
    }
    Ok(values)
}

fn table(
    text: &str,
    delimiter: u8,
    chosen: Option<&str>,
    names: &[&str],
) -> Result<Vec<String>, String> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let column = pick(&header.iter().collect::<Vec<_>>(), chosen, names)?;
    let mut values = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let value = &record[column];
        if value.trim().is_empty() {
            let line = record.position().map_or(0, csv::Position::line);
            let name = &header[column];
            return Err(format!("line {line}: column {name:?} is empty: fill it in"));
        }
        values.push(value.to_owned());
    }
    Ok(values)
}

/// The index of the column to read.
fn pick(columns: &[&str], chosen: Option<&str>, names: &[&str]) -> Result<usize, String> {
    let matches = |name: &str| match chosen {
        Some(chosen) => name == chosen,
        None => names.contains(&name.trim().to_lowercase().as_str()),
    };
    let found: Vec<usize> = (0..columns.len()).filter(|&index| matches(columns[index])).collect();
    match (&found[..], chosen, columns) {
        (&[index], ..) => Ok(index),
        ([], None, [_]) => Ok(0),
        _ => {
            let wanted = match chosen {
                Some(chosen) => format!("one column {chosen:?}"),
                None => format!("one column named {}", names.join(" or ")),
            };
            Err(format!(
                "expected {wanted}, found the columns {}: choose one with FILE:COLUMN",
                columns.join(", ")
            ))
        }
    }
}

fn json_lines(text: &str, chosen: Option<&str>, names: &[&str]) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let value = json_line(line, chosen, names);
        values.push(value.map_err(|reason| format!("line {}: {reason}", index + 1))?);
    }
    Ok(values)
}

fn json_line(line: &str, chosen: Option<&str>, names: &[&str]) -> Result<String, String> {
    if line.trim().is_empty() {
        return Err("blank: expected one JSON value per line, none missing".to_owned());
    }
    let value: Value = serde_json::from_str(line).map_err(|error| format!("not JSON ({error})"))?;
    let value = match &value {
        Value::Object(fields) => {
            let keys: Vec<&str> = fields.keys().map(String::as_str).collect();
            &fields[keys[pick(&keys, chosen, names)?]]
        }
        _ if chosen.is_some() => return Err("expected an object, to choose a field of".to_owned()),
        value => value,
    };
    match value {
        Value::String(text) if !text.trim().is_empty() => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        other => Err(format!("expected a string, a number or a boolean, found {other}")),
    }
}

fn numpy(path: &Path) -> Result<Vec<String>> {
    let (header, mut file) = npy::open(path)?;
    let npy::Header { kind, size, big_endian, ref shape, .. } = header;
    if !matches!(shape[..], [_] | [_, 1]) {
        let message = format!("shape {}: expected one value for each row, [n]", shape_text(shape));
        return Err(Failure::in_file(path, message));
    }
    let valid = match kind {
        'b' => size == 1,
        'i' | 'u' => matches!(size, 1 | 2 | 4 | 8),
        'U' | 'S' => size > 0,
        _ => false,
    };
    if !valid {
        let message = format!("NumPy type {kind}{size}: expected integers, booleans or strings");
        return Err(Failure::in_file(path, message));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| Failure::in_file(path, error))?;
    let values = bytes.chunks_exact(size).enumerate().map(|(row, bytes)| {
        value(kind, bytes, big_endian).filter(|value| !value.trim().is_empty()).ok_or_else(|| {
            Failure::in_file(
                path,
                format!("row {row} (from zero) is empty or not text: fill it in"),
            )
        })
    });
    values.collect()
}

/// A value of NumPy type `kind` as text.
fn value(kind: char, bytes: &[u8], big_endian: bool) -> Option<String> {
    // Least significant byte first, extended to eight bytes with the sign.
    let integer = || {
        let byte = |index: usize| bytes[if big_endian { bytes.len() - 1 - index } else { index }];
        let negative = kind == 'i' && byte(bytes.len() - 1) >= 0x80;
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        (0..bytes.len()).for_each(|index| wide[index] = byte(index));
        wide
    };
    match kind {
        'b' => Some((bytes != [0]).to_string()),
        'i' => Some(i64::from_le_bytes(integer()).to_string()),
        'u' => Some(u64::from_le_bytes(integer()).to_string()),
        'U' => {
            let code = |unit: &[u8]| {
                let unit = [unit[0], unit[1], unit[2], unit[3]];
                char::from_u32(if big_endian {
                    u32::from_be_bytes(unit)
                } else {
                    u32::from_le_bytes(unit)
                })
            };
            let text: String = bytes.chunks_exact(4).map(code).collect::<Option<_>>()?;
            Some(text.trim_end_matches('\0').to_owned())
        }
        _ => std::str::from_utf8(bytes).ok().map(|text| text.trim_end_matches('\0').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["label", "class"];

    #[test]
    fn lines_end_in_any_way_and_none_may_be_blank() {
        assert_eq!(lines("a\r\nb c\n").unwrap(), ["a", "b c"]);
        assert_eq!(lines("a\nb").unwrap(), ["a", "b"]);
        assert!(lines("a\n\nb\n").unwrap_err().starts_with("line 2 is blank"));
        assert!(lines("a\n\n").unwrap_err().starts_with("line 2 is blank"));
    }

    #[test]
    fn columns_are_found_by_name_or_alone_and_never_guessed() {
        assert_eq!(pick(&["prompt", " Label"], None, NAMES), Ok(1));
        assert_eq!(pick(&["whatever"], None, NAMES), Ok(0));
        assert_eq!(pick(&["label", "class"], Some("class"), NAMES), Ok(1));
        for (columns, chosen) in [
            (vec!["label", "class"], None),
            (vec!["label", "label"], Some("label")),
            (vec!["prompt", "source"], None),
            (vec!["prompt"], Some("label")),
        ] {
            let error = pick(&columns, chosen, NAMES).unwrap_err();
            assert!(error.contains(&columns.join(", ")), "{error}");
        }
    }

    #[test]
    fn quotes_and_empty_cells_of_a_table() {
        let values = table("id,label\n1,\"a,b\"\n2,c\n", b',', None, NAMES).unwrap();
        assert_eq!(values, ["a,b", "c"]);
        let error = table("id,label\n1,a\n2,\n", b',', None, NAMES).unwrap_err();
        assert_eq!(error, "line 3: column \"label\" is empty: fill it in");
        assert!(table("id,label\n1\n", b',', None, NAMES).unwrap_err().contains("line: 2"));
    }

    #[test]
    fn json_lines_hold_fields_or_bare_values() {
        let text = "{\"id\": 1, \"label\": \"a\"}\n{\"label\": 2}\n\"b\"\n3\ntrue\n";
        assert_eq!(json_lines(text, None, NAMES).unwrap(), ["a", "2", "b", "3", "true"]);
        for (text, reason) in [
            ("1\n\n2\n", "line 2: blank"),
            ("{\"label\": null}\n", "line 1: expected a string, a number or a boolean, found null"),
            ("{\"a\": 1, \"b\": 2}\n", "line 1: expected one column named label or class"),
            ("1\n{\n", "line 2: not JSON"),
        ] {
            let error = json_lines(text, None, NAMES).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
        }
    }

    #[test]
    fn values_of_numpy_types() {
        assert_eq!(value('i', &[0xfe, 0xff], false).unwrap(), "-2");
        assert_eq!(value('i', &[0xff, 0xfe], true).unwrap(), "-2");
        assert_eq!(value('u', &[0xfe, 0xff], false).unwrap(), "65534");
        assert_eq!(value('u', &[0xff; 8], false).unwrap(), u64::MAX.to_string());
        assert_eq!(value('b', &[1], false).unwrap(), "true");
        assert_eq!(value('U', &[0xe4, 0, 0, 0, 0, 0, 0, 0], false).unwrap(), "ä");
        assert_eq!(value('U', &[0, 0, 0, 0xe4, 0, 0, 0, 0], true).unwrap(), "ä");
        assert_eq!(value('U', &[0, 0, 0xd8, 0xff], true), None);
        assert_eq!(value('S', b"ab\0", false).unwrap(), "ab");
        assert_eq!(value('S', &[0xff], false), None);
    }
}
