//! Prepared rows in one file: a safetensors container whose arrays, little-endian and aligned to 64
//! bytes, can be memory-mapped.
//!
//! | tensor | type and shape | what |
//! |---|---|---|
//! | `ids` | u32 [tokens] | token ids of all rows, one after the other |
//! | `trained` | u8 [tokens] | 1 where a token carries loss, else 0 |
//! | `row_offsets` | u64 [rows + 1] | where each row begins, and the number of tokens |
//! | `origins` | u64 [records, 3] | file and kind of position (line 0, element 1, row 2, in the upper half), and its numbers |
//! | `prompt_lengths` | u64 [records] | only of preferences, whose rows are chosen, rejected, chosen, … |
//! | `groups` | u32 [records] | where duplicates were looked for: the first record that says the same |
//! | `details` | u8 [bytes] | JSON: `files`, `settings`, `report`, `notes` |
//! | `padding_…` | u8 [bytes] | zeros up to the next alignment |

mod read;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::report::PrepareReport;

pub use read::PreparedRows;
pub use write::PreparedWriter;

/// The version of the layout.
pub(super) const FORMAT_VERSION: u32 = 1;
/// What the name of a file begins with that is not complete.
pub(super) const PARTIAL: &str = ".collimate-partial-";

const FORMAT: &str = "collimate-prepared";
const ALIGNMENT: u64 = 64;
/// Where the arrays begin: behind a header of fixed size.
const DATA_START: u64 = 4096;

/// What is known of the rows as a whole.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Details {
    /// The files of origins.
    files: Vec<String>,
    settings: Value,
    report: PrepareReport,
    notes: Map<String, Value>,
}
