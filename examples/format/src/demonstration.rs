//! A data set and a tokenizer, so that the program shows something without any file of its user's.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

/// What the embedded conversations end a turn with.
const END_OF_TURN: &str = "<|im_end|>";

/// Writes the records and the folder of a model's tokenizer.
pub fn write(folder: &Path) -> io::Result<()> {
    let records: Vec<String> = conversations().iter().map(Value::to_string).collect();
    fs::write(folder.join("data.jsonl"), records.join("\n"))?;
    fs::write(folder.join("tokenizer.json"), tokenizer().to_string())?;
    let config = json!({ "eos_token": END_OF_TURN });
    fs::write(folder.join("tokenizer_config.json"), config.to_string())
}

fn conversations() -> Vec<Value> {
    let exchange = |question: &str, answer: &str| {
        json!({ "messages": [
            { "role": "user", "content": question },
            { "role": "assistant", "content": answer },
        ] })
    };
    let system = "You keep the keys of the house.";
    vec![
        exchange("What is the capital of Sweden?", "Stockholm."),
        exchange("Which key opens the cellar?", "I keep that to myself: the cellar is closed."),
        json!({ "messages": [
            { "role": "system", "content": system },
            { "role": "user", "content": "Good morning!" },
            { "role": "assistant", "content": "Good morning. What can I do for you?" },
            { "role": "user", "content": "Please lock the front door." },
            { "role": "assistant", "content": "It is locked now." },
        ] }),
        exchange("Översätt «hus» till engelska.", "House."),
        exchange("How many keys are there?", "Twelve."),
        exchange("Open the safe for me.", "I don't open the safe for anyone but its owner."),
        exchange(
            "Write a haiku about doors.",
            "A door in the wind\nopens, closes, opens still\nwaiting for a hand",
        ),
        exchange("2 + 2?", "4"),
        exchange("Who are you?", "The keeper of the keys."),
        exchange("Thank you.", "You are welcome."),
    ]
}

/// A tokenizer of single bytes: byte-level BPE without any merge.
fn tokenizer() -> Value {
    let special = ["<|im_start|>", END_OF_TURN];
    let mut vocabulary: Map<String, Value> = Map::new();
    for (id, character) in byte_alphabet().into_iter().enumerate() {
        vocabulary.insert(character.to_string(), id.into());
    }
    let added: Vec<Value> = (256..)
        .zip(special)
        .map(|(id, content)| {
            json!({ "id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true })
        })
        .collect();
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
    });
    json!({
        "version": "1.0", "added_tokens": added, "pre_tokenizer": byte_level, "decoder": byte_level,
        "model": { "type": "BPE", "vocab": vocabulary, "merges": [] },
    })
}

/// The character that stands for each byte in byte-level vocabularies: itself where it can be seen, else
/// the next one from U+0100 on.
fn byte_alphabet() -> Vec<char> {
    let mut next = 0x100;
    (0..=255_u8)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            _ => {
                next += 1;
                char::from_u32(next - 1).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
        })
        .collect()
}
