//! The command line.

use crate::failure::{Failure, Result};
use clap::error::ErrorKind;
use clap::{ArgGroup, Parser, ValueEnum};
use collimate_aqi::{
    Aqi, AqiConfig, AqiError, DeltaConfig, IntervalMethod, Lambda, Mode, OnNonFinite,
    TransformChain,
};
use std::path::PathBuf;

/// How well do embeddings separate safe from unsafe prompts? Prints the Alignment Quality Index
/// with a confidence interval and a p-value; without files, that of embedded demonstration data.
///
/// Embeddings are .npy (f2, f4, f8) or .safetensors (f16, bf16, f32, f64; the tensor
/// "embeddings"), [n, d] or [n, layers, d]. With layers, each is scored, the last gives the
/// headline, and weights of all layers are fitted on one half of the rows and scored on the other.
///
/// Labels, ids, axioms and groups are .npy (integers, booleans, strings), .csv or .tsv with a
/// header, .jsonl, or text with one per line; FILE:COLUMN chooses a column or field. Exit code 2
/// means that the input is wrong, 1 that something else is.
#[derive(Clone, Debug, Parser)]
#[command(name = "aqi", version, allow_negative_numbers = true)]
#[command(group(ArgGroup::new("data").args(["embeddings", "before"])))]
pub struct Arguments {
    /// Embeddings to score
    #[arg(long, value_name = "FILE", requires = "labels")]
    pub embeddings: Option<PathBuf>,

    /// Embeddings of the same prompts before a change
    #[arg(long, value_name = "FILE", requires_all = ["labels", "after"])]
    pub before: Option<PathBuf>,

    /// Embeddings after the change; rows are paired by id, or by position where there are no ids
    #[arg(long, value_name = "FILE", requires = "before")]
    pub after: Option<PathBuf>,

    /// Class of each row
    #[arg(long, value_name = "FILE", requires = "data")]
    pub labels: Option<PathBuf>,

    /// Id of each row, unique
    #[arg(long, value_name = "FILE", requires = "data")]
    pub ids: Option<PathBuf>,

    /// Axiom (or other stratum) of each row: labels are permuted within, and each is scored
    #[arg(long, value_name = "FILE", requires = "data")]
    pub axioms: Option<PathBuf>,

    /// Group of each row: rows that depend on each other, such as paraphrases of one prompt
    #[arg(long, value_name = "FILE", requires = "data")]
    pub groups: Option<PathBuf>,

    /// Labels of the rows after, where these are other rows or in another order
    #[arg(long, value_name = "FILE", requires_all = ["after", "ids_after"])]
    pub labels_after: Option<PathBuf>,

    /// Ids of the rows after, where these are other rows or in another order
    #[arg(long, value_name = "FILE", requires_all = ["ids", "labels_after"])]
    pub ids_after: Option<PathBuf>,

    /// Axioms of the rows after
    #[arg(long, value_name = "FILE", requires_all = ["axioms", "ids_after"])]
    pub axioms_after: Option<PathBuf>,

    /// Groups of the rows after
    #[arg(long, value_name = "FILE", requires_all = ["groups", "ids_after"])]
    pub groups_after: Option<PathBuf>,

    /// The label that means safe; it must occur. Nothing is assumed about the others
    #[arg(long, value_name = "LABEL")]
    pub safe: Option<String>,

    /// Score only this layer of [n, layers, d], counted from zero
    #[arg(long, value_name = "N", requires = "data")]
    pub layer: Option<usize>,

    /// How indices are combined; AQI-S is reported in any case
    #[arg(long, value_enum, default_value_t = ModeName::AqiS)]
    pub mode: ModeName,

    /// Weight in [0, 1]: of rho_local (aqi-s; without effect for two classes), of 1/XBI
    /// (paper-linear), of CHI (paper-geometric, reference)
    #[arg(long, value_name = "F", default_value_t = 0.5)]
    pub lambda: f64,

    /// CHI of your reference pool, for paper-geometric (its 99th percentile in the paper)
    #[arg(long, value_name = "F")]
    pub chi_max: Option<f64>,

    /// What is done to the rows first: centre, rms, z-score, l2, remove-top:M, whiten,
    /// whiten:SHRINKAGE, jl:DIM, count-sketch:DIM, separated by commas
    #[arg(long, value_name = "NAME", default_value = "none")]
    pub transform: String,

    /// Fit the transform on all folds but one, score that one, average [default for whiten: 2]
    #[arg(long, value_name = "N")]
    pub folds: Option<usize>,

    /// Labelings tried by the permutation test; 0 for no test
    #[arg(long, value_name = "N", default_value_t = 999)]
    pub permutations: usize,

    /// Resamples of the centred bootstrap, in place of the default score interval
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub bootstrap: usize,

    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Leave rows with a NaN or an infinity out, and count them
    #[arg(long)]
    pub skip_non_finite: bool,

    /// Leave out what looks at all pairs of rows (silhouette, Dunn): for many rows
    #[arg(long)]
    pub no_pairwise: bool,

