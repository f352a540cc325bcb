use std::path::Path;

use super::error::{Given, Place, RecipeError, Result};
use super::evaluation::Metric;
use super::node::{Content, Node};
use super::output::OutputForm;
use super::training::{Arrangement, Initialization, MethodKind, Optimizer};
use super::values::{Every, LayerChoice, Targets};
use super::{EMBEDDED, Recipe, place};

/// A recipe without contradictions, in which all that follows from something else is settled: the metrics,
/// the probes, what is written. Made by [`Recipe::check`] and [`Recipe::read`].
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedRecipe {
    recipe: Recipe,
}

impl CheckedRecipe {
    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Whether this is measured.
    pub(crate) fn wants(&self, metric: Metric) -> bool {
        self.recipe.evaluation.metrics.as_ref().is_some_and(|metrics| metrics.contains(&metric))
    }
}

/// A recipe, and the tree of what was given of it.
struct Check<'a> {
    tree: &'a Node,
    path: &'a Path,
}

pub(super) fn checked(mut recipe: Recipe, tree: &Node, path: &Path) -> Result<CheckedRecipe> {
    let check = Check { tree, path };
    check.models(&recipe)?;
    check.texts(&recipe)?;
    check.data(&recipe)?;
    check.method(&recipe)?;
    check.training(&mut recipe)?;
    check.optimizer(&recipe)?;
    check.evaluation(&mut recipe)?;
    check.output(&mut recipe)?;
    check.tracking(&recipe)?;
    Ok(CheckedRecipe { recipe })
}

