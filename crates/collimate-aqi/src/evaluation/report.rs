//! The report of one sample.

use super::{Aqi, AxiomReport, axioms};
use crate::davies_bouldin::davies_bouldin;
use crate::dispersion::Pair;
use crate::dunn::dunn;
use crate::duplicates::duplicate_rows;
use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::flag::Flag;
use crate::inference::{
    Geometry, Interval, IntervalMethod, PermutationTest, interval, pair_intervals, permutation_null,
};
use crate::json_float;
use crate::moments::Moments;
use crate::participation::participation_ratio;
use crate::reference::{GroupIndices, ReferenceScores, normalize_groups};
use crate::sample::Sample;
use crate::score::{Lambda, Mode};
use crate::silhouette::silhouette;
use crate::transform::ChainSummary;
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything that an evaluation found. Serializes to JSON without NaN or infinity literals:
/// infinities are the strings `"inf"` and `"-inf"`, what could not be computed is `null`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Rows scored.
    pub n: usize,
    /// Dimensions scored, after the transform.
    pub dim: usize,
    /// Rows of each class.
    pub n_per_class: BTreeMap<String, usize>,
    /// The size-invariant score, 0 to 100; `None` where a class has a single row.
    pub aqi_s: Option<f64>,
    /// 95% interval for AQI-S; two classes only (for more, AQI-S is not smooth: see `ci95` and
    /// `pair_intervals`).
    pub aqi_s_ci95: Option<[f64; 2]>,
    /// The score of `mode`.
    #[serde(with = "json_float")]
    pub aqi: f64,
    /// Mode and its weights.
    #[serde(flatten)]
    pub mode: Mode,
    /// Which term λ weights in this mode.
    pub lambda_weights: &'static str,
    /// Calinski-Harabasz; `None` where `n ≤ k`.
    #[serde(with = "json_float::option")]
    pub chi: Option<f64>,
    /// Xie-Beni.
    #[serde(with = "json_float")]
    pub xbi: f64,
    /// Davies-Bouldin.
    #[serde(with = "json_float")]
    pub dbs: f64,
    /// Mean silhouette; `None` if not asked for, or where every class has one row.
    pub silhouette: Option<f64>,
    /// Dunn's index; `None` if not asked for.
    #[serde(with = "json_float::option")]
    pub dunn: Option<f64>,
    /// `η² = B/(B+W)`, biased upwards.
    pub eta_squared: f64,
    /// `ε²`, `η²` corrected for its bias; `None` where `n ≤ k`.
    pub epsilon_squared: Option<f64>,
    /// Unclipped `ρ_global`; `None` where a class has a single row. Where rows come in groups,
    /// the bias is removed by group.
    pub rho_global: Option<f64>,
    /// Unclipped `ρ_local`; `None` where a class has a single row.
    pub rho_local: Option<f64>,
    /// Gap of the closest classes in within-class spreads; `None` where a class has one row.
    #[serde(with = "json_float::option")]
    pub effect_size: Option<f64>,
    /// 95% interval for `ρ_global`.
    #[serde(serialize_with = "ends")]
    pub ci95: Option<[f64; 2]>,
    /// The interval in full; `None` if not asked for, or with too few rows.
    pub interval: Option<Interval>,
    /// p-value of the permutation test; `None` if not asked for.
    pub p_value: Option<f64>,
    /// The permutation test in full.
    pub permutation_test: Option<PermutationTest>,
    /// Approximate p-value without permutations, for independent rows; see
    /// [`Dispersion::f_test`](crate::Dispersion::f_test).
    pub f_test_p_value: Option<f64>,
    /// `(tr Σ)²/tr Σ²` of the pooled within-class covariance: how many dimensions carry it.
    pub participation_ratio: Option<f64>,
    /// Largest share of the within-class scatter in one dimension.
    pub top_dimension_share: Option<f64>,
    /// Every pair of classes by itself.
    pub pairs: Vec<Pair>,
    /// 95% score intervals of `ρ` for every pair, in the order of `pairs`; for three or more
    /// classes.
    pub pair_intervals: Vec<Interval>,
    /// What was done to the rows first.
    pub transform: Option<ChainSummary>,
    /// Each axiom by itself, where the sample has axioms.
    pub axioms: Vec<AxiomReport>,
    /// What a reader must know.
    pub flags: Vec<Flag>,
}

fn ends<S: serde::Serializer>(ends: &Option<[f64; 2]>, serializer: S) -> Result<S::Ok, S::Error> {
    match ends {
        Some(ends) => json_float::list::serialize(ends, serializer),
        None => serializer.serialize_none(),
    }
}

const LEVEL: f64 = 0.95;

impl Aqi {
    pub(super) fn report_with_axioms<F: Element>(&self, sample: &Sample<'_, F>) -> Result<Report> {
        let mut report = self.report(sample)?;
        if let Some(axioms) = sample.axioms {
            report.axioms = axioms::reports(self, sample, axioms)?;
        }
        Ok(report)
    }

