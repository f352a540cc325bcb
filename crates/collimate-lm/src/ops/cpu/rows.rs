use std::array;
use std::ops::Range;

use burn::tensor::TensorData;
use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Widen;

/// Numbers of one task: enough to be worth a thread, few enough for the nearest caches.
const BLOCK: usize = 1 << 13;

/// The rows of a tensor `[batch, sequence, width]`, wherever they lie; of fewer dimensions, the first
/// are 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a, T = f32> {
    data: &'a [T],
    pub(crate) batch: usize,
    pub(crate) sequence: usize,
    pub(crate) width: usize,
    strides: [usize; 2],
}

/// The tensor itself if the numbers of each of its rows lie side by side, else a copy that is so.
pub(crate) fn rows_of(tensor: FlexTensor) -> FlexTensor {
    let layout = tensor.layout();
    let sides = layout.shape().last().is_none_or(|&width| width <= 1)
        || layout.strides().last().is_none_or(|&stride| stride == 1);
    if sides && layout.strides().iter().all(|&stride| stride >= 0) {
        return tensor;
    }
    tensor.to_contiguous()
}

impl<'a> Rows<'a> {
    /// The rows of a tensor of [`rows_of`] that has at most three dimensions.
    pub(crate) fn new(tensor: &'a FlexTensor) -> Self {
        Self::of(tensor)
    }

    /// Numbers `column..column + width` of the rows of one of the batch.
    pub(crate) fn head(&self, batch: usize, column: usize, width: usize) -> Head<'a> {
        Head {
            data: &self.data[(batch * self.strides[0] + column).min(self.data.len())..],
            stride: self.strides[1],
            width,
        }
    }
}

impl<'a, T: Widen> Rows<'a, T> {
    /// As [`new`](Rows::new), of a tensor of this type.
    pub(crate) fn of(tensor: &'a FlexTensor) -> Self {
        let layout = tensor.layout();
        let (shape, strides) = (layout.shape(), layout.strides());
        let missing = 3 - shape.len().min(3);
        let dimension = |at: usize| at.checked_sub(missing);
        let size = |at| dimension(at).map_or(1, |at| shape[at]);
        let stride = |at| dimension(at).map_or(0, |at| strides[at].unsigned_abs());
        Self {
            data: &tensor.storage::<T>()[layout.start_offset()..],
            batch: size(0),
            sequence: size(1),
            width: size(2),
            strides: array::from_fn(stride),
        }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.batch * self.sequence
    }

    /// Row `at` of them all.
    #[inline(always)]
    pub(crate) fn row(&self, at: usize) -> &'a [T] {
        let begin = at / self.sequence * self.strides[0] + at % self.sequence * self.strides[1];
        &self.data[begin..][..self.width]
    }
}

/// The part of the rows of one of the batch that belongs to a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    data: &'a [f32],
    pub(crate) stride: usize,
    width: usize,
}

impl<'a> Head<'a> {
    #[inline(always)]
    pub(crate) fn row(&self, at: usize) -> &'a [f32] {
        &self.data[at * self.stride..][..self.width]
    }

    /// A copy of some rows, side by side: rows that are a power of two apart push each other out of
    /// the nearest cache.
    pub(crate) fn copied(self, rows: Range<usize>, to: &mut Vec<f32>) -> Head<'_> {
        to.clear();
        rows.for_each(|row| to.extend_from_slice(self.row(row)));
        Head { data: to, stride: self.width, width: self.width }
    }

    /// Everything from a number of a row on.
    #[inline(always)]
    pub(crate) fn from(&self, row: usize, column: usize) -> &'a [f32] {
        &self.data[row * self.stride + column..]
    }
}

/// A tensor `shape` of these numbers.
pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Runs `work` as it is compiled for the widest registers that this processor has.
fn wide<A, R>(work: &impl Fn(A) -> R, argument: A) -> R {
    Arch::new().dispatch(Wide { work, argument })
}

/// A call by reference: what is called is then always compiled into the place where it is called.
struct Wide<'a, F, A> {
    work: &'a F,
    argument: A,
}

impl<A, R, F: Fn(A) -> R> WithSimd for Wide<'_, F, A> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        (self.work)(self.argument)
    }
}

/// Runs `work` on blocks of rows of `out`, in parallel; it gets the number of the first.
pub(crate) fn each_block(
    out: &mut [f32],
    width: usize,
    work: impl Fn((usize, &mut [f32])) + Sync + Send,
) {
    let rows = rows_of_block(width);
    if out.len() <= rows * width {
        return wide(&work, (0, out));
    }
    let blocks = out.par_chunks_mut(rows * width).enumerate();
    blocks.for_each(|(at, block)| wide(&work, (at * rows, block)));
}

/// Runs `work` on each row of `out`, in parallel, and keeps what it gives; it gets the number of the
/// row.
pub(crate) fn each_row<R: Send>(
    out: &mut [f32],
    width: usize,
    results: &mut [R],
    work: impl Fn((usize, &mut [f32])) -> R + Sync + Send,
) {
    let rows = out.par_chunks_mut(width.max(1)).zip(results).enumerate();
    rows.for_each(|(at, (row, result))| *result = wide(&work, (at, row)));
}

/// The sum over blocks of `rows` rows of what `work` adds up; the order of the sum depends on nothing
/// but the number of rows and their width.
pub(crate) fn sum_of_blocks(
    rows: usize,
    width: usize,
    sums: usize,
    work: impl Fn((Range<usize>, &mut [f32])) + Sync + Send,
) -> Vec<f32> {
    // Blocks that are not so small that the sums themselves are the work.
    let block = 8 * rows_of_block(width);
    let part = |at: usize| {
        let mut part = vec![0.0; sums];
        let rows = at * block..((at + 1) * block).min(rows);
        wide(&work, (rows, part.as_mut_slice()));
        part
    };
    let parts: Vec<_> = (0..rows.div_ceil(block)).into_par_iter().map(part).collect();
    let mut sum = vec![0.0; sums];
    for part in parts {
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    sum
}

/// The sum of all rows.
pub(crate) fn sum_of_rows(x: Rows<'_>) -> FlexTensor {
    let sums = sum_of_blocks(
        x.len(),
        x.width,
        x.width,
        #[inline(always)]
        |(rows, sums): (Range<usize>, &mut [f32])| {
            for at in rows {
                sums.iter_mut().zip(x.row(at)).for_each(|(sum, x)| *sum += x);
            }
        },
    );
    tensor(sums, [x.width])
}

/// The sum of what `term` makes of each two numbers.
#[inline(always)]
pub(crate) fn lane_sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    // As many partial sums as four registers hold.
    const LANES: usize = 64;
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum += term(*a, *b);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}

fn rows_of_block(width: usize) -> usize {
    (BLOCK / width.max(1)).max(1)
}
