//! Bytes from anywhere, read as an `adapter_config.json`: an error in one line, or a configuration
//! that is the same when it is written and read again, and that selects modules of a model or says
//! why it doesn't.

#![no_main]

use std::sync::LazyLock;

use collimate_peft::{LoraConfig, ModuleTree};
use libfuzzer_sys::fuzz_target;

static TREE: LazyLock<ModuleTree> = LazyLock::new(|| {
    let mut tensors = vec![("model.embed_tokens.weight".to_owned(), vec![50, 8])];
    for layer in 0..2 {
        for (module, shape) in
            [("self_attn.q_proj", [8, 8]), ("self_attn.v_proj", [4, 8]), ("mlp.down_proj", [8, 16])]
        {
            tensors.push((format!("model.layers.{layer}.{module}.weight"), shape.to_vec()));
        }
        tensors.push((format!("model.layers.{layer}.self_attn.q_proj.bias"), vec![8]));
        tensors.push((format!("model.layers.{layer}.input_layernorm.weight"), vec![8]));
    }
    let tree = ModuleTree::from_tensors(tensors).expect("the tensors are right");
    tree.with_tied_head("lm_head", "model.embed_tokens").expect("the embedding is there")
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let config = match LoraConfig::parse(text, "adapter_config.json") {
        Ok(config) => config,
        Err(error) => {
            assert!(error.to_string().starts_with("adapter_config.json: "), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
            return;
        }
    };
    let written = config.to_json().expect("what was read can be written");
    assert!(written.is_ascii());
    let again = LoraConfig::parse(&written, "again").expect("what was written can be read");
    assert_eq!(again, config);
    match config.match_modules(&TREE) {
        Ok(targets) => {
            assert!(!targets.modules.is_empty());
            assert!(targets.modules.is_sorted_by(|a, b| a.module < b.module));
            assert!(targets.modules.iter().all(|target| target.scale.is_finite()));
            let coverage = targets.coverage;
            assert_eq!(coverage.modules, targets.modules.len() as u64);
            assert!(coverage.modules <= coverage.of_modules);
            assert!(coverage.parameters <= coverage.of_parameters);
            assert!(coverage.adapted_parameters <= TREE.parameters() + 50 * 8);
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
});
