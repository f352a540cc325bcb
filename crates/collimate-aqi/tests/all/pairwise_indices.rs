//! The indices that need the rows themselves: known values, edge cases, invariances.

use collimate_aqi::{
    AqiError, FuzzySettings, Labels, Metric, Moments, boundary_gap, davies_bouldin, dunn,
    dunn_trimmed, duplicate_rows, fuzzy_xie_beni, participation_ratio, silhouette,
    silhouette_sampled, silhouette_simplified, silhouette_with,
};
use ndarray::{Array2, Axis, array, concatenate};
use std::f64::consts::FRAC_1_SQRT_2;

use crate::oracle::{self, EXACT, FLOAT, Set, close, dispersion};

/// Pseudo-random rows around class centres, the same every time.
fn sample(n: usize, d: usize, k: usize) -> Set {
    let rows = Array2::from_shape_fn((n, d), |(i, j)| {
        let noise = ((i * 7919 + j * 104_729 + i * i * 31 + i * j * 13) % 1009) as f64 / 1009.0;
        noise + ((i % k) * (j % 3)) as f64 * 0.4
    });
    (rows, Labels::new((0..n).map(|i| i % k)).unwrap())
}

#[test]
fn known_values() {
    // Davies-Bouldin, silhouette, Dunn.
    let known: [(&str, Set, [f64; 3]); 9] = [
        ("D1", oracle::d1(), [0.2, 0.797979797979798, 4.0]),
        ("D2", oracle::d2(), [0.379637178836771, 0.694380765449519, 1.67125804359347]),
        ("D3", oracle::d3(), [0.288080540483408, 0.768354433504988, 2.12132034355964]),
        ("D4", oracle::d4(), [f64::INFINITY, -0.292893218813453, FRAC_1_SQRT_2]),
        ("D5", oracle::d5(), [0.0, 1.0, f64::INFINITY]),
        ("D6", oracle::d6(), [3.45114278230828, 0.0532408820029613, 0.269365675812583]),
        ("D7", oracle::d7(), [4.03843048663664, 0.0242766353741228, 0.255367773962576]),
        ("D8", oracle::d8(), [1.3940216039211, 0.175552643562463, 0.98587143723937]),
        ("D13", oracle::d13(), [FRAC_1_SQRT_2, 0.292893218813452, FRAC_1_SQRT_2]),
    ];
    for (name, (rows, labels), [db, s, d]) in known {
        println!("{name}");
        close(davies_bouldin(rows.view(), &labels).unwrap(), db, FLOAT);
        close(silhouette(rows.view(), &labels).unwrap().mean, s, FLOAT);
        close(dunn(rows.view(), &labels).unwrap().index, d, FLOAT);
    }
}

#[test]
fn infinities_are_where_they_are_defined() {
    let (rows, labels) = oracle::d4();
    assert_eq!(davies_bouldin(rows.view(), &labels).unwrap(), f64::INFINITY);
    let (rows, labels) = oracle::d5();
    assert_eq!(davies_bouldin(rows.view(), &labels).unwrap(), 0.0);
    assert_eq!(silhouette(rows.view(), &labels).unwrap().mean, 1.0);
    let found = dunn(rows.view(), &labels).unwrap();
    assert_eq!((found.index, found.separation, found.diameter), (f64::INFINITY, 5.0, 0.0));
}

#[test]
fn known_values_with_repeated_rows_and_with_a_singleton() {
    for ((rows, labels), [db, s, d]) in [
        (oracle::d9(), [0.226487941188232, 0.841398317880125, 2.91547594742265]),
        (oracle::d10(), [0.0991018490516281, 0.620385457431098, 4.52769256906871]),
    ] {
        close(davies_bouldin(rows.view(), &labels).unwrap(), db, FLOAT);
        let silhouette = silhouette(rows.view(), &labels).unwrap();
        close(silhouette.mean, s, FLOAT);
        close(dunn(rows.view(), &labels).unwrap().index, d, FLOAT);
    }
}

#[test]
fn the_only_row_of_a_class_has_silhouette_zero() {
    let (rows, labels) = oracle::d10();
    assert_eq!(silhouette(rows.view(), &labels).unwrap().values[3], 0.0);
    assert_eq!(silhouette(rows.view(), &labels).unwrap().class_means[1], Some(0.0));
    assert_eq!(silhouette_simplified(rows.view(), &labels).unwrap().values[3], 0.0);
}

