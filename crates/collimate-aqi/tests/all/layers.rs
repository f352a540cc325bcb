//! Layer weights: sufficient statistics against pooled rows, objectives against each other.

use collimate_aqi::{
    AqiError, CosineAnchor, Dispersion, Element, Flag, Labels, LayerMoments, LayerObjective,
    LayerScales, LayerScaling, LayerWeights, Margin, Moments, PaperHinge, Rayleigh, SimplexMap,
    WeightSource, fit_and_score, pool_layers,
};
use half::{bf16, f16};
use ndarray::{Array2, Array3, Axis};

use crate::oracle::{EXACT, FLOAT, close};

/// Normal numbers from a fixed sequence (splitmix64, Box-Muller).
struct Noise(u64);

impl Noise {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) * f64::powi(2.0, -53)
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Rows of `k` classes, `[n, L, d]`, each layer with its own centroids and an offset.
fn sample(n: usize, layers: usize, dim: usize, k: usize) -> (Array3<f64>, Labels) {
    let mut noise = Noise(1);
    let centres = Array3::from_shape_fn((k, layers, dim), |_| 3.0 + noise.normal());
    let activations = Array3::from_shape_fn((n, layers, dim), |(i, l, j)| {
        let shared = f64::from(((i * 37) % 11) as u8) * 0.1;
        (1.0 + l as f64) * (centres[[i % k, l, j]] + shared + noise.normal())
    });
    (activations, Labels::new((0..n).map(|i| i % k)).unwrap())
}

/// Norms grow 1.6 times from layer to layer, errors are independent between layers, and the
/// middle layers separate best.
fn growing(n: usize) -> (Array3<f64>, Labels) {
    let (layers, dim) = (12, 16);
    let mut noise = Noise(2);
    let mut directions = Array2::from_shape_fn((layers, dim), |_| noise.normal());
    for mut direction in directions.rows_mut() {
        let norm = direction.dot(&direction).sqrt();
        direction /= norm;
    }
    let shared = directions.row(0).to_owned();
    let activations = Array3::from_shape_fn((n, layers, dim), |(i, l, j)| {
        let strength = 3.5 * (-((l as f64 - 5.0) / 3.0).powi(2)).exp();
        let sign = if i % 2 == 0 { 0.5 } else { -0.5 };
        let direction = 0.7 * shared[j] + 0.3 * directions[[l, j]];
        f64::powi(1.6, l as i32) * (sign * strength * direction + noise.normal())
    });
    (activations, Labels::new((0..n).map(|i| i % 2)).unwrap())
}

fn halves(n: usize) -> (Vec<usize>, Vec<usize>) {
    (0..n).partition(|i| i / 2 % 2 == 0)
}

#[track_caller]
fn same(a: &Dispersion, b: &Dispersion, tolerance: f64) {
    close(a.xie_beni(), b.xie_beni(), tolerance);
    close(a.calinski_harabasz().unwrap(), b.calinski_harabasz().unwrap(), tolerance);
    close(a.rho_global().unwrap(), b.rho_global().unwrap(), tolerance);
    close(a.rho_local().unwrap(), b.rho_local().unwrap(), tolerance);
}

/// The statistics of the weights, and those of the rows that the weights pool.
fn both_ways<F: Element>(
    activations: &Array3<F>,
    labels: &Labels,
    weights: &LayerWeights,
    scaling: LayerScaling,
) -> (Dispersion, Dispersion) {
    let moments = LayerMoments::from_rows(activations.view(), labels).unwrap();
    let scales = moments.scales(scaling).unwrap();
    let pooled = pool_layers(activations.view(), weights, &scales).unwrap();
    let rows = Moments::from_rows(pooled.view(), labels).unwrap();
    let scaled = moments.scaled(&scales).unwrap();
    (scaled.dispersion(weights).unwrap(), rows.dispersion().unwrap())
}

