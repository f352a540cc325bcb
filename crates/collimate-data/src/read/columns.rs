use std::collections::BTreeSet;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::data_type::Decimal;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Number, Value};

use crate::error::{DataError, Result};
use crate::read::footer;
use crate::read::raw::{Body, Raw};
use crate::read::time;
use crate::record::{Origin, Position};

/// Rows that are decoded at once.
const BATCH: usize = 256;

/// Rows of a Parquet file, one row group after another.
pub(crate) struct Columns {
    file: Arc<Path>,
    rows: RowIter<'static>,
    /// Rows of each row group.
    groups: Vec<u64>,
    group: usize,
    row: u64,
    ended: bool,
}

impl Columns {
    /// Opens a Parquet file, which is `opened`; `file` is its name.
    pub(crate) fn new(file: Arc<Path>, mut opened: File, size: u64) -> Result<Self> {
        footer::check(&file, &mut opened, size)?;
        let reader = caught(&file, || {
            SerializedFileReader::new(opened).map_err(|error| damaged(&file, &error))
        })?;
        let metadata = reader.metadata();
        check_schema(&file, metadata.file_metadata().schema())?;
        for column in metadata.file_metadata().schema_descr().columns() {
            let supported = supported(
                column.physical_type(),
                column.converted_type(),
                column.logical_type_ref(),
            );
            if !supported {
                return Err(DataError::File {
                    path: file.to_path_buf(),
                    message: format!(
                        "column `{}` is {} as {}, which is not read; convert or drop it",
                        column.path().string(),
                        column.physical_type(),
                        column.converted_type()
                    ),
                });
            }
        }
        let mut groups = Vec::with_capacity(metadata.num_row_groups());
        for group in metadata.row_groups() {
            groups.push(u64::try_from(group.num_rows()).map_err(|_| DataError::File {
                path: file.to_path_buf(),
                message: "is damaged: a row group claims less than no rows".to_owned(),
            })?);
        }
        let rows = RowIter::from_file_into(Box::new(reader)).with_batch_size(BATCH);
        Ok(Self { file, rows, groups, group: 0, row: 0, ended: false })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Raw>> {
        while self.groups.get(self.group).is_some_and(|rows| self.row >= *rows) {
            self.group += 1;
            self.row = 0;
        }
        if self.ended || self.group >= self.groups.len() {
            return Ok(None);
        }
        self.row += 1;
        let position = Position::Row { group: self.group as u64 + 1, row: self.row };
        let rows = &mut self.rows;
        let row = match caught(&self.file, || Ok(rows.next())) {
            Ok(Some(Ok(row))) => row,
            Err(error) => {
                self.ended = true;
                return Err(error);
            }
            Ok(Some(Err(error))) => {
                self.ended = true;
                return Err(DataError::File {
                    path: self.file.to_path_buf(),
                    message: format!("is damaged: {position}: {}", plain(&error)),
                });
            }
            Ok(None) => {
                self.ended = true;
                return Err(DataError::File {
                    path: self.file.to_path_buf(),
                    message: format!("is damaged: {position} is missing"),
                });
            }
        };
        match fields(row) {
            Ok(fields) => Ok(Some(Raw { position, start: (1, 1), body: Body::Fields(fields) })),
            Err((field, message)) => Err(DataError::Field {
                origin: Origin { file: Arc::clone(&self.file), position },
                field,
                message: message.to_owned(),
            }),
        }
    }
}

/// Runs the decoder, which panics at some damage: no file may end the whole program.
fn caught<T>(file: &Path, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    // What it leaves behind is not used again: an error about a file ends the reading of it.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(DataError::File {
            path: file.to_path_buf(),
            message: "is damaged: its pages can't be decoded; fetch or write it again".to_owned(),
        })
    })
}

/// Refuses groups without columns and names that occur twice, which would lose data.
fn check_schema(file: &Path, group: &Type) -> Result<()> {
    let refused = |message: String| DataError::File { path: file.to_path_buf(), message };
    let mut names = BTreeSet::new();
    if group.get_fields().is_empty() {
        return Err(refused(format!("the group `{}` has no columns", group.name())));
    }
    for field in group.get_fields() {
        if !names.insert(field.name()) {
            return Err(refused(format!("has two columns `{}`; rename one", field.name())));
        }
        if field.is_group() {
            check_schema(file, field)?;
        }
    }
    Ok(())
}

/// Whether the decoder knows how to read a column.
fn supported(physical: Physical, converted: ConvertedType, logical: Option<&LogicalType>) -> bool {
    use ConvertedType as C;
    match physical {
        Physical::BOOLEAN | Physical::FLOAT | Physical::DOUBLE | Physical::INT96 => true,
        Physical::INT32 => matches!(
            converted,
            C::NONE
                | C::INT_8
                | C::INT_16
                | C::INT_32
                | C::UINT_8
                | C::UINT_16
                | C::UINT_32
                | C::DATE
                | C::TIME_MILLIS
                | C::DECIMAL
        ),
        Physical::INT64 => matches!(
            converted,
            C::NONE
                | C::INT_64
                | C::UINT_64
                | C::TIME_MICROS
                | C::TIMESTAMP_MILLIS
                | C::TIMESTAMP_MICROS
                | C::DECIMAL
        ),
        Physical::BYTE_ARRAY => {
            matches!(converted, C::NONE | C::UTF8 | C::ENUM | C::JSON | C::BSON | C::DECIMAL)
        }
        Physical::FIXED_LEN_BYTE_ARRAY => {
            matches!(converted, C::NONE | C::DECIMAL)
                || (converted == C::NONE && logical == Some(&LogicalType::Float16))
        }
    }
}

