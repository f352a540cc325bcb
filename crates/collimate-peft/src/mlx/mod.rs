//! The layout of mlx-lm, as its `tuner/utils.py`, `tuner/lora.py` and `tuner/dora.py` read and write
//! it.

mod config;
mod error;
mod layers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use collimate_tensors::{Dtype, Tensor, TensorFile, write_safetensors};

use config::{LoraParameters, MlxConfig};
pub use error::MlxError;
use layers::Layers;

use crate::adapter::{Adapter, AdapterError, AdapterKey, AdapterPart, AdapterTensor, is_float};
use crate::config::LoraConfig;
use crate::error::{PeftError, Result};
use crate::modules::{Module, ModuleKind, ModuleTree, leaf};
use crate::targets::{Target, Targets};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapters.safetensors";

impl Adapter {
    /// Reads an adapter that mlx-lm trained: `adapter_config.json` and `adapters.safetensors`.
    ///
    /// There, A lies as `lora_a`, `[in, rank]`, B as `lora_b`, `[rank, out]`, DoRA's magnitude as
    /// `m`, and the update is multiplied by `scale`, not by `lora_alpha / rank`. Modules must have
    /// the names that they have in the tree: mlx-lm names those of most models as transformers does.
    /// Settings of the training are not kept.
    ///
    /// # Errors
    ///
    /// [`MlxError`]; files that can't be read; what [`Adapter::check`] refuses.
    ///
    /// # Examples
    ///
    /// ```
    /// use collimate_peft::{
    ///     Adapter, AdapterKey, AdapterPart, AdapterTensor, LoraConfig, ModuleTree,
    /// };
    ///
    /// let module = "model.layers.0.self_attn.q_proj";
    /// let tree = ModuleTree::from_tensors([(format!("{module}.weight"), [2, 3])])?;
    /// let a = AdapterTensor::from_f32(vec![1, 3], &[1.0, 2.0, 3.0]);
    /// let b = AdapterTensor::from_f32(vec![2, 1], &[0.5, -0.5]);
    /// let adapter = Adapter::new(
    ///     LoraConfig::new(1).with_alpha(20.0).with_target_modules(["q_proj"]),
    ///     [(AdapterPart::A, a), (AdapterPart::B, b)]
    ///         .map(|(part, tensor)| (AdapterKey::new(module, part), tensor)),
    /// )?;
    /// let folder = tempfile::tempdir()?;
    /// adapter.write_mlx(folder.path(), &tree)?;
    ///
    /// let read = Adapter::from_mlx(folder.path(), &tree)?;
    /// assert_eq!(read.config(), adapter.config());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_mlx(folder: impl AsRef<Path>, tree: &ModuleTree) -> Result<Self> {
        let folder = folder.as_ref();
        let path = folder.join(CONFIG);
        let (config, parameters) = known(MlxConfig::read(&path)?, &path)?;
        let file = TensorFile::open(folder.join(TENSORS)).map_err(MlxError::Read)?;
        let reader = Reader { file: &file, tree, rank: parameters.rank.into() };
        let mut tensors = BTreeMap::new();
        for tensor in file.tensors() {
            let (key, tensor) = reader.tensor(tensor)?;
            tensors.insert(key, tensor);
        }
        let modules: BTreeSet<&str> = tensors.keys().map(|key| key.module.as_str()).collect();
        let config = with_targets(config, &modules, tree);
        config.check().map_err(|source| PeftError::Config { path, source })?;
        reader.check_complete(&modules, config.use_dora)?;
        file.unchanged().map_err(MlxError::Read)?;
        let is_transposed =
            |name: &&str| tree.get(name).is_some_and(|module| module.kind == ModuleKind::Conv1D);
        let is_transposed = modules.iter().any(is_transposed);
        let adapter = Self::new(config.with_fan_in_fan_out(is_transposed), tensors)?;
        adapter.check(tree)?;
        Ok(adapter)
    }

    /// Writes `adapter_config.json` and `adapters.safetensors` as mlx-lm reads them into a folder
    /// that is there: equal adapters give equal bytes.
    ///
    /// mlx-lm adapts the same modules in each of the last layers; where the adapter lacks some of
    /// them there, mlx-lm's own have no effect.
    ///
    /// # Errors
    ///
    /// What [`Adapter::check`] refuses. [`MlxError::NoEquivalent`]: ranks or scales that differ from
    /// module to module, modules and biases that are saved whole, a bias of B, DoRA of an embedding,
    /// an embedding or a head with shared weights, one of several experts, transposed weights
    /// (GPT-2, whose modules mlx-lm names otherwise), an adapter that is no mere update. What the
    /// file system refuses.
    pub fn write_mlx(&self, folder: impl AsRef<Path>, tree: &ModuleTree) -> Result<()> {
        let folder = folder.as_ref();
        let Targets { modules, .. } = self.check(tree)?;
        // There is one: else nothing would match.
        let Some(first) = modules.first() else { return Err(PeftError::NoTargets) };
        self.check_equivalent(&modules, first, tree)?;
        let layers = Layers::of(modules.iter().map(|target| target.module.as_str()), tree)?;
        let mut tensors = Vec::with_capacity(self.keys().len());
        for key in self.keys() {
            let Some(tensor) = self.get(key)? else { continue };
            let part = match key.part {
                AdapterPart::A | AdapterPart::EmbeddingA => "lora_a",
                AdapterPart::B | AdapterPart::EmbeddingB => "lora_b",
                AdapterPart::Magnitude => "m",
                _ => return Err(no_equivalent(key, "mlx-lm has no whole tensors, nor biases")),
            };
            let (shape, bytes) = transposed(tensor.dtype(), tensor.shape(), tensor.bytes());
            tensors.push((format!("{}.{part}", key.module), tensor.dtype(), shape, bytes));
        }
        let own = self.config();
        let config = MlxConfig {
            fine_tune_type: Some(if own.use_dora { "dora" } else { "lora" }.to_owned()),
            lora_parameters: Some(LoraParameters {
                dropout: own.lora_dropout,
                keys: Some(layers.keys.into_iter().collect()),
                rank: first.rank,
                scale: first.scale,
            }),
            model: own.base_model_name_or_path.clone(),
            num_layers: i64::try_from(layers.count).unwrap_or(i64::MAX),
        };
        let metadata = [("format".to_owned(), "mlx".to_owned())].into();
        write_safetensors(folder.join(TENSORS), &metadata, tensors).map_err(MlxError::Write)?;
        config.write(folder, CONFIG)
    }

    fn check_equivalent(
        &self,
        targets: &[Target],
        first: &Target,
        tree: &ModuleTree,
    ) -> Result<()> {
        let config = self.config();
        if let Some(field) = config.merge_obstacles().first() {
            return Err(no_equivalent(field, "such an adapter is more than an update of weights"));
        }
        if config.changes_base_weights() {
            return Err(no_equivalent(
                "init_lora_weights",
                "the adapter belongs to weights that its initialization changed",
            ));
        }
        let tied: BTreeSet<&str> = tree.iter().filter_map(|(head, _)| tree.tied_to(head)).collect();
        if targets.iter().any(|target| target.rank != first.rank) {
            return Err(no_equivalent("rank_pattern", "mlx-lm has one rank for all modules"));
        }
        if targets.iter().any(|target| target.scale != first.scale) {
            return Err(no_equivalent("alpha_pattern", "mlx-lm has one scale for all modules"));
        }
        for target in targets {
            let name = target.module.as_str();
            if tied.contains(name) || tree.tied_to(name).is_some() {
                return Err(no_equivalent(
                    name,
                    "embedding and head share their weights, and mlx-lm adapts both or none",
                ));
            }
            if target.kind == ModuleKind::Conv1D {
                return Err(no_equivalent(name, "mlx-lm names the modules of GPT-2 otherwise"));
            }
            if target.kind == ModuleKind::Embedding && config.use_dora {
                return Err(no_equivalent(name, DORA_OF_EMBEDDING));
            }
        }
        Ok(())
    }
}