#[test]
fn rows_that_coincide_with_another_class_have_silhouette_and_dunn_zero() {
    let rows = array![[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [4.0, 0.0], [5.0, 0.0]];
    let labels = Labels::new([0, 0, 1, 1, 2, 2]).unwrap();
    let found = silhouette(rows.view(), &labels).unwrap();
    assert_eq!(found.values[..4], [0.0; 4]);
    let found = dunn(rows.view(), &labels).unwrap();
    assert_eq!((found.index, found.separation, found.diameter), (0.0, 0.0, 1.0));
    assert_eq!(davies_bouldin(rows.view(), &labels).unwrap(), f64::INFINITY);
    let points = rows.slice_axis(Axis(0), (0..5).into());
    let labels = labels.select(&[0, 1, 2, 3, 4]).unwrap();
    let found = dunn(points, &labels).unwrap();
    assert_eq!((found.index, found.diameter), (0.0, 0.0));
    let found = duplicate_rows(rows.view(), &Labels::new([0, 0, 1, 1, 2, 2]).unwrap()).unwrap();
    assert_eq!((found.rows, found.across_classes), (3, 2));
}

#[test]
fn inputs_that_cannot_be_scored_are_errors() {
    type Index = fn(&Array2<f64>, &Labels) -> Result<f64, AqiError>;
    let indices: [(&str, Index); 6] = [
        ("silhouette", |x, y| silhouette(x.view(), y).map(|s| s.mean)),
        ("simplified", |x, y| silhouette_simplified(x.view(), y).map(|s| s.mean)),
        ("Davies-Bouldin", |x, y| davies_bouldin(x.view(), y)),
        ("Dunn", |x, y| dunn(x.view(), y).map(|d| d.index)),
        ("trimmed Dunn", |x, y| dunn_trimmed(x.view(), y, 0.05).map(|d| d.index)),
        ("boundary gap", |x, y| boundary_gap(x.view(), y, 0.5, 0.05).map(|g| g.minimum)),
    ];
    let two = Labels::new([0, 0, 1, 1]).unwrap();
    let fine = array![[1.0, 2.0], [2.0, 1.0], [5.0, 5.0], [6.0, 5.0]];
    let mut bad = fine.clone();
    bad[[2, 1]] = f64::NAN;
    for (name, index) in indices {
        println!("{name}");
        assert!(index(&fine, &two).is_ok());
        assert!(matches!(index(&Array2::zeros((0, 2)), &two), Err(AqiError::Empty)));
        assert!(matches!(index(&Array2::zeros((4, 0)), &two), Err(AqiError::ZeroDim)));
        assert!(matches!(
            index(&Array2::ones((3, 2)), &two),
            Err(AqiError::Shape { expected: 3, found: 4, .. })
        ));
        assert!(matches!(index(&bad, &two), Err(AqiError::NonFinite { row: 2, col: 1, .. })));
        let one = Labels::new(["a"; 4]).unwrap();
        assert!(matches!(index(&fine, &one), Err(AqiError::SingleClass { .. })));
        let same = Array2::from_elem((4, 2), 0.1);
        assert!(matches!(index(&same, &two), Err(AqiError::DegenerateData)));
    }
    let each = Labels::new([0, 1, 2, 3]).unwrap();
    assert!(matches!(silhouette(fine.view(), &each), Err(AqiError::TooFewSamples { n: 4, k: 4 })));
    assert!(matches!(dunn_trimmed(fine.view(), &two, 0.6), Err(AqiError::Parameter { .. })));
    assert!(matches!(dunn_trimmed(fine.view(), &two, f64::NAN), Err(AqiError::Parameter { .. })));
}

#[test]
fn classes_of_one_row_each_have_no_diameter() {
    let rows = array![[0.0], [3.0], [7.0]];
    let labels = Labels::new([0, 1, 2]).unwrap();
    for q in [0.0, 0.05] {
        let found = dunn_trimmed(rows.view(), &labels, q).unwrap();
        assert_eq!((found.index, found.diameter), (f64::INFINITY, 0.0));
    }
    let found = dunn(rows.view(), &labels).unwrap();
    assert!(serde_json::to_string(&found).unwrap().contains(r#""index":"inf""#));
}

#[test]
fn extreme_scales_change_nothing() {
    let (rows, labels) = oracle::d7();
    for scale in [1e-170, 1e-100, 1e-9, 1e160, 1e200] {
        println!("{scale:e}");
        let scaled = &rows * scale;
        let scaled = scaled.view();
        close(silhouette(scaled, &labels).unwrap().mean, 0.0242766353741228, FLOAT);
        close(davies_bouldin(scaled, &labels).unwrap(), 4.03843048663664, FLOAT);
        let found = dunn_trimmed(scaled, &labels, 0.05).unwrap();
        let expected = dunn_trimmed(rows.view(), &labels, 0.05).unwrap();
        close(found.index, expected.index, FLOAT);
        close(found.separation, expected.separation * scale, FLOAT);
        close(dunn(scaled, &labels).unwrap().index, 0.255367773962576, FLOAT);
        close(
            silhouette_simplified(scaled, &labels).unwrap().mean,
            silhouette_simplified(rows.view(), &labels).unwrap().mean,
            FLOAT,
        );
        close(
            silhouette_with(scaled, &labels, Metric::Cosine).unwrap().mean,
            silhouette_with(rows.view(), &labels, Metric::Cosine).unwrap().mean,
            FLOAT,
        );
        close(
            participation_ratio(scaled, &labels).unwrap(),
            participation_ratio(rows.view(), &labels).unwrap(),
            FLOAT,
        );
    }
}

#[test]
fn shifts_and_other_isometries_change_nothing() {
    let (rows, labels) = oracle::d2();
    let shifted = &rows + 1e6;
    close(silhouette(shifted.view(), &labels).unwrap().mean, 0.694380765449519, EXACT);
    close(davies_bouldin(shifted.view(), &labels).unwrap(), 0.379637178836771, EXACT);
    close(dunn(shifted.view(), &labels).unwrap().index, 1.67125804359347, EXACT);
    let (sin, cos) = 0.7_f64.sin_cos();
    let rotation = array![[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, -1.0]];
    let turned = rows.dot(&rotation);
    close(silhouette(turned.view(), &labels).unwrap().mean, 0.694380765449519, EXACT);
    let wider = concatenate![Axis(1), rows, Array2::zeros((8, 1))];
    close(davies_bouldin(wider.view(), &labels).unwrap(), 0.379637178836771, EXACT);
    let backwards: Vec<usize> = (0..8).rev().collect();
    let found =
        silhouette(rows.select(Axis(0), &backwards).view(), &labels.select(&backwards).unwrap())
            .unwrap();
    close(found.mean, 0.694380765449519, EXACT);
}

#[test]
fn a_thousand_rows_agree_with_brute_force() {
    let (rows, labels) = sample(1000, 7, 3);
    let codes = labels.codes();
    let distance = |i: usize, j: usize| {
        let difference = &rows.row(i) - &rows.row(j);
        difference.dot(&difference).sqrt()
    };
    let (mut between, mut within) = (Vec::new(), Vec::new());
    let found = silhouette(rows.view(), &labels).unwrap();
    for i in 0..1000 {
        let mut sums = [0.0; 3];
        for j in (0..1000).filter(|&j| j != i) {
            sums[codes[j]] += distance(i, j);
            if j > i {
                let set = if codes[i] == codes[j] { &mut within } else { &mut between };
                set.push(distance(i, j));
            }
        }
        let counts = labels.counts();
        let a = sums[codes[i]] / (counts[codes[i]] - 1) as f64;
        let b = (0..3)
            .filter(|&c| c != codes[i])
            .map(|c| sums[c] / counts[c] as f64)
            .fold(f64::INFINITY, f64::min);
        close(found.values[i], (b - a) / a.max(b), 1e-10);
    }
    between.sort_by(f64::total_cmp);
    within.sort_by(f64::total_cmp);
    let quantile = |sorted: &[f64], q: f64| {
        let position = q * (sorted.len() - 1) as f64;
        let low = sorted[position.floor() as usize];
        low + (sorted[position.ceil() as usize] - low) * position.fract()
    };
    for q in [0.0, 0.01, 0.05, 0.3] {
        let found = dunn_trimmed(rows.view(), &labels, q).unwrap();
        close(found.separation, quantile(&between, q), 1e-11);
        close(found.diameter, quantile(&within, 1.0 - q), 1e-11);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let (rows, labels) = sample(900, 11, 4);
    let on = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let safe = labels.clone().with_safe("2").unwrap();
            (
                silhouette(rows.view(), &labels).unwrap(),
                silhouette_simplified(rows.view(), &labels).unwrap(),
                davies_bouldin(rows.view(), &labels).unwrap(),
                dunn_trimmed(rows.view(), &labels, 0.05).unwrap(),
                boundary_gap(rows.view(), &safe, 0.5, 0.05).unwrap(),
                participation_ratio(rows.view(), &labels).unwrap(),
            )
        })
    };
    let one = on(1);
    assert_eq!(on(2), one);
    assert_eq!(on(5), one);
}

#[test]
fn a_sample_of_all_rows_is_the_whole() {
    let (rows, labels) = oracle::d6();
    let whole = silhouette(rows.view(), &labels).unwrap();
    let found = silhouette_sampled(rows.view(), &labels, 60, 1).unwrap();
    assert_eq!(found.values, whole.values);
    assert_eq!(found.rows, Some((0..60).collect()));
}

#[test]
fn a_sample_is_the_silhouette_of_its_rows() {
    let (rows, labels) = sample(500, 4, 3);
    let found = silhouette_sampled(rows.view(), &labels, 90, 7).unwrap();
    let drawn = found.rows.clone().unwrap();
    assert_eq!(drawn.len(), 90);
    assert!(drawn.is_sorted_by(|a, b| a < b));
    let alone =
        silhouette(rows.select(Axis(0), &drawn).view(), &labels.select(&drawn).unwrap()).unwrap();
    assert_eq!(found.values, alone.values);
    assert_eq!(silhouette_sampled(rows.view(), &labels, 90, 7).unwrap(), found);
    assert_ne!(silhouette_sampled(rows.view(), &labels, 90, 8).unwrap().rows, found.rows);
    for size in [0, 1, 501] {
        assert!(matches!(
            silhouette_sampled(rows.view(), &labels, size, 7),
            Err(AqiError::Parameter { .. })
        ));
    }
}

#[test]
fn a_class_that_was_not_drawn_has_no_mean() {
    let (rows, _) = sample(300, 2, 2);
    let labels = Labels::new((0..300).map(|i| if i == 0 { 9 } else { i % 2 })).unwrap();
    let found = silhouette_sampled(rows.view(), &labels, 20, 0).unwrap();
    assert!(!found.rows.unwrap().contains(&0));
    assert_eq!(found.class_means[2], None);
    assert!(found.class_means[0].is_some() && found.class_means[1].is_some());
}

#[test]
fn davies_bouldin_is_at_most_twice_the_root_of_xie_beni() {
    for set in [oracle::d1(), oracle::d3(), oracle::d6(), oracle::d13(), sample(99, 3, 3)] {
        let db = davies_bouldin(set.0.view(), &set.1).unwrap();
        assert!(db <= 2.0 * dispersion(&set).xie_beni().sqrt() * (1.0 + 1e-12));
    }
}

#[test]
fn the_cosine_of_a_row_of_zeros_is_an_error() {
    let rows = array![[1.0, 2.0], [0.0, 0.0], [3.0, 1.0], [3.0, 2.0]];
    let labels = Labels::new([0, 0, 1, 1]).unwrap();
    assert!(matches!(
        silhouette_with(rows.view(), &labels, Metric::Cosine),
        Err(AqiError::ZeroRow { row: 1 })
    ));
    assert!(matches!(
        boundary_gap(rows.view(), &labels, 0.5, 0.05),
        Err(AqiError::ZeroRow { row: 1 })
    ));
}

#[test]
fn the_boundary_gap_has_its_known_value() {
    let (rows, labels) = oracle::d2();
    let gap = boundary_gap((&rows + 1.0).view(), &labels, 0.5, 0.05).unwrap();
    close(gap.minimum, 81.0917517095361, FLOAT);
    close(gap.quantile, 81.0917517095361, FLOAT);
    close(gap.delta_latent, 9.0, EXACT);
}

#[test]
fn the_boundary_gap_of_long_and_short_rows_keeps_the_angle() {
    let rows = array![[1e-7, 0.0], [0.0, 1e-7], [1e7, 0.0], [1e7, 1e7]];
    let labels = Labels::from_safe(&[true, true, false, false]).unwrap();
    let gap = boundary_gap((&rows * 1e-15).view(), &labels, 1.0, 1.0).unwrap();
    // 1 − cos is 0 for the closest pair and 1 for the farthest in angle; distances vanish.
    assert!(gap.minimum < 1e-15, "{gap:?}");
    close(gap.quantile, 1.0, 1e-12);
}

#[test]
fn the_boundary_gap_needs_to_know_what_is_safe() {
    let (rows, labels) = oracle::d3();
    let rows = &rows + 1.0;
    assert!(matches!(
        boundary_gap(rows.view(), &labels, 0.5, 0.05),
        Err(AqiError::TwoClasses { found: 3, .. })
    ));
    let safe = labels.with_safe("2").unwrap();
    // The classes at (0, 0) and (4, 0) are both unsafe; the nearest row is 8 away.
    let gap = boundary_gap(rows.view(), &safe, 0.0, 0.05).unwrap();
    assert_eq!(gap.delta_latent, 8.0);
    assert_eq!(gap.minimum, 64.0);
    for (lambda, tau) in [(-0.1, 0.5), (f64::INFINITY, 0.5), (0.5, 1.1), (0.5, f64::NAN)] {
        assert!(matches!(
            boundary_gap(rows.view(), &safe, lambda, tau),
            Err(AqiError::Parameter { .. })
        ));
    }
}

#[test]
fn boundary_gaps_beyond_the_range_of_f64_are_infinite() {
    let (rows, labels) = oracle::d2();
    let gap = boundary_gap(((&rows + 1.0) * 1e200).view(), &labels, 0.5, 0.5).unwrap();
    assert_eq!((gap.minimum, gap.quantile), (f64::INFINITY, f64::INFINITY));
    close(gap.delta_latent, 9e200, EXACT);
}

fn memberships() -> Array2<f64> {
    array![[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]
}

#[test]
fn fuzzy_known_values() {
    let (rows, _) = oracle::d1();
    let score = |m: f64| {
        let settings = FuzzySettings::default().with_m(m);
        fuzzy_xie_beni(rows.view(), memberships().view(), &settings).unwrap()
    };
    let two = score(2.0);
    close(two.centres[0][0], 1.48387096774194, EXACT);
    close(two.centres[1][0], 10.8888888888889, EXACT);
    close(two.objective, 15.3204301075269, EXACT);
    close(two.index, 0.0433003804004313, EXACT);
    close(score(1.5).index, 0.101246541720971, EXACT);
    close(score(3.0).index, 0.0126182336866671, EXACT);
    close(score(1.0).index, 0.310100832612457, EXACT);
    let fixed = FuzzySettings::default().with_centres(array![[1.0], [11.0]]);
    let found = fuzzy_xie_beni(rows.view(), memberships().view(), &fixed).unwrap();
    close(found.index, 0.03925, EXACT);
}

#[test]
fn hard_memberships_give_xie_beni() {
    for set in [oracle::d1(), oracle::d2(), oracle::d7(), oracle::d13(), sample(600, 5, 4)] {
        let (rows, labels) = &set;
        let hard = Array2::from_shape_fn((rows.nrows(), labels.class_count()), |(i, c)| {
            f64::from(u8::from(labels.codes()[i] == c))
        });
        let found = fuzzy_xie_beni(rows.view(), hard.view(), &FuzzySettings::default()).unwrap();
        close(found.index, dispersion(&set).xie_beni(), EXACT);
        let scaled = (rows + 7.0) * 1e170;
        let found = fuzzy_xie_beni(scaled.view(), hard.view(), &FuzzySettings::default()).unwrap();
        close(found.index, dispersion(&set).xie_beni(), 1e-11);
        assert_eq!(found.objective, f64::INFINITY);
        let moments = Moments::from_rows(scaled.view(), labels).unwrap();
        close(found.centres[1][0], moments.mean(1).unwrap()[0], EXACT);
    }
}

#[test]
fn memberships_that_are_none_are_errors() {
    let (rows, _) = oracle::d1();
    let score = |u: &Array2<f64>, settings: &FuzzySettings| {
        fuzzy_xie_beni(rows.view(), u.view(), settings).map(|found| found.index)
    };
    let plain = FuzzySettings::default();
    let with = |row: usize, values: [f64; 2]| {
        let mut u = memberships();
        u.row_mut(row).assign(&array![values[0], values[1]]);
        u
    };
    for values in [[0.5, 0.4], [1.2, -0.2], [f64::NAN, 0.5], [0.5, 0.5 + 1e-5], [1.5, 0.0]] {
        let error = score(&with(2, values), &plain).unwrap_err();
        assert!(matches!(error, AqiError::Membership { row: 2, .. }), "{error}");
    }
    assert!(score(&with(2, [0.5, 0.5 + 1e-8]), &plain).is_ok());
    let empty =
        Array2::from_shape_fn((4, 3), |(i, c)| if c < 2 { memberships()[[i, c]] } else { 0.0 });
    assert!(matches!(score(&empty, &plain), Err(AqiError::EmptyCluster { cluster: 2 })));
    for m in [0.9, 0.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            score(&memberships(), &plain.clone().with_m(m)),
            Err(AqiError::Parameter { name: "m", .. })
        ));
    }
    let one = Array2::ones((4, 1));
    assert!(matches!(score(&one, &plain), Err(AqiError::Shape { .. })));
    let short = Array2::from_elem((3, 2), 0.5);
    assert!(matches!(score(&short, &plain), Err(AqiError::Shape { expected: 4, found: 3, .. })));
    for centres in [array![[1.0]], array![[1.0, 0.0], [2.0, 0.0]]] {
        let settings = plain.clone().with_centres(centres);
        assert!(matches!(score(&memberships(), &settings), Err(AqiError::Shape { .. })));
    }
    let settings = plain.with_centres(array![[1.0], [f64::INFINITY]]);
    assert!(matches!(score(&memberships(), &settings), Err(AqiError::Parameter { .. })));
}

