//! Which text an example becomes.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use collimate_data::{
    BuiltIn, DataError, Example, Fingerprint, Formatter, RenderOptions, Result, TemplateFolder,
    TemplateTime,
};

use crate::arguments::Arguments;

const DAY: u64 = 24 * 60 * 60;

pub struct Formatting {
    pub formatter: Formatter,
    has_template: bool,
    /// All that the texts depend on beside the records.
    pub fingerprint: Fingerprint,
}

impl Formatting {
    /// Renders with the template that was asked for, else the model's, else none.
    pub fn new(arguments: &Arguments, model: Option<&Path>) -> Result<Self> {
        let folder = model.map(TemplateFolder::read).transpose()?.unwrap_or_default();
        let end_of_text = folder.tokens.get("eos_token").and_then(|token| token.as_str());
        let mut formatter = Formatter::new(end_of_text.unwrap_or_default())
            .with_strings_as_turns(arguments.template.is_some());
        let mut fingerprint = Fingerprint::new()
            .with_value("strings as turns", &arguments.template.is_some())?
            .with_value("special tokens", &folder.tokens)?;
        // Nobody who gives no data has a template of his own.
        let default = arguments.data.is_empty().then(|| "chatml".to_owned());
        let template = match arguments.template.clone().or(default) {
            Some(name) => Some(folder.named(&name)?),
            None if folder.templates.is_empty() => None,
            None => Some(folder.choose(None, false)?),
        };
        let Some(template) = template else {
            return Ok(Self { formatter, fingerprint, has_template: false });
        };
        fingerprint = fingerprint
            .with_text("template name", template.name())
            .with_text("template", template.source());
        let mut now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if !arguments.render {
            // The rows of a day are the same, whatever its hour.
            now -= now % DAY;
        }
        if template.source().contains("strftime_now") {
            fingerprint = fingerprint.with_value("now", &now)?;
        }
        let mut options = RenderOptions::default();
        options.now = TemplateTime::from_unix(now);
        formatter = formatter.with_options(options).with_template(template);
        Ok(Self { formatter, fingerprint, has_template: true })
    }

    /// Whether there is a template, or an example does without.
    pub fn check(&self, example: &Example) -> Result<()> {
        if self.has_template || self.formatter.texts(example).is_ok() {
            return Ok(());
        }
        let names: Vec<&str> = BuiltIn::ALL.iter().map(|built_in| built_in.name()).collect();
        Err(DataError::Setting {
            setting: "--template",
            message: format!(
                "is needed: the records are conversations, and the model's folder has no chat template; \
                 it is a file or one of {}",
                names.join(", ")
            ),
        })
    }
}
