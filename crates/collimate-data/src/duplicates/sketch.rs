//! Duplicates among more texts than memory holds.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::components::Components;
use super::lsh::{CROWDED, Pairs, compare, is_crowded, left_apart};
use super::shingle::{self, mix};
use super::{DuplicateFinder, DuplicateReport};
use crate::error::{DataError, Result};
use crate::event::check_cancelled;
use crate::positional::Positional;

/// Bytes of the digest of a text.
const DIGEST: usize = 16;
/// Members of a bucket whose sketches are in memory at a time.
const SEGMENT: usize = 8192;
/// Members of buckets that are looked at before what was found is joined.
const STEP: usize = 1 << 18;
/// Bytes of sketches that are read at a time.
const CHUNK: usize = 1 << 20;

/// What is kept of a text to tell whether another one says the same. Made by
/// [`DuplicateFinder::sketch`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sketch {
    /// The beginning of the SHA-256 of the normalized text; whether it has pieces; and the lowest byte
    /// of each smallest hash.
    bytes: Vec<u8>,
}

impl Sketch {
    pub(super) fn new(normal: &str, finder: &DuplicateFinder) -> Self {
        let set = shingle::set(normal, finder.config.shingle);
        let mut bytes = Sha256::digest(normal).iter().copied().take(DIGEST).collect::<Vec<u8>>();
        bytes.push(u8::from(!set.is_empty()));
        bytes.extend(finder.bands.smallest(&set).map(|hash| hash.unwrap_or_default() as u8));
        Self { bytes }
    }
}

/// Finds duplicates among texts that come one by one, as [`DuplicateFinder::find`] does. Made by
/// [`DuplicateFinder::sketches`].
///
/// A text takes about as many bytes on the disk as a signature has hashes, 142 by default, and 13 bytes
/// of memory while duplicates are looked for. Similarities are estimated from one byte of each hash
/// (b-bit MinHash, Li & König 2010), with a standard error of `√(J·(1 − J) / hashes)`: 0.035 at the
/// default threshold. So pairs a little below it can be joined, and pairs a little above it missed.
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use collimate_data::DuplicateConfig;
///
/// let finder = DuplicateConfig::default().check()?;
/// let folder = tempfile::tempdir()?;
/// let mut sketches = finder.sketches(folder.path())?;
/// for text in ["How do I bake bread at home?", "Why is the sky blue?", "how do I  bake bread at home?"] {
///     sketches.push(&finder.sketch(text))?;
/// }
/// let found = sketches.find(&AtomicBool::new(false))?;
/// assert_eq!(found.group_keys(), [0, 1, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sketches {
    finder: DuplicateFinder,
    folder: PathBuf,
    file: BufWriter<File>,
    rows: u32,
}

/// Which rows say the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DuplicateRows {
    /// Counts.
    pub report: DuplicateReport,
    #[serde(skip)]
    keys: Vec<u32>,
}

impl DuplicateRows {
    /// For each row the first row of its group, itself where it has no duplicate: for
    /// [`Splitter::by_first_row`](crate::Splitter::by_first_row).
    #[must_use]
    pub fn group_keys(&self) -> &[u32] {
        &self.keys
    }

    /// The same as [`group_keys`](Self::group_keys), to keep.
    #[must_use]
    pub fn into_group_keys(self) -> Vec<u32> {
        self.keys
    }
}

