//! Rows for people: what is trained told apart from what is masked.

use std::fmt::Write;

use collimate_data::{Origin, Result, Row, Tokenizer};

/// The text of a row, masked and trained runs told apart by colour, else by brackets.
pub fn row(row: &Row, origin: &Origin, tokenizer: &Tokenizer, colour: bool) -> Result<String> {
    let mut text =
        format!("{origin}: {} tokens, {} of them trained\n", row.len(), row.trained_tokens());
    let mut start = 0;
    for run in row.trained.chunk_by(|one, other| one == other) {
        let ids = &row.ids[start..start + run.len()];
        start += run.len();
        let words = escaped(&tokenizer.decode(ids, false)?);
        let (before, after) = match (run[0], colour) {
            (true, true) => ("\u{1b}[1;32m", "\u{1b}[0m"),
            (false, true) => ("\u{1b}[2m", "\u{1b}[0m"),
            (true, false) => ("⟦", "⟧"),
            (false, false) => ("", ""),
        };
        // Writing into a string can't fail.
        let _ = write!(text, "{before}{words}{after}");
    }
    text.push_str("\n\n");
    Ok(text)
}

/// Line ends are kept; what else moves the cursor is escaped.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}
