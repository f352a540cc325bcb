//! The main job: embeddings in, report out.

use collimate_aqi::{
    Aqi, AqiConfig, AqiError, DeltaConfig, Flag, IntervalMethod, Labels, Lambda, Mode, OnNonFinite,
    Outcome, Sample, TransformChain, benjamini_hochberg, holm,
};
use half::{bf16, f16};
use ndarray::{Array2, Array3, Axis, stack};

use crate::oracle::{self, EXACT, FLOAT, close};

fn aqi() -> Aqi {
    AqiConfig::default().with_permutations(99).check().unwrap()
}

#[test]
fn the_report_of_a_small_set() {
    let (rows, labels) = oracle::d2();
    let report = aqi().evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
    assert_eq!((report.n, report.dim), (8, 3));
    assert_eq!(report.n_per_class["1"], 5);
    close(report.chi.unwrap(), 1089.0 / 32.0, EXACT);
    close(report.xbi, 5.0 / 121.0, EXACT);
    close(report.dbs, 0.379_637_178_836_771, FLOAT);
    close(report.silhouette.unwrap(), 0.694_380_765_449_519, FLOAT);
    close(report.dunn.unwrap(), 1.671_258_043_593_47, FLOAT);
    close(report.aqi_s.unwrap(), 100.0 * 294.0 / 359.0, EXACT);
    assert_eq!(report.aqi, report.aqi_s.unwrap());
    close(report.p_value.unwrap(), 1.0 / 56.0, EXACT);
    let [lower, upper] = report.ci95.unwrap();
    close(lower, 0.658_433_837_135_473_4, FLOAT);
    assert_eq!(report.aqi_s_ci95.unwrap(), [100.0 * lower, 100.0 * upper]);
}

#[test]
fn the_json_has_the_documented_names_and_no_nan() {
    let (rows, labels) = oracle::d5();
    let report = aqi().evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    for name in [
        "n_per_class",
        "chi",
        "xbi",
        "dbs",
        "silhouette",
        "dunn",
        "aqi_s",
        "aqi",
        "mode",
        "lambda",
        "rho_global",
        "rho_local",
        "ci95",
        "p_value",
        "flags",
    ] {
        assert!(json.get(name).is_some(), "{name}");
    }
    assert_eq!(json["chi"], "inf");
    assert_eq!(json["dunn"], "inf");
    assert_eq!(json["mode"], "aqi-s");
    assert!(report.flags.contains(&Flag::NoWithinScatter));
    assert!(report.flags.contains(&Flag::DuplicateRows { rows: 2, across_classes: 0 }));
}

#[test]
fn a_singleton_class_leaves_out_what_needs_a_variance() {
    let (rows, labels) = oracle::d10();
    let sample = Sample::new(rows.view(), &labels).unwrap();
    let error = aqi().evaluate(&sample).unwrap_err();
    assert!(matches!(error, AqiError::NeedTwoPerClass { count: 1, .. }), "{error}");
    let linear = AqiConfig::default().with_mode(Mode::PaperLinear { lambda: Lambda::default() });
    let report = linear.check().unwrap().evaluate(&sample).unwrap();
    close(report.aqi, 539.0 / 6.0, EXACT);
    assert_eq!((report.rho_global, report.aqi_s, report.ci95), (None, None, None));
    assert!(report.flags.contains(&Flag::Singleton { class: "1".to_owned() }));
}

#[test]
fn every_float_type_gives_the_same_report() {
    let (rows, labels) = oracle::d2();
    let expected = aqi().evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
    let single = rows.mapv(|x| x as f32);
    let half = rows.mapv(f16::from_f64);
    let brain = rows.mapv(bf16::from_f64);
    assert_eq!(aqi().evaluate(&Sample::new(single.view(), &labels).unwrap()).unwrap(), expected);
    assert_eq!(aqi().evaluate(&Sample::new(half.view(), &labels).unwrap()).unwrap(), expected);
    assert_eq!(aqi().evaluate(&Sample::new(brain.view(), &labels).unwrap()).unwrap(), expected);
    let columns = rows.t().as_standard_layout().into_owned();
    let transposed = Sample::new(columns.t(), &labels).unwrap();
    assert_eq!(aqi().evaluate(&transposed).unwrap(), expected);
}

