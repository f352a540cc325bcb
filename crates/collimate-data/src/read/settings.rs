use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::read::format::Format;

/// How records are read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ReadSettings {
    /// The format of all files; by default what each file's ending and beginning say.
    pub format: Option<Format>,
    /// What becomes of a record that can't be read; by default the first one ends the reading.
    pub on_error: OnError,
    /// The most bytes that one record may have in its file: 64 MiB by default.
    pub max_record_bytes: usize,
    /// The array that holds the records, where a JSON file is an object around it; by default
    /// `data`, or the only array of objects.
    pub records_field: Option<String>,
    /// The most bytes that a gzip or zstd file around a Parquet file may unpack to, which happens
    /// on disk: 16 GiB by default.
    pub max_unpacked_bytes: u64,
}

/// What becomes of a record that can't be read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnError {
    /// It is returned as an error, which ends the reading.
    #[default]
    Stop,
    /// It is left out, counted, and the first few are told in the report. A file that can't be
    /// opened, is cut off or is damaged beyond one record still ends the reading.
    Skip,
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self {
            format: None,
            on_error: OnError::Stop,
            max_record_bytes: 64 << 20,
            records_field: None,
            max_unpacked_bytes: 16 << 30,
        }
    }
}

impl ReadSettings {
    /// Reads every file as this format.
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Sets what becomes of a record that can't be read.
    pub fn with_on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Sets the most bytes that one record may have.
    pub fn with_max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record_bytes = bytes;
        self
    }

    /// Names the array that holds the records in a JSON file that is an object around it.
    pub fn with_records_field(mut self, field: impl Into<String>) -> Self {
        self.records_field = Some(field.into());
        self
    }

    /// Sets the most bytes that a compressed Parquet file may unpack to.
    pub fn with_max_unpacked_bytes(mut self, bytes: u64) -> Self {
        self.max_unpacked_bytes = bytes;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        // A column or a key can't be named within less, and positions stay below 2^32.
        if (64..=1 << 31).contains(&self.max_record_bytes) {
            return Ok(());
        }
        Err(DataError::Setting {
            setting: "max_record_bytes",
            message: format!("is {}; it may be 64 to 2147483648", self.max_record_bytes),
        })
    }
}
