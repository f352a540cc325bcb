//! Extraction against numpy's decomposition, and what is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use collimate_peft::{
    Adapter, AdapterKey, AdapterPart, Extract, ExtractError, ExtractReport, LoraConfig, Merge,
    ModuleTree, PeftError, TargetModules,
};
use collimate_tensors::{Checkpoint, Dtype, write_safetensors};
use tempfile::TempDir;

type Result<T> = std::result::Result<T, PeftError>;

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn tree(checkpoint: &Checkpoint) -> ModuleTree {
    ModuleTree::from_tensors(checkpoint.tensors().map(|t| (t.name(), t.shape()))).unwrap()
}

fn run(extract: &Extract<'_>) -> Result<(Adapter, ExtractReport)> {
    extract.run(&mut |_| (), &AtomicBool::new(false))
}

fn all(rank: u32) -> LoraConfig {
    LoraConfig::new(rank)
        .with_targets(TargetModules::Regex(r"layers\.0\..*|embed_tokens".to_owned()))
}

/// Merged tensors by name, as `f32`.
fn merged(base: &Checkpoint, tree: ModuleTree, adapter: &Adapter) -> BTreeMap<String, Vec<f32>> {
    let plan = Merge::new(base, tree).with_adapter(adapter, 1.0).plan().unwrap();
    let tensors = plan.layout().tensors().iter();
    let tensors: BTreeMap<String, (Dtype, Vec<u8>)> = tensors
        .map(|t| {
            let bytes = t.data_offsets.1 - t.data_offsets.0;
            (t.name.clone(), (t.dtype, vec![0; bytes as usize]))
        })
        .collect();
    let tensors = Mutex::new(tensors);
    let sink = |name: &str, offset: u64, bytes: &[u8]| {
        let mut tensors = tensors.lock().unwrap();
        tensors.get_mut(name).unwrap().1[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    };
    plan.run(&sink, &|_| (), &AtomicBool::new(false)).unwrap();
    let tensors = tensors.into_inner().unwrap().into_iter();
    tensors
        .map(|(name, (dtype, bytes))| {
            let mut numbers = vec![0.0; bytes.len() * 8 / dtype.bits() as usize];
            collimate_tensors::widen(dtype, &bytes, &mut numbers).unwrap();
            (name, numbers)
        })
        .collect()
}

#[test]
fn errors_are_those_of_the_best_approximation() {
    let text = std::fs::read_to_string(fixtures("extract/errors.json")).unwrap();
    let errors: BTreeMap<String, BTreeMap<u32, f64>> = serde_json::from_str(&text).unwrap();
    let base = Checkpoint::open(fixtures("extract/base")).unwrap();
    let tuned = Checkpoint::open(fixtures("extract/tuned")).unwrap();
    for rank in [1, 5, 16] {
        let extract = Extract::new(&base, &tuned, tree(&base), all(rank));
        let (_, report) = run(&extract).unwrap();
        assert_eq!(report.modules.len(), errors.len());
        for one in &report.modules {
            let (expected, norm) = (errors[&one.module][&rank], errors[&one.module][&0]);
            let (module, found) = (&one.module, one.reconstruction);
            // The factors are rounded to f32.
            let rounding = 2e-7 * norm;
            let difference = (found.error - expected).abs();
            assert!(
                difference <= 1e-5 * expected + rounding,
                "{module}, {rank}: {found:?}, not {expected}"
            );
            assert!((found.delta_norm - norm).abs() <= 1e-9 * norm, "{module}: {found:?}");
            let retained = 1.0 - (expected / norm).powi(2);
            assert!((found.retained_energy - retained).abs() <= 1e-5, "{module}: {found:?}");
        }
    }
}

fn llama() -> (Checkpoint, ModuleTree) {
    let base = Checkpoint::open(fixtures("merge/llama")).unwrap();
    let tree = tree(&base);
    (base, tree)
}

/// A model whose tensors are these, in a folder of its own.
fn model(tensors: &[(&str, &[u64], Vec<f32>)]) -> (TempDir, Checkpoint) {
    let folder = tempfile::tempdir().unwrap();
    let tensors = tensors.iter().map(|(name, shape, numbers)| {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        (name.to_string(), Dtype::F32, shape.to_vec(), bytes)
    });
    let tensors: Vec<_> = tensors.collect();
    write_safetensors(folder.path().join("model.safetensors"), &BTreeMap::new(), tensors).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    (folder, checkpoint)
}

/// The result of a merge as a model.
fn tuned(base: &Checkpoint, tree: ModuleTree, adapter: &Adapter) -> (TempDir, Checkpoint) {
    let tensors = merged(base, tree, adapter);
    let tensors: Vec<_> = tensors
        .into_iter()
        .map(|(name, numbers)| {
            let shape = base.get(&name).map(|tensor| tensor.shape().to_vec()).unwrap();
            (name, shape, numbers)
        })
        .collect();
    let tensors: Vec<_> =
        tensors.iter().map(|(name, shape, n)| (name.as_str(), &shape[..], n.clone())).collect();
    model(&tensors)
}

#[test]
fn a_merged_adapter_is_found_again() {
    for (name, case, rank, scaled) in [
        ("llama", "plain", 4, 8.0),
        ("llama", "regex", 8, 0.5),
        ("llama", "rslora", 4, 3.0),
        ("gpt2", "plain", 3, 3.0),
        ("gpt2", "embeddings", 2, -2.0),
        ("qwen2", "bias-all", 2, 2.0),
    ] {
        let folder = fixtures("merge").join(name);
        let base = Checkpoint::open(&folder).unwrap();
        let prefix = if name == "gpt2" { "transformer." } else { "" };
        let tensors = base.tensors().map(|t| (format!("{prefix}{}", t.name()), t.shape()));
        let tree = ModuleTree::from_tensors(tensors).unwrap();
        let adapter = Adapter::read(folder.join(case)).unwrap();
        let (_folder, tuned) = tuned(&base, tree.clone(), &adapter);

        let mut config = LoraConfig::new(rank).with_alpha(scaled).with_bias(adapter.config().bias);
        config.target_modules = adapter.config().target_modules.clone();
        config.modules_to_save = adapter.config().modules_to_save.clone();
        let mut seen = Vec::new();
        let (extracted, report) = Extract::new(&base, &tuned, tree.clone(), config)
            .run(&mut |module| seen.push(module.clone()), &AtomicBool::new(false))
            .unwrap();
        assert_eq!(seen, report.modules, "{name}, {case}");
        assert!(report.total.relative_error < 1e-6, "{name}, {case}: {:?}", report.total);
        let has_whole = matches!(case, "regex" | "bias-all");
        assert_eq!(!report.whole.is_empty(), has_whole, "{name}, {case}: {:?}", report.whole);
        let folder = tempfile::tempdir().unwrap();
        extracted.write(folder.path()).unwrap();
        let read = Adapter::read(folder.path()).unwrap();
        for (tensor, numbers) in merged(&base, tree, &read) {
            let expected = tuned.get(&tensor).unwrap().to_f32().unwrap();
            for (found, expected) in numbers.iter().zip(expected) {
                let difference = (found - expected).abs();
                assert!(difference <= 1e-6 * expected.abs().max(1.0), "{name}, {case}: {tensor}");
            }
        }
    }
}

#[test]
fn nothing_is_lost_unless_that_is_allowed() {
    let (base, tree) = llama();
    let (_folder, other) = Checkpoint::open(fixtures("merge/llama"))
        .map(|base| {
            let tensors: Vec<_> = base
                .tensors()
                .map(|t| {
                    let mut numbers = t.to_f32().unwrap();
                    if matches!(t.name(), "model.norm.weight" | "model.embed_tokens.weight") {
                        numbers[3] += 1.0;
                    }
                    (t.name().to_owned(), t.shape().to_vec(), numbers)
                })
                .collect();
            let tensors: Vec<_> =
                tensors.iter().map(|(n, shape, v)| (n.as_str(), &shape[..], v.clone())).collect();
            model(&tensors)
        })
        .unwrap();
    let config = LoraConfig::new(2).with_target_modules(["q_proj"]);
    let extract = Extract::new(&base, &other, tree.clone(), config.clone());
    let error = run(&extract).unwrap_err().to_string();
    assert!(error.contains("\"model.embed_tokens.weight\" differs, 2 in all"), "{error}");
    let (adapter, report) = run(&extract.with_loss_allowed(true)).unwrap();
    assert_eq!(report.changed_elsewhere, ["model.embed_tokens.weight", "model.norm.weight"]);
    // What doesn't differ is zero.
    assert_eq!((report.total.delta_norm, report.total.relative_error), (0.0, 0.0));
    let key = AdapterKey::new("model.layers.0.self_attn.q_proj", AdapterPart::A);
    assert!(adapter.get(&key).unwrap().unwrap().bytes().iter().all(|&byte| byte == 0));

    let config = config.with_modules_to_save(["model.norm", "embed_tokens"]);
    let (_, report) = run(&Extract::new(&base, &other, tree, config)).unwrap();
    assert!(report.changed_elsewhere.is_empty());
    assert_eq!(report.whole, ["model.embed_tokens.weight", "model.norm.weight"]);
}

const Q: &str = "layers.0.q_proj.weight";

fn refused(base: &[(&str, &[u64], Vec<f32>)], tuned: &[(&str, &[u64], Vec<f32>)]) -> ExtractError {
    let (_one, base) = model(base);
    let (_two, tuned) = model(tuned);
    let config = LoraConfig::new(1).with_target_modules(["q_proj"]);
    match run(&Extract::new(&base, &tuned, tree(&base), config)).unwrap_err() {
        PeftError::Extract(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn models_that_do_not_fit_are_refused() {
    let zeros = |count| vec![0.0; count];
    let base: (&str, &[u64], _) = (Q, &[2, 3], zeros(6));
    let other: (&str, &[u64], _) = ("layers.0.v_proj.weight", &[2, 3], zeros(6));
    let wide: (&str, &[u64], _) = (Q, &[2, 4], zeros(8));
    let nan: (&str, &[u64], _) = (Q, &[2, 3], vec![f32::NAN; 6]);
    let large: (&str, &[u64], _) = (Q, &[2, 3], vec![f32::MAX; 6]);
    let low: (&str, &[u64], _) = (Q, &[2, 3], vec![f32::MIN; 6]);

    let error = refused(&[base.clone(), other.clone()], std::slice::from_ref(&base));
    assert!(matches!(error, ExtractError::OnlyInOne { in_tuned: false, .. }), "{error}");
    let error = refused(std::slice::from_ref(&base), &[base.clone(), other]);
    assert!(matches!(error, ExtractError::OnlyInOne { in_tuned: true, .. }), "{error}");
    let error = refused(std::slice::from_ref(&base), &[wide]);
    assert!(matches!(error, ExtractError::Shape { .. }), "{error}");
    for (base, tuned) in [(base, nan), (low, large)] {
        let error = refused(&[base], &[tuned]);
        assert!(matches!(error, ExtractError::NotFinite { .. }), "{error}");
    }
}

#[test]
fn a_head_of_its_own_is_the_embedding_changed() {
    const EMBEDDING: &str = "model.embed_tokens.weight";
    let numbers = |from: u8| (from..from + 8).map(f32::from).collect::<Vec<_>>();
    let (_one, base) = model(&[(EMBEDDING, &[4, 2], numbers(1))]);
    let tied = tree(&base).with_tied_head("lm_head", "model.embed_tokens").unwrap();
    let head: (&str, &[u64], _) = ("lm_head.weight", &[4, 2], numbers(3));
    let (_two, untied) = model(&[(EMBEDDING, &[4, 2], numbers(1)), head]);
    let config = |name| LoraConfig::new(2).with_target_modules([name]);

    let (_, report) = run(&Extract::new(&base, &untied, tied.clone(), config("lm_head"))).unwrap();
    assert!((report.total.delta_norm - 32_f64.sqrt()).abs() < 1e-6, "{report:?}");
    // Both change where they are still tied.
    let (_three, both) = model(&[(EMBEDDING, &[4, 2], numbers(2))]);
    let error = run(&Extract::new(&base, &both, tied, config("embed_tokens"))).unwrap_err();
    assert!(error.to_string().contains("\"lm_head.weight\" differs, 1 in all"), "{error}");
}

#[test]
fn settings_that_make_no_difference_of_weights_are_refused() {
    let (base, tree) = llama();
    for (config, field) in [
        (all(2).with_dora(true), "use_dora"),
        (all(2).with_init(collimate_peft::InitLoraWeights::Named("pissa".into())), "init_lora"),
    ] {
        let error = run(&Extract::new(&base, &base, tree.clone(), config)).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
    let config = LoraConfig::new(2).with_target_modules(["q_proj"]).with_alpha(0.0);
    let (_folder, half) = {
        let adapter = Adapter::read(fixtures("merge/llama/plain")).unwrap();
        tuned(&base, tree.clone(), &adapter)
    };
    let extract = Extract::new(&base, &half, tree, config).with_loss_allowed(true);
    let error = run(&extract).unwrap_err();
    assert!(error.to_string().contains("lora_alpha"), "{error}");
}
