//! What PEFT 0.21.2 adapts, saves, trains and writes. The fixture is made by
//! `conformance/peft_targets.py`.

use std::collections::BTreeMap;

use collimate_peft::{LoraConfig, ModuleKind, ModuleTree, Target, default_target_modules};
use serde::Deserialize;

#[derive(Deserialize)]
struct Model {
    name: String,
    model_type: String,
    tensors: BTreeMap<String, Vec<u64>>,
    tied_head: Option<[String; 2]>,
    cases: Vec<Case>,
    failing: Vec<Failing>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    config: String,
    written: String,
    modules: BTreeMap<String, (u32, f64)>,
    saved: BTreeMap<String, u64>,
    trainable: u64,
    total: u64,
    base_moved: bool,
}

#[derive(Deserialize)]
struct Failing {
    name: String,
    config: String,
}

fn models() -> Vec<Model> {
    serde_json::from_str(include_str!("../fixtures/targets.json")).unwrap()
}

fn tree(model: &Model) -> ModuleTree {
    let tree = ModuleTree::from_tensors(&model.tensors).unwrap();
    match &model.tied_head {
        Some([head, embedding]) => tree.with_tied_head(head, embedding).unwrap(),
        None => tree,
    }
}

fn config(model: &Model, text: &str) -> collimate_peft::Result<LoraConfig> {
    let config = LoraConfig::parse(text, "adapter_config.json")?;
    if config.target_modules.is_some() {
        return Ok(config);
    }
    Ok(config.with_targets(default_target_modules(&model.model_type)?))
}

