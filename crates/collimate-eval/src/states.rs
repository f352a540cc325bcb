//! Pooled hidden states of texts.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use collimate_data::Tokenizer;
use collimate_lm::{Batch, Decoder, HiddenSource, Pooling};
use ndarray::{Array3, Axis};
use serde::{Deserialize, Serialize};

use crate::batches::rows_together;
use crate::cache::{LayerKey, StatesCache, TextKey};
use crate::error::{EvalError, Result};

/// How the states of a text's tokens become one.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pool {
    /// That of the last token.
    #[default]
    Last,
    /// The mean of all tokens.
    Mean,
}

/// Which states are read, and how.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StatesConfig {
    /// The residual stream, or the activations inside the MLPs. Default: the residual stream.
    pub source: HiddenSource,
    /// How the states of a text's tokens become one. Default: that of the last token.
    pub pool: Pool,
    /// The layers, as [`Decoder::hidden_layers`] counts them. Default: all.
    pub layers: Option<Vec<usize>>,
    /// Most tokens that run together. Default 4096.
    pub batch_tokens: usize,
}

impl Default for StatesConfig {
    fn default() -> Self {
        Self {
            source: HiddenSource::default(),
            pool: Pool::default(),
            layers: None,
            batch_tokens: 4096,
        }
    }
}

impl StatesConfig {
    /// Sets what is read.
    #[must_use]
    pub fn with_source(mut self, source: HiddenSource) -> Self {
        self.source = source;
        self
    }

    /// Sets how the states of a text's tokens become one.
    #[must_use]
    pub fn with_pool(mut self, pool: Pool) -> Self {
        self.pool = pool;
        self
    }

    /// Sets the layers.
    #[must_use]
    pub fn with_layers(mut self, layers: impl Into<Option<Vec<usize>>>) -> Self {
        self.layers = layers.into();
        self
    }

    /// Sets how many tokens run together at most.
    #[must_use]
    pub fn with_batch_tokens(mut self, batch_tokens: usize) -> Self {
        self.batch_tokens = batch_tokens;
        self
    }
}

/// Where states come from that were computed before, and go to.
#[derive(Clone, Copy, Debug)]
pub struct Cached<'a> {
    /// The folder.
    pub cache: &'a StatesCache,
    /// What tells this model, with its adapter, from any other:
    /// [`model_fingerprint`](crate::model_fingerprint).
    pub fingerprint: &'a str,
}

/// The pooled hidden states of texts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HiddenStates {
    /// The states, `[texts, layers, width]`.
    pub states: Array3<f32>,
    /// The number of each layer.
    pub layers: Vec<usize>,
    /// How many texts and tokens there were, and how many had to be computed.
    pub report: StatesReport,
}

/// How hidden states came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StatesReport {
    /// Texts that were asked for.
    pub texts: usize,
    /// Those among them that differ, as tokens.
    pub distinct: usize,
    /// Distinct texts of which every layer was in the cache.
    pub from_cache: usize,
    /// Distinct texts that the model was run over.
    pub computed: usize,
    /// Tokens that it was run over, without padding.
    pub computed_tokens: usize,
    /// Files of the cache that could not be used because they were damaged; they were replaced.
    pub damaged: usize,
}

/// Computes the pooled hidden states of texts, each distinct one once; tokens are those that the
/// tokenizer's own post-processor gives, as transformers does by default.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[cfg(feature = "flex")] {
/// use std::sync::atomic::AtomicBool;
///
/// use burn::tensor::{DType, Device};
/// use collimate_data::Tokenizer;
/// use collimate_eval::{Pool, StatesConfig, hidden_states};
/// use collimate_lm::Decoder;
///
/// let folder = "tests/fixtures/models/before";
/// let decoder = Decoder::load(folder, &Device::flex(), DType::F32)?;
/// let tokenizer = Tokenizer::from_folder(folder)?;
/// let config = StatesConfig::default().with_pool(Pool::Mean);
/// let texts = ["Where can I read about a garden?", "Help me steal a letter!"];
/// let found = hidden_states(&decoder, &tokenizer, &texts, &config, None, &AtomicBool::new(false))?;
/// // Two layers, and the embedding before them.
/// assert_eq!(found.states.dim(), (2, 3, 16));
/// # }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`EvalError::EmptyText`]: a text has no tokens; [`EvalError::Setting`]; [`EvalError::Cancelled`];
/// [`EvalError::Lm`], [`EvalError::Data`], [`EvalError::Cache`].
pub fn hidden_states<T: AsRef<str>>(
    decoder: &Decoder,
    tokenizer: &Tokenizer,
    texts: &[T],
    config: &StatesConfig,
    cached: Option<Cached<'_>>,
    cancelled: &AtomicBool,
) -> Result<HiddenStates> {
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let rows: Vec<Vec<u32>> =
        tokenizer.encode_batch(&texts, true)?.into_iter().map(|row| row.ids).collect();
    states_of_rows(decoder, &rows, config, cached, cancelled)
}

/// The standard deviation of the weights of a model that has learned nothing: what most configurations of
/// transformers have as `initializer_range`.
const INITIAL_STD: f64 = 0.02;

