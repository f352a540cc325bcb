//! The two hashes by which the Hub names content.

use std::fs::File;
use std::io::{self, Read};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::event::Verification;

/// A hash that is being computed.
pub(super) enum ContentHash {
    Sha256(Sha256),
    GitSha1(Sha1),
    None,
}

impl ContentHash {
    /// The kind of hash that `etag` is, for a file of `size` bytes: 64 hexadecimal digits are the
    /// SHA-256 of the content, 40 are git's SHA-1 of a header and the content.
    pub(super) fn for_etag(etag: &str, size: u64) -> Self {
        if !etag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Self::None;
        }
        match etag.len() {
            64 => Self::Sha256(Sha256::new()),
            40 => Self::GitSha1(Sha1::new_with_prefix(format!("blob {size}\0"))),
            _ => Self::None,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::GitSha1(hash) => hash.update(bytes),
            Self::None => {}
        }
    }

    /// Adds what is left of a file, in pieces; stops early, with `false`, when `go_on` says so.
    pub(super) fn update_from(
        &mut self,
        file: &mut File,
        mut go_on: impl FnMut() -> bool,
    ) -> io::Result<bool> {
        if matches!(self, Self::None) {
            return Ok(true);
        }
        let mut buffer = vec![0; 1 << 20];
        loop {
            if !go_on() {
                return Ok(false);
            }
            match file.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(read) => self.update(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Compares with `etag`.
    ///
    /// # Errors
    ///
    /// The hash of the content, where it is another.
    pub(super) fn finish(self, etag: &str) -> Result<Verification, String> {
        let (found, verification) = match self {
            Self::Sha256(hash) => (hex(&hash.finalize()), Verification::Sha256),
            Self::GitSha1(hash) => (hex(&hash.finalize()), Verification::GitSha1),
            Self::None => return Ok(Verification::SizeOnly),
        };
        if found.eq_ignore_ascii_case(etag) { Ok(verification) } else { Err(found) }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS[usize::from(value & 15)];
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(etag: &str, content: &[u8]) -> Result<Verification, String> {
        let mut hash = ContentHash::for_etag(etag, content.len() as u64);
        for piece in content.chunks(2) {
            hash.update(piece);
        }
        hash.finish(etag)
    }

    /// From `printf hello | git hash-object --stdin` and `printf hello | sha256sum`.
    #[test]
    fn hashes_of_git_and_of_large_files() {
        let git = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
        let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(finish(git, b"hello"), Ok(Verification::GitSha1));
        assert_eq!(finish(sha256, b"hello"), Ok(Verification::Sha256));
        assert_eq!(finish(&sha256.to_uppercase(), b"hello"), Ok(Verification::Sha256));
        assert_eq!(finish(&"0".repeat(64), b"hello"), Err(sha256.to_owned()));
        assert_eq!(finish(&"0".repeat(40), b"hello"), Err(git.to_owned()));
    }

    #[test]
    fn what_is_no_hash_is_not_compared() {
        for etag in ["d41d8cd98f00b204e9800998ecf8427e", "x".repeat(64).as_str(), "v1"] {
            assert_eq!(finish(etag, b"hello"), Ok(Verification::SizeOnly));
        }
    }
}
