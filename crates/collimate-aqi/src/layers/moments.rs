//! The sufficient statistics of layers: every weighting of them costs a few small products.

use super::read::{Reader, check_layers, check_shape};
use super::scales::{LayerScales, LayerScaling, check_scaled};
use super::weights::LayerWeights;
use crate::dispersion::{COINCIDENT, Dispersion};
use crate::element::{Element, Lane};
use crate::error::{AqiError, Result};
use crate::labels::Labels;
use crate::moments::times_power_of_two;
use ndarray::{Array1, Array2, ArrayView2, ArrayView3, Axis, Slice, Zip};

/// Rows of one chunk, and values of one chunk where rows are long. Part of what makes results
/// reproducible: never depends on the machine.
const CHUNK_ROWS: usize = 256;
const CHUNK_VALUES: usize = 1 << 21;
const FEWEST_CHUNK_ROWS: usize = 8;

/// Values between `2^-SAFE` and `2^SAFE` can be squared and summed as they are.
const SAFE: i32 = 300;

/// A sum of squares below this share of its terms is rounding.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

#[derive(Clone, Debug, PartialEq)]
struct ClassLayers {
    count: u64,
    /// `[L, d]`.
    mean: Array2<f64>,
    /// `C_lm = Σ_i (x_i^l − μ^l)·(x_i^m − μ^m)`, `[L, L]`.
    scatter: Array2<f64>,
}

impl ClassLayers {
    fn empty(layers: usize, dim: usize) -> Self {
        Self {
            count: 0,
            mean: Array2::zeros((layers, dim)),
            scatter: Array2::zeros((layers, layers)),
        }
    }

    /// Joins two disjoint sets of rows (Chan, Golub & LeVeque 1983).
    fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            self.clone_from(other);
            return;
        }
        let (ours, theirs) = (self.count as f64, other.count as f64);
        let share = theirs / (ours + theirs);
        let delta = &other.mean - &self.mean;
        self.mean.scaled_add(share, &delta);
        self.scatter += &other.scatter;
        self.scatter.scaled_add(ours * share, &gram(&delta.view()));
        self.count += other.count;
    }

    fn scale(&mut self, power: i32) {
        self.mean.mapv_inplace(|x| times_power_of_two(x, power));
        self.scatter.mapv_inplace(|x| times_power_of_two(x, 2 * power));
    }
}

/// Per-class size, layer means and layer-by-layer scatter of activations `[n, L, d]`: the state
/// from which the [`Dispersion`] of any weighted sum of layers follows without the rows.
///
/// With `A_ab,lm = δ_ab^l·δ_ab^m` and `C_c,lm = Σ_{i∈c} (x_i^l − μ_c^l)·(x_i^m − μ_c^m)` the
/// embedding `Σ_l α_l h^(l)` has `δ²_ab = αᵀ A_ab α` and `M2_c = αᵀ C_c α`. Memory is
/// `O(k L (d + L))`, one pass costs `O(n L² d)`, any `α` then `O(k² L d + k L²)`.
///
/// Sums are accumulated in `f64` over fixed chunks that are merged in a fixed binary tree: the
/// result is the same bytes for any number of threads. States of shards are joined with
/// [`merge`](Self::merge).
///
/// ```
/// use collimate_aqi::{Labels, LayerMoments, LayerWeights};
/// use ndarray::Array3;
/// // Two layers in one dimension; the second is the first upside down and twice as long.
/// let rows = [[0.0, 0.0], [2.0, -4.0], [10.0, -20.0], [12.0, -24.0]];
/// let activations = Array3::from_shape_fn((4, 2, 1), |(i, l, _)| rows[i][l]);
/// let labels = Labels::new([0, 0, 1, 1])?;
/// let moments = LayerMoments::from_rows(activations.view(), &labels)?;
/// let dispersion = moments.dispersion(&LayerWeights::fixed(vec![0.25, 0.75])?)?;
/// assert_eq!(dispersion.calinski_harabasz()?, 50.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LayerMoments {
    layers: usize,
    dim: usize,
    names: Vec<String>,
    /// Coordinates are stored divided by `2^exponent`; `None` while every value is zero.
    exponent: Option<i32>,
    classes: Vec<ClassLayers>,
}

impl LayerMoments {
    /// The statistics of activations `[n, L, d]`, in one parallel pass.
    ///
    /// # Errors
    /// [`AqiError::Empty`], [`AqiError::ZeroDim`] without layers or dimensions,
    /// [`AqiError::Shape`] if there is not one label for each row,
    /// [`AqiError::NonFiniteLayer`] for a NaN or an infinity.
    pub fn from_rows<F: Element>(activations: ArrayView3<'_, F>, labels: &Labels) -> Result<Self> {
        check_shape(&activations)?;
        labels.check_len(activations.len_of(Axis(0)))?;
        let rows: Vec<usize> = (0..labels.len()).collect();
        Self::from_some_rows(&activations, labels, &rows)
    }

