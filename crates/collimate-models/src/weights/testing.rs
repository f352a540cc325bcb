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

/// A pickled state dictionary as `torch.save` writes it: of each tensor the storage's type, its key,
/// and the sizes of a matrix. `extra` comes before the dictionary, on the stack.
pub(super) fn state_dict(tensors: &[(&str, &str, &str, [u8; 2])], extra: &[u8]) -> Vec<u8> {
    let mut pickle = b"\x80\x02".to_vec();
    pickle.extend(extra);
    pickle.extend(b"ccollections\nOrderedDict\n)R(");
    for (name, kind, key, [rows, columns]) in tensors {
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(format!("ctorch\n{kind}\n").as_bytes());
        text(&mut pickle, key);
        text(&mut pickle, "cpu");
        pickle.extend([b'K', rows * columns, b't', b'Q', b'K', 0]);
        pickle.extend([b'K', *rows, b'K', *columns, 0x86, b'K', *columns, b'K', 1, 0x86]);
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.extend(b"u.");
    pickle
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

/// A zip archive of these files, stored.
pub(super) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in files {
        let offset = bytes.len() as u32;
        let mut fields = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        fields.extend(crc32(content).to_le_bytes());
        fields.extend((content.len() as u32).to_le_bytes());
        fields.extend((content.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&fields);
        bytes.extend(name.as_bytes());
        bytes.extend(*content);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let offset = bytes.len() as u32;
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend((files.len() as u16).to_le_bytes());
    bytes.extend((files.len() as u16).to_le_bytes());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

/// A checkpoint with this pickle and the storages `0` and `1`.
pub(super) fn checkpoint(pickle: &[u8]) -> Vec<u8> {
    archive(&[
        ("m/data.pkl", pickle),
        ("m/version", b"3\n"),
        ("m/data/0", &[0; 64]),
        ("m/data/1", &[0; 64]),
    ])
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
