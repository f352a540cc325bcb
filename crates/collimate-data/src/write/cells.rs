use std::io;

use serde_json::{Map, Value};

use crate::error::{DataError, Result};
use crate::write::file::NewFile;

/// Writes comma- or tab-separated values.
pub(crate) struct Cells;

impl Cells {
    pub(crate) fn write(
        file: &mut NewFile,
        mut records: impl Iterator<Item = Result<Map<String, Value>>>,
        delimiter: u8,
    ) -> Result<u64> {
        let Some(first) = records.next().transpose()? else {
            return Err(DataError::File {
                path: file.path().to_path_buf(),
                message: "there is no record, whose columns the header would name".to_owned(),
            });
        };
        let columns: Vec<String> = first.keys().cloned().collect();
        if columns.is_empty() {
            return Err(file.refused(1, "has no columns"));
        }
        let mut text = Vec::new();
        row(&mut text, delimiter, &columns).map_err(|source| file.failed(source))?;
        file.bytes(&text)?;
        let mut count = 0;
        for record in std::iter::once(Ok(first)).chain(records) {
            let record = record?;
            count += 1;
            let found = columns.iter().filter(|column| record.contains_key(*column)).count();
            if found < record.len()
                && let Some(new) = record.keys().find(|name| !columns.contains(name))
            {
                let message = format!("has a column `{new}` that the first record has not");
                return Err(file.refused(count, &message));
            }
            let mut cells = Vec::with_capacity(columns.len());
            for column in &columns {
                let cell = match record.get(column) {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                };
                if cell.contains('\0') {
                    let message = format!("column `{column}` has a NUL byte, which CSV can't hold");
                    return Err(file.refused(count, &message));
                }
                cells.push(cell);
            }
            text.clear();
            row(&mut text, delimiter, &cells).map_err(|source| file.failed(source))?;
            file.bytes(&text)?;
        }
        Ok(count)
    }
}

fn row(text: &mut Vec<u8>, delimiter: u8, cells: &[String]) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(text);
    writer.write_record(cells)?;
    writer.flush()
}
