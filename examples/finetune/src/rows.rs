//! From records to rows, once: the next run with the same data and settings finds them.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use collimate_data::{
    ColumnMapping, Formatter, OnNothingTrained, Part, Preparation, PrepareSettings, PreparedRows,
    ReadSettings, Result, Source, SplitConfig, TemplateFolder, Tokenizer, Truncation,
};

use crate::arguments::Arguments;

/// The share of the records to train on.
const TRAINED: f64 = 0.9;

/// The rows of files, tokenized for a model, in a folder that keeps them.
pub fn rows(
    arguments: &Arguments,
    model: &Path,
    tokenizer: &Tokenizer,
    most_tokens: usize,
    folder: &Path,
    cancelled: &AtomicBool,
) -> Result<PreparedRows> {
    let source = Source::open(&arguments.data)?;
    let recognition = source.recognize(&ReadSettings::default(), ColumnMapping::default())?;
    recognition.refuse_preferences()?;
    let templates = TemplateFolder::read(model)?;
    let named = arguments.template.as_deref().map(|name| templates.named(name)).transpose()?;
    let formatter = Formatter::of_model(&templates, named)?;
    let settings = PrepareSettings::default()
        .with_max_length(Some(most_tokens))
        .with_truncation(Truncation::KeepStart)
        .with_on_nothing_trained(OnNothingTrained::Drop);
    Preparation::new(&source, &recognition, &formatter, tokenizer).with_settings(settings).rows(
        folder,
        cancelled,
        &mut (),
    )
}

/// The rows to train on, and those to measure on: none where there are too few of them. Duplicates stay
/// together.
pub fn split(rows: &PreparedRows, seed: u64) -> Result<(Vec<usize>, Vec<usize>)> {
    let groups = rows.groups()?.unwrap_or_default();
    if groups.iter().collect::<std::collections::BTreeSet<_>>().len() < 2 {
        return Ok(((0..rows.len()).collect(), Vec::new()));
    }
    let config = SplitConfig::default().with_train(TRAINED).with_validation(1.0 - TRAINED);
    let split = config.with_seed(seed).check()?.by_first_row(&groups)?;
    Ok((split.rows(Part::Train), split.rows(Part::Validation)))
}
