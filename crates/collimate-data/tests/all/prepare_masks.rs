//! Masks of rows beside those of TRL and transformers (`conformance/masks.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use collimate_data::{
    Mask, Origin, Position, PrepareSettings, Rendered, Row, RowBuilder, Tokenizer,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    conversations: Vec<Conversation>,
    strings: Vec<Strings>,
    preferences: Vec<Preference>,
}

#[derive(Deserialize)]
struct Conversation {
    text: String,
    assistant: Vec<(usize, usize)>,
    completion: usize,
    has_special_tokens: bool,
    ids: Vec<u32>,
    assistant_mask: Option<Vec<u8>>,
    completion_mask: Vec<u8>,
}

#[derive(Deserialize)]
struct Strings {
    prompt: String,
    completion: String,
    ids: Vec<u32>,
    completion_mask: Vec<u8>,
}

#[derive(Deserialize)]
struct Preference {
    prompt: String,
    chosen: String,
    rejected: String,
    prompt_len: usize,
    chosen_ids: Vec<u32>,
    rejected_ids: Vec<u32>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn references() -> Vec<(String, Tokenizer, Reference)> {
    let text = std::fs::read_to_string(fixtures().join("masks.json")).unwrap();
    let references: BTreeMap<String, Reference> = serde_json::from_str(&text).unwrap();
    assert_eq!(references.len(), 3);
    let load =
        |name: &str| Tokenizer::from_folder(fixtures().join("tokenizers").join(name)).unwrap();
    references.into_iter().map(|(name, of)| (name.clone(), load(&name), of)).collect()
}

fn origin() -> Origin {
    Origin { file: Path::new("data.jsonl").into(), position: Position::Line(1) }
}

fn row(tokenizer: &Tokenizer, mask: Mask, rendered: &Rendered) -> Row {
    let settings = PrepareSettings::default().with_mask(mask);
    RowBuilder::new(tokenizer, settings).unwrap().row(rendered, &origin()).unwrap()
}

/// A mask without its first token, which nothing predicts.
fn predicted(mask: &[u8]) -> Vec<bool> {
    mask.iter().enumerate().map(|(i, trained)| i > 0 && *trained == 1).collect()
}

fn rendered(of: &Conversation) -> Rendered {
    let mut rendered = Rendered::default();
    rendered.text.clone_from(&of.text);
    rendered.assistant = of.assistant.iter().map(|&(start, end)| start..end).collect();
    rendered.completion = of.completion;
    rendered.has_special_tokens = of.has_special_tokens;
    rendered
}

#[test]
fn conversations_have_the_masks_of_the_reference() {
    for (name, tokenizer, reference) in references() {
        for conversation in &reference.conversations {
            let context = format!("{name}: {:?}", conversation.text);
            let rendered = rendered(conversation);
            let completion = row(&tokenizer, Mask::Completion, &rendered);
            assert_eq!(completion.ids, conversation.ids, "{context}");
            assert_eq!(completion.trained, predicted(&conversation.completion_mask), "{context}");
            let assistant = row(&tokenizer, Mask::Assistant, &rendered);
            assert_eq!(assistant.ids, conversation.ids, "{context}");
            if let Some(mask) = &conversation.assistant_mask {
                assert_eq!(assistant.trained, predicted(mask), "{context}");
            }
        }
    }
}

#[test]
fn the_last_turn_is_the_end_of_the_assistants_mask() {
    for (name, tokenizer, reference) in references() {
        for conversation in &reference.conversations {
            let context = format!("{name}: {:?}", conversation.text);
            let whole = rendered(conversation);
            let mut first = whole.clone();
            first.assistant.pop();
            let last = row(&tokenizer, Mask::LastTurn, &whole);
            let mut all = row(&tokenizer, Mask::Assistant, &whole);
            if !first.assistant.is_empty() {
                let first = row(&tokenizer, Mask::Assistant, &first);
                all.trained.iter_mut().zip(&first.trained).for_each(|(all, first)| *all &= !first);
            }
            assert_eq!(last, all, "{context}");
        }
    }
}

#[test]
fn the_closing_token_of_every_turn_carries_loss() {
    for (name, tokenizer, reference) in references() {
        let close = tokenizer.special_tokens().eos.clone().unwrap().id;
        for conversation in &reference.conversations {
            let context = format!("{name}: {:?}", conversation.text);
            let rendered = rendered(conversation);
            let all = row(&tokenizer, Mask::Assistant, &rendered);
            let closed = all.ids.iter().zip(&all.trained).filter(|(id, on)| **id == close && **on);
            assert_eq!(closed.count(), rendered.assistant.len(), "{context}");
            for mask in [Mask::Completion, Mask::LastTurn, Mask::All] {
                let row = row(&tokenizer, mask, &rendered);
                let last = row.ids.iter().rposition(|id| *id == close).unwrap();
                assert!(row.trained[last], "{context} {mask:?}");
            }
        }
    }
}

#[test]
fn strings_have_the_masks_of_the_reference() {
    for (name, tokenizer, reference) in references() {
        let end = tokenizer.special_tokens().eos.clone().unwrap().text;
        for case in &reference.strings {
            let context = format!("{name}: {:?} {:?}", case.prompt, case.completion);
            let rendered = Rendered::from_prompt_completion(&case.prompt, &case.completion, &end);
            let found = row(&tokenizer, Mask::Completion, &rendered);
            assert_eq!(found.ids, case.ids, "{context}");
            assert_eq!(found.trained, predicted(&case.completion_mask), "{context}");
            // A text that has its end already gets no second one.
            let closed = format!("{}{end}", case.completion);
            let same = Rendered::from_prompt_completion(&case.prompt, &closed, &end);
            assert_eq!(same, rendered, "{context}");
        }
    }
}

#[test]
fn all_of_a_text_is_learned() {
    for (name, tokenizer, reference) in references() {
        let end = tokenizer.special_tokens().eos.clone().unwrap().text;
        for case in &reference.strings {
            let text = format!("{}{}", case.prompt, case.completion);
            let rendered = Rendered::from_text(&text, &end);
            for mask in [Mask::Completion, Mask::Assistant, Mask::LastTurn, Mask::All] {
                let row = row(&tokenizer, mask, &rendered);
                assert_eq!(row.ids, case.ids, "{name}: {text:?}");
                // Only a BOS is given, and the first token is never predicted.
                assert_eq!(row.trained_tokens(), row.len() - 1, "{name}: {text:?} {mask:?}");
                assert!(!row.trained[0]);
            }
        }
    }
}

#[test]
fn preferences_share_the_prompt_that_the_reference_finds() {
    let mut pairs = 0;
    for (name, tokenizer, reference) in references() {
        let builder = RowBuilder::new(&tokenizer, PrepareSettings::default()).unwrap();
        for case in &reference.preferences {
            let end = tokenizer.special_tokens().eos.clone().unwrap().text;
            let context = format!("{name}: {:?} {:?}", case.prompt, case.chosen);
            let chosen = Rendered::from_prompt_completion(&case.prompt, &case.chosen, &end);
            let rejected = Rendered::from_prompt_completion(&case.prompt, &case.rejected, &end);
            let row = builder.preference_row(&chosen, &rejected, &origin()).unwrap();
            assert_eq!(row.chosen.ids, case.chosen_ids, "{context}");
            assert_eq!(row.rejected.ids, case.rejected_ids, "{context}");
            assert_eq!(row.prompt_len, case.prompt_len, "{context}");
            for row in [&row.chosen, &row.rejected] {
                let first = case.prompt_len.max(1);
                let expected: Vec<bool> = (0..row.len()).map(|i| i >= first).collect();
                assert_eq!(row.trained, expected, "{context}");
            }
            pairs += 1;
        }
    }
    assert_eq!(pairs, 24);
}
