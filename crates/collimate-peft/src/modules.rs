//! The modules of a model, as its weights show them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// Most bytes of a tensor's name.
const MAX_NAME: usize = 512;
/// Most components of a tensor's name.
const MAX_DEPTH: usize = 64;

/// What a module is to an adapter.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModuleKind {
    /// A linear map with weights `[out, in]`.
    Linear,
    /// A linear map with weights `[in, out]`, as in GPT-2.
    #[serde(rename = "conv1d")]
    Conv1D,
    /// An embedding with weights `[rows, dimension]`.
    Embedding,
    /// A norm, a convolution, a module of modules: nothing that has an adapter.
    Other,
}

impl fmt::Display for ModuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linear => "linear",
            Self::Conv1D => "linear with transposed weights",
            Self::Embedding => "an embedding",
            Self::Other => "neither linear nor an embedding",
        })
    }
}

/// A module of a model.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Module {
    /// What it is to an adapter.
    pub kind: ModuleKind,
    /// Shape of its `weight`, if it has one with two dimensions: `[rows, columns]`.
    pub weight: Option<[u64; 2]>,
    /// Number of its own parameters, without those of modules within it.
    pub parameters: u64,
    /// Number of parameters among them that are its `bias`.
    pub bias: u64,
    /// Whether its weights are another module's, and counted there.
    pub tied: bool,
}

impl Module {
    /// What goes in: features of a linear map, rows of an embedding.
    pub fn in_features(&self) -> Option<u64> {
        let [rows, columns] = self.weight?;
        match self.kind {
            ModuleKind::Linear => Some(columns),
            ModuleKind::Conv1D | ModuleKind::Embedding => Some(rows),
            ModuleKind::Other => None,
        }
    }

    /// What comes out: features of a linear map, dimension of an embedding.
    pub fn out_features(&self) -> Option<u64> {
        let [rows, columns] = self.weight?;
        match self.kind {
            ModuleKind::Linear => Some(rows),
            ModuleKind::Conv1D | ModuleKind::Embedding => Some(columns),
            ModuleKind::Other => None,
        }
    }
}

/// Why the modules of a model can't be told.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum TreeError {
    /// A name that no module of PyTorch has.
    #[error("the tensor {name:?} can't be a parameter: {reason}")]
    Name {
        /// The name, shortened.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two tensors have the same name.
    #[error("the tensor {name:?} is there twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// More elements than can be counted.
    #[error(
        "the tensor {name:?} has more elements than can be counted, by itself or with the others"
    )]
    TooLarge {
        /// The name.
        name: String,
    },
    /// A module that was named is not there.
    #[error("the model has no module {name:?}")]
    NoSuchModule {
        /// The name.
        name: String,
    },
    /// A module can't be of the kind that was stated.
    #[error("the module {name:?} has no weights with two dimensions: it can't be {kind}")]
    NoWeight {
        /// The name.
        name: String,
        /// The kind.
        kind: ModuleKind,
    },
    /// A tied head has the name of a module with weights of its own.
    #[error("the module {name:?} has weights of its own: it is not tied")]
    NotTied {
        /// The name.
        name: String,
    },
}

/// The modules of a model by name, with the modules that hold them.
///
/// # Examples
///
/// ```
/// use collimate_peft::{ModuleKind, ModuleTree};
///
/// let tree = ModuleTree::from_tensors([
///     ("model.embed_tokens.weight", [1000, 64].as_slice()),
///     ("model.layers.0.self_attn.q_proj.weight", &[64, 64]),
///     ("model.norm.weight", &[64]),
/// ])?
/// .with_tied_head("lm_head", "model.embed_tokens")?;
/// assert_eq!(tree.get("model.embed_tokens").unwrap().kind, ModuleKind::Embedding);
/// assert_eq!(tree.head(), Some("lm_head"));
/// assert_eq!(tree.parameters(), 64 * 1000 + 64 * 64 + 64);
/// # Ok::<(), collimate_peft::TreeError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ModuleTree {
    modules: BTreeMap<String, Module>,
    head: Option<String>,
    /// Embeddings by the heads that share their weights.
    tied: BTreeMap<String, String>,
    parameters: u64,
}

