//! The list of a commit's files in a Hugging Face cache: `trees/<commit>.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

const FORMAT_VERSION: u32 = 1;
/// Most bytes that are read of such a file.
pub(crate) const MAX_BYTES: u64 = 128 << 20;

#[derive(Deserialize)]
#[cfg_attr(feature = "hub", derive(serde::Serialize))]
pub(crate) struct Tree {
    format_version: u32,
    pub(crate) files: BTreeMap<String, TreeFile>,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "hub", derive(serde::Serialize))]
pub(crate) struct TreeFile {
    pub(crate) size: u64,
    /// Git's hash of the file, or of the pointer that stands for it; empty where it isn't noted.
    #[serde(default)]
    pub(crate) blob_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lfs_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lfs_size: Option<u64>,
    #[cfg(feature = "hub")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) xet_hash: Option<String>,
}

impl Tree {
    /// `None` where it isn't in a form that is known: it is a help, and nothing depends on it.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let tree: Self = serde_json::from_slice(bytes).ok()?;
        (tree.format_version == FORMAT_VERSION).then_some(tree)
    }

    #[cfg(feature = "hub")]
    pub(crate) fn new(files: BTreeMap<String, TreeFile>) -> Self {
        Self { format_version: FORMAT_VERSION, files }
    }

    #[cfg(feature = "hub")]
    pub(crate) fn write(&self, out: impl std::io::Write) -> std::io::Result<()> {
        let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut serializer = serde_json::Serializer::with_formatter(out, format);
        Ok(serde::Serialize::serialize(self, &mut serializer)?)
    }
}

impl TreeFile {
    /// Size of the content in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.lfs_size.unwrap_or(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_forms_are_not_read() {
        let list = |version| format!(r#"{{"format_version": {version}, "files": {{}}, "x": 0}}"#);
        assert!(Tree::parse(list("1").as_bytes()).is_some());
        for version in ["2", "\"1\"", "-1"] {
            assert!(Tree::parse(list(version).as_bytes()).is_none(), "{version}");
        }
        for text in ["", "{}", "[]", r#"{"format_version": 1, "files": {"a": {}}}"#] {
            assert!(Tree::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[cfg(feature = "hub")]
    #[test]
    fn what_is_written_can_be_read() {
        let text = r#"{"format_version": 1, "files": {"a": {"size": 130, "blob_id": "b",
            "lfs_sha256": "c", "lfs_size": 7}, "d": {"size": 2, "blob_id": "e"}}}"#;
        let tree = Tree::parse(text.as_bytes()).unwrap();
        assert_eq!(tree.files["a"].bytes(), 7);
        assert_eq!(tree.files["d"].bytes(), 2);
        let mut written = Vec::new();
        Tree::new(tree.files).write(&mut written).unwrap();
        let words = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(words(&String::from_utf8(written).unwrap()), words(text));
    }
}
