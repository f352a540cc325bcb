//! Standard errors and tests against published values and exact enumeration.

use collimate_aqi::{
    AqiError, DeltaConfig, DeltaSign, IntervalMethod, Labels, Sample, delta, max_t_test,
    permutation_test, rho_interval, rho_standard_error,
};
use ndarray::Array2;

use crate::oracle::{self, EXACT, FLOAT, Set, close};

fn sample((rows, labels): &Set) -> Sample<'_, f64> {
    Sample::new(rows.view(), labels).unwrap()
}

#[test]
fn jackknife_standard_errors() {
    close(rho_standard_error(&sample(&oracle::d2())).unwrap(), 0.057_990_828_470_956_4, FLOAT);
    close(rho_standard_error(&sample(&oracle::d6())).unwrap(), 0.017_932_355_260_162_4, FLOAT);
    close(rho_standard_error(&sample(&oracle::d8())).unwrap(), 0.022_164_638_748_165_1, FLOAT);
}

#[test]
fn jackknife_needs_three_rows_of_each_class() {
    let error = rho_standard_error(&sample(&oracle::d1())).unwrap_err();
    assert!(matches!(error, AqiError::NeedThreePerClass { .. }), "{error}");
}

#[test]
fn exact_permutation_p_values() {
    for (set, p, labelings) in [
        (oracle::d1(), 2.0 / 6.0, 6),
        (oracle::d2(), 1.0 / 56.0, 56),
        (oracle::d8(), 1.0 / 56.0, 56),
    ] {
        let test = permutation_test(&sample(&set), 10, 0).unwrap();
        assert!(test.exact);
        assert_eq!(test.permutations, labelings);
        close(test.p_value, p, EXACT);
    }
}

/// Under random labels `E[η²] = (k − 1)/(n − 1)`, exactly over all labelings.
#[test]
fn the_mean_of_eta_squared_over_all_labelings() {
    let test = permutation_test(&sample(&oracle::d2()), 10, 0).unwrap();
    close(test.null_mean, 1.0 / 7.0, EXACT);
    let three = oracle::set(
        [[0, 1], [5, 2], [3, 9], [1, 1], [4, 8], [7, 7], [2, 0]],
        [0, 1, 2, 0, 1, 2, 0],
    );
    let test = permutation_test(&sample(&three), 10, 0).unwrap();
    assert_eq!(test.permutations, 210);
    close(test.null_mean, 2.0 / 6.0, EXACT);
}

#[test]
fn monte_carlo_agrees_with_the_f_approximation_and_is_reproducible() {
    let d6 = oracle::d6();
    let test = permutation_test(&sample(&d6), 5000, 3).unwrap();
    assert!(!test.exact);
    close(test.null_mean, 1.0 / 59.0, 0.05);
    assert_eq!(test.p_value, 1.0 / 5001.0);
    assert_eq!(test, permutation_test(&sample(&d6), 5000, 3).unwrap());
    assert_ne!(test.null_mean, permutation_test(&sample(&d6), 5000, 4).unwrap().null_mean);
}

#[test]
fn labels_stay_within_axioms() {
    let (rows, labels) = oracle::d2();
    let axioms = Labels::new([0, 0, 1, 0, 1, 1, 0, 1]).unwrap();
    let sample = Sample::new(rows.view(), &labels).unwrap().with_axioms(&axioms).unwrap();
    let test = permutation_test(&sample, 10, 0).unwrap();
    // Axiom 0 holds two rows of each class, axiom 1 one and three: 6 · 4 labelings.
    assert_eq!(test.permutations, 24);
}

#[test]
fn groups_move_as_one_and_must_have_one_class() {
    let (rows, labels) = oracle::d2();
    let groups = Labels::new(["a", "a", "b", "c", "c", "c", "d", "e"]).unwrap();
    let with = |groups| Sample::new(rows.view(), &labels).unwrap().with_groups(groups).unwrap();
    assert_eq!(permutation_test(&with(&groups), 10, 0).unwrap().permutations, 10);
    let bad = Labels::new(["a", "a", "b", "b", "c", "c", "d", "e"]).unwrap();
    let error = permutation_test(&with(&bad), 10, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "group \"b\" holds rows of \"0\" and of \"1\": labels can be permuted by group only when \
         each group has one class"
    );
}