    /// The same of the rows listed, which exist, at least one.
    pub(super) fn from_some_rows<F: Element>(
        activations: &ArrayView3<'_, F>,
        labels: &Labels,
        rows: &[usize],
    ) -> Result<Self> {
        let (_, layers, dim) = activations.dim();
        let per_chunk = (CHUNK_VALUES / (layers * dim)).clamp(FEWEST_CHUNK_ROWS, CHUNK_ROWS);
        tree(0, rows.len().div_ceil(per_chunk), &|index| {
            let start = index * per_chunk;
            let end = (start + per_chunk).min(rows.len());
            Self::of_chunk(activations, labels, &rows[start..end])
        })
    }

    fn of_chunk<F: Element>(
        activations: &ArrayView3<'_, F>,
        labels: &Labels,
        rows: &[usize],
    ) -> Result<Self> {
        let (_, layers, dim) = activations.dim();
        let k = labels.class_count();
        let mut counts = vec![0; k];
        for &row in rows {
            counts[labels.codes()[row]] += 1;
        }
        let mut next: Vec<usize> = counts
            .iter()
            .scan(0, |sum, count| {
                *sum += count;
                Some(*sum - count)
            })
            .collect();
        // `[L, rows · d]`, the rows of each class side by side.
        let mut values = Array2::<f64>::zeros((layers, rows.len() * dim));
        let mut reader = Reader::<F>::new();
        for &row in rows {
            let place = &mut next[labels.codes()[row]];
            let columns = Slice::from(*place * dim..(*place + 1) * dim);
            *place += 1;
            let sample = reader.read(activations, row)?;
            let mut target = values.slice_axis_mut(Axis(1), columns);
            for (mut line, layer) in target.rows_mut().into_iter().zip(sample.chunks_exact(dim)) {
                for (to, from) in line.iter_mut().zip(layer) {
                    *to = *from;
                }
            }
        }
        let exponent = if <F::Lane as Lane>::WIDE { exponent_of(&values) } else { Some(0) };
        if let Some(exponent) = exponent.filter(|&exponent| exponent != 0) {
            values.mapv_inplace(|x| times_power_of_two(x, -exponent));
        }
        let mut end = 0;
        let classes = counts
            .iter()
            .map(|&count| {
                let columns = Slice::from(end * dim..(end + count) * dim);
                end += count;
                if count == 0 {
                    return ClassLayers::empty(layers, dim);
                }
                let mut part = values.slice_axis_mut(Axis(1), columns);
                let mut mean = Array2::zeros((layers, dim));
                for (line, mean) in part.rows_mut().into_iter().zip(mean.rows_mut()) {
                    centre(line, mean, count);
                }
                ClassLayers { count: count as u64, mean, scatter: gram(&part.view()) }
            })
            .collect();
        Ok(Self { layers, dim, names: labels.classes().to_vec(), exponent, classes })
    }

    /// Joins the statistics of two disjoint sets of rows.
    ///
    /// # Errors
    /// [`AqiError::Incompatible`] if layers, dimensions or classes differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let shape = |of: &Self| format!("{} layers of {} dimensions", of.layers, of.dim);
        if (self.layers, self.dim) != (other.layers, other.dim) {
            return Err(AqiError::Incompatible {
                what: "activations",
                left: shape(self),
                right: shape(other),
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
        let theirs = other.exponent.or(self.exponent);
        let ours = self.exponent.or(theirs);
        self.exponent = ours.max(theirs);
        let shift = |from: Option<i32>| from.unwrap_or(0) - self.exponent.unwrap_or(0);
        let (ours, theirs) = (shift(ours), shift(theirs));
        for (a, b) in self.classes.iter_mut().zip(&other.classes) {
            if ours != 0 {
                a.scale(ours);
            }
            if theirs == 0 {
                a.merge(b);
            } else {
                let mut b = b.clone();
                b.scale(theirs);
                a.merge(&b);
            }
        }
    }

    /// Number of layers `L`.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Number of dimensions `d`.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Names of the classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.names
    }

    /// Rows seen of each class.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        self.classes.iter().map(|class| class.count).collect()
    }

    /// Layers whose rows are all equal, for example the embedding of a token that ends every
    /// prompt: they cannot separate anything.
    #[must_use]
    pub fn constant_layers(&self) -> Vec<usize> {
        let totals = self.totals();
        (0..self.layers).filter(|&l| totals[l] == 0.0).collect()
    }

