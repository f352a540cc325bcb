//! GGUF files: a model in one file, or in several numbered ones.

mod error;
mod header;
mod types;

pub use error::GgufError;
pub use header::{GgufHeader, GgufTensor};

use self::header::Value;
use self::types::{bits, file_type};
use super::numbered::Numbered;
use super::tally::Tally;
use super::{WeightFile, WeightFormat, Weights};
use crate::description::{Architecture, Quantization};
use crate::folder::Folder;
use crate::problem::Problem;

/// What the files of one GGUF model say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GgufModel {
    pub(crate) architecture: Architecture,
    pub(crate) weights: Weights,
    pub(crate) display_name: Option<String>,
    pub(crate) licence: Option<String>,
    pub(crate) chat_template: bool,
    pub(crate) tokenizer: bool,
    /// The number of the file that was asked for, from 0, and how many there are.
    pub(crate) split: Option<(u32, u32)>,
}

/// Looks at the model in this file, and in the others where its name is numbered
/// (`-00001-of-00003`). Nothing where its header can't be read.
pub(crate) fn inspect(
    folder: &Folder,
    file: &str,
    problems: &mut Vec<Problem>,
) -> Option<GgufModel> {
    let numbered = Numbered::parse(file).filter(|numbered| numbered.extension == "gguf");
    let mut tally = Tally::default();
    let mut has_output = false;
    let header = count(folder, file, &mut tally, &mut has_output, problems);
    if let Some(numbered) = numbered {
        for number in (1..=numbered.count).filter(|&number| number != numbered.number) {
            let part = numbered.sibling(number);
            if folder.has(&part) {
                count(folder, &part, &mut tally, &mut has_output, problems);
            } else {
                tally.uncounted += 1;
                problems.push(Problem::MissingShard { file: part, named_by: file.to_owned() });
            }
        }
    }
    let header = header?;
    let split = split(&header, file, numbered, problems);
    if header.text("general.architecture").is_none_or(str::is_empty) {
        problems.push(Problem::Invalid {
            file: file.to_owned(),
            message: "it has no key general.architecture".to_owned(),
        });
    }
    let tied = (tally.uncounted == 0).then_some(!has_output);
    Some(GgufModel {
        architecture: Architecture { tied_embeddings: tied, ..architecture(&header) },
        weights: tally.finish(WeightFormat::Gguf)?,
        display_name: header.text("general.name").map(str::to_owned),
        licence: header.text("general.license").map(str::to_owned),
        chat_template: header.text("tokenizer.chat_template").is_some_and(|text| !text.is_empty()),
        tokenizer: array_len(&header, "tokenizer.ggml.tokens").is_some_and(|len| len > 0),
        split,
    })
}

/// What stands before the numbers in the name of one of several files, its number from 1, and how
/// many there are; nothing for the name of a model in one file.
pub(crate) fn split_name(file: &str) -> Option<(&str, u32, u32)> {
    let numbered = Numbered::parse(file).filter(|numbered| numbered.extension == "gguf")?;
    Some((numbered.stem, numbered.number, numbered.count))
}

fn count(
    folder: &Folder,
    file: &str,
    tally: &mut Tally,
    has_output: &mut bool,
    problems: &mut Vec<Problem>,
) -> Option<GgufHeader> {
    let read = folder.open(file).and_then(|(opened, bytes)| {
        tally.files.push(WeightFile { name: file.to_owned(), bytes });
        GgufHeader::parse_header(&mut header::buffered(opened), bytes)
            .map(|header| (header, bytes))
            .map_err(|error| problem(file, &error))
    });
    let (header, bytes) = match read {
        Ok(read) => read,
        Err(problem) => {
            tally.uncounted += 1;
            problems.push(problem);
            return None;
        }
    };
    if let Err(error) = header.check_length(bytes) {
        problems.push(problem(file, &error));
    }
    tally.counted += 1;
    tally.tensors += header.tensors().len() as u64;
    for tensor in header.tensors() {
        tally.add_elements(tensor.dtype, tensor.elements);
        tally.add_bytes(tensor.bytes);
        *has_output |= tensor.name == "output.weight";
    }
    Some(header)
}

