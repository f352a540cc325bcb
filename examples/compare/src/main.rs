//! Compares two language models with `collimate-eval`, shows what changed with `collimate-report` and
//! records it with `collimate-track`. `compare --help` describes the arguments.

mod arguments;
mod demonstration;
mod table;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use collimate_data::{ChatTemplate, PromptColumns, PromptSet, TemplateFolder};
use collimate_eval::{HttpJudgeConfig, LocalJudge, PeakMemory, Rubric, model_fingerprint};
use collimate_pipeline::{
    Comparison, HeldOutData, MeasureCache, MeasureConfig, Measured, PipelineError, Subject,
    rate_answers, read_probes,
};
use collimate_report::Fact;
use collimate_track::{CheckedOptions, Database, ExperimentSetup, Outcome as Ending};
use shell::{ModelArguments, Outcome, note};

use arguments::Arguments;
use demonstration::Pair;

fn main() -> ExitCode {
    shell::main(run, |error| {
        ModelArguments::is_ours(error)
            || matches!(error.downcast_ref::<PipelineError>(), Some(error) if error.is_cancelled())
    })
}

fn run(mut arguments: Arguments, cancelled: &AtomicBool) -> Outcome {
    let (Some(before), Some(after), Some(probes)) =
        (&arguments.before, &arguments.after, &arguments.probes)
    else {
        let pair = Pair::write()?;
        arguments.before = Some(pair.before());
        arguments.after = Some(pair.after());
        arguments.probes = Some(pair.probes());
        arguments.held_out = Some(pair.held_out());
        arguments.cache = Some(pair.cache());
        arguments.answers = Some(8);
        return run(arguments, cancelled);
    };
    let config = arguments.measuring();
    let probes_read = read_probes(probes, &PromptColumns::default())?;
    let held_out = arguments.held_out.as_deref().map(HeldOutData::read).transpose()?;
    let cache = arguments.cache.clone().or_else(user_cache);
    let cache = MeasureCache::new(cache.ok_or("there is no home folder: name one with --cache")?);

    let measure = |folder: &Path| -> Outcome<Measured> {
        let place = Place::of(folder, before)?;
        let measured = place.measure(
            &arguments,
            &config,
            &probes_read,
            held_out.as_ref(),
            &cache,
            cancelled,
        )?;
        if let Some(states) = &measured.states {
            let states = states.report;
            note(format_args!(
                "{}: {} of {} prompts differ, {} of them from the cache",
                folder.display(),
                states.distinct,
                states.texts,
                states.from_cache
            ));
        }
        Ok(measured)
    };
    let (mut first, mut second) = (measure(before)?, measure(after)?);
    judge(&arguments, &probes_read, [&mut first, &mut second], cancelled)?;
    let comparison = config.compare(&probes_read, first, second)?;

    let names = [before, after].map(|folder| name(folder));
    let names = [names[0].as_str(), names[1].as_str()];
    let title = format!("{} and {}", names[0], names[1]);
    let mut report = comparison.report(&title, names, &probes_read, &config)?;
    report.settings = settings(&arguments);
    let report = report.check()?;
    if let Some(path) = &arguments.db {
        record(path, names, &comparison, &probes_read, &config, &arguments)?;
    }
    if let Some(path) = &arguments.html {
        shell::write_whole(path, report.html().as_bytes())?;
    }
    let mut to_terminal = table::table(&report);
    if let Some(path) = &arguments.json {
        let mut text = serde_json::to_string_pretty(&comparison.json(names))?;
        text.push('\n');
        match path.as_os_str() == "-" {
            true => to_terminal = text,
            false => shell::write_whole(path, text.as_bytes())?,
        }
    }
    Ok(io::stdout().write_all(to_terminal.as_bytes())?)
}

/// Where a model lies.
struct Place {
    model: PathBuf,
    adapter: Option<PathBuf>,
}

impl Place {
    /// That of a model's folder, or of an adapter's beside its base.
    fn of(folder: &Path, base: &Path) -> Outcome<Self> {
        let is_adapter =
            folder.join("adapter_config.json").is_file() && !folder.join("config.json").is_file();
        match (is_adapter, folder == base) {
            (true, true) => Err(format!(
                "{} is an adapter: name its model with --before, and the adapter with --after",
                folder.display()
            )
            .into()),
            (true, false) => Ok(Self { model: base.to_owned(), adapter: Some(folder.to_owned()) }),
            (false, _) => Ok(Self { model: folder.to_owned(), adapter: None }),
        }
    }

