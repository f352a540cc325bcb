use std::path::Path;

use super::config::Config;
use super::invalid;
use crate::error::Result;

/// A kind of tokenizer, as `tokenizer_class` names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Class {
    Bert,
    Gemma,
    Gpt2,
    Llama,
    Qwen2,
    Roberta,
    T5,
}

/// Names of classes, without the `Fast` that they may end in.
const NAMES: &[(&str, Class)] = &[
    ("BartTokenizer", Class::Roberta),
    ("BertTokenizer", Class::Bert),
    ("DistilBertTokenizer", Class::Bert),
    ("GPT2Tokenizer", Class::Gpt2),
    ("GemmaTokenizer", Class::Gemma),
    ("LlamaTokenizer", Class::Llama),
    ("Qwen2Tokenizer", Class::Qwen2),
    ("RobertaTokenizer", Class::Roberta),
    ("T5Tokenizer", Class::T5),
];
/// Names that say nothing about the kind.
const GENERAL: &[&str] = &["PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend"];
/// What a `model_type` comes with if no class is named.
const MODEL_TYPES: &[(&str, Class)] = &[
    ("bart", Class::Roberta),
    ("bert", Class::Bert),
    ("distilbert", Class::Bert),
    ("gemma", Class::Gemma),
    ("gemma2", Class::Gemma),
    ("gemma3", Class::Gemma),
    ("gemma3_text", Class::Gemma),
    ("gpt2", Class::Gpt2),
    ("gpt_neo", Class::Gpt2),
    ("gptj", Class::Gpt2),
    ("llama", Class::Llama),
    ("mistral", Class::Llama),
    ("mixtral", Class::Llama),
    ("mt5", Class::T5),
    ("opt", Class::Gpt2),
    ("qwen2", Class::Qwen2),
    ("qwen2_moe", Class::Qwen2),
    ("qwen3", Class::Qwen2),
    ("qwen3_moe", Class::Qwen2),
    ("roberta", Class::Roberta),
    ("t5", Class::T5),
];

impl Class {
    /// The class that the files in a folder name, else the one that their model type comes with.
    pub(super) fn of(folder: &Path, config: &Config) -> Result<Self> {
        let unknown = |what: String| {
            invalid(
                folder,
                format!(
                    "there is no tokenizer.json, and {what}; load the tokenizer with the code that \
                     the model came with and save it again, which writes one"
                ),
            )
        };
        if let Some(name) = config.class() {
            let name = name.strip_suffix("Fast").unwrap_or(name);
            if let Some((_, class)) = NAMES.iter().find(|(known, _)| *known == name) {
                return Ok(*class);
            }
            if !GENERAL.iter().any(|general| general.trim_end_matches("Fast") == name) {
                return Err(unknown(format!("none can be built for the class '{name}'")));
            }
        }
        let Some(model_type) = config.model_type() else {
            return Err(unknown(
                "neither tokenizer_config.json nor config.json says of which class it is"
                    .to_owned(),
            ));
        };
        let found = MODEL_TYPES.iter().find(|(known, _)| *known == model_type);
        found.map(|(_, class)| *class).ok_or_else(|| {
            unknown(format!(
                "tokenizer_config.json names no class, and none is known for the model type \
                 '{model_type}'"
            ))
        })
    }

    /// The files that it is built from: the first group of which all are there.
    pub(super) fn sources(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Bert => &[&["vocab.txt"]],
            Self::Gemma | Self::Llama => &[&["tokenizer.model"]],
            Self::Gpt2 | Self::Qwen2 | Self::Roberta => &[&["vocab.json", "merges.txt"]],
            Self::T5 => &[&["spiece.model"], &["tokenizer.model"]],
        }
    }

    /// The special tokens that it has where `tokenizer_config.json` is silent.
    pub(super) fn special_tokens(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Bert => &[
                ("unk_token", "[UNK]"),
                ("sep_token", "[SEP]"),
                ("pad_token", "[PAD]"),
                ("cls_token", "[CLS]"),
                ("mask_token", "[MASK]"),
            ],
            Self::Gemma => &[
                ("bos_token", "<bos>"),
                ("eos_token", "<eos>"),
                ("unk_token", "<unk>"),
                ("pad_token", "<pad>"),
                ("mask_token", "<mask>"),
            ],
            Self::Gpt2 => &[
                ("bos_token", "<|endoftext|>"),
                ("eos_token", "<|endoftext|>"),
                ("unk_token", "<|endoftext|>"),
            ],
            Self::Llama => &[("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")],
            Self::Qwen2 => &[
                ("eos_token", "<|endoftext|>"),
                ("unk_token", "<|endoftext|>"),
                ("pad_token", "<|endoftext|>"),
            ],
            Self::Roberta => &[
                ("bos_token", "<s>"),
                ("eos_token", "</s>"),
                ("unk_token", "<unk>"),
                ("sep_token", "</s>"),
                ("pad_token", "<pad>"),
                ("cls_token", "<s>"),
                ("mask_token", "<mask>"),
            ],
            Self::T5 => &[("eos_token", "</s>"), ("unk_token", "<unk>"), ("pad_token", "<pad>")],
        }
    }
}
