//! Merges against PEFT's own, and what is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use collimate_peft::{
    Adapter, AdapterKey, AdapterPart, AdapterTensor, InitLoraWeights, LoraConfig, Merge,
    MergeDtype, MergeError, MergePlan, MergeReport, ModuleTree, PeftError, TensorChange,
};
use collimate_tensors::{
    Checkpoint, Dtype, SafetensorsWriter, TensorFile, WriteError, write_safetensors,
};
use serde::Deserialize;
use tempfile::TempDir;

#[derive(Deserialize)]
struct Case {
    model: String,
    case: String,
    adapters: Vec<(String, f64)>,
    tied_head: Option<(String, String)>,
    untied: bool,
}

impl Case {
    fn all() -> Vec<Self> {
        let cases = std::fs::read_to_string(fixtures().join("cases.json")).unwrap();
        serde_json::from_str(&cases).unwrap()
    }

    fn of(model: &str, case: &str) -> Self {
        let found = |one: &Self| one.model == model && one.case == case;
        Self::all().into_iter().find(found).unwrap()
    }

    fn base(&self) -> Checkpoint {
        Checkpoint::open(fixtures().join(&self.model)).unwrap()
    }

    fn tree(&self, base: &Checkpoint) -> ModuleTree {
        let prefix = if self.model == "gpt2" { "transformer." } else { "" };
        let tensors = base.tensors().map(|t| (format!("{prefix}{}", t.name()), t.shape()));
        let tree = ModuleTree::from_tensors(tensors).unwrap();
        match &self.tied_head {
            Some((head, embedding)) => tree.with_tied_head(head, embedding).unwrap(),
            None => tree,
        }
    }

    fn adapter(&self, name: &str) -> Adapter {
        Adapter::read(fixtures().join(&self.model).join(name)).unwrap()
    }

    fn expected(&self) -> TensorFile {
        let file = format!("{}.merged.safetensors", self.case);
        TensorFile::open(fixtures().join(&self.model).join(file)).unwrap()
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/merge")
}

/// Tensors by name, with their type and bytes.
type Tensors = BTreeMap<String, (Dtype, Vec<u8>)>;

fn run(plan: &MergePlan<'_>) -> Result<(MergeReport, Tensors), PeftError> {
    let tensors = plan.layout().tensors().iter();
    let tensors: Tensors = tensors
        .map(|t| {
            let bytes = t.data_offsets.1 - t.data_offsets.0;
            (t.name.clone(), (t.dtype, vec![0xAA; bytes as usize]))
        })
        .collect();
    let tensors = Mutex::new(tensors);
    let done = AtomicU64::new(0);
    let report = plan.run(
        &|name, offset, bytes| {
            let mut tensors = tensors.lock().unwrap();
            let (_, all) = tensors.get_mut(name).unwrap();
            all[offset as usize..][..bytes.len()].copy_from_slice(bytes);
            Ok(())
        },
        &|bytes| {
            done.fetch_max(bytes, Ordering::Relaxed);
        },
        &AtomicBool::new(false),
    )?;
    assert_eq!(done.into_inner(), report.bytes);
    Ok((report, tensors.into_inner().unwrap()))
}

fn numbers(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    let mut numbers = vec![0.0; bytes.len() * 8 / dtype.bits() as usize];
    collimate_tensors::widen(dtype, bytes, &mut numbers).unwrap();
    numbers
}

/// How many numbers of the type lie between two.
fn ulps(dtype: Dtype, a: f32, b: f32) -> u32 {
    let ordered = |x: f32| {
        let bits = x.to_bits() as i32;
        i64::from(if bits < 0 { i32::MIN.wrapping_sub(bits) } else { bits })
    };
    let step = if dtype == Dtype::BF16 { 1 << 16 } else { 1 };
    ((ordered(a) - ordered(b)).unsigned_abs() / step) as u32
}

#[test]
fn what_is_merged_is_what_peft_merges() {
    for case in Case::all() {
        let name = format!("{}, {}", case.model, case.case);
        let base = case.base();
        let adapters: Vec<_> = case
            .adapters
            .iter()
            .map(|(adapter, weight)| (case.adapter(adapter), *weight))
            .collect();
        let mut merge = Merge::new(&base, case.tree(&base));
        for (adapter, weight) in &adapters {
            merge = merge.with_adapter(adapter, *weight);
        }
        let plan = merge.plan().unwrap();
        let (report, tensors) = run(&plan).unwrap();
        let expected = case.expected();
        assert_eq!(report.untied, case.untied, "{name}");
        assert_eq!(tensors.len(), base.names().len() + usize::from(case.untied), "{name}");
        let mut changed = 0;
        for (tensor, (dtype, bytes)) in &tensors {
            let Some(expected) = expected.get(tensor) else {
                let base = base.get(tensor).unwrap();
                assert_eq!(plan.change(tensor), Some(TensorChange::Copied), "{name}: {tensor}");
                assert!(*base.bytes().unwrap() == bytes[..], "{name}: {tensor}");
                continue;
            };
            changed += 1;
            assert_eq!(*dtype, expected.dtype(), "{name}: {tensor}");
            let found = numbers(*dtype, bytes);
            for (at, (found, expected)) in found.iter().zip(expected.to_f32().unwrap()).enumerate()
            {
                let is_close = match dtype {
                    Dtype::F32 => (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                    _ => ulps(*dtype, *found, expected) <= 1,
                };
                assert!(is_close, "{name}: {tensor}[{at}] is {found}, not {expected}");
            }
        }
        assert_eq!(changed, expected.names().len(), "{name}");
        let counted = report.adapted + report.replaced + u64::from(report.untied);
        assert!(counted >= changed as u64, "{name}: {report:?}");
    }
}

#[test]
fn a_pytorch_checkpoint_is_merged_like_any_other() {
    let case = Case::of("llama", "plain");
    let adapter = case.adapter("plain");
    let merged = |base: Checkpoint| {
        let plan = Merge::new(&base, case.tree(&base)).with_adapter(&adapter, 1.0).plan().unwrap();
        run(&plan).unwrap().1
    };
    assert!(merged(case.base()) == merged(Checkpoint::open(fixtures().join("pickle")).unwrap()));
}

#[test]
fn equal_merges_give_equal_bytes_on_any_number_of_threads() {
    for (model, case) in [("gpt2", "two"), ("llama", "dora-plain")] {
        let case = Case::of(model, case);
        let base = case.base();
        let adapters: Vec<_> = case.adapters.iter().map(|(name, _)| case.adapter(name)).collect();
        let merge = adapters.iter().fold(Merge::new(&base, case.tree(&base)), |merge, adapter| {
            merge.with_adapter(adapter, 1.0)
        });
        let plan = merge.plan().unwrap();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&plan).unwrap().1)
        };
        assert!(on(1) == on(3), "{model}");
    }
}

