//! The model: Llama's architecture, trained from random weights.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use collimate_data::{
    ChatTemplate, Content, Example, Formatter, Message, Origin, Position, PrepareSettings, Row,
    RowBuilder, Tokenizer,
};
use collimate_lm::{Decoder, DecoderConfig, parse_device, parse_dtype};
use collimate_train::{
    AdamWConfig, Method, Observer, ScheduleConfig, ScheduleKind, StopReason, TrainConfig, Trainer,
    Warmup,
};
use serde_json::{Value, json};
use shell::Outcome;

use crate::text::Text;
use crate::tokenizer::{BEGIN_ID, END, END_ID, PAD_ID, VOCABULARY, write_json};

/// Tokens that the model can look at.
pub const CONTEXT: usize = 256;

/// What the model is made of.
fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": false,
        "attention_dropout": 0.0,
        "bos_token_id": BEGIN_ID,
        "dtype": "bfloat16",
        "eos_token_id": END_ID,
        "head_dim": 32,
        "hidden_act": "silu",
        "hidden_size": 192,
        "initializer_range": 0.02,
        "intermediate_size": 576,
        "max_position_embeddings": CONTEXT,
        "mlp_bias": false,
        "model_type": "llama",
        "num_attention_heads": 6,
        "num_hidden_layers": 5,
        "num_key_value_heads": 2,
        "pad_token_id": PAD_ID,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": true,
        "torch_dtype": "bfloat16",
        "use_cache": true,
        "vocab_size": VOCABULARY,
    })
}

/// The settings of its training: all texts once, or so many steps.
fn training(seed: u64, steps: Option<u64>) -> TrainConfig {
    let schedule =
        ScheduleConfig::default().with_kind(ScheduleKind::Cosine).with_warmup(Warmup::Ratio(0.04));
    TrainConfig::default()
        .with_method(Method::Full)
        .with_optimizer(AdamWConfig::default().with_beta_2(0.98).with_weight_decay(0.01))
        .with_learning_rate(3e-3)
        .with_schedule(schedule)
        .with_pack(CONTEXT)
        .with_batch_size(8)
        .with_epochs(1.0)
        .with_max_steps(steps)
        .with_seed(seed)
}

/// Writes what the model is and how it generates into a folder.
pub fn describe(folder: &Path) -> Outcome {
    write_json(&folder.join("config.json"), &config())?;
    let generation = json!({
        "bos_token_id": BEGIN_ID,
        "do_sample": false,
        "eos_token_id": END_ID,
        "max_new_tokens": 64,
        "pad_token_id": PAD_ID,
    });
    write_json(&folder.join("generation_config.json"), &generation)
}

/// Trains the model on texts and writes its weights into a folder that has its tokenizer and its
/// description; says whether it came to an end.
pub fn train(
    texts: &[Text],
    folder: &Path,
    seed: u64,
    steps: Option<u64>,
    observer: &mut dyn Observer,
    cancelled: &AtomicBool,
) -> Outcome<bool> {
    let device = parse_device("cpu")?;
    let decoder_config = DecoderConfig::from_json(config().to_string().as_bytes(), "config.json")?;
    let single = parse_dtype("f32")?;
    let mut decoder = Decoder::random(&decoder_config, 0.02, seed, &device, single)?;
    let rows = rows(texts, folder)?;
    let config = training(seed, steps).check()?;
    let result = Trainer::new(config, &rows).run(&mut decoder, observer, cancelled)?;
    if result.reason == StopReason::Cancelled {
        return Ok(false);
    }
    let weights = folder.join("model.safetensors");
    // In single precision first: reading it again rounds it.
    decoder.write_weights(&weights)?;
    let decoder = Decoder::load(folder, &device, parse_dtype("bf16")?)?;
    let rounded = folder.join("rounded.safetensors");
    decoder.write_weights(&rounded)?;
    drop(decoder);
    std::fs::rename(rounded, weights)?;
    Ok(true)
}

/// Texts as tokens. Plain text carries loss from its beginning, a conversation where the assistant speaks.
fn rows(texts: &[Text], folder: &Path) -> Outcome<Vec<Row>> {
    let tokenizer = Tokenizer::from_folder(folder)?;
    let formatter = Formatter::new(END).with_template(ChatTemplate::from_folder(folder)?);
    let settings = PrepareSettings::default()
        .with_mask(collimate_data::Mask::Assistant)
        .with_max_length(Some(CONTEXT));
    let builder = RowBuilder::new(&tokenizer, settings)?;
    let file: Arc<Path> = Path::new("text").into();
    let mut rows = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        let content = match text {
            Text::Plain(text) => Content::Text(text.clone()),
            Text::Conversation(turns) => {
                let message = |(role, said): &(&'static str, String)| Message::new(*role, said);
                Content::Conversation(turns.iter().map(message).collect())
            }
        };
        let origin = Origin { file: file.clone(), position: Position::Element(at as u64 + 1) };
        let example = Example::new(content, origin);
        rows.push(builder.row(&formatter.render(&example)?, &example.origin)?);
    }
    Ok(rows)
}
