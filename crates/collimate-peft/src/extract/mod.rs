mod error;
mod low_rank;
mod pairs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

use collimate_tensors::Checkpoint;
use serde::Serialize;

pub use error::ExtractError;
use low_rank::{Failure, LowRank, Matrix};
use pairs::{Pair, pairs};

use crate::adapter::{Adapter, AdapterKey, AdapterPart, AdapterTensor, saved_over};
use crate::config::{Bias, LoraConfig};
use crate::coverage::Coverage;
use crate::error::Result;
use crate::modules::{ModuleKind, ModuleTree};
use crate::targets::{Target, Targets, Unmatched};

/// Two models of which the difference is to become an adapter.
///
/// Of every target, `scale · B·A` is the truncated singular value decomposition of
/// `ΔW = tuned − base`, which no matrix of that rank is nearer to (Eckart and Young,
/// <https://doi.org/10.1007/BF02288367>). A and B get the root of each singular value. The scale
/// that the configuration gives is divided out, whatever it is; it is 1 where `lora_alpha` is the
/// rank. A target that doesn't differ gets zeros. What is in `modules_to_save`, and biases where
/// `bias` is set, are taken from the tuned model as they are.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use collimate_peft::{Extract, LoraConfig, ModuleTree};
/// use collimate_tensors::{Checkpoint, Dtype, write_safetensors};
///
/// # let folder = tempfile::tempdir()?;
/// # for (name, weights) in [("base", [1_f32, 2.0, 3.0, 4.0]), ("tuned", [1.0, 3.0, 5.0, 4.0])] {
/// #     std::fs::create_dir(folder.path().join(name))?;
/// #     let path = folder.path().join(name).join("model.safetensors");
/// #     let bytes = weights.map(f32::to_le_bytes).concat();
/// #     let tensor = ("layers.0.q_proj.weight", Dtype::F32, [2, 2], bytes);
/// #     write_safetensors(path, &Default::default(), [tensor])?;
/// # }
/// let base = Checkpoint::open(folder.path().join("base"))?;
/// let tuned = Checkpoint::open(folder.path().join("tuned"))?;
/// let tree = ModuleTree::from_tensors(base.tensors().map(|t| (t.name(), t.shape())))?;
///
/// // The difference is [[0, 1], [2, 0]]: its singular values are 2 and 1.
/// let config = LoraConfig::new(1).with_alpha(1.0).with_target_modules(["q_proj"]);
/// let extract = Extract::new(&base, &tuned, tree, config);
/// let (adapter, report) = extract.run(&mut |_module| (), &AtomicBool::new(false))?;
/// assert_eq!(adapter.keys().len(), 2);
/// assert!((report.total.error - 1.0).abs() < 1e-6);
/// assert!((report.total.retained_energy - 4.0 / 5.0).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Extract<'a> {
    base: &'a Checkpoint,
    tuned: &'a Checkpoint,
    tree: ModuleTree,
    config: LoraConfig,
    is_loss_allowed: bool,
}

/// How well an adapter gives a difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reconstruction {
    /// `‖ΔW‖`, the Frobenius norm of the difference.
    pub delta_norm: f64,
    /// `‖ΔW − scale · B·A‖` with A and B as they are stored.
    pub error: f64,
    /// The error divided by the norm; 0 where there is no difference.
    pub relative_error: f64,
    /// The share of `‖ΔW‖²` that the adapter has: 1 − the square of the relative error.
    pub retained_energy: f64,
}

/// What was extracted of one module.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExtractedModule {
    /// Its whole name.
    pub module: String,
    /// Rank of the update.
    pub rank: u32,
    /// How well the update gives the difference.
    #[serde(flatten)]
    pub reconstruction: Reconstruction,
}

/// What an extraction did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExtractReport {
    /// The targets, sorted by name.
    pub modules: Vec<ExtractedModule>,
    /// All of them together, as if they were one matrix.
    pub total: Reconstruction,
    /// Tensors that were taken from the tuned model whole, by their names in the model, sorted.
    pub whole: Vec<String>,
    /// Tensors that differ and that the adapter doesn't change, sorted.
    pub changed_elsewhere: Vec<String>,
    /// How much of the model the adapter changes.
    pub coverage: Coverage,
    /// Entries of the configuration that match nothing.
    pub unmatched: Vec<Unmatched>,
}

impl<'a> Extract<'a> {
    /// Two models with the same tensors, their modules, and the adapter's configuration: rank,
    /// targets, `rank_pattern`, `modules_to_save` and so on.
    ///
    /// Names of tensors may lack the first component of the names in the tree (`h.0.…` for
    /// `transformer.h.0.…`). A head that shares the embedding's weights in one of the models must be
    /// tied in the tree ([`ModuleTree::with_tied_head`]).
    pub fn new(
        base: &'a Checkpoint,
        tuned: &'a Checkpoint,
        tree: ModuleTree,
        config: LoraConfig,
    ) -> Self {
        Self { base, tuned, tree, config, is_loss_allowed: false }
    }

