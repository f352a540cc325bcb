//! Weight files made by hand, for tests.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Weights, inspect};
use crate::folder::Folder;
use crate::problem::Problem;

/// A folder that goes away with the test.
pub(super) struct Model(TempDir);

impl Model {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(super) fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, bytes).expect("a file");
        self
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn folder(&self) -> Folder {
        Folder::list(self.path()).expect("a folder")
    }

    pub(super) fn inspect(&self) -> (Option<Weights>, Vec<Problem>) {
        let mut problems = Vec::new();
        let weights = inspect(&self.folder(), &mut problems);
        (weights, problems)
    }

    /// The weights of a model with which nothing is wrong.
    #[track_caller]
    pub(super) fn sound(&self) -> Weights {
        let (weights, problems) = self.inspect();
        assert_eq!(problems, []);
        weights.expect("weights")
    }
}

/// A safetensors file of f32 vectors.
pub(super) fn safetensors(tensors: &[(&str, usize)]) -> Vec<u8> {
    let mut json = String::from("{");
    let mut end = 0;
    for (name, len) in tensors {
        let begin = end;
        end += 4 * len;
        let comma = if begin == 0 { "" } else { "," };
        json += &format!(
            r#"{comma}"{name}":{{"dtype":"F32","shape":[{len}],"data_offsets":[{begin},{end}]}}"#
        );
    }
    json += "}";
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes.resize(bytes.len() + end, 0);
    bytes
}

/// An index with these totals as JSON, that places these tensors.
pub(super) fn index(metadata: &str, tensors: &[(&str, &str)]) -> String {
    let map: Vec<_> =
        tensors.iter().map(|(name, file)| format!("{}:{}", json(name), json(file))).collect();
    format!(r#"{{"metadata":{metadata},"weight_map":{{{}}}}}"#, map.join(","))
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string")
}

/// A PyTorch checkpoint of one f32 vector, as it was written before checkpoints were archives: a
/// magic number, a version, the machine, the state dictionary, the keys of the storages, and these.
pub(super) fn checkpoint(name: &str, len: u8) -> Vec<u8> {
    let text =
        |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let dictionary = b"ccollections\nOrderedDict\n)R";
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    bytes.extend(b"\x80\x02M\xe9\x03.");
    bytes.extend([b"\x80\x02}", &text("little_endian")[..], b"\x88s."].concat());
    bytes.extend([b"\x80\x02", &dictionary[..], &text(name)].concat());
    bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    bytes.extend([&text("storage")[..], b"ctorch\nFloatStorage\n", &text("0")].concat());
    bytes.extend([&text("cpu")[..], &[b'K', len, b't', b'Q', b'K', 0]].concat());
    bytes.extend([b'K', len, 0x85, b'K', 1, 0x85, 0x89]);
    bytes.extend([&dictionary[..], b"tRs."].concat());
    bytes.extend([b"\x80\x02]", &text("0")[..], b"a."].concat());
    bytes.extend(u64::from(len).to_le_bytes());
    bytes.resize(bytes.len() + 4 * usize::from(len), 0);
    bytes
}

/// A GGUF file of version 3, part by part.
#[derive(Default)]
pub(super) struct Gguf {
    keys: u64,
    values: Vec<u8>,
    tensors: u64,
    infos: Vec<u8>,
    data: u64,
}

impl Gguf {
    /// A value of any type, already encoded.
    pub(super) fn raw(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.keys += 1;
        self.values.extend((key.len() as u64).to_le_bytes());
        self.values.extend(key.as_bytes());
        self.values.extend(kind.to_le_bytes());
        self.values.extend(value);
        self
    }

    pub(super) fn number(self, key: &str, number: u32) -> Self {
        self.raw(key, 4, &number.to_le_bytes())
    }

    pub(super) fn text(self, key: &str, text: &str) -> Self {
        let value = [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        self.raw(key, 8, &value)
    }

    /// The next tensor, where it belongs, and room for its bytes.
    pub(super) fn tensor(self, name: &str, kind: u32, shape: &[u64], bytes: u64) -> Self {
        let offset = self.data.next_multiple_of(32);
        let mut file = self.info(name, kind, shape, offset);
        file.data = offset + bytes;
        file
    }

    /// The entry of a tensor alone.
    pub(super) fn info(mut self, name: &str, kind: u32, shape: &[u64], offset: u64) -> Self {
        self.tensors += 1;
        self.infos.extend((name.len() as u64).to_le_bytes());
        self.infos.extend(name.as_bytes());
        self.infos.extend((shape.len() as u32).to_le_bytes());
        shape.iter().for_each(|size| self.infos.extend(size.to_le_bytes()));
        self.infos.extend(kind.to_le_bytes());
        self.infos.extend(offset.to_le_bytes());
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(self.tensors.to_le_bytes());
        bytes.extend(self.keys.to_le_bytes());
        bytes.extend(&self.values);
        bytes.extend(&self.infos);
        if self.tensors > 0 {
            let start = bytes.len().next_multiple_of(32);
            bytes.resize(start + self.data as usize, 0);
        }
        bytes
    }
}
