//! The scores of earlier scripts against their formulas in NumPy 2.4.6.

use collimate_aqi::{
    AnchoredNormalization, AqiError, Flag, GroupIndices, Lambda, ReferenceVariant,
    explicit_bias_index, normalize_groups,
};

use crate::oracle::{self, EXACT, close, dispersion};

const INF: f64 = f64::INFINITY;

fn groups(indices: &[(f64, f64)]) -> Vec<GroupIndices> {
    indices
        .iter()
        .enumerate()
        .map(|(i, &(chi, xbi))| GroupIndices::new(format!("group {i}"), chi, xbi))
        .collect()
}

fn half() -> Lambda {
    Lambda::default()
}

#[test]
fn normalization_over_groups_agrees_with_the_recipe() {
    // scale = IQR(xb) + 1e-9; z = clip((xb - median) / scale, -500, 500)
    // xb_norm = maximum(100 * (1 - 1 / (1 + exp(-z))), 10); chi_norm = min-max * 100
    let set = groups(&[(10.0, 0.5), (20.0, 1.0), (40.0, 2.0), (80.0, 10.0)]);
    let xb = [57.93242521237938, 53.99148845428472, 46.00851154571528, 10.0];
    let even = [28.96621260618969, 34.138601369999506, 44.43282720142906, 55.0];
    let uneven = [40.552697648665564, 42.079756203713586, 45.063100939143546, 37.0];
    for (gamma, expected) in [(0.5, even), (0.3, uneven)] {
        let result = normalize_groups(&set, Lambda::new(gamma).unwrap()).unwrap();
        assert!(result.flags.is_empty() && result.skipped.is_empty());
        for ((score, xb), aqi) in result.scores.iter().zip(xb).zip(expected) {
            close(score.xb_norm, xb, EXACT);
            close(score.aqi, aqi, EXACT);
        }
    }
}

#[test]
fn the_variant_combines_normalized_values_as_the_normalization_does() {
    let gamma = Lambda::new(0.3).unwrap();
    let set = normalize_groups(&groups(&[(10.0, 0.5), (20.0, 1.0), (80.0, 10.0)]), gamma).unwrap();
    let variant = ReferenceVariant::CalinskiHarabaszXieBeni { gamma };
    for score in &set.scores {
        assert_eq!(variant.score(score.chi_norm, score.xb_norm).unwrap(), score.aqi);
    }
    assert_eq!(serde_json::to_value(variant).unwrap()["variant"], variant.name());
}

#[test]
fn groups_without_finite_indices_are_reported_and_do_not_shift_the_others() {
    let finite = groups(&[(10.0, 0.5), (20.0, 1.0), (40.0, 2.0)]);
    let mut all = finite.clone();
    all.insert(1, GroupIndices::new("points", INF, 0.0));
    all.push(GroupIndices::new("coincident", 0.0, INF));
    all.push(GroupIndices::new("failed", f64::NAN, f64::NAN));
    let result = normalize_groups(&all, half()).unwrap();
    assert_eq!(result.scores, normalize_groups(&finite, half()).unwrap().scores);
    let skipped: Vec<(&str, &str)> =
        result.skipped.iter().map(|group| (group.name.as_str(), group.reason.as_str())).collect();
    assert_eq!(
        skipped,
        [
            ("points", "Calinski-Harabasz is inf"),
            ("coincident", "Xie-Beni is inf"),
            ("failed", "Calinski-Harabasz is NaN"),
        ]
    );
    let none = normalize_groups(&all[4..], half()).unwrap();
    assert!(none.scores.is_empty() && none.skipped.len() == 2);
}

#[test]
fn degenerate_sets_give_the_constants_of_the_recipe_and_are_flagged() {
    let one = normalize_groups(&groups(&[(12.0, 0.7)]), half()).unwrap();
    assert_eq!(one.scores[0].aqi, 50.0);
    assert_eq!(one.flags, [Flag::ConstantGroups, Flag::ZeroInterquartileRange]);

    let zero = normalize_groups(&groups(&[(0.0, 0.7), (0.0, 0.9)]), half()).unwrap();
    assert_eq!(zero.scores[0].chi_norm, 0.0);
    assert_eq!(zero.flags, [Flag::ConstantGroups]);

    let step = normalize_groups(
        &groups(&[(1.0, 0.5), (2.0, 0.5), (3.0, 0.5), (4.0, 0.5), (5.0, 0.4999), (6.0, 0.5001)]),
        half(),
    )
    .unwrap();
    let xb: Vec<f64> = step.scores.iter().map(|score| score.xb_norm).collect();
    assert_eq!(xb, [50.0, 50.0, 50.0, 50.0, 100.0, 10.0]);
    assert_eq!(step.flags, [Flag::ZeroInterquartileRange]);
}

#[test]
fn no_groups_and_negative_indices_are_errors() {
    for set in [groups(&[]), groups(&[(-1.0, 0.5)]), groups(&[(1.0, -0.5)])] {
        assert!(matches!(normalize_groups(&set, half()), Err(AqiError::Parameter { .. })));
        assert!(matches!(AnchoredNormalization::fit(&set), Err(AqiError::Parameter { .. })));
    }
    assert!(AnchoredNormalization::fit(&groups(&[(INF, 0.0)])).is_err());
}

