//! The one place that maps files.
//!
//! Mapping is unsafe because the system doesn't keep others from changing the file meanwhile. Reading
//! it into memory instead would cost a copy of every model. So it stands in the crate's page what a
//! change does (other values, or the end of the process by SIGBUS where the file was cut off), and
//! that weight files are to be replaced by renaming, as every writer of this workspace does. No value
//! of a mapped byte makes anything here unsound: the bytes are only ever copied out as numbers, and
//! what the header says of them was read and checked before.

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::{Mmap, MmapOptions};

/// Maps the first `len` bytes of a file for reading.
pub(crate) fn map(file: &File, len: usize) -> io::Result<Mmap> {
    // SAFETY: the map is read-only and has the file's length. That nobody changes the file while it
    // is mapped is what callers of this crate are asked for, see above.
    unsafe { MmapOptions::new().len(len).map(file) }
}

/// Lets the system have the pages of a range back; who looks at them again finds them in the file.
#[cfg(unix)]
pub(crate) fn release(map: &Mmap, range: Range<usize>) {
    // SAFETY: no page of a read-only map of a file has anything that is not in the file.
    let advised = unsafe {
        map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len())
    };
    // Nothing but memory depends on it.
    advised.unwrap_or(());
}

#[cfg(not(unix))]
pub(crate) fn release(_: &Mmap, _: Range<usize>) {}
