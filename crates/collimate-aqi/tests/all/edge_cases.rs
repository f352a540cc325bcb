//! Input at the edge of what is defined. Each row of the table in `docs/AQI.md` is a test here.

use collimate_aqi::{
    Accumulator, Aqi, AqiConfig, AqiError, Dispersion, Flag, FuzzySettings, GroupIndices, Labels,
    Lambda, Mode, Moments, Sample, davies_bouldin, dunn, fuzzy_xie_beni, normalize_groups,
    relative_change, silhouette,
};
use ndarray::{Array2, array};

use crate::oracle::{self, EXACT, close, dispersion, set};

const INF: f64 = f64::INFINITY;

fn moments(rows: &Array2<f64>, labels: &[usize]) -> Result<Moments, AqiError> {
    Moments::from_rows(rows.view(), &Labels::new(labels)?)
}

fn of(rows: &Array2<f64>, labels: &[usize]) -> Result<Dispersion, AqiError> {
    moments(rows, labels)?.dispersion()
}

fn linear(lambda: f64) -> Mode {
    Mode::PaperLinear { lambda: Lambda::new(lambda).unwrap() }
}

fn aqi() -> Aqi {
    AqiConfig::default().with_permutations(19).check().unwrap()
}

#[test]
fn no_rows() {
    assert!(matches!(Labels::new(Vec::<String>::new()), Err(AqiError::Empty)));
    let labels = Labels::new([0]).unwrap();
    let none = Array2::<f64>::zeros((0, 3));
    assert!(matches!(Sample::new(none.view(), &labels), Err(AqiError::Empty)));
    let unused = Accumulator::<f32>::new(["a", "b"], 3).unwrap().finish().unwrap();
    assert!(matches!(unused.dispersion(), Err(AqiError::Empty)));
}

#[test]
fn no_columns() {
    assert!(matches!(moments(&Array2::zeros((2, 0)), &[0, 1]), Err(AqiError::ZeroDim)));
    assert!(matches!(Accumulator::<f32>::new(["a"], 0), Err(AqiError::ZeroDim)));
}

#[test]
fn ragged_rows() {
    let mut stream = Accumulator::<f32>::new(["a", "b"], 2).unwrap();
    stream.push(&[1.0, 2.0], 0).unwrap();
    let error = stream.push(&[1.0], 1).unwrap_err();
    assert_eq!(error.to_string(), "columns of a row: expected 2, found 1");
    assert!(stream.push(&[1.0, 2.0], 2).is_err());
}

#[test]
fn labels_of_another_length() {
    let error = moments(&Array2::zeros((3, 1)), &[0, 1]).unwrap_err();
    assert_eq!(error.to_string(), "labels: expected 3, found 2");
}

#[test]
fn a_single_class() {
    let rows = array![[1.0], [2.0], [3.0]];
    assert!(matches!(of(&rows, &[7, 7, 7]), Err(AqiError::SingleClass { class }) if class == "7"));
    let labels = Labels::new([7, 7, 7]).unwrap();
    assert!(matches!(silhouette(rows.view(), &labels), Err(AqiError::SingleClass { .. })));
}

#[test]
fn a_declared_class_without_rows() {
    let mut stream = Accumulator::<f64>::new(["a", "b", "c"], 1).unwrap();
    stream.push(&[1.0], 0).unwrap();
    stream.push(&[2.0], 2).unwrap();
    let error = stream.finish().unwrap().dispersion().unwrap_err();
    assert!(matches!(error, AqiError::EmptyClass { class } if class == "b"));
}

#[test]
fn as_many_rows_as_classes() {
    let two = of(&array![[0.0], [1.0]], &[0, 1]).unwrap();
    assert!(matches!(two.calinski_harabasz(), Err(AqiError::TooFewSamples { n: 2, k: 2 })));
    assert_eq!(two.xie_beni(), 0.0);
}

#[test]
fn a_class_of_one_row() {
    let d10 = dispersion(&oracle::d10());
    close(d10.calinski_harabasz().unwrap(), 49.0, EXACT);
    let error = d10.rho_global().unwrap_err();
    assert!(matches!(error, AqiError::NeedTwoPerClass { count: 1, .. }));
    assert_eq!(d10.flags(), [Flag::Singleton { class: "1".to_owned() }]);
    assert_eq!(d10.pairs()[0].rho, None);
}

