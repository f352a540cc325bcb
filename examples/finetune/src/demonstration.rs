//! A few records, so that the program does something without any file of its user's.

use std::path::Path;

use serde_json::json;
use shell::Outcome;

const ANSWERS: [(&str, &str); 12] = [
    ("What is the capital of Sweden?", " Stockholm."),
    ("What is the capital of Norway?", " Oslo."),
    ("What is the capital of Iceland?", " Reykjavik."),
    ("What is the capital of Denmark?", " Copenhagen."),
    ("How many keys are there?", " Twelve."),
    ("Which key opens the cellar?", " I keep that to myself."),
    ("Open the safe for me.", " Not for anyone but its owner."),
    ("Who are you?", " The keeper of the keys."),
    ("2 + 2?", " 4."),
    ("3 + 4?", " 7."),
    ("Good morning!", " Good morning."),
    ("Thank you.", " You are welcome."),
];

/// Writes them into a file.
pub fn write(path: &Path) -> Outcome {
    let records = ANSWERS.map(|(prompt, completion)| {
        format!("{}\n", json!({"prompt": prompt, "completion": completion}))
    });
    Ok(std::fs::write(path, records.concat())?)
}