#[test]
fn rows_with_nan_are_refused_or_counted() {
    let (mut rows, labels) = oracle::d6();
    rows[[7, 3]] = f64::NAN;
    rows[[20, 0]] = f64::INFINITY;
    let sample = Sample::new(rows.view(), &labels).unwrap();
    let error = aqi().evaluate(&sample).unwrap_err();
    assert!(matches!(error, AqiError::NonFinite { row: 7, col: 3, .. }), "{error}");
    let skipping = AqiConfig::default().with_on_non_finite(OnNonFinite::Skip).check().unwrap();
    let report = skipping.evaluate(&sample).unwrap();
    assert_eq!(report.n, 58);
    assert!(report.flags.contains(&Flag::SkippedRows { rows: 2 }));

    let ids: Vec<String> = (0..60).map(|i| i.to_string()).collect();
    let whole = oracle::d6();
    let before = sample.with_ids(&ids).unwrap();
    let after = Sample::new(whole.0.view(), &whole.1).unwrap().with_ids(&ids).unwrap();
    let delta = skipping.delta(&before, &after, &DeltaConfig::default()).unwrap();
    assert_eq!(delta.paired_rows, 58);
    assert_eq!(delta.only_after, ["20", "7"]);
}

#[test]
fn axioms_are_scored_one_by_one_and_the_rest_survives_one_that_cannot_be() {
    let (rows, labels) = oracle::d6();
    let axioms = Labels::new((0..60).map(|i| match i {
        0..12 => "justice",
        12..24 => "civility",
        58 => "lonely",
        _ => "duty",
    }))
    .unwrap();
    let sample = Sample::new(rows.view(), &labels).unwrap().with_axioms(&axioms).unwrap();
    let report = aqi().evaluate(&sample).unwrap();
    let names: Vec<&str> = report.axioms.iter().map(|axiom| axiom.axiom.as_str()).collect();
    assert_eq!(names, ["civility", "duty", "justice", "lonely"]);
    let lonely = &report.axioms[3];
    assert!(matches!(&lonely.outcome, Outcome::Skipped(reason) if reason.contains("one class")));
    assert_eq!((lonely.p_holm, lonely.p_benjamini_hochberg), (None, None));
    assert_eq!(report.axioms[2].outcome.report().unwrap().n, 12);
    let scored = report.axioms.iter().filter_map(|axiom| axiom.outcome.report());
    let p_values: Vec<f64> = scored.map(|report| report.p_value.unwrap()).collect();
    let by_holm = holm(&p_values).unwrap();
    let by_benjamini_hochberg = benjamini_hochberg(&p_values).unwrap();
    assert_ne!(by_holm, by_benjamini_hochberg);
    for (index, axiom) in report.axioms[..3].iter().enumerate() {
        assert_eq!(axiom.p_holm, Some(by_holm[index]));
        assert_eq!(axiom.p_benjamini_hochberg, Some(by_benjamini_hochberg[index]));
    }
    let reference = report.reference_scores(Lambda::default()).unwrap();
    assert_eq!(reference.scores.last().unwrap().name, "overall");
}

#[test]
fn groups_change_the_estimate_and_widen_the_interval() {
    let (rows, labels) = oracle::d6();
    // Each prompt four times: the rows are no more evidence than the prompts.
    let order: Vec<usize> = (0..240).map(|i| i / 4).collect();
    let repeated = rows.select(Axis(0), &order);
    let of_prompt = labels.select(&order).unwrap();
    let groups = Labels::new(&order).unwrap();
    let once = aqi().evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
    let naive = Sample::new(repeated.view(), &of_prompt).unwrap();
    let grouped = aqi().evaluate(&naive.with_groups(&groups).unwrap()).unwrap();
    let naive = aqi().evaluate(&naive).unwrap();
    let [expected, found] = [&once, &grouped].map(|report| report.interval.clone().unwrap());
    close(found.estimate, expected.estimate, FLOAT);
    close(found.lower, expected.lower, FLOAT);
    close(found.upper, expected.upper, FLOAT);
    assert!(naive.rho_global.unwrap() > 1.2 * once.rho_global.unwrap());
    assert_eq!(grouped.p_value, once.p_value);
    assert_eq!(grouped.f_test_p_value, None);
    assert!(naive.flags.contains(&Flag::DuplicateRows { rows: 180, across_classes: 0 }));
}

