//! Templates of well-known formats, for models and records that bring none.

use std::fmt;
use std::str::FromStr;

use serde_json::Value as Json;

use super::rendering::ChatTemplate;
use crate::{DataError, Result};

/// A format that is built in.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum BuiltIn {
    /// `[INST] … [/INST]` with `<<SYS>>`, as Llama 2 has it.
    Llama2,
    /// `<|start_header_id|>role<|end_header_id|>`, as Llama 3 has it.
    Llama3,
    /// `[INST] … [/INST]` as Mistral's instruction models have it.
    Mistral,
    /// `<|im_start|>role … <|im_end|>`: ChatML, as Qwen has it.
    ChatMl,
    /// `<start_of_turn>role … <end_of_turn>`, as Gemma has it; without system turns.
    Gemma,
    /// `<|role|> … <|end|>`, as Phi-3 has it.
    Phi3,
    /// `<|role|> … </s>`, as Zephyr and TinyLlama have it.
    Zephyr,
    /// `### Instruction:` and `### Response:`.
    Alpaca,
    /// `USER: … ASSISTANT: …`.
    Vicuna,
    /// What is said, turn by turn, and the end-of-text token behind what the assistant says.
    Plain,
}

const LLAMA2: &str = include_str!("built_in/llama2.jinja");
const LLAMA3: &str = include_str!("built_in/llama3.jinja");
const MISTRAL: &str = include_str!("built_in/mistral.jinja");
const CHATML: &str = include_str!("built_in/chatml.jinja");
const GEMMA: &str = include_str!("built_in/gemma.jinja");
const PHI3: &str = include_str!("built_in/phi3.jinja");
const ZEPHYR: &str = include_str!("built_in/zephyr.jinja");
const ALPACA: &str = include_str!("built_in/alpaca.jinja");
const VICUNA: &str = include_str!("built_in/vicuna.jinja");
const PLAIN: &str = include_str!("built_in/plain.jinja");

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Llama2,
        Self::Llama3,
        Self::Mistral,
        Self::ChatMl,
        Self::Gemma,
        Self::Phi3,
        Self::Zephyr,
        Self::Alpaca,
        Self::Vicuna,
        Self::Plain,
    ];

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        self.parts().0
    }

    /// Its template.
    pub fn source(self) -> &'static str {
        self.parts().1
    }

    /// Its name and template, and the tokens that begin and end a text where a model has no others.
    fn parts(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Llama2 => ("llama2", LLAMA2, "<s>", "</s>"),
            Self::Llama3 => ("llama3", LLAMA3, "<|begin_of_text|>", "<|eot_id|>"),
            Self::Mistral => ("mistral", MISTRAL, "<s>", "</s>"),
            Self::ChatMl => ("chatml", CHATML, "", "<|im_end|>"),
            Self::Gemma => ("gemma", GEMMA, "<bos>", "<eos>"),
            Self::Phi3 => ("phi3", PHI3, "<s>", "<|endoftext|>"),
            Self::Zephyr => ("zephyr", ZEPHYR, "<s>", "</s>"),
            Self::Alpaca => ("alpaca", ALPACA, "<s>", "</s>"),
            Self::Vicuna => ("vicuna", VICUNA, "<s>", "</s>"),
            Self::Plain => ("plain", PLAIN, "<s>", "</s>"),
        }
    }
}

impl fmt::Display for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BuiltIn {
    type Err = DataError;

    /// Reads a name in any case, with or without `-`, `_` and spaces; `qwen` is ChatML.
    ///
    /// # Errors
    ///
    /// There is no such template.
    fn from_str(name: &str) -> Result<Self> {
        let plain: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase();
        let plain = if plain == "qwen" { "chatml" } else { plain.as_str() };
        Self::ALL.into_iter().find(|known| known.name() == plain).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            let message = format!("is not built in; there are {} and qwen", names.join(", "));
            DataError::Template { name: name.to_owned(), message }
        })
    }
}

impl ChatTemplate {
    /// A built-in template, with the format's own `bos_token` and `eos_token`: set the model's with
    /// [`with_variable`](Self::with_variable) where they differ.
    ///
    /// ```
    /// use collimate_data::{BuiltIn, ChatTemplate, Message, RenderOptions};
    ///
    /// let template = ChatTemplate::built_in("qwen".parse()?)?;
    /// let turns = [Message::new("user", "Hi"), Message::new("assistant", "Hello!")];
    /// let rendered = template.render(&turns, &RenderOptions::default())?;
    /// assert_eq!(&rendered.text[rendered.assistant[0].clone()], "Hello!<|im_end|>\n");
    /// # assert_eq!("ChatML".parse::<BuiltIn>()?, BuiltIn::ChatMl);
    /// # Ok::<(), collimate_data::DataError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None in practice: the built-in templates are valid.
    pub fn built_in(format: BuiltIn) -> Result<Self> {
        let (name, source, bos, eos) = format.parts();
        let mut template = Self::new(name, source)?;
        template.leaves_bos = true;
        let template = template.with_variable("eos_token", &Json::from(eos));
        Ok(if bos.is_empty() {
            template
        } else {
            template.with_variable("bos_token", &Json::from(bos))
        })
    }
}