    /// The divisor of each layer under `scaling`, as these rows have it.
    ///
    /// # Errors
    /// [`AqiError::Empty`] before the first row.
    pub fn scales(&self, scaling: LayerScaling) -> Result<LayerScales> {
        let n: u64 = self.counts().iter().sum();
        if n == 0 {
            return Err(AqiError::Empty);
        }
        if scaling == LayerScaling::None {
            return LayerScales::none(self.layers);
        }
        let exponent = self.exponent.unwrap_or(0);
        let totals = self.totals();
        let divisors = (0..self.layers).map(|l| {
            let norm = || {
                let class = self.classes.iter().find(|class| class.count > 0);
                class.map_or(0.0, |class| class.mean.row(l).dot(&class.mean.row(l)))
            };
            let square = if totals[l] > 0.0 { totals[l] / n as f64 } else { norm() };
            if square == 0.0 {
                return 1.0;
            }
            times_power_of_two(square.sqrt(), exponent).clamp(f64::from_bits(1), f64::MAX)
        });
        LayerScales::new(scaling, divisors.collect())
    }

    /// The statistics of layers that are divided by `scales`: `C_lm / (s_l s_m)`.
    ///
    /// # Errors
    /// [`AqiError::Shape`] for another number of layers; [`AqiError::Parameter`] if a quotient
    /// overflows.
    pub fn scaled(&self, scales: &LayerScales) -> Result<Self> {
        check_layers("layer scales", self.layers, scales.divisors().len())?;
        if scales.divisors().iter().all(|&divisor| divisor == 1.0) {
            return Ok(self.clone());
        }
        let exponent = self.exponent.unwrap_or(0);
        let divisors = scales.divisors().iter();
        let divisors: Vec<f64> =
            divisors.map(|&divisor| times_power_of_two(divisor, -exponent)).collect();
        let mut scaled = self.clone();
        scaled.exponent = self.exponent.map(|_| 0);
        for class in &mut scaled.classes {
            for (mut line, divisor) in class.mean.rows_mut().into_iter().zip(&divisors) {
                line.mapv_inplace(|x| x / divisor);
            }
            for ((l, m), value) in class.scatter.indexed_iter_mut() {
                // In an order that keeps the matrix symmetric to the last bit.
                *value = *value / divisors[l.min(m)] / divisors[l.max(m)];
            }
            let values = class.mean.iter().chain(&class.scatter);
            values.copied().try_for_each(check_scaled)?;
        }
        Ok(scaled)
    }

    /// The statistics of `Σ_l α_l h^(l)`: the same as from the pooled rows.
    ///
    /// # Errors
    /// [`AqiError::Shape`] for another number of layers, [`AqiError::Empty`] before the first
    /// row, [`AqiError::SingleClass`], [`AqiError::EmptyClass`], [`AqiError::DegenerateData`] if
    /// all pooled rows are identical.
    pub fn dispersion(&self, weights: &LayerWeights) -> Result<Dispersion> {
        check_layers("layer weights", self.layers, weights.values().len())?;
        self.check_classes()?;
        self.weighted(weights.values()).ok_or(AqiError::DegenerateData)
    }

    /// The statistics of each layer by itself, `[L]`; `None` for a layer whose rows are all
    /// equal.
    ///
    /// # Errors
    /// [`AqiError::Empty`] before the first row, [`AqiError::SingleClass`],
    /// [`AqiError::EmptyClass`].
    pub fn profile(&self) -> Result<Vec<Option<Dispersion>>> {
        self.check_classes()?;
        let single = |layer| {
            let mut weights = vec![0.0; self.layers];
            weights[layer] = 1.0;
            self.weighted(&weights)
        };
        Ok((0..self.layers).map(single).collect())
    }

    pub(super) fn check_classes(&self) -> Result<()> {
        let with_rows = self.classes.iter().filter(|class| class.count > 0).count();
        let name = |empty: bool| {
            let at = self.classes.iter().position(|class| (class.count == 0) == empty);
            self.names[at.unwrap_or_default()].clone()
        };
        match with_rows {
            0 => Err(AqiError::Empty),
            1 => Err(AqiError::SingleClass { class: name(false) }),
            some if some < self.classes.len() => Err(AqiError::EmptyClass { class: name(true) }),
            _ => Ok(()),
        }
    }

    /// `Σ_c C_c`, `[L, L]`.
    pub(super) fn within(&self) -> Array2<f64> {
        let mut sum = Array2::zeros((self.layers, self.layers));
        for class in &self.classes {
            sum += &class.scatter;
        }
        sum
    }