#[test]
fn weights_are_normalized_and_typicalities_accepted_on_request() {
    let (rows, _) = oracle::d1();
    let weights = array![[9.0, 1.0], [0.4, 0.1], [3e-5, 7e-5], [1e300, 9e300]];
    let settings = FuzzySettings::default().with_normalize(true);
    let found = fuzzy_xie_beni(rows.view(), weights.view(), &settings).unwrap();
    close(found.index, 0.0433003804004313, EXACT);
    let zero = array![[9.0, 1.0], [0.0, 0.0], [3.0, 7.0], [1.0, 9.0]];
    assert!(matches!(
        fuzzy_xie_beni(rows.view(), zero.view(), &settings),
        Err(AqiError::Membership { row: 1, .. })
    ));
    let typical = array![[0.9, 0.0], [0.8, 0.1], [0.0, 0.7], [0.0, 0.0]];
    let settings =
        FuzzySettings::default().with_possibilistic(true).with_centres(array![[1.0], [11.0]]);
    let found = fuzzy_xie_beni(rows.view(), typical.view(), &settings).unwrap();
    // (.81·1 + .64·1 + .01·81 + .49·1) / (4 · 100)
    close(found.index, 2.75 / 400.0, EXACT);
}

#[test]
fn fuzzy_centres_that_coincide_are_infinitely_bad() {
    let (rows, _) = oracle::d1();
    let even = Array2::from_elem((4, 2), 0.5);
    let found = fuzzy_xie_beni(rows.view(), even.view(), &FuzzySettings::default()).unwrap();
    assert_eq!(found.index, f64::INFINITY);
    let same = Array2::<f64>::ones((4, 1));
    assert!(matches!(
        fuzzy_xie_beni(same.view(), even.view(), &FuzzySettings::default()),
        Err(AqiError::DegenerateData)
    ));
}