impl Sketches {
    pub(super) fn new(finder: DuplicateFinder, folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder)
            .map_err(|source| DataError::Io { path: folder.to_owned(), source })?;
        let file = BufWriter::with_capacity(CHUNK, file);
        Ok(Self { finder, folder: folder.to_owned(), file, rows: 0 })
    }

    /// Adds a text, by its sketch.
    ///
    /// # Errors
    /// The file can't be written; the sketch is that of a finder with another number of hashes, or there
    /// are more than 2³² − 1.
    pub fn push(&mut self, sketch: &Sketch) -> Result<()> {
        let wrong = |message: String| DataError::Setting { setting: "sketches", message };
        if sketch.bytes.len() != self.width() {
            return Err(wrong("come from finders with different settings".to_owned()));
        }
        let rows = self.rows.checked_add(1);
        self.rows = rows.ok_or_else(|| wrong(format!("are more than {}", u32::MAX)))?;
        let io = |source| DataError::Io { path: self.folder.clone(), source };
        self.file.write_all(&sketch.bytes).map_err(io)
    }

    /// Groups exact and near duplicates.
    ///
    /// # Errors
    /// The file can't be read, or [`DataError::Cancelled`].
    pub fn find(self, cancelled: &AtomicBool) -> Result<DuplicateRows> {
        let width = self.width();
        let Self { finder, folder, file, rows } = self;
        let io = |source: std::io::Error| DataError::Io { path: folder.clone(), source };
        let file = file.into_inner().map_err(|error| io(error.into_error()))?;
        let stored = Stored { file: Positional::new(file), folder, width, rows, cancelled };
        let mut components = Components::new((0..rows).collect());
        let mut column = Vec::with_capacity(rows as usize);
        let is_copy = stored.join_copies(&mut column, &mut components)?;
        let mut report = DuplicateReport {
            rows: rows as usize,
            exact_duplicates: is_copy.iter().filter(|is_copy| **is_copy).count(),
            recall_at_threshold: Some(finder.bands.recall(finder.config.threshold)),
            ..DuplicateReport::default()
        };
        for band in 0..finder.bands.len() {
            stored.column(band, finder.bands.size(), &is_copy, &mut column)?;
            stored.join_alike(&column, finder.config.threshold, &mut components, &mut report)?;
        }
        let keys = components.roots();
        let mut is_group = is_copy;
        is_group.fill(false);
        for (_, first) in (0..).zip(&keys).filter(|(row, first)| row != *first) {
            report.duplicates += 1;
            let first = is_group.get_mut(*first as usize);
            first.into_iter().for_each(|is_group| *is_group = true);
        }
        report.groups = is_group.iter().filter(|is_group| **is_group).count();
        report.near_duplicates = report.duplicates - report.exact_duplicates;
        Ok(DuplicateRows { report, keys })
    }

    fn width(&self) -> usize {
        DIGEST + 1 + self.finder.bands.len() * self.finder.bands.size()
    }
}

/// Sketches in a file.
struct Stored<'c> {
    file: Positional,
    folder: PathBuf,
    /// Bytes of a sketch.
    width: usize,
    rows: u32,
    cancelled: &'c AtomicBool,
}

