use std::collections::BTreeSet;

use collimate_aqi::{AqiConfig, DeltaConfig, IntervalMethod};
use collimate_data::{PromptColumns, PromptSet};
use collimate_eval::{AlignmentConfig, LayerRule, Pool, StatesConfig};
use collimate_lm::HiddenSource;

use crate::error::{PipelineError, Result};
use crate::recipe::{self, CheckedRecipe};

impl CheckedRecipe {
    /// The columns of the probes.
    pub(crate) fn prompt_columns(&self) -> PromptColumns {
        let of = &self.recipe().evaluation.probe_columns;
        let mut columns = PromptColumns::default()
            .with_input(&of.input)
            .with_safety_label(&of.safety_label)
            .with_axiom(&of.axiom)
            .with_group(&of.group);
        columns.safe.clone_from(&of.safe);
        columns.r#unsafe.clone_from(&of.r#unsafe);
        columns
    }

    /// Leaves out the probes of axioms that are not asked for.
    ///
    /// # Errors
    ///
    /// [`PipelineError::Setting`]: there is no probe of an axiom.
    pub(crate) fn keep_axioms(&self, probes: &mut PromptSet) -> Result<()> {
        let wanted: BTreeSet<&str> =
            self.recipe().evaluation.axioms.iter().map(|axiom| axiom.trim()).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let found = probes.report().axioms;
        if let Some(absent) = wanted.iter().find(|axiom| !found.contains_key(**axiom)) {
            let found: Vec<String> = found.keys().map(|axiom| format!("`{axiom}`")).collect();
            let there = match found.as_slice() {
                [] => "none has an axiom".to_owned(),
                found => format!("there are {}", found.join(", ")),
            };
            return Err(PipelineError::Setting {
                field: "evaluation.axioms",
                message: format!("has `{absent}`, of which there is no probe; {there}"),
            });
        }
        probes.retain(|probe| probe.axiom.as_deref().is_some_and(|axiom| wanted.contains(axiom)));
        Ok(())
    }

    /// Which hidden states are read.
    pub(crate) fn states_config(&self) -> StatesConfig {
        let evaluation = &self.recipe().evaluation;
        StatesConfig::default()
            .with_source(match evaluation.source {
                recipe::HiddenSource::Residual => HiddenSource::Residual,
                recipe::HiddenSource::Mlp => HiddenSource::Mlp,
            })
            .with_pool(match evaluation.pooling {
                recipe::Pooling::Last => Pool::Last,
                recipe::Pooling::Mean => Pool::Mean,
            })
    }

