//! Dunn's index, and a form of it that a few outliers don't decide.

use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::json_float;
use crate::labels::Labels;
use crate::moments::times_power_of_two;
use crate::order_statistic::{PairValues, Quantile, extents, neighbours};
use crate::pairwise::{Pairwise, Tile, by_class, parts};
use crate::range::Rows;
use ndarray::ArrayView2;
use serde::Serialize;
use std::ops::Range;

/// Separation over diameter: higher is better.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Dunn {
    /// `separation / diameter`; `+∞` where no class has an extent, zero where a row occurs in
    /// two classes.
    #[serde(with = "json_float")]
    pub index: f64,
    /// Smallest distance between rows of different classes, or a low quantile of these.
    #[serde(with = "json_float")]
    pub separation: f64,
    /// Largest distance between rows of one class, or a high quantile of these; zero where every
    /// class is one row.
    #[serde(with = "json_float")]
    pub diameter: f64,
}

/// Dunn's index (Dunn 1974): the smallest Euclidean distance between rows of different classes,
/// over the largest distance between rows of one class. Exact, in `O(n² d)`.
///
/// ```
/// use collimate_aqi::{Labels, dunn};
/// use ndarray::array;
/// let rows = array![[0.0_f32], [2.0], [10.0], [12.0]];
/// let found = dunn(rows.view(), &Labels::new([0, 0, 1, 1])?)?;
/// assert_eq!((found.index, found.separation, found.diameter), (4.0, 8.0, 2.0));
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Empty`], [`AqiError::ZeroDim`], [`AqiError::Shape`], [`AqiError::NonFinite`],
/// [`AqiError::SingleClass`], [`AqiError::DegenerateData`] if all rows are identical.
pub fn dunn<F: Element>(rows: ArrayView2<'_, F>, labels: &Labels) -> Result<Dunn> {
    dunn_trimmed(rows, labels, 0.0)
}

/// Dunn's index without its dependence on single rows: the quantile `q` of the distances between
/// classes over the quantile `1 − q` of the distances within classes, both interpolated as numpy
/// does; 0.05 is usual, and 0 is [`dunn`].
///
/// Quantiles are exact: of more pairs than fit into 64 MiB, by counting in ever finer bins, with
/// a pass over all pairs (rarely more than three) for each. Nothing is sampled.
///
/// # Errors
/// As [`dunn`]; [`AqiError::Parameter`] unless `0 ≤ q ≤ 1/2`.
pub fn dunn_trimmed<F: Element>(rows: ArrayView2<'_, F>, labels: &Labels, q: f64) -> Result<Dunn> {
    if !(0.0..=0.5).contains(&q) {
        return Err(AqiError::parameter("trimmed share q", q, "a number in [0, 0.5]"));
    }
    let rows = Rows::labelled(rows, labels)?;
    let (order, classes) = by_class(labels.codes(), labels.class_count());
    let pairs = Pairwise::new(&rows, order);
    let values = ByClass { classes };
    let extents = extents(&pairs, &values);
    let (between, within) = (extents[BETWEEN], extents[WITHIN]);
    let (mut separation, mut diameter) = (between.least.sqrt(), within.greatest.sqrt());
    if q > 0.0 {
        let low = Quantile::new(q, between.count);
        let mut wanted = vec![(BETWEEN, low)];
        if within.count > 0 {
            wanted.push((WITHIN, Quantile::new(1.0 - q, within.count)));
        }
        let found = neighbours(&pairs, &values, &extents, &wanted);
        let mut quantiles = wanted
            .iter()
            .zip(found)
            .map(|((_, quantile), squared)| quantile.between(squared.map(f64::sqrt)));
        separation = quantiles.next().unwrap_or(separation);
        diameter = quantiles.next().unwrap_or(diameter);
    }
    let index = if separation == 0.0 {
        0.0
    } else if diameter == 0.0 {
        f64::INFINITY
    } else {
        separation / diameter
    };
    Ok(Dunn {
        index,
        separation: times_power_of_two(separation, rows.exponent()),
        diameter: times_power_of_two(diameter, rows.exponent()),
    })
}

const BETWEEN: usize = 0;
const WITHIN: usize = 1;

/// Squared distances between and within classes whose rows stand side by side.
struct ByClass {
    classes: Vec<Range<usize>>,
}

impl PairValues for ByClass {
    const SETS: usize = 2;

    fn wanted(&self, _: &Range<usize>, _: &Range<usize>) -> bool {
        true
    }

    fn each(&self, tile: &Tile<'_>, mut emit: impl FnMut(usize, f64)) {
        let mut rows = parts(&self.classes, &tile.rows).peekable();
        tile.each_row(|i, from, squared| {
            while rows.next_if(|(_, part)| part.end <= i).is_some() {}
            let end = rows.peek().map_or(i, |(class, _)| self.classes[*class].end);
            let within = end.saturating_sub(from).min(squared.len());
            let (within, between) = squared.split_at(within);
            within.iter().for_each(|&squared| emit(WITHIN, squared));
            between.iter().for_each(|&squared| emit(BETWEEN, squared));
        });
    }
}
