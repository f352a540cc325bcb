//! Reports are filled from what collimate-aqi finds.

use collimate_aqi::{AqiConfig, DeltaConfig, DeltaSign, Labels, Sample, delta};
use collimate_report::{AqiComparison, Estimate};
use ndarray::Array2;

#[test]
fn scores_and_their_change_are_taken_over() {
    let n = 40;
    let rows = |gap: f64| {
        Array2::from_shape_fn((n, 3), |(row, column)| {
            let noise =
                f64::from(u32::try_from((row * 7919 + column * 104_729) % 97).unwrap()) / 97.0;
            noise + if row % 2 == 0 { 0.0 } else { gap }
        })
    };
    let (before, after) = (rows(0.2), rows(1.0));
    let safe: Vec<bool> = (0..n).map(|row| row % 2 == 0).collect();
    let labels = Labels::from_safe(&safe).unwrap();
    let axioms =
        Labels::new((0..n).map(|row| if row < 20 { "civility" } else { "justice" })).unwrap();
    let ids: Vec<String> = (0..n).map(|row| row.to_string()).collect();
    let sample = |rows| {
        let sample = Sample::new(rows, &labels).unwrap();
        sample.with_ids(&ids).unwrap().with_axioms(&axioms).unwrap()
    };
    let aqi = AqiConfig::default().check().unwrap();
    let (first, second) = (
        aqi.evaluate(&sample(before.view())).unwrap(),
        aqi.evaluate(&sample(after.view())).unwrap(),
    );
    let config = DeltaConfig::default();
    let change = delta(&sample(before.view()), &sample(after.view()), &config).unwrap();
    let found = AqiComparison::from_reports(&first, &second, Some(&change));

    let overall = &found.overall;
    assert_eq!(overall.before.unwrap().value, first.aqi_s.unwrap());
    assert_eq!(overall.after.unwrap().interval, second.aqi_s_ci95);
    assert_eq!(overall.after.unwrap().n, Some(20));
    let of_change = overall.change.unwrap();
    assert_eq!(of_change.value, 100.0 * change.delta);
    assert_eq!(of_change.interval, Some([100.0 * change.lower, 100.0 * change.upper]));
    assert_eq!(of_change.n, Some(n));
    assert_eq!(
        found.axioms.iter().map(|axiom| axiom.name.as_str()).collect::<Vec<_>>(),
        ["civility", "justice"]
    );
    assert!(found.axioms[0].before.unwrap().value < found.axioms[0].after.unwrap().value);
    assert!(found.axioms[0].change.is_none());

    // Counted the other way, it is the same change.
    let config = config.with_sign(DeltaSign::BeforeMinusAfter);
    let other = delta(&sample(before.view()), &sample(after.view()), &config).unwrap();
    assert!(other.delta < 0.0);
    let other = Estimate::of_delta(&other);
    assert!((other.value - of_change.value).abs() < 1e-9);
    assert!((other.interval.unwrap()[0] - of_change.interval.unwrap()[0]).abs() < 1e-9);
}