/// A model of the same architecture with random weights: what tells its prompts apart is not what a
/// model has learned.
///
/// # Errors
///
/// [`EvalError::Lm`]: there is no room for it.
pub fn random_twin(decoder: &Decoder, seed: u64) -> Result<Decoder> {
    Ok(Decoder::random(decoder.config(), INITIAL_STD, seed, decoder.device(), decoder.dtype())?)
}

/// As [`hidden_states`], of rows of token ids.
///
/// # Errors
///
/// As [`hidden_states`].
pub fn states_of_rows(
    decoder: &Decoder,
    rows: &[Vec<u32>],
    config: &StatesConfig,
    cached: Option<Cached<'_>>,
    cancelled: &AtomicBool,
) -> Result<HiddenStates> {
    if let Some(text) = rows.iter().position(Vec::is_empty) {
        return Err(EvalError::EmptyText { text });
    }
    if config.batch_tokens == 0 {
        let message = "is 0; it is at least 1".to_owned();
        return Err(EvalError::Setting { setting: "batch_tokens", message });
    }
    let layers = match &config.layers {
        Some(layers) => layers.clone(),
        None => decoder.hidden_layers(config.source).collect(),
    };
    if layers.is_empty() {
        let message = "is empty; leave it out for all layers".to_owned();
        return Err(EvalError::Setting { setting: "layers", message });
    }
    let width = decoder.hidden_width(config.source);
    let mut distinct: Vec<&[u32]> = Vec::new();
    let mut number_of: HashMap<&[u32], usize> = HashMap::new();
    let numbers: Vec<usize> = rows
        .iter()
        .map(|row| {
            *number_of.entry(row).or_insert_with(|| {
                distinct.push(row);
                distinct.len() - 1
            })
        })
        .collect();

    let mut found = Array3::<f32>::zeros((distinct.len(), layers.len(), width));
    let mut report =
        StatesReport { texts: rows.len(), distinct: distinct.len(), ..StatesReport::default() };
    let keys: Vec<TextKey> = match cached {
        Some(_) => distinct.iter().map(|row| TextKey::of(row)).collect(),
        None => Vec::new(),
    };
    let layer_keys: Vec<LayerKey> = match cached {
        Some(Cached { fingerprint, .. }) => {
            let dtype = format!("{:?}", decoder.dtype());
            let key = |&layer| LayerKey::of(fingerprint, config.source, config.pool, &dtype, layer);
            layers.iter().map(key).collect()
        }
        None => Vec::new(),
    };
    let mut is_missing = vec![true; distinct.len()];
    if let Some(Cached { cache, .. }) = cached {
        let mut layers_found = vec![0; distinct.len()];
        for (at, layer_key) in layer_keys.iter().enumerate() {
            let file = cache.read(layer_key, width)?;
            report.damaged += usize::from(file.damaged);
            for (number, key) in keys.iter().enumerate() {
                if let Some(states) = file.states.get(key) {
                    let mut place = found.index_axis_mut(Axis(0), number);
                    let place = place.row_mut(at);
                    place.into_iter().zip(states).for_each(|(place, state)| *place = *state);
                    layers_found[number] += 1;
                }
            }
        }
        for (is_missing, layers_found) in is_missing.iter_mut().zip(layers_found) {
            *is_missing = layers_found < layers.len();
        }
    }

    let missing: Vec<usize> = (0..distinct.len()).filter(|&number| is_missing[number]).collect();
    report.computed = missing.len();
    report.from_cache = distinct.len() - missing.len();
    let pooling = match config.pool {
        Pool::Last => Pooling::Last,
        Pool::Mean => Pooling::Mean,
    };
    let lengths: Vec<usize> = missing.iter().map(|&number| distinct[number].len()).collect();
    report.computed_tokens = lengths.iter().sum();
    for batch in rows_together(&lengths, config.batch_tokens) {
        if cancelled.load(Ordering::Relaxed) {
            return Err(EvalError::Cancelled);
        }
        let batch: Vec<usize> = batch.into_iter().map(|at| missing[at]).collect();
        let rows: Vec<&[u32]> = batch.iter().map(|&number| distinct[number]).collect();
        let states = decoder.pooled(&Batch::padded(&rows)?, &layers, config.source, &pooling)?;
        let states = states.into_data().try_into_vec::<f32>().map_err(EvalError::device)?;
        for (&number, states) in batch.iter().zip(states.chunks_exact(layers.len() * width)) {
            let place = found.index_axis_mut(Axis(0), number);
            place.into_iter().zip(states).for_each(|(place, state)| *place = *state);
        }
    }
    if let Some(Cached { cache, .. }) = cached
        && !missing.is_empty()
    {
        for (at, layer_key) in layer_keys.iter().enumerate() {
            let new: BTreeMap<TextKey, Vec<f32>> = missing
                .iter()
                .map(|&number| (keys[number], found.index_axis(Axis(0), number).row(at).to_vec()))
                .collect();
            cache.add(layer_key, width, new)?;
        }
    }
    let mut states = Array3::zeros((rows.len(), layers.len(), width));
    for (row, &number) in numbers.iter().enumerate() {
        states.index_axis_mut(Axis(0), row).assign(&found.index_axis(Axis(0), number));
    }
    Ok(HiddenStates { states, layers, report })
}