#[test]
fn any_number_of_threads_gives_the_same_test() {
    let rows =
        Array2::from_shape_fn((90, 40), |(i, j)| ((i * i * 31 + j * 17 + i * j) % 23) as f32);
    let labels = Labels::new((0..90).map(|i| i % 2)).unwrap();
    let sample = Sample::new(rows.view(), &labels).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| permutation_test(&sample, 300, 1)).unwrap()
    };
    assert_eq!(on(1), on(3));
}

#[track_caller]
fn score_interval(sample: &Sample<'_, f64>, rho: f64, lower: f64, upper: f64) {
    let interval = rho_interval(sample, IntervalMethod::Score, 0.95).unwrap();
    close(interval.estimate, rho, EXACT);
    close(interval.lower, lower, FLOAT);
    close(interval.upper, upper, FLOAT);
}

#[test]
fn score_interval_of_a_strong_effect() {
    let (rows, labels) = oracle::d2();
    let sample = Sample::new(rows.view(), &labels).unwrap();
    score_interval(&sample, 294.0 / 359.0, 0.658_433_837_135_473_4, 0.913_760_465_066_259_9);
}

#[test]
fn score_interval_of_a_weak_effect() {
    let set = weak();
    let (rho, lower, upper) =
        (0.054_982_817_869_415_81, -0.086_908_618_512_339_83, 0.625_396_596_352_996_6);
    score_interval(&sample(&set), rho, lower, upper);
}

/// D2 with the second class five units closer and one more row in the first.
fn weak() -> Set {
    let rows = [
        [0, 0, 0],
        [3, 0, 0],
        [0, 3, 0],
        [0, 0, 3],
        [1, 1, 1],
        [2, 1, 1],
        [1, 3, 1],
        [1, 1, 4],
        [5, 4, 3],
    ];
    oracle::set(rows, [0, 0, 0, 0, 1, 1, 1, 1, 1])
}

#[test]
fn score_interval_of_three_classes_in_groups() {
    let rows = [
        [0, 0],
        [1, 0],
        [0, 2],
        [1, 3],
        [4, 0],
        [3, 1],
        [2, 2],
        [4, 3],
        [1, 1],
        [2, 1],
        [5, 2],
        [4, 4],
        [3, 0],
        [2, 0],
        [0, 1],
        [3, 3],
        [6, 1],
        [5, 0],
        [7, 2],
        [6, 4],
        [4, 1],
        [5, 3],
        [8, 2],
        [6, 2],
    ];
    let (rows, labels) = oracle::set(rows, std::array::from_fn(|i: usize| i / 8));
    let groups = Labels::new((0..24).map(|i| i / 2)).unwrap();
    let sample = Sample::new(rows.view(), &labels).unwrap().with_groups(&groups).unwrap();
    let (rho, lower, upper) =
        (0.369_369_369_369_369_5, 0.110_970_219_005_200_88, 0.712_868_655_703_037_5);
    score_interval(&sample, rho, lower, upper);
}

fn ids(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("prompt {i}")).collect()
}

fn after_training() -> Set {
    let rows = [
        [0, 0, 1],
        [4, 0, 0],
        [0, 2, 0],
        [1, 0, 3],
        [2, 1, 2],
        [3, 2, 1],
        [1, 4, 1],
        [2, 1, 5],
        [6, 5, 3],
    ];
    oracle::set(rows, [0, 0, 0, 0, 1, 1, 1, 1, 1])
}

#[test]
fn paired_difference() {
    let (before, after, ids) = (weak(), after_training(), ids(9));
    let before = sample(&before).with_ids(&ids).unwrap();
    let after = sample(&after).with_ids(&ids).unwrap();
    let change = delta(&before, &after, &DeltaConfig::default()).unwrap();
    close(change.delta, 0.081_221_048_562_921_62, FLOAT);
    close(change.standard_error.powi(2), 0.003_777_557_020_478_492, FLOAT);
    close(change.p_value, 0.227_890_971_665_435, FLOAT);
    close(change.lower, -0.064_113_094_311_415_57, FLOAT);
    close(change.upper, 0.226_555_191_437_258_8, FLOAT);
    assert!((0.1..0.5).contains(&change.sign_flip_p_value), "{}", change.sign_flip_p_value);

    let erosion = DeltaConfig::default().with_sign(DeltaSign::BeforeMinusAfter);
    let reverse = delta(&before, &after, &erosion).unwrap();
    close(reverse.delta, -change.delta, EXACT);
    close(reverse.upper, -change.lower, EXACT);
    assert_eq!(reverse.sign_flip_p_value, change.sign_flip_p_value);
}

