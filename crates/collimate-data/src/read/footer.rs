use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{DataError, Result};

/// The largest footer that is read, 256 MiB.
const LARGEST: u64 = 256 << 20;
/// The deepest nesting of columns that is read.
const DEEPEST: usize = 64;

/// Checks a Parquet footer before it is decoded: the decoder allocates what the footer claims and
/// recurses as deep as its columns nest.
pub(crate) fn check(path: &Path, file: &mut File, size: u64) -> Result<()> {
    let failed = |source| DataError::Io { path: path.to_path_buf(), source };
    let refused =
        |message: &str| DataError::File { path: path.to_path_buf(), message: message.to_owned() };
    let cut_off = "is no whole Parquet file: it does not end in PAR1; fetch or write it again";
    if size < 12 {
        return Err(refused(cut_off));
    }
    let mut tail = [0; 8];
    file.seek(SeekFrom::Start(size - 8)).map_err(failed)?;
    file.read_exact(&mut tail).map_err(failed)?;
    let [a, b, c, d, magic @ ..] = tail;
    match &magic {
        b"PAR1" => {}
        b"PARE" => return Err(refused("is an encrypted Parquet file; decrypt it first")),
        _ => return Err(refused(cut_off)),
    }
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    if length > size - 12 || length > LARGEST {
        return Err(refused("is damaged: its footer claims more bytes than there are"));
    }
    let mut footer = Vec::new();
    file.seek(SeekFrom::Start(size - 8 - length)).map_err(failed)?;
    file.take(length).read_to_end(&mut footer).map_err(failed)?;
    let mut thrift = Thrift { bytes: &footer, at: 0 };
    match thrift.metadata() {
        Some(()) => Ok(()),
        None => Err(refused("is damaged: its footer is no Parquet metadata of bounded size")),
    }
}

/// A walk through bytes in Thrift's compact protocol; nothing where they are not valid.
struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Thrift<'_> {
    /// `FileMetaData`, whose second field is the list of columns and groups.
    fn metadata(&mut self) -> Option<()> {
        let mut id = 0;
        while let Some(kind) = self.field(&mut id)? {
            if (id, kind) == (2, LIST) { self.schema()? } else { self.skip(kind, 0)? }
        }
        Some(())
    }

    fn schema(&mut self) -> Option<()> {
        let (kind, count) = self.list()?;
        if kind != STRUCT {
            return None;
        }
        // Children that are still to come, for each group that is open.
        let mut open: Vec<usize> = Vec::new();
        for element in 0..count {
            let mut children = 0;
            let mut id = 0;
            while let Some(kind) = self.field(&mut id)? {
                if (id, kind) == (5, I32) {
                    children = usize::try_from(self.zigzag()?).ok()?;
                } else {
                    self.skip(kind, 0)?;
                }
            }
            if children >= count - element {
                return None;
            }
            if children > 0 {
                open.push(children);
                if open.len() > DEEPEST {
                    return None;
                }
                continue;
            }
            // A group ends with its last child, and may be the last child of another.
            while let Some(left) = open.last_mut() {
                *left -= 1;
                if *left > 0 {
                    break;
                }
                open.pop();
            }
        }
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some(((value >> 1) as i64) ^ -((value & 1) as i64))
    }

    /// The next field's kind, its number in `id`; an inner nothing at the end of the struct.
    #[expect(clippy::option_option, reason = "the outer one is damage, the inner one the end")]
    fn field(&mut self, id: &mut i64) -> Option<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *id = match byte >> 4 {
            0 => self.zigzag()?,
            delta => id.checked_add(i64::from(delta))?,
        };
        Some(Some(byte & 0xf))
    }

    /// The kind and the number of a list's elements, of which each takes a byte at least.
    fn list(&mut self) -> Option<(u8, usize)> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => usize::try_from(self.varint()?).ok()?,
            count => usize::from(count),
        };
        (count <= self.bytes.len().saturating_sub(self.at)).then_some((byte & 0xf, count))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match kind {
            TRUE | FALSE => {}
            BYTE => self.at += 1,
            I16 | I32 | I64 => {
                self.varint()?;
            }
            DOUBLE => self.at += 8,
            BINARY => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.at = self.at.checked_add(length)?;
            }
            LIST | SET => {
                let (kind, count) = self.list()?;
                for _ in 0..count {
                    // Truth values take a byte each within a list.
                    let kind = if matches!(kind, TRUE | FALSE) { BYTE } else { kind };
                    self.skip(kind, depth + 1)?;
                }
            }
            STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                }
            }
            // Maps do not occur in Parquet's metadata.
            _ => return None,
        }
        (self.at <= self.bytes.len()).then_some(())
    }
}

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer of groups that nest.
    fn nested(depth: usize, children: u8) -> Vec<u8> {
        let mut bytes = vec![0x29, 0xfc];
        let mut count = depth as u64;
        while count >= 0x80 {
            bytes.push(count as u8 | 0x80);
            count >>= 7;
        }
        bytes.push(count as u8);
        for element in 0..depth {
            // Field 5 (number of children), zigzag; none in the last.
            let children = if element + 1 == depth { 0 } else { children };
            bytes.extend([0x55, children * 2, 0]);
        }
        bytes.push(0);
        bytes
    }

    fn valid(bytes: &[u8]) -> bool {
        Thrift { bytes, at: 0 }.metadata().is_some()
    }

    #[test]
    fn nesting_and_claims_are_bounded() {
        assert!(valid(&nested(60, 1)));
        assert!(!valid(&nested(100, 1)));
        assert!(!valid(&nested(100_000, 1)));
        // More children than elements.
        assert!(!valid(&nested(10, 60)));
        // A list that claims 2^32 elements.
        assert!(!valid(&[0x29, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]));
        // A binary field that ends beyond the footer.
        assert!(!valid(&[0x18, 0x7f, 0]));
        assert!(!valid(&[]));
    }
}
