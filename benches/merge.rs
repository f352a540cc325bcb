//! How long a merge takes against a plain copy of the weights: a model of Qwen2.5's 0.5B shape, in f32
//! and bf16, with an adapter of rank 16 on all linear modules. Both are synced. `merge.py` does the same
//! with PEFT, on files that this keeps when it is given a folder.
//!
//! `cargo bench -p collimate-benches --bench merge -- [FOLDER]`
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for developers"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use collimate_peft::{
    Adapter, AdapterKey, AdapterPart, AdapterTensor, LoraConfig, Merge, ModuleTree,
};
use collimate_tensors::{Checkpoint, Dtype, Layout, SafetensorsWriter};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const RANK: u64 = 16;
const ROUNDS: usize = 7;
const VOCABULARY: u64 = 151_936;
const HIDDEN: u64 = 896;
const LINEAR: [(&str, u64, u64); 7] = [
    ("self_attn.q_proj", 896, HIDDEN),
    ("self_attn.k_proj", 128, HIDDEN),
    ("self_attn.v_proj", 128, HIDDEN),
    ("self_attn.o_proj", HIDDEN, 896),
    ("mlp.gate_proj", 4864, HIDDEN),
    ("mlp.up_proj", 4864, HIDDEN),
    ("mlp.down_proj", HIDDEN, 4864),
];
const LAYERS: usize = 24;
const CONFIG: &str = r#"{
  "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 896,
  "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
  "num_key_value_heads": 2, "vocab_size": 151936, "max_position_embeddings": 32768,
  "tie_word_embeddings": true, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "hidden_act": "silu"
}"#;

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let scratch = tempfile::tempdir().unwrap();
    let root = folder.as_deref().map_or(scratch.path(), Path::new);
    for dtype in [Dtype::F32, Dtype::BF16] {
        let base = root.join(format!("base-{}", dtype.name().to_lowercase()));
        let adapter = root.join("adapter");
        fs::create_dir_all(&base).unwrap();
        fs::create_dir_all(&adapter).unwrap();
        make_model(&base, dtype);
        make_adapter(&adapter);
        compare(root, &base, &adapter);
    }
}

fn compare(root: &Path, base: &Path, adapter: &Path) {
    let (mut copies, mut merges, mut peak) = (Vec::new(), Vec::new(), 0);
    let out = root.join("out.safetensors");
    // The first round only warms up.
    for round in 0..=ROUNDS {
        let start = Instant::now();
        let from = base.join("model.safetensors");
        assert!(Command::new("cp").args([&from, &out]).status().unwrap().success());
        assert!(Command::new("sync").arg(&out).status().unwrap().success());
        let copied = start.elapsed().as_secs_f64();
        fs::remove_file(&out).unwrap();

        let start = Instant::now();
        peak = peak.max(merge(base, adapter, &out));
        let merged = start.elapsed().as_secs_f64();
        fs::remove_file(&out).unwrap();
        if round > 0 {
            copies.push(copied);
            merges.push(merged);
        }
    }
    let (copy, merge) = (Times::of(copies), Times::of(merges));
    println!(
        "{}: cp and sync {copy}, merge and sync {merge}, ratio of the medians {:.2}, of the least \
         {:.2}; {:.0} MB of memory beyond mapped files",
        base.file_name().unwrap().display(),
        merge.median / copy.median,
        merge.least / copy.least,
        peak as f64 / 1e3,
    );
}

/// Merges, writes and syncs; returns the most memory beyond mapped files, in kB.
fn merge(base: &Path, adapter: &Path, out: &Path) -> u64 {
    let base = Checkpoint::open(base).unwrap();
    let adapter = Adapter::read(adapter).unwrap();
    let tree = ModuleTree::from_tensors(base.tensors().map(|t| (t.name(), t.shape()))).unwrap();
    let tree = tree.with_tied_head("lm_head", "model.embed_tokens").unwrap();
    let plan = Merge::new(&base, tree).with_adapter(&adapter, 1.0).plan().unwrap();
    let writer = SafetensorsWriter::create(out, &plan.layout().clone().sorted()).unwrap();
    let peak = AtomicU64::new(0);
    let progress = |_| {
        peak.fetch_max(anonymous_memory(), Ordering::Relaxed);
    };
    let sink = |name: &str, offset, bytes: &[u8]| writer.write(name, offset, bytes);
    let report = plan.run(&sink, &progress, &AtomicBool::new(false)).unwrap();
    assert_eq!(report.adapted as usize, LAYERS * LINEAR.len());
    writer.finish().unwrap();
    peak.into_inner()
}

fn anonymous_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

fn make_model(folder: &Path, dtype: Dtype) {
    let mut layout = Layout::new().with_metadata("format", "pt");
    let mut push = |name: &str, shape: &[u64]| layout.push(name, dtype, shape).unwrap();
    push("model.embed_tokens.weight", &[VOCABULARY, HIDDEN]);
    push("model.norm.weight", &[HIDDEN]);
    for layer in 0..LAYERS {
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            push(&format!("model.layers.{layer}.{norm}.weight"), &[HIDDEN]);
        }
        for (module, rows, columns) in LINEAR {
            push(&format!("model.layers.{layer}.{module}.weight"), &[rows, columns]);
            if ["q_proj", "k_proj", "v_proj"].iter().any(|biased| module.ends_with(biased)) {
                push(&format!("model.layers.{layer}.{module}.bias"), &[rows]);
            }
        }
    }
    fs::write(folder.join("config.json"), CONFIG).unwrap();
    let path = folder.join("model.safetensors");
    let _ = fs::remove_file(&path);
    let writer = SafetensorsWriter::create(path, &layout.clone().sorted()).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(0);
    for tensor in layout.tensors() {
        let elements: u64 = tensor.shape.iter().product();
        let mut bytes = vec![0; (elements * dtype.bits() / 8) as usize];
        collimate_tensors::narrow(dtype, &numbers(&mut random, elements), &mut bytes).unwrap();
        writer.write(&tensor.name, 0, &bytes).unwrap();
    }
    writer.finish().unwrap();
}

fn make_adapter(folder: &Path) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut tensors = Vec::new();
    for layer in 0..LAYERS {
        for (module, rows, columns) in LINEAR {
            let module = format!("model.layers.{layer}.{module}");
            let mut tensor = |part, shape: [u64; 2]| {
                let numbers = numbers(&mut random, shape[0] * shape[1]);
                let tensor = AdapterTensor::from_f32(shape.to_vec(), &numbers);
                tensors.push((AdapterKey::new(&module, part), tensor));
            };
            tensor(AdapterPart::A, [RANK, columns]);
            tensor(AdapterPart::B, [rows, RANK]);
        }
    }
    let names = LINEAR.map(|(module, ..)| module.rsplit_once('.').unwrap().1);
    let config = LoraConfig::new(RANK as u32).with_alpha(32.0).with_target_modules(names);
    Adapter::new(config, tensors).unwrap().write(folder).unwrap();
}

/// Numbers between -0.05 and 0.05.
fn numbers(random: &mut ChaCha8Rng, count: u64) -> Vec<f32> {
    (0..count).map(|_| (random.next_u32() as f32 / u32::MAX as f32 - 0.5) * 0.1).collect()
}

struct Times {
    median: f64,
    least: f64,
}

impl Times {
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_unstable_by(f64::total_cmp);
        Self { median: seconds[seconds.len() / 2], least: seconds[0] }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} s (least {:.2})", self.median, self.least)
    }
}
