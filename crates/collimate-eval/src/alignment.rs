//! How well safe and unsafe prompts are told apart before and after alignment.

use std::collections::BTreeMap;

use collimate_aqi::{
    Aqi, AqiConfig, AqiError, Delta, DeltaConfig, Labels, LayerFit, LayerMoments, LayerObjective,
    LayerReport, LayerScaling, LayerWeights, Report, Sample, fit_and_score, holm, pool_layers,
    shuffled_labels, split_rows,
};
use collimate_data::PromptSet;
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use crate::error::{EvalError, Result};
use crate::states::HiddenStates;

/// How often labels are shuffled for the control.
const SHUFFLES: u64 = 20;

/// Which layers the headline is of.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LayerRule {
    /// The last one that there is.
    #[default]
    Final,
    /// The one of this number.
    Index(usize),
    /// All, with equal weights, each divided by its own spread.
    Uniform,
    /// All, with weights that are fitted on one part of the prompts and scored on the other; for each
    /// model its own.
    Fitted,
}

/// How alignment is compared.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AlignmentConfig {
    /// How each sample is scored. Default: as [`AqiConfig`].
    pub aqi: AqiConfig,
    /// How the two are compared. Default: as [`DeltaConfig`].
    pub delta: DeltaConfig,
    /// Which layers the headline is of. Default: the last one.
    pub layers: LayerRule,
    /// The share of the prompts that weights are fitted on, where they are fitted. Default 0.5.
    pub fit_share: f64,
    /// What the split and shuffled labels follow from. Default 0.
    pub seed: u64,
}

impl Default for AlignmentConfig {
    fn default() -> Self {
        Self {
            aqi: AqiConfig::default(),
            delta: DeltaConfig::default(),
            layers: LayerRule::default(),
            fit_share: 0.5,
            seed: 0,
        }
    }
}

impl AlignmentConfig {
    /// Sets how each sample is scored.
    #[must_use]
    pub fn with_aqi(mut self, aqi: AqiConfig) -> Self {
        self.aqi = aqi;
        self
    }

    /// Sets how the two are compared.
    #[must_use]
    pub fn with_delta(mut self, delta: DeltaConfig) -> Self {
        self.delta = delta;
        self
    }

    /// Sets which layers the headline is of.
    #[must_use]
    pub fn with_layers(mut self, layers: LayerRule) -> Self {
        self.layers = layers;
        self
    }

    /// Sets the share of the prompts that weights are fitted on.
    #[must_use]
    pub fn with_fit_share(mut self, fit_share: f64) -> Self {
        self.fit_share = fit_share;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// Something that was computed, or why it could not be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Computed<T> {
    /// What it came to.
    Is(T),
    /// Why there is nothing.
    Not {
        /// The reason.
        not_computed: String,
    },
}

impl<T> Computed<T> {
    /// What it came to.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Not { .. } => None,
        }
    }
}

impl<T, E: std::error::Error> From<Result<T, E>> for Computed<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Is(value),
            Err(error) => Self::Not { not_computed: error.to_string() },
        }
    }
}

/// How one model tells safe from unsafe.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Alignment {
    /// The headline, with each axiom by itself.
    pub headline: Report,
    /// Each layer by itself, of all prompts.
    pub per_layer: Vec<LayerReport>,
    /// The layers that can't be scored, and why: the embedding of the last token is the same for prompts
    /// that all end alike.
    pub not_scored: BTreeMap<usize, String>,
    /// The weights of the layers, where they were fitted.
    pub fit: Option<LayerFit>,
    /// What is found where nothing can have been learned.
    pub controls: Controls,
}

/// What is found where nothing can have been learned: a headline that is no larger says nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Controls {
    /// How much better the headline separates than the embedding layer, which knows words only; where
    /// that layer is among those that were read.
    pub excess_over_embedding: Option<Computed<Delta>>,
    /// How much better the headline separates than that of the twin with random weights, which knows
    /// what the architecture makes of words; where there is one.
    pub excess_over_random_twin: Option<Computed<Delta>>,
    /// The mean AQI-S of the headline's rows with shuffled labels.
    pub shuffled_aqi_s: f64,
}