    /// Write the results as JSON to this file; "-" for standard output in place of the table
    #[arg(long, value_name = "OUT")]
    pub json: Option<PathBuf>,
}

/// The modes by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeName {
    /// 100 max(0, rho): between 0 and 100, free of sample size and class balance
    AqiS,
    /// lambda/XBI + (1-lambda) CHI: grows with the number of rows
    PaperLinear,
    /// (CHI/CHI_max)^lambda exp(-XBI)^(1-lambda), CHI_max from --chi-max, CHI clipped to it
    PaperGeometric,
    /// The ranks of the published t-SNE script over axioms and all rows: for comparison with its
    /// numbers only; needs --axioms
    Reference,
}

impl Arguments {
    /// The arguments of this process. Prints help and version itself and returns nothing then.
    pub fn from_command_line() -> Result<Option<Self>> {
        let error = match Self::try_parse() {
            Ok(arguments) => return arguments.check().map(Some),
            Err(error) => error,
        };
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            // Help that nobody reads to its end, as in `aqi --help | head`, is no failure.
            error.print().ok();
            return Ok(None);
        }
        let text = error.render().to_string();
        let first = text.split("\n\n").next().unwrap_or(&text);
        let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = line.trim_start_matches("error: ");
        Err(Failure::Input(format!("{line}; see aqi --help")))
    }

    fn check(self) -> Result<Self> {
        let wrong = |message: &str| Err(Failure::Input(message.to_owned()));
        let geometric = self.mode == ModeName::PaperGeometric;
        if geometric && self.chi_max.is_none() {
            return wrong(
                "--mode paper-geometric needs --chi-max: the Calinski-Harabasz of your reference pool",
            );
        }
        if !geometric && self.chi_max.is_some() {
            return wrong("--chi-max is for --mode paper-geometric only: leave it out");
        }
        if self.before.is_some() {
            if self.mode == ModeName::Reference {
                return wrong(
                    "--mode reference gives ranks within one sample, which can't be compared: use another mode with --before",
                );
            }
            if self.cross_fits()? {
                return wrong(
                    "a cross-fitted transform can't be used with --before and --after, since folds have no common coordinates: use another transform",
                );
            }
        }
        if self.ids_after.is_some() {
            for (name, of_all, of_after) in [
                ("axioms", &self.axioms, &self.axioms_after),
                ("groups", &self.groups, &self.groups_after),
            ] {
                if of_all.is_some() && of_after.is_none() {
                    return Err(Failure::Input(format!(
                        "--{name} with --ids-after needs --{name}-after: the rows after are others"
                    )));
                }
            }
        }
        let from_files = self.embeddings.is_some() || self.before.is_some();
        if self.mode == ModeName::Reference && from_files && self.axioms.is_none() {
            return wrong("--mode reference needs --axioms: it ranks axioms among each other");
        }
        if self.cross_fits()? {
            if self.mode != ModeName::AqiS {
                return wrong(
                    "cross-fitting averages folds, which only --mode aqi-s can: use that, or another transform",
                );
            }
            if !from_files {
                return wrong("the demonstration data are not cross-fitted: pass --embeddings");
            }
        }
        Ok(self)
    }

    /// The evaluation that was asked for.
    pub fn evaluation(&self) -> Result<Aqi> {
        let lambda = self.lambda()?;
        let mode = match self.mode {
            ModeName::AqiS | ModeName::Reference => Mode::SizeInvariant { lambda },
            ModeName::PaperLinear => Mode::PaperLinear { lambda },
            ModeName::PaperGeometric => Mode::PaperGeometric {
                lambda,
                chi_max: self.chi_max.unwrap_or(f64::NAN),
                clip: true,
            },
        };
        let interval = match self.bootstrap {
            0 => IntervalMethod::Score,
            resamples => IntervalMethod::Centered { resamples, seed: self.seed },
        };
        let on_non_finite =
            if self.skip_non_finite { OnNonFinite::Skip } else { OnNonFinite::Error };
        AqiConfig::default()
            .with_mode(mode)
            .with_transform(self.transform()?)
            .with_interval(Some(interval))
            .with_permutations(self.permutations)
            .with_seed(self.seed)
            .with_pairwise(!self.no_pairwise)
            .with_on_non_finite(on_non_finite)
            .check()
            .map_err(wrong_setting)
    }

    /// Settings of the paired comparison.
    pub fn comparison(&self) -> DeltaConfig {
        DeltaConfig::default().with_seed(self.seed)
    }

    pub fn lambda(&self) -> Result<Lambda> {
        Lambda::new(self.lambda).map_err(wrong_setting)
    }

    pub fn transform(&self) -> Result<TransformChain> {
        self.transform.parse().map_err(wrong_setting)
    }

    /// Whether to cross-fit: asked for, or needed by the transform.
    pub fn cross_fits(&self) -> Result<bool> {
        Ok(self.folds.is_some() || self.transform()?.needs_cross_fitting())
    }
}

fn wrong_setting(error: AqiError) -> Failure {
    Failure::Input(error.to_string())
}
