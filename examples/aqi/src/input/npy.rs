//! Headers of `.npy` files.
//!
//! The format is a magic string, a version, the length of the header, and the header itself: a
//! Python dictionary of three entries (NumPy enhancement proposal 1). Read here rather than by a
//! library because the lengths that a header claims must be checked against the file before
//! anything is allocated or multiplied.

use crate::failure::{Failure, Result};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Far above the headers that NumPy writes.
const LONGEST_HEADER: usize = 1 << 20;

/// What stands before the values. The values fill the rest of the file exactly.
#[derive(Debug)]
pub struct Header {
    /// Kind of the values as NumPy abbreviates it: `f`, `i`, `u`, `b`, `U`, `S`, ...
    pub kind: char,
    /// Bytes of a value.
    pub size: usize,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
    /// Whether the first index changes fastest.
    pub fortran: bool,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Number of values.
    pub count: usize,
}

/// Opens a file and reads its header; what is left to read are the values.
pub fn open(path: &Path) -> Result<(Header, File)> {
    let wrong = |reason: String| Failure::in_file(path, reason);
    let mut file = super::open(path)?;
    let length = super::length(path, &file)?;
    let text = header_text(&mut file, length).map_err(wrong)?;
    let header = parse(&text).map_err(|reason| wrong(format!("its .npy header {reason}")))?;
    let start = file.stream_position().map_err(|error| wrong(error.to_string()))?;
    let expected = header.count.checked_mul(header.size);
    let found = length.saturating_sub(start);
    if expected.and_then(|bytes| u64::try_from(bytes).ok()) != Some(found) {
        let shape = super::shape_text(&header.shape);
        let expected = expected
            .map_or("more bytes than there are".to_owned(), |bytes| format!("{bytes} bytes"));
        return Err(wrong(format!(
            "{shape} values of {} bytes need {expected}, the file holds {found}: write it again",
            header.size
        )));
    }
    Ok((header, file))
}

fn header_text(file: &mut File, length: u64) -> Result<String, String> {
    let mut start = [0; 8];
    if file.read_exact(&mut start).is_err() || start[..6] != *MAGIC {
        return Err("not an .npy file: write it with numpy.save".to_owned());
    }
    let too_short = |_| "the .npy header is cut off: write the file again".to_owned();
    let bytes = match start[6] {
        1 => {
            let mut bytes = [0; 2];
            file.read_exact(&mut bytes).map_err(too_short)?;
            usize::from(u16::from_le_bytes(bytes))
        }
        2 | 3 => {
            let mut bytes = [0; 4];
            file.read_exact(&mut bytes).map_err(too_short)?;
            usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
        }
        version => {
            return Err(format!("version {version} of .npy is unknown: versions 1 to 3 are"));
        }
    };
    if bytes > LONGEST_HEADER || bytes as u64 > length {
        return Err(format!("the .npy header claims {bytes} bytes: write the file again"));
    }
    let mut text = vec![0; bytes];
    file.read_exact(&mut text).map_err(|_| "the .npy header is cut off: write the file again")?;
    String::from_utf8(text).map_err(|_| "the .npy header is not text: write the file again".into())
}

/// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse(text: &str) -> Result<Header, String> {
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    let mut rest = after(text.trim(), '{')?;
    while !rest.starts_with('}') {
        let (key, value) = string(rest)?;
        let value = after(value, ':')?;
        rest = match key {
            "descr" => {
                if value.starts_with(['[', '(']) {
                    return Err("describes records of several fields: save a plain array".into());
                }
                let (text, rest) = string(value)?;
                descr = Some(text);
                rest
            }
            "fortran_order" => {
                let (order, rest) = boolean(value)?;
                fortran = Some(order);
                rest
            }
            "shape" => {
                let (lengths, rest) = tuple(value)?;
                shape = Some(lengths);
                rest
            }
            other => return Err(format!("has an unknown entry {other:?}")),
        };
        if !rest.starts_with('}') {
            rest = after(rest, ',')?;
        }
    }
    if rest != "}" {
        return Err("does not end after the dictionary".to_owned());
    }
    let missing = |name| format!("has no entry {name:?}");
    let shape = shape.ok_or_else(|| missing("shape"))?;
    let fortran = fortran.ok_or_else(|| missing("fortran_order"))?;
    let (kind, size, big_endian) = value_type(descr.ok_or_else(|| missing("descr"))?)?;
    let count = shape.iter().try_fold(1_usize, |count, &length| count.checked_mul(length));
    let count = count.ok_or_else(|| {
        format!("claims {} values, more than memory can hold", super::shape_text(&shape))
    })?;
    Ok(Header { kind, size, big_endian, fortran, shape, count })
}