#[test]
fn a_row_that_is_not_finite() {
    for (value, name) in [(f64::NAN, "NaN"), (INF, "inf"), (-INF, "-inf")] {
        let error = moments(&array![[0.0, 1.0], [2.0, value], [1.0, 1.0]], &[0, 0, 1]).unwrap_err();
        let expected =
            format!("row 1, column 1 is {name}: remove the row, or choose to skip such rows");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn identical_centroids() {
    let (rows, labels) = oracle::d4();
    let d4 = dispersion(&(rows.clone(), labels.clone()));
    assert_eq!(d4.calinski_harabasz().unwrap(), 0.0);
    assert_eq!((d4.xie_beni(), d4.inverse_xie_beni()), (INF, 0.0));
    assert_eq!(davies_bouldin(rows.view(), &labels).unwrap(), INF);
    assert_eq!(linear(0.5).score(&d4).unwrap().value, 0.0);
    let score = Mode::default().score(&d4).unwrap();
    assert_eq!(score.value, 0.0);
    let coincide = Flag::CoincidentCentroids { a: "0".to_owned(), b: "1".to_owned() };
    assert_eq!(score.flags, [coincide]);
    close(d4.rho_global().unwrap(), -1.0 / 3.0, EXACT);
}

/// Equal only up to rounding: sums of the same decimals in another order.
#[test]
fn centroids_that_are_identical_but_for_rounding() {
    let rows = array![[0.1], [0.2], [0.3], [0.3], [0.2], [0.1]];
    assert_eq!(of(&rows, &[0, 0, 0, 1, 1, 1]).unwrap().xie_beni(), INF);
    // Around zero, where the centroids themselves are nothing but rounding.
    let rows = array![[-0.3], [0.1], [0.2], [0.7], [-0.1], [-0.6]];
    assert_eq!(of(&rows, &[0, 0, 0, 1, 1, 1]).unwrap().xie_beni(), INF);
}

#[test]
fn two_of_three_centroids_identical() {
    let rows = array![[-1.0], [1.0], [-2.0], [2.0], [9.0], [11.0]];
    let labels = [0, 0, 1, 1, 2, 2];
    let found = of(&rows, &labels).unwrap();
    assert_eq!(found.xie_beni(), INF);
    assert_eq!(davies_bouldin(rows.view(), &Labels::new(labels).unwrap()).unwrap(), INF);
    assert!(found.calinski_harabasz().unwrap().is_finite());
    assert!(found.rho_local().unwrap() <= 0.0);
}

#[test]
fn no_scatter() {
    let (rows, labels) = oracle::d5();
    let d5 = dispersion(&(rows.clone(), labels.clone()));
    assert_eq!(d5.calinski_harabasz().unwrap(), INF);
    assert_eq!(d5.calinski_harabasz_sklearn().unwrap(), 1.0);
    assert_eq!((d5.xie_beni(), d5.inverse_xie_beni()), (0.0, INF));
    assert_eq!(linear(0.5).score(&d5).unwrap().value, INF);
    assert_eq!(davies_bouldin(rows.view(), &labels).unwrap(), 0.0);
    assert_eq!(dunn(rows.view(), &labels).unwrap().index, INF);
    assert_eq!(d5.rho_global().unwrap(), 1.0);
    assert_eq!(d5.effect_size().unwrap(), INF);
    assert_eq!(d5.flags(), [Flag::NoWithinScatter]);
}

/// Repeated decimals have no scatter either, although their sums are not exact.
#[test]
fn no_scatter_of_repeated_decimals() {
    let rows = array![[0.1], [0.1], [0.1], [0.7], [0.7], [0.7]];
    assert_eq!(of(&rows, &[0, 0, 0, 1, 1, 1]).unwrap().xie_beni(), 0.0);
}

#[test]
fn all_rows_equal() {
    let rows = Array2::from_elem((6, 2), 0.1);
    assert!(matches!(of(&rows, &[0, 0, 0, 1, 1, 1]), Err(AqiError::DegenerateData)));
}

#[test]
fn tiny_and_huge_scales() {
    let (rows, labels) = oracle::d2();
    let expected = aqi().evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
    for scale in [1e-9, 1e160, 1e200, 1e-170, 1e300, 1e-300] {
        let scaled = &rows * scale;
        let found = aqi().evaluate(&Sample::new(scaled.view(), &labels).unwrap()).unwrap();
        for (found, expected) in [
            (found.xbi, expected.xbi),
            (found.chi.unwrap(), expected.chi.unwrap()),
            (found.dbs, expected.dbs),
            (found.silhouette.unwrap(), expected.silhouette.unwrap()),
            (found.dunn.unwrap(), expected.dunn.unwrap()),
            (found.aqi_s.unwrap(), expected.aqi_s.unwrap()),
            (found.ci95.unwrap()[0], expected.ci95.unwrap()[0]),
            (found.p_value.unwrap(), expected.p_value.unwrap()),
            (found.participation_ratio.unwrap(), expected.participation_ratio.unwrap()),
        ] {
            close(found, expected, 1e-9);
        }
    }
}

#[test]
fn a_row_in_two_classes() {
    let (rows, labels) = set([[0, 0], [4, 0], [0, 0], [9, 9]], [0, 0, 1, 1]);
    let report = aqi().evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
    assert_eq!(report.dunn, Some(0.0));
    assert!(report.flags.contains(&Flag::DuplicateRows { rows: 1, across_classes: 1 }));
    let (rows, labels) = set([[1], [1], [1], [1], [5], [6]], [0, 0, 1, 1, 2, 2]);
    assert_eq!(silhouette(rows.view(), &labels).unwrap().values[0], 0.0);
}

#[test]
fn memberships_that_are_none() {
    let rows = array![[0.0], [1.0]];
    let settings = FuzzySettings::default();
    for memberships in [
        array![[0.5, 0.6], [0.5, 0.5]],
        array![[-0.1, 1.1], [0.5, 0.5]],
        array![[1.0, 0.0], [1.0, 0.0]],
    ] {
        assert!(fuzzy_xie_beni(rows.view(), memberships.view(), &settings).is_err());
    }
}

#[test]
fn weights_outside_zero_and_one() {
    for lambda in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(Lambda::new(lambda), Err(AqiError::Parameter { name: "lambda", .. })));
    }
}