impl ModuleTree {
    /// The modules that have these tensors: names as in the model, `….q_proj.weight`, with shapes.
    ///
    /// A module whose `weight` has two dimensions is an embedding if it has an embedding's name
    /// (`embed_tokens`, `wte`, `word_embeddings`, …) and no bias, else linear: with transposed
    /// weights if the length of its bias says so, or if it is square and other modules are so.
    /// Routers of mixtures of experts look linear, too, though PEFT doesn't adapt them: state such
    /// kinds with [`ModuleTree::with_kind`]. `lm_head` or `embed_out` is the head. Tensors that are
    /// buffers (`inv_freq`, `masked_bias`, masks called `bias`) are no parameters.
    ///
    /// # Errors
    ///
    /// A name that is empty, has an empty component, control characters, more than 512 bytes or more
    /// than 64 components, or is there twice; more elements than 64 bits count.
    pub fn from_tensors<N, S>(tensors: impl IntoIterator<Item = (N, S)>) -> Result<Self, TreeError>
    where
        N: AsRef<str>,
        S: AsRef<[u64]>,
    {
        let mut parameters: BTreeMap<String, u64> = BTreeMap::new();
        let mut weights: BTreeMap<String, Weights> = BTreeMap::new();
        let mut total = 0_u64;
        for (name, shape) in tensors {
            let (name, shape) = (name.as_ref(), shape.as_ref());
            check_name(name)?;
            let too_large = || TreeError::TooLarge { name: name.to_owned() };
            let count = shape.iter().try_fold(1_u64, |count, &size| count.checked_mul(size));
            let mut count = count.ok_or_else(too_large)?;
            let (module, parameter) = name.rsplit_once('.').unwrap_or(("", name));
            if is_buffer(parameter, shape) {
                count = 0;
            }
            match parameters.entry(name.to_owned()) {
                Entry::Occupied(_) => return Err(TreeError::Duplicate { name: name.to_owned() }),
                Entry::Vacant(entry) => entry.insert(count),
            };
            total = total.checked_add(count).ok_or_else(too_large)?;
            let own = weights.entry(module.to_owned()).or_default();
            // No more than the total.
            own.parameters += count;
            match (parameter, shape) {
                ("weight", &[rows, columns]) if count > 0 => own.weight = Some([rows, columns]),
                ("bias", _) => own.bias = count,
                _ => {}
            }
        }
        Ok(Self::from_weights(weights, total))
    }

    /// States what a module is, where its name or shape misleads.
    ///
    /// # Errors
    ///
    /// A module that is not there, or has no weights with two dimensions but should be adaptable.
    pub fn with_kind(mut self, name: &str, kind: ModuleKind) -> Result<Self, TreeError> {
        let name = || name.to_owned();
        let Some(module) = self.modules.get_mut(&name()) else {
            return Err(TreeError::NoSuchModule { name: name() });
        };
        if module.weight.is_none() && kind != ModuleKind::Other {
            return Err(TreeError::NoWeight { name: name(), kind });
        }
        module.kind = kind;
        Ok(self)
    }

    /// Adds an output head that shares the weights of an embedding and has no tensor of its own.
    ///
    /// # Errors
    ///
    /// An embedding that is not there; a head that is.
    pub fn with_tied_head(mut self, head: &str, embedding: &str) -> Result<Self, TreeError> {
        check_name(head)?;
        let weight = match self.modules.get(embedding) {
            Some(Module { kind: ModuleKind::Embedding, weight: Some(weight), .. }) => *weight,
            _ => return Err(TreeError::NoSuchModule { name: embedding.to_owned() }),
        };
        if self.modules.contains_key(head) {
            return Err(TreeError::NotTied { name: head.to_owned() });
        }
        let [rows, columns] = weight;
        let module = Module {
            kind: ModuleKind::Linear,
            weight: Some(weight),
            // Counted before, as the embedding's.
            parameters: rows.saturating_mul(columns),
            bias: 0,
            tied: true,
        };
        self.modules.insert(head.to_owned(), module);
        add_parents(&mut self.modules, head);
        self.tied.insert(head.to_owned(), embedding.to_owned());
        self.head = Some(head.to_owned());
        Ok(self)
    }

    /// States which module is the output head, which `all-linear` leaves out.
    ///
    /// # Errors
    ///
    /// A module that is not there.
    pub fn with_head(mut self, name: &str) -> Result<Self, TreeError> {
        if !self.modules.contains_key(name) {
            return Err(TreeError::NoSuchModule { name: name.to_owned() });
        }
        self.head = Some(name.to_owned());
        Ok(self)
    }

    /// A module by its whole name.
    pub fn get(&self, name: &str) -> Option<&Module> {
        self.modules.get(name)
    }

