//! Agreement of clusters with labels, against scikit-learn and under proptest.

use collimate_aqi::Labels;
use collimate_cluster::{
    Agreement, AgreementOptions, ClusterError, Clusters, Contingency, Noise, Result,
};
use proptest::prelude::*;
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../fixtures/agreement.json")).unwrap()
}

fn codes(text: &Value) -> Vec<usize> {
    let text = text.as_str().unwrap();
    text.chars().map(|digit| digit.to_digit(36).unwrap() as usize).collect()
}

fn table(labels: &[usize], clusters: &[usize]) -> Contingency {
    let labels = Labels::new(labels).unwrap();
    let clusters = Clusters::new(clusters.iter().copied());
    Contingency::new(&labels, &clusters, Noise::OneCluster).unwrap()
}

/// Relative where the value is not tiny; scikit-learn's own zeros carry rounding of `1e-16`.
fn close(found: f64, expected: f64, what: &str) {
    let error = (found - expected).abs();
    assert!(error <= 1e-12 * expected.abs() + 1e-14, "{what}: found {found}, expected {expected}");
}

#[test]
fn every_index_is_that_of_scikit_learn() {
    let fixture = fixture();
    assert_eq!(fixture["scikit_learn"], "1.9.1");
    let cases = fixture["agreement"].as_array().unwrap();
    assert_eq!(cases.len(), 17);
    for case in cases {
        let table = table(&codes(&case["labels"]), &codes(&case["clusters"]));
        let check = |index: &str, found: f64| {
            let expected = case[index].as_f64().unwrap();
            close(found, expected, &format!("{index} of {}", case["name"]));
        };
        check("adjusted_rand", table.adjusted_rand());
        check("mutual_information", table.mutual_information());
        check("normalized_mutual_information", table.normalized_mutual_information());
        check("homogeneity", table.homogeneity());
        check("completeness", table.completeness());
        check("v_measure", table.v_measure());
        check("purity", table.purity());
        // scikit-learn's log-gamma loses two digits at 2000 rows.
        let expected = case["expected_mutual_information"].as_f64().unwrap();
        let found = table.expected_mutual_information();
        assert!(
            (found - expected).abs() <= 1e-10 * expected,
            "{}: {found} {expected}",
            case["name"]
        );
        let expected = case["adjusted_mutual_information"].as_f64().unwrap();
        let found = table.adjusted_mutual_information();
        assert!(
            (found - expected).abs() <= 1e-10 * expected.abs() + 1e-14,
            "{}: {found} {expected}",
            case["name"]
        );
        match case["expected_purity"].as_f64() {
            Some(expected) => close(table.expected_purity().unwrap(), expected, "purity"),
            None if case["name"] == "singletons twice" => {
                assert_eq!(table.expected_purity(), Some(1.0));
            }
            None => assert_eq!(table.expected_purity(), None),
        }
    }
}

#[test]
fn permutations_estimate_what_is_known_exactly() -> Result<()> {
    let (labels, clusters) = ([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]);
    let table = table(&labels, &clusters);
    let draws = table.permute(20_000, 7).unwrap();
    // Two of the C(8, 4) = 70 labelings are perfect.
    assert!((draws.p_value - 2.0 / 70.0).abs() < 0.005, "{draws:?}");
    let exact = table.expected_purity().unwrap();
    assert!((draws.mean_purity - exact).abs() < 0.003, "{draws:?} {exact}");
    assert_eq!(table.permute(20_000, 7), Some(draws.clone()));
    assert_ne!(table.permute(20_000, 8), Some(draws));
    assert_eq!(table.permute(0, 7), None);
    Ok(())
}

#[test]
fn the_expected_purity_of_three_classes_comes_from_permutations() -> Result<()> {
    let labels = Labels::new([0, 0, 1, 1, 2, 2])?;
    let clusters = Clusters::new([0, 0, 0, 1, 1, 1]);
    let options = AgreementOptions::default();
    let without = clusters.agreement(&labels, &options.with_permutations(0))?;
    assert_eq!(without.expected_purity, None);
    assert_eq!(without.chance_corrected_purity, None);
    assert_eq!(without.permutations, None);
    let with = clusters.agreement(&labels, &options.with_permutations(50_000).with_seed(3))?;
    // Of the C(6, 3) = 20 clusters, 8 hold three classes (1/3) and 12 two rows of one (2/3).
    assert!((with.expected_purity.unwrap() - 8.0 / 15.0).abs() < 0.003);
    assert!((with.chance_corrected_purity.unwrap() - 2.0 / 7.0).abs() < 0.007);
    assert_eq!(with.permutations.unwrap().count, 50_000);
    Ok(())
}

#[test]
fn purity_that_no_labels_can_miss_counts_for_nothing() -> Result<()> {
    let singletons = Clusters::new(0..4);
    let labels = Labels::new(["a", "a", "b", "b"])?;
    let agreement = singletons.agreement(&labels, &AgreementOptions::default())?;
    assert_eq!(agreement.purity, 1.0);
    assert_eq!(agreement.chance_corrected_purity, Some(0.0));
    assert_eq!(agreement.adjusted_rand, 0.0);
    assert_eq!(agreement.adjusted_mutual_information, 0.0);
    assert_eq!(agreement.permutations.unwrap().p_value, 1.0);
    let one_class = Clusters::new([0, 0, 1, 1])
        .agreement(&Labels::new(["a"; 4])?, &AgreementOptions::default())?;
    assert_eq!(one_class.chance_corrected_purity, Some(0.0));
    Ok(())
}

