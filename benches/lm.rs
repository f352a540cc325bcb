//! How long models run on the CPU and how much memory they take: loading, the states of every layer
//! pooled, a prompt's last logits, and token by token with the cache. The models have random weights and
//! stay in the folder, where `lm.py` measures the same with transformers.
//!
//! `cargo bench -p collimate-benches --bench lm -- FOLDER [SHAPE...]` with shapes 15M, 110M, 0.5B
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for developers"
)]

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use burn::tensor::{DType, Device, Tensor};
use collimate_lm::{
    Batch, Decoder, DecoderConfig, GenerationConfig, HiddenSource, Pooling, parse_dtype,
};

const ROUNDS: usize = 7;
const SEQUENCE: usize = 256;
const NEW_TOKENS: usize = 32;

/// Name, configuration, rows of a batch.
const SHAPES: [(&str, &str, usize); 3] = [
    (
        "15M",
        r#"{"model_type": "llama", "hidden_size": 288, "intermediate_size": 768,
        "num_hidden_layers": 6, "num_attention_heads": 6, "num_key_value_heads": 6,
        "vocab_size": 32000, "tie_word_embeddings": false, "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0}"#,
        4,
    ),
    (
        "110M",
        r#"{"model_type": "llama", "hidden_size": 768, "intermediate_size": 2048,
        "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 12,
        "vocab_size": 32000, "tie_word_embeddings": false, "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0}"#,
        4,
    ),
    (
        "0.5B",
        r#"{"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
        "vocab_size": 151936, "tie_word_embeddings": true, "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6, "hidden_act": "silu", "rope_theta": 1000000.0}"#,
        2,
    ),
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "target/lm".to_owned()));
    let mut arguments = arguments.peekable();
    if arguments.next_if_eq("measure").is_some() {
        let [rows, dtype] = [(); 2].map(|()| arguments.next().unwrap());
        return measure(&folder, rows.parse().unwrap(), parse_dtype(&dtype).unwrap());
    }
    let wanted: Vec<_> = arguments.collect();
    for (name, config, rows) in SHAPES {
        if !wanted.is_empty() && !wanted.iter().any(|one| one == name) {
            continue;
        }
        let folder = folder.join(name);
        if !folder.join("config.json").exists() {
            make(&folder, config);
        }
        for dtype in ["f32", "bf16"] {
            print!("{name}, {dtype}: ");
            io::stdout().flush().unwrap();
            // A process each, so that none has memory of another.
            let program = std::env::current_exe().unwrap();
            let mut alone = Command::new(program);
            alone.arg(&folder).args(["measure", &rows.to_string(), dtype]);
            assert!(alone.status().unwrap().success());
        }
    }
}

fn make(folder: &Path, config: &str) {
    fs::create_dir_all(folder).unwrap();
    let decoder = DecoderConfig::from_json(config.as_bytes(), "config.json").unwrap();
    let decoder = Decoder::random(&decoder, 0.02, 1, &Device::flex(), DType::F32).unwrap();
    decoder.write_weights(folder.join("model.safetensors")).unwrap();
    fs::write(folder.join("config.json"), config).unwrap();
}

fn measure(folder: &Path, rows: usize, dtype: DType) {
    let start = Instant::now();
    let decoder = Decoder::load(folder, &Device::flex(), dtype).unwrap();
    let load = (start.elapsed().as_secs_f64(), peak());
    let texts: Vec<Vec<u32>> = (0..rows)
        .map(|row| (0..SEQUENCE).map(|at| ((row * 7919 + at * 31) % 32_000) as u32).collect())
        .collect();

    let prompt = Batch::padded(&texts[..1]).unwrap();
    let prefill = median(|| read(decoder.logits_at(&prompt, &[(0, SEQUENCE - 1)]).unwrap()));

    let settings = GenerationConfig::default().with_max_new_tokens(NEW_TOKENS);
    let generator = settings.check().unwrap();
    let decode = median(|| {
        let nothing = |_: &[u32]| Ok(String::new());
        let prompt: [&[u32]; 1] = [&texts[0]];
        let (mut model, never) = (decoder.continuation(), AtomicBool::new(false));
        generator.generate(&mut model, &prompt, &nothing, &never, &mut |_| {}).unwrap();
    });
    let token = ((decode.0 - prefill.0) / (NEW_TOKENS - 1) as f64, decode.1);

    let batch = Batch::padded(&texts).unwrap();
    let layers: Vec<_> = decoder.hidden_layers(HiddenSource::Residual).collect();
    let hidden = median(|| {
        read(decoder.pooled(&batch, &layers, HiddenSource::Residual, &Pooling::Mean).unwrap());
    });

    let numbers = fs::metadata(folder.join("model.safetensors")).unwrap().len() / 4;
    let weights = numbers as f64 * dtype.size() as f64 / 1e6;
    let figures = [
        ("load".to_owned(), load),
        (format!("prefill 1x{SEQUENCE}"), prefill),
        ("a token".to_owned(), token),
        (format!("hidden {rows}x{SEQUENCE}"), hidden),
    ];
    let figures = figures.map(|(what, (seconds, megabytes))| {
        format!("{what} {:.1} ms, {megabytes:.0} MB", seconds * 1e3)
    });
    println!("weights {weights:.0} MB; {}", figures.join("; "));
}

fn read<const D: usize>(tensor: Tensor<D>) {
    std::hint::black_box(tensor.into_data());
}

/// Seconds of one run after one that doesn't count, and the most memory meanwhile.
fn median(mut run: impl FnMut()) -> (f64, f64) {
    // Forgets what was the most before.
    let _ = fs::write("/proc/self/clear_refs", "5");
    run();
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    (seconds[ROUNDS / 2], peak())
}

/// Most resident memory so far, in megabytes; only Linux tells.
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    number.map_or(f64::NAN, |kilobytes| kilobytes * 1024.0 / 1e6)
}
