//! What is aligned, on what, how, and what is measured.

mod check;
mod conventional;
mod data;
mod deserialize;
mod error;
mod evaluation;
mod format;
mod hash;
mod node;
mod output;
mod overrides;
mod section;
mod suggest;
mod training;
mod values;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde_json::Value;

use deserialize::{Fault, What};
use error::Result;
use node::{Content, Node, Origin};
use section::section;
use values::one_or_many;

pub use check::CheckedRecipe;
pub use data::{Column, DataFormat, DataRecipe, Mask, OnNothingTrained, Truncation};
pub use error::{Given, Place, RecipeError};
pub use evaluation::{EvaluationRecipe, HiddenSource, Metric, Pooling, ProbeColumns};
pub use format::RecipeFormat;
pub use hash::Section;
pub use output::{
    FigureFormat, OutputDtype, OutputForm, OutputRecipe, ReportRecipe, TrackingRecipe, WeightDtype,
};
pub use overrides::Override;
pub use training::{
    Arrangement, Initialization, MethodKind, MethodRecipe, NonFinite, Optimizer, Schedule,
    TrainingRecipe,
};
pub use values::{Every, LayerChoice, ModelChoice, Targets};

/// Most bytes of a recipe's file.
const MOST_BYTES: u64 = 1 << 20;
/// The word for what the program brings.
const EMBEDDED: &str = "embedded";

section! {
    /// What is aligned, on what, how, and what is measured before and after.
    ///
    /// Relative paths in a file are relative to its folder.
    Recipe {
        /// The models, one or several: each a name, whole or in part; a path, which begins with `.` or `/`;
        /// or `embedded`, the small model that the program brings. Default `embedded`.
        #[serde(deserialize_with = "one_or_many")]
        #[schemars(schema_with = "values::one_or_many_models")]
        models, with_models: Vec<ModelChoice> = vec![ModelChoice::new(EMBEDDED)];
        /// What they are trained on.
        data, with_data: DataRecipe = DataRecipe::default();
        /// What of them is trained.
        method, with_method: MethodRecipe = MethodRecipe::default();
        /// How they are trained.
        training, with_training: TrainingRecipe = TrainingRecipe::default();
        /// What is measured before and after.
        evaluation, with_evaluation: EvaluationRecipe = EvaluationRecipe::default();
        /// What is written.
        output, with_output: OutputRecipe = OutputRecipe::default();
        /// Where the run is recorded.
        tracking, with_tracking: TrackingRecipe = TrackingRecipe::default();
        /// How what changed is shown.
        report, with_report: ReportRecipe = ReportRecipe::default();
        /// Where it runs: `cpu`, or `cuda`, `vulkan`, `wgpu` where the program was built with them, with a
        /// number as in `cuda:1`. Default `cpu`.
        device, with_device: String = "cpu".to_owned();
        /// The type of the weights while a model runs. Default `f32`.
        dtype, with_dtype: WeightDtype = WeightDtype::default();
        /// What every random choice follows from. Default 42.
        seed, with_seed: u64 = 42;
    }
}

