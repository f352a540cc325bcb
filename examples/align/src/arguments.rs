use std::path::PathBuf;

use clap::Parser;
use collimate_models::ScanConfig;
use collimate_pipeline::{CheckedRecipe, Override, Recipe, RecipeFormat};
use shell::{Outcome, hub_cache};

/// The recipe of the embedded model.
const EMBEDDED: &str = include_str!("../recipe.yaml");

/// Aligns a language model: finds it, trains it on a data set (LoRA, or all parameters), writes the aligned
/// model, and measures what changed.
///
/// Without arguments it aligns the small model that it brings along, with the data it brings along, in the
/// folder `aligned`. What was done before is not done again; an interrupted run goes on.
#[derive(Parser)]
#[command(version)]
pub struct Arguments {
    /// Recipe: a YAML, TOML or JSON file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Model: a folder that begins with / or ., a name in any spelling, or embedded
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// File, folder or pattern with records to train on
    #[arg(long, value_name = "PATH")]
    pub data: Option<String>,
    /// File of safe and unsafe prompts
    #[arg(long, value_name = "FILE")]
    pub probes: Option<String>,
    /// Folder that everything is written to [default: aligned]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where it runs: cpu, or cuda, vulkan, wgpu where the program was built with them, with a number
    /// as in cuda:1
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Another value for a field of the recipe, as training.epochs=1; may be given several times
    #[arg(long, value_name = "FIELD=VALUE")]
    pub set: Vec<Override>,
    /// Folder to look for models in, may be given several times [default: ./models]
    #[arg(long, value_name = "DIR")]
    pub root: Vec<PathBuf>,
    /// Print what happens, and in the end the result, as lines of JSON
    #[arg(long)]
    pub json_events: bool,
}

impl Arguments {
    /// The recipe with what the command line changes of it.
    pub fn recipe(&self) -> Outcome<CheckedRecipe> {
        let mut overrides = Vec::new();
        let out = self.out.as_ref().map(|out| out.display().to_string());
        for (field, value) in [
            ("models", &self.model),
            ("data.paths", &self.data),
            ("evaluation.probes", &self.probes),
            ("output.folder", &out),
            ("device", &self.device),
        ] {
            if let Some(value) = value {
                overrides.push(Override::text(field, value)?);
            }
        }
        overrides.extend(self.set.iter().cloned());
        Ok(match &self.config {
            Some(file) => Recipe::read(file, &overrides)?,
            None => {
                let name = "the recipe of the program".as_ref();
                let of_own_model = self.model.is_some() || self.data.is_some();
                let text = if of_own_model { "" } else { EMBEDDED };
                Recipe::parse(text, RecipeFormat::Yaml, name, &overrides)?
            }
        })
    }

    /// Where models are looked for.
    pub fn places(&self) -> ScanConfig {
        let mut places = ScanConfig::new();
        for root in &self.root {
            places = places.with_root(root);
        }
        if self.root.is_empty() {
            places = places.with_root("models");
        }
        match hub_cache() {
            Some(cache) => places.with_hub_cache(cache),
            None => places,
        }
    }
}