    /// The modules, sorted by name; those that only hold others are among them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Module)> {
        self.modules.iter().map(|(name, module)| (name.as_str(), module))
    }

    /// The modules that can be adapted, sorted by name.
    pub fn adaptable(&self) -> impl Iterator<Item = (&str, &Module)> {
        self.iter().filter(|(_, module)| module.kind != ModuleKind::Other)
    }

    /// The output head, if it is known.
    pub fn head(&self) -> Option<&str> {
        self.head.as_deref()
    }

    /// Number of the model's parameters; shared ones count once.
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The embedding whose weights a module shares.
    pub(crate) fn tied_to(&self, head: &str) -> Option<&str> {
        self.tied.get(head).map(String::as_str)
    }

    /// The modules within a module, sorted by name.
    pub(crate) fn within(&self, name: &str) -> impl Iterator<Item = (&str, &Module)> {
        let prefix = format!("{name}.");
        let inner = self.modules.range(prefix.clone()..);
        inner
            .take_while(move |(inner, _)| inner.starts_with(&prefix))
            .map(|(inner, module)| (inner.as_str(), module))
    }

    fn from_weights(weights: BTreeMap<String, Weights>, parameters: u64) -> Self {
        let transposed = Transposed::of(&weights);
        let mut modules = BTreeMap::new();
        for (name, own) in &weights {
            let module = Module {
                kind: own.kind(name, &transposed),
                weight: own.weight,
                parameters: own.parameters,
                bias: own.bias,
                tied: false,
            };
            modules.insert(name.clone(), module);
        }
        for name in weights.keys() {
            add_parents(&mut modules, name);
        }
        // The model itself is no module of its own.
        modules.remove("");
        let head = modules.iter().find(|(name, module)| {
            module.kind == ModuleKind::Linear && matches!(leaf(name), "lm_head" | "embed_out")
        });
        let head = head.map(|(name, _)| name.clone());
        Self { modules, head, tied: BTreeMap::new(), parameters }
    }
}

/// The last component of a name.
pub(crate) fn leaf(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, leaf)| leaf)
}

#[derive(Default)]
struct Weights {
    weight: Option<[u64; 2]>,
    parameters: u64,
    bias: u64,
}

impl Weights {
    fn kind(&self, name: &str, transposed: &Transposed<'_>) -> ModuleKind {
        match self.weight {
            None => ModuleKind::Other,
            Some(_) if self.bias == 0 && is_embedding(leaf(name)) => ModuleKind::Embedding,
            Some([rows, columns]) => match (self.bias == rows, self.bias == columns) {
                (false, true) => ModuleKind::Conv1D,
                (true, true) if transposed.probably(leaf(name)) => ModuleKind::Conv1D,
                _ => ModuleKind::Linear,
            },
        }
    }
}

/// Last components of the names of modules whose bias shows how their weights lie.
struct Transposed<'a> {
    yes: Vec<&'a str>,
    no: Vec<&'a str>,
}

impl<'a> Transposed<'a> {
    fn of(weights: &'a BTreeMap<String, Weights>) -> Self {
        let mut leaves = Self { yes: Vec::new(), no: Vec::new() };
        for (name, own) in weights {
            let list = match own.weight {
                Some([rows, columns]) if rows == columns => continue,
                Some([_, columns]) if own.bias == columns => &mut leaves.yes,
                Some([rows, _]) if own.bias == rows => &mut leaves.no,
                _ => continue,
            };
            if !list.contains(&leaf(name)) {
                list.push(leaf(name));
            }
        }
        leaves
    }

    /// Whether square weights of a module of this name lie as those of others in the model.
    fn probably(&self, leaf: &str) -> bool {
        self.yes.contains(&leaf) || (!self.yes.is_empty() && !self.no.contains(&leaf))
    }
}

fn is_embedding(leaf: &str) -> bool {
    matches!(leaf, "wte" | "wpe" | "shared")
        || (leaf.starts_with("embed") && leaf != "embed_out")
        || leaf.ends_with("embedding")
        || leaf.ends_with("embeddings")
}

/// Whether a tensor, by the last part of its name and its shape, is no parameter: older checkpoints have
/// rotation frequencies, masks and positions.
pub fn is_buffer(parameter: &str, shape: &[u64]) -> bool {
    matches!(parameter, "inv_freq" | "masked_bias" | "position_ids")
        || (parameter == "bias" && shape.len() > 2)
}

fn add_parents(modules: &mut BTreeMap<String, Module>, name: &str) {
    let mut name = name;
    while let Some((parent, _)) = name.rsplit_once('.') {
        let module =
            Module { kind: ModuleKind::Other, weight: None, parameters: 0, bias: 0, tied: false };
        if let Entry::Vacant(entry) = modules.entry(parent.to_owned()) {
            entry.insert(module);
        }
        name = parent;
    }
}

