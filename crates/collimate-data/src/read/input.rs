use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{DataError, Result};
use crate::read::format::{Compression, endings};
use crate::read::source::not_regular;

/// A stream of bytes that can be handed to another thread.
pub(crate) type Bytes = Box<dyn BufRead + Send>;

const BUFFER: usize = 256 << 10;
/// The largest window of a zstd frame, 128 MiB: the format's own recommendation.
const ZSTD_WINDOW_LOG: u32 = 27;

/// A file's bytes without compression.
pub(crate) struct Input {
    pub(crate) bytes: Bytes,
    pub(crate) compression: Option<Compression>,
    pub(crate) size: u64,
}

/// Opens a regular file.
pub(crate) fn open_regular(path: &Path) -> Result<(File, u64)> {
    let failed = |source| DataError::Io { path: path.to_path_buf(), source };
    // Opening a named pipe would wait for a writer, so look first.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(not_regular(path));
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(not_regular(path));
    }
    Ok((file, metadata.len()))
}

/// Opens a file, and unpacks it where its first bytes say that it is compressed.
pub(crate) fn open(path: &Path) -> Result<Input> {
    let failed = |source| DataError::Io { path: path.to_path_buf(), source };
    let (mut file, size) = open_regular(path)?;
    let mut start = Vec::with_capacity(8);
    (&mut file).take(8).read_to_end(&mut start).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;

    let found = compression(path, &start)?;
    let (_, named) = endings(path);
    if let Some(named) = named
        && found != Some(named)
    {
        let name = match named {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        };
        return Err(DataError::File {
            path: path.to_path_buf(),
            message: format!("is no {name} file although its name says so; fetch or rename it"),
        });
    }
    let raw = BufReader::with_capacity(BUFFER, file);
    let bytes: Bytes = match found {
        None => Box::new(raw),
        Some(Compression::Gzip) => {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(raw)))
        }
        Some(Compression::Zstd) => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(raw).map_err(failed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(failed)?;
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
    };
    Ok(Input { bytes, compression: found, size })
}

fn compression(path: &Path, start: &[u8]) -> Result<Option<Compression>> {
    let other = match start {
        [0x1f, 0x8b, ..] => return Ok(Some(Compression::Gzip)),
        // A frame, or one of sixteen kinds of frame to be skipped.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            return Ok(Some(Compression::Zstd));
        }
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => "bzip2",
        [b'P', b'K', 3, 4, ..] => "zip",
        [0x04, 0x22, 0x4d, 0x18, ..] => "lz4",
        _ => return Ok(None),
    };
    Err(DataError::File {
        path: path.to_path_buf(),
        message: format!("is compressed with {other}; unpack it, or use gzip or zstd"),
    })
}

/// Skips a UTF-8 byte order mark, and refuses those of other encodings.
pub(crate) fn check_encoding(path: &Path, bytes: &mut Bytes) -> Result<()> {
    let start = peek(path, bytes)?;
    let other = match start {
        [0xef, 0xbb, 0xbf, ..] => {
            bytes.consume(3);
            return Ok(());
        }
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => "UTF-32",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16",
        // Without a mark, text begins with an ASCII character in all formats but CSV.
        [0, first, ..] | [first, 0, ..] if *first != 0 => "UTF-16",
        _ => return Ok(()),
    };
    Err(DataError::File {
        path: path.to_path_buf(),
        message: format!(
            "is {other} text; convert it to UTF-8, as with `iconv -f {other} -t UTF-8`"
        ),
    })
}

/// The next bytes, at least one unless the stream is at its end.
pub(crate) fn peek<'a>(path: &Path, bytes: &'a mut Bytes) -> Result<&'a [u8]> {
    bytes.fill_buf().map_err(|source| broken(path, source))
}

/// What a failure to read means.
pub(crate) fn broken(path: &Path, source: io::Error) -> DataError {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => DataError::File {
            path: path.to_path_buf(),
            message: "is cut off: its compressed stream does not end; fetch or write it again"
                .to_owned(),
        },
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other => {
            DataError::File {
                path: path.to_path_buf(),
                message: format!("can't be unpacked: {source}; fetch or write it again"),
            }
        }
        _ => DataError::Io { path: path.to_path_buf(), source },
    }
}
