//! The tokens of pieces that were met before.

use std::hash::BuildHasher;
use std::sync::OnceLock;

use foldhash::fast::FixedState;

/// Places for pieces; a power of two.
const SLOTS: usize = 1 << 16;
/// Places that a piece may have.
const WAYS: usize = 4;
/// The longest piece that is kept, in bytes.
const LONGEST: usize = 48;

/// A table of a fixed size that threads read and fill without waiting for each other.
///
/// Which pieces it has is a matter of chance; what it gives for a piece is not.
#[derive(Debug)]
pub(super) struct Pieces {
    slots: Box<[OnceLock<Entry>]>,
    hasher: FixedState,
}

/// A token of a piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Piece {
    pub(super) id: u32,
    /// How much of the piece it stands for.
    pub(super) bytes: u32,
}

#[derive(Debug)]
struct Entry {
    text: Box<[u8]>,
    tokens: Box<[Piece]>,
}

impl Pieces {
    pub(super) fn new() -> Self {
        let slots = (0..SLOTS).map(|_| OnceLock::new()).collect();
        Self { slots, hasher: FixedState::default() }
    }

    /// Uses the tokens of a piece, which are made where they aren't known. Says whether there are
    /// any.
    pub(super) fn with(
        &self,
        piece: &[u8],
        make: impl FnOnce() -> Option<Box<[Piece]>>,
        mut take: impl FnMut(&[Piece]),
    ) -> bool {
        let slots = if piece.len() > LONGEST { &[] } else { self.slots(piece) };
        let mut free = None;
        for slot in slots {
            match slot.get() {
                Some(entry) if *entry.text == *piece => {
                    take(&entry.tokens);
                    return true;
                }
                Some(_) => {}
                None => {
                    free = Some(slot);
                    break;
                }
            }
        }
        let Some(tokens) = make() else { return false };
        take(&tokens);
        if let Some(slot) = free {
            // Another thread may have filled it meanwhile.
            let _ = slot.set(Entry { text: piece.into(), tokens });
        }
        true
    }

    fn slots(&self, piece: &[u8]) -> &[OnceLock<Entry>] {
        let first = self.hasher.hash_one(piece) as usize % (SLOTS / WAYS) * WAYS;
        self.slots.get(first..first + WAYS).unwrap_or_default()
    }
}