const DORA_OF_EMBEDDING: &str =
    "mlx-lm has a magnitude for each row of an embedding, PEFT for each column";

/// The configuration in PEFT's terms, but for its targets.
fn known(config: MlxConfig, path: &Path) -> Result<(LoraConfig, LoraParameters)> {
    let path = || path.to_owned();
    let use_dora = match config.fine_tune_type.as_deref() {
        None | Some("lora") => false,
        Some("dora") => true,
        Some(found) => {
            return Err(MlxError::Kind { path: path(), found: found.to_owned() }.into());
        }
    };
    let parameters =
        config.lora_parameters.ok_or_else(|| MlxError::NoParameters { path: path() })?;
    let mut known = LoraConfig::new(parameters.rank)
        .with_alpha(parameters.scale * f64::from(parameters.rank))
        .with_dropout(parameters.dropout)
        .with_dora(use_dora);
    known.base_model_name_or_path = config.model;
    Ok((known, parameters))
}

/// The shortest way to name exactly these modules: by the ends of their names, in all layers or
/// some, or else in full.
fn with_targets(config: LoraConfig, modules: &BTreeSet<&str>, tree: &ModuleTree) -> LoraConfig {
    let leaves: BTreeSet<&str> = modules.iter().map(|name| leaf(name)).collect();
    let short = config.clone().with_target_modules(leaves);
    let layers: BTreeSet<u64> =
        modules.iter().filter_map(|name| layers::split(name)).map(|(_, index, _)| index).collect();
    let in_layers = short.clone().with_layers(layers);
    let is_exact = |config: &LoraConfig| {
        config.match_modules(tree).is_ok_and(|targets| {
            targets.modules.iter().map(|target| target.module.as_str()).eq(modules.iter().copied())
        })
    };
    [short, in_layers]
        .into_iter()
        .find(is_exact)
        .unwrap_or_else(|| config.with_target_modules(modules.iter().copied()))
}

