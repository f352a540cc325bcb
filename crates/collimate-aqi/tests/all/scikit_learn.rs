//! The indices against scikit-learn and against brute force in numpy, on data sets that
//! `conformance/indices.py` wrote.

use collimate_aqi::{
    Element, Labels, Lambda, Metric, Mode, Moments, Sample, TransformChain, boundary_gap,
    davies_bouldin, dunn, dunn_trimmed, participation_ratio, rho_standard_error, silhouette,
    silhouette_simplified, silhouette_with,
};
use ndarray::{Array2, ArrayView2};
use serde_json::Value;

use crate::oracle::{FLOAT, close, dispersion};

const TOLERANCE: f64 = 1e-9;

fn fixtures() -> Vec<Value> {
    serde_json::from_str(include_str!("../fixtures/indices.json")).unwrap()
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

/// Indices of one of Iris' variants.
struct Known {
    chi: f64,
    xbi: f64,
    dbs: f64,
    silhouette: f64,
    dunn: f64,
    linear: f64,
    rho: (f64, f64),
}

fn known() -> [(&'static str, Known); 5] {
    [
        (
            "iris",
            Known {
                chi: 487.330876374900,
                xbi: 0.226702066730034,
                dbs: 0.751370709475674,
                silhouette: 0.503477440693296,
                dunn: 0.058480532147193,
                linear: 245.870976086650,
                rho: (0.866388963877502, 0.516501467788346),
            },
        ),
        (
            "iris standardized",
            Known {
                chi: 191.303608626990,
                xbi: 0.497220237994267,
                dbs: 1.06725704054801,
                silhouette: 0.38112615805438,
                dunn: 0.0739412991921878,
                linear: 96.6573949186099,
                rho: (0.717305013723172, 0.325251125964159),
            },
        ),
        (
            "iris unit rows",
            Known {
                chi: 1387.42139279669,
                xbi: 0.256095912651731,
                dbs: 0.690388747951784,
                silhouette: 0.557453901340857,
                dunn: 0.0535356684258937,
                linear: 695.663089916943,
                rho: (0.948680099819482, 0.486273600119171),
            },
        ),
        (
            "iris setosa or not",
            Known {
                chi: 502.821563502359,
                xbi: 0.0654086683550408,
                dbs: 0.382752842100686,
                silhouette: 0.686735073276978,
                dunn: 0.338908682082323,
                linear: 259.055028493614,
                rho: (0.820839207050359, 0.820839207050359),
            },
        ),
        (
            "iris versicolor, virginica",
            Known {
                chi: 86.7696988660271,
                xbi: 0.282356632789842,
                dbs: 0.941820515753741,
                silhouette: 0.367548635073814,
                dunn: 0.058480532147193,
                linear: 45.1556596139529,
                rho: (0.461699078964876, 0.461699078964876),
            },
        ),
    ]
}

#[track_caller]
fn check_known(rows: &Array2<f64>, labels: &Labels, known: &Known) {
    let found = dispersion(&(rows.clone(), labels.clone()));
    close(found.calinski_harabasz().unwrap(), known.chi, FLOAT);
    close(found.xie_beni(), known.xbi, FLOAT);
    let linear = Mode::PaperLinear { lambda: Lambda::default() };
    close(linear.score(&found).unwrap().value, known.linear, FLOAT);
    close(found.rho_global().unwrap(), known.rho.0, FLOAT);
    close(found.rho_local().unwrap(), known.rho.1, FLOAT);
    let aqi_s = Mode::default().score(&found).unwrap().value;
    close(aqi_s, 50.0 * (known.rho.0 + known.rho.1), FLOAT);
    close(davies_bouldin(rows.view(), labels).unwrap(), known.dbs, FLOAT);
    close(silhouette(rows.view(), labels).unwrap().mean, known.silhouette, FLOAT);
    close(dunn(rows.view(), labels).unwrap().index, known.dunn, FLOAT);
}

#[test]
fn iris_has_its_known_indices() {
    for (name, known) in &known() {
        let set = fixture(name);
        println!("{name}");
        check_known(&rows(&set), &labels(&set), known);
    }
    let set = fixture("iris");
    close(dispersion(&(rows(&set), labels(&set))).within(), 89.2974, FLOAT);
    let cosine = silhouette_with(rows(&set).view(), &labels(&set), Metric::Cosine).unwrap();
    close(cosine.mean, 0.722294308763577, FLOAT);
    close(rho_standard_error_of("iris setosa or not"), 0.014_909_266_124_133_496, FLOAT);
    close(rho_standard_error_of("iris versicolor, virginica"), 0.044_874_277_354_861_98, FLOAT);
}

fn rho_standard_error_of(name: &str) -> f64 {
    let set = fixture(name);
    let (rows, labels) = (rows(&set), labels(&set));
    rho_standard_error(&Sample::new(rows.view(), &labels).unwrap()).unwrap()
}

#[test]
fn transforming_iris_here_gives_the_same() {
    let set = fixture("iris");
    let (raw, labels) = (rows(&set), labels(&set));
    for (chain, (_, known)) in ["none", "z-score", "l2"].iter().zip(&known()) {
        let chain: TransformChain = chain.parse().unwrap();
        let rows = chain.fit(raw.view()).unwrap().apply(raw.view()).unwrap();
        check_known(&rows, &labels, known);
    }
}
