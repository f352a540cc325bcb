//! The model and the data that the program brings along; the program `village` made them.

use std::fs;
use std::io;
use std::path::Path;

use collimate_pipeline::Embedded;

macro_rules! files {
    ($folder:literal, $($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../village/", $folder, $name)).as_slice())),*]
    };
}

const MODEL: [(&str, &[u8]); 6] = files![
    "model/",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
];
const DATA: [(&str, &[u8]); 2] = files!["", "align.jsonl", "probes.csv"];

/// Writes them below a folder; what is there already as it should be stays.
pub fn unpack(folder: &Path) -> io::Result<Embedded> {
    let model = folder.join("village");
    fs::create_dir_all(&model)?;
    let of_model = MODEL.iter().map(|(name, bytes)| (model.join(name), *bytes));
    let of_data = DATA.iter().map(|(name, bytes)| (folder.join(name), *bytes));
    for (path, bytes) in of_model.chain(of_data) {
        if fs::read(&path).ok().as_deref() != Some(bytes) {
            shell::write_whole(&path, bytes)?;
        }
    }
    Ok(Embedded::new(model, folder.join("align.jsonl"), folder.join("probes.csv")))
}
