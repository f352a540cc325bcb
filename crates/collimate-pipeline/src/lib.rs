#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod files;
mod measure;
mod recipe;
mod run;
mod settings;

pub use error::{PipelineError, Result};
pub use measure::{
    Comparison, HeldOutData, MeasureCache, MeasureConfig, Measured, Question, Subject, TextScores,
    rate_answers, read_probes,
};
pub use recipe::{
    Arrangement, CheckedRecipe, Column, DataFormat, DataRecipe, EvaluationRecipe, Every,
    FigureFormat, Given, HiddenSource, Initialization, LayerChoice, Mask, MethodKind, MethodRecipe,
    Metric, ModelChoice, NonFinite, OnNothingTrained, Optimizer, OutputDtype, OutputForm,
    OutputRecipe, Override, Place, Pooling, ProbeColumns, Recipe, RecipeError, RecipeFormat,
    ReportRecipe, Schedule, Section, Targets, TrackingRecipe, TrainingRecipe, Truncation,
    WeightDtype,
};
pub use run::{
    Aligned, Clock, Embedded, ModelRun, RunEvent, RunObserver, RunReport, Stage, Surroundings, run,
};
