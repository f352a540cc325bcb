use std::collections::BTreeMap;
use std::sync::Arc;

use parquet::basic::{
    Compression, ConvertedType, LogicalType, Repetition, Type as Physical, ZstdLevel,
};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use crate::error::{DataError, Result};
use crate::read::kind;
use crate::write::file::NewFile;

/// Rows of a row group.
const GROUP: usize = 10_000;
/// Bytes of text after which a row group ends before it has all its rows.
const GROUP_BYTES: usize = 32 << 20;
/// The largest whole number up to which a float holds all.
const EXACT: u64 = 1 << 53;

/// Writes Parquet.
pub(crate) struct ColumnWriter;

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Holds {
    Nothing,
    Text,
    Nested,
    Truth,
    Whole,
    Float,
}

impl ColumnWriter {
    pub(crate) fn write(
        file: &mut NewFile,
        mut records: impl Iterator<Item = Result<Map<String, Value>>>,
    ) -> Result<u64> {
        let path = file.path().to_path_buf();
        let refused = |record: u64, message: String| DataError::File {
            path: path.clone(),
            message: format!("record {record}: {message}"),
        };
        let failed = |error: ParquetError| DataError::File {
            path: path.clone(),
            message: format!("can't be written: {error}"),
        };
        let mut rows = gather(&mut records)?;
        let columns = columns(&rows).map_err(|(record, message)| refused(record, message))?;
        if columns.is_empty() {
            return Err(refused(1, "has no columns, or there is no record".to_owned()));
        }
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by("collimate".to_owned())
            .build();
        let schema = schema(&columns).map_err(failed)?;
        let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
            .map_err(failed)?;
        let mut count = 0;
        while !rows.is_empty() {
            for (at, row) in rows.iter().enumerate() {
                if let Some(new) =
                    row.keys().find(|name| !columns.iter().any(|(known, _)| known == *name))
                {
                    let message = format!("has a column `{new}` that the first {GROUP} have not");
                    return Err(refused(count + at as u64 + 1, message));
                }
            }
            let mut group = writer.next_row_group().map_err(failed)?;
            for (name, holds) in &columns {
                let values = rows.iter().map(|row| row.get(name).unwrap_or(&Value::Null));
                match column(&mut group, *holds, values).map_err(failed)? {
                    Ok(()) => {}
                    Err((at, message)) => {
                        let message = format!("column `{name}` {message}");
                        return Err(refused(count + at as u64 + 1, message));
                    }
                }
            }
            group.close().map_err(failed)?;
            count += rows.len() as u64;
            rows = gather(&mut records)?;
        }
        writer.close().map_err(failed)?;
        Ok(count)
    }
}

fn gather(
    records: &mut impl Iterator<Item = Result<Map<String, Value>>>,
) -> Result<Vec<Map<String, Value>>> {
    let mut rows = Vec::new();
    let mut bytes = 0;
    for record in records {
        let record = record?;
        bytes += record.values().map(size).sum::<usize>();
        rows.push(record);
        if rows.len() >= GROUP || bytes >= GROUP_BYTES {
            break;
        }
    }
    Ok(rows)
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + size(value)).sum(),
        _ => 8,
    }
}

/// The columns in the order of their first occurrence, or the record that contradicts another.
fn columns(
    rows: &[Map<String, Value>],
) -> std::result::Result<Vec<(String, Holds)>, (u64, String)> {
    let mut order: Vec<String> = Vec::new();
    let mut known: BTreeMap<String, Holds> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        for (name, value) in row {
            let found = holds(value);
            let Some(before) = known.get_mut(name) else {
                order.push(name.clone());
                known.insert(name.clone(), found);
                continue;
            };
            *before = match (*before, found) {
                (before, found) if before == found => before,
                (Holds::Nothing, found) => found,
                (before, Holds::Nothing) => before,
                (Holds::Whole, Holds::Float) | (Holds::Float, Holds::Whole) => Holds::Float,
                _ => {
                    let message =
                        format!("column `{name}` is {}, unlike in earlier records", kind(value));
                    return Err((at as u64 + 1, message));
                }
            };
        }
    }
    let with_kind = |name: String| {
        let holds = known.get(&name).copied().unwrap_or(Holds::Nothing);
        (name, holds)
    };
    Ok(order.into_iter().map(with_kind).collect())
}

fn holds(value: &Value) -> Holds {
    match value {
        Value::Null => Holds::Nothing,
        Value::Bool(_) => Holds::Truth,
        Value::Number(number) if number.is_f64() => Holds::Float,
        Value::Number(_) => Holds::Whole,
        Value::String(_) => Holds::Text,
        Value::Array(_) | Value::Object(_) => Holds::Nested,
    }
}

fn schema(columns: &[(String, Holds)]) -> std::result::Result<Type, ParquetError> {
    let mut fields = Vec::with_capacity(columns.len());
    for (name, holds) in columns {
        let physical = match holds {
            Holds::Truth => Physical::BOOLEAN,
            Holds::Whole => Physical::INT64,
            Holds::Float => Physical::DOUBLE,
            Holds::Nothing | Holds::Text | Holds::Nested => Physical::BYTE_ARRAY,
        };
        let mut field =
            Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        if physical == Physical::BYTE_ARRAY {
            field = field
                .with_converted_type(ConvertedType::UTF8)
                .with_logical_type(Some(LogicalType::String));
        }
        fields.push(Arc::new(field.build()?));
    }
    Type::group_type_builder("schema").with_fields(fields).build()
}

/// Writes a column of a row group; an inner error is about a row and its value.
fn column<'a>(
    group: &mut SerializedRowGroupWriter<'_, &mut NewFile>,
    holds: Holds,
    values: impl Iterator<Item = &'a Value>,
) -> std::result::Result<std::result::Result<(), (usize, String)>, ParquetError> {
    let mut levels = Vec::new();
    let (mut texts, mut truths, mut wholes, mut floats) = (vec![], vec![], vec![], vec![]);
    for (at, value) in values.enumerate() {
        levels.push(i16::from(!value.is_null()));
        match (holds, value) {
            (_, Value::Null) => {}
            (Holds::Text | Holds::Nothing, Value::String(text)) => {
                texts.push(ByteArray::from(text.as_bytes().to_vec()));
            }
            (Holds::Nested, Value::Array(_) | Value::Object(_)) => {
                texts.push(ByteArray::from(value.to_string().into_bytes()));
            }
            (Holds::Truth, Value::Bool(truth)) => truths.push(*truth),
            (Holds::Whole, Value::Number(number)) if number.is_i64() => {
                wholes.extend(number.as_i64());
            }
            (Holds::Float, Value::Number(number))
                if number.is_f64()
                    || number.as_i64().is_some_and(|whole| whole.unsigned_abs() <= EXACT) =>
            {
                floats.extend(number.as_f64());
            }
            (_, other) => {
                let message = format!("is {}, which does not fit into the column", kind(other));
                return Ok(Err((at, message)));
            }
        }
    }
    let Some(mut writer) = group.next_column()? else { return Ok(Ok(())) };
    match holds {
        Holds::Nothing | Holds::Text | Holds::Nested => {
            writer.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None)?
        }
        Holds::Truth => writer.typed::<BoolType>().write_batch(&truths, Some(&levels), None)?,
        Holds::Whole => writer.typed::<Int64Type>().write_batch(&wholes, Some(&levels), None)?,
        Holds::Float => writer.typed::<DoubleType>().write_batch(&floats, Some(&levels), None)?,
    };
    writer.close()?;
    Ok(Ok(()))
}
