//! What must hold for any rows: invariances of the indices and relations between them.

use collimate_aqi::{
    Accumulator, Dispersion, Labels, Moments, davies_bouldin, dunn, explicit_bias_index, silhouette,
};
use ndarray::{Array2, Axis, concatenate};
use proptest::prelude::*;

use crate::oracle::{Set, close, dispersion};

/// Rows of integers in `classes` classes, each of at least three rows, not all in one place.
fn sets(classes: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Set> {
    (classes, 1..9_usize)
        .prop_flat_map(|(k, d)| {
            let sizes = prop::collection::vec(3..9_usize, k);
            (Just(d), sizes)
        })
        .prop_flat_map(|(d, sizes)| {
            let n: usize = sizes.iter().sum();
            let codes: Vec<usize> =
                sizes.iter().enumerate().flat_map(|(c, &size)| vec![c; size]).collect();
            let values = prop::collection::vec(-50..50_i32, n * d);
            (Just((n, d)), Just(codes).prop_shuffle(), values)
        })
        .prop_map(|((n, d), codes, values)| {
            let values = values.into_iter().map(f64::from).collect();
            (Array2::from_shape_vec((n, d), values).unwrap(), Labels::new(codes).unwrap())
        })
        .prop_filter("two classes in one place have no ratio", |set| {
            let dispersion = dispersion(set);
            dispersion.xie_beni().is_finite() && dispersion.within() > 0.0
        })
}

/// The scale-free values of a set.
fn values(dispersion: &Dispersion) -> [f64; 6] {
    [
        dispersion.calinski_harabasz().unwrap(),
        dispersion.xie_beni(),
        dispersion.eta_squared(),
        dispersion.epsilon_squared().unwrap(),
        dispersion.rho_global().unwrap(),
        dispersion.rho_local().unwrap(),
    ]
}

/// Values that are near zero by cancellation are compared with one as their scale.
#[track_caller]
fn same(found: &Dispersion, expected: &Dispersion, tolerance: f64) {
    for (found, expected) in values(found).into_iter().zip(values(expected)) {
        let error = (found - expected).abs();
        assert!(error <= tolerance * expected.abs().max(1.0), "{found} {expected}");
    }
}

/// A rotation by products of plane rotations.
fn rotated(rows: &Array2<f64>) -> Array2<f64> {
    let mut rows = rows.clone();
    let d = rows.ncols();
    for step in 0..3 * d {
        let (i, j) = (step % d, (step * 7 + 1) % d);
        if i == j {
            continue;
        }
        let (sin, cos) = (0.3 + step as f64).sin_cos();
        for mut row in rows.rows_mut() {
            let (a, b) = (row[i], row[j]);
            row[i] = cos * a - sin * b;
            row[j] = sin * a + cos * b;
        }
    }
    rows
}

proptest! {
    #[test]
    fn rotation_shift_and_scale_change_nothing(set in sets(2..=4)) {
        let expected = dispersion(&set);
        let (rows, labels) = set;
        same(&dispersion(&(rotated(&rows), labels.clone())), &expected, 1e-11);
        // A mean of order 1e6 is known to 1e-10, which counts the more the closer the centroids.
        let tolerance = 1e-9 * (1.0 + expected.xie_beni().sqrt());
        same(&dispersion(&(&rows + 1e6, labels.clone())), &expected, tolerance);
        for exponent in [-400, 400] {
            let scaled = &rows * f64::powi(2.0, exponent);
            same(&dispersion(&(scaled, labels.clone())), &expected, 1e-13);
        }
    }

    #[test]
    fn the_order_of_rows_and_the_names_of_classes_change_nothing(
        set in sets(2..=4),
        seed in any::<u64>(),
    ) {
        let expected = dispersion(&set);
        let (rows, labels) = set;
        let n = rows.nrows();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|&i| (i as u64 + 1).wrapping_mul(seed | 1));
        let shuffled = (rows.select(Axis(0), &order), labels.select(&order).unwrap());
        same(&dispersion(&shuffled), &expected, 1e-12);
        let renamed = Labels::new(labels.codes().iter().map(|code| 10 - code)).unwrap();
        same(&dispersion(&(rows, renamed)), &expected, 1e-12);
    }

    #[test]
    fn empty_and_repeated_columns_change_nothing(set in sets(2..=4)) {
        let expected = dispersion(&set);
        let (rows, labels) = set;
        let zeros = Array2::zeros((rows.nrows(), 1));
        let wider = concatenate![Axis(1), rows, zeros];
        same(&dispersion(&(wider, labels.clone())), &expected, 1e-13);
        let twice = concatenate![Axis(1), rows, rows];
        same(&dispersion(&(twice, labels)), &expected, 1e-12);
    }

    #[test]
    fn repeated_rows_change_only_what_counts_rows(set in sets(2..=4), times in 2..5_usize) {
        let once = dispersion(&set);
        let (rows, labels) = set;
        let order: Vec<usize> = (0..times * rows.nrows()).map(|i| i % rows.nrows()).collect();
        let again = dispersion(&(rows.select(Axis(0), &order), labels.select(&order).unwrap()));
        close(again.xie_beni(), once.xie_beni(), 1e-12);
        let (n, k) = (once.n(), once.class_count() as f64);
        let factor = (times as f64 * n - k) / (n - k);
        let chi = once.calinski_harabasz().unwrap();
        prop_assert!((again.calinski_harabasz().unwrap() - chi * factor).abs()
            <= 1e-11 * (chi * factor).max(1.0));
    }

    #[test]
    fn shards_merge_to_the_whole(set in sets(2..=4), cut in 0.0..1.0) {
        let whole = dispersion(&set);
        let (rows, labels) = set;
        let cut = (cut * rows.nrows() as f64) as usize;
        let mut shards = [0..cut, cut..rows.nrows()].map(|range| {
            let mut shard = Accumulator::<f64>::new(labels.classes(), rows.ncols()).unwrap();
            for row in range {
                shard.push(&rows.row(row).to_vec(), labels.codes()[row]).unwrap();
            }
            shard.finish().unwrap()
        });
        let [left, right] = &mut shards;
        left.merge(right).unwrap();
        same(&left.dispersion().unwrap(), &whole, 1e-12);
    }

    /// `CHI · XBI = n₁n₂(n−2)/n²` for two classes.
    #[test]
    fn two_classes_fix_the_product_of_calinski_harabasz_and_xie_beni(set in sets(2..=2)) {
        let found = dispersion(&set);
        let counts = set.1.counts();
        let (a, b) = (counts[0] as f64, counts[1] as f64);
        let n = a + b;
        let product = found.calinski_harabasz().unwrap() * found.xie_beni();
        close(product, a * b * (n - 2.0) / (n * n), 1e-12);
        close(found.rho_local().unwrap(), found.rho_global().unwrap(), 1e-12);
    }

    /// `CHI ≥ [(n−k) Σ_{a<b} n_a n_b / (n² (k−1))] / XBI`.
    #[test]
    fn more_classes_bound_it(set in sets(3..=5)) {
        let found = dispersion(&set);
        let counts: Vec<f64> = set.1.counts().iter().map(|&count| count as f64).collect();
        let (n, k) = (found.n(), found.class_count() as f64);
        let squares: f64 = counts.iter().map(|count| count * count).sum();
        let pairs = (n * n - squares) / 2.0;
        let bound = (n - k) * pairs / (n * n * (k - 1.0)) * found.inverse_xie_beni();
        prop_assert!(found.calinski_harabasz().unwrap() >= bound * (1.0 - 1e-12));
    }

    /// `DBS ≤ (√(M2₁/n₁) + √(M2₂/n₂))/δ`, which is at most `2√XBI` for classes of one size.
    #[test]
    fn davies_bouldin_is_bounded_by_xie_beni(set in sets(2..=2)) {
        let (rows, labels) = &set;
        let smaller = *labels.counts().iter().min().unwrap();
        let mut kept = Vec::new();
        for class in 0..2 {
            let of_class = (0..rows.nrows()).filter(|&row| labels.codes()[row] == class);
            kept.extend(of_class.take(smaller));
        }
        let balanced = (rows.select(Axis(0), &kept), labels.select(&kept).unwrap());
        let found = dispersion(&balanced);
        let bound = 2.0 * found.xie_beni().sqrt();
        let dbs = davies_bouldin(balanced.0.view(), &balanced.1).unwrap();
        prop_assert!(bound.is_infinite() || dbs <= bound * (1.0 + 1e-12));
        if bound.is_finite() {
            close(explicit_bias_index(&found).unwrap(), 4.0 * found.xie_beni(), 1e-12);
        }
    }

    #[test]
    fn pairwise_indices_do_not_depend_on_order_rotation_or_scale(set in sets(2..=3)) {
        let (rows, labels) = &set;
        let moved = rotated(rows) * f64::powi(2.0, -600);
        let silhouettes = [rows, &moved]
            .map(|rows| silhouette(rows.view(), labels).unwrap().mean);
        prop_assert!((silhouettes[0] - silhouettes[1]).abs() < 1e-9);
        let indices = [rows, &moved].map(|rows| dunn(rows.view(), labels).unwrap().index);
        prop_assert!((indices[0] - indices[1]).abs() <= 1e-6 * indices[0].max(1.0));
    }
}

/// Without a difference between classes Calinski-Harabasz is one on average, in any dimension.
#[test]
fn calinski_harabasz_of_random_labels_is_one_on_average() {
    let rows =
        Array2::from_shape_fn((40, 6), |(i, j)| ((i * 7919 + j * 104_729 + i * j) % 211) as f64);
    let mut order: Vec<usize> = (0..40).collect();
    let (mut sum, draws) = (0.0, 4000);
    let mut state = 1_u64;
    for _ in 0..draws {
        for i in (1..40).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            order.swap(i, (state >> 33) as usize % (i + 1));
        }
        let labels = Labels::new(order.iter().map(|&i| i % 2)).unwrap();
        let moments = Moments::from_rows(rows.view(), &labels).unwrap();
        sum += moments.dispersion().unwrap().calinski_harabasz().unwrap();
    }
    close(sum / f64::from(draws), 1.0, 0.05);
}
