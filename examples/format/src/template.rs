//! Which text an example becomes.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use collimate_data::{
    BuiltIn, DataError, Example, Formatter, RenderOptions, Result, TemplateFolder, TemplateTime,
};

use crate::arguments::Arguments;

const DAY: u64 = 24 * 60 * 60;

/// Renders with the template that was asked for, else the model's, else none.
pub fn formatter(arguments: &Arguments, model: Option<&Path>) -> Result<Formatter> {
    let folder = model.map(TemplateFolder::read).transpose()?.unwrap_or_default();
    let mut formatter = match &arguments.template {
        Some(name) => Formatter::of_model(&folder, Some(folder.named(name)?))?,
        None => Formatter::of_model(&folder, None)?,
    };
    // Nobody who gives no data has a template of his own.
    if arguments.data.is_empty() && arguments.template.is_none() {
        formatter = formatter.with_template(folder.named("chatml")?);
    }
    let mut now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if !arguments.render {
        // The rows of a day are the same, whatever its hour.
        now -= now % DAY;
    }
    let mut options = RenderOptions::default();
    options.now = TemplateTime::from_unix(now);
    Ok(formatter.with_options(options))
}

/// Whether there is a template, or an example does without.
pub fn check(formatter: &Formatter, example: &Example) -> Result<()> {
    if formatter.template().is_some() || formatter.texts(example).is_ok() {
        return Ok(());
    }
    let names: Vec<&str> = BuiltIn::ALL.iter().map(|built_in| built_in.name()).collect();
    Err(DataError::Setting {
        setting: "--template",
        message: format!(
            "is needed: the records are conversations, and the model's folder has no chat template; it is a \
             file or one of {}",
            names.join(", ")
        ),
    })
}