impl Stored<'_> {
    /// Joins texts that are equal; for each whether an earlier one equals it.
    fn join_copies(
        &self,
        column: &mut Vec<u64>,
        components: &mut Components<u32>,
    ) -> Result<Vec<bool>> {
        self.each(|row, sketch| {
            let digest = sketch.first_chunk::<4>().copied().unwrap_or_default();
            column.push(entry(u64::from(u32::from_le_bytes(digest)) << 32, row));
        })?;
        column.par_sort_unstable();
        let mut is_copy = vec![false; self.rows as usize];
        let mut seen: HashMap<Vec<u8>, u32> = HashMap::new();
        for bucket in buckets(column) {
            seen.clear();
            for row in bucket.iter().map(|entry| row(*entry)) {
                let first = *seen.entry(self.read(row, DIGEST)?).or_insert(row);
                if first != row {
                    components.join(first, row);
                    is_copy[row as usize] = true;
                }
            }
        }
        Ok(is_copy)
    }

    /// Who shares a band: texts with their keys, sorted.
    fn column(
        &self,
        band: usize,
        size: usize,
        is_copy: &[bool],
        column: &mut Vec<u64>,
    ) -> Result<()> {
        column.clear();
        let start = DIGEST + 1 + band * size;
        self.each(|row, sketch| {
            let has_pieces = sketch.get(DIGEST) == Some(&1);
            if let Some(hashes) = sketch.get(start..start + size)
                && has_pieces
                && !is_copy[row as usize]
            {
                let key = hashes.iter().fold(0, |key, hash| mix(key ^ u64::from(*hash)));
                column.push(entry(key, row));
            }
        })?;
        column.par_sort_unstable();
        Ok(())
    }

    /// Joins texts that share a band and are alike.
    fn join_alike(
        &self,
        column: &[u64],
        threshold: f64,
        components: &mut Components<u32>,
        report: &mut DuplicateReport,
    ) -> Result<()> {
        let mut segments = buckets(column).flat_map(|bucket| {
            let starts = (0..bucket.len()).step_by(SEGMENT);
            starts.map(move |start| (bucket, start..bucket.len().min(start + SEGMENT)))
        });
        loop {
            check_cancelled(self.cancelled)?;
            let mut step = Vec::new();
            let mut members = 0;
            while members < STEP
                && let Some(segment) = segments.next()
            {
                members += segment.1.len();
                step.push(segment);
            }
            if step.is_empty() {
                break;
            }
            let found: Vec<(Pairs<u32>, u64)> = step
                .par_iter()
                .map(|(bucket, segment)| self.compare(bucket, segment, threshold, components))
                .collect::<Result<_>>()?;
            for (pairs, compared) in found {
                report.candidates += compared;
                pairs.into_iter().for_each(|(a, b)| components.join(a, b));
            }
        }
        for bucket in buckets(column).filter(|bucket| is_crowded(bucket.len())) {
            report.not_compared += left_apart(roots(bucket, components));
        }
        Ok(())
    }

    /// Compares members of a bucket with earlier ones.
    fn compare(
        &self,
        bucket: &[u64],
        segment: &Range<usize>,
        threshold: f64,
        components: &Components<u32>,
    ) -> Result<(Pairs<u32>, u64)> {
        // The first member of the bucket, and those from which on members are compared with these.
        let from = segment.start.saturating_sub(CROWDED);
        let before = if from > 0 { 1 } else { 0 };
        let members: Vec<u64> =
            bucket[..before].iter().chain(&bucket[from..segment.end]).copied().collect();
        let roots = roots(&members, components);
        if roots.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok((Vec::new(), 0));
        }
        let hashes: Vec<Vec<u8>> = members
            .iter()
            .map(|member| Ok(self.read(row(*member), self.width)?.split_off(DIGEST + 1)))
            .collect::<Result<_>>()?;
        let alike = |a: usize, b: usize| similarity(&hashes[a], &hashes[b]) >= threshold;
        let new = members.len() - segment.len()..members.len();
        let (pairs, compared) = compare(new, &roots, alike);
        let row = |member: usize| row(members[member]);
        Ok((pairs.into_iter().map(|(a, b)| (row(a), row(b))).collect(), compared))
    }

    /// Every sketch, in order.
    fn each(&self, mut take: impl FnMut(u32, &[u8])) -> Result<()> {
        let per_chunk = (CHUNK / self.width).max(1) as u32;
        let mut row = 0;
        while row < self.rows {
            check_cancelled(self.cancelled)?;
            let rows = per_chunk.min(self.rows - row);
            for sketch in self.read(row, rows as usize * self.width)?.chunks_exact(self.width) {
                take(row, sketch);
                row += 1;
            }
        }
        Ok(())
    }

    /// Bytes from the beginning of a row's sketch.
    fn read(&self, row: u32, bytes: usize) -> Result<Vec<u8>> {
        let position = u64::from(row) * self.width as u64;
        let io = |source| DataError::Io { path: self.folder.clone(), source };
        self.file.read(position, bytes).map_err(io)
    }
}

/// A row under a key, of which the upper half counts.
fn entry(key: u64, row: u32) -> u64 {
    key >> 32 << 32 | u64::from(row)
}

fn row(entry: u64) -> u32 {
    (entry & u64::from(u32::MAX)) as u32
}

/// The rows that share a key with another one.
fn buckets(column: &[u64]) -> impl Iterator<Item = &[u64]> {
    column.chunk_by(|a, b| a >> 32 == b >> 32).filter(|bucket| bucket.len() > 1)
}

fn roots(bucket: &[u64], components: &Components<u32>) -> Vec<u32> {
    bucket.iter().map(|entry| components.root(row(*entry))).collect()
}

/// The share of hashes that are equal, without those that are equal by chance: `(s − c) / (1 − c)` with
/// `c = 2⁻⁸`.
fn similarity(a: &[u8], b: &[u8]) -> f64 {
    const CHANCE: f64 = 1.0 / 256.0;
    let equal = a.iter().zip(b).filter(|(a, b)| a == b).count();
    (equal as f64 / a.len().max(1) as f64 - CHANCE) / (1.0 - CHANCE)
}
