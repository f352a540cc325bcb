//! Unbiased traces of products of centroid covariances.
//!
//! For units `g` of stratum `a` with vectors `u_g` (their deviation from the centroid over the
//! class size), the centroid's covariance is `V_a ≈ Σ_g u_g u_gᵀ`, and `tr(V_a V_b)` follows from
//! the inner products `K_gh = u_g · u_h`. Sums of products of different units are unbiased;
//! those of a unit with itself are corrected for (Chen & Qin 2010 for the one-sample case).

use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2, Slice};
use rayon::prelude::*;

/// Units whose vectors are multiplied at a time.
const BLOCK: usize = 128;

/// Sums over the inner products `K_gh` of the units of each pair of strata.
pub(crate) struct TraceProducts {
    /// Number of units of each stratum.
    counts: Vec<f64>,
    /// `Σ_gh K²_gh`, `[strata, strata]`.
    squares: Vec<f64>,
    /// `Σ_g K_gg`.
    diagonal: Vec<f64>,
    /// `Σ_g K²_gg`.
    diagonal_squares: Vec<f64>,
}

/// The vectors of units, `[units, features]`. The inner product counts the features from
/// `negative_from` on with a minus sign, which is how the difference of two samples enters.
pub(crate) struct UnitVectors {
    /// Vectors of each stratum.
    pub(crate) strata: Vec<Array2<f64>>,
    pub(crate) negative_from: usize,
}

impl UnitVectors {
    fn features(&self) -> usize {
        self.strata.first().map_or(0, Array2::ncols)
    }

    /// The vectors with the signs of the inner product applied.
    fn signed(&self, stratum: usize) -> CowArray<'_, f64, Ix2> {
        if self.negative_from >= self.features() {
            return self.strata[stratum].view().into();
        }
        let mut signed = self.strata[stratum].clone();
        signed
            .slice_axis_mut(Axis(1), Slice::from(self.negative_from..))
            .mapv_inplace(std::ops::Neg::neg);
        signed.into()
    }

    pub(crate) fn trace_products(&self) -> TraceProducts {
        let signed: Vec<_> = (0..self.strata.len()).map(|a| self.signed(a)).collect();
        let units: usize = self.strata.iter().map(Array2::nrows).sum();
        let by_features = 2 * self.features() < units;
        let count = self.strata.len();
        let covariances: Vec<Array2<f64>> = if by_features {
            self.strata.iter().map(|u| covariance(u.view())).collect()
        } else {
            Vec::new()
        };
        let mut squares = vec![0.0; count * count];
        for a in 0..count {
            for b in a..count {
                let sum = if by_features {
                    self.signed_product(&covariances[a], &covariances[b])
                } else {
                    sum_of_squares(signed[a].view(), self.strata[b].view())
                };
                squares[a * count + b] = sum;
                squares[b * count + a] = sum;
            }
        }
        let norms = |a: usize| -> Vec<f64> {
            let pairs = signed[a].rows().into_iter().zip(self.strata[a].rows());
            pairs.map(|(x, y)| x.dot(&y)).collect()
        };
        let norms: Vec<Vec<f64>> = (0..count).map(norms).collect();
        TraceProducts {
            counts: norms.iter().map(|norms| norms.len() as f64).collect(),
            squares,
            diagonal: norms.iter().map(|norms| norms.iter().sum()).collect(),
            diagonal_squares: norms
                .iter()
                .map(|norms| norms.iter().map(|norm| norm * norm).sum())
                .collect(),
        }
    }

    /// `Σ σ_i σ_j A_ij B_ij` with the features' signs `σ`.
    fn signed_product(&self, a: &Array2<f64>, b: &Array2<f64>) -> f64 {
        let sign = |feature: usize| if feature < self.negative_from { 1.0 } else { -1.0 };
        let row = |(i, (a, b)): (usize, (_, _))| {
            let (a, b): (ndarray::ArrayView1<'_, f64>, ndarray::ArrayView1<'_, f64>) = (a, b);
            let products = a.iter().zip(b).enumerate().map(|(j, (a, b))| sign(j) * a * b);
            sign(i) * products.sum::<f64>()
        };
        a.rows().into_iter().zip(b.rows()).enumerate().map(row).sum()
    }
}

impl TraceProducts {
    /// Unbiased `tr(V_a V_b)`; for `a = b` from at least three units.
    fn unbiased(&self, a: usize, b: usize) -> f64 {
        let (m, n) = (self.counts[a], self.counts[b]);
        let squares = self.squares[a * self.counts.len() + b];
        if a != b {
            return m * n / ((m - 1.0) * (n - 1.0)) * squares;
        }
        if n < 4.0 {
            return self.off_diagonal(a);
        }
        let m = n - 1.0;
        let mean = self.diagonal[a] / m;
        let inner = (n - 2.0) / m * squares + mean * mean - n / m * self.diagonal_squares[a];
        n * n * m / (n * (n - 2.0) * (n - 3.0)) * inner
    }

