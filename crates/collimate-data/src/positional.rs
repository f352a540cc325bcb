use std::fs::File;
use std::io;

/// A file that is read at positions, from several threads.
#[derive(Debug)]
pub(crate) struct Positional {
    #[cfg(unix)]
    file: File,
    #[cfg(not(unix))]
    file: std::sync::Mutex<File>,
}

impl Positional {
    #[cfg(unix)]
    pub(crate) fn new(file: File) -> Self {
        Self { file }
    }

    #[cfg(not(unix))]
    pub(crate) fn new(file: File) -> Self {
        Self { file: std::sync::Mutex::new(file) }
    }

    /// `length` bytes from a position. The caller has made sure that the file is that long.
    pub(crate) fn read(&self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.fill(position, &mut bytes)?;
        Ok(bytes)
    }

    #[cfg(unix)]
    fn fill(&self, position: u64, bytes: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, position)
    }

    #[cfg(not(unix))]
    fn fill(&self, position: u64, bytes: &mut [u8]) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};

        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(bytes)
    }
}
