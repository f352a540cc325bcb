use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::GzBuilder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::error::{DataError, Result};
use crate::read::Compression;

/// The level of zstd at which files are written, its default.
const ZSTD_LEVEL: i32 = 3;

/// A file that is written beside its place and moved there once it is whole.
pub(crate) struct NewFile {
    path: PathBuf,
    sink: Sink,
}

enum Sink {
    Plain(Counted),
    Gzip(Box<GzEncoder<Counted>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Counted>>),
}

/// Counts and hashes what goes into the file.
struct Counted {
    file: BufWriter<NamedTempFile>,
    hash: Sha256,
    bytes: u64,
}

impl NewFile {
    pub(crate) fn create(path: &Path, compression: Option<Compression>) -> Result<Self> {
        let failed = |source| DataError::Io { path: path.to_path_buf(), source };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".collimate-").suffix(".partial");
        // Like any other new file; the default for temporary ones is to hide them from others.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file =
            BufWriter::with_capacity(256 << 10, builder.tempfile_in(folder).map_err(failed)?);
        let counted = Counted { file, hash: Sha256::new(), bytes: 0 };
        let sink = match compression {
            None => Sink::Plain(counted),
            // Without a time of its own the header is always the same.
            Some(Compression::Gzip) => Sink::Gzip(Box::new(
                GzBuilder::new().mtime(0).write(counted, flate2::Compression::default()),
            )),
            Some(Compression::Zstd) => Sink::Zstd(Box::new(
                zstd::stream::write::Encoder::new(counted, ZSTD_LEVEL).map_err(failed)?,
            )),
        };
        Ok(Self { path: path.to_path_buf(), sink })
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|source| self.failed(source))
    }

    pub(crate) fn failed(&self, source: io::Error) -> DataError {
        DataError::Io { path: self.path.clone(), source }
    }

    /// An error about a record, by its number from 1.
    pub(crate) fn refused(&self, record: u64, message: &str) -> DataError {
        DataError::File { path: self.path.clone(), message: format!("record {record}: {message}") }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the file to its place; its size in bytes and its hash.
    pub(crate) fn finish(self) -> Result<(u64, String)> {
        let path = self.path;
        let failed = |source| DataError::Io { path: path.clone(), source };
        let counted = match self.sink {
            Sink::Plain(counted) => counted,
            Sink::Gzip(encoder) => encoder.finish().map_err(failed)?,
            Sink::Zstd(encoder) => encoder.finish().map_err(failed)?,
        };
        let file = counted.file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        // The new name is only safe once the folder is.
        #[cfg(unix)]
        if let Some(folder) = path.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        let digits = counted.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((counted.bytes, digits))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Plain(sink) => sink.write(bytes),
            Sink::Gzip(sink) => sink.write(bytes),
            Sink::Zstd(sink) => sink.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Flushing a compressor would make its output depend on who flushes; `finish` writes all.
        Ok(())
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
