mod blocks;
mod error;
mod output;
mod plan;
mod product;
mod update;

use collimate_tensors::{Checkpoint, Dtype};
use serde::{Deserialize, Serialize};

pub use blocks::MergeReport;
pub use error::MergeError;
pub use output::TensorChange;
pub use plan::{MergePlan, MergedAdapter};

use crate::adapter::Adapter;
use crate::error::Result;
use crate::modules::ModuleTree;

/// What is to be merged: a base model, adapters with their weights, and the type of the result.
///
/// An update is `W + weight · scale · B·A`, computed in `f32` and rounded once. Several adapters are
/// merged in their order, as PEFT does it: `W + Σ weightᵢ · scaleᵢ · Bᵢ·Aᵢ`; a DoRA adapter
/// multiplies what the ones before it made, by its magnitude over the norm of the base model's
/// weights with its update alone.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use collimate_peft::{
///     Adapter, AdapterKey, AdapterPart, AdapterTensor, LoraConfig, Merge, ModuleTree,
/// };
/// use collimate_tensors::{Checkpoint, Dtype, SafetensorsWriter, TensorFile, write_safetensors};
///
/// # let folder = tempfile::tempdir()?;
/// # let weights = [1_f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat();
/// # let tensor = ("layers.0.q_proj.weight", Dtype::F32, [2, 2], weights);
/// # write_safetensors(folder.path().join("model.safetensors"), &Default::default(), [tensor])?;
/// let base = Checkpoint::open(folder.path())?;
/// let tree = ModuleTree::from_tensors(base.tensors().map(|t| (t.name(), t.shape())))?;
/// let adapter = Adapter::new(
///     LoraConfig::new(1).with_alpha(2.0).with_target_modules(["q_proj"]),
///     [
///         (AdapterPart::A, AdapterTensor::from_f32(vec![1, 2], &[1.0, -1.0])),
///         (AdapterPart::B, AdapterTensor::from_f32(vec![2, 1], &[10.0, 0.0])),
///     ]
///     .map(|(part, tensor)| (AdapterKey::new("layers.0.q_proj", part), tensor)),
/// )?;
///
/// let plan = Merge::new(&base, tree).with_adapter(&adapter, 0.5).plan()?;
/// let path = folder.path().join("merged.safetensors");
/// let writer = SafetensorsWriter::create(&path, plan.layout())?;
/// let report = plan.run(
///     &|name, offset, bytes| writer.write(name, offset, bytes),
///     &|_bytes| (),
///     &AtomicBool::new(false),
/// )?;
/// writer.finish()?;
/// assert_eq!(report.adapted, 1);
/// let merged = TensorFile::open(path)?;
/// assert_eq!(merged.tensors().next().unwrap().to_f32()?, [11.0, -8.0, 3.0, 4.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Merge<'a> {
    base: &'a Checkpoint,
    tree: ModuleTree,
    adapters: Vec<(&'a Adapter, f64)>,
    dtype: MergeDtype,
}

/// The type of the merged weights.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MergeDtype {
    /// Each tensor keeps the type that it has in the base model.
    #[default]
    Keep,
    /// Single precision.
    F32,
    /// Brain float.
    Bf16,
    /// Half precision. A number beyond its range is an error.
    F16,
}

impl<'a> Merge<'a> {
    /// A base model and its modules, named as in the model. The names of its tensors may lack the
    /// first component (`h.0.…` for `transformer.h.0.…`); they stay as they are.
    ///
    /// A head that shares the embedding's weights must be in the tree
    /// ([`ModuleTree::with_tied_head`]) to be untied where it has to be.
    pub fn new(base: &'a Checkpoint, tree: ModuleTree) -> Self {
        Self { base, tree, adapters: Vec::new(), dtype: MergeDtype::Keep }
    }

    /// Adds an adapter; its scale is multiplied by `weight`.
    #[must_use]
    pub fn with_adapter(mut self, adapter: &'a Adapter, weight: f64) -> Self {
        self.adapters.push((adapter, weight));
        self
    }

    /// Sets the type of the result. Integers and quantized tensors keep theirs.
    #[must_use]
    pub fn with_dtype(mut self, dtype: MergeDtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// Checks everything that can be known before any weight is read.
    ///
    /// # Errors
    ///
    /// What [`Adapter::check`] refuses; [`MergeError`]: an adapter that can't be merged, one that the
    /// base model doesn't fit, adapters that contradict each other, a quantized base model.
    pub fn plan(&self) -> Result<MergePlan<'a>> {
        plan::plan(self)
    }
}

impl MergeDtype {
    /// What becomes of a tensor of this type.
    fn of(self, dtype: Dtype) -> Dtype {
        match self {
            _ if !crate::adapter::is_float(dtype) => dtype,
            Self::Keep => dtype,
            Self::F32 => Dtype::F32,
            Self::Bf16 => Dtype::BF16,
            Self::F16 => Dtype::F16,
        }
    }
}