#[test]
fn modules_ranks_scales_and_counts_are_pefts() {
    let mut compared = 0;
    for model in models() {
        let tree = tree(&model);
        for case in &model.cases {
            let what = format!("{}, {}", model.name, case.name);
            let config = config(&model, &case.config).unwrap();
            let found = config.match_modules(&tree).unwrap_or_else(|e| panic!("{what}: {e}"));
            let modules: BTreeMap<_, _> =
                found.modules.iter().map(|t| (t.module.clone(), (t.rank, t.scale))).collect();
            assert_eq!(modules, case.modules, "{what}");
            let saved: BTreeMap<_, _> =
                found.saved.iter().map(|s| (s.module.clone(), s.parameters)).collect();
            assert_eq!(saved, case.saved, "{what}");
            let coverage = found.coverage;
            assert_eq!(
                (coverage.parameters, coverage.of_parameters),
                (case.trainable, case.total),
                "{what}"
            );
            assert_eq!(config.changes_base_weights(), case.base_moved, "{what}");
            let is_transposed = |t: &Target| t.kind == ModuleKind::Conv1D;
            let found_transposed = found.modules.iter().filter(|t| is_transposed(t)).count();
            let named_so = case.modules.keys().filter(|name| name.contains(".c_")).count();
            assert_eq!(found_transposed, named_so, "{what}: Conv1D in GPT-2 only");
            assert_eq!(found.fan_in_fan_out(), named_so > 0, "{what}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn files_are_written_byte_by_byte_as_python_prints_them() {
    for model in models() {
        for case in &model.cases {
            let what = format!("{}, {}", model.name, case.name);
            let config = LoraConfig::parse(&case.config, "adapter_config.json").unwrap();
            let written = config.to_json().unwrap();
            // `All-Linear` is written as PEFT documents it.
            assert_eq!(written, case.written.replace("All-Linear", "all-linear"), "{what}");
            assert_eq!(LoraConfig::parse(&written, "again").unwrap(), config, "{what}");
        }
    }
}

#[test]
fn what_peft_refuses_is_an_error() {
    let mut compared = 0;
    for model in models() {
        let tree = tree(&model);
        for case in &model.failing {
            let matched = config(&model, &case.config).and_then(|c| c.match_modules(&tree));
            assert!(matched.is_err(), "{}, {}: {matched:?}", model.name, case.name);
            compared += 1;
        }
    }
    assert!(compared >= 12, "{compared}");
}

#[test]
fn entries_that_match_nothing_are_listed() {
    let models = models();
    let model = &models[0];
    let unmatched = |case: &str| -> Vec<String> {
        let case = model.cases.iter().find(|known| known.name == case).unwrap();
        let found = config(model, &case.config).unwrap().match_modules(&tree(model)).unwrap();
        found.unmatched.iter().map(|u| format!("{}: {}", u.field, u.entry)).collect()
    };
    assert_eq!(unmatched("list"), [""; 0]);
    assert_eq!(unmatched("all-linear"), [""; 0]);
    assert_eq!(
        unmatched("one entry matches nothing"),
        ["target_modules: _proj", "target_modules: w_proj"]
    );
    assert_eq!(unmatched("exclude, list"), ["exclude_modules: nothing"]);
    assert_eq!(unmatched("rank pattern"), ["rank_pattern: nothing"]);
    assert_eq!(unmatched("rank pattern, regex"), [""; 0]);
    let anchored = ["rank_pattern: ^layers.0.self_attn.q_proj"];
    assert_eq!(unmatched("rank pattern, anchored to nothing"), anchored);
    assert_eq!(unmatched("saved, inner"), ["modules_to_save: nothing"]);
    assert_eq!(unmatched("saved instead of adapted"), ["target_modules: lm_head"]);
}

#[test]
fn errors_say_what_could_be_meant() {
    let models = models();
    let model = &models[0];
    let message = |config: LoraConfig| config.match_modules(&tree(model)).unwrap_err().to_string();
    assert_eq!(
        message(LoraConfig::new(8).with_target_modules(["qproj", "query"])),
        "no module matches \"qproj\", \"query\"; it has q_proj ×3, k_proj ×3, o_proj ×3, v_proj \
         ×3, up_proj ×3, gate_proj ×3, lm_head ×1, down_proj ×3, embed_tokens ×1"
    );
    let left_out = message(LoraConfig::new(8).with_target_modules(["q_proj"]).with_layers([9]));
    assert!(left_out.contains("3 left out by"), "{left_out}");
    assert_eq!(
        message(LoraConfig::new(8).with_target_modules(["q_proj", "norm"])),
        "`target_modules` matches \"model.norm\", which is neither linear nor an embedding: only \
         linear modules and embeddings can be adapted; name them, or leave it out with \
         `exclude_modules`"
    );
    let saved = LoraConfig::new(8).with_target_modules(["q_proj"]);
    assert!(message(saved.clone().with_modules_to_save(["proj"])).contains("adapted as well"));
    assert!(message(saved.with_modules_to_save(["mlp", "mlp.up_proj"])).contains("saved as well"));
    assert_eq!(
        message(LoraConfig::new(8)),
        "`target_modules` is not set: set it, for example to \"all-linear\""
    );
}

#[test]
fn settings_that_change_the_tensors_are_refused() {
    let models = models();
    let tree = tree(&models[0]);
    for (field, value) in [
        ("layer_replication", "[[0, 2]]"),
        ("target_parameters", "[\"experts.up\"]"),
        ("trainable_token_indices", "{\"embed_tokens\": [1]}"),
        ("use_qalora", "true"),
        ("kasa_config", "{}"),
        ("enable_lora", "[true, false, true]"),
    ] {
        let text =
            format!(r#"{{"peft_type": "LORA", "target_modules": ["q_proj"], "{field}": {value}}}"#);
        let config = LoraConfig::parse(&text, "x").unwrap();
        assert_eq!((config.other_tensors(), config.merge_obstacles()), (vec![field], vec![field]));
        assert_eq!(config.changes_base_weights(), field == "kasa_config");
        let message = config.match_modules(&tree).unwrap_err().to_string();
        assert!(message.contains(field), "{message}");
    }
    let activated = r#"{"peft_type": "LORA", "target_modules": ["q_proj"],
                        "alora_invocation_tokens": [7]}"#;
    let config = LoraConfig::parse(activated, "x").unwrap();
    assert!(config.match_modules(&tree).is_ok());
    assert_eq!(config.merge_obstacles(), ["alora_invocation_tokens"]);
}