fn value_type(descr: &str) -> Result<(char, usize, bool), String> {
    let unknown = || format!("describes values of an unknown type {descr:?}");
    let mut characters = descr.chars();
    let big_endian = match characters.next() {
        Some('<' | '|') => false,
        Some('>') => true,
        _ => return Err(unknown()),
    };
    let kind = characters.next().ok_or_else(unknown)?;
    if kind == 'O' {
        return Err("describes Python objects: save the array with a plain type, as in \
             array.astype(str)"
            .into());
    }
    let units: usize = characters.as_str().parse().map_err(|_| unknown())?;
    let unit = if kind == 'U' { 4 } else { 1 };
    Ok((kind, units.checked_mul(unit).ok_or_else(unknown)?, big_endian))
}

fn after(text: &str, expected: char) -> Result<&str, String> {
    let rest = text.strip_prefix(expected).map(str::trim_start);
    rest.ok_or_else(|| format!("is no Python dictionary ({expected:?} expected)"))
}

fn string(text: &str) -> Result<(&str, &str), String> {
    let quote = if text.starts_with('"') { '"' } else { '\'' };
    let rest = text.strip_prefix(quote);
    let parts = rest.and_then(|rest| rest.split_once(quote));
    let (string, rest) = parts.ok_or("is no Python dictionary (a string expected)")?;
    Ok((string, rest.trim_start()))
}

fn boolean(text: &str) -> Result<(bool, &str), String> {
    let split = |word: &str, value| text.strip_prefix(word).map(|rest| (value, rest.trim_start()));
    split("True", true)
        .or_else(|| split("False", false))
        .ok_or_else(|| "is no Python dictionary (True or False expected)".to_owned())
}

fn tuple(text: &str) -> Result<(Vec<usize>, &str), String> {
    let (inside, rest) = after(text, '(')?.split_once(')').ok_or("has a shape without an end")?;
    let lengths = inside.split(',').map(str::trim).filter(|length| !length.is_empty());
    // Python 2 wrote long integers as `3L`.
    let lengths = lengths.map(|length| length.trim_end_matches('L').parse());
    let lengths = lengths.collect::<Result<_, _>>();
    let lengths = lengths.map_err(|_| format!("has an impossible shape ({inside})"))?;
    Ok((lengths, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_numpy_writes_them() {
        let header =
            parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }    \n").unwrap();
        assert_eq!((header.kind, header.size, header.big_endian), ('f', 4, false));
        assert_eq!(
            (header.shape.as_slice(), header.count, header.fortran),
            (&[3, 4][..], 12, false)
        );
        let header = parse("{'descr': '>U5', 'fortran_order': True, 'shape': (7,)}").unwrap();
        assert_eq!((header.kind, header.size, header.big_endian), ('U', 20, true));
        assert!(header.fortran);
        let header = parse("{'shape':(),'fortran_order':False,'descr':'|b1'}").unwrap();
        assert_eq!((header.kind, header.count), ('b', 1));
        let header = parse("{'descr': '<i8', 'fortran_order': False, 'shape': (3L,), }").unwrap();
        assert_eq!(header.shape, [3]);
    }

    #[test]
    fn headers_that_lie_or_are_none_are_refused() {
        let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 2)}";
        for (text, reason) in [
            (huge, "more than memory can hold"),
            ("", "is no Python dictionary"),
            ("{", "a string expected"),
            ("{'descr'", "':' expected"),
            ("{'descr': '<f4}", "a string expected"),
            ("{'descr': '<f4'}", "no entry \"shape\""),
            ("{'descr': '<f4', 'shape': (3), }", "no entry \"fortran_order\""),
            ("{'descr': '<f4', 'shape': (-3,), }", "an impossible shape"),
            ("{'descr': '<f4', 'shape': (3", "without an end"),
            ("{'descr': '<f4', 'fortran_order': 0}", "True or False"),
            ("{'descr': 'f4', 'fortran_order': False, 'shape': (3,)}", "unknown type \"f4\""),
            ("{'descr': '<U99999999999999999999', 'fortran_order': False, 'shape': (3,)}", "type"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", "astype(str)"),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}", "several fields"),
            ("{'extra': 1}", "unknown entry"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} + 1", "does not end"),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.contains(reason), "{text}: {found}");
        }
    }
}