#[test]
fn statistics_and_pooled_rows_agree() {
    for k in [2, 3] {
        let (activations, labels) = sample(700, 5, 9, k);
        for weights in [
            LayerWeights::uniform(5).unwrap(),
            LayerWeights::single(3, 5).unwrap(),
            LayerWeights::fixed(vec![0.1, 0.0, 0.4, 0.3, 0.2]).unwrap(),
        ] {
            for scaling in [LayerScaling::Rms, LayerScaling::None] {
                let (a, b) = both_ways(&activations, &labels, &weights, scaling);
                same(&a, &b, FLOAT);
            }
        }
    }
}

#[test]
fn every_float_type_is_read_exactly() {
    let (activations, labels) = sample(300, 3, 4, 2);
    let weights = LayerWeights::fixed(vec![0.5, 0.2, 0.3]).unwrap();
    fn check<F: Element>(rows: Array3<F>, labels: &Labels, weights: &LayerWeights) {
        let exact = LayerMoments::from_rows(rows.mapv(|x| x.to_f64()).view(), labels).unwrap();
        assert_eq!(LayerMoments::from_rows(rows.view(), labels).unwrap(), exact);
        // Layers that don't lie one after the other in memory.
        let mut turned = rows.clone();
        turned.swap_axes(1, 2);
        let turned = turned.as_standard_layout().to_owned();
        let view = turned.view().permuted_axes([0, 2, 1]);
        assert_eq!(LayerMoments::from_rows(view, labels).unwrap(), exact);
        let (a, b) = both_ways(&rows, labels, weights, LayerScaling::Rms);
        same(&a, &b, FLOAT);
    }
    check(activations.mapv(f16::from_f64), &labels, &weights);
    check(activations.mapv(bf16::from_f64), &labels, &weights);
    check(activations.mapv(|x| x as f32), &labels, &weights);
    check(activations, &labels, &weights);
}

#[test]
fn merged_shards_are_the_whole() {
    let (activations, labels) = sample(1000, 4, 6, 3);
    let whole = LayerMoments::from_rows(activations.view(), &labels).unwrap();
    let mut merged: Option<LayerMoments> = None;
    for rows in (0..1000).collect::<Vec<_>>().chunks(73) {
        let shard = LayerMoments::from_rows(
            activations.select(Axis(0), rows).view(),
            &labels.select(rows).unwrap(),
        )
        .unwrap();
        match &mut merged {
            Some(merged) => merged.merge(&shard).unwrap(),
            None => merged = Some(shard),
        }
    }
    let merged = merged.unwrap();
    assert_eq!(merged.counts(), whole.counts());
    let weights = LayerWeights::fixed(vec![0.1, 0.2, 0.3, 0.4]).unwrap();
    same(&merged.dispersion(&weights).unwrap(), &whole.dispersion(&weights).unwrap(), EXACT);
    let scales = |of: &LayerMoments| of.scales(LayerScaling::Rms).unwrap();
    for (a, b) in scales(&merged).divisors().iter().zip(scales(&whole).divisors()) {
        close(*a, *b, EXACT);
    }

    let (other, other_labels) = sample(20, 3, 6, 3);
    let other = LayerMoments::from_rows(other.view(), &other_labels).unwrap();
    assert!(matches!(whole.clone().merge(&other), Err(AqiError::Incompatible { .. })));
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let (activations, labels) = sample(1500, 6, 5, 2);
    let (train, rest) = halves(1500);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let moments = LayerMoments::from_rows(activations.view(), &labels).unwrap();
            let fits = [
                LayerObjective::default(),
                LayerObjective::PaperHinge(PaperHinge::default().with_steps(20)),
            ]
            .map(|objective| {
                let view = activations.view();
                let fit =
                    fit_and_score(view, &labels, &train, &rest, &objective, LayerScaling::Rms);
                serde_json::to_string(&fit.unwrap()).unwrap()
            });
            (moments, fits)
        })
    };
    let one = on(1);
    assert_eq!(on(2), one);
    assert_eq!(on(5), one);
}

