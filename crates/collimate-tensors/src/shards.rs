use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::layout::Layout;

/// The files that a model's tensors are written to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Shards {
    /// The files, in the order of their numbers.
    pub files: Vec<Shard>,
    /// `model.safetensors.index.json`; nothing where there is one file.
    pub index: Option<ShardIndex>,
}

/// One of the files that a model's tensors are written to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Shard {
    /// Its name.
    pub file: String,
    /// Its tensors, sorted as [`Layout::sorted`] sorts them, and the metadata of the whole.
    pub layout: Layout,
}

/// Which tensor is in which file.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ShardIndex {
    /// Totals over all files.
    pub metadata: ShardTotals,
    /// The file of every tensor.
    pub weight_map: BTreeMap<String, String>,
}

/// Totals over all files.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ShardTotals {
    /// Elements of all tensors.
    pub total_parameters: u64,
    /// Bytes of all tensors.
    pub total_size: u64,
}

impl ShardIndex {
    /// The text of the index, as transformers writes it.
    pub fn to_json(&self) -> String {
        // The two structs hold text and numbers only: this can't fail.
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        let mut ascii = String::with_capacity(json.len() + 1);
        for character in json.chars() {
            if character.is_ascii() && character != '\x7f' {
                ascii.push(character);
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string can't fail.
                    let _ = write!(ascii, "\\u{unit:04x}");
                }
            }
        }
        ascii.push('\n');
        ascii
    }
}

/// Splits tensors over files of at most so many bytes each, as transformers does: in the order given,
/// each file is filled until the next tensor doesn't fit. A tensor that is larger than a file may be
/// is alone in one, before the file that was being filled. What fits one file gets its plain name.
///
/// # Examples
///
/// ```
/// use collimate_tensors::{Dtype, Layout, shards};
///
/// let mut layout = Layout::new();
/// for name in ["a", "b", "c"] {
///     layout.push(name, Dtype::F32, [2])?;
/// }
/// assert_eq!(shards(&layout, 24).files[0].file, "model.safetensors");
/// let split = shards(&layout, 16);
/// let files: Vec<_> = split.files.iter().map(|shard| shard.layout.tensors().len()).collect();
/// assert_eq!(files, [2, 1]);
/// assert_eq!(split.index.unwrap().weight_map["c"], "model-00002-of-00002.safetensors");
/// # Ok::<(), collimate_tensors::WriteError>(())
/// ```
pub fn shards(layout: &Layout, max_bytes: u64) -> Shards {
    let mut files = Vec::new();
    let mut current = Vec::new();
    let mut filled = 0;
    for tensor in layout.tensors() {
        let (begin, end) = tensor.data_offsets;
        let bytes = end - begin;
        if bytes > max_bytes {
            files.push(vec![tensor]);
            continue;
        }
        if filled + bytes > max_bytes {
            files.push(std::mem::take(&mut current));
            filled = 0;
        }
        current.push(tensor);
        filled += bytes;
    }
    if !current.is_empty() {
        files.push(current);
    }
    numbered(layout, files.iter().map(|tensors| layout.part(tensors).sorted()).collect())
}

/// Splits tensors over files as another model's were: those that were in one file stay together, and
/// the files keep their order. `file_of` gives the file that a tensor was in; one that wasn't there is
/// put behind the tensor before it.
///
/// # Examples
///
/// ```
/// use collimate_tensors::{Dtype, Layout, shards_as};
///
/// let mut layout = Layout::new();
/// for name in ["a", "b", "c", "new"] {
///     layout.push(name, Dtype::F32, [2])?;
/// }
/// let files = |name: &str| match name {
///     "a" => Some("model-1.safetensors"),
///     "b" | "c" => Some("model-2.safetensors"),
///     _ => None,
/// };
/// let split = shards_as(&layout, files);
/// assert_eq!(split.files[1].file, "model-00002-of-00002.safetensors");
/// assert_eq!(split.files[1].layout.tensors().len(), 3);
/// # Ok::<(), collimate_tensors::WriteError>(())
/// ```
pub fn shards_as<'f>(layout: &Layout, file_of: impl Fn(&str) -> Option<&'f str>) -> Shards {
    let mut files: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    let mut last = layout.tensors().iter().find_map(|tensor| file_of(&tensor.name)).unwrap_or("");
    for tensor in layout.tensors() {
        last = file_of(&tensor.name).unwrap_or(last);
        files.entry(last).or_default().push(tensor);
    }
    numbered(layout, files.values().map(|tensors| layout.part(tensors).sorted()).collect())
}

/// Names files by their number, and lists what is in which.
fn numbered(layout: &Layout, mut files: Vec<Layout>) -> Shards {
    if files.len() < 2 {
        let layout = files.pop().unwrap_or_else(|| layout.part(&[]));
        let file = Shard { file: "model.safetensors".to_owned(), layout };
        return Shards { files: vec![file], index: None };
    }
    let count = files.len();
    let files: Vec<_> = files
        .into_iter()
        .enumerate()
        .map(|(at, layout)| Shard {
            file: format!("model-{:05}-of-{count:05}.safetensors", at + 1),
            layout,
        })
        .collect();
    let weight_map = files
        .iter()
        .flat_map(|shard| {
            shard.layout.tensors().iter().map(|t| (t.name.clone(), shard.file.clone()))
        })
        .collect();
    let metadata =
        ShardTotals { total_parameters: layout.parameters(), total_size: layout.data_len() };
    Shards { files, index: Some(ShardIndex { metadata, weight_map }) }
}
