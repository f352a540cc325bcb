//! AQI on linfa's datasets equals AQI on arrays.

use collimate_aqi::{Lambda, Mode};
use collimate_cluster::{
    AgreementOptions, AlignmentQuality, ClusterAgreement, ClusterError, Clusters, Result,
};
use linfa::DatasetBase;
use linfa::dataset::{AsTargets, CountedTargets};
use ndarray_linfa::{Array2, array};

fn records() -> Array2<f32> {
    array![[0.0], [2.0], [10.0], [12.0]]
}

/// CHI = 50, XBI = 1/100, ρ = 49/53, AQI(λ = 0.5) = 75, by hand.
fn is_the_known_set(dataset: &impl AlignmentQuality) -> Result<()> {
    assert_eq!(dataset.calinski_harabasz()?, 50.0);
    assert_eq!(dataset.xie_beni()?, 0.01);
    assert!((dataset.rho_global()? - 49.0 / 53.0).abs() < 1e-15);
    assert!((dataset.rho_local()? - 49.0 / 53.0).abs() < 1e-15);
    let linear = Mode::PaperLinear { lambda: Lambda::default() };
    assert_eq!(dataset.aqi(linear)?.value, 75.0);
    assert!((dataset.aqi_s()?.value - 4900.0 / 53.0).abs() < 1e-12);
    Ok(())
}

#[test]
fn targets_may_be_booleans_numbers_or_names() -> Result<()> {
    let plain = DatasetBase::from(records());
    is_the_known_set(&plain.clone().with_targets(array![true, true, false, false]))?;
    is_the_known_set(&plain.clone().with_targets(array![7_usize, 7, 3, 3]))?;
    is_the_known_set(&plain.clone().with_targets(array!["a", "a", "b", "b"]))?;
    let owned = array!["a", "a", "b", "b"].mapv(str::to_owned);
    let owned = plain.with_targets(owned);
    is_the_known_set(&owned)?;
    is_the_known_set(&owned.view())
}

#[test]
fn counted_targets_and_other_layouts_do() -> Result<()> {
    let wide = array![[0.0, 2.0, 10.0, 12.0], [0.0, 0.0, 0.0, 0.0]];
    let dataset = DatasetBase::new(wide.t(), CountedTargets::new(array![0_usize, 0, 1, 1]));
    assert_eq!(dataset.targets().as_targets().len(), 4);
    is_the_known_set(&dataset)
}

#[test]
fn weights_count() -> Result<()> {
    let doubled = DatasetBase::from(array![[0.0], [2.0], [2.0], [10.0], [12.0]])
        .with_targets(array![0_usize, 0, 0, 1, 1]);
    let weighted = DatasetBase::from(records())
        .with_targets(array![0_usize, 0, 1, 1])
        .with_weights(array![1.0, 2.0, 1.0, 1.0]);
    let (found, expected) = (weighted.xie_beni()?, doubled.xie_beni()?);
    assert!((found / expected - 1.0).abs() < 1e-14, "{found} {expected}");
    assert_ne!(found, 0.01);
    Ok(())
}

#[test]
fn clusters_of_linfa_and_noise_compare_with_targets() -> Result<()> {
    let dataset = DatasetBase::from(records()).with_targets(array!["a", "a", "b", "b"]);
    let options = AgreementOptions::default();
    let predicted = array![1_usize, 1, 0, 0];
    assert_eq!(dataset.agreement(predicted.view(), &options)?.adjusted_rand, 1.0);
    let with_noise = array![Some(0_usize), Some(0), None, None];
    let agreement = dataset.agreement(with_noise.view(), &options)?;
    assert_eq!((agreement.adjusted_rand, agreement.noise_rows), (1.0, 2));
    assert!(matches!(
        dataset.agreement(Clusters::new([0]), &options),
        Err(ClusterError::LengthMismatch { .. })
    ));
    Ok(())
}

#[test]
fn a_single_class_and_missing_targets_are_errors() {
    let one = DatasetBase::from(records()).with_targets(array![0_usize, 0, 0, 0]);
    assert!(matches!(one.aqi_s(), Err(ClusterError::Aqi(_))));
    let short = DatasetBase::new(records(), array![0_usize, 1]);
    assert!(matches!(short.aqi_s(), Err(ClusterError::Aqi(_))));
}
