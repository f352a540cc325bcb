use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use collimate_tensors::{CastError, Dtype, TensorsError, WriteError, narrow, widen};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::Serialize;

use super::MergeError;
use super::output::{Output, TensorChange};
use super::plan::{MergePlan, MergedAdapter};
use super::update::{Rows, Scratch, Update};
use crate::error::Result;

/// Elements of a block, which stay in the cache of a core; of a tensor with updates the whole rows
/// nearest below, at least one.
const BLOCK: usize = 1 << 16;
/// Bytes of a block that is only copied.
const COPIED: usize = 1 << 20;
/// Blocks that may wait before no more are computed.
const WAITING: usize = 16;
/// Parts in which the norms of columns are summed. Fixed, so that their order is.
const PARTS: usize = 16;

/// What a merge did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MergeReport {
    /// Tensors of the result.
    pub tensors: u64,
    /// Tensors that were copied byte for byte.
    pub copied: u64,
    /// Tensors that were only written in another type.
    pub converted: u64,
    /// Tensors that updates were added to.
    pub adapted: u64,
    /// Tensors that an adapter brought whole.
    pub replaced: u64,
    /// Bytes of all tensors.
    pub bytes: u64,
    /// Whether the head has weights of its own now; see [`MergePlan::untied`].
    pub untied: bool,
    /// What each adapter changed, in their order.
    pub adapters: Vec<MergedAdapter>,
}

/// Takes bytes of a tensor: its name, where they begin in it, the bytes. Called from several threads.
type Sink<'s> = dyn Fn(&str, u64, &[u8]) -> std::result::Result<(), WriteError> + Sync + 's;

type MergeResult<T> = std::result::Result<T, MergeError>;

/// One tensor with the bytes that it begins as.
struct Work<'p> {
    output: &'p Output<'p>,
    source: Cow<'p, [u8]>,
    /// By update; empty where it has no norms of columns.
    column_factors: Vec<Vec<f32>>,
}

/// A part of a tensor, in elements; of one that is copied, in bytes.
struct Block {
    work: usize,
    part: Range<usize>,
}

impl MergePlan<'_> {
    /// Reads, merges and hands over every byte of the result, a block at a time, on the threads of
    /// the current rayon pool. A [`SafetensorsWriter`](collimate_tensors::SafetensorsWriter) takes
    /// blocks as they come.
    ///
    /// `progress` gets the number of bytes handed over so far, from any thread, so that the numbers
    /// may come out of order. Whether files were changed meanwhile is checked at the end.
    ///
    /// # Errors
    ///
    /// [`MergeError`]: a file can't be read or was changed, a result is not finite, the sink failed,
    /// or `cancelled` was set. What the sink has got is worthless then.
    pub fn run(
        &self,
        sink: &Sink<'_>,
        progress: &(dyn Fn(u64) + Sync),
        cancelled: &AtomicBool,
    ) -> Result<MergeReport> {
        let run = Run { sink, progress, cancelled, done: AtomicU64::new(0) };
        let mut outputs = self.outputs.as_slice();
        while let Some(first) = outputs.first() {
            // What is mapped goes together: no thread waits at the end of a tensor.
            let together = outputs.iter().take_while(|output| is_simple(output)).count().max(1);
            let (now, later) = outputs.split_at(together);
            let works = match is_simple(first) {
                true => now.iter().map(Work::simple).collect::<MergeResult<Vec<_>>>()?,
                false => now.iter().map(|one| run.prepare(one)).collect::<MergeResult<Vec<_>>>()?,
            };
            run.write(&works)?;
            outputs = later;
        }
        self.base.unchanged().map_err(MergeError::Read)?;
        for adapter in &self.adapters {
            adapter.unchanged()?;
        }
        Ok(self.report())
    }

    /// What the merge does: all of it is known before.
    pub fn report(&self) -> MergeReport {
        let count = |change| self.outputs.iter().filter(|o| o.change() == change).count() as u64;
        MergeReport {
            tensors: self.outputs.len() as u64,
            copied: count(TensorChange::Copied),
            converted: count(TensorChange::Converted),
            adapted: count(TensorChange::Adapted),
            replaced: count(TensorChange::Replaced),
            bytes: self.layout().data_len(),
            untied: self.untied(),
            adapters: self.merged.clone(),
        }
    }
}

/// Whether nothing has to be read before its first block.
fn is_simple(output: &Output<'_>) -> bool {
    output.source.is_mapped() && !output.updates.iter().any(Update::has_column_norms)
}

struct Run<'r> {
    sink: &'r Sink<'r>,
    progress: &'r (dyn Fn(u64) + Sync),
    cancelled: &'r AtomicBool,
    done: AtomicU64,
}

