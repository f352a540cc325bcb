//! The configuration of a conventional trainer as a recipe: `model`, `training_data`, `hyperparameters`,
//! `optimization`, `evaluation`.

use std::path::Path;

use super::error::{Given, RecipeError, Result};
use super::node::{Content, Field, Node};
use super::{place, suggest};

/// The sections that only such a configuration has.
const OWN: [&str; 4] = ["model", "training_data", "hyperparameters", "optimization"];
/// Sections of a recipe that may stand beside those.
const SHARED: [&str; 6] = ["output", "tracking", "report", "device", "dtype", "seed"];

/// What becomes of a field.
#[derive(Clone, Copy)]
enum To {
    /// It has another name.
    Field(&'static str),
    /// Its words are others too; `null` is the absence of a value.
    Words(&'static str, &'static [(&'static str, &'static str)]),
    /// As that, for each of several.
    Each(&'static str, &'static [(&'static str, &'static str)]),
    /// It says only what holds in any case, by one of these words; else there is no such thing, and why.
    Holds(&'static [&'static str], &'static str),
}

const DTYPES: &[(&str, &str)] = &[
    ("f32", "f32"),
    ("float32", "f32"),
    ("fp32", "f32"),
    ("no", "f32"),
    ("none", "f32"),
    ("null", "f32"),
    ("false", "f32"),
    ("bf16", "bf16"),
    ("bfloat16", "bf16"),
    ("f16", "f16"),
    ("fp16", "f16"),
    ("float16", "f16"),
];
const FORMATS: &[(&str, &str)] = &[
    ("jsonl", "json_lines"),
    ("ndjson", "json_lines"),
    ("json_lines", "json_lines"),
    ("json", "json"),
    ("csv", "csv"),
    ("tsv", "tsv"),
    ("parquet", "parquet"),
];
const OPTIMIZERS: &[(&str, &str)] = &[
    ("adamw", "adamw"),
    ("adamw_torch", "adamw"),
    ("adamw_hf", "adamw"),
    ("adam", "adam"),
    ("adafactor", "adafactor"),
    ("adagrad", "adagrad"),
    ("adan", "adan"),
    ("lamb", "lamb"),
    ("lion", "lion"),
    ("muon", "muon"),
    ("rmsprop", "rmsprop"),
    ("sgd", "sgd"),
];
const SCHEDULES: &[(&str, &str)] = &[
    ("linear", "linear"),
    ("cosine", "cosine"),
    ("constant", "constant"),
    ("constant_with_warmup", "constant"),
];
const METRICS: &[(&str, &str)] = &[
    ("loss", "perplexity"),
    ("eval_loss", "perplexity"),
    ("perplexity", "perplexity"),
    ("aqi", "aqi"),
    ("refusal", "refusal"),
    ("refusal_rate", "refusal"),
];
const NOTHING: &[&str] = &["null", "none", "false", "no"];

const NOT_QUANTIZED: &str = "weights are not quantized; leave it out, and choose `dtype: bf16` to \
                             halve the memory of weights";

/// Every field, and what becomes of it.
const TABLE: &[(&str, To)] = &[
    ("model.name", To::Field("models")),
    ("model.path", To::Field("models")),
    ("model.base_model", To::Field("models")),
    (
        "model.type",
        To::Holds(
            &["causal_lm", "auto"],
            "only causal language models are trained, and their family stands in their own config.json; leave it out",
        ),
    ),
    ("model.quantization", To::Holds(NOTHING, NOT_QUANTIZED)),
    ("model.load_in_4bit", To::Holds(NOTHING, NOT_QUANTIZED)),
    ("model.load_in_8bit", To::Holds(NOTHING, NOT_QUANTIZED)),
    ("model.trust_remote_code", To::Holds(NOTHING, "no code of a model is run; leave it out")),
    ("model.dtype", To::Words("dtype", DTYPES)),
    ("model.torch_dtype", To::Words("dtype", DTYPES)),
    ("model.device", To::Field("device")),
    ("training_data.path", To::Field("data.paths")),
    ("training_data.train_file", To::Field("data.paths")),
    ("training_data.format", To::Words("data.format", FORMATS)),
    ("training_data.columns", To::Field("data.columns")),
    ("training_data.validation_split", To::Field("data.held_out")),
    ("training_data.max_length", To::Field("data.max_length")),
    ("training_data.max_seq_length", To::Field("data.max_length")),
    ("training_data.template", To::Field("data.template")),
    ("training_data.chat_template", To::Field("data.template")),
    ("training_data.packing", To::Field("data.pack")),
    ("hyperparameters.method", To::Words("method.kind", &[("lora", "lora"), ("full", "full")])),
    ("hyperparameters.learning_rate", To::Field("training.learning_rate")),
    ("hyperparameters.batch_size", To::Field("training.batch_size")),
    ("hyperparameters.num_epochs", To::Field("training.epochs")),
    ("hyperparameters.epochs", To::Field("training.epochs")),
    ("hyperparameters.max_steps", To::Field("training.max_steps")),
    ("hyperparameters.warmup_steps", To::Field("training.warmup_steps")),
    ("hyperparameters.warmup_ratio", To::Field("training.warmup_ratio")),
    ("hyperparameters.weight_decay", To::Field("training.weight_decay")),
    ("hyperparameters.max_grad_norm", To::Field("training.max_grad_norm")),
    ("hyperparameters.gradient_accumulation_steps", To::Field("training.accumulation")),
    ("hyperparameters.label_smoothing", To::Field("training.label_smoothing")),
    ("hyperparameters.seed", To::Field("seed")),
    ("hyperparameters.lora.r", To::Field("method.rank")),
    ("hyperparameters.lora.rank", To::Field("method.rank")),
    ("hyperparameters.lora.alpha", To::Field("method.alpha")),
    ("hyperparameters.lora.lora_alpha", To::Field("method.alpha")),
    ("hyperparameters.lora.dropout", To::Field("method.dropout")),
    ("hyperparameters.lora.lora_dropout", To::Field("method.dropout")),
    ("hyperparameters.lora.target_modules", To::Field("method.targets")),
    ("hyperparameters.lora.modules_to_save", To::Field("method.modules_to_save")),
    ("hyperparameters.lora.use_rslora", To::Field("method.rslora")),
    ("hyperparameters.lora.use_dora", To::Field("method.dora")),
    ("hyperparameters.lora.bias", To::Holds(NOTHING, "biases are not trained; leave it out")),
    ("optimization.optimizer", To::Words("training.optimizer", OPTIMIZERS)),
    ("optimization.scheduler", To::Words("training.schedule", SCHEDULES)),
    ("optimization.lr_scheduler_type", To::Words("training.schedule", SCHEDULES)),
    ("optimization.mixed_precision", To::Words("dtype", DTYPES)),
    ("optimization.gradient_checkpointing", To::Field("training.recompute")),
    ("optimization.gradient_clipping", To::Field("training.max_grad_norm")),
    ("optimization.max_grad_norm", To::Field("training.max_grad_norm")),
    ("optimization.gradient_accumulation_steps", To::Field("training.accumulation")),
    ("optimization.warmup_steps", To::Field("training.warmup_steps")),
    ("optimization.warmup_ratio", To::Field("training.warmup_ratio")),
    ("optimization.weight_decay", To::Field("training.weight_decay")),
    ("evaluation.metrics", To::Each("evaluation.metrics", METRICS)),
    ("evaluation.eval_steps", To::Field("training.evaluate_every")),
    ("evaluation.load_best_model_at_end", To::Field("training.keep_best")),
    ("evaluation.early_stopping_patience", To::Field("training.patience")),
];

/// Whether a tree has a section that only such a configuration has.
pub(super) fn is_conventional(root: &Node) -> bool {
    // `model` with a name behind it is rather a misspelt `models`.
    let is_section = |field: &Field| matches!(field.value.content, Content::Fields(_));
    OWN.iter().any(|section| root.field(section).is_some_and(is_section))
}

/// The recipe that a configuration says.
pub(super) fn converted(root: Node, path: &Path) -> Result<Node> {
    let mut recipe = Node::new(root.origin.clone(), Content::Fields(Vec::new()));
    let converter = Converter { path };
    for field in root.fields() {
        let name = field.name.as_str();
        if OWN.contains(&name) || name == "evaluation" {
            converter.section(field, name, &mut recipe)?;
        } else if SHARED.contains(&name) {
            converter.put(&mut recipe, name, name, field, field.value.clone())?;
        } else {
            let message = match super::suggest::elsewhere(name) {
                Some(_) => {
                    "sections of a recipe and of such a configuration can't be mixed".to_owned()
                }
                None => meant(name, OWN.into_iter().chain(SHARED).chain(["evaluation"])),
            };
            return Err(converter.no_counterpart(name, field, message));
        }
    }
    Ok(recipe)
}

struct Converter<'a> {
    path: &'a Path,
}

