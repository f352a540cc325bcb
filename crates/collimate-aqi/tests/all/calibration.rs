//! Calibration against scikit-learn 1.9.1 and SciPy 1.17.1.

use collimate_aqi::{
    AqiError, Isotonic, QuantileRegression, ZScore, chi_max, percentile_rank, relative_change,
};

use crate::oracle::{EXACT, close};

const X: [f64; 12] = [0.31, 0.40, 0.40, 0.52, 0.58, 0.61, 0.61, 0.61, 0.70, 0.74, 0.80, 0.86];
const Y: [f64; 12] = [0.20, 0.35, 0.25, 0.32, 0.60, 0.50, 0.58, 0.66, 0.55, 0.81, 0.78, 0.90];
const AT: [f64; 12] = [0.0, 0.31, 0.36, 0.40, 0.47, 0.55, 0.60, 0.65, 0.72, 0.77, 0.83, 0.95];

fn parameter<T: std::fmt::Debug>(result: collimate_aqi::Result<T>) {
    assert!(matches!(result, Err(AqiError::Parameter { .. })), "{result:?}");
}

#[test]
fn isotonic_regression_agrees_with_scikit_learn() {
    // IsotonicRegression(out_of_bounds="clip").fit(X, Y, sample_weight=W).predict(AT)
    let plain = [
        0.2,
        0.2,
        0.25555555555555554,
        0.3,
        0.31166666666666665,
        0.4490000000000003,
        0.5780000000000001,
        0.5780000000000001,
        0.6865000000000001,
        0.795,
        0.8474999999999999,
        0.9,
    ];
    let weights = [1.0, 2.0, 0.5, 1.0, 3.0, 1.0, 1.0, 2.0, 0.25, 1.0, 1.5, 1.0];
    let weighted = [
        0.2,
        0.2,
        0.27063492063492056,
        0.3271428571428571,
        0.3271428571428571,
        0.4627093596059116,
        0.5982758620689655,
        0.5982758620689655,
        0.6951379310344828,
        0.792,
        0.846,
        0.9,
    ];
    // The order of the points must not matter.
    let shuffled: Vec<usize> = (0..12).map(|i| i * 7 % 12).collect();
    let pick = |values: &[f64]| -> Vec<f64> { shuffled.iter().map(|&i| values[i]).collect() };
    let (x, y, w) = (pick(&X), pick(&Y), pick(&weights));
    for (fitted, expected) in
        [(Isotonic::fit(&x, &y, None), plain), (Isotonic::fit(&x, &y, Some(&w)), weighted)]
    {
        let curve = fitted.unwrap();
        for (at, expected) in AT.into_iter().zip(expected) {
            close(curve.predict(at).unwrap(), expected, EXACT);
        }
        let knots: Vec<(f64, f64)> = curve.knots().collect();
        assert!(knots.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
    }
}

#[test]
fn isotonic_regression_of_falling_values_is_their_mean_and_of_weightless_points_nothing() {
    let constant = Isotonic::fit(&[1.0, 2.0, 3.0], &[9.0, 5.0, 1.0], None).unwrap();
    close(constant.predict(2.7).unwrap(), 5.0, EXACT);
    let weights = [1.0, 0.0, 1.0];
    let without = Isotonic::fit(&[1.0, 2.0, 3.0], &[1.0, 100.0, 2.0], Some(&weights)).unwrap();
    assert_eq!(without.predict(2.0).unwrap(), 1.5);
    assert_eq!(without.predict(f64::INFINITY).unwrap(), 2.0);
    parameter(without.predict(f64::NAN));
    parameter(Isotonic::fit(&[1.0], &[1.0], Some(&[0.0])));
    parameter(Isotonic::fit(&[1.0], &[1.0], Some(&[-1.0])));
    parameter(Isotonic::fit(&[1.0], &[f64::NAN], None));
    parameter(Isotonic::fit(&[], &[], None));
    assert!(matches!(Isotonic::fit(&[1.0, 2.0], &[1.0], None), Err(AqiError::Shape { .. })));
}

/// Pairs of integers with spread that grows with `x`.
fn fan() -> (Vec<f64>, Vec<f64>) {
    let g = |i: usize| (7919 * i + 31 * i * i) % 1000;
    let noise = |i: usize| (104_729 * i + 13 * (i * i % 97)) % 1000;
    (0..200)
        .map(|i| {
            let x = g(i) as f64;
            (x, 0.7 * x + noise(i) as f64 * (1.0 + x / 500.0))
        })
        .unzip()
}

#[test]
fn quantile_regression_reaches_the_loss_of_scikit_learn() {
    // m = QuantileRegressor(quantile=t, alpha=0, solver="highs").fit(X[:, None], Y)
    // r = Y - m.predict(X[:, None]); np.mean(r * (t - (r < 0))); m.coef_[0]; m.intercept_
    for (tau, loss) in [
        (0.1, 0.012583333333333328),
        (0.25, 0.025714285714285717),
        (0.5, 0.029888888888888895),
        (0.9, 0.009444444444444445),
    ] {
        let line = QuantileRegression::fit(&X, &Y, tau).unwrap();
        close(line.loss, loss, EXACT);
    }
    let (x, y) = fan();
    for (tau, loss, slope, intercept) in [
        (0.05, 47.72317580000001, 0.84288, -1.8796800000000076),
        (0.5, 267.48273517333337, 1.5228106666666672, 523.5308160000001),
        (0.95, 50.57025170422539, 2.7338309859154912, 930.9616901408455),
    ] {
        let line = QuantileRegression::fit(&x, &y, tau).unwrap();
        close(line.loss, loss, EXACT);
        close(line.slope, slope, EXACT);
        close(line.intercept, intercept, 1e-10);
        let below =
            x.iter().zip(&y).filter(|(x, y)| **y < line.predict(**x).unwrap() - 1e-9).count();
        assert!((below as f64 / 200.0 - tau).abs() <= 0.01, "{below}");
    }
}

#[test]
fn the_best_line_passes_through_two_points_and_no_other_such_line_is_better() {
    let (x, y) = fan();
    let (x, y) = (&x[..25], &y[..25]);
    for tau in [0.1, 0.35, 0.5, 0.77] {
        let line = QuantileRegression::fit(x, y, tau).unwrap();
        let loss = |slope: f64, intercept: f64| {
            let rho = |r: f64| r * (tau - f64::from(u8::from(r < 0.0)));
            let all = x.iter().zip(y).map(|(x, y)| rho(y - intercept - slope * x));
            all.sum::<f64>() / 25.0
        };
        close(loss(line.slope, line.intercept), line.loss, EXACT);
        for i in 0..25 {
            for j in 0..i {
                let slope = (y[i] - y[j]) / (x[i] - x[j]);
                assert!(line.loss <= loss(slope, y[i] - slope * x[i]) * (1.0 + EXACT));
            }
        }
    }
}

#[test]
fn quantile_regression_ignores_units_and_refuses_what_has_no_line() {
    let line = QuantileRegression::fit(&X, &Y, 0.25).unwrap();
    let scaled_x: Vec<f64> = X.iter().map(|x| x * 2f64.powi(-400)).collect();
    let scaled_y: Vec<f64> = Y.iter().map(|y| y * 2f64.powi(300)).collect();
    let scaled = QuantileRegression::fit(&scaled_x, &scaled_y, 0.25).unwrap();
    close(scaled.slope, line.slope * 2f64.powi(700), EXACT);
    close(scaled.loss, line.loss * 2f64.powi(300), EXACT);
    let level = QuantileRegression::fit(&[1.0, 2.0, 4.0], &[3.0; 3], 0.5).unwrap();
    assert_eq!((level.slope, level.intercept, level.loss), (0.0, 3.0, 0.0));
    parameter(QuantileRegression::fit(&[1.0, 1.0], &[1.0, 2.0], 0.5));
    parameter(QuantileRegression::fit(&X, &Y, 1.0));
    parameter(QuantileRegression::fit(&X, &Y, f64::NAN));
    parameter(QuantileRegression::fit(&[0.0, 1e-300], &[0.0, 1e300], 0.5));
}

#[test]
fn z_scores_use_the_sample_deviation() {
    // np.mean([60, 70, 85, 65.5]), np.std([60, 70, 85, 65.5], ddof=1)
    let z = ZScore::fit(&[60.0, 70.0, 85.0, 65.5]).unwrap();
    close(z.mean, 70.125, EXACT);
    close(z.sd, 10.726718976462466, EXACT);
    close(z.score(60.0).unwrap(), (60.0 - 70.125) / 10.726718976462466, EXACT);
    let huge = ZScore::fit(&[6e199, 7e199, 8.5e199, 6.55e199]).unwrap();
    close(huge.sd, 1.0726718976462466e199, EXACT);
    parameter(ZScore::fit(&[0.1, 0.1, 0.1]));
    parameter(ZScore::fit(&[0.0]));
    parameter(ZScore::fit(&[]));
    parameter(z.score(f64::NAN));
}

#[test]
fn percentile_ranks_count_ties_half() {
    // scipy.stats.percentileofscore([3, 1, 2, 2, 5, 2], v, kind="mean")
    let pool = [3.0, 1.0, 2.0, 2.0, 5.0, 2.0];
    for (value, expected) in [
        (0.0, 0.0),
        (1.0, 8.333333333333334),
        (2.0, 41.66666666666667),
        (4.0, 83.33333333333334),
        (5.0, 91.66666666666667),
        (f64::INFINITY, 100.0),
    ] {
        close(percentile_rank(&pool, value).unwrap(), expected, EXACT);
    }
    parameter(percentile_rank(&[], 1.0));
    parameter(percentile_rank(&[f64::NAN], 1.0));
    parameter(percentile_rank(&pool, f64::NAN));
}

#[test]
fn the_reference_of_a_relative_change_is_not_zero_and_of_chi_max_not_infinite() {
    close(relative_change(55.0, 50.0).unwrap(), 0.1, EXACT);
    parameter(relative_change(55.0, 0.0));
    parameter(relative_change(f64::INFINITY, 50.0));
    // np.percentile([12, 50, 31, 44], 99)
    close(chi_max(&[12.0, 50.0, 31.0, 44.0]).unwrap(), 49.82, EXACT);
    parameter(chi_max(&[1.0, f64::INFINITY]));
}