impl Check<'_> {
    fn models(&self, recipe: &Recipe) -> Result<()> {
        if recipe.models.is_empty() {
            return self.wrong("models", "is empty; it needs at least one");
        }
        for (at, model) in recipe.models.iter().enumerate() {
            let name = model.alias.as_ref().unwrap_or(&model.model);
            if model.model.trim().is_empty() || name.trim().is_empty() {
                return self.wrong("models", "has a name that is empty");
            }
            let same =
                |other: &super::ModelChoice| other.alias.as_ref().unwrap_or(&other.model) == name;
            if recipe.models.iter().take(at).any(same) {
                let message = format!("has {name:?} twice; give each its own `alias`");
                return self.wrong("models", &message);
            }
        }
        Ok(())
    }

    /// That no text is empty where one is given.
    fn texts(&self, recipe: &Recipe) -> Result<()> {
        let texts = [
            ("data.role_key", &recipe.data.role_key),
            ("data.content_key", &recipe.data.content_key),
            ("data.template", &recipe.data.template),
            ("evaluation.probes", &recipe.evaluation.probes),
            ("output.name", &recipe.output.name),
            ("output.licence", &recipe.output.licence),
            ("tracking.experiment", &recipe.tracking.experiment),
        ];
        let texts = texts.into_iter().filter_map(|(field, text)| Some((field, text.as_deref()?)));
        let columns = &recipe.evaluation.probe_columns;
        let others = [
            ("device", recipe.device.as_str()),
            ("evaluation.probe_columns.input", &columns.input),
            ("evaluation.probe_columns.safety_label", &columns.safety_label),
            ("evaluation.probe_columns.axiom", &columns.axiom),
            ("evaluation.probe_columns.group", &columns.group),
        ];
        if let Some((field, _)) = texts.chain(others).find(|(_, text)| text.trim().is_empty()) {
            return self.wrong(field, "is empty; leave it out, or say something");
        }
        let lists = [
            ("data.paths", &recipe.data.paths),
            ("method.modules_to_save", &recipe.method.modules_to_save),
            ("evaluation.axioms", &recipe.evaluation.axioms),
            ("evaluation.probe_columns.safe", &columns.safe),
            ("evaluation.probe_columns.unsafe", &columns.r#unsafe),
            ("output.languages", &recipe.output.languages),
            ("output.tags", &recipe.output.tags),
            ("tracking.tags", &recipe.tracking.tags),
        ];
        let is_empty = |list: &&Vec<String>| list.iter().any(|text| text.trim().is_empty());
        if let Some((field, _)) = lists.iter().find(|(_, list)| is_empty(list)) {
            return self.wrong(field, "has an entry that is empty");
        }
        for (field, list) in [
            ("data.paths", &recipe.data.paths),
            ("evaluation.probe_columns.safe", &columns.safe),
            ("evaluation.probe_columns.unsafe", &columns.r#unsafe),
        ] {
            if list.is_empty() {
                return self.wrong(field, "is empty; it needs at least one");
            }
        }
        if recipe.output.folder.as_os_str().is_empty() {
            return self.wrong("output.folder", "is empty; it has to be a folder");
        }
        Ok(())
    }

    fn data(&self, recipe: &Recipe) -> Result<()> {
        let data = &recipe.data;
        self.within("data.held_out", data.held_out, 0.0..1.0, "from 0 to below 1")?;
        if let Some(length @ 0..2) = data.max_length {
            let message =
                format!("is {length}; a row needs 2 tokens, as the first one is never predicted");
            return self.wrong("data.max_length", &message);
        }
        if data.pack && matches!(recipe.training.arrangement, Arrangement::ByLength(_)) {
            return self.contradiction(
                "data.pack",
                "training.arrangement",
                "packed sequences are all about equally long; choose one of the two",
            );
        }
        Ok(())
    }

    fn method(&self, recipe: &Recipe) -> Result<()> {
        let method = &recipe.method;
        if method.kind == MethodKind::Full {
            const OF_LORA: [&str; 9] = [
                "method.rank",
                "method.alpha",
                "method.dropout",
                "method.targets",
                "method.modules_to_save",
                "method.rslora",
                "method.dora",
                "method.init",
                "method.learning_rate_ratio",
            ];
            return match OF_LORA.into_iter().find(|field| self.has(field)) {
                Some(field) => self.contradiction(
                    field,
                    "method.kind",
                    "all parameters are trained, and no adapter; leave it out, or choose `lora`",
                ),
                None => Ok(()),
            };
        }
        if !(1..=65_536).contains(&method.rank) {
            let message = format!("is {}; it has to be from 1 to 65536", method.rank);
            return self.wrong("method.rank", &message);
        }
        self.above_zero("method.alpha", method.alpha)?;
        self.within("method.dropout", method.dropout, 0.0..1.0, "from 0 to below 1")?;
        self.above_zero("method.learning_rate_ratio", method.learning_rate_ratio)?;
        match &method.targets {
            Targets::Names(names) if names.iter().all(|name| name.trim().is_empty()) => {
                return self.wrong(
                    "method.targets",
                    "names no module; it has to be `all-linear` or names",
                );
            }
            Targets::Pattern(pattern) if pattern.trim().is_empty() => {
                return self
                    .wrong("method.targets", "is empty; it has to be `all-linear` or names");
            }
            _ => {}
        }
        if method.init == Initialization::Pissa && method.dora {
            return self.contradiction(
                "method.init",
                "method.dora",
                "what `pissa` leaves of the weights has another magnitude; choose one of the two",
            );
        }
        Ok(())
    }

    fn training(&self, recipe: &mut Recipe) -> Result<()> {
        let training = &recipe.training;
        if training.warmup_steps.is_some() && training.warmup_ratio.is_some() {
            return self.contradiction(
                "training.warmup_steps",
                "training.warmup_ratio",
                "both say how long the warm-up takes; choose one of the two",
            );
        }
        if let Some(ratio) = training.warmup_ratio {
            self.within("training.warmup_ratio", ratio, 0.0..=1.0, "from 0 to 1")?;
        }
        let smoothing = training.label_smoothing;
        self.within("training.label_smoothing", smoothing, 0.0..1.0, "from 0 to below 1")?;
        self.above_zero("training.epochs", training.epochs)?;
        for (field, number) in [
            ("training.learning_rate", Some(training.learning_rate)),
            ("training.max_grad_norm", Some(training.max_grad_norm)),
            ("training.neftune_alpha", training.neftune_alpha),
            ("training.threshold", Some(training.threshold)),
        ] {
            self.within(field, number.unwrap_or(0.0), 0.0..f64::INFINITY, "a number, not below 0")?;
        }
        let steps = |every| match every {
            Every::Steps(steps) => Some(steps),
            _ => None,
        };
        let window = match training.arrangement {
            Arrangement::ByLength(window) => Some(window as u64),
            _ => None,
        };
        for (field, count) in [
            ("training.batch_size", Some(training.batch_size as u64)),
            ("training.accumulation", Some(training.accumulation as u64)),
            ("training.max_steps", training.max_steps),
            ("training.arrangement", window),
            ("training.evaluate_every", steps(training.evaluate_every)),
            ("training.checkpoint_every", steps(training.checkpoint_every)),
            ("training.keep_last", Some(training.keep_last as u64)),
            ("training.patience", training.patience.map(u64::from)),
            ("training.logging_steps", Some(training.logging_steps)),
        ] {
            if count == Some(0) {
                return self.wrong(field, "is 0; it has to be at least 1");
            }
        }
        self.while_training(recipe)
    }

    /// What is measured while training.
    fn while_training(&self, recipe: &mut Recipe) -> Result<()> {
        let training = &mut recipe.training;
        let is_measured = training.evaluate_every != Every::Never;
        for (field, is_set) in [
            ("training.keep_best", training.keep_best),
            ("training.patience", training.patience.is_some()),
        ] {
            if is_set && recipe.data.held_out == 0.0 {
                return self.contradiction(
                    field,
                    "data.held_out",
                    "without held-out rows nothing tells which model is better",
                );
            }
            if is_set && !is_measured {
                return self.contradiction(
                    field,
                    "training.evaluate_every",
                    "without measurements nothing tells which model is better",
                );
            }
        }
        if self.has("training.threshold") && training.patience.is_none() {
            return self.contradiction(
                "training.threshold",
                "training.patience",
                "it says how much better is better, but nothing is stopped; give `patience` too",
            );
        }
        if recipe.data.held_out == 0.0 && is_measured {
            if self.has("training.evaluate_every") {
                return self.contradiction(
                    "training.evaluate_every",
                    "data.held_out",
                    "there are no held-out rows to measure on",
                );
            }
            training.evaluate_every = Every::Never;
        }
        Ok(())
    }

    fn optimizer(&self, recipe: &Recipe) -> Result<()> {
        use Optimizer::{Adafactor, Adam, AdamW, Adan, Lamb, Lion, Muon, RmsProp, Sgd};
        let training = &recipe.training;
        let optimizer = training.optimizer;
        let has_betas = matches!(optimizer, AdamW | Adam | Adan | Lamb | Lion);
        let has_epsilon = !matches!(optimizer, Adafactor | Lion | Muon | Sgd);
        let has_momentum = matches!(optimizer, Muon | RmsProp | Sgd);
        for (field, value, has) in [
            ("training.beta_1", training.beta_1, has_betas),
            ("training.beta_2", training.beta_2, has_betas),
            ("training.epsilon", training.epsilon, has_epsilon),
            ("training.momentum", training.momentum, has_momentum),
        ] {
            let Some(value) = value else { continue };
            if !has {
                return self.contradiction(
                    field,
                    "training.optimizer",
                    "this optimizer has no such setting; leave it out",
                );
            }
            match field {
                "training.epsilon" => self.above_zero(field, value)?,
                _ => self.within(field, value, 0.0..1.0, "from 0 to below 1")?,
            }
        }
        let decay = training.weight_decay;
        self.within("training.weight_decay", decay, 0.0..f64::INFINITY, "a number, not below 0")
    }

    fn evaluation(&self, recipe: &mut Recipe) -> Result<()> {
        let evaluation = &mut recipe.evaluation;
        if evaluation.probes.is_none() && recipe.data.paths.iter().all(|path| path == EMBEDDED) {
            evaluation.probes = Some(EMBEDDED.to_owned());
        }
        let has_probes = evaluation.probes.is_some();
        match &mut evaluation.metrics {
            Some(metrics) => {
                metrics.sort_unstable();
                metrics.dedup();
                if metrics.contains(&Metric::Perplexity) && recipe.data.held_out == 0.0 {
                    return self.contradiction(
                        "evaluation.metrics",
                        "data.held_out",
                        "`perplexity` is measured on held-out rows; hold some out, or leave it out",
                    );
                }
                let of_probes =
                    metrics.iter().any(|of| [Metric::Aqi, Metric::Refusal].contains(of));
                if of_probes && !has_probes {
                    return self.contradiction(
                        "evaluation.metrics",
                        "evaluation.probes",
                        "`aqi` and `refusal` are measured on probes; give some, or leave them out",
                    );
                }
            }
            None => {
                let mut metrics = Vec::new();
                if recipe.data.held_out > 0.0 {
                    metrics.push(Metric::Perplexity);
                }
                if has_probes {
                    metrics.extend([Metric::Aqi, Metric::Refusal]);
                }
                evaluation.metrics = Some(metrics);
            }
        }
        let metrics = evaluation.metrics.as_deref().unwrap_or_default();
        const OF_AQI: [&str; 8] = [
            "pooling",
            "source",
            "layers",
            "fit_share",
            "permutations",
            "sign_flips",
            "bootstrap",
            "level",
        ];
        const OF_PROBES: [&str; 2] = ["probe_columns", "axioms"];
        let has_aqi = metrics.contains(&Metric::Aqi);
        let has_refusal = metrics.contains(&Metric::Refusal);
        let of_aqi = OF_AQI.iter().map(|field| (*field, has_aqi));
        let of_probes = OF_PROBES.iter().map(|field| (*field, has_aqi || has_refusal));
        let of_refusal = [("max_new_tokens", has_refusal)];
        for (field, is_measured) in of_aqi.chain(of_probes).chain(of_refusal) {
            let field = format!("evaluation.{field}");
            if !is_measured && self.has(&field) {
                let (other, message) = match has_probes {
                    true => ("evaluation.metrics", "what it is for is not measured; leave it out"),
                    false => {
                        ("evaluation.probes", "what it is for is measured on probes; give some")
                    }
                };
                return self.contradiction(&field, other, message);
            }
        }
        if self.has("evaluation.fit_share") && evaluation.layers != LayerChoice::Fitted {
            return self.contradiction(
                "evaluation.fit_share",
                "evaluation.layers",
                "only `fitted` layers are fitted; leave it out, or choose `fitted`",
            );
        }
        for (field, share) in
            [("evaluation.fit_share", evaluation.fit_share), ("evaluation.level", evaluation.level)]
        {
            if !(share > 0.0 && share < 1.0) {
                let message = format!("is {share}; it has to be between 0 and 1");
                return self.wrong(field, &message);
            }
        }
        if evaluation.sign_flips == 0 {
            return self.wrong("evaluation.sign_flips", "is 0; it has to be at least 1");
        }
        if evaluation.max_new_tokens == 0 {
            return self.wrong("evaluation.max_new_tokens", "is 0; it has to be at least 1");
        }
        Ok(())
    }

    fn output(&self, recipe: &mut Recipe) -> Result<()> {
        let output = &mut recipe.output;
        let is_full = recipe.method.kind == MethodKind::Full;
        let form = *output.form.get_or_insert(match is_full {
            true => OutputForm::Merged,
            false => OutputForm::Both,
        });
        if is_full && form != OutputForm::Merged {
            return self.contradiction(
                "output.form",
                "method.kind",
                "where all parameters are trained there is no adapter; choose `merged`",
            );
        }
        if output.shard_size == Some(0) {
            return self.wrong("output.shard_size", "is 0; it has to be at least 1, such as 5GB");
        }
        if form == OutputForm::Adapter {
            for field in ["output.dtype", "output.shard_size"] {
                if self.has(field) {
                    return self.contradiction(
                        field,
                        "output.form",
                        "it is for the weights of the whole model, which are not written",
                    );
                }
            }
        }
        Ok(())
    }

    fn tracking(&self, recipe: &Recipe) -> Result<()> {
        if recipe.tracking.enabled {
            return Ok(());
        }
        for field in ["tracking.database", "tracking.experiment", "tracking.tags"] {
            if self.has(field) {
                return self.contradiction(field, "tracking.enabled", "nothing is recorded");
            }
        }
        Ok(())
    }

    /// Whether a field was given, be it with its default.
    fn has(&self, field: &str) -> bool {
        self.tree.at(field).is_some_and(|at| !matches!(at.value.content, Content::Null))
    }

    fn above_zero(&self, field: &str, value: f64) -> Result<()> {
        match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => self.wrong(field, &format!("is {value}; it has to be a number above 0")),
        }
    }

    fn within(
        &self,
        field: &str,
        value: f64,
        range: impl std::ops::RangeBounds<f64>,
        expected: &str,
    ) -> Result<()> {
        match range.contains(&value) {
            true => Ok(()),
            false => self.wrong(field, &format!("is {value}; it has to be {expected}")),
        }
    }

    fn wrong<T>(&self, field: &str, message: &str) -> Result<T> {
        Err(RecipeError::Value { given: self.given(field), message: message.to_owned() })
    }

    fn contradiction<T>(&self, first: &str, second: &str, message: &str) -> Result<T> {
        Err(RecipeError::Contradiction {
            first: Box::new(self.given(first)),
            second: Box::new(self.given(second)),
            message: message.to_owned(),
        })
    }

    fn given(&self, field: &str) -> Given {
        let at = self.tree.at(field);
        Given {
            field: field.to_owned(),
            called: at.and_then(|at| at.called.clone()),
            place: at.map_or(Place::Default, |at| place(&at.origin, self.path)),
        }
    }
}