#[test]
fn scales_are_the_root_mean_squares() {
    let (activations, labels) = sample(200, 3, 4, 2);
    let moments = LayerMoments::from_rows(activations.view(), &labels).unwrap();
    let scales = moments.scales(LayerScaling::Rms).unwrap();
    for layer in 0..3 {
        let rows = activations.index_axis(Axis(1), layer);
        let centred = &rows - &rows.mean_axis(Axis(0)).unwrap();
        let square = centred.iter().map(|x| x * x).sum::<f64>() / 200.0;
        close(scales.divisors()[layer], square.sqrt(), EXACT);
    }
}

#[test]
fn huge_and_tiny_scales_change_nothing() {
    let (activations, labels) = sample(120, 4, 5, 2);
    let (train, rest) = halves(120);
    let objectives = [
        LayerObjective::default(),
        LayerObjective::PaperHinge(PaperHinge::default().with_steps(30)),
        LayerObjective::CosineAnchor(
            CosineAnchor::shared(&[1.0, 2.0, 0.5, 1.0, 1.0], 4).unwrap().with_temperature(0.1),
        ),
    ];
    for exponent in [-1000, -560, 540, 1000] {
        let scaled = activations
            .mapv(|x| x * f64::powi(2.0, exponent / 2) * f64::powi(2.0, exponent - exponent / 2));
        for objective in &objectives {
            for scaling in [LayerScaling::Rms, LayerScaling::None] {
                let fit = |rows: &Array3<f64>| {
                    fit_and_score(rows.view(), &labels, &train, &rest, objective, scaling).unwrap()
                };
                let (plain, scaled) = (fit(&activations), fit(&scaled));
                for (a, b) in plain.weights.values().iter().zip(scaled.weights.values()) {
                    assert!((a - b).abs() < 1e-6, "{objective:?} 2^{exponent}: {a} {b}");
                }
                close(scaled.held_out.xie_beni, plain.held_out.xie_beni, 1e-6);
                close(scaled.held_out.rho_global, plain.held_out.rho_global, 1e-6);
            }
        }
    }
}

#[test]
fn shards_on_both_sides_of_the_largest_safe_value_merge() {
    let (activations, labels) = sample(40, 2, 3, 2);
    let weights = LayerWeights::uniform(2).unwrap();
    let pair = |a: i32, b: i32| [a, b].map(|e| activations.mapv(|x| x * f64::powi(2.0, e)));
    let moments = |rows: &Array3<f64>| LayerMoments::from_rows(rows.view(), &labels).unwrap();
    let [large, small] = pair(6, 0);
    let both = ndarray::concatenate(Axis(0), &[large.view(), small.view()]).unwrap();
    let twice = Labels::new((0..80).map(|i| i % 2)).unwrap();
    let whole = LayerMoments::from_rows(both.view(), &twice).unwrap();
    let expected = whole.dispersion(&weights).unwrap();
    for (a, b) in [(301, 295), (-298, -304), (900, 894), (-900, -906)] {
        let [large, small] = pair(a, b);
        for (first, second) in [(&large, &small), (&small, &large)] {
            let mut merged = moments(first);
            merged.merge(&moments(second)).unwrap();
            same(&merged.dispersion(&weights).unwrap(), &expected, EXACT);
        }
    }
}

#[test]
fn a_layer_that_never_changes_separates_nothing_and_stops_nothing() {
    let (mut activations, labels) = sample(600, 3, 4, 2);
    activations.index_axis_mut(Axis(1), 0).fill(0.3);
    let (train, rest) = halves(600);
    for objective in [
        LayerObjective::default(),
        LayerObjective::Rayleigh(Rayleigh::default().with_ridge(0.0)),
        LayerObjective::PaperHinge(PaperHinge::default().with_steps(30)),
    ] {
        for scaling in [LayerScaling::Rms, LayerScaling::None] {
            let view = activations.view();
            let fit = fit_and_score(view, &labels, &train, &rest, &objective, scaling).unwrap();
            assert_eq!(fit.profile_train[0], None);
            assert_eq!(fit.profile_held_out[0], None);
            assert_ne!(fit.best_layer, 0);
            assert!(fit.flags.contains(&Flag::ConstantLayer { layer: 0 }));
            assert!(fit.held_out.rho_global > 0.0);
        }
    }
    let moments = LayerMoments::from_rows(activations.view(), &labels).unwrap();
    assert!(matches!(
        moments.dispersion(&LayerWeights::single(0, 3).unwrap()),
        Err(AqiError::DegenerateData)
    ));
}

