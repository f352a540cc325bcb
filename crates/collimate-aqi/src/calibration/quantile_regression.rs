//! A line through a quantile.

use super::check_pairs;
use crate::error::{AqiError, Result};
use crate::json_float;
use crate::quantile::check_finite;
use serde::Serialize;

/// The line `intercept + slope · x` below which a share `τ` of the points lies (Koenker &
/// Bassett 1978): calibration curves of a score against judges, with their uncertainty band.
///
/// It minimizes the pinball loss `mean ρ_τ(y − intercept − slope · x)`, `ρ_τ(r) = r (τ − [r < 0])`,
/// exactly up to rounding: for a given slope the best intercept is an order statistic of the
/// residuals; what is left is convex and piecewise linear in the slope, and its subgradient is
/// known, so the slope is bracketed by bisection and then taken from the two points that the best
/// line passes through. Where several lines are best, one of them is returned.
///
/// ```
/// use collimate_aqi::QuantileRegression;
/// let median = QuantileRegression::fit(&[0.0, 1.0, 2.0, 3.0], &[1.0, 3.0, 50.0, 7.0], 0.5)?;
/// assert_eq!((median.intercept, median.slope), (1.0, 2.0));
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct QuantileRegression {
    /// The quantile `τ`.
    pub tau: f64,
    /// Value of the line at `x = 0`.
    pub intercept: f64,
    /// Slope of the line.
    pub slope: f64,
    /// The mean pinball loss over the points.
    #[serde(with = "json_float")]
    pub loss: f64,
}

impl QuantileRegression {
    /// The best line for the quantile `tau`.
    ///
    /// # Errors
    /// [`AqiError::Shape`] for lists of different length; [`AqiError::Parameter`] for `tau`
    /// outside `(0, 1)`, values that are not finite, fewer than two different `x`, and a line
    /// whose coefficients leave the range of floating point.
    pub fn fit(x: &[f64], y: &[f64], tau: f64) -> Result<Self> {
        if !(tau > 0.0 && tau < 1.0) {
            return Err(AqiError::parameter("tau", tau, "a number in (0, 1)"));
        }
        check_pairs(x, y)?;
        let (unit_x, center_x, scale_x) = to_unit(x);
        let (unit_y, center_y, scale_y) = to_unit(y);
        if scale_x == 0.0 {
            return Err(AqiError::parameter(
                "x",
                format!("{} equal value(s)", x.len()),
                "at least two different values",
            ));
        }
        let points = Points { x: unit_x, y: unit_y, tau };
        let line = points.best_line();
        let (slope, intercept) = match line.through {
            Some((p, q)) => {
                let slope = (y[p] - y[q]) / (x[p] - x[q]);
                (slope, y[p] - slope * x[p])
            }
            None => {
                let slope = line.slope / scale_x * scale_y;
                (slope, center_y + line.intercept * scale_y - slope * center_x)
            }
        };
        if !(slope.is_finite() && intercept.is_finite()) {
            return Err(AqiError::parameter(
                "slope",
                slope,
                "values of x and y whose line has finite coefficients: rescale them",
            ));
        }
        Ok(Self { tau, intercept, slope, loss: line.loss * scale_y })
    }

    /// The value of the line at `x`.
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for NaN and infinity.
    pub fn predict(&self, x: f64) -> Result<f64> {
        check_finite("x", &[x])?;
        Ok(self.intercept + self.slope * x)
    }
}

/// Values shifted and divided so that they span `[-1, 1]`, with the shift and the divisor.
fn to_unit(values: &[f64]) -> (Vec<f64>, f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let center = low / 2.0 + high / 2.0;
    let scale = high / 2.0 - low / 2.0;
    let unit = |value: &f64| {
        if scale > 0.0 { (value - center) / scale } else { 0.0 }
    };
    (values.iter().map(unit).collect(), center, scale)
}

/// Relative error up to which two losses are the same.
const ROUNDING: f64 = 1e-13;

/// A slope, and what follows from it.
#[derive(Clone, Copy)]
struct Candidate {
    slope: f64,
    /// The point that the line passes through.
    pivot: usize,
    /// Sign of the loss's change with growing slope.
    subgradient: f64,
}

struct Line {
    slope: f64,
    intercept: f64,
    loss: f64,
    /// Two points that it passes through, where they are known.
    through: Option<(usize, usize)>,
}

struct Points {
    x: Vec<f64>,
    y: Vec<f64>,
    tau: f64,
}