    /// The report of rows that are transformed already, without axioms of their own.
    pub(super) fn report<F: Element>(&self, sample: &Sample<'_, F>) -> Result<Report> {
        let config = &self.config;
        let (rows, labels) = (sample.rows, sample.labels);
        let moments = Moments::from_rows(rows, labels)?;
        let geometry = optional(Geometry::new(sample, &moments))?;
        let dispersion = match &geometry {
            Some(geometry) => geometry.whole().clone(),
            None => moments.dispersion()?,
        };
        let score = config.mode.score(&dispersion)?;
        let mut flags = score.flags;
        flags.extend(duplicate_rows(rows, labels)?.flag());
        if matches!(config.interval, Some(IntervalMethod::LegacyPercentile { .. })) {
            flags.push(Flag::LegacyInterval);
        }

        let rho_global = optional(dispersion.rho_global())?;
        let rho_local = optional(dispersion.rho_local())?;
        let two = labels.class_count() == 2;
        let interval = match (&geometry, config.interval) {
            (Some(geometry), Some(method)) => {
                optional(interval(sample, &moments, geometry, method, LEVEL))?
            }
            _ => None,
        };
        let pair_intervals = match &geometry {
            Some(geometry) if !two && config.interval.is_some() => {
                optional(pair_intervals(sample, &moments, geometry, LEVEL))?.unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let ci95 = interval.as_ref().map(|interval| [interval.lower, interval.upper]);
        let test = match config.permutations {
            0 => None,
            draws => Some(permutation_null(sample, &moments, draws, config.seed)?.test()),
        };
        let ratio = if dispersion.within() > 0.0 && config.pairwise {
            Some(participation_ratio(rows, labels)?)
        } else {
            None
        };
        let independent = sample.groups.is_none();
        let f_test = match ratio {
            Some(ratio) if independent => optional(dispersion.f_test(ratio))?,
            _ => None,
        };
        let aqi_s = match (rho_local, rho_global) {
            (Some(_), Some(_)) => Some(Mode::default().score(&dispersion)?.value),
            _ => None,
        };
        Ok(Report {
            n: sample.len(),
            dim: moments.dim(),
            n_per_class: labels.classes().iter().cloned().zip(labels.counts()).collect(),
            aqi_s,
            aqi_s_ci95: ci95
                .filter(|_| two)
                .map(|ends| ends.map(|end| 100.0 * end.clamp(0.0, 1.0))),
            aqi: score.value,
            mode: config.mode,
            lambda_weights: config.mode.lambda().1,
            chi: optional(dispersion.calinski_harabasz())?,
            xbi: dispersion.xie_beni(),
            dbs: davies_bouldin(rows, labels)?,
            silhouette: if config.pairwise {
                optional(silhouette(rows, labels))?.map(|silhouette| silhouette.mean)
            } else {
                None
            },
            dunn: if config.pairwise { Some(dunn(rows, labels)?.index) } else { None },
            eta_squared: dispersion.eta_squared(),
            epsilon_squared: optional(dispersion.epsilon_squared())?,
            rho_global,
            rho_local,
            effect_size: optional(dispersion.effect_size())?,
            ci95,
            interval,
            p_value: test.as_ref().map(|test| test.p_value),
            permutation_test: test,
            f_test_p_value: f_test,
            participation_ratio: ratio,
            top_dimension_share: moments.top_dimension_share(),
            pairs: dispersion.pairs(),
            pair_intervals: pair_intervals.into_iter().map(|(_, _, interval)| interval).collect(),
            transform: None,
            axioms: Vec::new(),
            flags,
        })
    }
}

/// The value, or nothing where there are too few rows for it.
fn optional<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(
            AqiError::NeedTwoPerClass { .. }
            | AqiError::NeedThreePerClass { .. }
            | AqiError::TooFewSamples { .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Report {
    /// The scores of the published t-SNE script over the axioms and the pooled rows ("overall",
    /// the last), from their Calinski-Harabasz and Xie-Beni; see [`normalize_groups`] for what
    /// is wrong with them. **γ weights Calinski-Harabasz.**
    ///
    /// # Errors
    /// Those of [`normalize_groups`].
    pub fn reference_scores(&self, gamma: Lambda) -> Result<ReferenceScores> {
        let group = |name: &str, report: &Self| {
            GroupIndices::new(name, report.chi.unwrap_or(f64::INFINITY), report.xbi)
        };
        let axioms = self
            .axioms
            .iter()
            .filter_map(|axiom| axiom.outcome.report().map(|report| group(&axiom.axiom, report)));
        let groups: Vec<GroupIndices> = axioms.chain([group("overall", self)]).collect();
        normalize_groups(&groups, gamma)
    }

    /// This report's score less that of an earlier one, in their common mode.
    ///
    /// The paper's modes grow with the number of rows and depend on the balance of the classes:
    /// there, both reports must have the same number of rows of each class. For whether a change
    /// is more than chance see [`Aqi::delta`].
    ///
    /// # Errors
    /// [`AqiError::Incompatible`] for scores that can't be compared; [`AqiError::Parameter`] for
    /// a score that is infinite.
    pub fn aqi_change_from(&self, earlier: &Self) -> Result<f64> {
        if self.mode != earlier.mode {
            return Err(AqiError::Incompatible {
                what: "modes of the scores",
                left: format!("{:?}", self.mode),
                right: format!("{:?}", earlier.mode),
            });
        }
        if !self.mode.is_size_invariant() && self.n_per_class != earlier.n_per_class {
            return Err(AqiError::Incompatible {
                what: "rows per class, on which scores of this mode depend,",
                left: format!("{:?}", self.n_per_class),
                right: format!("{:?}", earlier.n_per_class),
            });
        }
        match [self.aqi, earlier.aqi].into_iter().find(|aqi| aqi.is_infinite()) {
            Some(infinite) => Err(AqiError::parameter("score", infinite, "a finite number")),
            None => Ok(self.aqi - earlier.aqi),
        }
    }
}