    /// Sets whether differences that the adapter doesn't cover may be lost; they are in
    /// [`ExtractReport::changed_elsewhere`]. Default: no, they are an error.
    #[must_use]
    pub fn with_loss_allowed(mut self, allowed: bool) -> Self {
        self.is_loss_allowed = allowed;
        self
    }

    /// Extracts the adapter: one tensor of both models at a time, on the threads of the current
    /// rayon pool. It is the same for any number of them.
    ///
    /// `progress` is called after every module. Whether files were changed meanwhile is checked at
    /// the end.
    ///
    /// # Errors
    ///
    /// What [`LoraConfig::match_modules`] refuses; [`ExtractError`].
    pub fn run(
        &self,
        progress: &mut dyn FnMut(&ExtractedModule),
        cancelled: &AtomicBool,
    ) -> Result<(Adapter, ExtractReport)> {
        self.check_settings()?;
        let targets = self.config.match_modules(&self.tree)?;
        let pairs = pairs(self.base, self.tuned, &self.tree)?;
        let adapted = targets.modules.iter().map(|target| format!("{}.weight", target.module));
        let adapted: BTreeSet<String> = adapted.collect();
        let (mut whole, mut changed_elsewhere) = (Vec::new(), Vec::new());
        let mut tensors = Vec::new();
        // Cheap, and what can be wrong with the settings: first.
        for (name, pair) in &pairs {
            if adapted.contains(name) {
                continue;
            }
            if let Some(key) = self.key_of_whole(name, &targets) {
                tensors.push((key, taken(name, pair)?));
                whole.push(name.clone());
            } else if pair.differs(name)? {
                changed_elsewhere.push(name.clone());
            }
        }
        if let (false, Some(first)) = (self.is_loss_allowed, changed_elsewhere.first()) {
            let (tensor, count) = (first.clone(), changed_elsewhere.len());
            return Err(ExtractError::ChangedElsewhere { tensor, count }.into());
        }
        let mut modules = Vec::with_capacity(targets.modules.len());
        for target in &targets.modules {
            let (factors, module) = update(target, &pairs, cancelled)?;
            tensors.extend(factors);
            progress(&module);
            modules.push(module);
        }
        self.base.unchanged().map_err(ExtractError::Read)?;
        self.tuned.unchanged().map_err(ExtractError::Read)?;
        let config = self.config.clone().with_fan_in_fan_out(targets.fan_in_fan_out());
        let adapter = Adapter::new(config, tensors)?;
        adapter.check(&self.tree)?;
        let total = Reconstruction::total(&modules);
        let Targets { coverage, unmatched, .. } = targets;
        Ok((
            adapter,
            ExtractReport { modules, total, whole, changed_elsewhere, coverage, unmatched },
        ))
    }

    fn check_settings(&self) -> std::result::Result<(), ExtractError> {
        let config = &self.config;
        let refused = [
            (config.use_dora, "use_dora", "the difference is extracted into A and B alone"),
            (config.lora_bias, "lora_bias", "biases are trained themselves: set `bias`"),
            (
                config.changes_base_weights(),
                "init_lora_weights",
                "the adapter belongs to the base model as it is",
            ),
        ];
        match refused.into_iter().find(|(is_set, ..)| *is_set) {
            Some((_, field, reason)) => Err(ExtractError::Setting { field, reason }),
            None => match config.merge_obstacles().first() {
                Some(field) => Err(ExtractError::Setting {
                    field,
                    reason: "such an adapter is more than a difference of weights",
                }),
                None => Ok(()),
            },
        }
    }

    /// The tensor's name in the adapter, if the adapter brings it whole.
    fn key_of_whole(&self, name: &str, targets: &Targets) -> Option<AdapterKey> {
        let (module, parameter) = name.rsplit_once('.')?;
        let is_target =
            targets.modules.binary_search_by(|target| target.module.as_str().cmp(module)).is_ok();
        let is_bias = parameter == "bias"
            && match self.config.bias {
                Bias::None => false,
                Bias::LoraOnly => is_target,
                Bias::All => true,
            };
        if !is_bias && saved_over(targets, module).is_none() {
            return None;
        }
        let parameter = parameter.to_owned();
        let part =
            if is_target { AdapterPart::Base(parameter) } else { AdapterPart::Whole(parameter) };
        Some(AdapterKey::new(module, part))
    }
}

impl Reconstruction {
    fn new(delta_norm: f64, error: f64) -> Self {
        let relative_error = if delta_norm > 0.0 { error / delta_norm } else { 0.0 };
        let retained_energy = 1.0 - relative_error * relative_error;
        Self { delta_norm, error, relative_error, retained_energy }
    }

    fn total(modules: &[ExtractedModule]) -> Self {
        let norm = |of: fn(&Self) -> f64| {
            let squares = modules.iter().map(|module| of(&module.reconstruction).powi(2));
            squares.sum::<f64>().sqrt()
        };
        Self::new(norm(|one| one.delta_norm), norm(|one| one.error))
    }
}