/// What is known of a model: its hidden states, and those of its twin.
#[derive(Clone, Copy, Debug)]
pub struct Probed<'a> {
    states: &'a HiddenStates,
    twin: Option<&'a HiddenStates>,
}

impl<'a> Probed<'a> {
    /// A model of these states.
    pub fn new(states: &'a HiddenStates) -> Self {
        Self { states, twin: None }
    }

    /// Sets the states of its twin: [`random_twin`](crate::random_twin) on the same prompts.
    #[must_use]
    pub fn with_twin(self, twin: &'a HiddenStates) -> Self {
        Self { twin: Some(twin), ..self }
    }
}

impl<'a> From<&'a HiddenStates> for Probed<'a> {
    fn from(states: &'a HiddenStates) -> Self {
        Self::new(states)
    }
}

/// How alignment changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AlignmentChange {
    /// The change of the headline.
    pub headline: Delta,
    /// The change within each axiom.
    pub per_axiom: BTreeMap<String, Computed<Delta>>,
    /// The change of each layer that both have.
    pub per_layer: Vec<LayerChange>,
}

/// The change of a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerChange {
    /// The number of the layer.
    pub layer: usize,
    /// Its change.
    pub delta: Computed<Delta>,
    /// Its p-value adjusted for the number of layers, as Holm does.
    pub p_holm: Option<f64>,
}

/// Two models compared on the same prompts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AlignmentComparison {
    /// The model before.
    pub before: Alignment,
    /// The model after.
    pub after: Alignment,
    /// What changed.
    pub change: AlignmentChange,
}

/// Prompts as the metric takes them.
struct Probes {
    labels: Labels,
    groups: Option<Labels>,
    axioms: Option<Labels>,
    ids: Vec<String>,
}

impl Probes {
    fn new(prompts: &PromptSet) -> Result<Self> {
        let labels = Labels::from_safe(&prompts.is_safe())?;
        let prompts = prompts.prompts();
        let groups = match prompts.iter().any(|prompt| prompt.group.is_some()) {
            false => None,
            true => {
                let name = |(row, prompt): (usize, &collimate_data::Prompt)| match &prompt.group {
                    Some(group) => format!("group {group}"),
                    None => format!("prompt {row}"),
                };
                Some(Labels::new(prompts.iter().enumerate().map(name))?)
            }
        };
        let axioms = match prompts.iter().any(|prompt| prompt.axiom.is_some()) {
            false => None,
            true => {
                let name = |prompt: &collimate_data::Prompt| {
                    prompt.axiom.clone().unwrap_or_else(|| "(none)".to_owned())
                };
                Some(Labels::new(prompts.iter().map(name))?)
            }
        };
        let ids = (0..prompts.len()).map(|row| row.to_string()).collect();
        Ok(Self { labels, groups, axioms, ids })
    }

    fn select(&self, rows: &[usize]) -> Result<Self, AqiError> {
        let of = |labels: &Option<Labels>| match labels {
            Some(labels) => labels.select(rows).map(Some),
            None => Ok(None),
        };
        let ids = rows.iter().filter_map(|&row| self.ids.get(row).cloned()).collect();
        Ok(Self {
            labels: self.labels.select(rows)?,
            groups: of(&self.groups)?,
            axioms: of(&self.axioms)?,
            ids,
        })
    }

    fn sample<'a>(&'a self, rows: &'a Array2<f64>) -> Result<Sample<'a, f64>, AqiError> {
        let mut sample = Sample::new(rows.view(), &self.labels)?.with_ids(&self.ids)?;
        if let Some(groups) = &self.groups {
            sample = sample.with_groups(groups)?;
        }
        if let Some(axioms) = &self.axioms {
            sample = sample.with_axioms(axioms)?;
        }
        Ok(sample)
    }
}

/// The rows that the headline is of.
struct Headline {
    rows: Array2<f64>,
    /// Which of the prompts they are.
    prompts: Vec<usize>,
    fit: Option<LayerFit>,
}

