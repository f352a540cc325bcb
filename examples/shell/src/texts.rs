use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

/// A text of a file.
pub struct Text {
    /// Its `id`, else its number in the file, from 0.
    pub id: String,
    /// The line that it stands on, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

/// Reads texts: one per line of a `.txt` file, one `{"text": …}` per line of a `.jsonl` file, which
/// may have an `id`.
pub fn read_texts(path: &Path) -> Result<Vec<Text>, Box<dyn Error>> {
    let shown = path.display();
    let json = match path.extension().and_then(|end| end.to_str()) {
        Some("txt") => false,
        Some("jsonl") => true,
        _ => return Err(format!("{shown}: expected a file named .txt or .jsonl").into()),
    };
    let cannot = |error| format!("{shown} can't be read: {error}");
    if !path.metadata().map_err(cannot)?.is_file() {
        return Err(format!("{shown} is not a file").into());
    }
    let mut texts = Vec::new();
    for (at, line) in BufReader::new(File::open(path).map_err(cannot)?).lines().enumerate() {
        let at_line = |message: &dyn std::fmt::Display| format!("{shown}:{}: {message}", at + 1);
        let line = line.map_err(|error| at_line(&error))?;
        if json && line.trim().is_empty() {
            continue;
        }
        let number = texts.len().to_string();
        let (id, text) =
            if json { object(&line, number).map_err(|e| at_line(&e))? } else { (number, line) };
        if text.is_empty() {
            return Err(at_line(&"the text is empty").into());
        }
        texts.push(Text { id, line: at + 1, text });
    }
    if texts.is_empty() {
        return Err(format!("{shown} has no texts").into());
    }
    Ok(texts)
}

fn object(line: &str, number: String) -> Result<(String, String), String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let text = value.get("text").and_then(Value::as_str);
    let text = text.ok_or("expected an object with a string in \"text\"")?.to_owned();
    let id = match value.get("id") {
        None | Some(Value::Null) => number,
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        Some(_) => return Err("expected a string or a number in \"id\"".to_owned()),
    };
    Ok((id, text))
}
