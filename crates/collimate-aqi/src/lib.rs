#![doc = include_str!("../README.md")]

mod boundary_gap;
mod calibration;
mod controls;
mod davies_bouldin;
mod dispersion;
mod dunn;
mod duplicates;
mod element;
mod error;
mod evaluation;
mod flag;
mod fuzzy;
mod inference;
mod json_float;
mod labels;
mod layers;
mod linalg;
mod moments;
mod monitor;
mod multiplicity;
mod order_statistic;
mod ordered;
mod pairwise;
mod participation;
mod pca;
mod quantile;
mod range;
mod reference;
mod rng;
mod sample;
mod score;
mod silhouette;
mod simd;
#[cfg(feature = "state")]
mod state;
mod strata;
mod transform;
#[cfg(feature = "tsne")]
mod tsne;
mod window;

pub use boundary_gap::{BoundaryGap, boundary_gap};
pub use calibration::{
    Isotonic, QuantileRegression, ZScore, chi_max, percentile_rank, relative_change,
};
pub use controls::{MatchedSubset, StratumMatch, length_bins, matched_subset, shuffled_labels};
pub use davies_bouldin::davies_bouldin;
pub use dispersion::{Dispersion, Pair};
pub use dunn::{Dunn, dunn, dunn_trimmed};
pub use duplicates::{Duplicates, duplicate_rows};
pub use element::Element;
pub use error::{AqiError, Result};
pub use evaluation::{
    Aqi, AqiConfig, AxiomReport, CrossFitReport, LayerReport, OnNonFinite, Outcome, Report,
};
pub use flag::Flag;
pub use fuzzy::{FuzzySettings, FuzzyXieBeni, fuzzy_xie_beni};
pub use inference::{
    Delta, DeltaConfig, DeltaSign, Interval, IntervalMethod, MaxTTest, PermutationTest, delta,
    max_t_test, permutation_test, rho_interval, rho_standard_error,
};
pub use labels::Labels;
pub use layers::{
    AnchorPooling, AnchorReport, CosineAnchor, HingeReport, LayerFit, LayerMoments, LayerObjective,
    LayerScales, LayerScaling, LayerScore, LayerWeights, Margin, PaperHinge, Rayleigh,
    RayleighReport, SimplexMap, WeightSource, fit_and_score, pool_layers, project_onto_simplex,
};
pub use moments::{Accumulator, Moments};
pub use monitor::{AlarmSide, Baseline, Monitor, MonitorSettings, MonitorStatistic, Observation};
pub use multiplicity::{benjamini_hochberg, holm};
pub use participation::participation_ratio;
pub use pca::Pca;
pub use quantile::quantile;
pub use reference::{
    AnchoredNormalization, GroupIndices, ReferenceScore, ReferenceScores, ReferenceVariant,
    SkippedGroup, explicit_bias_index, normalize_groups,
};
pub use sample::Sample;
pub use score::{Lambda, Mode, Score};
pub use silhouette::{
    Metric, Silhouette, silhouette, silhouette_sampled, silhouette_simplified, silhouette_with,
};
#[cfg(feature = "state")]
pub use state::{State, StateMetadata};
pub use strata::{
    AlignmentStrata, AlignmentStratum, ClassStrata, RefusalDistance, Thresholds, alignment_strata,
    refusal_centroid_distance,
};
pub use transform::{
    ChainSummary, FittedChain, ProjectionKind, Shrinkage, StepSummary, Transform, TransformChain,
    cross_fit_folds, split_rows,
};
#[cfg(feature = "tsne")]
pub use tsne::{TsneConfig, tsne_embedding};
pub use window::SlidingWindow;