#[test]
fn the_participation_ratio_has_its_known_value() {
    let (rows, labels) = oracle::d6();
    close(participation_ratio(rows.view(), &labels).unwrap(), 13.0643794155, 1e-11);
}

#[test]
fn products_of_rows_and_of_columns_have_one_participation_ratio() {
    // 300 rows of 700 columns, and the same scatter written as 1400 rows (±) of 700 columns.
    let (rows, _) = sample(300, 700, 3);
    let labels = Labels::new((0..300).map(|i| i % 2)).unwrap();
    let by_row = participation_ratio(rows.view(), &labels).unwrap();
    let copies = concatenate![Axis(0), rows, rows, rows, rows];
    let labels = Labels::new((0..1200).map(|i| i % 2)).unwrap();
    close(participation_ratio(copies.view(), &labels).unwrap(), by_row, 1e-11);
}

#[test]
fn without_within_scatter_there_is_no_participation_ratio() {
    let (rows, labels) = oracle::d5();
    assert!(matches!(
        participation_ratio(rows.view(), &labels),
        Err(AqiError::NoWithinScatter { .. })
    ));
    let line = array![[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]];
    let found = participation_ratio(line.view(), &Labels::new([0, 0, 0]).unwrap()).unwrap();
    close(found, 1.0, EXACT);
}

#[test]
fn half_precision_rows_are_scored_too() {
    let (rows, labels) = oracle::d2();
    let half = rows.mapv(half::f16::from_f64);
    close(silhouette(half.view(), &labels).unwrap().mean, 0.694380765449519, EXACT);
    close(davies_bouldin(half.view(), &labels).unwrap(), 0.379637178836771, EXACT);
}
