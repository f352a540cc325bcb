//! Reading a ledger as far as it is sound.

use std::io::{self, BufRead, BufReader, Read};

use collimate_tensors::stays_inside;

use super::LedgerEntry;
use crate::checksums::Checksum;
use crate::json::canonical;

/// The entries up to the first fault.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) entries: Vec<LedgerEntry>,
    /// Bytes of the lines of these entries.
    pub(super) bytes: u64,
    /// What is wrong with the line that comes next.
    pub(super) fault: Option<Fault>,
}

#[derive(Debug)]
pub(super) enum Fault {
    /// The file ends in it.
    Torn { bytes: u64 },
    /// It is not the entry that belongs there.
    Broken { message: String },
}

/// Most bytes of a line: an entry with a hundred thousand files.
const LINE_LIMIT: u64 = 16 << 20;

impl Chain {
    pub(super) fn read(file: impl Read) -> io::Result<Self> {
        let mut lines = BufReader::new(file);
        let mut chain = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = lines.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line)? as u64;
            if read == 0 {
                return Ok(chain);
            }
            let checked = match line.strip_suffix(b"\n") {
                Some(content) => chain.check(content),
                None if read == LINE_LIMIT => Err(format!("has more than {LINE_LIMIT} bytes")),
                None => {
                    chain.fault = Some(Fault::Torn { bytes: read });
                    return Ok(chain);
                }
            };
            match checked {
                Ok(entry) => chain.entries.push(entry),
                Err(message) => {
                    chain.fault = Some(Fault::Broken { message });
                    return Ok(chain);
                }
            }
            chain.bytes += read;
        }
    }

    /// The hash that the next entry names as the one before it.
    pub(super) fn head(&self) -> Checksum {
        self.entries.last().map_or(Checksum::ZERO, |entry| entry.hash)
    }

    fn check(&self, line: &[u8]) -> Result<LedgerEntry, String> {
        let entry: LedgerEntry =
            serde_json::from_slice(line).map_err(|error| format!("can't be read: {error}"))?;
        if !canonical(&entry).is_ok_and(|bytes| bytes == line) {
            return Err("is not written as entries are; it was changed".to_owned());
        }
        if !entry.is_sound() {
            return Err("was changed: its hash is not that of its content".to_owned());
        }
        let index = entry.index;
        if index != self.entries.len() as u64 {
            return Err(format!("says that it is entry {index}: entries were removed or moved"));
        }
        if entry.previous != self.head() {
            return Err("does not follow the entry before it: one of them was replaced".to_owned());
        }
        match entry.files.keys().find(|file| !stays_inside(file)) {
            Some(file) => Err(format!("lists {file:?}, which leads out of the folder")),
            None => Ok(entry),
        }
    }
}
