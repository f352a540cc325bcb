//! `adapter_config.json` of any version, and of anybody.

use std::fs;

use collimate_peft::{
    Bias, ConfigError, InitLoraWeights, LoraConfig, ModuleNames, OneOrMany, PeftError,
    TargetModules,
};

/// As PEFT 0.3 writes it.
const OLD: &str = r#"{
  "base_model_name_or_path": "org/base",
  "bias": "none",
  "enable_lora": null,
  "fan_in_fan_out": false,
  "inference_mode": true,
  "lora_alpha": 16,
  "lora_dropout": 0.05,
  "merge_weights": false,
  "modules_to_save": null,
  "peft_type": "LORA",
  "r": 4,
  "target_modules": [
    "q_proj",
    "v_proj"
  ],
  "task_type": "CAUSAL_LM"
}"#;

fn parse(fields: &str) -> Result<LoraConfig, PeftError> {
    let fields = if fields.is_empty() { String::new() } else { format!(", {fields}") };
    LoraConfig::parse(&format!(r#"{{"peft_type": "LORA"{fields}}}"#), "adapter_config.json")
}

fn refused(fields: &str) -> String {
    let message = parse(fields).unwrap_err().to_string();
    message.strip_prefix("adapter_config.json: ").unwrap().to_owned()
}

#[test]
fn the_oldest_form_is_read_and_the_smallest_has_pefts_defaults() {
    let old = LoraConfig::parse(OLD, "old").unwrap();
    assert_eq!((old.r, old.lora_alpha, old.lora_dropout), (4, 16.0, 0.05));
    let expected = LoraConfig::new(4)
        .with_alpha(16.0)
        .with_dropout(0.05)
        .with_target_modules(["q_proj", "v_proj"])
        .with_base_model("org/base");
    let written = old.to_json().unwrap();
    assert_eq!(LoraConfig::parse(&written, "new").unwrap(), expected);
    assert!(!written.contains("enable_lora") && !written.contains("use_dora"), "{written}");

    let smallest = parse("").unwrap();
    assert_eq!((smallest.r, smallest.lora_alpha, smallest.lora_dropout), (8, 8.0, 0.0));
    assert_eq!(smallest.init_lora_weights, InitLoraWeights::Flag(true));
    assert_eq!((smallest.task_type, smallest.inference_mode), (None, false));
}

#[test]
fn nulls_mean_what_they_mean_in_python() {
    let config = parse(
        r#""fan_in_fan_out": null, "rank_pattern": null, "layers_to_transform": null,
           "loftq_config": null, "megatron_core": null, "init_lora_weights": null"#,
    )
    .unwrap();
    assert_eq!(config.init_lora_weights, InitLoraWeights::Flag(false));
    assert!(config.rank_pattern.is_empty() && !config.fan_in_fan_out);
    let written = config.to_json().unwrap();
    assert!(!written.contains("loftq") && !written.contains("megatron"), "{written}");
    assert!(refused(r#""r": null"#).starts_with("`r` is null"));
    assert!(refused(r#""lora_alpha": null"#).starts_with("`lora_alpha` is null"));
    assert!(refused(r#""bias": null"#).starts_with("`bias` is null"));
}

#[test]
fn every_form_of_a_value_is_kept() {
    let config = parse(
        r#""target_modules": ["q"], "exclude_modules": ".*k", "layers_to_transform": 3,
           "layers_pattern": ["h"], "bias": "lora_only", "init_lora_weights": "pissa_niter_4",
           "lora_alpha": 0.5, "modules_to_save": [], "loftq_config": {"loftq_bits": 4}"#,
    )
    .unwrap();
    assert_eq!(config.exclude_modules, Some(ModuleNames::Regex(".*k".to_owned())));
    assert_eq!(config.layers_to_transform, Some(OneOrMany::One(3)));
    assert_eq!(config.layers_pattern, Some(OneOrMany::Many(vec!["h".to_owned()])));
    assert_eq!((config.bias, config.modules_to_save.as_deref()), (Bias::LoraOnly, Some(&[][..])));
    assert!(config.changes_base_weights());
    let again = LoraConfig::parse(&config.to_json().unwrap(), "again").unwrap();
    assert_eq!(again, config);
    let through_serde: LoraConfig =
        serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(through_serde, config);
}

#[test]
fn unknown_keys_are_written_back() {
    let future = r#""of_the_future": {"b": [1.5, null, 18446744073709551615], "a": "ä"}"#;
    let config = parse(&format!("{future}, \"runtime_config\": {{\"x\": 1e-7}}")).unwrap();
    let written = config.to_json().unwrap();
    let expected = "  \"of_the_future\": {\n    \"a\": \"\\u00e4\",\n    \"b\": [\n      1.5,\n      \
                    null,\n      18446744073709551615\n    ]\n  },\n";
    assert!(written.contains(expected), "{written}");
    assert!(written.contains("\"x\": 1e-07"), "{written}");
}

#[test]
fn the_order_of_patterns_is_kept() {
    let config = LoraConfig::new(8)
        .with_target_modules(["q_proj"])
        .with_rank_pattern("z.*", 2)
        .with_rank_pattern("a.*", 4)
        .with_rank_pattern("z.*", 3);
    let written = config.to_json().unwrap();
    assert!(written.contains("\"rank_pattern\": {\n    \"z.*\": 3,\n    \"a.*\": 4\n  }"));
    assert_eq!(LoraConfig::parse(&written, "again").unwrap(), config);
}

#[test]
fn wrong_values_are_named() {
    for (fields, expected) in [
        (r#""r": 0"#, "`r` is 0; a whole number from 1 to 65536 is expected"),
        (
            r#""r": 1099511627776"#,
            "`r` is 1099511627776; a whole number from 1 to 65536 is expected",
        ),
        (r#""r": 8.0"#, "`r` is 8.0; a whole number from 1 to 65536 is expected"),
        (r#""r": true"#, "`r` is true; a whole number from 1 to 65536 is expected"),
        (r#""lora_alpha": "16""#, "`lora_alpha` is \"16\"; a number is expected"),
        (
            r#""lora_dropout": 1"#,
            "`lora_dropout` is 1; a probability from 0 to below 1 is expected",
        ),
        (
            r#""lora_dropout": -0.1"#,
            "`lora_dropout` is -0.1; a probability from 0 to below 1 is expected",
        ),
        (r#""use_dora": "yes""#, "`use_dora` is \"yes\"; true or false is expected"),
        (
            r#""target_modules": [1]"#,
            "`target_modules` is [1]; a text or a list of texts is expected",
        ),
        (
            r#""modules_to_save": "lm_head""#,
            "`modules_to_save` is \"lm_head\"; a list of texts is expected",
        ),
        (r#""modules_to_save": [""]"#, "`modules_to_save[0]` is \"\"; a name is expected"),
        (
            r#""rank_pattern": {"a": 0}"#,
            "`rank_pattern.a` is 0; a whole number from 1 to 65536 is expected",
        ),
        (
            r#""rank_pattern": {"a\nb": -1}"#,
            "`rank_pattern.a\\nb` is -1; a whole number from 1 to 65536 is expected",
        ),
        (r#""alpha_pattern": {"a": []}"#, "`alpha_pattern.a` is []; a number is expected"),
        (
            r#""layers_to_transform": [-1]"#,
            "`layers_to_transform` is [-1]; an index of a layer from 0 on, or a list of them is expected",
        ),
        (r#""bias": "some""#, "`bias` is \"some\"; \"none\", \"all\" or \"lora_only\" is expected"),
        (r#""eva_config": 3"#, "`eva_config` is 3; an object is expected"),
        (r#""use_qalora": 1"#, "`use_qalora` is 1; true or false is expected"),
        (
            r#""target_modules": ".*q", "layers_to_transform": [1]"#,
            "`layers_to_transform` can't be used with `target_modules`: it selects layers of a list \
             only; write the layers into the pattern",
        ),
        (
            r#""layers_pattern": "h""#,
            "`layers_pattern` can't be used with `layers_to_transform`: the latter must say which layers",
        ),
    ] {
        assert_eq!(refused(fields), expected);
    }
    let error = LoraConfig::parse(r#"{"peft_type": "IA3"}"#, "x").unwrap_err();
    assert_eq!(error.to_string(), "x: `peft_type` is \"IA3\"; only LORA adapters are supported");
    let error = LoraConfig::parse("{}", "x").unwrap_err();
    assert_eq!(error.to_string(), "x: `peft_type` is missing; \"LORA\" is expected");
    let error = LoraConfig::parse("{\n  \"lora_alpha\": NaN\n}", "x").unwrap_err();
    assert_eq!(error.to_string(), "x: expected value at line 2 column 17");
}

#[test]
fn settings_are_checked_like_files() {
    let field = |config: LoraConfig| match config.to_json() {
        Err(PeftError::Setting(ConfigError::Field { field, .. })) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(LoraConfig::new(0)), "r");
    assert_eq!(field(LoraConfig::new(8).with_alpha(f64::NAN)), "lora_alpha");
    assert_eq!(field(LoraConfig::new(8).with_alpha_pattern("a", f64::INFINITY)), "alpha_pattern.a");
    assert_eq!(field(LoraConfig::new(8).with_dropout(1.0)), "lora_dropout");
    assert_eq!(field(LoraConfig::new(8).with_target_modules([""])), "target_modules[0]");
    let conflicting = LoraConfig::new(8).with_targets(TargetModules::AllLinear).with_layers([1]);
    assert!(matches!(conflicting.check(), Err(ConfigError::Conflict { .. })));
}

#[test]
fn files_are_written_whole_and_read_with_care() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter_config.json");
    let config = LoraConfig::new(4).with_target_modules(["q_proj"]);
    config.write(&path).unwrap();
    config.clone().with_alpha(2.0).write(&path).unwrap();
    assert_eq!(LoraConfig::read(&path).unwrap(), config.clone().with_alpha(2.0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");

    // What can't be written leaves what was there.
    assert!(config.with_alpha(f64::NAN).write(&path).is_err());
    assert_eq!(LoraConfig::read(&path).unwrap().lora_alpha, 2.0);

    assert!(matches!(LoraConfig::read(folder.path()), Err(PeftError::NotAFile { .. })));
    let missing = LoraConfig::read(folder.path().join("missing")).unwrap_err();
    assert!(matches!(missing, PeftError::Io { .. }) && missing.to_string().contains("missing"));
    fs::write(&path, b"{\"a\": \"\xff\"}").unwrap();
    let error = LoraConfig::read(&path).unwrap_err();
    assert!(matches!(error, PeftError::NotUtf8 { position: 7, .. }), "{error}");
    fs::write(&path, vec![b' '; (4 << 20) + 1]).unwrap();
    assert!(matches!(LoraConfig::read(&path), Err(PeftError::TooLarge { .. })));
}

#[cfg(unix)]
#[test]
fn a_device_is_not_opened() {
    assert!(matches!(LoraConfig::read("/dev/zero"), Err(PeftError::NotAFile { .. })));
}