/// A model of one linear module and an adapter of it.
struct Small {
    folder: TempDir,
    config: LoraConfig,
    a: Vec<f32>,
    b: Vec<f32>,
}

const MODULE: &str = "layers.0.q_proj";

impl Small {
    fn new(dtype: Dtype, weights: &[f32]) -> Self {
        let mut bytes = vec![0; weights.len() * dtype.bits() as usize / 8];
        collimate_tensors::narrow(dtype, weights, &mut bytes).unwrap();
        Self::of_bytes(dtype, bytes)
    }

    fn of_bytes(dtype: Dtype, bytes: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tensors = [
            (format!("{MODULE}.weight"), dtype, vec![2, 2], bytes),
            ("positions".to_owned(), Dtype::I64, vec![1], vec![7; 8]),
        ];
        let path = folder.path().join("model.safetensors");
        write_safetensors(path, &BTreeMap::new(), tensors).unwrap();
        let config = LoraConfig::new(1).with_alpha(1.0).with_target_modules(["q_proj"]);
        Self { folder, config, a: vec![1.0, 2.0], b: vec![3.0, 4.0] }
    }

    fn base(&self) -> Checkpoint {
        Checkpoint::open(self.folder.path()).unwrap()
    }

    fn adapter(&self) -> Adapter {
        let key = |part| AdapterKey::new(MODULE, part);
        let a = AdapterTensor::from_f32(vec![1, 2], &self.a);
        let b = AdapterTensor::from_f32(vec![2, 1], &self.b);
        let tensors = [(key(AdapterPart::A), a), (key(AdapterPart::B), b)];
        Adapter::new(self.config.clone(), tensors).unwrap()
    }

    fn tree(&self) -> ModuleTree {
        ModuleTree::from_tensors([(format!("{MODULE}.weight"), [2, 2])]).unwrap()
    }

    fn merged(&self, dtype: MergeDtype) -> Result<Tensors, PeftError> {
        let (base, adapter) = (self.base(), self.adapter());
        let merge = Merge::new(&base, self.tree()).with_adapter(&adapter, 1.0).with_dtype(dtype);
        Ok(run(&merge.plan()?)?.1)
    }

