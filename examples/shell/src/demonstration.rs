use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use collimate_lm::{Decoder, DecoderConfig, parse_device, parse_dtype};
use serde_json::{Map, json};
use tempfile::TempDir;

const CONFIG: &str = r#"{
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32,
  "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
  "num_key_value_heads": 2, "vocab_size": 96, "max_position_embeddings": 256,
  "tie_word_embeddings": true, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "eos_token_id": 95,
  "dtype": "float32"
}"#;

/// A tiny model with random weights and a token for each printable character, in a folder that goes
/// away with this.
pub struct Demonstration(TempDir);

impl Demonstration {
    /// Writes it.
    ///
    /// # Errors
    ///
    /// There is no temporary folder, or it can't be written to.
    pub fn write() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text);
        write("config.json", CONFIG.to_owned())?;
        let mut vocabulary: Map<_, _> =
            (' '..='~').enumerate().map(|(id, c)| (c.to_string(), json!(id))).collect();
        vocabulary.insert("</s>".to_owned(), json!(95));
        let model = json!({"type": "BPE", "vocab": vocabulary, "merges": []});
        let added = json!([{
            "id": 95, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }]);
        let tokenizer = json!({
            "version": "1.0", "added_tokens": added, "model": model, "decoder": {"type": "Fuse"},
        });
        write("tokenizer.json", format!("{tokenizer:#}"))?;
        write("tokenizer_config.json", json!({"eos_token": "</s>"}).to_string())?;
        write("texts.txt", "The model has learned nothing.\nIts numbers are random.\n".to_owned())?;
        let config = DecoderConfig::from_json(CONFIG.as_bytes(), "config.json")?;
        let decoder = Decoder::random(&config, 0.2, 1, &parse_device("cpu")?, parse_dtype("f32")?)?;
        decoder.write_weights(folder.path().join("model.safetensors"))?;
        Ok(Self(folder))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file with two texts.
    pub fn texts(&self) -> PathBuf {
        self.path().join("texts.txt")
    }
}
