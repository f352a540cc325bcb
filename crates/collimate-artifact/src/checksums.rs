use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::AtomicBool;

use collimate_tensors::stays_inside;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::disk::{open_regular, read_text};
use crate::error::{ArtifactError, Result};
use crate::event::check_cancelled;

/// The SHA-256 of some bytes; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum([u8; 32]);

impl Checksum {
    /// Of nothing at all: what the first entry of a ledger follows.
    pub(crate) const ZERO: Self = Self([0; 32]);

    /// The checksum of these bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The checksum of a file, read in pieces.
    ///
    /// # Errors
    ///
    /// It is not a regular file, or can't be read; [`ArtifactError::Cancelled`].
    pub fn of_file(path: &Path, cancelled: &AtomicBool) -> Result<Self> {
        let mut hash = FileHash::open(path)?;
        hash.update(u64::MAX, cancelled)?;
        Ok(hash.finish())
    }
}

/// The checksum of a file that may still grow.
pub(crate) struct FileHash<'a> {
    path: &'a Path,
    file: File,
    hash: Sha256,
    hashed: u64,
    buffer: Vec<u8>,
}

impl<'a> FileHash<'a> {
    /// Of a regular file.
    pub(crate) fn open(path: &'a Path) -> Result<Self> {
        let (file, size) = open_regular(path)?;
        let buffer = vec![0; PIECE.min(size as usize + 1)];
        Ok(Self { path, file, hash: Sha256::new(), hashed: 0, buffer })
    }

    /// Goes on until so many bytes of the file, or all that it has, are hashed; returns how many.
    pub(crate) fn update(&mut self, end: u64, cancelled: &AtomicBool) -> Result<u64> {
        while self.hashed < end {
            check_cancelled(cancelled)?;
            let wanted = (self.buffer.len() as u64).min(end - self.hashed) as usize;
            let Some(buffer) = self.buffer.get_mut(..wanted) else { break };
            match self.file.read(buffer) {
                Ok(0) => break,
                Ok(read) => {
                    self.hash.update(buffer.get(..read).unwrap_or_default());
                    self.hashed += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArtifactError::io(self.path)(error)),
            }
        }
        Ok(self.hashed)
    }

    /// The checksum of what was hashed.
    pub(crate) fn finish(self) -> Checksum {
        Checksum(self.hash.finalize().into())
    }
}

/// Bytes that are read at once; they stay in the cache of a core.
const PIECE: usize = 256 << 10;

impl fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Checksum {
    type Err = ArtifactError;

    fn from_str(text: &str) -> Result<Self> {
        let error = || ArtifactError::Name {
            kind: "SHA-256",
            text: text.chars().take(80).collect(),
            reason: "expected 64 lower-case hexadecimal digits",
        };
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(error()),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(error());
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Checksum {
    type Error = ArtifactError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

/// The SHA-256 of every file of a folder, by its path in the folder (with `/`).
///
/// # Examples
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use collimate_artifact::{Checksums, verify_checksums};
///
/// let go_on = AtomicBool::new(false);
/// let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("config.json"), "{}")?;
/// let checksums = Checksums::of_folder(folder.path(), &go_on)?;
/// std::fs::write(folder.path().join(Checksums::FILE), checksums.to_string())?;
/// assert!(verify_checksums(folder.path(), &go_on)?.is_intact());
///
/// std::fs::write(folder.path().join("config.json"), "[]")?;
/// assert_eq!(verify_checksums(folder.path(), &go_on)?.changed, ["config.json"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Checksums(BTreeMap<String, Checksum>);

impl Checksums {
    /// The file in a folder that has the checksums of all others, as `sha256sum` writes and checks it.
    pub const FILE: &'static str = "SHA256SUMS";

    /// Computes the checksums of all files below a folder except its own [`Checksums::FILE`], in
    /// parallel.
    ///
    /// # Errors
    ///
    /// There is a link or something else that is neither file nor folder, a name is not UTF-8 or has
    /// a control character or a backslash, something can't be read; [`ArtifactError::Cancelled`].
    pub fn of_folder(folder: &Path, cancelled: &AtomicBool) -> Result<Self> {
        let mut checksums = Self::default();
        checksums.add_folder(folder, cancelled)?;
        Ok(checksums)
    }

    /// Adds the files of a folder that have no checksum yet.
    pub(crate) fn add_folder(&mut self, folder: &Path, cancelled: &AtomicBool) -> Result<()> {
        let found = list(folder)?;
        if let Some((file, _)) = found.iter().find(|(_, kind)| **kind == Kind::Other) {
            let message = "it is neither a file nor a folder; only those can be checked".to_owned();
            return Err(ArtifactError::Invalid { path: folder.join(file), message });
        }
        let added: Vec<_> = found
            .into_par_iter()
            .filter(|(file, _)| !self.0.contains_key(file))
            .map(|(file, _)| Ok((file.clone(), Checksum::of_file(&folder.join(&file), cancelled)?)))
            .collect::<Result<_>>()?;
        self.0.extend(added);
        Ok(())
    }

    /// Adds files of a folder, one after the other.
    pub(crate) fn add_files(
        &mut self,
        folder: &Path,
        files: impl IntoIterator<Item = String>,
        cancelled: &AtomicBool,
    ) -> Result<()> {
        for file in files {
            let checksum = Checksum::of_file(&folder.join(&file), cancelled)?;
            self.0.insert(file, checksum);
        }
        Ok(())
    }

    /// Adds checksums that were computed.
    pub(crate) fn extend(&mut self, files: impl IntoIterator<Item = (String, Checksum)>) {
        self.0.extend(files);
    }

    /// Reads the [`Checksums::FILE`] of a folder.
    ///
    /// # Errors
    ///
    /// It can't be read, or a line is not `checksum  path` with a path inside of the folder that no
    /// other line has.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let text = read_text(&path, LIMIT)?;
        let mut checksums = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let invalid = |reason: &str| ArtifactError::Invalid {
                path: path.clone(),
                message: format!("line {} {reason}", index + 1),
            };
            let (checksum, file) = line
                .split_once("  ")
                .or_else(|| line.split_once(" *"))
                .and_then(|(checksum, file)| Some((checksum.parse().ok()?, file)))
                .ok_or_else(|| invalid("is not a SHA-256, two spaces and a path"))?;
            if !stays_inside(file) {
                return Err(ArtifactError::Outside { path, found: file.to_owned() });
            }
            if checksums.insert(file.to_owned(), checksum).is_some() {
                return Err(invalid("names a file that an earlier line names"));
            }
        }
        Ok(Self(checksums))
    }

    /// The checksum of a file.
    pub fn get(&self, file: &str) -> Option<Checksum> {
        self.0.get(file).copied()
    }

    /// All files, sorted, each with its checksum.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Checksum)> {
        self.0.iter().map(|(file, checksum)| (file.as_str(), *checksum))
    }
}

