//! The tokenizer: byte-level BPE, so that any text can be encoded.

use std::fs;
use std::path::Path;

use serde_json::json;
use shell::Outcome;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer, models::TrainerWrapper};

use crate::text::Text;

/// Entries of the vocabulary.
pub const VOCABULARY: usize = 2048;
/// Begins a text.
const BEGIN: &str = "<|begin|>";
/// Ends a text, and a turn.
pub const END: &str = "<|end|>";
const PAD: &str = "<|pad|>";
/// Their ids are their places.
const SPECIAL: [&str; 6] = [BEGIN, END, PAD, "<|system|>", "<|user|>", "<|assistant|>"];

/// Ids of what begins and ends a text, and of what fills it up.
pub const BEGIN_ID: u32 = 0;
pub const END_ID: u32 = 1;
pub const PAD_ID: u32 = 2;

const CHAT_TEMPLATE: &str = include_str!("chat_template.jinja");

/// Trains the tokenizer and writes its files into a folder.
pub fn write(texts: &[Text], folder: &Path) -> Outcome {
    let mut tokenizer = Tokenizer::new(BPE::default());
    // No space before the text; by the pattern of GPT-2.
    let byte_level = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(byte_level)).with_decoder(Some(byte_level));
    let special = SPECIAL.map(|token| AddedToken::from(token, true)).to_vec();
    let trainer = BpeTrainer::builder()
        .vocab_size(VOCABULARY)
        .show_progress(false)
        .special_tokens(special)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let parts = texts.iter().flat_map(|text| match text {
        Text::Plain(text) => vec![text.as_str()],
        Text::Conversation(turns) => turns.iter().map(|(_, said)| said.as_str()).collect(),
    });
    let failed = |error: tokenizers::Error| format!("the tokenizer can't be trained: {error}");
    tokenizer.train(&mut TrainerWrapper::BpeTrainer(trainer), parts).map_err(failed)?;
    let template = TemplateProcessing::builder()
        .try_single(format!("{BEGIN} $A"))?
        .special_tokens(vec![(BEGIN, BEGIN_ID)])
        .build()?;
    tokenizer.with_post_processor(Some(template));
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string(true).map_err(failed)?)?;
    let names = json!({"bos_token": BEGIN, "eos_token": END, "pad_token": PAD});
    write_json(&folder.join("special_tokens_map.json"), &names)?;
    let config = json!({
        "add_bos_token": true,
        "bos_token": BEGIN,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": false,
        "eos_token": END,
        "model_max_length": crate::model::CONTEXT,
        "pad_token": PAD,
        "tokenizer_class": "PreTrainedTokenizerFast",
    });
    write_json(&folder.join("tokenizer_config.json"), &config)
}

/// Writes a value as a file of its own.
pub fn write_json(path: &Path, value: &serde_json::Value) -> Outcome {
    Ok(fs::write(path, format!("{value:#}\n"))?)
}
