//! The indices against scikit-learn and against brute force in numpy, on data sets that
//! `conformance/indices.py` wrote.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "fixtures are valid, and the output of a test says which set failed"
)]

mod oracle;

use collimate_aqi::{
    Element, Labels, Metric, Moments, boundary_gap, davies_bouldin, dunn, dunn_trimmed,
    participation_ratio, silhouette, silhouette_simplified, silhouette_with,
};
use ndarray::{Array2, ArrayView2};
use oracle::{FLOAT, close};
use serde_json::Value;

const TOLERANCE: f64 = 1e-9;

fn fixtures() -> Vec<Value> {
    serde_json::from_str(include_str!("fixtures/indices.json")).unwrap()
}

fn fixture(name: &str) -> Value {
    let mut all = fixtures().into_iter();
    all.find(|set| set["name"] == name).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|x| x.as_f64().unwrap()).collect()
}

/// The rows in `f64`, rounded to the type that they were written in.
fn rows(set: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = set["rows"].as_array().unwrap().iter().map(numbers).collect();
    let single = set["dtype"] == "f32";
    let value = |x: f64| if single { f64::from(x as f32) } else { x };
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| value(rows[i][j]))
}

fn labels(set: &Value) -> Labels {
    let labels = set["labels"].as_array().unwrap().iter();
    Labels::new(labels.map(|label| label.as_str().unwrap())).unwrap()
}

fn check<F: Element>(rows: ArrayView2<'_, F>, set: &Value) {
    let labels = labels(set);
    println!("{} as {}", set["name"], F::NAME);
    let expected = |name: &str| set["expected"][name].as_f64().unwrap();
    let agree = |name: &str, found: f64| {
        println!("  {name}");
        close(found, expected(name), TOLERANCE);
    };
    let dispersion = Moments::from_rows(rows, &labels).unwrap().dispersion().unwrap();
    agree("calinski_harabasz", dispersion.calinski_harabasz().unwrap());
    agree("xie_beni", dispersion.xie_beni());
    agree("davies_bouldin", davies_bouldin(rows, &labels).unwrap());
    agree("silhouette", silhouette(rows, &labels).unwrap().mean);
    let cosine = silhouette_with(rows, &labels, Metric::Cosine).unwrap();
    agree("silhouette_cosine", cosine.mean);
    let simplified = silhouette_simplified(rows, &labels).unwrap();
    agree("silhouette_simplified", simplified.mean);
    agree("dunn", dunn(rows, &labels).unwrap().index);
    agree("dunn_trimmed", dunn_trimmed(rows, &labels, 0.05).unwrap().index);
    agree("participation_ratio", participation_ratio(rows, &labels).unwrap());
    let first = labels.classes()[0].clone();
    let gap = boundary_gap(rows, &labels.with_safe(&first).unwrap(), 0.5, 0.05).unwrap();
    let found = [gap.minimum, gap.quantile, gap.delta_latent];
    for (found, expected) in found.into_iter().zip(numbers(&set["expected"]["boundary_gap"])) {
        close(found, expected, TOLERANCE);
    }
}

#[test]
fn every_index_agrees_on_every_data_set() {
    let mut checked = 0;
    for set in fixtures() {
        let rows = rows(&set);
        check(rows.view(), &set);
        if set["dtype"] == "f32" {
            check(rows.mapv(|x| x as f32).view(), &set);
        }
        checked += 1;
    }
    assert_eq!(checked, 11);
}

#[test]
fn silhouettes_of_single_rows_agree() {
    let set = fixture("unbalanced");
    let found = silhouette(rows(&set).view(), &labels(&set)).unwrap();
    let expected = numbers(&set["expected"]["silhouette_samples"]);
    assert_eq!(found.values.len(), expected.len());
    for (found, expected) in found.values.into_iter().zip(expected) {
        close(found, expected, TOLERANCE);
    }
}

/// Iris as scikit-learn ships it, whose digits differ from the file of the UCI repository.
#[test]
fn iris_is_the_one_of_fisher() {
    let rows = rows(&fixture("iris"));
    close(rows.sum(), 2078.7, 1e-13);
    assert_eq!(rows.row(34).to_vec(), [4.9, 3.1, 1.5, 0.2]);
    assert_eq!(rows.row(37).to_vec(), [4.9, 3.6, 1.4, 0.1]);
}

#[test]
fn iris_has_its_known_indices() {
    // Davies-Bouldin, silhouette, Dunn.
    let known = [
        ("iris", [0.751370709475674, 0.503477440693296, 0.058480532147193]),
        ("iris standardized", [1.06725704054801, 0.38112615805438, 0.0739412991921878]),
        ("iris unit rows", [0.690388747951784, 0.557453901340857, 0.0535356684258937]),
        ("iris setosa or not", [0.382752842100686, 0.686735073276978, 0.338908682082323]),
        ("iris versicolor, virginica", [0.941820515753741, 0.367548635073814, 0.058480532147193]),
    ];
    for (name, [db, s, d]) in known {
        let set = fixture(name);
        let (rows, labels) = (rows(&set), labels(&set));
        println!("{name}");
        close(davies_bouldin(rows.view(), &labels).unwrap(), db, FLOAT);
        close(silhouette(rows.view(), &labels).unwrap().mean, s, FLOAT);
        close(dunn(rows.view(), &labels).unwrap().index, d, FLOAT);
    }
    let set = fixture("iris");
    let cosine = silhouette_with(rows(&set).view(), &labels(&set), Metric::Cosine).unwrap();
    close(cosine.mean, 0.722294308763577, FLOAT);
}

#[test]
fn transforming_iris_here_gives_the_same() {
    let raw = rows(&fixture("iris"));
    let labels = labels(&fixture("iris"));
    let mut unit = raw.clone();
    for mut row in unit.rows_mut() {
        let norm = row.dot(&row).sqrt();
        row /= norm;
    }
    close(silhouette(unit.view(), &labels).unwrap().mean, 0.557453901340857, FLOAT);
    let mean = raw.mean_axis(ndarray::Axis(0)).unwrap();
    let sd = raw.std_axis(ndarray::Axis(0), 0.0);
    let standardized = (&raw - &mean) / &sd;
    close(silhouette(standardized.view(), &labels).unwrap().mean, 0.38112615805438, FLOAT);
}