/// A row's fields, or the field that is no JSON and why.
fn fields(row: Row) -> std::result::Result<Map<String, Value>, (String, &'static str)> {
    let columns = row.into_columns();
    let mut fields = Map::with_capacity(columns.len());
    for (name, field) in columns {
        match value(field) {
            Ok(value) => fields.insert(name, value),
            Err(message) => return Err((name, message)),
        };
    }
    Ok(fields)
}

fn value(field: Field) -> std::result::Result<Value, &'static str> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::Bool(value),
        Field::Byte(value) => value.into(),
        Field::Short(value) => value.into(),
        Field::Int(value) => value.into(),
        Field::Long(value) => value.into(),
        Field::UByte(value) => value.into(),
        Field::UShort(value) => value.into(),
        Field::UInt(value) => value.into(),
        Field::ULong(value) => value.into(),
        Field::Float16(value) => float(f64::from(value))?,
        Field::Float(value) => float(f64::from(value))?,
        Field::Double(value) => float(value)?,
        Field::Decimal(value) => Value::String(decimal(&value)?),
        Field::Str(text) => Value::String(text),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => return Err("holds bytes that are no text; drop the column"),
        },
        Field::Date(days) => Value::String(time::date(i64::from(days))),
        Field::TimeMillis(millis) => Value::String(time::time_millis(i64::from(millis))),
        Field::TimeMicros(micros) => Value::String(time::time_micros(micros)),
        Field::TimestampMillis(millis) => Value::String(time::moment_millis(millis)),
        Field::TimestampMicros(micros) => Value::String(time::moment_micros(micros)),
        Field::Group(row) => {
            let columns = row.into_columns();
            let mut fields = Map::with_capacity(columns.len());
            for (name, field) in columns {
                fields.insert(name, value(field)?);
            }
            Value::Object(fields)
        }
        Field::ListInternal(list) => Value::Array(
            list.elements().iter().cloned().map(value).collect::<std::result::Result<_, _>>()?,
        ),
        Field::MapInternal(map) => {
            let mut fields = Map::with_capacity(map.len());
            for (key, entry) in map.entries() {
                let key = match value(key.clone())? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                if fields.insert(key, value(entry.clone())?).is_some() {
                    return Err("holds a map in which a key is given twice");
                }
            }
            Value::Object(fields)
        }
    })
}

/// A float; not-a-number, by which pandas marks what is missing, becomes null.
fn float(value: f64) -> std::result::Result<Value, &'static str> {
    if value.is_nan() {
        return Ok(Value::Null);
    }
    Number::from_f64(value).map(Value::Number).ok_or("is infinite, which JSON can't say")
}

/// A decimal's digits.
fn decimal(decimal: &Decimal) -> std::result::Result<String, &'static str> {
    let bytes = decimal.data();
    let scale = usize::try_from(decimal.scale()).map_err(|_| "is a decimal of a negative scale")?;
    if bytes.len() > 16 || scale > 60 {
        return Err("is a decimal of more than 128 bits");
    }
    let fill = if bytes.first().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 };
    let mut wide = [fill; 16];
    for (to, from) in wide.iter_mut().rev().zip(bytes.iter().rev()) {
        *to = *from;
    }
    let number = i128::from_be_bytes(wide);
    let sign = if number < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, rest) = digits.split_at(digits.len() - scale);
    Ok(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") })
}

fn damaged(file: &Path, error: &ParquetError) -> DataError {
    DataError::File {
        path: file.to_path_buf(),
        message: format!("can't be read as Parquet: {}", plain(error)),
    }
}

/// The error's own words, on one line and not without end.
fn plain(error: &ParquetError) -> String {
    let text = match error {
        ParquetError::General(text) | ParquetError::EOF(text) | ParquetError::NYI(text) => {
            text.clone()
        }
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests {
    use parquet::data_type::ByteArray;

    use super::*;

    #[test]
    fn decimals_keep_their_digits() {
        for (unscaled, scale, expected) in
            [(12345, 2, "123.45"), (-5, 2, "-0.05"), (7, 0, "7"), (0, 3, "0.000")]
        {
            assert_eq!(decimal(&Decimal::from_i64(unscaled, 18, scale)).unwrap(), expected);
        }
        let bytes = ByteArray::from(vec![0xff, 0x85]);
        assert_eq!(decimal(&Decimal::from_bytes(bytes, 5, 1)).unwrap(), "-12.3");
        assert!(decimal(&Decimal::from_bytes(ByteArray::from(vec![1; 17]), 40, 1)).is_err());
    }

    #[test]
    fn floats_without_a_number_are_null_and_infinite_ones_refused() {
        assert_eq!(float(f64::NAN), Ok(Value::Null));
        assert!(float(f64::INFINITY).is_err());
    }
}
