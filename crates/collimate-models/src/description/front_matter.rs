//! The YAML at the head of a Markdown file, between lines of three dashes.

use std::io::Read;

use serde::de::DeserializeSeed;

use super::fields::{Fields, Schema};
use super::json::Object;
use crate::folder::{Folder, unreadable};
use crate::problem::Problem;

/// Most bytes that are read of a Markdown file.
const LIMIT: u64 = 256 << 10;
/// Bytes that hold most front matters.
const FIRST: u64 = 16 << 10;

/// The beginning of a Markdown file.
pub(super) struct Head {
    file: &'static str,
    bytes: Vec<u8>,
    /// Whether the file ends here.
    complete: bool,
}

impl Head {
    /// Reads no more than the front matter needs.
    pub(super) fn of_front_matter(folder: &Folder, file: &'static str) -> Result<Self, Problem> {
        Self::read(folder, file, FIRST)
    }

    /// Reads as much as is ever read of such a file.
    pub(super) fn of_text(folder: &Folder, file: &'static str) -> Result<Self, Problem> {
        Self::read(folder, file, LIMIT)
    }

    fn read(folder: &Folder, name: &'static str, first: u64) -> Result<Self, Problem> {
        let (mut file, size) = folder.open(name)?;
        let mut head = Self { file: name, bytes: Vec::new(), complete: false };
        for limit in [first, LIMIT] {
            let more = limit - head.bytes.len() as u64;
            let read = file.by_ref().take(more).read_to_end(&mut head.bytes);
            read.map_err(|error| unreadable(name, &error))?;
            head.complete = head.bytes.len() as u64 >= size;
            if head.complete || !matches!(find(&head.bytes), Place::Open) {
                break;
            }
        }
        Ok(head)
    }

    /// Known keys of the front matter; nothing where there is none.
    ///
    /// # Errors
    ///
    /// [`Problem::Invalid`] for what is not a mapping in YAML, with line and column.
    pub(super) fn front_matter(&self, schema: &'static Schema) -> Result<Option<Fields>, Problem> {
        let end = match find(&self.bytes) {
            Place::Closed { end, .. } => end,
            Place::Open if !self.complete => {
                let message = format!("its front matter does not end within {LIMIT} bytes");
                return Err(self.invalid(message));
            }
            // A ruler, not a front matter.
            Place::Open | Place::None => return Ok(None),
        };
        // With its first line, which YAML knows too, so that line numbers are those of the file.
        let text = self.text(0, end)?;
        let options = options();
        serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
            Object { schema, within: "" }.deserialize(deserializer)
        })
        .map(Some)
        .map_err(|error| self.invalid(error.to_string().replace('\n', " ")))
    }

    /// What stands below the front matter, as far as it was read.
    ///
    /// # Errors
    ///
    /// [`Problem::Invalid`] for what is not UTF-8.
    pub(super) fn body(&self) -> Result<&str, Problem> {
        match find(&self.bytes) {
            Place::Closed { body, .. } => self.text(body, self.bytes.len()),
            _ => self.text(0, self.bytes.len()),
        }
    }

    fn text(&self, from: usize, to: usize) -> Result<&str, Problem> {
        let bytes = self.bytes.get(from..to).unwrap_or_default();
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            // A character that was cut where reading ended.
            Err(error) if error.error_len().is_none() && !self.complete => {
                let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
                Ok(std::str::from_utf8(whole).unwrap_or_default())
            }
            Err(error) => {
                Err(self.invalid(format!("it is not UTF-8 at byte {}", from + error.valid_up_to())))
            }
        }
    }

    fn invalid(&self, message: String) -> Problem {
        Problem::Invalid { file: self.file.to_owned(), message }
    }
}

/// Limits far above what any card holds, and far below what would cost time.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 50_000,
            max_nodes: 20_000,
            max_depth: 32,
            flow_nesting_limit: 32,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_recorded_anchor_events: 10_000,
            max_recorded_anchor_bytes: 1 << 20,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        // Metrics may well be `.nan`.
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

enum Place {
    None,
    /// It begins and does not end.
    Open,
    /// Where its YAML ends, and where the text below begins.
    Closed {
        end: usize,
        body: usize,
    },
}

fn find(bytes: &[u8]) -> Place {
    let mut begun = false;
    let mut start = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let is_ruler = line.trim_ascii_end() == b"---";
        if begun && is_ruler {
            return Place::Closed { end: start, body: start + line.len() };
        }
        if !begun && is_ruler {
            begun = true;
        } else if !begun && !line.trim_ascii().is_empty() {
            return Place::None;
        }
        start += line.len();
    }
    if begun { Place::Open } else { Place::None }
}