fn check_name(name: &str) -> Result<(), TreeError> {
    let reason = if name.len() > MAX_NAME {
        "its name has more than 512 bytes"
    } else if name.chars().any(char::is_control) {
        "its name has control characters"
    } else if name.split('.').any(str::is_empty) {
        "a component of its name is empty"
    } else if name.split('.').count() > MAX_DEPTH {
        "its name has more than 64 components"
    } else {
        return Ok(());
    };
    Err(TreeError::Name { name: name.chars().take(MAX_NAME).collect(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(tensors: &[(&str, &[u64])], module: &str) -> ModuleKind {
        ModuleTree::from_tensors(tensors.iter().copied()).unwrap().get(module).unwrap().kind
    }

    const GPT2: [(&str, &[u64]); 8] = [
        ("h.0.attn.c_attn.weight", &[8, 24]),
        ("h.0.attn.c_attn.bias", &[24]),
        ("h.0.attn.c_proj.weight", &[8, 8]),
        ("h.0.attn.c_proj.bias", &[8]),
        ("h.0.attn.bias", &[1, 1, 16, 16]),
        ("h.0.attn.masked_bias", &[]),
        ("h.0.ln_1.weight", &[8]),
        ("wte.weight", &[100, 8]),
    ];

    #[test]
    fn transposed_weights_are_told_by_their_bias() {
        assert_eq!(kind(&GPT2, "h.0.attn.c_attn"), ModuleKind::Conv1D);
        assert_eq!(kind(&GPT2, "h.0.attn.c_proj"), ModuleKind::Conv1D, "square, like the others");
        assert_eq!(kind(&GPT2, "h.0.ln_1"), ModuleKind::Other);
        assert_eq!(kind(&GPT2, "h.0.attn"), ModuleKind::Other);
        assert_eq!(kind(&GPT2, "wte"), ModuleKind::Embedding);
        let big_code: [(&str, &[u64]); 4] = [
            ("h.0.attn.c_attn.weight", &[24, 8]),
            ("h.0.attn.c_attn.bias", &[24]),
            ("h.0.attn.c_proj.weight", &[8, 8]),
            ("h.0.attn.c_proj.bias", &[8]),
        ];
        assert_eq!(kind(&big_code, "h.0.attn.c_attn"), ModuleKind::Linear);
        assert_eq!(kind(&big_code, "h.0.attn.c_proj"), ModuleKind::Linear);
    }

    #[test]
    fn buffers_are_no_parameters() {
        let tree = ModuleTree::from_tensors(GPT2).unwrap();
        assert_eq!(tree.parameters(), 8 * 24 + 24 + 64 + 8 + 8 + 800);
    }

    #[test]
    fn kinds_can_be_stated() {
        let tree = ModuleTree::from_tensors([
            ("mlp.gate.weight", [4, 8].as_slice()),
            ("norm.weight", &[8]),
        ])
        .unwrap();
        let tree = tree.with_kind("mlp.gate", ModuleKind::Other).unwrap();
        assert_eq!(tree.adaptable().count(), 0);
        let tree = tree.with_kind("mlp.gate", ModuleKind::Conv1D).unwrap();
        assert_eq!(tree.get("mlp.gate").unwrap().in_features(), Some(4));
        let error = tree.clone().with_kind("norm", ModuleKind::Linear).unwrap_err();
        assert!(matches!(error, TreeError::NoWeight { .. }));
        let error = tree.with_kind("nothing", ModuleKind::Other).unwrap_err();
        assert_eq!(error.to_string(), "the model has no module \"nothing\"");
    }

    #[test]
    fn hostile_tensors_are_errors() {
        let error = |name: &str, shape: &[u64]| {
            ModuleTree::from_tensors([("a.b", [1].as_slice()), (name, shape)]).unwrap_err()
        };
        assert!(matches!(error("a.b", &[1]), TreeError::Duplicate { .. }));
        assert!(matches!(error("x.weight", &[1 << 32, 1 << 32]), TreeError::TooLarge { .. }));
        assert!(matches!(error("x.weight", &[u64::MAX]), TreeError::TooLarge { .. }));
        for name in ["", "a..b", ".a", "a\n.b", &"a".repeat(513), &vec!["a"; 65].join(".")] {
            assert!(matches!(error(name, &[1]), TreeError::Name { .. }), "{name:?}");
        }
    }

    #[test]
    fn a_head_is_tied_to_an_embedding_only_where_it_has_no_weights() {
        let tree = ModuleTree::from_tensors([
            ("model.embed_tokens.weight", [10, 4]),
            ("lm_head.weight", [10, 4]),
        ])
        .unwrap();
        assert_eq!(tree.head(), Some("lm_head"));
        let error = tree.clone().with_tied_head("lm_head", "model.embed_tokens").unwrap_err();
        assert!(matches!(error, TreeError::NotTied { .. }));
        assert!(tree.with_tied_head("head", "model").is_err());
    }
}