#[test]
fn a_term_of_no_weight_is_dropped_even_if_infinite() {
    let d4 = dispersion(&oracle::d4());
    assert_eq!(linear(0.0).score(&d4).unwrap().value, 0.0);
    let d5 = dispersion(&oracle::d5());
    assert_eq!(linear(1.0).score(&d5).unwrap().value, INF);
    let geometric = |lambda, clip| Mode::PaperGeometric {
        lambda: Lambda::new(lambda).unwrap(),
        chi_max: 10.0,
        clip,
    };
    assert_eq!(geometric(0.0, false).score(&d5).unwrap().value, 1.0);
    assert_eq!(geometric(1.0, false).score(&d4).unwrap().value, 0.0);
    // One row more than none: Calinski-Harabasz is not needed where it has no weight.
    let two = of(&array![[0.0], [1.0]], &[0, 1]).unwrap();
    assert_eq!(linear(1.0).score(&two).unwrap().value, INF);
}

#[test]
fn the_largest_calinski_harabasz() {
    let d1 = dispersion(&oracle::d1());
    let mode = |chi_max, clip| Mode::PaperGeometric { lambda: Lambda::default(), chi_max, clip };
    for chi_max in [0.0, -1.0, f64::NAN, INF] {
        assert!(mode(chi_max, true).score(&d1).is_err());
    }
    let clipped = mode(10.0, true).score(&d1).unwrap();
    close(clipped.value, (-0.01_f64).exp().sqrt(), EXACT);
    assert_eq!(clipped.flags, [Flag::ChiAboveMaximum]);
    assert!(mode(10.0, false).score(&d1).unwrap().value > 2.0);
}

#[test]
fn reference_normalization_of_one_group_and_of_equal_groups() {
    let one = normalize_groups(&[GroupIndices::new("a", 3.0, 0.5)], Lambda::default()).unwrap();
    assert_eq!(one.scores[0].chi_norm, 50.0);
    assert!(one.flags.contains(&Flag::ConstantGroups));
    let zero = normalize_groups(&[GroupIndices::new("a", 0.0, 0.5)], Lambda::default()).unwrap();
    assert_eq!(zero.scores[0].chi_norm, 0.0);
}

#[test]
fn a_relative_change_from_zero() {
    assert!(relative_change(1.0, 0.0).is_err());
    assert_eq!(relative_change(1.5, 1.0).unwrap(), 0.5);
}

#[test]
fn moments_of_different_things_do_not_merge() {
    let mut a = Moments::empty(["x", "y"], 3).unwrap();
    for other in [Moments::empty(["x", "y"], 4), Moments::empty(["x", "z"], 3)] {
        assert!(matches!(a.merge(&other.unwrap()), Err(AqiError::Incompatible { .. })));
    }
}

#[test]
fn published_table_of_batch_sizes() {
    let mode = Mode::PaperGeometric { lambda: Lambda::default(), chi_max: 38.7, clip: true };
    for (chi, xbi, aqi) in
        [(24.6, 0.087, 0.7633), (21.3, 0.092, 0.7085), (18.9, 0.095, 0.6664), (18.2, 0.097, 0.6533)]
    {
        close(mode.score_of(chi, xbi).unwrap().value, aqi, 1e-4);
    }
    assert!(Mode::default().score_of(1.0, 1.0).is_err());
    assert!(mode.score_of(f64::NAN, 1.0).is_err());
}
