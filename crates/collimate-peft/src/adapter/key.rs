use std::fmt;

use serde::{Serialize, Serializer};

/// What PEFT's classes put before the names of a model's modules.
const PREFIX: &str = "base_model.model.";

/// Which tensor of an adapter: the module, and what it is there.
///
/// Its text is PEFT's name in `adapter_model.safetensors`.
///
/// # Examples
///
/// ```
/// use collimate_peft::{AdapterKey, AdapterPart};
///
/// let key = AdapterKey::new("model.layers.0.self_attn.q_proj", AdapterPart::A);
/// assert_eq!(
///     key.to_string(),
///     "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
/// );
/// assert_eq!(AdapterKey::parse(&key.to_string()), Some(key));
/// assert_eq!(AdapterKey::parse("model.norm.weight"), None);
/// ```
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct AdapterKey {
    /// The module's whole name in the model.
    pub module: String,
    /// What the tensor is there.
    pub part: AdapterPart,
}

/// What a tensor of an adapter is to its module.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum AdapterPart {
    /// A of a linear map, `[rank, in_features]`.
    A,
    /// B of a linear map, `[out_features, rank]`.
    B,
    /// The bias of B, `[out_features]`.
    BiasOfB,
    /// A of an embedding, `[rank, rows]`.
    EmbeddingA,
    /// B of an embedding, `[dimension, rank]`.
    EmbeddingB,
    /// DoRA's magnitude, `[out_features]`.
    Magnitude,
    /// A parameter of a module that is saved whole, or a bias.
    Whole(String),
    /// A parameter of the base model's module under an adapted one: a trained bias, an embedding.
    Base(String),
}

impl AdapterKey {
    /// The tensor of a module.
    pub fn new(module: impl Into<String>, part: AdapterPart) -> Self {
        Self { module: module.into(), part }
    }

    /// Reads a name of PEFT's, also with the adapter's own name in it (`lora_A.default.weight`) and
    /// with `lora_magnitude_vector.weight`, which some versions and tools write. Nothing if it is
    /// none.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.strip_prefix(PREFIX)?;
        let components: Vec<&str> = name.split('.').collect();
        if components.iter().any(|component| component.is_empty()) {
            return None;
        }
        let lora = components.iter().rposition(|component| component.starts_with("lora_"));
        if let Some(at) = lora {
            let (module, rest) = components.split_at(at);
            let part = match rest {
                ["lora_A", "weight"] | ["lora_A", _, "weight"] => AdapterPart::A,
                ["lora_B", "weight"] | ["lora_B", _, "weight"] => AdapterPart::B,
                ["lora_B", "bias"] | ["lora_B", _, "bias"] => AdapterPart::BiasOfB,
                ["lora_embedding_A"] | ["lora_embedding_A", _] => AdapterPart::EmbeddingA,
                ["lora_embedding_B"] | ["lora_embedding_B", _] => AdapterPart::EmbeddingB,
                ["lora_magnitude_vector"]
                | ["lora_magnitude_vector", _]
                | ["lora_magnitude_vector", _, "weight"] => AdapterPart::Magnitude,
                _ => return None,
            };
            return (at > 0).then(|| Self::new(module.join("."), part));
        }
        let (module, parameter) = name.rsplit_once('.')?;
        let parameter = parameter.to_owned();
        Some(match module.strip_suffix(".base_layer") {
            Some(module) => Self::new(module, AdapterPart::Base(parameter)),
            None => Self::new(module, AdapterPart::Whole(parameter)),
        })
    }
}

impl fmt::Display for AdapterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}.", self.module)?;
        match &self.part {
            AdapterPart::A => f.write_str("lora_A.weight"),
            AdapterPart::B => f.write_str("lora_B.weight"),
            AdapterPart::BiasOfB => f.write_str("lora_B.bias"),
            AdapterPart::EmbeddingA => f.write_str("lora_embedding_A"),
            AdapterPart::EmbeddingB => f.write_str("lora_embedding_B"),
            AdapterPart::Magnitude => f.write_str("lora_magnitude_vector"),
            AdapterPart::Whole(parameter) => f.write_str(parameter),
            AdapterPart::Base(parameter) => write!(f, "base_layer.{parameter}"),
        }
    }
}

impl Serialize for AdapterKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_the_name_that_it_is_read_from() {
        let parts = [
            AdapterPart::A,
            AdapterPart::B,
            AdapterPart::BiasOfB,
            AdapterPart::EmbeddingA,
            AdapterPart::EmbeddingB,
            AdapterPart::Magnitude,
            AdapterPart::Whole("weight".to_owned()),
            AdapterPart::Base("bias".to_owned()),
        ];
        for part in parts {
            let key = AdapterKey::new("model.layers.0.mlp", part);
            assert_eq!(AdapterKey::parse(&key.to_string()).as_ref(), Some(&key), "{key}");
        }
    }

    #[test]
    fn names_with_the_name_of_the_adapter_in_them_are_read() {
        for (name, part) in [
            ("base_model.model.h.q.lora_A.default.weight", AdapterPart::A),
            ("base_model.model.h.q.lora_B.mine.bias", AdapterPart::BiasOfB),
            ("base_model.model.h.q.lora_embedding_B.default", AdapterPart::EmbeddingB),
            ("base_model.model.h.q.lora_magnitude_vector.weight", AdapterPart::Magnitude),
            ("base_model.model.h.q.lora_magnitude_vector.default.weight", AdapterPart::Magnitude),
        ] {
            assert_eq!(AdapterKey::parse(name), Some(AdapterKey::new("h.q", part)), "{name}");
        }
    }

    #[test]
    fn other_names_are_not_read() {
        for name in [
            "",
            "q.lora_A.weight",
            "base_model.model.",
            "base_model.model.weight",
            "base_model.model.lora_A.weight",
            "base_model.model.q..lora_A.weight",
            "base_model.model.q.lora_A",
            "base_model.model.q.lora_A.weight.more.parts",
            "base_model.model.q.lora_C.weight",
        ] {
            assert_eq!(AdapterKey::parse(name), None, "{name}");
        }
    }
}