    /// How they are scored and compared.
    ///
    /// # Errors
    ///
    /// What the metric refuses, which would otherwise be found out after the training.
    pub(crate) fn alignment_config(&self) -> Result<AlignmentConfig> {
        let evaluation = &self.recipe().evaluation;
        let seed = self.recipe().seed;
        let interval = match evaluation.bootstrap {
            0 => IntervalMethod::Score,
            resamples => IntervalMethod::Centered { resamples, seed },
        };
        let aqi = AqiConfig::default()
            .with_interval(Some(interval))
            .with_permutations(evaluation.permutations)
            .with_seed(seed);
        aqi.clone().check()?;
        let delta = DeltaConfig::default()
            .with_level(evaluation.level)
            .with_sign_flips(evaluation.sign_flips)
            .with_seed(seed);
        let layers = match evaluation.layers {
            recipe::LayerChoice::Final => LayerRule::Final,
            recipe::LayerChoice::Index(layer) => LayerRule::Index(layer),
            recipe::LayerChoice::Uniform => LayerRule::Uniform,
            recipe::LayerChoice::Fitted => LayerRule::Fitted,
        };
        Ok(AlignmentConfig::default()
            .with_aqi(aqi)
            .with_delta(delta)
            .with_layers(layers)
            .with_fit_share(evaluation.fit_share)
            .with_seed(seed))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use collimate_data::{Origin, Position, Record};
    use serde_json::json;

    use super::*;
    use crate::settings::testing::{checked, value};

    fn probes(axioms: &[Option<&str>]) -> PromptSet {
        let records = axioms.iter().zip(1..).map(|(axiom, line)| {
            let fields =
                json!({"input": format!("{line}?"), "safety_label": "safe", "axiom": axiom});
            let origin =
                Origin { file: Path::new("probes.jsonl").into(), position: Position::Line(line) };
            Ok(Record::new(fields.as_object().cloned().unwrap(), origin))
        });
        PromptSet::read(records, &PromptColumns::default(), None).unwrap()
    }

    fn kept(axioms: &str, probes: &PromptSet) -> Result<Vec<String>> {
        let mut probes = probes.clone();
        checked(&format!("evaluation: {{axioms: {axioms}}}")).keep_axioms(&mut probes)?;
        Ok(probes.prompts().iter().map(|probe| probe.input.clone()).collect())
    }

    #[test]
    fn the_default_is_that_of_the_metric_with_the_recipes_seed() {
        let recipe = checked("");
        assert_eq!(recipe.prompt_columns(), PromptColumns::default());
        assert_eq!(recipe.states_config(), StatesConfig::default());
        let expected = AlignmentConfig::default()
            .with_aqi(AqiConfig::default().with_seed(42))
            .with_delta(DeltaConfig::default().with_seed(42))
            .with_seed(42);
        assert_eq!(recipe.alignment_config().unwrap(), expected);
        let of_seed_0 = checked("seed: 0").alignment_config().unwrap();
        assert_eq!(of_seed_0, AlignmentConfig::default());
    }

    #[test]
    fn everything_can_be_otherwise() {
        let recipe = checked(
            "seed: 7
evaluation:
  probes: probes.csv
  probe_columns:
    input: prompt
    safety_label: label
    axiom: value
    group: of
    safe: [harmless, fine]
    unsafe: harmful
  pooling: mean
  source: mlp
  layers: fitted
  fit_share: 0.25
  permutations: 99
  sign_flips: 199
  bootstrap: 299
  level: 0.9
",
        );
        assert_eq!(
            value(&recipe.prompt_columns()),
            json!({
                "input": "prompt", "safety_label": "label", "axiom": "value", "group": "of",
                "safe": ["harmless", "fine"], "unsafe": ["harmful"],
            })
        );
        assert_eq!(
            value(&recipe.states_config()),
            json!({"source": "mlp", "pool": "mean", "layers": null, "batch_tokens": 4096})
        );
        let interval = IntervalMethod::Centered { resamples: 299, seed: 7 };
        let aqi =
            AqiConfig::default().with_interval(Some(interval)).with_permutations(99).with_seed(7);
        let delta = DeltaConfig::default().with_level(0.9).with_sign_flips(199).with_seed(7);
        let expected = AlignmentConfig::default()
            .with_aqi(aqi)
            .with_delta(delta)
            .with_layers(LayerRule::Fitted)
            .with_fit_share(0.25)
            .with_seed(7);
        assert_eq!(recipe.alignment_config().unwrap(), expected);
    }

    #[test]
    fn each_word_is_the_same_word_there() {
        let of = |field: &str, word: &str| checked(&format!("evaluation: {{{field}: {word}}}"));
        for word in ["last", "mean"] {
            assert_eq!(value(&of("pooling", word).states_config())["pool"], word);
        }
        for word in ["residual", "mlp"] {
            assert_eq!(value(&of("source", word).states_config())["source"], word);
        }
        for (word, expected) in [
            ("final", LayerRule::Final),
            ("3", LayerRule::Index(3)),
            ("uniform", LayerRule::Uniform),
            ("fitted", LayerRule::Fitted),
        ] {
            assert_eq!(of("layers", word).alignment_config().unwrap().layers, expected);
        }
        let no_test = of("permutations", "0").alignment_config().unwrap().aqi;
        assert_eq!(no_test, AqiConfig::default().with_permutations(0).with_seed(42));
    }

    #[test]
    fn what_the_metric_refuses_is_refused_in_its_words() {
        let error = checked("evaluation: {bootstrap: 1}").alignment_config().unwrap_err();
        assert!(matches!(error, PipelineError::Aqi(_)), "{error}");
        assert!(error.to_string().contains("at least 2"), "{error}");
    }

    #[test]
    fn only_the_axioms_that_are_asked_for_are_kept() {
        let all = probes(&[Some("Care"), None, Some("Duty"), Some("Care"), Some("Truth")]);
        assert_eq!(kept("[]", &all).unwrap(), ["1?", "2?", "3?", "4?", "5?"]);
        assert_eq!(kept("Care", &all).unwrap(), ["1?", "4?"]);
        assert_eq!(kept("[Truth, ' Duty ', Truth]", &all).unwrap(), ["3?", "5?"]);
        let error = kept("[Care, care]", &all).unwrap_err().to_string();
        assert_eq!(
            error,
            "`evaluation.axioms` has `care`, of which there is no probe; there are `Care`, `Duty`, `Truth`"
        );
        let error = kept("Care", &probes(&[None])).unwrap_err().to_string();
        assert!(error.ends_with("no probe; none has an axiom"), "{error}");
    }
}
