use std::collections::{BTreeMap, BTreeSet};

use super::{Adapter, AdapterError, AdapterKey, AdapterPart, AdapterTensor};
use crate::config::{Bias, LoraConfig};
use crate::error::Result;
use crate::modules::{ModuleKind, ModuleTree};
use crate::targets::{Target, Targets};

impl Adapter {
    /// Checks the adapter against a model: every tensor that its configuration needs is there and
    /// has the shape that model and rank give it, and no other is. Returns what it changes.
    ///
    /// Embeddings and the head may be there whole, too: PEFT saves them where they are adapted, and
    /// where the vocabulary was resized.
    ///
    /// # Errors
    ///
    /// What [`LoraConfig::match_modules`] refuses; [`AdapterError::Missing`],
    /// [`AdapterError::Unexpected`], [`AdapterError::Shape`].
    pub fn check(&self, tree: &ModuleTree) -> Result<Targets> {
        let targets = self.config.match_modules(tree)?;
        let mut needed: BTreeMap<AdapterKey, Vec<u64>> = BTreeMap::new();
        for target in &targets.modules {
            let parts = parts(&self.config, target).into_iter();
            needed
                .extend(parts.map(|(part, shape)| (AdapterKey::new(&target.module, part), shape)));
        }
        let mut unexpected = Vec::new();
        let mut whole: BTreeSet<(&str, &str)> = BTreeSet::new();
        for key in self.keys() {
            let expected = match (needed.remove(key), &key.part) {
                (Some(shape), _) => Some(shape),
                (None, AdapterPart::Whole(parameter) | AdapterPart::Base(parameter)) => {
                    let provided = self.provides(tree, &targets, key, parameter);
                    if !provided || !whole.insert((&key.module, parameter)) {
                        unexpected.push(key);
                        continue;
                    }
                    shape_in(tree, &key.module, parameter)
                }
                (None, _) => {
                    unexpected.push(key);
                    continue;
                }
            };
            if let Some(expected) = expected {
                self.check_shape(key, expected)?;
            }
        }
        if let Some(&first) = unexpected.first() {
            let (path, tensor, count) = (self.path.clone(), first.to_string(), unexpected.len());
            return Err(AdapterError::Unexpected { path, tensor, count }.into());
        }
        let mut missing: Vec<_> = needed.into_keys().collect();
        missing.extend(self.missing_whole(tree, &targets, &whole));
        missing.sort_unstable();
        if let Some(first) = missing.first() {
            let (path, tensor, count) = (self.path.clone(), first.to_string(), missing.len());
            return Err(AdapterError::Missing { path, tensor, count }.into());
        }
        Ok(targets)
    }

    /// Whether a parameter of the model may be in the adapter as it is.
    fn provides(
        &self,
        tree: &ModuleTree,
        targets: &Targets,
        key: &AdapterKey,
        parameter: &str,
    ) -> bool {
        let Some(module) = tree.get(&key.module) else { return false };
        let is_target = is_target(targets, &key.module);
        let is_base = matches!(key.part, AdapterPart::Base(_));
        let is_saved = saved_over(targets, &key.module).is_some();
        let is_vocabulary =
            module.kind == ModuleKind::Embedding || tree.head() == Some(&key.module);
        match parameter {
            _ if is_saved && !is_base => true,
            "bias" if module.bias > 0 => match self.config.bias {
                Bias::None => false,
                Bias::LoraOnly => is_target,
                Bias::All => is_target || !is_base,
            },
            "weight" => is_vocabulary && is_base == is_target,
            _ => false,
        }
    }

    /// Modules that should be there whole and of which nothing is there, and biases.
    fn missing_whole(
        &self,
        tree: &ModuleTree,
        targets: &Targets,
        whole: &BTreeSet<(&str, &str)>,
    ) -> Vec<AdapterKey> {
        let mut missing = Vec::new();
        let there: BTreeSet<&str> =
            whole.iter().filter_map(|(module, _)| saved_over(targets, module)).collect();
        for saved in &targets.saved {
            if saved.parameters > 0 && !there.contains(saved.module.as_str()) {
                let part = AdapterPart::Whole("weight".to_owned());
                missing.push(AdapterKey::new(&saved.module, part));
            }
        }
        for (name, module) in tree.iter() {
            let is_target = is_target(targets, name);
            let is_trained = match self.config.bias {
                Bias::None => false,
                Bias::LoraOnly => is_target,
                Bias::All => true,
            };
            if is_trained && module.bias > 0 && !whole.contains(&(name, "bias")) {
                let bias = "bias".to_owned();
                let part =
                    if is_target { AdapterPart::Base(bias) } else { AdapterPart::Whole(bias) };
                missing.push(AdapterKey::new(name, part));
            }
        }
        missing
    }

    /// Checks the shape of a tensor.
    pub(crate) fn check_shape(&self, key: &AdapterKey, expected: Vec<u64>) -> Result<()> {
        let found = self.get(key)?.map(|tensor| tensor.shape.into_owned()).unwrap_or_default();
        if found == expected {
            return Ok(());
        }
        let (path, tensor) = (self.path.clone(), key.to_string());
        Err(AdapterError::Shape { path, tensor, expected, found }.into())
    }

    /// A tensor that must be there.
    pub(crate) fn need(&self, key: &AdapterKey) -> Result<AdapterTensor<'_>> {
        let missing = || {
            let (path, tensor) = (self.path.clone(), key.to_string());
            AdapterError::Missing { path, tensor, count: 1 }.into()
        };
        self.get(key)?.ok_or_else(missing)
    }
}

/// The module that is saved whole and is this one or holds it.
pub(crate) fn saved_over<'a>(targets: &'a Targets, name: &str) -> Option<&'a str> {
    let mut name = name;
    loop {
        let found = targets.saved.binary_search_by(|saved| saved.module.as_str().cmp(name));
        if let Some(saved) = found.ok().and_then(|at| targets.saved.get(at)) {
            return Some(&saved.module);
        }
        (name, _) = name.rsplit_once('.')?;
    }
}

fn is_target(targets: &Targets, name: &str) -> bool {
    targets.modules.binary_search_by(|target| target.module.as_str().cmp(name)).is_ok()
}

/// The tensors of an adapted module with their shapes.
fn parts(config: &LoraConfig, target: &Target) -> Vec<(AdapterPart, Vec<u64>)> {
    let (rank, rows, columns) = (target.rank.into(), target.out_features, target.in_features);
    let (a, b) = match target.kind {
        ModuleKind::Embedding => (AdapterPart::EmbeddingA, AdapterPart::EmbeddingB),
        _ => (AdapterPart::A, AdapterPart::B),
    };
    let mut parts = vec![(a, vec![rank, columns]), (b, vec![rows, rank])];
    if config.lora_bias {
        parts.push((AdapterPart::BiasOfB, vec![rows]));
    }
    if config.use_dora {
        parts.push((AdapterPart::Magnitude, vec![rows]));
    }
    parts
}

/// The shape of a parameter, where the tree knows it.
fn shape_in(tree: &ModuleTree, module: &str, parameter: &str) -> Option<Vec<u64>> {
    let module = tree.get(module)?;
    match parameter {
        "weight" => module.weight.map(Vec::from),
        "bias" if module.bias > 0 => Some(vec![module.bias]),
        _ => None,
    }
}
