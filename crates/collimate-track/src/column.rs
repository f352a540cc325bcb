//! What goes into columns and what comes out of them.

use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::{FromSql, Type};
use rusqlite::{Connection, Row};
use serde_json::Value;

use crate::database::{Attempt, Fault};
use crate::error::{Result, Source, TrackError};

/// Most bytes of a name.
const MAX_NAME: u64 = 1024;

/// A text of at most this many bytes.
pub(crate) fn check_size(what: &'static str, text: &str, limit: u64) -> Result<()> {
    let found = text.len() as u64;
    if found > limit { Err(TrackError::TooLarge { what, found, limit }) } else { Ok(()) }
}

/// A text that is not empty and short enough for a name.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(TrackError::Empty { what });
    }
    check_size(what, name, MAX_NAME)
}

/// A name that may be absent, but not empty.
pub(crate) fn check_optional_name(what: &'static str, name: Option<&str>) -> Result<()> {
    name.map_or(Ok(()), |name| check_name(what, name))
}

/// A text that may be absent, but not empty.
pub(crate) fn check_optional_text(
    what: &'static str,
    text: Option<&str>,
    limit: u64,
) -> Result<()> {
    match text {
        None => Ok(()),
        Some("") => Err(TrackError::Empty { what }),
        Some(text) => check_size(what, text, limit),
    }
}

/// A whole number as SQLite stores it.
pub(crate) fn whole(what: &'static str, number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| TrackError::OutOfRange {
        what,
        found: number.to_string(),
        expected: format!("at most {}", i64::MAX),
    })
}

/// A time as it is stored: texts sort as the times do.
pub(crate) fn time(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// A text that stands for something.
pub(crate) fn parsed<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: Into<Source>,
{
    parse(column, row.get(column)?)
}

/// A text that stands for something, or nothing.
pub(crate) fn parsed_optional<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: Into<Source>,
{
    row.get::<_, Option<String>>(column)?.map(|text| parse(column, text)).transpose()
}

/// A JSON object.
pub(crate) fn object(row: &Row<'_>, column: &str) -> rusqlite::Result<Value> {
    parsed(row, column)
}

/// A whole number that is not negative.
pub(crate) fn count(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| unreadable(column, error.into()))
}

/// A whole number that is not negative, or nothing.
pub(crate) fn count_optional(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    number.map(u64::try_from).transpose().map_err(|error| unreadable(column, error.into()))
}

/// An error about a value; the position of its column does not matter, its name does.
pub(crate) fn unreadable(column: &str, source: Source) -> rusqlite::Error {
    let named = format!("column {column}: {source}").into();
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, named)
}

/// All rows of an answer.
pub(crate) fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Attempt<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(parameters, read)?;
    rows.collect::<rusqlite::Result<_>>().map_err(Fault::Sql)
}

/// The first row of an answer.
pub(crate) fn first<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Attempt<Option<T>> {
    match connection.query_row(sql, parameters, read) {
        Ok(found) => Ok(Some(found)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(Fault::Sql(error)),
    }
}

/// The first column of the first row of an answer.
pub(crate) fn value<T: FromSql>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Attempt<Option<T>> {
    first(connection, sql, parameters, |row| row.get(0))
}

fn parse<T>(column: &str, text: String) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: Into<Source>,
{
    text.parse().map_err(|error: T::Err| unreadable(column, error.into()))
}