    /// `Σ_{g≠h} K²_gh`: biased, never negative.
    fn off_diagonal(&self, a: usize) -> f64 {
        (self.squares[a * self.counts.len() + a] - self.diagonal_squares[a]).max(0.0)
    }

    /// `Q = (1/k²) Σ_ab H²_ab tr(V_a V_b)` with `H = I − 1/k` for the `k` strata, or `tr(V²)` of
    /// a single one: half the variance of `B̄_u` where all classes have the same mean.
    pub(crate) fn quadratic_variance(&self) -> f64 {
        let with = |diagonal: &dyn Fn(usize) -> f64| {
            let k = self.counts.len();
            if k == 1 {
                return diagonal(0);
            }
            let kf = k as f64;
            let mut sum = 0.0;
            for a in 0..k {
                for b in 0..k {
                    let h = f64::from(u8::from(a == b)) - 1.0 / kf;
                    sum += h * h * if a == b { diagonal(a) } else { self.unbiased(a, b) };
                }
            }
            sum / (kf * kf)
        };
        let unbiased = with(&|a| self.unbiased(a, a));
        if unbiased > 0.0 { unbiased } else { with(&|a| self.off_diagonal(a)) }
    }
}

/// `Σ_gh (x_g · y_h)²`, by blocks whose sums are added in a fixed order.
fn sum_of_squares(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> f64 {
    let blocks = x.nrows().div_ceil(BLOCK);
    let of_block = |index: usize| {
        let rows = index * BLOCK..((index + 1) * BLOCK).min(x.nrows());
        x.slice_axis(Axis(0), Slice::from(rows)).dot(&y.t()).iter().map(|k| k * k).sum::<f64>()
    };
    (0..blocks).into_par_iter().map(of_block).collect::<Vec<f64>>().iter().sum()
}

/// `Uᵀ U`, by column blocks.
fn covariance(u: ArrayView2<'_, f64>) -> Array2<f64> {
    let features = u.ncols();
    let blocks: Vec<Array2<f64>> = (0..features.div_ceil(BLOCK))
        .into_par_iter()
        .map(|index| {
            let columns = index * BLOCK..((index + 1) * BLOCK).min(features);
            u.slice_axis(Axis(1), Slice::from(columns)).t().dot(&u)
        })
        .collect();
    let mut covariance = Array2::zeros((features, features));
    for (index, block) in blocks.iter().enumerate() {
        covariance
            .slice_axis_mut(Axis(0), Slice::from(index * BLOCK..index * BLOCK + block.nrows()))
            .assign(block);
    }
    covariance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(counts: &[usize], features: usize, negative_from: usize) -> UnitVectors {
        let strata = counts
            .iter()
            .enumerate()
            .map(|(a, &count)| {
                let mut u = Array2::from_shape_fn((count, features), |(i, j)| {
                    ((i * 37 + j * 91 + a * 53 + i * j) % 19) as f64 - 9.0
                });
                let mean = u.mean_axis(Axis(0)).unwrap();
                u -= &mean;
                u
            })
            .collect();
        UnitVectors { strata, negative_from }
    }

    /// The estimator of `tr(Σ²)` as a U-statistic over four different units.
    fn brute_force(x: &Array2<f64>, sign: impl Fn(usize) -> f64) -> f64 {
        let n = x.nrows();
        let inner = |a: usize, b: usize, c: usize, d: usize| -> f64 {
            (0..x.ncols())
                .map(|j| sign(j) * (x[[a, j]] - x[[b, j]]) * (x[[c, j]] - x[[d, j]]))
                .sum()
        };
        let (mut sum, mut count) = (0.0, 0.0);
        for a in 0..n {
            for b in (0..n).filter(|&b| b != a) {
                for c in (0..n).filter(|&c| c != a && c != b) {
                    for d in (0..n).filter(|&d| d != a && d != b && d != c) {
                        sum += inner(a, b, c, d).powi(2) / 4.0;
                        count += 1.0;
                    }
                }
            }
        }
        sum / count
    }

    #[test]
    fn the_trace_of_a_square_is_the_u_statistic_of_four_units() {
        for negative_from in [5, 3] {
            let vectors = vectors(&[9], 5, negative_from);
            let sign = |j| if j < negative_from { 1.0 } else { -1.0 };
            // V is the covariance of the mean of nine units with vectors 9·u.
            let expected = brute_force(&vectors.strata[0].mapv(|u| 9.0 * u), sign) / 81.0;
            let found = vectors.trace_products().unbiased(0, 0);
            assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn both_ways_of_computing_agree() {
        // 40 units: 7 features go through covariances, 30 through inner products.
        for negative_from in [4, 7] {
            let narrow = vectors(&[25, 15], 7, negative_from);
            let found = narrow.trace_products();
            for (a, b) in [(0, 0), (0, 1), (1, 1)] {
                let expected = sum_of_squares(narrow.signed(a).view(), narrow.strata[b].view());
                assert!((found.squares[a * 2 + b] / expected - 1.0).abs() < 1e-12);
            }
        }
    }
}
