use std::collections::BTreeMap;

use collimate_tensors::{Checkpoint, Dtype, Layout, Tensor};
use serde::Serialize;

use super::output::{Output, Source, TensorChange};
use super::update::{Form, Update};
use super::{Merge, MergeDtype, MergeError};
use crate::adapter::{Adapter, AdapterKey, AdapterPart, AdapterTensor, is_float, saved_over};
use crate::config::InitLoraWeights;
use crate::coverage::Coverage;
use crate::error::Result;
use crate::modules::{ModuleKind, ModuleTree, is_buffer};
use crate::names::ModelNames;
use crate::targets::{Target, Targets, Unmatched};

/// A merge that was checked: what it writes, and how.
#[derive(Debug)]
pub struct MergePlan<'a> {
    pub(super) base: &'a Checkpoint,
    pub(super) adapters: Vec<&'a Adapter>,
    pub(super) outputs: Vec<Output<'a>>,
    pub(super) merged: Vec<MergedAdapter>,
    layout: Layout,
    untied: bool,
}

/// What one adapter of a merge changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MergedAdapter {
    /// Its weight.
    pub weight: f64,
    /// How much of the model it adapts.
    pub coverage: Coverage,
    /// Entries of its configuration that match nothing.
    pub unmatched: Vec<Unmatched>,
}

impl MergePlan<'_> {
    /// The tensors of the result, in the order of the base model's files, with the metadata that
    /// transformers wants. An untied head stands last.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether the head shared the embedding's weights and doesn't any more: `tie_word_embeddings`
    /// of the model's configuration must become false, else the head is overwritten when the model
    /// is loaded.
    ///
    /// Files may hold the shared weights twice, as PyTorch checkpoints do: a head that has the
    /// embedding's weights in them, byte for byte, shares them.
    pub fn untied(&self) -> bool {
        self.untied
    }

    /// What is done to a tensor of the result, by its name there.
    pub fn change(&self, tensor: &str) -> Option<TensorChange> {
        self.outputs.iter().find(|output| output.name == tensor).map(Output::change)
    }
}

pub(super) fn plan<'a>(merge: &Merge<'a>) -> Result<MergePlan<'a>> {
    let order = in_the_model(merge.base, &merge.tree);
    let mut planner = Planner {
        tree: &merge.tree,
        base: order.iter().cloned().collect(),
        order,
        heads: Vec::new(),
        whole: BTreeMap::new(),
        updates: BTreeMap::new(),
        merged: Vec::new(),
    };
    for &(adapter, weight) in &merge.adapters {
        planner.add(adapter, weight)?;
    }
    let untied = planner.untie()?;
    let outputs = planner.outputs(merge.dtype)?;
    let mut layout = Layout::new().with_metadata("format", "pt");
    for output in &outputs {
        let shape = output.shape.clone();
        layout.push(&output.name, output.dtype, shape).map_err(MergeError::Write)?;
    }
    let adapters = merge.adapters.iter().map(|&(adapter, _)| adapter).collect();
    Ok(MergePlan { base: merge.base, adapters, outputs, merged: planner.merged, layout, untied })
}

/// The tensors of a checkpoint in the order of its files, with their names in the model.
fn in_the_model<'a>(base: &'a Checkpoint, tree: &ModuleTree) -> Vec<(String, Tensor<'a>)> {
    let names = ModelNames::of(tree);
    // One that is there under its longer name as well keeps its own.
    let is_free = |name: &str| base.get(name).is_none();
    base.tensors().map(|tensor| (names.name(tensor.name(), is_free), tensor)).collect()
}

struct Planner<'m, 'a> {
    tree: &'m ModuleTree,
    order: Vec<(String, Tensor<'a>)>,
    base: BTreeMap<String, Tensor<'a>>,
    /// Heads that get weights of their own, and the embedding's.
    heads: Vec<(String, Tensor<'a>)>,
    /// Tensors that adapters bring, and what is added to tensors, by name in the model.
    whole: BTreeMap<String, Whole<'a>>,
    updates: BTreeMap<String, Vec<Update<'a>>>,
    merged: Vec<MergedAdapter>,
}

#[derive(Clone)]
struct Whole<'a> {
    tensor: AdapterTensor<'a>,
    /// Whether other adapters may be added to it: it is what they were trained on.
    is_base: bool,
}

impl<'a> Planner<'_, 'a> {
    fn add(&mut self, adapter: &'a Adapter, weight: f64) -> Result<()> {
        if !weight.is_finite() {
            return Err(MergeError::Weight { weight }.into());
        }
        let config = adapter.config();
        let fields = config.merge_obstacles();
        if !fields.is_empty() {
            return Err(MergeError::Obstacles { fields }.into());
        }
        if config.changes_base_weights() {
            let init = match &config.init_lora_weights {
                InitLoraWeights::Named(name) => name.clone(),
                InitLoraWeights::Flag(flag) => flag.to_string(),
            };
            return Err(MergeError::ChangedBase { init }.into());
        }
        // A quantized weight also has another shape: say first what it is.
        for target in config.match_modules(self.tree)?.modules {
            self.check_base(&target)?;
        }
        let targets = adapter.check(self.tree)?;
        for target in &targets.modules {
            self.update(adapter, target, weight)?;
        }
        for key in adapter.keys() {
            self.replace(adapter, key, weight)?;
        }
        self.check_saved(adapter, &targets)?;
        let Targets { coverage, unmatched, .. } = targets;
        self.merged.push(MergedAdapter { weight, coverage, unmatched });
        Ok(())
    }

