use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::file::FORMAT_VERSION;
use crate::error::{DataError, Result};
use crate::formatter::Formatter;
use crate::tokenize::Tokenizer;

/// The SHA-256 of all that prepared rows depend on: two runs with the same fingerprint give the
/// same rows.
///
/// ```
/// use collimate_data::{Fingerprint, PrepareSettings};
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("data.jsonl");
/// # std::fs::write(&file, "{}")?;
///
/// let one = Fingerprint::new().with_file(&file)?.with_value("settings", &PrepareSettings::default())?;
/// let other = Fingerprint::new().with_file(&file)?.with_value("settings", &PrepareSettings::default())?;
/// assert_eq!(one.finish(), other.finish());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Fingerprint {
    hasher: Sha256,
}

impl Fingerprint {
    /// A fingerprint of nothing but this crate's version and that of its prepared files.
    pub fn new() -> Self {
        let fingerprint = Self { hasher: Sha256::new() };
        let format = FORMAT_VERSION.to_le_bytes();
        fingerprint.with("crate", env!("CARGO_PKG_VERSION").as_bytes()).with("format", &format)
    }

    /// Adds a file: its path, which stands in the origins of rows, and its content, which is
    /// streamed.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn with_file(self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let io = |source| DataError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        let mut content = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(io(error)),
            };
            content.update(buffer.get(..read).unwrap_or_default());
        }
        let path = path.as_os_str().as_encoded_bytes();
        Ok(self.with("path", path).with("content", &content.finalize()))
    }

    /// Adds a tokenizer.
    pub fn with_tokenizer(self, tokenizer: &Tokenizer) -> Self {
        self.with("tokenizer", &tokenizer.digest())
    }

    /// Adds how texts are made of examples. The time counts only where the template asks for it.
    ///
    /// # Errors
    ///
    /// A variable of the template can't be written as JSON.
    pub fn with_formatter(self, formatter: &Formatter) -> Result<Self> {
        let fingerprint = self
            .with_text("end of text", &formatter.end_of_text)
            .with_value("strings as turns", &formatter.strings_as_turns)?;
        let Some(template) = &formatter.template else { return Ok(fingerprint) };
        let options = &formatter.options;
        let now = options.now.filter(|_| template.source().contains("strftime_now"));
        fingerprint
            .with_text("template", template.source())
            .with_value("template leaves BOS", &template.leaves_bos)?
            .with_value("template variables", &template.variables().collect::<Vec<_>>())?
            .with_value("tools", &options.tools)?
            .with_value("variables", &options.variables)?
            .with_value("now", &now.map(|now| now.strftime("%Y-%m-%d %H:%M:%S")))
    }

    /// Adds a text such as the source of a chat template.
    pub fn with_text(self, name: &str, text: &str) -> Self {
        self.with(name, text.as_bytes())
    }

    /// Adds settings.
    ///
    /// # Errors
    ///
    /// They can't be written as JSON.
    pub fn with_value(self, name: &'static str, value: &impl Serialize) -> Result<Self> {
        let json = serde_json::to_vec(value).map_err(|error| DataError::Setting {
            setting: name,
            message: format!("can't be written: {error}"),
        })?;
        Ok(self.with(name, &json))
    }

    /// The fingerprint, as 64 hexadecimal digits.
    pub fn finish(self) -> String {
        self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Adds bytes such that other bytes or another name can't give the same.
    fn with(mut self, name: &str, bytes: &[u8]) -> Self {
        for part in [name.as_bytes(), bytes] {
            self.hasher.update((part.len() as u64).to_le_bytes());
            self.hasher.update(part);
        }
        self
    }
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            Fingerprint::new().with_file(&path).unwrap().finish()
        };
        let text = |name, text| Fingerprint::new().with_text(name, text).finish();
        let mut all = vec![
            Fingerprint::new().finish(),
            file("one", "content"),
            file("other", "content"),
            file("one", "contents"),
            text("template", "ab"),
            text("templatea", "b"),
            Fingerprint::new().with_value("max", &1).unwrap().finish(),
            Fingerprint::new().with_value("max", &2).unwrap().finish(),
        ];
        assert_eq!(file("one", "content"), all[1]);
        assert!(all.iter().all(|fingerprint| fingerprint.len() == 64));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Fingerprint::new().with_file("/nowhere/data.jsonl").unwrap_err();
        assert!(error.to_string().contains("/nowhere/data.jsonl"), "{error}");
    }
}