/// What the keys say of the split, checked against the file's name.
fn split(
    header: &GgufHeader,
    file: &str,
    numbered: Option<Numbered<'_>>,
    problems: &mut Vec<Problem>,
) -> Option<(u32, u32)> {
    let number = |key| header.number(key).and_then(|number| u32::try_from(number).ok());
    let count = number("split.count").filter(|&count| count > 1);
    let stated = count.map(|count| (number("split.no").unwrap_or(0), count));
    let named = numbered.map(|numbered| (numbered.number - 1, numbered.count));
    if stated != named && (stated.is_some() || named.is_some_and(|(_, count)| count > 1)) {
        problems.push(Problem::Invalid {
            file: file.to_owned(),
            message: format!(
                "its name makes it {}, its keys make it {}; names of parts can't be changed",
                part(named),
                part(stated),
            ),
        });
    }
    stated.or(named)
}

fn part(split: Option<(u32, u32)>) -> String {
    match split {
        Some((number, count)) => format!("part {} of {count}", number.saturating_add(1)),
        None => "a whole model".to_owned(),
    }
}

fn architecture(header: &GgufHeader) -> Architecture {
    let name = header.text("general.architecture").unwrap_or_default();
    let number = |key: &str| uniform(header.value(&format!("{name}.{key}"))?);
    let kind = header.number("general.file_type").and_then(file_type);
    let dtype = match kind {
        Some("F32") => Some("float32"),
        Some("F16") => Some("float16"),
        Some("BF16") => Some("bfloat16"),
        _ => None,
    };
    let hidden_size = number("embedding_length");
    let attention_heads = number("attention.head_count");
    Architecture {
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        model_type: None,
        layers: number("block_count"),
        hidden_size,
        intermediate_size: number("feed_forward_length"),
        attention_heads,
        key_value_heads: match header.value(&format!("{name}.attention.head_count_kv")) {
            Some(value) => uniform(value),
            None => attention_heads,
        },
        head_dim: number("attention.key_length").or_else(|| {
            let (hidden, heads) = (hidden_size?, attention_heads?);
            (hidden.checked_rem(heads)? == 0).then_some(hidden / heads)
        }),
        vocabulary: number("vocab_size").or_else(|| array_len(header, "tokenizer.ggml.tokens")),
        context_length: number("context_length"),
        dtype: dtype.map(str::to_owned),
        tied_embeddings: None,
        quantization: kind
            .filter(|_| dtype.is_none())
            .map(|kind| Quantization { method: kind.to_owned(), bits: bits(kind) }),
    }
}

/// The number that all layers share. Layers of another kind have 0 and don't count; where layers
/// differ there is none.
fn uniform(value: &Value) -> Option<u64> {
    match value {
        &Value::Count(count) => Some(count),
        Value::Counts(counts) => {
            let mut counts = counts.iter().copied().filter(|&count| count > 0);
            let first = counts.next()?;
            counts.all(|count| count == first).then_some(first)
        }
        Value::Text(_) | Value::Array(_) | Value::Other => None,
    }
}

fn array_len(header: &GgufHeader, key: &str) -> Option<u64> {
    match header.value(key)? {
        Value::Array(len) => Some(*len),
        Value::Counts(counts) => Some(counts.len() as u64),
        Value::Count(_) | Value::Text(_) | Value::Other => None,
    }
}

fn problem(file: &str, error: &GgufError) -> Problem {
    let file = file.to_owned();
    match *error {
        GgufError::LfsPointer => Problem::LfsPointer { file },
        GgufError::Truncated { expected, found } => Problem::Truncated { file, expected, found },
        ref error => Problem::Invalid { file, message: error.to_string() },
    }
}

#[cfg(test)]
mod tests;