#[test]
fn noise_is_one_cluster_or_many_or_left_out() -> Result<()> {
    let labels = Labels::new(["a", "a", "a", "b", "b", "c"])?;
    let clusters = Clusters::from_signed([0, 0, -1, 4, -1, -1]);
    let under = |noise| Contingency::new(&labels, &clusters, noise);
    let one = under(Noise::OneCluster)?;
    assert_eq!(one.clusters(), [Some(0), Some(4), None]);
    assert_eq!(one.cluster_sizes(), [2, 1, 3]);
    let many = under(Noise::Singletons)?;
    assert_eq!(many.clusters(), [Some(0), Some(4), None, None, None]);
    assert_eq!(many.purity(), 1.0);
    let none = under(Noise::Exclude)?;
    assert_eq!(none.rows(), 3);
    assert_eq!(none.classes(), ["a", "b"]);
    assert_eq!(none.adjusted_rand(), 1.0);
    let options = AgreementOptions::default().with_noise(Noise::Exclude);
    let agreement = clusters.agreement(&labels, &options)?;
    assert_eq!((agreement.rows, agreement.noise_rows), (3, 3));
    Ok(())
}

#[test]
fn what_cannot_be_compared_is_an_error() -> Result<()> {
    let labels = Labels::new(["a", "b"])?;
    let options = AgreementOptions::default();
    assert!(matches!(
        Clusters::new([0]).agreement(&labels, &options),
        Err(ClusterError::LengthMismatch { labels: 2, clusters: 1 })
    ));
    let noise = Clusters::from_signed([-1, -1]);
    assert!(noise.agreement(&labels, &options).is_ok());
    assert!(matches!(
        noise.agreement(&labels, &options.with_noise(Noise::Exclude)),
        Err(ClusterError::OnlyNoise { rows: 2 })
    ));
    Ok(())
}

#[test]
fn the_serialized_form_holds_no_null_but_noise() -> Result<()> {
    let labels = Labels::new(["safe", "unsafe", "unsafe"])?;
    let clusters = Clusters::from_signed([0, 0, -1]);
    let agreement = clusters.agreement(&labels, &AgreementOptions::default())?;
    let json = serde_json::to_value(&agreement).unwrap();
    assert_eq!(json["noise"], "one_cluster");
    assert_eq!(json["contingency"]["clusters"], serde_json::json!([0, null]));
    assert_eq!(
        json["contingency"]["cells"][1],
        serde_json::json!({"class": 1, "cluster": 0, "rows": 1})
    );
    for (name, value) in json.as_object().unwrap() {
        assert!(!value.is_null(), "{name}");
    }
    Ok(())
}

fn agreement(labels: &[usize], clusters: &[usize]) -> Agreement {
    Clusters::new(clusters.iter().copied())
        .agreement(
            &Labels::new(labels).unwrap(),
            &AgreementOptions::default().with_permutations(20),
        )
        .unwrap()
}

proptest! {
    #[test]
    fn indices_stay_within_bounds(
        pairs in prop::collection::vec((0_usize..4, 0_usize..5), 1..60)
    ) {
        let (labels, clusters): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let found = agreement(&labels, &clusters);
        prop_assert!((-0.5..=1.0).contains(&found.adjusted_rand));
        prop_assert!((-1.0..=1.0 + 1e-12).contains(&found.adjusted_mutual_information));
        for share in [
            found.normalized_mutual_information,
            found.homogeneity,
            found.completeness,
        ] {
            prop_assert!((0.0..=1.0 + 1e-12).contains(&share), "{found:?}");
        }
        prop_assert!(found.purity > 0.0 && found.purity <= 1.0);
        prop_assert!(found.chance_corrected_purity.unwrap() <= 1.0);
        let p = found.permutations.unwrap().p_value;
        prop_assert!((1.0 / 21.0..=1.0).contains(&p));
    }

    #[test]
    fn numbers_and_order_of_clusters_do_not_matter(
        pairs in prop::collection::vec((0_usize..3, 0_usize..4), 2..40),
        offset in 1_usize..1000,
    ) {
        let (labels, clusters): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        let renamed: Vec<usize> = clusters.iter().map(|c| offset + 7 * (3 - c)).collect();
        let (a, b) = (table(&labels, &clusters), table(&labels, &renamed));
        prop_assert_eq!(a.adjusted_rand(), b.adjusted_rand());
        prop_assert_eq!(a.purity(), b.purity());
        let (x, y) = (a.adjusted_mutual_information(), b.adjusted_mutual_information());
        prop_assert!((x - y).abs() < 1e-10, "{} {}", x, y);
        let swapped = table(&clusters, &labels);
        prop_assert_eq!(a.adjusted_rand(), swapped.adjusted_rand());
        let (x, y) = (a.mutual_information(), swapped.mutual_information());
        prop_assert!((x - y).abs() < 1e-12);
        prop_assert!((a.homogeneity() - swapped.completeness()).abs() < 1e-12);
    }

    #[test]
    fn v_measure_is_the_normalized_information(
        pairs in prop::collection::vec((0_usize..3, 0_usize..4), 1..40)
    ) {
        let (labels, clusters): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let table = table(&labels, &clusters);
        let (v, nmi) = (table.v_measure(), table.normalized_mutual_information());
        prop_assert!((v - nmi).abs() < 1e-12, "{} {}", v, nmi);
    }
}