/// Scores the hidden states of a model.
///
/// # Errors
///
/// [`EvalError::Rows`]: there is not one text for each prompt; [`EvalError::Layer`]: there is no such
/// layer; [`EvalError::Aqi`].
pub fn alignment<'a>(
    prompts: &PromptSet,
    model: impl Into<Probed<'a>>,
    config: &AlignmentConfig,
) -> Result<Alignment> {
    let model = model.into();
    let aqi = config.aqi.clone().check()?;
    let probes = Probes::new(prompts)?;
    let headline = headline(&probes, model.states, config)?;
    one(&aqi, &probes, model, &headline, config)
}

/// Compares two models on the same prompts.
///
/// # Errors
///
/// As [`alignment`].
pub fn compare_alignment<'a>(
    prompts: &PromptSet,
    before: impl Into<Probed<'a>>,
    after: impl Into<Probed<'a>>,
    config: &AlignmentConfig,
) -> Result<AlignmentComparison> {
    let (before, after) = (before.into(), after.into());
    let aqi = config.aqi.clone().check()?;
    let probes = Probes::new(prompts)?;
    let [of_before, of_after] =
        [headline(&probes, before.states, config)?, headline(&probes, after.states, config)?];
    let change = AlignmentChange {
        headline: delta(&aqi, &probes, &of_before, &of_after, config)?,
        per_axiom: axioms(&aqi, &probes, &of_before, &of_after, config)?,
        per_layer: layers(&aqi, &probes, before.states, after.states, config)?,
    };
    Ok(AlignmentComparison {
        before: one(&aqi, &probes, before, &of_before, config)?,
        after: one(&aqi, &probes, after, &of_after, config)?,
        change,
    })
}

fn headline(probes: &Probes, states: &HiddenStates, config: &AlignmentConfig) -> Result<Headline> {
    let (texts, layers, _) = states.states.dim();
    if texts != probes.ids.len() {
        return Err(EvalError::Rows { prompts: probes.ids.len(), states: texts });
    }
    let view = states.states.view();
    let all = || (0..texts).collect::<Vec<usize>>();
    match config.layers {
        LayerRule::Final => {
            let last = layers.checked_sub(1).ok_or(AqiError::Empty)?;
            Ok(Headline { rows: layer(states, last), prompts: all(), fit: None })
        }
        LayerRule::Index(number) => {
            let at = states.layers.iter().position(|&of| of == number);
            let at = at
                .ok_or_else(|| EvalError::Layer { layer: number, layers: states.layers.clone() })?;
            Ok(Headline { rows: layer(states, at), prompts: all(), fit: None })
        }
        LayerRule::Uniform => {
            let scales =
                LayerMoments::from_rows(view, &probes.labels)?.scales(LayerScaling::Rms)?;
            let rows = pool_layers(view, &LayerWeights::uniform(layers)?, &scales)?;
            Ok(Headline { rows, prompts: all(), fit: None })
        }
        LayerRule::Fitted => {
            let groups = probes.groups.as_ref().map(Labels::codes);
            let (fit, score) = split_rows(&probes.labels, groups, config.fit_share, config.seed)?;
            let (objective, scaling) = (LayerObjective::default(), LayerScaling::Rms);
            let fit = fit_and_score(view, &probes.labels, &fit, &score, &objective, scaling)?;
            let chosen = states.states.select(Axis(0), &score);
            let rows = pool_layers(chosen.view(), &fit.weights, &fit.scales)?;
            Ok(Headline { rows, prompts: score, fit: Some(fit) })
        }
    }
}

fn layer(states: &HiddenStates, at: usize) -> Array2<f64> {
    states.states.index_axis(Axis(1), at).mapv(f64::from)
}

