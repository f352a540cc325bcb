//! Per-class moments: everything that the moment-based indices need, in one pass.

mod accumulator;
mod chunk;

pub use accumulator::Accumulator;

use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::labels::Labels;
use chunk::CHUNK_ROWS;
use ndarray::{ArrayView2, Axis, Slice};

/// Size, mean and scatter of the rows of one class.
///
/// `scatter[j] = Σ w (x_j − mean_j)²`. Values are in units of `2^exponent` of the [`Moments`]
/// that hold them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClassMoments {
    /// Rows seen.
    pub(crate) count: u64,
    /// `Σ w`; the count where rows carry no weights.
    pub(crate) weight: f64,
    /// `Σ w²`; the count where rows carry no weights.
    pub(crate) weight_squared: f64,
    pub(crate) mean: Vec<f64>,
    pub(crate) scatter: Vec<f64>,
}

impl ClassMoments {
    fn empty(dim: usize) -> Self {
        Self {
            count: 0,
            weight: 0.0,
            weight_squared: 0.0,
            mean: vec![0.0; dim],
            scatter: vec![0.0; dim],
        }
    }

    /// `M2 = Σ w ‖x − mean‖²`.
    pub(crate) fn m2(&self) -> f64 {
        self.scatter.iter().sum()
    }

    /// Joins two disjoint sets of rows (Chan, Golub & LeVeque 1983).
    fn merge(&mut self, other: &Self) {
        if other.weight == 0.0 {
            self.count += other.count;
            return;
        }
        if self.weight == 0.0 {
            let count = self.count;
            self.clone_from(other);
            self.count += count;
            return;
        }
        let weight = self.weight + other.weight;
        let share = other.weight / weight;
        let factor = self.weight * share;
        let columns = self.mean.iter_mut().zip(&mut self.scatter);
        for ((mean, scatter), (mean_b, scatter_b)) in
            columns.zip(other.mean.iter().zip(&other.scatter))
        {
            let delta = mean_b - *mean;
            *mean += delta * share;
            *scatter += scatter_b + delta * delta * factor;
        }
        self.count += other.count;
        self.weight = weight;
        self.weight_squared += other.weight_squared;
    }

    /// Multiplies the coordinates by `2^power`.
    fn scale(&mut self, power: i32) {
        for mean in &mut self.mean {
            *mean = times_power_of_two(*mean, power);
        }
        for scatter in &mut self.scatter {
            *scatter = times_power_of_two(*scatter, 2 * power);
        }
    }
}

/// `x · 2^power` without overflow of the factor itself.
pub(crate) fn times_power_of_two(x: f64, power: i32) -> f64 {
    let half = power / 2;
    x * f64::powi(2.0, half) * f64::powi(2.0, power - half)
}

/// Per-class size, mean and scatter of a set of rows: the state from which
/// [`Dispersion`](crate::Dispersion) and with it Calinski-Harabasz, Xie-Beni and AQI follow.
///
/// Memory is `O(k · d)` for `k` classes in `d` dimensions, however many rows were seen. Sums are
/// accumulated in `f64` whatever the input type, over fixed chunks of 256 rows (two passes in
/// cache, the mean first) that are merged in a fixed binary tree: the result is the same bytes
/// for any number of threads, and the same whether rows came as one array or one by one.
///
/// States of shards or machines are joined with [`merge`](Self::merge).
///
/// ```
/// use collimate_aqi::{Labels, Moments};
/// use ndarray::array;
/// let rows = array![[0.0_f32], [2.0], [10.0], [12.0]];
/// let moments = Moments::from_rows(rows.view(), &Labels::new([0, 0, 1, 1])?)?;
/// assert_eq!(moments.dispersion()?.calinski_harabasz()?, 50.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    pub(crate) dim: usize,
    pub(crate) names: Vec<String>,
    /// Coordinates are stored divided by `2^exponent`; `None` while every value is zero.
    pub(crate) exponent: Option<i32>,
    pub(crate) classes: Vec<ClassMoments>,
}

