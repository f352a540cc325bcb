//! k-means, Gaussian mixture and DBSCAN, against scikit-learn and on hard input.

use collimate_aqi::{AqiError, FuzzySettings, Labels};
use collimate_cluster::{
    AgreementOptions, ClusterError, Clusters, Dbscan, Epsilon, GaussianMixture, Initialization,
    KMeans, Noise, Result,
};
use ndarray::{Array2, ShapeBuilder, array};
use serde_json::Value;

fn fixture(algorithm: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../fixtures/agreement.json")).unwrap();
    all[algorithm].clone()
}

/// The rows of conformance/agreement.py.
fn rows(n: usize, d: usize, lift: usize, every: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, j)| {
        let scatter = (37 * i + 61 * j + 13 * i * j + 7 * ((i * i * (j + 1)) % 89)) % 97;
        (scatter + lift * usize::from(i % 3 == 0 && j % every == 0)) as f64
    })
}

/// The label that lifts every third row.
fn lifted(n: usize) -> Labels {
    Labels::new((0..n).map(|i| i % 3 == 0)).unwrap()
}

fn same_partition(a: &Clusters, b: Vec<i64>) {
    let labels = Labels::new(b).unwrap();
    let agreement = a.agreement(&labels, &AgreementOptions::default()).unwrap();
    assert_eq!(agreement.adjusted_rand, 1.0, "{:?}", agreement.contingency);
}

fn relative(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance * expected.abs(),
        "found {found}, expected {expected}"
    );
}

#[test]
fn k_means_finds_the_clusters_of_scikit_learn() -> Result<()> {
    let reference = fixture("k_means");
    let expected: Vec<i64> =
        reference["clusters"].as_str().unwrap().bytes().map(i64::from).collect();
    let double = rows(90, 6, 70, 2);
    let single = double.mapv(|x| x as f32);
    for initialization in [Initialization::PlusPlus, Initialization::Random] {
        let settings = KMeans::default().with_initialization(initialization);
        let fit = settings.fit(double.view())?;
        same_partition(&fit.clusters, expected.clone());
        relative(fit.inertia, reference["inertia"].as_f64().unwrap(), 1e-12);
        assert!(fit.converged);
        let fit_single = settings.fit(single.view())?;
        assert_eq!(fit_single.clusters, fit.clusters);
        assert_eq!(fit_single.centroids, fit.centroids);
    }
    Ok(())
}

#[test]
fn k_means_depends_on_the_seed_alone() -> Result<()> {
    let rows = rows(60, 4, 0, 1);
    let settings = KMeans::new(5).with_n_runs(1);
    let fit = |seed| settings.with_seed(seed).fit(rows.view());
    assert_eq!(fit(1)?, fit(1)?);
    assert!((2..10).any(|seed| fit(seed).is_ok_and(|f| f.clusters != fit(1).unwrap().clusters)));
    Ok(())
}

#[test]
fn an_iteration_cut_short_is_reported() -> Result<()> {
    let rows = rows(90, 6, 0, 2);
    let settings = KMeans::new(6).with_n_runs(1);
    assert!(!settings.with_max_iterations(1).fit(rows.view())?.converged);
    let fit = settings.with_tolerance(1e-4).fit(rows.view())?;
    assert!(fit.converged);
    let tiny = rows * f64::powi(2.0, -30);
    let found = settings.with_tolerance(1e-4).fit(tiny.view())?;
    assert!(found.converged, "the tolerance is a share of the spread");
    assert_eq!(found.clusters, fit.clusters);
    Ok(())
}

