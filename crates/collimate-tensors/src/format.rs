//! What kind of file it is, told by its first bytes.

use crate::safetensors::HEADER_LIMIT;

/// Bytes that are needed to tell: up to the end of what makes a tar archive.
pub(crate) const LOOK: u64 = 262;
/// The number that opens a PyTorch checkpoint that isn't an archive (before 1.6).
pub(crate) const LEGACY_MAGIC: [u8; 10] =
    [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// A kind of file that holds tensors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Safetensors,
    Pickle,
}

impl Format {
    /// Nothing where it is neither.
    pub(crate) fn of(start: &[u8]) -> Option<Self> {
        // A pickle may begin with any small number too, but no pickle is a length and an object.
        let length = start.first_chunk().map(|length| u64::from_le_bytes(*length));
        if length.is_some_and(|length| length <= HEADER_LIMIT) || start.get(8) == Some(&b'{') {
            return Some(Self::Safetensors);
        }
        let is_pickle = start.starts_with(b"PK") || start.first() == Some(&0x80) || is_tar(start);
        if is_pickle {
            return Some(Self::Pickle);
        }
        // Too short for either, or a pointer: the reader of safetensors says which.
        (length.is_none() || is_lfs_pointer(start)).then_some(Self::Safetensors)
    }
}

/// Whether a file begins like the text that Git LFS leaves in place of the content.
pub fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"version https://git-lfs")
}

pub(crate) fn is_tar(start: &[u8]) -> bool {
    start.get(257..262) == Some(b"ustar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        let safetensors = [&0x280_u64.to_le_bytes()[..], b"{}"].concat();
        let mut tar = vec![b'a'; 300];
        tar[257..262].copy_from_slice(b"ustar");
        for (start, format) in [
            (&safetensors[..], Some(Format::Safetensors)),
            (b"PK\x03\x04\x14\0\0\0\0\0", Some(Format::Pickle)),
            (b"\x80\x02ccollections\n", Some(Format::Pickle)),
            (b"\x80\x02}.", Some(Format::Pickle)),
            (&tar, Some(Format::Pickle)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff{", Some(Format::Safetensors)),
            (b"version https://git-lfs.github.com/spec/v1\n", Some(Format::Safetensors)),
            (b"", Some(Format::Safetensors)),
            (b"GGUF\x03\0\0\0\x01\0\0\0", None),
            (b"<!DOCTYPE html>", None),
        ] {
            assert_eq!(Format::of(start), format, "{start:?}");
        }
    }
}
