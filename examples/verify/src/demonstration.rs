//! A tiny model, checked whole and damaged.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use collimate_artifact::Checksums;
use collimate_tensors::{Dtype, write_safetensors};
use serde_json::json;

/// Makes it, checks it, changes a byte of its weights, and checks it again.
pub fn run(cancelled: &AtomicBool) -> Result<bool, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("tiny-model");
    make(&folder, cancelled)?;
    let sound = crate::check(&folder, false, cancelled)?;
    let weights = folder.join("model.safetensors");
    let mut bytes = fs::read(&weights)?;
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    fs::write(&weights, bytes)?;
    writeln!(io::stdout(), "\nthe same with one bit of its weights changed:")?;
    let damaged = crate::check(&folder, false, cancelled)?;
    Ok(sound && !damaged)
}

fn make(folder: &Path, cancelled: &AtomicBool) -> Result<(), Box<dyn Error>> {
    fs::create_dir(folder)?;
    let write = |name: &str, value| fs::write(folder.join(name), format!("{value:#}"));
    write(
        "config.json",
        json!({
            "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 2, "n_layer": 1,
            "n_head": 1, "vocab_size": 3, "tie_word_embeddings": true,
        }),
    )?;
    write(
        "tokenizer.json",
        json!({
            "version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
            "model": {"type": "WordLevel", "vocab": {"?": 0, "Hello": 1, "world": 2}, "unk_token": "?"},
        }),
    )?;
    let tensors = [
        ("transformer.wte.weight", Dtype::F32, vec![3, 2], vec![0; 24]),
        ("transformer.h.0.ln_1.weight", Dtype::F32, vec![2], vec![0; 8]),
    ];
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    write_safetensors(folder.join("model.safetensors"), &metadata, tensors)?;
    let checksums = Checksums::of_folder(folder, cancelled)?;
    fs::write(folder.join(Checksums::FILE), checksums.to_string())?;
    Ok(())
}