impl Moments {
    /// The state of no rows, for `classes` in `dim` dimensions.
    ///
    /// # Errors
    /// [`AqiError::ZeroDim`] for no dimension, [`AqiError::Empty`] for no class.
    pub fn empty<S: Into<String>>(
        classes: impl IntoIterator<Item = S>,
        dim: usize,
    ) -> Result<Self> {
        let names: Vec<String> = classes.into_iter().map(Into::into).collect();
        if dim == 0 {
            return Err(AqiError::ZeroDim);
        }
        if names.is_empty() {
            return Err(AqiError::Empty);
        }
        Ok(Self::zero(names, dim))
    }

    fn zero(names: Vec<String>, dim: usize) -> Self {
        let classes = vec![ClassMoments::empty(dim); names.len()];
        Self { dim, names, exponent: None, classes }
    }

    /// The moments of `rows`, `[n, d]`, in one parallel pass.
    ///
    /// # Errors
    /// [`AqiError::ZeroDim`], [`AqiError::Shape`] if there is not one label for each row,
    /// [`AqiError::NonFinite`] for the first NaN or infinity of the first chunk that has one.
    pub fn from_rows<F: Element>(rows: ArrayView2<'_, F>, labels: &Labels) -> Result<Self> {
        Self::collect(rows, labels, None)
    }

    /// The same with a weight for each row: a row of weight 2 counts as two rows in
    /// Calinski-Harabasz and Xie-Beni; the debiased `ρ` uses the effective size `(Σw)²/Σw²`.
    ///
    /// # Errors
    /// As [`from_rows`](Self::from_rows); [`AqiError::Parameter`] for a weight that is negative
    /// or not finite.
    pub fn from_weighted_rows<F: Element>(
        rows: ArrayView2<'_, F>,
        labels: &Labels,
        weights: &[f64],
    ) -> Result<Self> {
        if weights.len() != rows.nrows() {
            return Err(AqiError::Shape {
                what: "weights",
                expected: rows.nrows(),
                found: weights.len(),
            });
        }
        if let Some(bad) = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
            return Err(AqiError::parameter("weight", bad, "a finite number, zero or more"));
        }
        Self::collect(rows, labels, Some(weights))
    }

    fn collect<F: Element>(
        rows: ArrayView2<'_, F>,
        labels: &Labels,
        weights: Option<&[f64]>,
    ) -> Result<Self> {
        if rows.ncols() == 0 {
            return Err(AqiError::ZeroDim);
        }
        labels.check_len(rows.nrows())?;
        let chunks = rows.nrows().div_ceil(CHUNK_ROWS);
        tree(0, chunks, &|index| {
            let start = index * CHUNK_ROWS;
            let end = (start + CHUNK_ROWS).min(rows.nrows());
            chunk::moments_of(
                rows.slice_axis(Axis(0), Slice::from(start..end)),
                &labels.codes()[start..end],
                weights.map(|w| &w[start..end]),
                labels.classes(),
                start,
            )
        })
    }

    /// Joins the moments of two disjoint sets of rows.
    ///
    /// # Errors
    /// [`AqiError::Incompatible`] if dimensions or classes differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.dim != other.dim {
            return Err(AqiError::Incompatible {
                what: "dimensions",
                left: self.dim.to_string(),
                right: other.dim.to_string(),
            });
        }
        if self.names != other.names {
            return Err(AqiError::Incompatible {
                what: "classes",
                left: self.names.join(", "),
                right: other.names.join(", "),
            });
        }
        self.absorb(other);
        Ok(())
    }

    /// [`merge`](Self::merge) of states that are known to fit.
    fn absorb(&mut self, other: &Self) {
        let Some(theirs) = other.exponent else {
            for (a, b) in self.classes.iter_mut().zip(&other.classes) {
                a.merge(b);
            }
            return;
        };
        let ours = *self.exponent.get_or_insert(theirs);
        let exponent = ours.max(theirs);
        if exponent != ours {
            self.classes.iter_mut().for_each(|class| class.scale(ours - exponent));
            self.exponent = Some(exponent);
        }
        for (a, b) in self.classes.iter_mut().zip(&other.classes) {
            if exponent == theirs {
                a.merge(b);
            } else {
                let mut b = b.clone();
                b.scale(theirs - exponent);
                a.merge(&b);
            }
        }
    }

    /// Lets the past fade: multiplies every weight by `factor`.
    ///
    /// # Errors
    /// [`AqiError::Parameter`] unless `0 < factor ≤ 1`.
    pub fn decay(&mut self, factor: f64) -> Result<()> {
        if !(factor > 0.0 && factor <= 1.0) {
            return Err(AqiError::parameter("decay factor", factor, "a number in (0, 1]"));
        }
        for class in &mut self.classes {
            class.weight *= factor;
            class.weight_squared *= factor * factor;
            class.scatter.iter_mut().for_each(|scatter| *scatter *= factor);
        }
        Ok(())
    }

    /// Number of dimensions `d`.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Names of the classes, in the order of the other accessors.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.names
    }

    /// Rows seen of each class.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        self.classes.iter().map(|class| class.count).collect()
    }

    /// The mean of a class, `[d]`; `None` for a class that does not exist or has no rows.
    #[must_use]
    pub fn mean(&self, class: usize) -> Option<Vec<f64>> {
        let part = self.classes.get(class).filter(|part| part.weight > 0.0)?;
        let exponent = self.exponent.unwrap_or(0);
        Some(part.mean.iter().map(|&mean| times_power_of_two(mean, exponent)).collect())
    }

    /// Largest share of the within-class scatter `W` that a single dimension holds: near 1 when
    /// one rogue dimension dominates every distance. `None` where `W = 0`.
    #[must_use]
    pub fn top_dimension_share(&self) -> Option<f64> {
        let column = |j: usize| self.classes.iter().map(|class| class.scatter[j]).sum::<f64>();
        let (top, total) = (0..self.dim)
            .map(column)
            .fold((0.0_f64, 0.0), |(top, total), value| (top.max(value), total + value));
        (total > 0.0).then(|| top / total)
    }
}

