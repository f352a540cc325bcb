//! Where the pickle lies in the zip archive that `torch.save` writes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use super::{INFLATION, PickleError};

/// Most bytes of an archive's directory: a hundred for each storage.
const DIRECTORY_LIMIT: u64 = 32 << 20;
const END_LEN: u64 = 22;
const LOCATOR_LEN: u64 = 20;
const END64_LEN: usize = 56;
const ENTRY_LEN: usize = 46;
const LOCAL_LEN: usize = 30;

/// Finds the bytes of `data.pkl`, which `torch.save` stores without compression. What it never writes
/// (a comment, compression, two pickles) is refused: a few bytes could stand for gigabytes.
///
/// # Errors
///
/// What is wrong with the archive.
pub(super) fn find_pickle(file: &mut File, len: u64) -> Result<Range<u64>, PickleError> {
    let directory = directory(file, len)?;
    let mut found = None;
    let mut inflated = 0_u64;
    let mut rest = directory.as_slice();
    while !rest.is_empty() {
        let (entry, after) = Entry::split(rest).ok_or(PickleError::DamagedDirectory)?;
        rest = after;
        if entry.method != 0 {
            inflated = inflated.saturating_add(entry.size);
        }
        let is_pickle = entry.name.strip_suffix(b"data.pkl");
        if is_pickle.is_some_and(|root| root.is_empty() || root.ends_with(b"/"))
            && found.replace(entry).is_some()
        {
            return Err(PickleError::SeveralPickles);
        }
    }
    let entry = found.ok_or(PickleError::NoPickle)?;
    if entry.method != 0 || entry.stored != entry.size {
        return Err(PickleError::Compressed);
    }
    let limit = len.saturating_mul(INFLATION);
    if inflated > limit {
        return Err(PickleError::Inflated { claimed: inflated, limit });
    }
    let local: [u8; LOCAL_LEN] = read_at(file, entry.offset)?;
    if u32_at(&local, 0) != Some(0x0403_4b50) {
        return Err(PickleError::NoEntry);
    }
    let names =
        u64::from(u16_at(&local, 26).unwrap_or(0)) + u64::from(u16_at(&local, 28).unwrap_or(0));
    let start = entry.offset.checked_add(LOCAL_LEN as u64 + names);
    match start.and_then(|start| Some(start..start.checked_add(entry.size)?)) {
        Some(range) if range.end <= len => Ok(range),
        _ => Err(PickleError::BeyondEnd),
    }
}

/// The directory at the end of the archive.
fn directory(file: &mut File, len: u64) -> Result<Vec<u8>, PickleError> {
    let end_at = len.checked_sub(END_LEN).ok_or(PickleError::CutOff)?;
    let end: [u8; END_LEN as usize] = read_at(file, end_at)?;
    if u32_at(&end, 0) != Some(0x0605_4b50) || u16_at(&end, 20) != Some(0) {
        return Err(PickleError::CutOff);
    }
    let mut size = u64::from(u32_at(&end, 12).unwrap_or(0));
    let mut offset = u64::from(u32_at(&end, 16).unwrap_or(0));
    let is_large = u16_at(&end, 10) == Some(u16::MAX)
        || size == u64::from(u32::MAX)
        || offset == u64::from(u32::MAX);
    if is_large {
        let locator_at = end_at.checked_sub(LOCATOR_LEN).ok_or(PickleError::CutOff)?;
        let locator: [u8; LOCATOR_LEN as usize] = read_at(file, locator_at)?;
        let at = u64_at(&locator, 8).filter(|_| u32_at(&locator, 0) == Some(0x0706_4b50));
        let end: [u8; END64_LEN] = read_at(file, at.ok_or(PickleError::CutOff)?)?;
        if u32_at(&end, 0) != Some(0x0606_4b50) {
            return Err(PickleError::CutOff);
        }
        size = u64_at(&end, 40).unwrap_or(0);
        offset = u64_at(&end, 48).unwrap_or(0);
    }
    if size > DIRECTORY_LIMIT || offset.checked_add(size).is_none_or(|end| end > end_at) {
        return Err(PickleError::Directory { size, offset });
    }
    let mut directory = Vec::with_capacity(size as usize);
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.take(size).read_to_end(&mut directory))
        .map_err(|source| PickleError::Part { offset, source })?;
    Ok(directory)
}

/// One entry of the directory.
struct Entry<'a> {
    name: &'a [u8],
    method: u16,
    /// Bytes in the archive.
    stored: u64,
    /// Bytes of the file itself.
    size: u64,
    offset: u64,
}

impl<'a> Entry<'a> {
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (fixed, rest) = bytes.split_at_checked(ENTRY_LEN)?;
        if u32_at(fixed, 0)? != 0x0201_4b50 {
            return None;
        }
        let (name, rest) = rest.split_at_checked(u16_at(fixed, 28)?.into())?;
        let (extra, rest) = rest.split_at_checked(u16_at(fixed, 30)?.into())?;
        let (_comment, rest) = rest.split_at_checked(u16_at(fixed, 32)?.into())?;
        let mut large = large_numbers(extra);
        // A number that doesn't fit stands among the large ones, in this order.
        let mut number = |at| match u32_at(fixed, at)? {
            u32::MAX => large.next(),
            small => Some(small.into()),
        };
        let size = number(24)?;
        let stored = number(20)?;
        let offset = number(42)?;
        Some((Self { name, method: u16_at(fixed, 10)?, stored, size, offset }, rest))
    }
}

/// The numbers of the extra field for large archives.
fn large_numbers(mut extra: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mut numbers: &[u8] = &[];
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let (Some(kind), Some(len)) = (u16_at(head, 0), u16_at(head, 2)) else { break };
        let Some((data, rest)) = rest.split_at_checked(len.into()) else { break };
        if kind == 1 {
            numbers = data;
        }
        extra = rest;
    }
    numbers.chunks_exact(8).filter_map(|number| u64_at(number, 0))
}

fn read_at<const N: usize>(file: &mut File, offset: u64) -> Result<[u8; N], PickleError> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|source| PickleError::Part { offset, source })?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
