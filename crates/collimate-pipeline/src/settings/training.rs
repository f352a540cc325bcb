use collimate_peft::{InitLoraWeights, LoraConfig, TargetModules};
use collimate_train::{
    Arrangement, CheckpointConfig, EarlyStopping, EvaluationConfig, Every, Method, NonFinite,
    ScheduleConfig, ScheduleKind, TrainConfig, Warmup,
};
use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::recipe::{self, CheckedRecipe};

impl CheckedRecipe {
    /// How a model is trained on rows of at most so many tokens. Whether rows are held out to measure on, and
    /// how many steps the epochs are, which bound the run as `max_steps` does, is known with the rows.
    pub(crate) fn train_config(&self, base_model: &str, max_length: usize) -> Result<TrainConfig> {
        let recipe = self.recipe();
        let training = &recipe.training;
        let early_stopping = training
            .patience
            .map(|patience| EarlyStopping::new(patience).with_threshold(training.threshold));
        let evaluation = EvaluationConfig::default()
            .with_every(every(training.evaluate_every))
            .with_keep_best(training.keep_best)
            .with_early_stopping(early_stopping);
        let checkpoints = CheckpointConfig::default()
            .with_every(every(training.checkpoint_every))
            .with_keep_last(training.keep_last);
        Ok(TrainConfig::default()
            .merged(&json!({"optimizer": optimizer(training)}))?
            .with_method(method(&recipe.method, base_model))
            .with_learning_rate(training.learning_rate)
            .with_schedule(schedule(training))
            .with_batch_size(training.batch_size)
            .with_accumulation(training.accumulation)
            .with_epochs(training.epochs)
            .with_max_steps(training.max_steps)
            .with_max_grad_norm((training.max_grad_norm > 0.0).then_some(training.max_grad_norm))
            .with_arrangement(match training.arrangement {
                recipe::Arrangement::Sequential => Arrangement::Sequential,
                recipe::Arrangement::Shuffled => Arrangement::Shuffled,
                recipe::Arrangement::ByLength(window) => Arrangement::ByLength(window),
            })
            .with_pack(recipe.data.pack.then_some(max_length))
            .with_neftune_alpha(training.neftune_alpha)
            .with_label_smoothing(training.label_smoothing)
            .with_recompute(training.recompute)
            .with_seed(recipe.seed)
            .with_evaluation(evaluation)
            .with_checkpoints(checkpoints)
            .with_non_finite(match training.non_finite {
                recipe::NonFinite::Stop => NonFinite::Stop,
                recipe::NonFinite::Skip(steps) => NonFinite::Skip(steps),
            })
            .with_logging_steps(training.logging_steps))
    }
}

fn method(method: &recipe::MethodRecipe, base_model: &str) -> Method {
    match method.kind {
        recipe::MethodKind::Lora => Method::Lora {
            adapter: Box::new(adapter(method).with_base_model(base_model)),
            learning_rate_ratio: method.learning_rate_ratio,
        },
        recipe::MethodKind::Full => Method::Full,
    }
}

fn adapter(method: &recipe::MethodRecipe) -> LoraConfig {
    let adapter = LoraConfig::new(method.rank)
        .with_alpha(method.alpha)
        .with_dropout(method.dropout)
        .with_targets(match &method.targets {
            recipe::Targets::AllLinear => TargetModules::AllLinear,
            recipe::Targets::Names(names) => TargetModules::list(names),
            recipe::Targets::Pattern(pattern) => TargetModules::Regex(pattern.clone()),
        })
        .with_rslora(method.rslora)
        .with_dora(method.dora)
        .with_init(match method.init {
            recipe::Initialization::Default => InitLoraWeights::Flag(true),
            recipe::Initialization::Gaussian => InitLoraWeights::Named("gaussian".to_owned()),
            recipe::Initialization::Pissa => InitLoraWeights::Named("pissa".to_owned()),
        });
    match method.modules_to_save.as_slice() {
        [] => adapter,
        names => adapter.with_modules_to_save(names),
    }
}

fn schedule(training: &recipe::TrainingRecipe) -> ScheduleConfig {
    let warmup = match training.warmup_ratio {
        Some(ratio) => Warmup::Ratio(ratio),
        None => Warmup::Steps(training.warmup_steps.unwrap_or(0)),
    };
    ScheduleConfig::default().with_warmup(warmup).with_kind(match training.schedule {
        recipe::Schedule::Constant => ScheduleKind::Constant,
        recipe::Schedule::Linear => ScheduleKind::Linear,
        recipe::Schedule::Cosine => ScheduleKind::Cosine,
    })
}