    /// The mean of `A_ab` over all pairs of classes, `[L, L]`.
    pub(super) fn mean_gap(&self) -> Array2<f64> {
        let mut sum = Array2::zeros((self.layers, self.layers));
        let pairs = self.pairs();
        for &(a, b) in &pairs {
            let delta = &self.classes[a].mean - &self.classes[b].mean;
            sum += &gram(&delta.view());
        }
        sum / pairs.len().max(1) as f64
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        let k = self.classes.len();
        (0..k).flat_map(|a| (a + 1..k).map(move |b| (a, b))).collect()
    }

    /// `Tot_ll`, the scatter of each layer around its grand mean.
    fn totals(&self) -> Vec<f64> {
        let n: f64 = self.classes.iter().map(|class| class.count as f64).sum();
        let mut totals: Array1<f64> = Array1::zeros(self.layers);
        for class in &self.classes {
            totals += &class.scatter.diag();
        }
        for (a, b) in self.pairs() {
            let (a, b) = (&self.classes[a], &self.classes[b]);
            let share = a.count as f64 * b.count as f64 / n;
            if share > 0.0 {
                let delta = &a.mean - &b.mean;
                for (total, line) in totals.iter_mut().zip(delta.rows()) {
                    *total += share * line.dot(&line);
                }
            }
        }
        totals.to_vec()
    }

    /// `None` where all pooled rows are identical.
    fn weighted(&self, weights: &[f64]) -> Option<Dispersion> {
        let k = self.classes.len();
        let alpha = Array1::from(weights.to_vec());
        let m2 = self.classes.iter().map(|class| {
            let value = alpha.dot(&class.scatter.dot(&alpha));
            let size = alpha.dot(&class.scatter.mapv(f64::abs).dot(&alpha));
            if value <= ROUNDING * size { 0.0 } else { value }
        });
        let m2 = m2.collect();
        let largest: Vec<f64> = self
            .classes
            .iter()
            .map(|class| {
                let pooled = alpha.dot(&class.mean.mapv(f64::abs));
                pooled.dot(&pooled)
            })
            .collect();
        let mut gaps = vec![0.0; k * k];
        for (a, b) in self.pairs() {
            let delta = alpha.dot(&(&self.classes[a].mean - &self.classes[b].mean));
            let gap = delta.dot(&delta);
            let floor = COINCIDENT * (largest[a] + largest[b]);
            let gap = if gap <= floor { 0.0 } else { gap };
            gaps[a * k + b] = gap;
            gaps[b * k + a] = gap;
        }
        let sizes: Vec<f64> = self.classes.iter().map(|class| class.count as f64).collect();
        let dispersion = Dispersion {
            names: self.names.clone(),
            effective: sizes.clone(),
            sizes,
            m2,
            gaps,
            centroid_covariance: None,
        };
        (dispersion.within() > 0.0 || dispersion.between() > 0.0).then_some(dispersion)
    }
}

/// `X Xᵀ`, symmetric to the last bit.
pub(super) fn gram(x: &ArrayView2<'_, f64>) -> Array2<f64> {
    let mut product = x.dot(&x.t());
    for l in 0..product.nrows() {
        for m in 0..l {
            product[[l, m]] = product[[m, l]];
        }
    }
    product
}

/// Replaces the rows of one layer, side by side, by their distances from their mean, taken
/// relative to the first row: identical rows then have exactly zero scatter.
fn centre(
    mut rows: ndarray::ArrayViewMut1<'_, f64>,
    mut mean: ndarray::ArrayViewMut1<'_, f64>,
    count: usize,
) {
    let dim = mean.len();
    let row = |i: usize| Slice::from(i * dim..(i + 1) * dim);
    let first = rows.slice_axis(Axis(0), row(0)).to_owned();
    for i in 1..count {
        Zip::from(&mut mean)
            .and(&rows.slice_axis(Axis(0), row(i)))
            .and(&first)
            .for_each(|mean, x, o| *mean += x - o);
    }
    Zip::from(&mut mean).and(&first).for_each(|mean, o| *mean = o + *mean / count as f64);
    for i in 0..count {
        let mut target = rows.slice_axis_mut(Axis(0), row(i));
        target -= &mean;
    }
}

/// The power of two that brings values near one, where their squares would overflow or vanish;
/// 0 where they don't; `None` where every value is zero.
fn exponent_of(values: &Array2<f64>) -> Option<i32> {
    let largest = values.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    if largest == 0.0 {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, reason = "the logarithm of a finite f64 is small")]
    let exponent = largest.log2().floor() as i32;
    Some(if exponent.abs() < SAFE { 0 } else { exponent })
}

/// Reduces chunks `from..to` in a fixed tree.
fn tree<L>(from: usize, to: usize, leaf: &L) -> Result<LayerMoments>
where
    L: Fn(usize) -> Result<LayerMoments> + Sync,
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
