//! The silhouette of a labelling.

use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::labels::Labels;
use crate::pairwise::{Pairwise, Tile, by_class, parts};
use crate::range::{Rows, squared_distance};
use crate::rng::Stream;
use ndarray::{ArrayView2, Axis};
use serde::Serialize;
use std::ops::Range;

/// How far apart two rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// `‖x − y‖`.
    #[default]
    Euclidean,
    /// `1 − x·y / (‖x‖‖y‖)`.
    Cosine,
}

/// How much closer each row is to its own class than to the nearest other one.
///
/// `s = (b − a) / max(a, b)`, with `a` the mean distance to the other rows of the class and `b`
/// the smallest mean distance to the rows of another class (Rousseeuw 1987): 1 for compact
/// classes far apart, 0 on a border, negative where another class is closer. Zero for the only
/// row of a class, and where `a = b = 0`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Silhouette {
    /// Mean over all rows that were scored.
    pub mean: f64,
    /// Mean over the rows of each class, in the order of the labels' classes; `None` for a class
    /// of which no row was drawn.
    pub class_means: Vec<Option<f64>>,
    /// Silhouette of each row that was scored.
    pub values: Vec<f64>,
    /// The rows that were drawn, ascending; `None` where all rows were scored.
    pub rows: Option<Vec<usize>>,
}

/// The silhouette of every row in Euclidean distance.
///
/// Exact, in `O(n² d)` time and `O(n k)` memory; see [`silhouette_sampled`] and
/// [`silhouette_simplified`] for less.
///
/// ```
/// use collimate_aqi::{Labels, silhouette};
/// use ndarray::array;
/// let rows = array![[0.0_f32], [2.0], [10.0], [12.0]];
/// let found = silhouette(rows.view(), &Labels::new([0, 0, 1, 1])?)?;
/// assert!((found.mean - 0.797979797979798).abs() < 1e-14);
/// assert_eq!(found.values[1], (9.0 - 2.0) / 9.0);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Empty`], [`AqiError::ZeroDim`], [`AqiError::Shape`], [`AqiError::NonFinite`],
/// [`AqiError::SingleClass`], [`AqiError::DegenerateData`] if all rows are identical,
/// [`AqiError::TooFewSamples`] if every row is a class of its own.
pub fn silhouette<F: Element>(rows: ArrayView2<'_, F>, labels: &Labels) -> Result<Silhouette> {
    silhouette_with(rows, labels, Metric::Euclidean)
}

/// The silhouette of every row in a distance of choice.
///
/// # Errors
/// As [`silhouette`]; [`AqiError::ZeroRow`] for the cosine of a row of zeros.
pub fn silhouette_with<F: Element>(
    rows: ArrayView2<'_, F>,
    labels: &Labels,
    metric: Metric,
) -> Result<Silhouette> {
    let rows = checked(rows, labels)?;
    let (order, classes) = by_class(labels.codes(), labels.class_count());
    let pairs = match metric {
        Metric::Euclidean => Pairwise::new(&rows, order),
        Metric::Cosine => Pairwise::of_unit_rows(&rows, order)?,
    };
    let k = classes.len();
    let mut totals = vec![0.0; rows.len() * k];
    pairs.visit(
        |_, _| true,
        |tile| tile_sums(tile, &classes, metric),
        |sums| {
            for (position, class, sum) in sums {
                totals[position * k + class] += sum;
            }
        },
    );
    let mut values = vec![0.0; rows.len()];
    for (class, range) in classes.iter().enumerate() {
        for position in range.clone() {
            let own = range.len() - 1;
            let totals = &totals[position * k..][..k];
            let others = (0..k).filter(|&other| other != class);
            let nearest = others
                .map(|other| totals[other] / classes[other].len() as f64)
                .fold(f64::INFINITY, f64::min);
            if own > 0 {
                values[pairs.row(position)] = width(totals[class] / own as f64, nearest);
            }
        }
    }
    Ok(Silhouette::new(values, labels))
}