    /// The tensor of the base model with this name in the model; a tied head's is the embedding's.
    fn base(&self, name: &str) -> std::result::Result<Tensor<'a>, MergeError> {
        let tied = name.strip_suffix(".weight").and_then(|module| self.tree.tied_to(module));
        let found = match tied {
            Some(embedding) => self.base.get(&format!("{embedding}.weight")),
            None => self.base.get(name),
        };
        found.copied().ok_or_else(|| MergeError::NotInBase { tensor: name.to_owned() })
    }

    fn check_base(&self, target: &Target) -> Result<()> {
        let tensor = self.base(&format!("{}.weight", target.module))?;
        let name = || tensor.name().to_owned();
        if !is_float(tensor.dtype()) {
            return Err(MergeError::BaseDtype { tensor: name(), dtype: tensor.dtype() }.into());
        }
        let weight = self.tree.get(&target.module).and_then(|module| module.weight);
        let expected = weight.map(Vec::from).unwrap_or_default();
        if tensor.shape() != expected {
            let found = tensor.shape().to_vec();
            return Err(MergeError::BaseShape { tensor: name(), expected, found }.into());
        }
        Ok(())
    }

    /// Notes what an adapter adds to a module.
    fn update(&mut self, adapter: &'a Adapter, target: &Target, weight: f64) -> Result<()> {
        use crate::modules::ModuleKind::{Conv1D, Embedding};

        let key = |part| AdapterKey::new(&target.module, part);
        let need = |part| adapter.need(&key(part));
        let (a, b) = match target.kind {
            Embedding => (need(AdapterPart::EmbeddingA)?, need(AdapterPart::EmbeddingB)?),
            _ => (need(AdapterPart::A)?, need(AdapterPart::B)?),
        };
        let rank = target.rank as usize;
        let form = match target.kind {
            Embedding | Conv1D => Form::Transposed { a, b, rank },
            _ => Form::Linear { a, b, rank },
        };
        let scale = (weight * target.scale) as f32;
        let magnitude = adapter.get(&key(AdapterPart::Magnitude))?;
        let name = format!("{}.weight", target.module);
        self.updates.entry(name).or_default().push(Update { form, scale, magnitude });
        if let Some(bias) = adapter.get(&key(AdapterPart::BiasOfB))? {
            let name = format!("{}.bias", target.module);
            self.base(&name)?;
            let update = Update { form: Form::Bias { bias }, scale, magnitude: None };
            self.updates.entry(name).or_default().push(update);
        }
        Ok(())
    }

    /// Notes a tensor that an adapter brings whole.
    fn replace(&mut self, adapter: &'a Adapter, key: &AdapterKey, weight: f64) -> Result<()> {
        let (parameter, is_base) = match &key.part {
            AdapterPart::Whole(parameter) => (parameter, false),
            AdapterPart::Base(parameter) => (parameter, true),
            _ => return Ok(()),
        };
        let name = format!("{}.{parameter}", key.module);
        let base = self.base(&name)?;
        adapter.check_shape(key, base.shape().to_vec())?;
        // What an adapted embedding was before is no change.
        if weight != 1.0 && !(is_base && parameter == "weight") {
            return Err(MergeError::WeightedWhole { weight, tensor: key.to_string() }.into());
        }
        let tensor = adapter.need(key)?;
        if is_base && tensor.dtype() == base.dtype() {
            let bytes = base.bytes().map_err(MergeError::Read)?;
            if *bytes == *tensor.bytes() {
                return Ok(());
            }
        }
        let whole = Whole { tensor, is_base };
        match self.whole.get(&name) {
            Some(other) if other.tensor != whole.tensor || other.is_base != is_base => {
                Err(MergeError::Conflict { tensor: name }.into())
            }
            _ => {
                self.whole.insert(name, whole);
                Ok(())
            }
        }
    }

    /// Checks that a module that is saved whole is there with all its parameters.
    fn check_saved(&self, adapter: &Adapter, targets: &Targets) -> Result<()> {
        for (name, tensor) in &self.base {
            let Some((module, parameter)) = name.rsplit_once('.') else { continue };
            if is_buffer(parameter, tensor.shape()) || saved_over(targets, module).is_none() {
                continue;
            }
            let key = AdapterKey::new(module, AdapterPart::Whole(parameter.to_owned()));
            adapter.need(&key)?;
        }
        Ok(())
    }

    /// Gives heads that share the embedding's weights their own where one of the two changes without
    /// the other, and says whether there are such.
    fn untie(&mut self) -> Result<bool> {
        let mut untied = false;
        for (head, embedding) in self.shared()? {
            // What one of them was trained on, the other was trained on as well.
            for (from, to) in [(&head, &embedding), (&embedding, &head)] {
                if let Some(whole) = self.whole.get(from).filter(|whole| whole.is_base).cloned() {
                    let other = self.whole.entry(to.clone()).or_insert_with(|| whole.clone());
                    if other.is_base && other.tensor != whole.tensor {
                        return Err(MergeError::Conflict { tensor: to.clone() }.into());
                    }
                }
            }
            let values = |name| self.whole.get(name).map(|whole| &whole.tensor);
            let is_adapted =
                [&head, &embedding].iter().any(|name| self.updates.contains_key(*name));
            let is_shared = !is_adapted && values(&head) == values(&embedding);
            untied |= !is_shared;
            match (self.base.contains_key(&head), is_shared) {
                (true, _) => {}
                (false, true) => {
                    self.whole.remove(&head);
                }
                (false, false) => self.heads.push((head, self.base(&embedding)?)),
            }
        }
        Ok(untied)
    }

    /// The weights of heads, each with those of the embedding that it shares them with: where the
    /// tree ties them, and where one of them changes of which the files hold the same.
    fn shared(&self) -> Result<Vec<(String, String)>> {
        let weight = |module: &str| format!("{module}.weight");
        let tied = self.tree.iter().filter_map(|(head, _)| Some((head, self.tree.tied_to(head)?)));
        let mut shared: Vec<_> =
            tied.map(|(head, embedding)| (weight(head), weight(embedding))).collect();
        let in_files = |name: String| Some((self.base.get(&name)?, name));
        let Some((in_head, head)) = self.tree.head().map(weight).and_then(in_files) else {
            return Ok(shared);
        };
        let changes =
            |name: &String| self.updates.contains_key(name) || self.whole.contains_key(name);
        let embeddings = self.tree.iter().filter(|(_, one)| one.kind == ModuleKind::Embedding);
        for (in_embedding, embedding) in embeddings.filter_map(|(name, _)| in_files(weight(name))) {
            if (changes(&head) || changes(&embedding)) && are_equal(in_head, in_embedding)? {
                shared.push((head.clone(), embedding));
            }
        }
        Ok(shared)
    }

    /// The tensors of the result.
    fn outputs(&mut self, dtype: MergeDtype) -> Result<Vec<Output<'a>>> {
        let in_files = std::mem::take(&mut self.order);
        let mut outputs = Vec::with_capacity(in_files.len() + self.heads.len());
        for (name, tensor) in in_files {
            outputs.push(self.output(&name, tensor.name(), tensor, dtype)?);
        }
        for (name, tensor) in std::mem::take(&mut self.heads) {
            outputs.push(self.output(&name, &name, tensor, dtype)?);
        }
        // Nothing that an adapter brings is left out.
        match self.updates.keys().chain(self.whole.keys()).next() {
            Some(name) => Err(MergeError::NotInBase { tensor: name.clone() }.into()),
            None => Ok(outputs),
        }
    }

    /// A tensor, by its name in the model and the one in the file.
    fn output(
        &mut self,
        name: &str,
        file: &str,
        base: Tensor<'a>,
        dtype: MergeDtype,
    ) -> Result<Output<'a>> {
        let dtype = dtype.of(base.dtype());
        let tensor = || file.to_owned();
        let updates = self.updates.remove(name).unwrap_or_default();
        let source = match self.whole.remove(name) {
            None => Source::Base(base),
            Some(whole) if updates.is_empty() || whole.is_base => Source::Adapter(whole.tensor),
            Some(_) => return Err(MergeError::Conflict { tensor: tensor() }.into()),
        };
        let shape = source.shape().to_vec();
        let output = Output { name: tensor(), dtype, shape, source, updates };
        if !output.is_copy() && !matches!(dtype, Dtype::F32 | Dtype::BF16 | Dtype::F16) {
            return Err(MergeError::BaseDtype { tensor: tensor(), dtype }.into());
        }
        Ok(output)
    }
}

fn are_equal(a: &Tensor<'_>, b: &Tensor<'_>) -> std::result::Result<bool, MergeError> {
    if a.dtype() != b.dtype() || a.shape() != b.shape() {
        return Ok(false);
    }
    Ok(a.bytes().map_err(MergeError::Read)? == b.bytes().map_err(MergeError::Read)?)
}