impl Converter<'_> {
    fn section(&self, section: &Field, way: &str, recipe: &mut Node) -> Result<()> {
        let is_empty = matches!(section.value.content, Content::Null) && !way.contains('.');
        if !is_empty && !matches!(section.value.content, Content::Fields(_)) {
            let message = format!("is {}; it has to be a group of fields", section.value.kind());
            return Err(RecipeError::Value { given: self.given(way, section), message });
        }
        for field in section.value.fields() {
            let called = format!("{way}.{}", field.name);
            let row = TABLE.iter().find(|(name, _)| *name == called);
            let within = format!("{called}.");
            match row {
                Some((_, to)) => self.convert(field, &called, *to, recipe)?,
                None if TABLE.iter().any(|(name, _)| name.starts_with(&within)) => {
                    self.section(field, &called, recipe)?;
                }
                // A recipe has this section too, with what else it measures.
                None if way == "evaluation" => {
                    self.put(recipe, &called, &called, field, field.value.clone())?;
                }
                None => {
                    let names = TABLE
                        .iter()
                        .filter_map(|(name, _)| name.strip_prefix(way)?.strip_prefix('.'));
                    return Err(self.no_counterpart(&called, field, meant(&field.name, names)));
                }
            }
        }
        Ok(())
    }

    fn convert(&self, field: &Field, called: &str, to: To, recipe: &mut Node) -> Result<()> {
        let value = &field.value;
        match to {
            To::Field(name) => self.put(recipe, name, called, field, value.clone()),
            To::Words(name, words) => {
                let value = self.word(field, called, value, words)?;
                self.put(recipe, name, called, field, value)
            }
            To::Each(name, words) => {
                let value = match &value.content {
                    Content::List(nodes) => {
                        let nodes = nodes.iter().map(|node| self.word(field, called, node, words));
                        let nodes = nodes.collect::<Result<Vec<_>>>()?;
                        Node::new(value.origin.clone(), Content::List(nodes))
                    }
                    _ => return Err(self.wrong_value(field, called, "a list")),
                };
                self.put(recipe, name, called, field, value)
            }
            To::Holds(words, otherwise) => match word(value) {
                Some(word) if words.contains(&word.as_str()) => Ok(()),
                _ => Err(self.no_counterpart(called, field, otherwise.to_owned())),
            },
        }
    }

    fn word(
        &self,
        field: &Field,
        called: &str,
        value: &Node,
        words: &[(&str, &str)],
    ) -> Result<Node> {
        let Some(found) = word(value) else {
            return Err(self.wrong_value(field, called, "a word"));
        };
        match words.iter().find(|(theirs, _)| *theirs == found) {
            Some((_, ours)) => {
                Ok(Node::new(value.origin.clone(), Content::Text((*ours).to_owned())))
            }
            None => {
                let known: Vec<&str> = words.iter().map(|(theirs, _)| *theirs).collect();
                let message = format!("`{found}` is none of {}", known.join(", "));
                let place = place(&value.origin, self.path);
                let given = Given { field: called.to_owned(), called: None, place };
                Err(RecipeError::NoCounterpart { given, message })
            }
        }
    }

    /// Puts a value to its place in the recipe, with where it was given and what it was called.
    fn put(
        &self,
        recipe: &mut Node,
        name: &str,
        called: &str,
        field: &Field,
        value: Node,
    ) -> Result<()> {
        if let Some(known) = recipe.at(name) {
            return Err(RecipeError::Contradiction {
                first: Box::new(self.given(known.called.as_deref().unwrap_or(&known.name), known)),
                second: Box::new(self.given(called, field)),
                message: format!("both are `{name}` in a recipe; choose one of the two"),
            });
        }
        let mut sections: Vec<&str> = name.split('.').collect();
        let name = sections.pop().unwrap_or(name);
        insert(
            recipe,
            &sections,
            Field {
                name: name.to_owned(),
                origin: field.origin.clone(),
                called: Some(called.to_owned()),
                value,
            },
        );
        Ok(())
    }

    fn wrong_value(&self, field: &Field, called: &str, expected: &str) -> RecipeError {
        let message = format!("is {}; it has to be {expected}", field.value.kind());
        RecipeError::Value { given: self.given(called, field), message }
    }

    fn no_counterpart(&self, called: &str, field: &Field, message: String) -> RecipeError {
        RecipeError::NoCounterpart { given: self.given(called, field), message }
    }

    fn given(&self, called: &str, field: &Field) -> Given {
        let place = place(&field.origin, self.path);
        Given { field: called.to_owned(), called: None, place }
    }
}

/// Puts a field to its place among sections, which are made where they aren't there.
fn insert(node: &mut Node, sections: &[&str], field: Field) {
    let Content::Fields(fields) = &mut node.content else { return };
    let Some((section, deeper)) = sections.split_first() else {
        fields.push(field);
        return;
    };
    if let Some(known) = fields.iter_mut().find(|known| known.name == *section) {
        return insert(&mut known.value, deeper, field);
    }
    let origin = field.origin.clone();
    let mut value = Node::new(origin.clone(), Content::Fields(Vec::new()));
    insert(&mut value, deeper, field);
    fields.push(Field { name: (*section).to_owned(), origin, called: None, value });
}

fn word(value: &Node) -> Option<String> {
    match &value.content {
        Content::Null => Some("null".to_owned()),
        Content::Bool(value) => Some(value.to_string()),
        Content::Text(text) => Some(text.to_lowercase()),
        _ => None,
    }
}

fn meant<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    match suggest::nearest(found, names) {
        Some(name) => format!("it is not known; `{name}` is meant?"),
        None => "it is not known; leave it out, or write a recipe, whose fields the schema lists"
            .to_owned(),
    }
}
