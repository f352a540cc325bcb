use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{ArtifactError, Result};

/// A technique that is known by name: what it is called, and what a folder that was made with it has.
///
/// To add one, add a line to `KNOWN`.
struct Kind {
    id: &'static str,
    /// Other spellings, without case, spaces, hyphens and underscores.
    aliases: &'static [&'static str],
    title: &'static str,
    tags: &'static [&'static str],
    /// The file that its configuration stands in.
    file: &'static str,
    /// Keys that the configuration must have.
    required: &'static [&'static str],
    /// Models that belong to the result and stand in folders of their own.
    folders: &'static [&'static str],
}

const KNOWN: &[Kind] = &[
    Kind {
        id: "lora",
        aliases: &["loraadapter"],
        title: "LoRA fine-tuning",
        tags: &["lora", "peft"],
        file: "lora_config.json",
        required: &[],
        folders: &[],
    },
    Kind {
        id: "qlora",
        aliases: &[],
        title: "QLoRA fine-tuning",
        tags: &["qlora", "lora", "peft"],
        file: "quantization_config.json",
        required: &["bits", "quantization"],
        folders: &[],
    },
    Kind {
        id: "sft",
        aliases: &["supervisedfinetuning"],
        title: "Supervised fine-tuning",
        tags: &["sft"],
        file: "sft_config.json",
        required: &[],
        folders: &[],
    },
    Kind {
        id: "dpo",
        aliases: &["directpreferenceoptimization"],
        title: "Direct Preference Optimization",
        tags: &["dpo", "preference"],
        file: "preference_config.json",
        required: &["beta", "loss_type", "reference_model", "reference_model_sha256"],
        folders: &[],
    },
    Kind {
        id: "rlhf",
        aliases: &["reinforcementlearningfromhumanfeedback"],
        title: "Reinforcement Learning from Human Feedback",
        tags: &["rlhf", "reinforcement-learning"],
        file: "rlhf_config.json",
        required: &["algorithm"],
        folders: &["policy", "reward_model"],
    },
    Kind {
        id: "constitutional-ai",
        aliases: &["constitutional", "cai"],
        title: "Constitutional AI",
        tags: &["constitutional-ai"],
        file: "principles.json",
        required: &["principles"],
        folders: &[],
    },
];

/// How a model was aligned: a name, and what belongs to it. Nothing in this crate depends on which
/// technique it is; a technique that isn't known by name has its name and its configuration.
///
/// # Examples
///
/// ```
/// use collimate_artifact::Technique;
/// use serde_json::json;
///
/// let dpo = Technique::new("DPO", json!({
///     "beta": 0.1,
///     "loss_type": "sigmoid",
///     "reference_model": "org/base",
///     "reference_model_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
/// }))?;
/// assert_eq!((dpo.id(), dpo.title()), ("dpo", "Direct Preference Optimization"));
/// assert_eq!(dpo.file(), "preference_config.json");
///
/// // Without a reference, a preference means nothing.
/// assert!(Technique::new("dpo", json!({"beta": 0.1})).is_err());
///
/// let own = Technique::new("Model Soup", json!({"models": 3}))?;
/// assert_eq!((own.id(), own.file()), ("model-soup", "model-soup_config.json"));
/// # Ok::<(), collimate_artifact::ArtifactError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Technique {
    id: String,
    title: String,
    tags: Vec<String>,
    file: String,
    folders: Vec<String>,
    config: Map<String, Value>,
}

impl Technique {
    /// A technique with its configuration, an object. Known names are LoRA, QLoRA, SFT, DPO, RLHF
    /// and constitutional AI, in any spelling; any other name is one of its own.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Technique`]: the name has no letter or digit, the configuration is not an
    /// object, or a key is missing that the technique makes no sense without.
    pub fn new(name: &str, config: Value) -> Result<Self> {
        let failed = |message: String| ArtifactError::Technique { name: name.to_owned(), message };
        let Value::Object(config) = config else {
            return Err(failed("its configuration has to be an object".to_owned()));
        };
        let plain: String =
            name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let known = KNOWN.iter().find(|kind| {
            kind.id.replace('-', "") == plain || kind.aliases.contains(&plain.as_str())
        });
        let Some(kind) = known else { return Self::other(name, config) };
        if let Some(key) = kind.required.iter().find(|key| {
            config.get(**key).is_none_or(|value| value.is_null() || value.as_str() == Some(""))
        }) {
            return Err(failed(format!("its configuration lacks '{key}'")));
        }
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Ok(Self {
            id: kind.id.to_owned(),
            title: kind.title.to_owned(),
            tags: owned(kind.tags),
            file: kind.file.to_owned(),
            folders: owned(kind.folders),
            config,
        })
    }

    fn other(name: &str, config: Map<String, Value>) -> Result<Self> {
        let words =
            name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let id = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
        if id.is_empty() {
            let message = "a technique has a name with ASCII letters or digits".to_owned();
            return Err(ArtifactError::Technique { name: name.to_owned(), message });
        }
        Ok(Self {
            title: name.trim().to_owned(),
            tags: vec![id.clone()],
            file: format!("{id}_config.json"),
            folders: Vec::new(),
            config,
            id,
        })
    }

    /// Its name in files: lower case, words joined by hyphens.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Tags of the model's card.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// The file that its configuration stands in.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Its configuration.
    pub fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// Folders that hold models which belong to the result, the aligned model first; nothing where the
    /// aligned model is all there is and stands in the folder itself.
    pub fn folders(&self) -> &[String] {
        &self.folders
    }
}