impl FromIterator<(String, Checksum)> for Checksums {
    fn from_iter<I: IntoIterator<Item = (String, Checksum)>>(files: I) -> Self {
        Self(files.into_iter().collect())
    }
}

/// Most bytes that are read of a file of checksums.
const LIMIT: u64 = 64 << 20;

/// As `sha256sum` writes it: a line for each file, sorted.
impl fmt::Display for Checksums {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(file, checksum)| writeln!(formatter, "{checksum}  {file}"))
    }
}

/// How the files of a folder compare with its checksums.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChecksumReport {
    /// Files that are as they were.
    pub intact: u64,
    /// Files that are not as they were, sorted.
    pub changed: Vec<String>,
    /// Files that are gone, sorted.
    pub missing: Vec<String>,
    /// Files, links and others that were not there, sorted.
    pub unexpected: Vec<String>,
}

impl ChecksumReport {
    /// Whether every file is as it was, and none came or went.
    pub fn is_intact(&self) -> bool {
        self.changed.is_empty() && self.missing.is_empty() && self.unexpected.is_empty()
    }
}

/// Compares the files of a folder with its [`Checksums::FILE`].
///
/// # Errors
///
/// As [`Checksums::read`]; the folder or a file can't be read, or a name can't be listed;
/// [`ArtifactError::Cancelled`].
pub fn verify_checksums(folder: &Path, cancelled: &AtomicBool) -> Result<ChecksumReport> {
    let expected = Checksums::read(folder)?;
    let found = list(folder)?;
    let mut report = ChecksumReport::default();
    let is_missing = |file: &&str| !found.contains_key(*file);
    report.missing =
        expected.iter().map(|(file, _)| file).filter(is_missing).map(str::to_owned).collect();
    let compared: Vec<_> = found
        .into_par_iter()
        .map(|(file, kind)| {
            let state = match expected.get(&file) {
                None => State::Unexpected,
                Some(_) if kind == Kind::Other => State::Changed,
                Some(checksum)
                    if checksum == Checksum::of_file(&folder.join(&file), cancelled)? =>
                {
                    State::Intact
                }
                Some(_) => State::Changed,
            };
            Ok((file, state))
        })
        .collect::<Result<_>>()?;
    for (file, state) in compared {
        match state {
            State::Intact => report.intact += 1,
            State::Changed => report.changed.push(file),
            State::Unexpected => report.unexpected.push(file),
        }
    }
    Ok(report)
}

enum State {
    Intact,
    Changed,
    Unexpected,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    /// A link, a pipe, a socket, a device.
    Other,
}

/// Everything below a folder that is not a folder, except its checksums.
fn list(folder: &Path) -> Result<BTreeMap<String, Kind>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((path, prefix)) = folders.pop() {
        let failed = |source| ArtifactError::Io { path: path.clone(), source };
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().into_string().ok();
            let name = name.filter(|name| !name.contains(|c: char| c.is_control() || c == '\\'));
            let Some(name) = name else {
                let message =
                    "its name is not UTF-8, or has a control character or a backslash".to_owned();
                return Err(ArtifactError::Invalid { path: entry.path(), message });
            };
            let relative = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                folders.push((entry.path(), format!("{relative}/")));
            } else if relative != Checksums::FILE {
                found.insert(relative, if kind.is_file() { Kind::File } else { Kind::Other });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `printf abc | sha256sum`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn checksums_are_those_of_sha256sum() {
        assert_eq!(Checksum::of_bytes(b"abc").to_string(), ABC);
        assert_eq!(ABC.parse::<Checksum>().unwrap(), Checksum::of_bytes(b"abc"));
        for text in ["", &ABC[1..], &ABC.to_uppercase(), &format!("{ABC}0"), &ABC.replace('b', "g")]
        {
            assert!(text.parse::<Checksum>().is_err(), "{text}");
        }
    }

    #[test]
    fn lines_that_are_not_understood_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            fs::write(folder.path().join(Checksums::FILE), text).unwrap();
            Checksums::read(folder.path()).map_err(|error| error.to_string())
        };
        assert_eq!(read(&format!("{ABC}  a\n{ABC} *b/c\n")).unwrap().0.len(), 2);
        for (text, expected) in [
            (format!("{ABC}  a\n{ABC} b\n"), "line 2 is not a SHA-256"),
            (format!("{ABC}  a\n{ABC}  a\n"), "line 2 names a file"),
            (format!("{ABC}  ../a\n"), "'../a' leads out"),
            (format!("{ABC}  /a\n"), "'/a' leads out"),
            (format!("\\{ABC}  a\\nb\n"), "line 1 is not a SHA-256"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
