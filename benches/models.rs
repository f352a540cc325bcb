//! How long a scan takes, and that it grows linearly: folders as a Llama of 32 layers is published,
//! with a configuration, an index and four shards of 291 tensors in all. The tokenizer and the shards'
//! data are holes in their files: a scan reads configurations and headers only.
//!
//! `cargo bench -p collimate-benches --bench models`
#![allow(missing_docs, clippy::unwrap_used, reason = "a program for developers")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;

use collimate_models::{Catalog, ScanConfig};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const LAYERS: usize = 32;
const SHARDS: usize = 4;
const CONFIG: &str = r#"{
  "architectures": ["LlamaForCausalLM"],
  "attention_bias": false,
  "attention_dropout": 0.0,
  "bos_token_id": 128000,
  "eos_token_id": [128001, 128008, 128009],
  "hidden_act": "silu",
  "hidden_size": 4096,
  "initializer_range": 0.02,
  "intermediate_size": 14336,
  "max_position_embeddings": 131072,
  "mlp_bias": false,
  "model_type": "llama",
  "num_attention_heads": 32,
  "num_hidden_layers": 32,
  "num_key_value_heads": 8,
  "pretraining_tp": 1,
  "rms_norm_eps": 1e-05,
  "rope_scaling": {
    "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
    "original_max_position_embeddings": 8192, "rope_type": "llama3"
  },
  "rope_theta": 500000.0,
  "tie_word_embeddings": false,
  "torch_dtype": "bfloat16",
  "transformers_version": "4.42.3",
  "use_cache": true,
  "vocab_size": 128256
}"#;

/// Names and shapes of the tensors of each shard.
fn shards() -> Vec<Vec<(String, [u64; 2])>> {
    let mut tensors = vec![("model.embed_tokens.weight".to_owned(), [128_256, 4096])];
    for layer in 0..LAYERS {
        for (part, shape) in [
            ("input_layernorm", [4096, 1]),
            ("mlp.down_proj", [4096, 14336]),
            ("mlp.gate_proj", [14336, 4096]),
            ("mlp.up_proj", [14336, 4096]),
            ("post_attention_layernorm", [4096, 1]),
            ("self_attn.k_proj", [1024, 4096]),
            ("self_attn.o_proj", [4096, 4096]),
            ("self_attn.q_proj", [4096, 4096]),
            ("self_attn.v_proj", [1024, 4096]),
        ] {
            tensors.push((format!("model.layers.{layer}.{part}.weight"), shape));
        }
    }
    tensors.push(("model.norm.weight".to_owned(), [4096, 1]));
    tensors.push(("lm_head.weight".to_owned(), [128_256, 4096]));
    let each = tensors.len().div_ceil(SHARDS);
    tensors.chunks(each).map(<[_]>::to_vec).collect()
}

/// A safetensors header of these tensors in bf16, and how many bytes of data follow it.
fn header(tensors: &[(String, [u64; 2])]) -> (Vec<u8>, u64) {
    let mut json = String::from("{\"__metadata__\":{\"format\":\"pt\"}");
    let mut offset = 0;
    for (name, [rows, columns]) in tensors {
        let end = offset + rows * columns * 2;
        write!(
            json,
            ",\"{name}\":{{\"dtype\":\"BF16\",\"shape\":[{rows},{columns}],\
             \"data_offsets\":[{offset},{end}]}}"
        )
        .unwrap();
        offset = end;
    }
    json.push('}');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    (bytes, offset)
}

fn shard_name(shard: usize) -> String {
    format!("model-{:05}-of-{SHARDS:05}.safetensors", shard + 1)
}

fn make_models(root: &Path, count: usize) {
    let shards = shards();
    let headers: Vec<_> = shards.iter().map(|tensors| header(tensors)).collect();
    let mut places = Vec::new();
    for (shard, tensors) in shards.iter().enumerate() {
        for (name, _) in tensors {
            places.push(format!("    \"{name}\": \"{}\"", shard_name(shard)));
        }
    }
    let index = format!(
        "{{\n  \"metadata\": {{\"total_size\": 16060522496}},\n  \"weight_map\": {{\n{}\n  }}\n}}",
        places.join(",\n")
    );
    for number in 0..count {
        let folder = root.join(format!("Model-{number:05}-8B"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("config.json"), CONFIG).unwrap();
        File::create(folder.join("tokenizer.json")).unwrap().set_len(9_000_000).unwrap();
        fs::write(folder.join("model.safetensors.index.json"), &index).unwrap();
        for (shard, (header, data)) in headers.iter().enumerate() {
            let mut file = File::create(folder.join(shard_name(shard))).unwrap();
            file.write_all(header).unwrap();
            file.set_len(header.len() as u64 + data).unwrap();
        }
    }
}

fn scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan");
    group.sample_size(10);
    for count in [1_250, 2_500, 5_000, 10_000] {
        let root = tempfile::tempdir().unwrap();
        make_models(root.path(), count);
        let config = ScanConfig::new().with_root(root.path());
        let catalog = Catalog::scan(&config);
        assert_eq!(catalog.entries().len(), count);
        assert!(catalog.entries().iter().all(|entry| entry.parameters() == Some(8_030_261_248)));
        assert!(catalog.entries().iter().all(|entry| entry.is_complete()));
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| black_box(Catalog::scan(&config)));
        });
    }
    group.finish();
}

criterion_group!(benches, scan);
criterion_main!(benches);