impl Run<'_> {
    fn prepare<'p>(&self, output: &'p Output<'p>) -> MergeResult<Work<'p>> {
        let mut work = Work::simple(output)?;
        for update in &output.updates {
            let factors = match update.has_column_norms() {
                true => self.column_factors(&work, update)?,
                false => Vec::new(),
            };
            work.column_factors.push(factors);
        }
        Ok(work)
    }

    fn column_factors(&self, work: &Work<'_>, update: &Update<'_>) -> MergeResult<Vec<f32>> {
        let blocks = work.blocks(0)?;
        let of_part = |part: &[Block]| {
            let mut scratch = Scratch::default();
            let mut squares = vec![0.0; work.rows(0..0)?.columns];
            for block in part {
                self.check_cancelled()?;
                work.read(block.part.clone(), &mut scratch.weights)?;
                let rows = work.rows(block.part.clone())?;
                let added = update.add_squares(&rows, &mut scratch, &mut squares);
                added.map_err(|source| work.failed(source))?;
            }
            Ok(squares)
        };
        let parts: Vec<_> = blocks.chunks(blocks.len().div_ceil(PARTS).max(1)).collect();
        let parts: Vec<MergeResult<Vec<f64>>> = parts.into_par_iter().map(of_part).collect();
        let mut squares = vec![0.0; work.rows(0..0)?.columns];
        for part in parts {
            for (sum, square) in squares.iter_mut().zip(part?) {
                *sum += square;
            }
        }
        update.column_factors(&squares).map_err(|source| work.failed(source))
    }

    /// Merges and hands over some tensors, block by block in their order, each on the next thread
    /// that is free.
    fn write(&self, works: &[Work<'_>]) -> MergeResult<()> {
        let mut blocks = Vec::new();
        for (index, work) in works.iter().enumerate() {
            blocks.extend(work.blocks(index)?);
        }
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let outbox = Outbox::default();
        (0..rayon::current_num_threads()).into_par_iter().for_each(|_| {
            let mut scratch = Scratch::default();
            let mut work = || {
                while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(work) = works.get(block.work) else { break };
                    self.check_cancelled()?;
                    outbox.put(work.done(block, &mut scratch, &outbox)?);
                    outbox.hand_over(self, false)?;
                }
                outbox.hand_over(self, true)
            };
            if let Err(error) = work() {
                // The others stop at their next block.
                next.store(blocks.len(), Ordering::Relaxed);
                lock(&failed).get_or_insert(error);
            }
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.map_or(Ok(()), Err)
    }

    fn hand_over(&self, done: &Done<'_>) -> MergeResult<()> {
        (self.sink)(done.tensor, done.offset, &done.bytes)?;
        let bytes = done.bytes.len() as u64;
        (self.progress)(self.done.fetch_add(bytes, Ordering::Relaxed) + bytes);
        Ok(())
    }

    fn check_cancelled(&self) -> MergeResult<()> {
        match self.cancelled.load(Ordering::Relaxed) {
            true => Err(MergeError::Cancelled),
            false => Ok(()),
        }
    }
}

/// Blocks that are done and wait to be handed over.
///
/// One thread at a time hands over, while the others go on computing: those that write to one file
/// would only wait for each other, on most systems busily.
#[derive(Default)]
struct Outbox<'w> {
    waiting: Mutex<VecDeque<Done<'w>>>,
    handing_over: Mutex<()>,
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Bytes of a tensor, and where they begin in it.
struct Done<'w> {
    tensor: &'w str,
    offset: u64,
    bytes: Cow<'w, [u8]>,
}

impl<'w> Outbox<'w> {
    /// Memory for a block, of one that was handed over if there is any.
    fn spare(&self) -> Vec<u8> {
        lock(&self.spare).pop().unwrap_or_default()
    }

    fn put(&self, done: Done<'w>) {
        lock(&self.waiting).push_back(done);
    }