#[test]
fn units_and_layout_change_nothing() -> Result<()> {
    let plain = rows(90, 3, 100, 1);
    let k_means = KMeans::default().fit(plain.view())?;
    let mixture = GaussianMixture::default().fit(plain.view())?;
    let dbscan = Dbscan::default().fit(plain.view())?;
    for power in [-900, -600, 7, 600, 900] {
        let unit = f64::powi(2.0, power);
        let scaled = &plain * unit;
        let found = KMeans::default().fit(scaled.view())?;
        assert_eq!(found.clusters, k_means.clusters, "2^{power}");
        assert_eq!(found.centroids, &k_means.centroids * unit);
        assert_eq!(found.inertia, k_means.inertia * unit * unit);
        let found = GaussianMixture::default().fit(scaled.view())?;
        assert_eq!(found.clusters, mixture.clusters, "2^{power}");
        relative(found.weights[0], mixture.weights[0], 1e-9);
        let shift = 3.0 * f64::from(power) * std::f64::consts::LN_2;
        relative(found.log_likelihood, mixture.log_likelihood - shift, 1e-9);
        let found = Dbscan::default().fit(scaled.view())?;
        assert_eq!(found.clusters, dbscan.clusters, "2^{power}");
        relative(found.epsilon, dbscan.epsilon * unit, 1e-12);
    }
    let mut columns = Array2::zeros((90, 3).f());
    columns.assign(&plain);
    assert!(!columns.is_standard_layout());
    assert_eq!(KMeans::default().fit(columns.view())?, k_means);
    assert_eq!(Dbscan::default().fit(columns.view())?, dbscan);
    Ok(())
}

#[test]
fn the_mixture_is_that_of_scikit_learn() -> Result<()> {
    let reference = fixture("gaussian_mixture");
    let rows = rows(120, 3, 110, 1);
    let fit = GaussianMixture::default()
        .with_tolerance(1e-13)
        .with_max_iterations(10_000)
        .fit(rows.view())?;
    relative(fit.log_likelihood, reference["log_likelihood"].as_f64().unwrap(), 1e-9);
    relative(fit.bic(), reference["bic"].as_f64().unwrap(), 1e-9);
    let first = usize::from(fit.means[(0, 0)] > fit.means[(1, 0)]);
    for (k, at) in [(0, first), (1, 1 - first)] {
        relative(fit.weights[at], reference["weights"][k].as_f64().unwrap(), 1e-5);
        for j in 0..3 {
            let mean = reference["means"][k][j].as_f64().unwrap();
            relative(fit.means[(at, j)], mean, 1e-5);
        }
    }
    let responsibilities = reference["responsibilities_of_first"].as_array().unwrap();
    assert_eq!(responsibilities.len(), 120);
    for (row, expected) in fit.responsibilities.rows().into_iter().zip(responsibilities) {
        assert!((row[first] - expected.as_f64().unwrap()).abs() < 1e-4);
        assert!((row.sum() - 1.0).abs() < 1e-12);
    }
    assert_eq!(fit.failed_runs, 0);
    Ok(())
}

#[test]
fn more_dimensions_than_rows_of_a_component_are_refused_with_advice() {
    let error = GaussianMixture::new(2).fit(rows(60, 30, 100, 1).view()).unwrap_err();
    assert!(matches!(
        error,
        ClusterError::SingularCovariance { rows: 60, dim: 30, components: 2, largest_dim: 29 }
    ));
    assert!(error.to_string().contains("at most 29 dimensions"), "{error}");
    assert!(GaussianMixture::new(2).fit(rows(60, 29, 100, 1).view()).is_ok());
}