/// Reads the tensors of a file, one by one.
struct Reader<'r> {
    file: &'r TensorFile,
    tree: &'r ModuleTree,
    rank: u64,
}

impl<'r> Reader<'r> {
    fn tensor(&self, tensor: Tensor<'r>) -> Result<(AdapterKey, AdapterTensor<'static>)> {
        let (path, name) = (|| self.file.path().to_owned(), || tensor.name().to_owned());
        let Some((module, part)) = tensor.name().rsplit_once('.') else {
            return Err(MlxError::Name { path: path(), tensor: name() }.into());
        };
        let found = self.tree.get(module);
        let sizes =
            |found: &Module| Some((found.kind, found.in_features()?, found.out_features()?));
        let Some((kind, inputs, outputs)) = found.and_then(sizes) else {
            return Err(MlxError::NoModule { path: path(), tensor: name() }.into());
        };
        let is_embedding = kind == ModuleKind::Embedding;
        let (part, expected) = match part {
            "lora_a" if is_embedding => (AdapterPart::EmbeddingA, vec![inputs, self.rank]),
            "lora_b" if is_embedding => (AdapterPart::EmbeddingB, vec![self.rank, outputs]),
            "lora_a" => (AdapterPart::A, vec![inputs, self.rank]),
            "lora_b" => (AdapterPart::B, vec![self.rank, outputs]),
            "m" if is_embedding => return Err(no_equivalent(tensor.name(), DORA_OF_EMBEDDING)),
            "m" => (AdapterPart::Magnitude, vec![outputs]),
            _ => return Err(MlxError::Name { path: path(), tensor: name() }.into()),
        };
        let is_shared = |(head, _)| self.tree.tied_to(head) == Some(module);
        if is_embedding && self.tree.iter().any(is_shared) {
            return Err(no_equivalent(
                module,
                "embedding and head share their weights: mlx-lm adapts both with it, PEFT one",
            ));
        }
        if tensor.shape() != expected {
            let found = tensor.shape().to_vec();
            return Err(MlxError::Shape { path: path(), tensor: name(), expected, found }.into());
        }
        let dtype = tensor.dtype();
        if !is_float(dtype) {
            return Err(AdapterError::Dtype { path: path(), tensor: name(), dtype }.into());
        }
        let bytes = tensor.bytes().map_err(MlxError::Read)?;
        let (shape, bytes) = transposed(dtype, tensor.shape(), &bytes);
        Ok((AdapterKey::new(module, part), AdapterTensor::new(dtype, shape, bytes)))
    }

    fn check_complete(&self, modules: &BTreeSet<&str>, use_dora: bool) -> Result<()> {
        let parts: &[&str] =
            if use_dora { &["lora_a", "lora_b", "m"] } else { &["lora_a", "lora_b"] };
        for module in modules {
            for part in parts {
                let tensor = format!("{module}.{part}");
                if self.file.get(&tensor).is_none() {
                    let path = self.file.path().to_owned();
                    return Err(MlxError::Missing { path, tensor }.into());
                }
            }
        }
        Ok(())
    }
}

/// Shape and bytes of a matrix with rows and columns exchanged; of anything else as they are.
fn transposed(dtype: Dtype, shape: &[u64], bytes: &[u8]) -> (Vec<u64>, Vec<u8>) {
    let &[rows, columns] = shape else { return (shape.to_vec(), bytes.to_vec()) };
    let size = (dtype.bits() / 8) as usize;
    // The bytes are there: the numbers fit.
    let (row_count, column_count) = (rows as usize, columns as usize);
    let mut exchanged = Vec::with_capacity(bytes.len());
    for column in 0..column_count {
        for row in 0..row_count {
            let at = (row * column_count + column) * size;
            exchanged.extend_from_slice(bytes.get(at..at + size).unwrap_or_default());
        }
    }
    (vec![columns, rows], exchanged)
}

fn no_equivalent(what: impl ToString, reason: &'static str) -> PeftError {
    MlxError::NoEquivalent { what: what.to_string(), reason }.into()
}
