//! What a model is trained and measured on.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use collimate_data::{
    Part, Preparation, PreparedRows, PromptSet, Row, Source, TemplateFolder, Tokenizer,
};
use collimate_lm::DecoderConfig;

use super::find::{EMBEDDED, Found};
use super::place::Place;
use super::surroundings::Surroundings;
use crate::error::{PipelineError, Result};
use crate::measure::{HeldOutData, read_probes};
use crate::recipe::CheckedRecipe;

/// The rows of a recipe's data for one model.
pub(super) struct Data {
    pub(super) rows: PreparedRows,
    /// The rows to train on.
    pub(super) trained: Vec<usize>,
    /// The rows that are held out.
    pub(super) held_out: Vec<usize>,
    /// Most tokens of a row.
    pub(super) max_length: usize,
    /// What a user should know of them.
    pub(super) notes: Vec<String>,
}

impl Data {
    pub(super) fn prepare(
        recipe: &CheckedRecipe,
        surroundings: &Surroundings,
        model: &Found,
        tokenizer: &Tokenizer,
        place: &Place,
        cancelled: &AtomicBool,
    ) -> Result<Self> {
        let reading = recipe.read_settings();
        let source = Source::open(paths(recipe, surroundings)?)?;
        let recognition = source.recognize(&reading, recipe.column_mapping())?;
        recognition.refuse_preferences()?;
        let config_path = model.folder.join("config.json");
        let config = std::fs::read(&config_path).map_err(PipelineError::io(&config_path))?;
        let config = DecoderConfig::from_json(&config, config_path.display().to_string())?;
        let max_length = recipe.max_length(config.max_position_embeddings);
        let formatter = recipe.formatter(&TemplateFolder::read(&model.folder)?)?;
        let preparation = Preparation::new(&source, &recognition, &formatter, tokenizer)
            .with_reading(reading)
            .with_settings(recipe.prepare_settings(max_length));
        let rows = preparation.rows(&place.work.join("prepared"), cancelled, &mut ())?;
        let (trained, held_out) = split(recipe, &rows)?;
        let mut notes = Vec::new();
        let report = rows.report();
        if report.truncated_rows > 0 || report.dropped_records() > 0 {
            notes.push(format!(
                "{} rows cut to {max_length} tokens, {} records without anything to learn left out",
                report.truncated_rows,
                report.dropped_records()
            ));
        }
        if held_out.is_empty() && recipe.recipe().data.held_out > 0.0 {
            notes.push("too few rows that differ: none is held out".to_owned());
        }
        Ok(Self { rows, trained, held_out, max_length, notes })
    }

    /// The rows that are held out, to be predicted; none if there are none.
    pub(super) fn held_out(&self) -> Result<Option<HeldOutData>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let rows: Vec<Row> =
            self.held_out.iter().map(|&row| self.rows.row(row)).collect::<Result<_, _>>()?;
        Ok(Some(HeldOutData::of_rows(rows)))
    }
}

fn paths(recipe: &CheckedRecipe, surroundings: &Surroundings) -> Result<Vec<String>> {
    let embedded = || {
        let file = surroundings.embedded.data.as_deref();
        let file = file.ok_or(PipelineError::NotEmbedded { what: "data" })?;
        Ok(file.display().to_string())
    };
    let path = |path: &String| match path.as_str() {
        EMBEDDED => embedded(),
        path => Ok(path.to_owned()),
    };
    recipe.recipe().data.paths.iter().map(path).collect()
}

/// The rows to train on, and those to measure on: none where there are too few of them. Duplicates stay
/// together.
fn split(recipe: &CheckedRecipe, rows: &PreparedRows) -> Result<(Vec<usize>, Vec<usize>)> {
    let groups = rows.groups()?.unwrap_or_default();
    let several = groups.iter().collect::<std::collections::BTreeSet<_>>().len() > 1;
    if !several || recipe.recipe().data.held_out == 0.0 {
        return Ok(((0..rows.len()).collect(), Vec::new()));
    }
    let split = recipe.split_config().check()?.by_first_row(&groups)?;
    Ok((split.rows(Part::Train), split.rows(Part::Validation)))
}

/// The safe and unsafe prompts; none where nothing of them is measured.
pub(super) fn probes(recipe: &CheckedRecipe, surroundings: &Surroundings) -> Result<PromptSet> {
    use crate::recipe::Metric::{Aqi, Refusal};
    let path: PathBuf = match recipe.recipe().evaluation.probes.as_deref() {
        _ if !recipe.wants(Aqi) && !recipe.wants(Refusal) => return Ok(Default::default()),
        None => return Ok(Default::default()),
        Some(EMBEDDED) => surroundings
            .embedded
            .probes
            .clone()
            .ok_or(PipelineError::NotEmbedded { what: "probes" })?,
        Some(path) => Path::new(path).to_owned(),
    };
    let mut probes = read_probes(&path, &recipe.prompt_columns())?;
    recipe.keep_axioms(&mut probes)?;
    Ok(probes)
}