    /// Hands over what waits, unless another thread does and not too much waits; in the end whatever
    /// is left.
    fn hand_over(&self, run: &Run<'_>, end: bool) -> MergeResult<()> {
        let _handing_over = match self.handing_over.try_lock() {
            Ok(guard) => guard,
            Err(_) if !end && lock(&self.waiting).len() < WAITING => return Ok(()),
            Err(_) => lock(&self.handing_over),
        };
        loop {
            let Some(done) = lock(&self.waiting).pop_front() else { return Ok(()) };
            run.hand_over(&done)?;
            if let Cow::Owned(bytes) = done.bytes {
                lock(&self.spare).push(bytes);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'p> Work<'p> {
    fn simple(output: &'p Output<'p>) -> MergeResult<Self> {
        Ok(Self { output, source: output.source.bytes()?, column_factors: Vec::new() })
    }

    /// The parts of the tensor, in their order.
    fn blocks(&self, work: usize) -> MergeResult<Vec<Block>> {
        let (len, size) = if self.output.is_copy() {
            (self.source.len(), COPIED)
        } else {
            let bits = self.output.source.dtype().bits() as usize;
            let columns = match self.output.updates.is_empty() {
                true => 1,
                false => self.rows(0..0)?.columns.max(1),
            };
            (self.source.len() / (bits / 8).max(1), (BLOCK / columns).max(1) * columns)
        };
        let part = |start| Block { work, part: start..(start + size).min(len) };
        Ok((0..len).step_by(size).map(part).collect())
    }

    /// The rows that a part of a tensor with updates is.
    fn rows(&self, part: Range<usize>) -> MergeResult<Rows> {
        let (rows, columns) = self.output.rows_and_columns();
        let too_large = |_| MergeError::TooLarge { tensor: self.output.name.clone() };
        let of_rows = usize::try_from(rows).map_err(too_large)?;
        let columns = usize::try_from(columns).map_err(too_large)?;
        let rows = part.start / columns.max(1)..part.end / columns.max(1);
        Ok(Rows { rows, columns, of_rows })
    }

    /// Reads a part of what the tensor begins as.
    fn read(&self, part: Range<usize>, weights: &mut Vec<f32>) -> MergeResult<()> {
        weights.resize(part.len(), 0.0);
        self.widen(part, weights).map_err(|source| self.failed(source))
    }

    fn widen(&self, part: Range<usize>, weights: &mut [f32]) -> std::result::Result<(), CastError> {
        let dtype = self.output.source.dtype();
        let size = (dtype.bits() / 8) as usize;
        // No product overflows: all bytes lie in memory.
        let bytes = self.source.get(part.start * size..part.end * size).unwrap_or_default();
        widen(dtype, bytes, weights)
    }

    /// Computes a part of the result.
    fn merge(&self, part: Range<usize>, scratch: &mut Scratch) -> MergeResult<()> {
        self.read(part.clone(), &mut scratch.weights)?;
        if !self.output.updates.is_empty() {
            let rows = self.rows(part.clone())?;
            for (index, update) in self.output.updates.iter().enumerate() {
                let unmerged =
                    (index > 0).then_some(|out: &mut [f32]| self.widen(part.clone(), out));
                let factors = self.column_factors.get(index).map(Vec::as_slice).unwrap_or_default();
                let applied = update.apply(&rows, scratch, unmerged, factors);
                applied.map_err(|source| self.failed(source))?;
            }
        }
        self.check_finite(&scratch.weights)
    }

    /// Computes a block, in memory that the outbox has to spare.
    fn done<'w>(
        &'w self,
        block: &Block,
        scratch: &mut Scratch,
        outbox: &Outbox<'w>,
    ) -> MergeResult<Done<'w>> {
        let part = block.part.clone();
        let tensor = self.output.name.as_str();
        if self.output.is_copy() {
            let bytes = self.source.get(part.clone()).unwrap_or_default();
            return Ok(Done { tensor, offset: part.start as u64, bytes: Cow::Borrowed(bytes) });
        }
        self.merge(part.clone(), scratch)?;
        let size = (self.output.dtype.bits() / 8) as usize;
        let mut bytes = outbox.spare();
        bytes.resize(part.len() * size, 0);
        narrow(self.output.dtype, &scratch.weights, &mut bytes)
            .map_err(|source| self.failed(source))?;
        Ok(Done { tensor, offset: (part.start * size) as u64, bytes: Cow::Owned(bytes) })
    }

    /// Checks that nothing becomes infinite that was not; of what was computed, that all is finite.
    fn check_finite(&self, weights: &[f32]) -> MergeResult<()> {
        // The smallest number that is rounded to infinity. Numbers without a sign are ordered as their
        // bits are, NaN last.
        let infinite = f32::INFINITY.to_bits();
        let limit = match self.output.dtype {
            Dtype::F16 => 65520_f32.to_bits(),
            Dtype::BF16 => 0x7f7f_8000,
            _ => infinite,
        };
        let end = if self.output.updates.is_empty() { infinite } else { u32::MAX };
        let wrong = weights.iter().fold(0, |wrong, weight| {
            let bits = weight.abs().to_bits();
            wrong | u32::from((bits >= limit) & (bits < end))
        });
        if wrong != 0 {
            let (tensor, dtype) = (self.output.name.clone(), self.output.dtype);
            return Err(MergeError::NotFinite { tensor, dtype });
        }
        Ok(())
    }

    /// What was checked when the merge was planned failed all the same.
    fn failed(&self, source: CastError) -> MergeError {
        let path = std::path::PathBuf::new();
        MergeError::Read(TensorsError::Cast { path, tensor: self.output.name.clone(), source })
    }
}