    fn measure(
        &self,
        arguments: &Arguments,
        config: &MeasureConfig,
        probes: &PromptSet,
        held_out: Option<&HeldOutData>,
        cache: &MeasureCache,
        cancelled: &AtomicBool,
    ) -> Outcome<Measured> {
        let of_model = ModelArguments {
            model: None,
            adapter: self.adapter.clone(),
            device: arguments.device.clone(),
            dtype: arguments.dtype.clone(),
        };
        let fingerprint = model_fingerprint(&self.model, self.adapter.as_deref())?;
        let peak = PeakMemory::start();
        let opened = of_model.open(&self.model, cancelled)?;
        let template = template(&self.model)?;
        let subject = Subject {
            decoder: &opened.decoder,
            tokenizer: &opened.tokenizer,
            template: template.as_ref(),
            fingerprint,
        };
        Ok(config.measure(&subject, probes, held_out, cache, peak, cancelled)?)
    }
}

/// Has the answers rated, if there is a judge.
fn judge(
    arguments: &Arguments,
    probes: &PromptSet,
    models: [&mut Measured; 2],
    cancelled: &AtomicBool,
) -> Outcome {
    let rubric = Rubric::new("quality", &arguments.criteria);
    match (&arguments.judge, &arguments.judge_url, &arguments.judge_model) {
        (Some(folder), _, _) => {
            let of_judge = ModelArguments {
                model: None,
                adapter: None,
                device: arguments.device.clone(),
                dtype: arguments.dtype.clone(),
            };
            let opened = of_judge.open(folder, cancelled)?;
            let template = template(folder)?;
            let (decoder, tokenizer) = (&opened.decoder, &opened.tokenizer);
            let name = name(folder);
            let mut judge = LocalJudge::new(name, decoder, tokenizer, template.as_ref(), cancelled);
            rate_answers(&mut judge, &rubric, probes, models)?;
        }
        (None, Some(url), Some(model)) => {
            let mut config = HttpJudgeConfig::new(url, model);
            if let Some(key) = shell::variable("COLLIMATE_JUDGE_KEY") {
                config = config.with_key(key);
            }
            let mut judge = config.check(cancelled)?;
            rate_answers(&mut judge, &rubric, probes, models)?;
            let usage = judge.usage();
            note(format_args!(
                "{url}: {} requests, {} retries, {} tokens",
                usage.requests,
                usage.retries,
                usage.prompt_tokens + usage.completion_tokens
            ));
        }
        _ => {}
    }
    Ok(())
}

/// The chat template of a folder, if it has one.
fn template(folder: &Path) -> Outcome<Option<ChatTemplate>> {
    let folder = TemplateFolder::read(folder)?;
    Ok(match folder.templates.is_empty() {
        true => None,
        false => Some(folder.choose(None, false)?),
    })
}

/// What a model is called: its folder.
fn name(folder: &Path) -> String {
    let last = folder.canonicalize().ok();
    let last = last.as_deref().unwrap_or(folder).file_name();
    last.unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
}

fn settings(arguments: &Arguments) -> Vec<Fact> {
    let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    [
        ("model before", shown(&arguments.before)),
        ("model after", shown(&arguments.after)),
        ("probes", shown(&arguments.probes)),
        ("held-out rows", shown(&arguments.held_out)),
        ("device", Some(arguments.device.clone())),
        ("type of the weights", Some(arguments.dtype.clone())),
        ("seed", Some(arguments.seed.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(Fact::new(name, value?)))
    .collect()
}

fn record(
    path: &Path,
    names: [&str; 2],
    comparison: &Comparison,
    probes: &PromptSet,
    config: &MeasureConfig,
    arguments: &Arguments,
) -> Outcome {
    let mut database = Database::open(path, &CheckedOptions::default())?;
    let settings: serde_json::Map<String, serde_json::Value> =
        settings(arguments).into_iter().map(|fact| (fact.name, fact.value.into())).collect();
    let setup = ExperimentSetup::new(format!("{} to {}", names[0], names[1]), names[0], "compare")
        .with_config(settings.into())
        .with_seed(arguments.seed)
        .with_device(&arguments.device)
        .with_dtype(&arguments.dtype)
        .with_software(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let experiment = database.start_experiment(&setup)?;
    comparison.record(&mut database, experiment, probes, config)?;
    Ok(database.end_experiment(experiment, &Ending::Finished)?)
}

/// Where the user's programs keep what they can compute again.
fn user_cache() -> Option<PathBuf> {
    let cache = shell::variable("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(env::home_dir()?.join(".cache")))?;
    Some(cache.join("collimate"))
}
