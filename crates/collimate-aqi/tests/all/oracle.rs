//! The small data sets whose indices are known as exact fractions.

use collimate_aqi::{Dispersion, Labels, Moments};
use ndarray::Array2;

pub type Set = (Array2<f64>, Labels);

pub fn set<const N: usize, const D: usize>(rows: [[i32; D]; N], labels: [usize; N]) -> Set {
    let rows = Array2::from_shape_fn((N, D), |(i, j)| f64::from(rows[i][j]));
    (rows, Labels::new(labels).unwrap())
}

pub fn dispersion((rows, labels): &Set) -> Dispersion {
    Moments::from_rows(rows.view(), labels).unwrap().dispersion().unwrap()
}

/// The generator of D6 to D8.
fn g(i: usize, j: usize) -> usize {
    (7919 * i + 104_729 * j + 31 * i * j + 13 * ((i * i * (j + 1)) % 97)) % 1000
}

fn generated(n: usize, d: usize, labels: Vec<usize>, lift: impl Fn(usize, usize) -> usize) -> Set {
    let rows = Array2::from_shape_fn((n, d), |(i, j)| (g(i, j) + lift(labels[i], j)) as f64);
    (rows, Labels::new(labels).unwrap())
}

pub fn d1() -> Set {
    set([[0], [2], [10], [12]], [0, 0, 1, 1])
}

pub fn d2() -> Set {
    let rows =
        [[0, 0, 0], [3, 0, 0], [0, 3, 0], [6, 6, 6], [7, 6, 6], [6, 8, 6], [6, 6, 9], [10, 9, 8]];
    set(rows, [0, 0, 0, 1, 1, 1, 1, 1])
}

pub fn d3() -> Set {
    let corners = [[0, 0], [4, 0], [0, 9]];
    let rows = std::array::from_fn(|i: usize| {
        let [x, y] = corners[i / 4];
        [x + (i & 1) as i32, y + (i >> 1 & 1) as i32]
    });
    set(rows, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
}

pub fn d4() -> Set {
    set([[-1, -1], [1, 1], [-1, 1], [1, -1]], [0, 0, 1, 1])
}

pub fn d5() -> Set {
    set([[0, 0], [0, 0], [3, 4], [3, 4]], [0, 0, 1, 1])
}

pub fn d6() -> Set {
    let labels = (0..60).map(|i| i % 2).collect();
    generated(60, 16, labels, |y, j| if y == 1 && j % 3 == 0 { 250 } else { 0 })
}

pub fn d7() -> Set {
    let labels = (0..60).map(|i| i % 3).collect();
    generated(60, 16, labels, |y, j| {
        250 * y * usize::from(j % 4 == 0) + 120 * usize::from(y == 2 && j % 5 == 0)
    })
}

pub fn d8() -> Set {
    generated(8, 64, vec![0, 0, 0, 0, 0, 1, 1, 1], |y, _| 300 * y)
}

pub fn d9() -> Set {
    let rows = [[0, 0], [0, 0], [0, 0], [2, 0], [5, 5], [5, 5], [5, 7]];
    set(rows, [0, 0, 0, 0, 1, 1, 1])
}

pub fn d10() -> Set {
    set([[0, 0], [1, 0], [0, 1], [5, 5]], [0, 0, 0, 1])
}

pub fn d13() -> Set {
    let rows = std::array::from_fn(|i: usize| {
        let mut row = [0; 4];
        row[i / 2] = 1 + 2 * (i as i32 & 1);
        row
    });
    set(rows, [0, 0, 1, 1, 2, 2, 3, 3])
}

/// Asserts a relative error of at most `tolerance`.
#[track_caller]
pub fn close(found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs();
    let close = found == expected || (expected.is_finite() && error <= tolerance * expected.abs());
    let relative = error / expected.abs();
    assert!(close, "found {found:?}, expected {expected:?}: relative error {relative:e}");
}

/// For values that are exact fractions.
pub const EXACT: f64 = 1e-12;
/// For values that the references computed in floating point.
pub const FLOAT: f64 = 1e-10;