#[test]
fn pairs_are_joined_by_id_and_what_is_alone_is_reported() {
    let (before, after, ids) = (weak(), after_training(), ids(9));
    let whole = delta(
        &sample(&before).with_ids(&ids).unwrap(),
        &sample(&after).with_ids(&ids).unwrap(),
        &DeltaConfig::default(),
    )
    .unwrap();
    let order = [8, 3, 0, 5, 1, 7, 2, 6, 4];
    let mut rows = after.0.select(ndarray::Axis(0), &order);
    rows.push_row(ndarray::aview1(&[9.0, 9.0, 9.0])).unwrap();
    let labels: Vec<usize> = order.iter().map(|&i| after.1.codes()[i]).chain([0]).collect();
    let labels = Labels::new(labels).unwrap();
    let mut shuffled: Vec<String> = order.iter().map(|&i: &usize| ids[i].clone()).collect();
    shuffled.push("new prompt".to_owned());
    let joined = delta(
        &sample(&before).with_ids(&ids).unwrap(),
        &Sample::new(rows.view(), &labels).unwrap().with_ids(&shuffled).unwrap(),
        &DeltaConfig::default(),
    )
    .unwrap();
    assert_eq!(joined.only_after, ["new prompt"]);
    assert_eq!(joined.paired_rows, 9);
    close(joined.p_value, whole.p_value, FLOAT);
}

#[test]
fn pairs_that_do_not_fit_are_errors() {
    let (before, after, names) = (weak(), after_training(), ids(9));
    let config = DeltaConfig::default();
    let error = delta(&sample(&before), &sample(&after), &config).unwrap_err();
    assert!(matches!(error, AqiError::MissingIds { sample: "first" }));
    let other: Vec<String> = (0..9).map(|i| format!("other {i}")).collect();
    let a = sample(&before).with_ids(&names).unwrap();
    let b = sample(&after).with_ids(&other).unwrap();
    assert!(matches!(delta(&a, &b, &config), Err(AqiError::NoCommonIds)));
    let labels = Labels::new([0, 0, 0, 1, 1, 1, 1, 1, 1]).unwrap();
    let b = Sample::new(after.0.view(), &labels).unwrap().with_ids(&names).unwrap();
    let error = delta(&a, &b, &config).unwrap_err();
    assert_eq!(error.to_string(), "id \"prompt 3\" is labelled \"0\" before and \"1\" after");
    let twice = vec!["x".to_owned(); 9];
    assert!(matches!(
        sample(&before).with_ids(&twice),
        Err(AqiError::DuplicateId { first: 0, second: 1, .. })
    ));
}

/// Without an effect the corrected jackknife can fall below what the noise alone must give.
#[test]
fn paired_difference_of_noise() {
    let classes = std::array::from_fn(|i: usize| i / 5);
    let before = oracle::set(
        [
            [8, 0, 1],
            [2, 1, 8],
            [8, 5, 0],
            [0, 3, 4],
            [6, 4, 2],
            [1, 6, 7],
            [0, 1, 4],
            [3, 8, 5],
            [4, 4, 6],
            [5, 1, 7],
        ],
        classes,
    );
    let after = oracle::set(
        [
            [7, 9, 7],
            [2, 3, 6],
            [6, 6, 8],
            [2, 9, 0],
            [0, 9, 9],
            [2, 1, 3],
            [0, 8, 6],
            [5, 2, 4],
            [1, 7, 4],
            [0, 2, 7],
        ],
        classes,
    );
    let ids = ids(10);
    let change = delta(
        &sample(&before).with_ids(&ids).unwrap(),
        &sample(&after).with_ids(&ids).unwrap(),
        &DeltaConfig::default(),
    )
    .unwrap();
    // From the definitions, in numpy: the jackknife's variance less 2Q would be 0.00433.
    close(change.before, 0.065_623_641_894_828_33, FLOAT);
    close(change.delta, -0.007_089_053_274_279_819, FLOAT);
    close(change.standard_error.powi(2), 0.006_861_475_319_498_463, FLOAT);
}