/// Reduces chunks `from..to` in the fixed tree: the left branch takes the largest power of two
/// below the number of chunks, which is also what a binary counter does in a stream.
fn tree<L>(from: usize, to: usize, leaf: &L) -> Result<Moments>
where
    L: Fn(usize) -> Result<Moments> + Sync,
{
    if to - from == 1 {
        return leaf(from);
    }
    let middle = from + (to - from).next_power_of_two() / 2;
    let (left, right) = rayon::join(|| tree(from, middle, leaf), || tree(middle, to, leaf));
    let mut left = left?;
    left.absorb(&right?);
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn sample(n: usize, d: usize) -> (Array2<f64>, Labels) {
        let rows = Array2::from_shape_fn((n, d), |(i, j)| {
            f64::from(((7919 * i + 104_729 * j + 31 * i * j) % 1000) as u32)
        });
        (rows, Labels::new((0..n).map(|i| i % 3)).unwrap())
    }

    #[test]
    fn one_by_one_equals_the_array_bit_for_bit() -> Result<()> {
        let (rows, labels) = sample(3 * CHUNK_ROWS + 17, 5);
        let whole = Moments::from_rows(rows.view(), &labels)?;
        let mut stream = Accumulator::new(labels.classes(), 5)?;
        for (row, &code) in rows.rows().into_iter().zip(labels.codes()) {
            stream.push(row.as_slice().unwrap(), code)?;
        }
        assert_eq!(stream.finish()?, whole);
        Ok(())
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() -> Result<()> {
        let (rows, labels) = sample(5 * CHUNK_ROWS + 3, 7);
        let on = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| Moments::from_rows(rows.view(), &labels))
        };
        let one = on(1)?;
        assert_eq!(on(2)?, one);
        assert_eq!(on(5)?, one);
        Ok(())
    }

    #[test]
    fn weights_count_like_repeated_rows() -> Result<()> {
        let rows = array![[1.0, 2.0], [4.0, 0.0], [7.0, 7.0]];
        let labels = Labels::new(["a", "a", "b"])?;
        let weighted = Moments::from_weighted_rows(rows.view(), &labels, &[2.0, 1.0, 0.0])?;
        let repeated = Moments::from_rows(
            array![[1.0, 2.0], [1.0, 2.0], [4.0, 0.0]].view(),
            &Labels::new(["a", "a", "a"])?,
        )?;
        assert_eq!(weighted.mean(0), repeated.mean(0));
        assert!((weighted.classes[0].m2() - repeated.classes[0].m2()).abs() < 1e-14);
        assert_eq!(weighted.counts(), [2, 0]);
        assert_eq!(weighted.mean(1), None);
        Ok(())
    }

    #[test]
    fn a_non_finite_value_is_named_by_row_and_column() {
        let mut rows = Array2::<f32>::zeros((2 * CHUNK_ROWS, 3));
        rows[[CHUNK_ROWS + 5, 2]] = f32::NAN;
        let labels = Labels::new((0..rows.nrows()).map(|i| i % 2)).unwrap();
        let error = Moments::from_rows(rows.view(), &labels).unwrap_err();
        assert!(
            matches!(error, AqiError::NonFinite { row, col: 2, .. } if row == CHUNK_ROWS + 5),
            "{error}"
        );
    }

    #[test]
    fn states_of_other_shapes_do_not_merge() -> Result<()> {
        let mut a = Moments::empty(["x", "y"], 3)?;
        assert!(matches!(
            a.merge(&Moments::empty(["x", "y"], 4)?),
            Err(AqiError::Incompatible { what: "dimensions", .. })
        ));
        assert!(matches!(
            a.merge(&Moments::empty(["x", "z"], 3)?),
            Err(AqiError::Incompatible { what: "classes", .. })
        ));
        Ok(())
    }

    #[test]
    fn shards_of_very_different_scale_merge_without_loss() -> Result<()> {
        let labels = Labels::new([0, 0, 1, 1])?;
        let tiny = array![[0.0], [2.0], [10.0], [12.0]].mapv(|x: f64| x * 1e-200);
        let zero = Array2::<f64>::zeros((4, 1));
        let mut merged = Moments::from_rows(zero.view(), &labels)?;
        merged.merge(&Moments::from_rows(tiny.view(), &labels)?)?;
        let together = ndarray::concatenate![ndarray::Axis(0), zero, tiny];
        let expected =
            Moments::from_rows(together.view(), &Labels::new([0, 0, 1, 1, 0, 0, 1, 1])?)?;
        let ratio = merged.dispersion()?.xie_beni() / expected.dispersion()?.xie_beni();
        assert!((ratio - 1.0).abs() < 1e-14);
        Ok(())
    }

    #[test]
    fn shards_in_different_units_merge_to_the_larger_one() -> Result<()> {
        let labels = Labels::new([0, 0, 1, 1])?;
        let rows = array![[0.0], [2.0], [10.0], [12.0]];
        for (ours, theirs) in [(1.0, 1e200), (1e200, 1.0), (1.0, 1e-200), (1e-200, 1e200)] {
            let mut merged = Moments::from_rows((&rows * ours).view(), &labels)?;
            merged.merge(&Moments::from_rows((&rows * theirs).view(), &labels)?)?;
            // Beside rows of the larger unit those of the smaller one all lie at zero.
            let larger = &rows * f64::max(ours, theirs);
            let together = ndarray::concatenate![ndarray::Axis(0), larger, Array2::zeros((4, 1))];
            let eight = Labels::new([0, 0, 1, 1, 0, 0, 1, 1])?;
            let expected = Moments::from_rows(together.view(), &eight)?.dispersion()?;
            let ratio = merged.dispersion()?.xie_beni() / expected.xie_beni();
            assert!((ratio - 1.0).abs() < 1e-14, "{ours} {theirs}: {ratio}");
        }
        Ok(())
    }
}
