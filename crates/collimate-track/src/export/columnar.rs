//! Parquet.

use std::path::PathBuf;
use std::sync::Arc;

use parquet::basic::{
    Compression, ConvertedType, LogicalType, Repetition, Type as Physical, ZstdLevel,
};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use super::cell::{Cell, Holds};
use super::file::NewFile;
use super::table::Table;
use crate::error::{Result, TrackError};

/// Rows of a row group.
const GROUP: usize = 10_000;
/// Bytes of text after which a row group ends before it has all its rows.
const GROUP_BYTES: usize = 32 << 20;

type Outcome<T> = std::result::Result<T, ParquetError>;

/// Writes Parquet: every column may be absent; JSON is text; all in the form of the table.
pub(super) struct ParquetRows<'file> {
    writer: SerializedFileWriter<&'file mut NewFile>,
    table: Table,
    path: PathBuf,
    /// One row group, by column.
    group: Vec<Vec<Cell>>,
    rows: usize,
    bytes: usize,
}

impl<'file> ParquetRows<'file> {
    pub(super) fn begin(file: &'file mut NewFile, table: Table) -> Result<Self> {
        let path = file.path().to_owned();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by("collimate-track".to_owned())
            .build();
        let writer = schema(table).and_then(|schema| {
            SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
        });
        match writer {
            Ok(writer) => {
                let group = vec![Vec::new(); table.columns().len()];
                Ok(Self { writer, table, path, group, rows: 0, bytes: 0 })
            }
            Err(error) => Err(failed(path, error)),
        }
    }

    pub(super) fn push(&mut self, cells: Vec<Cell>) -> Result<()> {
        for (column, cell) in self.group.iter_mut().zip(cells) {
            if let Cell::Text(text) | Cell::Json(text) = &cell {
                self.bytes += text.len();
            }
            column.push(cell);
        }
        self.rows += 1;
        if self.rows >= GROUP || self.bytes >= GROUP_BYTES {
            self.end_group().map_err(|error| failed(self.path.clone(), error))?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        let ended = if self.rows > 0 { self.end_group() } else { Ok(()) };
        ended
            .and_then(|()| self.writer.close())
            .map(|_| ())
            .map_err(|error| failed(self.path, error))
    }

    fn end_group(&mut self) -> Outcome<()> {
        let mut group = self.writer.next_row_group()?;
        for ((_, holds), cells) in self.table.columns().iter().zip(&mut self.group) {
            column(&mut group, *holds, std::mem::take(cells))?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

fn failed(path: PathBuf, error: ParquetError) -> TrackError {
    TrackError::Parquet { path, source: error.into() }
}

fn schema(table: Table) -> Outcome<Type> {
    let mut fields = Vec::new();
    for (name, holds) in table.columns() {
        let physical = match holds {
            Holds::Text | Holds::Json => Physical::BYTE_ARRAY,
            Holds::Integer => Physical::INT64,
            Holds::Truth => Physical::BOOLEAN,
            Holds::Real | Holds::Measured => Physical::DOUBLE,
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
    Type::group_type_builder(table.name()).with_fields(fields).build()
}

fn column(
    group: &mut SerializedRowGroupWriter<'_, &mut NewFile>,
    holds: Holds,
    cells: Vec<Cell>,
) -> Outcome<()> {
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(*cell != Cell::Absent)).collect();
    let Some(mut writer) = group.next_column()? else { return Ok(()) };
    let cells = cells.into_iter();
    match holds {
        Holds::Text | Holds::Json => {
            let text = |cell| match cell {
                Cell::Text(text) | Cell::Json(text) => Some(ByteArray::from(text.into_bytes())),
                _ => None,
            };
            let values: Vec<_> = cells.filter_map(text).collect();
            writer.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?
        }
        Holds::Integer => {
            let number = |cell| if let Cell::Integer(number) = cell { Some(number) } else { None };
            let values: Vec<_> = cells.filter_map(number).collect();
            writer.typed::<Int64Type>().write_batch(&values, Some(&levels), None)?
        }
        Holds::Truth => {
            let truth = |cell| if let Cell::Truth(truth) = cell { Some(truth) } else { None };
            let values: Vec<_> = cells.filter_map(truth).collect();
            writer.typed::<BoolType>().write_batch(&values, Some(&levels), None)?
        }
        Holds::Real | Holds::Measured => {
            let number = |cell| if let Cell::Real(number) = cell { Some(number) } else { None };
            let values: Vec<_> = cells.filter_map(number).collect();
            writer.typed::<DoubleType>().write_batch(&values, Some(&levels), None)?
        }
    };
    writer.close()?;
    Ok(())
}
