//! Two normal classes of one covariance, a given distance apart.

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Classes with centroids `±shift/2` and independent dimensions of the given spreads.
pub(crate) struct Population {
    spreads: Vec<f64>,
    shift: Vec<f64>,
}

/// The random numbers of one trial.
pub(crate) fn stream(seed: u64, trial: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(trial);
    rng
}

impl Population {
    /// Variances fall as a power of the dimension's rank, chosen so that `(Σλ)²/Σλ²` is the
    /// participation ratio; centroids differ in every dimension in proportion to its spread,
    /// with alternating signs, such that `‖μ₁−μ₂‖² = effect · Σλ`.
    pub(crate) fn new(dim: usize, participation: f64, effect: f64) -> Self {
        let variances =
            |power: f64| -> Vec<f64> { (1..=dim).map(|rank| (rank as f64).powf(-power)).collect() };
        let ratio = |power: f64| {
            let values = variances(power);
            let (sum, squares): (f64, f64) =
                values.iter().fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
            sum * sum / squares
        };
        let (mut low, mut high) = (0.0, 20.0);
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            if ratio(middle) > participation { low = middle } else { high = middle }
        }
        let spreads: Vec<f64> = variances(low).into_iter().map(f64::sqrt).collect();
        let shift = spreads
            .iter()
            .enumerate()
            .map(|(j, spread)| effect.sqrt() * spread * if j % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        Self { spreads, shift }
    }

    /// The true `ρ = D²/(D² + 4)`.
    pub(crate) fn rho(&self) -> f64 {
        let gap: f64 = self.shift.iter().map(|s| s * s).sum();
        let trace: f64 = self.spreads.iter().map(|s| s * s).sum();
        gap / (gap + 4.0 * trace)
    }

    /// `size` rows of each class.
    pub(crate) fn sample(&self, size: usize, rng: &mut ChaCha8Rng) -> Array2<f64> {
        self.pair(size, 1.0, rng).0
    }

    /// Two samples of the same prompts whose noise has a correlation.
    pub(crate) fn pair(
        &self,
        size: usize,
        correlation: f64,
        rng: &mut ChaCha8Rng,
    ) -> (Array2<f64>, Array2<f64>) {
        let dim = self.spreads.len();
        let mut before = Array2::zeros((2 * size, dim));
        let mut after = Array2::zeros((2 * size, dim));
        let rest = (1.0 - correlation * correlation).sqrt();
        for row in 0..2 * size {
            let side = if row < size { 0.5 } else { -0.5 };
            for j in 0..dim {
                let (first, second) = normals(rng);
                let centre = side * self.shift[j];
                before[[row, j]] = centre + self.spreads[j] * first;
                after[[row, j]] = centre + self.spreads[j] * (correlation * first + rest * second);
            }
        }
        (before, after)
    }
}

/// Two independent standard normals (Box & Muller 1958).
fn normals(rng: &mut ChaCha8Rng) -> (f64, f64) {
    let mut uniform = || (rng.next_u64() >> 11) as f64 * f64::powi(2.0, -53);
    let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
    let angle = std::f64::consts::TAU * uniform();
    (radius * angle.cos(), radius * angle.sin())
}