impl Recipe {
    /// Reads a recipe, or the configuration of a conventional trainer, lays overrides over it, and checks it.
    ///
    /// # Errors
    ///
    /// [`RecipeError::Read`], [`RecipeError::Format`], and all that
    /// [`Recipe::parse`] says.
    pub fn read(path: impl AsRef<Path>, overrides: &[Override]) -> Result<CheckedRecipe> {
        let path = path.as_ref();
        let failed = |source| RecipeError::Read { path: path.to_owned(), source };
        let too_large = || RecipeError::TooLarge { path: path.to_owned(), limit: MOST_BYTES };
        let format = RecipeFormat::of_path(path)
            .ok_or_else(|| RecipeError::Format { path: path.to_owned() })?;
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() > MOST_BYTES {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(too_large());
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = error.as_bytes().get(..error.utf8_error().valid_up_to());
            let lines = before.unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
            RecipeError::Syntax {
                place: Place::File { path: path.to_owned(), line: Some(lines as u64 + 1) },
                message: "it is not UTF-8".to_owned(),
            }
        })?;
        Self::parse(&text, format, path, overrides)
    }

    /// Reads a recipe that stands, or would stand, in the file at `path`.
    ///
    /// ```
    /// use collimate_pipeline::{Recipe, RecipeFormat};
    ///
    /// let read = |text| Recipe::parse(text, RecipeFormat::Yaml, "recipe.yaml".as_ref(), &[]);
    /// assert_eq!(read("training: {epochs: 1}")?.recipe().training.epochs, 1.0);
    ///
    /// let error = read("training:\n  epocs: 1").unwrap_err().to_string();
    /// assert_eq!(
    ///     error,
    ///     "recipe.yaml:2: there is no field `training.epocs`; `training.epochs` is meant?"
    /// );
    /// # Ok::<(), collimate_pipeline::RecipeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecipeError::TooLarge`], [`RecipeError::Syntax`], [`RecipeError::Unknown`],
    /// [`RecipeError::Value`], [`RecipeError::Contradiction`]; [`RecipeError::NoCounterpart`] for a conventional trainer's
    /// configuration; [`RecipeError::Override`].
    pub fn parse(
        text: &str,
        format: RecipeFormat,
        path: &Path,
        overrides: &[Override],
    ) -> Result<CheckedRecipe> {
        if text.len() as u64 > MOST_BYTES {
            return Err(RecipeError::TooLarge { path: path.to_owned(), limit: MOST_BYTES });
        }
        let mut root = format.parse(text, path)?;
        if conventional::is_conventional(&root) {
            root = conventional::converted(root, path)?;
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder =
            std::path::absolute(if folder == Path::new("") { Path::new(".") } else { folder })
                .map_err(|source| RecipeError::Read { path: path.to_owned(), source })?;
        overrides.iter().try_for_each(|change| change.apply(&mut root))?;
        let mut recipe = of_tree(&root, path)?;
        recipe.resolve(&root, &folder);
        check::checked(recipe, &root, path)
    }

    /// This recipe with overrides laid over it.
    ///
    /// # Errors
    ///
    /// [`RecipeError::Override`], [`RecipeError::Unknown`], [`RecipeError::Value`].
    pub fn with_overrides(&self, overrides: &[Override]) -> Result<Self> {
        let mut tree = self.tree();
        overrides.iter().try_for_each(|change| change.apply(&mut tree))?;
        of_tree(&tree, Path::new(""))
    }

    /// Checks the settings, and settles those that follow from others.
    ///
    /// ```
    /// use collimate_pipeline::{DataRecipe, Metric, Recipe};
    ///
    /// let checked = Recipe::default().check()?;
    /// let metrics = checked.recipe().evaluation.metrics.as_deref();
    /// assert_eq!(metrics, Some([Metric::Perplexity, Metric::Aqi, Metric::Refusal].as_slice()));
    ///
    /// let error = Recipe::default().with_data(DataRecipe::default().with_held_out(1.0)).check();
    /// assert_eq!(
    ///     error.unwrap_err().to_string(),
    ///     "`data.held_out` is 1; it has to be from 0 to below 1"
    /// );
    /// # Ok::<(), collimate_pipeline::RecipeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecipeError::Value`], [`RecipeError::Contradiction`].
    pub fn check(self) -> Result<CheckedRecipe> {
        let tree = self.tree();
        check::checked(self, &tree, Path::new(""))
    }

    /// The JSON Schema of recipes (draft 2020-12).
    pub fn schema() -> Value {
        let generator: SchemaGenerator = SchemaSettings::draft2020_12().into_generator();
        generator.into_root_schema_for::<Self>().to_value()
    }

    /// What isn't as by default.
    fn tree(&self) -> Node {
        let value = |recipe: &Self| serde_json::to_value(recipe).unwrap_or(Value::Null);
        Node::of_difference(&value(self), &value(&Self::default()))
    }

    /// Makes paths that stand in the file relative to its folder; those of overrides and defaults are
    /// relative to where the program runs.
    fn resolve(&mut self, tree: &Node, folder: &Path) {
        let text = |text: &mut String| *text = folder.join(&*text).display().to_string();
        for (at, choice) in self.models.iter_mut().enumerate() {
            let model = &mut choice.model;
            let is_path = model.starts_with('.') || Path::new(model).is_absolute();
            if is_path && is_of_file(tree, "models", at) {
                text(model);
            }
        }
        for (at, path) in self.data.paths.iter_mut().enumerate() {
            if path != EMBEDDED && is_of_file(tree, "data.paths", at) {
                text(path);
            }
        }
        if let Some(template) = &mut self.data.template
            && template.contains(['.', '/', '\\'])
            && is_of_file(tree, "data.template", 0)
        {
            text(template);
        }
        if let Some(probes) = &mut self.evaluation.probes
            && probes != EMBEDDED
            && is_of_file(tree, "evaluation.probes", 0)
        {
            text(probes);
        }
        if is_of_file(tree, "output.folder", 0) {
            self.output.folder = folder.join(&self.output.folder);
        }
        if let Some(database) = &mut self.tracking.database
            && is_of_file(tree, "tracking.database", 0)
        {
            *database = folder.join(&*database);
        }
    }
}

/// Whether a field, or one of several in its list, stands in a file.
fn is_of_file(tree: &Node, field: &str, at: usize) -> bool {
    let Some(field) = tree.at(field) else { return false };
    let one = match &field.value.content {
        Content::List(nodes) => nodes.get(at).unwrap_or(&field.value),
        _ => &field.value,
    };
    let one = one.field("model").map_or(one, |field| &field.value);
    matches!(one.origin, Origin::Line(_))
}

/// Where something in a tree was given.
fn place(origin: &Origin, path: &Path) -> Place {
    match origin {
        Origin::None => Place::Default,
        Origin::Line(line) => Place::File { path: path.to_owned(), line: Some(*line) },
        Origin::Override(text) => Place::Override(text.clone()),
    }
}

fn of_tree(tree: &Node, path: &Path) -> Result<Recipe> {
    Recipe::deserialize(tree).map_err(|Fault { origin, path: mut names, called, what }| {
        let place = place(&origin.unwrap_or_default(), path);
        let found = names.first().cloned().unwrap_or_default();
        names.reverse();
        let field = names.join(".");
        match what {
            What::UnknownField(known) => {
                names.pop();
                let near = suggest::nearest(&found, known.iter().copied()).map(|name| {
                    names.push(name.to_owned());
                    names.join(".")
                });
                let meant = suggest::elsewhere(&found).or(near);
                let field = called.unwrap_or(field);
                RecipeError::Unknown { place, field, meant }
            }
            What::Value(message) => {
                let field = if field.is_empty() { "recipe".to_owned() } else { field };
                RecipeError::Value { given: Given { field, called, place }, message }
            }
        }
    })
}