#[test]
fn sign_flips_of_many_prompts_agree_with_the_t_test() {
    let (rows, labels) = oracle::d6();
    let shifted = Array2::from_shape_fn((60, 16), |(i, j)| {
        let noise = ((i * 389 + j * 83 + i * i * j) % 401) as f64;
        rows[[i, j]] + noise - 10.0 * (i % 2) as f64
    });
    let ids = ids(60);
    let before = Sample::new(rows.view(), &labels).unwrap().with_ids(&ids).unwrap();
    let after = Sample::new(shifted.view(), &labels).unwrap().with_ids(&ids).unwrap();
    let change = delta(&before, &after, &DeltaConfig::default()).unwrap();
    assert!((0.001..0.5).contains(&change.p_value), "{}", change.p_value);
    close(change.sign_flip_p_value, change.p_value, 0.25);
    let again = delta(&before, &after, &DeltaConfig::default().with_seed(1)).unwrap();
    assert_ne!(again.sign_flip_p_value, change.sign_flip_p_value);
}

#[test]
fn nothing_changed() {
    let (before, ids) = (weak(), ids(9));
    let arm = sample(&before).with_ids(&ids).unwrap();
    let change = delta(&arm, &arm, &DeltaConfig::default()).unwrap();
    assert_eq!((change.delta, change.p_value, change.sign_flip_p_value), (0.0, 1.0, 1.0));
}

#[test]
fn bootstrap_intervals_hold_the_estimate_and_are_reproducible() {
    let d6 = oracle::d6();
    let of = |method| rho_interval(&sample(&d6), method, 0.95).unwrap();
    let centered = of(IntervalMethod::Centered { resamples: 400, seed: 1 });
    assert_eq!(centered, of(IntervalMethod::Centered { resamples: 400, seed: 1 }));
    assert!(centered.lower < centered.estimate && centered.estimate < centered.upper);
    // Resampling adds Σ T_c/n_c to the squared gap, here a quarter of it.
    let percentile = of(IntervalMethod::LegacyPercentile { resamples: 400, seed: 1 });
    assert!(percentile.lower > centered.lower + 0.01);
    close(percentile.upper - percentile.lower, centered.upper - centered.lower, EXACT);
    close(centered.standard_error, 0.018, 0.3);
}

/// A class resampled as a whole: its Gram matrix and its coordinates give the same resamples.
#[test]
fn the_bootstrap_does_not_depend_on_how_products_are_computed() {
    let (rows, labels) = oracle::d6();
    let method = IntervalMethod::Centered { resamples: 50, seed: 9 };
    let narrow = rho_interval(&Sample::new(rows.view(), &labels).unwrap(), method, 0.9).unwrap();
    let mut wide = Array2::zeros((60, 80));
    wide.slice_axis_mut(ndarray::Axis(1), ndarray::Slice::from(0..16)).assign(&rows);
    let wide = rho_interval(&Sample::new(wide.view(), &labels).unwrap(), method, 0.9).unwrap();
    close(wide.lower, narrow.lower, FLOAT);
    close(wide.upper, narrow.upper, FLOAT);
}

#[test]
fn f_approximation() {
    let d6 = oracle::dispersion(&oracle::d6());
    close(d6.f_test(13.064_379_415_5).unwrap(), 4.882_507_7e-8, 1e-7);
    assert!(d6.f_test(0.0).is_err());
}

#[test]
fn the_largest_statistic_over_layers() {
    let (rows, labels) = oracle::d6();
    let noise = Array2::from_shape_fn((60, 16), |(i, j)| ((i * 7919 + j * 31) % 97) as f64);
    let views = [rows.view(), noise.view(), rows.view()];
    let samples: Vec<Sample<'_, f64>> =
        views.iter().map(|view| Sample::new(*view, &labels).unwrap()).collect();
    let tests = max_t_test(&samples, 500, 4).unwrap();
    assert_eq!(tests[0], tests[2]);
    assert_eq!(tests[0].test, permutation_test(&samples[0], 500, 4).unwrap());
    for test in &tests {
        assert!(test.adjusted_p_value >= test.test.p_value);
    }
    assert!(tests[1].adjusted_p_value > 0.05);
    let one = max_t_test(&samples[1..2], 500, 4).unwrap();
    assert_eq!(one[0].adjusted_p_value, one[0].test.p_value);
}