type Factors = [(AdapterKey, AdapterTensor<'static>); 2];

/// A and B of a target.
fn update(
    target: &Target,
    pairs: &BTreeMap<String, Pair<'_>>,
    cancelled: &AtomicBool,
) -> Result<(Factors, ExtractedModule)> {
    let tensor = format!("{}.weight", target.module);
    let Some(pair) = pairs.get(&tensor) else {
        return Err(ExtractError::OnlyInOne { tensor, in_tuned: false }.into());
    };
    let numbers = pair.difference(&tensor)?;
    let Found { a, b, norm, error } = nearest(target, &numbers, cancelled)?;
    let (part_a, part_b) = match target.kind {
        ModuleKind::Embedding => (AdapterPart::EmbeddingA, AdapterPart::EmbeddingB),
        _ => (AdapterPart::A, AdapterPart::B),
    };
    let key = |part| AdapterKey::new(&target.module, part);
    let shape_a = vec![target.rank.into(), target.in_features];
    let shape_b = vec![target.out_features, target.rank.into()];
    let factors = [
        (key(part_a), AdapterTensor::from_f32(shape_a, &a)),
        (key(part_b), AdapterTensor::from_f32(shape_b, &b)),
    ];
    let reconstruction = Reconstruction::new(norm, error);
    let module =
        ExtractedModule { module: target.module.clone(), rank: target.rank, reconstruction };
    Ok((factors, module))
}

/// A and B of a target, and what they miss.
struct Found {
    a: Vec<f32>,
    b: Vec<f32>,
    /// The norm of the matrix.
    norm: f64,
    /// The norm of what is missing.
    error: f64,
}

/// The A and B whose product is nearest to a matrix that lies as the target's weight does.
fn nearest(target: &Target, numbers: &[f32], cancelled: &AtomicBool) -> Result<Found> {
    let tensor = format!("{}.weight", target.module);
    let is_transposed = matches!(target.kind, ModuleKind::Conv1D | ModuleKind::Embedding);
    // The numbers were counted: both fit.
    let (inputs, outputs) = (target.in_features as usize, target.out_features as usize);
    let (rows, columns) = if is_transposed { (inputs, outputs) } else { (outputs, inputs) };
    let matrix = Matrix { rows, columns, numbers };
    let norm = matrix.norm();
    if !norm.is_finite() {
        return Err(ExtractError::NotFinite { tensor }.into());
    }
    let rank = target.rank as usize;
    let found = if norm == 0.0 {
        LowRank::zero(rows, columns, rank)
    } else {
        matrix.low_rank(rank, target.scale, cancelled)
    };
    let LowRank { left, right, error } = found.map_err(|failure| match failure {
        Failure::NotConverged => ExtractError::NotConverged { tensor },
        Failure::TooLarge => ExtractError::TooLarge { tensor },
        Failure::Cancelled => ExtractError::Cancelled,
        Failure::Scale => ExtractError::Setting {
            field: "lora_alpha",
            reason: "the update is multiplied by a scale that is too near to zero",
        },
    })?;
    let (a, b) = match is_transposed {
        true => (transposed(&left, rank), transposed(&right, columns)),
        false => (right, left),
    };
    Ok(Found { a, b, norm, error })
}

impl Target {
    /// The A and B of which `scale · B·A` is nearest to the target's weight: its principal singular
    /// values and vectors, A and B with the root of each value. It is what PiSSA starts from
    /// (<https://arxiv.org/abs/2404.02948>). The weight is given as it lies in the model.
    ///
    /// # Errors
    ///
    /// [`ExtractError`]: the numbers are not as many as the weight has, or not finite; the scale is too
    /// near to zero; it was cancelled.
    pub fn principal(&self, weight: &[f32], cancelled: &AtomicBool) -> Result<[Vec<f32>; 2]> {
        if self.in_features.checked_mul(self.out_features) != Some(weight.len() as u64) {
            let tensor = format!("{}.weight", self.module);
            let expected = vec![self.out_features, self.in_features];
            let base = vec![weight.len() as u64];
            return Err(ExtractError::Shape { tensor, tuned: base.clone(), base, expected }.into());
        }
        nearest(self, weight, cancelled).map(|found| [found.a, found.b])
    }
}

/// Numbers that lie row by row, column by column.
fn transposed(numbers: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| numbers.iter().skip(column).step_by(columns)).copied().collect()
}

/// A tensor of the tuned model, as it is.
fn taken<'a>(name: &str, pair: &Pair<'a>) -> Result<AdapterTensor<'a>> {
    let dtype = pair.tuned.dtype();
    if !crate::adapter::is_float(dtype) {
        let tensor = name.to_owned();
        return Err(ExtractError::Dtype { tensor, dtype, in_tuned: true }.into());
    }
    let bytes = pair.tuned.bytes().map_err(ExtractError::Read)?;
    Ok(AdapterTensor::new(dtype, pair.tuned.shape(), bytes))
}