#[test]
fn anchored_normalization_agrees_with_the_formula() {
    // a = np.array([[28.2, 3.09], [561.8, 1.245], [120., 2.0]]); m = a.mean(0); sd = a.std(0)
    // s = lambda z: 100 / (1 + np.exp(-z)); c = s((300 - m[0]) / sd[0])
    // x = s((m[1] - 1.5) / sd[1]); c, x, .3 * c + .7 * x
    let anchors = groups(&[(28.2, 3.09), (561.8, 1.245), (120.0, 2.0)]);
    let anchored = AnchoredNormalization::fit(&anchors).unwrap();
    let gamma = Lambda::new(0.3).unwrap();
    let score = anchored.score(&GroupIndices::new("steered", 300.0, 1.5), gamma).unwrap();
    close(score.chi_norm, 56.7556482864926, EXACT);
    close(score.xb_norm, 69.1607540260735, EXACT);
    close(score.aqi, 65.43922230419923, EXACT);
    assert!(anchored.flags.is_empty());
}

#[test]
fn anchors_without_spread_are_a_step_and_flagged_and_infinities_are_limits() {
    let anchored = AnchoredNormalization::fit(&groups(&[(5.0, 2.0)])).unwrap();
    assert_eq!(anchored.flags, [Flag::ConstantAnchors]);
    let score = |chi, xbi| {
        let group = GroupIndices::new("x", chi, xbi);
        anchored.score(&group, half()).map(|score| score.aqi)
    };
    assert_eq!(score(5.0, 2.0).unwrap(), 50.0);
    assert_eq!(score(5.1, 1.9).unwrap(), 100.0);
    assert_eq!(score(INF, 0.0).unwrap(), 100.0);
    assert_eq!(score(0.0, INF).unwrap(), 0.0);
    assert!(score(f64::NAN, 1.0).is_err());
}

#[test]
fn gamma_weights_the_index_that_is_named_first() {
    let one = Lambda::new(1.0).unwrap();
    let third = Lambda::new(0.25).unwrap();
    let score = |variant: ReferenceVariant, a, b| variant.score(a, b).unwrap();
    for (first, mixed, a, b, term_a, term_b) in [
        (
            ReferenceVariant::DaviesBouldinDunn { gamma: one },
            ReferenceVariant::DaviesBouldinDunn { gamma: third },
            3.0,
            4.0,
            0.25,
            0.8,
        ),
        (
            ReferenceVariant::SilhouetteXieBeni { gamma: one },
            ReferenceVariant::SilhouetteXieBeni { gamma: third },
            -0.5,
            3.0,
            0.25,
            0.25,
        ),
        (
            ReferenceVariant::SilhouetteCalinskiHarabasz { gamma: one },
            ReferenceVariant::SilhouetteCalinskiHarabasz { gamma: third },
            0.2,
            19.0,
            0.6,
            0.95,
        ),
        (
            ReferenceVariant::AnchoredCalinskiHarabaszXieBeni { gamma: one },
            ReferenceVariant::AnchoredCalinskiHarabaszXieBeni { gamma: third },
            30.0,
            80.0,
            30.0,
            80.0,
        ),
    ] {
        close(score(first, a, b), term_a, EXACT);
        close(score(mixed, a, b), 0.25 * term_a + 0.75 * term_b, EXACT);
    }
}

#[test]
fn infinite_indices_contribute_their_limits_and_impossible_ones_are_errors() {
    let dbs = ReferenceVariant::DaviesBouldinDunn { gamma: half() };
    assert_eq!(dbs.score(INF, INF).unwrap(), 0.5);
    assert_eq!(dbs.score(0.0, INF).unwrap(), 1.0);
    let xb = ReferenceVariant::SilhouetteXieBeni { gamma: half() };
    assert_eq!(xb.score(1.0, INF).unwrap(), 0.5);
    let chi = ReferenceVariant::SilhouetteCalinskiHarabasz { gamma: half() };
    assert_eq!(chi.score(1.0, INF).unwrap(), 1.0);
    for (variant, a, b) in [
        (dbs, -0.1, 1.0),
        (dbs, 1.0, f64::NAN),
        (xb, 1.5, 1.0),
        (xb, f64::NAN, 1.0),
        (chi, 0.5, -1.0),
        (ReferenceVariant::CalinskiHarabaszXieBeni { gamma: half() }, 101.0, 1.0),
    ] {
        assert!(
            matches!(variant.score(a, b), Err(AqiError::Parameter { .. })),
            "{variant:?} {a} {b}"
        );
    }
}

#[test]
fn the_explicit_bias_index_is_four_xie_beni_of_balanced_classes() {
    for set in [oracle::d1(), oracle::d5(), oracle::d6(), oracle::d4()] {
        let dispersion = dispersion(&set);
        close(explicit_bias_index(&dispersion).unwrap(), 4.0 * dispersion.xie_beni(), EXACT);
    }
    // D2 has 3 and 5 rows: (12/3 + 28/5) / 2 / (121/4), not 4 XBI = 20/121.
    let unbalanced = explicit_bias_index(&dispersion(&oracle::d2())).unwrap();
    close(unbalanced, 19.2 / 121.0, EXACT);
    assert!(matches!(
        explicit_bias_index(&dispersion(&oracle::d3())),
        Err(AqiError::TwoClasses { found: 3, .. })
    ));
}
