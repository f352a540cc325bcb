use std::ops::Range;

use collimate_tensors::CastError;

use super::product::Factors;
use crate::adapter::AdapterTensor;

/// What one adapter adds to one tensor of the base model.
#[derive(Debug)]
pub(super) struct Update<'a> {
    pub(super) form: Form<'a>,
    pub(super) scale: f32,
    /// DoRA: the norm that every output has afterwards.
    pub(super) magnitude: Option<AdapterTensor<'a>>,
}

/// How the product lies in the tensor.
#[derive(Debug)]
pub(super) enum Form<'a> {
    /// B·A in weights `[out, in]`.
    Linear { a: AdapterTensor<'a>, b: AdapterTensor<'a>, rank: usize },
    /// (B·A)ᵀ in weights `[in, out]`: GPT-2's linear modules, and embeddings.
    Transposed { a: AdapterTensor<'a>, b: AdapterTensor<'a>, rank: usize },
    /// The bias of B in a bias.
    Bias { bias: AdapterTensor<'a> },
}

/// Memory that is used again for every block.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) weights: Vec<f32>,
    unmerged: Vec<f32>,
    numbers: Vec<f32>,
    column: Vec<f32>,
    factors: Factors,
    /// Whose R the factors hold: the address of an update, none of which moves during a merge.
    right_of: Option<usize>,
}

/// A few whole rows of a tensor.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) rows: Range<usize>,
    pub(super) columns: usize,
    /// Rows of the whole tensor.
    pub(super) of_rows: usize,
}

impl Update<'_> {
    /// Whether DoRA's norms go over the rows, so that all of them must be known first.
    pub(super) fn has_column_norms(&self) -> bool {
        self.magnitude.is_some() && matches!(self.form, Form::Transposed { .. })
    }

    /// Adds the update to `scratch.weights`, which holds these rows with the updates before this one.
    /// `unmerged` gives the rows of the base model, which DoRA's norms are taken of with this update
    /// alone; `column_factors` is what [`Update::column_factors`] returned.
    pub(super) fn apply(
        &self,
        at: &Rows,
        scratch: &mut Scratch,
        unmerged: Option<impl FnOnce(&mut [f32]) -> Result<(), CastError>>,
        column_factors: &[f32],
    ) -> Result<(), CastError> {
        self.prepare(at, scratch)?;
        let Some(magnitude) = &self.magnitude else {
            scratch.factors.add_to(self.scale, &mut scratch.weights);
            return Ok(());
        };
        if self.has_column_norms() {
            scratch.factors.add_to(self.scale, &mut scratch.weights);
            for row in scratch.weights.chunks_mut(at.columns) {
                for (weight, factor) in row.iter_mut().zip(column_factors) {
                    *weight *= factor;
                }
            }
            return Ok(());
        }
        let alone = if let Some(unmerged) = unmerged {
            scratch.unmerged.resize(scratch.weights.len(), 0.0);
            unmerged(&mut scratch.unmerged)?;
            scratch.factors.add_to(self.scale, &mut scratch.unmerged);
            true
        } else {
            false
        };
        scratch.factors.add_to(self.scale, &mut scratch.weights);
        magnitude.read_f32(at.rows.clone(), &mut scratch.numbers)?;
        for (index, (row, magnitude)) in
            scratch.weights.chunks_mut(at.columns).zip(&scratch.numbers).enumerate()
        {
            let begin = index * at.columns;
            let alone = alone.then(|| scratch.unmerged.get(begin..begin + at.columns)).flatten();
            let factor = magnitude / norm(alone.unwrap_or(row));
            row.iter_mut().for_each(|weight| *weight *= factor);
        }
        Ok(())
    }

    /// Adds the squares of these rows of the base model, in `scratch.weights`, with the update to
    /// the sum of each column.
    pub(super) fn add_squares(
        &self,
        at: &Rows,
        scratch: &mut Scratch,
        squares: &mut [f64],
    ) -> Result<(), CastError> {
        self.prepare(at, scratch)?;
        scratch.factors.add_to(self.scale, &mut scratch.weights);
        for row in scratch.weights.chunks(at.columns) {
            for (sum, &weight) in squares.iter_mut().zip(row) {
                *sum += f64::from(weight) * f64::from(weight);
            }
        }
        Ok(())
    }

    /// What every column is multiplied by, from the sums of its squares.
    pub(super) fn column_factors(&self, squares: &[f64]) -> Result<Vec<f32>, CastError> {
        let mut factors = Vec::new();
        if let Some(magnitude) = &self.magnitude {
            magnitude.read_f32(0..squares.len(), &mut factors)?;
        }
        for (factor, sum) in factors.iter_mut().zip(squares) {
            *factor /= sum.sqrt() as f32;
        }
        Ok(factors)
    }

    /// Reads the parts of A and B that these rows need.
    fn prepare(&self, at: &Rows, scratch: &mut Scratch) -> Result<(), CastError> {
        let (numbers, factors) = (&mut scratch.numbers, &mut scratch.factors);
        let is_new = scratch.right_of != Some(std::ptr::from_ref(self).addr());
        let Range { start, end } = at.rows;
        let (rows, columns) = (end - start, at.columns);
        // Within what was read: anything else is an error of length.
        let value = |numbers: &[f32], at: usize| numbers.get(at).copied().unwrap_or(f32::NAN);
        match &self.form {
            Form::Linear { a, b, rank } => {
                b.read_f32(start * rank..end * rank, numbers)?;
                factors.set_left(rows, *rank, |row, k| value(numbers, row * rank + k));
                if is_new {
                    a.read_f32(0..rank * columns, numbers)?;
                    let right = |k, column| value(numbers, k * columns + column);
                    factors.set_right(*rank, columns, right);
                }
            }
            Form::Transposed { a, b, rank } => {
                numbers.clear();
                for k in 0..*rank {
                    let first = k * at.of_rows;
                    a.read_f32(first + start..first + end, &mut scratch.column)?;
                    numbers.extend(&scratch.column);
                }
                factors.set_left(rows, *rank, |row, k| value(numbers, k * rows + row));
                if is_new {
                    b.read_f32(0..columns * rank, numbers)?;
                    let right = |k, column| value(numbers, column * rank + k);
                    factors.set_right(*rank, columns, right);
                }
            }
            Form::Bias { bias } => {
                bias.read_f32(0..columns, numbers)?;
                factors.set_left(rows, 1, |_, _| 1.0);
                factors.set_right(1, columns, |_, column| value(numbers, column));
            }
        }
        scratch.right_of = Some(std::ptr::from_ref(self).addr());
        Ok(())
    }
}

/// The Euclidean norm, summed in several places at once and in double precision.
fn norm(numbers: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0_f64; LANES];
    let (chunks, rest) = numbers.as_chunks::<LANES>();
    for chunk in chunks {
        for (sum, &number) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(number) * f64::from(number);
        }
    }
    for (sum, &number) in sums.iter_mut().zip(rest) {
        *sum += f64::from(number) * f64::from(number);
    }
    sums.iter().sum::<f64>().sqrt() as f32
}