#[test]
fn a_mixture_that_fails_says_why() {
    let error = GaussianMixture::new(3)
        .with_max_iterations(1)
        .with_n_runs(2)
        .with_seed(40)
        .fit(rows(60, 2, 10, 1).view())
        .unwrap_err();
    assert!(matches!(
        error,
        ClusterError::Algorithm { algorithm: "Gaussian mixture", rows: 60, dim: 2, seed: 41, .. }
    ));
    assert!(error.to_string().contains("did not converge"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn dbscan_finds_the_clusters_of_scikit_learn() -> Result<()> {
    let reference = fixture("dbscan");
    let expected: Vec<i64> =
        reference["clusters"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
    // Integers in two dimensions: distances of exactly 13 occur, and are within the radius.
    let fit =
        Dbscan::new(4).with_epsilon(Epsilon::Distance(13.0)).fit(rows(90, 2, 150, 1).view())?;
    assert_eq!(fit.noise_rows, expected.iter().filter(|&&id| id == -1).count());
    same_partition(&fit.clusters, expected);
    Ok(())
}

#[test]
fn the_radius_can_be_set_by_the_share_of_cores() -> Result<()> {
    // Distances to the second nearest row (the nearest is itself): 1, 1, 1, 1, 90.
    let rows = array![[0.0], [1.0], [4.0], [5.0], [95.0]];
    let radius = |quantile| -> Result<f64> {
        let epsilon = Epsilon::CoreQuantile(quantile);
        Ok(Dbscan::new(2).with_epsilon(epsilon).fit(rows.view())?.epsilon)
    };
    relative(radius(0.5)?, 1.0, 1e-12);
    relative(radius(0.875)?, 45.5, 1e-12);
    let fit = Dbscan::new(2).with_epsilon(Epsilon::CoreQuantile(0.5)).fit(rows.view())?;
    assert_eq!(fit.clusters.assignments(), [Some(0), Some(0), Some(1), Some(1), None]);
    Ok(())
}

#[test]
fn clusters_of_lifted_rows_find_the_lift() -> Result<()> {
    let (rows, labels) = (rows(90, 4, 250, 1), lifted(90));
    let options = AgreementOptions::default();
    let found = [
        KMeans::default().fit(rows.view())?.clusters,
        GaussianMixture::default().fit(rows.view())?.clusters,
        Dbscan::default().fit(rows.view())?.clusters,
    ];
    for clusters in found {
        let agreement = clusters.agreement(&labels, &options.with_noise(Noise::Exclude))?;
        assert_eq!(agreement.adjusted_rand, 1.0);
        assert_eq!(agreement.chance_corrected_purity, Some(1.0));
        assert_eq!(agreement.permutations.unwrap().p_value, 0.001);
    }
    Ok(())
}

#[test]
fn unusable_input_is_named_and_nothing_panics() {
    let identical = Array2::from_elem((30, 3), 0.1_f32);
    let nan = array![[0.0_f32], [f32::NAN], [1.0]];
    let empty = Array2::<f32>::zeros((0, 2));
    let flat = Array2::<f32>::zeros((5, 0));
    type Fit = fn(&Array2<f32>) -> Result<()>;
    let algorithms: [Fit; 3] = [
        |rows| KMeans::default().fit(rows.view()).map(drop),
        |rows| GaussianMixture::default().fit(rows.view()).map(drop),
        |rows| Dbscan::new(2).fit(rows.view()).map(drop),
    ];
    for fit in algorithms {
        let aqi = |rows| match fit(rows) {
            Err(ClusterError::Aqi(error)) => error,
            other => panic!("{other:?}"),
        };
        assert!(matches!(aqi(&identical), AqiError::DegenerateData));
        assert!(matches!(aqi(&nan), AqiError::NonFinite { row: 1, .. }));
        assert!(matches!(aqi(&empty), AqiError::Empty));
        assert!(matches!(aqi(&flat), AqiError::ZeroDim));
    }
}

#[test]
fn fewer_distinct_rows_than_clusters_are_an_error() {
    let rows = array![[0.0], [0.0], [0.0], [1.0]];
    assert!(matches!(
        KMeans::new(3).fit(rows.view()),
        Err(ClusterError::EmptyCluster { wanted: 3, occupied: 2 })
    ));
    assert!(matches!(
        KMeans::new(5).fit(rows.view()),
        Err(ClusterError::TooFewRows { rows: 4, needed: 5, .. })
    ));
    let majority = Epsilon::CoreQuantile(0.5);
    assert!(matches!(
        Dbscan::new(3).with_epsilon(majority).fit(rows.view()),
        Err(ClusterError::Parameter { name: "epsilon", .. })
    ));
}

#[test]
fn settings_are_checked() {
    let rows = rows(30, 2, 100, 1);
    let names = [
        KMeans::new(1).fit(rows.view()).unwrap_err(),
        KMeans::new(2).with_n_runs(0).fit(rows.view()).unwrap_err(),
        KMeans::new(2).with_tolerance(f64::NAN).fit(rows.view()).unwrap_err(),
        KMeans::new(2).with_max_iterations(0).fit(rows.view()).unwrap_err(),
        GaussianMixture::new(1).fit(rows.view()).unwrap_err(),
        GaussianMixture::new(2).with_n_runs(0).fit(rows.view()).unwrap_err(),
        GaussianMixture::new(2).with_covariance_floor(0.0).fit(rows.view()).unwrap_err(),
        Dbscan::new(1).fit(rows.view()).unwrap_err(),
        Dbscan::new(2).with_epsilon(Epsilon::Distance(-1.0)).fit(rows.view()).unwrap_err(),
        Dbscan::new(2).with_epsilon(Epsilon::CoreQuantile(1.5)).fit(rows.view()).unwrap_err(),
    ]
    .map(|error| match error {
        ClusterError::Parameter { name, .. } => name,
        other => panic!("{other:?}"),
    });
    assert_eq!(
        names,
        [
            "n_clusters",
            "n_runs",
            "tolerance",
            "max_iterations",
            "n_components",
            "n_runs",
            "covariance_floor",
            "min_points",
            "epsilon",
            "epsilon quantile"
        ]
    );
}

#[test]
fn results_serialize() -> Result<()> {
    let rows = array![[0.0], [2.0], [10.0], [12.0]];
    let json = serde_json::to_value(KMeans::new(2).fit(rows.view())?).unwrap();
    assert_eq!(json["inertia"], 4.0);
    assert_eq!(json["clusters"].as_array().unwrap().len(), 4);
    assert_eq!(json["centroids"][0].as_array().unwrap().len(), 1);
    assert_eq!(json["settings"]["initialization"], "plus-plus");
    let json = serde_json::to_value(KMeans::new(2).fit((rows * 1e200).view())?).unwrap();
    assert_eq!(json["inertia"], "inf");
    Ok(())
}

#[test]
fn responsibilities_are_memberships_of_the_fuzzy_xie_beni() -> Result<()> {
    let rows = rows(120, 3, 110, 1);
    let fit = GaussianMixture::default().fit(rows.view())?;
    let found = fit.fuzzy_xie_beni(rows.view(), &FuzzySettings::default())?;
    let (mut objective, mut centres) = (0.0, vec![vec![0.0; 3]; 2]);
    for (k, centre) in centres.iter_mut().enumerate() {
        let weights = fit.responsibilities.column(k).mapv(|u| u * u);
        *centre = (weights.dot(&rows) / weights.sum()).to_vec();
        for (row, weight) in rows.rows().into_iter().zip(&weights) {
            let distances = row.iter().zip(centre.iter()).map(|(x, v)| (x - v).powi(2));
            objective += weight * distances.sum::<f64>();
        }
    }
    let gaps = centres[0].iter().zip(&centres[1]);
    let gap: f64 = gaps.map(|(a, b)| (a - b).powi(2)).sum();
    relative(found.index, objective / (120.0 * gap), 1e-12);
    Ok(())
}

#[test]
fn components_are_numbered_by_first_rows_whatever_the_seed() -> Result<()> {
    let rows = rows(120, 3, 110, 1);
    let settings = GaussianMixture::default().with_tolerance(1e-10);
    let reference = settings.fit(rows.view())?;
    for seed in 1..8 {
        let fit = settings.with_seed(seed).fit(rows.view())?;
        assert_eq!(fit.clusters, reference.clusters, "seed {seed}");
        assert_eq!(fit.clusters.assignments()[0], Some(0));
        for k in 0..2 {
            let own = fit.responsibilities.column(k);
            relative(fit.weights[k], own.sum() / 120.0, 1e-4);
            relative(fit.means[(k, 0)], own.dot(&rows.column(0)) / own.sum(), 1e-4);
        }
    }
    Ok(())
}

#[test]
fn of_several_runs_the_most_likely_is_kept() -> Result<()> {
    let rows = rows(90, 2, 0, 1);
    let settings = GaussianMixture::new(5).with_max_iterations(2000);
    let alone: Vec<f64> = (0..12)
        .filter_map(|seed| settings.with_seed(seed).fit(rows.view()).ok())
        .map(|fit| fit.log_likelihood)
        .collect();
    let best = alone.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert!(alone.iter().any(|&other| other < best), "{alone:?}");
    let together = settings.with_n_runs(12).fit(rows.view())?;
    assert_eq!(together.log_likelihood, best);
    assert_eq!(together.failed_runs, 12 - alone.len() as u64);
    Ok(())
}