    fn error(&self, dtype: MergeDtype) -> MergeError {
        match self.merged(dtype) {
            Err(PeftError::Merge(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_type_of_the_result_can_be_set() {
    let small = Small::new(Dtype::BF16, &[1.0, 0.5, -2.0, 1e-3]);
    for (dtype, expected) in [
        (MergeDtype::Keep, Dtype::BF16),
        (MergeDtype::F32, Dtype::F32),
        (MergeDtype::Bf16, Dtype::BF16),
        (MergeDtype::F16, Dtype::F16),
    ] {
        let tensors = small.merged(dtype).unwrap();
        let (found, bytes) = &tensors[&format!("{MODULE}.weight")];
        assert_eq!(*found, expected);
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 0.02;
        assert!(numbers(*found, bytes).iter().zip(&[4.0, 6.5, 2.0, 8.001]).all(near));
        assert_eq!(tensors["positions"], (Dtype::I64, vec![7; 8]));
    }
}

#[test]
fn quantized_weights_are_refused() {
    let small = Small::of_bytes(Dtype::F8_E4M3, vec![0; 4]);
    let error = small.error(MergeDtype::F32).to_string();
    assert!(error.contains("layers.0.q_proj.weight") && error.contains("F8_E4M3"), "{error}");
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let mut small = Small::new(Dtype::F32, &[65000.0, 0.0, 0.0, 0.0]);
    assert!(small.merged(MergeDtype::F16).is_ok());
    small.a = vec![600.0, 0.0];
    assert!(matches!(small.error(MergeDtype::F16), MergeError::NotFinite { .. }));
    assert!(small.merged(MergeDtype::Keep).is_ok());
    small.a = vec![f32::NAN, 0.0];
    assert!(matches!(small.error(MergeDtype::Keep), MergeError::NotFinite { .. }));
}

#[test]
fn adapters_that_cannot_be_merged_are_refused() {
    let mut small = Small::new(Dtype::F32, &[0.0; 4]);
    small.config = small.config.with_init(InitLoraWeights::Named("pissa".to_owned()));
    assert!(matches!(small.error(MergeDtype::Keep), MergeError::ChangedBase { .. }));

    let mut small = Small::new(Dtype::F32, &[0.0; 4]);
    let tokens = serde_json::json!([1, 2]);
    small.config.other.insert("alora_invocation_tokens".to_owned(), tokens);
    assert!(matches!(small.error(MergeDtype::Keep), MergeError::Obstacles { .. }));

    let small = Small::new(Dtype::F32, &[0.0; 4]);
    let (base, adapter) = (small.base(), small.adapter());
    let merge = Merge::new(&base, small.tree()).with_adapter(&adapter, f64::NAN);
    assert!(matches!(merge.plan(), Err(PeftError::Merge(MergeError::Weight { .. }))));
    // A tree that is another model's.
    let tree = ModuleTree::from_tensors([("other.q_proj.weight", [2, 2])]).unwrap();
    let merge = Merge::new(&base, tree).with_adapter(&adapter, 1.0);
    assert!(matches!(merge.plan(), Err(PeftError::Merge(MergeError::NotInBase { .. }))));
}

#[test]
fn whole_tensors_can_be_neither_weighted_nor_brought_twice() {
    let case = Case::of("llama", "regex");
    let (base, saved, plain) = (case.base(), case.adapter("regex"), case.adapter("dora"));
    let error = |adapters: &[(&Adapter, f64)]| {
        let merge = adapters.iter().fold(Merge::new(&base, case.tree(&base)), |merge, one| {
            merge.with_adapter(one.0, one.1)
        });
        match merge.plan() {
            Err(PeftError::Merge(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(error(&[(&saved, 0.5)]), MergeError::WeightedWhole { .. }));
    // One adapts the head, the other replaces it.
    for both in [[(&saved, 1.0), (&plain, 1.0)], [(&plain, 1.0), (&saved, 1.0)]] {
        assert!(matches!(error(&both), MergeError::Conflict { .. }));
    }
    // The same values twice are no contradiction.
    let merge = Merge::new(&base, case.tree(&base)).with_adapter(&saved, 1.0);
    assert!(merge.with_adapter(&saved, 1.0).plan().is_ok());
}

#[test]
fn a_merge_can_be_cancelled_and_the_sink_can_fail() {
    let case = Case::of("llama", "plain");
    let (base, adapter) = (case.base(), case.adapter("plain"));
    let plan = Merge::new(&base, case.tree(&base)).with_adapter(&adapter, 1.0).plan().unwrap();
    let cancelled = AtomicBool::new(false);
    let sink = |_: &str, _: u64, _: &[u8]| {
        cancelled.store(true, Ordering::Relaxed);
        Ok(())
    };
    let error = plan.run(&sink, &|_| (), &cancelled).unwrap_err();
    assert!(matches!(error, PeftError::Merge(MergeError::Cancelled)));

    let sink = |tensor: &str, _: u64, _: &[u8]| {
        Err(WriteError::UnknownTensor { tensor: tensor.to_owned() })
    };
    let error = plan.run(&sink, &|_| (), &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(error, PeftError::Merge(MergeError::Write(_))));
}

#[test]
fn a_base_that_changes_meanwhile_is_noticed() {
    let small = Small::new(Dtype::F32, &[1.0, 2.0, 3.0, 4.0]);
    let (base, adapter) = (small.base(), small.adapter());
    let plan = Merge::new(&base, small.tree()).with_adapter(&adapter, 1.0).plan().unwrap();
    let path = small.folder.path().join("model.safetensors");
    std::fs::write(small.folder.path().join("other"), "other").unwrap();
    std::fs::rename(small.folder.path().join("other"), path).unwrap();
    assert!(matches!(run(&plan), Err(PeftError::Merge(MergeError::Read(_)))));
}

#[test]
fn a_merge_can_be_written_and_read_again() {
    let case = Case::of("gpt2", "embeddings");
    let (base, adapter) = (case.base(), case.adapter("embeddings"));
    let plan = Merge::new(&base, case.tree(&base)).with_adapter(&adapter, 1.0).plan().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let layout = plan.layout().clone().sorted();
    let writer =
        SafetensorsWriter::create(folder.path().join("model.safetensors"), &layout).unwrap();
    let sink = |name: &str, offset, bytes: &[u8]| writer.write(name, offset, bytes);
    plan.run(&sink, &|_| (), &AtomicBool::new(false)).unwrap();
    writer.finish().unwrap();
    let merged = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(merged.names().len(), base.names().len() + 1);
    // The head was the embedding's and keeps what it was.
    let head = merged.get("lm_head.weight").unwrap().bytes().unwrap().into_owned();
    assert!(head == *base.get("wte.weight").unwrap().bytes().unwrap());
    assert!(head != *merged.get("wte.weight").unwrap().bytes().unwrap());
}

#[test]
fn a_head_that_the_files_hold_beside_its_embedding_is_untied_as_well() {
    const NAMES: [&str; 3] = ["embed_tokens", "lm_head", MODULE];
    let ones = vec![1_f32; 4];
    let untied = |in_head: &[f32], changed: &[(&str, AdapterPart)]| {
        let folder = tempfile::tempdir().unwrap();
        let tensors = NAMES.map(|module| {
            let numbers = if module == "lm_head" { in_head } else { &ones };
            let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
            (format!("{module}.weight"), Dtype::F32, [2, 2], bytes)
        });
        let path = folder.path().join("model.safetensors");
        write_safetensors(path, &BTreeMap::new(), tensors).unwrap();
        let base = Checkpoint::open(folder.path()).unwrap();
        let tree = ModuleTree::from_tensors(base.tensors().map(|t| (t.name(), t.shape()))).unwrap();
        let whole = AdapterPart::Whole("weight".to_owned());
        let is_saved = |(_, part): &&(&str, AdapterPart)| *part == whole;
        let saved = changed.iter().filter(is_saved).map(|(module, _)| *module);
        let targets = changed.iter().filter(|one| !is_saved(one)).map(|(module, _)| *module);
        let config = LoraConfig::new(2)
            .with_target_modules(targets.chain(["q_proj"]))
            .with_modules_to_save(saved);
        let q_proj = [AdapterPart::A, AdapterPart::B].map(|part| (MODULE, part));
        let keys = changed.iter().chain(&q_proj);
        let tensors = keys.map(|(module, part)| {
            let numbers = AdapterTensor::from_f32(vec![2, 2], &[0.5; 4]);
            (AdapterKey::new(*module, part.clone()), numbers)
        });
        let adapter = Adapter::new(config, tensors).unwrap();
        let plan = Merge::new(&base, tree).with_adapter(&adapter, 1.0).plan().unwrap();
        let (report, tensors) = run(&plan).unwrap();
        assert_eq!(tensors.len(), NAMES.len());
        assert_eq!(report.untied, plan.untied());
        report.untied
    };
    let whole = || AdapterPart::Whole("weight".to_owned());
    assert!(!untied(&ones, &[]));
    assert!(untied(&ones, &[("lm_head", AdapterPart::A), ("lm_head", AdapterPart::B)]));
    let embedding = [AdapterPart::EmbeddingA, AdapterPart::EmbeddingB];
    assert!(untied(&ones, &embedding.map(|part| ("embed_tokens", part))));
    assert!(untied(&ones, &[("lm_head", whole())]));
    // Both get the same.
    assert!(!untied(&ones, &[("lm_head", whole()), ("embed_tokens", whole())]));
    // They were never the same.
    assert!(!untied(&[1.0, 1.0, 1.0, 2.0], &[("lm_head", whole())]));
}
