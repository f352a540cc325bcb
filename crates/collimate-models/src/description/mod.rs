//! What a model is, from its small files.

mod adapter;
mod alignment;
mod architecture;
mod card;
mod config;
mod display_name;
mod families;
mod fields;
mod front_matter;
mod json;
mod template;
#[cfg(test)]
mod testing;
mod tokenizer;

use serde::Serialize;

pub use adapter::AdapterInfo;
pub use alignment::AlignmentInfo;
pub use architecture::{Architecture, Quantization};
pub use template::ChatTemplate;
pub use tokenizer::TokenizerFiles;

use self::card::Card;
use self::config::Config;
use crate::folder::Folder;
use crate::problem::Problem;
use crate::weights::Weights;

/// A model as its configuration, card and headers describe it. What isn't stated is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Description {
    /// Layers, sizes and types, from `config.json` or the keys of a GGUF file.
    pub architecture: Option<Architecture>,
    /// The weights, from their headers.
    pub weights: Option<Weights>,
    /// What turns text into tokens.
    pub tokenizer: TokenizerFiles,
    /// Where the chat template stands.
    pub chat_template: Option<ChatTemplate>,
    /// The licence that the card (or GGUF key) states, as it states it.
    pub licence: Option<String>,
    /// Models that the card says this one was made from.
    pub card_base_models: Vec<String>,
    /// What `adapter_config.json` says.
    pub adapter: Option<AdapterInfo>,
    /// What `config.json` says of how the model was aligned.
    pub alignment: Option<AlignmentInfo>,
}

/// What the small files of a folder say, with a name for people if one is given.
pub(crate) struct Described {
    pub(crate) description: Description,
    /// From `config.json`, else `MODEL_INFO.md`.
    pub(crate) display_name: Option<String>,
}

/// Reads everything about the model in this folder but its weights, which
/// [`crate::weights::inspect`] reads.
pub(crate) fn describe(folder: &Folder, problems: &mut Vec<Problem>) -> Described {
    let config = if_there(folder, config::FILE, problems, |_| Config::read(folder));
    let adapter =
        if_there(folder, adapter::FILE, problems, |problems| AdapterInfo::read(folder, problems));
    let card = if_there(folder, card::FILE, problems, |problems| Card::read(folder, problems));
    let card = card.unwrap_or_default();
    let description = Description {
        architecture: config.as_ref().map(|config| config.architecture(problems)),
        weights: None,
        tokenizer: TokenizerFiles::find(folder, problems),
        chat_template: ChatTemplate::find(folder, problems),
        licence: card.licence,
        card_base_models: card.base_models,
        adapter,
        alignment: config.as_ref().and_then(|config| config.alignment(problems)),
    };
    let display_name = display_name::find(folder, config.as_ref(), problems);
    Described { description, display_name }
}

/// What a file says, if it is there and can be read.
fn if_there<T>(
    folder: &Folder,
    file: &str,
    problems: &mut Vec<Problem>,
    read: impl FnOnce(&mut Vec<Problem>) -> Result<T, Problem>,
) -> Option<T> {
    if !folder.has(file) {
        return None;
    }
    read(problems).map_err(|problem| problems.push(problem)).ok()
}

#[cfg(test)]
mod tests {
    use super::testing::Model;
    use super::*;

    fn describe(files: &[(&str, &str)]) -> (Described, Vec<&'static str>) {
        let (model, mut problems) = (Model::new(files), Vec::new());
        let described = super::describe(&model.folder(), &mut problems);
        (described, problems.iter().map(Problem::code).collect())
    }

    #[test]
    fn an_empty_folder_says_nothing() {
        let (described, problems) = describe(&[]);
        assert_eq!(described.description, Description::default());
        assert_eq!((described.display_name, problems.len()), (None, 0));
    }

    #[test]
    fn every_file_adds_its_part() {
        let (described, problems) = describe(&[
            (
                "config.json",
                r#"{"model_type": "llama", "num_hidden_layers": 2, "parent_model": "org/base"}"#,
            ),
            ("adapter_config.json", r#"{"peft_type": "LORA", "r": 4}"#),
            ("README.md", "---\nlicense: mit\nbase_model: org/base\n---\n"),
            ("MODEL_INFO.md", "# Name of it\n"),
            ("tokenizer.json", "{}"),
            ("tokenizer_config.json", r#"{"chat_template": "x"}"#),
        ]);
        assert_eq!(problems, Vec::<&str>::new());
        assert_eq!(described.display_name.as_deref(), Some("Name of it"));
        let found = described.description;
        assert_eq!(found.architecture.and_then(|a| a.layers), Some(2));
        assert_eq!(found.adapter.and_then(|a| a.rank), Some(4));
        assert_eq!(found.licence.as_deref(), Some("mit"));
        assert_eq!(found.card_base_models, ["org/base"]);
        assert_eq!(found.alignment.and_then(|a| a.parent).as_deref(), Some("org/base"));
        assert_eq!(found.chat_template, Some(ChatTemplate::TokenizerConfig));
        assert!(found.tokenizer.complete);
        assert_eq!(found.tokenizer.files, ["tokenizer.json", "tokenizer_config.json"]);
    }

    #[test]
    fn one_broken_file_leaves_the_others_readable() {
        let (described, problems) = describe(&[
            ("config.json", "{"),
            ("adapter_config.json", "[]"),
            ("README.md", "---\na: [\n---\n"),
            ("MODEL_INFO.md", "# Name\n"),
            ("tokenizer.json", "{}"),
        ]);
        assert_eq!(problems, ["invalid", "invalid", "invalid"]);
        assert_eq!(described.description.architecture, None);
        assert!(described.description.tokenizer.complete);
        assert_eq!(described.display_name.as_deref(), Some("Name"));
    }
}
