//! A tiny model and an adapter for it, made of numbers that mean nothing.

use std::error::Error;
use std::fs;
use std::path::Path;

use collimate_peft::{Adapter, AdapterKey, AdapterPart, AdapterTensor, LoraConfig};
use collimate_tensors::{Dtype, write_safetensors};
use serde_json::json;

use crate::arguments::{Arguments, WeightedAdapter};

const LAYERS: usize = 2;
const WIDTH: usize = 16;
const INNER: usize = 32;
const WORDS: [&str; 6] = ["<unk>", "</s>", "merge", "the", "adapter", "."];
const RANK: usize = 2;

/// Makes both in a folder, and the arguments that merge them.
pub fn make(folder: &Path, arguments: Arguments) -> Result<Arguments, Box<dyn Error>> {
    let (base, adapter) = (folder.join("tiny-base"), folder.join("tiny-adapter"));
    model(&base)?;
    fs::create_dir(&adapter)?;
    let modules = (0..LAYERS).flat_map(|layer| {
        ["q_proj", "v_proj"].map(|name| format!("model.layers.{layer}.self_attn.{name}"))
    });
    let tensors = modules.flat_map(|module| {
        let a = AdapterTensor::from_f32(vec![RANK as u64, WIDTH as u64], &numbers(RANK * WIDTH, 3));
        let b = AdapterTensor::from_f32(vec![WIDTH as u64, RANK as u64], &numbers(WIDTH * RANK, 5));
        [
            (AdapterKey::new(module.clone(), AdapterPart::A), a),
            (AdapterKey::new(module, AdapterPart::B), b),
        ]
    });
    let config = LoraConfig::new(RANK as u32).with_target_modules(["q_proj", "v_proj"]);
    Adapter::new(config, tensors)?.write(&adapter)?;
    Ok(Arguments {
        base: Some(base.to_string_lossy().into_owned()),
        adapter: vec![WeightedAdapter { folder: adapter, weight: 1.0 }],
        out: Some(folder.join("tiny-merged")),
        ..arguments
    })
}

fn model(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir(folder)?;
    let write = |name: &str, value| fs::write(folder.join(name), format!("{value:#}"));
    write(
        "config.json",
        json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
            "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": 2,
            "num_key_value_heads": 2, "vocab_size": WORDS.len(), "tie_word_embeddings": true,
            "eos_token_id": 1, "rms_norm_eps": 1e-6, "dtype": "float32",
        }),
    )?;
    let vocabulary: serde_json::Map<_, _> =
        WORDS.iter().enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
    write(
        "tokenizer.json",
        json!({
            "version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
        }),
    )?;
    let eos = json!({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"});
    write("tokenizer_config.json", eos)?;
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), vec![WORDS.len(), WIDTH]),
        ("model.norm.weight".to_owned(), vec![WIDTH]),
    ];
    for layer in 0..LAYERS {
        let mut add = |name: &str, shape: Vec<usize>| {
            tensors.push((format!("model.layers.{layer}.{name}.weight"), shape));
        };
        for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            add(&format!("self_attn.{name}"), vec![WIDTH, WIDTH]);
        }
        add("mlp.gate_proj", vec![INNER, WIDTH]);
        add("mlp.up_proj", vec![INNER, WIDTH]);
        add("mlp.down_proj", vec![WIDTH, INNER]);
        add("input_layernorm", vec![WIDTH]);
        add("post_attention_layernorm", vec![WIDTH]);
    }
    let tensors = tensors.into_iter().map(|(name, shape)| {
        let bytes: Vec<u8> =
            numbers(shape.iter().product(), 7).into_iter().flat_map(f32::to_le_bytes).collect();
        let shape: Vec<u64> = shape.into_iter().map(|size| size as u64).collect();
        (name, Dtype::F32, shape, bytes)
    });
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    Ok(write_safetensors(folder.join("model.safetensors"), &metadata, tensors)?)
}

/// Small numbers of both signs.
fn numbers(count: usize, step: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * step) % 11) as f32 / 50.0 - 0.1).collect()
}