#[cfg(test)]
mod tests {
    use super::super::fields::Value;
    use super::super::testing::Model;
    use super::*;

    static SCHEMA: Schema = Schema(&[("a", None)]);

    fn read(text: impl AsRef<[u8]>) -> Result<Option<Value>, String> {
        let model = Model::new(&[("README.md", text.as_ref())]);
        let head = Head::of_front_matter(&model.folder(), "README.md").unwrap();
        let found = head.front_matter(&SCHEMA).map_err(|problem| problem.to_string())?;
        Ok(found.map(|fields| fields.get("a").clone()))
    }

    #[test]
    fn front_matter_stands_between_dashes() {
        let is = |text: &str| Ok(Some(Value::Text(text.to_owned())));
        assert_eq!(read("---\na: b\n---\ntext"), is("b"));
        assert_eq!(read("---\r\nx: [1]\r\na: b\r\n---\r\ntext"), is("b"));
        assert_eq!(read("\n\n---  \na: |\n  ---\n---"), is("---\n"));
        assert_eq!(read("---\na: b\na: c\n---\n"), is("c"));
        assert_eq!(read("---\nno: 1\n2: x\na: ü\n---\n\u{fffd}"), is("ü"));
        assert_eq!(read("---\nx: [.nan, 1e999]\na: b\n---\n"), is("b"));
        assert_eq!(read(b"---\na: b\n---\n\xff"), is("b"));
        for empty in ["---\n---\n", "---\n# a: b\n---\n", "---\n\n\n---\n"] {
            assert_eq!(read(empty), Ok(Some(Value::Absent)), "{empty:?}");
        }
        for none in ["", "# Title\n---\na: b\n---\n", "---", "---\na: b\n", "--- \n----\n"] {
            assert_eq!(read(none), Ok(None), "{none:?}");
        }
    }

    #[test]
    fn broken_yaml_says_where() {
        for (text, part) in [
            ("---\nx: 1\na: [b\n---\n", "line 3"),
            ("---\n- a\n---\n", "line 2"),
            ("---\na: &x [*x]\n---\n", "line 2"),
            ("---\nx: 1\n  a: 3\n---\n", "line 3"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.starts_with("README.md is invalid: "), "{found}");
            assert!(found.contains(part) && !found.contains('\n'), "{found}");
        }
        assert_eq!(
            read(b"---\na: \xff\n---\n").unwrap_err(),
            "README.md is invalid: it is not UTF-8 at byte 7"
        );
    }

    #[test]
    fn bombs_are_errors() {
        let mut laughs = "---\nl0: &l0 [x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let m = n - 1;
            laughs += &format!("l{n}: &l{n} [{}*l{m}]\n", format!("*l{m}, ").repeat(7));
        }
        let deep = format!("---\na: {}{}\n---\n", "[".repeat(5_000), "]".repeat(5_000));
        let wide = format!("---\na: [{}x]\n---\n", "x, ".repeat(60_000));
        for bomb in [laughs + "---\n", deep, wide] {
            assert!(read(bomb).unwrap_err().contains("invalid"));
        }
    }

    #[test]
    fn reading_stops_early() {
        let long = |n: usize| format!("---\nx: {}\na: b\n---\n", "y".repeat(n));
        assert_eq!(read(long(20 << 10)), Ok(Some(Value::Text("b".to_owned()))));
        let found = read(long(300 << 10)).unwrap_err();
        assert!(found.contains("does not end within 262144 bytes"), "{found}");
        assert_eq!(read(format!("---\n{}", "y\n".repeat(10 << 10))), Ok(None));
    }

    #[test]
    fn the_body_follows_the_front_matter() {
        let model = Model::new(&[("a.md", "---\na: b\n---\nbody\n"), ("b.md", "all\n")]);
        assert_eq!(Head::of_text(&model.folder(), "a.md").unwrap().body(), Ok("body\n"));
        assert_eq!(Head::of_text(&model.folder(), "b.md").unwrap().body(), Ok("all\n"));
        let cut = "ü".repeat(200 << 10);
        let model = Model::new(&[("a.md", format!("x{cut}"))]);
        let head = Head::of_text(&model.folder(), "a.md").unwrap();
        assert_eq!(head.body().unwrap().len(), (256 << 10) - 1);
    }
}