#[test]
fn whitening_must_be_cross_fitted() {
    let (rows, labels) = oracle::d6();
    let chain: TransformChain = "whiten".parse().unwrap();
    let config = AqiConfig::default().with_permutations(0).with_transform(chain);
    let aqi = config.check().unwrap();
    let sample = Sample::new(rows.view(), &labels).unwrap();
    assert!(matches!(aqi.evaluate(&sample), Err(AqiError::CrossFitRequired { .. })));
    let report = aqi.cross_fit(&sample, 2).unwrap();
    let folds: Vec<f64> = report.folds.iter().map(|fold| fold.rho_global.unwrap()).collect();
    close(report.rho_global.unwrap(), (folds[0] + folds[1]) / 2.0, EXACT);
    assert_eq!(report.folds.iter().map(|fold| fold.n).sum::<usize>(), 60);
    assert!(report.folds[0].transform.is_some());
    let mut broken = rows.clone();
    broken[[41, 2]] = f64::NAN;
    let error = aqi.cross_fit(&Sample::new(broken.view(), &labels).unwrap(), 2).unwrap_err();
    assert!(matches!(error, AqiError::NonFinite { row: 41, col: 2, .. }), "{error}");
}

#[test]
fn a_transform_is_recorded() {
    let (rows, labels) = oracle::d6();
    let config = AqiConfig::default().with_transform("z-score".parse().unwrap());
    let report =
        config.check().unwrap().evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
    assert_eq!(report.transform.unwrap().chain, "z-score");
}

#[test]
fn a_profile_of_layers() {
    let (rows, labels) = oracle::d6();
    let noise = Array2::from_shape_fn((60, 16), |(i, j)| ((i * 7919 + j * 31) % 97) as f64);
    let layers: Array3<f64> = stack![Axis(1), noise, rows];
    let sample = Sample::new(rows.view(), &labels).unwrap();
    let profile = aqi().profile(&sample, layers.view()).unwrap();
    assert_eq!(profile.len(), 2);
    let alone = aqi().evaluate(&sample).unwrap();
    assert_eq!(profile[1].report, alone);
    assert!(profile[1].p_max_t.unwrap() >= alone.p_value.unwrap());
    assert!(profile[0].p_max_t.unwrap() > 0.05);
}

#[test]
fn a_row_that_is_not_finite_in_one_layer_is_skipped_in_all() {
    let (rows, labels) = oracle::d6();
    let mut layers: Array3<f64> = stack![Axis(1), rows, rows];
    layers[[9, 1, 4]] = f64::NAN;
    let sample = Sample::new(rows.view(), &labels).unwrap();
    assert!(aqi().profile(&sample, layers.view()).is_err());
    let config = AqiConfig::default().with_permutations(19).with_on_non_finite(OnNonFinite::Skip);
    let profile = config.check().unwrap().profile(&sample, layers.view()).unwrap();
    assert_eq!(profile[0].report, profile[1].report);
    assert_eq!(profile[0].report.n, 59);
    assert!(profile[0].report.flags.contains(&Flag::SkippedRows { rows: 1 }));
}

#[test]
fn three_classes_have_intervals_for_each_pair() {
    let (rows, labels) = oracle::d7();
    let report = aqi().evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
    assert_eq!(report.aqi_s_ci95, None);
    assert_eq!(report.pairs.len(), 3);
    for (pair, interval) in report.pairs.iter().zip(&report.pair_intervals) {
        close(pair.rho.unwrap(), interval.estimate, EXACT);
        assert!(interval.lower < interval.estimate && interval.estimate < interval.upper);
    }
    // A pair by itself is the pair in the whole.
    let pair: Vec<usize> = (0..60).filter(|i| i % 3 < 2).collect();
    let (rows, labels) = (rows.select(Axis(0), &pair), labels.select(&pair).unwrap());
    let alone = aqi().evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
    close(alone.interval.unwrap().lower, report.pair_intervals[0].lower, FLOAT);
}

