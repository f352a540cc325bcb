mod error;
mod fields;
mod file;
mod json;
mod other;
mod values;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::{Map, Value};

pub use error::ConfigError;
pub use values::{Bias, InitLoraWeights, ModuleNames, OneOrMany, TargetModules};

/// Highest rank that is taken for meant.
const MAX_RANK: u32 = 1 << 16;

/// The configuration of a LoRA adapter: PEFT's `adapter_config.json`.
///
/// Fields are named as there. What [`LoraConfig::parse`] and [`LoraConfig::read`] return is checked;
/// whatever uses a configuration checks it again, because the fields are open.
///
/// # Examples
///
/// ```
/// use collimate_peft::LoraConfig;
///
/// let config = LoraConfig::new(16)
///     .with_alpha(32.0)
///     .with_target_modules(["q_proj", "v_proj"])
///     .with_base_model("org/model");
/// let json = config.to_json()?;
/// assert_eq!(LoraConfig::parse(&json, "adapter_config.json")?, config);
/// // Named, with what was found.
/// let error = LoraConfig::parse(r#"{"peft_type": "LORA", "r": 0}"#, "adapter_config.json");
/// assert_eq!(
///     error.unwrap_err().to_string(),
///     "adapter_config.json: `r` is 0; a whole number from 1 to 65536 is expected",
/// );
/// # Ok::<(), collimate_peft::PeftError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LoraConfig {
    /// Rank of the update, 1 to 65536. Default 8.
    pub r: u32,
    /// The update is multiplied by `lora_alpha / r`. Default 8.
    pub lora_alpha: f64,
    /// Probability of dropping an input of the adapter in training, from 0 to below 1. Default 0.
    pub lora_dropout: f64,
    /// Which modules are adapted; unless given, what PEFT adapts in models of this type
    /// ([`default_target_modules`](crate::default_target_modules)).
    pub target_modules: Option<TargetModules>,
    /// Which modules are not adapted although they are targets.
    pub exclude_modules: Option<ModuleNames>,
    /// Layers whose modules are adapted; all unless given, and where the list is empty. A target
    /// that is a module's whole name is adapted in any layer.
    pub layers_to_transform: Option<OneOrMany<u64>>,
    /// What stands before a layer's index in names of modules, as regular expressions. Unless given,
    /// a layer's index is the first number from the third component on (`model.layers.0.…`).
    pub layers_pattern: Option<OneOrMany<String>>,
    /// Ranks of modules, by regular expressions for the end of their names. The first that matches
    /// decides, so that the order is kept in files too.
    pub rank_pattern: Vec<(String, u32)>,
    /// Values of `lora_alpha` of modules, as [`LoraConfig::rank_pattern`].
    pub alpha_pattern: Vec<(String, f64)>,
    /// Modules that are trained and saved whole: those whose names end in an entry, and with the
    /// `task_type` `SEQ_CLS` the heads `classifier` and `score`.
    pub modules_to_save: Option<Vec<String>>,
    /// Which biases of the base model are trained. Default: none.
    pub bias: Bias,
    /// Whether the adapted weights lie transposed, `[in, out]`, as in GPT-2. PEFT finds out by
    /// itself; older versions trust this. Default: no.
    pub fan_in_fan_out: bool,
    /// Whether the update is multiplied by `lora_alpha / √r` instead (rank-stabilized LoRA,
    /// <https://arxiv.org/abs/2312.03732>). Default: no.
    pub use_rslora: bool,
    /// Whether the magnitude of the weights is trained apart from their direction (DoRA,
    /// <https://arxiv.org/abs/2402.09353>). Default: no.
    pub use_dora: bool,
    /// Whether B has a bias. Default: no.
    pub lora_bias: bool,
    /// How the matrices were initialized. Default: A random, B zero.
    pub init_lora_weights: InitLoraWeights,
    /// The base model: its repository or its folder.
    pub base_model_name_or_path: Option<String>,
    /// The base model's revision.
    pub revision: Option<String>,
    /// What the model is for: `CAUSAL_LM`, `SEQ_CLS`, ….
    pub task_type: Option<String>,
    /// Whether PEFT loads the adapter frozen.
    pub inference_mode: bool,
    /// Everything else that the file holds: settings of initializations and of variants of LoRA that
    /// nothing here computes, and keys of other versions of PEFT. Kept, and written back, except
    /// where they hold what PEFT takes them for when absent.
    pub other: Map<String, Value>,
}

impl LoraConfig {
    /// An adapter of this rank for a causal language model as PEFT saves it: `task_type` is
    /// `CAUSAL_LM`, `inference_mode` is set, everything else has its default.
    pub fn new(rank: u32) -> Self {
        Self {
            r: rank,
            task_type: Some("CAUSAL_LM".to_owned()),
            inference_mode: true,
            ..Self::of_peft()
        }
    }