fn one(
    aqi: &Aqi,
    probes: &Probes,
    model: Probed<'_>,
    headline: &Headline,
    config: &AlignmentConfig,
) -> Result<Alignment> {
    let states = model.states;
    let chosen = probes.select(&headline.prompts)?;
    let sample = chosen.sample(&headline.rows)?;
    let plain = AqiConfig::default().with_interval(None).with_permutations(0).with_pairwise(false);
    let plain = plain.check()?;
    let (mut scored, mut not_scored) = (Vec::new(), BTreeMap::new());
    for (at, &number) in states.layers.iter().enumerate() {
        match plain.evaluate(&Sample::new(layer(states, at).view(), &probes.labels)?) {
            Ok(_) => scored.push(at),
            Err(error) => {
                not_scored.insert(number, error.to_string());
            }
        }
    }
    let values = states.states.select(Axis(1), &scored).mapv(f64::from);
    let mut per_layer = match scored.is_empty() {
        true => Vec::new(),
        // Whose own rows are not looked at.
        false => aqi.profile(&probes.sample(&layer(states, 0))?, values.view())?,
    };
    for (report, at) in per_layer.iter_mut().zip(&scored) {
        report.layer = states.layers.get(*at).copied().unwrap_or(*at);
    }
    let embedding = states.layers.iter().position(|&layer| layer == 0).map(|at| {
        let reference = layer(states, at).select(Axis(0), &headline.prompts);
        aqi.excess_over(&sample, reference.view(), &config.delta).into()
    });
    let twin = match model.twin {
        None => None,
        Some(twin) => {
            // Its split, where layers are fitted, is the same one.
            let of_twin = self::headline(probes, twin, config)?;
            Some(aqi.excess_over(&sample, of_twin.rows.view(), &config.delta).into())
        }
    };
    let mut sum = 0.0;
    for index in 0..SHUFFLES {
        let labels = shuffled_labels(&chosen.labels, None, config.seed, index)?;
        let report = plain.evaluate(&Sample::new(headline.rows.view(), &labels)?)?;
        sum += report.aqi_s.unwrap_or(0.0);
    }
    Ok(Alignment {
        headline: aqi.evaluate(&sample)?,
        per_layer,
        not_scored,
        fit: headline.fit.clone(),
        controls: Controls {
            excess_over_embedding: embedding,
            excess_over_random_twin: twin,
            shuffled_aqi_s: sum / SHUFFLES as f64,
        },
    })
}

fn delta(
    aqi: &Aqi,
    probes: &Probes,
    before: &Headline,
    after: &Headline,
    config: &AlignmentConfig,
) -> Result<Delta, AqiError> {
    // The split follows from labels, groups and the seed: it is the same for both.
    let chosen = probes.select(&before.prompts)?;
    aqi.delta(&chosen.sample(&before.rows)?, &chosen.sample(&after.rows)?, &config.delta)
}

fn axioms(
    aqi: &Aqi,
    probes: &Probes,
    before: &Headline,
    after: &Headline,
    config: &AlignmentConfig,
) -> Result<BTreeMap<String, Computed<Delta>>> {
    let chosen = probes.select(&before.prompts)?;
    let Some(axioms) = &chosen.axioms else { return Ok(BTreeMap::new()) };
    let mut found = BTreeMap::new();
    for (code, name) in axioms.classes().iter().enumerate() {
        let codes = axioms.codes().iter().enumerate();
        let rows: Vec<usize> = codes.filter(|(_, of)| **of == code).map(|(row, _)| row).collect();
        let within = || {
            let chosen = Probes { axioms: None, ..chosen.select(&rows)? };
            let [before, after] =
                [before, after].map(|headline| headline.rows.select(Axis(0), &rows));
            aqi.delta(&chosen.sample(&before)?, &chosen.sample(&after)?, &config.delta)
        };
        found.insert(name.clone(), within().into());
    }
    Ok(found)
}

fn layers(
    aqi: &Aqi,
    probes: &Probes,
    before: &HiddenStates,
    after: &HiddenStates,
    config: &AlignmentConfig,
) -> Result<Vec<LayerChange>> {
    let mut found = Vec::new();
    for (at, number) in before.layers.iter().enumerate() {
        let Some(in_after) = after.layers.iter().position(|of| of == number) else { continue };
        let of_layer = || {
            let (before, after) = (layer(before, at), layer(after, in_after));
            aqi.delta(&probes.sample(&before)?, &probes.sample(&after)?, &config.delta)
        };
        found.push(LayerChange { layer: *number, delta: of_layer().into(), p_holm: None });
    }
    let values = found.iter().filter_map(|change| Some(change.delta.value()?.p_value)).collect();
    let values: Vec<f64> = values;
    let mut adjusted = holm(&values)?.into_iter();
    for change in &mut found {
        if change.delta.value().is_some() {
            change.p_holm = adjusted.next();
        }
    }
    Ok(found)
}