/// The optimizer, with those of its settings that are given, as they stand in a file.
fn optimizer(training: &recipe::TrainingRecipe) -> Value {
    let given = [
        ("weight_decay", Some(training.weight_decay)),
        ("beta_1", training.beta_1),
        ("beta_2", training.beta_2),
        ("epsilon", training.epsilon),
        ("momentum", training.momentum),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let settings: Map<_, _> = given.map(|(name, value)| (name.to_owned(), value.into())).collect();
    let name = match training.optimizer {
        recipe::Optimizer::AdamW => "adamw",
        recipe::Optimizer::Adam => "adam",
        recipe::Optimizer::Adafactor => "adafactor",
        recipe::Optimizer::AdaGrad => "adagrad",
        recipe::Optimizer::Adan => "adan",
        recipe::Optimizer::Lamb => "lamb",
        recipe::Optimizer::Lion => "lion",
        recipe::Optimizer::Muon => "muon",
        recipe::Optimizer::RmsProp => "rmsprop",
        recipe::Optimizer::Sgd => "sgd",
    };
    json!({name: settings})
}

fn every(every: recipe::Every) -> Option<Every> {
    match every {
        recipe::Every::Steps(steps) => Some(Every::Steps(steps)),
        recipe::Every::Epoch => Some(Every::Epoch),
        recipe::Every::Never => None,
    }
}

#[cfg(test)]
mod tests {
    use collimate_train::{
        AdaGradConfig, AdafactorConfig, AdamConfig, AdamWConfig, AdanConfig, LambConfig,
        LionConfig, MuonConfig, OptimizerConfig, RmsPropConfig, SgdConfig,
    };

    use super::*;
    use crate::settings::testing::{checked, value};

    fn config(text: &str) -> TrainConfig {
        let config = checked(text).train_config("org/base", 512).unwrap();
        config.check().unwrap().config().clone()
    }

    #[test]
    fn the_default_is_that_of_the_trainer_but_for_measurements() {
        let mut expected = TrainConfig::default()
            .with_evaluation(EvaluationConfig::default().with_every(Every::Epoch));
        let Method::Lora { adapter, .. } = &mut expected.method else { panic!("{expected:?}") };
        adapter.base_model_name_or_path = Some("org/base".to_owned());
        assert_eq!(config(""), expected);
    }

    #[test]
    fn everything_can_be_otherwise() {
        let config = config(
            "seed: 7
data: {pack: true}
method:
  rank: 4
  alpha: 9
  dropout: 0.25
  targets: [q_proj, v_proj]
  modules_to_save: [lm_head]
  rslora: true
  dora: true
  init: gaussian
  learning_rate_ratio: 16
training:
  learning_rate: 0.001
  schedule: cosine
  warmup_steps: 3
  epochs: 1.5
  max_steps: 77
  batch_size: 2
  accumulation: 5
  max_grad_norm: 0.5
  arrangement: sequential
  optimizer: lamb
  weight_decay: 0.1
  beta_1: 0.8
  beta_2: 0.99
  epsilon: 0.0001
  neftune_alpha: 5
  label_smoothing: 0.125
  recompute: true
  evaluate_every: 10
  keep_best: true
  patience: 4
  threshold: 0.25
  checkpoint_every: 20
  keep_last: 6
  non_finite: {skip: 9}
  logging_steps: 8
",
        );
        let adapter = value(
            &LoraConfig::new(4)
                .with_alpha(9.0)
                .with_dropout(0.25)
                .with_target_modules(["q_proj", "v_proj"])
                .with_modules_to_save(["lm_head"])
                .with_rslora(true)
                .with_dora(true)
                .with_init(InitLoraWeights::Named("gaussian".to_owned()))
                .with_base_model("org/base"),
        );
        assert_eq!(
            value(&config),
            json!({
                "method": {"lora": {"adapter": adapter, "learning_rate_ratio": 16.0}},
                "optimizer": {"lamb": {
                    "beta_1": 0.8, "beta_2": 0.99, "epsilon": 0.0001, "weight_decay": 0.1,
                }},
                "learning_rate": 0.001,
                "schedule": {"kind": "cosine", "warmup": {"steps": 3}},
                "batch_size": 2,
                "accumulation": 5,
                "epochs": 1.5,
                "max_steps": 77,
                "max_grad_norm": 0.5,
                "arrangement": "sequential",
                "pack": 512,
                "neftune_alpha": 5.0,
                "label_smoothing": 0.125,
                "recompute": true,
                "seed": 7,
                "evaluation": {
                    "every": {"steps": 10},
                    "metric": "eval_loss",
                    "greater_is_better": false,
                    "keep_best": true,
                    "early_stopping": {"patience": 4, "threshold": 0.25},
                },
                "checkpoints": {"every": {"steps": 20}, "keep_last": 6},
                "non_finite": {"skip": 9},
                "logging_steps": 8,
            })
        );
    }

    #[test]
    fn an_optimizer_has_its_own_defaults_beside_what_is_given() {
        let of = |training: &str| config(&format!("training: {{{training}}}")).optimizer;
        let defaults: [(&str, OptimizerConfig); 10] = [
            ("adamw", AdamWConfig::default().into()),
            ("adam", AdamConfig::default().into()),
            ("adafactor", AdafactorConfig::default().into()),
            ("adagrad", AdaGradConfig::default().into()),
            ("adan", AdanConfig::default().into()),
            ("lamb", LambConfig::default().into()),
            ("lion", LionConfig::default().into()),
            ("muon", MuonConfig::default().into()),
            ("rmsprop", RmsPropConfig::default().into()),
            ("sgd", SgdConfig::default().into()),
        ];
        for (name, default) in defaults {
            assert_eq!(of(&format!("optimizer: {name}")), default);
            let decayed = of(&format!("optimizer: {name}, weight_decay: 0.5"));
            assert_eq!(decayed.weight_decay(), 0.5, "{name}");
            // What it has no setting for is refused before it comes here.
            let mut changed = value(&default);
            for (field, number) in
                [("beta_1", 0.25), ("beta_2", 0.375), ("epsilon", 0.125), ("momentum", 0.75)]
            {
                if let Some(setting) = changed[name].get_mut(field) {
                    *setting = json!(number);
                    let found = value(&of(&format!("optimizer: {name}, {field}: {number}")));
                    assert_eq!(found[name][field], json!(number), "{name}: {field}");
                }
            }
        }
    }

    #[test]
    fn each_word_is_the_same_word_there() {
        let of = |section: &str, field: &str, word: &str| {
            value(&config(&format!("{section}: {{{field}: {word}}}")))
        };
        for word in ["constant", "linear", "cosine"] {
            assert_eq!(of("training", "schedule", word)["schedule"]["kind"], word);
        }
        for (word, expected) in [
            ("sequential", json!("sequential")),
            ("shuffled", json!("shuffled")),
            ("{by_length: 64}", json!({"by_length": 64})),
        ] {
            assert_eq!(of("training", "arrangement", word)["arrangement"], expected);
        }
        for (word, expected) in
            [("epoch", json!("epoch")), ("never", json!(null)), ("5", json!({"steps": 5}))]
        {
            assert_eq!(of("training", "evaluate_every", word)["evaluation"]["every"], expected);
            assert_eq!(of("training", "checkpoint_every", word)["checkpoints"]["every"], expected);
        }
        assert_eq!(of("training", "non_finite", "stop")["non_finite"], "stop");
        assert_eq!(of("training", "max_grad_norm", "0")["max_grad_norm"], json!(null));
        let warmup = of("training", "warmup_ratio", "0.5")["schedule"]["warmup"].clone();
        assert_eq!(warmup, json!({"ratio": 0.5}));
        assert_eq!(of("method", "kind", "full")["method"], "full");
        let adapter = |field: &str, word: &str| {
            let Method::Lora { adapter, .. } =
                config(&format!("method: {{{field}: {word}}}")).method
            else {
                panic!("{field}: {word}")
            };
            adapter
        };
        for (word, expected) in [
            ("default", InitLoraWeights::Flag(true)),
            ("gaussian", InitLoraWeights::Named("gaussian".to_owned())),
            ("pissa", InitLoraWeights::Named("pissa".to_owned())),
        ] {
            assert_eq!(adapter("init", word).init_lora_weights, expected);
        }
        for (word, expected) in [
            ("all-linear", TargetModules::AllLinear),
            ("All-Linear", TargetModules::AllLinear),
            ("[q_proj]", TargetModules::list(["q_proj"])),
            ("'.*_proj'", TargetModules::Regex(".*_proj".to_owned())),
        ] {
            assert_eq!(adapter("targets", word).target_modules, Some(expected));
        }
    }
}
