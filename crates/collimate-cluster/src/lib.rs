#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod agreement;
mod bridge;
mod clusters;
mod dataset;
mod dbscan;
mod error;
mod gaussian_mixture;
mod json;
mod k_means;
mod spread;

pub use agreement::{Agreement, AgreementOptions, Cell, Contingency, Permutations};
pub use bridge::{from_linfa, to_linfa};
pub use clusters::{Clusters, Noise};
pub use dataset::{AlignmentQuality, ClusterAgreement};
pub use dbscan::{Dbscan, DbscanFit, Epsilon};
pub use error::{ClusterError, Result};
pub use gaussian_mixture::{GaussianMixture, GaussianMixtureFit};
pub use k_means::{Initialization, KMeans, KMeansFit};
