//! PyTorch checkpoints made by hand, for tests.

/// A pickled state dictionary as `torch.save` writes it: of each tensor the storage's type, its key,
/// and the sizes of a matrix. `extra` comes before the dictionary, on the stack.
pub(crate) fn state_dict(tensors: &[(&str, &str, &str, [u8; 2])], extra: &[u8]) -> Vec<u8> {
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
pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
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
pub(crate) fn checkpoint(pickle: &[u8]) -> Vec<u8> {
    archive(&[
        ("m/data.pkl", pickle),
        ("m/version", b"3\n"),
        ("m/data/0", &[0; 64]),
        ("m/data/1", &[0; 64]),
    ])
}
