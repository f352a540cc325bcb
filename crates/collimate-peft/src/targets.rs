use serde::Serialize;

use crate::coverage::Coverage;
use crate::modules::ModuleKind;

/// A module that gets an adapter.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Target {
    /// Its whole name.
    pub module: String,
    /// What it is, which says how its weights lie.
    pub kind: ModuleKind,
    /// What goes in: A has the shape `[rank, in_features]`.
    pub in_features: u64,
    /// What comes out: B has the shape `[out_features, rank]`.
    pub out_features: u64,
    /// Rank of the update.
    pub rank: u32,
    /// `lora_alpha`.
    pub alpha: f64,
    /// What `B·A` is multiplied by.
    pub scale: f64,
}

/// A module that is trained and saved whole.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SavedModule {
    /// Its whole name.
    pub module: String,
    /// Number of its parameters, with those of modules within it.
    pub parameters: u64,
}

impl SavedModule {
    /// Whether a module is this one, or within it.
    pub(crate) fn holds(&self, module: &str) -> bool {
        let rest = module.strip_prefix(self.module.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// An entry of a configuration that matches nothing in the model.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub struct Unmatched {
    /// The field: `target_modules`, `exclude_modules`, `modules_to_save`, `rank_pattern` or
    /// `alpha_pattern`.
    pub field: &'static str,
    /// The entry.
    pub entry: String,
}

/// What a configuration changes in a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Targets {
    /// The modules that get an adapter, sorted by name.
    pub modules: Vec<Target>,
    /// The modules that are saved whole, sorted by name.
    pub saved: Vec<SavedModule>,
    /// Entries that match nothing, about which PEFT says nothing, or only warns. Sorted.
    pub unmatched: Vec<Unmatched>,
    /// How much of the model that is.
    pub coverage: Coverage,
}

impl Targets {
    /// The value of `fan_in_fan_out` that fits: whether weights of a target lie transposed.
    pub fn fan_in_fan_out(&self) -> bool {
        self.modules.iter().any(|target| target.kind == ModuleKind::Conv1D)
    }
}