    /// What keys mean when absent.
    fn of_peft() -> Self {
        Self {
            r: 8,
            lora_alpha: 8.0,
            lora_dropout: 0.0,
            target_modules: None,
            exclude_modules: None,
            layers_to_transform: None,
            layers_pattern: None,
            rank_pattern: Vec::new(),
            alpha_pattern: Vec::new(),
            modules_to_save: None,
            bias: Bias::None,
            fan_in_fan_out: false,
            use_rslora: false,
            use_dora: false,
            lora_bias: false,
            init_lora_weights: InitLoraWeights::Flag(true),
            base_model_name_or_path: None,
            revision: None,
            task_type: None,
            inference_mode: false,
            other: Map::new(),
        }
    }

    /// Sets `lora_alpha`.
    #[must_use]
    pub fn with_alpha(mut self, alpha: f64) -> Self {
        self.lora_alpha = alpha;
        self
    }

    /// Sets `lora_dropout`.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.lora_dropout = dropout;
        self
    }

    /// Adapts the modules of these names.
    #[must_use]
    pub fn with_target_modules<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        self.with_targets(TargetModules::list(names))
    }

    /// Adapts these modules.
    #[must_use]
    pub fn with_targets(mut self, targets: TargetModules) -> Self {
        self.target_modules = Some(targets);
        self
    }

    /// Leaves these modules out.
    #[must_use]
    pub fn with_exclude_modules(mut self, names: ModuleNames) -> Self {
        self.exclude_modules = Some(names);
        self
    }

    /// Adapts modules of these layers only.
    #[must_use]
    pub fn with_layers(mut self, layers: impl IntoIterator<Item = u64>) -> Self {
        self.layers_to_transform = Some(OneOrMany::Many(layers.into_iter().collect()));
        self
    }

    /// Trains and saves the modules of these names whole.
    #[must_use]
    pub fn with_modules_to_save<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Self {
        self.modules_to_save = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Gives modules that match no earlier pattern, and match this one, a rank of their own.
    #[must_use]
    pub fn with_rank_pattern(mut self, pattern: impl Into<String>, rank: u32) -> Self {
        set(&mut self.rank_pattern, pattern.into(), rank);
        self
    }

    /// Gives modules that match no earlier pattern, and match this one, an alpha of their own.
    #[must_use]
    pub fn with_alpha_pattern(mut self, pattern: impl Into<String>, alpha: f64) -> Self {
        set(&mut self.alpha_pattern, pattern.into(), alpha);
        self
    }

    /// Sets `bias`.
    #[must_use]
    pub fn with_bias(mut self, bias: Bias) -> Self {
        self.bias = bias;
        self
    }

    /// Sets `fan_in_fan_out`.
    #[must_use]
    pub fn with_fan_in_fan_out(mut self, transposed: bool) -> Self {
        self.fan_in_fan_out = transposed;
        self
    }

    /// Sets `use_rslora`.
    #[must_use]
    pub fn with_rslora(mut self, on: bool) -> Self {
        self.use_rslora = on;
        self
    }

    /// Sets `use_dora`.
    #[must_use]
    pub fn with_dora(mut self, on: bool) -> Self {
        self.use_dora = on;
        self
    }

    /// Sets `init_lora_weights`.
    #[must_use]
    pub fn with_init(mut self, init: InitLoraWeights) -> Self {
        self.init_lora_weights = init;
        self
    }

    /// Sets `base_model_name_or_path`.
    #[must_use]
    pub fn with_base_model(mut self, name_or_path: impl Into<String>) -> Self {
        self.base_model_name_or_path = Some(name_or_path.into());
        self
    }

    /// Sets `revision`.
    #[must_use]
    pub fn with_revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    /// What the update `B·A` is multiplied by: `alpha / rank`, or `alpha / √rank` with rsLoRA.
    pub fn scale(&self, rank: u32, alpha: f64) -> f64 {
        let rank = f64::from(rank);
        alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }

    /// Whether the adapter belongs to changed weights of the base model and not to those that it
    /// names: after PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA, and with KaSA.
    pub fn changes_base_weights(&self) -> bool {
        self.init_lora_weights.changes_base_weights()
            || self.other_tensors().contains(&"kasa_config")
    }

    /// The settings that are set and give an adapter other modules or tensors than LoRA, DoRA and
    /// `modules_to_save` have. [`LoraConfig::match_modules`] refuses them.
    pub fn other_tensors(&self) -> Vec<&'static str> {
        other::other_tensors(&self.other)
    }

    /// The settings that are set and under which the adapter is applied otherwise than by adding its
    /// update to the weights: those of [`LoraConfig::other_tensors`], activated LoRA and Arrow.
    pub fn merge_obstacles(&self) -> Vec<&'static str> {
        let mut fields = self.other_tensors();
        fields.extend(other::other_use(&self.other));
        fields
    }

    /// Checks what the types of the fields leave open.
    ///
    /// # Errors
    ///
    /// A value out of range; fields that PEFT refuses together.
    pub fn check(&self) -> Result<(), ConfigError> {
        other::check(&self.other)?;
        self.check_values()?;
        self.check_together()
    }

    /// The names of modules to save, with those that PEFT adds for classifiers.
    pub(crate) fn to_save(&self) -> impl Iterator<Item = &str> {
        let classifier: &[&str] = if self.task_type.as_deref() == Some("SEQ_CLS") {
            &["classifier", "score"]
        } else {
            &[]
        };
        let own = self.modules_to_save.iter().flatten();
        own.map(String::as_str).chain(classifier.iter().copied())
    }

    fn check_values(&self) -> Result<(), ConfigError> {
        let ranks =
            self.rank_pattern.iter().map(|(key, r)| (fields::entry("rank_pattern", key), *r));
        for (field, r) in std::iter::once(("r".to_owned(), self.r)).chain(ranks) {
            if !(1..=MAX_RANK).contains(&r) {
                let expected = "a whole number from 1 to 65536";
                return Err(ConfigError::Field { field, expected, found: r.to_string() });
            }
        }
        let alphas = self
            .alpha_pattern
            .iter()
            .map(|(key, alpha)| (fields::entry("alpha_pattern", key), *alpha));
        let alpha = ("lora_alpha".to_owned(), self.lora_alpha);
        for (field, alpha) in std::iter::once(alpha).chain(alphas) {
            if !alpha.is_finite() {
                let (expected, found) = ("a finite number", alpha.to_string());
                return Err(ConfigError::Field { field, expected, found });
            }
        }
        if !(0.0..1.0).contains(&self.lora_dropout) {
            return Err(ConfigError::Field {
                field: "lora_dropout".to_owned(),
                expected: "a probability from 0 to below 1",
                found: self.lora_dropout.to_string(),
            });
        }
        let lists = [
            (
                "target_modules",
                match &self.target_modules {
                    Some(TargetModules::List(names)) => names.as_slice(),
                    _ => &[],
                },
            ),
            (
                "exclude_modules",
                match &self.exclude_modules {
                    Some(ModuleNames::List(names)) => names.as_slice(),
                    _ => &[],
                },
            ),
            ("modules_to_save", self.modules_to_save.as_deref().unwrap_or_default()),
        ];
        for (field, names) in lists {
            if let Some(index) = names.iter().position(String::is_empty) {
                return Err(ConfigError::Field {
                    field: format!("{field}[{index}]"),
                    expected: "a name",
                    found: "\"\"".to_owned(),
                });
            }
        }
        Ok(())
    }

    fn check_together(&self) -> Result<(), ConfigError> {
        let is_text =
            matches!(self.target_modules, Some(TargetModules::Regex(_) | TargetModules::AllLinear));
        let is_set = |key| self.other.get(key).is_some_and(|value| !value.is_null());
        let has_pattern = match &self.layers_pattern {
            None => false,
            Some(OneOrMany::One(pattern)) => !pattern.is_empty(),
            Some(OneOrMany::Many(patterns)) => !patterns.is_empty(),
        };
        let conflicts = [
            (
                is_text && self.layers_to_transform.is_some(),
                "layers_to_transform",
                "target_modules",
                "it selects layers of a list only; write the layers into the pattern",
            ),
            (
                is_text && self.layers_pattern.is_some(),
                "layers_pattern",
                "target_modules",
                "it selects layers of a list only; write the layers into the pattern",
            ),
            (
                has_pattern && self.layers_to_transform.is_none(),
                "layers_pattern",
                "layers_to_transform",
                "the latter must say which layers",
            ),
            (
                self.use_dora && is_set("megatron_config"),
                "use_dora",
                "megatron_config",
                "DoRA is not defined for Megatron's layers",
            ),
            (
                self.lora_bias && self.use_dora,
                "lora_bias",
                "use_dora",
                "DoRA is not defined with a bias",
            ),
            (
                self.lora_bias && matches!(self.init_lora_weights, InitLoraWeights::Named(_)),
                "lora_bias",
                "init_lora_weights",
                "a bias goes with true or false only",
            ),
        ];
        match conflicts.into_iter().find(|(conflicting, ..)| *conflicting) {
            Some((_, field, with, reason)) => Err(ConfigError::Conflict { field, with, reason }),
            None => Ok(()),
        }
    }
}

impl Serialize for LoraConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fields::to_map(self).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LoraConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fields::from_map(Map::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn set<T>(entries: &mut Vec<(String, T)>, pattern: String, value: T) {
    match entries.iter_mut().find(|(known, _)| *known == pattern) {
        Some((_, known)) => *known = value,
        None => entries.push((pattern, value)),
    }
}