impl Points {
    fn best_line(&self) -> Line {
        let (low, high) = self.slope_range();
        let (mut low, mut high) = (self.candidate(low), self.candidate(high));
        while high.slope - low.slope > f64::EPSILON / 16.0 {
            let middle = low.slope / 2.0 + high.slope / 2.0;
            if middle <= low.slope || middle >= high.slope {
                break;
            }
            let middle = self.candidate(middle);
            if middle.subgradient > 0.0 {
                high = middle;
            } else if middle.subgradient < 0.0 {
                low = middle;
            } else {
                (low, high) = (middle, middle);
            }
        }
        let (left, right) = (self.line(low), self.line(high));
        let (line, pivot) =
            if left.loss <= right.loss { (left, low.pivot) } else { (right, high.pivot) };
        self.through_two(pivot, line.slope)
            .filter(|vertex| vertex.loss <= line.loss * (1.0 + ROUNDING))
            .unwrap_or(line)
    }

    /// The line through the pivot and another point whose slope is nearest.
    fn through_two(&self, pivot: usize, slope: f64) -> Option<Line> {
        let to = |q: usize| (self.y[q] - self.y[pivot]) / (self.x[q] - self.x[pivot]);
        let nearest = (0..self.x.len())
            .filter(|&q| self.x[q] != self.x[pivot])
            .min_by(|&a, &b| (to(a) - slope).abs().total_cmp(&(to(b) - slope).abs()))?;
        let line = self.line(Candidate { slope: to(nearest), pivot, subgradient: 0.0 });
        Some(Line { through: Some((pivot, nearest)), ..line })
    }

    fn line(&self, Candidate { slope, pivot, .. }: Candidate) -> Line {
        let intercept = self.y[pivot] - slope * self.x[pivot];
        Line { slope, intercept, loss: self.loss(slope, intercept), through: None }
    }

    /// Bounds of the slope between any two points: the steepest steps between neighbours.
    fn slope_range(&self) -> (f64, f64) {
        const STEEPEST: f64 = 1e300;
        let mut order: Vec<usize> = (0..self.x.len()).collect();
        order.sort_by(|&a, &b| self.x[a].total_cmp(&self.x[b]));
        let columns: Vec<(f64, f64, f64)> = order
            .chunk_by(|&a, &b| self.x[a] == self.x[b])
            .map(|column| {
                let y = column.iter().map(|&i| self.y[i]);
                let (low, high) = (y.clone().fold(f64::INFINITY, f64::min), y);
                (self.x[column[0]], low, high.fold(f64::NEG_INFINITY, f64::max))
            })
            .collect();
        let (low, high) =
            columns.windows(2).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), pair| {
                let step = pair[1].0 - pair[0].0;
                (low.min((pair[1].1 - pair[0].2) / step), high.max((pair[1].2 - pair[0].1) / step))
            });
        (low.max(-STEEPEST), high.min(STEEPEST))
    }

    fn candidate(&self, slope: f64) -> Candidate {
        let n = self.x.len();
        let residual = |i: usize| self.y[i] - slope * self.x[i];
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between zero and a length"
        )]
        let rank = ((n as f64 * self.tau).ceil() as usize).clamp(1, n) - 1;
        let mut order: Vec<usize> = (0..n).collect();
        let (_, &mut pivot, _) = order.select_nth_unstable_by(rank, |&a, &b| {
            residual(a).total_cmp(&residual(b)).then(a.cmp(&b))
        });
        let level = residual(pivot);
        let (mut below, mut equal, mut moment, mut moment_equal) = (0_usize, 0_usize, 0.0, 0.0);
        for i in 0..n {
            let r = residual(i);
            if r < level {
                below += 1;
                moment += (self.tau - 1.0) * self.x[i];
            } else if r > level {
                moment += self.tau * self.x[i];
            } else {
                equal += 1;
                moment_equal += self.x[i];
            }
        }
        let above = (n - below - equal) as f64;
        let share = ((1.0 - self.tau) * below as f64 - self.tau * above) / equal as f64;
        Candidate { slope, pivot, subgradient: -(moment + share * moment_equal) }
    }

    fn loss(&self, slope: f64, intercept: f64) -> f64 {
        let total: f64 = self
            .x
            .iter()
            .zip(&self.y)
            .map(|(x, y)| {
                let r = y - intercept - slope * x;
                r * (self.tau - f64::from(u8::from(r < 0.0)))
            })
            .sum();
        total / self.x.len() as f64
    }
}