/// The silhouette of `size` rows drawn at random without replacement, among themselves: an
/// estimate in `O(size² d)`, as scikit-learn's `sample_size` gives (with other random numbers).
///
/// # Errors
/// As [`silhouette`], for the rows that were drawn; [`AqiError::Parameter`] unless
/// `2 ≤ size ≤ n`.
pub fn silhouette_sampled<F: Element>(
    rows: ArrayView2<'_, F>,
    labels: &Labels,
    size: usize,
    seed: u64,
) -> Result<Silhouette> {
    labels.check_len(rows.nrows())?;
    if !(2..=rows.nrows()).contains(&size) {
        return Err(AqiError::parameter(
            "sample size",
            size,
            "at least two rows, and no more than there are",
        ));
    }
    let mut drawn: Vec<usize> = (0..rows.nrows()).collect();
    let mut stream = Stream::new(seed, 0);
    for i in 0..size {
        drawn.swap(i, i + stream.below(rows.nrows() - i));
    }
    drawn.truncate(size);
    drawn.sort_unstable();
    let some = labels.select(&drawn)?;
    let scored = silhouette(rows.select(Axis(0), &drawn).view(), &some)?;
    let mean_of = |name: &String| some.code(name).and_then(|code| scored.class_means[code]);
    Ok(Silhouette {
        class_means: labels.classes().iter().map(mean_of).collect(),
        rows: Some(drawn),
        ..scored
    })
}

/// The simplified silhouette (Hruschka, Campello & de Castro 2006): `a` is the distance to the
/// centroid of the row's own class and `b` the distance to the nearest other centroid, in
/// `O(n k d)`. Zero for the only row of a class.
///
/// # Errors
/// As [`silhouette`].
pub fn silhouette_simplified<F: Element>(
    rows: ArrayView2<'_, F>,
    labels: &Labels,
) -> Result<Silhouette> {
    let rows = checked(rows, labels)?;
    let moments = rows.moments(labels)?;
    let centroids: Vec<Vec<f64>> =
        (0..labels.class_count()).filter_map(|class| moments.mean(class)).collect();
    let counts = labels.counts();
    let values = rows.map(|i, row| {
        let class = labels.codes()[i];
        let (mut own, mut nearest) = (0.0, f64::INFINITY);
        for (other, centroid) in centroids.iter().enumerate() {
            let squared = squared_distance(row, centroid);
            if other == class {
                own = squared;
            } else {
                nearest = nearest.min(squared);
            }
        }
        if counts[class] > 1 { width(own.sqrt(), nearest.sqrt()) } else { 0.0 }
    });
    Ok(Silhouette::new(values, labels))
}

impl Silhouette {
    fn new(values: Vec<f64>, labels: &Labels) -> Self {
        let mut sums = vec![0.0; labels.class_count()];
        for (value, &code) in values.iter().zip(labels.codes()) {
            sums[code] += value;
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let class_means =
            sums.iter().zip(labels.counts()).map(|(sum, count)| Some(sum / count as f64)).collect();
        Self { mean, class_means, values, rows: None }
    }
}

fn checked<'a, F: Element>(rows: ArrayView2<'a, F>, labels: &Labels) -> Result<Rows<'a, F>> {
    let rows = Rows::labelled(rows, labels)?;
    let (n, k) = (rows.len(), labels.class_count());
    if k == n {
        return Err(AqiError::TooFewSamples { n, k });
    }
    Ok(rows)
}

fn width(own: f64, nearest: f64) -> f64 {
    let larger = own.max(nearest);
    if larger > 0.0 { (nearest - own) / larger } else { 0.0 }
}

/// Sums of distances, each with a position and the class that they lead to.
fn tile_sums(
    tile: &Tile<'_>,
    classes: &[Range<usize>],
    metric: Metric,
) -> Vec<(usize, usize, f64)> {
    let columns: Vec<_> = parts(classes, &tile.columns).collect();
    let mut sums = Vec::new();
    let mut distances = vec![0.0; tile.columns.len()];
    let mut to_rows = vec![0.0; tile.columns.len()];
    let mut rows = parts(classes, &tile.rows);
    let mut current = rows.next();
    tile.each_row(|i, from, squared| {
        let distances = &mut distances[..squared.len()];
        match metric {
            Metric::Euclidean => {
                for (distance, squared) in distances.iter_mut().zip(squared) {
                    *distance = squared.sqrt();
                }
            }
            Metric::Cosine => {
                for (distance, squared) in distances.iter_mut().zip(squared) {
                    *distance = 0.5 * squared;
                }
            }
        }
        let skipped = from - tile.columns.start;
        for (sum, distance) in to_rows[skipped..].iter_mut().zip(&*distances) {
            *sum += distance;
        }
        for (class, part) in columns.iter().filter(|(_, part)| part.end > from) {
            let part = part.start.max(from) - from..part.end - from;
            sums.push((i, *class, sum_in_lanes(&distances[part])));
        }
        if let Some((class, part)) = &current
            && i + 1 == part.end
        {
            let columns = tile.columns.clone().zip(&mut to_rows);
            sums.extend(columns.map(|(j, sum)| (j, *class, std::mem::take(sum))));
            current = rows.next();
        }
    });
    sums
}

fn sum_in_lanes(values: &[f64]) -> f64 {
    let (blocks, rest) = values.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().sum::<f64>()
}