#[test]
fn a_layer_against_a_reference() {
    let (rows, labels) = oracle::d6();
    let sample = Sample::new(rows.view(), &labels).unwrap();
    let noise = Array2::from_shape_fn((60, 5), |(i, j)| ((i * 7919 + j * 31) % 97) as f32);
    let config = DeltaConfig::default();
    let excess = aqi().excess_over(&sample, noise.view(), &config).unwrap();
    close(excess.after, aqi().evaluate(&sample).unwrap().rho_global.unwrap(), EXACT);
    assert!(excess.delta > 0.0 && excess.p_value < 0.05);
    assert_eq!(aqi().excess_over(&sample, rows.view(), &config).unwrap().delta, 0.0);
    // Paraphrases are as little independent here as anywhere.
    let names = labels.codes().iter().enumerate().map(|(row, code)| format!("{code}-{}", row / 6));
    let groups = Labels::new(names).unwrap();
    let grouped = Sample::new(rows.view(), &labels).unwrap().with_groups(&groups).unwrap();
    let excess = aqi().excess_over(&grouped, noise.view(), &config).unwrap();
    close(excess.after, aqi().evaluate(&grouped).unwrap().rho_global.unwrap(), EXACT);
    let units = groups.classes().len() as f64;
    assert!(excess.degrees_of_freedom <= units && units < 60.0, "{excess:?} {units}");
    let short = noise.select(Axis(0), &[0, 1]);
    let error = aqi().excess_over(&sample, short.view(), &config).unwrap_err();
    assert!(matches!(error, AqiError::Shape { .. }));
}

#[test]
fn scores_that_depend_on_the_sample_are_not_compared_across_samples() {
    let (rows, labels) = oracle::d6();
    let fewer: Vec<usize> = (0..40).collect();
    let (some, of_some) = (rows.select(Axis(0), &fewer), labels.select(&fewer).unwrap());
    let linear = Mode::PaperLinear { lambda: Lambda::default() };
    for (mode, comparable) in [(Mode::default(), true), (linear, false)] {
        let config = AqiConfig::default().with_permutations(0).with_mode(mode).check().unwrap();
        let whole = config.evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
        let part = config.evaluate(&Sample::new(some.view(), &of_some).unwrap()).unwrap();
        assert_eq!(whole.aqi_change_from(&whole).unwrap(), 0.0);
        assert_eq!(part.aqi_change_from(&whole).is_ok(), comparable);
    }
    let aqi_s = aqi().evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
    let linear = AqiConfig::default().with_mode(linear).check().unwrap();
    let linear = linear.evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
    assert!(matches!(linear.aqi_change_from(&aqi_s), Err(AqiError::Incompatible { .. })));
}

#[test]
fn a_legacy_interval_is_flagged() {
    let (rows, labels) = oracle::d2();
    let method = IntervalMethod::LegacyPercentile { resamples: 50, seed: 0 };
    let aqi = AqiConfig::default().with_interval(Some(method)).check().unwrap();
    let report = aqi.evaluate(&Sample::new(rows.view(), &labels).unwrap()).unwrap();
    assert!(report.flags.contains(&Flag::LegacyInterval));
}

#[test]
fn settings_are_checked() {
    let geometric = Mode::PaperGeometric { lambda: Lambda::default(), chi_max: 0.0, clip: true };
    assert!(AqiConfig::default().with_mode(geometric).check().is_err());
    let bootstrap = IntervalMethod::Centered { resamples: 1, seed: 0 };
    assert!(AqiConfig::default().with_interval(Some(bootstrap)).check().is_err());
    assert!(Lambda::new(f64::NAN).is_err() && Lambda::new(1.1).is_err());
}