fn rayleigh_report(weights: &LayerWeights) -> &collimate_aqi::RayleighReport {
    match weights.source() {
        WeightSource::Rayleigh(report) => report,
        other => panic!("{other:?}"),
    }
}

fn hinge_report(weights: &LayerWeights) -> &collimate_aqi::HingeReport {
    match weights.source() {
        WeightSource::PaperHinge(report) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_quotient_beats_the_best_layer_on_rows_that_it_has_not_seen() {
    let (activations, labels) = growing(400);
    let (train, rest) = halves(400);
    let fit = fit_and_score(
        activations.view(),
        &labels,
        &train,
        &rest,
        &LayerObjective::default(),
        LayerScaling::Rms,
    )
    .unwrap();
    let best = fit.profile_held_out[fit.best_layer].clone().unwrap();
    println!(
        "1/XBI {} (train {}), best layer {} {}, uniform {}",
        fit.held_out.inverse_xie_beni,
        fit.train.inverse_xie_beni,
        fit.best_layer,
        best.inverse_xie_beni,
        fit.uniform_held_out.inverse_xie_beni
    );
    assert!((3..=7).contains(&fit.best_layer));
    assert!(fit.held_out.inverse_xie_beni > 2.0 * best.inverse_xie_beni);
    assert!(fit.held_out.inverse_xie_beni > fit.uniform_held_out.inverse_xie_beni);
    assert!(fit.train.inverse_xie_beni > fit.held_out.inverse_xie_beni * 0.8);
    let report = rayleigh_report(&fit.weights);
    assert!(report.converged);
    assert!(report.objective >= report.best_layer_objective);
    assert!(report.objective >= report.uniform_objective);
}

#[test]
fn the_papers_loss_runs_to_the_longest_layer_or_has_no_gradient() {
    let (activations, labels) = growing(200);
    let none = LayerScales::none(12).unwrap();
    let fit = |hinge: PaperHinge, scales: &LayerScales| {
        hinge.fit(activations.view(), &labels, scales).unwrap()
    };
    let moments = LayerMoments::from_rows(activations.view(), &labels).unwrap();
    let inverse = |weights: &LayerWeights| {
        let dispersion = moments.dispersion(weights).unwrap();
        dispersion.inverse_xie_beni()
    };
    let best_layer =
        (0..12).map(|layer| inverse(&LayerWeights::single(layer, 12).unwrap())).fold(0.0, f64::max);

    // A margin within reach: weight moves to the longest layers until every pair exceeds it.
    let reached = fit(PaperHinge::default(), &none);
    assert!(reached.values()[9..].iter().sum::<f64>() > 0.85);
    let report = hinge_report(&reached);
    assert!(matches!(report.flags[..], [Flag::HingeWithoutGradient { step: 1.. }]));
    assert!(report.final_loss < report.initial_loss);
    assert!(inverse(&reached) < 0.5 * best_layer);

    // A margin out of reach: the last layer takes everything.
    let far = PaperHinge::default().with_margin(Margin::Fixed(1e5));
    let collapsed = fit(far, &none);
    assert!(collapsed.values()[11] > 0.99, "{:?}", collapsed.values());
    let flags = &hinge_report(&collapsed).flags;
    assert!(flags.contains(&Flag::CollapsedOnLayer { layer: 11 }));
    assert!(inverse(&collapsed) < 0.1 * best_layer);

    let small = PaperHinge::default().with_margin(Margin::Fixed(1e-3));
    let idle = fit(small, &none);
    let report = hinge_report(&idle);
    assert_eq!(report.flags, [Flag::HingeWithoutGradient { step: 0 }]);
    assert_eq!((report.active_pairs, report.steps_taken), (0, 0));
    assert_eq!(idle.values(), LayerWeights::uniform(12).unwrap().values());

    let scales = moments.scales(LayerScaling::Rms).unwrap();
    let scaled = fit(PaperHinge::default(), &scales);
    let report = hinge_report(&scaled);
    close(report.margin_distance, 1.5 * report.median_initial_distance, EXACT);
    // The margin is a length in the units of the scaled layers.
    let median = report.median_initial_distance;
    let fixed = PaperHinge::default().with_margin(Margin::Fixed(1.5 * median));
    let fixed = fit(fixed, &scales);
    for (a, b) in fixed.values().iter().zip(scaled.values()) {
        assert!((a - b).abs() < 1e-6);
    }
    close(hinge_report(&fixed).final_loss, report.final_loss, 1e-6);
}

#[test]
fn the_initial_loss_of_the_paper_by_hand() {
    // Distances under uniform weights: 3, 5, 7, 9 (one layer in one dimension).
    let rows = [0.0, 3.0, -4.0, 5.0];
    let activations = Array3::from_shape_fn((4, 1, 1), |(i, _, _)| rows[i]);
    let labels = Labels::new([0, 1, 0, 1]).unwrap();
    let weights = PaperHinge::default()
        .fit(activations.view(), &labels, &LayerScales::none(1).unwrap())
        .unwrap();
    let report = hinge_report(&weights);
    assert_eq!(report.pairs, 4);
    close(report.median_initial_distance, 6.0, EXACT);
    close(report.initial_loss, 6.0 + 4.0 + 2.0, EXACT);
    assert_eq!(report.active_pairs, 3);
    assert_eq!(report.flags, [Flag::HingeWithoutGradient { step: 0 }]);
}

#[test]
fn three_classes() {
    let (activations, labels) = sample(600, 5, 8, 3);
    let (train, rest) = halves(600);
    let fit = fit_and_score(
        activations.view(),
        &labels,
        &train,
        &rest,
        &LayerObjective::default(),
        LayerScaling::Rms,
    )
    .unwrap();
    let best = fit.profile_held_out[fit.best_layer].clone().unwrap();
    assert!(fit.held_out.rho_global > best.rho_global);
    assert!(fit.held_out.rho_local < fit.held_out.rho_global);
    let unsafe_pairs = LayerObjective::PaperHinge(PaperHinge::default());
    let view = activations.view();
    assert!(matches!(
        fit_and_score(view, &labels, &train, &rest, &unsafe_pairs, LayerScaling::Rms),
        Err(AqiError::TwoClasses { found: 3, .. })
    ));
}

#[test]
fn held_out_scores_are_those_of_the_pooled_rows() {
    let (activations, labels) = sample(200, 4, 6, 2);
    let (train, rest) = halves(200);
    let fit = fit_and_score(
        activations.view(),
        &labels,
        &train,
        &rest,
        &LayerObjective::default(),
        LayerScaling::Rms,
    )
    .unwrap();
    for (rows, score) in [(&train, &fit.train), (&rest, &fit.held_out)] {
        let part = activations.select(Axis(0), rows);
        let pooled = pool_layers(part.view(), &fit.weights, &fit.scales).unwrap();
        let moments = Moments::from_rows(pooled.view(), &labels.select(rows).unwrap()).unwrap();
        let dispersion = moments.dispersion().unwrap();
        close(score.xie_beni, dispersion.xie_beni(), FLOAT);
        close(score.rho_local, dispersion.rho_local().unwrap(), FLOAT);
    }
    // Scales come from the training rows alone.
    let part = activations.select(Axis(0), &train);
    let moments = LayerMoments::from_rows(part.view(), &labels.select(&train).unwrap()).unwrap();
    assert_eq!(fit.scales, moments.scales(LayerScaling::Rms).unwrap());
}

#[test]
fn cosine_weights_of_each_row() {
    let (activations, labels) = sample(100, 6, 5, 2);
    let (train, rest) = halves(100);
    let safe: Vec<usize> = (0..50).map(|i| 2 * i).collect();
    let anchor = CosineAnchor::mean_of(activations.select(Axis(0), &safe).view())
        .unwrap()
        .with_map(SimplexMap::Entmax { alpha: 1.5 })
        .with_temperature(0.05);
    let scales = LayerScales::none(6).unwrap();
    let pooling = anchor.pool(activations.view(), &scales).unwrap();
    let mean = activations.select(Axis(0), &safe).mean_axis(Axis(0)).unwrap();
    let mut l_align = 0.0;
    for (i, row) in activations.outer_iter().enumerate() {
        let cosines: Vec<f64> = (0..6)
            .map(|l| {
                let (h, r) = (row.row(l), mean.row(l));
                h.dot(&r) / (h.dot(&h) * r.dot(&r)).sqrt()
            })
            .collect();
        l_align += (2.0 - 2.0 / 6.0 * cosines.iter().sum::<f64>()) / 100.0;
        let map = SimplexMap::Entmax { alpha: 1.5 };
        let weights = LayerWeights::from_scores(&cosines, map, 0.05).unwrap();
        for l in 0..6 {
            assert!((pooling.weights[[i, l]] - weights.values()[l]).abs() < 1e-12);
        }
        let one = activations.select(Axis(0), &[i]);
        let pooled = pool_layers(one.view(), &weights, &scales).unwrap();
        for j in 0..5 {
            close(pooling.pooled[[i, j]], pooled[[0, j]], FLOAT);
        }
    }
    close(pooling.report.l_align, l_align, FLOAT);
    let support = pooling.report.mean_support;
    assert!((1.0..6.0).contains(&support), "{support}");
    let means = pooling.mean_weights();
    assert!((means.values().iter().sum::<f64>() - 1.0).abs() < 1e-12);

    let objective = LayerObjective::CosineAnchor(anchor);
    let view = activations.view();
    let fit = fit_and_score(view, &labels, &train, &rest, &objective, LayerScaling::None).unwrap();
    let pooled = pooling.pooled.select(Axis(0), &rest);
    let moments = Moments::from_rows(pooled.view(), &labels.select(&rest).unwrap()).unwrap();
    close(fit.held_out.xie_beni, moments.dispersion().unwrap().xie_beni(), EXACT);

    let mut zero = activations.clone();
    zero.index_axis_mut(Axis(0), 7).index_axis_mut(Axis(0), 2).fill(0.0);
    let anchor = CosineAnchor::shared(&[1.0; 5], 6).unwrap();
    assert!(matches!(
        anchor.pool(zero.view(), &scales),
        Err(AqiError::ZeroLayer { row: 7, layer: 2 })
    ));
    assert!(CosineAnchor::shared(&[0.0; 5], 6).is_err());
}

#[test]
fn a_row_is_used_once() {
    let (activations, labels) = sample(20, 2, 3, 2);
    let fit = |train: &[usize], rest: &[usize]| {
        let objective = LayerObjective::Fixed(LayerWeights::uniform(2).unwrap());
        let view = activations.view();
        fit_and_score(view, &labels, train, rest, &objective, LayerScaling::Rms)
    };
    assert!(fit(&[0, 1, 2, 3], &[4, 5, 6, 7]).is_ok());
    let error = fit(&[0, 1, 2, 3], &[4, 5, 2, 7]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "row 2 is among the training rows and again among the held-out rows: use each once"
    );
    assert!(matches!(fit(&[0, 1, 2, 0], &[4, 5]), Err(AqiError::RowUsedTwice { row: 0, .. })));
    assert!(matches!(fit(&[0, 1, 2, 20], &[4, 5]), Err(AqiError::Shape { found: 20, .. })));
    assert!(matches!(fit(&[], &[4, 5]), Err(AqiError::Empty)));
    assert!(matches!(
        fit(&[0, 1, 2, 3], &[4, 6, 8]),
        Err(AqiError::EmptyClass { .. } | AqiError::SingleClass { .. })
    ));
    assert!(matches!(fit(&[0, 1, 2, 3], &[4, 5, 7]), Err(AqiError::NeedTwoPerClass { .. })));
}

#[test]
fn bad_values_are_named() {
    let (mut activations, labels) = sample(20, 3, 4, 2);
    activations[[11, 2, 1]] = f64::NAN;
    activations[[12, 0, 0]] = f64::INFINITY;
    let weights = LayerWeights::uniform(3).unwrap();
    let scales = LayerScales::none(3).unwrap();
    let errors = [
        LayerMoments::from_rows(activations.view(), &labels).map(drop),
        pool_layers(activations.view(), &weights, &scales).map(drop),
        PaperHinge::default().fit(activations.view(), &labels, &scales).map(drop),
    ];
    for error in errors {
        assert!(
            matches!(
                &error,
                Err(AqiError::NonFiniteLayer { row: 11, layer: 2, col: 1, value }) if value == "NaN"
            ),
            "{error:?}"
        );
    }
    let empty = Array3::<f32>::zeros((0, 3, 4));
    assert!(matches!(pool_layers(empty.view(), &weights, &scales), Err(AqiError::Empty)));
    let flat = Array3::<f32>::zeros((20, 0, 4));
    assert!(matches!(LayerMoments::from_rows(flat.view(), &labels), Err(AqiError::ZeroDim)));
    let same = Array3::<f32>::ones((20, 3, 4));
    let moments = LayerMoments::from_rows(same.view(), &labels).unwrap();
    assert!(matches!(Rayleigh::default().fit(&moments), Err(AqiError::DegenerateData)));
    assert!(matches!(
        PaperHinge::default().fit(same.view(), &labels, &scales),
        Err(AqiError::DegenerateData)
    ));
}

#[test]
fn scales_of_other_data_are_an_error_where_they_overflow() {
    let (activations, labels) = sample(20, 2, 3, 2);
    let huge = activations.mapv(|x| x * 1e300);
    let tiny = LayerScales::new(LayerScaling::Rms, vec![1e-300, 1.0]).unwrap();
    let weights = LayerWeights::uniform(2).unwrap();
    let errors = [
        pool_layers(huge.view(), &weights, &tiny).map(drop),
        LayerMoments::from_rows(huge.view(), &labels).unwrap().scaled(&tiny).map(drop),
        PaperHinge::default().fit(huge.view(), &labels, &tiny).map(drop),
    ];
    for error in errors {
        assert!(matches!(error, Err(AqiError::Parameter { .. })), "{error:?}");
    }
    for bad in [vec![], vec![0.0], vec![-1.0], vec![f64::INFINITY]] {
        assert!(LayerScales::new(LayerScaling::Rms, bad).is_err());
    }
}

#[test]
fn a_report_is_json_that_says_where_weights_come_from() {
    let (activations, labels) = sample(40, 2, 3, 2);
    let (train, rest) = halves(40);
    let fit = fit_and_score(
        activations.view(),
        &labels,
        &train,
        &rest,
        &LayerObjective::PaperHinge(PaperHinge::default().with_steps(3)),
        LayerScaling::Rms,
    )
    .unwrap();
    let json: serde_json::Value = serde_json::to_value(&fit).unwrap();
    let source = &json["weights"]["source"];
    assert_eq!(source["source"], "paper_hinge");
    assert_eq!(source["map"], "sparsemax");
    assert_eq!(source["margin"], "auto");
    assert_eq!(json["scales"]["scaling"], "rms");
    assert!(json["held_out"]["aqi_s"].is_number());
}
