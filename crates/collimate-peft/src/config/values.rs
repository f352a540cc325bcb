use serde::{Deserialize, Serialize};

/// Which modules get an adapter (`target_modules`).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TargetModules {
    /// Those whose name is an entry or ends in `.entry`.
    List(Vec<String>),
    /// Those whose whole name matches this regular expression of Python's.
    Regex(String),
    /// Every linear module except the output head (`"all-linear"`).
    AllLinear,
}

impl TargetModules {
    /// The word that stands for every linear module.
    pub(crate) const ALL_LINEAR: &str = "all-linear";

    /// A list of names.
    pub fn list<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::List(names.into_iter().map(Into::into).collect())
    }

    /// What a text in `target_modules` means: `all-linear` in any capitals, else a regular
    /// expression.
    pub(crate) fn from_text(text: String) -> Self {
        if text.to_lowercase() == Self::ALL_LINEAR { Self::AllLinear } else { Self::Regex(text) }
    }
}

/// Names of modules as a list or a pattern (`exclude_modules`).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ModuleNames {
    /// Those whose name is an entry or ends in `.entry`.
    List(Vec<String>),
    /// Those whose whole name matches this regular expression of Python's.
    Regex(String),
}

impl ModuleNames {
    /// A list of names.
    pub fn list<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::List(names.into_iter().map(Into::into).collect())
    }
}

/// A value that PEFT takes alone or in a list (`layers_to_transform`, `layers_pattern`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OneOrMany<T> {
    /// The value alone.
    One(T),
    /// A list of values.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The values; of one alone a slice that holds it.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// Which biases of the base model are trained and saved with the adapter (`bias`).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Bias {
    /// None.
    #[default]
    None,
    /// Every bias of the model.
    All,
    /// Those of the adapted modules.
    LoraOnly,
}

impl Bias {
    pub(crate) const ALL: [Self; 3] = [Self::None, Self::All, Self::LoraOnly];

    /// As PEFT writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::All => "all",
            Self::LoraOnly => "lora_only",
        }
    }
}

/// How the adapter's matrices were initialized (`init_lora_weights`).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InitLoraWeights {
    /// `true`: A Kaiming-uniform with a = √5, B zero. `false`: both random.
    Flag(bool),
    /// `gaussian`, `pissa`, `pissa_niter_16`, `olora`, `corda`, `eva`, `loftq`, `orthogonal`,
    /// `mica`, `lora_ga`, or a name of a later PEFT's.
    Named(String),
}

impl InitLoraWeights {
    /// Whether it changes the base model's weights before training, so that the adapter belongs to
    /// the changed weights: PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA.
    pub fn changes_base_weights(&self) -> bool {
        match self {
            Self::Flag(_) => false,
            Self::Named(name) => {
                let name = name.to_lowercase();
                name.starts_with("pissa")
                    || name.starts_with("corda")
                    || matches!(name.as_str(), "olora" | "loftq" | "lora_ga")
            }
        }
    }

    /// Whether only A is trained: MiCA.
    pub(crate) fn freezes_b(&self) -> bool {
        matches!(self, Self::Named(name) if name.eq_ignore_ascii_case("mica"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initializations_that_move_the_base_are_told_from_those_that_do_not() {
        for name in ["pissa", "pissa_niter_16", "olora", "OLoRA", "corda", "loftq", "lora_ga"] {
            assert!(InitLoraWeights::Named(name.to_owned()).changes_base_weights(), "{name}");
        }
        for name in ["gaussian", "eva", "orthogonal", "mica"] {
            assert!(!InitLoraWeights::Named(name.to_owned()).changes_base_weights(), "{name}");
        }
        assert!(!InitLoraWeights::Flag(true).changes_base_weights());
    }

    #[test]
    fn all_linear_is_recognized_in_any_capitals() {
        assert_eq!(TargetModules::from_text("All-Linear".to_owned()), TargetModules::AllLinear);
        let regex = TargetModules::from_text("all-linear.*".to_owned());
        assert_eq!(regex, TargetModules::Regex("all-linear.*".to_owned()));
    }
}
