//! Bytes from anywhere, read as the tensors of an adapter: an error in one line, or an adapter that fits
//! the model, is merged into every byte of it, and is the same when it is written and read again.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use collimate_peft::{Adapter, LoraConfig, Merge, ModuleTree};
use collimate_tensors::{Checkpoint, Dtype, write_safetensors};
use libfuzzer_sys::fuzz_target;

static BASE: LazyLock<(tempfile::TempDir, Checkpoint, ModuleTree)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let shapes = [
        ("model.embed_tokens.weight", vec![6, 4]),
        ("model.layers.0.self_attn.q_proj.weight", vec![4, 4]),
        ("model.layers.0.mlp.down_proj.weight", vec![4, 8]),
        ("model.layers.0.input_layernorm.weight", vec![4]),
    ];
    let tensors = shapes.map(|(name, shape): (_, Vec<u64>)| {
        let bytes = 0.5_f32.to_le_bytes().repeat(shape.iter().product::<u64>() as usize);
        (name, Dtype::F32, shape, bytes)
    });
    let file = folder.path().join("model.safetensors");
    write_safetensors(file, &Default::default(), tensors).expect("a model");
    let base = Checkpoint::open(folder.path()).expect("it was written");
    let tree = ModuleTree::from_tensors(base.tensors().map(|t| (t.name(), t.shape())))
        .and_then(|tree| tree.with_tied_head("lm_head", "model.embed_tokens"))
        .expect("the tensors are right");
    (folder, base, tree)
});

/// One folder for each kind of adapter: LoRA, DoRA, with whole modules.
static FOLDERS: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
    let config = || LoraConfig::new(2).with_target_modules(["q_proj", "down_proj"]);
    let configs = [config(), config().with_dora(true), config().with_modules_to_save(["lm_head"])];
    let root = BASE.0.path();
    let folders = configs.into_iter().enumerate().map(|(number, config)| {
        let folder = root.join(format!("adapter-{number}"));
        fs::create_dir(&folder).expect("a folder");
        config.write(folder.join("adapter_config.json")).expect("a configuration");
        folder
    });
    folders.collect()
});

fuzz_target!(|bytes: &[u8]| {
    let (_, base, tree) = &*BASE;
    for folder in FOLDERS.iter() {
        fs::write(folder.join("adapter_model.safetensors"), bytes).expect("a file");
        let adapter = match Adapter::read(folder) {
            Ok(adapter) => adapter,
            Err(error) => {
                assert!(!error.to_string().contains('\n'), "{error}");
                return;
            }
        };
        let Ok(targets) = adapter.check(tree) else { continue };
        assert_eq!(targets.modules.len(), 2);
        let again = folder.join("again");
        fs::create_dir_all(&again).expect("a folder");
        adapter.write(&again).expect("what fits can be written");
        let read = Adapter::read(&again).expect("what was written can be read");
        assert!(read.keys().eq(adapter.keys()));
        let Ok(plan) = Merge::new(base, tree.clone()).with_adapter(&adapter, 0.5).plan() else {
            continue;
        };
        let written = AtomicU64::new(0);
        let count = |_: &str, _: u64, bytes: &[u8]| {
            written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(())
        };
        if plan.run(&count, &|_| (), &AtomicBool::new(false)).is_ok() {
            assert_eq!(written.into_inner(), plan.layout().data_len());
        }
    }
});
